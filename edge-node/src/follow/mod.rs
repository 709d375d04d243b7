//! Following the control plane: frames in, bundles fetched, state kept on disk, then served and reported.
//!
//! The order is the guarantee: nothing is served before it is on disk, nothing is on disk before all it needs is there,
//! and nothing is believed that the control plane did not sign. Whatever fails, what was served before is served on.

mod backoff;
pub mod client;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use atoll_bundle::BundleHash;
use atoll_protocol::seal::{NodeKey, SealError};
use atoll_protocol::signing::{FrameError, PublicKey};
use atoll_protocol::sync::{AppState, Frame, SignedFrame};
use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::backoff::Backoff;
use self::client::{ClientError, ControlPlaneClient, FrameStream};
pub use self::report::{forward_logs, report};
use crate::assets::{AssetStore, AssetUnavailable};
use crate::base::Kept;
use crate::bundles::{BundleStore, BundleUnavailable, off_thread};
use crate::certificates::{self, ControlledCertificates};
use crate::disk::{DataDir, DiskError};
use crate::logs::Logs;
use crate::saved::{OutOfOrder, SavedState};
use crate::source::Source;
use crate::state::{Opener, Serving};

/// Apps brought up at once: mostly their bundles are waited for, from the control plane and until they are on disk.
const PARALLEL: usize = 32;
/// Changes that are brought up together, at most.
const TOGETHER: usize = 1024;
/// Up to so many apps brought up at once, their code is kept in memory as well: they are likely to be called soon.
const FEW: usize = 64;
/// Between tries to bring up an app that could not be brought up.
const RETRY: Duration = Duration::from_secs(5);

/// What the node tells of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The state is one that can be served: it came from disk or from the control plane.
    pub ready: bool,
    /// The revision that is served.
    pub revision: u64,
    /// Apps that cannot be brought up, and why.
    pub failures: BTreeMap<String, String>,
    /// Certificates that cannot be served, and why; what was served of them before is served on.
    pub certificate_failures: BTreeMap<String, String>,
    /// How often a stream has been opened.
    pub connections: u64,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Order(#[from] OutOfOrder),
    #[error("no frame and no heartbeat came for {} s", .0.as_secs_f32())]
    Silence(Duration),
    #[error("the control plane ended the stream")]
    Ended,
}

impl StreamError {
    fn code(&self) -> &'static str {
        match self {
            Self::Client(_) => "control-plane-unreachable",
            Self::Frame(FrameError::Signature(_)) => "signature-invalid",
            Self::Frame(error) => error.code(),
            Self::Order(_) => "frame-out-of-order",
            Self::Silence(_) => "control-plane-silent",
            Self::Ended => "stream-ended",
        }
    }
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// One was taken.
    any: bool,
    /// One changed the state.
    changed: bool,
}

