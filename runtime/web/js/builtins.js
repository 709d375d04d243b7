// The modules that the platform has built in.

(function () {
const { core, primordials } = __bootstrap;
const { TypeError } = primordials;
const { environment, WorkerEntrypoint } = core.loadExtScript("ext:atoll_web/entrypoint.js");
const { RpcTarget } = core.loadExtScript("ext:atoll_web/rpc_target.js");
const { waitUntil } = core.loadExtScript("ext:atoll_web/execution.js");

function builtin(specifier) {
  if (specifier === "atoll:wasi") {
    return { __proto__: null, WASI: core.loadExtScript("ext:atoll_web/wasi.js").WASI };
  }
  if (specifier === "cloudflare:workers") {
    return { __proto__: null, env: environment(), RpcTarget, waitUntil, WorkerEntrypoint };
  }
  throw new TypeError(`There is no module ${specifier}`);
}

return { builtin };
})();
