//! What a request waits for beside its answer: that its time is over, or that the thread of its isolate is given up.
//!
//! A timer and a listener for each request would take longer than many handlers. Both happen rarely and neither has to be
//! noticed at once, so the requests of an I/O thread stand in one list, which is looked through ten times a second while
//! there are any.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;

use crate::isolate::Shared;

/// Between two looks: how late a request that waits in vain is told so.
const EVERY: Duration = Duration::from_millis(100);

/// After so many looks at an empty list nobody looks until a request comes.
const EMPTY_LOOKS: u32 = 10;

/// The requests that wait, on behalf of one I/O thread.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    list: Mutex<List>,
    first: Notify,
    /// How many have waited at a time of late.
    most: AtomicUsize,
}

#[derive(Debug, Default)]
struct List {
    waits: Slab<Wait>,
    /// How many have come of late whose isolates are near.
    near: usize,
    /// Somebody looks at it from time to time.
    looked_at: bool,
}

#[derive(Debug)]
struct Wait {
    /// `None` is never.
    until: Option<Instant>,
    shared: Arc<Shared>,
    waker: Waker,
}

/// A request's place in the list, which it leaves when this is dropped.
pub(crate) struct Place<'a> {
    waits: &'a Waits,
    key: usize,
}

impl Waits {
    /// Has `waker` woken when it is later than `until` or the isolate's thread was given up, a tenth of a second later at
    /// most.
    pub(crate) fn add(&self, until: Option<Instant>, shared: &Arc<Shared>, waker: &Waker) -> Place<'_> {
        let wait = Wait { until, shared: shared.clone(), waker: waker.clone() };
        let near = usize::from(shared.is_near());
        let (key, first) = {
            let mut list = self.lock();
            list.near += near;
            let key = list.waits.insert(wait);
            if self.most.load(Ordering::Relaxed) < list.waits.len() {
                self.most.store(list.waits.len(), Ordering::Relaxed);
            }
            (key, !std::mem::replace(&mut list.looked_at, true))
        };
        if first {
            self.first.notify_one();
        }
        Place { waits: self, key }
    }

    /// Whether never more than one has waited at a time since [`look_back`](Self::look_back) was called last.
    pub(crate) fn is_lonely(&self) -> bool {
        self.most.load(Ordering::Relaxed) <= 1
    }

    /// Counts anew how many wait at a time. Says whether it was never more than one.
    pub(crate) fn look_back(&self) -> bool {
        let list = self.lock();
        self.most.swap(list.waits.len(), Ordering::Relaxed) <= 1
    }

    /// How many have come since this was asked last whose isolates are quick and on the processor that they came on.
    pub(crate) fn take_near(&self) -> usize {
        std::mem::take(&mut self.lock().near)
    }

    /// Looks at the list for as long as the tokio runtime lives.
    pub(crate) async fn look(&self) {
        loop {
            self.first.notified().await;
            let mut empty = 0;
            loop {
                tokio::time::sleep(EVERY).await;
                let mut list = self.lock();
                if list.waits.is_empty() {
                    empty += 1;
                    if empty >= EMPTY_LOOKS {
                        list.looked_at = false;
                        break;
                    }
                } else {
                    empty = 0;
                    list.wake(Instant::now());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Every critical section leaves the data whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn wake(&self, now: Instant) {
        for (_, wait) in &self.waits {
            if wait.until.is_some_and(|until| until <= now) || wait.shared.is_abandoned() {
                wait.waker.wake_by_ref();
            }
        }
    }
}

impl Place<'_> {
    /// Has this waker woken instead.
    pub(crate) fn renew(&self, waker: &Waker) {
        if let Some(wait) = self.waits.lock().waits.get_mut(self.key) {
            wait.waker.clone_from(waker);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let gone = self.waits.lock().waits.try_remove(self.key);
        // Outside of the lock: it may be the last to know the isolate.
        drop(gone);
    }
}
