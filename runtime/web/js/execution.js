// What a handler is given besides its event: the execution context, and the controller of a scheduled event.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_pass_through, op_atoll_wait_begin, op_atoll_wait_end } = core.ops;
const { Error, PromisePrototypeThen, PromiseResolve, Symbol, TypeError } = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { isOn } = core.loadExtScript("ext:atoll_web/compatibility.js");
const { logUncaught } = core.loadExtScript("ext:atoll_web/errors.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");
const { tracing } = core.loadExtScript("ext:atoll_web/tracing.js");

const INTERNAL = Symbol("internal");

// In the place of a response when no listener has answered.
const UNANSWERED = Symbol("unanswered");

// Keeps the event `slot` from being finished before the promise has settled.
function waitFor(slot, promise) {
  // After the end of the event there is nothing left to keep alive; the promise itself still runs.
  if (!op_atoll_wait_begin(slot)) return;
  PromisePrototypeThen(
    PromiseResolve(promise),
    () => op_atoll_wait_end(slot),
    (error) => {
      logUncaught("Uncaught (in waitUntil) ", error);
      op_atoll_wait_end(slot);
    },
  );
}

// `waitUntil` of `cloudflare:workers`: for the event that the running code works for.
function waitUntil(promise) {
  webidl.requiredArguments(arguments.length, 1, "Failed to execute 'waitUntil'");
  const slot = currentSlot();
  if (slot === 0) throw new Error("waitUntil() can only be called while an event is handled");
  waitFor(slot, promise);
}

// The second or third argument of a handler.
class ExecutionContext {
  #slot = 0;
  // `null` until it was asked for.
  #props = null;

  constructor(key, slot) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#slot = slot;
  }

  get props() {
    return this.#props ??= core.loadExtScript("ext:atoll_web/service.js").propsOf(this.#slot);
  }

  get exports() {
    this.#slot;
    return isOn("contextExports") ? core.loadExtScript("ext:atoll_web/entrypoint.js").ownExports() : undefined;
  }

  get tracing() {
    this.#slot;
    return tracing;
  }

  waitUntil(promise) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'waitUntil' on 'ExecutionContext'");
    waitFor(this.#slot, promise);
  }

  passThroughOnException() {
    op_atoll_pass_through(this.#slot);
  }
}
webidl.configureInterface(ExecutionContext);

// Whether `noRetry` was called; set by the class.
let saysNoRetry;

// The first argument of a `scheduled` handler.
class ScheduledController {
  #scheduledTime;
  #cron;
  #noRetry = false;

  constructor(key, scheduledTime, cron) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#scheduledTime = scheduledTime;
    this.#cron = cron;
  }

  get scheduledTime() {
    return this.#scheduledTime;
  }

  get cron() {
    return this.#cron;
  }

  get type() {
    this.#cron;
    return "scheduled";
  }

  noRetry() {
    this.#noRetry = true;
  }

  static {
    saysNoRetry = (controller) => controller.#noRetry;
  }
}
webidl.configureInterface(ScheduledController);

return {
  createContext: (slot) => new ExecutionContext(INTERNAL, slot),
  createController: (scheduledTime, cron) => new ScheduledController(INTERNAL, scheduledTime, cron),
  ExecutionContext,
  saysNoRetry: (controller) => saysNoRetry(controller),
  ScheduledController,
  UNANSWERED,
  waitFor,
  waitUntil,
};
})();
