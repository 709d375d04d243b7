// Bodies of requests and responses (Fetch standard, sections 2.2.4 and 5.3).
//
// A payload is a body before anybody has asked for its stream: a string, bytes, a blob, or bytes that are still outside
// the isolate. Reading it as a whole or sending it costs no stream then. `payload.stream` makes one, once.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_body_collect,
  op_atoll_body_collect_text,
  op_atoll_body_drop,
  op_atoll_body_read,
  op_atoll_body_take_bytes,
  op_atoll_body_take_text,
} = core.ops;
const {
  ArrayBufferIsView,
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  FunctionPrototypeCall,
  JSONParse,
  ObjectDefineProperties,
  ObjectGetOwnPropertyDescriptor,
  ObjectPrototypeIsPrototypeOf,
  SafeArrayIterator,
  SafeFinalizationRegistry,
  SafeWeakMap,
  StringPrototypeCharCodeAt,
  StringPrototypeSlice,
  StringPrototypeToWellFormed,
  SymbolAsyncIterator,
  TypeError,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypedArrayPrototypeSlice,
  Uint8Array,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { URLSearchParamsPrototype } = core.loadExtScript("ext:deno_web/00_url.js");
const { toString: searchParamsToString } = URLSearchParamsPrototype;
const { Blob, BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { ReadableStreamPrototype } = streams;
const { stream: blobStream } = BlobPrototype;
const blobSize = ObjectGetOwnPropertyDescriptor(BlobPrototype, "size").get;
const { listGet, listOf } = core.loadExtScript("ext:atoll_web/headers.js");

// Parsing and writing forms is rare.
let formData;
const loadFormData = () => formData ??= core.loadExtScript("ext:atoll_web/form_data.js");

// A body whose bytes are outside the isolate. `handle` is asked for with `open` when it is needed first.
class HostBody {
  #handle;
  #open;
  // Nobody looks whether it can still be reached.
  #isUnwatched;

  constructor(handle, open, here, isShort = false) {
    this.#handle = handle;
    this.#open = open;
    this.#isUnwatched = here && isShort;
    // The bytes can be taken at once.
    this.here = here;
    // The signal that may break it off. A signal that depends on others is held by them weakly only.
    this.signal = null;
    if (handle !== 0 && !this.#isUnwatched) dropped.register(this, handle, this);
  }

  get handle() {
    if (this.#open !== null) {
      this.#handle = this.#open();
      this.#open = null;
      if (!this.#isUnwatched) dropped.register(this, this.#handle, this);
    }
    return this.#handle;
  }

  // The handle, for an op that frees it.
  take() {
    const handle = this.handle;
    if (!this.#isUnwatched) dropped.unregister(this);
    return handle;
  }

  // Releases what it holds outside.
  drop() {
    op_atoll_body_drop(this.take());
  }
}

// Bodies that nobody can reach any more release what they hold outside. Short ones that are here wait for the end of their
// request: to register each would take more than to read it.
const dropped = new SafeFinalizationRegistry((handle) => op_atoll_body_drop(handle));

// What a stream was made of that gives out nothing else: a string, bytes or a host body. As long as nobody has read from
// the stream it can be sent instead, and its length is known.
const origins = new SafeWeakMap();

// Streams that will have a certain number of bytes.
const lengths = new SafeWeakMap();
const lengthOf = (stream) => WeakMapPrototypeGet(lengths, stream);
const setLength = (stream, bytes) => WeakMapPrototypeSet(lengths, stream, bytes);

class Payload {
  // string | Uint8Array | Blob | HostBody | null; null when there is only a stream.
  source;
  // Consumed without a stream.
  used = false;
  // Why it broke off, as a list of one; null while it has not.
  broken = null;
  #stream = null;

  constructor(source, stream = null) {
    this.source = source;
    this.#stream = stream;
  }

  get stream() {
    return this.#stream ??= streamOf(this);
  }

  get hasStream() {
    return this.#stream !== null;
  }

  get isUsed() {
    return this.used || (this.#stream !== null && streams.isReadableStreamDisturbed(this.#stream));
  }

  get isUnusable() {
    return this.used ||
      (this.#stream !== null &&
        (streams.isReadableStreamDisturbed(this.#stream) || streams.isReadableStreamLocked(this.#stream)));
  }

  // What can be sent without pulling a stream through the isolate, or null. Whoever sends it calls `markUsed`.
  get direct() {
    if (this.#stream === null) return this.source;
    return WeakMapPrototypeGet(origins, this.#stream) ?? null;
  }

  markUsed() {
    this.used = true;
    if (this.#stream !== null) {
      streams.acquireReadableStreamDefaultReader(this.#stream);
      streams.readableStreamDisturb(this.#stream);
    }
  }

  // A second payload with the same bytes (Fetch standard, "clone a body").
  clone() {
    if (this.#stream === null && !ObjectPrototypeIsPrototypeOf(HostBody.prototype, this.source)) {
      return new Payload(this.source);
    }
    const { 0: mine, 1: other } = streams.readableStreamTee(this.stream, true);
    this.#stream = mine;
    this.source = null;
    return new Payload(null, other);
  }

  // Breaks off a host body, also while it is being read.
  abort(reason) {
    if (this.broken !== null || !isHostBody(this.source)) return;
    this.broken = [reason];
    this.source.drop();
    if (this.#stream !== null) streams.errorReadableStream(this.#stream, reason);
  }

  // The payload for a new owner; this one is used from then on.
  transfer() {
    const moved = new Payload(this.source, this.#stream);
    this.#stream = null;
    this.used = true;
    return moved;
  }
}

function streamOf(payload) {
  const { source } = payload;
  if (payload.broken !== null) {
    const stream = byteStream(() => {});
    streams.errorReadableStream(stream, payload.broken[0]);
    return stream;
  }
  if (payload.used) {
    const stream = byteStream((controller) => controller.close());
    streams.readableStreamDisturb(stream);
    return stream;
  }
  if (typeof source === "string" || isUint8Array(source)) {
    const stream = bytesStream(typeof source === "string" ? core.encode(source) : TypedArrayPrototypeSlice(source));
    WeakMapPrototypeSet(origins, stream, source);
    return stream;
  }
  if (isHostBody(source)) {
    const stream = byteStream(
      async (controller) => {
        const chunk = await op_atoll_body_read(source.handle);
        if (chunk === null) {
          controller.close();
          controller.byobRequest?.respond(0);
        } else {
          controller.enqueue(chunk);
        }
      },
      () => source.drop(),
    );
    WeakMapPrototypeSet(origins, stream, source);
    return stream;
  }
  const stream = FunctionPrototypeCall(blobStream, source);
  setLength(stream, FunctionPrototypeCall(blobSize, source));
  return stream;
}

// A byte stream that pulls when it is read, not before.
function byteStream(pull, cancel = () => {}) {
  return new streams.ReadableStream({ type: "bytes", pull, cancel });
}

function bytesStream(bytes) {
  return byteStream((controller) => {
    if (TypedArrayPrototypeGetByteLength(bytes) > 0) controller.enqueue(bytes);
    controller.close();
    controller.byobRequest?.respond(0);
  });
}

const isHostBody = (value) => ObjectPrototypeIsPrototypeOf(HostBody.prototype, value);
const isUint8Array = (value) => TypedArrayPrototypeGetSymbolToStringTag(value) === "Uint8Array";

// The bytes of a buffer or of a view on one, without a copy; null for anything else.
function bytesOf(value) {
  if (ArrayBufferIsView(value)) {
    const isDataView = TypedArrayPrototypeGetSymbolToStringTag(value) === undefined;
    const buffer = isDataView ? DataViewPrototypeGetBuffer(value) : TypedArrayPrototypeGetBuffer(value);
    const offset = isDataView ? DataViewPrototypeGetByteOffset(value) : TypedArrayPrototypeGetByteOffset(value);
    const length = isDataView ? DataViewPrototypeGetByteLength(value) : TypedArrayPrototypeGetByteLength(value);
    return new Uint8Array(buffer, offset, length);
  }
  return core.isAnyArrayBuffer(value) ? new Uint8Array(value) : null;
}

// The bytes of a chunk that goes out: Workers send buffers, views of any kind and strings, where the standard has
// `Uint8Array`s alone. Null for anything else.
function chunkBytes(value) {
  if (isUint8Array(value)) return value;
  return typeof value === "string" ? core.encode(StringPrototypeToWellFormed(value)) : bytesOf(value);
}

// Fetch standard, "extract a body": the payload, and the content type it brings along or null.
function extract(init, prefix) {
  if (typeof init === "string") {
    return { payload: new Payload(StringPrototypeToWellFormed(init)), type: "text/plain;charset=UTF-8" };
  }
  if (typeof init === "object" && init !== null) {
    if (ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, init)) {
      if (streams.isReadableStreamLocked(init) || streams.isReadableStreamDisturbed(init)) {
        throw new TypeError(`${prefix}: the stream is locked or was read from before`);
      }
      return { payload: new Payload(null, init), type: null };
    }
    if (ArrayBufferIsView(init) || core.isAnyArrayBuffer(init)) {
      return { payload: new Payload(TypedArrayPrototypeSlice(bytesOf(init))), type: null };
    }
    if (ObjectPrototypeIsPrototypeOf(BlobPrototype, init)) {
      return { payload: new Payload(init), type: init.type === "" ? null : init.type };
    }
    if (ObjectPrototypeIsPrototypeOf(URLSearchParamsPrototype, init)) {
      const text = FunctionPrototypeCall(searchParamsToString, init);
      return { payload: new Payload(text), type: "application/x-www-form-urlencoded;charset=UTF-8" };
    }
    if (formData !== undefined && ObjectPrototypeIsPrototypeOf(formData.FormData.prototype, init)) {
      const blob = formData.encode(init);
      return { payload: new Payload(blob.source), type: blob.type };
    }
    // As in other runtimes. An iterable that is not asynchronous is converted to a string, as the standard has it.
    if (init[SymbolAsyncIterator] !== undefined && init[SymbolAsyncIterator] !== null) {
      return { payload: new Payload(null, streams.ReadableStream.from(init)), type: null };
    }
  }
  return { payload: new Payload(webidl.converters.USVString(init, prefix, "the body")), type: "text/plain;charset=UTF-8" };
}

function startConsuming(payload, what) {
  if (payload.broken !== null) throw payload.broken[0];
  if (payload.isUnusable) {
    throw new TypeError(
      payload.isUsed
        ? `Failed to execute '${what}': the body was used already; clone() it before the first use to read it twice`
        : `Failed to execute '${what}': the body's stream is locked to a reader`,
    );
  }
}

async function collect(op, payload) {
  try {
    return await op(payload.source.take());
  } catch (error) {
    throw payload.broken === null ? error : payload.broken[0];
  }
}

// The payload's bytes; the caller owns them.
async function consumeBytes(payload, what) {
  if (payload === null) return new Uint8Array();
  startConsuming(payload, what);
  if (payload.hasStream) return await streams.readableStreamCollectIntoUint8Array(payload.stream);
  payload.used = true;
  const { source } = payload;
  if (typeof source === "string") return core.encode(source);
  if (isUint8Array(source)) return TypedArrayPrototypeSlice(source);
  if (isHostBody(source)) {
    return source.here ? op_atoll_body_take_bytes(source.take()) : await collect(op_atoll_body_collect, payload);
  }
  return new Uint8Array(await source.arrayBuffer());
}

async function consumeText(payload, what) {
  if (payload === null) return "";
  startConsuming(payload, what);
  if (!payload.hasStream) {
    const { source } = payload;
    if (typeof source === "string") {
      payload.used = true;
      return StringPrototypeCharCodeAt(source, 0) === 0xFEFF ? StringPrototypeSlice(source, 1) : source;
    }
    if (isHostBody(source)) {
      payload.used = true;
      return source.here
        ? op_atoll_body_take_text(source.take())
        : await collect(op_atoll_body_collect_text, payload);
    }
  }
  return core.decode(await consumeBytes(payload, what));
}

// Adds the Body mixin. `partsOf(object)` returns its payload and headers, and throws when it is not of the class.
function mixinBody(Interface, name, partsOf) {
  const method = (value) => ({ __proto__: null, value, writable: true, enumerable: true, configurable: true });
  const getter = (get) => ({ __proto__: null, get, enumerable: true, configurable: true });
  const contentType = (headers) => listGet(listOf(headers()), "content-type");
  const { body, bodyUsed } = {
    body() {
      return partsOf(this).payload?.stream ?? null;
    },
    bodyUsed() {
      return partsOf(this).payload?.isUsed ?? false;
    },
  };
  const methods = {
    async arrayBuffer() {
      return TypedArrayPrototypeGetBuffer(await consumeBytes(partsOf(this).payload, `${name}.arrayBuffer`));
    },
    async blob() {
      const { payload, headers } = partsOf(this);
      const bytes = await consumeBytes(payload, `${name}.blob`);
      const { parseMimeType, serializeMimeType } = core.loadExtScript("ext:deno_web/01_mimesniff.js");
      const mime = parseMimeType(contentType(headers) ?? "");
      return new Blob(new SafeArrayIterator([bytes]), { type: mime === null ? "" : serializeMimeType(mime) });
    },
    async bytes() {
      return await consumeBytes(partsOf(this).payload, `${name}.bytes`);
    },
    async formData() {
      const { payload, headers } = partsOf(this);
      return loadFormData().decode(await consumeBytes(payload, `${name}.formData`), contentType(headers));
    },
    async json() {
      return JSONParse(await consumeText(partsOf(this).payload, `${name}.json`));
    },
    text() {
      try {
        return consumeText(partsOf(this).payload, `${name}.text`);
      } catch (error) {
        return primordials.PromiseReject(error);
      }
    },
  };
  ObjectDefineProperties(Interface.prototype, {
    body: getter(body),
    bodyUsed: getter(bodyUsed),
    arrayBuffer: method(methods.arrayBuffer),
    blob: method(methods.blob),
    bytes: method(methods.bytes),
    formData: method(methods.formData),
    json: method(methods.json),
    text: method(methods.text),
  });
}

return {
  bytesOf,
  chunkBytes,
  extract,
  HostBody,
  isHostBody,
  isUint8Array,
  lengthOf,
  loadFormData,
  mixinBody,
  Payload,
  setLength,
};
})();
