//! State that the handles of a connection share with its driver: the engine, and the tasks that wait.
//!
//! Nothing foreign runs under the lock: wakers are cloned before it is taken, and woken or dropped after it is released
//! ([`Aside`]).

use crate::{
    state::{
        aside::{Aside, WaitList},
        drain::Drains,
        engine::Engine,
        ids::{KeyMap, LinkKey, Mark, Place, SessionKey},
        link::LinkState,
        receipts::Receipts,
        suspended::Tokens,
        transaction::table::Transactions,
        unsent_log::UnsentLog,
    },
    types::error::{Error, ErrorKind, Retry},
};
use amqp1_codec::{EncodedMessage, IntoMessage, Str, Symbol};
use amqp1_engine::{Connection, ConnectionError, Ended, Instant, SessionConfig};
use bytes::{Bytes, BytesMut};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A session, as its handles know it.
#[derive(Debug, Default)]
pub(crate) struct SessionState {
    pub(crate) begun: bool,
    /// The peer began it and no handle of it was made.
    pub(crate) unheld: bool,
    /// The peer has not answered our end in time.
    pub(crate) unanswered: bool,
    pub(crate) ended: Option<Box<Ended>>,
    pub(crate) waiting: WaitList,
}

/// A step of SASL that the application answers. Not to be shown: it may hold a password.
pub(crate) struct SaslStep {
    /// In the first step.
    pub(crate) mechanism: Option<Symbol>,
    pub(crate) response: Option<Bytes>,
    pub(crate) hostname: Option<Str>,
}

/// The state of an acceptor's connection alone.
#[derive(Default)]
pub(crate) struct ServerState {
    /// How sessions that the peer begins are accepted.
    pub(crate) session_config: SessionConfig,
    pub(crate) sasl: VecDeque<SaslStep>,
    pub(crate) open_received: bool,
    /// Links that wait to be looked at.
    pub(crate) offered: VecDeque<LinkKey>,
    /// They are not looked at any more.
    pub(crate) deaf: bool,
}

impl ServerState {
    /// Takes a link back that was not looked at; whether there was one.
    pub(crate) fn withdraw(&mut self, id: LinkKey) -> bool {
        let place = self.offered.iter().position(|offered| *offered == id);
        place.and_then(|place| self.offered.remove(place)).is_some()
    }
}

/// Who waits until what was asked for is written. They are numbered.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    pub(crate) asked: u64,
    pub(crate) done: u64,
}

pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) opened: bool,
    pub(crate) closed: Option<ConnectionError>,
    /// The transport's own word on why it ended.
    pub(crate) transport_error: Option<Error>,
    /// The driver has written its last octet.
    pub(crate) shut: bool,
    /// The driver is gone: nothing will change any more.
    pub(crate) dead: bool,
    /// The driver has nothing to write and waits: who gives it something has to wake it.
    pub(crate) asleep: bool,
    /// When the driver will look at the clock.
    pub(crate) armed: Option<Instant>,
    pub(crate) waiting: WaitList,
    pub(crate) flush: Flush,
    pub(crate) receipts: Receipts,
    /// How long links wait for an outcome unless they say otherwise.
    pub(crate) outcome_timeout: Option<Duration>,
    /// Those of deliveries that may outlive their link.
    pub(crate) tokens: Tokens,
    pub(crate) sessions: KeyMap<SessionKey, SessionState>,
    /// On the heap: the map has room for more links than there are.
    pub(crate) links: KeyMap<LinkKey, Box<LinkState>>,
    /// Links with somebody who waits for credit.
    pub(crate) starved: VecDeque<LinkKey>,
    /// Some of them wait for room on the connection: newcomers wait behind them.
    pub(crate) awaits_room: bool,
    /// The marks that flushes wait for.
    pub(crate) flushing: Vec<Mark>,
    /// How many messages are lost without any of them having left.
    pub(crate) unsent: u64,
    /// If there is an observer.
    pub(crate) unsent_log: Option<Box<UnsentLog>>,
    /// How many octets permits have queued since there was room on the connection.
    pub(crate) overdrawn: usize,
    pub(crate) drains: Drains,
    pub(crate) transactions: Transactions,
    /// Whether it was logged that links wait for handles.
    pub(crate) handle_awaited: bool,
    /// Warnings for the driver to log.
    pub(crate) warnings: Vec<String>,
    /// Whether it was logged that a frame of the peer's was odd.
    pub(crate) odd_reported: bool,
    pub(crate) server: Option<ServerState>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// How to wake the driver.
    driver: Mutex<Option<Waker>>,
    /// The buffer that messages are encoded into.
    encoder: Mutex<BytesMut>,
    epoch: tokio::time::Instant,
}

