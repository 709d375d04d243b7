// Hands the embedder the way to the modules of Node.js. Evaluated when the snapshot is built; everything else when a
// worker that has them asks for it.

((globalThis) => {
  const { core, primordials } = globalThis.__bootstrap;
  const { ObjectDefineProperty } = primordials;
  const registry = () => core.loadExtScript("ext:atoll_node/registry.js");

  // In parentheses, functions are compiled when the snapshot is built, and not by each isolate that starts.
  const lazyGlobal = ((name, get) => {
    const set = (value) => {
      ObjectDefineProperty(globalThis, name, {
        __proto__: null,
        value,
        writable: true,
        enumerable: false,
        configurable: true,
      });
    };
    ObjectDefineProperty(globalThis, name, {
      __proto__: null,
      get() {
        const value = get();
        set(value);
        return value;
      },
      set,
      enumerable: false,
      configurable: true,
    });
  });

  globalThis.__atoll__.node = (name) => registry().builtin(name);
  // Every worker of a late compatibility date comes by here: nothing is loaded before it is used.
  globalThis.__atoll__.nodeGlobals = (() => {
    lazyGlobal("Buffer", () => registry().nodeGlobal("Buffer"));
    lazyGlobal("process", () => registry().nodeGlobal("process"));
    lazyGlobal("setImmediate", () => registry().nodeGlobal("setImmediate"));
    lazyGlobal("clearImmediate", () => registry().nodeGlobal("clearImmediate"));
    lazyGlobal("global", () => globalThis);
  });

  const { builtin } = globalThis.__atoll__;
  globalThis.__atoll__.builtin = (name) => name === "cloudflare:node" ? registry().cloudflare() : builtin(name);
})(globalThis);
