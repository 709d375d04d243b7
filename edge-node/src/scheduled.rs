//! Lets a developer set off the `scheduled` handler of an app over HTTP, by the paths that wrangler has for it.

use std::time::{SystemTime, UNIX_EPOCH};

use atoll_runtime::{Body, ScheduledEvent};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response};
use url::form_urlencoded;

use crate::body::Outgoing;

/// A request that is to become a scheduled event.
#[derive(Debug, PartialEq)]
pub struct Trigger {
    /// `cron` of the query; empty when it has none.
    cron: String,
    /// `time` of the query: milliseconds since the Unix epoch.
    time: Option<f64>,
    /// What the answer says when the handler is done.
    says: &'static str,
}

impl Trigger {
    /// The trigger that a request is, if it is one: `/__scheduled?cron=…` or `/cdn-cgi/handler/scheduled?cron=…&time=…`.
    pub fn of(parts: &Parts) -> Option<Self> {
        let says = match parts.uri.path() {
            "/__scheduled" => "Ran scheduled event",
            "/cdn-cgi/handler/scheduled" => "ok",
            _ => return None,
        };
        let mut trigger = Self { cron: String::new(), time: None, says };
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "cron" => trigger.cron = value.into_owned(),
                "time" => trigger.time = value.parse().ok().filter(|time: &f64| time.is_finite()),
                _ => {}
            }
        }
        Some(trigger)
    }

    /// The event, due now unless the request says when.
    pub fn event(&self, request_id: &str) -> ScheduledEvent {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3);
        let scheduled_ms = self.time.unwrap_or_else(|| now().floor());
        ScheduledEvent { cron: self.cron.clone(), scheduled_ms, request_id: request_id.to_owned() }
    }

    /// The answer when the handler is done.
    pub fn done(&self) -> Response<Outgoing> {
        let mut response = Response::new(Outgoing::new(Body::Full(Bytes::from_static(self.says.as_bytes()))));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn trigger(uri: &str) -> Option<Trigger> {
        Trigger::of(&Request::builder().uri(uri).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_the_two_paths_are_triggers() {
        assert_eq!(trigger("/"), None);
        assert_eq!(trigger("/__scheduled/x"), None);
        let event = trigger("/__scheduled?cron=*/5+*+*+*+%2A").unwrap().event("id");
        assert_eq!((event.cron.as_str(), event.request_id.as_str()), ("*/5 * * * *", "id"));
        assert!(event.scheduled_ms > 1.7e12);
        let event = trigger("/cdn-cgi/handler/scheduled?time=1745856238000&cron=x").unwrap().event("id");
        assert_eq!((event.scheduled_ms, event.cron.as_str()), (1_745_856_238_000.0, "x"));
        let event = trigger("/cdn-cgi/handler/scheduled?time=NaN").unwrap().event("id");
        assert!(event.scheduled_ms > 1.7e12);
    }
}
