//! The memory an isolate may use: V8's heap, and what lies outside it.
//!
//! Array buffers come from an allocator that counts and refuses; so does what `JSON.stringify` has written until it makes
//! the string (third_party/v8/patches/0010): where that is refused, V8 throws a `RangeError`. The V8 heap has a limit with a
//! callback that stops the isolate. WebAssembly memories and resizable buffers bypass the allocator, but V8 counts them as
//! external memory: they are checked after every garbage collection, which growing external memory provokes.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deno_core::v8;

use crate::HandlerError;
use crate::isolate::Shared;
use crate::reservations;

/// What the near-heap-limit callback adds when the limit is reached: more than the largest array V8 can allocate in one
/// piece under pointer compression (2^27 elements of 4 bytes), because V8 aborts the process when an allocation fails
/// before the termination takes effect.
const HEADROOM: usize = 600 << 20;

/// What it adds when so many isolates have reached their limits that they could use up the addresses all heaps share. An
/// isolate that needs more then is lost.
const LITTLE_HEADROOM: usize = 64 << 20;

/// How much all isolates that are about to end may have been given.
const MOST_HEADROOM: usize = 1 << 30;

static HEADROOM_GIVEN: AtomicUsize = AtomicUsize::new(0);

/// What an isolate was given beyond its limit, until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Headroom(AtomicUsize);

