// The class `RpcTarget` of `cloudflare:workers`: what extends it crosses to other workers as a stub of itself.

(function () {
const { core } = __bootstrap;
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");

class RpcTarget {}
// It is never cloned.
refuseClone(RpcTarget);

return { RpcTarget };
})();
