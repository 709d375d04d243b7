//! A control plane as a node sees it, which says whatever a test wants it to say.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use atoll_bundle::BundleHash;
use atoll_edge_node::{Config, ControlPlaneConfig, Secret};
use atoll_protocol::api::{CronClaims, CronGrants, LogLine, NodeReport};
use atoll_protocol::seal::NodePublicKey;
use atoll_protocol::signing::SigningKey;
use atoll_protocol::sync::{AppState, Frame, SignedFrame};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support;

type Body = StreamBody<BoxStream<'static, Result<BodyFrame<Bytes>, Infallible>>>;

/// What a node has asked for and told.
#[derive(Default)]
struct Seen {
    syncs: Vec<String>,
    reports: Vec<NodeReport>,
    logs: Vec<LogLine>,
    /// Who has a due time of a cron.
    crons: HashMap<(String, String, u64), String>,
}

struct Shared {
    key: SigningKey,
    bundles: Mutex<HashMap<String, Bytes>>,
    assets: Mutex<HashMap<String, Bytes>>,
    /// What a new stream begins with.
    opening: Mutex<Vec<SignedFrame>>,
    streams: Mutex<Vec<mpsc::Sender<SignedFrame>>>,
    seen: Mutex<Seen>,
}

/// The control plane. Its address stays the same over [`stop`](Self::stop) and [`start`](Self::start).
pub struct Plane {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Plane {
    /// A control plane that serves.
    pub async fn new() -> Self {
        let shared = Shared {
            key: SigningKey::generate().expect("a key"),
            bundles: Mutex::default(),
            assets: Mutex::default(),
            opening: Mutex::default(),
            streams: Mutex::default(),
            seen: Mutex::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let plane = Self { shared: Arc::new(shared), address, stop: CancellationToken::new() };
        plane.serve(listener);
        plane
    }

    fn serve(&self, listener: TcpListener) {
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stop.cancelled() => break,
                };
                let shared = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(shared.clone(), request));
                    let io = TokioIo::new(accepted.expect("a connection").0);
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(io, service).await;
                });
            }
            connections.shutdown().await;
        });
    }

    /// Is gone, with all its connections.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.shared.streams.lock().unwrap().clear();
        support::eventually("the port is free", async || TcpListener::bind(self.address).await.is_ok()).await;
    }

    /// Is back.
    pub async fn start(&mut self) {
        self.stop = CancellationToken::new();
        // The system may have given the port away for a moment.
        let mut listener = None;
        support::eventually("the same port", async || {
            listener = TcpListener::bind(self.address).await.ok();
            listener.is_some()
        })
        .await;
        self.serve(listener.expect("a listener"));
    }

    /// The configuration of a node that follows this control plane and keeps its data in `dir`.
    pub fn config(&self, dir: &Path) -> Config {
        let control_plane = ControlPlaneConfig {
            url: format!("http://{}", self.address),
            key: self.shared.key.public_key(),
            token: Some(Secret("atoll_test".into())),
            token_file: None,
            silence_ms: 120_000,
        };
        Config { data_dir: Some(dir.into()), control_plane: Some(control_plane), ..support::config() }
    }

    /// Holds the code, under the hash it should have.
    pub fn upload(&self, code: &str) {
        let (archive, hash) = support::bundle(code).pack();
        self.shared.bundles.lock().unwrap().insert(hash.to_string(), archive);
    }

    /// Holds static files, or others, under these hashes.
    pub fn upload_assets(&self, assets: impl IntoIterator<Item = (BundleHash, Bytes)>) {
        let assets = assets.into_iter().map(|(hash, bytes)| (hash.to_string(), bytes));
        self.shared.assets.lock().unwrap().extend(assets);
    }

    /// Holds other code under a hash.
    pub fn upload_wrong(&self, code: &str, instead: &str) {
        let (archive, _) = support::bundle(instead).pack();
        self.shared.bundles.lock().unwrap().insert(support::hash(code).to_string(), archive);
    }

    /// Begins new streams with a snapshot.
    pub fn opens_with(&self, revision: u64, apps: Vec<AppState>) {
        let frame = Frame::Snapshot { history: "test".into(), revision, apps, certificates: Vec::new() };
        *self.shared.opening.lock().unwrap() = vec![SignedFrame::sign(&self.shared.key, &frame)];
    }

    /// Begins new streams with nothing.
    pub fn opens_with_nothing(&self) {
        self.shared.opening.lock().unwrap().clear();
    }

    /// Says something on the open streams.
    pub async fn says(&self, frame: Frame) {
        self.says_signed(SignedFrame::sign(&self.shared.key, &frame)).await;
    }

    /// Says something that is signed with whatever key.
    pub async fn says_signed(&self, frame: SignedFrame) {
        let streams = self.shared.streams.lock().unwrap().clone();
        for stream in streams {
            let _ = stream.send(frame.clone()).await;
        }
    }

    /// An app changed.
    pub async fn changes(&self, revision: u64, app: AppState) {
        let state = Some(Box::new(app.clone()));
        self.says(Frame::Change { revision, app: app.name, state }).await;
    }

    /// The queries of the streams that were opened.
    pub fn syncs(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().syncs.clone()
    }

    /// The last report.
    pub fn report(&self) -> Option<NodeReport> {
        self.shared.seen.lock().unwrap().reports.last().cloned()
    }

    /// All log lines.
    pub fn logs(&self) -> Vec<LogLine> {
        self.shared.seen.lock().unwrap().logs.clone()
    }

    /// Which due times of crons nodes have asked for.
    pub fn crons(&self) -> Vec<(String, String, u64)> {
        self.shared.seen.lock().unwrap().crons.keys().cloned().collect()
    }

    /// The key that the node sent with its last stream.
    pub fn node_key(&self) -> Option<NodePublicKey> {
        let query = self.syncs().pop()?;
        let key = query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
        key.parse().ok()
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    assert_eq!(request.headers()["authorization"], "Bearer atoll_test");
    // A node that goes away leaves requests half sent.
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    if path == "/v1/sync" {
        let (sender, receiver) = mpsc::channel(64);
        shared.seen.lock().unwrap().syncs.push(query);
        for frame in shared.opening.lock().unwrap().iter() {
            sender.try_send(frame.clone()).expect("room");
        }
        shared.streams.lock().unwrap().push(sender);
        let lines = futures::stream::unfold(receiver, async |mut receiver| {
            let frame = receiver.recv().await?;
            let line = serde_json::to_string(&frame).expect("JSON") + "\n";
            Some((Ok(BodyFrame::data(Bytes::from(line))), receiver))
        });
        return Ok(Response::new(StreamBody::new(lines.boxed())));
    }
    let (status, content) = if let Some(hash) = path.strip_prefix("/v1/bundles/") {
        match shared.bundles.lock().unwrap().get(hash) {
            Some(archive) => (StatusCode::OK, archive.clone()),
            None => (StatusCode::NOT_FOUND, Bytes::new()),
        }
    } else if let Some(hash) = path.strip_prefix("/v1/assets/") {
        match shared.assets.lock().unwrap().get(hash) {
            Some(content) => (StatusCode::OK, content.clone()),
            None => (StatusCode::NOT_FOUND, Bytes::new()),
        }
    } else if path.ends_with("/report") {
        if let Ok(body) = body {
            let report = serde_json::from_slice(&body).expect("a report");
            shared.seen.lock().unwrap().reports.push(report);
        }
        (StatusCode::NO_CONTENT, Bytes::new())
    } else if path.ends_with("/crons") {
        let request: CronClaims = serde_json::from_slice(&body.unwrap_or_default()).expect("claims");
        let mut seen = shared.seen.lock().unwrap();
        let granted = request.claims.into_iter().map(|claim| {
            let owner = seen.crons.entry((claim.app, claim.cron, claim.due)).or_insert(request.holder.clone());
            *owner == request.holder
        });
        let grants = CronGrants { granted: granted.collect() };
        (StatusCode::OK, serde_json::to_vec(&grants).expect("JSON").into())
    } else {
        assert!(path.ends_with("/logs"), "{path}");
        if let Ok(body) = body {
            let lines: Vec<LogLine> = serde_json::from_slice(&body).expect("log lines");
            shared.seen.lock().unwrap().logs.extend(lines);
        }
        (StatusCode::NO_CONTENT, Bytes::new())
    };
    let frames = futures::stream::iter([Ok(BodyFrame::data(content))]).boxed();
    let mut response = Response::new(StreamBody::new(frames));
    *response.status_mut() = status;
    Ok(response)
}
