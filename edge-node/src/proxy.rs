//! Apps without code: every request that the front cache does not answer goes to one origin.

use std::sync::Arc;
use std::time::Duration;

use atoll_protocol::config::{ProxyProtocol, ProxySettings};
use atoll_runtime::{FetchEvent, FetchFailure, FetchHead, FetchResponse};
use http::header::{HOST, HeaderName, VIA};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderValue, Version};

use crate::egress::{Egress, Head, Outbound, Patience, Place, Speaks};
use crate::errors::EdgeError;
use crate::headers::CDN_ID;
use crate::hints::Hints;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// One version's origin.
pub struct Proxy {
    app: Arc<str>,
    place: Place,
    preserve_host: bool,
    patience: Patience,
    egress: Arc<Egress>,
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        (&self.place, self.preserve_host, self.patience) == (&other.place, other.preserve_host, other.patience)
    }
}

impl Proxy {
    /// A proxy of what the settings name; the error says what is wrong with them.
    pub fn new(app: &Arc<str>, settings: &ProxySettings, egress: &Arc<Egress>) -> Result<Self, String> {
        let uri = settings.url.parse::<Uri>().map_err(|error| error.to_string())?.into_parts();
        let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else {
            return Err(format!("{:?} is not of the form http(s)://host[:port]", settings.url));
        };
        let speaks = match settings.protocol {
            ProxyProtocol::Auto => Speaks::Negotiated,
            ProxyProtocol::Http1 => Speaks::Http1,
            ProxyProtocol::Http2 => Speaks::Http2,
        };
        let usual = egress.patience();
        let millis = |value: Option<u64>, usual| value.map_or(usual, Duration::from_millis);
        Ok(Self {
            app: app.clone(),
            place: Place { scheme, authority, speaks },
            preserve_host: settings.preserve_host,
            patience: Patience {
                answer: millis(settings.answer_timeout_ms, usual.answer),
                idle: millis(settings.idle_timeout_ms, usual.idle),
            },
            egress: egress.clone(),
        })
    }

    /// Sends a request that came over `http` to the origin; `hints` is told of the links in its early hints. A handshake
    /// for a WebSocket is one there too.
    pub async fn send(
        &self,
        event: FetchEvent,
        http: Version,
        hints: Option<Hints>,
    ) -> Result<FetchResponse, EdgeError> {
        let FetchEvent { head, body } = event;
        let mut head = Arc::unwrap_or_clone(head);
        let mut headers = std::mem::take(head.all_headers());
        let FetchHead { method, url, .. } = head;
        let asked = headers.remove(HOST);
        let named = asked.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let host = named.filter(|_| self.preserve_host).unwrap_or_else(|| self.place.authority.clone());
        if let Some(asked) = asked {
            headers.insert(X_FORWARDED_HOST, asked);
        }
        headers.append(VIA, via(http));
        let head = Head { method, target: target(&url), host, headers, hints };
        let outbound =
            Outbound { app: self.app.clone(), place: self.place.clone(), head, body, patience: self.patience };
        let response = self.egress.send(outbound).await.map_err(told)?;
        Ok(FetchResponse { status: response.status, headers: response.headers, body: response.body })
    }
}

/// Path and query of an absolute URL, as they are.
fn target(url: &str) -> PathAndQuery {
    let after = url.find("://").map_or(0, |at| at + 3);
    let rest = url[after..].find(['/', '?']).map_or("", |at| &url[after + at..]);
    let target = if rest.starts_with('/') { rest.parse() } else { format!("/{rest}").parse() };
    target.unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

/// RFC 9110 §7.6.3; the protocol is the one in which this node got the request.
fn via(http: Version) -> HeaderValue {
    let version = match http {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    HeaderValue::from_str(&format!("{version} {CDN_ID}")).expect("visible ASCII")
}

fn told(failure: FetchFailure) -> EdgeError {
    let FetchFailure { code, message } = failure;
    match code {
        "timeout" | "connect-timeout" => EdgeError::OriginTimeout(message),
        "origin-busy" => EdgeError::OriginBusy(message),
        "circuit-open" => EdgeError::OriginCircuitOpen(message),
        _ => EdgeError::OriginUnreachable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_as_they_were_written() {
        for (url, expected) in [
            ("http://a/", "/"),
            ("https://a:1/x/../y//z?q=%2f&r", "/x/../y//z?q=%2f&r"),
            ("http://a?b", "/?b"),
            ("http://a", "/"),
            ("http://a/p?u=http://b/c", "/p?u=http://b/c"),
        ] {
            assert_eq!(target(url).as_str(), expected, "{url}");
        }
    }

    #[test]
    fn failures_have_their_own_statuses() {
        let status = |code| {
            let error = told(FetchFailure { code, message: "m".into() });
            (error.status().as_u16(), error.code())
        };
        assert_eq!(status("connect-timeout"), (504, "origin-timeout"));
        assert_eq!(status("origin-busy"), (503, "origin-busy"));
        assert_eq!(status("circuit-open"), (503, "origin-circuit-open"));
        assert_eq!(status("tls"), (502, "origin-unreachable"));
    }
}
