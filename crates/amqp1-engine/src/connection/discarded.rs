//! Payloads that will not be sent, kept until the runtime drops them where it holds no lock.

use super::Connection;
use crate::{
    delivery::OutgoingDelivery,
    resume::{Retained, SentSoFar},
};
use alloc::{boxed::Box, vec::Vec};
use amqp1_codec::EncodedMessage;
use bytes::Bytes;

/// Payloads to drop. Dropping the last handle of one may run its owner's code.
#[derive(Debug, Default)]
pub(crate) struct Discarded {
    payloads: Vec<Bytes>,
    /// Of the last call that was refused. An application that goes on calling is not to fill the memory.
    refused: Vec<Bytes>,
}

impl Discarded {
    pub(crate) fn payloads(&mut self, payloads: impl IntoIterator<Item = Bytes>) {
        self.payloads.extend(payloads);
    }

    pub(crate) fn refused(&mut self, payloads: impl IntoIterator<Item = Bytes>) {
        self.refused.clear();
        self.refused.extend(payloads);
    }

    pub(crate) fn message(&mut self, message: Option<EncodedMessage>) {
        self.payloads(message.into_iter().flat_map(EncodedMessage::into_parts));
    }

    pub(crate) fn delivery(&mut self, delivery: OutgoingDelivery) {
        self.payloads(delivery.parts);
        self.retained(delivery.retained);
        self.message(delivery.origin.and_then(|origin| origin.message));
    }

    pub(crate) fn retained(&mut self, retained: Option<Box<Retained>>) {
        self.payloads(retained.into_iter().filter_map(|retained| retained.parts).flatten());
    }

    pub(crate) fn suspended(&mut self, deliveries: impl IntoIterator<Item = SentSoFar>) {
        for delivery in deliveries {
            self.message(delivery.message);
        }
    }
}

impl Connection {
    /// Takes the payloads that will not be sent or sent again: of messages that were refused, given up or settled, and of
    /// links that ended. Some belong to owners whose code runs when they are dropped ([`Bytes::from_owner`]), so that a
    /// runtime takes them under its lock and drops them after. Those that are not taken come with the next
    /// [`transmit`](Self::transmit), and are dropped with what [`TransmitQueue::release`](crate::TransmitQueue::release)
    /// drops. Of calls that are refused one after the other only the last one's payload is kept.
    pub fn take_discarded(&mut self) -> Vec<Bytes> {
        let mut discarded = core::mem::take(&mut self.discarded.payloads);
        discarded.append(&mut self.discarded.refused);
        discarded
    }
}
