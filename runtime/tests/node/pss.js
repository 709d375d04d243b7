// Calls of node:crypto with keys that are for RSA-PSS only, and of `privateEncrypt`. The keys were made for these cases.

import { PEM } from "./pairs.js";

const PSS = {
  free: `-----BEGIN PRIVATE KEY-----
MIIEvAIBADALBgkqhkiG9w0BAQoEggSoMIIEpAIBAAKCAQEA1LSC+kY0MsrUyeii
+MVKee5FBNPFGsGXL81mK2OxuanZTJAsU8zZkYxwW/cpu9awIuDNXyRcCtXE1bOB
XP/q/n7Nv+NSaUc/7SgnK7m4142/n1SZWo5zabmVYXS8Vdq7FKvJuLaxUtJqS01y
Ut63Ejyhu/pzHY1k7vXh1ka5kZ6wwpaqdcc7vFXWl7VghHmhESCeTHyLSexIxKur
qbeALVb8ktVXJGf0RhaC/2yBt076mJB76AsibFfS5hzp55X2vtZqJTiZ9G15/OZT
+rUIsmvDj8nZE/zONVkaBFtbf2AlOiZb2BY0EmbEJcSA/e9JoiYuhPLhseLcB1dz
059IowIDAQABAoIBAAS9qlwhW6vtetxY/1eTy+6MzGR2wzegnm82C55RLnov2lmn
rot4SADuUnYggshz9WD0TPo0nsKRgi90Ei7m98vXHkAZmLV4jyGzkpN9TtdyNRXm
4Pt7j6reNFbgPURkZCyGm3cEHMB2xSdnvY5q9kWFglQ6GTba6OCfSOx+5Edl9+sr
7Ksz2ssVKoh3BGmoY++l0pqI2+9x6LhBBz9CmTdjX2fCQ3BZJPKv2vVbqxvh15PH
gFR31BQnODdn4UeyMSe2oIz9YMmufeHaNmdqnMZNxFFayXOEWTLfkehq/k/uB55H
31JVQEfqCdMA2VTTvFgt8n5Crh+9zgaH/zjDzaUCgYEA/iD9QPklECvR7lPfNPUe
5hxVvA4iOAXwQFqXK5E4a9LIb37l7B5e36O+U7zo3YqkWlvE6S+2ForkMFiyiXLO
GvzOtfGcNSJj8O/8iLLdA4k+Ks03QrBBOdyIsdce7jUAdnYcVrAvS0qqjWwz4/VP
9PrTwY5DCfoO11PluZvJTS0CgYEA1kVxNYfMDBt7ENfK1sORA5BYVtpE0p+LQZFf
Lbk+JEFzUMbNh6OL710LumebdmALZMj3ciC6SZBuZm/qrhxAkUzwYLhtpjWo/MkX
lpf7RYEPxa6fsBHYcvryXfSgUkGUiwb/i5b44ducFybsYQlA0/jpLHtVuRddZD58
fZKarw8CgYEAzsB6Ko1IqSJtlm+oLkaqz94Hpor9LgUu1LyfNrPcamS/624bk4GW
AG8QnsIX1n5Afr8gsfK+OxLe2bKf9pFvu6coagBa7SPAmbo2A+U5SPI0oM/7AIez
WWbh04ZIRNbcPISVQ7XtlFz36z037mObnJ0hAN1ED27g+jDoupxTJzUCgYBRTHPR
3b578YlWMKpTpkxFT+VUvuhSChrqO+AjFyAO3Y6FXYjqKBGWNnWWumzwEyz/hojs
kqJb+yMIVvpyKWIOP2UNLazc3YtKrnn2t5+tFXUIimMoiPzZU4HWSFT0INHdlkAr
lJLGD29AEZKqlro0M0M1j25NFiJnQJY3hwKN3QKBgQC9WSDftwBiV2b3+8TA/rzR
LHgiECjSJx0tWWu3yDzNMLqcnBg5oovO9Faio1kIFJivedgGhWVWg3QkKUAoBGzr
7CpM7bPmaz6LuCTEjnytf791LqoKGUCRmvvm0gWhQ4IR9uYhk4MKeRAzyx1agF9Y
QyUTUFSdF8jynP/voSRAiw==
-----END PRIVATE KEY-----`,
  bound: `-----BEGIN PRIVATE KEY-----
MIIE8QIBADBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAgUAoRwwGgYJKoZI
hvcNAQEIMA0GCWCGSAFlAwQCAgUAogMCATAEggSnMIIEowIBAAKCAQEA57R51pvH
exQd+v1EqocdGydzUdIjJFW8bsGIRnLGvvwOlmIY3qDFSUuGCYW7zA3AMDgOXb+W
z6XKxk59VhJGnUxj7ZZE7puvrpyIb6M04bAFswA4RBp8M+g1UTGt58M7I40VCbRW
+1jc3JtYCUB23uTy7777MX3pghwBJ+8M6A7QTpoo1H1ypteuU90o2+Citjv3qFy0
XUZWPaurOhkyhufkZ+ZYdIAgXJRpGACMvBnguryOfFFoVf7aKXLh+RmdxuEdGYjP
C9xV6l1ma4pdDttFiIO+twdh87S63UBvXhR4+ykm+ruSUbvSWgZHoZHx4HXo6Qsp
bvuU/uQRn4sTKwIDAQABAoIBABepucuuCxhJvKoWVX3o4JMWW1Oe11Hto5nYD/fJ
3vxAN6kqCYoq9xr+KIkubDhxqxABmY3/dAJu1x+bgndY1HdaBtaLwyxvH+kAOXrV
OyBVXq+iNRzXa5nNfCx3m2AQ8yg1T1G3Zi6zK5MoFjyTpdArp5fOdE7goglUnNWc
N0A3mVNTXGJ3Jpf1k3CoghLEZk0BFxQRa8UE8qjBE2DVqhBLxrRCqdzhKFllWuJy
ILYzF5hwwPBRMcsKbbvZEcF0usZHe6e4GU2T0+WGCHuICkR+Uaf640uvtYxM9bbI
aE8grfKllfr3HewEHDzxncxdgQF91m4YkiRqN3/JmJvQhtkCgYEA+Bh/iFzIqjE4
mDycDsIzXguGBS8hwuAt9K+WfGiLxxPYWXE9Ffw42nyULtVrL111xWhXRpUZaCJa
0YEaA1JoAwwDZNZvwBdKttUxDXlCyCujO4dSH4RFYRNJ6mT+JDe1VjNm5GU0eVul
k/kbuOxhSSnKAiDsvkAKNXSF+qQsOg8CgYEA7xZK/ArKgZR7WLYkbO/aSNvYe5cB
zj6beO++C/orz/gYuPm+ygDTheHstbw27BBaXuMniFmT8mxRMf59wcDMmW3cdcca
s8hFhrRn+i6nmBR/05pvukGsumItKBHS3vYj4qmi8tBjm1jEko/3zStAv2U1EKq0
kydurhC7en1pYSUCgYBCDvPWMS5U8qopDupWm6rlvZe/xZ7trpdN8XrWQVgGd+hB
WH91XSUeN9GU7sqNYAs9ttyWNJkBOzSHWCK/A7AiL46vyNEUip8gM3/OIJ2Bgu0B
qrRZI/T9Ng+WU7G/nv2vqBwbcD8amSZrUgbppDb7Lh9VlcKznYWaWh5acGA+TQKB
gQCzVZ9tKpL3W26h/g2YgNjU6cKaAYzjLOblcb61sTMHzeqNZReM4c3HkM1DDCiO
LT38CprulXJ51nGY9HFT0dAmDdfdqDkJPWGZRtzvNeuUEVxIVoETzotHSrjgY24u
u6XzMJb/Vvw/2/emj8Kp7JWmer2xALpt3pgQjJBzsnpG2QKBgC9NwScl6hAUh7NE
39/Ghnj//CtdixNEwOvnSHGQ/dsHP5fpmBs7UDCU8giT+XnXuXCTub2UGK0y4JXN
xYp8soO6ZJQz2J9MuIfnVBNW6nKArN2ZDcRZAAaGfVtqfet577t2PE0/Fz8IC3Di
378AMXf2lFbc5bbeh0eCCgSGFzHN
-----END PRIVATE KEY-----`,
};
const NAMES = Object.keys(PSS);
const DATA = Buffer.from("data");

