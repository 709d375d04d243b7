"use strict";
const asDefault = (module) => (module && module.__esModule ? module : { default: module });
const made = asDefault(require("./made.mjs"));

exports.Made = class extends made.default {};
exports.connect = async () => {
  try {
    return typeof (await import("cloudflare:sockets"));
  } catch {
    return "no sockets";
  }
};
