// node:constants: those of node:os, node:fs and node:crypto in one object.

(function (require) {
"use strict";

const { constants } = require("os");

return {
  ...constants.dlopen, ...constants.errno, ...constants.priority, ...constants.signals, ...require("internal/stub_names").FS,
  ...require("crypto").constants,
};
})
