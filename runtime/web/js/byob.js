// What Workers add to byte streams: `readAtLeast` of readers, which is older than `read(view, { min })` and says what
// the end of the stream leaves of it before it says that it is the end, and `atLeast` of requests.

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayPrototypeFind,
  DataViewPrototypeGetByteLength,
  Error,
  FunctionPrototypeCall,
  MathFloor,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptors,
  ObjectGetOwnPropertySymbols,
  PromisePrototypeThen,
  PromiseReject,
  SafeWeakSet,
  SymbolPrototypeGetDescription,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetLength,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypeError,
  Uint8Array,
  WeakSetPrototypeAdd,
  WeakSetPrototypeHas,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");

const READER = streams.ReadableStreamBYOBReader.prototype;
const REQUEST = streams.ReadableStreamBYOBRequest.prototype;
const { read } = READER;

// The symbol under which the streams keep what the standard calls `[[name]]`.
function slot(object, name) {
  const isIt = (symbol) => SymbolPrototypeGetDescription(symbol) === `[[${name}]]`;
  const symbol = ArrayPrototypeFind(ObjectGetOwnPropertySymbols(object), isIt);
  if (symbol === undefined) throw new Error(`the streams keep no ${name}`);
  return symbol;
}

let controllerOf;
const probe = new streams.ReadableStream({
  type: "bytes",
  start(controller) {
    controllerOf = controller;
  },
});
const reader = new streams.ReadableStreamBYOBReader(probe);
const CONTROLLER = slot(probe, "controller");
const STREAM = slot(reader, "stream");
const CLOSE_REQUESTED = slot(controllerOf, "closeRequested");
const PENDING = slot(controllerOf, "pendingPullIntos");
const QUEUED = slot(controllerOf, "queueTotalSize");
FunctionPrototypeCall(read, reader, new Uint8Array(1));
const REQUESTED_OF = slot(controllerOf.byobRequest, "controller");

// Streams whose end has been provided for.
const minded = new SafeWeakSet();

// Reads that wait end with the stream, also when its source closes it without answering them, as it would have to by
// the standard.
function mindEnd(stream, controller) {
  if (WeakSetPrototypeHas(minded, stream)) return;
  WeakSetPrototypeAdd(minded, stream);
  const end = () => {
    if (stream[streams._state] === "closed" && controller[PENDING].size !== 0) {
      streams.readableByteStreamControllerRespond(controller, 0);
    }
  };
  PromisePrototypeThen(stream[streams._isClosedPromise].promise, end, () => {});
}

const isDataView = (view) => TypedArrayPrototypeGetSymbolToStringTag(view) === undefined;
const byteLength = (view) =>
  isDataView(view) ? DataViewPrototypeGetByteLength(view) : TypedArrayPrototypeGetByteLength(view);
const elements = (view) => isDataView(view) ? DataViewPrototypeGetByteLength(view) : TypedArrayPrototypeGetLength(view);

const PREFIX = "Failed to execute 'readAtLeast' on 'ReadableStreamBYOBReader'";

const extensions = {
  // `minElements` counts as the view does: bytes, or numbers of more bytes.
  readAtLeast(minElements, view) {
    try {
      webidl.assertBranded(this, READER);
      webidl.requiredArguments(arguments.length, 2, PREFIX);
      minElements = webidl.converters["unsigned long"](minElements, PREFIX, "the minimum", { enforceRange: true });
      view = webidl.converters.ArrayBufferView(view, PREFIX, "the view");
      if (minElements === 0) throw new TypeError(`${PREFIX}: the minimum must be greater than 0`);
      const length = elements(view);
      if (minElements > length && length > 0) {
        throw new TypeError(`${PREFIX}: the minimum of ${minElements} is more than the view's length, ${length}`);
      }
    } catch (error) {
      return PromiseReject(error);
    }
    let min = minElements;
    const stream = this[STREAM];
    if (stream !== undefined && byteLength(view) > 0) {
      const controller = stream[CONTROLLER];
      if (controller[CLOSE_REQUESTED] && controller[PENDING].size === 0) {
        // These are the last.
        const left = MathFloor(controller[QUEUED] * elements(view) / byteLength(view));
        if (left > 0 && left < min) min = left;
      }
      mindEnd(stream, controller);
    }
    const options = { __proto__: null, min };
    return PromisePrototypeThen(FunctionPrototypeCall(read, this, view, options), ({ value, done }) => ({
      value,
      done: done && (value === undefined || byteLength(value) === 0),
    }));
  },

  // How many bytes are missing before the read that waits is answered; null when none waits any more.
  get atLeast() {
    webidl.assertBranded(this, REQUEST);
    const first = this[REQUESTED_OF]?.[PENDING].peek();
    return first === undefined ? null : first.minimumFill - first.bytesFilled;
  },
};

function install() {
  const { atLeast, readAtLeast } = ObjectGetOwnPropertyDescriptors(extensions);
  ObjectDefineProperty(READER, "readAtLeast", readAtLeast);
  ObjectDefineProperty(REQUEST, "atLeast", atLeast);
}

return { install };
})();
