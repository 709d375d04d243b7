// The intrinsic method of that name as a function of its receiver.
module.exports = (name) => {
  const [constructor, , method] = name.split(".");
  return Function.prototype.call.bind(globalThis[constructor].prototype[method]);
};
