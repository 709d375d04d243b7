// Other workers of the platform: `env.NAME.fetch(request)`, calls of their methods as `await env.NAME.method()`, and the
// answers to such calls here. Arguments and results cross as structured clones (HTML standard, section 2.7); what cannot
// crosses as a stub, in a session.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_call,
  op_atoll_props,
  op_atoll_respond_call,
  op_atoll_respond_thrown,
  op_atoll_service_call,
} = core.ops;
const {
  Error,
  SafeArrayIterator,
  TypeError,
  Uint8Array,
} = primordials;
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { placeOf, run } = core.loadExtScript("ext:atoll_web/fetch.js");
const { createCallable, createServiceFetcher } = core.loadExtScript("ext:atoll_web/fetcher.js");
const { remote, serialiseThrown, thrown } = core.loadExtScript("ext:atoll_web/rpc_errors.js");
const { describe, stackOf } = core.loadExtScript("ext:atoll_web/errors.js");
const { disposable, pending } = core.loadExtScript("ext:atoll_web/rpc_stubs.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");

const STORAGE = { __proto__: null, forStorage: true };

class Refused {}

function refuse() {
  throw new Refused();
}

// The value's structured clone; null when something in it has none.
function serialise(value) {
  try {
    return core.serialize(value, STORAGE, refuse);
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

const rpc = () => core.loadExtScript("ext:atoll_web/rpc.js");

async function send(request, service) {
  try {
    return await run(request, service);
  } catch (error) {
    throw remote(error);
  }
}

// A call in which everything can be cloned needs no session. With `args` null a property is read. Gives `{ value }`.
async function call(service, method, args) {
  const slot = currentSlot();
  let bytes = args === null ? new Uint8Array(0) : serialise(args);
  let session = null;
  let handle = 0;
  if (bytes === null) {
    ({ 0: session, 1: handle } = rpc().open(false));
    try {
      bytes = core.serialize(session.pack(args), STORAGE);
    } catch (error) {
      session.abandon(handle);
      throw error;
    }
  }
  const answer = op_atoll_service_call(slot, placeOf(service), method, bytes, handle);
  session?.start();
  let reply;
  try {
    reply = await answer;
  } catch (error) {
    session?.abandon(handle);
    throw remote(error);
  }
  const { 0: result, 1: theirs, 2: hasThrown } = reply;
  if (hasThrown) {
    session?.abandon(handle);
    throw thrown(result);
  }
  if (theirs === 0) {
    return { __proto__: null, value: disposable(core.deserialize(result, STORAGE)) };
  }
  const other = new (rpc().Session)(theirs, true);
  const value = disposable(other.unpack(await other.first()));
  other.start();
  return { __proto__: null, value };
}

// Calls a method of the other worker's, or of what one of its properties is.
async function along(service, path, args) {
  if (path.length === 1) return await call(service, path[0], args);
  let value = pending(call(service, path[0], null));
  for (let i = 1; i < path.length; i++) value = value[path[i]];
  return { __proto__: null, value: await (args === null ? value : value(...new SafeArrayIterator(args))) };
}

// What `env` has for the worker that is bound at the place `service`, from 1, or what leads to an entrypoint of this
// worker's own.
function createService(service) {
  return createServiceFetcher((request) => send(request, service), (path, args) => along(service, path, args));
}

const NONE = new Uint8Array(0);

// What `ctx.exports` has for an entrypoint. Called with `{ props }` it gives one that has these as its `ctx.props`.
function createOwn(entrypoint) {
  return createCallable(createService({ __proto__: null, entrypoint, props: NONE }), (options) => {
    if (typeof options !== "object" || options === null) {
      throw new TypeError(`ctx.exports.${entrypoint} takes an object with the property "props"`);
    }
    const { props } = options;
    if (props === undefined) return createService({ __proto__: null, entrypoint, props: NONE });
    if (typeof props !== "object" || props === null) throw new TypeError('"props" must be an object');
    const bytes = serialise(props);
    if (bytes === null) throw new DOMException('"props" cannot be cloned', "DataCloneError");
    return createService({ __proto__: null, entrypoint, props: bytes });
  });
}

// `ctx.props` of the event `slot`.
function propsOf(slot) {
  const bytes = op_atoll_props(slot);
  return bytes.length === 0 ? {} : core.deserialize(bytes, STORAGE);
}

// Runs the method that the event `slot` calls.
async function answer(slot, target, env, ctx) {
  const { 0: method, 1: bytes, 2: theirs } = op_atoll_call(slot);
  const received = [];
  let args = null;
  if (theirs !== 0) {
    const session = new (rpc().Session)(theirs, true);
    args = session.unpack(core.deserialize(bytes, STORAGE), received);
    session.start();
  } else if (bytes.length !== 0) {
    args = core.deserialize(bytes, STORAGE);
  }
  try {
    const result = await target.call(method, args, env, ctx);
    const plain = serialise(result);
    if (plain === null) respond(slot, result);
    else op_atoll_respond_call(slot, plain, 0);
  } catch (error) {
    const bytes = serialiseThrown(error);
    if (bytes === null) throw error;
    op_atoll_respond_thrown(slot, bytes, stackOf(error) || describe(error));
  } finally {
    if (received.length > 0) rpc().releaseAll(received);
  }
}

// Answers with a session, in which the result is the first message.
function respond(slot, result) {
  const { 0: session, 1: handle } = rpc().open(false);
  try {
    session.send(session.pack(result));
    if (!op_atoll_respond_call(slot, new Uint8Array(0), handle)) throw new Error("The call was answered before");
    session.start();
  } catch (error) {
    session.abandon(handle);
    throw error;
  }
}

return { answer, createOwn, createService, propsOf };
})();
