//! The waker of an isolate's event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use futures::task::AtomicWaker;

/// Remembers that the loop, and not a message, woke the thread.
#[derive(Default)]
pub(crate) struct LoopWaker {
    pub(crate) woken: AtomicBool,
    pub(crate) task: AtomicWaker,
}

impl LoopWaker {
    pub(crate) fn wake_by_ref(&self) {
        self.woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.as_ref().wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.as_ref().wake_by_ref();
    }
}
