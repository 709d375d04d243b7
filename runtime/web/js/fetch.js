// fetch (Fetch standard, sections 4 and 5.6). Every hop is one op; redirects are followed here.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_aim, op_atoll_assets_fetch, op_atoll_fetch } = core.ops;
const {
  FunctionPrototypeCall,
  JSONStringify,
  PromiseReject,
  StringPrototypeStartsWith,
  TypeError,
  Uint8Array,
} = primordials;
const { BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const abortSignals = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const headerLists = core.loadExtScript("ext:atoll_web/headers.js");
const requests = core.loadExtScript("ext:atoll_web/request.js");
const { createResponse } = core.loadExtScript("ext:atoll_web/response.js");
const { HostBody, isHostBody, isUint8Array, Payload } = core.loadExtScript("ext:atoll_web/body.js");
const { pump } = core.loadExtScript("ext:atoll_web/pump.js");
const { currentSlot } = core.loadExtScript("ext:atoll_web/context.js");

const { arrayBuffer: blobArrayBuffer } = BlobPrototype;

const MOST_REDIRECTS = 20;
const hasScheme = (url, one, other) => StringPrototypeStartsWith(url, one) || StringPrototypeStartsWith(url, other);

const isRedirect = (status) => status === 301 || status === 302 || status === 303 || status === 307 || status === 308;

function withoutFragment(url) {
  const end = primordials.StringPrototypeIndexOf(url, "#");
  return end === -1 ? url : primordials.StringPrototypeSlice(url, 0, end);
}

// A method, so that it is no constructor.
const { fetch } = {
  fetch(input, init = undefined) {
    try {
      if (arguments.length === 0) {
        throw new TypeError("Failed to execute 'fetch': 1 argument required, but only 0 present");
      }
      // A Request as it is needs no copy.
      const request = requests.isRequest(input) && (init === undefined || init === null)
        ? input
        : new requests.Request(input, init);
      return run(request, 0);
    } catch (error) {
      return PromiseReject(error);
    }
  },
};

// The place of the app's static files among the workers that are bound.
const ASSETS = -1;

// Stands for what `op_atoll_aim` has said.
const OWN = 2 ** 30 - 1;

// The number that the op which is called next, at once, knows a worker by: that of its place in `env`, or one for an
// entrypoint of this worker's own, `{ entrypoint, props }`.
function placeOf(service) {
  if (typeof service === "number") return service;
  op_atoll_aim(service.entrypoint, service.props);
  return OWN;
}

// Sends a request to its host, or to the worker that is bound in `env` at the place `service`, from 1, or to an entrypoint
// of this worker's own, or to the app's static files.
async function run(request, service) {
  const parts = requests.partsOf(request);
  const signal = parts.aborts ? request.signal : null;
  signal?.throwIfAborted();
  const list = headerLists.copyList(headerLists.listOf(parts.headers()));
  let { url } = parts;
  if (hasScheme(url, "ws:", "wss:") && headerLists.listHas(list, "upgrade")) {
    url = `http${primordials.StringPrototypeSlice(url, 2)}`;
  }
  if (!hasScheme(url, "http:", "https:")) {
    if (hasScheme(parts.url, "data:", "blob:")) {
      return core.loadExtScript("ext:atoll_web/data_url.js").fetchLocal(withoutFragment(parts.url), parts.method);
    }
    throw new TypeError(`fetch: cannot fetch ${JSONStringify(parts.url)}: only http: and https: URLs can be fetched`);
  }
  const hop = {
    slot: currentSlot(),
    service,
    method: parts.method,
    url,
    list,
    payload: takePayload(parts.payload),
    // The body on its way, when it is a stream.
    pipe: null,
  };
  let cancel = 0;
  let abort = null;
  if (signal !== null) {
    cancel = core.createCancelHandle();
    abort = () => {
      core.tryClose(cancel);
      hop.pipe?.cancel(signal.reason);
    };
    signal[abortSignals.add](abort);
  }
  try {
    return await follow(hop, parts.redirect, cancel, signal, abort);
  } catch (error) {
    hop.pipe?.cancel(error);
    signal?.throwIfAborted();
    throw error;
  } finally {
    if (signal !== null) core.tryClose(cancel);
  }
}

// The request's body for sending: it counts as used from now on.
function takePayload(payload) {
  if (payload === null) return null;
  if (payload.isUnusable) {
    throw new TypeError("fetch: the body of the request was used already; clone() the request before the first use");
  }
  const { direct } = payload;
  const sent = direct !== null ? { source: direct, stream: null } : { source: null, stream: payload.stream };
  if (direct !== null) payload.markUsed();
  return sent;
}

async function send(hop, cancel) {
  let bytes = null;
  let handle = 0;
  if (hop.payload !== null) {
    const { source, stream } = hop.payload;
    if (typeof source === "string") bytes = core.encode(source);
    else if (isUint8Array(source)) bytes = source;
    else if (isHostBody(source)) handle = source.take();
    // A blob has a length, and receivers want to know it.
    else if (stream === null) bytes = new Uint8Array(await FunctionPrototypeCall(blobArrayBuffer, source));
    else hop.pipe = pump(stream);
  }
  const list = headerLists.serialiseList(hop.list);
  if (hop.service === ASSETS) {
    // Files take no bodies.
    if (handle !== 0) new HostBody(handle, null, false).drop();
    hop.pipe?.cancel(new TypeError("static files take no bodies"));
    return await op_atoll_assets_fetch(hop.slot, hop.method, withoutFragment(hop.url), list);
  }
  return await op_atoll_fetch(
    hop.slot, hop.method, withoutFragment(hop.url), list, bytes,
    hop.pipe === null ? handle : -hop.pipe.handle, placeOf(hop.service), cancel,
  );
}

async function follow(hop, mode, cancel, signal, abort) {
  for (let count = 0;; count++) {
    const reply = await send(hop, cancel);
    const { 0: status, 1: fields, 2: body } = reply;
    const location = isRedirect(status) && mode !== "manual"
      ? headerLists.listGet(headerLists.parseList(fields), "location")
      : null;
    if (location === null) {
      return respond(hop, reply, count > 0, signal, abort);
    }
    if (body !== 0) new HostBody(body, null, false).drop();
    if (mode === "error") {
      throw new TypeError(`fetch: ${hop.url} redirects to ${location}, and the request's redirect mode is "error"`);
    }
    if (count === MOST_REDIRECTS) {
      throw new TypeError(`fetch: more than ${MOST_REDIRECTS} redirects, the last from ${hop.url}`);
    }
    redirect(hop, status, location);
  }
}

// Fetch standard, "HTTP-redirect fetch".
function redirect(hop, status, location) {
  let next;
  try {
    next = new URL(location, hop.url);
  } catch (error) {
    throw new TypeError(`fetch: ${hop.url} redirects to ${JSONStringify(location)}, which is no URL`, { cause: error });
  }
  if (next.protocol !== "http:" && next.protocol !== "https:") {
    throw new TypeError(`fetch: ${hop.url} redirects to ${next.href}, which is neither http: nor https:`);
  }
  const { payload } = hop;
  if (status !== 303 && payload !== null && typeof payload.source !== "string" && !isUint8Array(payload.source)) {
    throw new TypeError(`fetch: ${hop.url} redirects with status ${status}, but the request's body cannot be sent twice`);
  }
  const toGet = ((status === 301 || status === 302) && hop.method === "POST") ||
    (status === 303 && hop.method !== "GET" && hop.method !== "HEAD");
  if (toGet) {
    hop.method = "GET";
    hop.payload = null;
    for (const name of ["content-encoding", "content-language", "content-length", "content-location", "content-type"]) {
      headerLists.listDelete(hop.list, name);
    }
  }
  const previous = new URL(hop.url);
  if (previous.origin !== next.origin) {
    for (const name of ["authorization", "cookie", "host", "proxy-authorization"]) {
      headerLists.listDelete(hop.list, name);
    }
  }
  if (next.hash === "" && previous.hash !== "") next.hash = previous.hash;
  hop.url = next.href;
}

function respond(hop, reply, redirected, signal, abort) {
  const { 0: status, 1: fields, 2: handle, 3: here, 4: socket } = reply;
  let payload = null;
  if (handle !== 0) {
    const body = new HostBody(handle, null, here !== 0, here === 2);
    payload = new Payload(body);
    if (signal !== null) {
      // From now on an abort breaks off the response's body.
      signal[abortSignals.remove](abort);
      if (here === 0) {
        body.signal = signal;
        signal[abortSignals.add](() => payload.abort(signal.reason));
      }
    }
  } else if (hop.method !== "HEAD") {
    payload = new Payload("");
  }
  const url = withoutFragment(hop.url);
  return createResponse(status, fields, payload, url, redirected, socket);
}

return { ASSETS, fetch, placeOf, run };
})();
