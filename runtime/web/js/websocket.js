// WebSocket (WebSockets standard), and what Workers adds to it: WebSocketPair, accept(), and ends that come from or go
// into a Response. The connection itself is the node's; here are only messages.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_fetch,
  op_atoll_log,
  op_atoll_socket_buffered,
  op_atoll_socket_close,
  op_atoll_socket_done,
  op_atoll_socket_keep,
  op_atoll_socket_next,
  op_atoll_socket_pair,
  op_atoll_socket_send_bytes,
  op_atoll_socket_send_text,
} = core.ops;
const {
  ArrayBufferIsView,
  ArrayIsArray,
  ArrayPrototypeIncludes,
  ArrayPrototypeJoin,
  ArrayPrototypeMap,
  ArrayPrototypePush,
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  MathMax,
  MathMin,
  Number,
  NumberIsNaN,
  ObjectDefineProperties,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  RegExpPrototypeExec,
  SafeArrayIterator,
  SafeFinalizationRegistry,
  SafeRegExp,
  String,
  StringPrototypeSlice,
  StringPrototypeToLowerCase,
  StringPrototypeToWellFormed,
  Symbol,
  SymbolFor,
  SymbolIterator,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypeError,
  Uint8Array,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const events = core.loadExtScript("ext:deno_web/02_event.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const { Blob, BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const { isOn } = core.loadExtScript("ext:atoll_web/compatibility.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");
const { describe } = core.loadExtScript("ext:atoll_web/errors.js");
const { HostBody } = core.loadExtScript("ext:atoll_web/body.js");

const INTERNAL = Symbol("internal");
const TOKEN = new SafeRegExp(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);
const WARN = 3;

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

// What sending came to.
const SENT = 0;
const FULL = 2;
const TOO_LONG = 3;

const NO_STATUS = 1005;
const ABNORMAL = 1006;
const TOO_SLOW = 1013;

// An end that the code lost without a word is gone for the other side too.
const dropped = new SafeFinalizationRegistry((handle) => op_atoll_socket_done(handle));

// Access to what a WebSocket keeps private; set by the class.
let createEnd, createOutbound, handOver, isWebSocket;

class WebSocket extends events.EventTarget {
  // Names the end in the isolate's table; 0 when there is none yet or none any more.
  #handle = 0;
  #state = OPEN;
  // `new WebSocket` follows the standard to the letter; other ends throw where Workers throws.
  #isConstructed = false;
  #isAccepted = false;
  #isHandedOver = false;
  #url = "";
  #protocol = "";
  #extensions = "";
  #binaryType = isOn("blobMessages") ? "blob" : "arraybuffer";
  // Bytes given to send() after the end.
  #lost = 0;
  #cancel = 0;

  constructor(url, protocols = undefined) {
    super();
    if (url === INTERNAL) return;
    const prefix = "Failed to construct 'WebSocket'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const target = parseUrl(String(url), prefix);
    const offered = parseProtocols(protocols, prefix);
    this.#url = target.href;
    this.#state = CONNECTING;
    this.#isConstructed = true;
    this.#isAccepted = true;
    this.#connect(target.href, offered);
  }

  get url() {
    return this.#url === "" && !this.#isConstructed ? null : this.#url;
  }

  get readyState() {
    return this.#state;
  }

  get protocol() {
    return this.#protocol;
  }

  get extensions() {
    return this.#extensions;
  }

  get bufferedAmount() {
    return (this.#handle === 0 ? 0 : op_atoll_socket_buffered(this.#handle)) + this.#lost;
  }

  get binaryType() {
    return this.#binaryType;
  }

  set binaryType(value) {
    const type = String(value);
    // An enumeration: other values are ignored (Web IDL, section 3.7.6).
    if (type === "arraybuffer" || type === "blob") this.#binaryType = type;
  }

  // Workers: the code will use this end, not hand it on.
  accept() {
    this.#handle;
    if (this.#isHandedOver) {
      throw new TypeError("Cannot accept() a WebSocket that was returned in a Response already");
    }
    if (this.#isConstructed) {
      throw new TypeError("Cannot accept() a WebSocket that was made with its constructor: it is accepted already");
    }
    if (this.#isAccepted) return;
    this.#isAccepted = true;
    op_atoll_socket_keep(this.#handle);
    dropped.unregister(this);
    this.#receive();
  }

  send(data) {
    this.#handle;
    const prefix = "Failed to execute 'send' on 'WebSocket'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    if (this.#state === CONNECTING) {
      throw new DOMException(`${prefix}: the connection is not open yet`, "InvalidStateError");
    }
    if (!this.#isAccepted) {
      throw new TypeError(`${prefix}: call accept() on this WebSocket before sending messages`);
    }
    if (ObjectPrototypeIsPrototypeOf(BlobPrototype, data)) {
      throw new TypeError(`${prefix}: a Blob cannot be sent; send its arrayBuffer()`);
    }
    const message = toMessage(data);
    if (this.#state !== OPEN) {
      if (!this.#isConstructed) throw new TypeError(`${prefix}: the WebSocket is closed`);
      this.#lost += lengthOf(message);
      return;
    }
    const sent = typeof message === "string"
      ? op_atoll_socket_send_text(this.#handle, message)
      : op_atoll_socket_send_bytes(this.#handle, message);
    if (sent === SENT) return;
    if (sent === TOO_LONG) {
      throw new TypeError(`${prefix}: a message of ${lengthOf(message)} bytes is too long; the limit is 32 MiB`);
    }
    this.#lost += lengthOf(message);
    // The WebSockets standard, section 3.1: when data cannot be buffered, the connection is closed.
    if (sent === FULL) {
      const waiting = op_atoll_socket_buffered(this.#handle);
      this.#lost += waiting;
      this.#fail(`the other side reads too slowly: ${waiting} bytes wait to be sent`, TOO_SLOW);
    }
  }

  close(code = undefined, reason = undefined) {
    this.#handle;
    const prefix = "Failed to execute 'close' on 'WebSocket'";
    if (code !== undefined) {
      code = clampToUnsignedShort(code);
      const isValid = this.#isConstructed
        ? code === 1000 || (code >= 3000 && code <= 4999)
        : isSendable(code);
      if (!isValid) {
        const range = this.#isConstructed ? "1000 or between 3000 and 4999" : "one that RFC 6455 lets an endpoint send";
        throw new DOMException(`${prefix}: the close code must be ${range}, not ${code}`, "InvalidAccessError");
      }
    }
    if (reason !== undefined) {
      reason = StringPrototypeToWellFormed(String(reason));
      if (TypedArrayPrototypeGetByteLength(core.encode(reason)) > 123) {
        throw new DOMException(`${prefix}: the reason is longer than 123 bytes`, "SyntaxError");
      }
    }
    if (this.#isHandedOver) {
      throw new TypeError(`${prefix}: the WebSocket was returned in a Response`);
    }
    if (this.#state === CLOSING || this.#state === CLOSED) return;
    if (this.#state === CONNECTING) {
      this.#state = CLOSING;
      core.tryClose(this.#cancel);
      return;
    }
    this.#state = CLOSING;
    // A reason needs a code in the frame.
    code ??= reason === undefined || reason === "" ? NO_STATUS : 1000;
    op_atoll_socket_close(this.#handle, code, reason ?? "", false);
    if (!this.#isAccepted) this.accept();
  }

  async #connect(url, offered) {
    const list = ["upgrade", "websocket"];
    if (offered.length > 0) ArrayPrototypePush(list, "sec-websocket-protocol", ArrayPrototypeJoin(offered, ", "));
    this.#cancel = core.createCancelHandle();
    let problem = "";
    try {
      const target = `http${StringPrototypeSlice(url, 2)}`;
      const text = headerLists.serialiseList(list);
      const reply = await op_atoll_fetch(currentSlot(), "GET", target, text, null, 0, 0, this.#cancel);
      const { 0: status, 1: fields, 2: body, 4: socket } = reply;
      if (socket !== 0 && this.#state === CONNECTING) {
        this.#handle = socket;
        op_atoll_socket_keep(socket);
        this.#protocol = headerLists.listGet(headerLists.parseList(fields), "sec-websocket-protocol") ?? "";
        this.#state = OPEN;
      } else if (socket !== 0) {
        op_atoll_socket_done(socket);
        problem = "the WebSocket was closed before the connection was open";
      } else {
        if (body !== 0) new HostBody(body, null, false).drop();
        problem = `the server answered with the status ${status} instead of 101`;
      }
    } catch (error) {
      problem = this.#state === CLOSING ? "the WebSocket was closed before the connection was open" : describe(error);
    } finally {
      core.tryClose(this.#cancel);
    }
    if (this.#handle === 0) {
      this.#end({ code: ABNORMAL, reason: "", wasClean: false }, `WebSocket connection to '${url}' failed: ${problem}`);
      return;
    }
    this.#dispatch(new events.Event("open"));
    this.#receive();
  }

  // Takes what comes from the other side, one thing in a turn, until the end.
  async #receive() {
    const handle = this.#handle;
    for (;;) {
      const item = await op_atoll_socket_next(handle);
      // The code gave the socket up in between.
      if (this.#state === CLOSED) return;
      if (ArrayIsArray(item)) {
        const code = item[0];
        if (code === 0) {
          this.#end({ code: ABNORMAL, reason: "", wasClean: false }, item[1]);
        } else {
          // Answered in kind, unless this end closed first.
          op_atoll_socket_close(handle, code, item[1], false);
          this.#end({ code, reason: item[1], wasClean: true }, null);
        }
        return;
      }
      // A message that comes after close() is dropped (WebSockets standard, section 4).
      if (this.#state !== OPEN) continue;
      const data = typeof item === "string" || this.#binaryType === "arraybuffer" ? item : new Blob(new SafeArrayIterator([item]));
      this.#dispatch(new events.MessageEvent("message", { data, origin: origin(this.#url) }));
    }
  }

  // Gives the connection up from this side.
  #fail(problem, code) {
    op_atoll_socket_close(this.#handle, code, problem, true);
    op_atoll_log(WARN, currentSlot(), `WebSocket: ${problem}`);
    this.#state = CLOSING;
    // Events come after the code that is running.
    PromisePrototypeThen(
      primordials.PromiseResolve(),
      () => this.#end({ code: ABNORMAL, reason: "", wasClean: false }, problem),
    );
  }

  #end(close, problem) {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    const handle = this.#handle;
    if (handle !== 0) this.#lost += op_atoll_socket_buffered(handle);
    try {
      if (problem !== null) {
        this.#dispatch(new events.ErrorEvent("error", { message: problem, error: new TypeError(problem) }));
      }
      this.#dispatch(new events.CloseEvent("close", close));
    } finally {
      this.#handle = 0;
      if (handle !== 0) op_atoll_socket_done(handle);
    }
  }

  #dispatch(event) {
    events.setIsTrusted(event, true);
    events.dispatch(this, event);
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, options) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: #handle in this,
        keys: ["binaryType", "bufferedAmount", "extensions", "protocol", "readyState", "url"],
      }),
      options,
    );
  }

  static {
    isWebSocket = (value) => typeof value === "object" && value !== null && #handle in value;

    createEnd = (handle) => {
      const socket = new WebSocket(INTERNAL);
      socket.#handle = handle;
      dropped.register(socket, handle, socket);
      return socket;
    };

    // The end that an outbound request has led to.
    createOutbound = (handle, list) => {
      const socket = createEnd(handle);
      socket.#protocol = headerLists.listGet(list, "sec-websocket-protocol") ?? "";
      return socket;
    };

    // Gives an end that the code has not accepted to `take`, which says whether it could be taken.
    handOver = (socket, take) => {
      if (socket.#isAccepted || socket.#isHandedOver || socket.#handle === 0) return false;
      if (!take(socket.#handle)) return false;
      socket.#isHandedOver = true;
      socket.#handle = 0;
      dropped.unregister(socket);
      return true;
    };
  }
}

const constants = { CONNECTING, OPEN, CLOSING, CLOSED };
const workersConstants = {
  READY_STATE_CONNECTING: CONNECTING,
  READY_STATE_OPEN: OPEN,
  READY_STATE_CLOSING: CLOSING,
  READY_STATE_CLOSED: CLOSED,
};
for (const table of new SafeArrayIterator([constants, workersConstants])) {
  for (const name in table) {
    const property = { __proto__: null, value: table[name], writable: false, enumerable: true, configurable: false };
    ObjectDefineProperty(WebSocket, name, property);
    ObjectDefineProperty(WebSocket.prototype, name, property);
  }
}
webidl.configureInterface(WebSocket);
for (const name of new SafeArrayIterator(["open", "message", "error", "close"])) {
  events.defineEventHandler(WebSocket.prototype, name);
}

// Workers: two ends that are connected to each other, as the properties 0 and 1.
class WebSocketPair {
  constructor() {
    const { 0: one, 1: other } = op_atoll_socket_pair();
    if (one === 0) throw new TypeError("Failed to construct 'WebSocketPair': too many WebSockets");
    const property = (handle) => ({
      __proto__: null,
      value: createEnd(handle),
      writable: true,
      enumerable: true,
      configurable: true,
    });
    ObjectDefineProperties(this, { __proto__: null, 0: property(one), 1: property(other) });
  }

  *[SymbolIterator]() {
    yield this[0];
    yield this[1];
  }
}
webidl.configureInterface(WebSocketPair);

// WebSockets standard, "get a URL record".
function parseUrl(text, prefix) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new DOMException(`${prefix}: "${text}" is no absolute URL`, "SyntaxError");
  }
  if (url.protocol === "http:") url.protocol = "ws:";
  else if (url.protocol === "https:") url.protocol = "wss:";
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new DOMException(
      `${prefix}: the URL's scheme must be ws, wss, http or https, not ${StringPrototypeSlice(url.protocol, 0, -1)}`,
      "SyntaxError",
    );
  }
  if (url.hash !== "" || url.href[url.href.length - 1] === "#") {
    throw new DOMException(`${prefix}: the URL must not have a fragment`, "SyntaxError");
  }
  return url;
}

function parseProtocols(protocols, prefix) {
  if (protocols === undefined || protocols === null) return [];
  const list = typeof protocols === "object" && protocols[SymbolIterator] !== undefined
    ? webidl.converters["sequence<DOMString>"](protocols, prefix, "Argument 2")
    : [String(protocols)];
  const seen = [];
  for (let i = 0; i < list.length; i++) {
    const protocol = list[i];
    const lower = StringPrototypeToLowerCase(protocol);
    if (RegExpPrototypeExec(TOKEN, protocol) === null) {
      throw new DOMException(`${prefix}: "${protocol}" is no subprotocol`, "SyntaxError");
    }
    if (ArrayPrototypeIncludes(seen, lower)) {
      throw new DOMException(`${prefix}: the subprotocol "${protocol}" is given twice`, "SyntaxError");
    }
    ArrayPrototypePush(seen, lower);
  }
  return ArrayPrototypeMap(list, (protocol) => protocol);
}

// A string or a view of the bytes.
function toMessage(data) {
  if (typeof data === "object" && data !== null) {
    if (core.isArrayBuffer(data)) return new Uint8Array(data);
    if (ArrayBufferIsView(data)) {
      const isDataView = TypedArrayPrototypeGetSymbolToStringTag(data) === undefined;
      return isDataView
        ? new Uint8Array(
          DataViewPrototypeGetBuffer(data),
          DataViewPrototypeGetByteOffset(data),
          DataViewPrototypeGetByteLength(data),
        )
        : new Uint8Array(
          TypedArrayPrototypeGetBuffer(data),
          TypedArrayPrototypeGetByteOffset(data),
          TypedArrayPrototypeGetByteLength(data),
        );
    }
  }
  return StringPrototypeToWellFormed(String(data));
}

function lengthOf(message) {
  return TypedArrayPrototypeGetByteLength(typeof message === "string" ? core.encode(message) : message);
}

// Web IDL, [Clamp] unsigned short.
function clampToUnsignedShort(value) {
  const number = Number(value);
  if (NumberIsNaN(number)) return 0;
  return primordials.MathRound(MathMin(MathMax(number, 0), 65535));
}

// RFC 6455, section 7.4, and the registry it makes.
function isSendable(code) {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_STATUS && code !== ABNORMAL) ||
    (code >= 3000 && code <= 4999);
}

function origin(url) {
  return url === "" ? "" : new URL(url).origin;
}

return { createOutbound, handOver, isWebSocket, WebSocket, WebSocketPair };
})();
