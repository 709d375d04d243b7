// `env` and `exports` as `cloudflare:workers` exports them: those of the worker, or what `withEnv`, `withExports` and
// `withEnvAndExports` put in their place for the code that they run and all that it sets off.

(function () {
const { core, primordials } = __bootstrap;
const {
  Proxy,
  ReflectApply,
  ReflectDefineProperty,
  ReflectDeleteProperty,
  ReflectGet,
  ReflectGetOwnPropertyDescriptor,
  ReflectGetPrototypeOf,
  ReflectHas,
  ReflectOwnKeys,
  ReflectSet,
  TypeError,
} = primordials;
const { getAsyncContext, setAsyncContext } = core.loadExtScript("ext:atoll_web/context.js");

// What is substituted: an object, or anything else for nothing.
const substituteEnv = new core.AsyncVariable();
const substituteExports = new core.AsyncVariable();

// An object that is `whole`, or its substitute where there is one.
function substitutable(whole, variable) {
  const current = () => {
    const value = variable.get();
    return typeof value === "object" && value !== null ? value : whole;
  };
  return new Proxy(whole, {
    __proto__: null,
    defineProperty: (target, name, descriptor) => ReflectDefineProperty(current(), name, descriptor),
    deleteProperty: (target, name) => ReflectDeleteProperty(current(), name),
    get: (target, name) => ReflectGet(current(), name),
    getOwnPropertyDescriptor(target, name) {
      const descriptor = ReflectGetOwnPropertyDescriptor(current(), name);
      // A substitute may be frozen, which the engine would take for a fault: `whole` is not.
      return descriptor === undefined ? undefined : { __proto__: null, ...descriptor, configurable: true };
    },
    getPrototypeOf: () => ReflectGetPrototypeOf(current()),
    has: (target, name) => ReflectHas(current(), name),
    ownKeys: () => ReflectOwnKeys(current()),
    preventExtensions: () => false,
    set: (target, name, value) => ReflectSet(current(), name, value),
    setPrototypeOf: () => false,
  });
}

// In the place of a substitute for what stays as it is.
const KEPT = {};

// Runs `callback`, the argument at `place` of the function `name`, with what is put in place.
function substituted(name, place, newEnv, newExports, callback) {
  if (typeof callback !== "function") {
    throw new TypeError(`Failed to execute '${name}': Argument ${place} is not a function`);
  }
  const previous = getAsyncContext();
  try {
    if (newEnv !== KEPT) substituteEnv.enter(newEnv);
    if (newExports !== KEPT) substituteExports.enter(newExports);
    return ReflectApply(callback, undefined, []);
  } finally {
    setAsyncContext(previous);
  }
}

// Methods, so that they are no constructors.
const { withEnv, withEnvAndExports, withExports } = {
  withEnv(newEnv, callback) {
    return substituted("withEnv", 2, newEnv, KEPT, callback);
  },
  withEnvAndExports(newEnv, newExports, callback) {
    return substituted("withEnvAndExports", 3, newEnv, newExports, callback);
  },
  withExports(newExports, callback) {
    return substituted("withExports", 2, KEPT, newExports, callback);
  },
};

return {
  importedEnv: (env) => substitutable(env, substituteEnv),
  importedExports: (exports) => substitutable(exports, substituteExports),
  withEnv,
  withEnvAndExports,
  withExports,
};
})();
