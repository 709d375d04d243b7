// Blob, File and FileReader (File API).

import { attempt, attempts, bytes, chunks, descriptor, utf8 } from "../run.js";

export default {
  "nothing": () => [new Blob().size, new Blob().type, new Blob([]).size, new Blob(undefined).size],
  "parts": async () => await new Blob(["a", bytes(0x62), bytes(0x63).buffer, new Blob(["d"]), 5, null, { toString: () => "!" }, new DataView(utf8("xyz").buffer, 1)]).text(),
  "parts of any iterable": async () => [await new Blob(new Set(["a", "b"])).text(), await new Blob((function* () { yield "c"; })()).text()],
  "parts that are none": () => attempts(() => new Blob("a"), () => new Blob(1), () => new Blob({}), () => new Blob(null), () => new Blob([Symbol()])),
  "types": () => ["a/b", "A/B", "", "é", "a\tb", "x".repeat(10), null, 5].map((type) => new Blob([], { type }).type),
  "options": () => attempts(() => new Blob([], null).type, () => new Blob([], 1), () => new Blob([], "x"), () => new Blob([], { endings: "x" })),
  "endings": async () => [await new Blob(["a\r\nb\nc\rd"], { endings: "transparent" }).text(), (await new Blob(["a\r\nb\nc\rd"], { endings: "native" }).text()).length],
  "lone surrogates": async () => await new Blob(["\ud800"]).bytes(),
  "slice": async () => {
    const blob = new Blob(["abcdef"], { type: "a/b" });
    const texts = [];
    for (const range of [[], [1], [1, 3], [-2], [-3, -1], [3, 1], [10], [0, 100], [1.7, 3.2], [NaN], ["1", "2"], [undefined, 2], [null, 2]]) texts.push(await blob.slice(...range).text());
    return [texts, blob.slice(0, 1).type, blob.slice(0, 1, "X/Y").type];
  },
  "slice of a slice": async () => await new Blob(["ab", "cd", "ef"]).slice(1, 5).slice(1, 3).text(),
  "a detached part": () => {
    const data = bytes(1);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    return attempt(() => new Blob([data]).size);
  },
  "text, bytes, arrayBuffer": async () => [await new Blob(["é"]).text(), await new Blob(["é"]).bytes(), await new Blob(["é"]).arrayBuffer()],
  "text of invalid UTF-8": async () => await new Blob([bytes(0xff, 0x61)]).text(),
  "text keeps a byte order mark off": async () => (await new Blob([bytes(0xef, 0xbb, 0xbf, 0x61)]).text()).length,
  "stream": async () => {
    const list = await chunks(new Blob(["ab", "cd"]).stream());
    return list.reduce((sum, chunk) => sum + chunk.length, 0);
  },
  "a BYOB reader of a stream": async () => (await new Blob(["abc"]).stream().getReader({ mode: "byob" }).read(new Uint8Array(2))).value,
  "reads are repeatable": async () => {
    const blob = new Blob(["a"]);
    return [await blob.text(), await blob.text()];
  },
  "bytes are taken at once": async () => {
    const data = bytes(1);
    const blob = new Blob([data]);
    data[0] = 2;
    return await blob.bytes();
  },
  "a file": async () => {
    const file = new File(["x"], "n.txt", { type: "a/b", lastModified: 5 });
    return [file.name, file.type, file.size, file.lastModified, await file.text(), file instanceof Blob, Object.prototype.toString.call(file), file.webkitRelativePath];
  },
  "a file's name": () => ["a/b", "", "\ud800", 5, null].map((name) => new File([], name).name),
  "a file's time": () => [Math.abs(new File([], "a").lastModified - Date.now()) < 10_000, new File([], "a", { lastModified: 1.9 }).lastModified, new File([], "a", { lastModified: -1 }).lastModified, new File([], "a", { lastModified: NaN }).lastModified],
  "a file without a name": () => attempts(() => new File(), () => new File([]), () => File([], "a")),
  "on something else": () => attempts(() => Object.getOwnPropertyDescriptor(Blob.prototype, "size").get.call({}), () => Blob.prototype.slice.call({}), () => Blob.prototype.text.call({})),
  "the shape": () => [
    ["size", "type", "slice", "stream", "text", "arrayBuffer", "bytes", Symbol.toStringTag].map((name) => descriptor(Blob.prototype, name)),
    ["name", "lastModified", Symbol.toStringTag].map((name) => descriptor(File.prototype, name)),
    Blob.length,
    File.length,
  ],
  "a subclass": async () => {
    class Mine extends Blob {
      get size() {
        return 99;
      }
    }
    const mine = new Mine(["abc"]);
    return [mine.size, await mine.text(), await new Blob([mine]).text(), mine.slice(0, 1) instanceof Mine];
  },
  "many parts": () => new Blob(Array.from({ length: 5000 }, () => "ab")).size,
};
