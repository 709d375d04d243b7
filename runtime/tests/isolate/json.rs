//! What is written as JSON: the same by either of V8's ways, and bounded while it is written. See third_party/v8/patches.

use super::*;

/// A writer of JSON in JavaScript, values at the borders of V8's pieces and parts, and a comparison of V8's ways: the fast one,
/// the one that a `null` for the replacer chooses, and the same with toJSON.
const WAYS: &str = r#"
    const quote = (text) => {
      let out = '"';
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i), next = text.charCodeAt(i + 1), last = text.charCodeAt(i - 1);
        const short = { 8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: '"', 92: "\\" }[code];
        const alone = code >= 0xd800 && code <= 0xdfff &&
          !(code < 0xdc00 ? next >= 0xdc00 && next <= 0xdfff : last >= 0xd800 && last < 0xdc00);
        if (short) out += "\\" + short;
        else if (code < 32 || alone) out += "\\u" + code.toString(16).padStart(4, "0");
        else out += text[i];
      }
      return out + '"';
    };
    const write = (value) => {
      if (typeof value === "string") return quote(value);
      if (typeof value === "number") return isFinite(value) ? String(value) : "null";
      if (value === null || typeof value === "boolean") return String(value);
      if (Array.isArray(value)) return "[" + Array.from(value, (of) => write(of) ?? "null").join() + "]";
      if (typeof value !== "object") return undefined;
      const fields = Object.keys(value).map((key) => [quote(key), write(value[key])]);
      return "{" + fields.filter(([, of]) => of !== undefined).map((field) => field.join(":")).join() + "}";
    };
    let checked = 0;
    const same = (value, what) => {
      const wanted = write(value);
      const ways = { fast: JSON.stringify(value), slow: JSON.stringify(value, null),
        replaced: JSON.stringify(value, (_, of) => of), called: JSON.stringify({ toJSON: () => value }) };
      for (const [way, got] of Object.entries(ways)) {
        if (got === wanted) continue;
        let at = 0;
        while (got[at] === wanted[at]) at++;
        throw new Error(`${what}, ${way}: ${got.length} for ${wanted.length}; at ${at}: ${got.slice(at - 20, at + 20)}`);
      }
      checked++;
    };
"#;

