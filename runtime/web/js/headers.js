// Headers (Fetch standard, section 5.1).

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayPrototypeJoin,
  ArrayPrototypePush,
  ArrayPrototypeSlice,
  ArrayPrototypeSort,
  ArrayPrototypeSplice,
  ReflectGetOwnPropertyDescriptor,
  ReflectOwnKeys,
  RegExpPrototypeExec,
  SafeRegExp,
  StringPrototypeCharCodeAt,
  StringPrototypeIndexOf,
  StringPrototypeSlice,
  StringPrototypeSplit,
  StringPrototypeToLowerCase,
  SymbolFor,
  SymbolIterator,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { definePairIterable } = core.loadExtScript("ext:atoll_web/iteration.js");

const TOKEN = new SafeRegExp(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);

// Names that most requests and answers have, as they are commonly written, to their lower case. A snapshot keeps no
// compiled regular expressions, so that the first name which is not here costs the isolate a compilation.
const KNOWN = { __proto__: null };
for (
  const name of [
    "Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers", "Access-Control-Max-Age", "Access-Control-Request-Headers",
    "Access-Control-Request-Method", "Age", "Allow", "Authorization", "Cache-Control", "Cache-Tag", "CDN-Cache-Control",
    "CF-Connecting-IP", "Connection", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
    "Content-Location", "Content-Range", "Content-Security-Policy", "Content-Type", "Cookie",
    "Cross-Origin-Embedder-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Date", "ETag",
    "Expires", "Forwarded", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since",
    "Last-Modified", "Link", "Location", "Origin", "Permissions-Policy", "Pragma", "Range", "Referer",
    "Referrer-Policy", "Retry-After", "Server", "Server-Timing", "Set-Cookie", "Strict-Transport-Security", "Trailer",
    "Transfer-Encoding", "Upgrade", "User-Agent", "Vary", "Via", "WWW-Authenticate", "X-Content-Type-Options",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Frame-Options", "X-Powered-By", "X-Real-IP",
    "X-Request-ID", "X-Requested-With", "X-XSS-Protection",
  ]
) {
  KNOWN[name] = KNOWN[StringPrototypeToLowerCase(name)] = StringPrototypeToLowerCase(name);
}

const contains = (string, part) => StringPrototypeIndexOf(string, part) !== -1;
const isWhitespace = (code) => code === 0x20 || code === 0x09 || code === 0x0A || code === 0x0D;

function normaliseName(name) {
  if (typeof name !== "string") {
    name = webidl.converters.ByteString(name, "Headers", "the name");
  }
  const known = KNOWN[name];
  if (known !== undefined) return known;
  if (RegExpPrototypeExec(TOKEN, name) === null) {
    throw new TypeError(`Invalid header name: ${quote(name)}`);
  }
  return StringPrototypeToLowerCase(name);
}

function normaliseValue(value) {
  value = webidl.converters.ByteString(value, "Headers", "the value");
  let start = 0;
  let end = value.length;
  while (start < end && isWhitespace(StringPrototypeCharCodeAt(value, start))) start++;
  while (end > start && isWhitespace(StringPrototypeCharCodeAt(value, end - 1))) end--;
  if (start !== 0 || end !== value.length) {
    value = StringPrototypeSlice(value, start, end);
  }
  if (contains(value, "\n") || contains(value, "\r") || contains(value, "\0")) {
    throw new TypeError(`Invalid header value: ${quote(value)}`);
  }
  return value;
}

function quote(string) {
  return primordials.JSONStringify(string.length > 100 ? `${StringPrototypeSlice(string, 0, 100)}...` : string);
}

// A list is flat: name, value, name, value, ..., names in lower case.
const parseList = (text) => text === "" ? [] : StringPrototypeSplit(text, "\n");
function serialiseList(list) {
  if (list.length === 0) return "";
  // Few strings are put together faster one by one, and many by `join`.
  if (list.length > 16) return ArrayPrototypeJoin(list, "\n");
  let text = `${list[0]}\n${list[1]}`;
  for (let i = 2; i < list.length; i += 2) text = `${text}\n${list[i]}\n${list[i + 1]}`;
  return text;
}

function listGet(list, name) {
  let found = null;
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === name) {
      found = found === null ? list[i + 1] : `${found}, ${list[i + 1]}`;
    }
  }
  return found;
}

function listHas(list, name) {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === name) return true;
  }
  return false;
}

function listDelete(list, name) {
  for (let i = list.length - 2; i >= 0; i -= 2) {
    if (list[i] === name) ArrayPrototypeSplice(list, i, 2);
  }
}

function listSet(list, name, value) {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === name) {
      list[i + 1] = value;
      for (let j = list.length - 2; j > i; j -= 2) {
        if (list[j] === name) ArrayPrototypeSplice(list, j, 2);
      }
      return;
    }
  }
  ArrayPrototypePush(list, name, value);
}

// Fetch standard, "sort and combine": Set-Cookie stays one pair per header.
function sortAndCombine(list) {
  const names = [];
  for (let i = 0; i < list.length; i += 2) {
    if (!primordials.ArrayPrototypeIncludes(names, list[i])) ArrayPrototypePush(names, list[i]);
  }
  ArrayPrototypeSort(names);
  const pairs = [];
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (name === "set-cookie") {
      for (let j = 0; j < list.length; j += 2) {
        if (list[j] === name) ArrayPrototypePush(pairs, [name, list[j + 1]]);
      }
    } else {
      ArrayPrototypePush(pairs, [name, listGet(list, name)]);
    }
  }
  return pairs;
}

