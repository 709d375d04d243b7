// Starts a worker and dispatches requests to it.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_entrypoint,
  op_atoll_respond_body,
  op_atoll_respond_bytes,
  op_atoll_respond_empty,
  op_atoll_respond_exception,
  op_atoll_respond_invalid,
  op_atoll_remember_type,
  op_atoll_respond_pipe,
  op_atoll_respond_same,
  op_atoll_respond_scheduled,
  op_atoll_respond_socket,
  op_atoll_respond_text,
  op_atoll_respond_unanswered,
  op_atoll_response_gone,
  op_atoll_scheduled,
} = core.ops;
const {
  ArrayPrototypePush,
  PromisePrototypeThen,
  PromiseResolve,
} = primordials;
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { signalAbort } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const { createInbound } = core.loadExtScript("ext:atoll_web/request.js");
const responses = core.loadExtScript("ext:atoll_web/response.js");
const { isHostBody, isUint8Array } = core.loadExtScript("ext:atoll_web/body.js");
const { isCoded, pump } = core.loadExtScript("ext:atoll_web/pump.js");
const { describe, logUncaught, stackOf } = core.loadExtScript("ext:atoll_web/errors.js");
const { createContext, createController, saysNoRetry, UNANSWERED } = core.loadExtScript("ext:atoll_web/execution.js");
const { environment, find, named, prepare, reset: resetEntrypoint } = core.loadExtScript("ext:atoll_web/entrypoint.js");
const { getAsyncContext, RequestScope, setAsyncContext } = core.loadExtScript("ext:atoll_web/context.js");

// The kinds of events that are no requests, and what is added to the kind of one for a named entrypoint.
const SCHEDULED = 3;
const CALL = 4;
const NAMED = 8;

// The worker's entry, once started, and its `env`.
let entry = null;
let env = null;

// The scopes of requests that are waited for or whose response is being streamed, at the places that the low bits of their slots
// name (`Handles` in Rust): faster than a map, which shrinks and grows all the time.
const scopes = [];
const PLACE = 2 ** 18 - 1;
function keepScope(scope) {
  const place = scope.slot & PLACE;
  while (scopes.length <= place) ArrayPrototypePush(scopes, null);
  scopes[place] = scope;
}
function dropScope(slot) {
  const place = slot & PLACE;
  if (place < scopes.length && scopes[place]?.slot === slot) scopes[place] = null;
}
function scopeOf(slot) {
  const place = slot & PLACE;
  const scope = place < scopes.length ? scopes[place] : null;
  return scope?.slot === slot ? scope : null;
}

function start(namespace) {
  env = environment();
  entry = find(namespace);
}

// Forgets the worker, for the snapshot.
function reset() {
  entry = null;
  env = null;
  lastType = null;
  resetEntrypoint();
}

