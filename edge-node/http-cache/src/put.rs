//! What an app puts into a cache by itself, with the Cache API: whether it is kept, and for how long. Freshness is that of
//! a shared cache (RFC 9111 §4.2.1) and, where a response says nothing, a time by its status as on Workers.

use http::header::{AGE, EXPIRES, PRAGMA, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::cache_control::{self, MAX_SECONDS};
use crate::freshness::Policy;
use crate::storing::{self, Refusal, Storable};
use crate::{UnixMillis, date};

/// Decides whether a response that an app puts is kept, and until when. It is of no use once it is stale: nobody here can
/// ask where it came from.
pub fn judge(status: StatusCode, response: &HeaderMap, now: UnixMillis) -> Result<Storable, Refusal> {
    if !storing::is_storable(status) {
        return Err(Refusal::Status);
    }
    let said = cache_control::of_response(response);
    let pragma = response.get(PRAGMA).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    if said.is_none() && pragma {
        return Err(Refusal::NoFreshness);
    }
    let directives = said.unwrap_or_default();
    if directives.no_store {
        return Err(Refusal::NoStore);
    }
    if directives.private {
        return Err(Refusal::Private);
    }
    if directives.no_cache {
        return Err(Refusal::NoFreshness);
    }
    if response.contains_key(SET_COOKIE) && !directives.withheld.contains(&SET_COOKIE) {
        return Err(Refusal::SetCookie);
    }
    let lifetime = match directives.s_maxage.or(directives.max_age) {
        Some(seconds) => seconds,
        None if response.contains_key(EXPIRES) => {
            let expires = date::field(response, &EXPIRES).unwrap_or(0);
            expires.saturating_sub(now / 1000).min(MAX_SECONDS)
        }
        None => by_status(status).ok_or(Refusal::Status)?,
    };
    let age = response.get(AGE).map(HeaderValue::as_bytes).and_then(cache_control::seconds).unwrap_or(0);
    if lifetime <= age {
        return Err(Refusal::NoFreshness);
    }
    Ok(Storable {
        policy: Policy {
            response_time: now,
            initial_age_ms: age * 1000,
            lifetime,
            validate_always: false,
            must_revalidate: true,
            strict: true,
            stale_while_revalidate: 0,
            stale_if_error: 0,
        },
        vary: storing::vary(response)?,
        withheld: directives.withheld,
        for_shared: true,
    })
}

fn by_status(status: StatusCode) -> Option<u64> {
    let minutes = match status.as_u16() {
        200 | 301 => 120,
        302 | 303 => 20,
        404 | 410 => 3,
        _ => return None,
    };
    Some(minutes * 60)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn judged(status: u16, fields: &[(&'static str, &'static str)]) -> Result<Storable, Refusal> {
        let headers = fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        judge(StatusCode::from_u16(status).unwrap(), &headers, 784_111_777_000)
    }

    #[test]
    fn lifetimes() {
        for (status, fields, expected) in [
            (200, &[][..], Ok(7200)),
            (302, &[], Ok(1200)),
            (404, &[], Ok(180)),
            (500, &[], Err(Refusal::Status)),
            (304, &[("cache-control", "max-age=5")], Err(Refusal::Status)),
            (500, &[("cache-control", "max-age=5")], Ok(5)),
            (200, &[("cache-control", "max-age=5, s-maxage=9")], Ok(9)),
            (200, &[("cache-control", "Max-Age=\"7\"")], Ok(7)),
            (200, &[("cache-control", "max-age=0")], Err(Refusal::NoFreshness)),
            (200, &[("cache-control", "max-age=soon")], Err(Refusal::NoFreshness)),
            (200, &[("cache-control", "max-age=99999999999999999999")], Ok(MAX_SECONDS)),
            (200, &[("cache-control", "max-age=60"), ("age", "20")], Ok(40)),
            (200, &[("cache-control", "max-age=60"), ("age", "60")], Err(Refusal::NoFreshness)),
            (200, &[("expires", "Sun, 06 Nov 1994 08:49:47 GMT")], Ok(10)),
            (200, &[("expires", "Sun, 06 Nov 1994 08:49:37 GMT")], Err(Refusal::NoFreshness)),
            (200, &[("expires", "0")], Err(Refusal::NoFreshness)),
            (200, &[("expires", "0"), ("cache-control", "max-age=3")], Ok(3)),
            (200, &[("cache-control", "no-store, max-age=60")], Err(Refusal::NoStore)),
            (200, &[("cache-control", "private")], Err(Refusal::Private)),
            (200, &[("cache-control", "no-cache")], Err(Refusal::NoFreshness)),
            (200, &[("pragma", "no-cache")], Err(Refusal::NoFreshness)),
            (200, &[("pragma", "no-cache"), ("cache-control", "max-age=3")], Ok(3)),
            (200, &[("set-cookie", "a=b")], Err(Refusal::SetCookie)),
            (200, &[("vary", "*")], Err(Refusal::Vary)),
        ] {
            let left = judged(status, fields).map(|kept| kept.policy.ttl(kept.policy.response_time).unsigned_abs());
            assert_eq!(left, expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn named_fields_are_left_out_and_the_rest_is_kept() {
        let fields = [("cache-control", "private=\"Set-Cookie, x-a\", max-age=9"), ("set-cookie", "a"), ("x-a", "1")];
        let kept = judged(200, &fields).unwrap();
        assert_eq!(kept.withheld, [SET_COOKIE, HeaderName::from_static("x-a")]);
    }
}
