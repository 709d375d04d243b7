// Calls of the modules that deal with bytes, events and streams.

const bytes = (length) => Uint8Array.from({ length }, (_, i) => i * 37 + 11);
const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};

export const cases = {
  buffer: [
    ({ Buffer }) => Buffer.from("héllo wörld €🎉"),
    ({ Buffer }) => Buffer.from("héllo", "latin1"),
    ({ Buffer }) => Buffer.from("h€llo", "ascii"),
    ({ Buffer }) => Buffer.from("h€llo", "binary"),
    ({ Buffer }) => Buffer.from("hé€🎉", "utf16le"),
    ({ Buffer }) => Buffer.from("hé€🎉", "ucs2").toString("ucs-2"),
    ({ Buffer }) => Buffer.from("00ff10zz", "hex"),
    ({ Buffer }) => Buffer.from("abc", "hex"),
    ({ Buffer }) => Buffer.from("ABCDEF", "HEX"),
    ({ Buffer }) => Buffer.from("aGVsbG8gd29ybGQ=", "base64"),
    ({ Buffer }) => Buffer.from("aGVsbG8gd29ybGQ", "base64"),
    ({ Buffer }) => Buffer.from("aGVs\nbG8 gd29y bGQ=", "base64"),
    ({ Buffer }) => Buffer.from("_-8", "base64"),
    ({ Buffer }) => Buffer.from("_-8", "base64url"),
    ({ Buffer }) => Buffer.from("+/8=", "base64url"),
    ({ Buffer }) => Buffer.from("\ud800x"),
    // Packages call them so: any of them stands for a class of byte arrays.
    ({ Buffer }) => [new Buffer.alloc(3), new Buffer.allocUnsafe(2).length, new Buffer.allocUnsafeSlow(4).byteLength],
    ({ Buffer }) => Buffer.from("x", "nope"),
    ({ Buffer }) => Buffer.from(5),
    ({ Buffer }) => Buffer.from(null),
    ({ Buffer }) => Buffer.from({}),
    ({ Buffer }) => Buffer.from(Symbol("x")),
    ({ Buffer }) => Buffer.from([1, 2, 300, -1, 1.9, "7", "x"]),
    ({ Buffer }) => Buffer.from({ length: 3, 0: 1, 1: 2, 2: 3 }),
    ({ Buffer }) => Buffer.from({ type: "Buffer", data: [1, 2, 3] }),
    ({ Buffer }) => Buffer.from(new String("boxed")),
    ({ Buffer }) => Buffer.from({ [Symbol.toPrimitive]: () => "primitive" }),
    ({ Buffer }) => Buffer.from(new Uint16Array([1, 256, 65535])),
    ({ Buffer }) => Buffer.from(new Uint16Array([1, 256]).buffer),
    ({ Buffer }) => Buffer.from(new ArrayBuffer(8), 2, 4).length,
    ({ Buffer }) => Buffer.from(new ArrayBuffer(8), 9),
    ({ Buffer }) => Buffer.from(new ArrayBuffer(8), 2, 9),
    ({ Buffer }) => Buffer.alloc(5),
    ({ Buffer }) => Buffer.alloc(5, "ab"),
    ({ Buffer }) => Buffer.alloc(5, "YWI=", "base64"),
    ({ Buffer }) => Buffer.alloc(3, 257),
    ({ Buffer }) => Buffer.alloc(-1),
    ({ Buffer }) => Buffer.alloc("5"),
    ({ Buffer }) => Buffer.alloc(2 ** 53),
    ({ Buffer }) => Buffer.alloc(NaN),
    ({ Buffer }) => Buffer.allocUnsafe(3).length,
    ({ Buffer }) => Buffer(3),
    ({ Buffer }) => new Buffer("abc"),
    ({ Buffer }) => [Buffer.isBuffer(Buffer.alloc(1)), Buffer.isBuffer(new Uint8Array(1)), Buffer.isBuffer(null)],
    ({ Buffer }) => ["utf8", "UTF-8", "hex", "ucs2", "base64url", "binary", "nope", "", null].map((e) => Buffer.isEncoding(e)),
    ({ Buffer }) => Buffer.byteLength("€uro"),
    ({ Buffer }) => ["hex", "base64", "latin1", "ucs2", "utf8"].map((e) => Buffer.byteLength("abcd==", e)),
    ({ Buffer }) => Buffer.byteLength(new ArrayBuffer(3)),
    ({ Buffer }) => Buffer.byteLength(3),
    ({ Buffer }) => Buffer.concat([Buffer.from("a"), Buffer.from("bc")]),
    ({ Buffer }) => Buffer.concat([Buffer.from("abc"), Buffer.from("def")], 4),
    ({ Buffer }) => Buffer.concat([Buffer.from("abc")], 5),
    ({ Buffer }) => Buffer.concat([]),
    ({ Buffer }) => Buffer.concat("x"),
    ({ Buffer }) => Buffer.concat(["x"]),
    ({ Buffer }) => Buffer.compare(Buffer.from("a"), Buffer.from("b")),
    ({ Buffer }) => Buffer.compare(Buffer.from("ab"), Buffer.from("a")),
    ({ Buffer }) => Buffer.compare("a", Buffer.from("b")),
    ({ Buffer }) => Buffer.of(1, 2, 3),
    ({ Buffer }) => Buffer.from(bytes(70)).toString("base64"),
    ({ Buffer }) => Buffer.from(bytes(70)).toString("base64url"),
    ({ Buffer }) => Buffer.from(bytes(70)).toString("hex"),
    ({ Buffer }) => Buffer.from(bytes(70)).toString("latin1"),
    ({ Buffer }) => Buffer.from(bytes(70)).toString("ascii"),
    ({ Buffer }) => Buffer.from(bytes(71)).toString("utf16le"),
    ({ Buffer }) => Buffer.from(bytes(70)).toString(),
    ({ Buffer }) => Buffer.from([0xef, 0xbb, 0xbf, 0x61]).toString(),
    ({ Buffer }) => Buffer.from("hello").toString("utf8", 1, 3),
    ({ Buffer }) => Buffer.from("hello").toString("utf8", -2, 99),
    ({ Buffer }) => Buffer.from("hello").toString("utf8", 3, 1),
    ({ Buffer }) => Buffer.from("hello").toString("nope"),
    ({ Buffer }) => Buffer.from("hello").slice(-3, -1).toString(),
    ({ Buffer }) => Buffer.from("hello").subarray(1, 3).toString(),
    ({ Buffer }) => {
      const buffer = Buffer.from("hello");
      buffer.slice(0, 2)[0] = 0x48;
      return buffer.toString();
    },
    ({ Buffer }) => JSON.stringify(Buffer.from("hi")),
    ({ Buffer }) => Buffer.from("hello").equals(new Uint8Array([104, 101, 108, 108, 111])),
    ({ Buffer }) => Buffer.from("hello").equals("hello"),
    ({ Buffer }) => Buffer.from("hello hello").indexOf("lo"),
    ({ Buffer }) => Buffer.from("hello hello").lastIndexOf("lo"),
    ({ Buffer }) => Buffer.from("hello hello").indexOf("lo", 5),
    ({ Buffer }) => Buffer.from("hello hello").indexOf("lo", -3),
    ({ Buffer }) => Buffer.from("hello hello").indexOf(108),
    ({ Buffer }) => Buffer.from("hello hello").lastIndexOf(108, -4),
    ({ Buffer }) => Buffer.from("hello hello").indexOf(Buffer.from("o h")),
    ({ Buffer }) => Buffer.from("hello").indexOf(""),
    ({ Buffer }) => Buffer.from("hello").indexOf("", 9),
    ({ Buffer }) => Buffer.from("hello").includes("ell"),
    ({ Buffer }) => Buffer.from("hello").indexOf({}),
    ({ Buffer }) => Buffer.from("68656c6c6f").indexOf("6c", 0, "hex"),
    ({ Buffer }) => Buffer.from("hello", "ucs2").indexOf("l", 0, "ucs2"),
    ({ Buffer }) => Buffer.from("hello").fill("ab"),
    ({ Buffer }) => Buffer.from("hello").fill("ab", 1, 4),
    ({ Buffer }) => Buffer.from("hello").fill(0),
    ({ Buffer }) => Buffer.from("hello").fill("zz", "hex"),
    ({ Buffer }) => Buffer.from("hello").fill(1, 0, 9),
    ({ Buffer }) => Buffer.alloc(6).write("abc", 1),
    ({ Buffer }) => Buffer.alloc(3).write("ab€"),
    ({ Buffer }) => Buffer.alloc(6).write("ff00", 1, "hex"),
    ({ Buffer }) => Buffer.alloc(6).write("abc", 9),
    ({ Buffer }) => Buffer.alloc(6).write("abcdef", 1, 2, "latin1"),
    ({ Buffer }) => Buffer.alloc(6).write(5),
    ({ Buffer }) => {
      const target = Buffer.alloc(4);
      return [Buffer.from("hello").copy(target, 1, 2), target];
    },
    ({ Buffer }) => Buffer.from("abc").copy(Buffer.alloc(2), 0, 5),
    ({ Buffer }) => Buffer.from([1, 2, 3, 4]).swap16(),
    ({ Buffer }) => Buffer.from([1, 2, 3, 4]).swap32(),
    ({ Buffer }) => Buffer.from([1, 2, 3]).swap16(),
    ({ Buffer }) => Buffer.from("abc").compare(Buffer.from("xabcx"), 1, 4),
    ({ Buffer }) => ["readInt8", "readUInt8"].map((name) => Buffer.from([0xff, 1])[name](0)),
    ({ Buffer }) =>
      ["readInt16LE", "readInt16BE", "readUInt16LE", "readUInt16BE", "readInt32LE", "readInt32BE", "readUInt32LE", "readUInt32BE"]
        .map((name) => Buffer.from(bytes(9))[name](1)),
    ({ Buffer }) =>
      ["readFloatLE", "readFloatBE", "readDoubleLE", "readDoubleBE", "readBigInt64LE", "readBigUInt64BE", "readBigInt64BE"]
        .map((name) => Buffer.from(bytes(9))[name](1)),
    ({ Buffer }) => [3, 5, 6].map((n) => [Buffer.from(bytes(9)).readIntBE(1, n), Buffer.from(bytes(9)).readUIntLE(1, n)]),
    ({ Buffer }) => Buffer.alloc(4).readUInt32LE(1),
    ({ Buffer }) => Buffer.alloc(4).readUInt8(4),
    ({ Buffer }) => Buffer.alloc(4).readUInt8(0.5),
    ({ Buffer }) => Buffer.alloc(4).readUInt8("0"),
    ({ Buffer }) => Buffer.alloc(1).readDoubleLE(0),
    ({ Buffer }) => Buffer.alloc(4).readIntBE(0, 7),
    ({ Buffer }) => Buffer.alloc(4).readIntBE(0),
    ({ Buffer }) => {
      const buffer = Buffer.alloc(26);
      buffer.writeInt8(-5, 0);
      buffer.writeUInt16BE(0xabcd, 1);
      buffer.writeInt32LE(-123456, 3);
      buffer.writeDoubleBE(Math.PI, 7);
      buffer.writeBigUInt64LE(2n ** 60n + 5n, 15);
      buffer.writeUint8(200, 23);
      buffer.writeInt16LE(-2, 24);
      return buffer;
    },
    ({ Buffer }) => {
      const buffer = Buffer.alloc(10);
      return [buffer.writeIntBE(-70000, 0, 5), buffer.writeUIntLE(0x123456, 5, 3), buffer.writeFloatLE(1.5, 6), buffer];
    },
    ({ Buffer }) => Buffer.alloc(4).writeUInt8(256, 0),
    ({ Buffer }) => Buffer.alloc(4).writeInt16BE(40000, 0),
    ({ Buffer }) => Buffer.alloc(4).writeUInt32BE(2 ** 32, 0),
    ({ Buffer }) => Buffer.alloc(8).writeUIntBE(2 ** 40, 0, 5),
    ({ Buffer }) => Buffer.alloc(8).writeBigInt64BE(2n ** 63n, 0),
    ({ Buffer }) => `${Buffer.from("abc")}`,
    ({ Buffer }) => [...Buffer.from("ab").entries()],
    ({ Buffer }) => Buffer.from("abc").map((n) => n + 1) instanceof Buffer,
    ({ Buffer }) => Object.prototype.toString.call(Buffer.alloc(0)),
    ({ transcode, Buffer }) => transcode(Buffer.from("€"), "utf8", "ascii"),
    ({ transcode, Buffer }) => transcode(Buffer.from("é"), "utf8", "latin1"),
    ({ isUtf8, isAscii, Buffer }) => [isUtf8(Buffer.from("é")), isUtf8(Buffer.from([255])), isAscii(Buffer.from("é"))],
    ({ constants }) => Object.keys(constants),
  ],
  events: [
    (EventEmitter) => {
      const emitter = new EventEmitter();
      const log = [];
      emitter.on("a", (...args) => log.push(["on", ...args]));
      emitter.once("a", (...args) => log.push(["once", ...args]));
      emitter.prependListener("a", () => log.push("first"));
      return [emitter.emit("a", 1, 2), emitter.emit("a", 3), emitter.emit("b"), log];
    },
    (EventEmitter) => new EventEmitter().emit("error", new TypeError("boom")),
    (EventEmitter) => new EventEmitter().emit("error", { a: 1 }),
    (EventEmitter) => new EventEmitter().on("a", 5),
    (EventEmitter) => new EventEmitter().setMaxListeners(-1),
    (EventEmitter) => {
      const emitter = new EventEmitter();
      const log = [];
      emitter.on("newListener", (name) => log.push(`new ${name}`));
      emitter.on("removeListener", (name) => log.push(`gone ${name}`));
      const f = () => {};
      emitter.on("x", f).off("x", f);
      return [log, emitter.eventNames(), emitter.listenerCount("x")];
    },
    (EventEmitter) => {
      function Old() {
        EventEmitter.call(this);
      }
      Object.setPrototypeOf(Old.prototype, EventEmitter.prototype);
      const emitter = new Old();
      emitter.on("a", () => {});
      return [emitter.listenerCount("a"), emitter instanceof EventEmitter];
    },
    (EventEmitter) => {
      const emitter = new EventEmitter();
      const log = [];
      const f = () => log.push("f");
      emitter.on("a", () => emitter.off("a", f)).on("a", f);
      emitter.emit("a");
      emitter.emit("a");
      return log;
    },
    async ({ EventEmitter, once }) => {
      const emitter = new EventEmitter();
      queueMicrotask(() => emitter.emit("go", 1, 2));
      return once(emitter, "go");
    },
    async ({ EventEmitter, once }) => {
      const emitter = new EventEmitter();
      queueMicrotask(() => emitter.emit("error", new Error("no")));
      return once(emitter, "go");
    },
    async ({ EventEmitter, on }) => {
      const emitter = new EventEmitter();
      queueMicrotask(() => [1, 2, 3].forEach((n) => emitter.emit("n", n)));
      const seen = [];
      for await (const [n] of on(emitter, "n")) {
        seen.push(n);
        if (n === 3) return seen;
      }
    },
    async ({ EventEmitter, once }) => once(new EventEmitter(), "x", { signal: AbortSignal.abort() }),
    async ({ once }) => {
      const target = new EventTarget();
      queueMicrotask(() => target.dispatchEvent(new Event("go")));
      return (await once(target, "go"))[0].type;
    },
    async (EventEmitter) => {
      const emitter = new EventEmitter({ captureRejections: true });
      const seen = new Promise((resolve) => emitter.on("error", resolve));
      emitter.on("a", async () => {
        throw new Error("async");
      });
      emitter.emit("a");
      return seen;
    },
    (EventEmitter) => {
      const emitter = new EventEmitter();
      const log = [];
      emitter.on(EventEmitter.errorMonitor, (error) => log.push(error.message));
      emitter.on("error", () => log.push("handled"));
      emitter.emit("error", new Error("seen"));
      return log;
    },
    (EventEmitter) => [EventEmitter.defaultMaxListeners, EventEmitter.EventEmitter === EventEmitter],
    (EventEmitter) => {
      const emitter = new EventEmitter();
      const f = () => {};
      emitter.once("a", f);
      return [emitter.listeners("a")[0] === f, emitter.rawListeners("a")[0] === f, emitter.rawListeners("a")[0].listener === f];
    },
    (EventEmitter) => new EventEmitter().on("a", () => {}).on("b", () => {}).removeAllListeners("a").eventNames(),
  ],
  string_decoder: [
    ({ StringDecoder }) => {
      const decoder = new StringDecoder("utf8");
      return [[0xe2], [0x82], [0xac, 0x61, 0xf0, 0x9f], [0x8e]].map((part) => decoder.write(Uint8Array.from(part))).concat(decoder.end());
    },
    ({ StringDecoder }) => {
      const decoder = new StringDecoder("base64");
      return [decoder.write(bytes(4)), decoder.write(bytes(4)), decoder.end()];
    },
    ({ StringDecoder }) => {
      const decoder = new StringDecoder("utf16le");
      return [decoder.write(Uint8Array.from([0x61])), decoder.write(Uint8Array.from([0, 0x3d, 0xd8])), decoder.end()];
    },
    ({ StringDecoder }) => new StringDecoder("hex").write(bytes(3)),
    ({ StringDecoder }) => new StringDecoder("nope"),
  ],
  stream: [
    async ({ duplexPair }) => {
      const [one, two] = duplexPair();
      two.on("data", (chunk) => two.write(`${chunk}!`)).on("end", () => two.end("bye"));
      one.write("a");
      one.end("b");
      return collect(one);
    },
    ({ duplexPair, Duplex }) => duplexPair({ objectMode: true }).map((end) => [end instanceof Duplex, end.readableObjectMode]),
    async ({ Writable }) => {
      const stream = new Writable({ write(chunk, encoding, callback) { callback(); } });
      stream.on("error", () => {});
      await stream[Symbol.asyncDispose]();
      return [stream.destroyed, stream.errored?.name];
    },
    async ({ Readable }) => collect(Readable.from(["a", "b", "c"])),
    async ({ Readable }) => collect(Readable.from([1, 2, 3]).map((n) => n * 2).filter((n) => n > 2)),
    async ({ Readable }) => Readable.from([1, 2, 3]).toArray(),
    async ({ Readable }) => Readable.from([1, 2, 3, 4]).reduce((a, b) => a + b, 0),
    async ({ Readable, Transform, promises }) => {
      const out = [];
      await promises.pipeline(
        Readable.from(["a", "b"]),
        new Transform({ transform: (chunk, _, done) => done(null, chunk.toString().toUpperCase()) }),
        async function* (source) {
          for await (const chunk of source) yield `${chunk}!`;
        },
        async (source) => {
          for await (const chunk of source) out.push(String(chunk));
        },
      );
      return out;
    },
    async ({ Readable, Writable, promises }) =>
      promises.pipeline(
        Readable.from(["a", "b"]),
        new Writable({ write: (chunk, _, done) => done(new Error(`no ${chunk}`)) }),
      ),
    async ({ PassThrough }) => {
      const stream = new PassThrough({ encoding: "utf8" });
      stream.write("hé");
      stream.end("llo");
      return collect(stream);
    },
    async ({ Writable }) => {
      const log = [];
      const sink = new Writable({
        highWaterMark: 3,
        write(chunk, encoding, done) {
          log.push(chunk.toString());
          queueMicrotask(done);
        },
        final(done) {
          log.push("final");
          done();
        },
      });
      log.push(sink.write("ab"), sink.write("cd"));
      sink.end();
      await new Promise((resolve) => sink.on("finish", resolve));
      return log;
    },
    async ({ Readable }) => {
      const stream = new Readable({ read() {} });
      stream.push("hello world");
      stream.push(null);
      await new Promise((resolve) => stream.once("readable", resolve));
      return [String(stream.read(5)), String(stream.read())];
    },
    async ({ Readable, finished }) => {
      const stream = new Readable({ read() {} });
      const error = new Promise((resolve) => finished(stream, resolve));
      stream.destroy(new Error("gone"));
      return error;
    },
    async ({ Readable, finished }) => {
      const stream = new Readable({ read() {} });
      const error = new Promise((resolve) => finished(stream, resolve));
      stream.destroy();
      return error;
    },
    async ({ Duplex }) => {
      const duplex = Duplex.from(async function* (source) {
        for await (const chunk of source) yield String(chunk).toUpperCase();
      });
      duplex.end("abc");
      return (await collect(duplex)).map(String);
    },
    async ({ Readable }) => collect(Readable.fromWeb(new Response("web").body)).then((list) => list.map((chunk) => new TextDecoder().decode(chunk))),
    async ({ Readable }) => new Response(Readable.toWeb(Readable.from([new Uint8Array([104, 105])]))).text(),
    ({ Writable }) => new Writable().write(null),
    async ({ Writable }) => {
      const sink = new Writable({ write: (_, __, done) => done() });
      sink.end();
      return new Promise((resolve) => {
        sink.on("error", () => {});
        sink.write("late", resolve);
      });
    },
    ({ getDefaultHighWaterMark, isReadable, Readable, Writable }) => [
      getDefaultHighWaterMark(true), isReadable(Readable.from([])), Readable.prototype instanceof Writable.constructor,
    ],
    async ({ addAbortSignal, Readable }) => {
      const controller = new AbortController();
      const stream = addAbortSignal(controller.signal, new Readable({ read() {} }));
      queueMicrotask(() => controller.abort());
      return collect(stream);
    },
    ({ Stream, Readable }) => [typeof Stream, Readable.from([]) instanceof Stream],
  ],
  async_hooks: [
    async ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      const seen = [];
      await storage.run({ id: 1 }, async () => {
        seen.push(storage.getStore().id);
        await null;
        seen.push(storage.getStore().id);
        await new Promise((resolve) => setTimeout(resolve, 1));
        seen.push(storage.getStore().id);
        await new Promise((resolve) => queueMicrotask(resolve));
        seen.push(storage.getStore().id);
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(storage.getStore().id);
      });
      return [seen, storage.getStore()];
    },
    async ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      const later = (id) => storage.run(id, async () => {
        await new Promise((resolve) => setTimeout(resolve, 3 - id));
        return storage.getStore();
      });
      return Promise.all([later(1), later(2), later(3)]);
    },
    async ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      return storage.run("in", () => new Promise((resolve) => {
        setTimeout(() => resolve(storage.getStore()), 1);
      }));
    },
    async ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      return storage.run("in", () => new Promise((resolve) => queueMicrotask(() => resolve(storage.getStore()))));
    },
    async ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      return storage.run("in", () => new Promise((resolve) => process.nextTick(() => resolve(storage.getStore()))));
    },
    ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      return storage.run(1, () => [storage.exit(() => storage.getStore()), storage.getStore(), storage.run(2, () => storage.getStore())]);
    },
    ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      const snapshot = storage.run("then", () => AsyncLocalStorage.snapshot());
      return storage.run("now", () => snapshot((suffix) => storage.getStore() + suffix, "!"));
    },
    ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      const bound = storage.run("bound", () => AsyncLocalStorage.bind(() => storage.getStore()));
      return bound();
    },
    ({ AsyncLocalStorage, AsyncResource }) => {
      const storage = new AsyncLocalStorage();
      const resource = storage.run("resource", () => new AsyncResource("R"));
      return resource.runInAsyncScope((a, b) => [storage.getStore(), a, b], null, 1, 2);
    },
    async ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      const inner = new AsyncLocalStorage();
      return storage.run("outer", () => inner.run("inner", async () => {
        await null;
        return [storage.getStore(), inner.getStore()];
      }));
    },
    ({ AsyncLocalStorage }) => {
      const storage = new AsyncLocalStorage();
      try {
        storage.run(1, () => {
          throw new Error("x");
        });
      } catch {
        return storage.getStore();
      }
    },
    ({ AsyncResource }) => new AsyncResource(),
  ],
  timers: [
    async ({ setTimeout, promises }) => [await promises.setTimeout(1, "value"), typeof setTimeout(() => {}, 0).refresh],
    async ({ promises }) => promises.setTimeout(1000, null, { signal: AbortSignal.abort() }),
    async ({ promises }) => {
      const seen = [];
      for await (const value of promises.setInterval(1, "tick")) {
        seen.push(value);
        if (seen.length === 2) return seen;
      }
    },
    async ({ setImmediate }) => new Promise((resolve) => setImmediate((a, b) => resolve([a, b]), 1, 2)),
    async ({ clearImmediate, setImmediate, setTimeout }) => {
      let ran = false;
      clearImmediate(setImmediate(() => ran = true));
      await new Promise((resolve) => setTimeout(resolve, 5));
      return ran;
    },
    ({ setTimeout }) => setTimeout("code", 1),
    ({ setTimeout, clearTimeout }) => {
      const timer = setTimeout(() => {}, 1000);
      const has = [timer.hasRef(), timer.unref().hasRef(), Number.isNaN(+timer)];
      clearTimeout(timer);
      return has;
    },
  ],
};
