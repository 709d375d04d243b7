// Small documents, each rewritten in one way. The answers of workerd 2026-11-17 are in workerd.json, made by serving this
// file with it and asking for /.
const html = (body, init) => new Response(body, { headers: { "content-type": "text/html" }, ...init });
const rewrite = async (document, ...ons) => {
  let rw = new HTMLRewriter();
  for (const [sel, h] of ons) rw = sel === null ? rw.onDocument(h) : rw.on(sel, h);
  return await rw.transform(html(document)).text();
};
const caught = (f) => { try { const v = f(); return v === undefined ? "undefined" : String(v); } catch (e) { return e.name; } };
const doc = `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://x/y.dtd"><html><head><title>T &amp; t</title><meta charset=utf-8></head><body CLASS='a b' id=main><!-- one --><p>Hello <b>bold</b> world</p><img src="a.png"><br/><div><p>x</div><ul><li>1<li>2</ul><svg viewBox="0 0 1 1"><circle r=1/></svg></body></html>`;
const cases = {
  identity: () => rewrite(doc, ["*", { element() {}, comments() {}, text() {} }], [null, { doctype() {}, comments() {}, text() {}, end() {} }]),
  setAttribute: () => rewrite(`<a  href='x' B=c  d>1</a><a/>`, ["a", { element(e) { e.setAttribute("href", `"q"&<>`); e.setAttribute("NEW", "é"); e.removeAttribute("b"); } }]),
  attributes: async () => { const out = []; await rewrite(`<a HREF='x&amp;y' b=c d e="">1</a>`, ["a", { element(e) { out.push([...e.attributes], e.getAttribute("href"), e.getAttribute("HREF"), e.getAttribute("zz"), e.hasAttribute("D"), e.hasAttribute("q"), e.tagName, e.namespaceURI, e.removed); } }]); return out; },
  tagName: () => rewrite(`<DIV a>1<div>2</div></DIV><br>`, ["div", { element(e) { e.tagName = "section"; } }], ["br", { element(e) { e.tagName = "hr"; } }]),
  contents: () => rewrite(`<p>x</p><br>`, ["*", { element(e) { e.before("<b1>").before("b2", { html: true }).after("a1").after("<a2>", { html: true }).prepend("p1").prepend("<p2>", { html: true }).append("q1&").append("<q2>", { html: true }); } }]),
  setInner: () => rewrite(`<p>x<b>y</b></p><div>1</div><br>`, ["p", { element(e) { e.prepend("P"); e.append("A"); e.setInnerContent("<i>"); e.append("B"); e.prepend("C"); } }], ["div", { element(e) { e.setInnerContent("<i>z</i>", { html: true }); } }], ["br", { element(e) { e.setInnerContent("no"); } }]),
  replace: () => rewrite(`<p>x<b>y</b></p><br>z`, ["p", { element(e) { e.before("1"); e.after("2"); e.replace("<r>", { html: true }); e.replace("r2"); e.append("gone"); e.prepend("kept"); } }], ["br", { element(e) { e.replace("R"); e.after("A"); } }]),
  remove: () => rewrite(`a<p>x<b>y</b></p>b<i>k<u>l</u></i>c`, ["p", { element(e) { e.before("1"); e.remove(); e.after("2"); } }], ["i", { element(e) { e.removeAndKeepContent(); e.prepend("P"); e.append("Q"); } }]),
  removedInside: async () => { const seen = []; const out = await rewrite(`<p>x<b>y<!--c--></b></p>z`, ["p", { element(e) { e.remove(); seen.push(e.removed); } }], ["b", { element(e) { seen.push("b", e.removed); e.before("no"); e.onEndTag((t) => { seen.push(t.name); t.after("no"); }); }, text(t) { seen.push(t.text, t.removed); }, comments(c) { seen.push(c.text, c.removed); } }]); return [out, seen]; },
  onEndTag: () => rewrite(`<p>x</p><div>1<span>2</div>3`, ["p", { element(e) { e.append("A"); e.after("Z"); e.onEndTag((t) => { t.before("<B>", { html: true }); t.before("<C>"); t.after("D"); t.after("E"); t.name = "q"; }); } }], ["span", { element(e) { e.onEndTag((t) => { t.before(`[span ${t.name}]`); }); } }], ["div", { element(e) { e.onEndTag((t) => { t.before("[div]"); }); } }]),
  endTagOverwrite: () => rewrite(`<div>1<span>2</div>3`, ["span", { element(e) { e.append("S"); } }], ["div", { element(e) { e.append("D"); } }]),
  endTagRemove: () => rewrite(`<p>x</p>`, ["p", { element(e) { e.onEndTag((t) => { t.remove(); t.before("<"); t.after(">"); }); } }]),
  onEndTagVoid: async () => { let r; await rewrite(`<br>`, ["br", { element(e) { r = caught(() => e.onEndTag(() => {})); } }]); return r; },
  endTagOrder: async () => { const seen = []; await rewrite(`<p>x</p>`, ["p", { element(e) { e.onEndTag(() => { seen.push(1); }); e.onEndTag(() => { seen.push(2); }); } }], ["*", { element(e) { e.onEndTag(() => { seen.push(3); }); } }]); return seen; },
  comments: () => rewrite(`<!--a--><p><!-- b --><!--c--></p>`, ["p", { comments(c) { if (c.text === " b ") c.text = "B"; else { c.before("<1>"); c.after("2", { html: true }); c.remove(); } } }], [null, { comments(c) { if (c.text === "a") c.replace("<R>"); } }]),
  commentBad: async () => { let r; await rewrite(`<!--a-->`, [null, { comments(c) { r = caught(() => { c.text = "x-->y"; }); } }]); return r; },
  texts: async () => { const seen = []; const out = await rewrite(`<p>one &lt; two<b>x</b>three</p>`, ["p", { text(t) { seen.push([t.text, t.lastInTextNode, t.removed]); if (t.text === "three") t.replace("<3>"); else if (t.text === "x") { t.before("<"); t.after(">", { html: true }); } else if (!t.lastInTextNode) t.remove(); } }]); return [out, seen]; },
  textLast: () => rewrite(`<p>hello</p>`, ["p", { text(t) { if (t.lastInTextNode) t.after("!"); } }]),
  script: async () => { const seen = []; await rewrite(`<script>if (a<b) x("</p>")</script><style>p{}</style><textarea><b></textarea><title>a&amp;b</title>`, [null, { text(t) { if (t.text) seen.push(t.text); } }]); return seen; },
  doctype: async () => { const seen = []; await rewrite(doc, [null, { doctype(d) { seen.push(d.name, d.publicId, d.systemId); } }]); await rewrite("<!doctype HTML>", [null, { doctype(d) { seen.push(d.name, d.publicId, d.systemId); } }]); await rewrite("<!doctype>", [null, { doctype(d) { seen.push(d.name, d.publicId, d.systemId); } }]); return seen; },
  end: () => rewrite(`<p>x`, [null, { end(e) { e.append("<1>").append("<2>", { html: true }); } }], [null, { end(e) { e.append("3"); } }]),
  endAfterRemoved: () => rewrite(`<p>x`, ["p", { element(e) { e.remove(); } }], [null, { end(e) { e.append("END"); } }]),
  emptyDocument: () => rewrite(``, [null, { end(e) { e.append("only"); } }]),
  selectors: async () => { const out = {}; for (const s of ["*", "p", "p.a", "p#i", "p[x]", "p[x=y]", "p[x~=y]", "p[x^=y]", "p[x$=y]", "p[x*=y]", "p[x|=y]", "p[x=Y i]", "p[x=Y s]", "div p", "div > p", "p:nth-child(2)", "p:first-child", "p:nth-of-type(2)", "p:first-of-type", "p:not(.a)", "p:not(.a):not(#i)", "P", "p.a, b", "svg circle", "p.A"]) { const seen = []; await rewrite(`<p class="a q" x=y>1</p><div><p id=i x="y z">2</p><p x="y-z">3</p><b>4</b></div><svg><circle/></svg>`, [s, { element(e) { seen.push(e.tagName + (e.getAttribute("x") ?? "")); } }]); out[s] = seen; } return out; },
  badSelectors: () => ["", "p:hover", "p::before", "p + b", "p ~ b", ":has(p)", "p[", "p:nth-last-child(1)", "p:is(.a)", "p:where(.a)", ":not()", "a,,b", "p:last-child", "p:empty", "$", "p:not(.a > .b)", "ns|p"].map((s) => [s, caught(() => { new HTMLRewriter().on(s, {}); })]),
  badCalls: () => [() => new HTMLRewriter().on("p"), () => new HTMLRewriter().on("p", null), () => new HTMLRewriter().on("p", { element: 1 }), () => new HTMLRewriter().on("p", { element: null }), () => new HTMLRewriter().onDocument(), () => new HTMLRewriter().transform(), () => new HTMLRewriter().transform("x"), () => new HTMLRewriter().transform({}), () => HTMLRewriter(), () => { HTMLRewriter.prototype.on.call({}, "p", {}) }].map((f) => { const r = caught(f); return r.startsWith("[object") ? "ok" : r; }),
  badNames: async () => { const r = []; await rewrite(`<p a=b>`, ["p", { element(e) { for (const n of ["", " ", "a b", "a=b", "a/b", "a>b", "é"]) r.push(caught(() => { e.setAttribute(n, "x"); })); for (const n of ["", "1", "a b", "a/b", "a>b"]) r.push(caught(() => { e.tagName = n; })); r.push(caught(() => e.getAttribute("")), caught(() => e.setAttribute("q"))); } }]); return r; },
  stale: async () => { let e, c, t, d, g, it, end; await rewrite(doc, ["p", { element(x) { e ??= x; it = x.attributes; x.onEndTag((y) => { g = y; }); }, text(x) { t = x; }, }], [null, { comments(x) { c = x; }, doctype(x) { d = x; }, end(x) { end = x; } }]); return [() => e.tagName, () => e.getAttribute("a"), () => e.before("x"), () => e.attributes, () => it.next(), () => e.removed, () => c.text, () => c.remove(), () => t.text, () => t.lastInTextNode, () => d.name, () => g.name, () => g.before(""), () => end.append("x"), () => e.onEndTag(() => {})].map(caught); },
  staleAfterAwait: async () => { const seen = []; await rewrite(`<p>`, ["p", { async element(e) { await 1; seen.push(e.tagName); setTimeout(() => {}, 0); } }], ["p", { element(e) { seen.push(e.tagName); } }]); return seen; },
  asyncHandlers: () => rewrite(`<p>a</p><p>b</p>`, ["p", { async element(e) { await new Promise((r) => setTimeout(r, 5)); e.setInnerContent("async"); e.onEndTag(async (t) => { await 1; t.after("!"); }); } }]),
  asyncOrder: async () => { const seen = []; await rewrite(`<p>a</p><b>`, ["*", { async element(e) { seen.push("1 " + e.tagName); await new Promise((r) => setTimeout(r, 2)); seen.push("2 " + e.tagName); }, text(t) { seen.push("t " + t.text); } }], ["*", { element(e) { seen.push("3 " + e.tagName); } }]); return seen; },
  thisIsHandlers: async () => { class H { n = 0; element() { this.n++; } } const h = new H(); await rewrite(`<p><p>`, ["p", h]); return h.n; },
  throwing: async () => { try { return await rewrite(`<p>a</p>`, ["p", { element() { throw new RangeError("boom"); } }]); } catch (e) { return [e.name, e.message]; } },
  rejecting: async () => { try { return await rewrite(`<p>a</p>`, ["p", { async element() { await 1; throw new SyntaxError("boom2"); } }]); } catch (e) { return [e.name, e.message]; } },
  throwingEnd: async () => { try { return await rewrite(`<p>a</p>`, ["p", { element(e) { e.onEndTag(() => { throw new RangeError("boom3"); }); } }]); } catch (e) { return [e.name, e.message]; } },
  headers: async () => { const r = new HTMLRewriter().transform(new Response("<p>", { status: 404, statusText: "Nope", headers: { "content-type": "text/html", "content-length": "3", etag: '"x"', "set-cookie": "a=b" } })); return [r.status, r.statusText, [...r.headers], await r.text()]; },
  nullBody: async () => { const a = new Response(null, { status: 204 }); return new HTMLRewriter().transform(a) === a; },
  sameObject: async () => { const a = html("x"); const b = new HTMLRewriter().transform(a); return [a === b, a.bodyUsed, await b.text()]; },
  usedBody: async () => { const a = html("x"); await a.text(); return caught(() => new HTMLRewriter().transform(a)); },
  charset1252: async () => { const r = new HTMLRewriter().on("p", { element(e) { e.setAttribute("t", "é☃"); e.append("é☃"); }, text(t) { if (t.text) t.after(String(t.text.length)); } }).transform(new Response(new Uint8Array([60, 112, 62, 233, 128, 60, 47, 112, 62]), { headers: { "content-type": "text/html; charset=windows-1252" } })); return [...new Uint8Array(await r.arrayBuffer())]; },
  charsetBad: () => ["utf-16", "nonsense", "iso-2022-jp", "UTF8", "latin1", "\"utf-8\""].map((c) => [c, caught(() => { new HTMLRewriter().transform(new Response("x", { headers: { "content-type": "text/html; charset=" + c } })); })]),
  streamInsert: () => rewrite(`<p>x</p>`, ["p", { element(e) { e.append(new Response("<i>é</i>").body, { html: true }); e.prepend(new Response("<&>")); e.before(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([226, 130])); c.enqueue(new Uint8Array([172])); c.close(); } })); } }]),
  nonStringContent: () => rewrite(`<p>x</p>`, ["p", { element(e) { e.append(1).append(null).append(undefined).append({}).append(true, {}).append("<", null); } }]),
  chunks: async () => { const enc = new TextEncoder(); const parts = ["<p a=", "'x' b", "><", "b>t", "ex", "t</", "b></p", "><!-", "-c--", ">"]; const s = new ReadableStream({ async pull(c) { const p = parts.shift(); if (p === undefined) c.close(); else { await 1; c.enqueue(enc.encode(p)); } } }); const seen = []; const out = await new HTMLRewriter().on("p", { element(e) { seen.push([...e.attributes]); e.setAttribute("c", "d"); } }).on("b", { text(t) { seen.push([t.text, t.lastInTextNode]); } }).onDocument({ comments(c) { seen.push(c.text); } }).transform(html(s)).text(); return [out, seen]; },
  ambiguous: async () => { try { return await rewrite(`<select><xmp><script>"use strict";</script></select>`, ["*", { element() {} }]); } catch (e) { return e.name; } },
  ambiguousText: async () => { try { return await rewrite(`<select><xmp><script>"use strict";</script></select>`, ["script", { text() {} }]); } catch (e) { return e.name; } },
  nested: () => new HTMLRewriter().on("p", { element(e) { e.append("2"); } }).transform(new HTMLRewriter().on("p", { element(e) { e.append("1"); } }).transform(html("<p>0</p>"))).text(),
  reuse: async () => { const rw = new HTMLRewriter().on("p", { element(e) { e.append("."); } }); return [await rw.transform(html("<p>1</p>")).text(), await rw.transform(html("<p>2</p>")).text()]; },
  selfClosing: () => rewrite(`<svg><circle a=b/><g/></svg><div/>x</div>`, ["circle", { element(e) { e.setAttribute("c", "d"); } }], ["g", { element(e) { e.setAttribute("c", "d"); e.append("in"); } }], ["div", { element(e) { e.setAttribute("c", "d"); e.append("in"); } }]),
  svgNamespace: async () => { const seen = []; await rewrite(`<svg><a/><foreignObject><p></p></foreignObject></svg><math><mi/></math>`, ["*", { element(e) { seen.push(e.tagName, e.namespaceURI); } }]); return seen; },
  entityText: () => rewrite(`<p>&lt;&amp;</p>`, ["p", { text(t) { if (t.text) t.replace(t.text, { html: true }); } }]),
  surrogate: () => rewrite(`<p></p>`, ["p", { element(e) { e.append("\ud800x"); e.setAttribute("a", "\udc00"); } }]),
  invalidUtf8: async () => { const r = new HTMLRewriter().on("p", { text() {} }).transform(html(new Uint8Array([60, 112, 62, 255, 97, 60, 47, 112, 62, 255]))); return [...new Uint8Array(await r.arrayBuffer())]; },
  duplicateAttributes: async () => { const seen = []; const out = await rewrite(`<p a=1 A=2 b>`, ["p", { element(e) { seen.push(e.getAttribute("a"), [...e.attributes]); e.setAttribute("a", "3"); } }]); return [out, seen]; },
  tostring: () => [Object.prototype.toString.call(new HTMLRewriter()), typeof HTMLRewriter, HTMLRewriter.name, Object.keys(HTMLRewriter.prototype)],
  longText: async () => { let n = 0, len = 0; await rewrite("<p>" + "x".repeat(100000) + "</p>", ["p", { text(t) { n++; len += t.text.length; } }]); return [n > 1, len]; },
};
export default {
  async fetch() {
    const out = {};
    for (const name of Object.keys(cases)) {
      try {
        out[name] = await cases[name]();
      } catch (error) {
        out[name] = `${error.name}: ${error.message}`;
      }
    }
    return Response.json(out);
  },
};
