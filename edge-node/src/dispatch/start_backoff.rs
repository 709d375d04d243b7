//! How a version whose code does not start is kept from using start-up CPU for every request. Pure.

use std::time::{Duration, Instant};

use atoll_runtime::HandlerError;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The memory of failed starts: requests within the pause get the same error again, the first one after it tries anew.
#[derive(Debug, Default)]
pub struct StartBackoff(Option<Failure>);

#[derive(Debug)]
struct Failure {
    error: HandlerError,
    pause: Duration,
    until: Instant,
}

impl StartBackoff {
    /// The error to answer with instead of a start.
    pub fn check(&self, now: Instant) -> Option<HandlerError> {
        self.0.as_ref().filter(|failure| now < failure.until).map(|failure| failure.error.clone())
    }

    /// Takes what came of a request. Several requests that waited for the same failed start count once.
    pub fn record(&mut self, error: Option<&HandlerError>, now: Instant) {
        match error {
            // An isolate that the engine aborted on is never given back, so it counts like a failed start.
            Some(
                error @ (HandlerError::Startup { .. }
                | HandlerError::StartupCpuLimit { .. }
                | HandlerError::EngineAbort),
            ) => {
                let pause = match &self.0 {
                    Some(failure) if now < failure.until => return,
                    Some(failure) => (failure.pause * 2).min(LONGEST),
                    None => FIRST,
                };
                self.0 = Some(Failure { error: error.clone(), pause, until: now + pause });
            }
            // Any other outcome means that the code was loaded.
            Some(HandlerError::Stopped(_) | HandlerError::CodeStuck) => {}
            _ => self.0 = None,
        }
    }

    /// Whether there is anything to forget.
    pub fn is_clear(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> HandlerError {
        HandlerError::Startup { message: "SyntaxError".into(), stack: String::new() }
    }

    #[test]
    fn the_pause_doubles_up_to_its_longest_and_ends_with_success() {
        let mut now = Instant::now();
        let mut backoff = StartBackoff::default();
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            backoff.record(Some(&failed()), now);
            backoff.record(Some(&failed()), now);
            let pause = Duration::from_secs(seconds);
            assert!(backoff.check(now + pause - Duration::from_millis(1)).is_some());
            assert!(backoff.check(now + pause).is_none());
            now += pause;
        }
        backoff.record(None, now);
        assert!(backoff.is_clear());
        backoff.record(Some(&failed()), now);
        assert!(backoff.check(now + FIRST).is_none());
    }

    #[test]
    fn errors_of_running_code_are_no_failed_starts() {
        let mut backoff = StartBackoff::default();
        backoff.record(Some(&HandlerError::CpuLimit { limit_ms: 50, start_ms: 0 }), Instant::now());
        assert!(backoff.is_clear());
    }
}
