//! A session as the application holds it.

use crate::{
    handle::{
        builders::{ReceiverBuilder, SenderBuilder},
        counted::SessionHandle,
    },
    state::{ids::Place, links::ended_error, wait::within},
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{Str, definitions::AmqpError};
use amqp1_engine::{Cause, Ended};
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

impl Session {
    pub(crate) fn new(handle: Arc<SessionHandle>) -> Self {
        Self { handle }
    }

    pub(crate) fn handle(&self) -> &Arc<SessionHandle> {
        &self.handle
    }

    /// Builds a link on which messages are sent to this address; [`attach`](SenderBuilder::attach) attaches it.
    pub fn sender(&self, address: impl Into<Str>) -> SenderBuilder {
        SenderBuilder::new(self.handle.clone(), address.into())
    }

    /// Builds a link to no address: each message goes where its `to` says (§3.2.4). For peers whose open offers
    /// [`ANONYMOUS_RELAY`](crate::link::capability::ANONYMOUS_RELAY), which [`Connection::offers`](crate::Connection::offers)
    /// checks. A message that cannot be routed is rejected; if it was sent settled, the peer ends the link.
    pub fn anonymous_sender(&self) -> SenderBuilder {
        SenderBuilder::anonymous(self.handle.clone())
    }

    /// Builds a link on which messages come from this address; [`attach`](ReceiverBuilder::attach) attaches it.
    pub fn receiver(&self, address: impl Into<Str>) -> ReceiverBuilder {
        ReceiverBuilder::new(self.handle.clone(), address.into())
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
