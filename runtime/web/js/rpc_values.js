// Structured clones in which some things are left out: their places hold numbers.

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayIsArray,
  ArrayPrototypePush,
  Map,
  MapPrototypeClear,
  MapPrototypeForEach,
  MapPrototypeGet,
  MapPrototypeHas,
  MapPrototypeSet,
  ObjectDefineProperty,
  ObjectGetPrototypeOf,
  ObjectKeys,
  ObjectPrototype,
  SafeMap,
  Set,
  SetPrototypeAdd,
  SetPrototypeClear,
  SetPrototypeForEach,
} = primordials;
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");

function refuse(message) {
  throw new DOMException(message, "DataCloneError");
}

const isMap = core.isMap;
const isSet = core.isSet;

function isPlain(value) {
  const prototype = ObjectGetPrototypeOf(value);
  return prototype === null || prototype === ObjectPrototype;
}

function define(object, key, value) {
  ObjectDefineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}

// Serialises a value. `place(thing)` says which number stands for a thing, -1 for one that is cloned as usual.
function encode(value, place) {
  const hostObjects = [];
  const seen = new SafeMap();

  function marked(thing) {
    const index = place(thing);
    if (index === -1) return thing;
    while (hostObjects.length <= index) {
      ArrayPrototypePush(hostObjects, { __proto__: null, [core.hostObjectBrand]: undefined });
    }
    return hostObjects[index];
  }

  function copied(value) {
    if (typeof value === "function") return marked(value);
    if (typeof value !== "object" || value === null) return value;
    if (MapPrototypeHas(seen, value)) return MapPrototypeGet(seen, value);
    let copy;
    if (ArrayIsArray(value)) {
      MapPrototypeSet(seen, value, copy = []);
      copy.length = value.length;
      const keys = ObjectKeys(value);
      for (let i = 0; i < keys.length; i++) define(copy, keys[i], copied(value[keys[i]]));
    } else if (isPlain(value)) {
      MapPrototypeSet(seen, value, copy = {});
      const keys = ObjectKeys(value);
      for (let i = 0; i < keys.length; i++) define(copy, keys[i], copied(value[keys[i]]));
    } else if (isMap(value)) {
      MapPrototypeSet(seen, value, copy = new Map());
      MapPrototypeForEach(value, (inner, key) => MapPrototypeSet(copy, copied(key), copied(inner)));
    } else if (isSet(value)) {
      MapPrototypeSet(seen, value, copy = new Set());
      SetPrototypeForEach(value, (inner) => SetPrototypeAdd(copy, copied(inner)));
    } else {
      MapPrototypeSet(seen, value, copy = marked(value));
    }
    return copy;
  }

  return core.serialize(copied(value), { __proto__: null, hostObjects, forStorage: true }, refuse);
}

// The value of bytes that `encode` has made; `things` stand where numbers are.
function decode(bytes, things) {
  const hostObjects = [];
  const meant = new SafeMap();
  for (let i = 0; i < things.length; i++) {
    const mark = {};
    ArrayPrototypePush(hostObjects, mark);
    MapPrototypeSet(meant, mark, things[i]);
  }
  const value = core.deserialize(bytes, { __proto__: null, hostObjects, forStorage: true });
  if (things.length === 0) return value;
  const seen = new SafeMap();

  function revived(value) {
    if (typeof value !== "object" || value === null) return value;
    if (MapPrototypeHas(meant, value)) return MapPrototypeGet(meant, value);
    if (MapPrototypeHas(seen, value)) return value;
    MapPrototypeSet(seen, value, true);
    if (isMap(value)) {
      const entries = [];
      MapPrototypeForEach(value, (inner, key) => ArrayPrototypePush(entries, [revived(key), revived(inner)]));
      MapPrototypeClear(value);
      for (let i = 0; i < entries.length; i++) MapPrototypeSet(value, entries[i][0], entries[i][1]);
    } else if (isSet(value)) {
      const members = [];
      SetPrototypeForEach(value, (inner) => ArrayPrototypePush(members, revived(inner)));
      SetPrototypeClear(value);
      for (let i = 0; i < members.length; i++) SetPrototypeAdd(value, members[i]);
    } else if (ArrayIsArray(value) || isPlain(value)) {
      const keys = ObjectKeys(value);
      for (let i = 0; i < keys.length; i++) {
        const inner = value[keys[i]];
        const other = revived(inner);
        if (other !== inner) define(value, keys[i], other);
      }
    }
    return value;
  }

  return revived(value);
}

return { decode, encode };
})();
