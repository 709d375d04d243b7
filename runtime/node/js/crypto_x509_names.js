// The names in certificates: distinguished names (RFC 5280, section 4.1.2.4) and general names (section 4.2.1.6), how they
// are written, and which hosts, addresses and mailboxes they are for (RFC 6125).

(function (require) {
"use strict";

const { Buffer } = require("buffer");
const { elements } = require("internal/crypto_der");

const LABELS = {
  __proto__: null,
  "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
  "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.15": "businessCategory",
  "2.5.4.16": "postalAddress", "2.5.4.17": "postalCode", "2.5.4.20": "telephoneNumber", "2.5.4.41": "name", "2.5.4.42": "GN",
  "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
  "2.5.4.72": "role", "2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
  "1.2.840.113549.1.9.2": "unstructuredName", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
  "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
};
const ALTERNATIVES = "2.5.29.17";
const EMAIL = 0x81;
const DNS = 0x82;
const DIRECTORY = 0xa4;
const URI = 0x86;
const ADDRESS = 0x87;
const REGISTERED = 0x88;

const latin1 = (bytes) => Buffer.from(bytes).toString("latin1");

// An object identifier in dots (X.690, section 8.19).
function oid(bytes) {
  const arcs = [];
  let arc = 0n;
  for (const byte of bytes) {
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if (byte >= 0x80) continue;
    if (arcs.length === 0) {
      const first = arc < 80n ? arc / 40n : 2n;
      arcs.push(first);
      arc -= first * 40n;
    }
    arcs.push(arc);
    arc = 0n;
  }
  return arcs.join(".");
}

function stringOf({ tag, content }) {
  const bytes = Buffer.from(content);
  switch (tag) {
    case 0x0c:
      return bytes.toString("utf8");
    case 0x1e:
      return bytes.length % 2 === 0 ? bytes.swap16().toString("utf16le") : "";
    case 0x1c: {
      let text = "";
      for (let at = 0; at + 4 <= bytes.length; at += 4) {
        const point = bytes.readUInt32BE(at);
        text += point <= 0x10ffff ? String.fromCodePoint(point) : "\ufffd";
      }
      return text;
    }
    default:
      return bytes.toString("latin1");
  }
}

// A name as a list of lists: what stands beside each other belongs to one step.
const parse = (bytes) =>
  elements(bytes).map(({ content }) =>
    elements(content).map((pair) => {
      const [type, value] = elements(pair.content);
      const id = oid(type.content);
      return { id, label: LABELS[id] ?? id, tag: value.tag, value: stringOf(value) };
    }));

// RFC 2253, section 2.4, and control characters as their numbers.
const escape = (value) =>
  value
    .replace(/^[ #]|[,+"\\<>;]| $/g, "\\$&")
    .replace(/[\0-\x1f\x7f]/g, (control) => `\\${control.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);

const step = (pairs, separator) => pairs.map(({ label, value }) => `${label}=${escape(value)}`).join(separator);

const text = (name) => name.length === 0 ? undefined : name.map((pairs) => step(pairs, " + ")).join("\n");

// As `getPeerCertificate` of Node.js has it: lists where a label comes again.
function object(name) {
  const found = { __proto__: null };
  for (const { label, value } of name.flat()) {
    if (!(label in found)) found[label] = value;
    else if (Array.isArray(found[label])) found[label].push(value);
    else found[label] = [found[label], value];
  }
  return found;
}

// Text within a list of alternative names: what could be taken for the end of a name is quoted as in JSON.
function quoted(value, isUtf8, prefix = "") {
  const isUnsafe = isUtf8 ? /[\0-\x1f"',\\\x7f]/ : /[^ -~]|["',\\]/;
  if (!isUnsafe.test(value)) return prefix + value;
  const pattern = isUtf8 ? /[\0-\x1f"\\,\x7f]/g : /[^ -~]|["\\,]/g;
  const inner = value.replace(pattern, (char) =>
    char === '"' || char === "\\" ? `\\${char}` : `\\u00${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `"${prefix}${inner}"`;
}

function addressText(bytes) {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return "<invalid>";
  return Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16).toUpperCase()).join(":");
}

function general({ tag, content }) {
  switch (tag) {
    case EMAIL:
      return `email:${quoted(latin1(content), false)}`;
    case DNS:
      return `DNS:${quoted(latin1(content), false)}`;
    case URI:
      return `URI:${quoted(latin1(content), false)}`;
    case ADDRESS:
      return `IP Address:${addressText(Array.from(content))}`;
    case REGISTERED:
      return `Registered ID:${oid(content)}`;
    case DIRECTORY: {
      const steps = parse(elements(content)[0].content).reverse().map((pairs) => step(pairs.toReversed(), "+"));
      return `DirName:${quoted(steps.join(","), true)}`;
    }
    default:
      return "othername:<unsupported>";
  }
}

const namesOf = (extensions) => extensions[ALTERNATIVES] === undefined ? [] : elements(extensions[ALTERNATIVES].content);

const alternatives = (extensions) =>
  extensions[ALTERNATIVES] === undefined ? undefined : namesOf(extensions).map(general).join(", ");

const sameLetters = (one, other) => one.toLowerCase() === other.toLowerCase();

// Where the star of a name for hosts is, if it has one that counts: in the first label, of at least three, at an end of it.
function starOf(pattern, partial) {
  const labels = pattern.split(".");
  const [first] = labels;
  const at = pattern.indexOf("*");
  if (at === -1 || labels.length < 3 || at >= first.length || pattern.indexOf("*", at + 1) !== -1) return -1;
  if (!labels.every((label) => /^[a-z0-9*](?:[a-z0-9*-]*[a-z0-9*])?$/i.test(label))) return -1;
  if (/^xn--/i.test(first) || at > 0 && at < first.length - 1) return -1;
  return first !== "*" && !partial ? -1 : at;
}

function matchesHost(pattern, name, flags) {
  if (pattern.length === 0) return false;
  if (name.length > 1 && name.startsWith(".")) {
    // Every host below a domain.
    const at = pattern.length - name.length;
    if (at < 0 || !sameLetters(pattern.slice(at), name)) return sameLetters(pattern, name);
    return !(flags.singleLabelSubdomains && pattern.slice(0, at).includes("."));
  }
  const star = flags.wildcards ? starOf(pattern, flags.partialWildcards) : -1;
  if (star === -1) return sameLetters(pattern, name);
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  if (name.length < before.length + after.length) return false;
  if (!sameLetters(name.slice(0, star), before) || !sameLetters(name.slice(name.length - after.length), after)) return false;
  const matched = name.slice(star, name.length - after.length);
  const isWhole = before === "" && after.startsWith(".");
  if (isWhole ? matched === "" : /^xn--/i.test(name)) return false;
  if (matched === "*") return true;
  return (isWhole && flags.multiLabelWildcards ? /^[a-z0-9.-]*$/i : /^[a-z0-9-]*$/i).test(matched);
}

// What in the certificate matches: an alternative name, or one of the subject where there are none of that kind.
function find({ extensions, subject }, tag, id, check, when) {
  const listed = namesOf(extensions).filter((name) => name.tag === tag).map(({ content }) => latin1(content));
  const found = listed.find(check);
  if (found !== undefined || when === "never" || listed.length > 0 && when !== "always") return found;
  return subject.flat().filter((pair) => pair.id === id).map(({ value }) => value).find(check);
}

const host = (parts, name, flags) => find(parts, DNS, "2.5.4.3", (pattern) => matchesHost(pattern, name, flags), flags.subject);

// RFC 5280, section 7.5: the case of letters counts before the `@` only.
function email(parts, address, when) {
  const split = (text) => [text.slice(0, text.lastIndexOf("@") + 1), text.slice(text.lastIndexOf("@") + 1)];
  const [local, domain] = split(address);
  const check = (text) => split(text)[0] === local && sameLetters(split(text)[1], domain);
  return find(parts, EMAIL, "1.2.840.113549.1.9.1", check, when) !== undefined;
}

function bytesOfAddress(text) {
  const { isIP } = require("net");
  switch (isIP(text)) {
    case 4:
      return text.split(".").map(Number);
    case 6: {
      const parse = (half) => half === "" ? [] : half.split(":").flatMap((group) => {
        if (group.includes(".")) return bytesOfAddress(group);
        const number = Number.parseInt(group, 16);
        return [number >> 8, number & 0xff];
      });
      const [head, tail] = text.split("%")[0].split("::").map(parse);
      return tail === undefined ? head : [...head, ...new Array(16 - head.length - tail.length).fill(0), ...tail];
    }
    default:
      return undefined;
  }
}

const address = ({ extensions }, bytes) =>
  namesOf(extensions).some(({ tag, content }) => tag === ADDRESS && Buffer.compare(content, Buffer.from(bytes)) === 0);

// RFC 5280, section 7.1, as OpenSSL does it: the case of letters and the number of spaces do not count.
function same(one, other) {
  const plain = ({ id, value }) => `${id}=${value.trim().replace(/\s+/g, " ").toLowerCase()}`;
  const canonical = (name) => JSON.stringify(name.map((pairs) => pairs.map(plain).sort()));
  return canonical(one) === canonical(other);
}

return { address, alternatives, bytesOfAddress, email, general, host, object, oid, parse, same, text };
})
