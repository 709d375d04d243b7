//! Whether a response may be stored (RFC 9111 §3), and what it may then be used for.

use http::header::{AGE, AUTHORIZATION, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::cache_control::{self, MAX_SECONDS, ResponseDirectives};
use crate::freshness::Policy;
use crate::{UnixMillis, date, targeted};

/// Why a response was not stored. The word stands in `Cache-Status`, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Only answers to GET are stored.
    Method,
    /// A status that depends on more than the resource: 206, 304, 412, 416, or one that is not final.
    Status,
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// Nothing says that it is for shared caches, and the app has not asked for more to be stored.
    NotShared,
    /// It sets a cookie.
    SetCookie,
    /// The request had `Authorization`, and nothing says that the answer is for others too (RFC 9111 §3.5).
    Authorization,
    /// The request said `no-store` (RFC 9111 §5.2.1.5).
    Request,
    /// It says neither how long it is fresh nor how to validate it.
    NoFreshness,
    /// `Vary: *`, or so much of it that no other request would match.
    Vary,
    /// Larger than an object may be.
    TooLarge,
    /// The body did not come to its end.
    Interrupted,
    /// What is being stored takes all the memory there is for it.
    Busy,
    /// It was invalidated while it came.
    Invalidated,
}

impl Refusal {
    /// Whether it says nothing of what others would get: the status, the method or the request alone decided.
    pub fn is_of_this_request(self) -> bool {
        matches!(self, Self::Status | Self::Method | Self::Request | Self::Authorization)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NotShared => "not-shared",
            Self::SetCookie => "set-cookie",
            Self::Authorization => "authorization",
            Self::Request => "request-no-store",
            Self::NoFreshness => "no-freshness",
            Self::Vary => "vary",
            Self::TooLarge => "too-large",
            Self::Interrupted => "interrupted",
            Self::Busy => "busy",
            Self::Invalidated => "invalidated",
        }
    }
}

/// What storing a response comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storable {
    /// How it may be used.
    pub policy: Policy,
    /// The request fields that it depends on, in lower case, sorted.
    pub vary: Vec<HeaderName>,
    /// Fields that it is stored without.
    pub withheld: Vec<HeaderName>,
    /// It says that it is for shared caches: by `public`, `s-maxage` or a targeted field.
    pub for_shared: bool,
}

/// The most request fields that `Vary` may name.
const MAX_VARY: usize = 16;

/// Whether any field of the response could allow storing it: cheap, for responses of apps that never do.
pub fn could_be_stored(headers: &HeaderMap) -> bool {
    let telling = [&CACHE_CONTROL, &EXPIRES, &targeted::CDN_CACHE_CONTROL, &targeted::ATOLL_CDN_CACHE_CONTROL];
    // Going through the few fields there are costs less than looking for each that there could be.
    headers.keys().any(|name| telling.contains(&name))
}

/// Decides whether the response to a request may be stored, and how it may be used. `sent` and `received` are when the
/// request went out and the response's head came.
pub fn judge(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    sent: UnixMillis,
    received: UnixMillis,
) -> Result<Storable, Refusal> {
    if *method != Method::GET {
        return Err(Refusal::Method);
    }
    if !is_storable(status) {
        return Err(Refusal::Status);
    }
    if request.contains_key(CACHE_CONTROL) && cache_control::of_request(request).no_store {
        return Err(Refusal::Request);
    }
    let targeted = targeted::of_response(response);
    let is_targeted = targeted.is_some();
    let directives = targeted.or_else(|| cache_control::of_response(response)).unwrap_or_default();
    // must-understand stands for no-store with caches that do not know the status (RFC 9111 §5.2.2.3).
    let no_store = if directives.must_understand { !is_understood(status) } else { directives.no_store };
    if no_store {
        return Err(Refusal::NoStore);
    }
    if directives.private {
        return Err(Refusal::Private);
    }
    if response.contains_key(SET_COOKIE) && !directives.withheld.contains(&SET_COOKIE) {
        return Err(Refusal::SetCookie);
    }
    let for_others = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if request.contains_key(AUTHORIZATION) && !for_others {
        return Err(Refusal::Authorization);
    }
    let vary = vary(response)?;
    let lifetime = lifetime(&directives, is_targeted, response, received);
    let validator = response.contains_key(ETAG) || response.contains_key(LAST_MODIFIED);
    let explicit = directives.public
        || directives.no_cache
        || directives.max_age.is_some()
        || directives.s_maxage.is_some()
        || (!is_targeted && response.contains_key(EXPIRES));
    let grace = directives.stale_while_revalidate.unwrap_or(0).max(directives.stale_if_error.unwrap_or(0));
    let useful = validator || (!directives.no_cache && (lifetime > 0 || grace > 0));
    if !explicit || !useful {
        return Err(Refusal::NoFreshness);
    }
    Ok(Storable {
        policy: Policy {
            response_time: received,
            initial_age_ms: initial_age_ms(response, sent, received),
            lifetime,
            validate_always: directives.no_cache,
            must_revalidate: directives.must_revalidate || directives.proxy_revalidate,
            strict: directives.s_maxage.is_some(),
            stale_while_revalidate: directives.stale_while_revalidate.unwrap_or(0),
            stale_if_error: directives.stale_if_error.unwrap_or(0),
        },
        vary,
        for_shared: directives.public || directives.s_maxage.is_some() || is_targeted,
        withheld: directives.withheld,
    })
}

/// Statuses whose answers hold for every request for the resource.
pub(crate) fn is_storable(status: StatusCode) -> bool {
    status.as_u16() >= 200
        && !matches!(
            status,
            StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

/// Statuses of which this cache knows all that concerns caching (RFC 9110 §15).
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414 | 500 | 501 | 502 | 503 | 504
    )
}

/// freshness_lifetime, seconds (RFC 9111 §4.2.1); 0 when nothing says it. A targeted field leaves `Expires` out of
/// account (RFC 9213 §2.2).
fn lifetime(directives: &ResponseDirectives, is_targeted: bool, response: &HeaderMap, received: UnixMillis) -> u64 {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return seconds;
    }
    if is_targeted {
        return 0;
    }
    let Some(expires) = date::field(response, &EXPIRES) else { return 0 };
    let date = date::field(response, &DATE).unwrap_or(received / 1000);
    expires.saturating_sub(date).min(MAX_SECONDS)
}

/// corrected_initial_age, milliseconds (RFC 9111 §4.2.3).
fn initial_age_ms(response: &HeaderMap, sent: UnixMillis, received: UnixMillis) -> u64 {
    let apparent = date::field(response, &DATE).map_or(0, |date| received.saturating_sub(date.saturating_mul(1000)));
    // `Date` has whole seconds: less than one of it is nothing.
    let apparent = apparent / 1000 * 1000;
    let age = response.get(AGE).and_then(|value| value.to_str().ok()).and_then(|age| age.trim().parse::<u64>().ok());
    let age = age.unwrap_or(0).min(MAX_SECONDS) * 1000;
    apparent.max(age.saturating_add(received.saturating_sub(sent)))
}

/// The request fields that `Vary` names, sorted.
pub(crate) fn vary(response: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut names = Vec::new();
    for value in response.get_all(VARY) {
        for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
        {
            if name == b"*" {
                return Err(Refusal::Vary);
            }
            // What is no field name could stand for anything.
            names.push(HeaderName::from_bytes(name).map_err(|_| Refusal::Vary)?);
        }
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() > MAX_VARY { Err(Refusal::Vary) } else { Ok(names) }
}

#[cfg(test)]
#[path = "storing_tests.rs"]
mod tests;
