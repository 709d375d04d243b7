// Hands the embedder the way to the modules of Node.js. Evaluated when the snapshot is built, as are the timers; everything
// else when a worker that has them asks for it.

((globalThis) => {
  const { core, primordials } = globalThis.__bootstrap;
  const { ObjectDefineProperty } = primordials;
  const registry = () => core.loadExtScript("ext:atoll_node/registry.js");
  const timers = core.loadExtScript("ext:atoll_node/timer_objects.js");

  // In parentheses, functions are compiled when the snapshot is built, and not by each isolate that starts.
  const define = ((name, value, enumerable) => {
    ObjectDefineProperty(globalThis, name, { __proto__: null, value, writable: true, enumerable, configurable: true });
  });
  const lazyGlobal = ((name, get) => {
    const set = (value) => define(name, value, false);
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
    define("setImmediate", timers.setImmediate, false);
    define("clearImmediate", timers.clearImmediate, false);
    lazyGlobal("global", () => globalThis);
  });
  // In the place of those of the web.
  globalThis.__atoll__.nodeTimers = (() => {
    define("clearInterval", timers.clearInterval, true);
    define("clearTimeout", timers.clearTimeout, true);
    define("setInterval", timers.setInterval, true);
    define("setTimeout", timers.setTimeout, true);
  });

  const { builtin } = globalThis.__atoll__;
  globalThis.__atoll__.builtin = (name) => name === "cloudflare:node" ? registry().cloudflare() : builtin(name);
})(globalThis);
