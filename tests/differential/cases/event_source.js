// EventSource (HTML standard, section 9.2).

import { attempt, attempts, descriptor, pause } from "../run.js";

// The events of a stream until `count` have come or an error.
const hear = (source, types, count) => new Promise((resolve) => {
  const heard = [];
  const note = (entry) => {
    heard.push(entry);
    if (heard.length < count && entry[1] !== "z") return;
    source.close();
    resolve(heard);
  };
  for (const type of types) source.addEventListener(type, (event) => note([event.type, event.data, event.lastEventId]));
  source.onerror = () => note("error");
});

const events = (origin, path, types, count) => hear(new EventSource(`${origin}/events/${path}`), types, count);

export default {
  "the class": () => [typeof EventSource, EventSource.length, ["url", "readyState", "withCredentials", "onopen", "onmessage", "onerror", "close"].map((name) => descriptor(EventSource.prototype, name))],
  "constants": () => [EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED, EventSource.prototype.CLOSED],
  "constructing": () => attempts(() => EventSource("http://x.example/"), () => new EventSource(), () => new EventSource("not a URL")),
  "a new one": ({ origin }) => {
    const source = new EventSource(`${origin}/events/plain`);
    const seen = [source.readyState, source.url === `${origin}/events/plain`, source.withCredentials, source instanceof EventTarget, Object.prototype.toString.call(source)];
    source.close();
    return [...seen, source.readyState];
  },
  "messages": ({ origin }) => events(origin, "plain", ["message"], 2),
  "open": async ({ origin }) => {
    const source = new EventSource(`${origin}/events/plain`);
    const event = await new Promise((resolve) => { source.onopen = resolve; });
    const state = source.readyState;
    source.close();
    return [event.type, state, source.readyState];
  },
  "fields": ({ origin }) => events(origin, "fields", ["message", "named"], 4),
  "line ends": ({ origin }) => events(origin, "lines", ["message"], 3),
  "a message is a MessageEvent": async ({ origin }) => {
    const source = new EventSource(`${origin}/events/plain`);
    const event = await new Promise((resolve) => { source.onmessage = resolve; });
    source.close();
    return [event instanceof MessageEvent, event.origin === origin, event.target === source, event.ports];
  },
  "another type": async ({ origin }) => {
    const source = new EventSource(`${origin}/json`);
    await new Promise((resolve) => { source.onerror = resolve; });
    return source.readyState;
  },
  "another status": async ({ origin }) => {
    const source = new EventSource(`${origin}/status/404`);
    await new Promise((resolve) => { source.onerror = resolve; });
    return source.readyState;
  },
  "a connection that ends is made again": async ({ origin }) => {
    const source = new EventSource(`${origin}/events/again`);
    const seen = [];
    await new Promise((resolve) => {
      source.onmessage = ({ data }) => {
        seen.push(data);
        if (seen.length === 2) resolve();
      };
      source.onerror = () => seen.length < 2 || resolve();
    });
    source.close();
    return seen;
  },
  "close ends it": async ({ origin }) => {
    const source = new EventSource(`${origin}/events/plain`);
    let heard = 0;
    source.onmessage = () => heard++;
    source.close();
    await pause(50);
    return [heard, source.readyState, attempt(() => source.close())];
  },
  "handlers that are no functions": () => {
    const source = new EventSource("http://x.invalid/");
    source.onmessage = 5;
    const seen = [source.onmessage];
    const handler = () => {};
    source.onmessage = handler;
    seen.push(source.onmessage === handler);
    source.close();
    return seen;
  },
};
