//! Contains aborts of the engine: V8 ends the process when some allocations fail or become too large, and there are
//! scripts that make them so (`'x'.repeat(2 ** 28).match(/x/g)`). Such an abort happens on the thread of the isolate whose
//! script it is; that thread is stopped for good, and the process goes on.
//!
//! What the stopped thread held stays allocated. So an app may have few of them ([`Rests`](crate::jobs::Rests)), and a
//! process not very many: one more abort ends it, as aborts elsewhere do.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use crate::isolate::Shared;

/// How many threads may be stopped before an abort ends the process.
const MAX_STOPPED: usize = 256;

static STOPPED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set on the thread of an isolate that runs a worker's code: where to say that the engine has aborted.
    static ABORTED: Cell<*const AtomicBool> = const { Cell::new(ptr::null()) };
}

/// Installs the signal handler, once.
pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let handler: extern "C" fn(libc::c_int) = on_abort;
        // SAFETY: `action` is fully initialised, and the handler calls nothing that is not async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGABRT, &raw const action, ptr::null_mut());
        }
    });
}

extern "C" fn on_abort(_signal: libc::c_int) {
    let aborted = ABORTED.with(Cell::get);
    if aborted.is_null() || STOPPED.fetch_add(1, Ordering::Relaxed) >= MAX_STOPPED {
        // `abort` ends the process when the handler returns.
        return;
    }
    // SAFETY: the pointer is set while the `Contained` guard, which keeps its target alive, is on this thread's stack; and
    // this thread never leaves this function.
    unsafe { (*aborted).store(true, Ordering::SeqCst) };
    loop {
        // SAFETY: `pause` has no preconditions.
        unsafe { libc::pause() };
    }
}

/// While it lives, an abort on this thread stops the thread and not the process.
pub(crate) struct Contained {
    _shared: Arc<Shared>,
}

impl Contained {
    /// Contains aborts of the calling thread; `shared` is told of one.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        ABORTED.with(|aborted| aborted.set(&raw const shared.aborted));
        Self { _shared: shared }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        ABORTED.with(|aborted| aborted.set(ptr::null()));
    }
}
