//! A link of either role.

use crate::{
    Connection,
    config::AttachReply,
    error::ApiMisuse,
    store::{LinkId, SessionId},
};
use amqp1_codec::{
    definitions::{AmqpError, Fields, Role},
    messaging::DeliveryState,
    performative::Attach,
};

/// A link of a connection (§2.6), from [`Connection::link`].
///
/// The methods that depend on the role are at [`Sender`](crate::Sender) and [`Receiver`](crate::Receiver).
#[derive(Debug)]
pub struct Link<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) id: LinkId,
    pub(super) role: Role,
    pub(super) session: SessionId,
}

impl Link<'_> {
    /// The id that names the link.
    #[inline]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// The role of this end.
    #[inline]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The link's name.
    pub fn name(&self) -> &str {
        self.connection.link_name(self.id).unwrap_or_default()
    }

    /// The session that the link is attached to.
    #[inline]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// The attach of the peer: present from [`Event::LinkOffered`](crate::Event::LinkOffered) or
    /// [`Event::LinkAttached`](crate::Event::LinkAttached) on, until it is
    /// [forgotten](Self::forget_remote_attach).
    pub fn remote_attach(&self) -> Option<Attach> {
        self.connection.remote_attach(self.id)
    }

    /// Forgets the attach of the peer, so that it no longer counts as its metadata: for servers with many links that do
    /// not need it after they have accepted a link.
    pub fn forget_remote_attach(&mut self) {
        self.connection.forget_attach(self.id);
    }

    /// Accepts a link that the peer has offered. If the peer's handle-max leaves no handle free, the link is attached
    /// when one becomes free, and [`Event::HandleAwaited`](crate::Event::HandleAwaited) reports that.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if it was answered already. [`ApiMisuse::FrameTooLarge`] if the peer does not take an
    /// attach of that size; then the link is refused.
    pub fn accept(&mut self, reply: AttachReply) -> Result<(), ApiMisuse> {
        self.connection.accept_link(self.id, reply)
    }

    /// Refuses a link that the peer has offered (§2.6.3): sends an attach without a terminus, then a detach with the
    /// error.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if it was answered already.
    pub fn reject(&mut self, error: AmqpError) -> Result<(), ApiMisuse> {
        self.connection.reject_link(self.id, error)
    }

    /// Detaches the link. Deliveries that are queued go first; with an error, none does. Settlements that are stated
    /// before the detach leaves go first in any case.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] if [`Event::LinkDetached`](crate::Event::LinkDetached) was queued for it already.
    pub fn detach(&mut self, closed: bool, error: Option<AmqpError>) -> Result<(), ApiMisuse> {
        self.connection.detach(self.id, closed, error)
    }

    /// The outcome of deliveries that are settled without one: the default-outcome of the link's source (§3.3, §3.5.3),
    /// as the sending end has it, or else as the receiving end has answered. On a link that this end has accepted, what
    /// it granted counts, not what the peer asked for.
    ///
    /// `None` if none is stated: then nothing is known of such a delivery. A node at this end may take it for released
    /// (`default_outcome` of the crate `amqp1-broker`).
    pub fn default_outcome(&self) -> Option<DeliveryState> {
        self.connection.default_outcome(self.id)
    }

    /// The properties of the flows that this end sends for the link.
    pub fn flow_properties(&self) -> Option<&Fields> {
        self.connection.flow_properties(self.id)
    }

    /// Sets the properties of the flows that this end sends for the link (§2.7.4), and sends one.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::FrameTooLarge`] if the peer does not take a flow of that size.
    pub fn set_flow_properties(&mut self, properties: Fields) -> Result<(), ApiMisuse> {
        self.connection.set_flow_properties(self.id, properties)
    }

    /// Leaves the properties out of this end's flows from the next one on, and sends none for it.
    ///
    /// A controller does so with the id of a transaction whose discharge it asks for.
    pub fn clear_flow_properties(&mut self) {
        self.connection.clear_flow_properties(self.id);
    }

    /// The properties of the peer's last flow for the link.
    pub fn remote_flow_properties(&self) -> Option<Fields> {
        self.connection.remote_flow_properties(self.id)
    }

    /// Forgets the properties of the peer's last flow, so that the next one that has any is reported: for the id of a
    /// transaction, which is cleared when that is discharged (§4.4.3).
    pub fn forget_remote_flow_properties(&mut self) {
        self.connection.forget_flow_properties(self.id);
    }
}
