//! Libraries: zod, nanoid, date-fns, jose, kv-asset-handler; and the files that wrangler writes.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::support::apps::{App, Bundler, has_header, project, run_tool, set_variable};
use crate::support::{Project, Up, eventually, origin};

#[test]
fn zod_nanoid_and_date_fns() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "toolbox", bundler);
        app.post_json(
            "/zod",
            r#"{"name":" ada ","email":"ada@example.com","age":"36","born":"1815-12-10","site":null,"tags":["a","a"]}"#,
        )
        .expect(
            200,
            r#"{"name":"ada","email":"ada@example.com","age":36,"role":"reader","site":null,"born":1815,"tags":["a"]}"#,
        );
        let wrong = r#"{"name":"","email":"x","born":"1815-13-10","site":"no","tags":1,"extra":1}"#;
        let issues = app.post_json("/zod", wrong).json();
        let codes: Vec<&str> =
            issues["issues"].as_array().unwrap().iter().map(|issue| issue["code"].as_str().unwrap()).collect();
        let expected = ["too_small", "invalid_format", "invalid_format", "invalid_format", "invalid_union"];
        assert_eq!(codes[..5], expected, "{issues}");
        let more = app.get("/zod/more").json();
        assert_eq!((&more["area"]["side"], &more["mini"]), (&3.into(), &false.into()));
        assert_eq!(more["schema"]["properties"]["a"], json!({ "type": "string", "maxLength": 3 }));
        assert_eq!(more["codec"], 1_795_262_400_000_u64);
        app.get("/nanoid").expect(200, r#"{"unique":500,"wellFormed":true,"custom":true}"#);
        let expected = json!({
            "format": "2026-01-31T15:04:05 Saturday 31st", "german": "Samstag, 31. Januar 2026",
            "japanese": "3か月前", "month": "2026-02-28", "days": 34, "parsed": "2026-11-21T00:00:00.000Z",
            "weekend": true, "duration": { "years": 1, "months": 2 },
        });
        assert_eq!(app.get("/date-fns").json(), expected);
    }
}

#[test]
fn jose() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    // The issuer publishes the keys that the app itself has made.
    let keys: Arc<OnceLock<String>> = Arc::default();
    let published = keys.clone();
    let issuer = origin::start(move |request| match request.path.as_str() {
        "/jwks" => (200, published.get().cloned().unwrap_or_default()),
        _ => (404, String::new()),
    });
    for bundler in Bundler::BOTH {
        let project = project("jose", bundler);
        set_variable(&project, "ISSUER", &format!("http://{issuer}"));
        up.deploy(project.path());
        let app = App::named(&up, "jose");
        let refused = "ada ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
        let expected = json!({
            "RS256": refused, "PS256": refused, "ES256": refused, "ES384": refused, "EdDSA": refused,
            "HS256": "ERR_JWT_EXPIRED",
        });
        assert_eq!(app.get("/signatures").json(), expected);
        let expected = json!({
            "RSA-OAEP-256 A256GCM": "grüße", "ECDH-ES A128GCM": "grüße", "ECDH-ES+A256KW A256CBC-HS512": "grüße",
            "dir": "ada", "password": "by password",
        });
        assert_eq!(app.get("/encryption").json(), expected);
        // RFC 8037, appendix A.3.
        app.get("/thumbprint").expect(200, "\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"");
        if bundler == Bundler::Esbuild {
            issued(&app, &keys);
        }
    }
}

/// Tokens verified with keys from the issuer.
fn issued(app: &App, keys: &OnceLock<String>) {
    let issued = app.get("/issue").json();
    keys.set(issued["jwks"].to_string()).unwrap();
    let verify = |token: &Value| {
        let token = format!("Bearer {}", token.as_str().unwrap_or("none"));
        app.get_with("/remote", &[("authorization", &token)]).json()
    };
    let good = verify(&issued["good"]);
    assert_eq!((&good["payload"]["sub"], &good["kid"]), (&"ada".into(), &"key-1".into()), "{good}");
    assert_eq!(verify(&issued["bad"])["error"], "ERR_JWT_CLAIM_VALIDATION_FAILED");
    assert_eq!(verify(&Value::Null)["error"], "ERR_JWS_INVALID");
}

#[test]
fn kv_asset_handler() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "assets", bundler);
        let home = app.get("/");
        home.expect(200, "<h1>home</h1>");
        has_header(&home, "content-type", "text/html; charset=utf-8");
        has_header(&home, "etag", "\"index.abc123.html\"");
        // It was put into the cache after the answer.
        eventually("it comes from the cache", || (app.get("/").header("cf-cache-status") == Some("HIT")).then_some(()));
        let script = app.get("/app.js");
        script.expect(200, "console.log('app');");
        has_header(&script, "content-type", "application/javascript; charset=utf-8");
        app.get("/docs").expect(200, "<h1>docs</h1>");
        app.get("/docs/").expect(200, "<h1>docs</h1>");
        app.get("/gr%C3%BC%C3%9Fe.txt").expect(200, "grüße");
        app.get("/nothing.js").expect(404, "could not find nothing.js in your content namespace");
        let picture = app.get("/static/picture.svg");
        has_header(&picture, "content-type", "image/svg+xml");
        has_header(&picture, "cache-control", "max-age=60");
        app.get("/spa/any/page").expect(200, "<h1>home</h1>");
        assert_eq!(app.request("POST", "/", &[], b"").status, 405);
        let unchanged = app.get_with("/", &[("if-none-match", "\"index.abc123.html\"")]);
        unchanged.expect(304, "");
        has_header(&unchanged, "cf-cache-status", "REVALIDATED");
        let part = app.get_with("/", &[("range", "bytes=0-3")]);
        part.expect(206, "<h1>");
        has_header(&part, "content-range", "bytes 0-3/13");
        let head = app.request("HEAD", "/", &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
}

/// What `wrangler deploy --dry-run --outdir` writes is deployed as it is, and so is the project it was written from.
#[test]
fn what_wrangler_writes_is_deployed_as_it_is() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        packaged(&App::deploy(&up, "packaged", bundler));
    }
    let source = project("packaged", Bundler::Esbuild);
    let arguments = ["deploy", "--dry-run", "--outdir", "dist", "--env", ""];
    run_tool(&source, "wrangler/bin/wrangler.js", &arguments);
    let written = Project::copy_of(&source.path().join("dist")).file(
        "wrangler.toml",
        "name = \"written\"\nmain = \"index.js\"\ncompatibility_date = \"2026-11-01\"\nno_bundle = true\n\
         [vars]\nGREETING = \"packaged\"\n",
    );
    up.deploy(written.path());
    packaged(&App::named(&up, "written"));
}

fn packaged(app: &App) {
    app.get("/").expect(200, "packaged: a note");
    app.get("/add/20/22").expect(200, r#"{"sum":42}"#);
    app.get("/lazy").expect(200, "loaded late");
    assert_eq!(app.get("/id").body.len(), 10);
    let thrown = app.get("/throws");
    assert!(thrown.status == 500 && thrown.text().contains("thrown on purpose"), "{}", thrown.text());
}
