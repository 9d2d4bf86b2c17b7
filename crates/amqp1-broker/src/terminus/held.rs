//! A message at a node, between the hop that brought it and those that take it on (§3.2.1, §3.4).
#![allow(clippy::arithmetic_side_effects, reason = "instants saturate")]

use alloc::{boxed::Box, collections::BTreeSet};
use amqp1_codec::{
    Decode, DecodeError, Encode, EncodeStyle, EncodedMessage, Message, Reader, Symbol, Value,
    definitions::{AmqpError, Fields},
    messaging::{Annotations, DeliveryState, Header},
};
use amqp1_engine::{ANNOTATIONS_LEFT_OUT, Instant};
use core::time::Duration;

/// The delivery-annotation that says why a message was rejected; its value is an error (§3.2.2).
const REJECTED: Symbol = Symbol::from_static("rejected");

/// How many octets of annotations a message may have for more to be merged.
const MAX_ANNOTATIONS: usize = 64 * 1024;

/// How many links are remembered that a message does not go to; the last ones, if they are numbered in order.
const MAX_BARRED: usize = 1024;

/// A message at a node, with what its header says of it there.
///
/// The links that it is given to are told apart by numbers of the caller's.
///
/// ```
/// use amqp1_codec::{Message, messaging::{DeliveryState, Modified}};
/// use amqp1_broker::terminus::{Fate, HeldMessage};
/// use amqp1_engine::Instant;
///
/// let now = Instant::default();
/// let received = Message::from_chunks(Message::builder().data("hello").build().into_parts())?;
/// let mut held = HeldMessage::new(received, now)?;
///
/// let written = held.acquire(1, now).expect("it has not expired");
/// let failed = Modified { delivery_failed: true, ..Modified::default() };
/// assert_eq!(held.settle(1, &DeliveryState::Modified(Box::new(failed))), Fate::Available);
/// assert_eq!(held.delivery_count(), 1);
/// # Ok::<_, amqp1_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeldMessage {
    message: Message,
    header: Header,
    annotations: Annotations,
    /// Delivery-annotations that it is written with.
    hop: Annotations,
    arrived: Instant,
    acquirer: Acquirer,
    /// Links on which it must not be delivered again.
    barred: BTreeSet<u64>,
}

/// Which links have had it.
#[derive(Clone, Copy, Debug)]
enum Acquirer {
    Nobody,
    One(u64),
    Several,
}

/// The fate of a message that was settled.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is done with (§3.4.2).
    Retired,
    /// It may be delivered again, to links that [`may_go_to`](HeldMessage::may_go_to) names.
    Available,
    /// It is invalid at its target (§3.4.3), which may have said why: to be kept apart, or dropped.
    Rejected(Option<Box<AmqpError>>),
    /// A provisional outcome within a transaction (§4.4.2): the link that has it keeps it, and what becomes of it is
    /// decided when the transaction is discharged. Settle it with the outcome then.
    Undecided,
}

impl HeldMessage {
    /// A message that has just arrived. Its time to live begins now (§3.2.1).
    ///
    /// # Errors
    ///
    /// If its header or its annotations cannot be read.
    pub fn new(message: Message, now: Instant) -> Result<Self, DecodeError> {
        let header = message.header()?.unwrap_or_default();
        let annotations = message.message_annotations()?.unwrap_or_default();
        let (hop, acquirer, barred) = (Annotations::new(), Acquirer::Nobody, BTreeSet::new());
        Ok(Self { message, header, annotations, hop, arrived: now, acquirer, barred })
    }

    /// The message as it is held at a node of this container for messages that were rejected, from now on. As
    /// [`rejected`](Self::rejected), it says why wherever it is written, and has no time to live. Any link may have it.
    #[must_use]
    pub fn dead_letter(&self, error: Option<&AmqpError>, now: Instant) -> Self {
        let header = Header { ttl: None, ..self.header.clone() };
        let (acquirer, barred) = (Acquirer::Nobody, BTreeSet::new());
        Self { header, hop: reason(error), arrived: now, acquirer, barred, ..self.clone() }
    }

    /// The message as it arrived.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Whether it must survive a failure of the node (§3.2.1). A node that cannot promise that does not accept it.
    pub fn is_durable(&self) -> bool {
        self.header.durable
    }

    /// How urgent it is; greater is more urgent. [`priority_level`] says what that means where there are fewer levels.
    pub fn priority(&self) -> u8 {
        self.header.priority
    }

    /// How many attempts to deliver it have failed, those before this node included.
    pub fn delivery_count(&self) -> u32 {
        self.header.delivery_count
    }

    /// When it is not worth delivering any more, if ever.
    pub fn expiry(&self) -> Option<Instant> {
        self.header.ttl.map(|ttl| self.arrived + Duration::from_millis(ttl.into()))
    }

