// Request (Fetch standard, section 5.4).

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_request_body, op_atoll_request_cf, op_atoll_request_headers } = core.ops;
const {
  JSONParse,
  ObjectPrototypeIsPrototypeOf,
  RegExpPrototypeExec,
  SafeArrayIterator,
  SafeRegExp,
  StringPrototypeToUpperCase,
  Symbol,
  SymbolFor,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const abortSignals = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const { isOn } = core.loadExtScript("ext:atoll_web/compatibility.js");
const { copyCf } = core.loadExtScript("ext:atoll_web/cf.js");
const { extract, HostBody, mixinBody, Payload } = core.loadExtScript("ext:atoll_web/body.js");

const INTERNAL = Symbol("internal");
const METHOD = new SafeRegExp(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);

// The other methods that are known to Workers.
const UPPER_CASE = {
  __proto__: null, ACL: true, BAN: true, CHECKOUT: true, COPY: true, LOCK: true, MERGE: true, MKACTIVITY: true, MKCOL: true,
  MOVE: true, MSEARCH: true, NOTIFY: true, PATCH: true, PROPFIND: true, PROPPATCH: true, PURGE: true, QUERY: true,
  REPORT: true, SEARCH: true, SUBSCRIBE: true, UNLOCK: true, UNSUBSCRIBE: true,
};

// Access to what a Request keeps private; set by the class.
let createInbound, isRequest, partsOf;

function normaliseMethod(method, prefix) {
  method = webidl.converters.DOMString(method, prefix, "method");
  if (method === "GET" || method === "POST") return method;
  if (RegExpPrototypeExec(METHOD, method) === null) {
    throw new TypeError(`${prefix}: invalid method ${primordials.JSONStringify(method)}`);
  }
  const upper = StringPrototypeToUpperCase(method);
  switch (upper) {
    case "DELETE":
    case "GET":
    case "HEAD":
    case "OPTIONS":
    case "POST":
    case "PUT":
      return upper;
    case "CONNECT":
    case "TRACE":
    case "TRACK":
      throw new TypeError(`${prefix}: the method ${upper} is not allowed`);
  }
  // As Workers have it; the standard leaves all other methods as they are.
  return UPPER_CASE[upper] && isOn("upperCaseMethods") ? upper : method;
}

function oneOf(value, values, name, prefix) {
  value = webidl.converters.DOMString(value, prefix, name);
  if (!primordials.ArrayPrototypeIncludes(values, value)) {
    throw new TypeError(
      `${prefix}: ${name} must be one of ${primordials.ArrayPrototypeJoin(values, ", ")}, not "${value}"`,
    );
  }
  return value;
}

// The members of RequestInit that a server has no use for: checked and shown, no more.
const ENUMERATIONS = {
  __proto__: null,
  cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
  credentials: ["omit", "same-origin", "include"],
  mode: ["same-origin", "no-cors", "cors", "navigate"],
  referrerPolicy: [
    "", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
    "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url",
  ],
};

// Those of `init` that are given, or null. Members are read in the order of their names (Web IDL, section 3.2.17).
function readHints(init, prefix) {
  const { cache, credentials, duplex, integrity, keepalive, mode, referrerPolicy } = init;
  if (duplex !== undefined) oneOf(duplex, ["half"], "duplex", prefix);
  if (
    cache === undefined && credentials === undefined && integrity === undefined && keepalive === undefined &&
    mode === undefined && referrerPolicy === undefined
  ) {
    return null;
  }
  const hints = { __proto__: null };
  if (cache !== undefined) hints.cache = oneOf(cache, ENUMERATIONS.cache, "cache", prefix);
  if (credentials !== undefined) hints.credentials = oneOf(credentials, ENUMERATIONS.credentials, "credentials", prefix);
  if (integrity !== undefined) hints.integrity = webidl.converters.DOMString(integrity, prefix, "integrity");
  if (keepalive !== undefined) hints.keepalive = !!keepalive;
  if (mode !== undefined) {
    hints.mode = oneOf(mode, ENUMERATIONS.mode, "mode", prefix);
    if (hints.mode === "navigate") throw new TypeError(`${prefix}: the mode "navigate" is for browsers only`);
  }
  if (referrerPolicy !== undefined) {
    hints.referrerPolicy = oneOf(referrerPolicy, ENUMERATIONS.referrerPolicy, "referrerPolicy", prefix);
  }
  return hints;
}

// The URL that was asked for last, and its serialisation: many handlers fetch one again and again.
let lastUrl = null;
let lastHref = null;
const LONGEST_REMEMBERED = 512;

function hrefOf(url) {
  if (url === lastUrl) return lastHref;
  const { href } = new URL(url);
  if (url.length <= LONGEST_REMEMBERED) {
    lastUrl = url;
    lastHref = href;
  }
  return href;
}

class Request {
  #method = "GET";
  #url = "";
  #headers = null;
  #payload = null;
  #redirect = "follow";
  #hints = null;
  #cf = undefined;
  // A signal made already.
  #signal = null;
  // The signal, request or request scope that a signal made later depends on.
  #aborts = null;
  #slot = 0;

  constructor(input, init = undefined) {
    if (input === INTERNAL) return;
    const prefix = "Failed to construct 'Request'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    let list = [];
    let inherited = null;
    if (typeof input === "object" && input !== null && #method in input) {
      this.#method = input.#method;
      this.#url = input.#url;
      this.#redirect = input.#redirect;
      this.#hints = input.#hints;
      this.#aborts = input;
      this.#cf = input.cf;
      list = headerLists.copyList(headerLists.listOf(input.headers));
      inherited = input.#payload;
    } else {
      const url = webidl.converters.USVString(input, prefix, "the URL");
      try {
        this.#url = hrefOf(url);
      } catch (error) {
        throw new TypeError(
          `${prefix}: ${primordials.JSONStringify(url)} is not an absolute URL`,
          { cause: error },
        );
      }
    }
    let body;
    if (init !== undefined && init !== null) {
      if (typeof init !== "object" && typeof init !== "function") {
        throw new TypeError(`${prefix}: the second argument is not an object`);
      }
      const { body: initBody, cf, headers, method, redirect, signal } = init;
      body = initBody;
      if (method !== undefined) this.#method = normaliseMethod(method, prefix);
      if (redirect !== undefined) {
        this.#redirect = oneOf(redirect, ["follow", "error", "manual"], "redirect", prefix);
      }
      if (signal !== undefined) {
        if (signal !== null && !ObjectPrototypeIsPrototypeOf(abortSignals.AbortSignalPrototype, signal)) {
          throw new TypeError(`${prefix}: signal is not an AbortSignal`);
        }
        this.#aborts = signal;
      }
      if (cf !== undefined) this.#cf = copyCf(cf, prefix);
      this.#hints = readHints(init, prefix) ?? this.#hints;
      if (headers !== undefined) {
        list = [];
        headerLists.fill(list, headers, prefix);
      }
    }
    if ((body !== undefined && body !== null || inherited !== null) && (this.#method === "GET" || this.#method === "HEAD")) {
      throw new TypeError(`${prefix}: a request with method ${this.#method} cannot have a body`);
    }
    if (body !== undefined && body !== null) {
      const { payload, type } = extract(body, prefix);
      this.#payload = payload;
      if (type !== null && !headerLists.listHas(list, "content-type")) {
        primordials.ArrayPrototypePush(list, "content-type", type);
      }
    } else if (inherited !== null) {
      if (inherited.isUnusable) {
        throw new TypeError(`${prefix}: the body of the request was used already; clone() it before the first use`);
      }
      this.#payload = inherited.transfer();
    }
    this.#headers = headerLists.fromList(list);
  }

  get method() {
    return this.#method;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    if (this.#headers === null) {
      const slot = this.#slot;
      this.#headers = headerLists.fromLoader(() => headerLists.parseList(op_atoll_request_headers(slot)));
    }
    return this.#headers;
  }

  get signal() {
    if (this.#signal === null) {
      const aborts = this.#aborts;
      if (aborts === null) {
        this.#signal = abortSignals.newSignal();
      } else if (this.#slot !== 0) {
        const signal = this.#signal = abortSignals.newSignal();
        if (aborts.abortReason !== undefined) {
          signal[abortSignals.signalAbort](aborts.abortReason);
        } else {
          aborts.signal = signal;
        }
      } else {
        const source = #method in aborts ? aborts.signal : aborts;
        this.#signal = abortSignals.createDependentAbortSignal(new SafeArrayIterator([source]), "Request");
      }
    }
    return this.#signal;
  }

  get redirect() {
    return this.#redirect;
  }

  get cf() {
    if (this.#slot !== 0 && this.#cf === undefined) {
      const json = op_atoll_request_cf(this.#slot);
      if (json !== "") {
        this.#cf = JSONParse(json);
        const codings = headerLists.listGet(headerLists.listOf(this.headers), "accept-encoding");
        if (codings !== null) this.#cf.clientAcceptEncoding ??= codings;
      }
    }
    return this.#cf;
  }

  get cache() {
    return this.#hints?.cache ?? "default";
  }

  get credentials() {
    return this.#hints?.credentials ?? "same-origin";
  }

  get destination() {
    this.#method;
    return "";
  }

  get duplex() {
    this.#method;
    return "half";
  }

  get integrity() {
    return this.#hints?.integrity ?? "";
  }

  get keepalive() {
    return this.#hints?.keepalive ?? false;
  }

  get mode() {
    return this.#hints?.mode ?? "cors";
  }

  get referrer() {
    this.#method;
    return "about:client";
  }

  get referrerPolicy() {
    return this.#hints?.referrerPolicy ?? "";
  }

  clone() {
    if (this.#payload?.isUnusable) {
      throw new TypeError("Failed to execute 'clone' on 'Request': the body was used already");
    }
    const copy = new Request(INTERNAL);
    copy.#method = this.#method;
    copy.#url = this.#url;
    copy.#redirect = this.#redirect;
    copy.#hints = this.#hints;
    copy.#cf = this.cf;
    copy.#headers = headerLists.copyHeaders(this.#headers ?? this.headers);
    copy.#payload = this.#payload?.clone() ?? null;
    copy.#aborts = this;
    return copy;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, options) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: #method in this,
        keys: ["bodyUsed", "headers", "method", "redirect", "url"],
      }),
      options,
    );
  }

  static {
    isRequest = (value) => typeof value === "object" && value !== null && #method in value;

    // What a fetch needs to know. `aborts` says whether a signal may abort it.
    partsOf = (request) => ({
      method: request.#method,
      url: request.#url,
      headers: () => request.headers,
      payload: request.#payload,
      redirect: request.#redirect,
      aborts: request.#aborts !== null || request.#signal !== null,
    });

    // The request of an event. Nothing of it crosses into the isolate before the code asks for it.
    createInbound = (scope, method, url, bodyKind) => {
      const request = new Request(INTERNAL);
      request.#method = method;
      request.#url = url;
      request.#aborts = scope;
      // As on Workers: a request that is passed on brings redirects back to the client.
      request.#redirect = "manual";
      const slot = request.#slot = scope.slot;
      // A GET with a body would be a request that the constructor refuses; its body is not shown.
      if (bodyKind !== 0 && method !== "GET" && method !== "HEAD") {
        request.#payload = new Payload(new HostBody(0, () => op_atoll_request_body(slot), bodyKind === 1));
      }
      return request;
    };
  }
}

mixinBody(Request, "Request", partsOf);
webidl.configureInterface(Request);

return { createInbound, isRequest, partsOf, Request };
})();
