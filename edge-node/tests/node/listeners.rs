//! Where connections come from: TLS, proxies, Unix sockets, redirects, the private listener. The clients are curl and
//! openssl.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use atoll_edge_node::{
    CertificateFiles, ClientAuth, Config, EdgeNode, ListenAddress, ListenerConfig, StartError, TlsConfig, TlsVersion,
};
use atoll_runtime::Engine;
use bytes::{Buf, Bytes};
use http::Request;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

use crate::support::{config, node, says};

const ECHO: &str = "export default { async fetch(request) {
    const { url, headers, cf } = request;
    return Response.json({ url, headers: Object.fromEntries(headers), cf });
} };";

/// A certificate authority in a folder, and what it has signed.
pub struct Authority(TempDir);

impl Authority {
    pub async fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let (key, cert) = (this.path("ca.key"), this.path("ca.pem"));
        this.openssl(&["-keyout", &key, "-out", &cert, "-subj", "/CN=Test CA"]).await;
        this
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    async fn openssl(&self, arguments: &[&str]) {
        let fixed =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
        let made = Command::new("openssl").args(fixed).args(arguments).stdin(Stdio::null()).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Signs a certificate for these names, with the files `name.pem` and `name.key`.
    pub async fn sign(&self, name: &str, dns: &[&str]) -> CertificateFiles {
        let (key, cert) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.pem")));
        let names: Vec<String> = dns.iter().map(|dns| format!("DNS:{dns}")).collect();
        let names = format!("subjectAltName={}", names.join(","));
        let subject = format!("/O=Atoll/CN={name}");
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let basic = "basicConstraints=critical,CA:FALSE";
        self.openssl(&[
            "-CA", &ca, "-CAkey", &ca_key, "-keyout", &key, "-out", &cert, "-subj", &subject, "-addext", &names,
            "-addext", basic,
        ])
        .await;
        CertificateFiles { cert: cert.into(), key: key.into() }
    }
}

pub fn tls_config(certificates: Vec<CertificateFiles>) -> TlsConfig {
    TlsConfig { certificates, ..TlsConfig::default() }
}

pub fn listener(tls: Option<TlsConfig>) -> ListenerConfig {
    ListenerConfig { tls, ..ListenerConfig::plain(SocketAddr::from(([127, 0, 0, 1], 0))) }
}

fn listening(listeners: Vec<ListenerConfig>) -> Config {
    Config { listen: None, listeners, ..config() }
}

/// Runs curl; its standard output when it succeeds, else what it says.
pub async fn curl(authority: &Authority, node: &EdgeNode, arguments: &[&str]) -> Result<String, String> {
    let connect = format!("::127.0.0.1:{}", node.local_addr().port());
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "120", "--connect-to", &connect, "--cacert", &authority.path("ca.pem")]);
    let output = command.args(arguments).stdin(Stdio::null()).output().await.unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn curl_json(authority: &Authority, node: &EdgeNode, arguments: &[&str]) -> Value {
    let text = curl(authority, node, arguments).await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What `openssl s_client` says of a handshake.
pub async fn s_client(node: &EdgeNode, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &node.local_addr().to_string()]).args(arguments);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2 by ALPN; apps see the scheme and what was agreed on.
pub async fn serves_tls(engine: Engine) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![authority.sign("echo", &["echo.localhost"]).await]);
    let node = node(listening(vec![listener(Some(tls))]), &engine, &[("echo", ECHO)]).await;
    for (arguments, protocol, version) in [
        (&["--http2"][..], "HTTP/2", "TLSv1.3"),
        (&["--http1.1"], "HTTP/1.1", "TLSv1.3"),
        (&["--http2", "--tls-max", "1.2"], "HTTP/2", "TLSv1.2"),
    ] {
        let seen = curl_json(&authority, &node, &[arguments, &["https://echo.localhost/a?b"]].concat()).await;
        assert_eq!(seen["url"], "https://echo.localhost/a?b");
        assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
        assert_eq!(
            (seen["cf"]["httpProtocol"].as_str(), seen["cf"]["tlsVersion"].as_str()),
            (Some(protocol), Some(version))
        );
        assert!(seen["cf"]["tlsCipher"].as_str().unwrap().starts_with("TLS_"), "{seen}");
        assert_eq!(seen["cf"]["tlsClientAuth"]["certPresented"], "0");
    }
    let refused = curl(&authority, &node, &["http://echo.localhost/"]).await;
    assert!(refused.is_err(), "clear text is no TLS: {refused:?}");
    assert!(node.base_url().starts_with("https://"));
}

