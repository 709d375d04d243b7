// The modules that the platform has built in.

(function () {
const { core, primordials } = __bootstrap;
const { TypeError } = primordials;
const { environment, ownExports, WorkerEntrypoint } = core.loadExtScript("ext:atoll_web/entrypoint.js");
const { Fetcher } = core.loadExtScript("ext:atoll_web/fetcher.js");
const { RpcPromise, RpcProperty, RpcStub } = core.loadExtScript("ext:atoll_web/rpc_stubs.js");
const { RpcTarget } = core.loadExtScript("ext:atoll_web/rpc_target.js");
const { waitUntil } = core.loadExtScript("ext:atoll_web/execution.js");
const substitutes = core.loadExtScript("ext:atoll_web/substitutes.js");
const { tracing } = core.loadExtScript("ext:atoll_web/tracing.js");

// Classes that code may extend, because packages export such classes whether they are used or not, and that nobody can
// make an object of.
class DurableObject {
  constructor() {
    throw new TypeError("Durable Objects are not available here");
  }
}

class WorkflowEntrypoint {
  constructor() {
    throw new TypeError("Workflows are not available here");
  }
}

function builtin(specifier) {
  if (specifier === "atoll:wasi") {
    return { __proto__: null, WASI: core.loadExtScript("ext:atoll_web/wasi.js").WASI };
  }
  if (specifier === "cloudflare:workers") {
    return {
      __proto__: null,
      // What Workers have here depends on where a worker runs; without their cache it is empty.
      cache: {},
      DurableObject,
      env: substitutes.importedEnv(environment()),
      exports: substitutes.importedExports(ownExports()),
      RpcPromise,
      RpcProperty,
      RpcStub,
      RpcTarget,
      ServiceStub: Fetcher,
      tracing,
      waitUntil,
      withEnv: substitutes.withEnv,
      withEnvAndExports: substitutes.withEnvAndExports,
      withExports: substitutes.withExports,
      WorkerEntrypoint,
      WorkflowEntrypoint,
    };
  }
  throw new TypeError(`There is no module ${specifier}`);
}

return { builtin };
})();
