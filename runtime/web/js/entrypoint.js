// The worker's entry: what its module exports or listens to, and `env`.
//
// An entry is an adapter with two functions, `fetch(request, env, ctx)` and `scheduled(controller, env, ctx)`, which call
// what the code has for them.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_env } = core.ops;
const {
  JSONParse,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  ReflectApply,
  ReflectOwnKeys,
  TypeError,
} = primordials;
const events = core.loadExtScript("ext:deno_web/02_event.js");

const EXAMPLE = "export default { async fetch(request, env, ctx) { return new Response(\"hello\"); } };";
// What else the platform or Workers call on a default export. One of them is enough for a worker to start.
const HANDLERS = ["scheduled", "queue", "tail", "email", "test", "trace", "tailStream"];

// The class `WorkerEntrypoint` of `cloudflare:workers`: the code's own class extends it and has handlers as methods.
class WorkerEntrypoint {
  constructor(ctx, env) {
    this.ctx = ctx;
    this.env = env;
  }
}

// `env`, once built.
let bindings = null;

function environment() {
  if (bindings !== null) return bindings;
  const built = {};
  const list = op_atoll_env();
  for (let i = 0; i < list.length; i += 3) {
    let value = list[i + 2];
    if (list[i] === "json") {
      try {
        value = JSONParse(value);
      } catch (error) {
        throw new TypeError(`The variable ${list[i + 1]} is not valid JSON`, { cause: error });
      }
    }
    define(built, list[i + 1], value, true);
  }
  return bindings = built;
}

function define(target, name, value, enumerable) {
  ObjectDefineProperty(target, name, { __proto__: null, value, writable: true, enumerable, configurable: true });
}

// Called before the entry module is evaluated. A module that exports nothing is a script in the syntax of service
// workers, which finds its bindings on the global.
function prepare(namespace) {
  const keys = ReflectOwnKeys(namespace);
  for (let i = 0; i < keys.length; i++) {
    if (typeof keys[i] === "string") return;
  }
  const env = environment();
  const names = ReflectOwnKeys(env);
  for (let i = 0; i < names.length; i++) define(globalThis, names[i], env[names[i]], false);
}

// The adapter for an evaluated entry module; an error says what it lacks.
function find(namespace) {
  const entry = namespace.default;
  if (entry === undefined || entry === null) {
    if (events.listenerCount(globalThis, "fetch") + events.listenerCount(globalThis, "scheduled") > 0) {
      return core.loadExtScript("ext:atoll_web/service_worker.js").adapter;
    }
    throw new TypeError(`The entry module has no default export; it needs one with a fetch method: ${EXAMPLE}`);
  }
  if (typeof entry === "function" && ObjectPrototypeIsPrototypeOf(WorkerEntrypoint.prototype, entry.prototype)) {
    return ofClass(entry);
  }
  if (typeof entry !== "object" && typeof entry !== "function") {
    throw new TypeError(
      `The entry module's default export is a ${typeof entry}, not an object with a fetch method: ${EXAMPLE}`,
    );
  }
  return ofObject(entry);
}

function missing(name) {
  return () => {
    throw new TypeError(`The worker has no ${name} handler`);
  };
}

function ofObject(entry) {
  const { fetch, scheduled } = entry;
  if (typeof fetch !== "function" && !hasHandler(entry)) {
    throw new TypeError(
      typeof entry === "function"
        ? `The entry module's default export is a function; it must be an object with a fetch method: ${EXAMPLE}`
        : `The entry module's default export has no fetch method: ${EXAMPLE}`,
    );
  }
  const method = (value, name) =>
    typeof value === "function" ? (event, env, ctx) => ReflectApply(value, entry, [event, env, ctx]) : missing(name);
  return { fetch: method(fetch, "fetch"), scheduled: method(scheduled, "scheduled") };
}

function hasHandler(entry) {
  for (let i = 0; i < HANDLERS.length; i++) {
    if (typeof entry[HANDLERS[i]] === "function") return true;
  }
  return false;
}

// Every event has an instance of its own.
function ofClass(Entry) {
  if (typeof Entry.prototype.fetch !== "function" && !hasHandler(Entry.prototype)) {
    throw new TypeError(
      "The entry module's default export extends WorkerEntrypoint but has no fetch method: " +
        "export default class extends WorkerEntrypoint { async fetch(request) { return new Response(\"hello\"); } }",
    );
  }
  const method = (name) => (event, env, ctx) => {
    const instance = new Entry(ctx, env);
    const call = instance[name];
    if (typeof call !== "function") missing(name)();
    return ReflectApply(call, instance, [event]);
  };
  return { fetch: method("fetch"), scheduled: method("scheduled") };
}

// Forgets the worker, for the snapshot.
function reset() {
  bindings = null;
}

return { environment, find, prepare, reset, WorkerEntrypoint };
})();
