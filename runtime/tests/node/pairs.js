// Calls of node:crypto with keys in pairs. The keys were made for these cases and are used nowhere else.

const text = "The quick brown fox jumps over the lazy dog";
const PEM = {
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
];
