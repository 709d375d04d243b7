// HTMLRewriter: handlers for parts of an HTML document that streams through.
//
// The document is parsed piece by piece outside of JavaScript, which leaves a queue of tokens. A loop here takes one after
// the other, calls the handlers that were registered for it, waits for those that are asynchronous, and has the token
// written. Nothing is parsed while a handler is waited for, and nothing beyond the first chunk is produced before it is
// read: both ends of the stream feel it.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_rewriter_drop,
  op_atoll_rewriter_element,
  op_atoll_rewriter_emit,
  op_atoll_rewriter_emit_bytes,
  op_atoll_rewriter_emit_token,
  op_atoll_rewriter_end,
  op_atoll_rewriter_hide,
  op_atoll_rewriter_next,
  op_atoll_rewriter_open,
  op_atoll_rewriter_select,
  op_atoll_rewriter_set_text,
  op_atoll_rewriter_take,
  op_atoll_rewriter_watch,
  op_atoll_rewriter_who,
  op_atoll_rewriter_write,
} = core.ops;
const {
  ArrayPrototypePush,
  Promise,
  PromisePrototypeThen,
  ReflectApply,
  RegExpPrototypeExec,
  SafeFinalizationRegistry,
  SafeMap,
  SafeRegExp,
  String,
  TypeError,
  Uint8Array,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { chunkBytes, isUint8Array } = core.loadExtScript("ext:atoll_web/body.js");
const { changed, listDelete, listGet, listOf } = core.loadExtScript("ext:atoll_web/headers.js");
const { isResponse, partsOf, Response } = core.loadExtScript("ext:atoll_web/response.js");
const { ELEMENT, END_TAG, invalidate, State, view } = core.loadExtScript("ext:atoll_web/html_tokens.js");

const FEED = 0;
const FLUSH = 1;
const DONE = 2;

// The handler that is called for each kind of token.
const HANDLER = [null, null, null, "element", null, "text", "comments", "doctype", "end"];
// What a registration wants, for the parser.
const WANTS = { __proto__: null, element: 1, comments: 2, text: 4, doctype: 8, end: 16 };

const CHARSET = new SafeRegExp(/;[\t\n\r ]*charset[\t\n\r ]*=[\t\n\r ]*(?:"([^"]*)"|([^\t\n\r ;"]*))/i);

// Documents whose output nobody can read any more release what they hold outside.
const dropped = new SafeFinalizationRegistry((handle) => op_atoll_rewriter_drop(handle));

// The functions of `handlers` by these names, its object, and what it all wants.
function register(selector, handlers, names, prefix) {
  const registration = { __proto__: null, selector, self: handlers, wants: 0 };
  if (handlers === null || handlers === undefined) return registration;
  if (typeof handlers !== "object" && typeof handlers !== "function") {
    throw new TypeError(`${prefix}: the handlers must be an object`);
  }
  for (let i = 0; i < names.length; i++) {
    const handler = handlers[names[i]];
    if (handler === undefined) continue;
    if (typeof handler !== "function") throw new TypeError(`${prefix}: the handler '${names[i]}' is not a function`);
    registration[names[i]] = handler;
    registration.wants |= WANTS[names[i]];
  }
  return registration;
}

const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

// Stands for the token itself in a list of what is written.
const TOKEN = { __proto__: null };

// One document on its way through.
class Job {
  #handle;
  #registrations;
  // Gives the next chunk of input, or null.
  #read;
  #cancelInput;
  #controller = null;
  // What handlers of open elements want of their end tags, by element.
  #ends = new SafeMap();
  #isOver = false;
  #isFirst = true;
  // Somebody reads and waits.
  #isWanted = false;
  #wake = null;

