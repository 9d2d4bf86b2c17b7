//! The state of the receiving end of a suspended link.

use super::position;
use alloc::{collections::BTreeMap, vec::Vec};
use amqp1_codec::{DeliveryTag, messaging::DeliveryState};
use bytes::Bytes;

/// The kept state of a delivery that is not settled.
#[derive(Clone, Debug)]
pub(crate) struct HeldDelivery {
    pub(crate) message_format: u32,
    pub(crate) parts: Vec<Bytes>,
    pub(crate) state: Option<DeliveryState>,
}

/// A delivery that the receiving end has not settled.
#[derive(Clone)]
pub struct ReceivedSoFar {
    /// The message's format.
    pub message_format: u32,
    /// The part of the message that was received.
    pub parts: Vec<Bytes>,
    /// Whether that is all of it.
    pub whole: bool,
    /// Whether the application has taken it.
    pub taken: bool,
    /// The outcome that was stated, if one was.
    pub outcome: Option<DeliveryState>,
}

impl ReceivedSoFar {
    /// Its state in an unsettled map. M-3.4.6-15: one of which nothing is held is not there.
    fn state(&self) -> Option<DeliveryState> {
        if self.outcome.is_some() {
            return self.outcome.clone();
        }
        let held = self.parts.iter().any(|part| !part.is_empty());
        held.then(|| DeliveryState::Received(position(&self.parts)))
    }
}

/// The deliveries that the receiving end of a link has not settled (§2.6.13), by their tags.
#[derive(Clone, Default)]
pub struct SuspendedReceiver {
    /// The deliveries.
    pub deliveries: BTreeMap<DeliveryTag, ReceivedSoFar>,
}

impl SuspendedReceiver {
    /// None.
    pub const fn new() -> Self {
        Self { deliveries: BTreeMap::new() }
    }

    /// Whether nothing is left to resume.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// States an outcome for a delivery while there is no link; the sender learns it when the link is resumed. Whether
    /// there is such a delivery, received whole and without an outcome.
    pub fn dispose(&mut self, tag: &DeliveryTag, outcome: DeliveryState) -> bool {
        match self.deliveries.get_mut(tag) {
            Some(delivery) if delivery.whole && delivery.outcome.is_none() && outcome.is_outcome() => {
                delivery.outcome = Some(outcome);
                true
            }
            _ => false,
        }
    }

    /// The entries of the unsettled map.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (DeliveryTag, Option<DeliveryState>)> + '_ {
        self.deliveries.iter().filter_map(|(tag, delivery)| Some((*tag, Some(delivery.state()?))))
    }
}
