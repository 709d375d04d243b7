// Which request the running code works for. It is kept in the engine's continuation-preserved data, so it follows
// promises, timers and events that the code sets off.

(function () {
const { core, primordials } = __bootstrap;
const { ObjectSetPrototypeOf } = primordials;
const { getAsyncContext, setAsyncContext } = core;

// One request under way. Its own enumerable properties survive the copy that an AsyncVariable of the core makes.
class RequestScope {
  constructor(slot) {
    this.slot = slot;
    // The request's abort signal, once the code has asked for it.
    this.signal = null;
    // Why the request was aborted.
    this.abortReason = undefined;
    // Called when the client has gone.
    this.onAbort = null;
  }
}
ObjectSetPrototypeOf(RequestScope.prototype, null);

// The handle of the request the running code works for, 0 when there is none.
function currentSlot() {
  return getAsyncContext()?.slot ?? 0;
}

return { currentSlot, getAsyncContext, RequestScope, setAsyncContext };
})();
