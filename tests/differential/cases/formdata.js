// FormData (XMLHttpRequest standard, section 5).

import { attempt, attempts, descriptor } from "../run.js";

const filled = (...pairs) => {
  const form = new FormData();
  for (const pair of pairs) form.append(...pair);
  return form;
};
const encoded = async (form) => {
  const request = new Request("http://a/", { method: "POST", body: form });
  const boundary = request.headers.get("content-type").split("boundary=")[1];
  return (await request.text()).replaceAll(boundary, "B");
};

export default {
  "empty": () => [...new FormData()],
  "append and getAll": () => filled(["a", "1"], ["b", "2"], ["a", "3"]).getAll("a"),
  "get is the first": () => filled(["a", "1"], ["a", "3"]).get("a"),
  "get of nothing": () => [new FormData().get("a"), new FormData().getAll("a"), new FormData().has("a")],
  "set replaces the first and drops the rest": () => {
    const form = filled(["a", "1"], ["b", "2"], ["a", "3"]);
    form.set("a", "4");
    return [...form];
  },
  "delete": () => {
    const form = filled(["a", "1"], ["b", "2"], ["a", "3"]);
    form.delete("a");
    form.delete("x");
    return [...form];
  },
  "values become strings": () => [...filled(["a", 1], ["b", null], ["c", undefined], ["d", { toString: () => "o" }])],
  "names become strings": () => [...filled([1, "x"], [null, "y"])],
  "symbols": () => attempts(() => filled([Symbol(), "x"]), () => filled(["x", Symbol()])),
  "lone surrogates are replaced": () => [...filled(["\ud800", "\udc00a"])],
  "names are case-sensitive": () => filled(["A", "1"]).get("a"),
  "a blob becomes a file": () => {
    const value = filled(["a", new Blob(["x"], { type: "t/y" })]).get("a");
    return [value instanceof File, value.name, value.type, value.size];
  },
  "a blob with a name": () => filled(["a", new Blob(["x"]), "n.txt"]).get("a").name,
  "a file stays the same": () => {
    const file = new File(["x"], "f.txt");
    return filled(["a", file]).get("a") === file;
  },
  "a file with another name": () => {
    const file = new File(["x"], "f.txt", { type: "a/b", lastModified: 5 });
    const value = filled(["a", file, "g.txt"]).get("a");
    return [value.name, value.type, value === file];
  },
  "a name with a string value": () => attempt(() => filled(["a", "text", "n.txt"])),
  "missing arguments": () =>
    attempts(() => new FormData().append("a"), () => new FormData().set(), () => new FormData().get(), () => new FormData().has(), () => new FormData().delete(), () => new FormData().getAll()),
  "the constructor with an argument": () => attempts(() => [...new FormData(undefined)], () => new FormData({}), () => new FormData(null)),
  "iteration": () => {
    const form = filled(["a", "1"], ["b", "2"]);
    const seen = [];
    form.forEach((value, name, owner) => seen.push([value, name, owner === form]));
    return [[...form.keys()], [...form.values()], [...form.entries()], seen];
  },
  "changes while iterating show": () => {
    const form = filled(["a", "1"], ["b", "2"]);
    const seen = [];
    for (const [name] of form) {
      seen.push(name);
      if (name === "a") form.append("c", "3");
    }
    return seen;
  },
  "the encoding": () => encoded(filled(["a", "1"], ["b", "x\ny"])),
  "the encoding escapes names": () => encoded(filled(['a"b\r\nc', "1"])),
  "the encoding of a file": () => encoded(filled(["f", new File(["data"], 'n".txt', { type: "text/x" })])),
  "the encoding of a file without a type": () => encoded(filled(["f", new Blob(["data"])])),
  "the encoding of an empty form": async () => (await encoded(new FormData())).length > 0,
  "the encoding of text beyond ASCII": () => encoded(filled(["é", "ü"])),
  "the boundary differs": () => {
    const type = () => new Response(new FormData()).headers.get("content-type");
    return type() === type();
  },
  "methods on something else": () => attempts(() => FormData.prototype.get.call({}, "a"), () => FormData.prototype.append.call(new Map(), "a", "b")),
  "without new": () => attempt(() => FormData()),
  "the shape": () => [
    ["append", "delete", "get", "getAll", "has", "set", "forEach", "entries", Symbol.iterator, Symbol.toStringTag].map((name) => descriptor(FormData.prototype, name)),
    ["append", "delete", "get", "getAll", "has", "set"].map((name) => FormData.prototype[name].length),
    Object.prototype.toString.call(new FormData()),
    Object.prototype.toString.call(new FormData().keys()),
  ],
  "a subclass": () => {
    class Mine extends FormData {
      get(name) {
        return `mine ${super.get(name)}`;
      }
    }
    const mine = new Mine();
    mine.set("a", "1");
    return [mine.get("a"), mine instanceof FormData, new Response(mine).headers.get("content-type").slice(0, 19)];
  },
};