/// A ClientHello in records of one byte each is as good as one in a single record; names are compared without case and
/// without a dot at the end, and a name that is none ends the handshake.
pub async fn takes_client_hellos_as_they_come(engine: Engine) {
    let authority = Authority::new().await;
    let certificates =
        vec![authority.sign("first", &["first.localhost"]).await, authority.sign("echo", &["echo.localhost"]).await];
    let node = node(listening(vec![listener(Some(tls_config(certificates)))]), &engine, &[("echo", ECHO)]).await;
    for (name, certificate) in [
        ("echo.localhost", Some("echo")),
        ("ECHO.LocalHost", Some("echo")),
        ("xn--e1afmkfd.localhost", Some("first")),
        ("a..b", None),
        ("\u{e9}cho.localhost", None),
        ("-", None),
    ] {
        let seen = s_client(&node, &["-servername", name]).await;
        match certificate {
            Some(certificate) => assert!(seen.contains(&format!("CN = {certificate}\n")), "{name}: {seen}"),
            None => assert!(!seen.contains("BEGIN CERTIFICATE"), "{name}: {seen}"),
        }
    }

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap()).unwrap();
    let config = Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let mut tls = rustls::ClientConnection::new(config, "echo.localhost".try_into().unwrap()).unwrap();
    tls.writer().write_all(b"GET /a HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let (head, content) = hello.split_at(5);
    let single: Vec<u8> = content.iter().flat_map(|byte| [head[0], head[1], head[2], 0, 1, *byte]).collect();
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream.write_all(&single).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut piece = vec![0; 16 << 10];
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        let mut piece = &piece[..read];
        while !piece.is_empty() {
            tls.read_tls(&mut piece).unwrap();
            tls.process_new_packets().unwrap();
        }
        let mut more = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut more).unwrap();
        }
        stream.write_all(&more).await.unwrap();
        // What there is; more may come.
        let _ = tls.reader().read_to_end(&mut answer);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("https://echo.localhost/a"), "{answer}");

    // A hello that says it is longer than any is, or records without content.
    for wrong in
        [&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff][..], &[22, 3, 1, 0, 0], &[22, 3, 1, 0xff, 0xff], &[21, 3, 1, 0, 0]]
    {
        let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
        // It may be refused before all of it is written.
        let _ = stream.write_all(&wrong.repeat(1000)).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(curl_json(&authority, &node, &["https://echo.localhost/"]).await["url"], "https://echo.localhost/");
}

/// The certificate follows the SNI: exact names, wildcards, else the first; sessions are resumed.
pub async fn chooses_certificates_by_name(engine: Engine) {
    let authority = Authority::new().await;
    let tls = TlsConfig {
        min_version: TlsVersion::V12,
        ..tls_config(vec![
            authority.sign("first", &["first.localhost"]).await,
            authority.sign("wild", &["*.wild.localhost"]).await,
            authority.sign("exact", &["b.localhost"]).await,
        ])
    };
    let node = node(listening(vec![listener(Some(tls))]), &engine, &[]).await;
    for (name, subject) in [
        ("first.localhost", "CN = first"),
        ("a.wild.localhost", "CN = wild"),
        ("b.localhost", "CN = exact"),
        ("unknown.example", "CN = first"),
    ] {
        let said = s_client(&node, &["-servername", name]).await;
        assert!(said.contains(subject), "{name}: {said}");
    }
    let said = s_client(&node, &["-noservername", "-alpn", "h2,http/1.1"]).await;
    assert!(said.contains("CN = first") && said.contains("ALPN protocol: h2"), "{said}");
    let said = s_client(&node, &["-servername", "a.wild.localhost", "-tls1_2", "-reconnect"]).await;
    assert!(said.contains("Reused, TLSv1.2"), "{said}");
}

