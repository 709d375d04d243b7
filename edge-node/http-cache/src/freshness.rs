//! How long a stored response may be used, and what may be done with it now (RFC 9111 §4.2, RFC 5861).

use crate::UnixMillis;
use crate::cache_control::RequestDirectives;

/// What was decided of a response when it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When the response's head arrived.
    pub response_time: UnixMillis,
    /// Its age then, milliseconds: corrected_initial_age (RFC 9111 §4.2.3).
    pub initial_age_ms: u64,
    /// How old it may get, seconds: freshness_lifetime (RFC 9111 §4.2.1).
    pub lifetime: u64,
    /// Every use needs a successful validation: `no-cache`.
    pub validate_always: bool,
    /// No stale use of any kind: `must-revalidate`, `proxy-revalidate`.
    pub must_revalidate: bool,
    /// A client's `max-stale` does not count: an applicable `s-maxage` (RFC 9111 §4.2.4).
    pub strict: bool,
    /// Seconds after it got stale in which it may be used while it is validated (RFC 5861 §3).
    pub stale_while_revalidate: u64,
    /// Seconds after it got stale in which it may be used when the validation fails (RFC 5861 §4).
    pub stale_if_error: u64,
}

impl Policy {
    /// current_age in milliseconds (RFC 9111 §4.2.3). A clock that went back does not make it younger.
    pub fn age_ms(&self, now: UnixMillis) -> u64 {
        self.initial_age_ms.saturating_add(now.saturating_sub(self.response_time))
    }

    /// What `Age` says: whole seconds.
    pub fn age(&self, now: UnixMillis) -> u64 {
        self.age_ms(now) / 1000
    }

    /// Seconds until it is stale; negative when it is.
    pub fn ttl(&self, now: UnixMillis) -> i64 {
        self.lifetime.cast_signed().saturating_sub_unsigned(self.age(now))
    }

    /// Whether it is fresh (RFC 9111 §4.2: the lifetime exceeds the age).
    pub fn is_fresh(&self, now: UnixMillis) -> bool {
        self.lifetime.saturating_mul(1000) > self.age_ms(now)
    }

    /// When nothing can be made of it any more without a validation, milliseconds since the Unix epoch.
    pub fn usable_until(&self) -> UnixMillis {
        let grace = if self.must_revalidate { 0 } else { self.stale_while_revalidate.max(self.stale_if_error) };
        let span = self.lifetime.saturating_add(grace).saturating_mul(1000).saturating_sub(self.initial_age_ms);
        self.response_time.saturating_add(span)
    }

    fn staleness_ms(&self, now: UnixMillis) -> u64 {
        self.age_ms(now).saturating_sub(self.lifetime.saturating_mul(1000))
    }
}

/// What may be done with a stored response that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Answer with it.
    Fresh,
    /// Answer with it although it is stale: the client allows it.
    Stale,
    /// Answer with it, and validate it in the background.
    WhileRevalidating,
    /// Validate it first.
    Validate,
}

/// Decides the use of a stored response for a request. Give default directives where clients' advice is not taken.
pub fn assess(policy: &Policy, request: &RequestDirectives, now: UnixMillis) -> Use {
    if policy.validate_always || request.no_cache {
        return Use::Validate;
    }
    if request.max_age.is_some_and(|most| policy.age_ms(now) > most.saturating_mul(1000)) {
        return Use::Validate;
    }
    if policy.is_fresh(now) {
        let short = request.min_fresh.is_some_and(|least| policy.ttl(now) < least.cast_signed());
        return if short { Use::Validate } else { Use::Fresh };
    }
    if policy.must_revalidate {
        return Use::Validate;
    }
    let stale = policy.staleness_ms(now);
    // An explicit stale-while-revalidate is the origin's word, and stands beside s-maxage.
    if stale < policy.stale_while_revalidate.saturating_mul(1000) && request.min_fresh.is_none() {
        return Use::WhileRevalidating;
    }
    let allowed = request.max_stale.filter(|_| !policy.strict && request.min_fresh.is_none());
    if allowed.is_some_and(|most| stale <= most.saturating_mul(1000)) { Use::Stale } else { Use::Validate }
}

/// Whether a stale response may answer because validating it failed: the origin gave 500, 502, 503 or 504, or nothing
/// (RFC 5861 §4). Without the origin's or the client's word it is not.
pub fn usable_on_error(policy: &Policy, request: &RequestDirectives, now: UnixMillis) -> bool {
    if policy.validate_always || policy.must_revalidate {
        return false;
    }
    let allowed = policy.stale_if_error.max(request.stale_if_error.unwrap_or(0));
    let stale = policy.staleness_ms(now);
    policy.is_fresh(now) || stale < allowed.saturating_mul(1000)
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