/// Why an app's new state cannot be served.
#[derive(Debug, thiserror::Error)]
enum BringUpError {
    #[error(transparent)]
    Bundle(#[from] BundleUnavailable),
    #[error(transparent)]
    Asset(#[from] AssetUnavailable),
    #[error(transparent)]
    Secret(#[from] SealError),
    #[error("its state cannot be read: {0}")]
    State(#[from] serde_json::Error),
    #[error("the node cannot keep its state: {0}")]
    Disk(String),
}

/// Everything that following needs.
pub struct Follower {
    /// The control plane.
    pub client: Arc<ControlPlaneClient>,
    /// Whose frames are believed.
    pub key: PublicKey,
    /// Opens this node's secrets.
    pub node_key: Arc<NodeKey>,
    /// Where state is kept.
    pub disk: Arc<DataDir>,
    /// Where bundles are.
    pub bundles: Arc<BundleStore>,
    /// Where static files are.
    pub assets: Arc<AssetStore>,
    /// What is served.
    pub serving: Arc<Serving>,
    /// The certificates that are served.
    pub certificates: Arc<ControlledCertificates>,
    /// Told which apps are tailed.
    pub logs: Arc<Logs>,
    /// Told what the node runs.
    pub status: watch::Sender<Status>,
    /// A stream is given up after this long without a frame.
    pub silence: Duration,
    /// Counts what still uses the disk.
    pub tasks: TaskTracker,
}

impl Follower {
    /// Serves the last good state, if there is one, and returns it. An app whose secrets this node cannot open is left
    /// out, and then the revision is 0, so that the control plane sends everything again.
    pub fn resume(&self) -> SavedState {
        let Some(mut saved) = self.disk.load() else {
            let mut nothing = SavedState::default();
            nothing.opened_with(self.node_key.public_key().to_string());
            return nothing;
        };
        let key = self.node_key.public_key().to_string();
        // What was kept under this very key was opened before it was kept.
        let unknown = (saved.key != key).then(|| saved.apps.iter()).into_iter().flatten();
        let can_be_opened =
            |app: &Kept<'_>| app.source().state().is_ok_and(|app| open_secrets(&self.node_key, &app).is_ok());
        let sealed: Vec<String> = unknown.filter(|app| !can_be_opened(app)).map(|app| app.name().to_owned()).collect();
        for app in &sealed {
            tracing::error!(app, "its secrets were sealed for another key; it is asked for again");
            saved.apps.remove(app);
            saved.revision = 0;
        }
        saved.opened_with(key);
        let unusable = saved.certificates.values().filter_map(|state| {
            certificates::check(state, &self.node_key).err().map(|error| (state.name.clone(), error))
        });
        for (name, error) in unusable.collect::<Vec<_>>() {
            tracing::error!(certificate = name, %error, "it cannot be served and is asked for again");
            saved.certificates.remove(&name);
            saved.revision = 0;
        }
        self.serve(&saved);
        let revision = saved.revision;
        tracing::info!(revision, apps = saved.apps.len(), "serving the last good state");
        self.status.send_modify(|status| {
            status.ready = true;
            status.revision = revision;
        });
        saved
    }

    /// Follows until cancelled.
    pub async fn run(self, mut saved: SavedState, cancel: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let stream = async {
                let stream = self.client.sync(saved.revision, &saved.history, &self.node_key.public_key()).await?;
                tracing::info!(since = saved.revision, "following the control plane");
                self.status.send_modify(|status| status.connections += 1);
                self.follow(stream, &mut saved, &mut backoff).await
            };
            let ended = tokio::select! {
                ended = stream => ended,
                () = cancel.cancelled() => return,
            };
            // A tail lives with the stream that asked for it.
            self.logs.set_tailed([]);
            let Err(error) = ended;
            match error {
                StreamError::Order(_) => saved.revision = 0,
                StreamError::Frame(_) => tracing::error!(code = error.code(), %error, "frame refused"),
                _ => tracing::warn!(code = error.code(), %error, "not following; serving what is known"),
            }
            let pause = backoff.next(random());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return,
            }
        }
    }

    async fn follow(
        &self,
        mut stream: FrameStream,
        saved: &mut SavedState,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, StreamError> {
        // What a run before could not bring up may be there by now.
        let mut retry = Instant::now() + RETRY;
        loop {
            let silent = Instant::now() + self.silence;
            let wake = if saved.is_unsettled() { silent.min(retry) } else { silent };
            let first = match timeout_at(wake, stream.next()).await {
                Ok(frame) => frame?.ok_or(StreamError::Ended)?,
                Err(_) if wake < silent => {
                    self.bring_up(saved).await;
                    retry = Instant::now() + RETRY;
                    continue;
                }
                Err(_) => return Err(StreamError::Silence(self.silence)),
            };
            // Whatever has arrived meanwhile goes to disk in one step.
            let arrived = std::iter::from_fn(|| stream.arrived());
            let frames: Vec<_> = std::iter::once(first).chain(arrived).take(TOGETHER).collect();
            let (taken, problem) = self.take_all(saved, frames).await;
            if taken.any {
                backoff.reset();
            }
            if taken.changed {
                self.bring_up(saved).await;
                retry = Instant::now() + RETRY;
            }
            problem?;
        }
    }

    /// Takes frames in their order, up to the first that is refused.
    async fn take_all(&self, saved: &mut SavedState, frames: Vec<SignedFrame>) -> (Taken, Result<(), StreamError>) {
        let key = self.key;
        let verify = move || frames.into_iter().map(|frame| frame.verify(&key)).collect::<Vec<_>>();
        let mut taken = Taken::default();
        // A thousand signatures, or a snapshot of ten thousand apps, keep a thread busy for a tenth of a second.
        for frame in off_thread(verify).await {
            match frame.map_err(StreamError::from).and_then(|frame| Ok(self.take(saved, frame)?)) {
                Ok(changed) => taken = Taken { any: true, changed: taken.changed | changed },
                Err(error) => return (taken, Err(error)),
            }
        }
        (taken, Ok(()))
    }

    /// Whether the frame changed the state.
    fn take(&self, saved: &mut SavedState, frame: Frame) -> Result<bool, OutOfOrder> {
        match &frame {
            Frame::Tail { apps } => self.logs.set_tailed(apps.iter().cloned()),
            Frame::Heartbeat { revision } => tracing::trace!(revision, "heartbeat"),
            Frame::Snapshot { revision, apps, .. } => tracing::info!(revision, apps = apps.len(), "snapshot"),
            Frame::Change { revision, app, .. } => tracing::debug!(revision, app, "change"),
            Frame::Certificate { revision, name, .. } => tracing::debug!(revision, name, "certificate"),
        }
        let changes = !matches!(frame, Frame::Heartbeat { .. } | Frame::Tail { .. });
        saved.take(frame)?;
        Ok(changes)
    }

    /// Brings up what is pending as far as it can be, keeps the state, serves it.
    async fn bring_up(&self, saved: &mut SavedState) {
        let mut failures = BTreeMap::new();
        let pending: Vec<Source> = saved.pending.values().cloned().collect();
        let few = pending.len() <= FEW;
        let mut prepared: Vec<_> = stream::iter(pending.into_iter().map(|app| async move {
            let result = self.prepare(&app, few).await;
            (app.name.clone(), result)
        }))
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
        if let Err(error) = self.bundles.keep_fetched().await {
            // What was fetched is there, but a crash might lose it.
            let problem = error.to_string();
            let kept = |result: Result<(), _>| result.and_then(|()| Err(BringUpError::Disk(problem.clone())));
            prepared = prepared.into_iter().map(|(app, result)| (app, kept(result))).collect();
        }
        let mut settled = Vec::new();
        for (app, result) in prepared {
            match result {
                Ok(()) => settled.push(saved.settle(&app)),
                Err(error) => {
                    let problem = with_causes(&error);
                    tracing::error!(%app, problem, "the app cannot be brought up; its older state serves on");
                    failures.insert(app.to_string(), problem);
                }
            }
        }
        let mut refused = self.status.borrow().certificate_failures.clone();
        let certificates_before =
            (!saved.arrived.is_empty()).then(|| (saved.certificates.clone(), saved.arrived.clone()));
        let outcomes = saved.settle_certificates(|state| certificates::check(state, &self.node_key));
        for (name, outcome) in outcomes {
            match outcome {
                Ok(()) => drop(refused.remove(&name)),
                Err(error) => {
                    let problem = with_causes(&error);
                    tracing::error!(certificate = name, problem, "it cannot be served; the one before serves on");
                    refused.insert(name, problem);
                }
            }
        }
        match self.keep(saved).await {
            Ok(()) => {
                let changes = saved.is_change().then(|| saved.changed());
                saved.kept();
                if certificates_before.is_some() {
                    self.certificates.serve(&saved.certificates, &self.node_key);
                }
                self.serve_changes(saved, changes).await;
            }
            Err(error) => {
                tracing::error!(code = "state-not-written", %error, "the older state serves on");
                let problem = BringUpError::Disk(error.to_string()).to_string();
                for settled in settled {
                    failures.insert(settled.name().to_owned(), problem.clone());
                    saved.unsettle(settled);
                }
                if let Some((certificates, arrived)) = certificates_before {
                    (saved.certificates, saved.arrived) = (certificates, arrived);
                }
            }
        }
        let revision = *self.serving.applied().borrow();
        self.status.send_modify(|status| {
            status.ready = true;
            status.revision = revision;
            status.failures = failures;
            status.certificate_failures = refused;
        });
    }

    /// Sees to it that all an app needs is there. What was fetched is durable after [`BundleStore::keep_fetched`].
    async fn prepare(&self, app: &Source, in_memory: bool) -> Result<(), BringUpError> {
        let app = app.state()?;
        open_secrets(&self.node_key, &app)?;
        for version in app.versions.values() {
            let hash: BundleHash = version.bundle;
            self.bundles.fetch(hash, in_memory).await?;
            if let Some(assets) = &version.config.assets {
                self.assets.fetch_all(assets.manifest).await?;
            }
        }
        Ok(())
    }

    async fn keep(&self, state: &SavedState) -> Result<(), DiskError> {
        if state.is_change() && !self.disk.wants_whole() {
            let (disk, change) = (self.disk.clone(), state.change());
            match self.on_disk(move || disk.save_change(&change)).await {
                Err(DiskError::Released(_)) => {}
                kept => return kept,
            }
        }
        let (disk, state) = (self.disk.clone(), state.clone());
        self.on_disk(move || disk.save(&state)).await
    }

    async fn on_disk(&self, work: impl FnOnce() -> Result<(), DiskError> + Send + 'static) -> Result<(), DiskError> {
        match self.tasks.spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Opens what is sealed for this node.
    fn opener(&self) -> Opener {
        let key = self.node_key.clone();
        Arc::new(move |app| open_secrets(&key, app).ok())
    }

    fn serve(&self, state: &SavedState) {
        self.certificates.serve(&state.certificates, &self.node_key);
        self.serving.resume(state.revision, &state.apps, &self.opener());
    }

    /// Serves what has become of apps; without `changes`, everything.
    async fn serve_changes(&self, state: &SavedState, changes: Option<Vec<(String, Option<Source>)>>) {
        let (serving, opener, revision) = (self.serving.clone(), self.opener(), state.revision);
        let apps = changes.is_none().then(|| state.apps.clone());
        off_thread(move || {
            if let Some(changes) = changes {
                serving.follow_changes(revision, &changes, &opener);
            }
            if let Some(apps) = apps {
                serving.follow(revision, &apps, &opener);
            }
        })
        .await;
    }
}

fn open_secrets(key: &NodeKey, app: &AppState) -> Result<BTreeMap<String, String>, SealError> {
    app.secrets.iter().map(|secret| Ok((secret.name.clone(), key.open(&app.name, secret)?))).collect()
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all nodes come at once, which is no reason to stay away.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
