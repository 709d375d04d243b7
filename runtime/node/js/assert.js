// node:assert.

(function (require) {
"use strict";

const { assert } = require("packages/assert");

return assert;
})
