//! Payloads that will not be sent, kept until the runtime drops them where it holds no lock.

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
}

impl Discarded {
    pub(crate) fn payloads(&mut self, payloads: impl IntoIterator<Item = Bytes>) {
        self.payloads.extend(payloads);
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

    pub(crate) fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        core::mem::take(&mut self.payloads)
    }
}
