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

/// Origins that are remembered of one app. When there is one more, a quarter of them goes: those that nobody has used for
/// longest. So an app that asks ever other hosts takes no more memory than that.
const MOST: usize = 1024;

/// The origins, and the bodies that come from them.
pub struct Pool {
    negotiating: Connector,
    http1: Connector,
    http2: Connector,
    settings: OriginSettings,
    apps: Mutex<HashMap<Arc<str>, Origins>>,
    /// Bodies on their way.
    pub watched: Watched,
}

type Origins = HashMap<Place, Arc<Origin>>;

impl Pool {
    /// A pool whose tasks live on the current tokio runtime, for as long as the pool.
    pub fn new(connector: &Connector, settings: OriginSettings) -> Arc<Self> {
        let pool = Arc::new(Self {
            negotiating: connector.with_alpn(&["h2", "http/1.1"]),
            http1: connector.with_alpn(&["http/1.1"]),
            http2: connector.with_alpn(&["h2"]),
            settings,
            apps: Mutex::default(),
            watched: Watched::default(),
        });
        tokio::spawn(tidy(Arc::downgrade(&pool)));
        pool
    }

    /// An origin of an app.
    pub fn origin(&self, app: &Arc<str>, place: Place) -> Arc<Origin> {
        let mut apps = self.apps();
        let origins = apps.entry(app.clone()).or_default();
        if let Some(origin) = origins.get(&place) {
            return origin.clone();
        }
        if origins.len() >= MOST {
            make_room(origins);
        }
        let connector = match place.speaks {
            Speaks::Negotiated => &self.negotiating,
            Speaks::Http1 => &self.http1,
            Speaks::Http2 => &self.http2,
        };
        let origin = Arc::new(Origin::new(place.clone(), self.settings, connector.clone()));
        origins.insert(place, origin.clone());
        origin
    }

    /// A connector for connections that become WebSockets.
    pub fn for_upgrades(&self) -> Connector {
        self.http1.clone()
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<Arc<str>, Origins>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the origins that were unused for longest. Those with requests under way stay: there are no more of them than
/// requests.
fn make_room(origins: &mut Origins) {
    let unused = origins.iter().filter(|(_, origin)| Arc::strong_count(origin) == 1);
    let mut unused: Vec<(Instant, Place)> = unused.map(|(place, origin)| (origin.used(), place.clone())).collect();
    unused.sort_by_key(|(used, _)| *used);
    for (_, place) in unused.iter().take(MOST / 4) {
        origins.remove(place);
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
        pool.apps().retain(|_, origins| {
            // A request that has just got its origin goes on with it.
            origins.retain(|_, origin| origin.tidy(now) || Arc::strong_count(origin) > 1);
            !origins.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::*;
    use crate::egress::breaker::BreakerSettings;

    #[tokio::test]
    async fn an_app_with_very_many_origins_forgets_the_oldest_it_does_not_use() {
        let second = Duration::from_secs(1);
        let breaker = BreakerSettings { failures: 1, pause: second };
        let settings = OriginSettings { connections: 1, queue: 1, connect: second, breaker };
        let pool = Pool::new(&Connector::to_everything(second), settings);
        let place = |n: usize| Place {
            scheme: Scheme::HTTP,
            authority: format!("host{n}.example").parse().unwrap(),
            speaks: Speaks::Negotiated,
        };
        let (app, other): (Arc<str>, Arc<str>) = ("app".into(), "other".into());
        let others = Arc::downgrade(&pool.origin(&other, place(0)));
        let in_use = pool.origin(&app, place(0));
        let unused = Arc::downgrade(&pool.origin(&app, place(1)));
        for n in 2..3 * MOST {
            pool.origin(&app, place(n));
        }
        assert!(pool.apps()[&app].len() <= MOST);
        assert!(Arc::ptr_eq(&in_use, &pool.origin(&app, place(0))));
        assert!(unused.upgrade().is_none());
        assert!(others.upgrade().is_some(), "another app does not feel it");
    }
}
