const Stream = require("readable-stream/lib/stream.js");

module.exports = Stream;
