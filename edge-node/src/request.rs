//! From an HTTP request to what an app is given: host, URL, forwarding headers, the facts about the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atoll_runtime::{Fields, RequestId};
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::authority::Host;
use crate::client::Client;
use crate::errors::EdgeError;
use crate::listeners::Rule;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const CF_CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");

/// More header fields get 431; over HTTP/1 the parser stops there itself.
const MAX_HEADERS: usize = 100;

/// Refuses what no app is given. What HTTP/1 could not say is refused over HTTP/2 and HTTP/3 too: these take it as it is
/// from their libraries.
pub fn check(parts: &Parts) -> Result<(), EdgeError> {
    // An extended CONNECT (RFC 8441) has been shown as a GET before.
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(EdgeError::MethodNotAllowed(parts.method.to_string()));
    }
    if parts.headers.len() > MAX_HEADERS {
        // Cookies are one field, in however many a client sends them over HTTP/2 and HTTP/3.
        let cookies = parts.headers.get_all(COOKIE).iter().count();
        let fields = parts.headers.len() - cookies.saturating_sub(1);
        if fields > MAX_HEADERS {
            return Err(EdgeError::TooManyHeaders(fields));
        }
    }
    if parts.version < Version::HTTP_2 {
        // Its framing has been read.
        return Ok(());
    }
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    // RFC 9113 §8.3.1, RFC 9114 §4.3.1.
    if !target.starts_with('/') && (target != "*" || parts.method != Method::OPTIONS) {
        return Err(EdgeError::Refused(Rule::RequestLine));
    }
    // RFC 9113 §8.2.1, RFC 9114 §4.2.
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if parts.headers.values().map(HeaderValue::as_bytes).any(|value| is_space(value.first()) || is_space(value.last()))
    {
        return Err(EdgeError::Refused(Rule::Header));
    }
    if repeats(&parts.headers, CONTENT_LENGTH) {
        return Err(EdgeError::Refused(Rule::Length));
    }
    Ok(())
}

/// Whether a field is there more than once.
fn repeats(headers: &HeaderMap, name: HeaderName) -> bool {
    // In most requests no field is.
    headers.len() > headers.keys_len() && headers.get_all(name).iter().nth(1).is_some()
}

/// The host a request is for: the target's authority if it has one, else the one `Host` field (RFC 9112 §3.2). Over HTTP/1
/// the target comes first where they differ, and what `Host` says counts for nothing (§3.2.2); over HTTP/2 they may not
/// differ (RFC 9113 §8.3.1). Over HTTP/1.1 there has to be a `Host`.
pub fn host(parts: &Parts, client: &Client) -> Result<Arc<Host>, EdgeError> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    // A copy: what is kept of a request would keep the buffer that it was read into.
    let read = |text: &[u8]| Authority::try_from(text).ok().and_then(Host::new);
    let named = |text: &[u8]| client.host(text, || read(text));
    let host = match (parts.uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => None,
        (Some(authority), Some(field), None) => {
            let agree = if parts.version < Version::HTTP_2 {
                read(field.as_bytes()).is_some()
            } else {
                field.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
            };
            agree.then(|| named(authority.as_str().as_bytes())).flatten()
        }
        (Some(authority), None, None) => {
            (parts.version != Version::HTTP_11).then(|| named(authority.as_str().as_bytes())).flatten()
        }
        (None, Some(field), None) => named(field.as_bytes()),
        (None, None, None) => None,
    };
    host.ok_or(EdgeError::HostInvalid)
}

/// Makes `Host` say what the target says, where that names the host (RFC 9112 §3.2.2): what apps and origins are told, and
/// what the cache goes by, is one. And makes one field of the cookies, of which clients over HTTP/2 and HTTP/3 send several
/// (RFC 9113 §8.2.3, RFC 9114 §4.2.1).
pub fn settle(parts: &mut Parts, host: &Host) {
    if parts.version < Version::HTTP_2
        && parts.uri.authority().is_some()
        && let Ok(field) = HeaderValue::from_str(host.as_str())
    {
        parts.headers.insert(HOST, field);
    }
    if repeats(&parts.headers, COOKIE) {
        let pairs: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // Values, and what stands between them, can be in a value.
        if let Ok(joined) = HeaderValue::from_bytes(&pairs.join(&b"; "[..])) {
            parts.headers.insert(COOKIE, joined);
        }
    }
}

/// The path without the query; of `OPTIONS *` the root.
pub fn path(parts: &Parts) -> &str {
    match parts.uri.path() {
        "" | "*" => "/",
        path => path,
    }
}

