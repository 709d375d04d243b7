// DecompressionStream (Compression standard, section 4). Output is made when it is read, so a small input that expands
// to gigabytes fills no memory that nobody asked for.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_decode_drop,
  op_atoll_decode_finish,
  op_atoll_decode_open,
  op_atoll_decode_read,
  op_atoll_decode_write,
} = core.ops;
const { ArrayBufferIsView, Promise, SafeFinalizationRegistry, String, TypeError } = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { ReadableStream, WritableStream } = core.loadExtScript("ext:deno_web/06_streams.js");

const dropped = new SafeFinalizationRegistry((handle) => op_atoll_decode_drop(handle));

class DecompressionStream {
  #readable;
  #writable;

  constructor(format) {
    const prefix = "Failed to construct 'DecompressionStream'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    format = String(format);
    const handle = op_atoll_decode_open(format);
    if (handle === 0) {
      throw new TypeError(`${prefix}: the format must be "gzip", "deflate", "deflate-raw" or "brotli", not "${format}"`);
    }

    // Settles the write whose output is being read.
    let written = null;
    // Wakes a read that waits for input.
    let wake = null;
    let finished = false;
    let failure = null;
    let output;

    const fail = (error) => {
      failure ??= [error];
      op_atoll_decode_drop(handle);
      output.error(error);
      written?.reject(error);
      written = null;
      wake?.();
      wake = null;
    };

    // Waits until the readable side has taken all that comes of what was written last.
    const drain = () => {
      if (failure !== null) throw failure[0];
      return new Promise((resolve, reject) => {
        written = { resolve, reject };
        wake?.();
        wake = null;
      });
    };

    this.#readable = new ReadableStream({
      start(controller) {
        output = controller;
      },
      async pull(controller) {
        for (;;) {
          if (failure !== null) return;
          let chunk;
          try {
            chunk = op_atoll_decode_read(handle);
          } catch (error) {
            return fail(error);
          }
          if (chunk !== null) {
            controller.enqueue(chunk);
            return;
          }
          if (finished) {
            op_atoll_decode_drop(handle);
            controller.close();
            written?.resolve();
            return;
          }
          written?.resolve();
          written = null;
          await new Promise((resolve) => {
            wake = resolve;
          });
        }
      },
      cancel(reason) {
        failure = [reason];
        op_atoll_decode_drop(handle);
        written?.reject(reason);
        input.error(reason);
      },
    }, { highWaterMark: 0 });

    let input;
    this.#writable = new WritableStream({
      start(controller) {
        input = controller;
      },
      write(chunk) {
        if (failure !== null) throw failure[0];
        try {
          if (!ArrayBufferIsView(chunk) && !core.isArrayBuffer(chunk)) {
            throw new TypeError("A chunk given to a DecompressionStream must be an ArrayBuffer or a view of one");
          }
          op_atoll_decode_write(handle, chunk);
        } catch (error) {
          fail(error);
          throw error;
        }
        return drain();
      },
      close() {
        finished = true;
        op_atoll_decode_finish(handle);
        return drain();
      },
      abort(reason) {
        fail(reason);
      },
    });
    dropped.register(this.#readable, handle);
  }

  get readable() {
    return this.#readable;
  }

  get writable() {
    return this.#writable;
  }
}

webidl.configureInterface(DecompressionStream);

return { DecompressionStream };
})();
