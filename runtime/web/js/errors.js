// Exceptions that nobody caught: they go to the global's `error` and `unhandledrejection` events and, unless one of
// those is prevented, into the app's log. They never end the isolate.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_log } = core.ops;
const {
  ErrorPrototype,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  PromiseResolve,
  String,
  StringPrototypeIncludes,
} = primordials;
const events = core.loadExtScript("ext:deno_web/02_event.js");
const { inspectArgs } = core.loadExtScript("ext:deno_web/01_console.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");

const ERROR = 4;

// `String(value)` that always gives a string.
function describe(value) {
  try {
    return String(value);
  } catch {
    return "an exception that cannot be converted to a string";
  }
}

// The stack, beginning with the message; empty for values that have none.
function stackOf(value) {
  try {
    if (ObjectPrototypeIsPrototypeOf(ErrorPrototype, value) && typeof value.stack === "string") {
      const { stack } = value;
      const message = describe(value);
      return StringPrototypeIncludes(stack, message) ? stack : `${message}\n${stack}`;
    }
  } catch {
    // A getter that throws: there is no stack.
  }
  return "";
}

// As `console.error` shows a value: an error by its stack, then its causes and whatever else it carries.
function shown(value) {
  try {
    return inspectArgs([value]);
  } catch {
    return stackOf(value) || describe(value);
  }
}

function logUncaught(what, value) {
  op_atoll_log(ERROR, currentSlot(), `${what}${shown(value)}`);
}

let inErrorEvent = false;

// HTML standard, "report an exception".
function reportException(error) {
  if (inErrorEvent || events.listenerCount(globalThis, "error") === 0) {
    logUncaught("Uncaught ", error);
    return;
  }
  let location = { fileName: "", lineNumber: 0, columnNumber: 0 };
  try {
    location = core.destructureError(error).frames[0] ?? location;
  } catch {
    // A value without frames.
  }
  const event = new events.ErrorEvent("error", {
    cancelable: true,
    message: describe(error),
    filename: location.fileName ?? "",
    lineno: location.lineNumber ?? 0,
    colno: location.columnNumber ?? 0,
    error,
  });
  inErrorEvent = true;
  try {
    if (globalThis.dispatchEvent(event)) logUncaught("Uncaught ", error);
  } finally {
    inErrorEvent = false;
  }
}

let watching = false;

function unhandledRejection(promise, reason) {
  if (!watching) {
    // Nothing is handled late before something was reported.
    watching = true;
    core.setHandledPromiseRejectionHandler(rejectionHandled);
  }
  try {
    if (events.listenerCount(globalThis, "unhandledrejection") !== 0) {
      const event = new events.PromiseRejectionEvent("unhandledrejection", { cancelable: true, promise, reason });
      globalThis.dispatchEvent(event);
      if (event.defaultPrevented) return true;
    }
    logUncaught("Uncaught (in promise) ", reason);
  } catch (error) {
    logUncaught("Uncaught ", error);
  }
  return true;
}

// A handler was added to a promise whose rejection has been reported.
function rejectionHandled(promise, reason) {
  try {
    if (events.listenerCount(globalThis, "rejectionhandled") !== 0) {
      globalThis.dispatchEvent(new events.PromiseRejectionEvent("rejectionhandled", { promise, reason }));
    }
  } catch (error) {
    logUncaught("Uncaught ", error);
  }
}

// The core's event code reports what a listener throws by dispatching an event at the global it was given; when nobody
// prevents the event it ends the isolate. It is given this in place of the global.
const reporter = {
  dispatchEvent(event) {
    // Afterwards, because the core takes an exception within its dispatch for fatal.
    PromisePrototypeThen(PromiseResolve(), () => reportException(event.error));
    return false;
  },
};

function install() {
  events.setEventTargetData(globalThis);
  events.saveGlobalThisReference(reporter);
  core.setReportExceptionCallback(reportException);
  core.setUnhandledPromiseRejectionHandler(unhandledRejection);
  // What ops throw by the name of a class.
  const names = [
    "AbortError",
    "DataError",
    "IndexSizeError",
    "InvalidAccessError",
    "InvalidCharacterError",
    "InvalidStateError",
    "NetworkError",
    "NotFoundError",
    "NotSupportedError",
    "OperationError",
    "QuotaExceededError",
    "SyntaxError",
    "TimeoutError",
    "TypeMismatchError",
  ];
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    core.registerErrorBuilder(`DOMException${name}`, (message) => new DOMException(message, name));
  }
}

return { describe, install, logUncaught, reportException, stackOf };
})();
