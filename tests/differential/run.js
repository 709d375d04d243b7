// Runs the cases of one file and writes down what each gave, in a notation that is the same in every runtime.

// Far more than any case takes, also on a machine that is busy with something else.
const MOST_MS = 30_000;

const quoted = (text) => JSON.stringify(text.isWellFormed() ? text : `ill-formed ${[...text].map((c) => c.codePointAt(0).toString(16))}`);

// What an exception is: its class, and for a DOMException its name. Messages are every runtime's own.
function exception(error) {
  if (typeof DOMException === "function" && error instanceof DOMException) return `DOMException ${error.name}`;
  if (error instanceof Error) return error.constructor === Error ? "Error" : error.constructor?.name ?? "Error";
  return `a thrown ${show(error)}`;
}

// A value as text.
export function show(value, depth = 0) {
  if (depth > 6) return "…";
  const deeper = (inner) => show(inner, depth + 1);
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}n`;
    case "symbol":
      return `Symbol(${value.description})`;
    case "function":
      return `function ${value.name}`;
    case "object":
      break;
    default:
      return String(value);
  }
  if (value === null) return "null";
  if (Array.isArray(value)) return `[${Array.from(value, deeper).join(", ")}]`;
  if (value instanceof Error || (typeof DOMException === "function" && value instanceof DOMException)) {
    return exception(value);
  }
  if (value instanceof Date) return `Date ${value.getTime()}`;
  if (value instanceof RegExp) return String(value);
  if (value instanceof Map) return `Map {${[...value].map(([k, v]) => `${deeper(k)} => ${deeper(v)}`).join(", ")}}`;
  if (value instanceof Set) return `Set {${[...value].map(deeper).join(", ")}}`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer [${new Uint8Array(value).join(", ")}]`;
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return `${value[Symbol.toStringTag]} [${(value instanceof DataView ? bytes : value).join(", ")}]`;
  }
  const prototype = Object.getPrototypeOf(value);
  const entries = Object.keys(value).sort().map((key) => `${key}: ${deeper(value[key])}`).join(", ");
  if (prototype === Object.prototype || prototype === null) return `{${entries}}`;
  return `${Object.prototype.toString.call(value)}${entries && ` {${entries}}`}`;
}

// What a function throws or its promise rejects with, as a value; what it gives when it does not fail.
export function attempt(body) {
  try {
    const value = body();
    return value instanceof Promise ? value.then((given) => given, exception) : value;
  } catch (error) {
    return exception(error);
  }
}

// `attempt` for a list of functions, one after the other.
export async function attempts(...bodies) {
  const results = [];
  for (const body of bodies) results.push(await attempt(body));
  return results;
}

// Everything that a stream gives, as a list of chunks.
export async function chunks(stream) {
  const list = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return list;
    list.push(value);
  }
}

// A stream that gives these chunks.
export const streamOf = (...list) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of list) controller.enqueue(chunk);
      controller.close();
    },
  });

export const bytes = (...list) => new Uint8Array(list);
export const utf8 = (text) => new TextEncoder().encode(text);
export const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Sends texts, one after the answer to the other, and closes.
export async function talk(webSocket, texts) {
  const seen = [];
  webSocket.accept();
  const closed = new Promise((resolve) => webSocket.addEventListener("close", ({ code, reason }) => resolve([code, reason])));
  for (const text of texts) {
    const answer = new Promise((resolve) => webSocket.addEventListener("message", ({ data }) => resolve(data), { once: true }));
    webSocket.send(text);
    seen.push(await answer);
  }
  webSocket.close(4001, "done");
  return [...seen, ...await closed];
}

// `[type, ...]` of a property's descriptor, for the shape of interfaces.
export function descriptor(object, name) {
  const found = Object.getOwnPropertyDescriptor(object, name);
  if (found === undefined) return undefined;
  const { configurable, enumerable, get, set, value, writable } = found;
  const flags = `${configurable ? "c" : ""}${enumerable ? "e" : ""}${writable ? "w" : ""}`;
  if (get !== undefined || set !== undefined) return `${get ? "get" : ""}${set ? "set" : ""} ${flags}`;
  return `${typeof value} ${flags}`;
}

export async function run(cases, context, only) {
  const results = {};
  for (const [name, body] of Object.entries(cases)) {
    if (only && !name.includes(only)) continue;
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve("does not end"), MOST_MS);
    });
    const outcome = (async () => {
      try {
        return show(await body(context));
      } catch (error) {
        return `throws ${exception(error)}`;
      }
    })();
    results[name] = await Promise.race([outcome, late]);
    clearTimeout(timer);
  }
  return results;
}

// What the handler answers to what the cases ask of the worker itself.
export async function inner(url, request) {
  if (url.pathname === "/stream") return new Response(streamOf(utf8("one "), utf8("two")));
  if (url.pathname === "/throw") throw new RangeError("of a handler");
  const body = await request.text();
  return Response.json({ method: request.method, path: url.pathname + url.search, header: request.headers.get("x-a"), body });
}
