//! One link, which outlives its endpoints.

use super::message::Sent;
use crate::Side;
use amqp1_codec::definitions::ReceiverSettleMode;
use amqp1_engine::{DeliveryKey, LinkId, SuspendedReceiver, SuspendedSender};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// A link, and what its applications know of it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) name: &'static str,
    /// The end that sends.
    pub(super) from: Side,
    pub(super) mode: ReceiverSettleMode,
    /// The endpoints of now.
    pub(super) sender: Option<LinkId>,
    pub(super) receiver: Option<LinkId>,
    /// What earlier ones have left.
    pub(super) sent_so_far: Option<SuspendedSender>,
    pub(super) received_so_far: Option<SuspendedReceiver>,
    pub(super) messages: BTreeMap<u64, Sent>,
    /// The octets that are still to be written of a stream.
    pub(super) stream: Option<(u64, VecDeque<Bytes>)>,
    /// The last message that was received for the first time.
    pub(super) newest: Option<u64>,
    /// What the receiving application has taken and not settled.
    pub(super) holding: Vec<(DeliveryKey, u64)>,
    /// An end has forgotten what it knew: what it is told again it takes for new.
    pub(super) forgetful: bool,
}

impl Life {
    pub(super) fn new(name: &'static str, from: Side, mode: ReceiverSettleMode) -> Self {
        Self {
            name,
            from,
            mode,
            sender: None,
            receiver: None,
            sent_so_far: None,
            received_so_far: None,
            messages: BTreeMap::new(),
            stream: None,
            newest: None,
            holding: Vec::new(),
            forgetful: false,
        }
    }

    /// The end's endpoint.
    pub(super) fn endpoint(&mut self, side: Side) -> &mut Option<LinkId> {
        if side == self.from { &mut self.sender } else { &mut self.receiver }
    }

    /// The message of a token, which must be of this link.
    pub(super) fn message(&mut self, token: u64) -> &mut Sent {
        let name = self.name;
        self.messages.get_mut(&token).unwrap_or_else(|| panic!("no message {token} was sent on {name}"))
    }

    /// Whether the sender waits for nothing any more.
    pub(super) fn is_settled(&self) -> bool {
        self.messages.values().all(|sent| sent.fate.is_some())
    }
}
