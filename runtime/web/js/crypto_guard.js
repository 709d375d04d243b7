// Finishes what deno_crypto brings along: its classes have static methods for runtimes that build on them, which would show
// code the material of keys that it may not export.

(function () {
const { core, primordials } = __bootstrap;
const { FunctionPrototypeCall, ReflectDeleteProperty, Symbol } = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");

// Once in each isolate, when `crypto` or one of its classes is touched first.
function prepare({ Crypto, crypto, CryptoKey, SubtleCrypto }) {
  // The one SubtleCrypto is made now, as long as the method that makes it is there.
  crypto.subtle;
  // Without a symbol for the key objects of Node.js, keys are not marked as what can be cloned.
  Crypto.registerSymbols(webidl.brand, Symbol("key object"));
  const { fromCloneData } = CryptoKey;
  core.getCloneableDeserializers().CryptoKey = (data) => FunctionPrototypeCall(fromCloneData, CryptoKey, data);
  ReflectDeleteProperty(Crypto, "create");
  ReflectDeleteProperty(Crypto, "registerSymbols");
  ReflectDeleteProperty(CryptoKey, "exportNodeMaterial");
  ReflectDeleteProperty(CryptoKey, "fromCloneData");
  ReflectDeleteProperty(CryptoKey, "importSync");
  ReflectDeleteProperty(SubtleCrypto, "create");
  refuseClone(Crypto);
  refuseClone(SubtleCrypto);
}

return { prepare };
})();