/// The URL as the client addressed it.
pub fn url(parts: &Parts, host: &Host, scheme: &str) -> String {
    let path = path(parts);
    let query = parts.uri.query();
    let length = scheme.len() + 3 + host.as_str().len() + path.len() + query.map_or(0, |query| query.len() + 1);
    let mut url = String::with_capacity(length);
    url.push_str(scheme);
    url.push_str("://");
    url.push_str(host.as_str());
    url.push_str(path);
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// Adds `Host`, when only the target names it, and the fields that say where the request came from. Those that say who
/// the client is replace what the client sent; `X-Forwarded-For` is added to. When the client sent none of them, what is to
/// be added besides is returned: it is the same for all requests of a connection.
pub fn add_forwarding(headers: &mut HeaderMap, host: &Host, client: &Client) -> Option<Fields> {
    let (mut names_host, mut forwards) = (false, false);
    // Going through the few fields there are costs less than looking for each that there could be.
    for name in headers.keys() {
        names_host |= *name == HOST;
        forwards |= says_who(name);
    }
    if !names_host && let Ok(field) = HeaderValue::from_str(host.as_str()) {
        headers.insert(HOST, field);
    }
    if !forwards {
        return Some(client.forwarding(|| forwarding(client)));
    }
    let joined = headers.get(X_FORWARDED_FOR).and_then(|earlier| {
        let joined = [earlier.as_bytes(), b", ", client.header.as_bytes()].concat();
        HeaderValue::from_bytes(&joined).ok()
    });
    // RFC 9440 §2.4: only the one that ends TLS may say this.
    headers.remove(CLIENT_CERT);
    headers.remove(CLIENT_CERT_CHAIN);
    for (name, value) in forwarding(client) {
        headers.insert(name, value);
    }
    if let Some(joined) = joined {
        headers.insert(X_FORWARDED_FOR, joined);
    }
    None
}

/// The fields that say where a request came from, when nobody before has said anything of it.
fn forwarding(client: &Client) -> Vec<(HeaderName, HeaderValue)> {
    let address = &client.header;
    let mut fields = vec![
        (X_FORWARDED_FOR, address.clone()),
        (X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme())),
        (X_REAL_IP, address.clone()),
        (CF_CONNECTING_IP, address.clone()),
    ];
    let certificate = client.transport.tls.as_ref().and_then(|tls| tls.client_cert.clone());
    fields.extend(certificate.map(|certificate| (CLIENT_CERT, certificate)));
    fields
}

/// Whether it is one of the fields that say where a request came from.
fn says_who(name: &HeaderName) -> bool {
    let names = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_REAL_IP, &CF_CONNECTING_IP, &CLIENT_CERT, &CLIENT_CERT_CHAIN];
    names.into_iter().any(|who| name == who)
}

/// Makes ids for requests: unique in this process, and not to be confused with those of others.
pub struct RequestIds(AtomicU64);

