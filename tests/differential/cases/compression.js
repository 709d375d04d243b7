// CompressionStream and DecompressionStream (Compression standard).

import { attempt, attempts, bytes, chunks, descriptor, hex, streamOf, utf8 } from "../run.js";

const through = (stream, ...parts) => new Response(streamOf(...parts).pipeThrough(stream)).bytes();
const packed = (format, text) => through(new CompressionStream(format), utf8(text));
const unpacked = async (format, ...parts) => new TextDecoder().decode(await through(new DecompressionStream(format), ...parts));

export default {
  "there and back": async () => {
    const seen = [];
    for (const format of ["gzip", "deflate", "deflate-raw"]) seen.push(await unpacked(format, await packed(format, "some text ".repeat(100))) === "some text ".repeat(100));
    return seen;
  },
  "headers of the formats": async () => [hex((await packed("gzip", "a")).slice(0, 4)), hex((await packed("deflate", "a")).slice(0, 1))],
  "nothing": async () => {
    const seen = [];
    for (const format of ["gzip", "deflate", "deflate-raw"]) seen.push(await unpacked(format, await packed(format, "")));
    return seen;
  },
  "unknown formats": () => attempts(...["zip", "GZIP", "", undefined, null].map((format) => () => new CompressionStream(format)), () => new CompressionStream(), () => new DecompressionStream("x")),
  "text that is known": async () => [
    await unpacked("deflate", bytes(0x78, 0x9c, 0x4b, 0x4c, 0x4a, 0x06, 0x00, 0x02, 0x4d, 0x01, 0x27)),
    await unpacked("deflate-raw", bytes(0x4b, 0x4c, 0x4a, 0x06, 0x00)),
  ],
  "input in small pieces": async () => await unpacked("gzip", ...Array.from(await packed("gzip", "pieces"), (byte) => bytes(byte))),
  "empty pieces": async () => await unpacked("gzip", bytes(), await packed("gzip", "x"), bytes()),
  "input that is cut off": async () => attempts(...["gzip", "deflate", "deflate-raw"].map((format) => async () => unpacked(format, (await packed(format, "cut off")).slice(0, -3)))),
  "no input": () => attempts(...["gzip", "deflate", "deflate-raw"].map((format) => () => unpacked(format))),
  "input that is something else": () => attempts(...["gzip", "deflate", "deflate-raw"].map((format) => () => unpacked(format, utf8("not compressed at all")))),
  "a rest after the end": async () => attempts(...["gzip", "deflate", "deflate-raw"].map((format) => async () => unpacked(format, await packed(format, "x"), bytes(1, 2, 3)))),
  "a wrong checksum": async () => {
    const data = await packed("gzip", "checked");
    data[data.length - 6] ^= 1;
    return attempt(() => unpacked("gzip", data));
  },
  "chunks that are no bytes": () => attempts(...["a", 1, null, {}].map((chunk) => () => through(new CompressionStream("gzip"), chunk))),
  "chunks of other views": async () => attempts(async () => (await through(new CompressionStream("deflate-raw"), new ArrayBuffer(2))).length > 0, async () => (await through(new CompressionStream("deflate-raw"), new Uint16Array(2))).length > 0),
  "output chunks are bytes": async () => (await chunks(streamOf(utf8("x")).pipeThrough(new CompressionStream("gzip")))).every((chunk) => chunk instanceof Uint8Array),
  "much": async () => {
    const data = new Uint8Array(1 << 20);
    return (await through(new DecompressionStream("gzip"), await through(new CompressionStream("gzip"), data))).length;
  },
  "the same stream each time": () => {
    const stream = new CompressionStream("gzip");
    return [stream.readable === stream.readable, stream.writable instanceof WritableStream];
  },
  "without new": () => attempts(() => CompressionStream("gzip"), () => DecompressionStream("gzip")),
  "the shape": () => [CompressionStream, DecompressionStream].map((Stream) => [
    ["readable", "writable", Symbol.toStringTag].map((name) => descriptor(Stream.prototype, name)),
    Stream.length,
    Object.prototype.toString.call(new Stream("gzip")),
  ]),
};
