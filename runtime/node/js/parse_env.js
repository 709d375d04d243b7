// util.parseEnv: variables as files have them, by the rules of Node.js.

(function (require) {
"use strict";

const { validate } = require("internal/errors");

const QUOTES = ["\"", "'", "`"];
const trim = (text) => text.replace(/^ +| +$/g, "");

function parseEnv(content) {
  validate.string(content, "content");
  const variables = {};
  let rest = trim(content.replaceAll("\r", ""));
  // What comes after the line that `at` is in.
  const skipLine = (at) => {
    const end = rest.indexOf("\n", at);
    rest = end === -1 ? "" : trim(rest.slice(end + 1));
    return end !== -1;
  };
  while (rest !== "") {
    if (rest[0] === "\n" || rest[0] === "#") {
      skipLine(0);
      continue;
    }
    const equals = rest.indexOf("=");
    const key = trim(rest.slice(0, equals));
    if (equals === -1 || key === "") break;
    const name = key.startsWith("export ") ? key.slice("export ".length) : key;
    rest = trim(rest.slice(equals + 1));
    const isQuoted = QUOTES.includes(rest[0]);
    const end = isQuoted ? rest.indexOf(rest[0], 1) : -1;
    if (end !== -1) {
      const value = rest.slice(1, end);
      variables[name] = rest[0] === "\"" ? value.replaceAll("\\n", "\n") : value;
      skipLine(end);
      continue;
    }
    const line = rest.split("\n", 1)[0];
    const hasMore = skipLine(0);
    // A quote that nothing ends is a character; in the last line it is none of a variable.
    if (isQuoted && !hasMore) break;
    variables[name] = isQuoted ? line : trim(line.split("#", 1)[0]);
  }
  return variables;
}

return { parseEnv };
})
