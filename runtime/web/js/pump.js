// Moves the chunks of a stream out of the isolate, no faster than they are taken.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_pipe_close, op_atoll_pipe_fail, op_atoll_pipe_open, op_atoll_pipe_room, op_atoll_pipe_write } = core.ops;
const {
  SafeWeakSet,
  TypedArrayPrototypeGetByteLength,
  TypeError,
  WeakSetPrototypeAdd,
  WeakSetPrototypeHas,
} = primordials;
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { chunkBytes, lengthOf } = core.loadExtScript("ext:atoll_web/body.js");
const { describe, logUncaught } = core.loadExtScript("ext:atoll_web/errors.js");

const ROOM = 0;
const GONE = 2;

class ChunkError extends TypeError {}

// Streams out of which compressed bytes come.
const coded = new SafeWeakSet();
const isCoded = (stream) => WeakSetPrototypeHas(coded, stream);
const markCoded = (stream) => WeakSetPrototypeAdd(coded, stream);

// Locks the stream and starts moving. `handle` names the pipe for an op; `cancel(reason)` ends it from this side.
function pump(stream) {
  const handle = op_atoll_pipe_open(lengthOf(stream) ?? -1);
  if (handle === 0) throw new TypeError("Too many streams are being sent at once");
  const reader = streams.acquireReadableStreamDefaultReader(stream);
  // `left`: whoever took the stream has gone before its end.
  const state = { handle, ended: false, left: false, cancel };

  function cancel(reason) {
    if (state.ended) return;
    state.ended = true;
    op_atoll_pipe_close(handle);
    // Whether the source minds makes no difference any more.
    primordials.PromisePrototypeThen(reader.cancel(reason), () => {}, () => {});
  }

  async function run() {
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (state.ended) return;
        if (done) {
          state.ended = true;
          op_atoll_pipe_close(handle);
          return;
        }
        const bytes = chunkBytes(value);
        if (bytes === null) {
          throw new ChunkError(
            `A stream that is sent must have chunks that are buffers, views on one or strings, not ${typeName(value)}`,
          );
        }
        if (TypedArrayPrototypeGetByteLength(bytes) === 0) continue;
        const written = op_atoll_pipe_write(handle, bytes);
        const gone = written === GONE || (written !== ROOM && !(await op_atoll_pipe_room(handle)));
        if (gone) {
          state.left = !state.ended;
          cancel(new TypeError("Nobody takes the stream any more"));
          return;
        }
      }
    } catch (error) {
      if (state.ended) return;
      state.ended = true;
      op_atoll_pipe_fail(handle, describe(error));
      logUncaught("A body that was being sent broke off: ", error);
      if (error instanceof ChunkError) {
        primordials.PromisePrototypeThen(reader.cancel(error), () => {}, () => {});
      }
    }
  }
  run();
  return state;
}

function typeName(value) {
  return value === null ? "null" : typeof value === "object" ? value.constructor?.name ?? "object" : typeof value;
}

return { isCoded, markCoded, pump };
})();
