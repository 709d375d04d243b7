// node:timers and node:timers/promises.

(function (require, internals) {
"use strict";

const { AbortError, validate } = require("internal/errors");

// A promise for `start(resolve)`, whose result is cancelled by `stop` when the signal aborts.
function abortable(options, start, stop) {
  try {
    validate.object(options, "options");
    validate.abortSignal(options.signal, "options.signal");
    if (options.ref !== undefined) validate.boolean(options.ref, "options.ref");
  } catch (error) {
    return Promise.reject(error);
  }
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(new AbortError(undefined, { cause: signal.reason }));
  return new Promise((resolve, reject) => {
    const aborted = () => {
      stop(timer);
      reject(new AbortError(undefined, { cause: signal.reason }));
    };
    const timer = start((value) => {
      signal?.removeEventListener("abort", aborted);
      resolve(value);
    });
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

const promises = {
  scheduler: {
    wait: (delay, options) => promises.setTimeout(delay, undefined, options),
    yield: () => promises.setImmediate(),
  },
  setImmediate(value, options = {}) {
    return abortable(options, (resolve) => timers.setImmediate(resolve, value), timers.clearImmediate);
  },
  async *setInterval(after, value, options = {}) {
    validate.object(options, "options");
    validate.abortSignal(options.signal, "options.signal");
    const { signal } = options;
    if (signal?.aborted) throw new AbortError(undefined, { cause: signal.reason });
    let due = 0;
    let wake;
    const timer = timers.setInterval(() => {
      due++;
      wake?.();
    }, after);
    const aborted = () => wake?.();
    signal?.addEventListener("abort", aborted, { once: true });
    try {
      while (!signal?.aborted) {
        if (due === 0) await new Promise((resolve) => wake = resolve);
        for (; due > 0; due--) yield value;
      }
      throw new AbortError(undefined, { cause: signal.reason });
    } finally {
      timers.clearInterval(timer);
      signal?.removeEventListener("abort", aborted);
    }
  },
  setTimeout(after, value, options = {}) {
    return abortable(options, (resolve) => timers.setTimeout(resolve, after, value), timers.clearTimeout);
  },
};

const timers = { ...internals.timers, promises };

return timers;
})
