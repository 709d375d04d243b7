// Hands the embedder the way to the modules of Node.js. Evaluated when the snapshot is built, as are the timers; everything
// else when a worker that has them asks for it. The snapshot's global has what Node.js has there, as workers of late
// compatibility dates find it; it is taken away from the others.

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
  // Called once, when all else is on the global: nothing is loaded before it is used.
  let web;
  globalThis.__atoll__.addNode = () => {
    lazyGlobal("Buffer", () => registry().nodeGlobal("Buffer"));
    lazyGlobal("process", () => registry().nodeGlobal("process"));
    define("setImmediate", timers.setImmediate, false);
    define("clearImmediate", timers.clearImmediate, false);
    lazyGlobal("global", () => globalThis);
    const { clearInterval, clearTimeout, setInterval, setTimeout } = globalThis;
    web = { __proto__: null, clearInterval, clearTimeout, setInterval, setTimeout };
    setTimers(timers);
  };
  const setTimers = ((from) => {
    define("clearInterval", from.clearInterval, true);
    define("clearTimeout", from.clearTimeout, true);
    define("setInterval", from.setInterval, true);
    define("setTimeout", from.setTimeout, true);
  });
  globalThis.__atoll__.removeNodeGlobals = (() => {
    delete globalThis.Buffer;
    delete globalThis.process;
    delete globalThis.setImmediate;
    delete globalThis.clearImmediate;
    delete globalThis.global;
  });
  globalThis.__atoll__.removeNodeTimers = (() => {
    setTimers(web);
  });

  const { builtin } = globalThis.__atoll__;
  globalThis.__atoll__.builtin = (name) => name === "cloudflare:node" ? registry().cloudflare() : builtin(name);
})(globalThis);
