//! A waker that remembers that it was woken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Wakes a task, and remembers that it did.
#[derive(Debug)]
pub(crate) struct Woken {
    task: Waker,
    woken: AtomicBool,
}

impl Woken {
    pub(crate) fn new(task: &Waker) -> (Arc<Self>, Waker) {
        let woken = Arc::new(Self { task: task.clone(), woken: AtomicBool::new(false) });
        (woken.clone(), woken.into())
    }

    /// Whether it was woken since this was asked last.
    pub(crate) fn take(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
