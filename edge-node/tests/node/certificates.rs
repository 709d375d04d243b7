//! Certificates from the control plane: served by name beside those of files, kept on disk, swapped under load.

use std::path::Path;
use std::time::Duration;

use atoll_edge_node::{CertificateFiles, Config, EdgeNode, ListenerConfig, TlsConfig};
use atoll_protocol::certificates::{CertificateState, Challenge, ChallengeKind};
use atoll_protocol::seal::seal_key;
use atoll_protocol::sync::Frame;
use atoll_runtime::Engine;

use crate::listeners::{Authority, curl, listener, s_client, tls_config};
use crate::plane::Plane;
use crate::support::{app, eventually, says};

fn config(plane: &Plane, dir: &Path, listeners: Vec<ListenerConfig>) -> Config {
    Config { listen: None, listeners, ..plane.config(dir) }
}

/// A node that serves TLS with these files, and the app `shop` at two hosts.
async fn started(plane: &Plane, dir: &Path, files: Vec<CertificateFiles>, engine: &Engine) -> EdgeNode {
    let config = config(plane, dir, vec![listener(Some(tls_config(files)))]);
    EdgeNode::start(config, engine.clone()).await.expect("the node starts")
}

fn opens_with_an_app(plane: &Plane) {
    let code = says("hello");
    plane.upload(&code);
    let mut shop = app("shop", 1, &code);
    shop.routes = vec!["shop.example".into(), "a.shop.example".into()];
    plane.opens_with(1, vec![shop]);
}

/// The certificate in these files, as the control plane sends it to the node that follows it.
fn state(plane: &Plane, name: &str, revision: u64, files: &CertificateFiles) -> CertificateState {
    let key = std::fs::read_to_string(&files.key).unwrap();
    CertificateState {
        name: name.into(),
        revision,
        chain: Some(std::fs::read_to_string(&files.cert).unwrap()),
        key: Some(seal_key(&plane.node_key().unwrap(), name, revision, &key).unwrap()),
        challenges: Vec::new(),
    }
}

async fn sends(plane: &Plane, node: &EdgeNode, state: CertificateState) {
    let (revision, name) = (state.revision, state.name.clone());
    plane.says(Frame::Certificate { revision, name, state: Some(Box::new(state)) }).await;
    node.applied(revision).await;
}

/// The subject of the certificate that a client is shown, and what it is answered; else why it has no connection.
async fn shown(authority: &Authority, node: &EdgeNode, host: &str) -> Result<String, String> {
    let url = format!("https://{host}/");
    let said = curl(authority, node, &["-v", "--stderr", "-", &url]).await?;
    let subject = said.lines().find_map(|line| line.trim_start_matches(['*', ' ']).strip_prefix("subject: "));
    Ok(subject.unwrap_or_default().to_owned())
}

/// A listener without files serves what the control plane sends; files come first; a change ends no connection; all of it
/// is there after a restart without the control plane, and the key is on the disk sealed only.
pub async fn serves_what_the_control_plane_sends(engine: Engine) {
    let authority = Authority::new().await;
    let mut plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    opens_with_an_app(&plane);
    let node = started(&plane, dir.path(), Vec::new(), &engine).await;
    node.applied(1).await;
    assert!(shown(&authority, &node, "shop.example").await.is_err(), "there is no certificate yet");

    let first = authority.sign("first", &["shop.example"]).await;
    sends(&plane, &node, state(&plane, "shop", 2, &first)).await;
    assert!(shown(&authority, &node, "shop.example").await.unwrap().contains("CN=first"));
    assert!(shown(&authority, &node, "a.shop.example").await.is_err(), "a name that nothing is for");
    let wild = authority.sign("wild", &["*.shop.example"]).await;
    sends(&plane, &node, state(&plane, "wild", 3, &wild)).await;
    assert!(shown(&authority, &node, "a.shop.example").await.unwrap().contains("CN=wild"));

    let address = node.local_addr();
    let mut roots = rustls::RootCertStore::empty();
    let ca = std::fs::read(first.cert.with_file_name("ca.pem")).unwrap();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
    let tls = tls.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls));
    let stream = connector.connect("shop.example".try_into().unwrap(), stream).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = || http::Request::builder().uri("/").header("host", "shop.example").body(String::new()).unwrap();
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    let second = authority.sign("second", &["shop.example"]).await;
    sends(&plane, &node, state(&plane, "shop", 4, &second)).await;
    assert!(shown(&authority, &node, "shop.example").await.unwrap().contains("CN=second"));
    sender.ready().await.unwrap();
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200, "the connection goes on");
    drop(sender);

    plane.stop().await;
    assert!(node.shutdown(Duration::from_secs(60)).await);
    let secret = std::fs::read_to_string(&second.key).unwrap().lines().nth(1).unwrap().to_owned();
    for entry in std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let text = std::fs::read(&entry).unwrap();
        assert!(!text.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", entry.display());
    }
    let file = authority.sign("file", &["a.shop.example"]).await;
    let node = started(&plane, dir.path(), vec![file], &engine).await;
    node.ready().await;
    assert!(shown(&authority, &node, "shop.example").await.unwrap().contains("CN=second"));
    assert!(shown(&authority, &node, "a.shop.example").await.unwrap().contains("CN=file"), "files win");

    plane.opens_with_nothing();
    plane.start().await;
    eventually("the stream is open again", async || plane.syncs().len() >= 2).await;
    assert!(plane.syncs().last().unwrap().contains("since=4"), "{:?}", plane.syncs());
    eventually("a deletion is heard of", async || {
        plane.says(Frame::Certificate { revision: 5, name: "shop".into(), state: None }).await;
        // What is left is the first of the files, which is for another name.
        shown(&authority, &node, "shop.example").await.is_err()
    })
    .await;
}

