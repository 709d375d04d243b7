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

  // Packages ask the prototype, before there is any stream: bits of a colour, and whether there are so many colours.
  getColorDepth() {
    return 1;
  }

  hasColors() {
    return false;
  }
}

return { ReadStream, WriteStream, isatty: () => false };
})
