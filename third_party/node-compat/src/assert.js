const assert = require("assert/build/assert.js");
const comparisons = require("assert/build/internal/util/comparisons.js");

module.exports = { assert, ...comparisons };
