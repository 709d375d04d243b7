// node:util/types.

(function (require, internals) {
"use strict";

const { types } = internals;

const tagOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
const isKind = (name) => (value) => tagOf.call(value) === name;
const isInstance = (name) => (value) => {
  const Class = globalThis[name];
  return typeof Class === "function" && value instanceof Class;
};

const result = {
  ...types,
  isArrayBufferView: ArrayBuffer.isView,
  isBigInt64Array: isKind("BigInt64Array"),
  isBigUint64Array: isKind("BigUint64Array"),
  isCryptoKey: isInstance("CryptoKey"),
  isEventTarget: isInstance("EventTarget"),
  isExternal: () => false,
  isFloat16Array: isKind("Float16Array"),
  isFloat32Array: isKind("Float32Array"),
  isFloat64Array: isKind("Float64Array"),
  isInt16Array: isKind("Int16Array"),
  isInt32Array: isKind("Int32Array"),
  isInt8Array: isKind("Int8Array"),
  isKeyObject: (value) => value !== null && typeof value === "object" && value instanceof require("crypto").KeyObject,
  isTypedArray: (value) => tagOf.call(value) !== undefined,
  isUint16Array: isKind("Uint16Array"),
  isUint32Array: isKind("Uint32Array"),
  isUint8Array: isKind("Uint8Array"),
  isUint8ClampedArray: isKind("Uint8ClampedArray"),
};
return result;
})
