// What Workers adds to Web Crypto: `crypto.DigestStream` and `crypto.subtle.timingSafeEqual`.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_digest_drop,
  op_atoll_digest_finish,
  op_atoll_digest_open,
  op_atoll_digest_write,
  op_atoll_same_bytes,
} = core.ops;
const {
  ObjectDefineProperty,
  Promise,
  PromisePrototypeThen,
  SafeFinalizationRegistry,
  String,
  StringPrototypeToUpperCase,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { viewBytes } = core.loadExtScript("ext:atoll_web/identity_streams.js");
const exports = core.loadExtScript("ext:deno_crypto/00_crypto.js");

// Digests that nobody will finish.
const dropped = new SafeFinalizationRegistry((handle) => op_atoll_digest_drop(handle));

class DigestStream extends streams.WritableStream {
  #digest;
  #bytesWritten = 0;

  constructor(algorithm) {
    const prefix = "Failed to construct 'DigestStream'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const name = typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm;
    const handle = op_atoll_digest_open(StringPrototypeToUpperCase(String(name)));
    if (handle === 0) {
      throw new DOMException(
        `${prefix}: ${String(name)} is not one of MD5, SHA-1, SHA-256, SHA-384, SHA-512`,
        "NotSupportedError",
      );
    }
    let resolve, reject;
    super({
      write: (chunk) => {
        const bytes = viewBytes(chunk, "DigestStream");
        op_atoll_digest_write(handle, bytes);
        this.#bytesWritten += TypedArrayPrototypeGetByteLength(bytes);
      },
      close: () => {
        dropped.unregister(this);
        resolve(TypedArrayPrototypeGetBuffer(op_atoll_digest_finish(handle)));
      },
      abort: (reason) => {
        dropped.unregister(this);
        op_atoll_digest_drop(handle);
        reject(reason);
      },
    });
    dropped.register(this, handle, this);
    this.#digest = new Promise((onDone, onError) => {
      resolve = onDone;
      reject = onError;
    });
    // Nobody has to look at the digest of a stream that broke off.
    PromisePrototypeThen(this.#digest, undefined, () => {});
  }

  get digest() {
    return this.#digest;
  }

  get bytesWritten() {
    return this.#bytesWritten;
  }
}
webidl.configureInterface(DigestStream);

const { timingSafeEqual } = {
  timingSafeEqual(a, b) {
    const prefix = "Failed to execute 'timingSafeEqual' on 'SubtleCrypto'";
    webidl.requiredArguments(arguments.length, 2, prefix);
    const left = viewBytes(a, prefix);
    const right = viewBytes(b, prefix);
    if (TypedArrayPrototypeGetByteLength(left) !== TypedArrayPrototypeGetByteLength(right)) {
      throw new TypeError(`${prefix}: the two buffers must have the same length`);
    }
    return op_atoll_same_bytes(left, right);
  },
};

const hidden = (value) => ({ __proto__: null, value, writable: true, enumerable: false, configurable: true });
ObjectDefineProperty(exports.Crypto.prototype, "DigestStream", { ...hidden(DigestStream), enumerable: true });
ObjectDefineProperty(exports.SubtleCrypto.prototype, "timingSafeEqual", {
  ...hidden(timingSafeEqual),
  enumerable: true,
});

return exports;
})();
