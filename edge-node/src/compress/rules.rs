//! Which answers are compressed, and what that does to their header fields.

use atoll_assets::is_compressible;
use atoll_protocol::config::CompressionSettings;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::negotiate::Coding;

/// Bodies that are known to be smaller do not get smaller enough to be worth it, bytes.
pub const SMALLEST_BODY: u64 = 1024;
/// Digests of the content as it is sent (RFC 9530 §2, RFC 3230), which compression would make wrong.
const DIGESTS: [HeaderName; 3] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Whether an answer is one that is compressed for clients that take it. `length` is its body's, when known.
pub fn eligible(settings: &CompressionSettings, status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> bool {
    if !settings.enabled || length.is_some_and(|length| length < SMALLEST_BODY) {
        return false;
    }
    let bodiless = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
    );
    let compressible = || {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.is_some_and(is_compressible)
    };
    let fixed = || {
        [CONTENT_ENCODING, CONTENT_RANGE].iter().chain(&DIGESTS).any(|name| headers.contains_key(name))
            || forbids_transformation(headers)
    };
    // A secret beside what a client chose could be guessed from the length (BREACH).
    let personal = || {
        headers.contains_key(SET_COOKIE)
            || directives(headers)
                .any(|name| name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store"))
    };
    !bodiless && !status.is_informational() && compressible() && !fixed() && (settings.personal || !personal())
}

/// Whether a message must stay as it is: `Cache-Control: no-transform` (RFC 9111 §5.2.1.6 and §5.2.2.6, RFC 9110 §7.7).
pub fn forbids_transformation(headers: &HeaderMap) -> bool {
    directives(headers).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// The names of the directives of `Cache-Control`. A value may have any bytes in its quoted parts.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let items = headers.get_all(CACHE_CONTROL).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    items.map(|item| item.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii())
}

/// Says that the answer depends on what codings the client takes, for caches between here and there.
pub fn add_vary(headers: &mut HeaderMap) {
    let said = |value: &HeaderValue| {
        value.to_str().is_ok_and(|list| {
            list.split(',').any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case("accept-encoding"))
        })
    };
    if !headers.get_all(VARY).iter().any(said) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The fields of a compressed answer: `Content-Encoding`, no length and no ranges of what is not sent, and a weak entity
/// tag, since the bytes are not those it was made for (RFC 9110 §8.8.1).
pub fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, coding.header());
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    if let Some(etag) = headers.get(ETAG)
        && !etag.as_bytes().starts_with(b"W/")
    {
        match HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()) {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_is_not_compressed_has_a_reason() {
        let settings = CompressionSettings::default();
        let html = ("content-type", "text/html");
        let may = |more: &[(&'static str, &'static str)], status, length| {
            let all: Vec<_> = std::iter::once(html).chain(more.iter().copied()).collect();
            eligible(&settings, StatusCode::from_u16(status).unwrap(), &fields(&all), length)
        };
        assert!(may(&[], 200, None) && may(&[], 404, Some(5000)) && may(&[], 500, Some(1024)));
        assert!(!may(&[], 200, Some(1023)), "too small");
        for status in [204, 206, 304] {
            assert!(!may(&[], status, None), "{status}");
        }
        for field in [
            ("content-encoding", "br"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-1/2"),
            ("content-digest", "sha-256=:x:"),
            ("cache-control", "max-age=1, No-Transform"),
            ("cache-control", "private"),
            ("cache-control", "private=\"x\""),
            ("cache-control", "no-store"),
            ("set-cookie", "a=b"),
        ] {
            assert!(!may(&[field], 200, None), "{field:?}");
        }
        assert!(may(&[("cache-control", "public, no-cache")], 200, None));
        let latin = HeaderValue::from_bytes(b"x=\"\xe9\", no-transform").unwrap();
        assert!(forbids_transformation(&HeaderMap::from_iter([(CACHE_CONTROL, latin)])));
        assert!(!eligible(&settings, StatusCode::OK, &fields(&[("content-type", "image/png")]), None));
        assert!(!eligible(&settings, StatusCode::OK, &HeaderMap::new(), None));
        let personal = CompressionSettings { personal: true, ..settings };
        assert!(eligible(&personal, StatusCode::OK, &fields(&[html, ("set-cookie", "a=b")]), None));
        let off = CompressionSettings { enabled: false, personal: true };
        assert!(!eligible(&off, StatusCode::OK, &fields(&[html]), None));
    }

    #[test]
    fn fields_say_what_was_done() {
        let mut headers =
            fields(&[("etag", "\"a\""), ("content-length", "5"), ("accept-ranges", "bytes"), ("vary", "Cookie")]);
        mark(&mut headers, Coding::Zstd);
        add_vary(&mut headers);
        add_vary(&mut headers);
        assert_eq!(headers["etag"], "W/\"a\"");
        assert_eq!(headers["content-encoding"], "zstd");
        assert!(!headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(ACCEPT_RANGES));
        assert_eq!(headers.get_all(VARY).iter().count(), 2);
        for said in ["accept-encoding", "Cookie, Accept-Encoding", "*"] {
            let mut headers = fields(&[("vary", said)]);
            add_vary(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().count(), 1);
        }
    }
}
