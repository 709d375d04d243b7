// The module `atoll:wasi`: WASI preview 1 (wasi_snapshot_preview1) for WebAssembly that was compiled as a command or a
// reactor.
//
// There is no system beneath it. Arguments, environment and standard input are what the constructor is given; standard
// output and error go to functions or are kept; files are those of an object, read-only, under one directory `/`. Nothing
// waits: input is there from the beginning, and a sleep is over at once.

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayBufferIsView,
  ArrayPrototypePush,
  BigInt,
  DataView,
  DataViewPrototypeGetBigUint64,
  DataViewPrototypeGetUint32,
  DataViewPrototypeGetUint8,
  DataViewPrototypeSetBigUint64,
  DataViewPrototypeSetUint16,
  DataViewPrototypeSetUint32,
  DataViewPrototypeSetUint8,
  DateNow,
  JSONStringify,
  MathMin,
  Number,
  ObjectKeys,
  RangeError,
  SafeMap,
  String,
  StringPrototypeSplit,
  TypedArrayPrototypeFill,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeSet,
  TypedArrayPrototypeSlice,
  TypedArrayPrototypeSubarray,
  TypeError,
  Uint8Array,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const SUCCESS = 0;
const BADF = 8;
const EXIST = 20;
const FAULT = 21;
const INVAL = 28;
const ISDIR = 31;
const NOENT = 44;
const NOSYS = 52;
const NOTDIR = 54;
const ROFS = 69;
const SPIPE = 70;
const NOTCAPABLE = 76;

const CHARACTER_DEVICE = 2;
const DIRECTORY = 3;
const REGULAR_FILE = 4;

const RIGHT_FD_WRITE = 1n << 6n;
const ALL_RIGHTS = (1n << 30n) - 1n;

// Functions that only make sense where something can be written or connected.
const READ_ONLY = [
  "fd_allocate",
  "fd_filestat_set_size",
  "fd_filestat_set_times",
  "path_create_directory",
  "path_filestat_set_times",
  "path_link",
  "path_remove_directory",
  "path_rename",
  "path_symlink",
  "path_unlink_file",
];
const MISSING = ["proc_raise", "sock_accept", "sock_recv", "sock_send", "sock_shutdown"];

// Ends a command from within.
class Exit {
  constructor(code) {
    this.code = code;
  }
}

// What a system call answers with in place of a result.
class Failure {
  constructor(code) {
    this.code = code;
  }
}

// What a function of the caller threw.
class Thrown {
  constructor(error) {
    this.error = error;
  }
}

const fail = (code) => {
  throw new Failure(code);
};

function bytesOf(value, what) {
  if (typeof value === "string") return core.encode(value);
  if (core.isArrayBuffer(value)) return TypedArrayPrototypeSlice(new Uint8Array(value));
  if (ArrayBufferIsView(value)) return TypedArrayPrototypeSlice(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  throw new TypeError(`${what} must be a string, an ArrayBuffer or a view of one`);
}

// Strings that end with a zero byte, as C has them.
function cString(value, what) {
  const bytes = core.encode(`${value}\0`);
  for (let i = 0; i < bytes.length - 1; i++) {
    if (bytes[i] === 0) throw new TypeError(`${what} has a zero character`);
  }
  return bytes;
}

let inodes = 1n;

class Directory {
  type = DIRECTORY;
  inode = inodes++;
  entries = new SafeMap();
}

class File {
  type = REGULAR_FILE;
  inode = inodes++;

  constructor(bytes) {
    this.bytes = bytes;
  }
}

// A name within its directory, as a list of names; `..` goes no further up than where it begins.
function namesOf(path) {
  const names = [];
  const parts = StringPrototypeSplit(path, "/");
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === "" || parts[i] === ".") continue;
    if (parts[i] !== "..") ArrayPrototypePush(names, parts[i]);
    else if (names.length === 0) fail(NOTCAPABLE);
    else names.length--;
  }
  return names;
}

function treeOf(files) {
  const root = new Directory();
  const paths = ObjectKeys(files);
  for (let i = 0; i < paths.length; i++) {
    let names;
    try {
      names = namesOf(paths[i]);
    } catch {
      names = [];
    }
    if (names.length === 0) throw new TypeError(`The file ${JSONStringify(paths[i])} has no name within "/"`);
    let directory = root;
    for (let j = 0; j < names.length - 1; j++) {
      let next = directory.entries.get(names[j]);
      if (next === undefined) directory.entries.set(names[j], next = new Directory());
      if (next.type !== DIRECTORY) throw new TypeError(`${paths[i]} is within something that is a file`);
      directory = next;
    }
    const name = names[names.length - 1];
    if (directory.entries.has(name)) throw new TypeError(`There are two files ${paths[i]}`);
    directory.entries.set(name, new File(bytesOf(files[paths[i]], `The file ${paths[i]}`)));
  }
  return root;
}

