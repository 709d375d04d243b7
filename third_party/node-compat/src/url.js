// The legacy API of node:url.
const { Url, format, parse, resolve, resolveObject } = require("unenv/node/url");

module.exports = { Url, format, parse, resolve, resolveObject };
