//! A session.

use crate::{
    Connection,
    config::{ReceiverConfig, SenderConfig, SessionConfig},
    error::ApiMisuse,
    store::{LinkId, SessionId},
};
use amqp1_codec::definitions::AmqpError;

/// A session of a connection (§2.5), from [`Connection::session`].
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) id: SessionId,
}

impl Session<'_> {
    /// The id that names the session.
    #[inline]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Answers a session that the peer has begun. To refuse it, call [`end`](Self::end) with an error instead.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if it was answered already; [`ApiMisuse::NoChannel`] if all channels are in use;
    /// [`ApiMisuse::FrameTooLarge`] if the peer does not take a begin of that size; [`ApiMisuse::Closed`] if the connection
    /// is closing.
    #[inline]
    pub fn accept(&mut self, config: SessionConfig) -> Result<(), ApiMisuse> {
        self.connection.accept_session(self.id, config)
    }

    /// Attaches a link on which this end sends.
    ///
    /// # Errors
    ///
    /// - [`ApiMisuse::Closed`] if the connection is closing.
    /// - [`ApiMisuse::UnknownSession`] if the session is ending.
    /// - [`ApiMisuse::DynamicNodeContradiction`] if a dynamic node is asked for by an address, or described and not asked
    ///   for (§3.5.3).
    /// - [`ApiMisuse::NameInUse`] if the session has a link of that name and role already. A link that is detaching does not
    ///   count. A link on another session would be stolen (§2.6.1).
    /// - [`ApiMisuse::FrameTooLarge`] if the peer does not take an attach of that size.
    #[inline]
    pub fn attach_sender(&mut self, config: SenderConfig) -> Result<LinkId, ApiMisuse> {
        self.connection.attach_sender(self.id, config)
    }

    /// Attaches a link on which this end receives.
    ///
    /// # Errors
    ///
    /// As [`attach_sender`](Self::attach_sender).
    #[inline]
    pub fn attach_receiver(&mut self, config: ReceiverConfig) -> Result<LinkId, ApiMisuse> {
        self.connection.attach_receiver(self.id, config)
    }

    /// Ends the session. Deliveries that can leave go first; with an error, none does. Settlements that are stated before
    /// the end leaves go first in any case.
    ///
    /// On a session that the peer has offered and that was not accepted, this is the refusal: the engine sends a begin, then
    /// the end with the error.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownSession`] if [`Event::SessionEnded`](crate::Event::SessionEnded) was queued for it already.
    #[inline]
    pub fn end(&mut self, error: Option<AmqpError>) -> Result<(), ApiMisuse> {
        self.connection.end(self.id, error)
    }

    /// The peer's outgoing window (§2.5.6): how many more transfers it can send, by its last flow. A hint, which the engine
    /// does not enforce.
    #[inline]
    pub fn remote_outgoing_window(&self) -> u32 {
        self.connection.remote_outgoing_window(self.id).unwrap_or_default()
    }
}
