//! The versions of apps as they are served, and how they are made of what the control plane says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use atoll_bundle::{Bundle, BundleHash};
use atoll_http_cache::key::Namespace;
use atoll_http_cache::purge::Purges;
use atoll_protocol::config::{AssetSettings, CompressionSettings, VersionConfig};
use atoll_protocol::cron::{self, Schedule};
use atoll_protocol::sync::{AppState, VersionState};
use atoll_runtime::{Binding, Environment, Host};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::assets::{AssetStore, VersionAssets};
use crate::cache::{FrontCache, VersionCache};
use crate::cache_api::AppCaches;
use crate::config::Config;
use crate::dispatch::Instances;
use crate::egress::Egress;
use crate::host::AppHost;
use crate::limits::LimitSettings;
use crate::logs::Logs;
use crate::proxy::Proxy;
use crate::services::Services;

/// One version of an app, with its isolates. When nothing refers to it any more, its isolates end.
pub struct VersionEntry {
    /// The app's name.
    pub app: Arc<str>,
    /// The version's number.
    pub number: u64,
    /// The code's hash.
    pub hash: BundleHash,
    /// The code, when it is not kept in the bundle store.
    pub bundle: Option<Arc<Bundle>>,
    /// What it may use.
    pub limits: LimitSettings,
    /// Variables and secrets.
    pub env: Environment,
    /// When its `scheduled` handler is due.
    pub crons: Vec<(String, Schedule)>,
    /// Where requests pass through to.
    pub origin: Option<Url>,
    /// The origin that answers in the place of code.
    pub proxy: Option<Proxy>,
    /// What its isolates may ask of the node.
    pub host: Arc<dyn Host>,
    /// What tells its app from all that had the name before.
    pub identity: Namespace,
    /// Its part of the front cache.
    pub cache: VersionCache,
    /// Its static files.
    pub assets: Option<Arc<VersionAssets>>,
    /// What is compressed of its answers.
    pub compression: CompressionSettings,
    /// Its isolates.
    pub instances: Arc<Instances>,
    /// Cancelled when nothing refers to the version any more.
    pub retired: Retired,
}

/// Tells what outlives a request, as a WebSocket does, that its version is not served any more.
#[derive(Default)]
pub struct Retired(CancellationToken);

impl Retired {
    /// What is cancelled then.
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What versions are made with: the node's own settings, and what their isolates reach of it.
pub struct Maker {
    defaults: LimitSettings,
    ceilings: LimitSettings,
    /// What apps that answer by their names have behind them.
    pub default_domain: String,
    egress: Arc<Egress>,
    logs: Arc<Logs>,
    services: Arc<Services>,
    cache: Arc<FrontCache>,
    largest_put: u64,
    /// Names this process: what is served from memory has no other name that lasts.
    process: [u8; 16],
    assets: Arc<AssetStore>,
    installs: AtomicU64,
}

impl Maker {
    /// For a node with this configuration.
    pub fn new(
        config: &Config,
        egress: Arc<Egress>,
        logs: Arc<Logs>,
        services: Arc<Services>,
        cache: Arc<FrontCache>,
        assets: Arc<AssetStore>,
    ) -> Self {
        let mut process = [0; 16];
        // Without randomness apps from memory may find what a process before put on the disk under the same names.
        let _ = aws_lc_rs::rand::fill(&mut process);
        Self {
            defaults: config.limits.clone(),
            ceilings: config.ceilings.clone(),
            default_domain: config.default_domain.clone(),
            egress,
            logs,
            services,
            cache,
            largest_put: config.cache.object_mb.min(config.front_cache.object_mb).saturating_mul(1 << 20),
            process,
            assets,
            installs: AtomicU64::new(0),
        }
    }

    /// The caches of an app, to which `purges` tells what is not to be found.
    pub fn caches(&self, state: &AppState, installed: bool, purges: Arc<ArcSwap<Purges>>) -> AppCaches {
        AppCaches::new(self.cache.clone(), self.identity(state, installed), self.largest_put, purges)
    }

    /// What tells an app from all others, also from those that had its name before it.
    fn identity(&self, state: &AppState, installed: bool) -> Namespace {
        match installed {
            true => Namespace::of(&[b"installed", &self.process, state.name.as_bytes()]),
            false => Namespace::of(&[b"app", state.incarnation.as_bytes(), state.name.as_bytes()]),
        }
    }

