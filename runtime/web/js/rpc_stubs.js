// What code sees of things in another worker: stubs, their properties, and the promises of calls, of which more can be asked
// before they are kept. Each is a function behind a proxy; what a name means is known in the other worker only.

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayPrototypeConcat,
  Error,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectDefineProperty,
  ObjectHasOwn,
  ObjectKeys,
  ObjectPrototype,
  PromisePrototypeCatch,
  PromisePrototypeFinally,
  PromisePrototypeThen,
  Proxy,
  ReflectApply,
  SafeMap,
  SafeWeakMap,
  SymbolDispose,
  TypeError,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;

// The references behind stubs.
const states = new SafeWeakMap();
const stateOf = (value) => typeof value === "function" ? WeakMapPrototypeGet(states, value) : undefined;

// What one stub refers to, until it is disposed of.
class Reference {
  #import;

  constructor(imported) {
    this.#import = imported;
  }

  #alive() {
    if (this.#import === null) throw new Error("The stub has been disposed of");
    return this.#import;
  }

  async call(path, args) {
    return await this.#alive().call(path, args);
  }

  keep() {
    return this.#alive().keep();
  }

  release() {
    const imported = this.#import;
    this.#import = null;
    imported?.release();
  }
}

const METHODS = { __proto__: null, then: PromisePrototypeThen, catch: PromisePrototypeCatch, finally: PromisePrototypeFinally };

// What code tells these things apart by: `instanceof`, and their prototypes.
class RpcStub {
  // A stub of something of this worker's own, as another worker would have one.
  constructor(target) {
    if ((typeof target !== "object" || target === null) && typeof target !== "function") {
      throw new TypeError("Failed to construct 'RpcStub': the target must be an object or a function");
    }
    return core.loadExtScript("ext:atoll_web/rpc.js").localStub(target);
  }
}
class RpcPromise {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
}
class RpcProperty {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
}

// A function that does `apply`, and has what `get` says. Nothing about it can be changed.
function facade({ prototype }, get, apply) {
  return new Proxy(() => {}, {
    __proto__: null,
    apply: (target, that, args) => apply(args),
    defineProperty: () => false,
    deleteProperty: () => false,
    get: (target, name) => get(name),
    getOwnPropertyDescriptor: () => undefined,
    getPrototypeOf: () => prototype,
    has: () => false,
    ownKeys: () => [],
    preventExtensions: () => false,
    set: () => false,
    setPrototypeOf: () => false,
  });
}

function stub(imported) {
  const state = new Reference(imported);
  const made = facade(RpcStub, (name) => {
    if (name === SymbolDispose) return () => state.release();
    if (name === "dup") return () => stub(state.keep());
    // Whoever awaits a stub has it already.
    if (typeof name !== "string" || name === "then") return undefined;
    // What every object has is the stub's own.
    if (name === "constructor") return RpcStub;
    if (ObjectHasOwn(ObjectPrototype, name)) return ObjectPrototype[name];
    return property((path, args) => state.call(path, args), [name]);
  }, (args) => pending(state.call([], args)));
  WeakMapPrototypeSet(states, made, state);
  return made;
}

const valueOf = (promise) => PromisePrototypeThen(promise, ({ value }) => value);

// What is found along a path. `call(path, args)` gives a promise of `{ value }`, and reads when `args` is null.
function property(call, path) {
  return facade(RpcProperty, (name) => {
    if (typeof name !== "string") return undefined;
    if (METHODS[name] !== undefined) return (one, other) => METHODS[name](valueOf(call(path, null)), one, other);
    return property(call, ArrayPrototypeConcat(path, [name]));
  }, (args) => pending(call(path, args)));
}

// The promise of a call, given one of `{ value }`.
function pending(promise) {
  return facade(RpcPromise, (name) => {
    if (name === SymbolDispose) return () => PromisePrototypeThen(promise, ({ value }) => value?.[SymbolDispose]?.(), () => {});
    if (typeof name !== "string") return undefined;
    if (METHODS[name] !== undefined) return (one, other) => METHODS[name](valueOf(promise), one, other);
    return property((path, args) => within(promise, path, args), [name]);
  }, (args) => pending(within(promise, [], args)));
}

// Reads along a path of what a promise gives, and calls what is at its end unless `args` is null.
async function within(promise, path, args) {
  let { value } = await promise;
  let holder;
  for (let i = 0; i < path.length; i++) {
    holder = value;
    const isElsewhere = stateOf(holder) !== undefined || core.loadExtScript("ext:atoll_web/fetcher.js").isFetcher(holder);
    const isThere = isElsewhere || (typeof holder === "object" && holder !== null && ObjectHasOwn(holder, path[i]));
    if (!isThere) throw new TypeError(`The RPC receiver does not implement the method or property "${path[i]}"`);
    value = holder[path[i]];
    // What is asked of another worker is asked in one go.
    if (isElsewhere && i + 1 < path.length) value = { __proto__: null, value: await value }.value;
  }
  if (args !== null) {
    if (typeof value !== "function") throw new TypeError("The RPC receiver has no such method");
    value = ReflectApply(value, holder, args);
  }
  return { __proto__: null, value: await value };
}

// An object that came as a value can be disposed of, and with it the stubs it has.
function disposable(value) {
  if (typeof value !== "object" || value === null || ObjectHasOwn(value, SymbolDispose)) return value;
  const dispose = () => disposeWithin(value, new SafeMap());
  ObjectDefineProperty(value, SymbolDispose, {
    __proto__: null,
    value: dispose,
    writable: true,
    enumerable: false,
    configurable: true,
  });
  return value;
}

function disposeWithin(value, seen) {
  const state = stateOf(value);
  if (state !== undefined) return state.release();
  if (typeof value !== "object" || value === null || MapPrototypeGet(seen, value)) return;
  MapPrototypeSet(seen, value, true);
  const keys = ObjectKeys(value);
  for (let i = 0; i < keys.length; i++) disposeWithin(value[keys[i]], seen);
}

return { disposable, pending, property, RpcPromise, RpcProperty, RpcStub, stateOf, stub };
})();