/// New files are served without a restart; files that cannot be used are named, and the old ones go on.
pub async fn reloads_certificates(engine: Engine) {
    let authority = Authority::new().await;
    let files = authority.sign("old", &["a.localhost"]).await;
    let config = listening(vec![listener(Some(tls_config(vec![files.clone()])))]);
    let node = node(config.clone(), &engine, &[]).await;
    let subject = async || s_client(&node, &["-servername", "a.localhost"]).await;
    assert!(subject().await.contains("CN = old"));
    let new = authority.sign("new", &["a.localhost"]).await;
    std::fs::copy(&new.key, &files.key).unwrap();
    std::fs::copy(&new.cert, &files.cert).unwrap();
    node.reload_certificates();
    assert!(subject().await.contains("CN = new"));

    let other = authority.sign("other", &["a.localhost"]).await;
    let refuse = async |content: Vec<u8>, file: &PathBuf, words: &str| {
        let good = std::fs::read(file).unwrap();
        std::fs::write(file, content).unwrap();
        node.reload_certificates();
        assert!(subject().await.contains("CN = new"), "the old one goes on");
        let error = EdgeNode::start(config.clone(), engine.clone()).await.err().expect("the files cannot be used");
        let message = error.to_string();
        assert!(matches!(error, StartError::Tls(_)), "{message}");
        assert!(message.contains(file.to_str().unwrap()) && message.contains(words), "{message}");
        std::fs::write(file, good).unwrap();
    };
    refuse(b"no certificate".to_vec(), &files.cert, "PEM").await;
    refuse(b"".to_vec(), &files.key, "PEM").await;
    refuse(std::fs::read(&other.key).unwrap(), &files.key, "not the key of the certificate").await;
}

/// The files are watched, too.
pub async fn watches_certificates(engine: Engine) {
    let authority = Authority::new().await;
    let files = authority.sign("old", &["a.localhost"]).await;
    let node = node(listening(vec![listener(Some(tls_config(vec![files.clone()])))]), &engine, &[]).await;
    let new = authority.sign("new", &["a.localhost"]).await;
    std::fs::rename(&new.key, &files.key).unwrap();
    std::fs::rename(&new.cert, &files.cert).unwrap();
    crate::support::eventually("the new certificate is served", async || {
        s_client(&node, &["-servername", "a.localhost"]).await.contains("CN = new")
    })
    .await;
}

/// A client's certificate is checked and told to the app, in a header only when that was asked for.
pub async fn tells_of_client_certificates(engine: Engine) {
    let authority = Authority::new().await;
    let strangers = Authority::new().await;
    let certificates = vec![authority.sign("echo", &["echo.localhost"]).await];
    let client = authority.sign("client", &["client.example"]).await;
    let stranger = strangers.sign("stranger", &["client.example"]).await;
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let tls = TlsConfig {
            client_ca: Some(authority.path("ca.pem").into()),
            client_auth: auth,
            client_cert_header: auth == ClientAuth::Required,
            ..tls_config(certificates.clone())
        };
        let node = node(listening(vec![listener(Some(tls))]), &engine, &[("echo", ECHO)]).await;
        let url = "https://echo.localhost/";
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (cert, key) = (path(&client.cert), path(&client.key));
        let forged = ["-H", "Client-Cert: :Zm9yZ2Vk:"];
        let seen = curl_json(&authority, &node, &[&forged[..], &["--cert", &cert, "--key", &key, url]].concat()).await;
        let told = &seen["cf"]["tlsClientAuth"];
        assert_eq!((told["certPresented"].as_str(), told["certVerified"].as_str()), (Some("1"), Some("SUCCESS")));
        assert_eq!(told["certSubjectDN"], "CN=client,O=Atoll");
        assert_eq!(told["certFingerprintSHA256"].as_str().unwrap().len(), 64);
        let header = seen["headers"]["client-cert"].as_str();
        match auth {
            ClientAuth::Required => assert!(header.is_some_and(|header| header.len() > 100), "{header:?}"),
            _ => assert_eq!(header, None, "forged"),
        }
        let without = curl(&authority, &node, &[url]).await;
        assert_eq!(without.is_ok(), auth == ClientAuth::Optional, "{without:?}");
        let (cert, key) = (path(&stranger.cert), path(&stranger.key));
        assert!(curl(&authority, &node, &["--cert", &cert, "--key", &key, url]).await.is_err());
    }
}

