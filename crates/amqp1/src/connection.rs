//! A connection as the application holds it.

use crate::{
    error::{Error, ErrorKind},
    link::within,
    session::{Session, SessionHandle},
    shared::{SessionState, Shared},
};
use amqp1_codec::{definitions::AmqpError, performative::Open};
use amqp1_engine::{ConnectionError, SessionConfig};
use std::{sync::Arc, task::Poll, time::Duration};

/// An open connection. Clones are handles of the same one; when the last handle of it and of everything on it is
/// dropped, it is closed.
#[derive(Clone, Debug)]
pub struct Connection {
    handle: Arc<ConnectionHandle>,
}

#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) timeout: Duration,
    /// The chain that the peer has shown in TLS, its own certificate first.
    pub(crate) peer_certificates: Vec<Vec<u8>>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, timeout: Duration, peer_certificates: Vec<Vec<u8>>) -> Self {
        Self { handle: Arc::new(ConnectionHandle { shared, timeout, peer_certificates }) }
    }

    pub(crate) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Waits until both opens are exchanged.
    pub(crate) async fn opened(&self) -> Result<(), Error> {
        let opened = self.shared().wait(|state, aside| {
            if let Some(error) = state.closed_error() {
                return Poll::Ready(Err(error));
            }
            if state.opened {
                return Poll::Ready(Ok(()));
            }
            aside.join(&mut state.waiting);
            Poll::Pending
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
            let id = state.engine.begin(config).map_err(|misuse| state.closed_error().unwrap_or_else(|| misuse.into()))?;
            state.sessions.insert(id, SessionState::default());
            Ok::<_, Error>(id)
        })??;
        let session = Session::new(Arc::new(SessionHandle { connection: self.handle.clone(), id }));
        let begun = self.shared().wait(|state, aside| {
            let closed = state.closed_error();
            let Some(session) = state.sessions.get_mut(&id) else {
                return Poll::Ready(Err(Error::new(ErrorKind::SessionEnded, "the session is gone")));
            };
            if let Some(ended) = &session.ended {
                return Poll::Ready(Err(closed.unwrap_or_else(|| crate::session::ended_error(ended))));
            }
            if session.begun {
                return Poll::Ready(Ok(()));
            }
            aside.join(&mut session.waiting);
            Poll::Pending
        });
        within(self.handle.timeout, "the peer did not answer the begin", async { begun.await? }).await?;
        Ok(session)
    }

    /// What the peer has opened the connection with.
    pub fn remote_open(&self) -> Open {
        self.shared().look(|state| state.engine.remote_open().cloned()).unwrap_or_default()
    }

    /// The certificates that the peer has shown in TLS, in DER, its own first.
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        &self.handle.peer_certificates
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
        let closed = self.shared().wait(|state, aside| {
            if let Some(reason) = &state.closed {
                return Poll::Ready(reason.clone());
            }
            aside.join(&mut state.waiting);
            Poll::Pending
        });
        closed.await.unwrap_or(ConnectionError::TransportLost)
    }

    /// Closes the connection. What is queued and can leave is written first, settlements included; when this returns
    /// the socket is closed.
    ///
    /// # Errors
    ///
    /// If the connection had ended otherwise, or does not end in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on closing by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.close_with(None).await
    }

    /// Closes the connection and tells the peer why. With an error nothing that is queued is written.
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
        self.shared().command(|state, _| state.engine.close(now, error))?;
        let done = self.shared().wait(|state, aside| {
            if state.driver_done {
                return Poll::Ready(match &state.closed {
                    Some(ConnectionError::LocallyClosed) | None => Ok(()),
                    Some(_) => Err(state.closed_error().unwrap_or_else(|| Error::new(ErrorKind::Closed, "closed"))),
                });
            }
            aside.join(&mut state.waiting);
            Poll::Pending
        });
        within(self.handle.timeout, "the connection did not close", async { done.await? }).await
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        let now = self.shared.now();
        let _ = self.shared.command(|state, _| state.engine.close(now, None));
    }
}
