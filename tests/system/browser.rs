//! A browser of other people's making loads a page with its assets, over HTTP/2 and over HTTP/3.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{Atoll, atoll};
use crate::support::project::{Project, repository};

/// A page whose script says, in its DOM, what became of style sheet, picture and request, and over which protocol all
/// came.
const PAGE: &str = r##"
const page = `<!doctype html><title>page</title><link rel="stylesheet" href="/style.css"><p id="said">nothing</p>
<img src="/picture.svg"><script type="module" src="/script.js"></script>`;
const script = `
const text = await (await fetch("/echo", { method: "POST", body: "posted" })).text();
const image = document.querySelector("img");
await image.decode();
const said = document.getElementById("said");
const loads = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
const protocols = [...new Set(loads.map((load) => load.nextHopProtocol))];
const { color } = getComputedStyle(said);
said.textContent = JSON.stringify({ text, color, width: image.naturalWidth, loads: loads.length, protocols });`;
const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"/>`;
const files = {
    "/": ["text/html", page],
    "/style.css": ["text/css", "#said { color: rgb(1, 2, 3) }"],
    "/picture.svg": ["image/svg+xml", picture],
    "/script.js": ["text/javascript", script],
};
export default {
    async fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname === "/echo") return new Response(await request.text());
        const [type, text] = files[pathname] ?? ["text/plain", ""];
        return new Response(text, { status: text ? 200 : 404, headers: { "content-type": type } });
    },
};"##;

/// The public key's hash, by which Chromium is told to trust the certificate.
fn key_hash(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | openssl base64 -A";
    let hash = Command::new("sh").args(["-c", script]).arg(certificate).output().unwrap();
    assert!(hash.status.success(), "{}", String::from_utf8_lossy(&hash.stderr));
    String::from_utf8(hash.stdout).unwrap()
}

/// Loads the page until it says this of itself. On a machine that is too busy a browser may give up a connection of its own
/// accord, or end before the page is done, so it has many tries.
fn loads(address: SocketAddr, key: &str, arguments: &[&str], expected: &Value) {
    let mut seen = Vec::new();
    for _ in 0..10 {
        match try_load(address, key, arguments) {
            Ok(said) if said == *expected => return,
            other => seen.push(other),
        }
    }
    panic!("the page never says {expected}: {seen:#?}");
}

fn try_load(address: SocketAddr, key: &str, arguments: &[&str]) -> Result<Value, String> {
    let profile = TempDir::new().unwrap();
    // A browser that hangs is no reason to wait for ever.
    let mut chromium = Command::new("timeout");
    chromium.args(["--signal=KILL", "120", "chromium"]);
    chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.arg(format!("--ignore-certificate-errors-spki-list={key}")).args(arguments);
    // Time that passes only while the page has nothing to do.
    chromium.args(["--virtual-time-budget=30000", "--dump-dom"]).arg(format!("https://{address}/"));
    let ran = chromium.stdin(Stdio::null()).output().unwrap();
    let dom = String::from_utf8_lossy(&ran.stdout);
    let said = dom.split_once("<p id=\"said\">").and_then(|(_, rest)| rest.split_once("</p>"));
    let (said, _) = said.ok_or_else(|| format!("{dom}\n{}", String::from_utf8_lossy(&ran.stderr)))?;
    serde_json::from_str(said).map_err(|error| format!("{error}: {dom}"))
}

#[test]
#[allow(clippy::print_stderr, reason = "says why nothing was tested")]
fn chromium_loads_a_page_over_http2_and_http3() {
    if Command::new("chromium").arg("--version").output().is_err() {
        eprintln!("skipped: chromium is not installed (Debian: chromium)");
        return;
    }
    let tls = repository("tests/support/tls");
    let project = Project::new("page").wrangler("routes = [\"*/*\"]\n").file("src/index.ts", PAGE);
    let data = TempDir::new().unwrap();
    let mut command = atoll();
    command.args(["up", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--http3", "--data-dir"]).arg(data.path());
    command.arg("--tls-cert").arg(tls.join("cert.pem")).arg("--tls-key").arg(tls.join("key.pem"));
    let mut up = Atoll::spawn(command.arg("--deploy").arg(project.path()));
    let edge = |line: &str| line.split(' ').find_map(|word| word.strip_prefix("edge=https://")?.parse().ok());
    let address: SocketAddr = up.line_with(edge);
    let key = key_hash(&tls.join("cert.pem"));
    let said = |protocol: &str| json!({ "text": "posted", "color": "rgb(1, 2, 3)", "width": 7, "loads": 5, "protocols": [protocol] });
    loads(address, &key, &["--disable-quic"], &said("h2"));
    loads(address, &key, &[&format!("--origin-to-force-quic-on={address}")], &said("h3"));
}
