//! Stops threads in code that V8 cannot interrupt, by a signal to the very thread.
//!
//! Some of V8's built-in functions go through an array-like of any length to its end and look for no interrupt:
//! `Array.prototype.every.call({ length: 2 ** 53 - 1 }, f)` takes half a minute. Terminating does nothing. A thread in such code,
//! whose isolate is condemned and whose requests have been answered for, gets [`SIGNAL`] again and again:
//!
//! - Where the signal meets it in **code that V8 has generated** (built-in functions, compiled JavaScript), it stops for
//!   good. That is sound because such a thread holds no lock that another thread could wait for. Generated code takes none:
//!   whatever needs one (allocating pages, the table of strings, compiling) it leaves to functions in C++, which have
//!   returned. Nor do the frames below it hold any. Generated code is entered from C++ only where any JavaScript at all may
//!   run, and V8 holds no mutex there, since that JavaScript may enter the same function again. The same is true of the
//!   platform: ops and callbacks that call JavaScript hold no guard of a mutex meanwhile (`core.rs`, `builtins.rs`,
//!   `platform_modules.rs`, `atoll_web::prepare_stack_trace`), deno_core takes its queue of tasks before it runs them, and an
//!   allocator calls nobody. What the isolate has of its own, nobody else asks for: without shared heaps no isolate waits for
//!   another's safepoint.
//! - Elsewhere in the **program's own code** it may hold a lock, so it must go on. After some tries it is paused for a while and
//!   then again, as the kernel would do with a thread that others displace. So a loop in V8's C++ that the changes
//!   in `third_party/v8/patches` have left out costs less than a hundredth of a processor until it ends.
//! - In **libraries and the kernel** it is left alone: it may be within the C library's allocator.
//!
//! A thread that has stopped keeps its memory; [`Rests`](crate::rests::Rests) bounds how much of it there is.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use deno_core::v8;

use crate::huge_pages;

/// Nothing else in the process uses it, and a process that has no handler for it ignores it.
pub(crate) const SIGNAL: libc::c_int = libc::SIGURG;

/// What the signal asks a thread for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wish {
    Nothing,
    /// To stop for good where that is sound.
    Stop,
    /// The same, and to pause where it is not.
    StopOrPause,
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Running,
    Pausing,
    Stopped,
}

/// What the watchdog and the thread of one isolate say to each other.
#[derive(Debug)]
pub(crate) struct Parking {
    wish: AtomicU8,
    state: AtomicU8,
    /// Milliseconds that a pause lasts.
    pause: AtomicI32,
}

impl Default for Parking {
    fn default() -> Self {
        let (wish, state) = (AtomicU8::new(Wish::Nothing as u8), AtomicU8::new(State::Running as u8));
        Self { wish, state, pause: AtomicI32::new(0) }
    }
}

impl Parking {
    /// Says what the next [`SIGNAL`] is to ask for.
    pub(crate) fn wish(&self, wish: Wish) {
        self.wish.store(wish as u8, Ordering::SeqCst);
    }

    /// Says how long the next pauses last.
    pub(crate) fn pauses_last(&self, time: Duration) {
        self.pause.store(i32::try_from(time.as_millis()).unwrap_or(i32::MAX), Ordering::SeqCst);
    }

    /// Whether the thread is paused now: it may hold locks of V8's.
    pub(crate) fn is_pausing(&self) -> bool {
        self.state.load(Ordering::SeqCst) == State::Pausing as u8
    }

    /// Whether the thread has stopped for good.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.load(Ordering::SeqCst) == State::Stopped as u8
    }

    fn is_now(&self, state: State) {
        self.state.store(state as u8, Ordering::SeqCst);
    }
}

thread_local! {
    /// Set on the thread of an isolate that runs a worker's code.
    static PARKING: Cell<*const Parking> = const { Cell::new(ptr::null()) };
}

/// Begin and end of a range of addresses; empty until it is known.
struct Range(AtomicUsize, AtomicUsize);

impl Range {
    const fn unknown() -> Self {
        Self(AtomicUsize::new(0), AtomicUsize::new(0))
    }

    fn set(&self, begin: usize, end: usize) {
        self.1.store(end, Ordering::SeqCst);
        self.0.store(begin, Ordering::SeqCst);
    }

    fn contains(&self, address: usize) -> bool {
        let begin = self.0.load(Ordering::SeqCst);
        begin != 0 && (begin..self.1.load(Ordering::SeqCst)).contains(&address)
    }
}

/// Where V8 has generated code: the built-in functions in the program, and the range for all that is made at run time, which
/// the isolates of a process share.
static GENERATED: [Range; 4] = [const { Range::unknown() }; 4];

/// The program's own code.
static PROGRAM: Range = Range::unknown();

/// V8's `MemoryRange`.
#[derive(Clone, Copy)]
#[repr(C)]
struct MemoryRange {
    start: *const c_void,
    length: usize,
}

