// `fetch` of `data:` URLs (Fetch standard, section 6) and of `blob:` URLs (section 4.3, "scheme fetch").

(function () {
const { core, primordials } = __bootstrap;
const {
  JSONStringify,
  NumberParseInt,
  RegExpPrototypeExec,
  SafeRegExp,
  String,
  StringPrototypeCharCodeAt,
  StringPrototypeIndexOf,
  StringPrototypeSlice,
  StringPrototypeStartsWith,
  StringPrototypeTrim,
  TypedArrayPrototypeSubarray,
  TypeError,
  Uint8Array,
} = primordials;
const { parseMimeType, serializeMimeType } = core.loadExtScript("ext:deno_web/01_mimesniff.js");
const { atob } = core.loadExtScript("ext:deno_web/05_base64.js");
const { blobFromObjectUrl } = core.loadExtScript("ext:deno_web/09_file.js");
const { Payload } = core.loadExtScript("ext:atoll_web/body.js");
const { createResponse } = core.loadExtScript("ext:atoll_web/response.js");

const BASE64 = new SafeRegExp(/; *base64$/i);
const HEX = new SafeRegExp(/^[0-9A-Fa-f]{2}$/);

function percentDecode(text) {
  const bytes = new Uint8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    let code = StringPrototypeCharCodeAt(text, i);
    if (code === 0x25) {
      const hex = StringPrototypeSlice(text, i + 1, i + 3);
      if (RegExpPrototypeExec(HEX, hex) !== null) {
        code = NumberParseInt(hex, 16);
        i += 2;
      }
    }
    bytes[length++] = code;
  }
  return TypedArrayPrototypeSubarray(bytes, 0, length);
}

function binaryString(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += primordials.StringFromCharCode(bytes[i]);
  return text;
}

// The bytes and the type of a `data:` URL without its fragment; null when it is not well formed.
function parseDataUrl(url) {
  const input = StringPrototypeSlice(url, 5);
  const comma = StringPrototypeIndexOf(input, ",");
  if (comma === -1) return null;
  let type = StringPrototypeTrim(StringPrototypeSlice(input, 0, comma));
  let bytes = percentDecode(StringPrototypeSlice(input, comma + 1));
  const coded = RegExpPrototypeExec(BASE64, type);
  if (coded !== null) {
    type = StringPrototypeSlice(type, 0, coded.index);
    let text;
    try {
      text = atob(binaryString(bytes));
    } catch {
      return null;
    }
    bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = StringPrototypeCharCodeAt(text, i);
  }
  if (StringPrototypeStartsWith(type, ";")) type = `text/plain${type}`;
  const mime = parseMimeType(type);
  return { bytes, type: mime === null ? "text/plain;charset=US-ASCII" : serializeMimeType(mime) };
}

// `url` has no fragment.
function fetchLocal(url, method) {
  if (StringPrototypeStartsWith(url, "data:")) {
    const data = parseDataUrl(url);
    if (data === null) throw new TypeError("fetch: the data: URL is not well formed");
    return createResponse(200, ["content-type", data.type], new Payload(data.bytes), url, false);
  }
  const blob = method === "GET" ? blobFromObjectUrl(url) : null;
  if (blob === null) {
    throw new TypeError(
      method === "GET" ? `fetch: ${JSONStringify(url)} names no blob` : "fetch: a blob: URL can only be fetched with GET",
    );
  }
  const list = ["content-length", String(blob.size)];
  if (blob.type !== "") primordials.ArrayPrototypePush(list, "content-type", blob.type);
  return createResponse(200, list, new Payload(blob), url, false);
}

return { fetchLocal };
})();
