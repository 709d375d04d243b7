//! Certificates by ACME (RFC 8555): for each exact host name that an app has a route for, one certificate, ordered when
//! the route appears and renewed in time.
//!
//! `plan` decides what is to be done when, `order` does it for one host, and what is under way stands in notes in the
//! store, so that a control plane that was killed goes on where it was. Nodes answer the challenges; they get certificates
//! and challenges over the stream like any other change.

mod client;
mod config;
mod note;
mod order;
mod plan;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atoll_protocol::api::UnixMillis;
use atoll_protocol::certificates::Renewal;
use atoll_store::StoreError;
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};

use self::client::AuthorityClient;
pub use self::config::{AcmeConfig, AcmeConfigError};
use self::note::Note;
pub(crate) use self::plan::name_of;
use self::plan::{Situation, Window, pause};
use crate::plane::Plane;
use crate::time;

/// Hosts that are worked on at once.
const PARALLEL: usize = 4;
/// Changes within this time are looked at together.
const SETTLE: Duration = Duration::from_millis(200);
/// How long nothing is looked at when the store fails.
const STORE_PAUSE: Duration = Duration::from_secs(10);
/// The longest sleep: a clock that is set forward is noticed within it.
const LONGEST: Duration = Duration::from_hours(1);

/// What getting certificates needs.
pub(crate) struct Acme {
    config: AcmeConfig,
    tls: Arc<ClientConfig>,
    /// Somebody asked for something.
    wake: Notify,
    /// Held while the account is looked up or made.
    account: tokio::sync::Mutex<()>,
    orders: Mutex<Window>,
}

impl Acme {
    /// Checks the configuration and reads what it names.
    pub(crate) fn new(config: AcmeConfig) -> Result<Self, AcmeConfigError> {
        config.validate()?;
        let tls = client::tls(config.roots.as_deref())?;
        Ok(Self { config, tls, wake: Notify::new(), account: Default::default(), orders: Mutex::default() })
    }

    async fn save(&self, plane: &Plane, host: &str, note: Option<&Note>) -> Result<(), StoreError> {
        plane.store.set_note(note::key(host), note.map(Note::encode)).await
    }

