//! A link on which this end receives.

use crate::{
    Connection,
    config::Credit,
    error::ApiMisuse,
    event::{IncomingDelivery, StreamItem},
    store::{DeliveryKey, LinkId},
    transaction::TxnId,
};
use amqp1_codec::messaging::DeliveryState;

/// A link on which this end receives, from [`Connection::receiver`]. What links of both roles have in common is at [`Link`](crate::Link).
#[derive(Debug)]
pub struct Receiver<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) id: LinkId,
}

impl Receiver<'_> {
    /// The id that names the link.
    #[inline]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Takes the next delivery.
    #[inline]
    pub fn recv(&mut self) -> Option<IncomingDelivery> {
        self.connection.recv(self.id)
    }

    /// How many deliveries wait to be taken.
    #[inline]
    pub fn buffered(&self) -> usize {
        self.connection.buffered(self.id)
    }

    /// States an outcome for a delivery. Whether that settles it follows from the link's receiver-settle-mode. A delivery
    /// that is settled already is left alone.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::Detached`] if the detach of this end, or the end of its session, has left already: the outcome is not
    /// stated then. [`ApiMisuse::FrameTooLarge`] if the peer does not take a disposition of that size.
    #[inline]
    pub fn dispose(&mut self, key: DeliveryKey, state: DeliveryState) -> Result<(), ApiMisuse> {
        self.connection.dispose(self.id, key, state)
    }

    /// Whether a delivery is not settled.
    pub fn is_unsettled(&self, key: DeliveryKey) -> bool {
        self.connection.is_unsettled(self.id, key)
    }

    /// The link-credit (§2.6.7): how many more deliveries the sender may send.
    pub fn credit(&self) -> u32 {
        self.connection.allowed(self.id)
    }

    /// Sets how credit is given from now on.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] if [`Event::LinkDetached`](crate::Event::LinkDetached) was queued for it already.
    pub fn set_credit(&mut self, credit: Credit) -> Result<(), ApiMisuse> {
        self.connection.set_credit(self.id, credit)
    }

    /// Whether the credit window is not filled because too many deliveries are unsettled: see
    /// [`Event::CreditWithheld`](crate::Event::CreditWithheld).
    pub fn is_credit_withheld(&self) -> bool {
        self.connection.is_credit_withheld(self.id)
    }

    /// Asks the sender to use the credit up or give it up (§2.6.7). [`Event::Drained`](crate::Event::Drained) reports that
    /// it has. No credit is given until [`set_credit`](Self::set_credit).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] if [`Event::LinkDetached`](crate::Event::LinkDetached) was queued for it already.
    pub fn drain(&mut self) -> Result<(), ApiMisuse> {
        self.connection.drain(self.id)
    }

    /// How many messages were rejected or dropped because they could not be decoded, as
    /// [`ReceiverConfig::reject_undecodable`](crate::ReceiverConfig::reject_undecodable) asks for.
    pub fn undecodable(&self) -> u64 {
        self.connection.undecodable(self.id)
    }

    /// Takes the next piece of a streamed link's deliveries, which come one after the other. Taking a piece opens the
    /// session's window again.
    pub fn poll_stream(&mut self) -> Option<StreamItem> {
        self.connection.poll_stream(self.id)
    }

    /// Skips the rest of the streamed delivery whose pieces are being taken. What waits of it is dropped, which opens the
    /// session's window again, and what still comes of it is dropped as it comes.
    pub fn skip_stream(&mut self) {
        self.connection.skip_stream(self.id);
    }

    /// How many octets are left of the streamed delivery whose pieces are being taken; `None` until its end has come, and if
    /// that is an abort. They are counted at each call.
    pub fn stream_rest(&self) -> Option<usize> {
        self.connection.stream_rest(self.id)
    }

    /// How many octets of a streamed link wait to be taken.
    pub fn buffered_octets(&self) -> usize {
        self.connection.buffered_octets(self.id)
    }

    /// Whether octets of this streamed link that wait to be taken hold back its sender: it has used half of the session's
    /// window or more, which is opened again when they are taken.
    pub fn is_held_back(&self) -> bool {
        self.connection.is_held_back(self.id)
    }

    /// Drops the deliveries that wait to be taken and were acquired within this transaction, which is rolled back: they
    /// belong to the source again (§4.4.4). Returns how many there were.
    pub fn drop_acquired(&mut self, txn: &TxnId) -> usize {
        self.connection.drop_acquired(self.id, txn)
    }
}
