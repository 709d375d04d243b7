//! Starting a bundle here before it is uploaded: what would fail on every node fails on the author's machine instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atoll_bundle::{Bundle, BundleHash};
use atoll_protocol::config::LimitOverrides;
use atoll_runtime::{
    Binding, Engine, Environment, FetchFailure, HandlerError, Host, Limits, LogRecord, OutboundRequest,
    OutboundResponse, Pool, PoolOptions, Worker,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::CommandError;
use crate::project::Project;

/// The world of a worker that only starts: nothing to fetch, and a log that is kept for the case that it fails.
#[derive(Default)]
struct CheckHost {
    log: Mutex<Vec<LogRecord>>,
}

impl Host for CheckHost {
    fn fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        let message = format!("fetch of {} outside a handler: the code is only being started", request.url);
        async move { Err(FetchFailure { code: "outside-handler", message }) }.boxed()
    }

    fn log(&self, record: LogRecord) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

/// Starts bundles to see whether they start.
pub struct Checker {
    pool: Pool,
}

impl Checker {
    /// A checker with an isolate in waiting.
    pub fn new(engine: &Engine) -> Self {
        Self { pool: Pool::new(engine, PoolOptions { warm: 1, code: None }) }
    }

    /// Starts the bundle in an isolate with the project's variables and limits, and ends it.
    pub async fn check(
        &self,
        project: &Project,
        bundle: Arc<Bundle>,
        hash: BundleHash,
        secrets: &BTreeMap<String, String>,
    ) -> Result<(), CommandError> {
        let host = Arc::new(CheckHost::default());
        let isolate = self.pool.start(Worker {
            app: project.name.as_str().into(),
            version: 0,
            bundle,
            hash,
            env: environment(project, secrets),
            limits: limits(&project.limits),
            host: host.clone(),
        });
        let started = isolate.started().await;
        isolate.stop("it was only started to check that it starts");
        isolate.ended().await;
        let Err(error) = started else { return Ok(()) };
        let said = error.to_string();
        let log = host.log.lock().unwrap_or_else(PoisonError::into_inner);
        // The runtime logs the failure as well.
        for record in log.iter().filter(|record| !record.message.starts_with(&said)) {
            crate::output::note(format!("{}: {}", record.level.as_str(), record.message));
        }
        let stack = match &error {
            HandlerError::Startup { stack, .. } | HandlerError::Exception { stack, .. } => stack_below(stack, &error),
            _ => String::new(),
        };
        Err(CommandError::Start { code: error.code(), message: error.to_string(), stack })
    }
}

/// The positions of a stack, each on a line of its own; the message that usually precedes them has been shown.
fn stack_below(stack: &str, error: &HandlerError) -> String {
    let shown = error.to_string();
    let lines = stack.lines().filter(|line| !line.trim().is_empty() && !shown.ends_with(line.trim()));
    lines.map(|line| format!("\n    {}", line.trim())).collect()
}

/// `env` as it is on a node; a secret hides a variable of the same name.
fn environment(project: &Project, secrets: &BTreeMap<String, String>) -> Environment {
    let mut all: BTreeMap<String, Binding> = BTreeMap::new();
    if let Some(name) = project.assets.as_ref().and_then(|assets| assets.binding.clone()) {
        all.insert(name, Binding::Assets);
    }
    for (name, value) in &project.vars {
        let binding = match value {
            serde_json::Value::String(text) => Binding::Text(text.clone()),
            other => Binding::Json(other.to_string()),
        };
        all.insert(name.clone(), binding);
    }
    for (name, binding) in &project.services {
        let (service, entrypoint) = (binding.service.clone(), binding.entrypoint().to_owned());
        all.insert(name.clone(), Binding::Service { service, entrypoint });
    }
    all.extend(secrets.iter().map(|(name, value)| (name.clone(), Binding::Secret(value.clone()))));
    all.into_iter().collect()
}

/// The limits an isolate has under these overrides.
fn limits(overrides: &LimitOverrides) -> Limits {
    let defaults = Limits::default();
    let millis = |value: Option<u64>, default| value.map_or(default, Duration::from_millis);
    let memory = overrides.memory_mb.and_then(|mb| usize::try_from(mb.saturating_mul(1 << 20)).ok());
    Limits {
        cpu: millis(overrides.cpu_ms, defaults.cpu),
        startup_cpu: millis(overrides.startup_cpu_ms, defaults.startup_cpu),
        wall: millis(overrides.wall_ms, defaults.wall),
        memory: memory.unwrap_or(defaults.memory),
        subrequests: overrides.subrequests.unwrap_or(defaults.subrequests),
        ..defaults
    }
}
