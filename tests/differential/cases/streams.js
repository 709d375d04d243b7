// Streams (Streams standard).

import { attempt, attempts, bytes, chunks, descriptor, pause, streamOf } from "../run.js";

const state = (promise) => Promise.race([promise.then(() => "fulfilled", () => "rejected"), pause(5).then(() => "pending")]);

export default {
  "read": async () => {
    const reader = streamOf("a", "b").getReader();
    return [await reader.read(), await reader.read(), await reader.read(), await reader.closed];
  },
  "a source is pulled when there is room": async () => {
    const seen = [];
    new ReadableStream({ start: () => void seen.push("start"), pull: () => void seen.push("pull") });
    await pause(1);
    return seen;
  },
  "a mark of zero pulls on demand": async () => {
    let pulls = 0;
    const reader = new ReadableStream({ pull(controller) { controller.enqueue(++pulls); } }, { highWaterMark: 0 }).getReader();
    const before = pulls;
    await reader.read();
    return [before, pulls];
  },
  "desiredSize": () => {
    let seen;
    new ReadableStream({ start(controller) {
      seen = [controller.desiredSize];
      controller.enqueue("a");
      seen.push(controller.desiredSize);
      controller.close();
      seen.push(controller.desiredSize);
    } }, { highWaterMark: 3 });
    return seen;
  },
  "a size function": () => {
    let seen;
    new ReadableStream({ start(controller) {
      controller.enqueue("abc");
      seen = controller.desiredSize;
    } }, { highWaterMark: 10, size: (chunk) => chunk.length });
    return seen;
  },
  "strategies": () => {
    const count = new CountQueuingStrategy({ highWaterMark: 4 });
    const length = new ByteLengthQueuingStrategy({ highWaterMark: 5 });
    return [count.highWaterMark, count.size(), length.highWaterMark, length.size(bytes(1, 2)), attempt(() => new CountQueuingStrategy()), attempt(() => new CountQueuingStrategy({}))];
  },
  "invalid marks": () => attempts(...[-1, NaN, "x"].map((highWaterMark) => () => new ReadableStream({}, { highWaterMark }))),
  "invalid sizes": () => attempts(...[-1, NaN, Infinity].map((size) => async () => {
    const stream = new ReadableStream({ start(controller) { controller.enqueue(1); } }, { size: () => size, highWaterMark: 1 });
    return stream;
  })),
  "enqueue after close": () => {
    let result;
    new ReadableStream({ start(controller) {
      controller.close();
      result = [attempt(() => controller.enqueue(1)), attempt(() => controller.close())];
    } });
    return result;
  },
  "error": async () => {
    const reason = { why: 1 };
    const reader = new ReadableStream({ start(controller) { controller.error(reason); } }).getReader();
    const caught = await reader.read().catch((error) => error);
    return [caught === reason, await reader.closed.catch((error) => error === reason)];
  },
  "start that throws": () => attempt(() => new ReadableStream({ start() { throw new RangeError(); } })),
  "pull that throws": () => attempt(() => new ReadableStream({ pull() { throw new RangeError(); } }).getReader().read()),
  "pull that rejects": () => attempt(() => new ReadableStream({ pull: () => Promise.reject(new RangeError()) }).getReader().read()),
  "cancel": async () => {
    let reason;
    const stream = new ReadableStream({ cancel(given) { reason = given; } });
    return [await stream.cancel("why"), reason, await stream.getReader().read()];
  },
  "cancel that throws": () => attempt(() => new ReadableStream({ cancel() { throw new RangeError(); } }).cancel()),
  "cancel of a locked stream": () => {
    const stream = streamOf("a");
    stream.getReader();
    return attempt(() => stream.cancel());
  },
  "locked": () => {
    const stream = streamOf("a");
    const before = stream.locked;
    const reader = stream.getReader();
    const during = stream.locked;
    reader.releaseLock();
    return [before, during, stream.locked];
  },
  "two readers": () => {
    const stream = streamOf("a");
    stream.getReader();
    return attempt(() => stream.getReader());
  },
  "releasing with a read pending": async () => {
    const reader = new ReadableStream().getReader();
    const read = reader.read();
    reader.releaseLock();
    return [await attempt(() => read), await attempt(() => reader.closed), await attempt(() => reader.read())];
  },
  "tee": async () => {
    const [a, b] = streamOf("a", "b").tee();
    return [await chunks(a), await chunks(b)];
  },
  "tee cancels when both do": async () => {
    let reason;
    const [a, b] = new ReadableStream({ cancel(given) { reason = given; } }).tee();
    const first = a.cancel("a");
    const before = await state(first);
    await b.cancel("b");
    return [before, reason];
  },
  "tee of an error": async () => {
    const [a, b] = new ReadableStream({ start(controller) { controller.error(new RangeError()); } }).tee();
    return attempts(() => chunks(a), () => chunks(b));
  },
  "from": async () => [await chunks(ReadableStream.from(["a", "b"])), await chunks(ReadableStream.from("ab")), await chunks(ReadableStream.from((async function* () { yield 1; })()))],
  "from something else": () => attempts(() => ReadableStream.from(1), () => ReadableStream.from(null), () => ReadableStream.from({})),
  "for await": async () => {
    const seen = [];
    for await (const chunk of streamOf("a", "b")) seen.push(chunk);
    return seen;
  },
  "leaving for await cancels": async () => {
    let cancelled = false;
    const stream = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel() { cancelled = true; } });
    for await (const _ of stream) break;
    return [cancelled, stream.locked];
  },
  "values with preventCancel": async () => {
    let cancelled = false;
    const stream = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel() { cancelled = true; } });
    for await (const _ of stream.values({ preventCancel: true })) break;
    return [cancelled, stream.locked];
  },
  "write": async () => {
    const seen = [];
    const writer = new WritableStream({ write: (chunk) => void seen.push(chunk), close: () => void seen.push("close") }).getWriter();
    writer.write("a");
    writer.write("b");
    await writer.close();
    return seen;
  },
  "ready and desiredSize": async () => {
    let go;
    const writer = new WritableStream({ write: () => new Promise((resolve) => { go = resolve; }) }).getWriter();
    await writer.ready;
    const before = writer.desiredSize;
    const written = writer.write("a");
    const during = [writer.desiredSize, await state(writer.ready)];
    go();
    await written;
    return [before, during, writer.desiredSize, await state(writer.ready)];
  },
  "write that throws": async () => {
    const writer = new WritableStream({ write() { throw new RangeError(); } }).getWriter();
    return attempts(() => writer.write(1), () => writer.closed, () => writer.write(2), () => writer.close());
  },
  "abort": async () => {
    let reason;
    const writer = new WritableStream({ abort(given) { reason = given; } }).getWriter();
    await writer.abort("why");
    return [reason, await writer.closed.catch((error) => error), await writer.write(1).catch((error) => error)];
  },
  "the controller's signal": async () => {
    let signal;
    const writer = new WritableStream({ start(controller) { signal = controller.signal; } }).getWriter();
    await writer.abort("why");
    return [signal.aborted, signal.reason];
  },
  "write after close": async () => {
    const writer = new WritableStream().getWriter();
    writer.close();
    return attempts(() => writer.write(1), () => writer.close());
  },
  "two writers": () => {
    const stream = new WritableStream();
    stream.getWriter();
    return [stream.locked, attempt(() => stream.getWriter()), attempt(() => stream.close()), attempt(() => stream.abort())];
  },
  "a type in a sink": () => attempt(() => new WritableStream({ type: "bytes" })),
  "pipeTo": async () => {
    const seen = [];
    await streamOf("a", "b").pipeTo(new WritableStream({ write: (chunk) => void seen.push(chunk), close: () => void seen.push("close") }));
    return seen;
  },
  "pipeTo with preventClose": async () => {
    const writable = new WritableStream();
    await streamOf("a").pipeTo(writable, { preventClose: true });
    const writer = writable.getWriter();
    return state(writer.closed);
  },
  "pipeTo of an error aborts": async () => {
    let reason;
    const broken = new ReadableStream({ start(controller) { controller.error("broken"); } });
    const result = await broken.pipeTo(new WritableStream({ abort(given) { reason = given; } })).catch((error) => error);
    return [result, reason];
  },
  "pipeTo to an error cancels": async () => {
    let reason;
    const source = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel(given) { reason = given; } });
    const result = await source.pipeTo(new WritableStream({ write() { throw "full"; } })).catch((error) => error);
    return [result, reason];
  },
  "pipeTo with a signal": async () => {
    const controller = new AbortController();
    const seen = [];
    const source = new ReadableStream({ cancel: (reason) => void seen.push("cancel", reason) });
    const sink = new WritableStream({ abort: (reason) => void seen.push("abort", reason) });
    const result = source.pipeTo(sink, { signal: controller.signal });
    controller.abort("why");
    const end = result.catch((error) => error);
    return [await Promise.race([end, pause(500).then(() => "pending")]), seen.sort()];
  },
  "pipeTo of locked streams": () => {
    const locked = streamOf();
    locked.getReader();
    const writable = new WritableStream();
    writable.getWriter();
    return attempts(() => locked.pipeTo(new WritableStream()), () => streamOf().pipeTo(writable), () => streamOf().pipeTo({}));
  },
  "pipeThrough": async () => {
    const double = new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk + chunk) });
    return chunks(streamOf("a", "b").pipeThrough(double));
  },
  "pipeThrough of something else": () => attempts(() => streamOf().pipeThrough(), () => streamOf().pipeThrough({}), () => streamOf().pipeThrough({ readable: 1, writable: 2 })),
  "a transform without a transformer": () => chunks(streamOf(1, "a").pipeThrough(new TransformStream())),
  "flush": async () => {
    const stream = new TransformStream({ flush: (controller) => controller.enqueue("end") });
    return chunks(streamOf("a").pipeThrough(stream));
  },
  "a transform that throws": async () => {
    const stream = new TransformStream({ transform() { throw new RangeError(); } });
    return attempts(() => chunks(streamOf("a").pipeThrough(stream)));
  },
  "terminate": async () => {
    const stream = new TransformStream({ transform: (_, controller) => controller.terminate() });
    const writer = stream.writable.getWriter();
    const written = writer.write(1).catch((error) => error);
    return [await chunks(stream.readable), await attempt(() => writer.closed), await written];
  },
  "a transformer's cancel": async () => {
    let reason;
    const stream = new TransformStream({ cancel(given) { reason = given; } });
    await stream.readable.cancel("why");
    return reason;
  },
  "a transform's back-pressure": async () => {
    const stream = new TransformStream();
    const writer = stream.writable.getWriter();
    const before = writer.desiredSize;
    const written = writer.write("a");
    const during = await state(written);
    await stream.readable.getReader().read();
    return [before, during, await state(written)];
  },
  "bytes": async () => {
    const stream = new ReadableStream({ type: "bytes", start(controller) {
      controller.enqueue(bytes(1, 2, 3));
      controller.close();
    } });
    const reader = stream.getReader({ mode: "byob" });
    return [await reader.read(new Uint8Array(2)), await reader.read(new Uint8Array(2)), await reader.read(new Uint8Array(2))];
  },
  "a byobRequest": async () => {
    const stream = new ReadableStream({ type: "bytes", pull(controller) {
      const { byobRequest } = controller;
      byobRequest.view[0] = 7;
      byobRequest.respond(1);
    } });
    return await stream.getReader({ mode: "byob" }).read(new Uint8Array(4));
  },
  "autoAllocateChunkSize": async () => {
    const stream = new ReadableStream({ type: "bytes", autoAllocateChunkSize: 8, pull(controller) {
      const { view } = controller.byobRequest;
      view[0] = 1;
      controller.byobRequest.respond(view.byteLength > 4 ? 2 : 1);
    } });
    return await stream.getReader().read();
  },
  "read with min": async () => {
    let count = 0;
    const stream = new ReadableStream({ type: "bytes", pull(controller) { controller.enqueue(bytes(++count)); } });
    return await stream.getReader({ mode: "byob" }).read(new Uint8Array(4), { min: 3 });
  },
  "a BYOB read takes the buffer": async () => {
    const reader = new ReadableStream({ type: "bytes", start(controller) { controller.enqueue(bytes(1)); } }).getReader({ mode: "byob" });
    const view = new Uint8Array(2);
    const { value } = await reader.read(view);
    return [view.byteLength, value.buffer.byteLength];
  },
  "BYOB reads of something else": async () => {
    const reader = new ReadableStream({ type: "bytes" }).getReader({ mode: "byob" });
    return attempts(() => reader.read(), () => reader.read(1), () => reader.read(new Uint8Array(0)), () => reader.read(new Uint8Array(1), { min: 2 }));
  },
  "a BYOB reader for a plain stream": () => attempt(() => streamOf().getReader({ mode: "byob" })),
  "reader modes": () => attempts(() => streamOf().getReader({ mode: "x" }), () => streamOf().getReader({ mode: undefined }) instanceof ReadableStreamDefaultReader),
  "unknown types": () => attempts(() => new ReadableStream({ type: "x" }), () => new ReadableStream({ type: undefined }).locked, () => new ReadableStream(null), () => new ReadableStream(1)),
  "enqueueing no bytes into a byte stream": () => {
    let result;
    new ReadableStream({ type: "bytes", start(controller) { result = ["a", 1, new Uint8Array(0)].map((chunk) => attempt(() => controller.enqueue(chunk))); } });
    return result;
  },
  "constructors that are not for code": () => attempts(() => new ReadableStreamDefaultController(), () => new ReadableByteStreamController(), () => new ReadableStreamBYOBRequest(), () => new WritableStreamDefaultController(), () => new TransformStreamDefaultController()),
  "reader constructors": () => attempts(() => new ReadableStreamDefaultReader(streamOf()) instanceof ReadableStreamDefaultReader, () => new ReadableStreamDefaultReader(), () => new ReadableStreamBYOBReader(streamOf()), () => new WritableStreamDefaultWriter(new WritableStream()).desiredSize),
  "on something else": () => attempts(() => ReadableStream.prototype.getReader.call({}), () => ReadableStream.prototype.cancel.call({}), () => WritableStream.prototype.getWriter.call({}), () => Object.getOwnPropertyDescriptor(TransformStream.prototype, "readable").get.call({})),
  "the shape": () => [
    ["locked", "cancel", "getReader", "pipeThrough", "pipeTo", "tee", "values", Symbol.asyncIterator, Symbol.toStringTag].map((name) => descriptor(ReadableStream.prototype, name)),
    ["locked", "abort", "close", "getWriter"].map((name) => descriptor(WritableStream.prototype, name)),
    ["readable", "writable"].map((name) => descriptor(TransformStream.prototype, name)),
    descriptor(ReadableStream, "from"),
    ReadableStream.prototype.values === ReadableStream.prototype[Symbol.asyncIterator],
  ],
  "subclasses": async () => {
    class Upper extends TransformStream {
      constructor() {
        super({ transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()) });
      }
    }
    return chunks(streamOf("a").pipeThrough(new Upper()));
  },
  "transfer": async () => {
    const stream = streamOf("a", "b");
    return attempt(async () => {
      const moved = structuredClone(stream, { transfer: [stream] });
      return [await chunks(moved), stream.locked];
    });
  },
};
