// EventSource (HTML standard, section 9.2) over `fetch`, and `EventSource.from(stream)` as on Workers. It lives as long as
// the event that made it.

(function () {
const { core, primordials } = __bootstrap;
const {
  NumberParseInt,
  ObjectDefineProperty,
  PromisePrototypeThen,
  RegExpPrototypeExec,
  SafeRegExp,
  String,
  StringPrototypeCharCodeAt,
  StringPrototypeIncludes,
  StringPrototypeIndexOf,
  StringPrototypeSlice,
  StringPrototypeStartsWith,
  StringPrototypeToLowerCase,
  StringPrototypeTrim,
  Symbol,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const events = core.loadExtScript("ext:deno_web/02_event.js");
const { clearTimeout, setTimeout } = core.loadExtScript("ext:deno_web/02_timers.js");
const { AbortController } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { TextDecoder } = core.loadExtScript("ext:deno_web/08_text_encoding.js");
const { fetch } = core.loadExtScript("ext:atoll_web/fetch.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const { Request } = core.loadExtScript("ext:atoll_web/request.js");
const responses = core.loadExtScript("ext:atoll_web/response.js");

const FROM = Symbol("from");
const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;
// Until the server says otherwise.
const RECONNECTION_MS = 3000;
const DIGITS = new SafeRegExp(/^[0-9]+$/);

// Splits text into lines and lines into events; calls `dispatch(type, data, id)` and `retry(ms)`.
class Parser {
  #rest = "";
  #afterReturn = false;
  #data = null;
  #type = "";

  constructor(lastId, dispatch, retry) {
    this.lastId = lastId;
    this.dispatch = dispatch;
    this.retry = retry;
  }

  write(text) {
    if (this.#afterReturn && text !== "") {
      this.#afterReturn = false;
      if (StringPrototypeCharCodeAt(text, 0) === 0x0A) text = StringPrototypeSlice(text, 1);
    }
    let start = 0;
    for (let i = 0; i < text.length; i++) {
      const code = StringPrototypeCharCodeAt(text, i);
      if (code !== 0x0A && code !== 0x0D) continue;
      const line = this.#rest + StringPrototypeSlice(text, start, i);
      this.#rest = "";
      if (code === 0x0D) {
        if (i + 1 === text.length) this.#afterReturn = true;
        else if (StringPrototypeCharCodeAt(text, i + 1) === 0x0A) i++;
      }
      start = i + 1;
      this.#line(line);
    }
    this.#rest += StringPrototypeSlice(text, start);
  }

  #line(line) {
    if (line === "") {
      const data = this.#data;
      const type = this.#type;
      this.#data = null;
      this.#type = "";
      if (data !== null) this.dispatch(type === "" ? "message" : type, data, this.lastId);
      return;
    }
    const colon = StringPrototypeIndexOf(line, ":");
    if (colon === 0) return;
    const field = colon === -1 ? line : StringPrototypeSlice(line, 0, colon);
    let value = colon === -1 ? "" : StringPrototypeSlice(line, colon + 1);
    if (StringPrototypeStartsWith(value, " ")) value = StringPrototypeSlice(value, 1);
    if (field === "data") {
      this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "id") {
      if (!StringPrototypeIncludes(value, "\0")) this.lastId = value;
    } else if (field === "retry" && RegExpPrototypeExec(DIGITS, value) !== null) {
      this.retry(NumberParseInt(value, 10));
    }
  }
}

class EventSource extends events.EventTarget {
  #url = "";
  #withCredentials = false;
  #readyState = CONNECTING;
  #origin = "";
  #lastId = "";
  #reconnectionMs = RECONNECTION_MS;
  #controller = new AbortController();
  #timer = 0;

  constructor(url, eventSourceInitDict = undefined) {
    super();
    if (url === FROM) return;
    const prefix = "Failed to construct 'EventSource'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    if (eventSourceInitDict !== undefined && eventSourceInitDict !== null) {
      this.#withCredentials = !!eventSourceInitDict.withCredentials;
    }
    try {
      this.#url = new URL(String(url)).href;
    } catch (error) {
      const problem = new DOMException(`${prefix}: ${String(url)} is not an absolute URL`, "SyntaxError");
      problem.cause = error;
      throw problem;
    }
    this.#connect();
  }

  static from(stream) {
    const prefix = "Failed to execute 'from' on 'EventSource'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const reader = streams.acquireReadableStreamDefaultReader(webidl.converters.ReadableStream(stream, prefix));
    const source = new EventSource(FROM);
    source.#readyState = OPEN;
    const fail = () => source.#fail();
    PromisePrototypeThen(source.#read(reader), fail, fail);
    return source;
  }

  get url() {
    return this.#url;
  }

  get withCredentials() {
    return this.#withCredentials;
  }

  get readyState() {
    return this.#readyState;
  }

  close() {
    this.#readyState = CLOSED;
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  #connect() {
    PromisePrototypeThen(this.#run(), (again) => {
      if (again) this.#reconnect();
      else this.#fail();
    }, () => this.#reconnect());
  }

  // One connection; whether another should follow.
  async #run() {
    const headers = { __proto__: null, accept: "text/event-stream", "cache-control": "no-cache" };
    if (this.#lastId !== "") {
      // The id is text; a header has bytes: each stands for one character.
      headers["last-event-id"] = byteString(this.#lastId);
    }
    const request = new Request(this.#url, { headers, signal: this.#controller.signal });
    const response = await fetch(request);
    const { list, payload, status } = responses.partsOf(response);
    const type = headerLists.listGet(list, "content-type") ?? "";
    const end = StringPrototypeIndexOf(type, ";");
    const essence = StringPrototypeToLowerCase(
      StringPrototypeTrim(end === -1 ? type : StringPrototypeSlice(type, 0, end)),
    );
    if (status !== 200 || essence !== "text/event-stream" || payload === null) {
      this.#controller.abort();
      return false;
    }
    if (this.#readyState === CLOSED) return false;
    this.#readyState = OPEN;
    this.#origin = new URL(response.url).origin;
    this.dispatchEvent(new events.Event("open"));
    await this.#read(streams.acquireReadableStreamDefaultReader(payload.stream));
    return true;
  }

  async #read(reader) {
    const decoder = new TextDecoder();
    const parser = new Parser(
      this.#lastId,
      (type, data, lastEventId) => {
        this.#lastId = lastEventId;
        if (this.#readyState === CLOSED) return;
        this.dispatchEvent(new events.MessageEvent(type, { data, origin: this.#origin, lastEventId }));
      },
      (ms) => {
        this.#reconnectionMs = ms;
      },
    );
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#readyState === CLOSED) return;
      parser.write(decoder.decode(value, { stream: true }));
    }
  }

  #reconnect() {
    if (this.#readyState === CLOSED) return;
    this.#readyState = CONNECTING;
    this.dispatchEvent(new events.Event("error"));
    if (this.#readyState === CLOSED) return;
    this.#timer = setTimeout(() => this.#connect(), this.#reconnectionMs);
  }

  #fail() {
    if (this.#readyState === CLOSED) return;
    this.#readyState = CLOSED;
    this.dispatchEvent(new events.Event("error"));
  }
}

function byteString(text) {
  const bytes = core.encode(text);
  let result = "";
  for (let i = 0; i < bytes.length; i++) result += primordials.StringFromCharCode(bytes[i]);
  return result;
}

for (const target of [EventSource, EventSource.prototype]) {
  const states = { __proto__: null, CONNECTING, OPEN, CLOSED };
  for (const name in states) {
    ObjectDefineProperty(target, name, { __proto__: null, value: states[name], enumerable: true });
  }
}
events.defineEventHandler(EventSource.prototype, "error");
events.defineEventHandler(EventSource.prototype, "message");
events.defineEventHandler(EventSource.prototype, "open");
webidl.configureInterface(EventSource);

return { EventSource };
})();
