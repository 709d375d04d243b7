//! Which isolate takes a request, and when another one is started. Pure.

use std::time::Duration;

/// An isolate that keeps a request waiting longer than this counts as busy.
pub const LONG_WAIT: Duration = Duration::from_millis(2);
/// Waits that differ by less than this are the same: an isolate that is warm and awake answers many requests in one go, and
/// spreading them over several wakes more threads for nothing.
pub const SAME_WAIT: Duration = Duration::from_micros(250);
/// An isolate this young is still loading: its queue says nothing about how busy it will be.
pub const LOADING: Duration = Duration::from_millis(10);

/// What the choice depends on, for one isolate.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// How long a request would wait before the isolate begins with it, as far as can be known.
    pub wait: Duration,
    /// It was started less than [`LOADING`] ago.
    pub loading: bool,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Send it to the isolate at this place.
    Use(usize),
    /// Start another isolate, or use the one at this place when that is impossible.
    Start {
        /// The least busy of those that run; `None` when none does.
        otherwise: Option<usize>,
    },
}

impl View {
    fn busy(&self) -> bool {
        self.wait > LONG_WAIT
    }

    fn rank(&self) -> u64 {
        u64::try_from(self.wait.as_nanos()).unwrap_or(u64::MAX) / const { SAME_WAIT.as_nanos() as u64 }
    }
}

/// Chooses among the isolates of one version, of which there may be `max`.
pub fn choose(views: impl IntoIterator<Item = View>, max: usize) -> Choice {
    let mut count = 0;
    let mut loading = false;
    let mut best: Option<(usize, View)> = None;
    for (at, view) in views.into_iter().enumerate() {
        count += 1;
        loading |= view.loading;
        // The first of equals: load gathers on few isolates, and the others become idle and end.
        if best.as_ref().is_none_or(|(_, least)| view.rank() < least.rank()) {
            best = Some((at, view));
        }
    }
    match best {
        // One start at a time: a burst would else start all at once that one alone could serve.
        Some((at, view)) if !view.busy() || loading || count >= max => Choice::Use(at),
        Some((at, _)) => Choice::Start { otherwise: Some(at) },
        None => Choice::Start { otherwise: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(wait_us: u64) -> View {
        View { wait: Duration::from_micros(wait_us), loading: false }
    }

    #[test]
    fn the_first_request_starts_an_isolate() {
        assert_eq!(choose([], 4), Choice::Start { otherwise: None });
    }

    #[test]
    fn an_isolate_that_does_not_keep_waiting_takes_any_number() {
        assert_eq!(choose([view(0)], 4), Choice::Use(0));
        assert_eq!(choose([view(1_999)], 4), Choice::Use(0));
    }

    #[test]
    fn the_shortest_wait_takes_the_request_and_the_first_of_equals() {
        assert_eq!(choose([view(900), view(600), view(1_200)], 4), Choice::Use(1));
        assert_eq!(choose([view(240), view(0)], 4), Choice::Use(0));
        assert_eq!(choose([view(50_000), view(700)], 4), Choice::Use(1));
    }

    #[test]
    fn another_is_started_when_all_are_busy() {
        assert_eq!(choose([view(2_001)], 4), Choice::Start { otherwise: Some(0) });
        assert_eq!(choose([view(9_000), view(3_000)], 4), Choice::Start { otherwise: Some(1) });
    }

    #[test]
    fn never_more_than_the_limit() {
        assert_eq!(choose([view(5_000), view(9_000)], 2), Choice::Use(0));
    }

    #[test]
    fn a_burst_waits_for_the_one_that_is_loading() {
        let loading = View { wait: Duration::from_millis(3), loading: true };
        assert_eq!(choose([loading], 4), Choice::Use(0));
        assert_eq!(choose([view(1_000), loading], 4), Choice::Use(0));
    }
}
