//! Certificates: uploaded with the command line, and by ACME from a real authority, through a real control plane and a
//! real node.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::pebble::Pebble;
use crate::support::process::{Ran, atoll};
use crate::support::roles::{ControlPlane, EdgeNode};
use crate::support::wait::eventually_within;
use crate::support::{Api, eventually};

const TLS: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {}\n";
const HELLO: &str = "export default { fetch: () => new Response('hello') };";
/// An order waits for processes on a busy machine.
const ISSUED: std::time::Duration = std::time::Duration::from_secs(300);

/// Runs `atoll certificates ARGUMENTS` against a control plane.
#[track_caller]
fn certificates(control_plane: &ControlPlane, arguments: &[&str]) -> Ran {
    let mut command = atoll();
    command.arg("certificates").args(arguments).arg("--data-dir").arg(control_plane.data());
    Ran::new(command.stdin(Stdio::null()).output().unwrap(), arguments)
}

/// One certificate of `atoll certificates list --json`.
fn listed(control_plane: &ControlPlane, name: &str) -> Option<Value> {
    let listed = certificates(control_plane, &["list", "--json"]).json();
    listed.as_array().unwrap().iter().find(|info| info["name"] == name).cloned()
}

/// Waits for a certificate with another fingerprint than `but`; its fingerprint.
#[track_caller]
fn issued(control_plane: &ControlPlane, name: &str, but: &str) -> String {
    eventually_within(ISSUED, "a certificate is issued", || {
        let fingerprint = listed(control_plane, name)?["facts"]["fingerprint"].as_str()?.to_owned();
        (fingerprint != but).then_some(fingerprint)
    })
}

/// Deploys an app with routes through the API.
#[track_caller]
fn deploy(api: &mut Api, app: &str, routes: &[&str]) {
    api.deploy(app, HELLO, json!({}));
    let request = json!({ "routes": routes }).to_string();
    let answer = api.call("PUT", &format!("/v1/apps/{app}/routes"), request.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let revision = answer.json()["revision"].as_u64().unwrap();
    api.settle(revision);
}

/// Where the node's second listener is.
fn secure(node: &EdgeNode) -> SocketAddr {
    eventually("the node says where it listens", || {
        let log = node.process.log();
        let line = log.lines().find(|line| line.contains("edge node listening"))?;
        let addresses = line.split('"').nth(1)?;
        addresses.split(' ').nth(1)?.parse().ok()
    })
}

/// `GET https://HOST/` with the certificate checked against `root`; the body, or what curl says.
fn get(address: SocketAddr, host: &str, root: &Path) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "120", "--connect-to", &format!("::127.0.0.1:{}", address.port()), "--cacert"]);
    let output = command.arg(root).arg(format!("https://{host}/")).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// SHA-256 of the certificate that a client is shown for a host, hexadecimal; empty when it is shown none.
fn shown(address: SocketAddr, host: &str) -> String {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &address.to_string(), "-servername", host]);
    let said = client.stdin(Stdio::null()).output().unwrap().stdout;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("said"), said).unwrap();
    let mut reader = Command::new("openssl");
    reader.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(dir.path().join("said"));
    let print = String::from_utf8_lossy(&reader.output().unwrap().stdout).into_owned();
    let print = print.trim().rsplit('=').next().unwrap_or_default().replace(':', "");
    print.to_ascii_lowercase()
}

