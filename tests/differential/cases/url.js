// URL and URLSearchParams (URL standard, sections 6.1 and 6.2). The parser itself is shown by the vectors.

import { attempt, attempts, descriptor } from "../run.js";

const params = (init) => [...new URLSearchParams(init)];

export default {
  "the parts": () => {
    const url = new URL("https://u:p@host.example:8080/a/b?c=d#e");
    return ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"].map((name) => url[name]);
  },
  "toString, toJSON, String, JSON": () => {
    const url = new URL("http://a/b");
    return [url.toString(), url.toJSON(), String(url), JSON.stringify({ url })];
  },
  "a base": () => [new URL("../x", "http://a/b/c/d").href, new URL("//h", "https://a").href, new URL("", "http://a/b?c#d").href, new URL("?q", "http://a/b").href],
  "a base that is a URL": () => new URL("x", new URL("http://a/b")).href,
  "a base that is undefined": () => attempt(() => new URL("http://a", undefined).href),
  "invalid URLs": () => attempts(...["", "/a", "http://", "http://[", "http://a b", "http://a:99999", "//a", "http://%zz/"].map((url) => () => new URL(url).href)),
  "an invalid base": () => attempt(() => new URL("a", "nope")),
  "no argument": () => attempts(() => new URL(), () => URL("http://a")),
  "anything with toString": () => new URL({ toString: () => "http://a/" }).href,
  "a symbol": () => attempt(() => new URL(Symbol())),
  "a lone surrogate": () => new URL("http://a/\ud800").href,
  "canParse": () => [URL.canParse("http://a"), URL.canParse("a"), URL.canParse("a", "http://b"), attempt(() => URL.canParse())],
  "parse": () => [URL.parse("http://a")?.href, URL.parse("a"), URL.parse("a", "http://b")?.href, attempt(() => URL.parse())],
  "setters": () => {
    const url = new URL("http://a/");
    url.protocol = "https";
    url.username = "ü";
    url.password = "p:";
    url.host = "b:81";
    url.pathname = "x y";
    url.search = "q=ü";
    url.hash = "h`";
    return url.href;
  },
  "setters ignore what is invalid": () => {
    const url = new URL("http://a:80/");
    url.protocol = "foo";
    url.host = "";
    url.port = "x";
    url.hostname = "b c";
    return url.href;
  },
  "setting href": () => {
    const url = new URL("http://a/");
    return [attempt(() => { url.href = "nope"; }), url.href, attempt(() => { url.href = "http://b"; }), url.href];
  },
  "setting the port": () => {
    const url = new URL("http://a/");
    return ["8080", "80", "", "65536", "12x", " 1"].map((port) => {
      url.port = port;
      return url.port;
    });
  },
  "setting the search to nothing": () => {
    const url = new URL("http://a/?b#c");
    url.search = "";
    return url.href;
  },
  "searchParams is the same object": () => {
    const url = new URL("http://a/?b=1");
    return [url.searchParams === url.searchParams, url.searchParams.get("b")];
  },
  "searchParams changes the URL": () => {
    const url = new URL("http://a/?b=1");
    url.searchParams.append("c", "2 ü&");
    url.searchParams.delete("b");
    return url.href;
  },
  "search changes searchParams": () => {
    const url = new URL("http://a/?b=1");
    const { searchParams } = url;
    url.search = "x=y";
    return [...searchParams];
  },
  "deleting the last parameter": () => {
    const url = new URL("http://a/?b=1#c");
    url.searchParams.delete("b");
    return url.href;
  },
  "origins": () => ["http://a:80", "https://a:444", "ftp://a", "file:///a", "data:x", "blob:http://a/b", "foo://x"].map((url) => new URL(url).origin),
  "internationalised hosts": () => ["http://bücher.example", "http://XN--BCHER-KVA.example", "http://例え.jp", "http://faß.de", "http://☃.net"].map((url) => new URL(url).hostname),
  "addresses as hosts": () => ["http://0x7f.1", "http://127.1", "http://2130706433", "http://[::1]", "http://[0:0::ffff:1.2.3.4]"].map((url) => new URL(url).hostname),
  "special characters": () => new URL("http://a/ \"<>`{}|^?'\"<>#`").href,
  "percent signs": () => new URL("http://a/%zz%41%ff").pathname,
  "tabs and line breaks are dropped": () => new URL(" h\tttp://a\n/b\r ").href,
  "backslashes": () => new URL("http:\\\\a\\b").href,
  "params of a string": () => [params("?a=b&c"), params("a=b+c%20d&&=x&e=f=g"), params("%zz=%41%ff")],
  "params of pairs": () => params([["a", "1"], ["a", "2"]]),
  "params of a record": () => params({ b: 1, a: [2] }),
  "params of params": () => params(new URLSearchParams("a=b")),
  "params of nothing": () => [params(), params(""), params(null), params(undefined)],
  "params of invalid pairs": () => attempts(() => params([["a"]]), () => params([["a", "b", "c"]]), () => params([1])),
  "params of a FormData": () => {
    const form = new FormData();
    form.set("a", "1");
    return params(form);
  },
  "params of a function": () => params(Object.assign(() => {}, { a: "1" })),
  "params of a Map": () => params(new Map([["a", "1"]])),
  "params: get, getAll, has, size": () => {
    const list = new URLSearchParams("a=1&a=2&b");
    return [list.get("a"), list.get("x"), list.getAll("a"), list.getAll("x"), list.has("b"), list.size];
  },
  "params: has and delete with a value": () => {
    const list = new URLSearchParams("a=1&a=2&a=3");
    const had = [list.has("a", "2"), list.has("a", "9"), list.has("a", undefined)];
    list.delete("a", "2");
    return [had, list.toString()];
  },
  "params: set and append": () => {
    const list = new URLSearchParams("a=1&b=2&a=3");
    list.set("a", "4");
    list.append("b", "5");
    list.set("c", "6");
    return list.toString();
  },
  "params: sort is stable and by UTF-16": () => {
    const list = new URLSearchParams("z=1&a=2&z=0&\u{1f600}=3&\uffff=4");
    list.sort();
    return [...list.keys()].map((name) => name.codePointAt(0));
  },
  "params: toString": () => new URLSearchParams({ "a b": "~'!()*-._", "ü": "\ud800", "+": "&=" }).toString(),
  "params: iteration": () => {
    const list = new URLSearchParams("a=1&b=2");
    const seen = [];
    list.forEach((value, name, owner) => seen.push([value, name, owner === list]));
    return [[...list.keys()], [...list.values()], [...list.entries()], seen, Object.prototype.toString.call(list.keys())];
  },
  "params: changes while iterating": () => {
    const list = new URLSearchParams("a=1&b=2&c=3");
    const seen = [];
    for (const [name] of list) {
      seen.push(name);
      list.delete(name);
    }
    return seen;
  },
  "params: missing arguments": () =>
    attempts(() => new URLSearchParams().get(), () => new URLSearchParams().append("a"), () => new URLSearchParams().set("a"), () => new URLSearchParams().has(), () => new URLSearchParams().delete()),
  "params: symbols": () => attempts(() => new URLSearchParams(Symbol()), () => new URLSearchParams({ a: Symbol() })),
  "getters on something else": () => attempts(...["href", "host", "searchParams"].map((name) => () => Object.getOwnPropertyDescriptor(URL.prototype, name).get.call({}))),
  "the shape of URL": () => [
    ["href", "origin", "protocol", "username", "host", "port", "pathname", "search", "searchParams", "hash", "toString", "toJSON", Symbol.toStringTag].map((name) => descriptor(URL.prototype, name)),
    ["canParse", "parse"].map((name) => descriptor(URL, name)),
    URL.length,
    Object.prototype.toString.call(new URL("http://a")),
  ],
  "the shape of URLSearchParams": () => [
    ["append", "delete", "get", "getAll", "has", "set", "sort", "size", "toString", "forEach", Symbol.iterator].map((name) => descriptor(URLSearchParams.prototype, name)),
    URLSearchParams.length,
    URLSearchParams.prototype.entries === URLSearchParams.prototype[Symbol.iterator],
  ],
  "subclasses": () => {
    class Mine extends URL {
      get href() {
        return `mine ${super.href}`;
      }
    }
    class Params extends URLSearchParams {}
    return [new Mine("http://a").href, String(new Mine("http://a")), new Params("a=b").get("a"), new Params() instanceof URLSearchParams];
  },
  "object URLs": () => attempt(() => typeof URL.createObjectURL(new Blob(["x"]))),
  "a long URL": () => new URL(`http://a/${"x".repeat(100_000)}`).pathname.length,
  "many parameters": () => new URLSearchParams("a=1&".repeat(10_000)).size,
};