const outcome = (call) => {
  try {
    return call();
  } catch (error) {
    return [error.name, error.code];
  }
};

export const cases = [
  ({ createPrivateKey, createPublicKey }) => NAMES.map((name) => {
    const key = createPrivateKey(PSS[name]);
    const other = createPublicKey(key);
    return [key.type, key.asymmetricKeyType, key.asymmetricKeyDetails, other.asymmetricKeyType, other.asymmetricKeyDetails, other.equals(createPublicKey(PSS[name]))];
  }),
  ({ createPrivateKey, createPublicKey }) => NAMES.map((name) => {
    const key = createPrivateKey(PSS[name]);
    const other = createPublicKey(key);
    const spki = other.export({ type: "spki", format: "pem" });
    return [key.export({ type: "pkcs8", format: "pem" }) === `${PSS[name]}\n`, spki, createPublicKey(spki).equals(other),
      outcome(() => other.export({ type: "pkcs1", format: "pem" })), outcome(() => key.export({ type: "sec1", format: "pem" })), outcome(() => other.export({ format: "jwk" }))];
  }),
  ({ createPublicKey, sign, verify }) => NAMES.map((name) => ["sha256", "sha384", null].map((hash) => outcome(() => {
    const signature = sign(hash, DATA, { key: PSS[name], saltLength: -1 });
    const other = createPublicKey(PSS[name]);
    return [signature.length, verify(hash, DATA, { key: other, saltLength: -1 }, signature), verify(hash, Buffer.from("date"), { key: other, saltLength: -1 }, signature)];
  }))),
  ({ createPublicKey, sign, verify }) => {
    // One and the same key, once with and once without its restriction.
    const signature = sign("sha256", DATA, { key: PSS.free, saltLength: 32 });
    const other = createPublicKey(PSS.free);
    return [verify("sha256", DATA, { key: other, padding: 6, saltLength: 32 }, signature), outcome(() => sign("sha256", DATA, { key: PSS.free, padding: 1 }).length)];
  },
  ({ privateDecrypt, privateEncrypt, publicEncrypt }) => [
    outcome(() => publicEncrypt(PSS.free, DATA).length)[0], outcome(() => privateEncrypt(PSS.free, DATA).length)[0], outcome(() => privateDecrypt(PSS.free, Buffer.alloc(256)).length)[0],
  ],
  ({ generateKeyPairSync, sign, verify }) => [{}, { hashAlgorithm: "sha512" }, { hashAlgorithm: "sha256", mgf1HashAlgorithm: "sha256", saltLength: 32 }, { saltLength: 64, hashAlgorithm: "sha512" }].map((options) => {
    const { publicKey, privateKey } = generateKeyPairSync("rsa-pss", { modulusLength: 2048, ...options });
    const hash = options.hashAlgorithm ?? "sha256";
    const signature = sign(hash, DATA, { key: privateKey, saltLength: -1 });
    return [publicKey.asymmetricKeyType, privateKey.asymmetricKeyDetails, publicKey.asymmetricKeyDetails, verify(hash, DATA, { key: publicKey, saltLength: -1 }, signature)];
  }),
  ({ privateEncrypt, publicDecrypt }) => [DATA, Buffer.alloc(0), Buffer.alloc(245, 7)].map((data) => {
    const block = privateEncrypt(PEM.rsa, data);
    return [block.toString("base64"), publicDecrypt(PEM.rsa, block).equals(data)];
  }),
  ({ privateEncrypt, publicDecrypt }) => {
    const block = privateEncrypt({ key: PEM.rsa, padding: 3 }, Buffer.alloc(256, 1));
    return [block.toString("hex"), publicDecrypt({ key: PEM.rsa, padding: 3 }, block).equals(Buffer.alloc(256, 1))];
  },
  ({ createPublicKey, privateEncrypt }) => [
    () => privateEncrypt(PEM.rsa, Buffer.alloc(246)), () => privateEncrypt({ key: PEM.rsa, padding: 3 }, Buffer.alloc(255)), () => privateEncrypt({ key: PEM.rsa, padding: 3 }, Buffer.alloc(257)),
    () => privateEncrypt({ key: PEM.rsa, padding: 3 }, Buffer.alloc(256, 255)), () => privateEncrypt(PEM.p256, DATA), () => privateEncrypt(PEM.rsa, 5), () => privateEncrypt(createPublicKey(PEM.rsa), DATA),
  ].map((call) => outcome(() => call().length)[0]),
];
