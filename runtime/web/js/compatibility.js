// What the worker's compatibility date and flags ask for: the numbers of the switches.

(function () {
const { core } = __bootstrap;
const { op_atoll_is_on } = core.ops;

const SWITCHES = { __proto__: null, blobMessages: 0, upperCaseMethods: 1, contextExports: 2, wholeErrors: 3 };

// Whether something is done as a switch says. Only while a worker runs; no answer is kept in the snapshot.
const isOn = (name) => op_atoll_is_on(SWITCHES[name]);

return { isOn };
})();
