// node:tty: there is no terminal.

(function (require) {
"use strict";

const { nodeError } = require("internal/errors");

class ReadStream {
  constructor() {
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "tty.ReadStream");
  }
}

class WriteStream {
  constructor() {
    throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", "tty.WriteStream");
  }
}

return { ReadStream, WriteStream, isatty: () => false };
})
