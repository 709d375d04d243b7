// Which script is which module of Node.js, and what it is given.
//
// A script is a function expression: evaluating it runs nothing of it, so no code that a tenant can reach runs while the
// engine's internals are on the global. The function is called with `require`, and, when it is one of ours, with the few
// operations of the platform it needs. From then on it is code like the tenant's own, with no more rights.

(function () {
const { core, primordials } = __bootstrap;
const { ops } = core;
const {
  Error,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectKeys,
  ReflectApply,
  SafeMap,
  StringPrototypeSlice,
  StringPrototypeStartsWith,
} = primordials;

// The scripts: ours, and bundles of packages from npm.
const own = (file) => ({ __proto__: null, specifier: `ext:atoll_node/${file}`, isPackage: false });
const packaged = (file) => ({ __proto__: null, specifier: `ext:atoll_node_packages/${file}`, isPackage: true });
// A property of another module.
const part = (module, name) => ({ __proto__: null, module, name });
// What only says that it is not there.
const stub = (name) => part("internal/stubs", name);

// What can be imported and required.
const MODULES = {
  __proto__: null,
  "assert": own("assert.js"),
  "assert/strict": part("assert", "strict"),
  "async_hooks": own("async_hooks.js"),
  "buffer": own("buffer.js"),
  "child_process": stub("child_process"),
  "cluster": stub("cluster"),
  "console": own("console.js"),
  "constants": own("constants.js"),
  "crypto": own("crypto.js"),
  "dgram": stub("dgram"),
  "diagnostics_channel": own("diagnostics_channel.js"),
  "dns": stub("dns"),
  "dns/promises": stub("dns/promises"),
  "domain": stub("domain"),
  "events": own("events.js"),
  "fs": stub("fs"),
  "fs/promises": stub("fs/promises"),
  "http": own("http.js"),
  "http2": stub("http2"),
  "https": own("https.js"),
  "inspector": stub("inspector"),
  "inspector/promises": stub("inspector/promises"),
  "module": own("module.js"),
  "net": stub("net"),
  "os": own("os.js"),
  "path": packaged("path.js"),
  "path/posix": part("path", "posix"),
  "path/win32": part("path", "win32"),
  "perf_hooks": own("perf_hooks.js"),
  "process": own("process.js"),
  "punycode": packaged("punycode.js"),
  "querystring": packaged("querystring.js"),
  "readline": stub("readline"),
  "readline/promises": stub("readline/promises"),
  "repl": stub("repl"),
  "stream": own("stream.js"),
  "stream/consumers": own("stream_consumers.js"),
  "stream/promises": part("stream", "promises"),
  "stream/web": own("stream_web.js"),
  "string_decoder": own("string_decoder.js"),
  "sys": own("util.js"),
  "timers": own("timers.js"),
  "timers/promises": part("timers", "promises"),
  "tls": stub("tls"),
  "trace_events": stub("trace_events"),
  "tty": own("tty.js"),
  "url": own("url.js"),
  "util": own("util.js"),
  "util/types": own("util_types.js"),
  "v8": stub("v8"),
  "vm": stub("vm"),
  "wasi": stub("wasi"),
  "worker_threads": stub("worker_threads"),
  "zlib": own("zlib.js"),
};

// What only the modules themselves require.
const INTERNAL = {
  __proto__: null,
  "internal/buffer_numbers": own("buffer_numbers.js"),
  "internal/crypto_ciphers": own("crypto_ciphers.js"),
  "internal/crypto_keys": own("crypto_keys.js"),
  "internal/crypto_der": own("crypto_der.js"),
  "internal/crypto_dh": own("crypto_dh.js"),
  "internal/crypto_ecdh": own("crypto_ecdh.js"),
  "internal/crypto_numbers": own("crypto_numbers.js"),
  "internal/crypto_pairs": own("crypto_pairs.js"),
  "internal/crypto_sealed": own("crypto_sealed.js"),
  "internal/crypto_signing": own("crypto_signing.js"),
  "internal/crypto_x509": own("crypto_x509.js"),
  "internal/crypto_x509_names": own("crypto_x509_names.js"),
  "internal/engine": own("engine.js"),
  "internal/errors": own("errors.js"),
  "internal/http_client": own("http_client.js"),
  "internal/http_messages": own("http_messages.js"),
  "internal/http_server": own("http_server.js"),
  "internal/mime": own("mime.js"),
  "internal/net_addresses": own("net_addresses.js"),
  "internal/parse_args": own("parse_args.js"),
  "internal/parse_env": own("parse_env.js"),
  "internal/stub_names": own("stub_names.js"),
  "internal/stubs": own("stubs.js"),
  "internal/system_errors": own("system_errors.js"),
  "internal/types": own("util_types.js"),
  "packages/assert": packaged("assert.js"),
  "packages/inspect": packaged("inspect.js"),
  "packages/stream": packaged("stream.js"),
  "packages/string_decoder": packaged("string_decoder.js"),
  "packages/url": packaged("url.js"),
};

const internals = {
  __proto__: null,
  AsyncVariable: core.AsyncVariable,
  byteLength: core.byteLength,
  crypto: {
    __proto__: null,
    cipherAad: ops.op_node_cipher_aad,
    cipherFinish: ops.op_node_cipher_finish,
    cipherOpen: ops.op_node_cipher_open,
    cipherUpdate: ops.op_node_cipher_update,
    ecdhGenerate: ops.op_node_ecdh_generate,
    ecdhPublic: ops.op_node_ecdh_public,
    ecdhSecret: ops.op_node_ecdh_secret,
    equal: ops.op_node_equal,
    fillRandom: ops.op_node_random,
    hashCopy: ops.op_node_hash_copy,
    hashFinish: ops.op_node_hash_finish,
    hashOpen: ops.op_node_hash_open,
    hashUpdate: ops.op_node_hash_update,
    importKey: core.loadExtScript("ext:atoll_web/crypto_guard.js").keys.import,
    keyCheck: ops.op_node_key_check,
    keyFromSec1: ops.op_node_key_from_sec1,
    keyGenerate: ops.op_node_key_generate,
    keyMaterial: core.loadExtScript("ext:atoll_web/crypto_guard.js").keys.material,
    keyPublic: ops.op_node_key_public,
    keySec1: ops.op_node_key_sec1,
    pbkdf2Open: ops.op_node_pbkdf2_open,
    pbkdf2Step: ops.op_node_pbkdf2_step,
    rsaEncrypt: ops.op_node_rsa_encrypt,
    rsaPrivate: ops.op_node_rsa_private,
    scrypt: ops.op_node_scrypt,
    sign: ops.op_node_sign,
    verify: ops.op_node_verify,
  },
  environment: ops.op_atoll_env,
  fetch: core.loadExtScript("ext:atoll_web/fetch.js").fetch,
  getAsyncContext: core.getAsyncContext,
  getPromiseDetails: core.getPromiseDetails,
  getProxyDetails: core.getProxyDetails,
  previewEntries: ops.op_preview_entries,
  setAsyncContext: core.setAsyncContext,
  textOf: ops.op_node_text,
  timers: core.loadExtScript("ext:atoll_node/timer_objects.js"),
  types: {
    __proto__: null,
    isAnyArrayBuffer: core.isAnyArrayBuffer,
    isArgumentsObject: core.isArgumentsObject,
    isArrayBuffer: core.isArrayBuffer,
    isAsyncFunction: core.isAsyncFunction,
    isBigIntObject: core.isBigIntObject,
    isBooleanObject: core.isBooleanObject,
    isBoxedPrimitive: core.isBoxedPrimitive,
    isDataView: core.isDataView,
    isDate: core.isDate,
    isGeneratorFunction: core.isGeneratorFunction,
    isGeneratorObject: core.isGeneratorObject,
    isMap: core.isMap,
    isMapIterator: core.isMapIterator,
    isModuleNamespaceObject: core.isModuleNamespaceObject,
    isNativeError: core.isNativeError,
    isNumberObject: core.isNumberObject,
    isPromise: core.isPromise,
    isProxy: core.isProxy,
    isRegExp: core.isRegExp,
    isSet: core.isSet,
    isSetIterator: core.isSetIterator,
    isSharedArrayBuffer: core.isSharedArrayBuffer,
    isStringObject: core.isStringObject,
    isSymbolObject: core.isSymbolObject,
    isWeakMap: core.isWeakMap,
    isWeakSet: core.isWeakSet,
  },
  writeText: ops.op_node_write,
  zlib: {
    __proto__: null,
    close: ops.op_node_zlib_close,
    finish: ops.op_node_zlib_finish,
    flush: ops.op_node_zlib_flush,
    open: ops.op_node_zlib_open,
    write: ops.op_node_zlib_write,
  },
};

const loaded = new SafeMap();

function require(name) {
  const entry = MODULES[name] ?? INTERNAL[name];
  if (entry === undefined) throw new Error(`There is no module ${name} in the platform`);
  if (entry.module !== undefined) return require(entry.module)[entry.name];
  const { specifier } = entry;
  const cached = MapPrototypeGet(loaded, specifier);
  if (cached !== undefined) return cached.exports;
  const factory = core.loadExtScript(specifier);
  const exports = entry.isPackage ? factory(require) : factory(require, internals);
  MapPrototypeSet(loaded, specifier, { __proto__: null, exports });
  return exports;
}

// The module `name`, with or without the prefix `node:`; `undefined` when there is none.
function builtin(name) {
  if (StringPrototypeStartsWith(name, "node:")) name = StringPrototypeSlice(name, 5);
  return MODULES[name] === undefined ? undefined : require(name);
}

internals.builtin = builtin;
internals.builtinModules = ObjectKeys(MODULES);

// A global that Node.js has beside those of the web.
function nodeGlobal(name) {
  switch (name) {
    case "Buffer":
      return require("buffer").Buffer;
    default:
      return require("process");
  }
}

// An error with a code and a message of Node.js's.
const nodeError = (...args) => ReflectApply(require("internal/errors").nodeError, undefined, args);

// The exports of `cloudflare:node`.
const cloudflare = () => require("internal/http_server").cloudflare;

return { builtin, cloudflare, nodeError, nodeGlobal };
})();
