// node:diagnostics_channel.

(function (require) {
"use strict";

const { nodeError, validate } = require("internal/errors");

const channels = new Map();
const TRACED = ["start", "end", "asyncStart", "asyncEnd", "error"];

// What a subscriber throws is nobody else's business.
function report(error) {
  queueMicrotask(() => {
    throw error;
  });
}

class Channel {
  _subscribers = [];
  _stores = new Map();

  constructor(name) {
    this.name = name;
  }

  get hasSubscribers() {
    return this._subscribers.length > 0 || this._stores.size > 0;
  }

  bindStore(store, transform = undefined) {
    this._stores.set(store, transform);
  }

  publish(data) {
    for (const subscriber of this._subscribers.slice()) {
      try {
        subscriber(data, this.name);
      } catch (error) {
        report(error);
      }
    }
  }

  runStores(data, fn, thisArg, ...args) {
    let run = () => {
      this.publish(data);
      return Reflect.apply(fn, thisArg, args);
    };
    for (const [store, transform] of this._stores) {
      const inner = run;
      run = () => {
        let context = data;
        if (transform) {
          try {
            context = transform(data);
          } catch (error) {
            report(error);
            return inner();
          }
        }
        return store.run(context, inner);
      };
    }
    return run();
  }

  subscribe(subscription) {
    validate.func(subscription, "subscription");
    this._subscribers.push(subscription);
  }

  unbindStore(store) {
    return this._stores.delete(store);
  }

  unsubscribe(subscription) {
    const at = this._subscribers.indexOf(subscription);
    if (at === -1) return false;
    this._subscribers.splice(at, 1);
    return true;
  }
}

function channel(name) {
  if (typeof name !== "string" && typeof name !== "symbol") {
    throw nodeError("ERR_INVALID_ARG_TYPE", "channel", ["string", "symbol"], name);
  }
  let found = channels.get(name);
  if (found === undefined) {
    found = new Channel(name);
    channels.set(name, found);
  }
  return found;
}

class TracingChannel {
  constructor(nameOrChannels) {
    for (const event of TRACED) {
      this[event] = typeof nameOrChannels === "string" ? channel(`tracing:${nameOrChannels}:${event}`) : nameOrChannels[event];
      if (!(this[event] instanceof Channel)) {
        throw nodeError("ERR_INVALID_ARG_TYPE", `nameOrChannels.${event}`, ["Channel"], this[event]);
      }
    }
  }

  get hasSubscribers() {
    return TRACED.some((event) => this[event].hasSubscribers);
  }

  subscribe(handlers) {
    for (const event of TRACED) if (handlers[event]) this[event].subscribe(handlers[event]);
  }

  unsubscribe(handlers) {
    return TRACED.filter((event) => handlers[event]).map((event) => this[event].unsubscribe(handlers[event])).every(Boolean);
  }

  traceSync(fn, context = {}, thisArg = undefined, ...args) {
    return this.start.runStores(context, () => {
      try {
        context.result = Reflect.apply(fn, thisArg, args);
        return context.result;
      } catch (error) {
        context.error = error;
        this.error.publish(context);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }

  tracePromise(fn, context = {}, thisArg = undefined, ...args) {
    const settle = (name, value) => {
      context[name] = value;
      if (name === "error") this.error.publish(context);
      this.asyncStart.publish(context);
      this.asyncEnd.publish(context);
    };
    return this.start.runStores(context, () => {
      try {
        return Promise.resolve(Reflect.apply(fn, thisArg, args)).then(
          (result) => {
            settle("result", result);
            return result;
          },
          (error) => {
            settle("error", error);
            throw error;
          },
        );
      } catch (error) {
        context.error = error;
        this.error.publish(context);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }

  traceCallback(fn, position = -1, context = {}, thisArg = undefined, ...args) {
    const { asyncEnd, asyncStart, error: failed, end, start } = this;
    const callback = args.at(position);
    validate.func(callback, "callback");
    args.splice(position < 0 ? args.length + position : position, 1, function (error, result) {
      if (error) {
        context.error = error;
        failed.publish(context);
      } else {
        context.result = result;
      }
      return asyncStart.runStores(context, () => {
        try {
          return Reflect.apply(callback, this, arguments);
        } finally {
          asyncEnd.publish(context);
        }
      });
    });
    return start.runStores(context, () => {
      try {
        return Reflect.apply(fn, thisArg, args);
      } catch (error) {
        context.error = error;
        failed.publish(context);
        throw error;
      } finally {
        end.publish(context);
      }
    });
  }
}

return {
  Channel,
  TracingChannel,
  channel,
  hasSubscribers: (name) => channels.get(name)?.hasSubscribers ?? false,
  subscribe: (name, subscription) => channel(name).subscribe(subscription),
  tracingChannel: (nameOrChannels) => new TracingChannel(nameOrChannels),
  unsubscribe: (name, subscription) => channels.get(name)?.unsubscribe(subscription) ?? false,
};
})
