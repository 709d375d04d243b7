// Function.prototype.toString for code that asks whether a function is built in: those of the platform are, wherever they
// are written.

(function () {
const { core, primordials } = __bootstrap;
const { FunctionPrototype, ObjectDefineProperty, ObjectGetOwnPropertyDescriptor, ObjectHasOwn, ReflectApply } = primordials;
const { op_atoll_is_platform_function } = core.ops;

const original = FunctionPrototype.toString;

function nameOf(f) {
  const descriptor = ObjectGetOwnPropertyDescriptor(f, "name");
  const isString = descriptor !== undefined && ObjectHasOwn(descriptor, "value") && typeof descriptor.value === "string";
  return isString ? descriptor.value : "";
}

// A NativeFunction of ECMA-262, 20.2.3.5, for what is the platform's.
const { toString } = {
  toString() {
    if (op_atoll_is_platform_function(this)) return `function ${nameOf(this)}() { [native code] }`;
    return ReflectApply(original, this, []);
  },
};

function install() {
  ObjectDefineProperty(FunctionPrototype, "toString", {
    __proto__: null,
    value: toString,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

return { install };
})();