/// A connection for one host does not carry requests for another that its certificate is not for.
pub async fn refuses_misdirected_requests(engine: Engine) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![
        authority.sign("a", &["a.localhost", "b.localhost"]).await,
        authority.sign("c", &["c.localhost"]).await,
    ]);
    let apps = says("hello");
    let apps = [("a", apps.as_str()), ("b", apps.as_str()), ("c", apps.as_str())];
    let node = node(listening(vec![listener(Some(tls))]), &engine, &apps).await;
    for (host, status) in [("a.localhost", "200"), ("b.localhost", "200"), ("c.localhost", "421")] {
        let host = format!("Host: {host}");
        let arguments = ["-H", &host, "-D-", "-w", "%{http_code}", "https://a.localhost/"];
        let got = curl(&authority, &node, &arguments).await.unwrap();
        assert!(got.ends_with(status), "{got}");
        assert!(status == "200" || got.contains("misdirected-request"), "{got}");
    }
}

/// Every request in clear text is sent to https: with its method.
pub async fn redirects_to_https(engine: Engine) {
    let authority = Authority::new().await;
    for (port, location) in [(443, "https://a.localhost/x?y"), (8443, "https://a.localhost:8443/x?y")] {
        let redirecting = ListenerConfig { redirect_https: Some(port), ..listener(None) };
        let node = node(listening(vec![redirecting]), &engine, &[("a", &says("hello"))]).await;
        let got = curl(&authority, &node, &["-D-", "-XPOST", "http://a.localhost/x?y"]).await.unwrap();
        assert!(got.starts_with("HTTP/1.1 308 ") && got.contains(&format!("location: {location}\r\n")), "{got}");
    }
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused before all of them are written.
    let _ = stream.write_all(bytes).await;
    let mut answer = String::new();
    // A connection that is refused may be reset.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// A PROXY header names the client, when it comes from a proxy that may say so.
pub async fn believes_trusted_proxies_only(engine: Engine) {
    let listeners = ["127.0.0.0/8", "10.0.0.0/8"]
        .map(|network| ListenerConfig { proxy_protocol: vec![network.parse().unwrap()], ..listener(None) });
    let node = node(listening(listeners.to_vec()), &engine, &[("echo", ECHO)]).await;
    let [trusting, strict] = [0, 1].map(|at| node.addresses()[at].unwrap());
    let request = "GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n\r\n";
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    second.extend([9, 8, 7, 6, 127, 0, 0, 1, 4, 210, 0, 80]);
    for header in [b"PROXY TCP4 9.8.7.6 127.0.0.1 1234 80\r\n".to_vec(), second] {
        let answer = exchange(trusting, &[header, request.into()].concat()).await;
        assert!(answer.contains("\"clientAddress\":\"9.8.7.6\""), "{answer}");
        assert!(answer.contains("\"x-forwarded-for\":\"9.8.7.6\""), "{answer}");
    }
    // With as many options as are read, which are overlooked whatever they say, and as a proxy's own connection.
    let version_2 = |command: u8, length: usize, options: &[u8]| {
        let addresses = [9, 8, 7, 6, 127, 0, 0, 1, 4, 210, 0, 80];
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11], &length, &addresses, options, request.as_bytes()].concat()
    };
    for options in [[4, 0, 0].repeat(1361), [[0xff; 4083].to_vec(), vec![1]].concat()] {
        let answer = exchange(trusting, &version_2(0x21, 12 + options.len(), &options)).await;
        assert!(answer.contains("\"clientAddress\":\"9.8.7.6\""), "{answer}");
    }
    let own = exchange(trusting, &version_2(0x20, 12, b"")).await;
    assert!(own.contains("\"clientAddress\":\"127.0.0.1\""), "{own}");
    for wrong in [
        version_2(0x21, 4097, &[0; 4085]),
        version_2(0x21, 65_535, &[0; 65_523]),
        version_2(0x21, 11, b""),
        version_2(0x11, 12, b""),
        version_2(0x22, 12, b""),
        b"PROXY TCP4 9.8.7.6 127.0.0.1 1234 80".repeat(9),
        b"PROXY TCP4 9.8.7.6\r\n".to_vec(),
    ] {
        assert_eq!(exchange(trusting, &wrong).await, "", "{:?}", &wrong[..20]);
    }
    // A length that is too short leaves options where a request should begin.
    assert!(exchange(trusting, &version_2(0x21, 12, &[4, 0, 9, 0])).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(exchange(trusting, request.as_bytes()).await, "", "a proxy has to say who the client is");
    assert_eq!(exchange(trusting, b"PROXY TCP4 nonsense\r\n").await, "");
    let forged = format!("PROXY TCP4 9.8.7.6 127.0.0.1 1234 80\r\n{request}");
    assert!(exchange(strict, forged.as_bytes()).await.starts_with("HTTP/1.1 400 "), "a stranger may not");
    let plain = exchange(strict, request.as_bytes()).await;
    assert!(plain.contains("\"clientAddress\":\"127.0.0.1\""), "{plain}");
}

