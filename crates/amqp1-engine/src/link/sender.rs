//! The sending end of a link: its queue, its credit, and the receiver's provisional outcomes.

use super::{
    End, Link,
    credit::{DrainState, SenderCredit},
};
use crate::{
    config::{DrainMode, SendOptions},
    delivery::{OutgoingDelivery, Payload},
    error::SendError,
    event::Settlement,
    rare::Rare,
    resume::{Retained, SuspendedSender},
    tags::Tags,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
};
use amqp1_codec::{DeliveryTag, SequenceNo, definitions::SenderSettleMode, performative::Flow};

/// The sending end of a link.
#[derive(Debug)]
pub(crate) struct SendingEnd {
    pub(crate) credit: SenderCredit,
    pub(crate) queue: VecDeque<OutgoingDelivery>,
    /// Octets of payload in `queue`.
    pub(crate) queued: usize,
    /// The part of that that the connection has counted.
    pub(crate) counted: usize,
    /// Whether the link stands in the list of those that can send.
    pub(crate) ready: bool,
    /// The token of a delivery that the receiver has settled while it was being written: until the application has
    /// finished it or given it up, nothing else is sent.
    pub(crate) settled_early: Option<u64>,
    /// The ids of deliveries with a provisional outcome, by their tokens.
    pub(crate) provisional: Rare<BTreeMap<u64, u64>>,
    /// The tokens of deliveries that the receiver has settled with a provisional outcome.
    pub(crate) retired: Rare<BTreeSet<u64>>,
    pub(crate) next_tag: u32,
    /// The state of an earlier endpoint, until both attaches are there; then the part that has to wait for the next
    /// one.
    pub(crate) resume: Option<Box<SuspendedSender>>,
    /// One of the ends could not name all of its unsettled deliveries: nothing new is sent (§2.7.3).
    pub(crate) reducing: bool,
    /// Whether it was reported that the link is to be attached again.
    pub(crate) reattach_reported: bool,
}

impl SendingEnd {
    pub(crate) fn new(initial: SequenceNo, drain_mode: DrainMode) -> Self {
        Self {
            credit: SenderCredit::new(initial, drain_mode),
            queue: VecDeque::new(),
            queued: 0,
            counted: 0,
            ready: false,
            settled_early: None,
            provisional: Rare::default(),
            retired: Rare::default(),
            next_tag: 0,
            resume: None,
            reducing: false,
            reattach_reported: false,
        }
    }

    /// Whether all of the credit is taken by deliveries that wait.
    pub(crate) fn lacks_credit(&self) -> bool {
        self.credit.left() <= self.available()
    }

    /// How many deliveries wait to be begun. Only the first can have been begun, and its credit is used already.
    pub(crate) fn available(&self) -> u32 {
        let begun = self.queue.front().is_some_and(|delivery| delivery.id.is_some());
        u32::try_from(self.queue.len().saturating_sub(usize::from(begun))).unwrap_or(u32::MAX)
    }

    /// Whether the application is writing a delivery piece by piece.
    pub(crate) fn is_streaming(&self) -> bool {
        self.settled_early.is_some() || self.queue.back().is_some_and(|delivery| delivery.open)
    }

    /// Octets of payload in the queue that need not wait for others.
    pub(crate) fn sendable_octets(&self) -> usize {
        self.queued.saturating_sub(self.queue.back().map_or(0, OutgoingDelivery::held_back))
    }

    /// The receiver has settled a delivery. If only a part of it has left, the rest is given up and returned.
    pub(crate) fn settled_half(&mut self, id: u64) -> Option<Payload> {
        let half = self.queue.front_mut().filter(|half| half.id == Some(id) && !half.aborted)?;
        self.queued = self.queued.saturating_sub(half.left);
        if half.open {
            self.settled_early = Some(half.token);
        }
        Some(half.give_up())
    }

    /// Whether there is a transfer to write, for which there is credit.
    pub(crate) fn has_transfer(&self) -> bool {
        self.queue.front().is_some_and(|delivery| {
            let may_begin = delivery.id.is_some() || self.credit.left() > 0;
            may_begin && delivery.has_octets()
        })
    }

