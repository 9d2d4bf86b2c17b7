//! What the handles of a connection and its driver share: the engine, and who waits for what.
//!
//! Nothing foreign runs under the lock: wakers are cloned before it is taken, and woken or dropped after it is
//! released ([`Aside`]).

use crate::{
    error::{Error, ErrorKind},
    link::{Detached, LinkState},
};
use amqp1_codec::{Str, Symbol};
use amqp1_engine::{
    Connection as Engine, ConnectionError, Ended, Event, Instant, LinkId, SessionConfig, SessionId, Settlement,
};
use bytes::Bytes;
use slab::Slab;
use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// Wakers to be woken, and things to be dropped, when the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    wake: Vec<Waker>,
    trash: Vec<Waker>,
    /// The waker of whoever polls, cloned before the lock was taken.
    own: Option<Waker>,
}

impl Aside {
    /// Wakes these when the lock is released.
    pub(crate) fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.wake.extend(wakers);
    }

    /// Puts the poller's waker into a slot.
    pub(crate) fn store(&mut self, slot: &mut Option<Waker>) {
        self.trash.extend(std::mem::replace(slot, self.own.take()));
    }

    /// Adds the poller's waker to those that wait.
    pub(crate) fn join(&mut self, waiting: &mut Vec<Waker>) {
        let Some(own) = self.own.take() else { return };
        if waiting.iter().any(|waker| waker.will_wake(&own)) {
            self.trash.push(own);
        } else {
            waiting.push(own);
        }
    }

    fn finish(self) {
        self.wake.into_iter().for_each(Waker::wake);
    }
}

/// What became of a message, on its way to whoever asked.
#[derive(Debug)]
pub(crate) enum Receipt {
    Pending(Option<Waker>),
    Done(Settlement),
    /// Nobody asks any more.
    Forgotten,
}

#[derive(Debug, Default)]
pub(crate) struct SessionState {
    pub(crate) begun: bool,
    pub(crate) ended: Option<Ended>,
    pub(crate) waiting: Vec<Waker>,
}

/// A step of SASL that the application answers.
#[derive(Debug)]
pub(crate) struct SaslStep {
    pub(crate) mechanism: Option<Symbol>,
    pub(crate) response: Option<Bytes>,
    pub(crate) hostname: Option<Str>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) driver: Option<Waker>,
    pub(crate) opened: bool,
    pub(crate) open_received: bool,
    pub(crate) closed: Option<ConnectionError>,
    /// The transport's own word on why it ended.
    pub(crate) transport_error: Option<String>,
    /// The driver has let go of the socket.
    pub(crate) driver_done: bool,
    pub(crate) waiting: Vec<Waker>,
    pub(crate) receipts: Slab<Receipt>,
    pub(crate) sessions: HashMap<SessionId, SessionState>,
    pub(crate) links: HashMap<LinkId, LinkState>,
    /// Acceptor: links that wait to be looked at.
    pub(crate) offered: VecDeque<LinkId>,
    pub(crate) sasl: VecDeque<SaslStep>,
    /// Acceptor: how sessions that the peer begins are accepted.
    pub(crate) session_config: Option<SessionConfig>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    epoch: std::time::Instant,
}

impl Shared {
    pub(crate) fn new(make: impl FnOnce(Instant) -> Engine, session_config: Option<SessionConfig>) -> Arc<Self> {
        let state = State {
            engine: make(Instant::default()),
            driver: None,
            opened: false,
            open_received: false,
            closed: None,
            transport_error: None,
            driver_done: false,
            waiting: Vec::new(),
            receipts: Slab::new(),
            sessions: HashMap::new(),
            links: HashMap::new(),
            offered: VecDeque::new(),
            sasl: VecDeque::new(),
            session_config,
        };
        // The engine's clock and tokio's tick together, so that a paused clock rules both.
        Arc::new(Self { state: Mutex::new(state), epoch: tokio::time::Instant::now().into_std() })
    }

    /// The engine's time.
    pub(crate) fn now(&self) -> Instant {
        let elapsed = tokio::time::Instant::now().into_std().saturating_duration_since(self.epoch);
        Instant::default() + elapsed
    }

    /// A point of the engine's time on tokio's clock.
    pub(crate) fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.epoch + (instant - Instant::default()))
    }

    /// Does something under the lock, then wakes the driver if `f` says that it has work.
    pub(crate) fn command<T>(&self, f: impl FnOnce(&mut State, &mut Aside) -> T) -> Result<T, Error> {
        let mut aside = Aside::default();
        let result = {
            let mut state = self.state.lock().map_err(|_| Error::new(ErrorKind::Internal, "the connection's task broke"))?;
            let result = f(&mut state, &mut aside);
            state.dispatch(&mut aside);
            aside.wake(state.driver.take());
            result
        };
        aside.finish();
        Ok(result)
    }

    /// Looks at the state without giving the driver work.
    pub(crate) fn look<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`command`](Self::command), from the driver, which is awake, and also after a panic.
    pub(crate) fn drive<T>(&self, cx: Option<&Context<'_>>, f: impl FnOnce(&mut State, &mut Aside) -> T) -> T {
        let mut aside = Aside { own: cx.map(|cx| cx.waker().clone()), ..Aside::default() };
        let result = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = f(&mut state, &mut aside);
            state.dispatch(&mut aside);
            result
        };
        aside.finish();
        result
    }

    /// Waits until `f`, called under the lock, is ready. `f` registers the waker it is given.
    pub(crate) async fn wait<T>(&self, mut f: impl FnMut(&mut State, &mut Aside) -> Poll<T>) -> Result<T, Error> {
        poll_fn(|cx| self.poll(cx, &mut f)).await
    }

    /// One step of [`wait`](Self::wait).
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        f: impl FnOnce(&mut State, &mut Aside) -> Poll<T>,
    ) -> Poll<Result<T, Error>> {
        let mut aside = Aside { own: Some(cx.waker().clone()), ..Aside::default() };
        let result = {
            let Ok(mut state) = self.state.lock() else {
                return Poll::Ready(Err(Error::new(ErrorKind::Internal, "the connection's task broke")));
            };
            f(&mut state, &mut aside)
        };
        aside.finish();
        result.map(Ok)
    }
}

