// What handlers of an HTMLRewriter are given: elements, end tags, texts, comments, the doctype and the document's end.
//
// A token object is a view of the token that the rewriter has at hand, for as long as its handler runs. Several handlers
// for one token each get a view of their own and see each other's changes. What is to be written before, after or in place
// of a token is kept here, since it may be a stream; the markup itself is changed by ops.

(function () {
const { core, primordials } = __bootstrap;
const {
  op_atoll_rewriter_attribute,
  op_atoll_rewriter_attributes,
  op_atoll_rewriter_is_hidden,
  op_atoll_rewriter_is_last,
  op_atoll_rewriter_remove_attribute,
  op_atoll_rewriter_set_attribute,
  op_atoll_rewriter_set_text,
  op_atoll_rewriter_text,
} = core.ops;
const {
  ArrayIteratorPrototype,
  ArrayPrototypePush,
  ArrayPrototypeUnshift,
  ObjectCreate,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  ReflectGetPrototypeOf,
  String,
  Symbol,
  SymbolToStringTag,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { isResponse, partsOf } = core.loadExtScript("ext:atoll_web/response.js");

// The kinds of tokens, as the op that goes on to the next one names them.
const ELEMENT = 3;
const END_TAG = 4;
const TEXT = 5;
const COMMENT = 6;
const DOCTYPE = 7;
const DOCUMENT_END = 8;

const INTERNAL = Symbol("internal");
const STALE = "This content token is no longer valid: it is only while its handler runs";

// What is written around a token and in its place.
class Changes {
  before = [];
  // null or a list of contents.
  replacement = null;
  after = [];
  removed = false;
}

// What the handlers of one token share.
class State {
  changes = null;
  // Of an element: whether its content is left out, whether it may still end in `/>`, and what its end tag becomes.
  hidesContent = false;
  keepsSlash = true;
  end = null;

  constructor(handle, kind, canHaveContent = false) {
    this.handle = handle;
    this.kind = kind;
    this.canHaveContent = canHaveContent;
  }
}

// What handlers of an element want of its end tag.
class End {
  name = null;
  changes = null;
  handlers = [];
}

const changesOf = (target) => target.changes ??= new Changes();
const endOf = (state) => state.end ??= new End();

// A string, or the reader of a stream, and whether it is markup.
function contentOf(value, options, prefix) {
  let isHtml = false;
  if (options !== undefined && options !== null) {
    if (typeof options !== "object" && typeof options !== "function") {
      throw new TypeError(`${prefix}: the options must be an object`);
    }
    isHtml = !!options.html;
  }
  if (typeof value === "object" && value !== null) {
    if (isResponse(value)) {
      const { payload } = partsOf(value);
      if (payload === null) return { text: "", reader: null, isHtml };
      if (payload.isUnusable) throw new TypeError(`${prefix}: the response's body was used already`);
      value = payload.stream;
    }
    if (ObjectPrototypeIsPrototypeOf(streams.ReadableStreamPrototype, value)) {
      if (streams.isReadableStreamLocked(value) || streams.isReadableStreamDisturbed(value)) {
        throw new TypeError(`${prefix}: the stream is locked or was read from before`);
      }
      return { text: "", reader: streams.acquireReadableStreamDefaultReader(value), isHtml };
    }
  }
  return { text: String(value), reader: null, isHtml };
}

let stateOf, invalidate;

class ContentToken {
  #state;

  constructor(secret, state) {
    if (secret !== INTERNAL) throw new TypeError("Illegal constructor");
    this.#state = state;
  }

  static {
    stateOf = (token, kind) => {
      const state = token.#state;
      if (state === null || state.kind !== kind) throw new TypeError(STALE);
      return state;
    };
    invalidate = (token) => {
      token.#state = null;
    };
  }
}

const IteratorPrototype = ReflectGetPrototypeOf(ArrayIteratorPrototype);

class AttributesIterator {
  #element;
  #list;
  #index = 0;

  constructor(element, list) {
    this.#element = element;
    this.#list = list;
  }

  next() {
    stateOf(this.#element, ELEMENT);
    if (this.#index >= this.#list.length) return { value: undefined, done: true };
    const at = this.#index;
    this.#index += 2;
    return { value: [this.#list[at], this.#list[at + 1]], done: false };
  }
}
const attributesIteratorPrototype = ObjectCreate(IteratorPrototype, {
  next: {
    __proto__: null,
    value: AttributesIterator.prototype.next,
    writable: true,
    enumerable: true,
    configurable: true,
  },
  [SymbolToStringTag]: { __proto__: null, value: "AttributesIterator", configurable: true },
});

class Element extends ContentToken {
  get tagName() {
    return op_atoll_rewriter_text(stateOf(this, ELEMENT).handle, 0);
  }

  set tagName(name) {
    const state = stateOf(this, ELEMENT);
    name = String(name);
    op_atoll_rewriter_set_text(state.handle, name);
    if (state.canHaveContent) endOf(state).name = name;
  }

  get namespaceURI() {
    return op_atoll_rewriter_text(stateOf(this, ELEMENT).handle, 1);
  }

  get removed() {
    const { changes, handle } = stateOf(this, ELEMENT);
    // Also when it is part of content that another element's handler has removed.
    return (changes?.removed ?? false) || op_atoll_rewriter_is_hidden(handle);
  }

  get attributes() {
    const list = op_atoll_rewriter_attributes(stateOf(this, ELEMENT).handle);
    const iterator = new AttributesIterator(this, list);
    primordials.ObjectSetPrototypeOf(iterator, attributesIteratorPrototype);
    return iterator;
  }

  getAttribute(name) {
    const { handle } = stateOf(this, ELEMENT);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'getAttribute' on 'Element'");
    return op_atoll_rewriter_attribute(handle, String(name));
  }

  hasAttribute(name) {
    const { handle } = stateOf(this, ELEMENT);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'hasAttribute' on 'Element'");
    return op_atoll_rewriter_attribute(handle, String(name)) !== null;
  }

  setAttribute(name, value) {
    const { handle } = stateOf(this, ELEMENT);
    webidl.requiredArguments(arguments.length, 2, "Failed to execute 'setAttribute' on 'Element'");
    op_atoll_rewriter_set_attribute(handle, String(name), String(value));
    return this;
  }

  removeAttribute(name) {
    const { handle } = stateOf(this, ELEMENT);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'removeAttribute' on 'Element'");
    op_atoll_rewriter_remove_attribute(handle, String(name));
    return this;
  }

  before(content, options = undefined) {
    const state = stateOf(this, ELEMENT);
    content = contentOf(content, options, "Failed to execute 'before' on 'Element'");
    ArrayPrototypePush(changesOf(state).before, content);
    return this;
  }

  after(content, options = undefined) {
    const state = stateOf(this, ELEMENT);
    content = contentOf(content, options, "Failed to execute 'after' on 'Element'");
    ArrayPrototypeUnshift(changesOf(state.canHaveContent ? endOf(state) : state).after, content);
    return this;
  }

  prepend(content, options = undefined) {
    const state = stateOf(this, ELEMENT);
    content = contentOf(content, options, "Failed to execute 'prepend' on 'Element'");
    if (state.canHaveContent) {
      state.keepsSlash = false;
      ArrayPrototypeUnshift(changesOf(state).after, content);
    }
    return this;
  }

  append(content, options = undefined) {
    const state = stateOf(this, ELEMENT);
    content = contentOf(content, options, "Failed to execute 'append' on 'Element'");
    if (state.canHaveContent) {
      state.keepsSlash = false;
      ArrayPrototypePush(changesOf(endOf(state)).before, content);
    }
    return this;
  }

  replace(content, options = undefined) {
    const state = stateOf(this, ELEMENT);
    const changes = changesOf(state);
    changes.replacement = [contentOf(content, options, "Failed to execute 'replace' on 'Element'")];
    removeElement(state);
    return this;
  }

  remove() {
    removeElement(stateOf(this, ELEMENT));
    return this;
  }

  removeAndKeepContent() {
    const state = stateOf(this, ELEMENT);
    changesOf(state).removed = true;
    if (state.canHaveContent) changesOf(endOf(state)).removed = true;
    return this;
  }

  setInnerContent(content, options = undefined) {
    const state = stateOf(this, ELEMENT);
    content = contentOf(content, options, "Failed to execute 'setInnerContent' on 'Element'");
    if (state.canHaveContent) {
      state.keepsSlash = false;
      hideContent(state);
      ArrayPrototypeUnshift(changesOf(state).after, content);
    }
    return this;
  }

  onEndTag(handler) {
    const prefix = "Failed to execute 'onEndTag' on 'Element'";
    const state = stateOf(this, ELEMENT);
    if (typeof handler !== "function") throw new TypeError(`${prefix}: the handler is not a function`);
    if (!state.canHaveContent) throw new TypeError(`${prefix}: the element has no end tag`);
    ArrayPrototypePush(endOf(state).handlers, handler);
  }
}

function hideContent(state) {
  state.hidesContent = true;
  if (state.changes !== null) state.changes.after = [];
  if (state.end?.changes) state.end.changes.before = [];
}

function removeElement(state) {
  changesOf(state).removed = true;
  if (state.canHaveContent) {
    hideContent(state);
    changesOf(endOf(state)).removed = true;
  }
}

// Adds the methods by which something is written around or in place of a token of this kind.
function mixinChanges(Interface, kind, { replaces, tellsRemoved }) {
  const name = Interface.name;
  const add = (key, value) =>
    ObjectDefineProperty(Interface.prototype, key, {
      __proto__: null,
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  const methods = {
    before(content, options = undefined) {
      const state = stateOf(this, kind);
      content = contentOf(content, options, `Failed to execute 'before' on '${name}'`);
      ArrayPrototypePush(changesOf(state).before, content);
      return this;
    },
    after(content, options = undefined) {
      const state = stateOf(this, kind);
      content = contentOf(content, options, `Failed to execute 'after' on '${name}'`);
      ArrayPrototypeUnshift(changesOf(state).after, content);
      return this;
    },
    replace(content, options = undefined) {
      const state = stateOf(this, kind);
      const changes = changesOf(state);
      changes.replacement = [contentOf(content, options, `Failed to execute 'replace' on '${name}'`)];
      changes.removed = true;
      return this;
    },
    remove() {
      changesOf(stateOf(this, kind)).removed = true;
      return this;
    },
  };
  add("before", methods.before);
  add("after", methods.after);
  if (replaces) add("replace", methods.replace);
  add("remove", methods.remove);
  if (tellsRemoved) {
    const { removed } = {
      removed() {
        return stateOf(this, kind).changes?.removed ?? false;
      },
    };
    ObjectDefineProperty(Interface.prototype, "removed", {
      __proto__: null,
      get: removed,
      enumerable: true,
      configurable: true,
    });
  }
}

class EndTag extends ContentToken {
  get name() {
    return op_atoll_rewriter_text(stateOf(this, END_TAG).handle, 0);
  }

  set name(name) {
    op_atoll_rewriter_set_text(stateOf(this, END_TAG).handle, String(name));
  }
}

class Text extends ContentToken {
  get text() {
    return op_atoll_rewriter_text(stateOf(this, TEXT).handle, 0);
  }

  get lastInTextNode() {
    return op_atoll_rewriter_is_last(stateOf(this, TEXT).handle);
  }
}

class Comment extends ContentToken {
  get text() {
    return op_atoll_rewriter_text(stateOf(this, COMMENT).handle, 0);
  }

  set text(text) {
    op_atoll_rewriter_set_text(stateOf(this, COMMENT).handle, String(text));
  }
}

class Doctype extends ContentToken {
  get name() {
    return op_atoll_rewriter_text(stateOf(this, DOCTYPE).handle, 0);
  }

  get publicId() {
    return op_atoll_rewriter_text(stateOf(this, DOCTYPE).handle, 1);
  }

  get systemId() {
    return op_atoll_rewriter_text(stateOf(this, DOCTYPE).handle, 2);
  }
}

class DocumentEnd extends ContentToken {
  append(content, options = undefined) {
    const state = stateOf(this, DOCUMENT_END);
    content = contentOf(content, options, "Failed to execute 'append' on 'DocumentEnd'");
    ArrayPrototypePush(changesOf(state).after, content);
    return this;
  }
}

mixinChanges(EndTag, END_TAG, { replaces: false, tellsRemoved: false });
mixinChanges(Text, TEXT, { replaces: true, tellsRemoved: true });
mixinChanges(Comment, COMMENT, { replaces: true, tellsRemoved: true });

const classes = [null, null, null, Element, EndTag, Text, Comment, Doctype, DocumentEnd];
for (let kind = ELEMENT; kind < classes.length; kind++) webidl.configureInterface(classes[kind]);

// A view of the token that `state` belongs to.
const view = (state) => new classes[state.kind](INTERNAL, state);

return { ELEMENT, END_TAG, invalidate, State, view };
})();
