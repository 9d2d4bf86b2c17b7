//! The credit of a link, at either end (§2.6.7).

use crate::{
    config::{Credit, DrainMode},
    planted::{self, Planted},
    time::Instant,
};
use amqp1_codec::{SequenceNo, performative::Flow};

/// How far the receiver's drain of a link has come (§2.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainState {
    None,
    /// The receiver has asked; the credit can still be used.
    Requested,
    /// Queued deliveries are sent, then the rest of the credit is given up.
    GivingUp,
}

/// The delivery-count and the link-credit (§2.6.7) as one end has them. Their sum moves only with a flow of the
/// receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LinkCredit {
    delivery_count: SequenceNo,
    /// Deliveries that may still be started.
    left: u32,
}

impl LinkCredit {
    /// No credit, from this delivery-count on.
    fn new(delivery_count: SequenceNo) -> Self {
        Self { delivery_count, left: 0 }
    }

    /// A delivery begins. Without credit only the delivery-count advances.
    fn use_one(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.delivery_count = self.delivery_count.next();
    }

    /// The delivery-count advances by all that is left.
    fn use_up(&mut self) {
        self.delivery_count = self.delivery_count.plus(self.left);
        self.left = 0;
    }
}

/// The credit of a sender: what its receiver has granted.
#[derive(Debug)]
pub(crate) struct SenderCredit {
    credit: LinkCredit,
    /// The drain flag of the receiver's last flow.
    remote_drain: bool,
    drain: DrainState,
    drain_mode: DrainMode,
    /// When the engine answers a drain that the application has not answered.
    drain_deadline: Option<Instant>,
}

impl SenderCredit {
    /// No credit, from this delivery-count on.
    pub(crate) fn new(initial: SequenceNo, drain_mode: DrainMode) -> Self {
        let credit = LinkCredit::new(initial);
        Self { credit, remote_drain: false, drain: DrainState::None, drain_mode, drain_deadline: None }
    }

    /// Takes what a link is accepted with. What the receiver has granted before it was is kept.
    pub(crate) fn configure(&mut self, initial: SequenceNo, drain_mode: DrainMode) {
        self.credit.delivery_count = initial;
        self.drain_mode = drain_mode;
    }

    /// The delivery-count.
    pub(crate) fn delivery_count(&self) -> SequenceNo {
        self.credit.delivery_count
    }

    /// The link-credit.
    pub(crate) fn left(&self) -> u32 {
        self.credit.left
    }

    /// How far a drain has come.
    pub(crate) fn drain(&self) -> DrainState {
        self.drain
    }

    /// Who answers drains.
    pub(crate) fn drain_mode(&self) -> DrainMode {
        self.drain_mode
    }

    /// The drain flag of the receiver's last flow.
    pub(crate) fn remote_drain(&self) -> bool {
        self.remote_drain
    }

    /// A delivery begins.
    pub(crate) fn send_one(&mut self) {
        self.credit.use_one();
    }

    /// §2.6.7: the receiver's state. It counts from `initial` if it does not know our delivery-count.
    pub(crate) fn on_receiver_flow(&mut self, flow: &Flow, initial: SequenceNo) {
        let before = self.credit.left;
        if let Some(credit) = flow.link_credit {
            let base = flow.delivery_count.unwrap_or(initial);
            let used = self.credit.delivery_count.offset_from(base);
            // Deliveries that were sent meanwhile are taken off; a base ahead of us is the peer's mistake and adds
            // nothing.
            self.credit.left = credit.saturating_sub(u32::try_from(used).unwrap_or(0));
            if planted::is(Planted::CreditOffByOne) {
                self.credit.left = self.credit.left.saturating_add(1);
            }
        }
        self.remote_drain = flow.drain;
        if !flow.drain {
            self.drain = DrainState::None;
        } else if self.drain == DrainState::None || self.credit.left > before {
            self.drain = DrainState::Requested;
        }
    }

    /// The application answers the drain by this time. Returns the time that it had before.
    pub(crate) fn set_drain_deadline(&mut self, deadline: Instant) -> Option<Instant> {
        self.drain_deadline.replace(deadline)
    }

