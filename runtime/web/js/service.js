// Other workers of the platform: `env.NAME.fetch(request)`, calls of their methods as `await env.NAME.method()`, and the
// answers to such calls here. Arguments and results cross as structured clones (HTML standard, section 2.7).

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_call, op_atoll_respond_call, op_atoll_service_call } = core.ops;
const {
  Error,
  EvalError,
  ObjectCreate,
  ObjectSetPrototypeOf,
  Proxy,
  RangeError,
  ReferenceError,
  ReflectGet,
  ReflectHas,
  RegExpPrototypeExec,
  SafeRegExp,
  SyntaxError,
  TypeError,
  URIError,
} = primordials;
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { run } = core.loadExtScript("ext:atoll_web/fetch.js");
const { createFetcher, Fetcher } = core.loadExtScript("ext:atoll_web/fetcher.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");

// `String(error)` of an error of the language.
const THROWN = new SafeRegExp(/^(Error|EvalError|RangeError|ReferenceError|SyntaxError|TypeError|URIError): ([^]*)$/);
const ERRORS = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

const STORAGE = { __proto__: null, forStorage: true };

function refuse(message) {
  throw new DOMException(message, "DataCloneError");
}

const serialise = (value) => core.serialize(value, STORAGE, refuse);

// What the other worker threw, as far as its text says.
function remote(error) {
  if (error?.name !== "Error") return error;
  const match = RegExpPrototypeExec(THROWN, error.message);
  return match === null ? error : new ERRORS[match[1]](match[2]);
}

async function send(request, service) {
  try {
    return await run(request, service);
  } catch (error) {
    throw remote(error);
  }
}

async function call(service, method, args) {
  let result;
  try {
    result = await op_atoll_service_call(currentSlot(), service, method, serialise(args));
  } catch (error) {
    throw remote(error);
  }
  return core.deserialize(result, STORAGE);
}

// What `env` has for the worker that is bound at the place `service`, from 1: a Fetcher, any other property of which is a
// method of the other worker.
function createService(service) {
  const members = new Proxy(ObjectCreate(Fetcher.prototype), {
    __proto__: null,
    get(target, name, receiver) {
      // A promise that resolves to this looks for `then`.
      if (typeof name !== "string" || name === "then" || ReflectHas(target, name)) {
        return ReflectGet(target, name, receiver);
      }
      return (...args) => call(service, name, args);
    },
  });
  return ObjectSetPrototypeOf(createFetcher((request) => send(request, service)), members);
}

// Runs the method that the event `slot` calls.
async function answer(slot, target, env, ctx) {
  const { 0: method, 1: args } = op_atoll_call(slot);
  const result = await target.call(method, core.deserialize(args, STORAGE), env, ctx);
  op_atoll_respond_call(slot, serialise(result));
}

return { answer, createService };
})();