  constructor(handle, registrations, input) {
    this.#handle = handle;
    this.#registrations = registrations;
    this.#read = input.read;
    this.#cancelInput = input.cancel;
    this.stream = new streams.ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        this.#isWanted = true;
        this.#goOn();
      },
      cancel: (reason) => {
        this.#end(reason);
        this.#goOn();
      },
    });
    dropped.register(this.stream, handle);
  }

  async run() {
    // No handler runs before `transform` has returned.
    await undefined;
    try {
      while (!this.#isOver) {
        const step = op_atoll_rewriter_next(this.#handle);
        if (step > DONE) {
          const waiting = this.#handleToken(step);
          if (waiting !== undefined) await waiting;
        } else {
          await this.#flush();
          if (this.#isOver || step === FLUSH) continue;
          if (step === DONE) {
            this.#isOver = true;
            op_atoll_rewriter_drop(this.#handle);
            this.#controller.close();
            this.#controller.byobRequest?.respond(0);
            return;
          }
          const chunk = await this.#read();
          if (this.#isOver) return;
          if (chunk === null) op_atoll_rewriter_end(this.#handle);
          else op_atoll_rewriter_write(this.#handle, chunk);
        }
      }
    } catch (error) {
      if (this.#isOver) return;
      this.#end(error);
      this.#controller.error(error);
    }
  }

  // Calls the handlers of the token at hand and writes it. Returns a promise only if there is something to wait for.
  #handleToken(kind) {
    const handle = this.#handle;
    const calls = [];
    for (let i = 0;; i++) {
      const who = op_atoll_rewriter_who(handle, i);
      if (who < 0) break;
      if (kind === END_TAG) {
        const end = this.#ends.get(who);
        this.#ends.delete(who);
        if (end === undefined) continue;
        ArrayPrototypePush(calls, { __proto__: null, end, self: undefined, handler: null });
        for (let j = 0; j < end.handlers.length; j++) {
          ArrayPrototypePush(calls, { __proto__: null, end: null, self: undefined, handler: end.handlers[j] });
        }
      } else {
        const registration = this.#registrations[who];
        ArrayPrototypePush(calls, {
          __proto__: null,
          end: null,
          self: registration.self,
          handler: registration[HANDLER[kind]],
        });
      }
    }
    const canHaveContent = kind === ELEMENT && op_atoll_rewriter_element(handle) >= 0;
    return this.#call(new State(handle, kind, canHaveContent), calls, 0);
  }

  #call(state, calls, from) {
    for (let i = from; i < calls.length; i++) {
      const { end, self, handler } = calls[i];
      if (handler === null) {
        if (end.name !== null) op_atoll_rewriter_set_text(this.#handle, end.name);
        if (end.changes !== null) state.changes = end.changes;
        continue;
      }
      const token = view(state);
      let result;
      try {
        result = ReflectApply(handler, self, [token]);
      } catch (error) {
        invalidate(token);
        throw error;
      }
      if (isObject(result)) return this.#wait(result, token, state, calls, i + 1);
      invalidate(token);
    }
    return this.#write(state);
  }

  async #wait(result, token, state, calls, next) {
    try {
      await result;
    } finally {
      invalidate(token);
    }
    if (this.#isOver) return;
    const waiting = this.#call(state, calls, next);
    if (waiting !== undefined) await waiting;
  }

  // Writes the token at hand with what its handlers want around it.
  #write(state) {
    const { changes } = state;
    if (changes === null) {
      op_atoll_rewriter_emit_token(this.#handle, state.keepsSlash);
      return this.#settle(state);
    }
    const list = [];
    for (let i = 0; i < changes.before.length; i++) ArrayPrototypePush(list, changes.before[i]);
    if (!changes.removed) ArrayPrototypePush(list, TOKEN);
    else if (changes.replacement !== null) ArrayPrototypePush(list, changes.replacement[0]);
    for (let i = 0; i < changes.after.length; i++) ArrayPrototypePush(list, changes.after[i]);
    return this.#writeList(list, 0, state);
  }

  #writeList(list, from, state) {
    for (let i = from; i < list.length; i++) {
      if (list[i] === TOKEN) {
        op_atoll_rewriter_emit_token(this.#handle, state.keepsSlash);
      } else if (list[i].reader === null) {
        op_atoll_rewriter_emit(this.#handle, list[i].text, list[i].isHtml);
      } else {
        return this.#writeStream(list, i, state);
      }
    }
    return this.#settle(state);
  }

  async #writeStream(list, at, state) {
    const { reader, isHtml } = list[at];
    for (;;) {
      const { done, value } = await reader.read();
      if (this.#isOver) {
        PromisePrototypeThen(reader.cancel(), () => {}, () => {});
        return;
      }
      if (done) break;
      op_atoll_rewriter_emit_bytes(this.#handle, bytesOf(value), isHtml, false);
      await this.#flush();
    }
    op_atoll_rewriter_emit_bytes(this.#handle, new Uint8Array(), isHtml, true);
    const waiting = this.#writeList(list, at + 1, state);
    if (waiting !== undefined) await waiting;
  }

  // Remembers what an element's handlers want of its content and its end tag.
  #settle(state) {
    if (state.kind !== ELEMENT || !state.canHaveContent) return;
    if (state.hidesContent) op_atoll_rewriter_hide(this.#handle);
    if (state.end !== null) {
      this.#ends.set(op_atoll_rewriter_element(this.#handle), state.end);
      op_atoll_rewriter_watch(this.#handle);
    }
  }

  // Gives the output so far to the reader, when it is wanted. The first chunk is made without being asked for.
  async #flush() {
    const chunk = op_atoll_rewriter_take(this.#handle);
    if (chunk === null) return;
    if (!this.#isFirst && !this.#isWanted) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
      if (this.#isOver) return;
    }
    this.#isFirst = false;
    this.#isWanted = false;
    this.#controller.enqueue(chunk);
  }

  #goOn() {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  // Ends the work before the document's end.
  #end(reason) {
    if (this.#isOver) return;
    this.#isOver = true;
    op_atoll_rewriter_drop(this.#handle);
    this.#cancelInput(reason);
  }
}

function bytesOf(chunk) {
  const bytes = chunkBytes(chunk);
  if (bytes === null) {
    throw new TypeError("A document's stream must have chunks that are buffers, views on one or strings");
  }
  return bytes;
}

// The chunks of a payload, which is used from now on.
function inputOf(payload) {
  if (!payload.hasStream && (typeof payload.source === "string" || isUint8Array(payload.source))) {
    let chunk = typeof payload.source === "string" ? core.encode(payload.source) : payload.source;
    payload.markUsed();
    return {
      __proto__: null,
      read() {
        const next = chunk;
        chunk = null;
        return next;
      },
      cancel() {},
    };
  }
  const reader = streams.acquireReadableStreamDefaultReader(payload.stream);
  return {
    __proto__: null,
    async read() {
      const { done, value } = await reader.read();
      return done ? null : bytesOf(value);
    },
    cancel(reason) {
      PromisePrototypeThen(reader.cancel(reason), () => {}, () => {});
    },
  };
}

class HTMLRewriter {
  #registrations = [];

  on(selector, handlers) {
    const prefix = "Failed to execute 'on' on 'HTMLRewriter'";
    const registrations = this.#registrations;
    webidl.requiredArguments(arguments.length, 2, prefix);
    selector = String(selector);
    op_atoll_rewriter_select(selector);
    ArrayPrototypePush(registrations, register(selector, handlers, ["element", "comments", "text"], prefix));
    return this;
  }

  onDocument(handlers) {
    const prefix = "Failed to execute 'onDocument' on 'HTMLRewriter'";
    const registrations = this.#registrations;
    webidl.requiredArguments(arguments.length, 1, prefix);
    ArrayPrototypePush(registrations, register(null, handlers, ["doctype", "comments", "text", "end"], prefix));
    return this;
  }

  transform(response) {
    const prefix = "Failed to execute 'transform' on 'HTMLRewriter'";
    const mine = this.#registrations;
    webidl.requiredArguments(arguments.length, 1, prefix);
    if (!isResponse(response)) throw new TypeError(`${prefix}: the argument is not a Response`);
    const { status, headers, payload, isEncoded } = partsOf(response);
    if (payload === null) return response;
    if (payload.isUnusable) throw new TypeError(`${prefix}: the response's body was used already`);

    const registrations = [];
    const selectors = [];
    for (let i = 0; i < mine.length; i++) {
      ArrayPrototypePush(registrations, mine[i]);
      ArrayPrototypePush(selectors, [mine[i].selector, mine[i].wants]);
    }
    const type = listGet(listOf(headers()), "content-type");
    const charset = type === null ? null : RegExpPrototypeExec(CHARSET, type);
    const encoding = charset === null ? "utf-8" : charset[1] ?? charset[2];
    const handle = op_atoll_rewriter_open(selectors, encoding);
    const job = new Job(handle, registrations, inputOf(payload));
    const transformed = new Response(job.stream, {
      cf: response.cf,
      status,
      statusText: response.statusText,
      headers: headers(),
      encodeBody: isEncoded ? "manual" : "automatic",
    });
    listDelete(listOf(transformed.headers), "content-length");
    changed(transformed.headers);
    job.run();
    return transformed;
  }
}

webidl.configureInterface(HTMLRewriter);

return { HTMLRewriter };
})();
