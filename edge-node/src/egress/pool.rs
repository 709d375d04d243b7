//! All origins of all apps. An app shares no connection, no place in a queue and no circuit breaker with another: what one
//! does to an origin, another does not feel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::connector::Connector;
use super::origin::{Origin, OriginSettings, Place, Speaks};
use super::pace::Watched;

/// How often connections nobody uses, and bodies that do not come, are looked for.
const TIDY: Duration = Duration::from_secs(1);

/// The origins, and the bodies that come from them.
pub struct Pool {
    negotiating: Connector,
    http1: Connector,
    http2: Connector,
    settings: OriginSettings,
    origins: Mutex<Origins>,
    /// Bodies on their way.
    pub watched: Watched,
}

type Origins = HashMap<(Arc<str>, Place), Arc<Origin>>;

impl Pool {
    /// A pool whose tasks live on the current tokio runtime, for as long as the pool.
    pub fn new(connector: &Connector, settings: OriginSettings) -> Arc<Self> {
        let pool = Arc::new(Self {
            negotiating: connector.with_alpn(&["h2", "http/1.1"]),
            http1: connector.with_alpn(&["http/1.1"]),
            http2: connector.with_alpn(&["h2"]),
            settings,
            origins: Mutex::default(),
            watched: Watched::default(),
        });
        tokio::spawn(tidy(Arc::downgrade(&pool)));
        pool
    }

    /// An origin of an app.
    pub fn origin(&self, app: &Arc<str>, place: Place) -> Arc<Origin> {
        let connector = match place.speaks {
            Speaks::Negotiated => &self.negotiating,
            Speaks::Http1 => &self.http1,
            Speaks::Http2 => &self.http2,
        };
        let known = |place: Place| Arc::new(Origin::new(place, self.settings, connector.clone()));
        self.origins().entry((app.clone(), place)).or_insert_with_key(|(_, place)| known(place.clone())).clone()
    }

    /// A connector for connections that become WebSockets.
    pub fn for_upgrades(&self) -> Connector {
        self.http1.clone()
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tidy(pool: Weak<Pool>) {
    let mut every = interval(TIDY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        pool.watched.look(now);
        // A request that has just got its origin goes on with it.
        pool.origins().retain(|_, origin| origin.tidy(now) || Arc::strong_count(origin) > 1);
    }
}