#[tokio::test]
async fn every_way_of_writing_json_writes_the_same() {
    let body = r#"
      const kinds = { plain: "abcdefghij", escaped: 'abc"de\\f\n', control: "\u0001", latin: "äöü", two: "aé→b",
        pairs: "😀", alone: "x\ud83d", trail: "\ude00y", mixed: 'q"\u0000→😀\ud83d\ude00\ude00\ud83d' };
      const lengths = [0, 1, 31, 32, 33, 254, 255, 256, 257, 511, 512, 513, 2045, 2046, 2047, 2048, 2049, 4095, 4096, 4097,
        8191, 8193, 16384, 32766, 32767, 32768, 32769, 65535, 65536, 65537, 131072, 200001];
      for (const [kind, unit] of Object.entries(kinds)) {
        for (const length of lengths) {
          const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
          same(text, `${length} of ${kind}`);
          if (length > 70_000) continue;
          const before = "b".repeat((length * 7) % 2100);
          same([before, text, 1, text, null, "é→"], `${length} of ${kind} in an array`);
          same({ before, [text + "k"]: text, n: [1.5, -0, NaN, { [text]: before }], u: undefined, z: text }, `${length} of ${kind} as a key`);
        }
      }
      // Everything around the borders of what is written at once, with what changes the encoding there.
      for (let at = 0; at < 2100; at += 1) {
        const value = ["p".repeat(at % 250), "p".repeat(250), at, "p".repeat(at), true, at % 3 ? "q\"q" : "→", { k: at, "→": "\n" }];
        same(value, `around ${at}`);
      }
      let random = 42;
      const next = (below) => (random = (random * 48271) % 2147483647) % below;
      const units = Object.values(kinds);
      const value = (depth) => {
        const kind = next(depth > 0 ? 8 : 5);
        if (kind < 2) return units[next(units.length)].repeat(next(kind ? 400 : 5)).slice(next(3));
        if (kind === 2) return (next(2) ? 1 : -1) * next(1e9);
        if (kind === 3) return next(1e9) / 1024;
        if (kind === 4) return [null, true, false, undefined, NaN, () => 0, Symbol.iterator][next(7)];
        const made = Array.from({ length: next(12) }, () => value(depth - 1));
        if (kind === 5) return made;
        return Object.fromEntries(made.map((of, i) => [kind === 6 ? "k" + i : units[next(units.length)].repeat(next(80)) + i, of]));
      };
      for (let i = 0; i < 300; i++) same([value(4)], `random ${i}`);
      for (const long of [Array.from({ length: 100_000 }, (_, i) => i), Array.from({ length: 60_000 }, (_, i) => i / 8),
        Array.from({ length: 9000 }, (_, i) => "text " + i), Array.from({ length: 9000 }, (_, i) => i === 8000 ? "→" : { i }),
        Object.assign([1, , 3], { 20_000: "far" }), Object.fromEntries(Array.from({ length: 5000 }, (_, i) => ["key " + i, [i]]))]) {
        same(long, "long");
      }
      // What only one of the ways writes.
      const wrapped = [new Number(1), new String("s".repeat(300)), new Boolean(false), new Date(0), new Proxy([1, 2], {}), Object(Symbol())];
      const is = (got, wanted) => { if (got !== wanted) throw new Error(`${got} for ${wanted}`); };
      is(JSON.stringify(wrapped), `[1,"${"s".repeat(300)}",false,"1970-01-01T00:00:00.000Z",[1,2],{}]`);
      is(JSON.stringify(JSON.rawJSON("1")), "1");
      const digits = "1".repeat(100_000);
      is(JSON.stringify(["→", JSON.rawJSON(digits), JSON.rawJSON('"→"')]), `["→",${digits},"→"]`);
      is(JSON.stringify({ a: [1, { b: "→".repeat(70_000) }] }, null, "\t"), `{\n\t"a": [\n\t\t1,\n\t\t{\n\t\t\t"b": "${"→".repeat(70_000)}"\n\t\t}\n\t]\n}`);
      is(JSON.stringify([1, [2]], null, "→"), "[\n→1,\n→[\n→→2\n→]\n]");
      is(JSON.stringify(1, null, "→"), "1");
      is(JSON.stringify({ a: 1, b: 2, 1: 3 }, ["b", 1, "b", new String("a")]), '{"b":2,"1":3,"a":1}');
      is(JSON.stringify({ a: 1, ...Object.fromEntries(Array.from({ length: 2000 }, (_, i) => ["k" + i, i])) },
        Array.from({ length: 1000 }, (_, i) => "k" + i * 2)),
        "{" + Array.from({ length: 1000 }, (_, i) => `"k${i * 2}":${i * 2}`).join() + "}");
      is(JSON.stringify({ deep: [1, 2n] }, (_, of) => typeof of === "bigint" ? "big" : of), '{"deep":[1,"big"]}');
      const named = (run) => { try { return String(run()); } catch (error) { return `${error.name}: ${error.message}`.split("\n")[0]; } };
      const circle = { text: "x".repeat(10_000) };
      circle.again = [circle];
      for (const way of [undefined, null]) {
        is(named(() => JSON.stringify(circle, way)), "TypeError: Converting circular structure to JSON");
        is(named(() => JSON.stringify([1n], way)), "TypeError: Do not know how to serialize a BigInt");
        is(named(() => JSON.stringify(["x".repeat(1e5), { get of() { throw new Error("own") } }], way)), "Error: own");
      }
      let nested = [];
      for (let i = 0; i < 1e6; i++) nested = [nested];
      is(named(() => JSON.stringify(nested)), "RangeError: Maximum call stack size exceeded");
      return new Response(checked > 2900 ? "same" : String(checked));
    "#;
    let (isolate, log) = handler(&format!("{WAYS}{body}"));
    let answer = isolate.fetch(get("/")).await;
    let answer = answer.map_err(|error| format!("{error:?}: {}", log.text())).unwrap();
    assert_eq!(text(answer).await, "same");
}