/// A certificate that does not open or is none is reported, and what was there serves on.
pub async fn keeps_the_certificate_before_one_it_cannot_serve(engine: Engine) {
    let authority = Authority::new().await;
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    opens_with_an_app(&plane);
    let node = started(&plane, dir.path(), Vec::new(), &engine).await;
    node.applied(1).await;
    let (good, other) =
        (authority.sign("good", &["shop.example"]).await, authority.sign("other", &["x.example"]).await);
    sends(&plane, &node, state(&plane, "shop", 2, &good)).await;
    let mixed = CertificateFiles { cert: good.cert.clone(), key: other.key };
    let mut moved = state(&plane, "shop", 4, &good);
    moved.revision = 5;
    for (bad, words) in [
        (state(&plane, "shop", 3, &mixed), "not that of the certificate"),
        (moved, "was not sealed for this node"),
        (CertificateState { key: None, ..state(&plane, "shop", 6, &good) }, "did not come with it"),
    ] {
        let revision = bad.revision;
        sends(&plane, &node, bad).await;
        assert!(shown(&authority, &node, "shop.example").await.unwrap().contains("CN=good"), "{words}");
        eventually("it is reported", async || {
            let report = plane.report().filter(|report| report.revision == revision);
            report.is_some_and(|report| report.certificate_failures.get("shop").is_some_and(|why| why.contains(words)))
        })
        .await;
    }
    sends(&plane, &node, state(&plane, "shop", 7, &good)).await;
    eventually("it is mended", async || {
        plane.report().is_some_and(|report| report.revision == 7 && report.certificate_failures.is_empty())
    })
    .await;
}

/// Challenges of a handshake are answered with a certificate of their own, to nobody but who asks for it.
pub async fn answers_challenges_in_handshakes(engine: Engine) {
    let authority = Authority::new().await;
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    opens_with_an_app(&plane);
    let file = authority.sign("file", &["new.example"]).await;
    let node = started(&plane, dir.path(), vec![file], &engine).await;
    node.applied(1).await;
    let ask = async |protocol: &str| {
        let said = s_client(&node, &["-servername", "new.example", "-alpn", protocol]).await;
        let path = dir.path().join("said");
        std::fs::write(&path, said).unwrap();
        let mut reader = tokio::process::Command::new("openssl");
        let output = reader.args(["x509", "-noout", "-text", "-in"]).arg(&path).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // id-pe-acmeIdentifier (RFC 8737 §6.1).
    let answers = |text: &str| text.contains("1.3.6.1.5.5.7.1.31: critical") && text.contains("DNS:new.example");
    assert_eq!(ask("acme-tls/1").await, "", "there is no challenge");
    let (name, answer) = ("acme:new.example".to_owned(), "tok.print".to_owned());
    let challenge =
        Challenge { kind: ChallengeKind::TlsAlpn01, host: "new.example".into(), token: "tok".into(), answer };
    let pending = CertificateState { name, revision: 2, chain: None, key: None, challenges: vec![challenge] };
    sends(&plane, &node, pending.clone()).await;
    assert!(answers(&ask("acme-tls/1").await));
    let other = ask("http/1.1").await;
    assert!(other.contains("CN = file") && !answers(&other), "{other}");
    sends(&plane, &node, CertificateState { revision: 3, challenges: Vec::new(), ..pending }).await;
    assert_eq!(ask("acme-tls/1").await, "", "it is over");
}

/// Challenges are answered on every listener, before redirects and routes, and only while they are under way.
pub async fn answers_challenges_before_anything_else(engine: Engine) {
    let authority = Authority::new().await;
    let plane = Plane::new().await;
    let dir = tempfile::tempdir().unwrap();
    opens_with_an_app(&plane);
    let plain = ListenerConfig { redirect_https: Some(443), ..listener(None) };
    let config = config(&plane, dir.path(), vec![plain, listener(Some(TlsConfig::default()))]);
    let node = EdgeNode::start(config, engine.clone()).await.expect("the node starts");
    node.applied(1).await;
    let challenge = Challenge {
        host: "new.example".into(),
        kind: Default::default(),
        token: "tok".into(),
        answer: "tok.print".into(),
    };
    let pending = |revision, challenges| CertificateState {
        name: "acme:new.example".into(),
        revision,
        chain: None,
        key: None,
        challenges,
    };
    let ask = async |url: &str, more: &[&str]| {
        let arguments = [&["-w", "\n%{http_code} %{content_type}"], more, &[url]].concat();
        curl(&authority, &node, &arguments).await.unwrap()
    };
    let url = "http://new.example/.well-known/acme-challenge/tok";
    assert!(ask(url, &[]).await.ends_with("308 "), "like any other request");
    sends(&plane, &node, pending(2, vec![challenge])).await;
    assert_eq!(ask(url, &[]).await, "tok.print\n200 application/octet-stream");
    assert!(ask(url, &["--head"]).await.contains("content-length: 9"));
    assert!(ask("http://other.example/.well-known/acme-challenge/tok", &[]).await.ends_with("308 "));
    for token in ["other", "", "tok/", "t%6fk", "TOK", "..%2ftok", "./tok", "tok%00", "x/../tok", "tok;a"] {
        let url = format!("http://new.example/.well-known/acme-challenge/{token}");
        assert!(ask(&url, &["--path-as-is"]).await.ends_with("308 "), "{token}");
    }
    sends(&plane, &node, pending(3, vec![])).await;
    assert!(ask(url, &[]).await.ends_with("308 "));
}
