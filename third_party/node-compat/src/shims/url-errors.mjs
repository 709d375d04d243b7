// Constructors of errors as functions, which `new` takes as well.
import { nodeError } from "internal/errors";

const kind = (code) => function (...args) {
  return nodeError(code, ...args);
};
export const ERR_INVALID_ARG_TYPE = kind("ERR_INVALID_ARG_TYPE");
export const ERR_INVALID_ARG_VALUE = kind("ERR_INVALID_ARG_VALUE");
export const ERR_INVALID_FILE_URL_HOST = kind("ERR_INVALID_FILE_URL_HOST");
export const ERR_INVALID_FILE_URL_PATH = kind("ERR_INVALID_FILE_URL_PATH");
export const ERR_INVALID_URL_SCHEME = kind("ERR_INVALID_URL_SCHEME");
export const ERR_INVALID_URL = function (input) {
  return Object.assign(nodeError("ERR_INVALID_URL"), { input });
};
