//! What the model knows of a link.

use super::Side;
use amqp1_codec::{
    DeliveryTag, EncodedMessage, Message,
    definitions::{AmqpError, ErrorCondition, SenderSettleMode},
    messaging::{DeliveryState, Modified, Received},
};
use amqp1_engine::{Credit, DeliveryKey, LinkId};
use bytes::Bytes;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) sender: Side,
    /// The end that attached it, and its id there.
    pub(super) attached: (Side, LinkId),
    pub(super) session: usize,
    pub(super) snd: SenderSettleMode,
    /// The tokens of messages that were taken for sending, and whether they are settled.
    pub(super) sent: Vec<(u64, bool)>,
    pub(super) received: Vec<u64>,
    /// Taken and not disposed of.
    pub(super) held: Vec<(u64, DeliveryKey)>,
    /// The outcomes that the receiver has stated.
    pub(super) stated: BTreeMap<u64, DeliveryState>,
    /// Somebody has detached or refused it, ended its session, closed or cut the connection.
    pub(super) ended: bool,
    pub(super) draining: bool,
    /// How often a drain was asked for.
    pub(super) drains: usize,
    /// Something else has happened to it than what lets all go that was taken for sending: only its sender ends it, in
    /// peace, and credit was not changed.
    pub(super) harsh: bool,
    /// The most that may wait to be taken, if only windows were ever given.
    pub(super) most: Option<u32>,
    /// Whether credit is given anew whenever deliveries are taken, so that there must be some when all are.
    pub(super) window: bool,
}

impl Link {
    /// The end that sends, or the one that receives.
    pub(super) fn side(&self, sending: bool) -> Side {
        if sending { self.sender } else { self.sender.other() }
    }

    /// The receiver's policy is this now, and a drain is over.
    pub(super) fn gives(&mut self, credit: Credit) {
        self.draining = false;
        self.harsh = true;
        self.most = match (credit, self.most) {
            (Credit::Window(window), Some(most)) => Some(most.max(window)),
            _ => None,
        };
        self.window = matches!(credit, Credit::Window(1..));
    }

    /// An end ends it, or what it belongs to.
    pub(super) fn ends(&mut self, side: Side, error: bool) {
        self.ended = true;
        self.harsh |= error || side != self.sender;
    }

    /// Whether messages leave settled.
    pub(super) fn sends_settled(&self, asked: bool) -> bool {
        asked || self.snd == SenderSettleMode::Settled
    }
}

/// What the model's errors say.
pub(super) const OURS: ErrorCondition = ErrorCondition::DETACH_FORCED;

pub(super) fn why(wanted: bool) -> Option<AmqpError> {
    wanted.then(|| crate::error(OURS))
}

/// The state of a number. The last is not an outcome.
pub(super) fn state(number: u8) -> DeliveryState {
    match number {
        0 => DeliveryState::Accepted,
        1 => DeliveryState::Released,
        2 => DeliveryState::Modified(Box::default()),
        3 => DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() })),
        4 => DeliveryState::rejected(crate::error(ErrorCondition::NOT_FOUND)),
        _ => DeliveryState::Received(Received { section_number: 0, section_offset: 1 }),
    }
}

/// A message that carries its token.
pub(super) fn marked(token: u64, length: usize) -> EncodedMessage {
    let data = [&token.to_be_bytes()[..], &crate::body(token as usize, length)].concat();
    Message::builder().data(data).build()
}

/// The delivery-tag, if not the engine's own, and the message-format of a message.
pub(super) fn form(token: u64) -> (Option<DeliveryTag>, u32) {
    let mut longest = [0xee; DeliveryTag::MAX];
    longest[..8].copy_from_slice(&token.to_be_bytes());
    let tag = match token % 5 {
        1 => Some(&longest[..9]),
        3 => Some(&longest[..]),
        _ => None,
    };
    let format = if token % 4 == 3 { 0x8000_0000 | token as u32 } else { 0 };
    (tag.map(|tag| DeliveryTag::new(tag).expect("32 octets at most")), format)
}

/// The token of a message, which must be whole, whatever its format is called.
pub(super) fn token(message: &Message) -> u64 {
    let octets = Bytes::from(message.to_encoded().into_parts().concat());
    let data = crate::data(&Message::from_bytes(octets).expect("a message"));
    let (token, rest) = data.split_first_chunk().expect("a token");
    let token = u64::from_be_bytes(*token);
    assert!(rest == crate::body(token as usize, rest.len()), "message {token} has changed on its way");
    token
}
