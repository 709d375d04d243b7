//! Requests that pass by the cache because an answer to them could be poison for others.

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

use crate::status::{Bypass, Forwarded};

/// Whether this is a field by which frameworks let a client choose what is answered, or what links in the answer lead to,
/// and which hardly anything names in `Vary`. A request with one of them is neither answered from the cache nor does its
/// answer get there, so that nobody can make an answer that others get.
fn is_unkeyed(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Most fields are told by their beginning.
    name == "forwarded"
        || name.strip_prefix("x-").is_some_and(|name| {
            matches!(
                name,
                "forwarded-host"
                    | "forwarded-port"
                    | "forwarded-prefix"
                    | "forwarded-scheme"
                    | "forwarded-server"
                    | "forwarded-ssl"
                    | "host"
                    | "original-host"
                    | "original-url"
                    | "rewrite-url"
                    | "http-host-override"
                    | "http-method"
                    | "http-method-override"
                    | "method-override"
                    | "middleware-subrequest"
            )
        })
}

/// Whether the cache may be asked about a request at all. `headers` are those that the app will see: without the
/// hop-by-hop fields and what `Connection` names.
pub fn admit(method: &Method, headers: &HeaderMap, has_body: bool) -> Result<(), Forwarded> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Forwarded::Method);
    }
    let (mut upgrade, mut precondition, mut unkeyed) = (false, false, false);
    // Going through the few fields there are costs less than looking for each that there could be.
    for name in headers.keys() {
        upgrade |= *name == UPGRADE;
        precondition |= *name == IF_MATCH || *name == IF_UNMODIFIED_SINCE;
        unkeyed |= is_unkeyed(name);
    }
    let bypass = if has_body {
        Bypass::Body
    } else if upgrade {
        Bypass::Upgrade
    } else if precondition {
        Bypass::Precondition
    } else if unkeyed {
        Bypass::UnkeyedHeader
    } else {
        return Ok(());
    };
    Err(Forwarded::Bypass(bypass))
}

/// Whether a method is known to be safe. A request with any other that succeeds invalidates what is stored for its URL
/// (RFC 9111 §4.4).
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn requests_with_unkeyed_power_pass_by() {
        let none = HeaderMap::new();
        assert_eq!(admit(&Method::GET, &none, false), Ok(()));
        assert_eq!(admit(&Method::HEAD, &none, false), Ok(()));
        assert_eq!(admit(&Method::POST, &none, false), Err(Forwarded::Method));
        assert_eq!(admit(&Method::GET, &none, true), Err(Forwarded::Bypass(Bypass::Body)));
        for (name, why) in [
            ("forwarded", Bypass::UnkeyedHeader),
            ("x-host", Bypass::UnkeyedHeader),
            ("x-forwarded-host", Bypass::UnkeyedHeader),
            ("x-middleware-subrequest", Bypass::UnkeyedHeader),
            ("x-original-url", Bypass::UnkeyedHeader),
            ("x-http-method-override", Bypass::UnkeyedHeader),
            ("if-match", Bypass::Precondition),
            ("upgrade", Bypass::Upgrade),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("evil"))]);
            assert_eq!(admit(&Method::GET, &headers, false), Err(Forwarded::Bypass(why)), "{name}");
        }
        let harmless = ["host", "accept", "x-forwarded-for", "x-forwarded-proto", "x-requested-with"];
        let headers = harmless.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
        assert_eq!(admit(&Method::GET, &HeaderMap::from_iter(headers), false), Ok(()));
    }

    #[test]
    fn a_method_that_is_not_known_is_not_safe() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, "PURGE".parse().unwrap()] {
            assert!(!is_safe(&method), "{method}");
        }
        assert!(is_safe(&Method::OPTIONS) && is_safe(&Method::HEAD));
    }
}
