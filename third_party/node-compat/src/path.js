// Node's own path functions; `process.cwd()` is the one of the isolate.
const { posix, win32 } = require("path-unified");

const both = { posix: { ...posix }, win32: { ...win32 } };
for (const flavour of [both.posix, both.win32]) {
  flavour.posix = both.posix;
  flavour.win32 = both.win32;
  flavour.toNamespacedPath ??= (path) => path;
  flavour._makeLong = flavour.toNamespacedPath;
}
module.exports = both.posix;
