//! Messages as they are handed over, and the option not to hand over those that cannot be decoded (§3.4.3).

use super::Connection;
use crate::{link::Link, store::LinkId};
use amqp1_codec::{DecodeError, Limits, Message};
use bytes::Bytes;

/// The message that these octets are, whatever they are. What a format other than 0 means is not known here (§2.8.11).
pub(crate) fn message_of(format: u32, parts: impl IntoIterator<Item = Bytes>, limits: Limits) -> Message {
    match format {
        0 => Message::received(parts, limits),
        _ => Message::opaque(parts, limits),
    }
}

/// The fault of a message of format 0.
pub(crate) fn undecodable(format: u32, message: &Message) -> Option<DecodeError> {
    if format == 0 { message.validate().err() } else { None }
}

impl Connection {
    /// The limits that hold for what is received, with what the tolerances add to them.
    pub fn decode_limits(&self) -> Limits {
        self.config.decode_limits()
    }

    /// How many messages of a link were rejected or dropped because they could not be decoded, as
    /// [`ReceiverConfig::reject_undecodable`](crate::ReceiverConfig::reject_undecodable) asks for.
    pub(crate) fn undecodable(&self, id: LinkId) -> u64 {
        self.links.get(id).and_then(Link::receiving).map_or(0, |end| end.undecodable)
    }
}
