//! Which isolate takes a request, and when another one is started. Pure.

use std::time::Duration;

/// A turn of JavaScript that lasts longer than this keeps other requests waiting noticeably.
pub const LONG_TURN: Duration = Duration::from_millis(2);
/// Requests that may wait for an isolate to begin with them before it counts as busy.
pub const MAX_QUEUED: usize = 8;
/// An isolate this young is still loading: its queue says nothing about how busy it will be.
pub const LOADING: Duration = Duration::from_millis(10);

/// What the choice depends on, for one isolate.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Requests sent and not finished.
    pub in_flight: usize,
    /// Requests sent and not begun.
    pub queued: usize,
    /// How long the turn under way has taken.
    pub turn: Option<Duration>,
    /// How long ago it was started.
    pub age: Duration,
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
        self.queued > MAX_QUEUED || self.turn.is_some_and(|turn| turn > LONG_TURN)
    }
}

/// Chooses among the isolates of one version, of which there may be `max`.
pub fn choose(views: impl IntoIterator<Item = View>, max: usize) -> Choice {
    let mut count = 0;
    let mut loading = false;
    let mut best: Option<(usize, View)> = None;
    for (at, view) in views.into_iter().enumerate() {
        count += 1;
        loading |= view.age < LOADING;
        let rank = |view: &View| (view.busy(), view.queued, view.in_flight);
        if best.as_ref().is_none_or(|(_, least)| rank(&view) < rank(least)) {
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

    const OLD: Duration = Duration::from_secs(1);

    fn view(in_flight: usize, queued: usize, turn_ms: Option<u64>) -> View {
        View { in_flight, queued, turn: turn_ms.map(Duration::from_millis), age: OLD }
    }

    #[test]
    fn the_first_request_starts_an_isolate() {
        assert_eq!(choose([], 4), Choice::Start { otherwise: None });
    }

    #[test]
    fn an_isolate_that_only_waits_takes_any_number() {
        assert_eq!(choose([view(200, 0, None)], 4), Choice::Use(0));
        assert_eq!(choose([view(9, 3, Some(1))], 4), Choice::Use(0));
    }

    #[test]
    fn the_least_busy_takes_the_request() {
        assert_eq!(choose([view(3, 0, None), view(1, 0, None), view(2, 0, None)], 4), Choice::Use(1));
        assert_eq!(choose([view(1, 1, Some(50)), view(9, 0, None)], 4), Choice::Use(1));
    }

    #[test]
    fn another_is_started_when_all_are_busy() {
        assert_eq!(choose([view(1, 0, Some(3))], 4), Choice::Start { otherwise: Some(0) });
        assert_eq!(choose([view(20, 9, None)], 4), Choice::Start { otherwise: Some(0) });
    }

    #[test]
    fn never_more_than_the_limit() {
        assert_eq!(choose([view(5, 4, Some(3)), view(3, 2, Some(9))], 2), Choice::Use(1));
    }

    #[test]
    fn a_burst_waits_for_the_one_that_is_loading() {
        let loading = View { in_flight: 50, queued: 50, turn: Some(Duration::from_millis(3)), age: Duration::ZERO };
        assert_eq!(choose([loading], 4), Choice::Use(0));
        assert_eq!(choose([view(1, 0, Some(9)), loading], 4), Choice::Use(0));
    }
}
