// AbortController and AbortSignal (DOM standard, section 3).

import { attempt, attempts, descriptor, pause } from "../run.js";

export default {
  "a controller": () => {
    const controller = new AbortController();
    return [controller.signal instanceof AbortSignal, controller.signal === controller.signal, controller.signal.aborted, controller.signal.reason, controller.signal instanceof EventTarget];
  },
  "abort": () => {
    const { signal, ...rest } = new AbortController();
    const controller = new AbortController();
    controller.abort();
    return [controller.signal.aborted, controller.signal.reason, controller.signal.reason.message.length > 0, Object.keys(rest)];
  },
  "abort with a reason": () => [1, "x", null, undefined, new RangeError()].map((reason) => {
    const controller = new AbortController();
    controller.abort(reason);
    return controller.signal.reason;
  }),
  "abort twice": () => {
    const controller = new AbortController();
    let count = 0;
    controller.signal.addEventListener("abort", () => count++);
    controller.abort(1);
    controller.abort(2);
    return [count, controller.signal.reason];
  },
  "the event": () => {
    const controller = new AbortController();
    let seen;
    controller.signal.onabort = (event) => { seen = [event.type, event.target === controller.signal, event.isTrusted, event.bubbles, event.cancelable]; };
    controller.abort();
    return seen;
  },
  "onabort": () => {
    const { signal } = new AbortController();
    const before = signal.onabort;
    const handler = () => {};
    signal.onabort = handler;
    const during = signal.onabort === handler;
    signal.onabort = 5;
    return [before, during, signal.onabort];
  },
  "the event comes at once": () => {
    const controller = new AbortController();
    const seen = [];
    controller.signal.addEventListener("abort", () => seen.push("event"));
    controller.abort();
    seen.push("after");
    return seen;
  },
  "throwIfAborted": () => {
    const controller = new AbortController();
    const before = attempt(() => controller.signal.throwIfAborted());
    controller.abort("why");
    return [before, attempt(() => controller.signal.throwIfAborted())];
  },
  "AbortSignal.abort": () => [AbortSignal.abort().aborted, AbortSignal.abort().reason, AbortSignal.abort("r").reason],
  "AbortSignal.timeout": async () => {
    const signal = AbortSignal.timeout(5);
    const before = signal.aborted;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return [before, signal.aborted, signal.reason];
  },
  "AbortSignal.timeout of something else": () => attempts(() => AbortSignal.timeout(), () => AbortSignal.timeout(-1), () => AbortSignal.timeout("5").aborted, () => AbortSignal.timeout(NaN), () => AbortSignal.timeout(Infinity), () => AbortSignal.timeout(2 ** 53)),
  "AbortSignal.any": () => {
    const [a, b] = [new AbortController(), new AbortController()];
    const signal = AbortSignal.any([a.signal, b.signal]);
    const before = signal.aborted;
    b.abort("b");
    a.abort("a");
    return [before, signal.aborted, signal.reason];
  },
  "AbortSignal.any of aborted ones": () => {
    const signal = AbortSignal.any([new AbortController().signal, AbortSignal.abort("x"), AbortSignal.abort("y")]);
    return [signal.aborted, signal.reason];
  },
  "AbortSignal.any of nothing": () => AbortSignal.any([]).aborted,
  "AbortSignal.any of something else": () => attempts(() => AbortSignal.any(), () => AbortSignal.any([1]), () => AbortSignal.any({}), () => AbortSignal.any(new Set([AbortSignal.abort()])).aborted),
  "AbortSignal.any of itself composed": () => {
    const controller = new AbortController();
    const signal = AbortSignal.any([AbortSignal.any([controller.signal]), controller.signal]);
    let count = 0;
    signal.addEventListener("abort", () => count++);
    controller.abort("r");
    return [signal.reason, count];
  },
  "a dependent signal is aborted before events run": () => {
    const controller = new AbortController();
    const dependent = AbortSignal.any([controller.signal]);
    let seen;
    controller.signal.addEventListener("abort", () => { seen = dependent.aborted; });
    controller.abort();
    return seen;
  },
  "the order of events with a dependent signal": () => {
    const controller = new AbortController();
    const dependent = AbortSignal.any([controller.signal]);
    const seen = [];
    dependent.addEventListener("abort", () => seen.push("dependent"));
    controller.signal.addEventListener("abort", () => seen.push("source"));
    controller.abort();
    return seen;
  },
  "a listener that throws does not stop the others": async () => {
    const controller = new AbortController();
    const seen = [];
    const quiet = (event) => event.preventDefault();
    addEventListener("error", quiet);
    controller.signal.addEventListener("abort", () => { throw new Error("expected by a test"); });
    controller.signal.addEventListener("abort", () => seen.push(1));
    attempt(() => controller.abort());
    await pause(1);
    removeEventListener("error", quiet);
    return seen;
  },
  "the constructor": () => attempts(() => new AbortSignal(), () => AbortController(), () => AbortSignal()),
  "on something else": () => attempts(() => AbortController.prototype.abort.call({}), () => Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted").get.call({})),
  "the shape": () => [
    ["signal", "abort", Symbol.toStringTag].map((name) => descriptor(AbortController.prototype, name)),
    ["aborted", "reason", "onabort", "throwIfAborted", Symbol.toStringTag].map((name) => descriptor(AbortSignal.prototype, name)),
    ["abort", "any", "timeout"].map((name) => [descriptor(AbortSignal, name), AbortSignal[name].length]),
  ],
  "a subclass": () => {
    class Mine extends AbortController {}
    const mine = new Mine();
    mine.abort();
    return mine.signal.aborted;
  },
};
