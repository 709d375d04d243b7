// node:stream/consumers: all that a stream gives, at once.

(function (require) {
"use strict";

async function chunks(stream) {
  const list = [];
  for await (const chunk of stream) list.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  return list;
}

async function buffer(stream) {
  return require("buffer").Buffer.concat(await chunks(stream));
}

async function text(stream) {
  const decoder = new TextDecoder();
  let result = "";
  for await (const chunk of stream) {
    result += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
  }
  return result + decoder.decode();
}

return {
  async arrayBuffer(stream) {
    const all = await buffer(stream);
    return all.buffer.slice(all.byteOffset, all.byteOffset + all.byteLength);
  },
  async blob(stream) {
    return new Blob(await chunks(stream));
  },
  buffer,
  async json(stream) {
    return JSON.parse(await text(stream));
  },
  text,
};
})
