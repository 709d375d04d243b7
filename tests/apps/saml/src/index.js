// A service provider of SAML: sends people to an identity provider, and takes what that says of them. The identity provider
// that the tests need is here as well.

import { SAML } from "@node-saml/node-saml";
import { createPublicKey } from "node:crypto";
import { SignedXml } from "xml-crypto";

import { privateKey } from "./key.js";

const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "pem" });

function provider(origin, settings = {}) {
  return new SAML({
    callbackUrl: `${origin}/callback`, entryPoint: "https://idp.example/sso", issuer: "https://sp.example", audience: "https://sp.example",
    idpCert: publicKey, privateKey, wantAuthnResponseSigned: false, ...settings,
  });
}

// What the identity provider posts: an assertion, signed.
function response(origin, { name = "ada@example.com", audience = "https://sp.example" } = {}) {
  const now = Date.now();
  const at = (offset) => new Date(now + offset).toISOString();
  const assertion = `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a1" Version="2.0" IssueInstant="${at(0)}"><saml:Issuer>https://idp.example</saml:Issuer><saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">${name}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="${at(60_000)}" Recipient="${origin}/callback"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${at(-60_000)}" NotOnOrAfter="${at(60_000)}"><saml:AudienceRestriction><saml:Audience>${audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AttributeStatement><saml:Attribute Name="role"><saml:AttributeValue>reader</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`;
  const whole = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_r1" Version="2.0" IssueInstant="${at(0)}" Destination="${origin}/callback"><saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">https://idp.example</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>${assertion}</samlp:Response>`;
  const signer = new SignedXml({
    privateKey, signatureAlgorithm: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    canonicalizationAlgorithm: "http://www.w3.org/2001/10/xml-exc-c14n#",
  });
  signer.addReference({
    xpath: "//*[local-name(.)='Assertion']", digestAlgorithm: "http://www.w3.org/2001/04/xmlenc#sha256",
    transforms: ["http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/2001/10/xml-exc-c14n#"],
  });
  signer.computeSignature(whole, { location: { reference: "//*[local-name(.)='Assertion']/*[local-name(.)='Issuer']", action: "after" } });
  return signer.getSignedXml();
}

export default {
  async fetch(request) {
    const { origin, pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/login": {
        const signatureAlgorithm = searchParams.get("algorithm") ?? "sha256";
        return Response.redirect(await provider(origin, { signatureAlgorithm }).getAuthorizeUrlAsync("where", "", {}));
      }
      case "/idp": {
        const xml = response(origin, Object.fromEntries(searchParams));
        return new Response(xml.replace("reader", searchParams.get("forged") ?? "reader"));
      }
      case "/callback": {
        try {
          const { profile } = await provider(origin).validatePostResponseAsync({ SAMLResponse: btoa(await request.text()) });
          return Response.json({ issuer: profile.issuer, name: profile.nameID, role: profile.role });
        } catch (error) {
          return Response.json({ error: error.message }, { status: 401 });
        }
      }
      default:
        return new Response(provider(origin).generateServiceProviderMetadata(null, publicKey), { headers: { "content-type": "application/xml" } });
    }
  },
};
