// Sets up the global of an isolate and hands the embedder its entry points. Evaluated when the snapshot is built.

((globalThis) => {
  const { core } = globalThis.__bootstrap;
  const engineOps = core.loadExtScript("ext:atoll_web/engine_ops.js");
  engineOps.install();
  core.loadExtScript("ext:atoll_web/guards.js").install();
  core.loadExtScript("ext:atoll_web/function_text.js").install();
  core.loadExtScript("ext:atoll_web/errors.js").install();
  const globals = core.loadExtScript("ext:atoll_web/globals.js");
  globals.install();
  const { builtin } = core.loadExtScript("ext:atoll_web/builtins.js");
  // Bindings that many workers have.
  core.loadExtScript("ext:atoll_web/assets.js");
  core.loadExtScript("ext:atoll_web/service.js");
  const { abort, dispatch, prepare, reset, start } = core.loadExtScript("ext:atoll_web/handler.js");

  globalThis.__atoll__ = {
    __proto__: null,
    abort,
    // The modules that the platform has built in, by specifier.
    builtin,
    dispatch,
    finish: globals.finish,
    prepare,
    reset,
    start,
  };
  engineOps.finish();
})(globalThis);
