// Streams that pass bytes through as they are: `IdentityTransformStream`, and `FixedLengthStream`, which knows how many
// there will be, so that a body made of it has a `Content-Length`.

(function () {
const { core, primordials } = __bootstrap;
const {
  BigInt,
  Number,
  NumberIsInteger,
  NumberMAX_SAFE_INTEGER,
  Promise,
  String,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeSlice,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { bytesOf, chunkBytes, setLength } = core.loadExtScript("ext:atoll_web/body.js");

// The bytes of a buffer or of a view on one, without a copy.
function viewBytes(value, what) {
  const bytes = bytesOf(value);
  if (bytes !== null) return bytes;
  throw new TypeError(`${what}: only an ArrayBuffer or a view on one can be taken, not ${typeof value}`);
}

// Holds at most one chunk, and takes the next when somebody reads.
class Passage {
  constructor(name, length) {
    this.name = name;
    this.length = length;
    // Bytes that may still come; null when any number may.
    this.left = length;
    // Whoever reads has cancelled, or the stream has failed.
    this.gone = false;
    this.sink = null;
    this.controller = null;
    // Called when somebody reads.
    this.wanted = null;
    this.isWanted = false;
    // Lets the read under way end.
    this.served = null;
    this.readable = new streams.ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.controller = controller;
      },
      pull: () => this.#pull(),
      cancel: (reason) => this.#cancel(reason),
    }, { highWaterMark: 0 });
    this.writable = new streams.WritableStream({
      start: (controller) => {
        this.sink = controller;
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
      abort: (reason) => this.#fail(reason),
    });
  }

  #pull() {
    this.isWanted = true;
    this.wanted?.();
    return new Promise((resolve) => {
      this.served = resolve;
    });
  }

  #serve() {
    this.isWanted = false;
    this.served?.();
    this.served = null;
  }

  async #write(chunk) {
    // Strings too, as on Workers.
    const bytes = chunkBytes(chunk) ?? viewBytes(chunk, this.name);
    const size = TypedArrayPrototypeGetByteLength(bytes);
    if (size === 0) return;
    if (this.left !== null && size > this.left) {
      const error = new TypeError(`${this.name}: more bytes were written than the ${this.length} it was made for`);
      this.#fail(error);
      throw error;
    }
    const copy = TypedArrayPrototypeSlice(bytes);
    if (!this.isWanted) {
      await new Promise((resolve) => {
        this.wanted = resolve;
      });
      this.wanted = null;
    }
    if (this.gone) return;
    if (this.left !== null) this.left -= size;
    this.controller.enqueue(copy);
    this.#serve();
  }

  #close() {
    if (this.gone) return;
    if (this.left !== null && this.left > 0) {
      const error = new TypeError(`${this.name}: it was closed ${this.left} bytes before its ${this.length} were written`);
      this.#fail(error);
      throw error;
    }
    this.controller.close();
    this.controller.byobRequest?.respond(0);
    this.#serve();
  }

  #fail(reason) {
    if (this.gone) return;
    this.gone = true;
    this.controller.error(reason);
    this.#serve();
  }

  #cancel(reason) {
    this.gone = true;
    this.sink.error(reason);
    this.wanted?.();
  }
}
primordials.ObjectSetPrototypeOf(Passage.prototype, null);

class IdentityTransformStream extends streams.TransformStream {
  #passage;

  constructor(_transformer = undefined) {
    super();
    this.#passage = makePassage(arguments[1]);
  }

  get readable() {
    return this.#passage.readable;
  }

  get writable() {
    return this.#passage.writable;
  }
}
webidl.configureInterface(IdentityTransformStream);

// The secret second argument by which the subclass says its length.
class Length {
  constructor(value) {
    this.value = value;
  }
}

function makePassage(length) {
  const isFixed = length !== undefined && primordials.ObjectPrototypeIsPrototypeOf(Length.prototype, length);
  const passage = new Passage(isFixed ? "FixedLengthStream" : "IdentityTransformStream", isFixed ? length.value : null);
  if (isFixed) setLength(passage.readable, length.value);
  return passage;
}

class FixedLengthStream extends IdentityTransformStream {
  constructor(expectedLength) {
    const prefix = "Failed to construct 'FixedLengthStream'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const isBig = typeof expectedLength === "bigint";
    const tooBig = isBig && (expectedLength < 0n || expectedLength > BigInt(NumberMAX_SAFE_INTEGER));
    const length = tooBig ? -1 : Number(expectedLength);
    if (!NumberIsInteger(length) || length < 0 || length > NumberMAX_SAFE_INTEGER) {
      throw new TypeError(`${prefix}: the length must be a number of bytes, not ${String(expectedLength)}`);
    }
    super(undefined, new Length(length));
  }
}
webidl.configureInterface(FixedLengthStream);

return { FixedLengthStream, IdentityTransformStream, viewBytes };
})();
