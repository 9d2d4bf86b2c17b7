//! The logs of a case's connections, and its deadline.

use super::{Entry, WireLog};
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The logs of the connections of one case, and the time by which the case must be over. Copies share them, so that the
/// logs of a case that never ends can be read.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    logs: Arc<Mutex<Vec<Arc<Mutex<WireLog>>>>>,
    /// The number of messages for which the client was asked.
    count: Arc<AtomicU32>,
    limit: Option<Duration>,
    /// Set when the time begins to run.
    deadline: Arc<OnceLock<Option<Instant>>>,
}

impl Logs {
    /// Logs of a case that must be over within this time.
    pub fn within(limit: Duration) -> Self {
        let logs = Self::after_first_connection(limit);
        logs.deadline();
        logs
    }

    /// Logs of a case that must be over within this time from its first connection on.
    pub fn after_first_connection(limit: Duration) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.get_or_init(|| Instant::now().checked_add(self.limit?))
    }

    /// The time since the time began to run.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let deadline = (*self.deadline.get()?)?;
        self.limit.map(|limit| limit.saturating_sub(deadline.saturating_duration_since(Instant::now())))
    }

    /// The log of the next connection.
    pub fn add(&self) -> Arc<Mutex<WireLog>> {
        let log = Arc::new(Mutex::new(WireLog::until(self.deadline())));
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&log));
        log
    }

    /// Keeps the number of messages for which a client was asked.
    pub(crate) fn set_count(&self, count: u32) {
        self.count.store(count, Ordering::Relaxed);
    }

    /// The number of messages for which a client was asked; 0 if it was not started.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// The entries of each connection, in the order in which the connections were made.
    pub fn entries(&self) -> Vec<Vec<Entry>> {
        self.read(WireLog::entries)
    }

    /// Reads each log.
    pub fn read<T>(&self, read: impl Fn(&WireLog) -> T) -> Vec<T> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().map(|log| read(&log.lock().unwrap_or_else(PoisonError::into_inner))).collect()
    }
}
