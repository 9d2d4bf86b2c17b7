//! One message, and what became of it.

use crate::{body, data};
use amqp1_codec::{EncodedMessage, Message, messaging::DeliveryState};
use amqp1_engine::Settlement;
use bytes::{BufMut, Bytes, BytesMut};

/// A message that was taken for sending.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Piece by piece: it cannot be sent again.
    pub(super) streamed: bool,
    /// It was settled from the start.
    pub(super) settled: bool,
    /// It was sent within a transaction.
    pub(super) posted: bool,
    /// It was posted on an endpoint that ended before it was settled.
    pub(super) orphaned: bool,
    /// What the sender was told.
    pub(super) fate: Option<Settlement>,
    /// How often it was received as a new one.
    pub(super) new: u32,
    /// How often it was received in all.
    pub(super) received: u32,
    /// What the receiver has stated, each time.
    pub(super) stated: Vec<DeliveryState>,
}

impl Sent {
    pub(super) fn new() -> Self {
        Self {
            streamed: false,
            settled: false,
            posted: false,
            orphaned: false,
            fate: None,
            new: 0,
            received: 0,
            stated: Vec::new(),
        }
    }
}

fn content(token: u64, length: usize) -> Bytes {
    let mut octets = BytesMut::with_capacity(length + 8);
    octets.put_u64(token);
    octets.put(body(token as usize, length));
    octets.freeze()
}

/// The message of this token.
pub(super) fn encoded(token: u64, length: usize) -> EncodedMessage {
    Message::builder().data(content(token, length)).build()
}

/// The token of a message, which must be whole.
pub(super) fn token_of(message: &Message) -> u64 {
    let octets = data(message);
    let token = octets.get(..8).and_then(|octets| octets.try_into().ok()).map(u64::from_be_bytes);
    let token = token.expect("a message of ours");
    assert!(octets == content(token, octets.len() - 8), "message {token} has come changed");
    token
}
