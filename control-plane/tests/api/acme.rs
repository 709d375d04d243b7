//! Certificates by ACME from a real authority, with a node that does nothing but answer challenges.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use atoll_control_plane::AcmeConfig;
use atoll_protocol::api::Scope;
use atoll_protocol::certificates::{CHALLENGE_PATH, CertificateInfo, CertificateSource, CertificateState};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::sync::Frame;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::pebble::Pebble;
use crate::support::{Api, Running, until};

#[derive(Clone, Default)]
struct Known(Arc<Mutex<HashMap<String, CertificateState>>>);

impl Known {
    fn answer(&self, host: &str, path: &str) -> Option<String> {
        let token = path.strip_prefix(CHALLENGE_PATH)?;
        if host == "elsewhere.example" {
            return None;
        }
        let known = self.0.lock().unwrap();
        let mut challenges = known.values().flat_map(|state| &state.challenges);
        challenges.find(|known| known.host == host && known.token == token).map(|known| known.answer.clone())
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let known = self.clone();
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let host = request.headers()["host"].to_str().unwrap().split(':').next().unwrap().to_owned();
                let answer = known.answer(&host, request.uri().path());
                let status = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                let body = Full::new(bytes::Bytes::from(answer.unwrap_or_default()));
                async move { Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap()) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    /// Follows the control plane and reports what it has.
    async fn follow(self, running: &Running, key: NodeKey) -> tokio::task::JoinHandle<NodeKey> {
        let mut frames = running.follow("node=n1&since=0", &key).await;
        let reports = running.scoped(Scope::Node).await;
        tokio::spawn(async move {
            while let Some(frame) = frames.any().await {
                let revision = match frame {
                    Frame::Snapshot { revision, certificates, .. } => {
                        let named = certificates.into_iter().map(|state| (state.name.clone(), state));
                        *self.0.lock().unwrap() = named.collect();
                        revision
                    }
                    Frame::Certificate { revision, name, state } => {
                        match state {
                            Some(state) => self.0.lock().unwrap().insert(name, *state),
                            None => self.0.lock().unwrap().remove(&name),
                        };
                        revision
                    }
                    Frame::Change { revision, .. } => revision,
                    Frame::Heartbeat { .. } | Frame::Tail { .. } => continue,
                };
                reports.report("n1", revision).await;
            }
            key
        })
    }
}

async fn listed(api: &Api, name: &str) -> Option<CertificateInfo> {
    let listed: Vec<CertificateInfo> = api.get("/v1/certificates").await.ok();
    listed.into_iter().find(|info| info.name == name)
}

async fn issued(api: &Api, name: &str, but: Option<&str>) -> CertificateInfo {
    until("a certificate is issued", async || {
        let info = listed(api, name).await?;
        let fingerprint = info.facts.as_ref()?.fingerprint.clone();
        (Some(fingerprint.as_str()) != but).then_some(info)
    })
    .await
}

fn acme(pebble: &Pebble) -> AcmeConfig {
    AcmeConfig {
        directory: pebble.directory(),
        contact: Some("mailto:ops@shop.example".into()),
        terms_agreed: true,
        roots: Some(pebble.ca()),
        challenge: Default::default(),
        hosts: Vec::new(),
    }
}

#[tokio::test]
async fn a_route_gets_a_certificate_which_is_renewed_and_a_refusal_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let Some(pebble) = Pebble::start(address.port(), 1, 90 * 86_400) else { return };
    let running = Running::with(|config| config.acme = Some(acme(&pebble))).await;
    let api = running.admin();
    let known = Known::default();
    tokio::spawn(known.clone().serve(listener));
    let node = known.clone().follow(&running, NodeKey::generate().unwrap()).await;

    let routes = json!({ "routes": ["shop.example/*", "*.wild.example/*"] });
    api.deploy("shop", "1", routes).await.ok::<Value>();
    let first = issued(&api, "acme:shop.example", None).await;
    let facts = first.facts.unwrap();
    assert_eq!(
        (first.source, facts.names.as_slice()),
        (CertificateSource::Acme, ["shop.example".to_owned()].as_slice())
    );
    assert!(facts.issuer.contains("Pebble"), "{}", facts.issuer);
    let renewal = until("the order is done", async || {
        let renewal = listed(&api, "acme:shop.example").await?.renewal?;
        (!renewal.ordered).then_some(renewal)
    })
    .await;
    let (next, life) = (renewal.next.unwrap(), facts.not_after - facts.not_before);
    assert!((facts.not_before + life / 2..=facts.not_before + life / 3 * 2).contains(&next));
    assert_eq!((renewal.failures, renewal.problem), (0, None));
    assert!(listed(&api, "acme:wild.example").await.is_none());
    let served = until("the node has it", async || {
        let known = known.0.lock().unwrap();
        known.get("acme:shop.example").filter(|state| state.chain.is_some() && state.challenges.is_empty()).cloned()
    })
    .await;

    let renewed = api.call(Method::POST, "/v1/certificates/acme:shop.example/renew", "").await;
    assert_eq!(renewed.status, StatusCode::ACCEPTED, "{renewed:?}");
    issued(&api, "acme:shop.example", Some(&facts.fingerprint)).await;

    // A name that does not lead to the nodes.
    api.deploy("bad", "1", json!({ "routes": ["elsewhere.example/"] })).await.ok::<Value>();
    let refused = until("the refusal is told", async || {
        listed(&api, "acme:elsewhere.example").await?.renewal.filter(|renewal| renewal.problem.is_some())
    })
    .await;
    assert!(refused.problem.as_ref().unwrap().starts_with("unauthorized: "), "{refused:?}");
    assert!(refused.failures == 1 && refused.next.is_some() && !refused.ordered, "{refused:?}");
    let missing = api.call(Method::POST, "/v1/certificates/acme:other.example/renew", "").await;
    missing.error(404, "certificate-not-found", &["other.example"]);

    running.plane.shutdown(crate::support::DEADLINE).await;
    let key = node.await.unwrap();
    let opened = key.open_key(&served.name, served.revision, served.key.as_ref().unwrap()).unwrap();
    assert!(opened.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_expires() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let Some(pebble) = Pebble::start(listener.local_addr().unwrap().port(), 1, 20) else { return };
    let running = Running::with(|config| config.acme = Some(acme(&pebble))).await;
    let api = running.admin();
    let known = Known::default();
    tokio::spawn(known.clone().serve(listener));
    let _node = known.follow(&running, NodeKey::generate().unwrap()).await;
    api.deploy("shop", "1", json!({ "routes": ["shop.example/"] })).await.ok::<Value>();
    let first = issued(&api, "acme:shop.example", None).await.facts.unwrap();
    let next = issued(&api, "acme:shop.example", Some(&first.fingerprint)).await.facts.unwrap();
    let life = first.not_after - first.not_before;
    assert!(next.not_before >= first.not_before + life / 2 && next.not_after > first.not_after, "{first:?} {next:?}");
}
