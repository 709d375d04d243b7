const querystring = require("unenv/node/querystring");

const { decode, encode, escape, parse, stringify, unescape, unescapeBuffer } = querystring;
module.exports = { decode, encode, escape, parse, stringify, unescape, unescapeBuffer };
