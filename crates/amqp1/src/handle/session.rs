//! A session as the application holds it.

use crate::{
    handle::{
        builders::{ReceiverBuilder, SenderBuilder},
        connection::ConnectionHandle,
    },
    request::RequesterBuilder,
    state::{
        shared::{Shared, State},
        wait::{Place, within},
    },
    transaction::Controller,
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{Str, definitions::AmqpError};
use amqp1_engine::{Cause, Ended, SessionId};
use std::sync::Arc;

/// A session. Clones are handles of the same one; when the last handle of it and of its links is dropped, it is ended.
#[derive(Clone, Debug)]
pub struct Session {
    handle: Arc<SessionHandle>,
}

/// Handles are equal that are handles of the same session.
impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }
}

impl Eq for Session {}

#[derive(Debug)]
pub(crate) struct SessionHandle {
    pub(crate) connection: Arc<ConnectionHandle>,
    pub(crate) id: SessionId,
}

impl SessionHandle {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.connection.shared
    }
}

impl Session {
    pub(crate) fn new(handle: Arc<SessionHandle>) -> Self {
        Self { handle }
    }

    /// A link to this address, to be attached.
    pub fn sender(&self, address: impl Into<Str>) -> SenderBuilder {
        SenderBuilder::new(self.handle.clone(), address.into())
    }

    /// A link to no address, to be attached: each message goes where its `to` says (§3.2.4). For peers whose open offers
    /// [`ANONYMOUS_RELAY`](crate::capability::ANONYMOUS_RELAY), which [`Connection::offers`](crate::Connection::offers)
    /// tells. A message that cannot be routed is rejected; one that was sent settled costs the link.
    pub fn anonymous_sender(&self) -> SenderBuilder {
        SenderBuilder::anonymous(self.handle.clone())
    }

    /// Links to this node and from it, to be attached: for requests and their answers.
    pub fn requester(&self, node: impl Into<Str>) -> RequesterBuilder {
        RequesterBuilder::new(self.handle.clone(), node.into())
    }

    /// A link from this address, to be attached.
    pub fn receiver(&self, address: impl Into<Str>) -> ReceiverBuilder {
        ReceiverBuilder::new(self.handle.clone(), address.into())
    }

    /// Attaches a control link to the peer's transaction coordinator (§4.1): for transactions on this session and, where
    /// the coordinator offers that, on the others of the connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LinkRefused`] if the peer coordinates no transactions; otherwise as for any link that is attached.
    ///
    /// # Cancel safety
    ///
    /// A link that is attached and not returned is closed.
    pub async fn transactions(&self) -> Result<Controller, Error> {
        Controller::attach(self.handle.clone()).await
    }

    /// Ends the session. What is queued on it and can leave is sent first.
    ///
    /// # Errors
    ///
    /// If the peer ended it with an error, or does not answer within a few seconds once our end has left
    /// ([`ErrorKind::Timeout`]): RabbitMQ 3.10 sometimes loses its answer. The session is over at this end then.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on ending by itself.
    pub async fn end(&self) -> Result<(), Error> {
        self.end_with(None).await
    }

    /// Ends the session and tells the peer why. With an error nothing that is queued is sent.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    ///
    /// # Cancel safety
    ///
    /// As [`end`](Self::end).
    pub async fn end_with(&self, error: Option<AmqpError>) -> Result<(), Error> {
        let (id, shared) = (self.handle.id, self.handle.shared());
        // It may be over already; then that counts.
        let _ = shared.command(|state, _| state.engine.session(id).and_then(|mut session| session.end(error)))?;
        let timeout = self.handle.connection.timeout;
        let over = shared.wait(Place::Session(id), |state| {
            let session = state.sessions.get(&id)?;
            let unanswered = session.unanswered.then_some(None);
            session.ended.as_deref().cloned().map(Some).or(unanswered)
        });
        let gone = Ended { error: None, by: Cause::Connection };
        let ended = within(shared, timeout, "ending a session", async { Ok(over.await.unwrap_or(Some(gone))) }).await?;
        let Some(ended) = ended else {
            return Err(Error::new(ErrorKind::Timeout, "the peer does not answer the end of the session"));
        };
        match (ended.by, &ended.error) {
            (Cause::Peer, Some(_)) => Err(ended_error(&ended)),
            (Cause::Connection, _) => Err(shared.look(|state| state.failure())),
            _ => Ok(()),
        }
    }

    /// Waits until the session is over, for whatever reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn ended(&self) -> Ended {
        let id = self.handle.id;
        let ended =
            self.handle.shared().wait(Place::Session(id), |state| state.sessions.get(&id)?.ended.as_deref().cloned());
        ended.await.unwrap_or(Ended { error: None, by: Cause::Connection })
    }
}

impl State {
    /// Why nothing can be done on a session any more, if it is over.
    pub(crate) fn session_failure(&self, id: SessionId) -> Option<Error> {
        let ended = self.sessions.get(&id).and_then(|session| session.ended.as_deref());
        self.closed_error().or_else(|| ended.map(ended_error))
    }
}

pub(crate) fn ended_error(ended: &Ended) -> Error {
    let text = match ended.by {
        Cause::Peer => "the peer ended the session",
        _ => "the session was ended",
    };
    Error::new(ErrorKind::SessionEnded, text).with_amqp(ended.error.clone())
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        let id = self.id;
        let state = self.shared().command(|state, _| {
            let _ = state.engine.session(id).and_then(|mut session| session.end(None));
            state.sessions.remove(&id)
        });
        // What it holds is dropped when the lock is released.
        drop(state);
    }
}
