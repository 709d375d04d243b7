const { StringDecoder } = require("string_decoder/lib/string_decoder.js");

module.exports = { StringDecoder };
