// parseArgs of node:util.

(function (require) {
"use strict";

const { nodeError, validate } = require("internal/errors");

// The option that a short name stands for.
function longName(options, short) {
  return Object.keys(options).find((name) => options[name].short === short) ?? short;
}

function tokenize(args, options) {
  const tokens = [];
  const isString = (name) => options[name]?.type === "string";
  for (let index = 0; index < args.length; index++) {
    const arg = args[index];
    const next = args[index + 1];
    const option = (name, rawName, value, inlineValue) => {
      const at = index;
      if (value === undefined && isString(name) && next !== undefined) {
        value = next;
        inlineValue = false;
        index++;
      }
      tokens.push({ kind: "option", name, rawName, index: at, value, inlineValue });
    };
    if (arg === "--") {
      tokens.push({ kind: "option-terminator", index });
      for (index++; index < args.length; index++) tokens.push({ kind: "positional", index, value: args[index] });
    } else if (/^--[^=]+=/.test(arg)) {
      const at = arg.indexOf("=");
      option(arg.slice(2, at), arg.slice(0, at), arg.slice(at + 1), true);
    } else if (/^--./.test(arg)) {
      option(arg.slice(2), arg, undefined, undefined);
    } else if (/^-[^-]/.test(arg)) {
      for (let i = 1; i < arg.length; i++) {
        const name = longName(options, arg[i]);
        if (isString(name) && i < arg.length - 1) {
          const rest = arg.slice(i + 1);
          tokens.push({ kind: "option", name, rawName: `-${arg[i]}`, index, value: rest.replace(/^=/, ""), inlineValue: true });
          break;
        }
        if (i === arg.length - 1) option(name, `-${arg[i]}`, undefined, undefined);
        else tokens.push({ kind: "option", name, rawName: `-${arg[i]}`, index, value: undefined, inlineValue: undefined });
      }
    } else {
      tokens.push({ kind: "positional", index, value: arg });
    }
  }
  return tokens;
}

function checkOption(token, options, { allowNegative, allowPositionals }) {
  const known = Object.hasOwn(options, token.name);
  if (!known && !(allowNegative && token.name.startsWith("no-") && Object.hasOwn(options, token.name.slice(3)))) {
    throw nodeError("ERR_PARSE_ARGS_UNKNOWN_OPTION", token.rawName, allowPositionals);
  }
  if (!known) return;
  const { short, type } = options[token.name];
  const shown = `${short ? `-${short}, ` : ""}--${token.name}`;
  if (type === "string" && typeof token.value !== "string") {
    throw nodeError("ERR_PARSE_ARGS_INVALID_OPTION_VALUE", `Option '${shown} <value>' argument missing`);
  }
  if (type === "string" && token.inlineValue === false && /^-./.test(token.value)) {
    const message = `Option '${token.rawName}' argument is ambiguous.\nDid you forget to specify the option argument for '${token.rawName}'?`;
    throw nodeError("ERR_PARSE_ARGS_INVALID_OPTION_VALUE", message);
  }
  if (type === "boolean" && token.value !== undefined) {
    throw nodeError("ERR_PARSE_ARGS_INVALID_OPTION_VALUE", `Option '${shown}' does not take an argument`);
  }
}

function parseArgs(config = {}) {
  validate.object(config, "config");
  const { args = [], options = {}, strict = true, allowNegative = false, tokens: wantsTokens = false } = config;
  const allowPositionals = config.allowPositionals ?? !strict;
  validate.array(args, "args");
  validate.object(options, "options");
  for (const [name, option] of Object.entries(options)) {
    validate.oneOf(option.type, `options.${name}.type`, ["string", "boolean"]);
    if (option.short !== undefined && `${option.short}`.length !== 1) {
      throw nodeError("ERR_INVALID_ARG_VALUE", `options.${name}.short`, option.short, "must be a single character");
    }
  }
  const values = { __proto__: null };
  const positionals = [];
  const tokens = tokenize(args, options);
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (strict && !allowPositionals) throw nodeError("ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL", token.value);
      positionals.push(token.value);
    } else if (token.kind === "option") {
      if (strict) checkOption(token, options, { allowNegative, allowPositionals });
      let { name, value = true } = token;
      if (name === "__proto__") continue;
      if (allowNegative && token.value === undefined && name.startsWith("no-") && !Object.hasOwn(options, name)) {
        name = name.slice(3);
        value = false;
      }
      if (options[name]?.multiple) (values[name] ??= []).push(value);
      else values[name] = value;
    }
  }
  for (const [name, option] of Object.entries(options)) {
    if (option.default !== undefined && values[name] === undefined) values[name] = option.default;
  }
  return wantsTokens ? { values, positionals, tokens } : { values, positionals };
}

return { parseArgs };
})
