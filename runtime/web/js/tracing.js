// `tracing` of `cloudflare:workers` and of `ctx`: spans of an app's own. Nobody collects them here, so they say that they
// are not traced, as those of Workers do when no trace is taken, and keep nothing. What code runs within them does as it
// would.

(function () {
const { core, primordials } = __bootstrap;
const { ReflectApply, SafeArrayIterator, Symbol, TypeError } = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");
const { currentSlot, setAsyncContext } = core.loadExtScript("ext:atoll_web/context.js");

const INTERNAL = Symbol("internal");
const STATUS = ["unset", "ok", "error"];

function text(args, at, name) {
  const prefix = `Failed to execute '${name}'`;
  webidl.requiredArguments(args.length, at, prefix);
  return webidl.converters.DOMString(args[at - 1], prefix, `Argument ${at}`);
}

function requireObject(value, name) {
  if ((typeof value === "object" && value !== null) || typeof value === "function") return;
  throw new TypeError(`Failed to execute '${name}' on 'Span': Argument 1 is not an object`);
}

// Whether something is a Span; set by the class.
let isSpan;

class Span {
  #branded = true;

  constructor(key) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
  }

  get isTraced() {
    return !this.#branded;
  }

  spanContext() {
    this.#branded;
    return { traceId: "00000000000000000000000000000000", spanId: "0000000000000000", traceFlags: 0 };
  }

  setAttribute(key, value = undefined) {
    this.#branded;
    text(arguments, 1, "setAttribute' on 'Span");
    return this;
  }

  setAttributes(attributes) {
    this.#branded;
    requireObject(attributes, "setAttributes");
    return this;
  }

  recordException(exception) {
    this.#branded;
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'recordException' on 'Span'");
  }

  updateName(name) {
    this.#branded;
    text(arguments, 1, "updateName' on 'Span");
    return this;
  }

  setStatus(status) {
    this.#branded;
    requireObject(status, "setStatus");
    const { code } = status;
    for (let i = 0; i < STATUS.length; i++) {
      if (code === STATUS[i]) return this;
    }
    throw new TypeError("Failed to execute 'setStatus' on 'Span': the code must be \"unset\", \"ok\" or \"error\"");
  }

  end() {
    this.#branded;
  }

  static {
    isSpan = (value) => typeof value === "object" && value !== null && #branded in value;
  }
}
webidl.configureInterface(Span);
refuseClone(Span);

// The span that runs, where code has begun one; within an event there is always one.
const active = new core.AsyncVariable();
const whole = new Span(INTERNAL);

function within(span, callback, args) {
  const previous = active.enter(span);
  try {
    return ReflectApply(callback, undefined, args);
  } finally {
    setAsyncContext(previous);
  }
}

class Tracing {
  #branded = true;

  constructor(key) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
  }

  // Runs the callback with a span that ends with it, or with the promise that it gives.
  startActiveSpan(name, callback, ...args) {
    this.#branded;
    return begin("startActiveSpan", arguments, callback, args);
  }

  enterSpan(name, callback, ...args) {
    this.#branded;
    return begin("enterSpan", arguments, callback, args);
  }

  startSpan(name) {
    this.#branded;
    text(arguments, 1, "startSpan' on 'Tracing");
    return new Span(INTERNAL);
  }

  getActiveSpan() {
    this.#branded;
    return active.get() ?? (currentSlot() === 0 ? undefined : whole);
  }

  withActiveSpan(span, callback, ...args) {
    this.#branded;
    if (!isSpan(span)) throw new TypeError("Failed to execute 'withActiveSpan' on 'Tracing': Argument 1 is not a Span");
    requireFunction(callback, "withActiveSpan");
    return within(span, callback, args);
  }

  get Span() {
    this.#branded;
    return Span;
  }
}
webidl.configureInterface(Tracing);
refuseClone(Tracing);

function requireFunction(callback, name) {
  if (typeof callback === "function") return;
  throw new TypeError(`Failed to execute '${name}' on 'Tracing': Argument 2 is not a function`);
}

function begin(name, given, callback, args) {
  text(given, 1, `${name}' on 'Tracing`);
  requireFunction(callback, name);
  const span = new Span(INTERNAL);
  return within(span, callback, [span, ...new SafeArrayIterator(args)]);
}

return { tracing: new Tracing(INTERNAL) };
})();
