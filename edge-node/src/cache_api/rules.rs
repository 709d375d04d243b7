//! Whether the Cache API keeps a response, and for how long. Freshness is that of a shared cache (RFC 9111 §4.2.1) and,
//! where a response says nothing, a time by its status as on Workers.

use std::time::{Duration, SystemTime};

use http::header::{AGE, CACHE_CONTROL, EXPIRES, HeaderName, PRAGMA, SET_COOKIE};
use http::{HeaderMap, StatusCode};

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `Cache-Control: no-store`.
    NoStore,
    /// `Cache-Control: private`.
    Private,
    /// `Cache-Control: no-cache`, or `Pragma: no-cache` without a `Cache-Control`: it would have to be validated before
    /// each use, and nobody here can ask its origin.
    NoCache,
    /// It sets a cookie.
    SetCookie,
    /// It is not fresh: `max-age=0`, an `Expires` in the past, an `Age` above the lifetime.
    Stale,
    /// It says nothing of its lifetime and has a status that is not kept without.
    Status,
}

impl Refusal {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::SetCookie => "set-cookie",
            Self::Stale => "stale",
            Self::Status => "status",
        }
    }
}

/// For how long a response stays fresh. Fields that `private="…"` or `no-cache="…"` names are taken out of `headers`:
/// they are not for a shared cache, the rest is (RFC 9111 §5.2.2.4, §5.2.2.7).
pub fn lifetime(status: StatusCode, headers: &mut HeaderMap, now: SystemTime) -> Result<Duration, Refusal> {
    let (mut shared, mut age_limit) = (None, None);
    let mut unfit = Vec::new();
    let controlled = headers.contains_key(CACHE_CONTROL);
    for (name, value) in directives(headers) {
        match name.as_str() {
            "no-store" => return Err(Refusal::NoStore),
            "private" | "no-cache" => match value {
                Some(fields) => unfit.extend(fields.split(',').filter_map(|f| f.trim().parse::<HeaderName>().ok())),
                None if name == "private" => return Err(Refusal::Private),
                None => return Err(Refusal::NoCache),
            },
            // What is no number counts as no freshness at all (RFC 9111 §4.2.1).
            "s-maxage" => shared = Some(value.map_or(0, |value| seconds(&value))),
            "max-age" => age_limit = Some(value.map_or(0, |value| seconds(&value))),
            _ => {}
        }
    }
    let pragma = || headers.get(PRAGMA).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    if !controlled && pragma() {
        return Err(Refusal::NoCache);
    }
    for name in unfit {
        headers.remove(name);
    }
    if headers.contains_key(SET_COOKIE) {
        return Err(Refusal::SetCookie);
    }
    let lifetime = match shared.or(age_limit) {
        Some(seconds) => Duration::from_secs(seconds),
        None => match headers.get(EXPIRES) {
            Some(value) => value
                .to_str()
                .ok()
                .and_then(|text| httpdate::parse_http_date(text).ok())
                .and_then(|at| at.duration_since(now).ok())
                .unwrap_or_default(),
            None => by_status(status).ok_or(Refusal::Status)?,
        },
    };
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()).map_or(0, seconds);
    let left = lifetime.saturating_sub(Duration::from_secs(age));
    if left.is_zero() { Err(Refusal::Stale) } else { Ok(left) }
}

fn by_status(status: StatusCode) -> Option<Duration> {
    let minutes = match status.as_u16() {
        200 | 301 => 120,
        302 | 303 => 20,
        404 | 410 => 3,
        _ => return None,
    };
    Some(Duration::from_secs(minutes * 60))
}

/// A number of seconds: anything else is 0, what is too large for the type its largest value (RFC 9111 §1.2.2).
fn seconds(text: &str) -> u64 {
    match text.trim() {
        "" => 0,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().unwrap_or(u32::MAX.into()),
        _ => 0,
    }
    .min(u32::MAX.into())
}

/// The directives of `Cache-Control`, names in lower case, values without quotes.
fn directives(headers: &HeaderMap) -> Vec<(String, Option<String>)> {
    let mut list = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let mut quoted = false;
        let parts = text.split(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().trim_matches('"').to_owned())),
                None => (part, None),
            };
            let name = name.trim().to_ascii_lowercase();
            if !name.is_empty() {
                list.push((name, value));
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn kept(status: u16, fields: &[(&'static str, &'static str)]) -> Result<u64, Refusal> {
        let mut headers = headers(fields);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        lifetime(StatusCode::from_u16(status).unwrap(), &mut headers, now).map(|lifetime| lifetime.as_secs())
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn lifetimes() {
        for (status, fields, expected) in [
            (200, &[][..], Ok(7200)),
            (302, &[], Ok(1200)),
            (404, &[], Ok(180)),
            (500, &[], Err(Refusal::Status)),
            (500, &[("cache-control", "max-age=5")], Ok(5)),
            (200, &[("cache-control", "max-age=5, s-maxage=9")], Ok(9)),
            (200, &[("cache-control", "Max-Age=\"7\"")], Ok(7)),
            (200, &[("cache-control", "max-age=0")], Err(Refusal::Stale)),
            (200, &[("cache-control", "max-age=soon")], Err(Refusal::Stale)),
            (200, &[("cache-control", "max-age=99999999999999999999")], Ok(u32::MAX.into())),
            (200, &[("cache-control", "max-age=60"), ("age", "20")], Ok(40)),
            (200, &[("cache-control", "max-age=60"), ("age", "60")], Err(Refusal::Stale)),
            (200, &[("expires", "Sun, 06 Nov 1994 08:49:47 GMT")], Ok(10)),
            (200, &[("expires", "Sun, 06 Nov 1994 08:49:37 GMT")], Err(Refusal::Stale)),
            (200, &[("expires", "0")], Err(Refusal::Stale)),
            (200, &[("expires", "0"), ("cache-control", "max-age=3")], Ok(3)),
            (200, &[("cache-control", "no-store, max-age=60")], Err(Refusal::NoStore)),
            (200, &[("cache-control", "private")], Err(Refusal::Private)),
            (200, &[("cache-control", "no-cache")], Err(Refusal::NoCache)),
            (200, &[("pragma", "no-cache")], Err(Refusal::NoCache)),
            (200, &[("pragma", "no-cache"), ("cache-control", "max-age=3")], Ok(3)),
            (200, &[("set-cookie", "a=b")], Err(Refusal::SetCookie)),
        ] {
            assert_eq!(kept(status, fields), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn named_fields_are_left_out_and_the_rest_is_kept() {
        let fields = [("cache-control", "private=\"Set-Cookie, x-a\", max-age=9"), ("set-cookie", "a"), ("x-a", "1")];
        let mut headers = headers(&fields);
        assert_eq!(lifetime(StatusCode::OK, &mut headers, SystemTime::UNIX_EPOCH), Ok(Duration::from_secs(9)));
        assert_eq!(headers.len(), 1);
    }
}
