// Starts a worker and dispatches requests to it.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_env,
  op_atoll_pass_through,
  op_atoll_respond_body,
  op_atoll_respond_bytes,
  op_atoll_respond_empty,
  op_atoll_respond_exception,
  op_atoll_respond_invalid,
  op_atoll_respond_pipe,
  op_atoll_respond_socket,
  op_atoll_respond_text,
  op_atoll_response_gone,
  op_atoll_wait_begin,
  op_atoll_wait_end,
} = core.ops;
const {
  JSONParse,
  MapPrototypeDelete,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectDefineProperty,
  PromisePrototypeThen,
  PromiseResolve,
  ReflectApply,
  SafeMap,
  Symbol,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { signalAbort } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const { createInbound } = core.loadExtScript("ext:atoll_web/request.js");
const responses = core.loadExtScript("ext:atoll_web/response.js");
const { isHostBody, isUint8Array } = core.loadExtScript("ext:atoll_web/body.js");
const { isCoded, pump } = core.loadExtScript("ext:atoll_web/pump.js");
const { describe, logUncaught, stackOf } = core.loadExtScript("ext:atoll_web/errors.js");
const { getAsyncContext, RequestScope, setAsyncContext } = core.loadExtScript("ext:atoll_web/context.js");

const INTERNAL = Symbol("internal");
const EXAMPLE = "export default { async fetch(request, env, ctx) { return new Response(\"hello\"); } };";

// The second and third argument of a handler.
class ExecutionContext {
  #slot = 0;
  #props = {};

  constructor(key, slot) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#slot = slot;
  }

  get props() {
    return this.#props;
  }

  waitUntil(promise) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'waitUntil' on 'ExecutionContext'");
    const slot = this.#slot;
    // After the end of the request there is nothing left to keep alive; the promise itself still runs.
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

  passThroughOnException() {
    op_atoll_pass_through(this.#slot);
  }
}
webidl.configureInterface(ExecutionContext);

// The entry's default export and its fetch method, once started.
let handler = null;
let fetchMethod = null;
let env = null;

// Requests that are waited for or whose response is being streamed.
const scopes = new SafeMap();

function start(namespace) {
  const entry = namespace.default;
  if (entry === undefined || entry === null) {
    throw new TypeError(`The entry module has no default export; it needs one with a fetch method: ${EXAMPLE}`);
  }
  if (typeof entry !== "object" && typeof entry !== "function") {
    throw new TypeError(
      `The entry module's default export is a ${typeof entry}, not an object with a fetch method: ${EXAMPLE}`,
    );
  }
  const method = entry.fetch;
  if (typeof method !== "function") {
    throw new TypeError(
      typeof entry === "function"
        ? `The entry module's default export is a function; it must be an object with a fetch method: ${EXAMPLE}`
        : `The entry module's default export has no fetch method: ${EXAMPLE}`,
    );
  }
  const bindings = {};
  const list = op_atoll_env();
  for (let i = 0; i < list.length; i += 3) {
    let value = list[i + 2];
    if (list[i] === "json") {
      try {
        value = JSONParse(value);
      } catch (error) {
        throw new TypeError(`The variable ${list[i + 1]} is not valid JSON`, { cause: error });
      }
    }
    ObjectDefineProperty(bindings, list[i + 1], {
      __proto__: null,
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  handler = entry;
  fetchMethod = method;
  env = bindings;
}

// Forgets the worker, for the snapshot.
function reset() {
  handler = null;
  fetchMethod = null;
  env = null;
}

function dispatch(slot, method, url, bodyKind) {
  const scope = new RequestScope(slot);
  const previous = getAsyncContext();
  setAsyncContext(scope);
  try {
    const request = createInbound(scope, method, url, bodyKind);
    const result = ReflectApply(fetchMethod, handler, [request, env, new ExecutionContext(INTERNAL, slot)]);
    if (responses.isResponse(result)) {
      respond(scope, result);
    } else {
      MapPrototypeSet(scopes, slot, scope);
      PromisePrototypeThen(
        PromiseResolve(result),
        (response) => respond(scope, response),
        (error) => fail(scope, error),
      );
    }
  } catch (error) {
    fail(scope, error);
  } finally {
    setAsyncContext(previous);
  }
}

function fail(scope, error) {
  MapPrototypeDelete(scopes, scope.slot);
  op_atoll_respond_exception(scope.slot, describe(error), stackOf(error));
}

function invalid(scope, problem) {
  MapPrototypeDelete(scopes, scope.slot);
  op_atoll_respond_invalid(scope.slot, problem);
}

function respond(scope, response) {
  try {
    if (responses.isResponse(response)) {
      send(scope, response);
    } else {
      invalid(scope, `it returned ${typeName(response)} instead of a Response`);
    }
  } catch (error) {
    fail(scope, error);
  }
}

function typeName(value) {
  if (value === null || value === undefined) return `${value}`;
  if (typeof value !== "object") return `a ${typeof value}`;
  return `an object of class ${describe(value.constructor?.name ?? "Object")}`;
}

function send(scope, response) {
  const { slot } = scope;
  const { status, list, payload, isEncoded, webSocket } = responses.partsOf(response);
  if (status === 0) {
    return invalid(scope, "it returned Response.error()");
  }
  if (webSocket !== null) {
    const { handOver } = core.loadExtScript("ext:atoll_web/websocket.js");
    const handed = handOver(webSocket, (handle) =>
      op_atoll_respond_socket(slot, headerLists.serialiseList(list), handle));
    return handed ? watch(scope, null) : invalid(scope, "its webSocket is in use already, or closed");
  }
  if (payload === null) {
    MapPrototypeDelete(scopes, slot);
    return op_atoll_respond_empty(slot, status, headerLists.serialiseList(list));
  }
  if (payload.isUnusable) {
    return invalid(scope, "the body of the returned Response was used already");
  }
  const { direct } = payload;
  if (typeof direct === "string") {
    payload.markUsed();
    MapPrototypeDelete(scopes, slot);
    return op_atoll_respond_text(slot, status, plainHeaders(list, isEncoded), direct);
  }
  if (isUint8Array(direct)) {
    payload.markUsed();
    MapPrototypeDelete(scopes, slot);
    return op_atoll_respond_bytes(slot, status, plainHeaders(list, isEncoded), direct);
  }
  if (isHostBody(direct)) {
    payload.markUsed();
    if (op_atoll_respond_body(slot, status, headerLists.serialiseList(list), direct.take())) {
      watch(scope, null);
    } else {
      MapPrototypeDelete(scopes, slot);
    }
    return;
  }
  const { stream } = payload;
  const pipe = pump(stream);
  op_atoll_respond_pipe(slot, status, plainHeaders(list, isEncoded || isCoded(stream)), pipe.handle);
  watch(scope, pipe);
}

// Follows a streamed response until whoever takes it is done with it.
function watch(scope, pipe) {
  const gone = () => {
    MapPrototypeDelete(scopes, scope.slot);
    if (pipe !== null && !pipe.ended) {
      abortScope(scope);
      pipe.cancel(scope.abortReason);
    }
  };
  MapPrototypeSet(scopes, scope.slot, scope);
  scope.onAbort = (reason) => pipe?.cancel(reason);
  PromisePrototypeThen(op_atoll_response_gone(scope.slot), gone, gone);
}

// The header list of a body made here. It is not compressed, so a coding copied from another response would be wrong,
// unless it comes out of a CompressionStream or `encodeBody: "manual"` says that it is.
function plainHeaders(list, isEncoded) {
  if (!isEncoded) {
    const coding = headerLists.listGet(list, "content-encoding");
    if (coding === "gzip" || coding === "br" || coding === "deflate") {
      list = headerLists.copyList(list);
      headerLists.listDelete(list, "content-encoding");
      headerLists.listDelete(list, "content-length");
    }
  }
  return headerLists.serialiseList(list);
}

function abortScope(scope) {
  if (scope.abortReason !== undefined) return;
  scope.abortReason = new DOMException("The client has disconnected", "AbortError");
  scope.signal?.[signalAbort](scope.abortReason);
}

function abort(slot) {
  const scope = MapPrototypeGet(scopes, slot);
  if (scope === undefined) return;
  const previous = getAsyncContext();
  setAsyncContext(scope);
  try {
    abortScope(scope);
    scope.onAbort?.(scope.abortReason);
  } catch (error) {
    logUncaught("Uncaught ", error);
  } finally {
    setAsyncContext(previous);
  }
}

return { abort, dispatch, ExecutionContext, plainHeaders, reset, start };
})();
