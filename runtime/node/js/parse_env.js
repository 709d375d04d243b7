// util.parseEnv: variables as files have them, by the rules of Node.js.

(function (require) {
"use strict";

const { validate } = require("internal/errors");

const QUOTES = ["\"", "'", "`"];
const SPACE = 32;

// What stands between two places of a text, without the spaces around it.
function trimmed(text, start = 0, end = text.length) {
  while (start < end && text.charCodeAt(start) === SPACE) start += 1;
  while (end > start && text.charCodeAt(end - 1) === SPACE) end -= 1;
  return text.slice(start, end);
}

// Goes through the text once: nothing is cut off it, and of what comes later only a quote is looked for, each kind in vain once
// at most.
function parseEnv(content) {
  validate.string(content, "content");
  const variables = {};
  const text = trimmed(content.replaceAll("\r", ""));
  // Where what is not read begins.
  let at = 0;
  const skipSpaces = (from) => {
    at = from;
    while (text.charCodeAt(at) === SPACE) at += 1;
  };
  const lineEnd = (from) => {
    const end = text.indexOf("\n", from);
    return end === -1 ? text.length : end;
  };
  // Goes on behind the line that `from` is in.
  const skipLine = (from) => skipSpaces(Math.min(lineEnd(from) + 1, text.length));
  while (at < text.length) {
    if (text[at] === "\n" || text[at] === "#") {
      skipLine(at);
      continue;
    }
    const equals = text.indexOf("=", at);
    const key = trimmed(text, at, equals);
    if (equals === -1 || key === "") break;
    const name = key.startsWith("export ") ? key.slice("export ".length) : key;
    skipSpaces(equals + 1);
    const isQuoted = QUOTES.includes(text[at]);
    const closing = isQuoted ? text.indexOf(text[at], at + 1) : -1;
    if (closing !== -1) {
      const value = text.slice(at + 1, closing);
      variables[name] = text[at] === "\"" ? value.replaceAll("\\n", "\n") : value;
      skipLine(closing);
      continue;
    }
    const start = at;
    const end = lineEnd(start);
    // A quote that nothing ends is a character; in the last line it is none of a variable.
    if (isQuoted && end === text.length) break;
    const line = text.slice(start, end);
    variables[name] = isQuoted ? line : trimmed(line.split("#", 1)[0]);
    skipLine(start);
  }
  return variables;
}

return { parseEnv };
})
