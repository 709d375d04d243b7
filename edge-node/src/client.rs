//! The other end of a connection: what is told of it to apps, and what the connection and the service tell each other.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use atoll_runtime::Fields;
use http::{HeaderName, HeaderValue, Version};

use crate::authority::Host;
use crate::hints::CurrentHints;
use crate::listeners::Rule;
use crate::load::Load;

/// Of how many streams it is remembered that they are refused.
const MAX_REFUSED: usize = 2048;

/// The other end of a connection, with all that is told of it made once.
pub struct Client {
    /// Its address; of an IPv4-mapped one the IPv4 address.
    pub address: IpAddr,
    /// The address as header fields carry it.
    pub header: HeaderValue,
    /// What the transport adds; nothing in clear text.
    pub transport: Transport,
    /// Over HTTP/1: what it is told of before its answer.
    pub hints: CurrentHints,
    /// Everything in `request.cf` but the protocol, which comes first.
    cf: String,
    /// All of it, as the connection's first request had it.
    first_cf: OnceLock<(Version, Arc<str>)>,
    /// What is added to its requests.
    forwarding: OnceLock<Fields>,
    /// The last request's host.
    last_host: Mutex<Option<Arc<Host>>>,
    load: Arc<Load>,
    /// Requests under way.
    active: AtomicUsize,
    /// When the last of them ended, milliseconds after `since`.
    last: AtomicU64,
    since: Instant,
    /// What of answers its windows have had room for, bytes; not counted over HTTP/1.
    sent: AtomicU64,
    refusal: OnceLock<Refusal>,
    /// Streams of HTTP/2 whose requests are refused and have not been asked for, in their order.
    refused_streams: Mutex<VecDeque<(u32, Rule)>>,
    upgraded: AtomicBool,
    closing: AtomicBool,
    draining: AtomicBool,
}

/// What a connection's listener and TLS say of it.
#[derive(Clone, Default)]
pub struct Transport {
    /// TLS, when it is spoken.
    pub tls: Option<TlsFacts>,
    /// The port of `https:` that requests are sent to instead of being answered.
    pub redirect_https: Option<u16>,
    /// `Alt-Svc` for every answer (RFC 7838 §3).
    pub alt_svc: Option<HeaderValue>,
}

/// What a TLS handshake agreed on.
#[derive(Clone)]
pub struct TlsFacts {
    /// For `request.cf.tlsVersion`, for example `TLSv1.3`.
    pub version: &'static str,
    /// For `request.cf.tlsCipher`: the suite's name in IANA's registry. Unknown over QUIC.
    pub cipher: Option<String>,
    /// The name the client asked for, in lower case.
    pub sni: Option<String>,
    /// DNS names of the certificate that the client was shown.
    pub names: Arc<[String]>,
    /// For `request.cf.tlsClientAuth`: a JSON object.
    pub client_auth: String,
    /// The client's certificate as `Client-Cert` carries it (RFC 9440), when apps are to see it.
    pub client_cert: Option<HeaderValue>,
}

/// A request that was refused before it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub rule: Rule,
    /// Which request of the connection stands in its place; `None` when the body of one under way broke the rule.
    pub request: Option<u64>,
}

impl Client {
    /// The client at this address.
    pub fn new(address: IpAddr, transport: Transport, load: Arc<Load>) -> Self {
        let address = address.to_canonical();
        let text = address.to_string();
        let mut cf = format!("\"clientAddress\":\"{text}\"");
        if let Some(tls) = &transport.tls {
            cf.push_str(&format!(",\"tlsVersion\":\"{}\",\"tlsClientAuth\":{}", tls.version, tls.client_auth));
            if let Some(cipher) = &tls.cipher {
                cf.push_str(&format!(",\"tlsCipher\":\"{cipher}\""));
            }
        }
        Self {
            address,
            header: HeaderValue::from_str(&text).expect("an address has only visible ASCII"),
            transport,
            hints: CurrentHints::default(),
            cf,
            first_cf: OnceLock::new(),
            forwarding: OnceLock::new(),
            last_host: Mutex::default(),
            load,
            active: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            since: Instant::now(),
            sent: AtomicU64::new(0),
            refusal: OnceLock::new(),
            refused_streams: Mutex::default(),
            upgraded: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// Its windows had room for so many more bytes of an answer.
    pub fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// For how many bytes of answers they have had room.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The fields that are added to its requests: what `make` makes when this is asked first.
    pub fn forwarding(&self, make: impl FnOnce() -> Vec<(HeaderName, HeaderValue)>) -> Fields {
        self.forwarding.get_or_init(|| make().into()).clone()
    }

    /// `request.cf`: only what is truly known.
    pub fn cf(&self, version: Version) -> Arc<str> {
        let (first, text) = self.first_cf.get_or_init(|| (version, self.make_cf(version)));
        // Over HTTP/1, requests of one connection may differ.
        if *first == version { text.clone() } else { self.make_cf(version) }
    }

    fn make_cf(&self, version: Version) -> Arc<str> {
        let protocol = match version {
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_3 => "HTTP/3",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        };
        let mut json = String::with_capacity(self.cf.len() + 28);
        json.push_str("{\"httpProtocol\":\"");
        json.push_str(protocol);
        json.push_str("\",");
        json.push_str(&self.cf);
        json.push('}');
        json.into()
    }

    /// The scheme of its requests' URLs.
    pub fn scheme(&self) -> &'static str {
        if self.transport.tls.is_some() { "https" } else { "http" }
    }

    /// Whether this connection may carry requests for `host`: over TLS, the host of the handshake, or one that the
    /// certificate which was shown is for (RFC 9110 §7.4). Without SNI there is nothing to compare.
    pub fn may_ask_for(&self, host: &str) -> bool {
        let Some(TlsFacts { sni: Some(sni), names, .. }) = &self.transport.tls else { return true };
        let host = host.strip_suffix('.').unwrap_or(host);
        sni.eq_ignore_ascii_case(host)
            || names.iter().any(|name| match name.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
                None => name.eq_ignore_ascii_case(host),
            })
    }

