// `Cloudflare` of the global: code asks it which compatibility flags are on.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_flags } = core.ops;
const { ObjectDefineProperty, ObjectFreeze, SymbolToStringTag } = primordials;

const compatibilityFlags = { __proto__: null };
const list = op_atoll_flags();
for (let i = 0; i < list.length; i++) compatibilityFlags[list[i][0]] = list[i][1];

const Cloudflare = { compatibilityFlags: ObjectFreeze(compatibilityFlags) };
ObjectDefineProperty(Cloudflare, SymbolToStringTag, { __proto__: null, value: "Cloudflare", configurable: true });

return { Cloudflare };
})();
