// The syntax of service workers: listeners of the global for `fetch` and `scheduled` events (Service Workers standard,
// section 4.6, as far as Workers has it).

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayPrototypeSlice,
  FunctionPrototypeCall,
  PromiseResolve,
  Symbol,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const events = core.loadExtScript("ext:deno_web/02_event.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { UNANSWERED } = core.loadExtScript("ext:atoll_web/execution.js");

const { removeEventListener } = events.EventTarget.prototype;

const INTERNAL = Symbol("internal");

// Access to what the events keep private; set by the classes.
let answerOf, close;

class ExtendableEvent extends events.Event {
  #ctx;

  constructor(key, type, ctx) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    super(type);
    this.#ctx = ctx;
  }

  waitUntil(promise) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'waitUntil' on 'ExtendableEvent'");
    this.#ctx.waitUntil(promise);
  }
}
webidl.configureInterface(ExtendableEvent);

class FetchEvent extends ExtendableEvent {
  #request;
  #ctx;
  // What was answered, as a list of one.
  #answer = null;
  #open = true;

  constructor(key, request, ctx) {
    super(key, "fetch", ctx);
    this.#request = request;
    this.#ctx = ctx;
  }

  get request() {
    return this.#request;
  }

  respondWith(response) {
    const prefix = "Failed to execute 'respondWith' on 'FetchEvent'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    if (this.#answer !== null) {
      throw new DOMException(`${prefix}: it was called before`, "InvalidStateError");
    }
    if (!this.#open) {
      throw new DOMException(`${prefix}: it must be called before the listener returns`, "InvalidStateError");
    }
    this.stopImmediatePropagation();
    this.#answer = [PromiseResolve(response)];
  }

  passThroughOnException() {
    this.#ctx.passThroughOnException();
  }

  static {
    answerOf = (event) => event.#answer;
    close = (event) => {
      event.#open = false;
    };
  }
}
webidl.configureInterface(FetchEvent);

class ScheduledEvent extends ExtendableEvent {
  #controller;

  constructor(key, controller, ctx) {
    super(key, "scheduled", ctx);
    this.#controller = controller;
  }

  get scheduledTime() {
    return this.#controller.scheduledTime;
  }

  get cron() {
    return this.#controller.cron;
  }

  noRetry() {
    this.#controller.noRetry();
  }
}
webidl.configureInterface(ScheduledEvent);

// Calls the listeners of the global for `event`, until `isDone()`. What one throws is thrown: it fails the event.
function callListeners(event, isDone) {
  const { listeners } = globalThis[events.eventTargetData];
  const list = ArrayPrototypeSlice(listeners[event.type] ?? []);
  events.setTarget(event, globalThis);
  for (let i = 0; i < list.length && !isDone(); i++) {
    const { callback, options } = list[i];
    if (options.once) FunctionPrototypeCall(removeEventListener, globalThis, event.type, callback, options);
    if (typeof callback === "function") FunctionPrototypeCall(callback, globalThis, event);
    else callback.handleEvent(event);
  }
}

const adapter = {
  fetch(request, _env, ctx) {
    const event = new FetchEvent(INTERNAL, request, ctx);
    try {
      callListeners(event, () => answerOf(event) !== null);
    } finally {
      close(event);
    }
    const answer = answerOf(event);
    return answer === null ? UNANSWERED : answer[0];
  },
  scheduled(controller, _env, ctx) {
    callListeners(new ScheduledEvent(INTERNAL, controller, ctx), () => false);
  },
};

return { adapter, ExtendableEvent, FetchEvent, ScheduledEvent };
})();