function dispatch(slot, method, url, bodyKind) {
  const scope = new RequestScope(slot);
  const previous = getAsyncContext();
  setAsyncContext(scope);
  try {
    let target = entry;
    if (bodyKind >= SCHEDULED) {
      if (bodyKind >= NAMED) {
        target = named(op_atoll_entrypoint(slot));
        bodyKind -= NAMED;
      }
      if (bodyKind === SCHEDULED) return schedule(scope);
      if (bodyKind === CALL) return call(scope, target);
    }
    const request = createInbound(scope, method, url, bodyKind);
    const result = target.fetch(request, env, createContext(slot));
    if (responses.isResponse(result)) {
      respond(scope, result);
    } else {
      keepScope(scope);
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

function schedule(scope) {
  const { slot } = scope;
  const { 0: time, 1: cron } = op_atoll_scheduled(slot);
  const controller = createController(time, cron);
  keepScope(scope);
  PromisePrototypeThen(
    PromiseResolve(entry.scheduled(controller, env, createContext(slot))),
    () => {
      dropScope(slot);
      op_atoll_respond_scheduled(slot, saysNoRetry(controller));
    },
    (error) => fail(scope, error),
  );
}

// Another worker calls a method.
function call(scope, target) {
  const { slot } = scope;
  keepScope(scope);
  PromisePrototypeThen(
    core.loadExtScript("ext:atoll_web/service.js").answer(slot, target, env, createContext(slot)),
    () => dropScope(slot),
    (error) => fail(scope, error),
  );
}

function fail(scope, error) {
  dropScope(scope.slot);
  op_atoll_respond_exception(scope.slot, describe(error), stackOf(error));
}

function invalid(scope, problem) {
  dropScope(scope.slot);
  op_atoll_respond_invalid(scope.slot, problem);
}

function respond(scope, response) {
  try {
    if (responses.isResponse(response)) {
      send(scope, response);
    } else if (response === UNANSWERED) {
      dropScope(scope.slot);
      op_atoll_respond_unanswered(scope.slot);
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
  const { status, list, text, payload, isEncoded, webSocket } = responses.partsToSend(response);
  const fields = () => text ?? headerLists.serialiseList(list);
  if (status === 0) {
    return invalid(scope, "it returned Response.error()");
  }
  if (webSocket !== null) {
    const { handOver } = core.loadExtScript("ext:atoll_web/websocket.js");
    const handed = handOver(webSocket, (handle) =>
      op_atoll_respond_socket(slot, fields(), handle));
    return handed ? watch(scope, null) : invalid(scope, "its webSocket is in use already, or closed");
  }
  if (payload === null) {
    dropScope(slot);
    return op_atoll_respond_empty(slot, status, fields());
  }
  if (payload.isUnusable) {
    return invalid(scope, "the body of the returned Response was used already");
  }
  const { direct } = payload;
  if (typeof direct === "string") {
    payload.markUsed();
    dropScope(slot);
    return respondText(slot, status, list ?? headerLists.parseList(text), isEncoded, direct);
  }
  if (isUint8Array(direct)) {
    payload.markUsed();
    dropScope(slot);
    return op_atoll_respond_bytes(slot, status, plainHeaders(list ?? headerLists.parseList(text), isEncoded), direct);
  }
  if (isHostBody(direct)) {
    payload.markUsed();
    if (op_atoll_respond_body(slot, status, fields(), direct.take())) {
      watch(scope, null);
    } else {
      dropScope(slot);
    }
    return;
  }
  const { stream } = payload;
  const pipe = pump(stream);
  op_atoll_respond_pipe(slot, status, plainHeaders(list ?? headerLists.parseList(text), isEncoded || isCoded(stream)), pipe.handle);
  watch(scope, pipe);
}

// The type of the last answers of text that had no other field, and whether the platform has been told to remember it. Most
// handlers give all their answers the same, and a string that need not cross is neither joined nor read.
let lastType = null;
let isRemembered = false;
const LONGEST_REMEMBERED = 256;

function respondText(slot, status, list, isEncoded, text) {
  if (list.length === 2 && list[0] === "content-type") {
    const type = list[1];
    if (type === lastType) {
      if (!isRemembered) {
        op_atoll_remember_type(type);
        isRemembered = true;
      }
      return op_atoll_respond_same(slot, status, text);
    }
    lastType = type.length <= LONGEST_REMEMBERED ? type : null;
    isRemembered = false;
  }
  return op_atoll_respond_text(slot, status, plainHeaders(list, isEncoded), text);
}

// Follows a streamed response until whoever takes it is done with it.
function watch(scope, pipe) {
  const gone = () => {
    dropScope(scope.slot);
    // A write may have come upon it before.
    if (pipe !== null && (pipe.left || !pipe.ended)) {
      abortScope(scope);
      pipe.cancel(scope.abortReason);
    }
  };
  keepScope(scope);
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
  const scope = scopeOf(slot);
  if (scope === null) return;
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

return { abort, dispatch, plainHeaders, prepare, reset, start };
})();
