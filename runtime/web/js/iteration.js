// Iteration over an interface that is a list of pairs (Web IDL, section 3.7.10).

(function () {
const { primordials } = __bootstrap;
const {
  ArrayIteratorPrototype,
  ObjectCreate,
  ObjectDefineProperties,
  ObjectDefineProperty,
  ReflectApply,
  ReflectGetPrototypeOf,
  SymbolIterator,
  SymbolToStringTag,
  TypeError,
} = primordials;

const IteratorPrototype = ReflectGetPrototypeOf(ArrayIteratorPrototype);

const data = (value, enumerable = true) => ({
  __proto__: null,
  value,
  writable: true,
  enumerable,
  configurable: true,
});

// Adds entries(), keys(), values(), forEach() and [Symbol.iterator] to a class. `pairsOf(object)` returns the current
// pairs and throws when the object is not of the class. Changes made while iterating show.
function definePairIterable(Interface, name, pairsOf) {
  class PairIterator {
    #target;
    #kind;
    #index = 0;

    constructor(target, kind) {
      this.#target = target;
      this.#kind = kind;
    }

    static advance(iterator) {
      const pairs = pairsOf(iterator.#target);
      if (iterator.#index >= pairs.length) {
        return { value: undefined, done: true };
      }
      const pair = pairs[iterator.#index++];
      const value = iterator.#kind === 0 ? pair[0] : iterator.#kind === 1 ? pair[1] : [pair[0], pair[1]];
      return { value, done: false };
    }
  }

  const { next } = {
    next() {
      return PairIterator.advance(this);
    },
  };
  const prototype = ObjectCreate(IteratorPrototype, {
    next: data(next),
    [SymbolToStringTag]: { __proto__: null, value: `${name} Iterator`, configurable: true },
  });
  ObjectDefineProperty(PairIterator, "prototype", { __proto__: null, writable: false });
  const iterate = (target, kind) => {
    pairsOf(target);
    const iterator = new PairIterator(target, kind);
    primordials.ObjectSetPrototypeOf(iterator, prototype);
    return iterator;
  };

  const methods = {
    entries() {
      return iterate(this, 2);
    },
    keys() {
      return iterate(this, 0);
    },
    values() {
      return iterate(this, 1);
    },
    forEach(callback, thisArg = undefined) {
      pairsOf(this);
      if (typeof callback !== "function") {
        throw new TypeError(`Failed to execute 'forEach' on '${name}': the callback is not a function`);
      }
      let pairs;
      for (let i = 0; i < (pairs = pairsOf(this)).length; i++) {
        ReflectApply(callback, thisArg, [pairs[i][1], pairs[i][0], this]);
      }
    },
  };
  ObjectDefineProperties(Interface.prototype, {
    entries: data(methods.entries),
    keys: data(methods.keys),
    values: data(methods.values),
    forEach: data(methods.forEach),
    [SymbolIterator]: data(methods.entries, false),
  });
}

return { definePairIterable };
})();
