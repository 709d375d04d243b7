// DOMException (Web IDL, section 2.8), reportError and what nobody caught (HTML standard, section 8.1.4).

import { attempt, attempts, descriptor, pause } from "../run.js";

// The events of a type that come while `body` runs and a little after, prevented so that nothing is logged.
const heard = async (type, body) => {
  const events = [];
  const listener = (event) => {
    event.preventDefault();
    events.push(event);
  };
  addEventListener(type, listener);
  await body();
  await pause(20);
  removeEventListener(type, listener);
  return events;
};

export default {
  "DOMException": () => {
    const error = new DOMException("m", "AbortError");
    return [error.name, error.message, error.code, error instanceof Error, typeof error.stack, String(error), Object.prototype.toString.call(error)];
  },
  "DOMException's defaults": () => {
    const error = new DOMException();
    return [error.name, error.message, error.code];
  },
  "codes by name": () => ["IndexSizeError", "NotFoundError", "SyntaxError", "InvalidStateError", "TimeoutError", "DataCloneError", "QuotaExceededError", "OperationError", "NotAllowedError", "mine"].map((name) => new DOMException("", name).code),
  "constants": () => [DOMException.ABORT_ERR, DOMException.prototype.ABORT_ERR, DOMException.DATA_CLONE_ERR, descriptor(DOMException, "ABORT_ERR")],
  "DOMException converts": () => [new DOMException(5, null).message, new DOMException(5, null).name, attempt(() => new DOMException(Symbol()))],
  "DOMException without new": () => attempt(() => DOMException()),
  "DOMException's prototype": () => [Object.getPrototypeOf(DOMException.prototype) === Error.prototype, ["name", "message", "code", Symbol.toStringTag].map((name) => descriptor(DOMException.prototype, name))],
  "on something else": () => attempt(() => Object.getOwnPropertyDescriptor(DOMException.prototype, "name").get.call({})),
  "reportError": async () => {
    const reason = new RangeError("reported by a test");
    const [event] = await heard("error", () => reportError(reason));
    return [event instanceof ErrorEvent, event.error === reason, event.message.includes("reported by a test"), event.cancelable];
  },
  "reportError without argument": () => attempt(() => reportError()),
  "a listener that throws": async () => {
    const target = new EventTarget();
    target.addEventListener("x", () => { throw new RangeError("thrown by a test"); });
    let returned;
    const events = await heard("error", () => { returned = attempt(() => target.dispatchEvent(new Event("x"))); });
    return [returned, events.map((event) => event.error?.constructor.name)];
  },
  "a timer that throws": async () => {
    const events = await heard("error", () => { setTimeout(() => { throw new RangeError("thrown by a test"); }, 0); });
    return events.map((event) => event.error?.constructor.name);
  },
  "a microtask that throws": async () => {
    const events = await heard("error", () => { queueMicrotask(() => { throw new RangeError("thrown by a test"); }); });
    return events.map((event) => event.error?.constructor.name);
  },
  "a rejection that nobody handles": async () => {
    const events = await heard("unhandledrejection", () => { Promise.reject(new RangeError("rejected by a test")); });
    return events.map((event) => [event.reason.constructor.name, event.promise instanceof Promise, event.cancelable]);
  },
  "a rejection that is handled at once": async () => (await heard("unhandledrejection", () => { Promise.reject(1).catch(() => {}); })).length,
  "a rejection that is handled in a microtask": async () => (await heard("unhandledrejection", () => {
    const promise = Promise.reject(1);
    queueMicrotask(() => promise.catch(() => {}));
  })).length,
  "a rejection that is handled late": async () => {
    let promise;
    const events = await heard("rejectionhandled", async () => {
      const quiet = (event) => event.preventDefault();
      addEventListener("unhandledrejection", quiet);
      promise = Promise.reject(7);
      await pause(5);
      promise.catch(() => {});
      await pause(5);
      removeEventListener("unhandledrejection", quiet);
    });
    return events.map((event) => [event.type, event.promise === promise, event.reason]);
  },
  "onunhandledrejection": async () => {
    let seen;
    globalThis.onunhandledrejection = (event) => {
      event.preventDefault();
      seen = event.reason;
    };
    Promise.reject("handler");
    await pause(10);
    globalThis.onunhandledrejection = null;
    return [seen, globalThis.onunhandledrejection];
  },
  "onerror": async () => {
    let seen;
    globalThis.onerror = (...list) => {
      seen = list.length;
      return true;
    };
    reportError(new Error("reported by a test"));
    await pause(5);
    globalThis.onerror = null;
    return seen;
  },
  "stacks": () => {
    const error = new Error("x");
    return [typeof error.stack, error.stack.startsWith("Error: x"), typeof Error.captureStackTrace, Error.stackTraceLimit > 0];
  },
  "causes": () => [new Error("a", { cause: 1 }).cause, "cause" in new Error("a")],
  "Error.isError": () => [Error.isError?.(new TypeError()), Error.isError?.(new DOMException()), Error.isError?.({})],
};
