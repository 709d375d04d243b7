// The Body mixin (Fetch standard, section 5.3), with Response as its bearer.

import { attempt, attempts, bytes, chunks, streamOf, utf8 } from "../run.js";

const METHODS = ["arrayBuffer", "blob", "bytes", "json", "text"];
const failing = (reason) => new ReadableStream({ pull(controller) { controller.error(reason); } });

export default {
  "of nothing": async () => [
    await new Response().text(),
    (await new Response().arrayBuffer()).byteLength,
    (await new Response().blob()).size,
    (await new Response().bytes()).length,
    await attempt(() => new Response().json()),
    await attempt(() => new Response().formData()),
  ],
  "reading nothing twice": async () => {
    const response = new Response();
    await response.text();
    return [response.bodyUsed, await attempt(() => response.text())];
  },
  "reading twice": async () => {
    const results = [];
    for (const method of METHODS) {
      const response = new Response("1");
      await response[method]();
      results.push(response.bodyUsed, await attempt(() => response[method]()));
    }
    return results;
  },
  "reading twice at once": async () => {
    const response = new Response("text");
    return await Promise.all([response.text(), attempt(() => response.text())]);
  },
  "bodyUsed changes at once": () => {
    const response = new Response("text");
    response.text();
    return response.bodyUsed;
  },
  "bodyUsed of a body that was looked at": () => {
    const response = new Response("text");
    return [response.body.locked, response.bodyUsed];
  },
  "bodyUsed after a reader was taken": () => {
    const response = new Response("text");
    response.body.getReader();
    return [response.bodyUsed, response.body.locked];
  },
  "reading while a reader is there": async () => {
    const response = new Response("text");
    response.body.getReader();
    return attempts(...METHODS.map((method) => () => response[method]()));
  },
  "reading after a reader read": async () => {
    const response = new Response(streamOf(utf8("a"), utf8("b")));
    const reader = response.body.getReader();
    await reader.read();
    reader.releaseLock();
    return [response.bodyUsed, await attempt(() => response.text())];
  },
  "reading after a reader left without reading": async () => {
    const response = new Response("text");
    response.body.getReader().releaseLock();
    return [response.bodyUsed, await response.text()];
  },
  "reading after cancel": async () => {
    const response = new Response("text");
    await response.body.cancel();
    return [response.bodyUsed, await attempt(() => response.text())];
  },
  "reading locks the stream": () => {
    const response = new Response("text");
    const { body } = response;
    response.text();
    return [body.locked, attempt(() => body.getReader())];
  },
  "methods reject, they never throw": () => {
    const response = new Response("text");
    response.text();
    return METHODS.map((method) => {
      try {
        const promise = response[method]();
        promise.catch(() => {});
        return promise instanceof Promise;
      } catch {
        return "threw";
      }
    });
  },
  "text removes a byte order mark": async () => [
    await new Response("\ufeffa").text(),
    await new Response(bytes(0xef, 0xbb, 0xbf, 0x61)).text(),
    await new Response("\ufeff\ufeffa").text(),
  ],
  "json removes a byte order mark": async () => await new Response("\ufeff[1]").json(),
  "text of UTF-16 is not understood": async () => await new Response(bytes(0xff, 0xfe, 0x61, 0)).text(),
  "text replaces invalid UTF-8": async () => await new Response(bytes(0x61, 0xff, 0xc3, 0x28, 0xe2, 0x82, 0x62)).text(),
  "text over chunks that split a character": async () => await new Response(streamOf(bytes(0xe2), bytes(0x82), bytes(0xac))).text(),
  "a lone surrogate in a string": async () => await new Response("a\ud800b").text(),
  "json": async () => await new Response('{"a":[1,"2",null]}').json(),
  "json of invalid text": () => attempts(...["", "{", "undefined", "NaN", "'a'", "1 2"].map((text) => () => new Response(text).json())),
  "json with a key __proto__": async () => Object.keys(await new Response('{"__proto__":1}').json()),
  "arrayBuffer is a copy each": async () => {
    const source = bytes(1, 2);
    const buffer = await new Response(source).arrayBuffer();
    return [buffer instanceof ArrayBuffer, buffer === source.buffer, buffer];
  },
  "bytes": async () => await new Response("añb").bytes(),
  "bytes of a view": async () => await new Response(new Uint8Array(bytes(1, 2, 3, 4).buffer, 1, 2)).bytes(),
  "bytes are taken when the response is made": async () => {
    const source = bytes(1, 2);
    const response = new Response(source);
    source[0] = 9;
    return await response.bytes();
  },
  "a detached buffer": () => {
    const source = bytes(1, 2);
    structuredClone(source.buffer, { transfer: [source.buffer] });
    return attempt(() => new Response(source).bytes());
  },
  "views of all kinds": async () => {
    const lengths = [];
    for (const View of [Int8Array, Uint8ClampedArray, Int16Array, Float64Array, BigUint64Array, DataView]) {
      lengths.push((await new Response(new View(new ArrayBuffer(16), 8)).bytes()).length);
    }
    return lengths;
  },
  "blob has the type of the header": async () => {
    const types = [];
    for (const headers of [{}, { "content-type": "Text/HTML" }, { "content-type": "a/b;c=D" }, { "content-type": "junk" }, { "content-type": "" }]) {
      types.push((await new Response(utf8("x"), { headers }).blob()).type);
    }
    return types;
  },
  "blob of a text": async () => {
    const blob = await new Response("text").blob();
    return [blob.size, blob.type, await blob.text()];
  },
  "chunks that are no bytes": () => attempts(...["a", 1, null, {}, [1]].map((chunk) => () => new Response(streamOf(chunk)).text())),
  "chunks that are other views": () => attempts(() => new Response(streamOf(new ArrayBuffer(1))).text(), () => new Response(streamOf(new Uint16Array(1))).bytes()),
  "a stream that fails": async () => {
    const reason = new RangeError("no");
    const caught = await new Response(failing(reason)).text().catch((error) => error);
    return caught === reason;
  },
  "a stream that fails after some chunks": async () => {
    let count = 0;
    const stream = new ReadableStream({
      pull(controller) {
        if (++count < 3) controller.enqueue(utf8("x"));
        else controller.error("reason");
      },
    });
    return attempt(() => new Response(stream).text());
  },
  "an empty chunk": async () => await new Response(streamOf(utf8("a"), bytes(), utf8("b"))).text(),
  "chunks of a text": async () => await chunks(new Response("ab").body),
  "chunks of nothing but an empty string": async () => await chunks(new Response("").body),
  "a BYOB reader": async () => {
    const reader = new Response("abc").body.getReader({ mode: "byob" });
    const { value, done } = await reader.read(new Uint8Array(2));
    return [value, done];
  },
  "formData of urlencoded": async () => {
    const form = await new Response(new URLSearchParams("a=1&a=2&b=%20+%C3%A9")).formData();
    return [...form];
  },
  "formData of multipart": async () => {
    const body = '--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--X\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\nContent-Type: text/x\r\n\r\nfile\r\n--X--\r\n';
    const form = await new Response(body, { headers: { "content-type": "multipart/form-data; boundary=X" } }).formData();
    const file = form.get("f");
    return [form.get("a"), file.name, file.type, await file.text(), file instanceof File];
  },
  "formData of other types": () =>
    attempts(...["text/plain", "multipart/mixed; boundary=X", "multipart/form-data", "application/json", ""].map((type) => () =>
      new Response("--X--\r\n", { headers: { "content-type": type } }).formData())),
  "formData of broken multipart": () =>
    attempts(...["", "--Y--", "--X", "--X\r\n", "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"].map((body) => () =>
      new Response(body, { headers: { "content-type": "multipart/form-data; boundary=X" } }).formData().then((form) => [...form]))),
  "formData of an empty multipart": () =>
    attempt(() => new Response("--X--\r\n", { headers: { "content-type": "multipart/form-data; boundary=X" } }).formData().then((form) => [...form])),
  "formData of its own encoding": async () => {
    const form = new FormData();
    form.append('a"\n', "1\n2");
    form.append("é", new File(["x"], 'f"\r\n.txt', { type: "a/b" }));
    const back = await new Response(form).formData();
    const file = back.get("é");
    return [[...back.keys()], back.get('a"\n'), file?.name, file?.type, await file?.text()];
  },
  "formData twice": async () => {
    const response = new Response(new FormData());
    await response.formData().catch(() => {});
    return attempt(() => response.formData());
  },
  "pipeTo of a body": async () => {
    const seen = [];
    await new Response("ab").body.pipeTo(new WritableStream({ write: (chunk) => void seen.push(chunk) }));
    return seen;
  },
  "for await over a body": async () => {
    const seen = [];
    for await (const chunk of new Response("ab").body) seen.push(chunk);
    return seen;
  },
  "tee of a body": async () => {
    const [a, b] = new Response("ab").body.tee();
    return [await new Response(a).text(), await new Response(b).text()];
  },
};
