const punycode = require("punycode/punycode.js");

module.exports = { ...punycode };