#[test]
fn an_uploaded_certificate_is_served_until_it_is_removed() {
    let control_plane = ControlPlane::start();
    let node = EdgeNode::start(&control_plane, "north", TLS);
    let mut api = control_plane.api();
    deploy(&mut api, "shop", &["shop.example/*"]);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["one", "two"] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let address = secure(&node);
    for name in ["one", "two"] {
        let (cert, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        let added = certificates(&control_plane, &["add", "shop", "--cert", &cert, "--key", &key]).ok();
        assert!(added.stdout.contains("shop is served on 1 node"), "{}", added.stdout);
        assert_eq!(get(address, "shop.example", Path::new(&cert)).unwrap(), "hello");
    }
    let wrong = ["add", "shop", "--cert", &path("one.pem"), "--key", &path("two.key")];
    certificates(&control_plane, &wrong).fails_saying(&["certificate-key-invalid", "shop.example"]);
    let missing = ["add", "shop", "--cert", &path("none.pem"), "--key", &path("two.key")];
    certificates(&control_plane, &missing).fails_saying(&["none.pem"]);
    let list = certificates(&control_plane, &["list"]).ok().stdout;
    assert!(list.contains("shop.example") && list.contains("upload") && list.contains("served"), "{list}");
    assert_eq!(get(address, "shop.example", Path::new(&path("two.pem"))).unwrap(), "hello");
    certificates(&control_plane, &["renew", "shop"]).fails_saying(&["[acme]"]);
    certificates(&control_plane, &["remove", "shop"]).ok();
    assert_eq!(shown(address, "shop.example"), "");
    certificates(&control_plane, &["remove", "shop"]).fails_saying(&["certificate-not-found"]);
}

/// `[acme]` for this authority.
fn acme(pebble: &Pebble) -> String {
    let (directory, roots) = (pebble.directory(), pebble.ca());
    format!(
        "[acme]\ndirectory = {directory:?}\ncontact = \"mailto:ops@shop.example\"\nterms_agreed = true\nroots = {roots:?}\n"
    )
}

#[test]
fn an_authority_that_asks_in_a_handshake_is_answered() {
    let control_plane = ControlPlane::start();
    let node = EdgeNode::start(&control_plane, "north", TLS);
    let address = secure(&node);
    let Some(pebble) = Pebble::start(1, address.port(), 90 * 86_400) else { return };
    let control_plane = control_plane.reconfigured(&format!("{}challenge = \"tls-alpn-01\"\n", acme(&pebble)));
    deploy(&mut control_plane.api(), "shop", &["shop.example/*"]);
    let fingerprint = issued(&control_plane, "acme:shop.example", "");
    eventually("it is served", || (shown(address, "shop.example") == fingerprint).then_some(()));
}

#[test]
fn a_route_gets_a_certificate_by_acme_and_keeps_it_through_crashes() {
    let control_plane = ControlPlane::start();
    let node = EdgeNode::start(&control_plane, "north", TLS);
    let Some(pebble) = Pebble::start(node.address.port(), 1, 90 * 86_400) else { return };
    let mut control_plane = control_plane.reconfigured(&acme(&pebble));
    let mut api = control_plane.api();
    deploy(&mut api, "shop", &["shop.example/*"]);
    let name = "acme:shop.example";
    let first = issued(&control_plane, name, "");
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("root.pem");
    let mut fetch = Command::new("curl");
    fetch.args(["-sS", "--fail", "--cacert"]).arg(pebble.ca()).arg("-o").arg(&root).arg(pebble.root_url());
    assert!(fetch.status().unwrap().success());
    let address = secure(&node);
    eventually("the certificate is served and leads to the authority's root", || {
        (get(address, "shop.example", &root).ok()? == "hello").then_some(())
    });
    assert_eq!(shown(address, "shop.example"), first);
    let plain = node.get("shop", "/");
    plain.expect(200, "hello");

    let list = certificates(&control_plane, &["list"]).ok().stdout;
    assert!(list.contains(name) && list.contains("Pebble") && !list.contains("1970"), "{list}");

    // Renewed before its time, because somebody asks for it.
    certificates(&control_plane, &["renew", name]).ok();
    let second = issued(&control_plane, name, &first);
    eventually("the new one is served", || (shown(address, "shop.example") == second).then_some(()));

    // The control plane is killed in the middle of a validation, which ends without it.
    let asked = pebble.dns().asked();
    pebble.dns().close();
    certificates(&control_plane, &["renew", name]).ok();
    eventually_within(ISSUED, "the authority looks for the node", || (pebble.dns().asked() > asked).then_some(()));
    control_plane.process.kill();
    pebble.dns().open();
    assert_eq!(get(address, "shop.example", &root).unwrap(), "hello", "the old one serves on");
    let mut control_plane = control_plane.restart();
    let third = issued(&control_plane, name, &second);
    let log = control_plane.process.log();
    assert!(log.contains("is resumed") && !log.contains("is ordered"), "{log}\n{}", pebble.log());
    eventually("the new one is served", || (shown(address, "shop.example") == third).then_some(()));

    control_plane.process.kill();
    let node = node.restart();
    let address = secure(&node);
    eventually("a node without a control plane serves it", || {
        (get(address, "shop.example", &root).ok()? == "hello").then_some(())
    });
    assert_eq!(shown(address, "shop.example"), third);
}
