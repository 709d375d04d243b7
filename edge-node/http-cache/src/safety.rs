//! Requests that pass by the cache because an answer to them could be poison for others.

use http::header::{FORWARDED, IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

use crate::status::{Bypass, Forwarded};

/// Fields by which frameworks let a client choose what is answered, or what links in the answer lead to, and which
/// hardly anything names in `Vary`. A request with one of them is neither answered from the cache nor does its answer
/// get there, so that nobody can make an answer that others get.
const UNKEYED: [HeaderName; 16] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-host"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-http-host-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-middleware-subrequest"),
];

/// Whether the cache may be asked about a request at all. `headers` are those that the app will see: without the
/// hop-by-hop fields and what `Connection` names.
pub fn admit(method: &Method, headers: &HeaderMap, has_body: bool) -> Result<(), Forwarded> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Forwarded::Method);
    }
    let bypass = if has_body {
        Bypass::Body
    } else if headers.contains_key(UPGRADE) {
        Bypass::Upgrade
    } else if headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE) {
        Bypass::Precondition
    } else if UNKEYED.iter().any(|name| headers.contains_key(name)) {
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
            ("x-forwarded-host", Bypass::UnkeyedHeader),
            ("x-original-url", Bypass::UnkeyedHeader),
            ("x-http-method-override", Bypass::UnkeyedHeader),
            ("if-match", Bypass::Precondition),
            ("upgrade", Bypass::Upgrade),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("evil"))]);
            assert_eq!(admit(&Method::GET, &headers, false), Err(Forwarded::Bypass(why)), "{name}");
        }
    }

    #[test]
    fn a_method_that_is_not_known_is_not_safe() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, "PURGE".parse().unwrap()] {
            assert!(!is_safe(&method), "{method}");
        }
        assert!(is_safe(&Method::OPTIONS) && is_safe(&Method::HEAD));
    }
}
