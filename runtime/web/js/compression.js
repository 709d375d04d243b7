// CompressionStream (Compression standard, section 3), of which a response can tell that what comes out is compressed.

(function () {
const { core, primordials } = __bootstrap;
const { ObjectDefineProperty, ObjectGetOwnPropertyDescriptor, ReflectApply } = primordials;
const { markCoded } = core.loadExtScript("ext:atoll_web/pump.js");
const { CompressionStream } = core.loadExtScript("ext:deno_web/14_compression.js");

const { prototype } = CompressionStream;
const descriptor = ObjectGetOwnPropertyDescriptor(prototype, "readable");
const getReadable = descriptor.get;
const { get } = ObjectGetOwnPropertyDescriptor(
  {
    get readable() {
      const stream = ReflectApply(getReadable, this, []);
      markCoded(stream);
      return stream;
    },
  },
  "readable",
);
ObjectDefineProperty(prototype, "readable", { __proto__: null, configurable: true, enumerable: descriptor.enumerable, get });

return { CompressionStream };
})();
