// MIMEType and MIMEParams of node:util (WHATWG MIME sniffing standard, sections 4.4 and 4.5).

(function (require) {
"use strict";

const { nodeError } = require("internal/errors");

const TOKEN = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;
const VALUE = /^[\t -~\x80-\xff]*$/;
const SPACE = /^[\r\n\t ]+|[\r\n\t ]+$/g;

const invalid = (what, input, at = -1) => nodeError("ERR_INVALID_MIME_SYNTAX", what, input, at);

function token(value, what) {
  value = `${value}`;
  if (!TOKEN.test(value)) throw invalid(what, value, value.search(/[^!#$%&'*+\-.^_`|~A-Za-z0-9]/));
  return value.toLowerCase();
}

class MIMEParams {
  #map = new Map();

  // The parameters after the first `;` of a type.
  static parse(text, params) {
    const pattern = /[\r\n\t ]*([^;=]*)(?:=("(?:[^"\\]|\\.)*"?|[^;]*)[^;]*)?(?:;|$)/gy;
    for (let match; pattern.lastIndex < text.length && (match = pattern.exec(text)) !== null;) {
      if (match[0] === "") break;
      const name = match[1].toLowerCase();
      let value = match[2];
      if (value === undefined) continue;
      if (value.startsWith("\"")) value = value.replace(/^"|"$/g, "").replace(/\\(.)/g, "$1");
      else value = value.replace(/[\r\n\t ]+$/, "");
      if (value === "" && !match[2].startsWith("\"")) continue;
      if (TOKEN.test(name) && VALUE.test(value) && !params.#map.has(name)) params.#map.set(name, value);
    }
    return params;
  }

  delete(name) {
    this.#map.delete(`${name}`);
  }

  get(name) {
    return this.#map.get(`${name}`) ?? null;
  }

  has(name) {
    return this.#map.has(`${name}`);
  }

  set(name, value) {
    value = `${value}`;
    if (!VALUE.test(value)) throw invalid("parameter value", value, value.search(/[^\t -~\x80-\xff]/));
    const key = `${name}`;
    if (!TOKEN.test(key)) throw invalid("parameter name", key, key.search(/[^!#$%&'*+\-.^_`|~A-Za-z0-9]/));
    this.#map.set(key, value);
  }

  entries() {
    return this.#map.entries();
  }

  keys() {
    return this.#map.keys();
  }

  values() {
    return this.#map.values();
  }

  [Symbol.iterator]() {
    return this.#map.entries();
  }

  toString() {
    const shown = (value) => value !== "" && TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
    return [...this.#map].map(([name, value]) => `${name}=${shown(value)}`).join(";");
  }

  toJSON() {
    return this.toString();
  }
}

class MIMEType {
  #type;
  #subtype;
  #params;

  constructor(input) {
    const text = `${input}`.replace(SPACE, "");
    const slash = text.indexOf("/");
    if (slash === -1) throw invalid("type", text);
    const type = text.slice(0, slash);
    if (!TOKEN.test(type)) throw invalid("type", text, type.search(/[^!#$%&'*+\-.^_`|~A-Za-z0-9]/));
    const end = text.indexOf(";", slash);
    const subtype = text.slice(slash + 1, end === -1 ? undefined : end).replace(SPACE, "");
    if (!TOKEN.test(subtype)) throw invalid("subtype", text);
    this.#type = type.toLowerCase();
    this.#subtype = subtype.toLowerCase();
    this.#params = MIMEParams.parse(end === -1 ? "" : text.slice(end + 1), new MIMEParams());
  }

  get essence() {
    return `${this.#type}/${this.#subtype}`;
  }

  get params() {
    return this.#params;
  }

  get subtype() {
    return this.#subtype;
  }

  set subtype(value) {
    this.#subtype = token(value, "subtype");
  }

  get type() {
    return this.#type;
  }

  set type(value) {
    this.#type = token(value, "type");
  }

  toString() {
    const params = this.#params.toString();
    return params === "" ? this.essence : `${this.essence};${params}`;
  }

  toJSON() {
    return this.toString();
  }
}

return { MIMEParams, MIMEType };
})
