// What only the engine sees of a value, for `util.inspect`.

(function (require, internals) {
"use strict";

const { getPromiseDetails, getProxyDetails, previewEntries } = internals;

return {
  // The entries of a map's or set's iterator, without moving it; with `wantsKind` also whether they are pairs.
  previewEntries: (value, wantsKind = false) => previewEntries(value, wantsKind),
  promiseDetails(promise, pending, rejected) {
    const { 0: state, 1: result } = getPromiseDetails(promise);
    return [state === 0 ? pending : state === 2 ? rejected : undefined, result];
  },
  proxyDetails(value, wantsHandler = true) {
    const details = getProxyDetails(value);
    if (details === null || details === undefined) return undefined;
    return wantsHandler ? details : details[0];
  },
};
})
