// performance (High Resolution Time, User Timing).

import { attempt, attempts, descriptor, pause } from "../run.js";

export default {
  "now": async () => {
    const before = performance.now();
    await pause(5);
    const after = performance.now();
    return [typeof before, before >= 0, after > before];
  },
  "timeOrigin": () => [typeof performance.timeOrigin, performance.timeOrigin >= 0, performance.timeOrigin + performance.now() <= Date.now() + 1000],
  "toJSON": () => typeof performance.toJSON().timeOrigin,
  "it is an EventTarget": () => [performance instanceof EventTarget, performance instanceof Performance],
  "mark": () => {
    const mark = performance.mark("a-mark", { startTime: 5, detail: { a: 1 } });
    const found = performance.getEntriesByName("a-mark").map((entry) => [entry.name, entry.entryType, entry.startTime, entry.duration, entry.detail]);
    performance.clearMarks("a-mark");
    return [mark instanceof PerformanceMark, found, performance.getEntriesByName("a-mark").length];
  },
  "measure": () => {
    performance.mark("begin", { startTime: 5 });
    performance.mark("end", { startTime: 8 });
    const { name, startTime, duration, entryType } = performance.measure("between", "begin", "end");
    performance.clearMarks();
    performance.clearMeasures();
    return [name, startTime, duration, entryType, performance.getEntries().length];
  },
  "measure without its mark": () => attempt(() => performance.measure("x", "no such mark")),
  "constructors": () => attempts(() => new Performance(), () => performance.mark()),
  "the shape": () => ["now", "timeOrigin", "mark", "measure", "toJSON", Symbol.toStringTag].map((name) => descriptor(Performance.prototype, name)),
};
