// The class of what `env` holds to fetch from: other workers, assets. Of other workers it has methods too.

(function () {
const { core, primordials } = __bootstrap;
const {
  ObjectCreate,
  ObjectHasOwn,
  ObjectPrototype,
  ObjectSetPrototypeOf,
  PromiseReject,
  Proxy,
  ReflectApply,
  ReflectGet,
  SafeArrayIterator,
  SafeWeakSet,
  Symbol,
  TypeError,
  WeakSetPrototypeAdd,
  WeakSetPrototypeHas,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const requests = core.loadExtScript("ext:atoll_web/request.js");
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");
const { property } = core.loadExtScript("ext:atoll_web/rpc_stubs.js");

const INTERNAL = Symbol("internal");

// Whether something is a Fetcher; set by the class.
let isFetcher;

class Fetcher {
  // Takes a Request and gives a promise of a Response.
  #send;

  constructor(key, send) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#send = send;
  }

  fetch(input, init = undefined) {
    try {
      const send = this.#send;
      webidl.requiredArguments(arguments.length, 1, "Failed to execute 'fetch' on 'Fetcher'");
      // A Request as it is needs no copy.
      const request = requests.isRequest(input) && (init === undefined || init === null)
        ? input
        : new requests.Request(input, init);
      return send(request);
    } catch (error) {
      return PromiseReject(error);
    }
  }

  static {
    isFetcher = (value) => typeof value === "object" && value !== null && #send in value;
  }
}
webidl.configureInterface(Fetcher);
refuseClone(Fetcher);

const createFetcher = (send) => new Fetcher(INTERNAL, send);

// Whether a name is one of Fetchers themselves, rather than of what they lead to.
const isOwn = (name) => name === "fetch" || name === "constructor" || ObjectHasOwn(ObjectPrototype, name);

// A Fetcher any other property of which is one of the worker behind it. `call(path, args)` gives a promise of `{ value }`,
// and reads when `args` is null.
function createServiceFetcher(send, call) {
  const members = new Proxy(ObjectCreate(Fetcher.prototype), {
    __proto__: null,
    get(target, name, receiver) {
      // A promise that resolves to this looks for `then`.
      if (typeof name !== "string" || name === "then" || isOwn(name)) return ReflectGet(target, name, receiver);
      return property(call, [name]);
    },
  });
  return ObjectSetPrototypeOf(createFetcher(send), members);
}

const callables = new SafeWeakSet();

// A Fetcher that can be called as well, and nothing about which can be changed.
function createCallable(fetcher, apply) {
  const fetch = (...args) => ReflectApply(fetcher.fetch, fetcher, args);
  const made = new Proxy(() => {}, {
    __proto__: null,
    apply: (target, that, args) => apply(...new SafeArrayIterator(args)),
    defineProperty: () => false,
    deleteProperty: () => false,
    get: (target, name) => name === "fetch" ? fetch : fetcher[name],
    getOwnPropertyDescriptor: () => undefined,
    getPrototypeOf: () => Fetcher.prototype,
    has: () => false,
    ownKeys: () => [],
    preventExtensions: () => false,
    set: () => false,
    setPrototypeOf: () => false,
  });
  WeakSetPrototypeAdd(callables, made);
  return made;
}

const isCallable = (value) => typeof value === "function" && WeakSetPrototypeHas(callables, value);

return { createCallable, createFetcher, createServiceFetcher, Fetcher, isCallable, isFetcher, isOwn };
})();