    /// The time is over that the application had for the answer.
    pub(crate) fn drain_deadline_passed(&mut self) {
        self.drain_deadline = None;
    }

    /// Whether the time is over that the application had for the answer of a drain.
    pub(crate) fn is_drain_late(&self) -> bool {
        let bounded = matches!(self.drain_mode, DrainMode::Application { .. });
        bounded && self.drain == DrainState::GivingUp && self.drain_deadline.is_none()
    }

    /// Credit that is left is given up when nothing waits to be sent, if the receiver drains the link.
    pub(crate) fn give_up(&mut self) {
        if self.drain == DrainState::Requested {
            self.drain = DrainState::GivingUp;
        }
    }

    /// Whether a drain is to be answered, if nothing waits to be sent.
    pub(crate) fn is_drain_due(&self) -> bool {
        match self.drain {
            DrainState::None => false,
            DrainState::Requested => self.credit.left == 0,
            DrainState::GivingUp => true,
        }
    }

    /// The answer to a drain: the delivery-count advances by what is left.
    pub(crate) fn answer_drain(&mut self) {
        self.credit.use_up();
    }

    /// A drain was answered or withdrawn, or the link is gone. Returns the time that the application had for the
    /// answer.
    pub(crate) fn end_drain(&mut self) -> Option<Instant> {
        self.drain = DrainState::None;
        self.drain_deadline.take()
    }
}

/// Whether a window of credit is not filled because too much is unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Withheld {
    No,
    /// That is to be reported.
    Unreported,
    Reported,
}

/// The reason why a receiver grants no credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Deliveries that the application has not taken.
    pub(crate) waiting: u32,
    /// How many deliveries more may be unsettled.
    pub(crate) room: u32,
}

/// The credit of a receiver: what it has granted.
#[derive(Debug)]
pub(crate) struct ReceiverCredit {
    credit: LinkCredit,
    policy: Credit,
    withheld: Withheld,
    /// Whether the sender is asked to use up its credit.
    draining: bool,
    /// Whether the peer must be told of a change.
    flow_due: bool,
    /// Deliveries that may come although the credit was lowered: they may have been in flight.
    excess: u32,
    /// How often credit was given before a drain was answered: the answers, when they come, do not know of it.
    drains_crossed: u32,
    /// Deliveries that came without credit since it was last given.
    overrun: u32,
}

impl ReceiverCredit {
    /// The deliveries that a tolerated sender may begin without credit.
    const OVERRUN: u32 = 1024;

    /// No credit yet.
    pub(crate) fn new(policy: Credit) -> Self {
        Self {
            credit: LinkCredit::new(SequenceNo::default()),
            policy,
            withheld: Withheld::No,
            draining: false,
            flow_due: false,
            excess: 0,
            drains_crossed: 0,
            overrun: 0,
        }
    }

    /// The sender counts from here.
    pub(crate) fn count_from(&mut self, initial: SequenceNo) {
        self.credit.delivery_count = initial;
    }

    /// The delivery-count.
    pub(crate) fn delivery_count(&self) -> SequenceNo {
        self.credit.delivery_count
    }

    /// The link-credit.
    pub(crate) fn left(&self) -> u32 {
        self.credit.left
    }

    /// How much credit is given.
    pub(crate) fn policy(&self) -> Credit {
        self.policy
    }

    /// Sets how much credit is given once the link is attached.
    pub(crate) fn set_policy(&mut self, policy: Credit) {
        self.policy = policy;
    }

    /// Whether the sender is asked to use up its credit.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// How many deliveries may still begin.
    pub(crate) fn in_flight(&self) -> u32 {
        self.credit.left.saturating_add(self.excess)
    }

    /// Whether a window is not filled because too much is unsettled.
    pub(crate) fn is_withheld(&self) -> bool {
        self.withheld != Withheld::No
    }

    /// Whether that is to be reported. Once.
    pub(crate) fn take_withheld(&mut self) -> bool {
        let due = self.withheld == Withheld::Unreported;
        if due {
            self.withheld = Withheld::Reported;
        }
        due
    }