    /// What `read` makes of a host with its port, which it is not asked again as long as the next requests are for the same.
    pub fn host(&self, text: &[u8], read: impl FnOnce() -> Option<Host>) -> Option<Arc<Host>> {
        let mut last = self.last_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = last.as_ref()
            && host.as_str().as_bytes() == text
        {
            return Some(host.clone());
        }
        let host = Arc::new(read()?);
        *last = Some(host.clone());
        Some(host)
    }

    /// Begins a request, unless the node has as many as it may.
    pub fn begin(self: &Arc<Self>) -> Option<InFlight> {
        if !self.load.begin() {
            return None;
        }
        self.active.fetch_add(1, Ordering::Relaxed);
        Some(InFlight(self.clone()))
    }

    /// For how long no request has been under way, milliseconds.
    pub fn idle_ms(&self) -> u64 {
        if self.active.load(Ordering::Relaxed) > 0 {
            return 0;
        }
        self.age_ms().saturating_sub(self.last.load(Ordering::Relaxed))
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.active.load(Ordering::Relaxed) == 0
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Remembers why the connection takes no more requests.
    pub fn refuse(&self, rule: Rule, request: Option<u64>) {
        // Only the first counts; after it nothing is read.
        let _ = self.refusal.set(Refusal { rule, request });
    }

    /// Why the request with this number stands in the place of one that was refused.
    pub fn refusal_of(&self, request: u64) -> Option<Rule> {
        self.refusal.get().filter(|refusal| refusal.request == Some(request)).map(|refusal| refusal.rule)
    }

    /// Over HTTP/2: refuses the request of a stream that is about to begin.
    pub fn refuse_stream(&self, stream: u32, rule: Rule) {
        let mut refused = self.refused_streams.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that never become requests are errors, of which h2 takes no more than a thousand.
        if refused.len() == MAX_REFUSED {
            refused.pop_front();
        }
        refused.push_back((stream, rule));
    }

    /// Why the request of this stream is refused. Asked of each request in its turn: what is known of those before is forgotten,
    /// which turned out to be none.
    pub fn refusal_of_stream(&self, stream: u32) -> Option<Rule> {
        let mut refused = self.refused_streams.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((first, rule)) = refused.front().copied().filter(|(first, _)| *first <= stream) {
            refused.pop_front();
            if first == stream {
                return Some(rule);
            }
        }
        None
    }

    /// Why the body of the request under way cannot be read to its end.
    pub fn body_refusal(&self) -> Option<Rule> {
        self.refusal.get().filter(|refusal| refusal.request.is_none()).map(|refusal| refusal.rule)
    }

    /// From now on the connection's bytes are those of another protocol.
    pub fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Whether that has been said.
    pub fn has_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// The node takes no more connections: the next answer over HTTP/1 is the last.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether that has been said.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The connection ends after this answer, although the client may still be sending.
    pub fn set_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether that has been said.
    pub fn must_close(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// A request under way; keeps its connection from counting as idle.
pub struct InFlight(Arc<Client>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.last.store(self.0.age_ms(), Ordering::Relaxed);
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.load.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(sni: Option<&str>) -> Transport {
        let facts = TlsFacts {
            version: "TLSv1.3",
            cipher: Some("TLS_AES_128_GCM_SHA256".into()),
            sni: sni.map(str::to_owned),
            names: ["a.com".to_owned(), "*.b.com".to_owned()].into(),
            client_auth: "{\"certPresented\":\"0\"}".into(),
            client_cert: None,
        };
        Transport { tls: Some(facts), ..Transport::default() }
    }

    fn client(address: &str, transport: Transport) -> Arc<Client> {
        Arc::new(Client::new(address.parse().unwrap(), transport, Arc::new(Load::new(1, u64::MAX))))
    }

    #[test]
    fn what_is_told_is_json() {
        for transport in [Transport::default(), tls(None)] {
            let client = client("::ffff:9.9.9.9", transport);
            let cf: serde_json::Value = serde_json::from_str(&client.cf(Version::HTTP_2)).unwrap();
            assert_eq!((cf["httpProtocol"].as_str(), cf["clientAddress"].as_str()), (Some("HTTP/2"), Some("9.9.9.9")));
            assert_eq!(cf.get("tlsVersion").is_some(), client.scheme() == "https");
        }
    }

    #[test]
    fn a_connection_carries_the_hosts_of_its_certificate() {
        let shown = client("9.9.9.9", tls(Some("x.com")));
        for (host, may) in
            [("x.com", true), ("A.com.", true), ("c.b.com", true), ("d.c.b.com", false), ("y.com", false)]
        {
            assert_eq!(shown.may_ask_for(host), may, "{host}");
        }
        assert!(client("9.9.9.9", tls(None)).may_ask_for("y.com"));
        assert!(client("9.9.9.9", Transport::default()).may_ask_for("y.com"));
    }

    #[test]
    fn requests_are_counted_until_they_end() {
        let client = client("9.9.9.9", Transport::default());
        let first = client.begin();
        assert!(first.is_some() && client.begin().is_none());
        assert_eq!(client.idle_ms(), 0);
        drop(first);
        assert!(client.begin().is_some());
    }
}
