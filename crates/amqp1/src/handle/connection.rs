//! A connection as the application holds it.

use crate::{
    handle::{
        counted::{ConnectionHandle, SessionHandle},
        session::Session,
    },
    state::{
        ids::Place,
        links::ended_error,
        shared::{SessionState, Shared},
        wait::within,
    },
    types::{
        error::{Error, ErrorKind, Retry},
        security::Security,
    },
};
use amqp1_codec::{
    Symbol,
    definitions::{AmqpError, ErrorCondition},
    performative::Open,
};
use amqp1_engine::{ConnectionError, SessionConfig};
use std::{sync::Arc, time::Duration};

#[cfg(feature = "tls")]
use rustls::pki_types::CertificateDer;

/// An open connection. Clones are handles of the same one; when the last handle of it and of everything on it is
/// dropped, it is closed, what is queued first.
#[derive(Clone, Debug)]
pub struct Connection {
    handle: Arc<ConnectionHandle>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, timeout: Duration, security: Security) -> Self {
        Self { handle: Arc::new(ConnectionHandle { shared, timeout, security }) }
    }

    pub(crate) fn from_handle(handle: Arc<ConnectionHandle>) -> Self {
        Self { handle }
    }

    pub(crate) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Waits until both opens are exchanged.
    pub(crate) async fn opened(&self) -> Result<(), Error> {
        let opened = self.shared().wait(Place::Connection, |state| match state.closed_error() {
            Some(error) => Some(Err(error)),
            None => state.opened.then_some(Ok(())),
        });
        opened.await?
    }

    /// Begins a session.
    ///
    /// # Errors
    ///
    /// If the connection ends, the peer allows no more sessions, or does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// A session that is begun and not returned is ended.
    pub async fn begin(&self) -> Result<Session, Error> {
        self.begin_with(SessionConfig::default()).await
    }

    /// Begins a session with a configuration of one's own.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    ///
    /// # Cancel safety
    ///
    /// As [`begin`](Self::begin).
    pub async fn begin_with(&self, config: SessionConfig) -> Result<Session, Error> {
        let id = self.shared().command(|state, _| {
            let id = state.engine.begin(config).map_err(|misuse| state.explain(misuse))?;
            let id = state.engine.name_session(id);
            state.sessions.insert(id, SessionState::default());
            Ok::<_, Error>(id)
        })??;
        let session = Session::new(Arc::new(SessionHandle { connection: self.handle.clone(), id }));
        let begun = self.shared().wait(Place::Session(id), |state| {
            let closed = state.closed_error();
            let session = state.sessions.get(&id)?;
            match &session.ended {
                Some(ended) => Some(Err(closed.unwrap_or_else(|| ended_error(ended)))),
                None => session.begun.then_some(Ok(())),
            }
        });
        within(self.shared(), self.handle.timeout, "beginning a session", begun).await??;
        Ok(session)
    }

    /// The peer's open. It is decoded at each call.
    pub fn remote_open(&self) -> Open {
        self.shared().look(|state| state.engine.remote_open()).unwrap_or_default()
    }

    /// Whether the peer's open offers an extension (§2.7.1), such as those in [`capability`](crate::link::capability).
    pub fn offers(&self, capability: &Symbol) -> bool {
        let offers = |open: Open| open.offered_capabilities.iter().any(|offered| offered == capability);
        self.shared().look(|state| state.engine.remote_open().is_some_and(offers))
    }

    /// The peer is authenticated: from now on it may have as much metadata as
    /// [`max_metadata`](amqp1_engine::ConnectionConfig::max_metadata) says. Of use with
    /// [`AcceptorBuilder::hold_authentication`](crate::acceptor::AcceptorBuilder::hold_authentication).
    pub fn set_authenticated(&self) {
        // Of a connection whose task has panicked nothing more is taken.
        drop(self.shared().command(|state, _| state.engine.set_authenticated()));
    }

    /// The certificates that the peer has shown in TLS, its own first; `None` if it has shown none.
    #[cfg(feature = "tls")]
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.handle.security.peer_certificates.clone()
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.shared().look(|state| state.closed.is_some())
    }

    /// Waits until the connection has ended, and says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn closed(&self) -> ConnectionError {
        let closed = self.shared().wait(Place::Connection, |state| state.closed.clone());
        closed.await.unwrap_or(ConnectionError::TransportLost)
    }

    /// Why the connection has ended, as an error with what may help; `None` while it lives.
    pub fn closed_error(&self) -> Option<Error> {
        self.shared().look(|state| state.closed_error())
    }

    /// Closes the connection. What is queued and can leave is written first, messages and settlements included; when this
    /// returns the peer has answered and nothing is left to write.
    ///
    /// # Errors
    ///
    /// If the connection had ended otherwise. [`ErrorKind::Timeout`] if the peer does not answer in time; the connection
    /// is over then as well. [`ErrorKind::Closed`] if it is closed and messages that were queued were not sent; whatever
    /// the error is, [`Error::unsent`] says how many of them are known not to have been sent.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on closing by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.close_with(None).await
    }

    /// Closes the connection and tells the peer why. With an error no message that is queued is sent, and a close that
    /// waits for messages waits no longer; settlements that were stated are written first all the same.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// As [`close`](Self::close).
    pub async fn close_with(&self, error: Option<AmqpError>) -> Result<(), Error> {
        let now = self.shared().now();
        let forced = error.is_some();
        let before = self.shared().command(|state, _| {
            state.engine.close(now, error);
            // Losses at the end of the connection were not asked for.
            if state.closed.is_some() { 0 } else { state.unsent }
        })?;
        let shut = self.shut().await;
        let unsent = self.shared().look(|state| state.unsent.saturating_sub(before));
        match shut {
            Ok(()) if unsent > 0 && !forced => {
                let error = Error::new(ErrorKind::Closed, "the connection was closed before all messages were sent");
                Err(error.with_unsent(unsent))
            }
            Err(error) if unsent > 0 => Err(error.with_unsent(unsent)),
            shut => shut,
        }
    }

    /// Waits until the last octet is written.
    pub(crate) async fn shut(&self) -> Result<(), Error> {
        self.shut_within(self.handle.timeout).await
    }

    async fn shut_within(&self, limit: Duration) -> Result<(), Error> {
        let shut = self.shared().wait(Place::Connection, |state| {
            state.shut.then(|| match &state.closed {
                _ if state.engine.close_unanswered() => Err(unanswered()),
                Some(ConnectionError::LocallyClosed) | None => Ok(()),
                Some(_) => Err(state.failure()),
            })
        });
        tokio::time::timeout(limit, shut).await.unwrap_or_else(|_| Ok(Err(unanswered())))?
    }

    /// Waits until the settlements that were stated so far are written to the transport, and so is all else that was asked
    /// for and needs no credit. What the peer makes of them is not known by that.
    ///
    /// Messages leave as credit and windows allow, and are not waited for: their [receipts](crate::Receipt) are.
    ///
    /// # Errors
    ///
    /// If the connection ends before that, or the transport takes nothing for longer than the operation time-out.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn flush(&self) -> Result<(), Error> {
        self.shared().written(self.handle.timeout, "writing what was settled").await
    }

    /// Detaches all links with this error, then ends all sessions, and waits until the peer has answered that or the limit
    /// is over. Messages that are queued are not sent; settlements that were stated are written first.
    ///
    /// For a server that stops, before it [closes](Self::close_with) the connection: some clients wait long for the detach
    /// of a link that has ended with its connection.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, links are detached and sessions ended all the same.
    pub async fn end_all(&self, error: AmqpError, limit: Duration) -> Result<(), Error> {
        let sessions = self.shared().command(|state, _| {
            if let Some(server) = &mut state.server {
                server.deaf = true;
            }
            for id in state.links.keys().collect::<Vec<_>>() {
                // One that is detached already is left as it is.
                let _ = state.engine.link(id).and_then(|mut link| link.detach(true, Some(error.clone())));
            }
            let sessions: Vec<_> = state.sessions.keys().collect();
            for id in &sessions {
                let _ = state.engine.session(*id).and_then(|mut session| session.end(None));
            }
            sessions
        })?;
        let all_ended = async {
            for id in sessions {
                let ended = self.shared().wait(Place::Session(id), |state| {
                    let over = state.sessions.get(&id).is_none_or(|session| session.ended.is_some());
                    over.then_some(())
                });
                // A session that is not there any more has ended.
                let _ = ended.await;
            }
        };
        // Unanswered detaches and ends finish with the connection.
        let _ = tokio::time::timeout(limit, all_ended).await;
        self.closed_error().map_or(Ok(()), Err)
    }

    /// Closes the connection within a limit of time. As [`close`](Self::close) at first; shortly before the limit what can
    /// still not be sent is given up, as [`close_with`](Self::close_with) does it with `amqp:connection:forced`.
    /// Settlements that were stated are written before either close.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close): in particular [`ErrorKind::Timeout`] if the peer did not answer the first close.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on closing by itself.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), Error> {
        let forced = (limit / 4).min(FORCED);
        let deadline = tokio::time::Instant::now() + limit;
        let now = self.shared().now();
        self.shared().command(|state, _| state.engine.close(now, None))?;
        let closed = self.shut_within(limit.saturating_sub(forced)).await;
        if !matches!(&closed, Err(error) if error.kind() == ErrorKind::Timeout) {
            return closed;
        }
        let error = AmqpError::new(ErrorCondition::CONNECTION_FORCED, "the time to close the connection is over");
        let now = self.shared().now();
        self.shared().command(|state, _| state.engine.close(now, Some(error)))?;
        // Whatever comes of it, the close that was wanted did not come about.
        let _ = self.shut_within(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
        closed
    }
}

/// The most of [`Connection::shutdown`]'s time that is kept for the close by force.
const FORCED: Duration = Duration::from_secs(1);

fn unanswered() -> Error {
    Error::new(ErrorKind::Timeout, "the peer did not answer the close in time").with_retry(Retry::ReopenConnection)
}
