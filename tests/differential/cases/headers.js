// Headers (Fetch standard, section 5.1).

import { attempt, attempts, descriptor } from "../run.js";

const list = (headers) => [...headers].map(([name, value]) => `${name}=${value}`);

export default {
  "an empty object": () => list(new Headers()),
  "undefined is no init": () => list(new Headers(undefined)),
  "null as init": () => attempt(() => list(new Headers(null))),
  "a number as init": () => attempt(() => list(new Headers(1))),
  "a string as init": () => attempt(() => list(new Headers("a"))),
  "a boolean as init": () => attempt(() => list(new Headers(true))),
  "a function as init": () => list(new Headers(Object.assign(() => {}, { a: "1" }))),
  "a record": () => list(new Headers({ B: "2", a: "1" })),
  "a list of pairs": () => list(new Headers([["b", "2"], ["A", "1"]])),
  "a Map": () => list(new Headers(new Map([["a", "1"], ["b", "2"]]))),
  "another Headers": () => list(new Headers(new Headers({ a: "1" }))),
  "a copy does not follow the original": () => {
    const original = new Headers({ a: "1" });
    const copy = new Headers(original);
    original.set("a", "2");
    return copy.get("a");
  },
  "a Headers whose iterator was replaced": () => {
    const headers = new Headers({ a: "1" });
    headers[Symbol.iterator] = function* () {
      yield ["b", "2"];
    };
    return list(new Headers(headers));
  },
  "a generator": () => {
    function* pairs() {
      yield ["a", "1"];
      yield ["a", "2"];
    }
    return list(new Headers(pairs()));
  },
  "pairs may be any iterable": () => list(new Headers([new Set(["a", "1"])])),
  "pairs with one item": () => attempt(() => new Headers([["a"]])),
  "pairs with three items": () => attempt(() => new Headers([["a", "b", "c"]])),
  "pairs that are strings": () => attempt(() => list(new Headers(["ab"]))),
  "pairs that are numbers": () => attempt(() => new Headers([1])),
  "a record with a symbol key": () => attempt(() => list(new Headers({ [Symbol("a")]: "1", b: "2" }))),
  "a record's inherited properties do not count": () => list(new Headers(Object.create({ a: "1" }, { b: { value: "2", enumerable: true } }))),
  "a record's hidden properties do not count": () => list(new Headers(Object.defineProperty({ a: "1" }, "b", { value: "2", enumerable: false }))),
  "a record is read in its order, own keys first": () => {
    const seen = [];
    const record = new Proxy({ b: "1", a: "2" }, {
      ownKeys: (target) => (seen.push("ownKeys"), Reflect.ownKeys(target)),
      getOwnPropertyDescriptor: (target, key) => (seen.push(`descriptor ${String(key)}`), Reflect.getOwnPropertyDescriptor(target, key)),
      get: (target, key) => (seen.push(`get ${String(key)}`), target[key]),
    });
    new Headers(record);
    return seen;
  },
  "a record's value that throws": () => attempt(() => new Headers({ get a() { throw new RangeError("no"); } })),
  "a value that is an object": () => new Headers({ a: { toString: () => "text" } }).get("a"),
  "a value that is undefined": () => new Headers({ a: undefined }).get("a"),
  "a value that is null": () => new Headers({ a: null }).get("a"),
  "a value that is a number": () => new Headers({ a: 1.5 }).get("a"),
  "a value that is a list": () => new Headers({ a: ["1", "2"] }).get("a"),
  "a value that is a symbol": () => attempt(() => new Headers({ a: Symbol() })),
  "append combines": () => {
    const headers = new Headers({ a: "1" });
    headers.append("A", "2");
    return headers.get("a");
  },
  "append of an empty value": () => {
    const headers = new Headers({ a: "" });
    headers.append("a", "");
    return headers.get("a");
  },
  "set replaces all": () => {
    const headers = new Headers([["a", "1"], ["a", "2"]]);
    headers.set("a", "3");
    return list(headers);
  },
  "set keeps the place of the first": () => {
    const headers = new Headers([["set-cookie", "1"], ["b", "x"], ["set-cookie", "2"]]);
    headers.set("set-cookie", "3");
    return list(headers);
  },
  "delete removes all": () => {
    const headers = new Headers([["a", "1"], ["a", "2"], ["b", "3"]]);
    return [headers.delete("A"), list(headers)];
  },
  "delete of nothing": () => new Headers().delete("a"),
  "get of nothing": () => new Headers().get("a"),
  "has": () => [new Headers({ a: "" }).has("A"), new Headers().has("a")],
  "names are case-insensitive": () => new Headers({ "X-Some-Name": "1" }).get("x-sOME-nAME"),
  "two spellings of a name in a record": () => list(new Headers({ A: "1", a: "2" })),
  "values are stripped": () => new Headers({ a: " \t\r\n 1 2 \t\n" }).get("a"),
  "an inner tab stays": () => new Headers({ a: "1\t2" }).get("a"),
  "values with a line feed inside": () => attempt(() => new Headers({ a: "1\n2" })),
  "values with a carriage return inside": () => attempt(() => new Headers({ a: "1\r2" })),
  "values with a NUL": () => attempt(() => new Headers({ a: "\0" })),
  "values with control characters": () => attempt(() => new Headers({ a: "\x01\x7f" }).get("a").length),
  "values in Latin-1": () => new Headers({ a: "\xe9\xff" }).get("a"),
  "values above Latin-1": () => attempt(() => new Headers({ a: "\u0100" })),
  "values that are a lone surrogate": () => attempt(() => new Headers({ a: "\ud800" })),
  "values that are an emoji": () => attempt(() => new Headers({ a: "😀" })),
  "names that are no tokens": () =>
    attempts(...["", " ", "a b", "a:", "a\n", "é", "(", "a,b", "\0", "\u0100", "[", "{a}", "\"a\"", "a/b"].map((name) => () => list(new Headers([[name, "1"]])))),
  "names that are unusual tokens": () => list(new Headers([["!#$%&'*+-.^_`|~09", "1"]])),
  "invalid names for get, has, delete": () =>
    attempts(() => new Headers().get("a b"), () => new Headers().has(""), () => new Headers().delete("\n")),
  "invalid values for set and append": () => attempts(() => new Headers().set("a", "\0"), () => new Headers().append("a", "\n\0\n")),
  "missing arguments": () =>
    attempts(
      () => new Headers().get(),
      () => new Headers().has(),
      () => new Headers().delete(),
      () => new Headers().set("a"),
      () => new Headers().append("a"),
      () => new Headers().forEach(),
    ),
  "iteration is sorted": () => list(new Headers([["c", "1"], ["B", "2"], ["a", "3"], ["b", "4"]])),
  "names sort by bytes": () => list(new Headers({ "a-b": "1", "a_b": "2", "ab": "3", "a.b": "4", "a0": "5" })),
  "set-cookie is not combined": () => list(new Headers([["set-cookie", "a=1"], ["x", "0"], ["Set-Cookie", "b=2"]])),
  "get of set-cookie combines": () => new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"]]).get("set-cookie"),
  "getSetCookie": () => new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2, c"]]).getSetCookie(),
  "getSetCookie without any": () => new Headers({ a: "1" }).getSetCookie(),
  "getSetCookie gives a new list each time": () => {
    const headers = new Headers({ "set-cookie": "a" });
    return headers.getSetCookie() === headers.getSetCookie();
  },
  "cookie is combined with a comma": () => {
    const headers = new Headers();
    headers.append("cookie", "a=1");
    headers.append("cookie", "b=2");
    return headers.get("cookie");
  },
  "forEach": () => {
    const seen = [];
    const headers = new Headers({ b: "2", a: "1" });
    headers.forEach(function (value, name, owner) {
      seen.push([value, name, owner === headers, this.x]);
    }, { x: 1 });
    return seen;
  },
  "forEach with something that is no function": () => attempt(() => new Headers({ a: "1" }).forEach({})),
  "forEach passes exceptions on": () => attempt(() => new Headers({ a: "1" }).forEach(() => { throw new RangeError(); })),
  "keys, values, entries": () => {
    const headers = new Headers({ b: "2", a: "1" });
    return [[...headers.keys()], [...headers.values()], [...headers.entries()]];
  },
  "deleting while iterating": () => {
    const headers = new Headers({ a: "1", b: "2", c: "3", d: "4" });
    const seen = [];
    for (const [name] of headers) {
      seen.push(name);
      headers.delete(name);
    }
    return seen;
  },
  "adding while iterating": () => {
    const headers = new Headers({ b: "1" });
    const seen = [];
    for (const [name] of headers) {
      seen.push(name);
      if (seen.length < 5) headers.append("c", "x"), headers.set("a", "y");
    }
    return seen;
  },
  "an iterator that is at its end stays there": () => {
    const headers = new Headers();
    const iterator = headers.keys();
    const before = iterator.next();
    headers.set("a", "1");
    return [before, iterator.next()];
  },
  "iterators": () => {
    const iterator = new Headers().entries();
    const prototype = Object.getPrototypeOf(iterator);
    return [
      Object.prototype.toString.call(iterator),
      iterator[Symbol.iterator]() === iterator,
      Object.getPrototypeOf(prototype) === Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())),
      descriptor(prototype, "next"),
      descriptor(prototype, Symbol.toStringTag),
    ];
  },
  "an iterator's next on something else": () => attempt(() => new Headers().keys().next.call({})),
  "methods on something else": () =>
    attempts(
      () => Headers.prototype.get.call({}, "a"),
      () => Headers.prototype.append.call(new Map(), "a", "b"),
      () => Headers.prototype.entries.call({}),
      () => Headers.prototype.forEach.call({}, () => {}),
      () => Headers.prototype.getSetCookie.call(undefined),
    ),
  "without new": () => attempt(() => Headers()),
  "the shape": () => [
    ["get", "set", "append", "delete", "has", "getSetCookie", "forEach", "keys", "values", "entries", Symbol.iterator, Symbol.toStringTag, "constructor"]
      .map((name) => descriptor(Headers.prototype, name)),
    Headers.length,
    ["get", "set", "append", "delete", "has", "getSetCookie", "forEach", "keys"].map((name) => Headers.prototype[name].length),
    Headers.prototype.entries === Headers.prototype[Symbol.iterator],
    Object.prototype.toString.call(new Headers()),
    descriptor(globalThis, "Headers"),
    descriptor(Headers, "prototype"),
  ],
  "a subclass": () => {
    class Mine extends Headers {
      get(name) {
        return `mine ${super.get(name)}`;
      }
    }
    const mine = new Mine({ a: "1" });
    return [mine.get("a"), mine instanceof Headers, new Headers(mine).get("a"), new Response(null, { headers: mine }).headers.get("a")];
  },
  "of a fetched response are immutable": async ({ origin }) => {
    const { headers } = await fetch(`${origin}/json`);
    return attempts(
      () => headers.set("a", "1"),
      () => headers.append("a", "1"),
      () => headers.delete("content-type"),
      () => headers.delete("a"),
      () => headers.set("a b", "1"),
    );
  },
  "of a fetched response can be copied": async ({ origin }) => {
    const response = await fetch(`${origin}/json`);
    const copy = new Response(response.body, response);
    copy.headers.set("x-mine", "1");
    return [copy.headers.get("x-mine"), copy.headers.get("content-type")];
  },
  "of the request that came are immutable": ({ request }) =>
    attempts(() => request.headers.set("a", "1"), () => new Request(request).headers.set("a", "1"), () => request.clone().headers.append("a", "1")),
  "of a redirect response are immutable": () =>
    attempts(() => Response.redirect("http://a/").headers.set("a", "1"), () => Response.error().headers.append("a", "1")),
  "forbidden request headers can be set": () => {
    const { headers } = new Request("http://a/", { headers: { host: "b", "content-length": "5", cookie: "a=1", referer: "x", connection: "close" } });
    return list(headers);
  },
  "forbidden response headers can be set": () => list(new Response(null, { headers: [["set-cookie", "a"], ["set-cookie2", "b"]] }).headers),
  "a proxy as init": () => list(new Headers(new Proxy({ a: "1" }, {}))),
  "a long value": () => new Headers({ a: "x".repeat(100_000) }).get("a").length,
  "many names": () => {
    const headers = new Headers();
    for (let i = 0; i < 500; i++) headers.append(`x-${i % 250}`, String(i));
    return [[...headers].length, headers.get("x-7")];
  },
  "JSON of it": () => JSON.stringify(new Headers({ a: "1" })),
  "spread of it": () => ({ ...new Headers({ a: "1" }) }),
  "Object.fromEntries": () => Object.fromEntries(new Headers({ a: "1", b: "2" })),
};
