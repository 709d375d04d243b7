// What requests and responses carry of the platform's own: any object that JSON can hold.

(function () {
const { primordials } = __bootstrap;
const { JSONParse, JSONStringify, TypeError } = primordials;

// The member `cf` of a dictionary: a copy, so that nobody changes it later.
function copyCf(value, prefix) {
  if (value === undefined) return undefined;
  if (value === null || typeof value !== "object" && typeof value !== "function") {
    throw new TypeError(`${prefix}: cf must be an object, not ${value === null ? "null" : `a ${typeof value}`}`);
  }
  const text = JSONStringify(value);
  if (text === undefined) throw new TypeError(`${prefix}: cf cannot be written as JSON`);
  return JSONParse(text);
}

return { copyCf };
})();
