// Response (Fetch standard, section 5.5).

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_status_text } = core.ops;
const {
  ArrayPrototypePush,
  JSONStringify,
  RangeError,
  RegExpPrototypeExec,
  SafeRegExp,
  StringPrototypeToWellFormed,
  Symbol,
  SymbolFor,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const { extract, mixinBody, Payload } = core.loadExtScript("ext:atoll_web/body.js");
const { copyCf } = core.loadExtScript("ext:atoll_web/cf.js");

// WebSockets are rare.
const sockets = () => core.loadExtScript("ext:atoll_web/websocket.js");

const INTERNAL = Symbol("internal");
const REASON_PHRASE = new SafeRegExp(/^[\t\x20-\x7e\x80-\xff]*$/);

// Access to what a Response keeps private; set by the class.
let createResponse, isResponse, partsOf, partsToSend;

const isNullBodyStatus = (status) => status === 101 || status === 204 || status === 205 || status === 304;

class Response {
  #status = 200;
  // Null stands for what the status is called.
  #statusText = "";
  // The header list; null as long as it is a text that nobody has read. And the object the code sees, once it has asked for it.
  #list = null;
  #text = null;
  #headers = null;
  #isImmutable = false;
  #payload = null;
  #url = "";
  #redirected = false;
  #type = "default";
  #isEncoded = false;
  #webSocket = null;
  #cf = undefined;

  constructor(body = null, init = undefined) {
    if (body === INTERNAL) return;
    const prefix = "Failed to construct 'Response'";
    const list = this.#list = [];
    if (init !== undefined && init !== null) {
      if (typeof init !== "object" && typeof init !== "function") {
        throw new TypeError(`${prefix}: the second argument is not an object`);
      }
      const { cf, encodeBody, headers, status, statusText, webSocket } = init;
      if (cf !== undefined) this.#cf = copyCf(cf, prefix);
      if (status !== undefined) {
        const number = webidl.converters["unsigned short"](status, prefix, "status");
        if (webSocket !== undefined && webSocket !== null) {
          if (!sockets().isWebSocket(webSocket)) {
            throw new TypeError(`${prefix}: the webSocket is no WebSocket`);
          }
          if (number !== 101) {
            throw new RangeError(`${prefix}: a response with a webSocket must have the status 101, not ${number}`);
          }
          this.#webSocket = webSocket;
        } else if (number === 101) {
          throw new RangeError(`${prefix}: a response with the status 101 must have a webSocket`);
        } else if (number < 200 || number > 599) {
          throw new RangeError(`${prefix}: the status must be between 200 and 599, not ${number}`);
        }
        this.#status = number;
      } else if (webSocket !== undefined && webSocket !== null) {
        throw new RangeError(`${prefix}: a response with a webSocket must have the status 101, not 200`);
      }
      if (statusText !== undefined) {
        const text = webidl.converters.ByteString(statusText, prefix, "statusText");
        if (RegExpPrototypeExec(REASON_PHRASE, text) === null) {
          throw new TypeError(`${prefix}: invalid statusText`);
        }
        this.#statusText = text;
      }
      if (headers !== undefined) {
        headerLists.fill(list, headers, prefix);
      }
      if (encodeBody !== undefined) {
        if (encodeBody !== "automatic" && encodeBody !== "manual") {
          throw new TypeError(`${prefix}: encodeBody must be "automatic" or "manual"`);
        }
        this.#isEncoded = encodeBody === "manual";
      }
    }
    if (body !== null && body !== undefined) {
      if (isNullBodyStatus(this.#status)) {
        throw new TypeError(`${prefix}: a response with status ${this.#status} cannot have a body`);
      }
      const { payload, type } = extract(body, prefix);
      this.#payload = payload;
      if (type !== null && !headerLists.listHas(list, "content-type")) {
        ArrayPrototypePush(list, "content-type", type);
      }
    }
  }

  static error() {
    const response = new Response(INTERNAL);
    response.#list = [];
    response.#isImmutable = true;
    response.#status = 0;
    response.#type = "error";
    return response;
  }

  static json(data, init = undefined) {
    const prefix = "Failed to execute 'Response.json'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const text = JSONStringify(data);
    if (text === undefined) {
      throw new TypeError(`${prefix}: the data cannot be written as JSON`);
    }
    const response = new Response(null, init);
    if (isNullBodyStatus(response.#status)) {
      throw new TypeError(`${prefix}: a response with status ${response.#status} cannot have a body`);
    }
    response.#payload = new Payload(StringPrototypeToWellFormed(text));
    if (!headerLists.listHas(response.#list, "content-type")) {
      ArrayPrototypePush(response.#list, "content-type", "application/json");
    }
    return response;
  }

  static redirect(url, status = 302) {
    const prefix = "Failed to execute 'Response.redirect'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    url = webidl.converters.USVString(url, prefix, "the URL");
    status = webidl.converters["unsigned short"](status, prefix, "the status");
    let location;
    try {
      location = new URL(url).href;
    } catch (error) {
      throw new TypeError(`${prefix}: ${JSONStringify(url)} is not an absolute URL`, { cause: error });
    }
    if (status !== 301 && status !== 302 && status !== 303 && status !== 307 && status !== 308) {
      throw new RangeError(`${prefix}: ${status} is no redirect status (301, 302, 303, 307, 308)`);
    }
    const response = new Response(INTERNAL);
    response.#status = status;
    response.#list = ["location", location];
    response.#isImmutable = true;
    return response;
  }

  get type() {
    return this.#type;
  }

  get url() {
    return this.#url;
  }

  get redirected() {
    return this.#redirected;
  }

  get status() {
    return this.#status;
  }

  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }

  get statusText() {
    return this.#statusText ??= op_atoll_status_text(this.#status);
  }

  // The WebSocket that an upgrade has led to.
  get webSocket() {
    return this.#webSocket;
  }

  // What `init` said of the platform's own; nothing here reads it.
  get cf() {
    return this.#cf;
  }

  get headers() {
    return this.#headers ??= headerLists.fromList(this.#fields(), this.#isImmutable);
  }

  #fields() {
    if (this.#list === null) {
      this.#list = headerLists.parseList(this.#text);
      this.#text = null;
    }
    return this.#list;
  }

  clone() {
    if (this.#payload?.isUnusable) {
      throw new TypeError("Failed to execute 'clone' on 'Response': the body was used already");
    }
    if (this.#webSocket !== null) {
      throw new TypeError("Failed to execute 'clone' on 'Response': a response with a webSocket cannot be cloned");
    }
    const copy = new Response(INTERNAL);
    copy.#status = this.#status;
    copy.#statusText = this.#statusText;
    copy.#list = headerLists.copyList(this.#fields());
    copy.#isImmutable = this.#isImmutable;
    if (this.#headers !== null) {
      copy.#headers = headerLists.copyHeaders(this.#headers);
      copy.#list = headerLists.listOf(copy.#headers);
    }
    copy.#payload = this.#payload?.clone() ?? null;
    copy.#url = this.#url;
    copy.#redirected = this.#redirected;
    copy.#type = this.#type;
    copy.#isEncoded = this.#isEncoded;
    copy.#cf = copyCf(this.#cf, "Failed to execute 'clone' on 'Response'");
    return copy;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, options) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: #status in this,
        keys: ["bodyUsed", "headers", "ok", "redirected", "status", "statusText", "url"],
      }),
      options,
    );
  }

  static {
    isResponse = (value) => typeof value === "object" && value !== null && #status in value;

    partsOf = (response) => ({
      status: response.#status,
      list: response.#fields(),
      headers: () => response.headers,
      payload: response.#payload,
      isEncoded: response.#isEncoded,
      webSocket: response.#webSocket,
    });

    // The same for sending it: the fields are a text instead of a list when nobody has asked for them.
    partsToSend = (response) => ({
      status: response.#status,
      list: response.#list,
      text: response.#text,
      payload: response.#payload,
      isEncoded: response.#isEncoded,
      webSocket: response.#webSocket,
    });

    // The answer to an outbound request, with its fields as a list or as a text.
    createResponse = (status, fields, payload, url, redirected, socket = 0, statusText = null) => {
      const response = new Response(INTERNAL);
      response.#status = status;
      response.#statusText = statusText;
      if (typeof fields === "string") response.#text = fields;
      else response.#list = fields;
      response.#isImmutable = true;
      response.#payload = isNullBodyStatus(status) ? null : payload;
      response.#url = url;
      response.#redirected = redirected;
      response.#type = "basic";
      if (socket !== 0) response.#webSocket = sockets().createOutbound(socket, response.#fields());
      return response;
    };
  }
}

mixinBody(Response, "Response", partsOf);
webidl.configureInterface(Response);

return { createResponse, isResponse, partsOf, partsToSend, Response };
})();
