// node:perf_hooks: the clock of the web.

(function (require) {
"use strict";

const { nodeError } = require("internal/errors");

const unavailable = (name) => () => {
  throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", `perf_hooks.${name}`);
};

return {
  Performance: globalThis.Performance,
  PerformanceEntry: globalThis.PerformanceEntry,
  PerformanceMark: globalThis.PerformanceMark,
  PerformanceMeasure: globalThis.PerformanceMeasure,
  PerformanceObserver: globalThis.PerformanceObserver,
  PerformanceObserverEntryList: globalThis.PerformanceObserverEntryList,
  constants: Object.freeze({ __proto__: null }),
  createHistogram: unavailable("createHistogram"),
  monitorEventLoopDelay: unavailable("monitorEventLoopDelay"),
  performance: globalThis.performance,
};
})
