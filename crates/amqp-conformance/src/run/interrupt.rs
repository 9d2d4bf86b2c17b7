//! Ends a run before its time.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// The interval at which a run looks whether it is interrupted.
const INTERVAL: Duration = Duration::from_millis(20);

/// Ends a run from another thread: what was judged so far is reported. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    is_set: Arc<AtomicBool>,
}

/// Nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// The run was interrupted.
    Interrupted,
    /// There are no senders any more.
    Ended,
}

impl Interrupt {
    /// Ends the run.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
    }

    /// Returns `true` if the run is to end.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    /// Receives, unless the run is interrupted.
    pub(super) fn receive<T>(&self, from: &Receiver<T>) -> Result<T, Nothing> {
        loop {
            if self.is_set() {
                return Err(Nothing::Interrupted);
            }
            match from.recv_timeout(INTERVAL) {
                Ok(received) => return Ok(received),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Nothing::Ended),
            }
        }
    }

    /// The result of `work`, on a thread of its own; `None` if the run is interrupted before it is there. The thread is
    /// left alone then.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub(super) fn unless<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Option<T>> {
        let (done, result) = mpsc::channel();
        let work = move || done.send(work()).unwrap_or_default();
        let thread = thread::Builder::new().name(String::from("run")).spawn(work)?;
        match self.receive(&result) {
            Ok(result) => Ok(Some(result)),
            Err(Nothing::Interrupted) => Ok(None),
            Err(Nothing::Ended) => match thread.join() {
                // The thread sends before it ends.
                Ok(()) => Ok(None),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_waited_for_unless_it_is_interrupted() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.unless(|| 1).expect("a thread"), Some(1));
        let other = interrupt.clone();
        let endless = move || {
            other.set();
            loop {
                thread::park();
            }
        };
        assert_eq!(interrupt.unless::<()>(endless).expect("a thread"), None);
        assert!(interrupt.is_set());
    }
}
