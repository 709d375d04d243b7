// node:module: `require` of the built-in modules, and what packages that put themselves between `require` and modules look
// at. They find no module that was loaded from a file.

(function (require, internals) {
"use strict";

const { nodeError } = require("internal/errors");

function missing(name) {
  const error = new Error(`Cannot find module '${name}': only built-in modules can be required when the code runs`);
  return Object.assign(error, { code: "MODULE_NOT_FOUND", requireStack: [] });
}

function find(name) {
  if (typeof name !== "string") throw nodeError("ERR_INVALID_ARG_TYPE", "id", "string", name);
  const found = internals.builtin(name);
  if (found === undefined) throw missing(name);
  return found;
}

function resolve(name) {
  find(name);
  return name;
}

function createRequire(filename) {
  const isUrl = filename instanceof URL || typeof filename === "string" && filename.startsWith("file:");
  if (!isUrl && (typeof filename !== "string" || !filename.startsWith("/"))) {
    throw nodeError("ERR_INVALID_ARG_VALUE", "filename", filename, "must be a file URL object, file URL string, or absolute path string");
  }
  const required = (name) => Module._load(name);
  required.cache = Module._cache;
  required.extensions = Module._extensions;
  required.main = undefined;
  required.resolve = (name) => Module._resolveFilename(name);
  required.resolve.paths = () => null;
  return required;
}

function Module(id = "") {
  this.id = id;
  this.path = require("path").dirname(id);
  this.exports = {};
  this.filename = null;
  this.loaded = false;
  this.children = [];
}

const unavailable = (name) => function () {
  throw nodeError("ERR_METHOD_NOT_IMPLEMENTED", `module.${name}`);
};

Object.assign(Module.prototype, {
  _compile: unavailable("Module.prototype._compile"),
  load: unavailable("Module.prototype.load"),
  require(name) {
    return Module._load(name, this, false);
  },
});

const DISABLED = 3;
const MODULES = "node_modules";

Object.assign(Module, {
  Module,
  _cache: { __proto__: null },
  _extensions: {
    __proto__: null, ".js": unavailable("_extensions"), ".json": unavailable("_extensions"), ".node": unavailable("_extensions"),
  },
  _load: (name) => find(name),
  // The folders in which Node.js would look.
  _nodeModulePaths(from) {
    const parts = require("path").resolve(from).replace(/\/$/, "").split("/");
    const paths = [];
    for (let end = parts.length; end > 0; end--) {
      if (parts[end - 1] !== MODULES) paths.push(`${parts.slice(0, end).join("/")}/${MODULES}`);
    }
    return paths;
  },
  _pathCache: { __proto__: null },
  _resolveFilename: (name) => resolve(name),
  builtinModules: internals.builtinModules,
  constants: Object.freeze({
    __proto__: null,
    compileCacheStatus: Object.freeze({ __proto__: null, FAILED: 0, ENABLED: 1, ALREADY_ENABLED: 2, DISABLED }),
  }),
  createRequire,
  // The platform keeps compiled code itself.
  enableCompileCache: () => ({ status: DISABLED }),
  findSourceMap: () => undefined,
  flushCompileCache() {},
  getCompileCacheDir: () => undefined,
  getSourceMapsSupport: () => ({ __proto__: null, enabled: false, nodeModules: false, generatedCode: false }),
  globalPaths: [],
  isBuiltin: (name) => internals.builtin(`${name}`) !== undefined,
  syncBuiltinESMExports() {},
  wrap: (script) => `(function (exports, require, module, __filename, __dirname) { ${script}\n});`,
});
return Module;
})
