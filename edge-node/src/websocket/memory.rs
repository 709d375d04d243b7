//! Memory for messages before isolates take them: so much for all, and of that so much for each app, so that clients of one
//! app do not take what those of another need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages up to this length count as nothing, bytes.
const SMALL: usize = 16 << 10;

/// The memory of all apps.
#[derive(Clone, Debug)]
pub struct MessageMemory {
    all: Arc<Semaphore>,
    share: usize,
    apps: Arc<Mutex<HashMap<Arc<str>, Weak<Semaphore>>>>,
}

/// The memory of one app.
#[derive(Clone, Debug)]
pub struct AppMemory {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// What a message holds, until it is dropped.
#[derive(Debug)]
pub struct Taken {
    all: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
}

impl MessageMemory {
    /// So many bytes for all apps, and `share` for each.
    pub fn new(bytes: u64, share: u64) -> Self {
        let permits = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(permits(bytes))), share: permits(share), apps: Arc::default() }
    }

    /// The part of an app: the same for all who ask while any of them has it.
    pub fn of(&self, app: &Arc<str>) -> AppMemory {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match apps.get(app).and_then(Weak::upgrade) {
            Some(own) => own,
            None => {
                apps.retain(|_, own| own.strong_count() > 0);
                let own = Arc::new(Semaphore::new(self.share));
                apps.insert(app.clone(), Arc::downgrade(&own));
                own
            }
        };
        AppMemory { all: self.all.clone(), own }
    }
}

impl AppMemory {
    /// Takes what a message of `bytes` needs beyond what it has `taken`; false when there is not so much left.
    pub fn take(&self, taken: &mut Option<Taken>, bytes: usize) -> bool {
        let have = taken.as_ref().map_or(0, |taken| taken.own.num_permits());
        if bytes <= SMALL.max(have) {
            return true;
        }
        let missing = u32::try_from(bytes - have).unwrap_or(u32::MAX);
        let Ok(own) = self.own.clone().try_acquire_many_owned(missing) else { return false };
        let Ok(all) = self.all.clone().try_acquire_many_owned(missing) else { return false };
        match taken {
            Some(taken) => {
                taken.own.merge(own);
                taken.all.merge(all);
            }
            none => *none = Some(Taken { all, own }),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_takes_no_more_than_its_share() {
        let memory = MessageMemory::new(100_000, 60_000);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let (hog, neighbour) = (memory.of(&one), memory.of(&other));
        let (mut first, mut second, mut third) = (None, None, None);
        assert!(hog.take(&mut first, 40_000) && !memory.of(&one).take(&mut second, 30_000));
        assert!(hog.take(&mut first, 60_000) && second.is_none(), "a message that grows takes what it lacks");
        assert!(hog.take(&mut second, SMALL) && second.is_none(), "small ones count as nothing");
        assert!(neighbour.take(&mut third, 40_000) && !neighbour.take(&mut third, 40_001), "all have so much");
        drop(first);
        assert!(neighbour.take(&mut third, 60_000) && hog.take(&mut second, 40_000));
        drop((second, third, hog));
        assert!(memory.of(&one).take(&mut None, 60_000));
        assert_eq!(memory.apps.lock().unwrap().len(), 2);
        drop(neighbour);
        memory.of(&"third".into());
        assert_eq!(memory.apps.lock().unwrap().len(), 1, "those that nobody uses are forgotten");
    }
}
