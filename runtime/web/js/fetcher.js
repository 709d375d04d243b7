// The class of what `env` holds to fetch from: other workers, assets.

(function () {
const { core, primordials } = __bootstrap;
const { PromiseReject, Symbol, TypeError } = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const requests = core.loadExtScript("ext:atoll_web/request.js");
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");

const INTERNAL = Symbol("internal");

class Fetcher {
  // Takes a Request and gives a promise of a Response.
  #send;

  constructor(key, send) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#send = send;
  }

  fetch(input, init = undefined) {
    try {
      const send = this.#send;
      webidl.requiredArguments(arguments.length, 1, "Failed to execute 'fetch' on 'Fetcher'");
      // A Request as it is needs no copy.
      const request = requests.isRequest(input) && (init === undefined || init === null)
        ? input
        : new requests.Request(input, init);
      return send(request);
    } catch (error) {
      return PromiseReject(error);
    }
  }
}
webidl.configureInterface(Fetcher);
refuseClone(Fetcher);

return { createFetcher: (send) => new Fetcher(INTERNAL, send), Fetcher };
})();