/// One text of a megabyte and what writes it so often that the result is larger than the isolate may be.
const MUCH: &[&str] = &[
    "JSON.stringify(new Array(250).fill(text))",
    "JSON.stringify(new Array(100_000).fill(text))",
    "JSON.stringify(new Array(250).fill(text), null)",
    "JSON.stringify(new Array(250).fill(text), null, 2)",
    "JSON.stringify(new Array(250).fill(text), (_, value) => value)",
    "JSON.stringify(new Array(250).fill({ toJSON: () => text }))",
    "JSON.stringify(new Array(250).fill('→' + text))",
    "JSON.stringify(['→', ...new Array(250).fill(text)], null)",
    "JSON.stringify(new Array(250).fill('\\u0001'.repeat(1 << 18)))",
    "JSON.stringify(new Array(250).fill('\\u0001'.repeat(1 << 18)), null)",
    "JSON.stringify(['→'].concat(new Array(50).fill('\\ud800'.repeat(1 << 20))))",
    "JSON.stringify('\\u0001'.repeat(1 << 24))",
    "JSON.stringify('\\u0001'.repeat(1 << 24), null)",
    "JSON.stringify(new Array(1000).fill({ [text]: 1 }))",
    "JSON.stringify(new Array(1000).fill({ [text + '→']: 1 }))",
    "JSON.stringify(new Array(1000).fill({ [text]: 1 }), null)",
    "let value = text; for (let i = 0; i < 8; i++) value = new Array(8).fill(value); JSON.stringify(value)",
    "let value = text; for (let i = 0; i < 8; i++) value = { a: value, b: [value] }; JSON.stringify(value)",
    "let value = [1.5, 'x']; for (let i = 0; i < 26; i++) value = [value, value]; JSON.stringify(value)",
    "let value = [1.5, 'x']; for (let i = 0; i < 26; i++) value = [value, value]; JSON.stringify(value, null)",
    "JSON.stringify(Object.assign([], { length: 2 ** 27 }))",
    "JSON.stringify(new Proxy([], { get: (_, key) => key === 'length' ? 2 ** 28 : undefined }))",
    "JSON.stringify({ a: JSON.rawJSON('1'.repeat(1 << 24)), b: new Array(30).fill(JSON.rawJSON('1'.repeat(1 << 22))) })",
];

/// The text is refused where an array buffer of its size would be, long before it is as long as a string may be.
#[tokio::test]
async fn json_that_is_larger_than_its_isolate_is_refused() {
    for much in MUCH {
        let code = format!(
            "export default {{ fetch() {{
               const text = 'x'.repeat(1 << 20);
               try {{ {much}; }} catch (error) {{ return new Response(`${{error.name}}: ${{error.message}}`); }}
               return new Response('written');
             }} }}"
        );
        let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
        let limits = Limits { memory: 64 << 20, ..patient() };
        let (isolate, _) = start_with(bundle, limits);
        let (calm, _) = handler("return new Response('calm');");
        isolate.started().await.unwrap();
        let (answer, beside) = tokio::join!(isolate.fetch(get("/")), calm.fetch(get("/")));
        match answer {
            Ok(answer) => assert_eq!(text(answer).await, "RangeError: Invalid string length", "{much}"),
            Err(error) => assert!(matches!(error, HandlerError::MemoryLimit { .. }), "{much}: {error:?}"),
        }
        assert_eq!(text(beside.unwrap()).await, "calm");
    }
}

/// What an isolate may hold it may write, also where garbage is in the way, and gets it back.
#[tokio::test]
async fn json_may_be_as_large_as_there_is_room() {
    let body = "const text = 'x'.repeat(1 << 20);
        const lengths = [];
        for (let i = 0; i < 20; i++) {
          lengths.push(JSON.stringify(new Array(30).fill(text)).length, JSON.stringify(new Array(30).fill(text), null, 1).length);
        }
        for (const way of [undefined, null]) {
          for (let i = 0; i < 95; i++) new Uint8Array(1 << 20);
          lengths.push(JSON.stringify(new Array(30).fill(text), way).length);
        }
        return new Response([...new Set(lengths)].join());";
    let (isolate, _) = handler(body);
    let answer = isolate.fetch(get("/")).await.unwrap();
    assert_eq!(text(answer).await, "31457371,31457432");
}

/// A termination is heard while a text is written that takes long.
#[tokio::test]
async fn writing_json_ends_at_the_limit_of_cpu_time() {
    for much in [
        "JSON.stringify(new Array(4000).fill('\\u0001'.repeat(1 << 20)))",
        "JSON.stringify(new Array(4000).fill('\\u0001'.repeat(1 << 20)), null)",
        "JSON.stringify('\\u0001'.repeat(1 << 27))",
        "const deep = new Array(4000).fill(1); let value = deep; for (let i = 0; i < 1000; i++) value = [value];
         for (;;) JSON.stringify(value, null, 10)",
    ] {
        let code = format!("export default {{ fetch() {{ {much}; console.log('written'); }} }}");
        let bundle = bundle(&[("index.js", ModuleKind::EsModule, code.as_bytes())]);
        let limits = Limits { cpu: Duration::from_millis(50), memory: 1 << 30, ..patient() };
        let (isolate, log) = start_with(bundle, limits);
        isolate.started().await.unwrap();
        let answer = isolate.fetch(get("/")).await.map(|response| response.status);
        assert!(matches!(answer, Err(HandlerError::CpuLimit { .. })), "{much}: {answer:?}");
        isolate.ended().await;
        assert!(!log.text().contains("written"), "{much}: {}", log.text());
    }
}
