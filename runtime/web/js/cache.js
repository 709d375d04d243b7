// The Cache API (Service Workers standard, sections 5.4 and 5.5) as far as Workers has it: `caches.default`,
// `caches.open`, `match`, `put` and `delete`. What is kept and for how long is decided outside the isolate.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_cache_delete, op_atoll_cache_match, op_atoll_cache_put } = core.ops;
const {
  JSONStringify,
  RegExpPrototypeExec,
  SafeRegExp,
  StringPrototypeIndexOf,
  StringPrototypeSlice,
  Symbol,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const requests = core.loadExtScript("ext:atoll_web/request.js");
const responses = core.loadExtScript("ext:atoll_web/response.js");
const { HostBody, isHostBody, isUint8Array, Payload } = core.loadExtScript("ext:atoll_web/body.js");
const { pump } = core.loadExtScript("ext:atoll_web/pump.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");
const { plainHeaders } = core.loadExtScript("ext:atoll_web/handler.js");

const INTERNAL = Symbol("internal");
const HTTP = new SafeRegExp(/^https?:/);
const ANY = new SafeRegExp(/(?:^|,)[\t ]*\*[\t ]*(?:,|$)/);
// UTF-16 code units.
const LONGEST_NAME = 1024;

// Method, URL without its fragment and header list of the first argument of each operation.
function keyOf(input, prefix) {
  const request = requests.isRequest(input) ? input : new requests.Request(input);
  const { headers, method, url } = requests.partsOf(request);
  if (RegExpPrototypeExec(HTTP, url) === null) {
    throw new TypeError(`${prefix}: ${JSONStringify(url)} is neither an http: nor an https: URL`);
  }
  const end = StringPrototypeIndexOf(url, "#");
  return {
    method,
    url: end === -1 ? url : StringPrototypeSlice(url, 0, end),
    list: headerLists.serialiseList(headerLists.listOf(headers())),
  };
}

function ignoresMethod(options, prefix) {
  if (options === undefined || options === null) return false;
  if (typeof options !== "object" && typeof options !== "function") {
    throw new TypeError(`${prefix}: the options are not an object`);
  }
  return !!options.ignoreMethod;
}

class Cache {
  // Null for `caches.default`.
  #name;

  constructor(key, name) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#name = name;
  }

  async match(request, options = undefined) {
    const prefix = "Failed to execute 'match' on 'Cache'";
    const name = this.#name;
    webidl.requiredArguments(arguments.length, 1, prefix);
    const { list, method, url } = keyOf(request, prefix);
    if (!ignoresMethod(options, prefix) && method !== "GET") return undefined;
    const reply = await op_atoll_cache_match(currentSlot(), name, url, list);
    const { 0: status, 1: answer, 2: body, 3: here } = reply;
    if (status === 0) return undefined;
    const payload = body === 0 ? null : new Payload(new HostBody(body, null, here !== 0, here === 2));
    return responses.createResponse(status, answer, payload, url, false);
  }

  async put(request, response) {
    const prefix = "Failed to execute 'put' on 'Cache'";
    const name = this.#name;
    webidl.requiredArguments(arguments.length, 2, prefix);
    const { list, method, url } = keyOf(request, prefix);
    if (!responses.isResponse(response)) {
      throw new TypeError(`${prefix}: the second argument is not a Response`);
    }
    if (method !== "GET") {
      throw new TypeError(`${prefix}: cannot cache a response to a request with method ${method}, only with GET`);
    }
    const parts = responses.partsOf(response);
    if (parts.status === 0) throw new TypeError(`${prefix}: cannot cache Response.error()`);
    if (parts.status === 206) {
      throw new TypeError(`${prefix}: cannot cache a response to a range request (206 Partial Content)`);
    }
    const vary = headerLists.listGet(parts.list, "vary");
    if (vary !== null && RegExpPrototypeExec(ANY, vary) !== null) {
      throw new TypeError(`${prefix}: cannot cache a response with 'Vary: *'`);
    }
    const { payload } = parts;
    if (payload?.isUnusable) {
      throw new TypeError(`${prefix}: the response's body was used already; put a clone() of it`);
    }
    let headers = plainHeaders(parts.list, parts.isEncoded);
    let bytes = null;
    let handle = 0;
    let pipe = null;
    if (payload !== null) {
      const { direct } = payload;
      if (direct !== null) payload.markUsed();
      if (typeof direct === "string") {
        bytes = core.encode(direct);
      } else if (isUint8Array(direct)) {
        bytes = direct;
      } else if (isHostBody(direct)) {
        headers = headerLists.serialiseList(parts.list);
        handle = direct.take();
      } else {
        pipe = pump(direct === null ? payload.stream : direct.stream());
      }
    }
    try {
      const head = `${parts.status}\n${headers}`;
      await op_atoll_cache_put(currentSlot(), name, url, list, head, bytes, handle, pipe?.handle ?? 0);
    } catch (error) {
      pipe?.cancel(error);
      throw error;
    }
  }

  async delete(request, options = undefined) {
    const prefix = "Failed to execute 'delete' on 'Cache'";
    const name = this.#name;
    webidl.requiredArguments(arguments.length, 1, prefix);
    const { list, method, url } = keyOf(request, prefix);
    if (!ignoresMethod(options, prefix) && method !== "GET") return false;
    return await op_atoll_cache_delete(currentSlot(), name, url, list);
  }
}
webidl.configureInterface(Cache);

class CacheStorage {
  #default = new Cache(INTERNAL, null);

  constructor(key) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
  }

  get default() {
    return this.#default;
  }

  async open(cacheName) {
    const prefix = "Failed to execute 'open' on 'CacheStorage'";
    this.#default;
    webidl.requiredArguments(arguments.length, 1, prefix);
    const name = webidl.converters.DOMString(cacheName, prefix, "Argument 1");
    if (name.length > LONGEST_NAME) {
      throw new TypeError(`${prefix}: the name has ${name.length} characters, the limit is ${LONGEST_NAME}`);
    }
    return new Cache(INTERNAL, name);
  }
}
webidl.configureInterface(CacheStorage);

return { Cache, caches: new CacheStorage(INTERNAL), CacheStorage };
})();
