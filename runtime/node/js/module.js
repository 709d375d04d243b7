// node:module: `require` of the built-in modules.

(function (require, internals) {
"use strict";

const { nodeError } = require("internal/errors");

function find(name) {
  if (typeof name !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", "id", "string", name);
  const found = internals.builtin(name);
  if (found !== undefined) return found;
  const error = new Error(`Cannot find module '${name}': only built-in modules can be required when the code runs`);
  error.code = "MODULE_NOT_FOUND";
  throw error;
}

function createRequire(filename) {
  const isUrl = filename instanceof URL || typeof filename === "string" && filename.startsWith("file:");
  if (!isUrl && (typeof filename !== "string" || !filename.startsWith("/"))) {
    throw nodeError("ERR_INVALID_ARG_VALUE", "filename", filename, "must be a file URL object, file URL string, or absolute path string");
  }
  const required = (name) => find(name);
  required.cache = { __proto__: null };
  required.extensions = { __proto__: null };
  required.main = undefined;
  required.resolve = (name) => {
    find(name);
    return name;
  };
  required.resolve.paths = () => null;
  return required;
}

function Module(id = "") {
  this.id = id;
  this.exports = {};
  this.loaded = false;
  this.children = [];
  this.paths = [];
}
Object.assign(Module, {
  Module,
  builtinModules: internals.builtinModules,
  createRequire,
  isBuiltin: (name) => internals.builtin(`${name}`) !== undefined,
});
return Module;
})
