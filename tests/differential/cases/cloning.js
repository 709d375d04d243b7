// Cloning requests and responses, and what a tee keeps (Fetch standard, 2.2.4, 5.4 and 6.4; Streams standard, 4.2.4).

import { attempt, attempts, bytes, chunks, streamOf, utf8 } from "../run.js";

const post = (body, init) => new Request("http://clone.example/path?q", { method: "POST", body, ...init });

// A source that counts what was asked of it.
const counting = (pulls) => new ReadableStream({
  pull(controller) {
    pulls.count = (pulls.count ?? 0) + 1;
    if (pulls.count > 50) controller.close();
    else controller.enqueue(new Uint8Array(1000));
  },
}, { highWaterMark: 0 });

export default {
  "a request's clone": async () => {
    const request = post("body", { headers: { "x-a": "1", "content-type": "text/x" }, redirect: "manual" });
    const clone = request.clone();
    return [clone !== request, clone instanceof Request, clone.method, clone.url, [...clone.headers], clone.redirect, await clone.text(), await request.text()];
  },
  "a clone's headers are its own": () => {
    const request = post("x", { headers: { "x-a": "1" } });
    const clone = request.clone();
    clone.headers.set("x-a", "2");
    return [request.headers.get("x-a"), clone.headers.get("x-a")];
  },
  "a clone's signal follows": () => {
    const controller = new AbortController();
    const request = new Request("http://clone.example/", { signal: controller.signal });
    const clone = request.clone();
    const before = clone.signal.aborted;
    controller.abort("why");
    return [before, clone.signal.aborted, clone.signal.reason];
  },
  "a response's clone": async () => {
    const response = new Response("body", { status: 201, statusText: "Made", headers: { "x-a": "1" } });
    const clone = response.clone();
    return [clone.status, clone.statusText, clone.ok, clone.type, clone.url, clone.headers.get("x-a"), await clone.text(), await response.text()];
  },
  "a clone of what was used": async () => {
    const [request, response] = [post("x"), new Response("x")];
    await request.text();
    await response.text();
    return attempts(() => request.clone(), () => response.clone());
  },
  "a clone of what is locked": () => {
    const [request, response] = [post(streamOf(bytes(1)), { duplex: "half" }), new Response(streamOf(bytes(1)))];
    request.body.getReader();
    response.body.getReader();
    return attempts(() => request.clone(), () => response.clone());
  },
  "a clone without a body": () => [new Response(null).clone().body, new Request("http://clone.example/").clone().body],
  "a clone of Response.error": () => attempt(() => {
    const clone = Response.error().clone();
    return [clone.type, clone.status];
  }),
  "a clone of a redirect": () => {
    const clone = Response.redirect("http://clone.example/to", 301).clone();
    return [clone.status, clone.headers.get("location")];
  },
  "the body is another stream": () => {
    const response = new Response("x");
    const { body } = response;
    const clone = response.clone();
    return [response.body === body, clone.body === body, body.locked, response.body.locked, clone.bodyUsed];
  },
  "one of the two is cancelled": async () => {
    const response = new Response(streamOf(utf8("one"), utf8("two")));
    const clone = response.clone();
    const cancelled = clone.body.cancel("enough").then(() => "cancelled");
    return [await response.text(), await cancelled];
  },
  "both are cancelled": async () => {
    let reason;
    const response = new Response(new ReadableStream({ cancel: (given) => { reason = given; } }));
    const clone = response.clone();
    await Promise.all([response.body.cancel("one"), clone.body.cancel("two")]);
    return reason;
  },
  "a body that fails fails in both": async () => {
    const response = new Response(new ReadableStream({ pull: (controller) => controller.error(new RangeError("broken")) }));
    const clone = response.clone();
    return attempts(() => response.text(), () => clone.text());
  },
  "clones of clones": async () => {
    const response = new Response("many");
    const clones = [response.clone(), response.clone()];
    clones.push(clones[0].clone());
    return Promise.all([response, ...clones].map((one) => one.text()));
  },
  "a clone of a form": async () => {
    const form = new FormData();
    form.set("a", "1");
    const clone = new Response(form).clone();
    return [...(await clone.formData())];
  },
  "read in different ways": async () => {
    const response = new Response('{"a":[1]}');
    const [one, two] = [response.clone(), response.clone()];
    return [await response.json(), new Uint8Array(await one.arrayBuffer()).length, (await two.blob()).size];
  },
  "a request made of another takes its body": async () => {
    const request = post("body");
    const other = new Request(request, { headers: { "x-b": "1" } });
    return [request.bodyUsed, other.headers.get("x-b"), await other.text(), await attempt(() => request.text())];
  },
  "a request made of one with another body": async () => {
    const request = post("body");
    const other = new Request(request, { body: "other" });
    return [request.bodyUsed, await other.text(), await request.text()];
  },
  "a request made of one that was used": async () => {
    const request = post("body");
    await request.text();
    return attempts(() => new Request(request), () => new Request(request, { body: "other" }).method);
  },
  "tee asks its source as the faster branch does": async () => {
    const pulls = {};
    const [one] = counting(pulls).tee();
    const reader = one.getReader();
    for (let read = 0; read < 5; read++) await reader.read();
    return pulls.count;
  },
  "tee keeps what the slower has not read": async () => {
    const [fast, slow] = streamOf(bytes(1), bytes(2), bytes(3)).tee();
    return [(await chunks(fast)).length, (await chunks(slow)).length];
  },
  "tee of bytes copies": async () => {
    const [one, other] = new ReadableStream({
      type: "bytes",
      start(controller) {
        controller.enqueue(bytes(1, 2));
        controller.close();
      },
    }).tee();
    const [left, right] = [(await chunks(one))[0], (await chunks(other))[0]];
    return [left, right, left.buffer === right.buffer];
  },
  "tee of something locked": () => {
    const stream = streamOf(1);
    stream.getReader();
    return attempt(() => stream.tee());
  },
  "tee locks": () => {
    const stream = streamOf(1);
    const branches = stream.tee();
    return [stream.locked, branches.length, branches.map((branch) => branch.locked)];
  },
  "tee of megabytes": async () => {
    const chunk = new Uint8Array(64 << 10);
    let left = 64;
    const [one, other] = new ReadableStream({
      pull(controller) {
        if (left-- === 0) controller.close();
        else controller.enqueue(chunk.slice());
      },
    }).tee();
    const size = async (stream) => {
      let size = 0;
      for await (const piece of stream) size += piece.byteLength;
      return size;
    };
    return [await size(one), await size(other)];
  },
};