    /// Gets a new certificate for a host as soon as possible, however young the one is that is there.
    pub(crate) async fn renew(&self, plane: &Plane, host: &str) -> Result<(), StoreError> {
        let mut note = note::of_hosts(plane.store.notes().await?).remove(host).unwrap_or_default();
        (note.renew, note.retry_at) = (true, None);
        self.save(plane, host, Some(&note)).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Forgets what is known of a host; it begins anew if an app still has a route for it.
    pub(crate) async fn forget(&self, plane: &Plane, host: &str) -> Result<(), StoreError> {
        self.save(plane, host, None).await?;
        self.wake.notify_one();
        Ok(())
    }
}

/// How it stands with the certificate of each host that is wanted or was.
pub(crate) async fn renewals(plane: &Plane) -> Result<BTreeMap<String, Renewal>, StoreError> {
    let notes = note::of_hosts(plane.store.notes().await?);
    let mut attempts = match &plane.acme {
        Some(acme) => {
            let (routes, certificates) = (plane.store.routes().await?, plane.store.certificates().await?);
            let allowed = &acme.config.hosts;
            Situation { routes: &routes, allowed, certificates: &certificates, notes: &notes }.next_attempts()
        }
        None => BTreeMap::new(),
    };
    let mut renewals: BTreeMap<String, Renewal> = notes
        .into_iter()
        .map(|(host, note)| {
            let next = attempts.remove(&host);
            let ordered = note.order.is_some();
            (host, Renewal { ordered, next, failures: note.failures, problem: note.problem })
        })
        .collect();
    renewals.extend(attempts.into_iter().map(|(host, at)| (host, Renewal { next: Some(at), ..Renewal::default() })));
    Ok(renewals)
}

/// Gets and renews certificates until the control plane closes.
pub(crate) async fn run(plane: Arc<Plane>) {
    let Some(acme) = &plane.acme else { return };
    let mut changes = plane.store.watch();
    let mut tasks = JoinSet::new();
    let mut busy = HashMap::new();
    loop {
        changes.mark_unchanged();
        let sleep = match look(&plane, acme, &mut tasks, &mut busy).await {
            Ok(next) => Duration::from_millis(next.saturating_sub(time::now())).min(LONGEST),
            Err(error) => {
                tracing::error!("what certificates are needed cannot be read: {error}");
                STORE_PAUSE
            }
        };
        tokio::select! {
            () = plane.closing.cancelled() => return,
            Some(done) = tasks.join_next_with_id() => {
                let (id, ended) = match done {
                    Ok((id, ())) => (id, None),
                    Err(error) => (error.id(), Some(error)),
                };
                if let (Some(host), Some(error)) = (busy.remove(&id), ended)
                    && let Err(error) = broke_off(&plane, acme, &host, &error).await
                {
                    tracing::error!(host, "how far a certificate is could not be noted: {error}");
                    pause_unless_closing(&plane, STORE_PAUSE).await;
                }
            }
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                pause_unless_closing(&plane, SETTLE).await;
            }
            () = acme.wake.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

async fn pause_unless_closing(plane: &Plane, duration: Duration) {
    // It has elapsed, or nobody waits for it any more.
    let _ = tokio::time::timeout(duration, plane.closing.cancelled()).await;
}

/// Begins what is due, and says when something is due next.
async fn look(
    plane: &Arc<Plane>,
    acme: &Acme,
    tasks: &mut JoinSet<()>,
    busy: &mut HashMap<Id, String>,
) -> Result<UnixMillis, StoreError> {
    let (routes, certificates) = (plane.store.routes().await?, plane.store.certificates().await?);
    let mut notes = note::of_hosts(plane.store.notes().await?);
    let now = time::now();
    let situation =
        Situation { routes: &routes, allowed: &acme.config.hosts, certificates: &certificates, notes: &notes };
    let is_busy = |host: &str, busy: &HashMap<Id, String>| busy.values().any(|other| other == host);
    for host in situation.forgotten().into_iter().filter(|host| !is_busy(host, busy)) {
        acme.save(plane, &host, None).await?;
        plane.store.set_challenges(name_of(&host), Vec::new(), now).await?;
    }
    for name in situation.outlived(now) {
        if !busy.values().any(|host| name_of(host) == name) {
            plane.store.delete_certificate(name, now).await?;
        }
    }
    let mut attempts: Vec<(UnixMillis, String)> =
        situation.next_attempts().into_iter().map(|(host, at)| (at, host)).collect();
    attempts.sort();
    for (at, host) in attempts {
        if is_busy(&host, busy) {
            continue;
        }
        if at > now {
            return Ok(at);
        }
        if busy.len() >= PARALLEL {
            // The end of one of them is the next occasion.
            return Ok(UnixMillis::MAX);
        }
        let note = notes.remove(&host).unwrap_or_default();
        if note.order.is_none()
            && let Err(later) = acme.orders.lock().unwrap_or_else(PoisonError::into_inner).admit(now)
        {
            tracing::warn!(host, rule = "orders-limit", "too many certificates were ordered in the last three hours");
            return Ok(later);
        }
        let task = tasks.spawn(attempt(Arc::clone(plane), host.clone(), note));
        busy.insert(task.id(), host);
    }
    Ok(UnixMillis::MAX)
}

/// One attempt, and a note of how it went.
async fn attempt(plane: Arc<Plane>, host: String, mut note: Note) {
    let Some(acme) = &plane.acme else { return };
    let client = AuthorityClient::new(Arc::clone(&acme.tls));
    let noted = match order::drive(&plane, acme, &client, &host, &mut note).await {
        Ok(()) => acme.save(&plane, &host, None).await,
        Err(failure) => fail(&plane, acme, &client, &host, note, failure).await,
    };
    if let Err(error) = noted {
        tracing::error!(host, "how far a certificate is could not be noted: {error}");
        tokio::time::sleep(STORE_PAUSE).await;
    }
}

/// Notes that an attempt ended in the middle, so that the next one waits.
async fn broke_off(plane: &Plane, acme: &Acme, host: &str, error: &JoinError) -> Result<(), StoreError> {
    let note = note::of_hosts(plane.store.notes().await?).remove(host).unwrap_or_default();
    let failure = order::Failure::internal(error.to_string());
    fail(plane, acme, &AuthorityClient::new(Arc::clone(&acme.tls)), host, note, failure).await
}

async fn fail(
    plane: &Plane,
    acme: &Acme,
    client: &AuthorityClient,
    host: &str,
    mut note: Note,
    failure: order::Failure,
) -> Result<(), StoreError> {
    let now = time::now();
    note.failures = note.failures.saturating_add(1);
    let wait = pause(failure.kind, note.failures, client.retry_after(), random());
    let next = now.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    note.retry_at = Some(next);
    note.problem = Some(format!("{}: {}", failure.rule, failure.message));
    tracing::warn!(
        host,
        rule = failure.rule,
        failures = note.failures,
        next = time::rfc3339(next),
        "no certificate yet: {}",
        failure.message
    );
    if !failure.resumable {
        note.order = None;
        plane.store.set_challenges(name_of(host), Vec::new(), now).await?;
    }
    order::forget_unknown_account(plane, acme, &failure).await?;
    acme.save(plane, host, Some(&note)).await
}

/// From 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the pause is the shortest.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
