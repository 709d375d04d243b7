// A worker in the syntax of service workers. The path of a request is the name of what it does.

const text = (value) => new Response(JSON.stringify(value));
const named = (body) => {
  try {
    return body() ?? "nothing";
  } catch (error) {
    return error instanceof DOMException ? `DOMException ${error.name}` : error?.constructor?.name;
  }
};
const waited = [];

const answers = {
  "a response"(event) {
    event.respondWith(new Response("answered", { status: 201, headers: { "x-a": "1" } }));
  },
  "a promise of a response"(event) {
    event.respondWith(Promise.resolve().then(() => new Response("later")));
  },
  "the event"(event) {
    event.respondWith(text([
      event.type,
      event instanceof Event,
      event instanceof FetchEvent,
      event instanceof ExtendableEvent,
      Object.prototype.toString.call(event),
      event.request instanceof Request,
      event.request.method,
      typeof event.waitUntil,
      typeof event.passThroughOnException,
      event.cancelable,
      event.target === globalThis,
    ]));
  },
  "the listener's this"(event) {
    event.respondWith(text([this === globalThis]));
  },
  "respondWith twice"(event) {
    let resolve;
    event.respondWith(new Promise((given) => { resolve = given; }));
    resolve(text(named(() => event.respondWith(new Response("second")))));
  },
  "respondWith when the listener has returned"(event) {
    event.respondWith((async () => {
      await 0;
      return text(named(() => event.respondWith(new Response("late"))));
    })());
  },
  "respondWith of no response"(event) {
    event.respondWith({ status: 200 });
  },
  "respondWith of nothing"(event) {
    event.respondWith(text(named(() => event.respondWith())));
  },
  "the listener throws"() {
    throw new RangeError("of a listener");
  },
  "the promise rejects"(event) {
    event.respondWith(Promise.reject(new RangeError("of a promise")));
  },
  "later listeners are not called"(event) {
    event.respondWith((async () => {
      await 0;
      return text(second);
    })());
  },
  "waitUntil"(event) {
    event.waitUntil(Promise.resolve().then(() => waited.push(1)));
    event.respondWith(text([named(() => event.waitUntil(5)), named(() => event.waitUntil())]));
  },
  "bindings are on the global"(event) {
    event.respondWith(text([typeof TEXT, TEXT, globalThis.TEXT === TEXT, typeof env]));
  },
  "the request's body"(event) {
    event.respondWith(event.request.text().then((body) => new Response(body.toUpperCase())));
  },
  "constructors of events"(event) {
    event.respondWith(text([named(() => new FetchEvent("fetch")), named(() => new ExtendableEvent())].map((outcome) => typeof outcome)));
  },
};

let second = 0;
addEventListener("fetch", function (event) {
  const name = decodeURIComponent(new URL(event.request.url).pathname.slice(1));
  if (name === "names") event.respondWith(text(Object.keys(answers)));
  else if (Object.hasOwn(answers, name)) answers[name].call(this, event);
});
addEventListener("fetch", {
  handleEvent(event) {
    second++;
    if (event.request.url.endsWith("/second")) event.respondWith(new Response("by the second listener"));
  },
});
