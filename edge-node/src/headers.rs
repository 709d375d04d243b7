//! What happens to header fields on their way through: hop-by-hop fields go, loops are counted.

pub use atoll_http_cache::fields::{first, has};
use http::header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Names this platform in `CDN-Loop` (RFC 8586 §2).
pub const CDN_ID: &str = "atoll";

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the fields that concern one connection only, those that `Connection` names too (RFC 9110 §7.6.1). That trailers
/// are welcome stays: they pass this platform.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Going through the few fields there are costs less than looking for each that there could be.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named.into_iter().filter(|name| name != TE) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &TRANSFER_ENCODING, &UPGRADE] {
        headers.remove(name);
    }
    if let Some(te) = headers.remove(TE)
        && te.to_str().is_ok_and(|codings| codings.split(',').any(|coding| coding.trim() == "trailers"))
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether there are fields that HTTP/2 and HTTP/3 do not have (RFC 9113 §8.2.2, RFC 9114 §4.2). What h2 receives has none.
pub fn has_connection_fields(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_hop_by_hop(name) && *name != TE)
        || headers.get_all(TE).iter().any(|codings| codings != "trailers")
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let names = [&CONNECTION, &KEEP_ALIVE, &PROXY_CONNECTION, &TRANSFER_ENCODING, &UPGRADE, &TE];
    names.into_iter().any(|hop_by_hop| name == hop_by_hop)
}

/// How often a request has passed this platform.
pub fn loop_depth(headers: &HeaderMap) -> usize {
    if !has(headers, &CDN_LOOP) {
        return 0;
    }
    let ids = headers.get_all(CDN_LOOP).iter().filter_map(|value| value.to_str().ok());
    ids.flat_map(|value| value.split(','))
        .filter(|info| {
            // cdn-info = cdn-id *( OWS ";" OWS parameter )
            info.split(';').next().is_some_and(|id| id.trim().eq_ignore_ascii_case(CDN_ID))
        })
        .count()
}

/// Says in an outbound request that it passed this platform once more.
pub fn add_loop_mark(headers: &mut HeaderMap) {
    headers.append(CDN_LOOP, HeaderValue::from_static(CDN_ID));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn hop_by_hop_fields_go_and_all_others_stay() {
        let mut map = headers(&[
            ("connection", "close, X-Once"),
            ("x-once", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers, deflate"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "close"),
            ("x-stays", "1"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("x-stays", "1"), ("accept", "*/*"), ("te", "trailers")]));
        let mut map = headers(&[("te", "deflate"), ("connection", "te")]);
        remove_hop_by_hop(&mut map);
        assert!(map.is_empty());
    }

    #[test]
    fn a_connection_field_with_nonsense_does_not_panic() {
        let mut map = headers(&[("connection", ", ,\"x\", a b,,connection"), ("a", "1")]);
        map.append(CONNECTION, HeaderValue::from_bytes(b"\xff").unwrap());
        remove_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("a", "1")]));
    }

    #[test]
    fn passes_are_counted_whatever_their_parameters() {
        let mut map = headers(&[("cdn-loop", "other.example, Atoll ; v=1,atollo")]);
        assert_eq!(loop_depth(&map), 1);
        add_loop_mark(&mut map);
        assert_eq!(loop_depth(&map), 2);
        assert_eq!(loop_depth(&HeaderMap::new()), 0);
    }
}