// What a file descriptor stands for: `node` for files and directories, `write` for the standard streams.
class Descriptor {
  position = 0;

  constructor(node, write = null, preopened = null) {
    this.node = node;
    this.write = write;
    this.preopened = preopened;
  }
}

class WASI {
  #args = [];
  #env = [];
  #stdin;
  #root;
  #descriptors = [];
  #output = [null, null, null];
  #memory = null;
  #started = false;
  #clock = 0n;
  #imports = null;

  constructor(options = { __proto__: null }) {
    const prefix = "Failed to construct 'WASI'";
    if (options === null || typeof options !== "object") throw new TypeError(`${prefix}: the options must be an object`);
    const { args = [], env = {}, stdin = "", stdout, stderr, files = {} } = options;
    const list = webidl.converters["sequence<DOMString>"](args, prefix, "args");
    for (let i = 0; i < list.length; i++) ArrayPrototypePush(this.#args, cString(list[i], `${prefix}: an argument`));
    const names = ObjectKeys(env);
    for (let i = 0; i < names.length; i++) {
      ArrayPrototypePush(this.#env, cString(`${names[i]}=${String(env[names[i]])}`, `${prefix}: a variable`));
    }
    this.#stdin = bytesOf(stdin, `${prefix}: stdin`);
    this.#root = treeOf(files);
    this.#descriptors = [
      new Descriptor(new File(this.#stdin)),
      new Descriptor(null, this.#writer(1, stdout, `${prefix}: stdout`)),
      new Descriptor(null, this.#writer(2, stderr, `${prefix}: stderr`)),
      new Descriptor(this.#root, null, core.encode("/")),
    ];
  }

  // What was written to standard output, when no function takes it.
  get stdout() {
    return joined(this.#output[1]);
  }

  get stderr() {
    return joined(this.#output[2]);
  }

  // The imports of a module, to be given to `WebAssembly.instantiate`.
  getImportObject() {
    return { wasi_snapshot_preview1: this.#imports ??= this.#makeImports() };
  }

  // Runs a command to its end; returns its exit code.
  start(instance) {
    const prefix = "Failed to execute 'start' on 'WASI'";
    const { _start, _initialize } = this.#adopt(instance, prefix);
    if (typeof _start !== "function" || _initialize !== undefined) {
      throw new TypeError(`${prefix}: the module is no command: it does not export _start alone`);
    }
    try {
      _start();
    } catch (error) {
      if (!(error instanceof Exit)) throw error;
      return error.code;
    }
    return 0;
  }

  // Readies a reactor, whose exports may be called afterwards.
  initialize(instance) {
    const prefix = "Failed to execute 'initialize' on 'WASI'";
    const { _start, _initialize } = this.#adopt(instance, prefix);
    if (_start !== undefined) throw new TypeError(`${prefix}: the module is a command: use start`);
    if (_initialize !== undefined) _initialize();
  }

  #adopt(instance, prefix) {
    if (this.#started) throw new TypeError(`${prefix}: this WASI was used already; make one for each run`);
    const exports = instance?.exports;
    if (!(exports?.memory instanceof WebAssembly.Memory)) {
      throw new TypeError(`${prefix}: the instance exports no memory`);
    }
    this.#started = true;
    this.#memory = exports.memory;
    return exports;
  }

  #writer(number, write, what) {
    if (write === undefined) {
      const chunks = this.#output[number] = [];
      return (bytes) => ArrayPrototypePush(chunks, bytes);
    }
    if (typeof write !== "function") throw new TypeError(`${what} must be a function that takes a Uint8Array`);
    return (bytes) => {
      try {
        write(bytes);
      } catch (error) {
        throw new Thrown(error);
      }
    };
  }

  get #view() {
    return new DataView(this.#memory.buffer);
  }

  #bytes(at, length) {
    return new Uint8Array(this.#memory.buffer, at >>> 0, length >>> 0);
  }

  #text(at, length) {
    return core.decode(TypedArrayPrototypeSlice(this.#bytes(at, length)));
  }

  #descriptor(fd) {
    return this.#descriptors[fd >>> 0] ?? fail(BADF);
  }

  #directory(fd) {
    const { node } = this.#descriptor(fd);
    return node?.type === DIRECTORY ? node : fail(NOTDIR);
  }

  #file(fd) {
    const descriptor = this.#descriptor(fd);
    if (descriptor.node === null) fail(SPIPE);
    return descriptor.node.type === REGULAR_FILE ? descriptor : fail(ISDIR);
  }

  #find(fd, at, length) {
    let node = this.#directory(fd);
    const path = this.#text(at, length);
    // From the root down, because `..` may lead out of the directory but not out of what there is.
    const names = namesOf(path[0] === "/" ? fail(NOTCAPABLE) : path);
    for (let i = 0; i < names.length; i++) {
      if (node.type !== DIRECTORY) fail(NOTDIR);
      node = node.entries.get(names[i]) ?? fail(NOENT);
    }
    return node;
  }

  // Calls `use` with each buffer of a list, until it takes less than there is. Returns how much it took.
  #buffers(at, count, use) {
    let total = 0;
    for (let i = 0; i < count >>> 0; i++) {
      const view = this.#view;
      const entry = (at >>> 0) + i * 8;
      const buffer = this.#bytes(DataViewPrototypeGetUint32(view, entry, true), DataViewPrototypeGetUint32(view, entry + 4, true));
      const taken = use(buffer);
      total += taken;
      if (taken < TypedArrayPrototypeGetByteLength(buffer)) break;
    }
    return total;
  }

  #set32(at, value) {
    DataViewPrototypeSetUint32(this.#view, at >>> 0, value, true);
  }

  #set64(at, value) {
    DataViewPrototypeSetBigUint64(this.#view, at >>> 0, value, true);
  }

  #list(strings, pointers, at) {
    at >>>= 0;
    for (let i = 0; i < strings.length; i++) {
      this.#set32((pointers >>> 0) + i * 4, at);
      const length = TypedArrayPrototypeGetByteLength(strings[i]);
      TypedArrayPrototypeSet(this.#bytes(at, length), strings[i]);
      at += length;
    }
  }

  #sizes(strings, count, size) {
    let total = 0;
    for (let i = 0; i < strings.length; i++) total += TypedArrayPrototypeGetByteLength(strings[i]);
    this.#set32(count, strings.length);
    this.#set32(size, total);
  }

  #stat(node, at) {
    TypedArrayPrototypeFill(this.#bytes(at, 64), 0);
    const view = this.#view;
    at >>>= 0;
    DataViewPrototypeSetBigUint64(view, at + 8, node?.inode ?? 0n, true);
    DataViewPrototypeSetUint8(view, at + 16, node?.type ?? CHARACTER_DEVICE);
    DataViewPrototypeSetBigUint64(view, at + 24, 1n, true);
    const size = node?.type === REGULAR_FILE ? TypedArrayPrototypeGetByteLength(node.bytes) : 0;
    DataViewPrototypeSetBigUint64(view, at + 32, BigInt(size), true);
  }

  #now(id) {
    if (id > 3) fail(INVAL);
    const now = BigInt(DateNow()) * 1_000_000n;
    if (id === 0) return now;
    // The clocks other than that of the day never go back.
    if (now > this.#clock) this.#clock = now;
    return this.#clock;
  }

  #readAt(file, position, at, count) {
    return this.#buffers(at, count, (buffer) => {
      const rest = TypedArrayPrototypeSubarray(file.bytes, position);
      const length = MathMin(TypedArrayPrototypeGetByteLength(rest), TypedArrayPrototypeGetByteLength(buffer));
      TypedArrayPrototypeSet(buffer, TypedArrayPrototypeSubarray(rest, 0, length));
      position += length;
      return length;
    });
  }