    /// Whether the peer must be told of a change. Once.
    pub(crate) fn take_flow_due(&mut self) -> bool {
        core::mem::take(&mut self.flow_due)
    }

    /// A delivery begins. `None` if there is no credit for it. A tolerated sender may run over it by some: RabbitMQ
    /// computes its credit before it has counted what is in flight.
    pub(crate) fn receive_one(&mut self, tolerant: bool) -> Option<()> {
        if self.credit.left == 0 {
            match self.excess.checked_sub(1) {
                Some(excess) => self.excess = excess,
                None if tolerant && self.overrun < Self::OVERRUN => self.overrun = self.overrun.saturating_add(1),
                None => return None,
            }
        }
        self.credit.use_one();
        Some(())
    }

    /// §2.6.7: the sender's state. Whether a drain is done with it.
    pub(crate) fn on_sender_flow(&mut self, flow: &Flow, backlog: Backlog) -> bool {
        if let Some(count) = flow.delivery_count {
            let distance = count.distance_from(self.credit.delivery_count);
            let ahead = match u32::try_from(count.offset_from(self.credit.delivery_count)) {
                Ok(ahead) => ahead,
                // All of a credit of half the numbers there are, and more, may be given up at once.
                Err(_) if self.draining && distance <= self.credit.left => distance,
                Err(_) => 0,
            };
            let crossed = self.drains_crossed > 0;
            self.drains_crossed = self.drains_crossed.saturating_sub(u32::from(ahead > 0 || flow.drain));
            if ahead > 0 && crossed && !self.draining {
                // It has answered a drain that is over for us: what was given since then is given again.
                self.credit.delivery_count = count;
                self.flow_due = true;
            } else if ahead > 0 {
                self.excess = self.excess.saturating_sub(ahead.saturating_sub(self.credit.left));
                self.credit = LinkCredit { delivery_count: count, left: self.credit.left.saturating_sub(ahead) };
            }
            if ahead > 0 && !self.draining {
                // Whatever it was that has taken the credit: a window is kept filled.
                self.refill(backlog);
            }
        }
        self.drain_done()
    }

    /// The sender is to use up its credit or give it up; no more is given. Whether there is any.
    pub(crate) fn drain(&mut self) -> bool {
        self.policy = Credit::Manual(0);
        self.draining |= self.credit.left > 0;
        self.credit.left > 0
    }

    /// Whether a drain that was asked for is done; if so it is over.
    pub(crate) fn drain_done(&mut self) -> bool {
        let done = self.draining && self.credit.left == 0;
        if done {
            self.draining = false;
        }
        done
    }

    /// Fills a window of which half or more is used.
    pub(crate) fn refill(&mut self, Backlog { waiting, room }: Backlog) {
        let Credit::Window(max) = self.policy else { return };
        if self.credit.left.saturating_add(waiting) > max / 2 {
            return;
        }
        if room == 0 {
            if self.withheld == Withheld::No {
                self.withheld = Withheld::Unreported;
            }
            return;
        }
        self.withheld = Withheld::No;
        let credit = max.saturating_sub(waiting).min(room);
        if credit > self.credit.left {
            self.grant(credit);
        }
    }

    /// Sets how much credit is given, and gives it.
    pub(crate) fn set(&mut self, policy: Credit, backlog: Backlog) {
        self.policy = policy;
        self.withheld = Withheld::No;
        self.grant(match policy {
            Credit::Manual(credit) => credit,
            Credit::Window(max) => max.saturating_sub(backlog.waiting).min(backlog.room),
        });
        self.drains_crossed = self.drains_crossed.saturating_add(u32::from(self.draining));
        self.draining = false;
        // Where nothing can be given now, a settlement gives it.
        self.refill(backlog);
    }

    /// No more deliveries are allowed. What is in flight may come.
    pub(crate) fn take_back(&mut self) {
        self.policy = Credit::Manual(0);
        self.draining = false;
        self.grant(0);
    }

    fn grant(&mut self, credit: u32) {
        self.excess = self.credit.left.saturating_add(self.excess).saturating_sub(credit);
        self.credit.left = credit;
        self.overrun = 0;
        self.flow_due = true;
    }
}

#[cfg(test)]
mod tests;