    /// Whether the application has begun a delivery that has credit, and has written nothing that can leave. In a drain
    /// it keeps the credit for as long as the application has for the answer.
    pub(crate) fn keeps_credit(&self) -> bool {
        !self.credit.is_drain_late()
            && self.credit.left() > 0
            && self.queue.front().is_some_and(|front| front.id.is_none() && !front.has_octets())
    }

    fn unused_tag(&mut self, used: &Tags) -> DeliveryTag {
        loop {
            let tag = DeliveryTag::from(self.next_tag);
            self.next_tag = self.next_tag.wrapping_add(1);
            if !used.contains(&tag) {
                return tag;
            }
        }
    }
}

impl Link {
    /// Takes over what an earlier endpoint has left.
    pub(crate) fn continue_sending(&mut self, suspended: Option<SuspendedSender>) {
        let End::Sending(end) = &mut self.end else { return };
        if let Some(suspended) = &suspended {
            end.next_tag = suspended.next_tag;
            self.tags = suspended.deliveries.iter().map(|delivery| delivery.tag).collect();
        }
        end.resume = suspended.map(Box::new);
    }

    /// A delivery to queue, still without its message.
    pub(crate) fn outgoing(&mut self, options: SendOptions) -> Result<OutgoingDelivery, SendError> {
        let settles_all = self.sender_settle_mode() == SenderSettleMode::Settled;
        let End::Sending(end) = &mut self.end else { return Err(SendError::Detached) };
        let tag = match options.tag {
            Some(tag) if self.tags.contains(&tag) => return Err(SendError::TagInUse),
            Some(tag) => tag,
            None => end.unused_tag(&self.tags),
        };
        let mut delivery = OutgoingDelivery::new(options.token, tag, options.message_format);
        // On a link whose sender settles everything there is no choice.
        delivery.settled = options.settled || settles_all;
        delivery.report = (delivery.settled && !options.unreported).then_some(Settlement::Sent);
        if options.tag.is_some() && !delivery.settled {
            self.tags.insert(tag);
            delivery.named = true;
        }
        delivery.state = options.state;
        delivery.acquired = options.acquired;
        // §4.3: what belongs to a transaction ends with it, not with the next endpoint.
        if self.resumable && !delivery.settled && !delivery.is_transactional() {
            self.tags.insert(tag);
            let message_format = options.message_format;
            delivery.retained = Some(Box::new(Retained { tag, message_format, parts: None, state: None }));
        }
        Ok(delivery)
    }

    /// Deliveries that may be queued.
    pub(crate) fn sendable(&self) -> u32 {
        let End::Sending(end) = &self.end else { return 0 };
        if !self.state.is_attached() || self.state.is_detaching() {
            return 0;
        }
        if end.credit.drain() == DrainState::GivingUp || end.reducing || end.is_streaming() {
            return 0;
        }
        end.credit.left().saturating_sub(end.available()).min(self.unsettled_left())
    }

    /// Deliveries that may be sent unsettled before some must be settled. Those that wait count too.
    pub(crate) fn unsettled_left(&self) -> u32 {
        let End::Sending(end) = &self.end else { return 0 };
        if self.sender_settle_mode() == SenderSettleMode::Settled {
            return u32::MAX;
        }
        // A delivery that is settled within a transaction is pending until the discharge.
        let unsettled = self.unsettled.len().saturating_add(end.retired.get().map_or(0, BTreeSet::len));
        let unsettled = u32::try_from(unsettled).unwrap_or(u32::MAX);
        self.max_unsettled.saturating_sub(unsettled).saturating_sub(end.available())
    }

    /// Whether a transfer can leave, the session's window permitting.
    pub(crate) fn can_transfer(&self) -> bool {
        let End::Sending(end) = &self.end else { return false };
        !self.state.has_detached() && end.has_transfer()
    }

    /// §2.6.7: the receiver's state, seen from the sending end. Whether there is more credit than before.
    pub(crate) fn on_receiver_flow(&mut self, flow: &Flow) -> bool {
        let before = self.sendable();
        let initial = self.local.initial_delivery_count.unwrap_or_default();
        if let End::Sending(end) = &mut self.end {
            end.credit.on_receiver_flow(flow, initial);
        }
        self.sendable() > before
    }
}