  #calls() {
    return {
      __proto__: null,
      args_get: (pointers, at) => this.#list(this.#args, pointers, at),
      args_sizes_get: (count, size) => this.#sizes(this.#args, count, size),
      environ_get: (pointers, at) => this.#list(this.#env, pointers, at),
      environ_sizes_get: (count, size) => this.#sizes(this.#env, count, size),
      clock_res_get: (id, at) => this.#set64(at, id >>> 0 > 3 ? fail(INVAL) : 1_000_000n),
      clock_time_get: (id, _precision, at) => this.#set64(at, this.#now(id >>> 0)),
      fd_advise: (fd) => void this.#file(fd),
      fd_close: (fd) => {
        this.#descriptor(fd);
        this.#descriptors[fd >>> 0] = null;
      },
      fd_datasync: (fd) => void this.#descriptor(fd),
      fd_sync: (fd) => void this.#descriptor(fd),
      fd_fdstat_get: (fd, at) => {
        const { node, write } = this.#descriptor(fd);
        TypedArrayPrototypeFill(this.#bytes(at, 24), 0);
        const view = this.#view;
        at >>>= 0;
        const isStream = node === null || node.bytes === this.#stdin;
        DataViewPrototypeSetUint8(view, at, isStream ? CHARACTER_DEVICE : node.type);
        const rights = write === null ? ALL_RIGHTS & ~RIGHT_FD_WRITE : RIGHT_FD_WRITE;
        // No right to seek or tell: that is how a terminal is told from a file.
        DataViewPrototypeSetBigUint64(view, at + 8, isStream ? rights & ~0x24n : rights, true);
        DataViewPrototypeSetBigUint64(view, at + 16, node?.type === DIRECTORY ? ALL_RIGHTS : 0n, true);
      },
      fd_fdstat_set_flags: (fd) => void this.#descriptor(fd),
      fd_fdstat_set_rights: (fd) => void this.#descriptor(fd),
      fd_filestat_get: (fd, at) => this.#stat(this.#descriptor(fd).node, at),
      fd_pread: (fd, at, count, offset, done) => {
        const { node } = this.#file(fd);
        this.#set32(done, this.#readAt(node, Number(offset), at, count));
      },
      fd_pwrite: (fd) => fail(this.#descriptor(fd).write === null ? ROFS : SPIPE),
      fd_prestat_get: (fd, at) => {
        const { preopened } = this.#descriptor(fd);
        if (preopened === null) fail(BADF);
        this.#set32(at, 0);
        this.#set32((at >>> 0) + 4, TypedArrayPrototypeGetByteLength(preopened));
      },
      fd_prestat_dir_name: (fd, at, length) => {
        const preopened = this.#descriptor(fd).preopened ?? fail(BADF);
        const name = TypedArrayPrototypeSubarray(preopened, 0, length >>> 0);
        TypedArrayPrototypeSet(this.#bytes(at, length), name);
      },
      fd_read: (fd, at, count, done) => {
        const descriptor = this.#file(fd);
        const length = this.#readAt(descriptor.node, descriptor.position, at, count);
        descriptor.position += length;
        this.#set32(done, length);
      },
      fd_readdir: (fd, at, length, cookie, used) => this.#readDirectory(this.#directory(fd), at, length >>> 0, cookie, used),
      fd_renumber: (from, to) => {
        const descriptor = this.#descriptor(from);
        this.#descriptor(to);
        if (from !== to) this.#descriptors[from >>> 0] = null;
        this.#descriptors[to >>> 0] = descriptor;
      },
      fd_seek: (fd, offset, whence, at) => {
        const descriptor = this.#file(fd);
        if (descriptor.node.bytes === this.#stdin) fail(SPIPE);
        const size = TypedArrayPrototypeGetByteLength(descriptor.node.bytes);
        const base = whence === 0 ? 0 : whence === 1 ? descriptor.position : whence === 2 ? size : fail(INVAL);
        const position = base + Number(offset);
        if (position < 0) fail(INVAL);
        descriptor.position = position;
        this.#set64(at, BigInt(position));
      },
      fd_tell: (fd, at) => this.#set64(at, BigInt(this.#file(fd).position)),
      fd_write: (fd, at, count, done) => {
        const { node, write } = this.#descriptor(fd);
        if (write === null) fail(node.type === DIRECTORY ? BADF : ROFS);
        const length = this.#buffers(at, count, (buffer) => {
          const size = TypedArrayPrototypeGetByteLength(buffer);
          if (size > 0) write(TypedArrayPrototypeSlice(buffer));
          return size;
        });
        this.#set32(done, length);
      },
      path_filestat_get: (fd, _flags, path, length, at) => this.#stat(this.#find(fd, path, length), at),
      path_open: (fd, _lookup, path, length, flags, rights, _inheriting, _fdFlags, at) => {
        const creates = (flags & 1) !== 0;
        const truncates = (flags & 8) !== 0;
        let node;
        try {
          node = this.#find(fd, path, length);
        } catch (error) {
          if (error instanceof Failure && error.code === NOENT && creates) fail(ROFS);
          throw error;
        }
        if (creates && (flags & 4) !== 0) fail(EXIST);
        if ((flags & 2) !== 0 && node.type !== DIRECTORY) fail(NOTDIR);
        if (truncates || (node.type === REGULAR_FILE && (rights & RIGHT_FD_WRITE) !== 0n)) fail(ROFS);
        let free = 3;
        while (this.#descriptors[free]) free++;
        this.#descriptors[free] = new Descriptor(node);
        this.#set32(at, free);
      },
      path_readlink: (fd, path, length) => void (this.#find(fd, path, length), fail(INVAL)),
      poll_oneoff: (subscriptions, events, count, done) => this.#poll(subscriptions, events, count >>> 0, done),
      proc_exit: (code) => {
        throw new Exit(code >>> 0);
      },
      random_get: (at, length) => {
        const crypto = core.loadExtScript("ext:atoll_web/crypto_guard.js").getCrypto();
        at >>>= 0;
        const end = at + (length >>> 0);
        for (; at < end; at += 65536) crypto.getRandomValues(this.#bytes(at, MathMin(65536, end - at)));
      },
      sched_yield: () => {},
    };
  }

  #readDirectory(directory, at, length, cookie, used) {
    const target = this.#bytes(at, length);
    let filled = 0;
    let index = 0n;
    for (const { 0: name, 1: node } of directory.entries) {
      index++;
      if (index <= cookie) continue;
      if (filled >= length) break;
      const bytes = core.encode(name);
      const entry = new Uint8Array(24 + bytes.length);
      const view = new DataView(TypedArrayPrototypeGetBuffer(entry));
      DataViewPrototypeSetBigUint64(view, 0, index, true);
      DataViewPrototypeSetBigUint64(view, 8, node.inode, true);
      DataViewPrototypeSetUint32(view, 16, bytes.length, true);
      DataViewPrototypeSetUint8(view, 20, node.type);
      TypedArrayPrototypeSet(entry, bytes, 24);
      // The last one may be cut off: the caller sees that it was and asks again.
      const part = TypedArrayPrototypeSubarray(entry, 0, MathMin(entry.length, length - filled));
      TypedArrayPrototypeSet(target, part, filled);
      filled += part.length;
    }
    this.#set32(used, filled);
  }

  // Everything that is waited for is there: nothing here takes time.
  #poll(subscriptions, events, count, done) {
    if (count === 0) fail(INVAL);
    for (let i = 0; i < count; i++) {
      const view = this.#view;
      const from = (subscriptions >>> 0) + i * 48;
      const to = (events >>> 0) + i * 32;
      const userdata = DataViewPrototypeGetBigUint64(view, from, true);
      const type = DataViewPrototypeGetUint8(view, from + 8);
      const isThere = type === 0 || this.#descriptors[DataViewPrototypeGetUint32(view, from + 16, true)];
      TypedArrayPrototypeFill(this.#bytes(to, 32), 0);
      DataViewPrototypeSetBigUint64(view, to, userdata, true);
      DataViewPrototypeSetUint16(view, to + 8, isThere ? SUCCESS : BADF, true);
      DataViewPrototypeSetUint8(view, to + 10, type);
    }
    this.#set32(done, count);
  }

  #makeImports() {
    const imports = {};
    const calls = this.#calls();
    const names = ObjectKeys(calls);
    for (let i = 0; i < names.length; i++) {
      const call = calls[names[i]];
      imports[names[i]] = (a, b, c, d, e, f, g, h, j) => {
        if (this.#memory === null) throw new TypeError(`${names[i]} was called before start or initialize`);
        try {
          call(a, b, c, d, e, f, g, h, j);
          return SUCCESS;
        } catch (error) {
          if (error instanceof Failure) return error.code;
          // An address outside of the memory.
          if (error instanceof RangeError) return FAULT;
          throw error instanceof Thrown ? error.error : error;
        }
      };
    }
    for (let i = 0; i < READ_ONLY.length; i++) imports[READ_ONLY[i]] = () => ROFS;
    for (let i = 0; i < MISSING.length; i++) imports[MISSING[i]] = () => NOSYS;
    return imports;
  }
}

function joined(chunks) {
  if (chunks === null) return null;
  let length = 0;
  for (let i = 0; i < chunks.length; i++) length += TypedArrayPrototypeGetByteLength(chunks[i]);
  const all = new Uint8Array(length);
  for (let i = 0, at = 0; i < chunks.length; at += TypedArrayPrototypeGetByteLength(chunks[i]), i++) {
    TypedArrayPrototypeSet(all, chunks[i], at);
  }
  return all;
}

webidl.configureInterface(WASI);

return { WASI };
})();
