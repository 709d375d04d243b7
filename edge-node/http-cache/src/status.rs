//! `Cache-Status` (RFC 9211): what the cache did with a request and why, in one field.

use std::fmt::Write;

use http::{HeaderName, HeaderValue};

use crate::storing::Refusal;

/// The field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request was not answered from the cache (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// The cache was not asked.
    Bypass(Bypass),
    /// The method is not one that a cache answers.
    Method,
    /// Nothing is stored under the key.
    UriMiss,
    /// Something is stored, but for other values of the fields that it varies on.
    VaryMiss,
    /// What is stored is stale.
    Stale,
    /// What is stored was not good enough for what the client asked.
    Request,
}

/// Why the cache was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bypass {
    /// The node or the app has it off here.
    Off,
    /// No answer of this app has been storable lately.
    Inactive,
    /// A GET or HEAD request with a body.
    Body,
    /// A precondition that only the origin can judge: `If-Match`, `If-Unmodified-Since`.
    Precondition,
    /// A field that is known to change answers without being named in `Vary`.
    UnkeyedHeader,
    /// The request asks for another protocol.
    Upgrade,
    /// The key would be longer than keys may be.
    KeyTooLong,
    /// The last answer under this key could not be stored.
    Uncacheable,
}

impl Bypass {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Inactive => "inactive",
            Self::Body => "request-body",
            Self::Precondition => "precondition",
            Self::UnkeyedHeader => "unkeyed-header",
            Self::Upgrade => "upgrade",
            Self::KeyTooLong => "key-too-long",
            Self::Uncacheable => "uncacheable",
        }
    }
}

impl Forwarded {
    /// The word for it in `fwd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass(_) => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}

/// Why an answer came from the cache although it was not plainly fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// It is validated in the background (RFC 5861 §3).
    StaleWhileRevalidate,
    /// The origin failed (RFC 5861 §4).
    StaleIfError,
    /// The client takes stale answers.
    MaxStale,
}

impl Detail {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaleWhileRevalidate => "stale-while-revalidate",
            Self::StaleIfError => "stale-if-error",
            Self::MaxStale => "max-stale",
        }
    }
}

/// What the cache did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Hit {
        /// Seconds for which the answer is still fresh; negative when it is stale.
        ttl: i64,
        /// Why it was used, when it is not fresh.
        detail: Option<Detail>,
    },
    /// The app answered.
    Forward {
        /// Why.
        why: Forwarded,
        /// What became of the answer: stored, or why not.
        stored: Result<(), Refusal>,
    },
    /// The app's 304 said that what is stored is good still.
    Validated {
        /// Seconds for which the answer is fresh now.
        ttl: i64,
    },
    /// The answer is the one to another request that was under way.
    Collapsed {
        /// Why that one was forwarded.
        why: Forwarded,
    },
    /// The client wanted nothing but a stored answer, and there was none.
    OnlyIfCached,
}

impl Outcome {
    /// One word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit { detail: None, .. } => "hit",
            Self::Hit { detail: Some(detail), .. } => detail.as_str(),
            Self::Forward { why: Forwarded::Bypass(why), .. } => why.as_str(),
            Self::Forward { why, .. } => why.as_str(),
            Self::Validated { .. } => "validated",
            Self::Collapsed { .. } => "collapsed",
            Self::OnlyIfCached => "only-if-cached",
        }
    }

    /// The field's member for this cache.
    pub fn header(self) -> HeaderValue {
        // What most answers that do not come from the cache say needs no memory of its own.
        match self {
            Self::Forward { why: Forwarded::Bypass(Bypass::Inactive), .. } => {
                return HeaderValue::from_static("atoll; fwd=bypass; detail=inactive");
            }
            Self::Forward { why: Forwarded::Bypass(Bypass::Off), .. } => {
                return HeaderValue::from_static("atoll; fwd=bypass; detail=off");
            }
            Self::Forward { why: Forwarded::Method, .. } => return HeaderValue::from_static("atoll; fwd=method"),
            _ => {}
        }
        let mut text = String::with_capacity(64);
        text.push_str("atoll");
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Hit { ttl, detail: None } => write!(text, "; hit; ttl={ttl}"),
            Self::Hit { ttl, detail: Some(detail) } => write!(text, "; hit; ttl={ttl}; detail={}", detail.as_str()),
            Self::Forward { why: Forwarded::Bypass(why), .. } => write!(text, "; fwd=bypass; detail={}", why.as_str()),
            Self::Forward { why: why @ Forwarded::Method, .. } => write!(text, "; fwd={}", why.as_str()),
            Self::Forward { why, stored: Ok(()) } => write!(text, "; fwd={}; stored", why.as_str()),
            Self::Forward { why, stored: Err(refusal) } => {
                write!(text, "; fwd={}; detail={}", why.as_str(), refusal.as_str())
            }
            Self::Validated { ttl } => write!(text, "; fwd=stale; fwd-status=304; ttl={ttl}"),
            Self::Collapsed { why } => write!(text, "; fwd={}; collapsed", why.as_str()),
            Self::OnlyIfCached => write!(text, "; detail=only-if-cached"),
        };
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("atoll"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_member() {
        let miss = Forwarded::UriMiss;
        for (outcome, header, word) in [
            (Outcome::Hit { ttl: 5, detail: None }, "atoll; hit; ttl=5", "hit"),
            (
                Outcome::Hit { ttl: -3, detail: Some(Detail::StaleIfError) },
                "atoll; hit; ttl=-3; detail=stale-if-error",
                "stale-if-error",
            ),
            (Outcome::Forward { why: miss, stored: Ok(()) }, "atoll; fwd=uri-miss; stored", "uri-miss"),
            (
                Outcome::Forward { why: Forwarded::Stale, stored: Err(Refusal::Private) },
                "atoll; fwd=stale; detail=private",
                "stale",
            ),
            (
                Outcome::Forward { why: Forwarded::Bypass(Bypass::Off), stored: Err(Refusal::Method) },
                "atoll; fwd=bypass; detail=off",
                "off",
            ),
            (
                Outcome::Forward { why: Forwarded::Bypass(Bypass::Inactive), stored: Err(Refusal::Method) },
                "atoll; fwd=bypass; detail=inactive",
                "inactive",
            ),
            (Outcome::Forward { why: Forwarded::Method, stored: Err(Refusal::Method) }, "atoll; fwd=method", "method"),
            (Outcome::Collapsed { why: miss }, "atoll; fwd=uri-miss; collapsed", "collapsed"),
            (Outcome::Validated { ttl: 9 }, "atoll; fwd=stale; fwd-status=304; ttl=9", "validated"),
            (Outcome::OnlyIfCached, "atoll; detail=only-if-cached", "only-if-cached"),
        ] {
            assert_eq!((outcome.header().to_str().unwrap(), outcome.as_str()), (header, word));
        }
    }
}
