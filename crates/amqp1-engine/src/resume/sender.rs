//! The state of the sending end of a suspended link.

use alloc::{collections::VecDeque, vec::Vec};
use amqp1_codec::{DeliveryTag, EncodedMessage, messaging::DeliveryState};
use bytes::Bytes;

/// The parts of a delivery that are needed to send it again.
#[derive(Clone, Debug)]
pub(crate) struct Retained {
    pub(crate) tag: DeliveryTag,
    pub(crate) message_format: u32,
    /// The whole message; `None` for a stream, of which nothing is kept.
    pub(crate) parts: Option<Vec<Bytes>>,
    pub(crate) state: Option<DeliveryState>,
}

/// A delivery that the sending end has not settled, or has not even begun.
#[derive(Clone)]
pub struct SentSoFar {
    /// Its name on the link.
    pub tag: DeliveryTag,
    /// The token of [`SendOptions`](crate::SendOptions); comes back in [`Settled`](crate::Settled).
    pub token: u64,
    /// The message's format.
    pub message_format: u32,
    /// Whether it was to be settled from the start. Only deliveries of which nothing had left are kept then.
    pub settled: bool,
    /// Whether any of it has left. If not, the receiver cannot know it, and it is just sent.
    pub begun: bool,
    /// Its state at this end: none, from where on it can be sent again, or the outcome that was applied.
    pub state: Option<DeliveryState>,
    /// The whole message, if it is kept. A delivery without it can be settled or given up, not sent again.
    pub message: Option<EncodedMessage>,
}

/// The deliveries that the sending end of a link has not settled (§2.6.13), in the order in which they were sent.
///
/// An application may take deliveries out that are not to be sent again; the receiver is made to forget them where it
/// knows them, if they have an outcome.
#[derive(Clone, Default)]
pub struct SuspendedSender {
    /// The deliveries.
    pub deliveries: VecDeque<SentSoFar>,
    /// The number that the next tag is made of.
    pub(crate) next_tag: u32,
}

impl SuspendedSender {
    /// None.
    pub const fn new() -> Self {
        Self { deliveries: VecDeque::new(), next_tag: 0 }
    }

    /// Takes a delivery out that was settled after its link was suspended, as
    /// [`poll_settled`](crate::Connection::poll_settled) may still say while the session lives. Whether it was there.
    pub fn settle(&mut self, token: u64) -> bool {
        let place = self.deliveries.iter().position(|delivery| delivery.token == token);
        place.and_then(|at| self.deliveries.remove(at)).is_some()
    }

    /// Whether nothing is left to resume.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The entries of the unsettled map: the deliveries of which anything has left.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (DeliveryTag, Option<DeliveryState>)> + '_ {
        self.deliveries.iter().filter(|delivery| delivery.begun).map(|delivery| (delivery.tag, delivery.state.clone()))
    }
}
