// DER (X.690) as far as keys have it.

(function (require) {
"use strict";

const { Buffer } = require("buffer");

const SEQUENCE = 0x30;

function unsupported() {
  const error = new Error("error:1E08010C:DECODER routines::unsupported");
  return Object.assign(error, { library: "DECODER routines", reason: "unsupported", code: "ERR_OSSL_UNSUPPORTED" });
}

// The elements of DER (X.690) one after another.
function elements(bytes) {
  const list = [];
  for (let at = 0; at < bytes.length;) {
    const start = at;
    const tag = bytes[at++];
    let length = bytes[at++];
    if (length > 0x80) {
      let count = length - 0x80;
      if (count > 4) throw unsupported();
      for (length = 0; count > 0; count--) length = length * 256 + bytes[at++];
    }
    if (!(at + length <= bytes.length)) throw unsupported();
    list.push({ tag, content: bytes.subarray(at, at + length), raw: bytes.subarray(start, at + length) });
    at += length;
  }
  return list;
}

// The elements within the first one, which has to be a sequence of at least so many.
function sequence(bytes, least) {
  const [first] = elements(bytes);
  const list = first?.tag === SEQUENCE ? elements(first.content) : [];
  if (list.length < least) throw unsupported();
  return list;
}

function element(tag, ...parts) {
  const content = Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part, "hex") : part));
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const unsigned = (bytes) => bytes[0] === 0 && bytes.length > 1 ? bytes.subarray(1) : bytes;

return { element, elements, sequence, unsigned, unsupported };
})
