// Event, EventTarget and the events of the platform (DOM standard, sections 2.2 to 2.9).

import { attempt, attempts, descriptor } from "../run.js";

export default {
  "an event": () => {
    const event = new Event("x", { bubbles: true, cancelable: true });
    return [event.type, event.bubbles, event.cancelable, event.composed, event.defaultPrevented, event.eventPhase, event.target, event.currentTarget, event.isTrusted, event.returnValue, event.cancelBubble];
  },
  "an event without type": () => attempts(() => new Event(), () => new Event(undefined).type, () => new Event(null).type, () => new Event(Symbol())),
  "an event's init": () => attempts(() => new Event("x", null).bubbles, () => new Event("x", 1), () => new Event("x", { bubbles: "yes" }).bubbles),
  "an event's time": () => new Event("x").timeStamp >= 0,
  "dispatch": () => {
    const target = new EventTarget();
    const seen = [];
    target.addEventListener("x", function (event) {
      seen.push(this === target, event.target === target, event.currentTarget === target, event.eventPhase, event.composedPath().length);
    });
    const event = new Event("x");
    return [target.dispatchEvent(event), seen, event.target === target, event.currentTarget, event.eventPhase];
  },
  "listeners run in their order": () => {
    const target = new EventTarget();
    const seen = [];
    for (const name of ["a", "b", "c"]) target.addEventListener("x", () => seen.push(name));
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "the same listener twice": () => {
    const target = new EventTarget();
    let count = 0;
    const listener = () => count++;
    target.addEventListener("x", listener);
    target.addEventListener("x", listener);
    target.addEventListener("x", listener, true);
    target.dispatchEvent(new Event("x"));
    return count;
  },
  "once": () => {
    const target = new EventTarget();
    let count = 0;
    target.addEventListener("x", () => count++, { once: true });
    target.dispatchEvent(new Event("x"));
    target.dispatchEvent(new Event("x"));
    return count;
  },
  "removal": () => {
    const target = new EventTarget();
    let count = 0;
    const listener = () => count++;
    target.addEventListener("x", listener);
    target.removeEventListener("x", listener);
    target.removeEventListener("x", listener);
    target.dispatchEvent(new Event("x"));
    return count;
  },
  "removal with a signal": () => {
    const target = new EventTarget();
    const controller = new AbortController();
    let count = 0;
    target.addEventListener("x", () => count++, { signal: controller.signal });
    target.dispatchEvent(new Event("x"));
    controller.abort();
    target.dispatchEvent(new Event("x"));
    return count;
  },
  "a signal that is aborted": () => {
    const target = new EventTarget();
    let count = 0;
    target.addEventListener("x", () => count++, { signal: AbortSignal.abort() });
    target.dispatchEvent(new Event("x"));
    return count;
  },
  "a signal that is none": () => attempts(() => new EventTarget().addEventListener("x", () => {}, { signal: null }), () => new EventTarget().addEventListener("x", () => {}, { signal: {} })),
  "removal while dispatching": () => {
    const target = new EventTarget();
    const seen = [];
    const second = () => seen.push("second");
    target.addEventListener("x", () => {
      seen.push("first");
      target.removeEventListener("x", second);
    });
    target.addEventListener("x", second);
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "adding while dispatching": () => {
    const target = new EventTarget();
    const seen = [];
    target.addEventListener("x", () => {
      seen.push("first");
      target.addEventListener("x", () => seen.push("late"));
    });
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "handleEvent": () => {
    const target = new EventTarget();
    const seen = [];
    const listener = { handleEvent(event) { seen.push(event.type, this === listener); } };
    target.addEventListener("x", listener);
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "handleEvent that comes later": () => {
    const target = new EventTarget();
    const listener = {};
    target.addEventListener("x", listener);
    let called = false;
    listener.handleEvent = () => { called = true; };
    target.dispatchEvent(new Event("x"));
    return called;
  },
  "listeners that are none": () => attempts(() => new EventTarget().addEventListener("x", null), () => new EventTarget().addEventListener("x", undefined), () => new EventTarget().addEventListener("x", 1), () => new EventTarget().addEventListener("x", "y"), () => new EventTarget().addEventListener("x")),
  "preventDefault": () => {
    const target = new EventTarget();
    target.addEventListener("x", (event) => event.preventDefault());
    const yes = new Event("x", { cancelable: true });
    const no = new Event("x");
    return [target.dispatchEvent(yes), yes.defaultPrevented, yes.returnValue, target.dispatchEvent(no), no.defaultPrevented];
  },
  "preventDefault in a passive listener": () => {
    const target = new EventTarget();
    target.addEventListener("x", (event) => event.preventDefault(), { passive: true });
    const event = new Event("x", { cancelable: true });
    target.dispatchEvent(event);
    return event.defaultPrevented;
  },
  "stopImmediatePropagation": () => {
    const target = new EventTarget();
    const seen = [];
    target.addEventListener("x", (event) => {
      seen.push(1);
      event.stopImmediatePropagation();
    });
    target.addEventListener("x", () => seen.push(2));
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "stopPropagation before dispatch": () => {
    const target = new EventTarget();
    let count = 0;
    target.addEventListener("x", () => count++);
    const event = new Event("x");
    event.stopPropagation();
    target.dispatchEvent(event);
    return count;
  },
  "dispatching what is dispatched": () => {
    const target = new EventTarget();
    let inner;
    target.addEventListener("x", (event) => { inner = attempt(() => target.dispatchEvent(event)); });
    target.dispatchEvent(new Event("x"));
    return inner;
  },
  "dispatching an event again": () => {
    const target = new EventTarget();
    let count = 0;
    target.addEventListener("x", () => count++);
    const event = new Event("x");
    target.dispatchEvent(event);
    target.dispatchEvent(event);
    return count;
  },
  "dispatching what is no event": () => attempts(() => new EventTarget().dispatchEvent({ type: "x" }), () => new EventTarget().dispatchEvent(null), () => new EventTarget().dispatchEvent()),
  "CustomEvent": () => {
    const event = new CustomEvent("x", { detail: { a: 1 }, cancelable: true });
    return [event.detail, event.cancelable, new CustomEvent("x").detail, event instanceof Event, Object.prototype.toString.call(event)];
  },
  "ErrorEvent": () => {
    const error = new Error();
    const event = new ErrorEvent("error", { message: "m", filename: "f", lineno: 1, colno: 2, error });
    return [event.message, event.filename, event.lineno, event.colno, event.error === error, event instanceof Event];
  },
  "ErrorEvent's defaults": () => {
    const event = new ErrorEvent("error");
    return [event.message, event.filename, event.lineno, event.colno, event.error];
  },
  "MessageEvent": () => {
    const event = new MessageEvent("message", { data: [1], origin: "o", lastEventId: "l" });
    return [event.data, event.origin, event.lastEventId, event.source, event.ports];
  },
  "MessageEvent's defaults": () => new MessageEvent("message").data,
  "PromiseRejectionEvent": () => {
    const promise = Promise.resolve();
    const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason: 1 });
    return [event.promise === promise, event.reason, attempt(() => new PromiseRejectionEvent("x")), attempt(() => new PromiseRejectionEvent("x", {}))];
  },
  "CloseEvent": () => {
    const event = new CloseEvent("close", { code: 1000, reason: "r", wasClean: true });
    return [event.code, event.reason, event.wasClean];
  },
  "constants": () => [Event.NONE, Event.CAPTURING_PHASE, Event.AT_TARGET, Event.BUBBLING_PHASE, Event.prototype.AT_TARGET],
  "a subclass of EventTarget": () => {
    class Mine extends EventTarget {
      #count = 0;
      constructor() {
        super();
        this.addEventListener("x", () => this.#count++);
      }
      get count() {
        return this.#count;
      }
    }
    const mine = new Mine();
    mine.dispatchEvent(new Event("x"));
    return mine.count;
  },
  "a subclass of Event": () => {
    class Mine extends Event {
      constructor(detail) {
        super("mine");
        this.detail = detail;
      }
    }
    const target = new EventTarget();
    let seen;
    target.addEventListener("mine", (event) => { seen = event.detail; });
    target.dispatchEvent(new Mine(7));
    return seen;
  },
  "the global is a target": () => {
    let seen = 0;
    const listener = () => seen++;
    addEventListener("x-mine", listener);
    dispatchEvent(new Event("x-mine"));
    removeEventListener("x-mine", listener);
    dispatchEvent(new Event("x-mine"));
    return [seen, globalThis instanceof EventTarget];
  },
  "isTrusted is an own property": () => Object.hasOwn(new Event("x"), "isTrusted"),
  "on something else": () => attempts(() => EventTarget.prototype.addEventListener.call({}, "x", () => {}), () => EventTarget.prototype.dispatchEvent.call({}, new Event("x")), () => Object.getOwnPropertyDescriptor(Event.prototype, "type").get.call({})),
  "without new": () => attempts(() => Event("x"), () => EventTarget(), () => CustomEvent("x")),
  "the shape": () => [
    ["type", "target", "bubbles", "preventDefault", "composedPath", "NONE", Symbol.toStringTag].map((name) => descriptor(Event.prototype, name)),
    ["addEventListener", "removeEventListener", "dispatchEvent"].map((name) => [descriptor(EventTarget.prototype, name), EventTarget.prototype[name].length]),
    [Event.length, EventTarget.length, CustomEvent.length],
  ],
  "initEvent": () => {
    const event = new Event("x");
    return attempt(() => {
      event.initEvent("y", true, true);
      return [event.type, event.bubbles];
    });
  },
};
