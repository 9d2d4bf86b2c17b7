//! Messages as they are handed over, and the option not to hand over those that cannot be decoded (§3.4.3).

use super::Connection;
use crate::{
    event::Event,
    link::Link,
    store::{DeliveryKey, LinkId},
};
use amqp1_codec::{
    DecodeError, DeliveryTag, Limits, Message,
    definitions::{AmqpError, ErrorCondition},
    messaging::DeliveryState,
};
use bytes::Bytes;

/// The message that these octets are, whatever they are. What a format other than 0 means is not known here (§2.8.11).
pub(crate) fn message_of(format: u32, parts: impl IntoIterator<Item = Bytes>, limits: Limits) -> Message {
    match format {
        0 => Message::received(parts, limits),
        _ => Message::opaque(parts, limits),
    }
}

/// What is wrong with a message of format 0.
pub(super) fn undecodable(format: u32, message: &Message) -> Option<DecodeError> {
    if format == 0 { message.validate().err() } else { None }
}

impl Connection {
    /// The limits that hold for what is received, with what the tolerances add to them.
    pub fn decode_limits(&self) -> Limits {
        self.config.decode_limits()
    }

    /// How many messages of a link were rejected or dropped because they could not be decoded, as
    /// [`ReceiverConfig::reject_undecodable`](crate::ReceiverConfig::reject_undecodable) asks for.
    pub fn undecodable(&self, id: LinkId) -> u64 {
        self.links.get(id).and_then(Link::receiving).map_or(0, |end| end.undecodable)
    }

    /// The application wants no such messages. One that is settled already is dropped.
    #[cold]
    pub(super) fn reject_undecodable(&mut self, id: LinkId, key: DeliveryKey, tag: DeliveryTag, error: DecodeError) {
        if let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) {
            end.undecodable = end.undecodable.saturating_add(1);
        }
        self.outbox.events.push_back(Event::Undecodable(id, tag, error));
        let state = AmqpError::new(ErrorCondition::DECODE_ERROR, alloc::format!("{error}"));
        let state = DeliveryState::rejected(state);
        let state = self.fail_posting(id, key).map_or_else(|| state.clone(), |txn| txn.state(Some(state.clone())));
        self.settle_received(id, key, state);
        self.delivery_gone(id);
    }
}