    /// Makes a version of an app with these secrets.
    pub fn version(
        &self,
        app: &Arc<str>,
        (number, version): (u64, &VersionState),
        state: &AppState,
        secrets: &BTreeMap<String, String>,
        bundle: Option<Arc<Bundle>>,
        caches: &AppCaches,
    ) -> VersionEntry {
        let config = &version.config;
        let assets = config.assets.as_ref().map(|settings| {
            let store = self.assets.clone();
            Arc::new(VersionAssets::new(app.clone(), number, settings, config.compression, store))
        });
        let host = AppHost {
            app: app.clone(),
            version: number,
            egress: self.egress.clone(),
            logs: self.logs.clone(),
            caches: caches.clone(),
            services: self.services.clone(),
            assets: assets.clone(),
        };
        let identity = caches.owner();
        let namespace = match &bundle {
            // Each time it is installed it may be other code.
            Some(_) => {
                let install = self.installs.fetch_add(1, Ordering::Relaxed).to_le_bytes();
                identity.within(&[&b"install"[..], &install])
            }
            None => namespace(identity, number, version, state),
        };
        let proxy = config.proxy.as_ref().and_then(|settings| {
            Proxy::new(app, settings, &self.egress)
                .inspect_err(|problem| tracing::error!(app = %app, problem, "the app's origin cannot be used"))
                .ok()
        });
        VersionEntry {
            app: app.clone(),
            number,
            hash: version.bundle,
            bundle,
            limits: self.defaults.with(&config.limits, &self.ceilings),
            env: environment(config, secrets),
            crons: crons(app, &config.crons),
            origin: config.origin.as_deref().and_then(|origin| origin.parse().ok()),
            proxy,
            host: Arc::new(host),
            identity,
            cache: VersionCache::new(namespace, &config.cache),
            assets,
            compression: config.compression,
            instances: Arc::default(),
            retired: Retired::default(),
        }
    }
}

impl VersionEntry {
    /// Whether isolates of the one can serve for the other.
    pub fn same_as(&self, other: &Self) -> bool {
        self.identity == other.identity
            && (self.number, self.hash, &self.limits, &self.env, &self.origin, &self.proxy, self.compression)
                == (other.number, other.hash, &other.limits, &other.env, &other.origin, &other.proxy, other.compression)
            && self.crons.iter().map(|(text, _)| text).eq(other.crons.iter().map(|(text, _)| text))
            && self.asset_settings() == other.asset_settings()
            && self.cache.same_settings(&other.cache)
    }

    fn asset_settings(&self) -> Option<&AssetSettings> {
        self.assets.as_deref().map(VersionAssets::settings)
    }

    /// Whether isolates run it: it is neither a proxy nor static files only.
    pub fn has_code(&self) -> bool {
        self.proxy.is_none() && !self.is_without_worker()
    }

    /// Whether there are static files only, and no code to run.
    pub fn is_without_worker(&self) -> bool {
        self.asset_settings().is_some_and(|settings| settings.without_worker)
    }
}

/// What tells a version's cached responses from all others, now and after a restart: a response of other code or other
/// settings is another one. Secrets count by their numbers.
fn namespace(app: Namespace, number: u64, version: &VersionState, state: &AppState) -> Namespace {
    let config = serde_json::to_vec(&version.config).unwrap_or_default();
    let hash = version.bundle.to_string();
    let mut parts: Vec<Vec<u8>> = vec![number.to_le_bytes().into(), hash.into(), config];
    for secret in &state.secrets {
        parts.push(secret.name.as_str().into());
        parts.push(secret.version.to_le_bytes().into());
    }
    app.within(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn crons(app: &str, expressions: &[String]) -> Vec<(String, Schedule)> {
    let read = |text: &String| match cron::parse(text) {
        Ok(schedule) => Some((text.clone(), schedule)),
        Err(error) => {
            tracing::warn!(app, cron = text, error, "cron ignored");
            None
        }
    };
    expressions.iter().filter_map(read).collect()
}

/// Whether isolates run a version with these settings; [`VersionEntry::has_code`] of what is made of them.
pub fn has_code(config: &VersionConfig) -> bool {
    config.proxy.is_none() && !config.assets.as_ref().is_some_and(|assets| assets.without_worker)
}

/// `env`, sorted by name; a secret takes the place of a variable of the same name.
fn environment(config: &VersionConfig, secrets: &BTreeMap<String, String>) -> Environment {
    let mut env = BTreeMap::new();
    if let Some(name) = config.assets.as_ref().and_then(|assets| assets.binding.clone()) {
        env.insert(name, Binding::Assets);
    }
    for (name, value) in &config.vars {
        let binding = match value {
            Value::String(text) => Binding::Text(text.clone()),
            other => Binding::Json(other.to_string()),
        };
        env.insert(name.clone(), binding);
    }
    for (name, binding) in &config.services {
        let (service, entrypoint) = (binding.service.clone(), binding.entrypoint().to_owned());
        env.insert(name.clone(), Binding::Service { service, entrypoint });
    }
    env.extend(secrets.iter().map(|(name, value)| (name.clone(), Binding::Secret(value.clone()))));
    env.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_is_sorted_and_secrets_take_precedence() {
        let vars = serde_json::json!({"Z": "text", "B": {"x": [1]}, "S": "no"});
        let vars: BTreeMap<String, Value> = serde_json::from_value(vars).unwrap();
        let services = serde_json::json!({"A": {"service": "other"}, "C": {"service": "o", "entrypoint": "E"}});
        let services = serde_json::from_value(services).unwrap();
        let config = VersionConfig { vars, services, ..VersionConfig::default() };
        let env = environment(&config, &[("S".to_owned(), "yes".to_owned())].into());
        let service = |service: &str, entrypoint: &str| Binding::Service {
            service: service.to_owned(),
            entrypoint: entrypoint.to_owned(),
        };
        let expected = [
            ("A".to_owned(), service("other", "default")),
            ("B".to_owned(), Binding::Json("{\"x\":[1]}".into())),
            ("C".to_owned(), service("o", "E")),
            ("S".to_owned(), Binding::Secret("yes".into())),
            ("Z".to_owned(), Binding::Text("text".into())),
        ];
        assert_eq!(*env, expected);
    }
}
