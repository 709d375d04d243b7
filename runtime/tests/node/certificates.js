// Calls of X509Certificate of node:crypto. The certificates were made for these cases, and the keys of those that sign are
// not kept.

import { PEM } from "./pairs.js";

export const CERTIFICATES = {
  ca: `-----BEGIN CERTIFICATE-----
MIIEAjCCAuqgAwIBAgICCrwwDQYJKoZIhvcNAQELBQAwgaAxCzAJBgNVBAYTAkNI
MQ0wCwYDVQQIDARCZXJuMQ0wCwYDVQQHDARCZXJuMR0wGwYDVQQKDBRBdG9sbCwg
VGVzdHMgIiYiIENvLjEMMAoGA1UECwwDT25lMQwwCgYDVQQLDANUd28xGjAIBgNV
BAUTATcwDgYDVQQDDAdUZXN0IENBMRwwGgYJKoZIhvcNAQkBFg1jYUBjYS5leGFt
cGxlMCAXDTI2MTEyMjAzMjMxMFoYDzIxMjYxMDI5MDMyMzEwWjCBoDELMAkGA1UE
BhMCQ0gxDTALBgNVBAgMBEJlcm4xDTALBgNVBAcMBEJlcm4xHTAbBgNVBAoMFEF0
b2xsLCBUZXN0cyAiJiIgQ28uMQwwCgYDVQQLDANPbmUxDDAKBgNVBAsMA1R3bzEa
MAgGA1UEBRMBNzAOBgNVBAMMB1Rlc3QgQ0ExHDAaBgkqhkiG9w0BCQEWDWNhQGNh
LmV4YW1wbGUwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQDPDX6qT1n6
ZcJljd+6bLN571wNNOF6ur5SHlxPOdH4qvcaQvzdoHaygr9nYuQzLG2GBvkYnVf4
1jRGM+WEd4gk/7QwoNm6Kt5u0T3XBtyO0o5M5R/VlQ1y9soJ4K7B67jek48UJT3W
ut0GyYShOpYbZAcnc8a7VdBl334tI1TH3MNp/oQzg5y4y4YB/nz8UgN2aUPL2O5E
dhmb8WcrKmLb224FbiigkrQhCLdqtF6XUgJqjjOBGcpR7+AvVmz/2q/cit+IubyN
6JR9znhLPcNE2EFrU2xJijBoomyaCJAlI0pWs8hw5GCEy4LHtnQGldBRT5NDoZXE
sfuOVSfseeUNAgMBAAGjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQD
AgEGMB0GA1UdDgQWBBQrQLuRB3FdwI96eSZOFVPWAF04cDANBgkqhkiG9w0BAQsF
AAOCAQEAGev8vy2QVh3Y/mzPVaJpD7rcN4STl2WsGtblDc9zwjWDFZQj/+CfBy+5
TmqkcOMB5yRAgZZxxfD09iJINbFetvuLR7pNYRFTGUsprZW2IPaj6aQLXYyShhun
qvT6vG0d6WUN1brkwwVxgvEyXmUkB/0II4TSq0rGXId2pxSbJsL8yqrufSRoEK61
xYK1BH68ST2sDZ1ex7D8TFqusvrwUOcWNwcJ9KivSeoDfe+GRBdXsIfqNU0C9NNI
T1wFdUy8ZmqCVwXLUP2LrLgRPC2uA4Mk7c6sMQP3EV7aWZZv+jCYEzNl8rGUncEN
ryVnO8M4yZs7RTLFhogMJGt8FCcQWg==
-----END CERTIFICATE-----`,
  leaf: `-----BEGIN CERTIFICATE-----
MIIEWjCCA0KgAwIBAgIIAPHi08S1ppcwDQYJKoZIhvcNAQELBQAwgaAxCzAJBgNV
BAYTAkNIMQ0wCwYDVQQIDARCZXJuMQ0wCwYDVQQHDARCZXJuMR0wGwYDVQQKDBRB
dG9sbCwgVGVzdHMgIiYiIENvLjEMMAoGA1UECwwDT25lMQwwCgYDVQQLDANUd28x
GjAIBgNVBAUTATcwDgYDVQQDDAdUZXN0IENBMRwwGgYJKoZIhvcNAQkBFg1jYUBj
YS5leGFtcGxlMCAXDTI2MTEyMjAzMjMxMFoYDzIxMjYxMDI5MDMyMzEwWjBOMQsw
CQYDVQQGEwJDSDERMA8GA1UECgwIIHNwYWNlZCAxEzARBgNVBAMMCiNhLmV4YW1w
bGUxFzAVBgoJkiaJk/IsZAEZFgdleGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEwbam06AI8SrTP38+Ee9i8AlQACwIDnmUUeJotOLdphjwdtDDIZsqoZua
Yub2OVu6Lzaqsg+k6XtIuH3C8D8OJKOCAbAwggGsMAkGA1UdEwQCMAAwCwYDVR0P
BAQDAgeAMB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAfBgNVHSMEGDAW
gBQrQLuRB3FdwI96eSZOFVPWAF04cDBWBggrBgEFBQcBAQRKMEgwIAYIKwYBBQUH
MAGGFGh0dHA6Ly9vY3NwLmV4YW1wbGUvMCQGCCsGAQUFBzAChhhodHRwOi8vY2Eu
ZXhhbXBsZS9jYS5jcnQwgdoGA1UdEQSB0jCBz4IJYS5leGFtcGxlgg4qLndpbGQu
ZXhhbXBsZYIScGFydCouc29tZS5leGFtcGxlghV4bi0tYmNoZXIta3ZhLmV4YW1w
bGWHBH8AAAGHECABDbgAAAAAAAAAAAAAAAGBEVVzZXJATWFpbC5FeGFtcGxlhhVo
dHRwczovL2EuZXhhbXBsZS94LHmIAyoDBKRAMD4xCzAJBgNVBAYTAkNIMRswGQYD
VQQKDBJTb21lLCBPcmdhbmlzYXRpb24xEjAQBgNVBAMMCWRpcmVjdG9yeTAdBgNV
HQ4EFgQUW6CgYMJ2YK+MndIQi4dVpK1TTpswDQYJKoZIhvcNAQELBQADggEBAKCl
25lUKUsFHrRGawCLb1+qYVkMuUZvIDxG9S7ypUtFhOimuxaQPtN92LkOPOMZjMmq
+QI5zsNoTq/fCUSTjR7X9Gw5M3L9towl275CYo2OU3CgsF5qRTE2KMcA93gexkoL
vGgrVVER61VfoZDX5dDjC3bThZm+SvsfH+1VWbws0Yl70qZ/xI2WjNAJqa8HQ9hz
/k73KjQvMAGF55ACcD5OqWvnlnqQh1UO2euPbNRGBYYj+O6NI7uqLBkOdRrQQ5kC
SemSlCpyYEdTuQRfvhGxYiO+C7UE2KiU+HWeFYa/42ineQ6NlX9Y7ohdN3vnyKhZ
p5ZGShB53tbe5R6qf9w=
-----END CERTIFICATE-----`,
  pss: `-----BEGIN CERTIFICATE-----
MIICwjCCAXYCAQUwQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgEFAKEcMBoG
CSqGSIb3DQEBCDANBglghkgBZQMEAgEFAKIDAgEgMIGgMQswCQYDVQQGEwJDSDEN
MAsGA1UECAwEQmVybjENMAsGA1UEBwwEQmVybjEdMBsGA1UECgwUQXRvbGwsIFRl
c3RzICImIiBDby4xDDAKBgNVBAsMA09uZTEMMAoGA1UECwwDVHdvMRowCAYDVQQF
EwE3MA4GA1UEAwwHVGVzdCBDQTEcMBoGCSqGSIb3DQEJARYNY2FAY2EuZXhhbXBs
ZTAgFw0yNjExMjIwMzIzMTBaGA8yMTI2MTAyOTAzMjMxMFowDjEMMAoGA1UEAwwD
cHNzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEk/Y6Nc9tfb2Om+jVpeO9uDI0
wzQ5H/YcuKDnzotAHrT5UufMXs4NCtG5UEAXCxAfnzkR+1cpO8+pY8avEubQ4TBB
BgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAQUAoRwwGgYJKoZIhvcNAQEIMA0G
CWCGSAFlAwQCAQUAogMCASADggEBAC7QV2OzgId8wbcuhSIPRiFHi7EzifWsljaA
Xi3HSW4rzMypxsnmPM1ELDEnU5xiRzJ/wM832GkySmuMCAMHhDKOZc2LoeEzn0ML
YlrTy8Ho1Mlx4Kwb2NCHDNFPFp+RbnpU1G7N8P4tvcVIPb6+nVkKCoEvBvKCYOLu
8jOaBtYrGI1AIK69V/Z+joh0r5pCZ44UdC5ACw+wzsW3p+CfhISCH/w+TEAvHVvB
ZRY50t8i9UgvLJWeTmTlg1a15M3V0UBvAwMYb+bCYH7itQhLLaPRGeceqnhRvo3I
ou0MJ5M2PzVAMHp3ZjQb/dSKmwUBxNb7iTFdbsI20/Tv6gSgxGw=
-----END CERTIFICATE-----`,
  ed: `-----BEGIN CERTIFICATE-----
MIIBxjCCAXigAwIBAgIUdBOn2hFO/CeMZZ5rWIOhqmAww1owBQYDK2VwMGoxGTAX
BgNVBAMMECouY29tbW9uLmV4YW1wbGUxFjAUBgNVBAMMDW90aGVyLmV4YW1wbGUx
FDASBgNVBAoMC1rDvHJpY2gg4piDMREwDwYKCZImiZPyLGQBAQwBdTEMMAoGA1UE
DAwDRHIuMCAXDTI2MTEyMjAzMjMxMFoYDzIwODEwODI1MDMyMzEwWjBqMRkwFwYD
VQQDDBAqLmNvbW1vbi5leGFtcGxlMRYwFAYDVQQDDA1vdGhlci5leGFtcGxlMRQw
EgYDVQQKDAtaw7xyaWNoIOKYgzERMA8GCgmSJomT8ixkAQEMAXUxDDAKBgNVBAwM
A0RyLjAqMAUGAytlcAMhAI9QiCc0mLunxtsDqw6rkEjZ7mEPFuUsOcmm1ZBW44x2
oy4wLDALBgNVHQ8EBAMCB4AwHQYDVR0OBBYEFMSA59qH+eOgMdUzEqe8d08qwWkX
MAUGAytlcANBAORqpXNgU6sI/oJXlcAKr8dho+pb3pMHGCDeuO4tcikUStmJXeDM
6LeLya/bC4aN3/sqDhnh0Fl6Pfun/y6P/AU=
-----END CERTIFICATE-----`,
  p384: `-----BEGIN CERTIFICATE-----
MIIBlTCCARygAwIBAgIURvLs9hoWzexNve/acTtA8GNz00EwCgYIKoZIzj0EAwMw
DzENMAsGA1UEAwwEcDM4NDAgFw0yNjExMjIwMzI0MDVaGA8yMTI2MTAyOTAzMjQw
NVowDzENMAsGA1UEAwwEcDM4NDB2MBAGByqGSM49AgEGBSuBBAAiA2IABChnVIyT
uFO6+QifCJVBRAYK3CSIL7pZJAhMg63TORJ9V63cSgvLy2/b0NeAEEEuoQ0A4oGs
WAoEN2fgnB6gOGDbtIU95XqrxGjVEXQRwBCHyGsOZYcCpNPxFfsrAVDUlqM3MDUw
FAYDVR0RBA0wC4IJYi5leGFtcGxlMB0GA1UdDgQWBBQfw3iYcSioTuIitkrgRGjO
pEgjQjAKBggqhkjOPQQDAwNnADBkAjAET18TL5N1QbWq1Q5Isfd7zCaIZn8rfjXw
kk67Fv3Pxhs0mkapYT07w8RZmITaKUMCMCxQIJvKfxA6koi+tjdvgIrPM3DzhQjI
GpaM0TXYmQ7Yk44hf8TzTE1EHeP1RCX65g==
-----END CERTIFICATE-----`,
  odd: `-----BEGIN CERTIFICATE-----
MIICtDCCAZygAwIBAgIBATANBgkqhkiG9w0BAQsFADAAMCAXDTI2MTEyMjAzMjMx
MVoYDzIxMjYxMDI5MDMyMzExWjAAMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIB
CgKCAQEAxgl+PZLkUNmSBK/SB8P6v/y7jCzGdelVxcgCafHQDynKISq3QeuuZ/GS
6dPJ2DFeELpUQ6S1Ld34O2b7X60bxxSl7vCVwbpKpusP7EOymMx7AiEJM0jNzqay
IkyJT9F5y8N8ycX00xqdum5CA1SokIRD46+JfnR3yJQtOTcNbh8mTVKUkS52r4nz
7cxvAzeygKNfOEOLnucI/Zd0FDfGQ788MyOtL5IrFZJKHtT4yVwgxOvQZXN/9Tq7
4JqGLafvjYyipmpRu1x+94iR3XaO7bNIpcIeLHuUZoirXCHLAbaStzEqu4ujEXQA
PBjD62zaWWSrxa9StniqAEcKltbwdQIDAQABozcwNTAUBgNVHREEDTALggliLmV4
YW1wbGUwHQYDVR0OBBYEFE6Nmu6j/SG/vkIaG6csXioCXXBAMA0GCSqGSIb3DQEB
CwUAA4IBAQCZ6blyGjKjAeXqVTytsSEe5qhTFO4n7fk5Xn/C1qz0dacNwQg2dIJX
o2GPicflYmAJzNQ7y0t/YPFNwTE0Yrm+xc0pgUuBZPHuvn/CQoSR1ngPMyvQvqEl
AWRS9IDFmJdkJ+BGbMgHALEHA6oyWxELpeP0diu8nXT829DQ0nTUs/wOTWPg7V/Z
9aTP1hSID1P8Jb77lnLfHsSn48wig7jdH89vvW/I89pzsY2KDbp5vQThHhpq6lUA
4RPpQwOR+zck9x/MYBakfYYkfKVOSyBcBKUe+Y/W3JbEpseXTlbZCXwsW6FsmEtW
UY5o8WWkInM/cF8Adnp62sNeOKrXsOZn
-----END CERTIFICATE-----`,
};
const LEAF_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6iHpxQNEPnpaSoai
445RDBM4LOoT9yn+BpIZLrWgWzGhRANCAATBtqbToAjxKtM/fz4R72LwCVAALAgO
eZRR4mi04t2mGPB20MMhmyqhm5pi5vY5W7ovNqqyD6Tpe0i4fcLwPw4k
-----END PRIVATE KEY-----`;
const SIGNED = [
  ["p256", "sha384", "MEUCIQC/20SYg9p7NwReHB+tk7haIoC/MTwV59ovoGTT9I9w4wIgQsPXd+qU31fdtEMsIWYLY8gDLJkyHVwT76Hmvi60osY="],
  ["p256", "sha512", "MEUCIDxFjYcQ7peyMKusRoovaqWlX3KdOEZ5hFYfGC2YQGTjAiEAlJnJVV7TmS1LRH8QJ4k8dWcy3eeYK1U18kXgxUGiCLU="],
  ["p256", "sha1", "MEUCIF3byVhYiEn8isJq2Baw3e/H+TiI+4L89MLltZ1koZKLAiEA8TN7mDf/ee/+9O+vAZUd/qi2POHpK0fS/BCELD0QdnE="],
  ["p384", "sha256", "MGQCMAJc7wQmIdUHMBPf2PhO4eFndjA5WJ/pp1wXzA85O6wRRwVWtEc7dRHOJAuyvAQKwAIwQFM6LOw+4+peOfu1s6Go8OnXK+AJlcdrdTb6Vz8Ak86N8QHpzPMEDVxLT/Y/UbyD"],
  ["p384", "sha512", "MGYCMQDkm4a3dVTA4yCVYm9gQv/Zzz7gc1BNWU0TN2xJtuNjkvJYD6PaBHgVfpuNZiNjuFsCMQCrBQGB2HCS1k1Ix4LDlL/uPptMGU4WR9Zdz3jO/ToZh12okwETvJLqUDL/r7ZNroQ="],
  ["p521", "sha1", "MIGIAkIBcrr7/1/osyJpPvxL3aqocU1uK1e8NKTgp5zqmiuu0a1cm0ELwEmcJTh12+pxHgQZ5SNSYnK5e8x2c/4ywu/tBbkCQgFqouxEo9HRtH6RJPzekBMHVK0LKMRCJM9NDu0qzyShLAFvmgdDybcAeo/oTo74xWE2LLZikWRxH+DfdgaePEaJvQ=="],
];
const ALL = Object.keys(CERTIFICATES);

const outcome = (call) => {
  try {
    return call();
  } catch (error) {
    return [error.name, error.code];
  }
};

const HOSTS = [
  "a.example", "A.EXAMPLE", "b.a.example", "wild.example", "x.wild.example", "x.y.wild.example", "*.wild.example", "-.wild.example", ".wild.example",
  "partner.some.example", "part.some.example", "parts.other.example", "xn--part.some.example", "xn--bcher-kva.example", "x.common.example",
  "other.example", ".example", ".a.example", "", "a.example.", "127.0.0.1", "#a.example", "p384", "b.example", "x_y.wild.example", "é.wild.example", "a.example\0", "a\0.example", "\0",
];
const ADDRESSES = ["127.0.0.1", "127.0.0.2", "2001:db8::1", "2001:db8:0:0:0:0:0:1", "2001:DB8::0.0.0.1", "::1", "a.example", ""];
const EMAILS = ["User@mail.example", "user@mail.example", "User@Mail.Example", "User", "", "ca@ca.example", "CA@ca.example", "ca@CA.example"];

export const cases = [
  ({ X509Certificate }) => ALL.map((name) => {
    const { subject, issuer, subjectAltName, infoAccess, validFrom, validTo } = new X509Certificate(CERTIFICATES[name]);
    return [subject, issuer, subjectAltName, infoAccess, validFrom, validTo];
  }),
  ({ X509Certificate }) => ALL.map((name) => {
    const { fingerprint, fingerprint256, fingerprint512, keyUsage, serialNumber, ca, issuerCertificate, raw } = new X509Certificate(CERTIFICATES[name]);
    return [fingerprint, fingerprint256, fingerprint512.length, keyUsage, serialNumber, ca, issuerCertificate, raw.length];
  }),
  ({ KeyObject, X509Certificate }) => ALL.map((name) => {
    const { publicKey } = new X509Certificate(CERTIFICATES[name]);
    return [publicKey instanceof KeyObject, publicKey.type, publicKey.asymmetricKeyType, publicKey.asymmetricKeyDetails];
  }),
  ({ X509Certificate }) => ALL.map((name) => {
    const certificate = new X509Certificate(CERTIFICATES[name]);
    return [certificate.toString() === `${CERTIFICATES[name]}\n`, JSON.stringify(certificate) === JSON.stringify(`${CERTIFICATES[name]}\n`), new X509Certificate(certificate.raw).fingerprint === certificate.fingerprint];
  }),
  ({ X509Certificate }) => ALL.map((name) => {
    const { pubkey, raw, ...legacy } = new X509Certificate(CERTIFICATES[name]).toLegacyObject();
    return [pubkey?.length, raw.length, legacy];
  }),
  ({ X509Certificate }) => ALL.map((name) => {
    const certificate = new X509Certificate(CERTIFICATES[name]);
    return HOSTS.map((host) => outcome(() => certificate.checkHost(host)));
  }),
  ({ X509Certificate }) => [
    { subject: "always" }, { subject: "never" }, { wildcards: false }, { partialWildcards: false }, { multiLabelWildcards: true }, { singleLabelSubdomains: true },
  ].map((options) => ["leaf", "ed", "odd"].map((name) => {
    const certificate = new X509Certificate(CERTIFICATES[name]);
    return HOSTS.map((host) => outcome(() => certificate.checkHost(host, options)));
  })),
  ({ X509Certificate }) => ALL.map((name) => {
    const certificate = new X509Certificate(CERTIFICATES[name]);
    return [ADDRESSES.map((ip) => outcome(() => certificate.checkIP(ip))), EMAILS.map((email) => certificate.checkEmail(email)), EMAILS.map((email) => certificate.checkEmail(email, { subject: "never" }))];
  }),
  ({ X509Certificate }) => ALL.map((name) => ALL.map((other) => {
    const [one, two] = [name, other].map((which) => new X509Certificate(CERTIFICATES[which]));
    return [one.checkIssued(two), outcome(() => one.verify(two.publicKey))];
  })),
  ({ createPrivateKey, createPublicKey, X509Certificate }) => {
    const key = createPrivateKey(LEAF_KEY);
    const certificate = new X509Certificate(CERTIFICATES.leaf);
    return [
      certificate.checkPrivateKey(key), new X509Certificate(CERTIFICATES.pss).checkPrivateKey(key), outcome(() => certificate.checkPrivateKey(createPublicKey(key))),
      outcome(() => certificate.checkPrivateKey("x")), outcome(() => certificate.verify(key)), outcome(() => certificate.verify("x")),
      createPublicKey(CERTIFICATES.leaf).equals(certificate.publicKey),
    ];
  },
  ({ X509Certificate }) => {
    const certificate = new X509Certificate(CERTIFICATES.leaf);
    const damaged = Buffer.from(certificate.raw);
    damaged[damaged.length - 1] ^= 1;
    const read = new X509Certificate(new DataView(damaged.buffer, damaged.byteOffset, damaged.byteLength));
    return [read.subject === certificate.subject, read.verify(new X509Certificate(CERTIFICATES.ca).publicKey), read.fingerprint === certificate.fingerprint];
  },
  ({ X509Certificate }) => [
    () => new X509Certificate(), () => new X509Certificate(5), () => new X509Certificate({}), () => new X509Certificate(new ArrayBuffer(4)), () => X509Certificate("x"),
    () => new X509Certificate(CERTIFICATES.leaf).checkHost(5), () => new X509Certificate(CERTIFICATES.leaf).checkHost("a", 5),
    () => new X509Certificate(CERTIFICATES.leaf).checkHost("a", { subject: "x" }), () => new X509Certificate(CERTIFICATES.leaf).checkHost("a", { wildcards: 1 }),
    () => new X509Certificate(CERTIFICATES.leaf).checkEmail(5), () => new X509Certificate(CERTIFICATES.leaf).checkIP(5), () => new X509Certificate(CERTIFICATES.leaf).checkIssued({}),
  ].map((call) => outcome(call)),
  ({ X509Certificate }) => ["", "x", Buffer.alloc(4), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", LEAF_KEY]
    .map((text) => outcome(() => new X509Certificate(text).subject)[0]),
  ({ createPrivateKey, createPublicKey, sign, verify }) => ["p521", "p256", "p384"].map((name) => {
    const key = createPrivateKey(PEM[name]);
    const other = createPublicKey(key);
    const own = { p521: ["sha256", "sha384", "sha512", "sha224"], p256: ["sha256"], p384: ["sha384"] }[name];
    return own.flatMap((hash) => ["der", "ieee-p1363"].map((dsaEncoding) => {
      const signature = sign(hash, Buffer.from("data"), { key, dsaEncoding });
      return [verify(hash, Buffer.from("data"), { key: other, dsaEncoding }, signature), verify(hash, Buffer.from("date"), { key: other, dsaEncoding }, signature)];
    }));
  }),
  // Signed by OpenSSL, with hashes that are not the curves' own.
  ({ createPublicKey, verify }) => SIGNED.map(([name, hash, signature]) => [verify(hash, Buffer.from("data"), createPublicKey(PEM[name]), Buffer.from(signature, "base64")),
    verify(hash, Buffer.from("date"), createPublicKey(PEM[name]), Buffer.from(signature, "base64"))]),
];
