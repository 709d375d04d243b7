// Keeps code from ending the whole process through holes of the engine.

(function () {
const { primordials } = __bootstrap;
const { FunctionPrototypeCall, ObjectDefineProperty, RangeError, ReflectApply, String, StringPrototype, SymbolSplit } =
  primordials;

// Splitting into single characters allocates one array of the string's length, and the engine aborts the process when
// that is more than an array can hold.
const LONGEST_SPLIT = 2 ** 25;

const nativeSplit = StringPrototype.split;

const { split } = {
  split(separator, limit) {
    if (this !== null && this !== undefined) {
      if (separator !== null && typeof separator === "object" || typeof separator === "function") {
        const splitter = separator[SymbolSplit];
        if (splitter !== null && splitter !== undefined) {
          return ReflectApply(splitter, separator, [this, limit]);
        }
        separator = String(separator);
      }
      if (separator === "") {
        const string = typeof this === "string" ? this : String(this);
        if (string.length > LONGEST_SPLIT) {
          throw new RangeError(
            `Cannot split a string of ${string.length} characters into single characters: the limit is ${LONGEST_SPLIT}`,
          );
        }
        return FunctionPrototypeCall(nativeSplit, string, separator, limit);
      }
    }
    return FunctionPrototypeCall(nativeSplit, this, separator, limit);
  },
};

function install() {
  ObjectDefineProperty(StringPrototype, "split", {
    __proto__: null,
    value: split,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

return { install };
})();
