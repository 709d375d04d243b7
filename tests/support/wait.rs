//! Waiting for a condition, with a deadline. The only place in the tests that sleeps.

use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen soon; far above what it takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(120);

/// Polls `condition` until it gives a value. Panics, naming `what`, when it has not within [`SOON`].
#[track_caller]
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, condition)
}

/// [`eventually`] with a deadline of its own.
#[track_caller]
pub fn eventually_within<T>(deadline: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        #[expect(clippy::disallowed_methods, reason = "between two looks at a condition, with a deadline")]
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lets a random time pass before something is broken on purpose; nothing waits for a condition with this.
pub fn strike_after(delay: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the random moment is what is tested")]
    std::thread::sleep(delay);
}
