// What Workers add to byte streams: `readAtLeast` of their readers and `atLeast` of their requests.

import { attempt, attempts, bytes, descriptor } from "../run.js";

// A stream of lists of bytes, which its source has all at once.
const ready = (...lists) =>
  new ReadableStream({
    type: "bytes",
    start(controller) {
      for (const list of lists) controller.enqueue(bytes(...list));
      controller.close();
    },
  });

// One whose source is asked for each, and which is closed without an answer to the read that waits then.
const asked = (...lists) =>
  new ReadableStream({
    type: "bytes",
    pull(controller) {
      const list = lists.shift();
      if (list === undefined) controller.close();
      else controller.enqueue(bytes(...list));
    },
  });

// One whose source writes where the reader wants it.
const filled = (seen, ...lists) =>
  new ReadableStream({
    type: "bytes",
    pull(controller) {
      const list = lists.shift();
      const { byobRequest } = controller;
      seen.push(byobRequest?.atLeast);
      if (list === undefined) {
        controller.close();
        byobRequest.respond(0);
        return;
      }
      byobRequest.view.set(list);
      byobRequest.respond(list.length);
    },
  });

function piped(...lists) {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  (async () => {
    for (const list of lists) await writer.write(bytes(...list));
    await writer.close();
  })();
  return readable;
}

const byob = (stream) => stream.getReader({ mode: "byob" });

// Three reads of a stream, each of at least `min` bytes.
async function three(stream, min) {
  const reader = byob(stream);
  const results = [];
  for (let i = 0; i < 3; i++) results.push(await reader.readAtLeast(min, new Uint8Array(10)));
  return results;
}

export default {
  "as much as there is": async () => [await three(ready([1, 2], [3], [4, 5, 6]), 4), await three(piped([1, 2], [3], [4, 5, 6]), 4)],
  "fewer at the end": async () => [await three(ready([1, 2], [3]), 5), await three(asked([1, 2], [3]), 5), await three(piped([1, 2], [3]), 5)],
  "no fewer": async () => [await three(asked([1, 2], [3], [4]), 3), await three(asked([1, 2], [3], [4]), 2), await three(asked([1, 2], [3], [4]), 1)],
  "a body": async () => {
    const texts = [];
    for (const body of [new Response("hello world").body, new Request("http://a.example/", { method: "POST", body: "hello world" }).body, new Blob(["hello world"]).stream()]) {
      const reader = byob(body);
      const { value, done } = await reader.readAtLeast(6, new Uint8Array(6));
      texts.push(new TextDecoder().decode(value), done, (await reader.readAtLeast(6, new Uint8Array(9))).value.length, (await reader.readAtLeast(1, new Uint8Array(9))).done);
    }
    return texts;
  },
  "views": async () => {
    const views = [new Uint16Array(4), new DataView(new ArrayBuffer(6), 1), new Uint8Array(new ArrayBuffer(10), 4, 4), new Int32Array(1)];
    const results = [];
    for (const view of views) {
      const { value } = await byob(asked([1, 2], [3, 4], [5, 6])).readAtLeast(view instanceof Int32Array ? 1 : 2, view);
      results.push(value, value.byteOffset, view.buffer.byteLength);
    }
    return results;
  },
  "numbers": () => attempts(...["3", 2.9, 0, -1, NaN, undefined, null, 11, 2 ** 40].map((min) => () => byob(ready([1, 2], [3])).readAtLeast(min, new Uint8Array(10)))),
  "other arguments": () => attempts(
    () => byob(ready([1])).readAtLeast(),
    () => byob(ready([1])).readAtLeast(1),
    () => byob(ready([1])).readAtLeast(1, new ArrayBuffer(4)),
    () => byob(ready([1])).readAtLeast(1, new Uint8Array(0)),
    () => byob(ready([1])).readAtLeast(5, new Uint16Array(4)),
    () => ReadableStreamBYOBReader.prototype.readAtLeast.call({}, 1, new Uint8Array(1)),
  ),
  "errors are rejections": () => byob(ready([1])).readAtLeast().then(() => "no", () => "yes"),
  "streams that have ended": () => attempts(
    () => byob(new ReadableStream({ type: "bytes", start: (controller) => controller.error(new RangeError()) })).readAtLeast(1, new Uint8Array(1)),
    async () => {
      const reader = byob(ready([1]));
      await reader.cancel();
      return reader.readAtLeast(1, new Uint8Array(1));
    },
    () => {
      const reader = byob(ready([1]));
      reader.releaseLock();
      return reader.readAtLeast(1, new Uint8Array(1));
    },
  ),
  "reads that wait for each other": async () => {
    const reader = byob(asked([1, 2], [3], [4, 5], [6]));
    return Promise.all([3, 2, 4, 1].map((min) => reader.readAtLeast(min, new Uint8Array(4))));
  },
  "what is left of a number": () => attempt(() => three(filled([], [1, 2], [3]), 3).then(() => byob(filled([], [1, 2], [3])).readAtLeast(2, new Uint16Array(5)))),
  "atLeast": async () => {
    const seen = [];
    await three(filled(seen, [1], [2], [3, 4, 5]), 3);
    seen.push("numbers");
    await byob(filled(seen, [1], [2, 3], [4])).readAtLeast(2, new Uint16Array(5));
    seen.push("read");
    await byob(filled(seen, [1])).read(new Uint8Array(5));
    return seen;
  },
  "atLeast of a request that was answered": async () => {
    let request;
    const stream = new ReadableStream({
      type: "bytes",
      pull(controller) {
        request = controller.byobRequest;
        request.view.set([1, 2]);
        request.respond(2);
      },
    });
    await byob(stream).readAtLeast(2, new Uint8Array(5));
    return request.atLeast;
  },
  "attributes": () => [descriptor(ReadableStreamBYOBReader.prototype, "readAtLeast"), descriptor(ReadableStreamBYOBRequest.prototype, "atLeast")],
};
