// node:perf_hooks: the clock of the web. There is no event loop of whose use anybody could be told.

(function (require) {
"use strict";

const { nodeError, validate } = require("internal/errors");

const unavailable = (name) => () => {
  throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", `perf_hooks.${name}`);
};

const eventLoopUtilization = () => ({ idle: 0, active: 0, utilization: 0 });

// A function that does what the other one does; nobody is told how long it took.
function timerify(fn, options = {}) {
  validate.func(fn, "fn");
  validate.object(options, "options");
  function timerified(...args) {
    return new.target ? Reflect.construct(fn, args, fn) : Reflect.apply(fn, this, args);
  }
  return Object.defineProperties(timerified, {
    length: { __proto__: null, value: fn.length, configurable: true },
    name: { __proto__: null, value: `timerified ${fn.name}`, configurable: true },
  });
}

const nodeTiming = Object.freeze({
  name: "node", entryType: "node", startTime: 0, duration: 0, nodeStart: 0, v8Start: 0, bootstrapComplete: 0, environment: 0,
  loopStart: 0, loopExit: 0, idleTime: 0,
});

// What Node.js adds to the class of the web.
for (const [name, value] of Object.entries({ eventLoopUtilization, nodeTiming, timerify })) {
  const property = { __proto__: null, value, writable: true, enumerable: false, configurable: true };
  Object.defineProperty(globalThis.Performance.prototype, name, property);
}

return {
  Performance: globalThis.Performance,
  PerformanceEntry: globalThis.PerformanceEntry,
  PerformanceMark: globalThis.PerformanceMark,
  PerformanceMeasure: globalThis.PerformanceMeasure,
  PerformanceObserver: globalThis.PerformanceObserver,
  PerformanceObserverEntryList: globalThis.PerformanceObserverEntryList,
  constants: Object.freeze({
    __proto__: null,
    NODE_PERFORMANCE_GC_MAJOR: 4, NODE_PERFORMANCE_GC_MINOR: 1, NODE_PERFORMANCE_GC_INCREMENTAL: 8,
    NODE_PERFORMANCE_GC_WEAKCB: 16, NODE_PERFORMANCE_GC_FLAGS_NO: 0, NODE_PERFORMANCE_GC_FLAGS_CONSTRUCT_RETAINED: 2,
    NODE_PERFORMANCE_GC_FLAGS_FORCED: 4, NODE_PERFORMANCE_GC_FLAGS_SYNCHRONOUS_PHANTOM_PROCESSING: 8,
    NODE_PERFORMANCE_GC_FLAGS_ALL_AVAILABLE_GARBAGE: 16, NODE_PERFORMANCE_GC_FLAGS_ALL_EXTERNAL_MEMORY: 32,
    NODE_PERFORMANCE_GC_FLAGS_SCHEDULE_IDLE: 64,
    NODE_PERFORMANCE_ENTRY_TYPE_GC: 0, NODE_PERFORMANCE_ENTRY_TYPE_HTTP: 1, NODE_PERFORMANCE_ENTRY_TYPE_HTTP2: 2,
    NODE_PERFORMANCE_ENTRY_TYPE_NET: 3, NODE_PERFORMANCE_ENTRY_TYPE_DNS: 4,
    NODE_PERFORMANCE_MILESTONE_TIME_ORIGIN_TIMESTAMP: 0, NODE_PERFORMANCE_MILESTONE_TIME_ORIGIN: 1,
    NODE_PERFORMANCE_MILESTONE_ENVIRONMENT: 2, NODE_PERFORMANCE_MILESTONE_NODE_START: 3,
    NODE_PERFORMANCE_MILESTONE_V8_START: 4, NODE_PERFORMANCE_MILESTONE_LOOP_START: 5,
    NODE_PERFORMANCE_MILESTONE_LOOP_EXIT: 6, NODE_PERFORMANCE_MILESTONE_BOOTSTRAP_COMPLETE: 7,
  }),
  createHistogram: unavailable("createHistogram"),
  eventLoopUtilization,
  monitorEventLoopDelay: unavailable("monitorEventLoopDelay"),
  performance: globalThis.performance,
  timerify,
};
})
