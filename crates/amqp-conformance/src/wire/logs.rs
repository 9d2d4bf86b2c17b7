//! The logs of a case's connections, and its deadline.

use super::{Deadline, Entry, WireLog};
use crate::group::Group;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The logs of the connections of one case, the time by which the case must be over, and the processes that it has started.
/// Copies share them, so that the logs of a case that never ends can be read.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    logs: Arc<Mutex<Vec<Arc<Mutex<WireLog>>>>>,
    /// The processes of the case.
    groups: Arc<Mutex<Vec<Weak<Group>>>>,
    /// The number of messages for which the client was asked.
    count: Arc<AtomicU32>,
    limit: Limit,
    /// Set when the time of a case begins to run.
    deadline: Arc<OnceLock<Option<Instant>>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Limit {
    #[default]
    None,
    /// Of all connections together.
    Case(Duration),
    /// Of each connection.
    Connection(Duration),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self { limit: Limit::Case(limit), ..Self::default() }
    }

    /// Logs of connections that are not of a case. Each has this much time; from then on, each wait is a time-out.
    pub fn for_each_connection(limit: Duration) -> Self {
        Self { limit: Limit::Connection(limit), ..Self::default() }
    }

    /// The deadline of the next connection.
    fn deadline(&self) -> Deadline {
        match self.limit {
            Limit::None => Deadline::None,
            Limit::Connection(limit) => Instant::now().checked_add(limit).map_or(Deadline::None, Deadline::Connection),
            Limit::Case(limit) => {
                let deadline = *self.deadline.get_or_init(|| Instant::now().checked_add(limit));
                deadline.map_or(Deadline::None, Deadline::Case)
            }
        }
    }

    /// The part of this time that is left before the case must be over.
    pub(crate) fn left_of(&self, time: Duration) -> Duration {
        match self.deadline.get() {
            Some(Some(deadline)) => time.min(deadline.saturating_duration_since(Instant::now())),
            _ => time,
        }
    }

    /// The time since the time began to run.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let deadline = (*self.deadline.get()?)?;
        let Limit::Case(limit) = self.limit else { return None };
        Some(limit.saturating_sub(deadline.saturating_duration_since(Instant::now())))
    }

    /// The log of the next connection.
    pub fn add(&self) -> Arc<Mutex<WireLog>> {
        let log = Arc::new(Mutex::new(WireLog::until(self.deadline())));
        lock(&self.logs).push(Arc::clone(&log));
        log
    }

    /// Notes a process of the case.
    pub(crate) fn add_group(&self, group: &Arc<Group>) {
        lock(&self.groups).push(Arc::downgrade(group));
    }

    /// Ends the processes of a case that is not waited for any more.
    pub(crate) fn end_groups(&self) {
        let groups: Vec<_> = lock(&self.groups).iter().filter_map(Weak::upgrade).collect();
        groups.iter().for_each(|group| group.end());
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
        lock(&self.logs).iter().map(|log| read(&lock(log))).collect()
    }
}
