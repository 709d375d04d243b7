//! Contains aborts of the engine: V8 ends the process when some allocations fail or become too large, and there are
//! scripts that make them so (`'x'.repeat(2 ** 28).match(/x/g)`). Such an abort happens on the thread of the isolate whose
//! script it is; that thread is stopped for good, and the process goes on.
//!
//! V8 also copies young objects on threads of its own, whatever it is told of threads, while the isolate's thread waits for them;
//! and isolates are restored before they have a worker. An abort there stops that thread as well. The watchdog gives up isolates
//! that wait for it.
//!
//! What the stopped thread held stays allocated. So an app may have few of them ([`Rests`](crate::rests::Rests)), and a
//! process not very many: one more abort ends it, as aborts elsewhere do.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use crate::allocator;
use crate::isolate::Shared;
use crate::park;
use crate::reservations::Charged;

/// How many threads may be stopped before an abort ends the process.
const MAX_STOPPED: usize = 256;

static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// How many threads were stopped that are no isolate's with a worker.
static OTHERS: AtomicUsize = AtomicUsize::new(0);

/// The names of such threads, as the kernel cuts them: V8's own, and those of isolates.
const OTHER_NAMES: [&[u8]; 2] = [b"V8 DefaultWorke\0", b"isolate\0"];

/// Whether a thread was stopped that isolates may wait for.
pub(crate) fn has_stopped_others() -> bool {
    OTHERS.load(Ordering::Relaxed) > 0
}

/// Whether the calling thread is the engine's, or an isolate's.
fn is_of_the_engine() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes 16 bytes at most; the system call is async-signal-safe.
    let failed = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    failed == 0 && OTHER_NAMES.iter().any(|other| name.starts_with(other))
}

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
    let is_contained = !aborted.is_null() || is_of_the_engine();
    if !is_contained || STOPPED.fetch_add(1, Ordering::Relaxed) >= MAX_STOPPED {
        // `abort` ends the process when the handler returns.
        return;
    }
    if aborted.is_null() {
        OTHERS.fetch_add(1, Ordering::Relaxed);
    } else {
        // SAFETY: the pointer is set while the `Contained` guard, which keeps its target alive, is on this thread's stack; and
        // this thread never leaves this function.
        unsafe { (*aborted).store(true, Ordering::SeqCst) };
    }
    loop {
        // SAFETY: `pause` has no preconditions.
        unsafe { libc::pause() };
    }
}

/// While it lives, an abort on this thread stops the thread and not the process, and code that cannot be interrupted can be
/// [stopped](crate::park), the addresses that it sets aside are [bounded](crate::reservations), and what it allocates is
/// [counted](crate::Counting).
pub(crate) struct Contained {
    _charged: Charged,
    _shared: Arc<Shared>,
}

impl Contained {
    /// Contains what happens on the calling thread; `shared` is told of it.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        ABORTED.with(|aborted| aborted.set(&raw const shared.aborted));
        // SAFETY: the guard keeps both alive until it takes them back.
        unsafe {
            park::set_for_this_thread(&raw const shared.parking);
            allocator::count_this_thread(&raw const shared.allocated);
        }
        Self { _charged: Charged::new(), _shared: shared }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        ABORTED.with(|aborted| aborted.set(ptr::null()));
        // SAFETY: nothing is set any more.
        unsafe {
            park::set_for_this_thread(ptr::null());
            allocator::count_this_thread(ptr::null());
        }
    }
}
