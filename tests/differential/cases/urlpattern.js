// URLPattern (URL Pattern standard). The parser itself is shown by the vectors.

import { attempt, attempts, descriptor } from "../run.js";

export default {
  "a path": () => {
    const pattern = new URLPattern({ pathname: "/books/:id" });
    return [pattern.test("http://a/books/1"), pattern.test("http://a/books/1/2"), pattern.test({ pathname: "/books/x" })];
  },
  "groups": () => new URLPattern({ pathname: "/:a/:b" }).exec("http://x/1/2").pathname.groups,
  "wildcards": () => new URLPattern({ pathname: "/a/*" }).exec("http://x/a/b/c").pathname.groups,
  "optional groups": () => [
    new URLPattern({ pathname: "/a{/:b}?" }).exec("http://x/a").pathname.groups,
    new URLPattern({ pathname: "/a/:b?" }).exec("http://x/a/c").pathname.groups,
  ],
  "repeated groups": () => new URLPattern({ pathname: "/a/:b+" }).exec("http://x/a/c/d").pathname.groups,
  "regular expressions": () => {
    const pattern = new URLPattern({ pathname: "/:id(\\d+)" });
    return [pattern.test("http://a/12"), pattern.test("http://a/x"), pattern.hasRegExpGroups];
  },
  "a string": () => {
    const pattern = new URLPattern("https://*.example.com/a/:b?q=*");
    return [pattern.protocol, pattern.hostname, pattern.port, pattern.pathname, pattern.search, pattern.hash];
  },
  "a string with a base": () => new URLPattern("/a", "https://b.example").hostname,
  "a relative string without a base": () => attempt(() => new URLPattern("/a")),
  "a base with an object": () => attempts(() => new URLPattern({ pathname: "/a" }, "http://b"), () => new URLPattern({ pathname: "a", baseURL: "http://b/c/" }).pathname),
  "nothing": () => {
    const pattern = new URLPattern();
    return [pattern.test("http://a/b?c#d"), pattern.pathname];
  },
  "ignoreCase": () => new URLPattern({ pathname: "/A" }, { ignoreCase: true }).test("http://x/a"),
  "exec without a match": () => new URLPattern({ pathname: "/a" }).exec("http://x/b"),
  "exec's inputs": () => new URLPattern({ pathname: "/a" }).exec("/a", "http://x").inputs,
  "invalid patterns": () => attempts(...["(", "/:", "{", "/a(b", "/**", "/:a:a", "/(?<x>a)"].map((pathname) => () => new URLPattern({ pathname }).pathname)),
  "invalid input": () => [new URLPattern({ pathname: "/a" }).test("nope"), attempt(() => new URLPattern().test({ baseURL: "nope" }))],
  "ports that are the default": () => new URLPattern({ protocol: "https", port: "443" }).port,
  "wrong arguments": () => attempts(() => new URLPattern(1).pathname, () => new URLPattern(null).pathname, () => new URLPattern(Symbol())),
  "without new": () => attempt(() => URLPattern({})),
  "the shape": () => [
    ["protocol", "hostname", "pathname", "hasRegExpGroups", "test", "exec", Symbol.toStringTag].map((name) => descriptor(URLPattern.prototype, name)),
    URLPattern.length,
    Object.prototype.toString.call(new URLPattern()),
  ],
  "a subclass": () => {
    class Mine extends URLPattern {}
    return new Mine({ pathname: "/a" }).test("http://x/a");
  },
};
