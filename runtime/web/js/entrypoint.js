// The worker's entry: what its module exports or listens to, and `env`.
//
// An entry is an adapter with two functions, `fetch(request, env, ctx)` and `scheduled(controller, env, ctx)`, which call
// what the code has for them.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_env } = core.ops;
const {
  JSONParse,
  JSONStringify,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectDefineProperty,
  ObjectGetPrototypeOf,
  ObjectHasOwn,
  ObjectPrototype,
  ObjectPrototypeIsPrototypeOf,
  ReflectApply,
  ReflectOwnKeys,
  SafeMap,
  TypeError,
} = primordials;
const events = core.loadExtScript("ext:deno_web/02_event.js");
const { isOn } = core.loadExtScript("ext:atoll_web/compatibility.js");

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

// What the entry module exports, once the worker is started, and the adapters of its named entrypoints.
let exported = null;
let adapters = new SafeMap();

// What `ctx.exports` and `exports` of `cloudflare:workers` are, once one of them is asked for.
let own = null;

// An object with the worker's own entrypoints. Before the worker is started it is empty.
function ownExports() {
  if (own === null) {
    own = {};
    if (exported !== null) fill(own);
  }
  return own;
}

function fill(target) {
  if (!isOn("contextExports")) return;
  const { createOwn } = core.loadExtScript("ext:atoll_web/service.js");
  const names = ReflectOwnKeys(exported);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    try {
      if (typeof name === "string" && isEntrypoint(exported[name])) define(target, name, createOwn(name), true);
    } catch {
      // A getter of the code's own that throws.
    }
  }
}

// Whether other workers could bind something that the entry module exports.
const isEntrypoint = (entry) =>
  isEntrypointClass(entry) || (typeof entry === "object" && entry !== null && hasMethods(entry));

function environment() {
  if (bindings !== null) return bindings;
  const built = {};
  const list = op_atoll_env();
  for (let i = 0; i < list.length; i += 3) {
    let value = list[i + 2];
    if (list[i] === "service") value = core.loadExtScript("ext:atoll_web/service.js").createService(i / 3 + 1);
    if (list[i] === "json") {
      try {
        value = JSONParse(value);
      } catch (error) {
        throw new TypeError(`The variable ${list[i + 1]} is not valid JSON`, { cause: error });
      }
    }
    if (list[i] === "assets") value = core.loadExtScript("ext:atoll_web/assets.js").createAssets();
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

// The adapter for what the entry module exports under another name than `default`.
function named(name) {
  let adapter = MapPrototypeGet(adapters, name);
  if (adapter === undefined) {
    const entry = ObjectHasOwn(exported, name) ? exported[name] : undefined;
    if (!isEntrypoint(entry)) throw new TypeError(`The worker has no entrypoint ${JSONStringify(name)}`);
    adapter = isEntrypointClass(entry) ? ofClass(entry) : ofObject(entry);
    MapPrototypeSet(adapters, name, adapter);
  }
  return adapter;
}

const isEntrypointClass = (entry) =>
  typeof entry === "function" && ObjectPrototypeIsPrototypeOf(WorkerEntrypoint.prototype, entry.prototype);

// The adapter for an evaluated entry module; an error says what it lacks.
function find(namespace) {
  exported = namespace;
  if (own !== null) fill(own);
  const entry = namespace.default;
  if (entry === undefined || entry === null) {
    if (events.listenerCount(globalThis, "fetch") + events.listenerCount(globalThis, "scheduled") > 0) {
      return core.loadExtScript("ext:atoll_web/service_worker.js").adapter;
    }
    throw new TypeError(`The entry module has no default export; it needs one with a fetch method: ${EXAMPLE}`);
  }
  if (isEntrypointClass(entry)) {
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
  if (!hasMethods(entry)) {
    throw new TypeError(
      typeof entry === "function"
        ? `The entry module's default export is a function; it must be an object with a fetch method: ${EXAMPLE}`
        : `The entry module's default export has no fetch method: ${EXAMPLE}`,
    );
  }
  const method = (value, name) =>
    typeof value === "function" ? (event, env, ctx) => ReflectApply(value, entry, [event, env, ctx]) : missing(name);
  const call = (name) => {
    throw new TypeError(
      `The method ${JSONStringify(name)} cannot be called: only those of a class that extends WorkerEntrypoint can`,
    );
  };
  return { fetch: method(fetch, "fetch"), scheduled: method(scheduled, "scheduled"), call };
}

const hasMethods = (entry) => typeof entry.fetch === "function" || hasHandler(entry);

function hasHandler(entry) {
  for (let i = 0; i < HANDLERS.length; i++) {
    if (typeof entry[HANDLERS[i]] === "function") return true;
  }
  return false;
}

// Every event has an instance of its own.
function ofClass(Entry) {
  if (Entry === exported.default && !hasMethods(Entry.prototype) && !hasOwnMethods(Entry)) {
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
  // What another worker may call: methods of the class and of those it extends, up to WorkerEntrypoint. Properties of the
  // instance, which hold what the class keeps for itself, it may not.
  const call = (name, args, env, ctx) => {
    const instance = new Entry(ctx, env);
    const value = isCallable(Entry, name) ? instance[name] : undefined;
    if (args === null && value !== undefined) {
      return typeof value === "function" ? (...given) => ReflectApply(value, instance, given) : value;
    }
    if (typeof value !== "function") {
      throw new TypeError(`The entrypoint ${JSONStringify(Entry.name)} has no method ${JSONStringify(name)}`);
    }
    return ReflectApply(value, instance, args);
  };
  return { fetch: method("fetch"), scheduled: method("scheduled"), call };
}

function isCallable(Entry, name) {
  if (name === "constructor" || ObjectHasOwn(ObjectPrototype, name)) return false;
  let holder = Entry.prototype;
  while (holder !== null && holder !== WorkerEntrypoint.prototype) {
    if (ObjectHasOwn(holder, name)) return true;
    holder = ObjectGetPrototypeOf(holder);
  }
  return false;
}

// Whether a class has methods besides the constructor: other workers can call them.
const hasOwnMethods = (Entry) => ReflectOwnKeys(Entry.prototype).length > 1;

// Forgets the worker, for the snapshot.
function reset() {
  bindings = null;
  exported = null;
  own = null;
  adapters = new SafeMap();
}

return { environment, find, named, ownExports, prepare, reset, WorkerEntrypoint };
})();
