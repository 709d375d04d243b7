// The requests of node:http and node:https. They are sent by `fetch`, once the body is there, and so by its rules: which
// addresses may be reached, how many requests there may be. Agents keep settings; there is nothing else to keep.

(function (require, internals) {
"use strict";

const { Buffer } = require("buffer");
const { EventEmitter } = require("events");
const { urlToHttpOptions } = require("url");
const { AbortError, nodeError } = require("internal/errors");
const {
  Connection, IncomingMessage, OF_CONNECTION, OutgoingMessage, define, fault, fill, headersOf, inherit, validateHeaderName,
} = require("internal/http_messages");

const kAbort = Symbol("abort");
const kChunks = Symbol("chunks");
const kTimer = Symbol("timer");
const kUrl = Symbol("url");

class Agent extends EventEmitter {
  constructor(options) {
    super();
    this.options = { __proto__: null, ...options };
    this.defaultPort = 80;
    this.protocol = "http:";
    this.requests = {};
    this.sockets = {};
    this.freeSockets = {};
    this.keepAlive = Boolean(this.options.keepAlive);
    this.keepAliveMsecs = this.options.keepAliveMsecs ?? 1000;
    this.scheduling = this.options.scheduling ?? "lifo";
    this.totalSocketCount = 0;
    this.maxSockets = this.options.maxSockets ?? Infinity;
    this.maxFreeSockets = this.options.maxFreeSockets ?? 256;
    this.maxTotalSockets = this.options.maxTotalSockets ?? Infinity;
  }

  createConnection() {
    throw fault(Error, "ERR_METHOD_NOT_IMPLEMENTED", "http.Agent.createConnection is not implemented on Atoll");
  }

  destroy() {}

  // Under which name connections with these settings would be kept.
  getName(options = {}) {
    const { family, host, localAddress, port, socketPath } = options;
    const version = family === 4 || family === 6 ? `:${family}` : "";
    return `${host || "localhost"}:${port || ""}:${localAddress || ""}${version}${socketPath ? `:${socketPath}` : ""}`;
  }
}

class SecureAgent extends Agent {
  constructor(options) {
    super(options);
    this.defaultPort = 443;
    this.protocol = "https:";
  }
}

// The arguments of `request`: a URL and options, each of which may be missing, and a callback.
function optionsOf(input, options, callback) {
  if (typeof input === "string") {
    if (!URL.canParse(input)) throw Object.assign(fault(TypeError, "ERR_INVALID_URL", "Invalid URL"), { input });
    input = urlToHttpOptions(new URL(input));
  } else if (input instanceof URL) {
    input = urlToHttpOptions(input);
  } else {
    [input, options, callback] = [{}, input, options];
  }
  if (typeof options === "function") [options, callback] = [undefined, options];
  return { options: { ...input, ...options }, callback };
}

function ClientRequest(input, given, after) {
  const { options, callback } = optionsOf(input, given, after);
  // It ends when its answer has been read, not when it is sent.
  OutgoingMessage.call(this, { autoDestroy: false });
  const { agent, auth, headers, signal, timeout } = options;
  const protocol = options.protocol ?? agent?.protocol ?? options.defaultProtocol ?? "http:";
  if (protocol !== "http:" && protocol !== "https:") {
    throw fault(TypeError, "ERR_INVALID_PROTOCOL", `Protocol "${protocol}" not supported. Expected "http:"`);
  }
  const host = options.hostname ?? options.host ?? "localhost";
  const path = options.path ?? "/";
  if (/[^\x21-\xff]/.test(path)) {
    throw fault(TypeError, "ERR_UNESCAPED_CHARACTERS", "Request path contains unescaped characters");
  }
  if (options.method !== undefined && options.method !== null) {
    if (typeof options.method !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", "options.method", "string", options.method);
    validateHeaderName(options.method, "Method");
  }
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const port = options.port ?? options.defaultPort;
  Object.assign(this, {
    aborted: false, agent, host, maxHeadersCount: null, method: (options.method || "GET").toUpperCase(), path, protocol,
    res: null, reusedSocket: false,
  });
  this[kUrl] = `${protocol}//${name}${port ? `:${port}` : ""}${path.startsWith("/") ? path : `/${path}`}`;
  this[kChunks] = [];
  this[kAbort] = new AbortController();
  if (Array.isArray(headers)) {
    for (let i = 0; i < headers.length; i += 2) this.appendHeader(headers[i], headers[i + 1]);
  } else if (headers) {
    for (const key of Object.keys(headers)) if (headers[key] !== undefined) this.setHeader(key, headers[key]);
  }
  if (!this.hasHeader("host") && options.setHost !== false) {
    const isUsual = !port || Number(port) === (protocol === "https:" ? 443 : 80);
    this.setHeader("Host", isUsual ? name : `${name}:${port}`);
  }
  if (auth && !this.hasHeader("authorization")) this.setHeader("Authorization", `Basic ${Buffer.from(auth).toString("base64")}`);
  if (callback) this.once("response", callback);
  if (signal) {
    const abort = () => this.destroy(new AbortError(undefined, { cause: signal.reason }));
    if (signal.aborted) process.nextTick(abort);
    else signal.addEventListener("abort", abort, { once: true });
  }
  if (timeout) this.setTimeout(timeout);
  process.nextTick(() => {
    if (this.destroyed) return;
    this.socket = new Connection(undefined, protocol === "https:");
    this.emit("socket", this.socket);
  });
}
inherit(ClientRequest, OutgoingMessage);
define(ClientRequest, {
  abort() {
    if (this.aborted) return;
    this.aborted = true;
    process.nextTick(() => this.emit("abort"));
    this.destroy();
  },
  end(...args) {
    this.finished = true;
    return OutgoingMessage.prototype.end.apply(this, args);
  },
  onSocket() {},
  setNoDelay() {},
  setSocketKeepAlive() {},
  setTimeout(milliseconds, callback) {
    if (callback) this.once("timeout", callback);
    clearTimeout(this[kTimer]);
    if (milliseconds > 0) this[kTimer] = setTimeout(() => this.emit("timeout"), milliseconds);
    return this;
  },
  _write(chunk, encoding, callback) {
    this[kChunks].push(Buffer.from(chunk));
    callback();
  },
  _final(callback) {
    this._header = `${this.method} ${this.path} HTTP/1.1\r\n\r\n`;
    send(this).catch((error) => this.destroy(error));
    callback();
  },
  _destroy(error, callback) {
    clearTimeout(this[kTimer]);
    this[kAbort].abort();
    if (!this.res && !error) error = fault(Error, "ECONNRESET", "socket hang up");
    callback(error);
  },
});

// The host and the length are for `fetch` to say, and a body that it has decoded is no longer what these two say.
const NOT_SENT = [...OF_CONNECTION, "content-length", "expect", "host"];
const NOT_OF_BODY = ["content-encoding", "content-length"];

async function send(request) {
  const body = request[kChunks].length > 0 ? Buffer.concat(request[kChunks]) : undefined;
  const { method } = request;
  const headers = headersOf(request, NOT_SENT);
  const init = { body, headers, method, redirect: "manual", signal: request[kAbort].signal };
  let response;
  try {
    response = await internals.fetch(request[kUrl], init);
  } catch (error) {
    if (request.destroyed) return;
    throw error.code ? error : fault(Error, "ECONNREFUSED", error.message);
  }
  if (request.destroyed) return;
  clearTimeout(request[kTimer]);
  const message = new IncomingMessage(request.socket);
  fill(message, response, response.headers.has("content-encoding") ? NOT_OF_BODY : []);
  Object.assign(message, { req: request, statusCode: response.status, statusMessage: response.statusText });
  request.res = message;
  message.once("close", () => request.destroy());
  // Nobody who reads it: then it is read to its end, as Node.js does.
  if (!request.emit("response", message)) message.resume();
}

function functions(defaults) {
  const request = (input, options, callback) => {
    const all = optionsOf(input, options, callback);
    return new ClientRequest({ ...defaults, ...all.options }, all.callback);
  };
  const get = (input, options, callback) => {
    const sent = request(input, options, callback);
    sent.end();
    return sent;
  };
  return { get, request };
}

return {
  Agent, ClientRequest, SecureAgent,
  http: functions({}),
  https: functions({ defaultProtocol: "https:" }),
};
})
