// TextEncoder, TextDecoder and their streams (Encoding standard, section 7), atob and btoa (HTML standard, section 8.3).

import { attempt, attempts, bytes, chunks, descriptor, streamOf, utf8 } from "../run.js";

const decode = (data, label, options) => new TextDecoder(label, options).decode(data);

export default {
  "encode": () => new TextEncoder().encode("aé€😀"),
  "encode nothing": () => [new TextEncoder().encode(), new TextEncoder().encode(undefined), new TextEncoder().encode("")],
  "encode what is no string": () => [new TextEncoder().encode(null), new TextEncoder().encode(1.5), attempt(() => new TextEncoder().encode(Symbol()))],
  "encode lone surrogates": () => new TextEncoder().encode("a\ud800\udc00\udfff\ud83d"),
  "the encoder's encoding": () => new TextEncoder("utf-16").encoding,
  "encodeInto": () => {
    const into = new Uint8Array(5);
    return [new TextEncoder().encodeInto("aé€x", into), into];
  },
  "encodeInto a place that is too small": () => {
    const into = new Uint8Array(3);
    return [new TextEncoder().encodeInto("😀", into), into];
  },
  "encodeInto something else": () => attempts(() => new TextEncoder().encodeInto("a", new ArrayBuffer(1)), () => new TextEncoder().encodeInto("a", new Int8Array(1)), () => new TextEncoder().encodeInto("a")),
  "encodeInto a detached array": () => {
    const into = new Uint8Array(3);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    return new TextEncoder().encodeInto("a", into);
  },
  "decode": () => decode(bytes(0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80)),
  "decode nothing": () => [new TextDecoder().decode(), new TextDecoder().decode(undefined)],
  "decode what is no buffer": () => attempts(() => new TextDecoder().decode("a"), () => new TextDecoder().decode(null), () => new TextDecoder().decode([1]), () => new TextDecoder().decode({})),
  "decode views": () => {
    const { buffer } = utf8("abcd");
    return [decode(buffer), decode(new DataView(buffer, 1, 2)), decode(new Uint16Array(buffer)), decode(new Uint8Array(buffer, 2))];
  },
  "decode a detached buffer": () => {
    const data = utf8("abc");
    structuredClone(data.buffer, { transfer: [data.buffer] });
    return attempt(() => decode(data));
  },
  "invalid UTF-8 is replaced": () => [
    bytes(0xff), bytes(0xc0, 0x80), bytes(0xe2, 0x82), bytes(0xed, 0xa0, 0x80), bytes(0xf4, 0x90, 0x80, 0x80), bytes(0xf0, 0x9f, 0x41), bytes(0x80, 0x61),
  ].map((data) => decode(data)),
  "invalid UTF-8 with fatal": () => attempts(...[bytes(0xff), bytes(0xe2, 0x82), bytes(0xed, 0xa0, 0x80)].map((data) => () => decode(data, "utf-8", { fatal: true }))),
  "a decoder goes on after fatal": () => {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    return [attempt(() => decoder.decode(bytes(0xff))), decoder.decode(bytes(0x61))];
  },
  "the byte order mark": () => {
    const data = bytes(0xef, 0xbb, 0xbf, 0x61);
    return [decode(data).length, decode(data, "utf-8", { ignoreBOM: true }).length, decode(bytes(0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf)).length];
  },
  "decode in pieces": () => {
    const decoder = new TextDecoder();
    return [decoder.decode(bytes(0xe2, 0x82), { stream: true }), decoder.decode(bytes(0xac), { stream: true }), decoder.decode(bytes(0xe2), { stream: true }), decoder.decode()];
  },
  "the mark in pieces": () => {
    const decoder = new TextDecoder();
    return [decoder.decode(bytes(0xef), { stream: true }), decoder.decode(bytes(0xbb, 0xbf), { stream: true }), decoder.decode(bytes(0x61))].map((text) => text.length);
  },
  "pieces of a fatal decoder": () => {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    return [attempt(() => decoder.decode(bytes(0xe2), { stream: true })), attempt(() => decoder.decode())];
  },
  "labels": () => ["UTF8", " utf-8\n", "unicode-1-1-utf-8", "latin1", "ascii", "iso-8859-1", "utf-16", "sjis", "gbk", "big5", "euc-kr", "koi8-r", "x-user-defined", "macintosh", "windows-1252", "iso-8859-8-i", "utf-16be"]
    .map((label) => attempt(() => new TextDecoder(label).encoding)),
  "unknown labels": () => attempts(...["", "utf8 x", "nope", "utf-32", "replacement", "\0utf-8"].map((label) => () => new TextDecoder(label).encoding)),
  "windows-1252": () => decode(bytes(0x80, 0x81, 0x9f, 0xe9), "latin1"),
  "UTF-16": () => [decode(bytes(0x61, 0, 0x3d, 0xd8, 0, 0xde), "utf-16le"), decode(bytes(0, 0x61), "utf-16be"), decode(bytes(0x3d, 0xd8), "utf-16le"), decode(bytes(0x61), "utf-16le")],
  "Shift_JIS, EUC-JP, GB18030, Big5, EUC-KR": () => [
    decode(bytes(0x93, 0xfa, 0x96, 0x7b), "shift_jis"), decode(bytes(0xc6, 0xfc, 0xcb, 0xdc), "euc-jp"), decode(bytes(0xc4, 0xe3, 0xba, 0xc3), "gb18030"),
    decode(bytes(0xa7, 0x41, 0xa6, 0x6e), "big5"), decode(bytes(0xb0, 0xa1), "euc-kr"), decode(bytes(0xcf, 0xd2), "koi8-r"), decode(bytes(0xcf), "windows-1251"),
  ],
  "ISO-2022-JP": () => decode(bytes(0x1b, 0x24, 0x42, 0x46, 0x7c, 0x1b, 0x28, 0x42), "iso-2022-jp"),
  "the decoder's attributes": () => {
    const decoder = new TextDecoder("UTF-8", { fatal: 1, ignoreBOM: "x" });
    return [decoder.encoding, decoder.fatal, decoder.ignoreBOM];
  },
  "a label that is no string": () => attempts(() => new TextDecoder(undefined).encoding, () => new TextDecoder(null), () => new TextDecoder(Symbol())),
  "options that are no object": () => attempts(() => new TextDecoder("utf-8", 1), () => new TextDecoder("utf-8", null).fatal, () => new TextDecoder().decode(bytes(0x61), 1)),
  "TextEncoderStream": () => chunks(streamOf("a", "é", "", "\ud83d", "\ude00").pipeThrough(new TextEncoderStream())),
  "TextEncoderStream with a half at the end": () => chunks(streamOf("a\ud83d").pipeThrough(new TextEncoderStream())),
  "TextEncoderStream converts": () => chunks(streamOf(1, null).pipeThrough(new TextEncoderStream())),
  "TextDecoderStream": async () => (await chunks(streamOf(bytes(0xe2, 0x82), bytes(0xac, 0x61)).pipeThrough(new TextDecoderStream()))).join(""),
  "TextDecoderStream with a rest": async () => (await chunks(streamOf(bytes(0x61, 0xe2)).pipeThrough(new TextDecoderStream()))).join(""),
  "TextDecoderStream, fatal": () => attempt(() => chunks(streamOf(bytes(0xff)).pipeThrough(new TextDecoderStream("utf-8", { fatal: true })))),
  "TextDecoderStream of something else": () => attempts(() => chunks(streamOf("a").pipeThrough(new TextDecoderStream())), () => chunks(streamOf(1).pipeThrough(new TextDecoderStream()))),
  "TextDecoderStream's attributes": () => {
    const stream = new TextDecoderStream("latin1", { fatal: true });
    return [stream.encoding, stream.fatal, stream.ignoreBOM, new TextEncoderStream().encoding];
  },
  "btoa": () => [btoa(""), btoa("a"), btoa("ab"), btoa("abc"), btoa("\xff\0")],
  "btoa beyond Latin-1": () => attempts(() => btoa("é"), () => btoa("€"), () => btoa("\u0100"), () => btoa("\ud800")),
  "btoa converts": () => [btoa(null), btoa(undefined), btoa(1), btoa({}), attempt(() => btoa()), attempt(() => btoa(Symbol()))],
  "atob": () => [atob(""), atob("YQ=="), atob("YWI"), atob(" Y W\tJ\nj "), atob("/w==").charCodeAt(0), atob("YQ")],
  "atob of what is not base64": () => attempts(...["a", "abcde", "*", "YQ=", "Y=Q=", "YQ==Q", "ab-_", "=", "====", "\0\0\0\0", "YWJj\u00a0", "é"].map((text) => () => atob(text))),
  "atob converts": () => [attempt(() => atob(null)), attempt(() => atob(12)), attempt(() => atob()), attempt(() => atob(undefined))],
  "on something else": () => attempts(() => TextEncoder.prototype.encode.call({}, "a"), () => TextDecoder.prototype.decode.call({}), () => Object.getOwnPropertyDescriptor(TextDecoder.prototype, "fatal").get.call({})),
  "without new": () => attempts(() => TextEncoder(), () => TextDecoder(), () => TextEncoderStream()),
  "the shape": () => [
    ["encoding", "encode", "encodeInto", Symbol.toStringTag].map((name) => descriptor(TextEncoder.prototype, name)),
    ["encoding", "fatal", "ignoreBOM", "decode", Symbol.toStringTag].map((name) => descriptor(TextDecoder.prototype, name)),
    [TextEncoder.prototype.encode.length, TextEncoder.prototype.encodeInto.length, TextDecoder.length],
    [descriptor(globalThis, "atob"), atob.length, btoa.length],
  ],
  "a large text": () => new TextDecoder().decode(new TextEncoder().encode("é".repeat(500_000))).length,
};
