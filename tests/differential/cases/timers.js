// Timers and microtasks (HTML standard, section 8.6).

import { attempt, attempts, descriptor, pause } from "../run.js";

const after = (arm) => new Promise((resolve) => {
  const seen = [];
  arm((what) => seen.push(what));
  setTimeout(() => resolve(seen), 30);
});

export default {
  "equal delays keep their order": () => after((log) => {
    for (const name of ["a", "b", "c"]) setTimeout(() => log(name), 1);
  }),
  "shorter delays come first": () => after((log) => {
    setTimeout(() => log("long"), 15);
    setTimeout(() => log("short"), 2);
  }),
  "zero and one": () => after((log) => {
    setTimeout(() => log("zero"), 0);
    setTimeout(() => log("none"));
    setTimeout(() => log("again"), 0);
  }),
  "microtasks come before timers": () => after((log) => {
    setTimeout(() => log("timer"), 0);
    queueMicrotask(() => log("microtask"));
    Promise.resolve().then(() => log("promise"));
    log("now");
  }),
  "microtasks run between timers": () => after((log) => {
    setTimeout(() => {
      log("first");
      queueMicrotask(() => log("microtask"));
    }, 1);
    setTimeout(() => log("second"), 1);
  }),
  "microtasks keep their order": async () => {
    const seen = [];
    queueMicrotask(() => {
      seen.push(1);
      queueMicrotask(() => seen.push(3));
    });
    queueMicrotask(() => seen.push(2));
    await pause(1);
    return seen;
  },
  "arguments": () => after((log) => {
    setTimeout((...list) => log(list), 1, "a", 2, null);
  }),
  "an interval": async () => {
    let count = 0;
    await new Promise((resolve) => {
      const id = setInterval(() => {
        if (++count === 3) {
          clearInterval(id);
          resolve();
        }
      }, 1);
    });
    await pause(10);
    return count;
  },
  "cleared timers do not run": () => after((log) => {
    clearTimeout(setTimeout(() => log("never"), 1));
    clearInterval(setTimeout(() => log("never"), 1));
    clearTimeout(setInterval(() => log("never"), 1));
  }),
  "clearing in another timer": () => after((log) => {
    let second;
    setTimeout(() => clearTimeout(second), 1);
    second = setTimeout(() => log("never"), 1);
  }),
  "clearing what is none": () => attempts(() => clearTimeout(), () => clearTimeout(-1), () => clearTimeout("x"), () => clearTimeout(null), () => clearTimeout({}), () => clearInterval(1e9)),
  "an id": () => {
    const id = setTimeout(() => {}, 0);
    return [typeof id, id > 0, Number.isInteger(id)];
  },
  "ids differ": () => setTimeout(() => {}, 0) !== setTimeout(() => {}, 0),
  "an id as a string": () => after((log) => {
    clearTimeout(String(setTimeout(() => log("never"), 1)));
  }),
  "strange delays": () => after((log) => {
    for (const delay of [-5, NaN, null, undefined, "1", "x", {}, [2]]) setTimeout(() => log(String(delay)), delay);
  }),
  "delays beyond 32 bits wrap": () => after((log) => {
    setTimeout(() => log("2 ** 32"), 2 ** 32);
    setTimeout(() => log("2 ** 31"), 2 ** 31);
  }),
  "a handler that is no function": () => attempts(() => setTimeout(null, 0) > 0, () => setTimeout(undefined) > 0, () => setTimeout({}) > 0, () => setTimeout()),
  "code as a string": () => attempt(() => typeof setTimeout("globalThis.evaluated = 1", 0)),
  "this in a timer": () => after((log) => {
    setTimeout(function () { log(this === globalThis || this === undefined); }, 1);
  }),
  "a handler that throws does not stop the next": async () => {
    const quiet = (event) => event.preventDefault();
    addEventListener("error", quiet);
    const seen = await after((log) => {
      setTimeout(() => { throw new Error("expected by a test"); }, 1);
      setTimeout(() => log("next"), 2);
    });
    removeEventListener("error", quiet);
    return seen;
  },
  "queueMicrotask of something else": () => attempts(() => queueMicrotask(), () => queueMicrotask(null), () => queueMicrotask("x"), () => queueMicrotask({})),
  "queueMicrotask gives nothing": () => queueMicrotask(() => {}),
  "nested timers go on": async () => {
    let depth = 0;
    await new Promise((resolve) => {
      const next = () => ++depth === 10 ? resolve() : setTimeout(next, 0);
      next();
    });
    return depth;
  },
  "time passes": async () => {
    const start = performance.now();
    const date = Date.now();
    await pause(20);
    return [performance.now() - start >= 15, Date.now() - date >= 15];
  },
  "an object of Node's": () => {
    const timer = setTimeout(() => {}, 1e6);
    const seen = [timer.hasRef(), timer.unref() === timer, timer.hasRef(), timer.ref() === timer, timer.hasRef(), timer.refresh() === timer, timer.close() === timer];
    return [seen, typeof timer[Symbol.toPrimitive](), Object.prototype.toString.call(timer), timer.constructor.name];
  },
  "an object that is refreshed": () => after((log) => {
    let count = 0;
    const timer = setTimeout(() => {
      log(++count);
      if (count < 3) timer.refresh();
    }, 1);
    const closed = setTimeout(() => log("closed"), 1);
    closed.close();
    const disposed = setInterval(() => log("disposed"), 1);
    disposed[Symbol.dispose]();
  }),
  "an object as a number": () => after((log) => {
    clearTimeout(+setTimeout(() => log("never"), 1));
    clearInterval(+setInterval(() => log("never"), 1));
  }),
  "an immediate": () => after((log) => {
    const object = setImmediate((...list) => log(list), "a", 2);
    const never = setImmediate(() => log("never"));
    clearImmediate(never);
    log([object.constructor.name, object.hasRef(), typeof object.unref, typeof object.ref, typeof object[Symbol.dispose]]);
  }),
  "the shape": () => ["setTimeout", "setInterval", "clearTimeout", "clearInterval", "queueMicrotask"].map((name) => [descriptor(globalThis, name), globalThis[name].length, globalThis[name].name]),
};