    /// Whether that is now, or was.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expiry().is_some_and(|expiry| expiry <= now)
    }

    /// Whether it may be delivered on this link: one that has called it undeliverable does not get it again (§3.4.5).
    pub fn may_go_to(&self, link: u64) -> bool {
        !self.barred.contains(&link)
    }

    /// The message for a link that acquires it: its time to live is less what was spent here, first-acquirer says
    /// whether another link has had it, and delivery-annotations, which were for this hop, are left out. `None` if it
    /// has expired, or must not go to this link.
    pub fn acquire(&mut self, link: u64, now: Instant) -> Option<EncodedMessage> {
        if self.is_expired(now) || !self.may_go_to(link) {
            return None;
        }
        self.acquirer = match self.acquirer {
            Acquirer::Nobody => Acquirer::One(link),
            Acquirer::One(before) if before == link => Acquirer::One(link),
            Acquirer::One(_) | Acquirer::Several => Acquirer::Several,
        };
        let first_acquirer = matches!(self.acquirer, Acquirer::One(_));
        Some(self.written(Header { first_acquirer, ..self.header.clone() }, now))
    }

    /// The message for a link that gets a copy (distribution-mode copy, §3.5.8). `None` if it has expired, or must not
    /// go to this link.
    pub fn copy(&self, link: u64, now: Instant) -> Option<EncodedMessage> {
        let written = || self.written(Header { first_acquirer: false, ..self.header.clone() }, now);
        (!self.is_expired(now) && self.may_go_to(link)).then(written)
    }

    /// The message for a node of rejected messages: the delivery-annotation `rejected` says why (§3.2.2). It
    /// lives on there, so it has no time to live.
    pub fn rejected(&self, error: Option<&AmqpError>) -> EncodedMessage {
        let header = Header { first_acquirer: false, ttl: None, ..self.header.clone() };
        self.message.relayed(&header, &reason(error), &self.annotations)
    }

    fn written(&self, mut header: Header, now: Instant) -> EncodedMessage {
        let spent = u32::try_from((now - self.arrived).as_millis()).unwrap_or(u32::MAX);
        header.ttl = header.ttl.map(|ttl| ttl.saturating_sub(spent));
        self.message.relayed(&header, &self.hop, &self.annotations)
    }

    /// Applies an outcome that was stated on this link (§3.4). Annotations of *modified* are merged as long as the
    /// message's take at most 64 KiB with them, and the last 1,024 links that it must not go to are remembered. A
    /// delivery that ended without one, since its link or connection went, is [`Released`](DeliveryState::Released) at
    /// best; states that are no outcomes change nothing.
    pub fn settle(&mut self, link: u64, outcome: &DeliveryState) -> Fate {
        match outcome {
            DeliveryState::Accepted => Fate::Retired,
            DeliveryState::Rejected(error) => {
                self.failed();
                Fate::Rejected(error.clone())
            }
            DeliveryState::Modified(modified) => {
                if modified.delivery_failed {
                    self.failed();
                }
                if modified.undeliverable_here {
                    self.bar(link);
                }
                let merged =
                    modified.message_annotations.as_ref().map_or(0, |more| more.encoded_len(EncodeStyle::Compact));
                if merged.saturating_add(self.annotations.encoded_len(EncodeStyle::Compact)) > MAX_ANNOTATIONS {
                    return Fate::Available;
                }
                for (key, value) in modified.message_annotations.iter().flat_map(Fields::iter) {
                    match key {
                        Value::Symbol(key) if *key != *ANNOTATIONS_LEFT_OUT => {
                            self.annotations.insert(key.clone(), value.clone());
                        }
                        _ => {}
                    }
                }
                Fate::Available
            }
            DeliveryState::Transactional(_) => Fate::Undecided,
            _ => Fate::Available,
        }
    }

    /// Applies an outcome of a copy: the message stays, and a link that has accepted or rejected its copy, or
    /// called it undeliverable, gets no other (§3.5.2).
    pub fn settle_copy(&mut self, link: u64, outcome: &DeliveryState) {
        let over = match outcome {
            DeliveryState::Accepted | DeliveryState::Rejected(_) => true,
            DeliveryState::Modified(modified) => modified.undeliverable_here,
            _ => false,
        };
        if over {
            self.bar(link);
        }
    }

    /// It does not go to this link again.
    fn bar(&mut self, link: u64) {
        self.barred.insert(link);
        if self.barred.len() > MAX_BARRED {
            self.barred.pop_first();
        }
    }

    fn failed(&mut self) {
        self.header.delivery_count = self.header.delivery_count.saturating_add(1);
    }
}

/// The delivery-annotations that say why a message was rejected (§3.2.2).
fn reason(error: Option<&AmqpError>) -> Annotations {
    let why = error.and_then(|error| Value::decode(&mut Reader::new(&error.to_octets())).ok());
    why.into_iter().map(|why| (REJECTED, why)).collect()
}

/// Which of this many levels a priority is on, the lowest being 0 (§3.2.1): the middle of the ten that there are at
/// least in name lies between 4 and 5, and where there are fewer the outer ones are the same as their neighbours. Of no
/// levels there is one.
pub fn priority_level(priority: u8, levels: u8) -> u8 {
    let levels = levels.max(1);
    let top = levels.saturating_sub(1);
    if levels >= 10 {
        return priority.min(top);
    }
    // The greatest priority on the lowest level: 5 - ceil(levels / 2).
    let lowest = 5u8.saturating_sub(levels.div_ceil(2));
    priority.saturating_sub(lowest).min(top)
}