impl State {
    /// Why nothing can be asked for any more.
    pub(crate) fn closed_error(&self) -> Option<Error> {
        let closed = self.closed.as_ref()?;
        Some(match &self.transport_error {
            Some(why) if *closed == ConnectionError::TransportLost => {
                Error::new(ErrorKind::TransportLost, format!("the connection was lost: {why}"))
            }
            _ => Error::from_connection(closed),
        })
    }

    /// Gives the driver work that a poll found.
    pub(crate) fn wake_driver(&mut self, aside: &mut Aside) {
        aside.wake(self.driver.take());
    }

    /// Sorts what the engine has to say to those who wait for it.
    fn dispatch(&mut self, aside: &mut Aside) {
        while let Some(event) = self.engine.poll_event() {
            self.on_event(event, aside);
        }
        while let Some(settled) = self.engine.poll_settled() {
            let token = usize::try_from(settled.token).unwrap_or(usize::MAX);
            match self.receipts.get_mut(token) {
                Some(slot @ Receipt::Pending(_)) => {
                    if let Receipt::Pending(waker) = std::mem::replace(slot, Receipt::Done(settled.settlement)) {
                        aside.wake(waker);
                    }
                }
                Some(_) => drop(self.receipts.remove(token)),
                None => {}
            }
        }
    }

    fn on_event(&mut self, event: Event, aside: &mut Aside) {
        tracing::trace!(?event, "engine");
        match event {
            Event::Opened => {
                self.opened = true;
                aside.wake(self.waiting.drain(..));
            }
            Event::OpenReceived => {
                self.open_received = true;
                aside.wake(self.waiting.drain(..));
            }
            Event::Closed(reason) => {
                tracing::debug!(%reason, "connection ended");
                self.closed = Some(reason);
                aside.wake(self.waiting.drain(..));
                for session in self.sessions.values_mut() {
                    aside.wake(session.waiting.drain(..));
                }
                for link in self.links.values_mut() {
                    link.wake_all(aside);
                }
            }
            Event::SessionOffered(id) => {
                let config = self.session_config.clone().unwrap_or_default();
                if self.engine.accept_session(id, config).is_ok() {
                    self.sessions.insert(id, SessionState { begun: true, ..SessionState::default() });
                }
            }
            Event::SessionBegun(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.begun = true;
                    aside.wake(session.waiting.drain(..));
                }
            }
            Event::SessionEnded(id, ended) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.ended = Some(ended);
                    aside.wake(session.waiting.drain(..));
                }
            }
            Event::LinkOffered(id) => {
                self.links.insert(id, LinkState::default());
                self.offered.push_back(id);
                aside.wake(self.waiting.drain(..));
            }
            Event::LinkAttached(id) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.attached = true;
                    aside.wake(link.waiting.drain(..));
                }
            }
            Event::LinkDetached(id, detached) => {
                self.offered.retain(|offered| *offered != id);
                if let Some(link) = self.links.get_mut(&id) {
                    link.detached = Some(Detached::new(&detached));
                    link.undelivered.extend(detached.undelivered);
                    link.wake_all(aside);
                }
            }
            Event::Sendable(id) => self.wake_senders(id, aside),
            Event::Receivable(id) => {
                if let Some(link) = self.links.get_mut(&id) {
                    aside.wake(link.receiver.take());
                }
            }
            Event::Drained(id) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.drained = true;
                    aside.wake(link.waiting.drain(..));
                }
            }
            Event::SaslInit { mechanism, response, hostname } => {
                self.sasl.push_back(SaslStep { mechanism: Some(mechanism), response, hostname });
                aside.wake(self.waiting.drain(..));
            }
            Event::SaslResponse(response) => {
                self.sasl.push_back(SaslStep { mechanism: None, response: Some(response), hostname: None });
                aside.wake(self.waiting.drain(..));
            }
            other => tracing::debug!(?other, "event without a listener"),
        }
    }

    /// Wakes as many of those who wait for credit as there is credit for.
    pub(crate) fn wake_senders(&mut self, id: LinkId, aside: &mut Aside) {
        let credit = self.engine.credit(id);
        if let Some(link) = self.links.get_mut(&id) {
            link.wake_senders(credit, aside);
        }
    }
}
