//! The connections at the control address.

use std::{
    collections::HashMap,
    io,
    net::{Shutdown, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The number of connections that are served at the same time.
const MOST: usize = 16;

/// The connections that are served.
#[derive(Debug, Default)]
pub(super) struct Guests {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<u64, TcpStream>,
    next: u64,
    has_reported: bool,
}

impl Guests {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. Returns its number.
    pub(super) fn add(&self, stream: &TcpStream) -> io::Result<u64> {
        let stream = stream.try_clone()?;
        let mut state = self.state();
        let number = state.next;
        state.next = number.saturating_add(1);
        state.streams.insert(number, stream);
        Ok(number)
    }

    /// Removes a connection that is over. `has_reported` says whether its client has received the report.
    pub(super) fn remove(&self, number: u64, has_reported: bool) {
        let mut state = self.state();
        state.streams.remove(&number);
        state.has_reported |= has_reported;
    }

    /// Returns `true` if no further connection can be served now.
    pub(super) fn is_full(&self) -> bool {
        self.state().streams.len() >= MOST
    }

    /// Returns `true` if a client has received the report.
    pub(super) fn has_reported(&self) -> bool {
        self.state().has_reported
    }

    /// Ends the connections that are left, so that they are not waited for.
    pub(super) fn dismiss(&self) {
        for stream in self.state().streams.values() {
            // It may have ended by itself.
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }
}
