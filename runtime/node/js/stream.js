// node:stream, with the bridges to the streams of the web.

(function (require) {
"use strict";

const { nodeError } = require("internal/errors");
const Stream = require("packages/stream");

const { Duplex, Readable, Writable, destroy, finished } = Stream;

function checkWeb(value, name, Class) {
  if (!(value instanceof Class)) throw nodeError("ERR_INVALID_ARG_TYPE", name, Class.name, value);
}

// Reads on when the stream asks for more.
function pullFrom(reader, stream) {
  let reading = false;
  return () => {
    if (reading) return;
    reading = true;
    reader.read().then(
      ({ done, value }) => {
        reading = false;
        stream.push(done ? null : value);
      },
      (error) => destroy(stream, error),
    );
  };
}

function readableFromWeb(web, options = {}) {
  checkWeb(web, "readableStream", ReadableStream);
  const reader = web.getReader();
  const stream = new Readable({
    ...options,
    read() {
      pull();
    },
    destroy(error, callback) {
      reader.cancel(error).then(() => callback(error), () => callback(error));
    },
  });
  const pull = pullFrom(reader, stream);
  return stream;
}

function readableToWeb(stream, options = {}) {
  if (typeof stream?.pipe !== "function") throw nodeError("ERR_INVALID_ARG_TYPE", "streamReadable", "stream.Readable", stream);
  if (stream.destroyed) {
    const closed = new ReadableStream();
    closed.cancel();
    return closed;
  }
  const isObjects = stream.readableObjectMode;
  const strategy = options.strategy ?? (isObjects
    ? new CountQueuingStrategy({ highWaterMark: stream.readableHighWaterMark })
    : { highWaterMark: stream.readableHighWaterMark, size: (chunk) => chunk.byteLength ?? chunk.length });
  let cancelled = false;
  return new ReadableStream({
    start(controller) {
      stream.pause();
      finished(stream, { writable: false }, (error) => {
        if (cancelled) return;
        cancelled = true;
        if (error) controller.error(error);
        else controller.close();
      });
      stream.on("data", (chunk) => {
        if (cancelled) return;
        // A Buffer of ours is a Uint8Array to the web.
        const plain = !isObjects && chunk instanceof Uint8Array
          ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
          : chunk;
        controller.enqueue(plain);
        if (controller.desiredSize <= 0) stream.pause();
      });
      stream.on("error", () => {});
    },
    pull() {
      stream.resume();
    },
    cancel(reason) {
      cancelled = true;
      destroy(stream, reason);
    },
  }, strategy);
}

function writeTo(writer) {
  return {
    write(chunk, encoding, callback) {
      if (typeof chunk === "string" && encoding !== "utf8") chunk = require("buffer").Buffer.from(chunk, encoding);
      writer.ready.then(() => writer.write(chunk)).then(() => callback(), callback);
    },
    final(callback) {
      writer.close().then(() => callback(), callback);
    },
  };
}

function writableFromWeb(web, options = {}) {
  checkWeb(web, "writableStream", WritableStream);
  const writer = web.getWriter();
  return new Writable({
    ...options,
    ...writeTo(writer),
    destroy(error, callback) {
      if (error === null || error === undefined) return callback(error);
      return writer.abort(error).then(() => callback(error), () => callback(error));
    },
  });
}

function writableToWeb(stream) {
  if (typeof stream?.write !== "function") throw nodeError("ERR_INVALID_ARG_TYPE", "streamWritable", "stream.Writable", stream);
  let failure;
  return new WritableStream({
    start(controller) {
      stream.on("error", (error) => {
        failure = error;
        controller.error(error);
      });
    },
    write(chunk) {
      if (failure) throw failure;
      if (stream.write(chunk)) return undefined;
      return new Promise((resolve) => {
        const done = () => {
          stream.off("drain", done);
          stream.off("close", done);
          resolve();
        };
        stream.on("drain", done);
        stream.on("close", done);
      });
    },
    close() {
      return new Promise((resolve, reject) => {
        finished(stream, { readable: false }, (error) => error ? reject(error) : resolve());
        stream.end();
      });
    },
    abort(reason) {
      destroy(stream, reason);
    },
  });
}

function duplexFromWeb(pair, options = {}) {
  const { readable, writable } = pair;
  checkWeb(readable, "pair.readable", ReadableStream);
  checkWeb(writable, "pair.writable", WritableStream);
  const reader = readable.getReader();
  const writer = writable.getWriter();
  const duplex = new Duplex({
    ...options,
    read() {
      pull();
    },
    ...writeTo(writer),
    destroy(error, callback) {
      const ended = error
        ? Promise.allSettled([writer.abort(error), reader.cancel(error)])
        : Promise.allSettled([reader.cancel()]);
      ended.then(() => callback(error));
    },
  });
  const pull = pullFrom(reader, duplex);
  return duplex;
}

const kOther = Symbol("other side");
const kWaiting = Symbol("waiting write");

// One end of a pair: what is written to it is read from the other.
class End extends Duplex {
  [kOther] = undefined;
  [kWaiting] = undefined;

  _read() {
    const callback = this[kWaiting];
    this[kWaiting] = undefined;
    callback?.();
  }

  _write(chunk, encoding, callback) {
    if (chunk.length === 0) return queueMicrotask(callback);
    const other = this[kOther];
    other.push(chunk);
    other[kWaiting] = callback;
  }

  _final(callback) {
    this[kOther].on("end", callback);
    this[kOther].push(null);
  }
}

function duplexPair(options) {
  const [one, two] = [new End(options), new End(options)];
  [one[kOther], two[kOther]] = [two, one];
  return [one, two];
}

Object.defineProperty(Writable.prototype, Symbol.asyncDispose, {
  __proto__: null,
  value() {
    let error = null;
    if (!this.destroyed) {
      error = this.writableFinished ? null : Object.assign(new Error("The operation was aborted"), { name: "AbortError", code: "ABORT_ERR" });
      this.destroy(error);
    }
    return new Promise((resolve, reject) => finished(this, (failure) => failure && failure.name !== "AbortError" ? reject(failure) : resolve(null)));
  },
  writable: true,
  configurable: true,
});

Stream.duplexPair = duplexPair;
Readable.fromWeb = readableFromWeb;
Readable.toWeb = readableToWeb;
Writable.fromWeb = writableFromWeb;
Writable.toWeb = writableToWeb;
Duplex.fromWeb = duplexFromWeb;
Duplex.toWeb = (duplex) => ({ readable: readableToWeb(duplex), writable: writableToWeb(duplex) });
Stream._isArrayBufferView ??= ArrayBuffer.isView;

return Stream;
})
