// Numbers in a `Buffer`: the methods `readInt32BE`, `writeDoubleLE` and their like.

(function (require) {
"use strict";

const { nodeError, validate } = require("internal/errors");

const scratch = new DataView(new ArrayBuffer(8));

function boundsError(value, length, type) {
  if (Math.floor(value) !== value) {
    validate.number(value, type);
    throw nodeError("ERR_OUT_OF_RANGE", type || "offset", "an integer", value);
  }
  if (length < 0) throw nodeError("ERR_BUFFER_OUT_OF_BOUNDS");
  throw nodeError("ERR_OUT_OF_RANGE", type || "offset", `>= ${type ? 1 : 0} and <= ${length}`, value);
}

// The place of `size` bytes at `offset` must be within the buffer.
function checkPlace(buffer, offset, size) {
  validate.number(offset, "offset");
  if (buffer[offset] === undefined || buffer[offset + size - 1] === undefined) boundsError(offset, buffer.length - size);
}

function checkValue(value, min, max, size) {
  if (value <= max && value >= min) return;
  const n = typeof min === "bigint" ? "n" : "";
  let range;
  if (size > 4) {
    const bits = size * 8;
    range = min === 0 || min === 0n
      ? `>= 0${n} and < 2${n} ** ${bits}${n}`
      : `>= -(2${n} ** ${bits - 1}${n}) and < 2${n} ** ${bits - 1}${n}`;
  } else {
    range = `>= ${min}${n} and <= ${max}${n}`;
  }
  throw nodeError("ERR_OUT_OF_RANGE", "value", range, value);
}

function checkByteLength(byteLength) {
  if (byteLength === undefined) throw nodeError("ERR_INVALID_ARG_TYPE", "byteLength", "number", byteLength);
  if (!(byteLength >= 1 && byteLength <= 6) || Math.floor(byteLength) !== byteLength) boundsError(byteLength, 6, "byteLength");
}

function readUnsigned(buffer, offset, size, little) {
  checkPlace(buffer, offset, size);
  let value = 0;
  if (little) {
    for (let i = size - 1; i >= 0; i--) value = value * 256 + buffer[offset + i];
  } else {
    for (let i = 0; i < size; i++) value = value * 256 + buffer[offset + i];
  }
  return value;
}

function readSigned(buffer, offset, size, little) {
  const value = readUnsigned(buffer, offset, size, little);
  const limit = 2 ** (size * 8 - 1);
  return value >= limit ? value - limit * 2 : value;
}

function writeInteger(buffer, value, offset, size, little) {
  for (let i = 0; i < size; i++) {
    buffer[little ? offset + i : offset + size - 1 - i] = value;
    value = Math.floor(value / 256);
  }
  return offset + size;
}

function writeUnsigned(buffer, value, offset, size, little) {
  value = +value;
  checkValue(value, 0, 2 ** (size * 8) - 1, size);
  checkPlace(buffer, offset, size);
  return writeInteger(buffer, Math.trunc(value), offset, size, little);
}

function writeSigned(buffer, value, offset, size, little) {
  value = +value;
  const limit = 2 ** (size * 8 - 1);
  checkValue(value, -limit, limit - 1, size);
  checkPlace(buffer, offset, size);
  value = Math.trunc(value);
  return writeInteger(buffer, value < 0 ? value + limit * 2 : value, offset, size, little);
}

// Through the engine's own conversions.
function readScratch(buffer, offset, size, method, little) {
  checkPlace(buffer, offset, size);
  for (let i = 0; i < size; i++) scratch.setUint8(i, buffer[offset + i]);
  return scratch[method](0, little);
}

function writeScratch(buffer, value, offset, size, method, little) {
  checkPlace(buffer, offset, size);
  scratch[method](0, value, little);
  for (let i = 0; i < size; i++) buffer[offset + i] = scratch.getUint8(i);
  return offset + size;
}

function writeBig(buffer, value, offset, little, min, max) {
  if (typeof value !== "bigint") throw nodeError("ERR_INVALID_ARG_TYPE", "value", "bigint", value);
  checkValue(value, min, max, 8);
  return writeScratch(buffer, BigInt.asUintN(64, value), offset, 8, "setBigUint64", little);
}

const methods = {
  readInt8(offset = 0) {
    return readSigned(this, offset, 1, true);
  },
  readUInt8(offset = 0) {
    return readUnsigned(this, offset, 1, true);
  },
  writeInt8(value, offset = 0) {
    return writeSigned(this, value, offset, 1, true);
  },
  writeUInt8(value, offset = 0) {
    return writeUnsigned(this, value, offset, 1, true);
  },
};

for (const end of ["LE", "BE"]) {
  const little = end === "LE";
  for (const bits of [16, 32]) {
    const size = bits / 8;
    Object.assign(methods, {
      [`readInt${bits}${end}`](offset = 0) {
        return readSigned(this, offset, size, little);
      },
      [`readUInt${bits}${end}`](offset = 0) {
        return readUnsigned(this, offset, size, little);
      },
      [`writeInt${bits}${end}`](value, offset = 0) {
        return writeSigned(this, value, offset, size, little);
      },
      [`writeUInt${bits}${end}`](value, offset = 0) {
        return writeUnsigned(this, value, offset, size, little);
      },
    });
  }
  for (const [name, kind, size] of [["Float", "Float32", 4], ["Double", "Float64", 8]]) {
    Object.assign(methods, {
      [`read${name}${end}`](offset = 0) {
        return readScratch(this, offset, size, `get${kind}`, little);
      },
      [`write${name}${end}`](value, offset = 0) {
        return writeScratch(this, +value, offset, size, `set${kind}`, little);
      },
    });
  }
  Object.assign(methods, {
    [`readBigInt64${end}`](offset = 0) {
      return readScratch(this, offset, 8, "getBigInt64", little);
    },
    [`readBigUInt64${end}`](offset = 0) {
      return readScratch(this, offset, 8, "getBigUint64", little);
    },
    [`writeBigInt64${end}`](value, offset = 0) {
      return writeBig(this, value, offset, little, -(2n ** 63n), 2n ** 63n - 1n);
    },
    [`writeBigUInt64${end}`](value, offset = 0) {
      return writeBig(this, value, offset, little, 0n, 2n ** 64n - 1n);
    },
    [`readInt${end}`](offset, byteLength) {
      if (offset === undefined) throw nodeError("ERR_INVALID_ARG_TYPE", "offset", "number", offset);
      checkByteLength(byteLength);
      return readSigned(this, offset, byteLength, little);
    },
    [`readUInt${end}`](offset, byteLength) {
      if (offset === undefined) throw nodeError("ERR_INVALID_ARG_TYPE", "offset", "number", offset);
      checkByteLength(byteLength);
      return readUnsigned(this, offset, byteLength, little);
    },
    [`writeInt${end}`](value, offset, byteLength) {
      checkByteLength(byteLength);
      return writeSigned(this, value, offset, byteLength, little);
    },
    [`writeUInt${end}`](value, offset, byteLength) {
      checkByteLength(byteLength);
      return writeUnsigned(this, value, offset, byteLength, little);
    },
  });
}

for (const name of Object.keys(methods)) {
  if (name.includes("UInt")) methods[name.replace("UInt", "Uint")] = methods[name];
}

return { methods };
})