impl Headroom {
    /// How many bytes an isolate gets now.
    fn take(&self) -> usize {
        let within = |given: usize| given.checked_add(HEADROOM).filter(|given| *given <= MOST_HEADROOM + HEADROOM);
        match HEADROOM_GIVEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within) {
            Ok(_) => {
                self.0.fetch_add(HEADROOM, Ordering::Relaxed);
                HEADROOM
            }
            Err(_) => LITTLE_HEADROOM,
        }
    }

    /// Says that the isolate takes no more than it has.
    pub(crate) fn give_back(&self) {
        HEADROOM_GIVEN.fetch_sub(self.0.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Drop for Headroom {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Counts one isolate's array-buffer bytes and knows what they may be.
#[derive(Debug)]
pub(crate) struct Account {
    limit: AtomicUsize,
    buffers: AtomicUsize,
    heap: AtomicUsize,
    pub(crate) headroom: Headroom,
}

impl Account {
    pub(crate) fn new(limit: usize) -> Self {
        let (buffers, heap, headroom) = Default::default();
        Self { limit: AtomicUsize::new(limit), buffers, heap, headroom }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes note of the V8 heap's size in bytes, as last measured.
    pub(crate) fn set_heap(&self, bytes: usize) {
        self.heap.store(bytes, Ordering::Relaxed);
    }

    /// Whether the isolate uses too much, when it is what lies outside the heap that makes it so. The heap has a limit of its own.
    pub(crate) fn is_exceeded(&self, heap: usize, external: usize) -> bool {
        heap.saturating_add(external) > self.limit() && external > self.limit() / 2
    }

    /// Whether what V8 does not know of makes the isolate use too much: what is counted as such, or all that its thread has
    /// allocated in its turn, buffers included.
    pub(crate) fn is_exceeded_by(&self, off_heap: usize, allocated: usize) -> bool {
        let counted = self.buffers.load(Ordering::Relaxed).saturating_add(off_heap);
        self.is_exceeded(self.heap.load(Ordering::Relaxed), counted.max(allocated))
    }

    /// What an isolate is told that uses too much.
    pub(crate) fn verdict(&self) -> HandlerError {
        HandlerError::MemoryLimit { limit_mb: (self.limit() >> 20) as u64 }
    }

    /// Bytes of the V8 heap, as last measured, and of buffers.
    pub(crate) fn used(&self) -> usize {
        self.heap.load(Ordering::Relaxed).saturating_add(self.buffers.load(Ordering::Relaxed))
    }

    fn reserve(&self, len: usize) -> bool {
        let room = self.limit().saturating_sub(self.heap.load(Ordering::Relaxed));
        let take = |used: usize| used.checked_add(len).filter(|total| *total <= room);
        self.buffers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn release(&self, len: usize) {
        self.buffers.fetch_sub(len, Ordering::Relaxed);
    }
}

/// An array-buffer allocator that charges `account` and refuses what passes its limit: the script sees a `RangeError`.
pub(crate) fn allocator(account: Arc<Account>) -> v8::UniqueRef<v8::Allocator> {
    static VTABLE: v8::RustAllocatorVtable<Account> =
        v8::RustAllocatorVtable { allocate, allocate_uninitialized, free, drop: drop_account };
    // SAFETY: the handle is an `Arc<Account>` turned into a raw pointer, which is what every function of the vtable takes
    // it for; `drop_account` gives the reference back.
    unsafe { v8::new_rust_allocator(Arc::into_raw(account), &VTABLE) }
}

const ALIGN: usize = 16;

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.max(1), ALIGN).ok()
}

unsafe extern "C" fn allocate(account: &Account, len: usize) -> *mut c_void {
    obtain(account, len, true)
}

unsafe extern "C" fn allocate_uninitialized(account: &Account, len: usize) -> *mut c_void {
    obtain(account, len, false)
}

fn obtain(account: &Account, len: usize, zeroed: bool) -> *mut c_void {
    let Some(layout) = layout(len) else { return std::ptr::null_mut() };
    if !account.reserve(len) {
        return std::ptr::null_mut();
    }
    // SAFETY: the layout's size is not zero.
    let data = unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } };
    if data.is_null() {
        account.release(len);
    }
    data.cast()
}

unsafe extern "C" fn free(account: &Account, data: *mut c_void, len: usize) {
    if let Some(layout) = layout(len) {
        account.release(len);
        // SAFETY: V8 gives back what `obtain` returned for the same length.
        unsafe { dealloc(data.cast(), layout) };
    }
}

unsafe extern "C" fn drop_account(account: *const Account) {
    // SAFETY: this is the reference that `allocator` turned into a raw pointer; V8 calls this once.
    drop(unsafe { Arc::from_raw(account) });
}

/// What the heap callbacks of one isolate need; lives as long as the isolate.
pub(crate) struct Guard {
    account: Arc<Account>,
    shared: Arc<Shared>,
}

impl Guard {
    /// Installs the callbacks. The guard must outlive the isolate.
    pub(crate) fn install(isolate: &mut v8::Isolate, account: Arc<Account>, shared: Arc<Shared>) -> Box<Self> {
        let guard = Box::new(Self { account, shared });
        let data = std::ptr::from_ref::<Self>(&guard).cast_mut().cast::<c_void>();
        isolate.add_near_heap_limit_callback(near_heap_limit, data);
        isolate.add_gc_epilogue_callback(after_collection, data, v8::GCType::kGCTypeMarkSweepCompact);
        guard
    }

    fn exceeded(&self) {
        self.shared.kill(self.account.verdict());
    }
}

unsafe extern "C" fn near_heap_limit(data: *mut c_void, current: usize, _initial: usize) -> usize {
    // SAFETY: `data` is the guard given at installation, which outlives the isolate.
    let guard = unsafe { &*data.cast::<Guard>() };
    if current < guard.account.limit() {
        return guard.account.limit();
    }
    // V8 also asks before it gives up having addresses, however small the heap is: whoever wants them gets an exception.
    if reservations::was_refused() && guard.account.heap.load(Ordering::Relaxed) < guard.account.limit() / 2 {
        return current;
    }
    guard.exceeded();
    current + guard.account.headroom.take()
}

unsafe extern "C" fn after_collection(
    raw: v8::UnsafeRawIsolatePtr,
    _kind: v8::GCType,
    _flags: v8::GCCallbackFlags,
    data: *mut c_void,
) {
    // SAFETY: `data` is the guard given at installation, which outlives the isolate.
    let guard = unsafe { &*data.cast::<Guard>() };
    // SAFETY: V8 calls this on the isolate's own thread with the isolate that was collected.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(raw) };
    let (heap, external) = measure(&mut isolate);
    guard.account.set_heap(heap);
    if heap + external > guard.account.limit() {
        guard.exceeded();
    }
}

/// Bytes in use in the V8 heap, and bytes outside it that V8 knows of.
pub(crate) fn measure(isolate: &mut v8::Isolate) -> (usize, usize) {
    let statistics = isolate.get_heap_statistics();
    // The statistics leave WebAssembly memories out; the total that a change of nothing returns does not.
    let total = usize::try_from(isolate.adjust_amount_of_external_allocated_memory(0)).unwrap_or(0);
    (statistics.used_heap_size(), statistics.external_memory().max(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_isolates_get_much_beyond_their_limits_at_once() {
        let accounts: Vec<Account> = (0..8).map(|_| Account::new(1)).collect();
        let given: Vec<usize> = accounts.iter().map(|account| account.headroom.take()).collect();
        assert_eq!(given[..2], [HEADROOM; 2]);
        assert_eq!(given[6..], [LITTLE_HEADROOM; 2]);
        assert!(given.iter().sum::<usize>() < MOST_HEADROOM + HEADROOM + 8 * LITTLE_HEADROOM + 1);
        accounts[0].headroom.give_back();
        assert_eq!(accounts[7].headroom.take(), HEADROOM);
        drop(accounts);
        assert_eq!(Account::new(1).headroom.take(), HEADROOM);
    }

    #[test]
    fn an_account_refuses_what_passes_its_limit_and_takes_back_what_is_freed() {
        let account = Account::new(100);
        assert!(account.reserve(60));
        assert!(!account.reserve(50));
        account.release(30);
        assert!(account.reserve(50));
        account.set_heap(90);
        assert!(!account.reserve(1), "heap and buffers count together");
    }
}
