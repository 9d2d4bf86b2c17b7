//! A link on which this end sends.

use super::Unsent;
use crate::{
    Connection,
    config::SendOptions,
    error::{ApiMisuse, SendError},
    queue::Blocked,
    store::LinkId,
};
use amqp1_codec::{EncodedMessage, messaging::DeliveryState};
use bytes::Bytes;

/// A link on which this end sends, from [`Connection::sender`]. What links of both roles have in common is at
/// [`Link`](crate::Link).
///
/// Deliveries are named by the [token](SendOptions::token) that they were sent with.
#[derive(Debug)]
pub struct Sender<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) id: LinkId,
}

impl Sender<'_> {
    /// The id that names the link.
    #[inline]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// How many deliveries may be queued now: the link-credit (§2.6.7), without what waits to be sent.
    #[inline]
    pub fn credit(&self) -> u32 {
        self.connection.credit(self.id)
    }

    /// The [`credit`](Self::credit), or 0 where this many octets wait on the link already.
    #[inline]
    pub fn credit_below(&self, octets: usize) -> u32 {
        self.connection.credit_below(self.id, octets)
    }

    /// How many octets of payload wait to be sent. The last octet of a delivery that is being written leaves with what
    /// follows it, and does not count.
    #[inline]
    pub fn queued(&self) -> usize {
        self.connection.queued(self.id)
    }

    /// How many deliveries have not left completely.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.connection.waiting(self.id)
    }

    /// Whether the last of them is written piece by piece and not finished yet.
    #[inline]
    pub fn is_last_open(&self) -> bool {
        self.connection.is_last_open(self.id)
    }

    /// Why nothing can be queued on an attached link. `None` does not mean that something can be sent: see
    /// [`credit`](Self::credit).
    #[inline]
    pub fn blocked(&self) -> Option<Blocked> {
        self.connection.blocked(self.id)
    }

    /// The largest message that the peer takes, in octets.
    #[inline]
    pub fn remote_max_message_size(&self) -> Option<u64> {
        self.connection.remote_max_message_size(self.id)
    }

    /// Queues a delivery: the whole of it, or nothing.
    ///
    /// # Errors
    ///
    /// The reason why it was not queued, with the message: [`Unsent::reason`], [`Unsent::into_inner`].
    #[inline]
    pub fn send(&mut self, message: EncodedMessage, options: SendOptions) -> Result<(), Unsent<EncodedMessage>> {
        self.connection.send(self.id, message, options)
    }

    /// Begins a delivery whose message is written in pieces. Nothing else can be sent on the link until it is
    /// [finished](Self::finish) or [aborted](Self::abort). The pieces are the octets of an encoded message (§3.2).
    ///
    /// Pieces that are written wait until there is room for them on the wire: check [`queued`](Self::queued), and go on
    /// at [`Event::Sendable`](crate::Event::Sendable).
    ///
    /// # Errors
    ///
    /// The reason why nothing can be sent.
    #[inline]
    pub fn begin_delivery(&mut self, options: SendOptions) -> Result<(), SendError> {
        self.connection.begin_delivery(self.id, options)
    }

    /// Writes a piece of the delivery that was begun.
    ///
    /// # Errors
    ///
    /// The octets are given back with the reason. [`SendError::Detached`] if no delivery is being written, or the link
    /// is detached; [`SendError::SettledEarly`] if the receiver has settled the delivery already: then finish or abort
    /// it.
    #[inline]
    pub fn write(&mut self, octets: Bytes) -> Result<(), Unsent<Bytes>> {
        self.connection.write(self.id, octets)
    }

    /// Completes the delivery that was begun. Its last octets leave now. If the receiver settled it before it was
    /// complete, the rest is not sent.
    ///
    /// # Errors
    ///
    /// [`SendError::Detached`] if no delivery is being written, or the link is detached.
    #[inline]
    pub fn finish(&mut self) -> Result<(), SendError> {
        self.connection.finish(self.id)
    }

    /// Aborts a delivery that has not left completely (§2.6.14): the receiver discards what it has of it. The delivery
    /// is reported as [`Settlement::Aborted`](crate::Settlement::Aborted).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if all of it has left, or no delivery has this token.
    pub fn abort(&mut self, token: u64) -> Result<(), ApiMisuse> {
        self.connection.abort(self.id, token)
    }

    /// Settles a delivery with a state: because its time has run out, or because the transaction in which it was
    /// retired is discharged. A disposition goes to the receiver, unless that has settled the delivery already, and the
    /// delivery is reported with that state.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if no delivery of this token is unsettled, or not all of it has left.
    pub fn settle(&mut self, token: u64, state: Option<DeliveryState>) -> Result<(), ApiMisuse> {
        self.connection.settle_sent(self.id, token, state)
    }

    /// Removes the state of a delivery that waits to be sent, because the transaction that it names was committed. A
    /// delivery that has left in part keeps its state.
    pub fn forget_state(&mut self, token: u64) {
        self.connection.forget_state(self.id, token);
    }

    /// Whether the transfer that aborts a delivery waits to be sent. A resource answers the discharge of the
    /// transaction after it (§4.4.3).
    pub fn is_aborting(&self) -> bool {
        self.connection.is_aborting(self.id)
    }

    /// Whether the receiver drains the link and was not answered yet: credit that is left can still be used.
    #[inline]
    pub fn is_drain_requested(&self) -> bool {
        self.connection.drain_requested(self.id)
    }

    /// Gives up the credit that is left, as the receiver's drain asks (§2.6.7). Deliveries that are queued are sent
    /// first, and one that was begun keeps its credit: the drain is answered when its first octets have left, or it is
    /// aborted. With [`DrainMode::Application`](crate::DrainMode::Application) the drain is answered when its time is
    /// over all the same, and the delivery waits for new credit.
    ///
    /// [`Event::DrainAnswered`](crate::Event::DrainAnswered) follows. Without a drain that waits for an answer, nothing
    /// happens.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] if [`Event::LinkDetached`](crate::Event::LinkDetached) was queued for it already.
    pub fn drained(&mut self) -> Result<(), ApiMisuse> {
        self.connection.drained(self.id)
    }
}
