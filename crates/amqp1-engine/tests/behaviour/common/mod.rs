//! What the tests share: two engines with a pipe between them, one engine with a scripted peer, a reader of the wire.

mod end;
mod pair;
mod peer;
mod pipe;
mod wire;

pub(crate) use end::End;
pub(crate) use pair::Pair;
pub(crate) use peer::{HELLO, Peer, attach, begin, credit, frame, refusal, session_flow, transfer};
pub(crate) use pipe::{Random, Segment};
pub(crate) use wire::{Item, frames, items};

use amqp1_codec::{
    EncodedMessage, Message,
    definitions::{AmqpError, ErrorCondition},
    messaging::{Source, Target},
};
use amqp1_engine::{Credit, ReceiverConfig, SendOptions, SenderConfig};
use bytes::Bytes;
use core::time::Duration;

/// Octets that differ from place to place and from seed to seed.
pub(crate) fn body(seed: usize, length: usize) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(31).wrapping_add(seed) ^ (at >> 8)) as u8).collect()
}

/// A message of one data section of this many octets.
pub(crate) fn message(seed: usize, length: usize) -> EncodedMessage {
    Message::builder().data(body(seed, length)).build()
}

/// What a received message carries.
pub(crate) fn data(message: &Message) -> Bytes {
    message.to_contiguous().expect("a data section")
}

pub(crate) fn unsettled(token: u64) -> SendOptions {
    SendOptions { token, ..SendOptions::default() }
}

pub(crate) fn settled(token: u64) -> SendOptions {
    SendOptions { token, settled: true, ..SendOptions::default() }
}

pub(crate) fn error(condition: ErrorCondition) -> AmqpError {
    AmqpError::new(condition, "as the test wants it")
}

pub(crate) fn sender(name: &'static str) -> SenderConfig {
    SenderConfig::new(name, Target::at("q"))
}

pub(crate) fn receiver(name: &'static str, credit: Credit) -> ReceiverConfig {
    ReceiverConfig { credit, ..ReceiverConfig::new(name, Source::at("q")) }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
