// What crosses between two workers and is no value: functions, objects of classes that extend `RpcTarget`, bindings of other
// workers, streams, and with them requests, responses and headers. They stay where they are; the other worker gets a stub, whose calls come back as
// messages on a socket between the two, the session.
//
// A message is a serialised array that begins with its kind. A value within it is a pair: its serialisation, in which a number
// stands for each thing that stays, and a list that says what these are.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_socket_close,
  op_atoll_socket_done,
  op_atoll_socket_give,
  op_atoll_socket_keep,
  op_atoll_socket_next,
  op_atoll_socket_pair,
  op_atoll_socket_quiet,
  op_atoll_socket_send_bytes,
  op_atoll_socket_take,
} = core.ops;
const {
  ArrayBufferIsView,
  ArrayPrototypePush,
  Error,
  MapPrototypeDelete,
  MapPrototypeForEach,
  MapPrototypeGet,
  MapPrototypeGetSize,
  MapPrototypeSet,
  ObjectGetPrototypeOf,
  ObjectHasOwn,
  ObjectPrototypeIsPrototypeOf,
  Promise,
  PromisePrototypeThen,
  PromiseReject,
  ReflectApply,
  SafeMap,
  SymbolDispose,
  TypeError,
  Uint8Array,
} = primordials;
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const requests = core.loadExtScript("ext:atoll_web/request.js");
const responses = core.loadExtScript("ext:atoll_web/response.js");
const { Headers, listOf } = core.loadExtScript("ext:atoll_web/headers.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { describe } = core.loadExtScript("ext:atoll_web/errors.js");
const { RpcTarget } = core.loadExtScript("ext:atoll_web/rpc_target.js");
const { createServiceFetcher, isCallable, isFetcher, isOwn } = core.loadExtScript("ext:atoll_web/fetcher.js");
const { remote, serialiseThrown, thrown } = core.loadExtScript("ext:atoll_web/rpc_errors.js");
const { disposable, stateOf, stub } = core.loadExtScript("ext:atoll_web/rpc_stubs.js");
const { decode, encode } = core.loadExtScript("ext:atoll_web/rpc_values.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");
const websockets = () => core.loadExtScript("ext:atoll_web/websocket.js");

const CALL = 0;
const RETURN = 1;
const THROW = 2;
const RELEASE = 3;

const FULL = 2;
const TOO_LONG = 3;

const STORAGE = { __proto__: null, forStorage: true };

const disposed = () => new Error("The stub has been disposed of");

// What stubs refer to. When none does any more, `end` is called.
class Referred {
  #references = 1;
  #end;

  constructor(end) {
    this.#end = end;
  }

  get isOver() {
    return this.#references === 0;
  }

  keep() {
    if (this.isOver) throw disposed();
    this.#references += 1;
    return this;
  }

  release() {
    if (this.isOver) return;
    this.#references -= 1;
    if (this.isOver) this.#end();
  }
}

// Something of the other worker's.
class Import extends Referred {
  #session;
  #id;

  constructor(session, id) {
    super(() => session.released(id));
    this.#session = session;
    this.#id = id;
  }

  // With `args` null a property is read.
  call(path, args) {
    return this.isOver ? PromiseReject(disposed()) : this.#session.call(this.#id, path, args);
  }
}

class Session {
  #handle;
  // Whether this side ends the session once nothing refers to the other.
  #closes;
  #over = null;
  #exports = new SafeMap();
  #nextExport = 1;
  #imports = 0;
  #calls = new SafeMap();
  #nextCall = 1;

  constructor(handle, closes) {
    this.#handle = handle;
    this.#closes = closes;
    // Messages give their request no more CPU time.
    op_atoll_socket_quiet(handle);
  }

  // Begins to take messages. Their work belongs to the request that the code works for now.
  start() {
    op_atoll_socket_keep(this.#handle);
    PromisePrototypeThen(this.#run(), undefined, (error) => this.#end(describe(error)));
    this.#settle();
  }

  // The first message, a value and nothing else.
  async first() {
    op_atoll_socket_keep(this.#handle);
    const message = await op_atoll_socket_next(this.#handle);
    if (!core.isAnyArrayBuffer(message)) throw new Error("The other worker has ended");
    return core.deserialize(new Uint8Array(message), STORAGE);
  }

  // The session is needed no more.
  close() {
    this.#end("the call has failed");
  }

  // As `close`, before the other end was handed on.
  abandon(other) {
    op_atoll_socket_done(other);
    this.close();
  }

  async #run() {
    for (;;) {
      const message = await op_atoll_socket_next(this.#handle);
      if (!core.isAnyArrayBuffer(message)) {
        this.#end("the request that it belongs to has ended");
        return;
      }
      this.#take(core.deserialize(new Uint8Array(message), STORAGE));
    }
  }

  #end(problem) {
    if (this.#over !== null) return;
    this.#over = problem;
    op_atoll_socket_close(this.#handle, 1000, "", false);
    op_atoll_socket_done(this.#handle);
    const { 0: calls, 1: held } = [this.#calls, this.#exports];
    this.#calls = new SafeMap();
    this.#exports = new SafeMap();
    MapPrototypeForEach(calls, ({ reject }) => reject(new Error(`The call has no answer: ${problem}`)));
    MapPrototypeForEach(held, (value) => dispose(value));
  }

  #settle() {
    if (this.#closes && this.#imports === 0 && MapPrototypeGetSize(this.#exports) === 0 &&
      MapPrototypeGetSize(this.#calls) === 0) {
      this.#end("all its stubs have been disposed of");
    }
  }

  send(message) {
    if (this.#over !== null) throw new Error(`The stub leads nowhere: ${this.#over}`);
    const code = op_atoll_socket_send_bytes(this.#handle, core.serialize(message, STORAGE));
    if (code === 0) return;
    if (code === TOO_LONG) throw new DOMException("A value is too long to cross to another worker", "DataCloneError");
    throw new Error(code === FULL ? "Too much waits to be taken by the other worker" : "The other worker has ended");
  }

  // A value that crosses, as a pair.
  pack(value) {
    const things = [];
    const bytes = encode(value, (thing) => this.#export(thing, things));
    return [bytes, things];
  }

  // Notes something that stays. Returns its place in the list, -1 for what has to be cloned.
  #export(thing, things) {
    const described = this.#describe(thing);
    return described === null ? -1 : ArrayPrototypePush(things, described) - 1;
  }

  #hold(value) {
    const id = this.#nextExport++;
    MapPrototypeSet(this.#exports, id, value);
    return id;
  }

  #describe(thing) {
    const state = stateOf(thing);
    if (state !== undefined) return ["stub", this.#hold(stub(state.keep()))];
    if (isFetcher(thing)) return ["service", this.#hold(thing)];
    if (isCallable(thing)) {
      throw new DOMException("What ctx.exports has crosses to another worker only once it was called", "DataCloneError");
    }
    if (typeof thing === "function" || ObjectPrototypeIsPrototypeOf(RpcTarget.prototype, thing)) {
      return ["stub", this.#hold(thing)];
    }
    if (streams.isReadableStream(thing)) {
      return ["readable", this.#hold(new Source(streams.acquireReadableStreamDefaultReader(thing)))];
    }
    if (ObjectPrototypeIsPrototypeOf(streams.WritableStream.prototype, thing)) {
      return ["writable", this.#hold(new Sink(thing.getWriter()))];
    }
    if (ObjectPrototypeIsPrototypeOf(Headers.prototype, thing)) return ["headers", pairs(thing)];
    if (requests.isRequest(thing)) {
      const { method, redirect, url } = requests.partsOf(thing);
      const { body } = thing;
      return ["request", url, method, pairs(thing.headers), redirect, body === null ? null : this.#describe(body), thing.cf];
    }
    if (responses.isResponse(thing)) {
      const { isEncoded, status, webSocket } = responses.partsOf(thing);
      if (webSocket !== null) return ["socket", this.#give(webSocket), thing.statusText, listOf(thing.headers)];
      if (status === 0) throw new DOMException("A response of an error cannot cross to another worker", "DataCloneError");
      const { body, statusText } = thing;
      const encoding = isEncoded ? "manual" : "automatic";
      return ["response", status, statusText, pairs(thing.headers), encoding, body === null ? null : this.#describe(body), thing.cf];
    }
    return null;
  }

  // Hands a WebSocket over that a request has led to. From then on nothing of it passes this worker.
  #give(webSocket) {
    let number = 0;
    websockets().handOver(webSocket, (handle) => {
      number = op_atoll_socket_give(this.#handle, handle);
      return number !== 0;
    });
    if (number !== 0) return number;
    throw new DOMException(
      "Only a WebSocket that a fetch has led to, and that was not accepted, crosses to another worker",
      "DataCloneError",
    );
  }

  // The value of a pair. The stubs in it are added to `received`.
  unpack({ 0: bytes, 1: things }, received = []) {
    const made = [];
    for (let i = 0; i < things.length; i++) ArrayPrototypePush(made, this.#make(things[i], received));
    return decode(bytes, made);
  }

  #import(id) {
    this.#imports += 1;
    return new Import(this, id);
  }

  #make(thing, received) {
    switch (thing[0]) {
      case "stub": {
        const made = stub(this.#import(thing[1]));
        ArrayPrototypePush(received, made);
        return made;
      }
      case "service": {
        // It is there until its request ends: Workers have no way to give one back.
        const imported = this.#import(thing[1]);
        const call = (path, args) => imported.call(path, args);
        const send = async (request) => (await imported.call(["fetch"], [request])).value;
        return createServiceFetcher(send, call);
      }
      case "socket": {
        const handle = op_atoll_socket_take(this.#handle, thing[1], currentSlot());
        if (handle === 0) throw new Error("Too many stubs and WebSockets are open");
        return responses.createResponse(101, thing[3], null, "", false, handle, thing[2]);
      }
      case "readable":
        return readable(this.#import(thing[1]));
      case "writable":
        return writable(this.#import(thing[1]));
      case "headers":
        return new Headers(thing[1]);
      case "request": {
        const { 1: url, 2: method, 3: headers, 4: redirect, 5: body, 6: cf } = thing;
        const init = { __proto__: null, cf, method, headers, redirect };
        if (body !== null) {
          init.body = this.#make(body, received);
          init.duplex = "half";
        }
        return new requests.Request(url, init);
      }
      default: {
        const { 1: status, 2: statusText, 3: headers, 4: encodeBody, 5: body, 6: cf } = thing;
        const stream = body === null ? null : this.#make(body, received);
        return new responses.Response(stream, { __proto__: null, cf, status, statusText, headers, encodeBody });
      }
    }
  }

  // Calls what the other side has under a number.
  call(id, path, args) {
    try {
      const call = this.#nextCall++;
      this.send([CALL, call, id, path, args === null ? null : this.pack(args)]);
      return new Promise((resolve, reject) => MapPrototypeSet(this.#calls, call, { __proto__: null, resolve, reject }));
    } catch (error) {
      return PromiseReject(error);
    }
  }

  // Nothing here refers any more to what the other side has under a number.
  released(id) {
    this.#imports -= 1;
    if (this.#over !== null) return;
    try {
      this.send([RELEASE, id]);
    } catch {
      // The other side is going, and forgets it anyway.
    }
    this.#settle();
  }

  #take(message) {
    switch (message[0]) {
      case CALL:
        this.#answer(message);
        return;
      case RELEASE: {
        const value = MapPrototypeGet(this.#exports, message[1]);
        MapPrototypeDelete(this.#exports, message[1]);
        dispose(value);
        this.#settle();
        return;
      }
      default: {
        const call = MapPrototypeGet(this.#calls, message[1]);
        MapPrototypeDelete(this.#calls, message[1]);
        if (call === undefined) return;
        if (message[0] === THROW) {
          call.reject(message[3] === null ? remote(new Error(message[2])) : thrown(message[3]));
        } else {
          try {
            call.resolve({ __proto__: null, value: disposable(this.unpack(message[2])) });
          } catch (error) {
            call.reject(error);
          }
        }
        this.#settle();
      }
    }
  }

  async #answer({ 1: call, 2: id, 3: path, 4: packed }) {
    const received = [];
    try {
      const value = MapPrototypeGet(this.#exports, id);
      if (value === undefined) throw disposed();
      const args = packed === null ? null : this.unpack(packed, received);
      const result = await follow(value, path, args);
      this.send([RETURN, call, this.pack(result)]);
    } catch (error) {
      if (this.#over === null) {
        try {
          this.send([THROW, call, describe(error), serialiseThrown(error)]);
        } catch (problem) {
          this.#end(describe(problem));
        }
      }
    } finally {
      // Who wants to keep a stub that it was given makes a duplicate.
      releaseAll(received);
    }
  }
}

function pairs(headers) {
  // Names and values by turns.
  const list = listOf(headers);
  const result = [];
  for (let i = 0; i < list.length; i += 2) ArrayPrototypePush(result, [list[i], list[i + 1]]);
  return result;
}

function releaseAll(received) {
  for (let i = 0; i < received.length; i++) stateOf(received[i])?.release();
}

// The other worker needs something no more.
function dispose(value) {
  try {
    const state = stateOf(value);
    if (state !== undefined) return state.release();
    const method = value?.[SymbolDispose];
    if (typeof method === "function") ReflectApply(method, value, []);
  } catch {
    // What disposing throws is nobody's business.
  }
}

function absent(name) {
  return new TypeError(`The RPC receiver does not implement the method or property "${name}"`);
}

// What another worker finds under a name: of a target what its classes define, of a plain object what is its own, of a binding
// what the worker behind it has.
function member(holder, name) {
  if (stateOf(holder) !== undefined) return holder[name];
  if (isFetcher(holder)) {
    if (name === "fetch") return holder.fetch;
    const value = isOwn(name) ? undefined : holder[name];
    if (value === undefined) throw absent(name);
    return value;
  }
  if (typeof holder !== "object" || holder === null) throw absent(name);
  if (ObjectPrototypeIsPrototypeOf(RpcTarget.prototype, holder)) {
    let of = ObjectHasOwn(holder, name) || name === "constructor" ? RpcTarget.prototype : ObjectGetPrototypeOf(holder);
    while (of !== null && of !== RpcTarget.prototype) {
      if (ObjectHasOwn(of, name)) return holder[name];
      of = ObjectGetPrototypeOf(of);
    }
    throw absent(name);
  }
  if (!ObjectHasOwn(holder, name)) throw absent(name);
  return holder[name];
}

// Reads along a path, and calls what is at its end unless `args` is null.
async function follow(value, path, args) {
  let holder;
  for (let i = 0; i < path.length; i++) {
    holder = value;
    const own = holder instanceof Source || holder instanceof Sink;
    value = own ? holder[path[i]] : member(holder, path[i]);
    if (i + 1 < path.length) value = await value;
  }
  if (args === null) {
    // A property of yet another worker's.
    if (stateOf(holder) !== undefined || (isFetcher(holder) && path[path.length - 1] !== "fetch")) return await value;
    const bound = typeof value === "function" && path.length > 0 && stateOf(value) === undefined;
    return bound ? (...given) => ReflectApply(value, holder, given) : value;
  }
  if (typeof value !== "function") throw absent(path.length === 0 ? "" : path[path.length - 1]);
  return ReflectApply(value, holder, args);
}

// A stream of this worker that the other reads from.
class Source {
  #reader;

  constructor(reader) {
    this.#reader = reader;
  }

  async read() {
    const { done, value } = await this.#reader.read();
    return [done, value];
  }

  cancel(reason) {
    return this.#reader.cancel(reason);
  }

  [SymbolDispose]() {
    PromisePrototypeThen(this.#reader.cancel(), undefined, () => {});
  }
}

// A stream of this worker that the other writes to.
class Sink {
  #writer;

  constructor(writer) {
    this.#writer = writer;
  }

  write(chunk) {
    return this.#writer.write(chunk);
  }

  close() {
    return this.#writer.close();
  }

  abort(reason) {
    return this.#writer.abort(reason);
  }

  [SymbolDispose]() {
    const lost = new Error("The worker that writes has ended");
    PromisePrototypeThen(this.#writer.abort(lost), undefined, () => {});
  }
}

function readable(source) {
  return new streams.ReadableStream({
    __proto__: null,
    type: "bytes",
    async pull(controller) {
      try {
        for (;;) {
          const { value: { 0: done, 1: chunk } } = await source.call(["read"], []);
          if (done) break;
          if (!ArrayBufferIsView(chunk)) throw new TypeError("A stream from another worker must have chunks of bytes");
          // Nothing is no chunk of a stream of bytes.
          if (chunk.byteLength > 0) return controller.enqueue(chunk);
        }
        controller.close();
        controller.byobRequest?.respond(0);
      } catch (error) {
        source.release();
        throw error;
      }
      source.release();
    },
    async cancel(reason) {
      try {
        await source.call(["cancel"], [describe(reason)]);
      } finally {
        source.release();
      }
    },
  }, { __proto__: null, highWaterMark: 0 });
}

function writable(sink) {
  const end = async (method, args) => {
    try {
      await sink.call([method], args);
    } finally {
      sink.release();
    }
  };
  return new streams.WritableStream({
    __proto__: null,
    write: (chunk) => PromisePrototypeThen(sink.call(["write"], [chunk]), () => {}),
    close: () => end("close", []),
    abort: (reason) => end("abort", [describe(reason)]),
  });
}

// A session whose other end is handed to another worker: `[session, handle]`.
function open(closes) {
  const { 0: mine, 1: theirs } = op_atoll_socket_pair();
  if (mine === 0) throw new Error("Too many stubs and WebSockets are open");
  return [new Session(mine, closes), theirs];
}

// Something of this worker's own. What is given to it and what it gives are copies.
class Local extends Referred {
  #value;

  constructor(value) {
    super(() => dispose(value));
    this.#value = value;
  }

  async call(path, args) {
    if (this.isOver) throw disposed();
    const result = await follow(this.#value, path, args === null ? null : crossed(args));
    return { __proto__: null, value: disposable(crossed(result)) };
  }
}

// A copy as another worker would get it, with what stays as it is, or as a stub of it.
function crossed(value) {
  const things = [];
  const bytes = encode(value, (thing) => {
    const state = stateOf(thing);
    let there = thing;
    if (state !== undefined) there = stub(state.keep());
    else if (typeof thing === "function" || ObjectPrototypeIsPrototypeOf(RpcTarget.prototype, thing)) there = localStub(thing);
    else if (!staysWhole(thing)) return -1;
    return ArrayPrototypePush(things, there) - 1;
  });
  return decode(bytes, things);
}

const staysWhole = (thing) =>
  isFetcher(thing) || streams.isReadableStream(thing) ||
  ObjectPrototypeIsPrototypeOf(streams.WritableStream.prototype, thing) ||
  ObjectPrototypeIsPrototypeOf(Headers.prototype, thing) || requests.isRequest(thing) || responses.isResponse(thing);

// A stub of something of this worker's own.
const localStub = (value) => stateOf(value) === undefined ? stub(new Local(value)) : stub(stateOf(value).keep());

return { localStub, open, releaseAll, Session };
})();