unsafe extern "C" {
    /// `size_t v8::Isolate::CopyCodePages(size_t capacity, MemoryRange* out)`, which the Rust interface to V8 leaves out.
    #[link_name = "_ZN2v87Isolate13CopyCodePagesEmPNS_11MemoryRangeE"]
    fn copy_code_pages(isolate: *mut c_void, capacity: usize, out: *mut MemoryRange) -> usize;
}

/// Takes note of where generated code is, once per process.
pub(crate) fn learn(isolate: &mut v8::Isolate) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: the type is a transparent wrapper of a pointer to V8's `Isolate`.
        let isolate: *mut c_void = unsafe { std::mem::transmute(isolate.as_raw_isolate_ptr()) };
        let mut ranges = [MemoryRange { start: ptr::null(), length: 0 }; GENERATED.len()];
        // SAFETY: the isolate is alive and this is its thread; V8 writes as many ranges as there are places, and says how many
        // there would be.
        let count = unsafe { copy_code_pages(isolate, ranges.len(), ranges.as_mut_ptr()) };
        for (known, found) in GENERATED.iter().zip(&ranges[..count.min(ranges.len())]) {
            known.set(found.start as usize, (found.start as usize).saturating_add(found.length));
        }
    });
}

/// Installs the signal handler, once.
pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let (begin, end) = huge_pages::code();
        PROGRAM.set(begin, end);
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
        // SAFETY: `action` is fully initialised, and the handler calls nothing that is not async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(SIGNAL, &raw const action, ptr::null_mut());
        }
    });
}

/// Lets the signal stop the calling thread, or no longer.
///
/// # Safety
///
/// What is set must live until it is taken back, or for ever when the thread stops.
pub(crate) unsafe fn set_for_this_thread(parking: *const Parking) {
    PARKING.with(|set| set.set(parking));
}

extern "C" fn on_signal(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let parking = PARKING.with(Cell::get);
    if parking.is_null() || context.is_null() {
        return;
    }
    // SAFETY: whoever set the pointer keeps its target alive until it is taken back, on this thread.
    let parking = unsafe { &*parking };
    let wish = parking.wish.load(Ordering::SeqCst);
    if wish == Wish::Nothing as u8 {
        return;
    }
    // SAFETY: the kernel gives a handler that asks for it (`SA_SIGINFO`) the context of what it interrupts.
    let at = program_counter(unsafe { &*context.cast::<libc::ucontext_t>() });
    if GENERATED.iter().any(|range| range.contains(at)) {
        stop(parking);
    }
    if wish == Wish::StopOrPause as u8 && PROGRAM.contains(at) {
        pause(parking);
    }
}

#[cfg(target_arch = "x86_64")]
fn program_counter(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
}

#[cfg(target_arch = "aarch64")]
fn program_counter(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.pc as usize
}

/// Stops the calling thread for good.
fn stop(parking: &Parking) -> ! {
    // SAFETY: the set is initialised by `sigfillset`; blocking signals has no other preconditions.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut());
    }
    parking.is_now(State::Stopped);
    loop {
        // SAFETY: `pause` has no preconditions.
        unsafe { libc::pause() };
    }
}

/// Pauses the calling thread.
fn pause(parking: &Parking) {
    parking.is_now(State::Pausing);
    // SAFETY: the place of this thread's `errno` is always valid; `poll` is async-signal-safe, and with no descriptors it
    // reads no memory.
    unsafe {
        let error = *libc::__errno_location();
        libc::poll(ptr::null_mut(), 0, parking.pause.load(Ordering::SeqCst));
        *libc::__errno_location() = error;
    }
    parking.is_now(State::Running);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::priority::Priority;

    /// A thread that goes round and round in the program's own code may hold a lock: it is paused and goes on.
    #[test]
    fn code_of_the_program_is_paused_and_not_stopped() {
        install();
        let (parking, over) = (Arc::new(Parking::default()), Arc::new(AtomicBool::new(false)));
        let (send, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let (parking, over) = (parking.clone(), over.clone());
            move || {
                // SAFETY: the closure keeps it alive until it is taken back.
                unsafe { set_for_this_thread(&raw const *parking) };
                let priority = Arc::new(Priority::of_this_thread());
                send.send(priority.clone()).unwrap();
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                priority.thread_ends();
                // SAFETY: taken back.
                unsafe { set_for_this_thread(ptr::null()) };
            }
        });
        let priority = ready.recv().unwrap();
        assert!(priority.signal(SIGNAL), "a signal that asks for nothing");
        parking.wish(Wish::Stop);
        assert!(priority.signal(SIGNAL));
        parking.pauses_last(Duration::from_millis(100));
        parking.wish(Wish::StopOrPause);
        while !parking.is_pausing() {
            assert!(!parking.is_stopped());
            assert!(priority.signal(SIGNAL));
            std::thread::yield_now();
        }
        parking.wish(Wish::Nothing);
        over.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        assert!(!parking.is_stopped() && !parking.is_pausing());
        assert!(!priority.signal(SIGNAL), "its id may be another's");
    }
}
