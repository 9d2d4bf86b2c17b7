//! Messages that say which they are, so that each can be checked wherever it comes out. The foreign programs in
//! `interop/` make and check the same ones.

use amqp1::{
    Message,
    message::{EncodedMessage, MessageId, Properties},
};
use bytes::Bytes;

/// Octet `k` of body `index` is `(k + index) mod 251`.
pub fn body(index: u64, size: usize) -> Bytes {
    let start = index % 251;
    (0..size as u64).map(|k| ((k + start) % 251) as u8).collect()
}

/// Message `index`: its id is the index, an unsigned long.
pub fn message(index: u64, size: usize) -> EncodedMessage {
    let properties = Properties { message_id: Some(MessageId::Ulong(index)), ..Properties::default() };
    Message::builder().properties(properties).data(body(index, size)).build()
}

/// The index of a message, if its body is what it should be.
pub fn check(message: &Message, size: usize) -> Result<u64, String> {
    let properties = message.properties().map_err(|error| error.to_string())?.unwrap_or_default();
    let Some(MessageId::Ulong(index)) = properties.message_id else {
        return Err(format!("message-id {:?}", properties.message_id));
    };
    match message.data() {
        Some(octets) if octets == body(index, size) => Ok(index),
        Some(octets) => Err(format!("message {index} has changed: {} octets", octets.len())),
        None => Err(format!("message {index} is not data")),
    }
}