impl RequestIds {
    /// Ids from a random start.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        // Without randomness ids are still unique within the process.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        Self(AtomicU64::new(u64::from_le_bytes(seed)))
    }

    /// The next id: a permutation of a counter, so it never comes twice.
    pub fn next(&self) -> RequestId {
        let mut mixed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId::Number(mixed ^ (mixed >> 31))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use atoll_runtime::FetchHead;
    use http::Request;

    use super::*;
    use crate::client::Transport;
    use crate::load::Load;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn client() -> Client {
        let load = Arc::new(Load::new(1, u64::MAX));
        Client::new("::ffff:9.9.9.9".parse().unwrap(), Transport::default(), load)
    }

    #[test]
    fn the_target_names_the_host_before_the_header_does() {
        let client = client();
        let request = parts("http://a.com:81/x?y", &["b.com"]);
        let named = host(&request, &client).unwrap();
        assert_eq!(url(&request, &named, "https"), "https://a.com:81/x?y");
        let request = parts("/x", &["b.com:8080"]);
        assert_eq!(url(&request, &host(&request, &client).unwrap(), "http"), "http://b.com:8080/x");
        let request = parts("*", &["b.com"]);
        assert_eq!(url(&request, &host(&request, &client).unwrap(), "http"), "http://b.com/");
    }

    #[test]
    fn a_host_that_is_missing_double_or_nonsense_is_refused() {
        for hosts in [&[][..], &["a.com", "a.com"]] {
            assert_eq!(host(&parts("/", hosts), &client()), Err(EdgeError::HostInvalid), "{hosts:?}");
            assert_eq!(host(&parts("http://a.com", hosts), &client()), Err(EdgeError::HostInvalid), "{hosts:?}");
        }
        for text in [
            "",
            "a b",
            "user@a.com",
            "a.com@a.com",
            "a.com/x",
            ":80",
            "a.com:x",
            "a.com:+80",
            "a.com:65536",
            "a:80:80",
            "1.2.3.256",
            "1.2.3.4.5",
            "[::1",
            "[::zz]",
            "[1]",
            "[::1]x",
            "[::1]:x",
            "xn--a",
            "a.XN--a.com",
            "a%20b",
            "a|b",
        ] {
            assert_eq!(host(&parts("/", &[text]), &client()), Err(EdgeError::HostInvalid), "{text}");
            let absolute = parts("http://a.com/", &[text]);
            assert_eq!(host(&absolute, &client()), Err(EdgeError::HostInvalid), "{text}");
        }
        for text in [
            "a",
            "a.com.",
            "A_b.com:",
            "a.com:080",
            "1.2.3.4",
            "127.1",
            "[::1]:80",
            "xn--80ak6aa92e.com",
            "a--b",
            "a.b1",
        ] {
            assert_eq!(host(&parts("/", &[text]), &client()).as_ref().map(|host| host.as_str()), Ok(text));
        }
    }

    #[test]
    fn target_and_host_are_made_one_or_refused() {
        let client = client();
        let mut request = parts("http://a.com:81/x", &["b.com"]);
        let named = host(&request, &client).unwrap();
        settle(&mut request, &named);
        assert_eq!(request.headers[HOST], "a.com:81");
        for (text, good) in [("b.com", false), ("A.com:81", true), ("a.com", false)] {
            let mut request = parts("http://a.com:81/x", &[text]);
            request.version = Version::HTTP_2;
            assert_eq!(host(&request, &client).is_ok(), good, "{text}");
        }
        // These may leave `Host` out.
        for version in [Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
            let mut request = parts("http://a.com/x", &[]);
            request.version = version;
            assert_eq!(host(&request, &client).unwrap().as_str(), "a.com");
        }
    }

    #[test]
    fn requests_of_one_connection_may_be_for_different_hosts() {
        let client = client();
        for (text, expected) in [
            ("a.com", Ok("a.com")),
            ("a.com", Ok("a.com")),
            ("a b", Err(EdgeError::HostInvalid)),
            ("A.com:80", Ok("A.com:80")),
            ("a.com", Ok("a.com")),
        ] {
            let named = host(&parts("/", &[text]), &client);
            assert_eq!(named.as_ref().map(|host| host.as_str()), expected.as_ref().copied(), "{text}");
        }
    }

    #[test]
    fn what_the_client_says_of_itself_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
        headers.insert(X_REAL_IP, HeaderValue::from_static("1.1.1.1"));
        headers.insert(CF_CONNECTING_IP, HeaderValue::from_static("1.1.1.1"));
        headers.insert(CLIENT_CERT, HeaderValue::from_static(":AA==:"));
        let client = client();
        assert!(add_forwarding(&mut headers, &Host::new("a.com".parse().unwrap()).unwrap(), &client).is_none());
        assert_eq!(headers[X_FORWARDED_FOR], "1.1.1.1, 9.9.9.9");
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        assert_eq!(headers[X_REAL_IP], "9.9.9.9");
        assert_eq!(headers[CF_CONNECTING_IP], "9.9.9.9");
        assert_eq!(headers[HOST], "a.com");
        assert!(!headers.contains_key(CLIENT_CERT));
    }

    #[test]
    fn of_a_client_that_says_nothing_of_itself_the_same_is_said_for_every_request() {
        let client = client();
        let mut fields = [HeaderMap::new(), HeaderMap::new()].map(|mut headers| {
            headers.insert(HOST, HeaderValue::from_static("b.com"));
            let added = add_forwarding(&mut headers, &Host::new("a.com".parse().unwrap()).unwrap(), &client).unwrap();
            let mut head = FetchHead { headers, added: Some(added), ..FetchHead::default() };
            let listed = head.fields().count();
            let headers = std::mem::take(head.all_headers());
            assert_eq!((listed, head.fields().count()), (headers.len(), 0));
            headers
        });
        assert_eq!(fields[0], fields[1]);
        for name in [X_FORWARDED_FOR, X_REAL_IP, CF_CONNECTING_IP] {
            assert_eq!(fields[0].remove(name).unwrap(), "9.9.9.9");
        }
        assert_eq!(fields[0].remove(X_FORWARDED_PROTO).unwrap(), "http");
        assert_eq!(fields[0].remove(HOST).unwrap(), "b.com");
        assert!(fields[0].is_empty());
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids = RequestIds::new();
        let seen: HashSet<String> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|id| id.len() == 16));
    }
}