/// Unix sockets, IPv6, and several sockets on one port; what a process left behind is no obstacle.
pub async fn listens_on_every_kind_of_address(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edge.sock");
    let unix = ListenerConfig { address: ListenAddress::Unix(path.clone()), ..listener(None) };
    let many = ListenerConfig { sockets: 4, ..listener(None) };
    let mut config = listening(vec![unix, many]);
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if has_ipv6 {
        config.listeners.push(ListenerConfig::plain("[::1]:0".parse().unwrap()));
    }
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let node = node(config, &engine, &[("echo", ECHO)]).await;
    let request = "GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n\r\n";
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(node.addresses()[0], None);
    for address in node.addresses().iter().flatten() {
        for _ in 0..8 {
            assert!(exchange(*address, request.as_bytes()).await.starts_with("HTTP/1.1 200 "));
        }
    }
    assert_eq!(node.addresses().iter().flatten().count(), if has_ipv6 { 2 } else { 1 });
}

/// The private listener says whether the node lives and is ready.
pub async fn tells_health_on_a_private_listener(engine: Engine) {
    let config = Config { private_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..config() };
    let node = node(config, &engine, &[]).await;
    let address = node.private_addr().unwrap();
    let ask = async |path: &str| {
        exchange(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await
    };
    assert!(ask("/healthz").await.ends_with("alive\n"));
    let ready = ask("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("ready\n"), "{ready}");
    assert!(ask("/").await.starts_with("HTTP/1.1 404 "));
}

/// A client that speaks HTTP/3 to a node.
pub async fn http3(authority: &Authority, address: SocketAddr, host: &str) -> (quinn::Connection, Http3) {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority.path("ca.pem")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut tls = tls.unwrap().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    let quic = endpoint.connect(address, host).unwrap().await.unwrap();
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
    tokio::spawn(async move { driver.wait_idle().await });
    (quic, sender)
}

pub type Http3 = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// Sends a request with a body in two pieces; status, headers and body of the answer.
async fn ask3(sender: &mut Http3, request: Request<()>, body: &[&str]) -> (u16, http::HeaderMap, String) {
    let mut stream = sender.send_request(request).await.unwrap();
    for piece in body {
        stream.send_data(Bytes::copy_from_slice(piece.as_bytes())).await.unwrap();
    }
    stream.finish().await.unwrap();
    let (parts, ()) = stream.recv_response().await.unwrap().into_parts();
    let mut text = Vec::new();
    while let Some(mut data) = stream.recv_data().await.unwrap() {
        text.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    (parts.status.as_u16(), parts.headers, String::from_utf8(text).unwrap())
}

/// HTTP/3 is announced over TCP and does what HTTP/2 does: methods, bodies, errors, limits, many requests at once.
pub async fn serves_http3(engine: Engine) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![authority.sign("a", &["a.localhost", "b.localhost"]).await]);
    let code = "export default { async fetch(request) {
        const { method, url, cf } = request;
        const body = request.body === null ? null : await request.text();
        return Response.json({ method, url, cf, body });
    } };";
    let mut config = listening(vec![ListenerConfig { http3: true, ..listener(Some(tls)) }]);
    config.limits.request_body_bytes = 1000;
    let node = node(config, &engine, &[("a", code)]).await;
    let told = curl(&authority, &node, &["-D-", "-o/dev/null", "https://a.localhost/"]).await.unwrap();
    let port = node.local_addr().port();
    assert!(told.contains(&format!("alt-svc: h3=\":{port}\"; ma=86400")), "{told}");

    let (_quic, sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let get = |path: &str| Request::get(format!("https://a.localhost{path}")).body(()).unwrap();
    let post = || Request::post("https://a.localhost/p").body(()).unwrap();
    let (status, headers, body) = ask3(&mut sender.clone(), get("/x?y"), &[]).await;
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, seen["url"].as_str(), seen["body"].is_null()), (200, Some("https://a.localhost/x?y"), true));
    assert_eq!(
        (seen["cf"]["httpProtocol"].as_str(), seen["cf"]["tlsVersion"].as_str()),
        (Some("HTTP/3"), Some("TLSv1.3"))
    );
    assert_eq!(headers["content-length"], body.len().to_string());
    assert!(headers.contains_key("date") && headers.contains_key("alt-svc"));
    let (status, _, body) = ask3(&mut sender.clone(), post(), &["one ", "two"]).await;
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()["body"].as_str()), (200, Some("one two")));
    let (status, headers, _) = ask3(&mut sender.clone(), post(), &[&"a".repeat(2000)]).await;
    assert_eq!((status, headers["atoll-error"].to_str().unwrap()), (413, "body-too-large"));
    let misdirected = Request::get("https://other.localhost/").body(()).unwrap();
    assert_eq!(ask3(&mut sender.clone(), misdirected, &[]).await.0, 421);
    let nobody = Request::get("https://b.localhost/").body(()).unwrap();
    assert_eq!(ask3(&mut sender.clone(), nobody, &[]).await.0, 404);
    let many = (0..50).map(|at| {
        let (mut sender, request) = (sender.clone(), get(&format!("/{at}")));
        async move { ask3(&mut sender, request, &[]).await.0 }
    });
    assert!(futures::future::join_all(many).await.into_iter().all(|status| status == 200));
}

