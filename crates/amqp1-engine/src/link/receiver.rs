//! The receiving end of a link: its credit, and the deliveries that have come and were not taken.

use super::{
    End, Link,
    credit::{Backlog, ReceiverCredit},
    stream::IncomingStream,
};
use crate::{config::Credit, delivery::Assembly, event::IncomingDelivery, metadata::Kept, resume::SuspendedReceiver};
use alloc::{boxed::Box, collections::VecDeque};
use amqp1_codec::{Limits, performative::Flow};

/// A delivery that waits to be taken, and its state at the sender.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// Without its state.
    pub(crate) delivery: IncomingDelivery,
    pub(crate) state: Option<Box<Kept>>,
}

/// The receiving end of a link.
#[derive(Debug)]
pub(crate) struct ReceivingEnd {
    pub(crate) credit: ReceiverCredit,
    pub(crate) buffered: VecDeque<Buffered>,
    /// The delivery of which more is to come.
    pub(crate) assembly: Option<Box<Assembly>>,
    /// Deliveries that are handed out piece by piece.
    pub(crate) stream: IncomingStream,
    /// The state of an earlier endpoint, as far as the sender has not come back to it.
    pub(crate) resume: Option<Box<SuspendedReceiver>>,
    /// Whether messages that cannot be decoded are rejected here, and how many were.
    pub(crate) reject_undecodable: bool,
    pub(crate) undecodable: u64,
    /// Whether deliveries that are not settled are handed over when the link ends.
    pub(crate) unsettled_after_end: bool,
}

impl ReceivingEnd {
    pub(crate) fn new(policy: Credit) -> Self {
        Self {
            credit: ReceiverCredit::new(policy),
            buffered: VecDeque::new(),
            assembly: None,
            stream: IncomingStream::default(),
            resume: None,
            reject_undecodable: false,
            undecodable: 0,
            unsettled_after_end: false,
        }
    }

    /// How many deliveries the application has not taken, one of which only a part has come included.
    fn waiting(&self) -> u32 {
        let half = self.assembly.as_ref().is_some_and(|assembly| !assembly.streamed);
        let buffered = u32::try_from(self.buffered.len()).unwrap_or(u32::MAX);
        buffered.saturating_add(self.stream.waiting()).saturating_add(half.into())
    }

    /// How many deliveries may still come, one of which a part has come included.
    pub(crate) fn in_flight(&self) -> u32 {
        self.credit.in_flight().saturating_add(self.assembly.is_some().into())
    }
}

impl Link {
    /// The receiving end and what keeps it from granting credit.
    fn receiving_with_backlog(&mut self) -> Option<(&mut ReceivingEnd, Backlog)> {
        let End::Receiving(end) = &mut self.end else { return None };
        let unsettled = u32::try_from(self.unsettled.len()).unwrap_or(u32::MAX);
        let backlog = Backlog { waiting: end.waiting(), room: self.max_unsettled.saturating_sub(unsettled) };
        Some((end, backlog))
    }

    /// §2.6.7: the sender's state, seen from the receiving end. Whether a drain is done with it.
    pub(crate) fn on_sender_flow(&mut self, flow: &Flow) -> bool {
        self.receiving_with_backlog().is_some_and(|(end, backlog)| end.credit.on_sender_flow(flow, backlog))
    }

    /// Takes the next delivery, and gives credit for another where the policy says so.
    #[inline]
    pub(crate) fn take(&mut self, limits: Limits) -> Option<IncomingDelivery> {
        let Buffered { mut delivery, state } = self.receiving_mut()?.buffered.pop_front()?;
        if let Some(state) = state {
            delivery.state = state.decode(limits);
        }
        self.refill();
        Some(delivery)
    }

    /// Gives credit where the policy says so.
    pub(crate) fn refill(&mut self) {
        if self.state.has_detached() {
            return;
        }
        if let Some((end, backlog)) = self.receiving_with_backlog() {
            end.credit.refill(backlog);
        }
    }

    /// Whether deliveries are handed out piece by piece.
    pub(crate) fn is_streamed(&self) -> bool {
        self.receiving().is_some_and(|end| end.stream.is_enabled())
    }

    /// Whether a window is not filled because too much is unsettled.
    pub(crate) fn is_credit_withheld(&self) -> bool {
        self.receiving().is_some_and(|end| end.credit.is_withheld())
    }

    /// Sets the credit policy and gives what it gives at once.
    pub(crate) fn set_credit(&mut self, policy: Credit) {
        if let Some((end, backlog)) = self.receiving_with_backlog() {
            end.credit.set(policy, backlog);
        }
    }
}
