import * as punycode from "punycode";
export const { toASCII, toUnicode } = punycode;
