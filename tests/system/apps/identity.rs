//! Who somebody is: Better Auth with passwords and sessions, and node-saml, which lives on `node:crypto`.

use serde_json::json;

use crate::support::Up;
use crate::support::apps::{App, Bundler};

#[test]
fn better_auth() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "auth", bundler);
        app.get("/api/auth/ok").expect(200, r#"{"ok":true}"#);
        app.get("/api/auth/get-session").expect(200, "null");
        let story = app.get("/story");
        assert_eq!(story.status, 200, "{}", story.text());
        let expected = json!([
            "sign-up/email 200 Ada",
            "sign-up/email 422 USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL",
            "update-user 200 {\"status\":true}",
            "get-session 200 Ada Lovelace",
            "api ada@example.com",
            "get-session 200 null",
            "sign-out 200 {\"success\":true}",
            "get-session 200 null",
            "sign-in/email 401 INVALID_EMAIL_OR_PASSWORD",
            "sign-in/email 200 Ada Lovelace",
            "get-session 200 Ada Lovelace",
        ]);
        assert_eq!(story.json(), expected);
    }
}

#[test]
fn saml() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "saml", bundler);
        for algorithm in ["sha1", "sha256", "sha512"] {
            let login = app.get(&format!("/login?algorithm={algorithm}"));
            let location = login.header("location").unwrap_or_default();
            assert_eq!(login.status, 302, "{}", login.text());
            assert!(location.starts_with("https://idp.example/sso?SAMLRequest="), "{location}");
            assert!(location.contains("&RelayState=where&SigAlg=http"), "{location}");
            assert!(location.contains(&format!("rsa-{algorithm}&Signature=")), "{location}");
        }
        let metadata = app.get("/metadata").text();
        assert!(metadata.contains("entityID=\"https://sp.example\"") && metadata.contains("/callback\""), "{metadata}");

        // What the identity provider says is taken, and nothing that somebody has changed or that is for somebody else.
        let posted = |query: &str| {
            let xml = app.get(&format!("/idp{query}"));
            assert_eq!(xml.status, 200, "{}", xml.text());
            app.request("POST", "/callback", &[], &xml.body)
        };
        posted("").expect(200, r#"{"issuer":"https://idp.example","name":"ada@example.com","role":"reader"}"#);
        posted("?forged=admin").expect(401, r#"{"error":"Invalid signature"}"#);
        let expected = r#"{"error":"SAML assertion audience mismatch. Expected: https://sp.example Received: other"}"#;
        posted("?audience=other").expect(401, expected);
    }
}
