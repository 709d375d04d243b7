//! Which isolates end: idle ones after their time, and the longest idle first when room is needed. Pure.

use std::time::Duration;

/// What the decision depends on, for one isolate.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Identifies it.
    pub id: u64,
    /// Since when it has had no request; `None` while it has.
    pub idle: Option<Duration>,
    /// Its memory in bytes.
    pub memory: u64,
    /// Bytes that its thread has allocated besides and not given back itself.
    pub allocated: u64,
    /// It takes no more requests.
    pub stopped: bool,
}

/// What there is room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// An isolate ends after this long without a request.
    pub idle_after: Duration,
    /// How many may live.
    pub isolates: usize,
    /// Memory of all together, bytes.
    pub memory: u64,
}

/// Why an isolate ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was stopped or broke a limit.
    Stopped,
    /// It had no request for its time.
    Idle,
    /// There are more than may live.
    TooMany,
    /// All together use more memory than they may.
    Memory,
}

impl Reason {
    /// A stable word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Idle => "idle",
            Self::TooMany => "too-many",
            Self::Memory => "memory",
        }
    }
}

/// The isolates to end, so that the rest has room. Busy ones stay, so there may be more left than there is room for.
pub fn plan(views: &[View], room: &Room) -> Vec<(u64, Reason)> {
    let mut out = Vec::new();
    let mut idle: Vec<(Duration, &View)> = Vec::new();
    let (mut count, mut memory) = (0usize, 0u64);
    for view in views {
        if view.stopped {
            out.push((view.id, Reason::Stopped));
            continue;
        }
        match view.idle {
            Some(time) if time >= room.idle_after => {
                out.push((view.id, Reason::Idle));
                continue;
            }
            Some(time) => idle.push((time, view)),
            None => {}
        }
        count += 1;
        memory = memory.saturating_add(view.memory);
    }
    idle.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    for (_, view) in idle {
        let reason = if count > room.isolates {
            Reason::TooMany
        } else if memory > room.memory {
            Reason::Memory
        } else {
            break;
        };
        out.push((view.id, reason));
        count -= 1;
        memory -= view.memory;
    }
    out
}

/// The isolates to stop, busy or not, so that all together use no more than `ceiling` bytes: the largest first.
pub fn excess(views: &[View], ceiling: u64) -> Vec<u64> {
    let mut living: Vec<&View> = views.iter().filter(|view| !view.stopped).collect();
    let mut memory = living.iter().fold(0_u64, |sum, view| sum.saturating_add(view.memory));
    living.sort_by_key(|view| std::cmp::Reverse(view.memory));
    let mut out = Vec::new();
    for view in living {
        if memory <= ceiling {
            break;
        }
        out.push(view.id);
        memory -= view.memory;
    }
    out
}

/// The isolates to stop, busy or not, so that a process that uses `over` bytes too many gets as many back: first those that
/// hold most, whatever it is that they hold, and none that holds less than `least`.
pub fn hogs(views: &[View], over: u64, least: u64) -> Vec<u64> {
    let held = |view: &View| view.memory.saturating_add(view.allocated);
    let mut living: Vec<&View> = views.iter().filter(|view| !view.stopped && held(view) >= least).collect();
    living.sort_by_key(|view| std::cmp::Reverse(held(view)));
    let mut back = 0_u64;
    let enough = |view: &&View| {
        let more = back < over;
        back = back.saturating_add(held(view));
        more
    };
    living.into_iter().take_while(enough).map(|view| view.id).collect()
}

/// What the living isolates may use together where so many may be used, and lost ones hold so much: no less than half.
pub fn ceiling(all: u64, lost: u64) -> u64 {
    all.saturating_sub(lost).max(all / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stop_when_all_together_are_too_large() {
        let views = [view(1, None, 40), view(2, None, 60), view(3, Some(1), 50), view(4, None, 1)];
        assert!(excess(&views, 151).is_empty());
        assert_eq!(excess(&views, 150), [2]);
        assert_eq!(excess(&views, 90), [2, 3]);
        assert!(excess(&[View { stopped: true, ..view(1, None, 99) }], 10).is_empty());
    }

    #[test]
    fn those_that_hold_most_stop_when_the_process_is_too_large() {
        let views = [View { allocated: 90, ..view(1, None, 10) }, view(2, None, 60), view(3, Some(1), 5)];
        assert_eq!(hogs(&views, 1, 10), [1]);
        assert_eq!(hogs(&views, 100, 10), [1]);
        assert_eq!(hogs(&views, 101, 10), [1, 2]);
        assert_eq!(hogs(&views, 1000, 10), [1, 2]);
        assert!(hogs(&views, 0, 10).is_empty());
    }

    #[test]
    fn lost_isolates_leave_the_others_half_at_least() {
        assert_eq!((ceiling(100, 0), ceiling(100, 30), ceiling(100, 300)), (100, 70, 50));
    }

    fn view(id: u64, idle_s: Option<u64>, memory: u64) -> View {
        View { id, idle: idle_s.map(Duration::from_secs), memory, allocated: 0, stopped: false }
    }

    const ROOM: Room = Room { idle_after: Duration::from_secs(60), isolates: 3, memory: 100 };

    #[test]
    fn nothing_ends_while_there_is_room() {
        assert_eq!(plan(&[view(1, Some(59), 30), view(2, None, 30), view(3, Some(0), 30)], &ROOM), []);
    }

    #[test]
    fn the_idle_and_the_stopped_end() {
        let stopped = View { stopped: true, ..view(2, None, 0) };
        assert_eq!(plan(&[view(1, Some(60), 1), stopped], &ROOM), [(1, Reason::Idle), (2, Reason::Stopped)]);
    }

    #[test]
    fn the_longest_idle_make_room() {
        let views = [view(1, Some(1), 1), view(2, Some(3), 1), view(3, Some(2), 1), view(4, None, 1), view(5, None, 1)];
        assert_eq!(plan(&views, &ROOM), [(2, Reason::TooMany), (3, Reason::TooMany)]);
    }

    #[test]
    fn memory_is_given_back_by_the_longest_idle_until_it_fits() {
        let views = [view(1, Some(1), 60), view(2, Some(5), 50), view(3, None, 30)];
        assert_eq!(plan(&views, &ROOM), [(2, Reason::Memory)]);
    }

    #[test]
    fn busy_isolates_stay_whatever_they_use() {
        assert_eq!(plan(&[view(1, None, 1000), view(2, None, 1000)], &ROOM), []);
    }
}