/// A draining node answers what is under way over HTTP/3, too.
pub async fn finishes_http3_requests_when_draining(engine: Engine) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![authority.sign("a", &["a.localhost"]).await]);
    let code = "export default { async fetch() {
        console.log('here');
        await new Promise((resolve) => setTimeout(resolve, 300));
        return new Response('late');
    } };";
    let config = listening(vec![ListenerConfig { http3: true, ..listener(Some(tls)) }]);
    let node = node(config, &engine, &[("a", code)]).await;
    let (_quic, sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let mut logs = node.logs();
    let pending = tokio::spawn(async move {
        let request = Request::get("https://a.localhost/").body(()).unwrap();
        ask3(&mut sender.clone(), request, &[]).await
    });
    while logs.recv().await.unwrap().message != "here" {}
    assert!(node.shutdown(Duration::from_secs(60)).await, "drained");
    assert_eq!(pending.await.unwrap().2, "late");
}

/// The app behind the name of a TLS client has its isolate before the client has asked for anything.
pub async fn starts_isolates_at_the_client_hello(engine: Engine) {
    let authority = Authority::new().await;
    let tls = tls_config(vec![authority.sign("a", &["a.localhost"]).await]);
    let node = node(listening(vec![listener(Some(tls))]), &engine, &[("a", &says("hello"))]).await;
    assert_eq!(node.live_isolates(), 0);
    s_client(&node, &["-servername", "unknown.localhost"]).await;
    assert_eq!(node.live_isolates(), 0);
    s_client(&node, &["-servername", "a.localhost"]).await;
    crate::support::eventually("an isolate lives", async || node.live_isolates() == 1).await;
}
