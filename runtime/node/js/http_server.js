// The servers of node:http. One that listens on a port accepts nothing from there: the worker's fetch handler hands it
// requests (`cloudflare:node`).

(function (require) {
"use strict";

const { EventEmitter } = require("events");
const { Writable } = require("stream");
const { nodeError } = require("internal/errors");
const {
  Connection, IncomingMessage, OF_CONNECTION, OutgoingMessage, bytesOf, define, fault, fill, headersOf, inherit,
} = require("internal/http_messages");

const kDeliver = Symbol("deliver");
const kSink = Symbol("sink");
const kState = Symbol("state");

const HAVE_NO_BODY = [204, 205, 304];

// A function and no class: packages call it on objects of their own.
function ServerResponse(request) {
  OutgoingMessage.call(this);
  this.req = request;
  this.socket = request?.socket ?? null;
  this.statusCode = 200;
  this.statusMessage = undefined;
  // Where the Response goes; what the body's stream is, and who waits for it to be read.
  this[kSink] = undefined;
  this[kState] = { controller: undefined, delivered: false, drained: undefined, ended: false };
}
inherit(ServerResponse, OutgoingMessage);
define(ServerResponse, {
  _implicitHeader() {
    this.writeHead(this.statusCode);
  },
  assignSocket(socket) {
    this.socket = socket;
  },
  detachSocket() {},
  flushHeaders() {
    if (!this.headersSent) this._implicitHeader();
    if (!this[kState].delivered) this[kDeliver]();
  },
  writeContinue() {},
  writeEarlyHints(hints, callback) {
    callback?.();
  },
  writeProcessing() {},
  writeHead(status, reason, headers) {
    if (this.headersSent) {
      throw fault(Error, "ERR_HTTP_HEADERS_SENT", "Cannot write headers after they are sent to the client");
    }
    const code = status | 0;
    if (code < 100 || code > 999) {
      throw fault(RangeError, "ERR_HTTP_INVALID_STATUS_CODE", `Invalid status code: ${status}`);
    }
    if (typeof reason === "string") this.statusMessage = reason;
    else headers ??= reason;
    if (Array.isArray(headers)) {
      const pairs = headers.every(Array.isArray) ? headers : headers.flatMap((_, i) => i % 2 ? [] : [headers.slice(i, i + 2)]);
      for (const [name] of pairs) this.removeHeader(name);
      for (const [name, value] of pairs) this.appendHeader(name, value);
    } else {
      for (const name of Object.keys(headers ?? {})) if (name) this.setHeader(name, headers[name]);
    }
    this.statusCode = code;
    this._header = `HTTP/1.1 ${code}\r\n\r\n`;
    return this;
  },
  end(chunk, encoding, callback) {
    if (typeof chunk === "function") [chunk, callback] = [undefined, chunk];
    if (typeof encoding === "function") [encoding, callback] = [undefined, encoding];
    const state = this[kState];
    const isWhole = !state.delivered && !this.writableEnded && !this.destroyed && this.writableLength === 0;
    if (isWhole) {
      const bytes = chunk === undefined || chunk === null ? undefined : bytesOf(chunk, encoding);
      if (!this.headersSent) this._implicitHeader();
      this[kDeliver](bytes ?? new Uint8Array(0));
      chunk = undefined;
    }
    this.finished = true;
    return Writable.prototype.end.call(this, chunk, encoding, callback);
  },
  _write(chunk, encoding, callback) {
    if (!this.headersSent) this._implicitHeader();
    const state = this[kState];
    if (!state.delivered) this[kDeliver]();
    if (!state.controller) return callback();
    state.drained = callback;
    state.controller.enqueue(chunk);
  },
  _final(callback) {
    this[kState].ended = true;
    this[kState].controller?.close();
    callback();
  },
  // What went wrong is told to whoever waits for the answer; nobody need listen for it here.
  _destroy(error, callback) {
    const { controller, delivered, ended } = this[kState];
    const reason = error ?? new Error("The response was destroyed before it was complete");
    if (!delivered) this[kSink]?.reject(reason);
    else if (controller && !ended) controller.error(reason);
    callback();
  },
});

// Hands the Response over: with the whole body, or with one that is written later.
ServerResponse.prototype[kDeliver] = function (whole) {
  const state = this[kState];
  state.delivered = true;
  const { statusCode: status, statusMessage: statusText } = this;
  const headers = headersOf(this, OF_CONNECTION);
  let body = null;
  if (this.req?.method !== "HEAD" && !HAVE_NO_BODY.includes(status)) {
    // A chunk counts as written when the next one is asked for.
    body = whole ?? new ReadableStream({
      start: (controller) => {
        state.controller = controller;
      },
      pull: () => {
        const { drained } = state;
        state.drained = undefined;
        drained?.();
      },
      cancel: () => {
        state.ended = true;
        this.destroy();
      },
    }, { highWaterMark: 0 });
  }
  const encodeBody = headers.has("content-encoding") ? "manual" : "automatic";
  try {
    this[kSink]?.resolve(new Response(body, { status, statusText, headers, encodeBody }));
  } catch (error) {
    this[kSink].reject(error);
  }
};

const listening = new Map();

function Server(options, listener) {
  if (!(this instanceof Server)) return new Server(options, listener);
  EventEmitter.call(this);
  if (typeof options === "function") listener = options;
  Object.assign(this, {
    headersTimeout: 60_000, keepAliveTimeout: 5_000, listening: false, maxHeadersCount: null, maxRequestsPerSocket: 0,
    requestTimeout: 300_000, timeout: 0,
  });
  this[kState] = { port: undefined };
  if (listener) this.on("request", listener);
}
inherit(Server, EventEmitter);
define(Server, {
  address() {
    return this.listening ? { address: "127.0.0.1", family: "IPv4", port: this[kState].port } : null;
  },
  close(callback) {
    if (callback) this.once("close", callback);
    if (this.listening) listening.delete(this[kState].port);
    this.listening = false;
    process.nextTick(() => this.emit("close"));
    return this;
  },
  closeAllConnections() {},
  closeIdleConnections() {},
  getConnections(callback) {
    process.nextTick(callback, null, 0);
    return this;
  },
  listen(...args) {
    const callback = args.findLast((arg) => typeof arg === "function");
    const first = args[0] !== null && typeof args[0] === "object" ? args[0].port : args[0];
    if (this.listening) throw fault(Error, "ERR_SERVER_ALREADY_LISTEN", "Listen method has been called more than once without closing.");
    let port = typeof first === "function" || first === undefined || first === null ? 0 : Number(first);
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      const message = `options.port should be >= 0 and < 65536. Received ${typeof first === "string" ? `'${first}'` : first}.`;
      throw fault(RangeError, "ERR_SOCKET_BAD_PORT", message);
    }
    if (callback) this.once("listening", callback);
    if (port === 0) for (port = 49152; listening.has(port); port++);
    if (listening.has(port)) {
      const error = fault(Error, "EADDRINUSE", `listen EADDRINUSE: address already in use :::${port}`);
      process.nextTick(() => this.emit("error", Object.assign(error, { port, syscall: "listen" })));
      return this;
    }
    listening.set(port, this);
    this[kState].port = port;
    this.listening = true;
    process.nextTick(() => this.emit("listening"));
    return this;
  },
  ref() {
    return this;
  },
  setTimeout() {
    return this;
  },
  unref() {
    return this;
  },
});

// Has the server answer a Request.
function answer(server, request) {
  const url = new URL(request.url);
  const address = request.headers.get("cf-connecting-ip") ?? undefined;
  const message = new IncomingMessage(new Connection(address, url.protocol === "https:"));
  fill(message, request);
  message.headers.host ??= url.host;
  message.method = request.method;
  message.url = url.pathname + url.search;
  return new Promise((resolve, reject) => {
    const response = new ServerResponse(message);
    response[kSink] = { resolve, reject };
    request.signal.addEventListener("abort", () => {
      if (response.writableEnded) return;
      message.aborted = true;
      message.emit("aborted");
      response.destroy();
    });
    server.emit("request", message, response);
  });
}

function serverAt(port) {
  const server = listening.get(port);
  if (server) return server;
  const ports = [...listening.keys()].join(", ") || "none";
  throw new Error(`No server of node:http listens on port ${port}; those that do: ${ports}`);
}

// What `cloudflare:node` has. A handler for a server, or for the one that listens on a port when the first request comes.
function httpServerHandler(target, handlers = {}) {
  if (target === null || typeof target !== "object") throw nodeError("ERR_INVALID_ARG_TYPE", "target", ["Server", "Object"], target);
  const isServer = target instanceof Server;
  if (isServer && !target.listening) target.listen();
  if (!isServer && !Number.isInteger(target.port)) throw nodeError("ERR_INVALID_ARG_TYPE", "port", "number", target.port);
  return {
    ...handlers,
    // Not before the first request: a server may be made to listen after its handler is exported.
    async fetch(request) {
      return answer(isServer ? target : serverAt(target.port), request);
    },
  };
}

async function handleAsNodeRequest(target, request) {
  return answer(serverAt(typeof target === "number" ? target : target?.port), request);
}

return {
  Server, ServerResponse, createServer: (options, listener) => new Server(options, listener),
  cloudflare: { __proto__: null, handleAsNodeRequest, httpServerHandler },
};
})
