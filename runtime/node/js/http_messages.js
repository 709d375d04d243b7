// The messages of node:http: what is read, and what is written. What carries them is a Request and a Response.

(function (require) {
"use strict";

const { Buffer } = require("buffer");
const { EventEmitter } = require("events");
const { Readable, Writable } = require("stream");
const { nodeError } = require("internal/errors");

const kBody = Symbol("body");
const kHeaders = Symbol("headers");
const kReader = Symbol("reader");

const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;

function fault(Class, code, message) {
  return Object.assign(new Class(message), { code });
}

function validateHeaderName(name, label = "Header name") {
  if (typeof name === "string" && TOKEN.test(name)) return;
  throw fault(TypeError, "ERR_INVALID_HTTP_TOKEN", `${label} must be a valid HTTP token ["${name}"]`);
}

function validateHeaderValue(name, value) {
  if (value === undefined) {
    throw fault(TypeError, "ERR_HTTP_INVALID_HEADER_VALUE", `Invalid value "${value}" for header "${name}"`);
  }
  if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
    throw fault(TypeError, "ERR_INVALID_CHAR", `Invalid character in header content ["${name}"]`);
  }
}

// What there is of a connection: who is at its other end. Nothing is read from it or written to it.
class Connection extends EventEmitter {
  constructor(remoteAddress, encrypted) {
    super();
    Object.assign(this, {
      bytesRead: 0, bytesWritten: 0, connecting: false, destroyed: false, encrypted, readable: true, remoteAddress,
      remoteFamily: remoteAddress?.includes(":") ? "IPv6" : "IPv4", writable: true,
    });
  }

  address() {
    return {};
  }

  destroy() {
    this.destroyed = true;
    return this;
  }
}
for (const name of ["cork", "end", "pause", "ref", "resume", "setKeepAlive", "setNoDelay", "setTimeout", "uncork", "unref"]) {
  // A method, so that it is no constructor.
  ({ [name]: Connection.prototype[name] } = { [name]() { return this; } });
}

function inherit(Class, Base) {
  Object.setPrototypeOf(Class.prototype, Base.prototype);
  Object.setPrototypeOf(Class, Base);
}

function define(Class, members) {
  const descriptors = Object.getOwnPropertyDescriptors(members);
  for (const name of Object.keys(descriptors)) descriptors[name].enumerable = false;
  Object.defineProperties(Class.prototype, descriptors);
}

// A function and no class: packages call it on objects of their own.
function IncomingMessage(socket) {
  Readable.call(this);
  Object.assign(this, {
    aborted: false, complete: false, headers: {}, httpVersion: "1.1", httpVersionMajor: 1, httpVersionMinor: 1,
    method: null, rawHeaders: [], rawTrailers: [], socket, statusCode: null, statusMessage: null, trailers: {},
    upgrade: false, url: "",
  });
  this[kBody] = null;
  this[kReader] = undefined;
}
inherit(IncomingMessage, Readable);
define(IncomingMessage, {
  get connection() {
    return this.socket;
  },
  set connection(socket) {
    this.socket = socket;
  },
  get headersDistinct() {
    const distinct = { __proto__: null };
    for (const [name, value] of Object.entries(this.headers)) distinct[name] = Array.isArray(value) ? value : [value];
    return distinct;
  },
  get trailersDistinct() {
    return { __proto__: null };
  },
  setTimeout(milliseconds, callback) {
    if (callback) this.on("timeout", callback);
    return this;
  },
  _read() {
    if (!this[kBody]) {
      this.complete = true;
      this.push(null);
      return;
    }
    const reader = this[kReader] ??= this[kBody].getReader();
    reader.read().then(
      ({ done, value }) => {
        if (this.destroyed) return;
        this.complete = done;
        this.push(done ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      },
      (error) => {
        this.aborted = true;
        this.destroy(error);
      },
    );
  },
  _destroy(error, callback) {
    const ignore = () => {};
    if (this[kReader]) this[kReader].cancel(error).catch(ignore);
    else if (this[kBody] && !this.complete && !this[kBody].locked) this[kBody].cancel(error).catch(ignore);
    callback(error);
  },
});

// Gives the message what a Request or Response says, but for the headers in `without`.
function fill(message, { body, headers }, without = []) {
  for (const [name, value] of headers) {
    if (without.includes(name)) continue;
    message.rawHeaders.push(name, value);
    if (name === "set-cookie") (message.headers[name] ??= []).push(value);
    else message.headers[name] = value;
  }
  message[kBody] = body;
}

function OutgoingMessage(options) {
  Writable.call(this, options);
  Object.assign(this, {
    _header: null, chunkedEncoding: false, finished: false, sendDate: true, shouldKeepAlive: true, socket: null,
    useChunkedEncodingByDefault: true,
  });
  // By name in lower case: the name as it was set, and the value.
  this[kHeaders] = new Map();
}
inherit(OutgoingMessage, Writable);
define(OutgoingMessage, {
  get connection() {
    return this.socket;
  },
  set connection(socket) {
    this.socket = socket;
  },
  get headersSent() {
    return this._header !== null;
  },
  addTrailers() {},
  appendHeader(name, value) {
    const before = this.getHeader(name);
    return this.setHeader(name, before === undefined ? value : [before, value].flat());
  },
  flushHeaders() {},
  getHeader(name) {
    if (typeof name !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", "name", "string", name);
    return this[kHeaders].get(name.toLowerCase())?.[1];
  },
  getHeaderNames() {
    return [...this[kHeaders].keys()];
  },
  getHeaders() {
    const headers = { __proto__: null };
    for (const [name, entry] of this[kHeaders]) headers[name] = entry[1];
    return headers;
  },
  getRawHeaderNames() {
    return Array.from(this[kHeaders].values(), ([name]) => name);
  },
  hasHeader(name) {
    return this.getHeader(name) !== undefined;
  },
  removeHeader(name) {
    this[kMayChange]("remove");
    this[kHeaders].delete(`${name}`.toLowerCase());
  },
  setHeader(name, value) {
    this[kMayChange]("set");
    validateHeaderName(name);
    if (Array.isArray(value)) value.forEach((one) => validateHeaderValue(name, one));
    else validateHeaderValue(name, value);
    this[kHeaders].set(name.toLowerCase(), [name, value]);
    return this;
  },
  setHeaders(headers) {
    if (!(headers instanceof Headers || headers instanceof Map)) {
      throw nodeError("ERR_INVALID_ARG_TYPE", "headers", ["Headers", "Map"], headers);
    }
    for (const [name, value] of headers) this.setHeader(name, value);
    return this;
  },
  setTimeout(milliseconds, callback) {
    if (callback) this.once("timeout", callback);
    return this;
  },
});

const kMayChange = Symbol("may change");
OutgoingMessage.prototype[kMayChange] = function (what) {
  if (this._header === null) return;
  throw fault(Error, "ERR_HTTP_HEADERS_SENT", `Cannot ${what} headers after they are sent to the client`);
};

// What belongs to a connection, and so not to a message that is carried by others.
const OF_CONNECTION = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

// The headers that were set, for a Request or Response, but for those in `without`.
function headersOf(message, without) {
  const headers = new Headers();
  for (const [name, [, value]] of message[kHeaders]) {
    if (without.includes(name)) continue;
    for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
  }
  return headers;
}

// The bytes of what is given to `write` or `end`.
function bytesOf(chunk, encoding) {
  if (typeof chunk === "string") return Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8");
  if (chunk instanceof Uint8Array) return chunk;
  throw nodeError("ERR_INVALID_ARG_TYPE", "chunk", ["string", "Buffer", "Uint8Array"], chunk);
}

return {
  Connection, IncomingMessage, OF_CONNECTION, OutgoingMessage, bytesOf, define, fault, fill, headersOf, inherit,
  validateHeaderName, validateHeaderValue,
};
})
