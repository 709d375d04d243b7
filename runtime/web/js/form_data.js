// FormData (XMLHttpRequest standard, section 5), its encodings and their parsing.

(function () {
const { core, primordials } = __bootstrap;
const { op_atoll_form_parse } = core.ops;
const {
  ArrayPrototypePush,
  MathRandom,
  NumberPrototypeToString,
  ObjectPrototypeIsPrototypeOf,
  RegExpPrototypeSymbolReplace,
  SafeArrayIterator,
  SafeRegExp,
  StringPrototypePadStart,
  StringPrototypeReplaceAll,
  SymbolFor,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { Blob, BlobPrototype, File, FilePrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const { parseMimeType } = core.loadExtScript("ext:deno_web/01_mimesniff.js");
const { parseUrlEncoded } = core.loadExtScript("ext:deno_web/00_url.js");
const { refuseClone } = core.loadExtScript("ext:atoll_web/shapes.js");
const { definePairIterable } = core.loadExtScript("ext:atoll_web/iteration.js");

let entriesOf;

// The value of an entry: a string, or a File.
function createValue(value, filename, prefix) {
  if (ObjectPrototypeIsPrototypeOf(BlobPrototype, value)) {
    const isFile = ObjectPrototypeIsPrototypeOf(FilePrototype, value);
    if (isFile && filename === undefined) return value;
    const name = filename === undefined ? "blob" : webidl.converters.USVString(filename, prefix, "the file name");
    const lastModified = isFile ? value.lastModified : undefined;
    return new File(new SafeArrayIterator([value]), name, { type: value.type, lastModified });
  }
  if (filename !== undefined) {
    throw new TypeError(`${prefix}: a value with a file name must be a Blob`);
  }
  return webidl.converters.USVString(value, prefix, "the value");
}

const toName = (name) => webidl.converters.USVString(name, "FormData", "the name");

class FormData {
  // Pairs of name and value.
  #entries = [];

  constructor(form = undefined) {
    if (form !== undefined) {
      throw new TypeError("Failed to construct 'FormData': there are no form elements here; pass no argument");
    }
  }

  append(name, value, filename = undefined) {
    const prefix = "Failed to execute 'append' on 'FormData'";
    webidl.requiredArguments(arguments.length, 2, prefix);
    ArrayPrototypePush(this.#entries, [toName(name), createValue(value, filename, prefix)]);
  }

  delete(name) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'delete' on 'FormData'");
    name = toName(name);
    this.#entries = primordials.ArrayPrototypeFilter(this.#entries, (entry) => entry[0] !== name);
  }

  get(name) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'get' on 'FormData'");
    name = toName(name);
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      if (entries[i][0] === name) return entries[i][1];
    }
    return null;
  }

  getAll(name) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'getAll' on 'FormData'");
    name = toName(name);
    const values = [];
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      if (entries[i][0] === name) ArrayPrototypePush(values, entries[i][1]);
    }
    return values;
  }

  has(name) {
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'has' on 'FormData'");
    name = toName(name);
    return primordials.ArrayPrototypeSome(this.#entries, (entry) => entry[0] === name);
  }

  set(name, value, filename = undefined) {
    const prefix = "Failed to execute 'set' on 'FormData'";
    webidl.requiredArguments(arguments.length, 2, prefix);
    name = toName(name);
    value = createValue(value, filename, prefix);
    let placed = false;
    this.#entries = primordials.ArrayPrototypeFilter(this.#entries, (entry) => {
      if (entry[0] !== name) return true;
      if (placed) return false;
      entry[1] = value;
      return placed = true;
    });
    if (!placed) ArrayPrototypePush(this.#entries, [name, value]);
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, options) {
    const fields = { __proto__: null };
    for (let i = 0; i < this.#entries.length; i++) fields[this.#entries[i][0]] = this.#entries[i][1];
    return `FormData ${inspect({ ...fields }, options)}`;
  }

  static {
    entriesOf = (form) => form.#entries;
    definePairIterable(this, "FormData", entriesOf);
  }
}

webidl.configureInterface(FormData);
refuseClone(FormData);

// HTML standard, "multipart/form-data encoding algorithm": names keep no raw quotation marks and line breaks.
const escapeName = (name) =>
  StringPrototypeReplaceAll(StringPrototypeReplaceAll(StringPrototypeReplaceAll(name, "\n", "%0A"), "\r", "%0D"), '"', "%22");

const LINE_BREAK = new SafeRegExp(/\r\n|\n|\r/g);
const normaliseLines = (text) => RegExpPrototypeSymbolReplace(LINE_BREAK, text, "\r\n");

const random = () => StringPrototypePadStart(NumberPrototypeToString(MathRandom() * 2 ** 52 >>> 0, 36), 7, "0");

// The form as multipart/form-data: a string when no file is in it, else a Blob; and the content type.
function encode(form) {
  const boundary = `----AtollFormBoundary${random()}${random()}${random()}`;
  const parts = [];
  let text = "";
  const entries = entriesOf(form);
  for (let i = 0; i < entries.length; i++) {
    const { 0: name, 1: value } = entries[i];
    text += `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(normaliseLines(name))}"`;
    if (typeof value === "string") {
      text += `\r\n\r\n${normaliseLines(value)}\r\n`;
    } else {
      text += `; filename="${escapeName(value.name)}"\r\n` +
        `Content-Type: ${value.type === "" ? "application/octet-stream" : value.type}\r\n\r\n`;
      ArrayPrototypePush(parts, text, value);
      text = "\r\n";
    }
  }
  text += `--${boundary}--\r\n`;
  const type = `multipart/form-data; boundary=${boundary}`;
  if (parts.length === 0) return { source: text, type };
  ArrayPrototypePush(parts, text);
  return { source: new Blob(new SafeArrayIterator(parts)), type };
}

// The form that bytes of a content type stand for.
function decode(bytes, contentType) {
  const mime = contentType === null ? null : parseMimeType(contentType);
  if (mime !== null) {
    const form = new FormData();
    if (mime.type === "multipart" && mime.subtype === "form-data") {
      const boundary = mime.parameters.get("boundary");
      if (boundary === undefined) {
        throw new TypeError("Cannot read a form: the Content-Type header multipart/form-data has no boundary parameter");
      }
      const fields = op_atoll_form_parse(bytes, boundary);
      const entries = entriesOf(form);
      for (let i = 0; i < fields.length; i++) {
        const field = fields[i];
        const value = typeof field.text === "string"
          ? field.text
          : new File(new SafeArrayIterator([field.data]), field.filename, { type: field.contentType ?? "text/plain" });
        ArrayPrototypePush(entries, [field.name, value]);
      }
      return form;
    }
    if (mime.type === "application" && mime.subtype === "x-www-form-urlencoded") {
      const pairs = parseUrlEncoded(bytes);
      const entries = entriesOf(form);
      for (let i = 0; i < pairs.length; i++) ArrayPrototypePush(entries, [pairs[i][0], pairs[i][1]]);
      return form;
    }
  }
  throw new TypeError(
    `Cannot read a form: the Content-Type header is ${
      contentType === null ? "missing" : contentType
    }, not multipart/form-data or application/x-www-form-urlencoded`,
  );
}

return { decode, encode, FormData };
})();
