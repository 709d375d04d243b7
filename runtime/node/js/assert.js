// node:assert.

(function (require) {
"use strict";

const { assert } = require("packages/assert");

// The name that the package's bundler has changed.
Object.defineProperty(assert.AssertionError, "name", { value: "AssertionError", configurable: true });

return assert;
})
