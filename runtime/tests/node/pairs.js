// Calls of node:crypto with keys in pairs. The keys were made for these cases and are used nowhere else.

const text = "The quick brown fox jumps over the lazy dog";
export const PEM = {
  rsa: `-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC+hRyY2Hr+55eG
kY6CRPEoS104jZzPdz9hTTUETY3/cbhNG7dPHSCuyM+QZQnXDJJeZnu+3ofMZsR0
mTdvCH+w335s4FQo40i2J/O3j5TP8CSUidPrH/rEM3+hP/PQHD3uQjEoatYEcmlr
vpHMsoXKzWRUqEubZgULB2KKw8b4vrfio7G57nElex5EF54Zy/bGFtgwDbRjHiSG
pBE/gzD4EWtPXoSea2QWnH9+6aKNuV/duv0V0OWtD7GgRVsJdMB5US3Ss1h8jFHh
H+OsR+nhQapBx0jufA/Hc4D8mkVRNa9tGxekZorTFO381fFF3Sjpa3hqQ7v4BDG3
NIWairjtAgMBAAECggEABfrVl/KLgb6xIdcluu8BBru+1EyVlGlwwtQSiu0IPPFL
0JfDHCeU5AeHhEe3lFlfqrjav3Xqmz7KgcJhXAnPQDTzmeU8nv/rQ1RjsOo/yHsI
GuVskl+xlkDri5sfQvPv+a94LYWU7BTPPEOB/gPIcUIbGREjNmBwXhVAQYy9jQcZ
j2CSrW72nPLSUVdoa9O5DMyJljt4+sYLIvOc/DxJY4K6iYhqZgZTPEZha/oPNQCB
tQKEXkbOp1mu0vqSfQGRD2+jypR8RXXRIFtKm8j3OsL7NmbbJdV2BqIxtevkH4ph
SG5RmkA3GHRfR07YMfaUVkAMRIWveZEnziffsYoIQQKBgQDc7AgyC/6Gi/tyw499
6QjomLmOHG/Ti21A83039qhybc0T8oni3+iL/XRTZJ1vPglzJgp6kruUA6Wb3hKf
6SBSjeguC71iDZZZOQeZ8h5AaRr/kUsYXjf65S8mSoKFfD4OsIufwEXCDUCUQ/52
aDwKJGSaGhYfDnQehjGiRKyVPQKBgQDcxU60UoJEdzhTPpsSeK2KUQJj/dR8oI4t
gCQ+PCBcP1TjNyCOhgs2W+lceHLh6UxGIpEZv4uuu6rHZS6wuYZTqN11e4H9qJJV
+Y9E/QwKU+ixPNwTG1QnSogDkGphcVeaablnpC6OMktcYBdi3scKgUbF2XStD1Ft
wSr7DffNcQKBgGCWfXrMDarrlrL1V04YTYHMDAxa2HVn1wt3qT6Hg9wLr4bSGoDr
njNeS7aOHdreB6mlbx1p+8LZ2VUNQZ1SgoQ1cNZ44YL2J864hV9EIP/ONDSaZHex
8c2q1/NozinoSQWJIHJm0NjnjF2GYMGKDv3sLWPGlfdcDV6vExI77iyNAoGALzVJ
1SlnjbhopPRYOKTxhwg3mKYoj9XNUVF7botw6Ajq4ANjxNZJA4C37/wZpNE8bCrs
GDNrbRvYMvch+sxROwZ7BKo6a8FmOVg6GKh7sKGsummnLbbEUfqQByMUfG2+K9i7
urvS8Lk0gDZUCeJVcZufRKNxXahO40dRJ4ofGSECgYEApdWRNS9tKEFBzM1aLiA4
jk78p8yJqi+g4vdacFjHovJs9IJ3ylwpSqR/03aMMjQ/EigLqrJP/Qtbip8M1K0a
RxpRXEArf/i3pP0gCFnp9jCIyemYobGeerrccezgfmar+3LaaT/dN64/hRtcaHDD
+0TCg2HJaqrYfsQWGpSQ0m4=
-----END PRIVATE KEY-----`,
  p256: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdBYK1j3M9muF/ZJU
NANQZfyFgAIo6Id2R0+G5JJJ+QehRANCAAR4LcKxNK/PzIFauEWN6iqzPxf9Etrs
X40ivePSjkdaxnHUDb1ehZUA0W/CvkwygzOAxX0YYrmzPAYxs4O2YbIn
-----END PRIVATE KEY-----`,
  p384: `-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCCjdIBShKPZiiKctiL
Odvwprl9XAUF97PntF6QnsVCC2ZIxzDsuziOIcHYxVa1p3qhZANiAAT17VGJxgdS
SXTn10KyprOZzmnJWiNzZcrn1AOh3ExMKa+0vBCAKbJwjdguEPSMIXwfiplAiYpj
eODcdy0AuzuFNbeCGun816HE5GB4Sg2YUhMGaAf4tiTcsutTP/F2R2c=
-----END PRIVATE KEY-----`,
  p521: `-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIB15vBa8JtM773dIGX
mcbxcCISa4kbKsz+zJW2dQcwiHbNZ2qcJ1hDeH9lMWyfus5Kr+XrnShBImh1GLjC
2SllKKmhgYkDgYYABAF3mkDMc+K5XOWbitBJWnsyKag3k4nXztZJ2UeFKmkkalT2
1Bfwl3xVIJMOIBTxMoqoSeHIAnNmAE2DdV/wRvmRvAEruvNQL+wVGda/vDcmkgPw
12FkKkT+am39iy8FFybA7iDa0wle8BT+E4C62K9Uwaxb+qywNejCoB8BA7sjgx14
7g==
-----END PRIVATE KEY-----`,
  k256: `-----BEGIN PRIVATE KEY-----
MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQg7mfpwI9vFvDRa64ptVw/
FQZLPjEKZBEUrX+seogNmDehRANCAAR6bjzjKoxUNJAI/SN60sCBjyVQMaGBj2X3
O6/g70A7dNtwjqQAmNNoBK991yHEyhNdEKozBXqCZEz2cPEcED8+
-----END PRIVATE KEY-----`,
  ed: `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBnIhytexFt3lo8rXglhGYZNedzFv2p7qQrWr7QyrdMc
-----END PRIVATE KEY-----`,
};
const CURVES = { p256: "sha256", p384: "sha384", p521: "sha512", k256: "sha256" };
const ALL = Object.keys(PEM);

const digestOf = (name) => name === "ed" ? null : CURVES[name] ?? "sha256";
const outcome = (call) => {
  try {
    return call();
  } catch (error) {
    return error.code ?? error.name;
  }
};

const SEALED = {
  "aes-128-cbc": `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg0IjhrfcjCQAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEOXcYGqztfmdwVKPWzDw8GMEgZC2
UogG3Dbp5y5nyyVJrCWfQIBrOmp58c5Gx68c95QXCDJClk04r5NpXAhV0wG/Id6k
I6anf3mWUt7kv6FVSs4SxjYvwlnYnCwWrDXmhezbqMjlTFeyJft3a/bTj0Z23zdM
f76ZoihgmiuAmniAyjaLl9nKu3hCowJ4x3YPEw6el7cf64ePpkNG7D3aPz76+wY=
-----END ENCRYPTED PRIVATE KEY-----`,
  "aes-256-cbc": `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiXsWBWtNhjCAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENcS+X2+3ZBxPMaGGAgGoSgEgZAG
+Ul0m9RtknyPHHF8cT1xfphZ5ge4jrqpZzP3zP8CLnhRVMvInmoSRBIDIaLtnrRe
BlWxeoF/Z51e93OMsfEeZ3eFrNGeoK3OmgfilDpc0N7ZJ5txUDmSn6uYVCUj6VXA
Yb55OplKJp3jDTtRn5KZQZgacew1yQeKQgj9C7C76Lrwi+8wruxQrMyKXQ7ilIM=
-----END ENCRYPTED PRIVATE KEY-----`,
  "legacy": `-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-192-CBC,6FC1D45C69BC2528B5EE15BCDACDB706

3YusAyPd7BA8UQqHgnqTKMMZm7N5wCx2IozAV05uvbTj/E0kqLRrkeOfquOgZ0q8
5zWt0XuyPPL02wLxsFk8klDVxqOVCBWhU/TOTnn3ETUOTklltMoEn662eHix1nx0
bEHHhQHDJyS/4+n3R8WrHt9YHsM/jImYESksPu0ilX4=
-----END EC PRIVATE KEY-----`,
};
const X25519 = {
  private: `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIBhQ463DUFswSjxWa1aCi3qwnB4SGJs5BWHIi88EGp5T
-----END PRIVATE KEY-----`,
  public: `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAXjLLnRG73TqJ2zN1OZ4yjTAAHjoGhMoXlmnnS4kWlnI=
-----END PUBLIC KEY-----`,
};

export const cases = [
  ({ createPrivateKey, createPublicKey, KeyObject }) =>
    ALL.map((name) => {
      const key = createPrivateKey(PEM[name]);
      const other = createPublicKey(key);
      return [
        key.type, key.asymmetricKeyType, key.asymmetricKeyDetails, key instanceof KeyObject, String(key), other.type,
        other.asymmetricKeyType, other.asymmetricKeyDetails, key.symmetricKeySize, other.equals(createPublicKey(PEM[name])),
      ];
    }),
  ({ createPrivateKey, createPublicKey }) =>
    ALL.map((name) => {
      const key = createPrivateKey(PEM[name]);
      return [key.export({ format: "jwk" }), createPublicKey(key).export({ format: "jwk" })];
    }),
  ({ createPublicKey }) =>
    ALL.map((name) => [
      createPublicKey(PEM[name]).export({ type: "spki", format: "pem" }),
      createPublicKey(PEM[name]).export({ type: "spki", format: "der" }),
    ]),
  ({ createPrivateKey }) =>
    ALL.map((name) => {
      const key = createPrivateKey(PEM[name]);
      const type = name === "rsa" ? "pkcs1" : name === "ed" ? "pkcs8" : "sec1";
      const pem = key.export({ type, format: "pem" });
      const der = key.export({ type, format: "der" });
      return [pem, createPrivateKey(pem).equals(key), createPrivateKey({ key: der, type, format: "der" }).equals(key)];
    }),
  ({ createPublicKey }) => {
    const pem = createPublicKey(PEM.rsa).export({ type: "pkcs1", format: "pem" });
    return [pem, createPublicKey(pem).equals(createPublicKey(PEM.rsa))];
  },
  ({ createPrivateKey, createPublicKey }) =>
    ALL.map((name) => {
      const key = createPrivateKey(PEM[name]);
      const again = createPrivateKey({ key: key.export({ format: "jwk" }), format: "jwk" });
      const jwk = createPublicKey(key).export({ format: "jwk" });
      return [again.equals(key), createPublicKey({ key: jwk, format: "jwk" }).equals(createPublicKey(key))];
    }),
  ({ sign }) => [sign("RSA-SHA256", text, PEM.rsa), sign("sha384", Buffer.from(text), PEM.rsa), sign(null, text, PEM.ed)],
  ({ createSign }) => createSign("RSA-SHA512").update("a").update("62", "hex").sign(PEM.rsa, "base64"),
  ({ createSign, createVerify }) =>
    ALL.filter((name) => name !== "ed").map((name) => {
      const signature = createSign(digestOf(name)).update(text).sign(PEM[name], "hex");
      const verify = (data, signed) => createVerify(digestOf(name)).update(data).verify(PEM[name], signed, "hex");
      return [verify(text, signature), verify("other", signature), verify(text, "00"), verify(text, "")];
    }),
  ({ createPublicKey, sign, verify }) =>
    ALL.map((name) => {
      const key = createPublicKey(PEM[name]);
      const signature = sign(digestOf(name), Buffer.from(text), PEM[name]);
      return [verify(digestOf(name), Buffer.from(text), key, signature), verify(digestOf(name), Buffer.from("x"), key, signature)];
    }),
  ({ sign, verify }) =>
    Object.keys(CURVES).map((name) => {
      const key = { key: PEM[name], dsaEncoding: "ieee-p1363" };
      const signature = sign(CURVES[name], text, key);
      return [signature.length, verify(CURVES[name], text, key, signature), verify(CURVES[name], text, PEM[name], signature)];
    }),
  ({ sign, verify, constants }) => {
    const key = { key: PEM.rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    const signature = sign("sha256", text, key);
    return [signature.length, verify("sha256", text, key, signature), verify("sha256", text, PEM.rsa, signature)];
  },
  ({ sign }) => new Promise((resolve) => sign("sha256", text, PEM.rsa, (error, signature) => resolve([error, signature.length]))),
  ({ publicEncrypt, privateDecrypt, createPublicKey }) =>
    ["sha1", "sha256", "sha512"].map((oaepHash) => {
      const data = publicEncrypt({ key: createPublicKey(PEM.rsa), oaepHash }, Buffer.from(text));
      return [data.length, privateDecrypt({ key: PEM.rsa, oaepHash }, data).toString()];
    }),
  ({ createECDH }) =>
    ["prime256v1", "secp384r1", "secp521r1"].map((curve) => {
      const [one, two] = [createECDH(curve), createECDH(curve)];
      one.generateKeys();
      const point = two.generateKeys("base64");
      const secret = one.computeSecret(point, "base64");
      return [one.getPublicKey().length, one.getPublicKey(null, "compressed").length, secret.length,
        secret.equals(two.computeSecret(one.getPublicKey()))];
    }),
  ({ createECDH }) => {
    const ecdh = createECDH("prime256v1");
    ecdh.setPrivateKey("11".repeat(32), "hex");
    const point = ecdh.getPublicKey();
    return [point, ecdh.getPublicKey("hex", "compressed"), ecdh.computeSecret(point, null, "hex")];
  },
  ({ createECDH }) => [() => createECDH("nope"), () => createECDH("prime256v1").computeSecret("00", "hex"),
    () => createECDH("prime256v1").setPrivateKey(Buffer.alloc(32))].map((call) => outcome(call) === undefined),
  ({ generateKeyPairSync }) => {
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    return [publicKey.type, privateKey.type, publicKey.asymmetricKeyDetails];
  },
  ({ generateKeyPairSync, sign, verify }) =>
    [["ec", { namedCurve: "P-256" }], ["ec", { namedCurve: "secp384r1" }], ["ed25519", undefined]].map(([type, options]) => {
      const { publicKey, privateKey } = generateKeyPairSync(type, {
        ...options,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs8", format: "pem" },
      });
      const digest = type === "ed25519" ? null : options.namedCurve === "P-256" ? "sha256" : "sha384";
      const data = Buffer.from(text);
      return [publicKey.split("\n")[0], privateKey.split("\n")[0], verify(digest, data, publicKey, sign(digest, data, privateKey))];
    }),
  ({ generateKeyPair }) =>
    new Promise((resolve) =>
      generateKeyPair("ec", { namedCurve: "P-256" }, (error, publicKey, privateKey) =>
        resolve([error, publicKey.type, privateKey.type]))),
  ({ createPrivateKey, createPublicKey, createSecretKey, createHmac, sign }) => [
    () => createPrivateKey("nope"),
    () => createPublicKey(createSecretKey("x")),
    () => createPublicKey(createPublicKey(PEM.rsa)),
    () => createPrivateKey(createPrivateKey(PEM.rsa)),
    () => createPrivateKey(5),
    () => createPublicKey({ key: { kty: "RSA" }, format: "jwk" }),
    () => createHmac("sha256", createPublicKey(PEM.rsa)),
    () => sign("sha256", text, createSecretKey("x")),
    () => createPrivateKey(PEM.rsa).export(),
    () => createSecretKey("x").equals(createPublicKey(PEM.rsa)),
  ].map(outcome),
  ({ createPrivateKey }) =>
    Object.values(SEALED).map((key) => createPrivateKey({ key, passphrase: "open sesame" }).export({ type: "sec1", format: "der" })),
  ({ createPrivateKey }) => [
    () => createPrivateKey({ key: SEALED["aes-256-cbc"], passphrase: "wrong" }),
    () => createPrivateKey({ key: SEALED["aes-256-cbc"] }),
    () => createPrivateKey(SEALED.legacy),
    () => createPrivateKey({ key: SEALED.legacy, passphrase: "wrong" }),
  ].map((call) => outcome(call) === undefined),
  ({ createPrivateKey, sign, createPublicKey, verify }) =>
    ["aes-128-cbc", "aes-192-cbc", "AES-256-CBC"].map((cipher) => {
      const options = { type: "pkcs8", format: "pem", cipher, passphrase: "p" };
      const sealed = createPrivateKey(PEM.p256).export(options);
      const der = createPrivateKey(PEM.p256).export({ ...options, format: "der" });
      const opened = createPrivateKey({ key: der, format: "der", type: "pkcs8", passphrase: Buffer.from("p") });
      const signature = sign("sha256", text, { key: sealed, passphrase: "p" });
      return [sealed.split("\n")[0], verify("sha256", text, PEM.p256, signature), opened.equals(createPrivateKey(PEM.p256))];
    }),
  ({ createPrivateKey, createPublicKey, diffieHellman }) => {
    const privateKey = createPrivateKey(X25519.private);
    const publicKey = createPublicKey(X25519.public);
    return [privateKey.asymmetricKeyType, privateKey.asymmetricKeyDetails, privateKey.export({ format: "jwk" }), publicKey.export({ format: "jwk" }),
      createPublicKey(privateKey).export({ type: "spki", format: "der" }), diffieHellman({ privateKey, publicKey }),
      createPrivateKey({ key: privateKey.export({ format: "jwk" }), format: "jwk" }).equals(privateKey)];
  },
  ({ diffieHellman, generateKeyPairSync }) =>
    [["x25519"], ["ec", { namedCurve: "P-256" }], ["ec", { namedCurve: "P-521" }]].map(([type, options]) => {
      const [one, two] = [generateKeyPairSync(type, options), generateKeyPairSync(type, options)];
      const secret = diffieHellman({ privateKey: one.privateKey, publicKey: two.publicKey });
      return [one.publicKey.asymmetricKeyType, secret.length, secret.equals(diffieHellman({ privateKey: two.privateKey, publicKey: one.publicKey }))];
    }),
  ({ createPrivateKey, createPublicKey, diffieHellman }) => [
    () => diffieHellman({ privateKey: createPrivateKey(X25519.private), publicKey: createPublicKey(PEM.p256) }),
    () => diffieHellman({ privateKey: createPublicKey(PEM.p256), publicKey: createPublicKey(PEM.p256) }),
    () => diffieHellman(),
  ].map((call) => outcome(call) === undefined),
];