impl fmt::Debug for Shared {
    /// How the connection is, not what passes through it: every handle shows this with itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Connection");
        if let Ok(state) = self.state.try_lock() {
            shown.field("opened", &state.opened).field("closed", &state.closed);
            shown.field("sessions", &state.sessions.len()).field("links", &state.links.len());
            shown.field("starved", &state.starved.len());
        }
        shown.finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        make: impl FnOnce(Instant) -> Connection,
        server: Option<ServerState>,
        outcome_timeout: Option<Duration>,
    ) -> Arc<Self> {
        let state = State {
            engine: Engine::new(make(Instant::default())),
            opened: false,
            closed: None,
            transport_error: None,
            shut: false,
            dead: false,
            asleep: false,
            armed: None,
            waiting: WaitList::default(),
            flush: Flush::default(),
            receipts: Receipts::new(),
            outcome_timeout,
            tokens: Tokens::default(),
            sessions: KeyMap::default(),
            links: KeyMap::default(),
            starved: VecDeque::new(),
            awaits_room: false,
            flushing: Vec::new(),
            unsent: 0,
            unsent_log: None,
            overdrawn: 0,
            drains: Drains::default(),
            transactions: Transactions::default(),
            handle_awaited: false,
            warnings: Vec::new(),
            odd_reported: false,
            server,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            driver: Mutex::new(None),
            encoder: Mutex::default(),
            epoch: tokio::time::Instant::now(),
        })
    }

    /// The engine's time. It ticks with tokio's, so that a paused clock rules both.
    pub(crate) fn now(&self) -> Instant {
        Instant::default() + tokio::time::Instant::now().saturating_duration_since(self.epoch)
    }

    /// A point of the engine's time on tokio's clock.
    pub(crate) fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        let since = instant - Instant::default();
        // A time too far away to be represented is far enough.
        self.epoch.checked_add(since).unwrap_or_else(|| self.epoch + Duration::from_secs(30 * 365 * 24 * 3600))
    }

    #[inline]
    fn lock(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.state.lock().map_err(|_| broken())
    }

    /// Does something under the lock, then wakes whom it concerns; the driver, if it has work from it.
    pub(crate) fn command<T>(&self, f: impl FnOnce(&mut State, &mut Aside<'_>) -> T) -> Result<T, Error> {
        let mut aside = Aside::default();
        let (result, wake) = {
            let mut state = self.lock()?;
            let result = f(&mut state, &mut aside);
            aside.drop_discarded(&mut state.engine);
            (result, state.takes_driver())
        };
        self.finish(aside, wake);
        Ok(result)
    }

    /// One step of a future: `f` gives what it is ready with, or stores the poller's waker.
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        mut f: impl FnMut(&mut State, &mut Aside<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Error>> {
        // The first time without a clone of the waker, which is needed only if something is stored.
        for cloned in [false, true] {
            let mut aside = Aside::polled_by(cx.waker(), cloned);
            let (result, wake) = {
                let mut state = match self.lock() {
                    Ok(state) => state,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                let result = f(&mut state, &mut aside);
                aside.drop_discarded(&mut state.engine);
                (result, state.takes_driver())
            };
            let again = aside.is_wanting() && result.is_pending();
            self.finish(aside, wake);
            if !again {
                return result.map(Ok);
            }
        }
        Poll::Pending
    }

    #[inline]
    fn finish(&self, aside: Aside<'_>, wake_driver: bool) {
        if wake_driver {
            self.wake_driver();
        }
        aside.finish();
    }

    fn wake_driver(&self) {
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Encodes a message before it is sent, into a buffer of the connection's unless another task encodes into that now.
    pub(crate) fn encode(&self, message: impl IntoMessage) -> EncodedMessage {
        // The encoder may be the application's code, which may send something itself.
        match self.encoder.try_lock() {
            Ok(mut buffer) => message.into_message(Some(&mut buffer)),
            Err(TryLockError::Poisoned(buffer)) => message.into_message(Some(&mut buffer.into_inner())),
            Err(TryLockError::WouldBlock) => message.into_message(None),
        }
    }

    /// Gives back the memory that messages are encoded into.
    pub(crate) fn shrink_encoder(&self) {
        let buffer = match self.encoder.try_lock() {
            Ok(buffer) => Some(buffer),
            Err(TryLockError::Poisoned(buffer)) => Some(buffer.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut buffer) = buffer {
            *buffer = BytesMut::new();
        }
    }

    /// As [`command`](Self::command), from the driver, which needs no waking.
    pub(crate) fn drive<T>(&self, f: impl FnOnce(&mut State, &mut Aside<'_>) -> T) -> Result<T, Error> {
        let mut aside = Aside::default();
        let result = {
            let mut state = self.lock()?;
            let result = f(&mut state, &mut aside);
            aside.drop_discarded(&mut state.engine);
            result
        };
        aside.finish();
        Ok(result)
    }

    /// Looks at the state, also when the driver has broken it.
    pub(crate) fn look<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets how the driver is woken.
    pub(crate) fn set_driver(&self, waker: Waker) {
        let before = self.driver.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        drop(before);
    }

    /// The driver is gone, be it that it is done, that it panicked, or that its runtime was dropped: tasks that wait are
    /// told so. The engine is left alone, since a panic may have left anything in it.
    pub(crate) fn driver_gone(&self) {
        let mut aside = Aside::default();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.closed.is_none() {
                state.closed = Some(ConnectionError::TransportLost);
                let gone = || Error::internal("the task of the connection is gone").with_retry(Retry::ReopenConnection);
                state.transport_error.get_or_insert_with(gone);
            }
            state.dead = true;
            state.shut = true;
            let committing = state.committing_slots();
            state.receipts.fail(&committing, &mut aside);
            state.wake_all(&mut aside);
        }
        aside.finish();
    }
}

#[cold]
fn broken() -> Error {
    Error::internal("the task of the connection panicked")
}

/// The earlier of two deadlines.
#[inline]
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl State {
    /// Whether nothing will change any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether the driver has to be woken, which then counts as done.
    fn takes_driver(&mut self) -> bool {
        if self.dead {
            return false;
        }
        let armed = self.armed;
        let is_sooner = |at: Option<Instant>| at.is_some_and(|at| armed.is_none_or(|armed| at < armed));
        let sooner = is_sooner(self.engine.earliest_timeout())
            || is_sooner(self.receipts.earliest())
            || is_sooner(self.drains.deadline)
            || is_sooner(self.transaction_timeout());
        // A drain waits for those who are served now.
        let asked = !self.drains.is_empty() || self.flush.asked > self.flush.done;
        let wakes = sooner || (self.asleep && (self.engine.has_output() || asked));
        if wakes {
            self.asleep = false;
            self.armed = self.next_timeout();
        }
        wakes
    }

    /// When the driver has to look at the clock: not later than the first deadline. The deadlines themselves are looked at
    /// in the driver's turns, not each time that something is asked for.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let next = earlier(self.engine.earliest_timeout(), self.receipts.earliest());
        earlier(earlier(next, self.drains.deadline), self.transaction_timeout())
    }

    /// Why nothing can be asked for any more, if so.
    pub(crate) fn closed_error(&self) -> Option<Error> {
        let closed = self.closed.as_ref()?;
        Some(match (&self.transport_error, closed) {
            (Some(error), ConnectionError::TransportLost) => error.clone(),
            _ => Error::from_connection(closed),
        })
    }

    /// The same, where it is known to be so.
    pub(crate) fn failure(&self) -> Error {
        self.closed_error().unwrap_or_else(|| Error::new(ErrorKind::Closed, "the connection is closed"))
    }

    /// An error of the engine's, unless the connection's end is the better reason.
    pub(crate) fn explain(&self, error: impl Into<Error>) -> Error {
        self.closed_error().unwrap_or_else(|| error.into())
    }

    /// Those who wait for changes at a place.
    pub(crate) fn list(&mut self, place: Place) -> Option<&mut WaitList> {
        match place {
            Place::Connection => Some(&mut self.waiting),
            Place::Session(id) => self.sessions.get_mut(&id).map(|session| &mut session.waiting),
            Place::Link(id) => self.links.get_mut(&id).map(|link| &mut link.waiting),
        }
    }

    /// Gives back what a quiet connection does not need.
    pub(crate) fn shrink(&mut self) {
        self.engine.shrink();
        self.receipts.shrink();
        self.waiting.shrink();
        self.starved.shrink_to_fit();
        self.sessions.values_mut().for_each(|session| session.waiting.shrink());
        self.links.values_mut().for_each(|link| link.shrink());
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&mut self, aside: &mut Aside<'_>) {
        self.waiting.wake(aside);
        for session in self.sessions.values_mut() {
            session.waiting.wake(aside);
        }
        for link in self.links.values_mut() {
            link.wake_all(aside);
        }
    }
}
