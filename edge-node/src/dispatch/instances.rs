//! The isolates of one version, and the register of all of a node's isolates.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use atoll_runtime::Isolate;
use futures::future::join_all;

use super::scale::{self, Choice};
use super::start_backoff::StartBackoff;

/// An isolate that serves requests.
pub struct Instance {
    id: u64,
    /// The isolate itself.
    pub isolate: Isolate,
    started: Instant,
    /// It is not young any more.
    loaded: AtomicBool,
    siblings: Weak<Instances>,
    register: Weak<Register>,
}

impl Instance {
    /// Whether it is so young that it may still be loading.
    fn is_loading(&self) -> bool {
        // Once it is known, no request has to look at the clock for it.
        if self.loaded.load(Ordering::Relaxed) {
            return false;
        }
        let loading = self.started.elapsed() < scale::LOADING;
        self.loaded.store(!loading, Ordering::Relaxed);
        loading
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(register) = self.register.upgrade() {
            lock(&register.all).remove(&self.id);
        }
    }
}

/// The isolates of one version.
#[derive(Default)]
pub struct Instances {
    list: Mutex<Vec<Arc<Instance>>>,
    backoff: Mutex<StartBackoff>,
}

impl Instances {
    /// Whether no isolate has been started, or all have ended.
    pub fn is_empty(&self) -> bool {
        lock(&self.list).is_empty()
    }

    /// Chooses the isolate for a request, or says that another is to be started. Forgets those that were stopped.
    pub fn choose(&self, max: usize) -> Selected {
        Self::choose_in(&mut lock(&self.list), max)
    }

    fn choose_in(list: &mut Vec<Arc<Instance>>, max: usize) -> Selected {
        if list.iter().any(|instance| instance.isolate.is_stopped()) {
            list.retain(|instance| !instance.isolate.is_stopped());
        }
        let views =
            list.iter().map(|instance| scale::View { wait: instance.isolate.wait(), loading: instance.is_loading() });
        match scale::choose(views, max) {
            Choice::Use(at) => Selected::Use(list[at].clone()),
            Choice::Start { otherwise } => Selected::Start { otherwise: otherwise.map(|at| list[at].clone()) },
        }
    }

    /// Adds an isolate made by `start`, unless another request has started one in the meantime that will do.
    /// The boolean says whether one was started.
    pub fn start(
        self: &Arc<Self>,
        register: &Arc<Register>,
        max: usize,
        start: impl FnOnce() -> Isolate,
    ) -> (Arc<Instance>, bool) {
        let mut list = lock(&self.list);
        if let Selected::Use(instance) = Self::choose_in(&mut list, max) {
            return (instance, false);
        }
        let instance = Arc::new(Instance {
            id: register.next.fetch_add(1, Ordering::Relaxed),
            isolate: start(),
            started: Instant::now(),
            loaded: AtomicBool::new(false),
            siblings: Arc::downgrade(self),
            register: Arc::downgrade(register),
        });
        lock(&register.all).insert(instance.id, Arc::downgrade(&instance));
        list.push(instance.clone());
        (instance, true)
    }

    /// The memory of failed starts.
    pub fn backoff(&self) -> MutexGuard<'_, StartBackoff> {
        lock(&self.backoff)
    }

    fn remove(&self, id: u64) -> Option<Arc<Instance>> {
        let mut list = lock(&self.list);
        let at = list.iter().position(|instance| instance.id == id)?;
        Some(list.swap_remove(at))
    }
}

/// What [`Instances::choose`] says.
pub enum Selected {
    /// Send the request to this one.
    Use(Arc<Instance>),
    /// Start another, or use this one when there is no room.
    Start {
        /// The least busy one.
        otherwise: Option<Arc<Instance>>,
    },
}

/// All of a node's isolates.
#[derive(Default)]
pub struct Register {
    all: Mutex<HashMap<u64, Weak<Instance>>>,
    next: AtomicU64,
}

impl Register {
    /// How many isolates there are.
    pub fn len(&self) -> usize {
        lock(&self.all).len()
    }

    /// What eviction looks at. Taken without holding the register's lock while isolates are asked.
    pub fn views(&self) -> Vec<super::evict::View> {
        self.all()
            .iter()
            .map(|instance| {
                let load = instance.isolate.load();
                super::evict::View {
                    id: instance.id,
                    idle: load.idle,
                    memory: load.memory as u64,
                    allocated: load.allocated as u64,
                    stopped: load.stopped,
                }
            })
            .collect()
    }

    /// Lets an isolate end once its requests are finished; new ones go elsewhere.
    pub fn release(&self, id: u64) {
        let instance = lock(&self.all).get(&id).and_then(Weak::upgrade);
        // The register's lock is not held here: dropping the last handle takes it.
        let released = instance.and_then(|instance| instance.siblings.upgrade()?.remove(id));
        drop(released);
    }

    /// Stops an isolate now, with the requests that it has.
    pub fn stop(&self, id: u64, reason: &str) {
        let instance = lock(&self.all).get(&id).and_then(Weak::upgrade);
        if let Some(instance) = instance {
            instance.isolate.stop(reason);
        }
        self.release(id);
    }

    /// Stops all isolates at once, and waits until they are gone.
    pub async fn stop_all(&self, reason: &str) {
        let mut isolates = Vec::new();
        for instance in self.all() {
            instance.isolate.stop(reason);
            isolates.push(instance.isolate.clone());
            self.release(instance.id);
        }
        join_all(isolates.iter().map(Isolate::ended)).await;
    }

    fn all(&self) -> Vec<Arc<Instance>> {
        lock(&self.all).values().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves the data whole, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
