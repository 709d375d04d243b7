// Hands the embedder the way to the modules of Node.js. Evaluated when the snapshot is built; everything else when a
// worker with the compatibility flag asks for it.

((globalThis) => {
  const { core } = globalThis.__bootstrap;
  const registry = () => core.loadExtScript("ext:atoll_node/registry.js");

  globalThis.__atoll__.node = (name) => registry().builtin(name);
  globalThis.__atoll__.nodeGlobals = () => registry().installGlobals();

  const { builtin } = globalThis.__atoll__;
  globalThis.__atoll__.builtin = (name) => name === "cloudflare:node" ? registry().cloudflare() : builtin(name);
})(globalThis);
