// Makes what the engine has of its own independent of what code does to the prototypes of its realm. The engine calls
// asynchronous ops by `op.call(...)`, so whatever stands in the place of Function.prototype.call would be called instead, with
// the bare op as `this`. And when the first lazy script is loaded it puts methods on classes that it finds by name: on
// those that code may have changed by then, or, for names it does not find, on what code has put into Object.prototype.

(function () {
const { core, primordials } = __bootstrap;
const {
  FunctionPrototype,
  ObjectCreate,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ReflectApply,
  ReflectOwnKeys,
  SafeArrayIterator,
  StringPrototypeStartsWith,
} = primordials;

const { call } = FunctionPrototype;

function own(op) {
  ObjectDefineProperty(op, "call", { __proto__: null, value: call, writable: false, enumerable: false, configurable: false });
}

// The ops behind the functions that the engine has made of asynchronous ones. They are called once with a
// Function.prototype.call that does not call, before there is any code that could see it.
function ownAll(holder) {
  for (const key of new SafeArrayIterator(ReflectOwnKeys(holder))) {
    const { value } = ObjectGetOwnPropertyDescriptor(holder, key);
    // They are functions of JavaScript, which the ops are not, and have a fixed name, which classes have not.
    if (typeof value !== "function" || !ObjectHasOwn(value, "prototype")) continue;
    if (!ObjectGetOwnPropertyDescriptor(value, "name").configurable) value();
  }
}

const isClass = (name) => !StringPrototypeStartsWith(name, "op_");

// For the snapshot, before any script takes a method from a class of the engine.
function install() {
  const { core: engine } = globalThis.Deno;
  const descriptor = ObjectGetOwnPropertyDescriptor(FunctionPrototype, "call");
  ObjectDefineProperty(FunctionPrototype, "call", {
    __proto__: null,
    value: function () {
      own(this);
      // A result that is there already: the engine waits for nothing.
      return true;
    },
    configurable: true,
  });
  try {
    ownAll(engine.ops);
    for (const name of new SafeArrayIterator(ReflectOwnKeys(engine.ops))) {
      if (isClass(name)) ownAll(engine.ops[name].prototype);
    }
  } finally {
    ObjectDefineProperty(FunctionPrototype, "call", descriptor);
  }
}

// For the snapshot, after its scripts. What a runtime that is restored from it finds in the place of the engine's object:
// scripts that are loaded later have ops and classes from a copy that was made before.
function finish() {
  const { core: engine } = globalThis.Deno;
  const setUpAsyncStub = function (name, op) {
    own(op);
    return ReflectApply(engine.setUpAsyncStub, this, arguments);
  };
  const value = ObjectCreate(engine, { setUpAsyncStub: { __proto__: null, value: setUpAsyncStub } });
  ObjectDefineProperty(globalThis.Deno, "core", { __proto__: null, value, configurable: true });
  // Own properties, so that nobody's Object.prototype is asked.
  for (const name of new SafeArrayIterator(ReflectOwnKeys(engine.ops))) {
    if (isClass(name)) engine.ops[name] = undefined;
  }
}

return { finish, install };
})();