const INTERNAL = primordials.Symbol("internal");

// Access to what a Headers object keeps private; set by the class.
let copyHeaders, fromList, fromLoader, listOf, changed, fill;

class Headers {
  // The list; null as long as `#load` can still get it.
  #list = null;
  #load = null;
  #immutable = false;
  // What iteration shows; null after a change.
  #pairs = null;

  constructor(init = undefined) {
    if (init === INTERNAL) return;
    this.#list = [];
    if (init !== undefined) {
      fill(this.#list, init, "Failed to construct 'Headers'");
    }
  }

  append(name, value) {
    const list = this.#writable();
    webidl.requiredArguments(arguments.length, 2, "Failed to execute 'append' on 'Headers'");
    name = normaliseName(name);
    value = normaliseValue(value);
    this.#checkMutable();
    ArrayPrototypePush(list, name, value);
    this.#pairs = null;
  }

  delete(name) {
    const list = this.#writable();
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'delete' on 'Headers'");
    name = normaliseName(name);
    this.#checkMutable();
    listDelete(list, name);
    this.#pairs = null;
  }

  get(name) {
    const list = this.#writable();
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'get' on 'Headers'");
    return listGet(list, normaliseName(name));
  }

  getSetCookie() {
    const list = this.#writable();
    const cookies = [];
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === "set-cookie") ArrayPrototypePush(cookies, list[i + 1]);
    }
    return cookies;
  }

  // Older Workers code reads cookies this way.
  getAll(name) {
    name = normaliseName(name);
    if (name !== "set-cookie") {
      throw new TypeError("getAll() can only be used with the header name \"Set-Cookie\"");
    }
    return this.getSetCookie();
  }

  has(name) {
    const list = this.#writable();
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'has' on 'Headers'");
    return listHas(list, normaliseName(name));
  }

  set(name, value) {
    const list = this.#writable();
    webidl.requiredArguments(arguments.length, 2, "Failed to execute 'set' on 'Headers'");
    name = normaliseName(name);
    value = normaliseValue(value);
    this.#checkMutable();
    listSet(list, name, value);
    this.#pairs = null;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, options) {
    const headers = { __proto__: null };
    const pairs = Headers.#pairsOf(this);
    for (let i = 0; i < pairs.length; i++) {
      const { 0: name, 1: value } = pairs[i];
      headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    return `Headers ${inspect({ ...headers }, options)}`;
  }

  #writable() {
    return this.#list ??= this.#load();
  }

  #checkMutable() {
    if (this.#immutable) {
      throw new TypeError("These headers are immutable: copy them with new Headers(headers) to change them");
    }
  }

  static #pairsOf(headers) {
    return headers.#pairs ??= sortAndCombine(headers.#writable());
  }

  static {
    definePairIterable(this, "Headers", Headers.#pairsOf);

    fromList = (list, immutable = false) => {
      const headers = new Headers(INTERNAL);
      headers.#list = list;
      headers.#immutable = immutable;
      return headers;
    };

    fromLoader = (load) => {
      const headers = new Headers(INTERNAL);
      headers.#load = load;
      headers.#immutable = true;
      return headers;
    };

    // The same list with the same guard, for a clone.
    copyHeaders = (headers) => fromList(ArrayPrototypeSlice(headers.#writable()), headers.#immutable);

    listOf = (headers) => headers.#writable();

    changed = (headers) => {
      headers.#pairs = null;
    };

    fill = (list, init, prefix) => {
      if (init === null || (typeof init !== "object" && typeof init !== "function")) {
        throw new TypeError(`${prefix}: headers must be a Headers object, a list of pairs or a record`);
      }
      if (#list in init && init[SymbolIterator] === Headers.prototype.entries) {
        const other = init.#writable();
        for (let i = 0; i < other.length; i++) ArrayPrototypePush(list, other[i]);
        return;
      }
      if (init[SymbolIterator] !== undefined && init[SymbolIterator] !== null) {
        const pairs = webidl.converters["sequence<sequence<ByteString>>"](init, prefix, "headers");
        for (let i = 0; i < pairs.length; i++) {
          if (pairs[i].length !== 2) {
            throw new TypeError(`${prefix}: a header must be a pair of name and value`);
          }
          ArrayPrototypePush(list, normaliseName(pairs[i][0]), normaliseValue(pairs[i][1]));
        }
        return;
      }
      // Web IDL, section 3.2.23: own keys in their order, each asked for once.
      const names = ReflectOwnKeys(init);
      for (let i = 0; i < names.length; i++) {
        const name = names[i];
        if (ReflectGetOwnPropertyDescriptor(init, name)?.enumerable) {
          ArrayPrototypePush(list, normaliseName(name), normaliseValue(init[name]));
        }
      }
    };
  }
}

webidl.configureInterface(Headers);

return {
  changed,
  copyHeaders,
  copyList: (list) => ArrayPrototypeSlice(list),
  fill,
  fromList,
  fromLoader,
  Headers,
  listDelete,
  listGet,
  listHas,
  listOf,
  listSet,
  parseList,
  serialiseList,
};
})();
