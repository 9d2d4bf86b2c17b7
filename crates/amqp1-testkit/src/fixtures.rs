//! Small things that most tests need.

use amqp1_codec::{
    EncodedMessage, Message,
    definitions::{AmqpError, ErrorCondition},
    messaging::{Source, Target},
};
use amqp1_engine::{Credit, ReceiverConfig, SendOptions, SenderConfig};
use bytes::Bytes;
use core::time::Duration;

/// Octets that differ from place to place and from seed to seed.
pub fn body(seed: usize, length: usize) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(31).wrapping_add(seed) ^ (at >> 8)) as u8).collect()
}

/// A message of one data section of this many octets.
pub fn message(seed: usize, length: usize) -> EncodedMessage {
    Message::builder().data(body(seed, length)).build()
}

/// What a received message carries.
pub fn data(message: &Message) -> Bytes {
    message.data().expect("a data section")
}

/// Options for a message that the other end is to settle.
pub fn unsettled(token: u64) -> SendOptions {
    SendOptions { token, ..SendOptions::default() }
}

/// Options for a message that is sent settled.
pub fn settled(token: u64) -> SendOptions {
    SendOptions { token, settled: true, ..SendOptions::default() }
}

/// An error with this condition.
pub fn error(condition: ErrorCondition) -> AmqpError {
    AmqpError::new(condition, "as the test wants it")
}

/// The configuration of a sender to the node "q".
pub fn sender(name: &'static str) -> SenderConfig {
    SenderConfig::new(name, Target::at("q"))
}

/// The configuration of a receiver from the node "q".
pub fn receiver(name: &'static str, credit: Credit) -> ReceiverConfig {
    ReceiverConfig { credit, ..ReceiverConfig::new(name, Source::at("q")) }
}

/// So many seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
