//! Circuit breaking: an origin that failed several times in a row is left alone for a while, then tried with one request.
//!
//! `Closed → Open` after as many failures in a row as the settings say; `Open → Probing` when the pause is over and a
//! request comes; `Probing → Closed` when that succeeds, `Probing → Open` when it fails. Time comes in as an argument.

use std::time::{Duration, Instant};

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Failures in a row after which it opens; 0 means never.
    pub failures: u32,
    /// How long no request goes to the origin then.
    pub pause: Duration,
}

/// The breaker of one origin.
#[derive(Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Requests pass; this many failed since one succeeded.
    Closed(u32),
    /// None passes before this time.
    Open(Instant),
    /// One is under way since this time, and decides.
    Probing(Instant),
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed(0)
    }
}

impl Breaker {
    /// Whether a request may go to the origin now. Each that may is to be followed by [`succeeded`](Self::succeeded),
    /// [`failed`](Self::failed) or [`abandoned`](Self::abandoned).
    pub fn admit(&mut self, now: Instant) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Open(until) if now < *until => false,
            Self::Open(_) => {
                *self = Self::Probing(now);
                true
            }
            Self::Probing(_) => false,
        }
    }

    /// The origin answered.
    pub fn succeeded(&mut self) {
        *self = Self::Closed(0);
    }

    /// It did not. Says whether that opened the breaker.
    pub fn failed(&mut self, now: Instant, settings: &BreakerSettings) -> bool {
        match self {
            Self::Closed(failures) => {
                *failures = failures.saturating_add(1);
                if settings.failures == 0 || *failures < settings.failures {
                    return false;
                }
            }
            // A request from before it opened.
            Self::Open(_) => return false,
            Self::Probing(_) => {}
        }
        *self = Self::Open(now + settings.pause);
        true
    }

    /// A request came to nothing for reasons of its own: if it was to decide, another one may.
    pub fn abandoned(&mut self, now: Instant) {
        if matches!(self, Self::Probing(_)) {
            *self = Self::Open(now);
        }
    }

    /// Whether it remembers nothing.
    pub fn is_clear(&self) -> bool {
        *self == Self::Closed(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings { failures: 3, pause: Duration::from_secs(5) };

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert!(!breaker.failed(now, &SETTINGS));
            assert!(!breaker.failed(now, &SETTINGS));
            breaker.succeeded();
            assert!(breaker.is_clear());
        }
        breaker.failed(now, &SETTINGS);
        breaker.failed(now, &SETTINGS);
        assert!(breaker.admit(now));
        assert!(breaker.failed(now, &SETTINGS));
        assert!(!breaker.admit(now));
    }

    #[test]
    fn one_request_decides_when_the_pause_is_over() {
        let start = Instant::now();
        let later = start + SETTINGS.pause;
        let mut breaker = Breaker::Open(later);
        assert!(!breaker.admit(later - Duration::from_millis(1)));
        assert!(breaker.admit(later));
        assert!(!breaker.admit(later), "only one");
        assert!(breaker.failed(later, &SETTINGS));
        assert!(!breaker.admit(later));
        assert!(breaker.admit(later + SETTINGS.pause));
        breaker.succeeded();
        assert!(breaker.admit(later) && breaker.admit(later));
    }

    #[test]
    fn an_abandoned_probe_lets_another_one_decide() {
        let now = Instant::now();
        let mut breaker = Breaker::Open(now);
        assert!(breaker.admit(now));
        breaker.abandoned(now);
        assert!(breaker.admit(now));
        let mut closed = Breaker::Closed(1);
        closed.abandoned(now);
        assert_eq!(closed, Breaker::Closed(1));
    }

    #[test]
    fn late_failures_do_not_lengthen_the_pause_and_zero_means_never() {
        let now = Instant::now();
        let mut breaker = Breaker::Open(now);
        assert!(!breaker.failed(now, &SETTINGS));
        assert_eq!(breaker, Breaker::Open(now));
        let never = BreakerSettings { failures: 0, ..SETTINGS };
        let mut breaker = Breaker::default();
        assert!((0..1000).all(|_| !breaker.failed(now, &never)));
    }
}
