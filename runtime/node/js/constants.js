// node:constants: those of node:os and node:crypto in one object.

(function (require) {
"use strict";

const { constants } = require("os");

return { ...constants.errno, ...constants.signals, ...constants.priority };
})
