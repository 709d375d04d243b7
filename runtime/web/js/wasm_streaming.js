// `WebAssembly.compileStreaming` and `instantiateStreaming` (WebAssembly Web API, section 3). The module is compiled when
// all of it is here.

(function () {
const { core, primordials } = __bootstrap;
const { ReflectApply, StringPrototypeToLowerCase, StringPrototypeTrim, TypeError } = primordials;
const { compile, instantiate } = globalThis.WebAssembly;
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const responses = core.loadExtScript("ext:atoll_web/response.js");
const { arrayBuffer } = responses.Response.prototype;

async function bytesOf(source, name) {
  const response = await source;
  if (!responses.isResponse(response)) {
    throw new TypeError(`WebAssembly.${name}(): the argument must be a Response or a promise of one`);
  }
  const { list, status } = responses.partsOf(response);
  if (status < 200 || status > 299) {
    throw new TypeError(`WebAssembly.${name}(): the response's status is ${status}`);
  }
  const type = headerLists.listGet(list, "content-type");
  if (type === null || StringPrototypeToLowerCase(StringPrototypeTrim(type)) !== "application/wasm") {
    throw new TypeError(`WebAssembly.${name}(): the response's Content-Type is ${type}, not application/wasm`);
  }
  return await ReflectApply(arrayBuffer, response, []);
}

return {
  compileStreaming: async (source) => await compile(await bytesOf(source, "compileStreaming")),
  instantiateStreaming: async (source, imports) =>
    await instantiate(await bytesOf(source, "instantiateStreaming"), imports),
};
})();
