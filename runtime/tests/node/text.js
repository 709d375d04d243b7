// Calls of the modules that deal with text, values and names.

const circular = () => {
  const value = { name: "c" };
  value.self = value;
  return value;
};

export const cases = {
  util: [
    ({ parseEnv }) => [
      "A=1", "A = 1 ", "export A=1", "A='x y' # c", "A=\"x\\ny\"", "A='x\\ny'", "A=`b'q\"`", "A=1 # c", "A=1#c", "#A=1\nB=2", "A=\nB=2", "A", "=1",
      "A='x\ny'\nB=1", "A=\"x", "A='x' y", "  A=1", "A=1\r\nB=2\r\n", "A==", "A=a=b", "A=\"\"", "A=' '", "A.B=1", "1A=2", "A B=1", "A='#x'", "A=x\\#y",
      "export  A=1", "A=\"x\\\"y\"", "A='x'\nA='y'", "A=`m\nn`", "__proto__=1", "A=$B", "\n\n A=1\n\n", "A=\"a\nb # c\"\nC=d", "A: 1", "A='", "A=#x",
      "A= 'x' ", "K=\"v\"trail\nL=1", "A=\"x\nB=1", "A='x\nB=1 'z", "A\nB=1", "A\n\nB=1\n=x\nC=3", "A= \nB=1", "export A", "A=\n\nB=1", "A='a'b'c'", "A=b\"c\"d", "A=' #x\nB=2",
    ].map((text) => parseEnv(text)),
    ({ parseEnv }) => parseEnv(5),
    ({ getSystemErrorMap, getSystemErrorName }) => [getSystemErrorMap(), [-1, -2, -111, -3008, -4095].map((number) => getSystemErrorName(number))],
    ({ _exceptionWithHostPort }) => [[-111, "connect", "1.2.3.4", 80], [-98, "listen", "/path"], [-98, "bind", "1.2.3.4", 80, "more"]].map((list) => {
      const { address, code, errno, message, port, syscall } = _exceptionWithHostPort(...list);
      return [address, code, errno, message, port, syscall];
    }),
    ({ inspect }) => inspect({ a: 1, b: "x", c: [1, 2, { d: new Map([[1, { e: new Set([1]) }]]) }] }),
    ({ inspect }) => inspect({ a: { b: { c: { d: 1 } } } }, { depth: 0 }),
    ({ inspect }) => inspect({ a: { b: { c: { d: 1 } } } }, { depth: Infinity, compact: false }),
    ({ inspect }) => inspect(circular()),
    ({ inspect }) => inspect([1, , 3]),
    ({ inspect }) => inspect(new Array(200).fill(7)),
    ({ inspect }) => inspect("it's"),
    ({ inspect }) => inspect("a\n\"b\"'c'"),
    ({ inspect }) => [inspect(-0), inspect(10n), inspect(Symbol("s")), inspect(undefined), inspect(null)],
    ({ inspect }) => [inspect(class A {}), inspect(class B extends Map {}), inspect(function f() {}), inspect(() => {}), inspect(async () => {})],
    ({ inspect }) => inspect(new (class Foo {
      constructor() {
        this.x = 1;
      }
    })()),
    ({ inspect }) => inspect(Object.create(null, { a: { value: 1, enumerable: true } })),
    ({ inspect }) => inspect({ get a() {
      return 1;
    }, set b(v) {} }),
    ({ inspect }) => inspect({ get a() {
      return 1;
    } }, { getters: true }),
    ({ inspect }) => [inspect(new Date(0)), inspect(/x/gi), inspect(new Error("e")).split("\n")[0]],
    ({ inspect }) => inspect(new Uint8Array(3)),
    ({ inspect }) => inspect(Promise.resolve(4)),
    ({ inspect }) => inspect(new Promise(() => {})),
    ({ inspect }) => inspect(new Proxy({ a: 1 }, {}), { showProxy: true }),
    ({ inspect }) => [inspect(new Map([[1, 2]]).entries()), inspect(new Set([1]).values())],
    ({ inspect }) => inspect(new WeakMap()),
    ({ inspect }) => inspect({ [inspect.custom]: (depth, options) => `custom ${depth} ${options.compact}` }),
    ({ inspect }) => inspect({ a: 1, b: "x" }, { colors: true }),
    ({ inspect }) => inspect({ b: 1, a: 2 }, { sorted: true }),
    ({ inspect }) => inspect("x".repeat(200), { maxStringLength: 10 }),
    ({ inspect }) => inspect(Array.from({ length: 30 }, (_, i) => `item ${i}`)),
    ({ inspect }) => inspect(new Map([["k", { deep: [1, 2, 3] }]]), { compact: 1, breakLength: 20 }),
    ({ inspect }) => [inspect(new Number(3)), inspect(new String("abc")), inspect(Object(1n))],
    ({ inspect }) => inspect(Buffer.from("abc")),
    ({ inspect }) => inspect((function () {
      return arguments;
    })(1, 2)),
    ({ inspect }) => inspect(123456789.12, { numericSeparator: true }),
    ({ format }) => format("%s %d %i %f %j %%", "s", "42", 3.9, "1.5", { a: 1 }),
    ({ format }) => format("%o %O", { a: [1] }, { b: { c: { d: {} } } }),
    ({ format }) => format("a", "b", { c: 1 }, 5),
    ({ format }) => format("%s", null, undefined, Symbol("x")),
    ({ format }) => [format("%s", () => 1), format("%s", { toString: () => "z" }), format("%s", -0), format("%s", 12n)],
    ({ format }) => [format("%d", "0x10"), format("%i", "x"), format("%c|", "css"), format("%x", 1), format("%")],
    ({ format }) => format("%j", circular()),
    ({ formatWithOptions }) => formatWithOptions({ compact: false }, "%O", { a: 1 }),
    ({ isDeepStrictEqual }) => [
      isDeepStrictEqual({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }),
      isDeepStrictEqual([1], ["1"]),
      isDeepStrictEqual(new Set([{ a: 1 }]), new Set([{ a: 1 }])),
      isDeepStrictEqual(new Map([[1, NaN]]), new Map([[1, NaN]])),
      isDeepStrictEqual(-0, 0),
      isDeepStrictEqual(new Date(1), new Date(1)),
      isDeepStrictEqual(circular(), circular()),
    ],
    async ({ promisify }) => promisify((a, done) => done(null, a + 1))(1),
    async ({ promisify }) => promisify((done) => done(new Error("no")))(),
    async ({ promisify }) => promisify(setTimeout)(1, "after"),
    ({ promisify }) => promisify(5),
    async ({ callbackify }) => new Promise((resolve) => callbackify(async (a) => a * 2)(4, (error, value) => resolve([error, value]))),
    async ({ callbackify }) => new Promise((resolve) => callbackify(() => Promise.reject(null))((error) => resolve(error))),
    ({ inherits }) => {
      function A() {}
      function B() {}
      inherits(A, B);
      return [new A() instanceof B, A.super_ === B];
    },
    ({ inherits }) => inherits(null, class {}),
    ({ types }) => [
      types.isPromise(Promise.resolve()), types.isRegExp(/x/), types.isDate({}), types.isProxy(new Proxy({}, {})),
      types.isUint8Array(Buffer.alloc(1)), types.isGeneratorFunction(function* () {}), types.isBoxedPrimitive(Object(1)),
      types.isAnyArrayBuffer(new ArrayBuffer(1)), types.isNativeError(new TypeError()), types.isAsyncFunction(async () => {}),
    ],
    ({ deprecate }) => deprecate((a) => a + 1, "old", "DEP1")(1),
    ({ stripVTControlCharacters }) => stripVTControlCharacters("\u001b[31mred\u001b[0m"),
    ({ toUSVString }) => toUSVString("a\ud800b"),
    ({ parseArgs }) => parseArgs({ args: ["-v", "--name", "x", "--n=3", "pos"], options: { v: { type: "boolean", short: "v" }, name: { type: "string" }, n: { type: "string" } }, allowPositionals: true }),
    ({ parseArgs }) => parseArgs({ args: ["--nope"], options: {} }),
    ({ parseArgs }) => parseArgs({ args: ["-abx"], options: { a: { type: "boolean", short: "a" }, b: { type: "string", short: "b", multiple: true } } }),
    ({ parseArgs }) => parseArgs({ args: ["--a=1"], options: { a: { type: "boolean" } } }),
    ({ parseArgs }) => parseArgs({ args: ["pos"], options: {} }),
    ({ MIMEType }) => String(new MIMEType("Text/HTML; Charset=\"utf-8\"; a=b")),
    ({ MIMEType }) => new MIMEType("nope"),
    ({ TextEncoder }) => new TextEncoder().encode("é"),
    ({ getSystemErrorName }) => getSystemErrorName(-2),
    ({ debuglog }) => typeof debuglog("x"),
    ({ isArray, isString }) => [isArray([]), isString("")],
    ({ types }) => types.isExternal({}),
  ],
  path: [
    (path) => [path.join("/a", "..", "b", "./c"), path.join(""), path.join("a", "", "..", "..")],
    (path) => [path.normalize("/a//b/../c/."), path.normalize("./"), path.normalize("")],
    (path) => [path.resolve("/a", "b", "../c"), path.resolve("/a", "/b")],
    (path) => [path.relative("/a/b/c", "/a/d"), path.relative("/a", "/a"), path.relative("/a/b", "/a/b/c")],
    (path) => [path.basename("/a/b.txt"), path.basename("/a/b.txt", ".txt"), path.basename("/a/"), path.basename("")],
    (path) => [path.dirname("/a/b/c"), path.dirname("/"), path.dirname("a"), path.dirname("")],
    (path) => [path.extname("a.b.c"), path.extname(".bashrc"), path.extname("a."), path.extname("a")],
    (path) => [path.parse("/srv/u/file.txt"), path.parse("./a"), path.parse("/")],
    (path) => path.format({ dir: "/a", name: "b", ext: ".c" }),
    (path) => [path.isAbsolute("/a"), path.isAbsolute("a"), path.sep, path.delimiter],
    (path) => path.join("a", 5),
    (path) => [path.win32.join("a", "b"), path.win32.parse("C:\\a\\b.c"), path.win32.relative("C:\\a", "C:\\b"), path.win32.isAbsolute("C:/")],
    (path) => [path.posix === path, path.win32.normalize("C:/a/../b")],
  ],
  url: [
    ({ parse }) => Object.entries(parse("http://user:pa%20ss@Example.com:8080/p/a/t/h?query=string#hash")).sort(),
    ({ parse }) => parse("/a?b=c&b=d", true).query,
    ({ parse }) => parse("//host/path", false, true).host,
    ({ parse }) => parse("mailto:a@b.c").href,
    ({ parse }) => parse(5),
    ({ format }) => format({ protocol: "https", hostname: "x.y", pathname: "/p", query: { a: 1, b: [2, 3] } }),
    ({ format, URL }) => format(new URL("http://u:p@xn--fsq.com/a?b#c"), { auth: false, fragment: false, search: false, unicode: true }),
    ({ resolve }) => [resolve("/one/two/three", "four"), resolve("http://a.com/b", "../c"), resolve("http://a.com/", "//b.com/x")],
    ({ fileURLToPath }) => fileURLToPath("file:///a%20b/c"),
    ({ fileURLToPath }) => fileURLToPath("http://a/"),
    ({ fileURLToPath }) => fileURLToPath("file:///a%2fb"),
    ({ fileURLToPath }) => fileURLToPath("file://host/a"),
    ({ pathToFileURL }) => pathToFileURL("/a b/c#d?e%").href,
    ({ domainToASCII, domainToUnicode }) => [domainToASCII("español.com"), domainToUnicode("xn--espaol-zwa.com"), domainToASCII("xn--iñvalid.com")],
    ({ urlToHttpOptions, URL }) => {
      const { path, hostname, port, auth, protocol } = urlToHttpOptions(new URL("https://a:b@x.com:81/p?q"));
      return [path, hostname, port, auth, protocol];
    },
    ({ URL, URLSearchParams }) => [new URL("a", "http://b").href, String(new URLSearchParams({ a: "1 2" }))],
  ],
  querystring: [
    ({ parse }) => ({ ...parse("a=1&b=2&a=3&c=%20x+y&d") }),
    ({ parse }) => ({ ...parse("a:1;b:2", ";", ":") }),
    ({ parse }) => ({ ...parse("a=1&b=2&c=3", null, null, { maxKeys: 2 }) }),
    ({ parse }) => ({ ...parse("a=%zz&b=%E4%BD") }),
    ({ stringify }) => stringify({ a: 1, b: [2, "x y"], c: "é", d: true, e: null, f: 5n }),
    ({ stringify }) => stringify({ a: 1, b: 2 }, ";", ":"),
    ({ escape, unescape }) => [escape("a b&c/é"), unescape("a%20b%zz")],
    ({ decode, parse }) => decode === parse,
  ],
  punycode: [
    ({ encode, decode }) => [encode("mañana"), decode("maana-pta")],
    ({ toASCII, toUnicode }) => [toASCII("mañana.com"), toUnicode("xn--maana-pta.com")],
    ({ ucs2 }) => [ucs2.decode("a🎉"), ucs2.encode([97, 0x1f389])],
  ],
  assert: [
    (assert) => assert(true),
    (assert) => assert.ok(1),
    (assert) => assert.equal(1, "1"),
    (assert) => assert.strictEqual(1, 1),
    (assert) => {
      try {
        assert.strictEqual(1, 2);
      } catch (error) {
        return [error.name, error.code, error.actual, error.expected, error.operator, error.generatedMessage, error instanceof assert.AssertionError];
      }
    },
    (assert) => assert.ok(false, "my message"),
    (assert) => assert.equal(1, 2),
    (assert) => assert.notEqual(1, 1),
    (assert) => assert.deepStrictEqual({ a: [1] }, { a: [1] }),
    (assert) => {
      try {
        assert.deepStrictEqual({ a: 1 }, { a: 2 });
      } catch (error) {
        return [error.code, error.operator];
      }
    },
    (assert) => assert.deepEqual([1, "2"], ["1", 2]),
    (assert) => assert.notDeepStrictEqual({ a: 1 }, { a: 1 }, "same"),
    (assert) => assert.throws(() => {
      throw new TypeError("bad");
    }, TypeError),
    (assert) => assert.throws(() => {
      throw new TypeError("bad");
    }, { name: "TypeError", message: "bad" }),
    (assert) => assert.throws(() => {}),
    (assert) => assert.doesNotThrow(() => {
      throw new Error("x");
    }),
    async (assert) => assert.rejects(Promise.reject(new Error("r")), /r/),
    async (assert) => assert.rejects(Promise.resolve()),
    (assert) => assert.ifError(null),
    (assert) => assert.ifError(new Error("e")),
    (assert) => assert.match("abc", /x/),
    (assert) => assert.fail("failed"),
    (assert) => assert.fail(),
    (assert) => [assert.strict.equal === assert.strictEqual, typeof assert.strict],
  ],
  diagnostics_channel: [
    ({ channel, subscribe, unsubscribe, hasSubscribers }) => {
      const log = [];
      const f = (message, name) => log.push([message, name]);
      subscribe("c", f);
      channel("c").publish(1);
      const had = hasSubscribers("c");
      unsubscribe("c", f);
      channel("c").publish(2);
      return [log, had, hasSubscribers("c"), channel("c") === channel("c")];
    },
    ({ tracingChannel }) => {
      const log = [];
      const traced = tracingChannel("t");
      traced.subscribe({ start: () => log.push("start"), end: ({ result }) => log.push(["end", result]) });
      return [traced.traceSync((a) => a + 1, {}, null, 1), log];
    },
    async ({ tracingChannel }) => {
      const log = [];
      const traced = tracingChannel("p");
      for (const name of ["start", "end", "asyncStart", "asyncEnd", "error"]) traced[name].subscribe(() => log.push(name));
      await traced.tracePromise(async () => 1).catch(() => {});
      await traced.tracePromise(async () => {
        throw new Error("x");
      }).catch(() => {});
      return log;
    },
    ({ channel }) => channel(5),
  ],
  process: [
    (process) => [typeof process.env, process.platform, typeof process.version, process.version[0]],
    (process) => {
      process.env.NUMBER = 5;
      return process.env.NUMBER;
    },
    async (process) => new Promise((resolve) => process.nextTick((a, b) => resolve([a, b]), 1, 2)),
    (process) => [Array.isArray(process.hrtime()), typeof process.hrtime.bigint(), process.hrtime([0, 0]).length],
    (process) => process.nextTick(5),
    (process) => [typeof process.on, typeof process.emitWarning, typeof process.cwd(), process.argv.length > 0],
    (process) => [typeof process.uptime(), typeof process.memoryUsage().rss, process.exitCode],
    (process) => Object.prototype.toString.call(process),
  ],
  os: [
    ({ constants }) => ["dlopen", "errno", "priority", "signals"].map((kind) => Object.entries(constants[kind]).sort(([a], [b]) => a < b ? -1 : 1)),
    (os) => [os.EOL, os.endianness(), os.platform(), os.type(), os.tmpdir(), os.devNull],
    (os) => [os.constants.signals.SIGINT, os.constants.errno.ENOENT, Array.isArray(os.cpus())],
  ],
  constants: [
    ({ OPENSSL_VERSION_NUMBER, defaultCipherList, defaultCoreCipherList, ...others }) => Object.entries(others).sort(([a], [b]) => a < b ? -1 : 1),
  ],
  perf_hooks: [
    ({ constants }) => constants,
    ({ performance }) => {
      class Point {
        constructor(x, y) {
          this.sum = x + y;
        }
      }
      const timed = performance.timerify(function add(a, b) {
        return a + b;
      });
      return [timed(1, 2), timed.name, timed.length, new (performance.timerify(Point))(1, 2).sum];
    },
    ({ performance }) => performance.timerify(1),
    ({ performance }) => [Object.keys(performance.eventLoopUtilization()), performance.nodeTiming.name],
  ],
  http: [
    ({ Agent }) => [{}, { host: "a.example", port: 80 }, { host: "a.example", port: 80, localAddress: "1.2.3.4", family: 6 }, { socketPath: "/x" }, undefined]
      .map((options) => new Agent().getName(options)),
    ({ Agent }) => [new Agent().maxSockets, new Agent().scheduling, new Agent({ keepAliveMsecs: 5 }).keepAliveMsecs, new Agent().totalSocketCount],
  ],
  net: [
    ({ isIP }) => ["1.2.3.4", "::1", "1.2.3", "fe80::1%eth0", "", "1.2.3.4."].map(isIP),
    ({ BlockList }) => {
      const list = new BlockList();
      list.addAddress("123.123.123.123");
      list.addRange("10.0.0.1", "10.0.0.10");
      list.addSubnet("8592:757c:efae:4e45::1", 64, "ipv6");
      list.addSubnet("192.168.7.9", 16);
      const asked = [
        ["123.123.123.123"], ["10.0.0.3"], ["10.0.0.11"], ["222.111.111.222"], ["192.168.255.255"], ["192.169.0.0"],
        ["::ffff:7b7b:7b7b", "ipv6"], ["::ffff:123.123.123.123", "ipv6"], ["8592:757c:efae:4e45:ffff::", "ipv6"],
        ["8592:757c:efae:4e46::", "ipv6"], ["nothing"], ["::1"],
      ];
      return [asked.map((args) => list.check(...args)), list.rules];
    },
    ({ BlockList, SocketAddress }) => {
      const list = new BlockList();
      list.addAddress(new SocketAddress({ address: "1.2.3.4" }));
      return [list.check(new SocketAddress({ address: "1.2.3.4", port: 5 })), list.check("1.2.3.5"), list.rules];
    },
    ({ BlockList }) => new BlockList().addAddress("1.2.3"),
    ({ BlockList }) => new BlockList().addAddress(1),
    ({ BlockList }) => new BlockList().addAddress("1.2.3.4", "ipv5"),
    ({ BlockList }) => new BlockList().addRange("1.2.3.4", "1.2.3.3"),
    ({ BlockList }) => new BlockList().addSubnet("1.2.3.4", 33),
    ({ BlockList }) => new BlockList().addSubnet("1.2.3.4", "8"),
    ({ BlockList }) => new BlockList().check(5),
    ({ BlockList }) => {
      const list = new BlockList();
      list.addSubnet("0.0.0.0", 0);
      return [list.check("255.255.255.255"), list.check("::1", "ipv6"), list.check("::ffff:1.1.1.1", "ipv6")];
    },
    ({ SocketAddress }) => [
      { address: "1.2.3.4", port: 80 }, { family: "ipv6" }, {}, { address: "2001:DB8:0:0:0:0:0:1", family: "IPv6", flowlabel: 7 },
      { address: "::ffff:1.2.3.4", family: "ipv6", port: 443 },
    ].map((options) => {
      const { address, family, flowlabel, port } = new SocketAddress(options);
      return [address, family, flowlabel, port];
    }),
    ({ SocketAddress }) => SocketAddress.isSocketAddress(new SocketAddress()) && !SocketAddress.isSocketAddress({}),
    ({ SocketAddress }) => new SocketAddress({ address: "::1" }),
    ({ SocketAddress }) => new SocketAddress({ address: 1 }),
    ({ SocketAddress }) => new SocketAddress({ family: "ipv5" }),
    ({ SocketAddress }) => new SocketAddress({ port: 65536 }),
    ({ SocketAddress }) => new SocketAddress({ flowlabel: -1 }),
    ({ SocketAddress }) => new SocketAddress(5),
  ],
  module: [
    ({ wrap }) => wrap("x"),
    ({ _nodeModulePaths }) => ["/a/b", "/a/node_modules/b", "/", "/node_modules"].map((from) => _nodeModulePaths(from)),
    ({ Module }) => {
      const made = new Module("/a/b.js");
      return [Object.keys(made).filter((key) => key !== "children"), made.path, made.require("path") === Module._load("path"), Module._load("node:path").sep];
    },
    ({ Module, createRequire }) => {
      const load = Module._load;
      const seen = [];
      Module._load = function (name) {
        seen.push(name);
        return Reflect.apply(load, this, arguments);
      };
      try {
        return [createRequire("/x/")("path").sep, seen];
      } finally {
        Module._load = load;
      }
    },
    ({ _load }) => {
      try {
        _load("lodash-that-is-not-there");
      } catch ({ code }) {
        return code;
      }
    },
    ({ createRequire, _resolveFilename }) => [createRequire("/x/").resolve("path"), _resolveFilename("path"), typeof createRequire("/x/").cache],
    ({ createRequire }) => createRequire("/x/")("path").join("a", "b"),
    ({ createRequire }) => createRequire("file:///x")("node:util") === createRequire("file:///x")("util"),
    ({ createRequire }) => createRequire("relative"),
    ({ builtinModules }) => builtinModules.includes("buffer"),
    ({ isBuiltin }) => [isBuiltin("node:path"), isBuiltin("path"), isBuiltin("lodash")],
  ],
  "stream/consumers": [
    async ({ text, json, buffer, arrayBuffer }) => [
      await text(new Response("té").body), await json(new Response("[1]").body), await buffer(new Response("b").body),
      (await arrayBuffer(new Response("abc").body)).byteLength,
    ],
  ],
  "util/types": [
    ({ isTypedArray, isMap }) => [isTypedArray(new Uint8Array()), isTypedArray(new DataView(new ArrayBuffer(1))), isMap(new Map())],
  ],
};
