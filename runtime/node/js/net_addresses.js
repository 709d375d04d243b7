// The classes of node:net that compute and connect to nothing: addresses, and lists of those that are to be blocked.

(function (require) {
"use strict";

const { nodeError, received, validate } = require("internal/errors");

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|$)){4}$/;
const IPV6 = /^[\da-fA-F:.]+$/;
const BITS = { __proto__: null, ipv4: 32, ipv6: 128 };
const LABELS = { __proto__: null, ipv4: "IPv4", ipv6: "IPv6" };
// ::ffff:0:0/96, where IPv6 has the addresses of IPv4.
const MAPPED = 0xffffn;

const isIPv4 = (input) => IPV4.test(`${input}`) && !`${input}`.endsWith(".");

function isIPv6(input) {
  const address = `${input}`.replace(/%[\w.:-]+$/, "");
  return IPV6.test(address) && URL.canParse(`http://[${address}]/`);
}

const isIP = (input) => isIPv4(input) ? 4 : isIPv6(input) ? 6 : 0;

function numberOfIPv4(address) {
  return address.split(".").reduce((number, part) => number << 8n | BigInt(part), 0n);
}

const shownIPv4 = (number) => [24n, 16n, 8n, 0n].map((shift) => number >> shift & 255n).join(".");

// The shortest form of an IPv6 address, which URLs have too.
const shortest = (address) => new URL(`http://[${address}]/`).hostname.slice(1, -1);

function numberOfIPv6(address) {
  const [head, tail] = shortest(address).split("::");
  const groups = (text) => text ? text.split(":") : [];
  const [first, last] = [groups(head), groups(tail)];
  const middle = tail === undefined ? [] : Array(8 - first.length - last.length).fill("0");
  return [...first, ...middle, ...last].reduce((number, group) => number << 16n | BigInt(`0x${group}`), 0n);
}

function shownIPv6(address) {
  const number = numberOfIPv6(address);
  return number >> 32n === MAPPED ? `::ffff:${shownIPv4(number & 0xffffffffn)}` : shortest(address);
}

function familyOf(family, name) {
  const known = typeof family?.toLowerCase === "function" ? family.toLowerCase() : family;
  if (known !== "ipv4" && known !== "ipv6") throw nodeError("ERR_INVALID_ARG_VALUE", name, family);
  return known;
}

class SocketAddress {
  #address;
  #family;
  #flowlabel;
  #number;
  #port;

  constructor(options = {}) {
    validate.object(options, "options");
    const family = familyOf(options.family ?? "ipv4", "options.family");
    const { address = family === "ipv4" ? "127.0.0.1" : "::", flowlabel = 0, port = 0 } = options;
    validate.string(address, "options.address");
    if (!(Number(port) >>> 0 === Number(port) && Number(port) <= 65535)) {
      const message = `options.port should be >= 0 and < 65536.${received(port)}.`;
      throw Object.assign(new RangeError(message), { code: "ERR_SOCKET_BAD_PORT" });
    }
    validate.integer(flowlabel, "options.flowlabel", 0, 2 ** 32 - 1);
    if (!(family === "ipv4" ? isIPv4(address) : isIPv6(address))) {
      throw Object.assign(new Error("Invalid socket address"), { code: "ERR_INVALID_ADDRESS" });
    }
    const plain = address.replace(/%.*$/, "");
    this.#address = family === "ipv4" ? address : shownIPv6(plain);
    this.#number = family === "ipv4" ? numberOfIPv4(address) : numberOfIPv6(plain);
    this.#family = family;
    this.#flowlabel = flowlabel;
    this.#port = Number(port);
  }

  static isSocketAddress(value) {
    return value !== null && typeof value === "object" && #address in value;
  }

  get address() {
    return this.#address;
  }

  get family() {
    return this.#family;
  }

  get flowlabel() {
    return this.#flowlabel;
  }

  get port() {
    return this.#port;
  }

  toJSON() {
    const { address, family, flowlabel, port } = this;
    return { address, port, family, flowlabel };
  }

  [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) {
    return `SocketAddress ${inspect(this.toJSON(), options)}`;
  }

  static numberOf(address) {
    return address.#number;
  }
}
const { numberOf } = SocketAddress;
delete SocketAddress.numberOf;

function addressOf(value, family, name) {
  if (SocketAddress.isSocketAddress(value)) return value;
  validate.string(value, name);
  validate.string(family, "family");
  return new SocketAddress({ address: value, family });
}

class BlockList {
  // What is matched, newest first: all addresses of a family from one number to another, and how a rule is shown.
  #rules = [];

  static isBlockList(value) {
    return value !== null && typeof value === "object" && #rules in value;
  }

  #add(family, first, last, shown) {
    this.#rules.unshift({ family, first, last, shown });
  }

  addAddress(address, family = "ipv4") {
    const one = addressOf(address, family, "address");
    const number = numberOf(one);
    this.#add(one.family, number, number, `Address: ${LABELS[one.family]} ${one.address}`);
  }

  addRange(start, end, family = "ipv4") {
    const [from, to] = [addressOf(start, family, "start"), addressOf(end, family, "end")];
    const [first, last] = [numberOf(from), numberOf(to)];
    if (first > last) throw nodeError("ERR_INVALID_ARG_VALUE", "start", from, "must come before end");
    this.#add(from.family, first, last, `Range: ${LABELS[from.family]} ${from.address}-${to.address}`);
  }

  addSubnet(network, prefix, family = "ipv4") {
    const address = addressOf(network, family, "network");
    validate.integer(prefix, "prefix", 0, BITS[address.family]);
    const host = BigInt(BITS[address.family] - prefix);
    const first = numberOf(address) >> host << host;
    const shown = `Subnet: ${LABELS[address.family]} ${address.address}/${prefix}`;
    this.#add(address.family, first, first | (1n << host) - 1n, shown);
  }

  check(address, family = "ipv4") {
    if (!SocketAddress.isSocketAddress(address)) {
      validate.string(address, "address");
      validate.string(family, "family");
      try {
        address = new SocketAddress({ address, family });
      } catch {
        return false;
      }
    }
    const number = numberOf(address);
    const isMapped = address.family === "ipv6" && number >> 32n === MAPPED;
    return this.#rules.some((rule) => {
      const compared = isMapped && rule.family === "ipv4" ? number & 0xffffffffn : number;
      const same = rule.family === address.family || isMapped && rule.family === "ipv4";
      return same && rule.first <= compared && compared <= rule.last;
    });
  }

  get rules() {
    return this.#rules.map(({ shown }) => shown);
  }
}

return { BlockList, SocketAddress, isIP, isIPv4, isIPv6 };
})
