//! What is left of isolates that have ended badly, for all pools of a process: threads that still work though nobody waits for
//! them, and isolates that never give their memory back. An app that has left too much behind gets no further isolate.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atoll_web::event::HandlerError;
use tokio::sync::Notify;

/// How many threads of ended isolates an app may have that still work, when another isolate is to start.
const MOST_WORKING: usize = 2;

/// How many isolates of one version may have been lost within [`LOSSES_COUNT`], when another one is to start, and how many of
/// one app since the process began.
const MOST_LOST: (usize, usize) = (2, 8);
const LOSSES_COUNT: Duration = Duration::from_secs(600);

/// How many bytes lost isolates of all apps may hold before an app gets no further isolate when it has lost a single one.
const MOST_LOST_BYTES: usize = 1 << 30;

/// What has not ended together with its isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A job, which has an end: who needs another isolate waits for it.
    Job,
    /// Code that V8 cannot interrupt, which may have no end: nobody waits for it.
    Code,
}

/// How many threads of an app still work.
#[derive(Clone, Copy, Debug, Default)]
struct Working {
    jobs: usize,
    code: usize,
}

impl Working {
    fn of(&mut self, work: Work) -> &mut usize {
        match work {
            Work::Job => &mut self.jobs,
            Work::Code => &mut self.code,
        }
    }
}

/// An isolate that will never give its memory back.
#[derive(Debug)]
struct Loss {
    version: u64,
    at: Instant,
    why: HandlerError,
}

#[derive(Debug, Default)]
struct Lost {
    by_app: HashMap<Arc<str>, Vec<Loss>>,
    bytes: usize,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Rests {
    working: Mutex<HashMap<Arc<str>, Working>>,
    fewer: Notify,
    lost: Mutex<Lost>,
}

/// A thread that may still work, until this is dropped.
pub(crate) struct Rest {
    rests: Arc<Rests>,
    app: Arc<str>,
    work: Work,
}

impl Rests {
    /// Those of this process.
    pub(crate) fn of_the_process() -> Arc<Self> {
        static RESTS: LazyLock<Arc<Rests>> = LazyLock::new(Arc::default);
        RESTS.clone()
    }

    fn working(&self) -> MutexGuard<'_, HashMap<Arc<str>, Working>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a thread of an isolate that has ended.
    pub(crate) fn note(self: &Arc<Self>, app: &Arc<str>, work: Work) -> Rest {
        *self.working().entry(app.clone()).or_default().of(work) += 1;
        Rest { rests: self.clone(), app: app.clone(), work }
    }

    /// Notes that an isolate of a version is lost, with how many bytes, and what its app is told from now on.
    pub(crate) fn lose(&self, app: &Arc<str>, version: u64, bytes: usize, why: HandlerError) {
        let mut lost = self.lost();
        lost.bytes = lost.bytes.saturating_add(bytes);
        lost.by_app.entry(app.clone()).or_default().push(Loss { version, at: Instant::now(), why });
    }

    /// How many isolates are lost, and how many bytes they hold.
    pub(crate) fn losses(&self) -> (usize, usize) {
        let lost = self.lost();
        (lost.by_app.values().map(Vec::len).sum(), lost.bytes)
    }

    /// Why a version of an app gets no further isolate now, whoever waits. `None` when it gets one, perhaps after
    /// [`room`](Self::room).
    pub(crate) fn refusal(&self, app: &str, version: u64) -> Option<HandlerError> {
        let working = self.working().get(app).copied().unwrap_or_default();
        if working.code >= MOST_WORKING {
            return Some(HandlerError::CodeStuck);
        }
        let lost = self.lost();
        let losses = lost.by_app.get(app)?;
        let counts = |loss: &&Loss| loss.version == version && loss.at.elapsed() < LOSSES_COUNT;
        let too_many = losses.len() >= MOST_LOST.1
            || losses.iter().filter(counts).count() >= MOST_LOST.0
            || lost.bytes > MOST_LOST_BYTES;
        too_many.then(|| losses.last().map(|loss| loss.why.clone())).flatten()
    }

    /// Waits for jobs, until an app may have another isolate or is refused one.
    pub(crate) async fn room(&self, app: &str) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            fewer.as_mut().enable();
            let Working { jobs, code } = self.working().get(app).copied().unwrap_or_default();
            if jobs + code < MOST_WORKING || code >= MOST_WORKING {
                return;
            }
            fewer.await;
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut by_app = self.rests.working();
        if let Some(working) = by_app.get_mut(&self.app) {
            *working.of(self.work) -= 1;
            if working.jobs + working.code == 0 {
                by_app.remove(&self.app);
            }
        }
        drop(by_app);
        self.rests.fewer.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_app_waits_for_jobs_it_left_behind() {
        let rests = Arc::new(Rests::default());
        let app: Arc<str> = "app".into();
        let first = rests.note(&app, Work::Job);
        rests.room("app").await;
        let second = rests.note(&app, Work::Job);
        rests.room("other").await;
        let mut waiting = Box::pin(rests.room("app"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(rests.refusal("app", 1).is_none());
        drop(first);
        waiting.await;
        drop(second);
        assert!(rests.working().is_empty());
    }

    #[tokio::test]
    async fn an_app_is_refused_while_code_of_its_goes_on() {
        let rests = Arc::new(Rests::default());
        let app: Arc<str> = "app".into();
        let first = rests.note(&app, Work::Code);
        assert!(rests.refusal("app", 1).is_none());
        let job = rests.note(&app, Work::Job);
        let mut waiting = Box::pin(rests.room("app"));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(job);
        waiting.await;
        let second = rests.note(&app, Work::Code);
        rests.room("app").await;
        assert!(matches!(rests.refusal("app", 1), Some(HandlerError::CodeStuck)));
        assert!(rests.refusal("other", 1).is_none());
        drop(first);
        assert!(rests.refusal("app", 1).is_none());
        drop(second);
    }

    #[test]
    fn who_loses_isolates_gets_few() {
        let rests = Rests::default();
        let app: Arc<str> = "app".into();
        for version in 1..=4 {
            assert!(rests.refusal("app", version).is_none());
            rests.lose(&app, version, 1, HandlerError::EngineAbort);
            assert!(rests.refusal("app", version).is_none());
            rests.lose(&app, version, 1, HandlerError::CodeStuck);
            assert!(matches!(rests.refusal("app", version), Some(HandlerError::CodeStuck)));
        }
        assert!(rests.refusal("app", 5).is_some());
        assert!(rests.refusal("other", 1).is_none());
        assert_eq!(rests.losses(), (8, 8));
    }

    #[test]
    fn one_loss_is_enough_where_lost_isolates_hold_much() {
        let rests = Rests::default();
        let (large, small): (Arc<str>, Arc<str>) = ("large".into(), "small".into());
        rests.lose(&small, 1, 1, HandlerError::EngineAbort);
        assert!(rests.refusal("small", 2).is_none());
        rests.lose(&large, 1, MOST_LOST_BYTES, HandlerError::EngineAbort);
        for app in ["small", "large"] {
            assert!(rests.refusal(app, 2).is_some());
        }
        assert!(rests.refusal("other", 1).is_none());
    }
}
