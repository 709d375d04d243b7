// `console`, into the app's log.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_log } = core.ops;
const { ObjectCreate, ObjectDefineProperty, ReflectApply, StringPrototypeEndsWith, StringPrototypeSlice, SymbolToStringTag } =
  primordials;
const { Console, setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");

setNoColorFns(() => true, () => true);

// The levels of op_atoll_log.
const DEBUG = 0;
const LOG = 1;
const INFO = 2;
const WARN = 3;
const ERROR = 4;

// The level of the console method under way when it is not the one the formatter says.
let override = -1;

function print(message, level) {
  if (StringPrototypeEndsWith(message, "\n")) message = StringPrototypeSlice(message, 0, -1);
  // A trace prints its line break apart.
  if (level === 4 && message === "") return;
  const ours = override !== -1 ? override : level === 0 || level === 4 ? DEBUG : level === 2 ? WARN : level === 3 ? ERROR : LOG;
  op_atoll_log(ours, currentSlot(), message);
}

function create() {
  const formatter = new Console(print);
  const console = ObjectCreate(ObjectCreate(primordials.ObjectPrototype), {
    [SymbolToStringTag]: { __proto__: null, value: "console", configurable: true },
  });
  const define = (name, value) => {
    ObjectDefineProperty(console, name, {
      __proto__: null,
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  };
  const names = [
    "log", "debug", "dir", "dirxml", "warn", "error", "assert", "count", "countReset", "table", "time", "timeLog",
    "timeEnd", "group", "groupCollapsed", "groupEnd", "clear", "trace", "profile", "profileEnd", "timeStamp",
  ];
  for (let i = 0; i < names.length; i++) define(names[i], formatter[names[i]]);
  const { info } = {
    info(...args) {
      override = INFO;
      try {
        ReflectApply(formatter.info, undefined, args);
      } finally {
        override = -1;
      }
    },
  };
  define("info", info);
  return console;
}

return { create };
})();
