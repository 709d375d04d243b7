//! Certificates that are uploaded: checks, storage, and the way to the nodes.

use std::path::Path;

use atoll_protocol::api::Scope;
use atoll_protocol::certificates::{CertificateChanged, CertificateInfo, CertificateSource};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::sync::Frame;
use http::{Method, StatusCode};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::Running;

/// A certificate for a host that signed itself, and its key, PEM.
fn certificate(host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Whether a file below a folder has these bytes in it.
fn is_on_disk(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_on_disk(&path, needle),
        false => std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle),
    })
}

#[tokio::test]
async fn a_certificate_reaches_the_nodes_sealed_and_its_key_is_nowhere_in_clear() {
    let running = Running::new().await;
    let api = running.admin();
    let (chain, key) = certificate("shop.example");
    let node = NodeKey::generate().unwrap();
    let mut frames = running.follow("node=n1&since=0", &node).await;
    frames.state().await;
    let request = json!({ "chain": chain, "key": key });
    let set: CertificateChanged = api.put("/v1/certificates/shop", request.clone()).await.ok();
    assert_eq!(set, CertificateChanged { name: "shop".into(), revision: 1 });
    let Frame::Certificate { revision: 1, name, state: Some(state) } = frames.state().await else {
        panic!("no certificate")
    };
    assert_eq!((name.as_str(), state.chain.as_deref()), ("shop", Some(chain.replace("\r\n", "\n").as_str())));
    let opened = node.open_key("shop", 1, state.key.as_ref().unwrap()).unwrap();
    assert_eq!(opened, key.replace("\r\n", "\n"));

    let answer = running.scoped(Scope::Read).await.get("/v1/certificates").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("PRIVATE"), "{answer:?}");
    let listed: Vec<CertificateInfo> = answer.ok();
    let info = &listed[0];
    assert_eq!((listed.len(), info.name.as_str(), info.source), (1, "shop", CertificateSource::Upload));
    assert_eq!(info.facts.as_ref().unwrap().names, ["shop.example"]);
    assert!(info.renewal.is_none() && info.revision == 1);
    let secret = key.lines().nth(1).unwrap().as_bytes();
    assert!(is_on_disk(running.dir.path(), b"BEGIN CERTIFICATE") && !is_on_disk(running.dir.path(), secret));

    let running = running.restart().await;
    let mut frames = running.follow("node=n1&since=0", &node).await;
    let Frame::Snapshot { certificates, .. } = frames.state().await else { panic!("no snapshot") };
    assert_eq!(node.open_key("shop", 1, certificates[0].key.as_ref().unwrap()).unwrap(), opened);
    let api = running.admin();
    api.deploy("app", "1", json!({})).await.ok::<Value>();
    let gone: CertificateChanged = api.call(Method::DELETE, "/v1/certificates/shop", "").await.ok();
    assert_eq!(gone.revision, 3);
    assert!(matches!(frames.state().await, Frame::Change { revision: 2, .. }));
    assert!(matches!(frames.state().await, Frame::Certificate { revision: 3, state: None, .. }));
    api.call(Method::DELETE, "/v1/certificates/shop", "").await.error(404, "certificate-not-found", &["shop"]);
    // Who comes back after all of it hears of each change in the order of revisions.
    let mut late = running.follow("node=n2&since=1", &node).await;
    assert!(matches!(late.state().await, Frame::Change { revision: 2, .. }));
    assert!(matches!(late.state().await, Frame::Certificate { revision: 3, state: None, .. }));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_is_refused_and_the_old_one_stays() {
    let running = Running::new().await;
    let api = running.admin();
    let ((chain, key), (other_chain, other_key)) = (certificate("shop.example"), certificate("other.example"));
    let put = async |name: &str, chain: &str, key: &str| {
        api.put(&format!("/v1/certificates/{name}"), json!({ "chain": chain, "key": key })).await
    };
    put("shop", &chain, &key).await.ok::<Value>();
    for (chain, key, code, word) in [
        (&chain, &other_key, "certificate-key-invalid", "shop.example"),
        (&chain, &chain, "certificate-key-invalid", "no private key"),
        (&key, &key, "certificate-invalid", "no certificate"),
        (&format!("{chain}{other_chain}{other_chain}"), &key, "certificate-invalid", "did not sign"),
        (&"x".repeat(70_000), &key, "certificate-invalid", "65536"),
    ] {
        put("shop", chain, key).await.error(422, code, &[word]);
    }
    put("Shop", &chain, &key).await.error(400, "certificate-name-invalid", &["Shop"]);
    put("acme:shop.example", &chain, &key).await.error(400, "certificate-name-invalid", &["acme:"]);
    let listed: Vec<CertificateInfo> = api.get("/v1/certificates").await.ok();
    assert_eq!((listed.len(), listed[0].revision), (1, 1));
    let renew = async |name: &str| api.call(Method::POST, &format!("/v1/certificates/{name}/renew"), "").await;
    assert_eq!(renew("shop").await.status, StatusCode::CONFLICT);
    renew("acme:shop.example").await.error(409, "acme-off", &["[acme]"]);
}
