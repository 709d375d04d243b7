// node:url: the classes of the web and the legacy API.

(function (require) {
"use strict";

const { nodeError, validate } = require("internal/errors");
const legacy = require("packages/url");

const { URL, URLSearchParams } = globalThis;
const UNSAFE = { "%": "%25", "\\": "%5C", "\n": "%0A", "\r": "%0D", "\t": "%09", "?": "%3F", "#": "%23" };

function urlOf(path) {
  if (typeof path === "string") {
    if (!URL.canParse(path)) {
      const error = nodeError("ERR_INVALID_URL");
      error.input = path;
      throw error;
    }
    return new URL(path);
  }
  if (typeof path?.href !== "string" || typeof path.protocol !== "string") {
    throw nodeError("ERR_INVALID_ARG_TYPE", "path", ["string", "URL"], path);
  }
  return path;
}

function fileURLToPath(path, options = {}) {
  const url = urlOf(path);
  if (url.protocol !== "file:") throw nodeError("ERR_INVALID_URL_SCHEME", "file");
  if (url.hostname !== "" && !options?.windows) throw nodeError("ERR_INVALID_FILE_URL_HOST", "linux");
  if (/%2f/i.test(url.pathname)) {
    throw nodeError("ERR_INVALID_FILE_URL_PATH", "must not include encoded / characters");
  }
  return decodeURIComponent(url.pathname);
}

function pathToFileURL(path) {
  validate.string(path, "path");
  let resolved = require("path").resolve(path);
  if (path.endsWith("/") && !resolved.endsWith("/")) resolved += "/";
  return new URL(`file://${resolved.replace(/[%\\\n\r\t?#]/g, (c) => UNSAFE[c])}`);
}

function urlToHttpOptions(url) {
  validate.object(url, "url");
  const { hostname, pathname, port, username, password, search } = url;
  const options = {
    __proto__: null,
    ...url,
    protocol: url.protocol,
    hostname: typeof hostname === "string" && hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
    hash: url.hash,
    search,
    pathname,
    path: `${pathname || ""}${search || ""}`,
    href: url.href,
  };
  if (port !== "") options.port = Number(port);
  if (username || password) options.auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return options;
}

function format(url, options) {
  if (!(url instanceof URL)) return legacy.format(url);
  if (options !== undefined) validate.object(options, "options");
  const { auth = true, fragment = true, search = true, unicode = false } = options ?? {};
  const copy = new URL(url);
  if (!fragment) copy.hash = "";
  if (!search) copy.search = "";
  if (!auth) [copy.username, copy.password] = ["", ""];
  return unicode && copy.hostname !== ""
    ? copy.href.replace(copy.hostname, require("punycode").toUnicode(copy.hostname))
    : copy.href;
}

function domainToASCII(domain) {
  try {
    return new URL(`ws://${domain}`).hostname;
  } catch {
    return "";
  }
}

return {
  URL,
  URLSearchParams,
  Url: legacy.Url,
  domainToASCII,
  domainToUnicode: (domain) => require("punycode").toUnicode(domainToASCII(domain)),
  fileURLToPath,
  format,
  parse: legacy.parse,
  pathToFileURL,
  resolve: legacy.resolve,
  resolveObject: legacy.resolveObject,
  urlToHttpOptions,
};
})
