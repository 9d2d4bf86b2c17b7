//! What became of messages, on its way to those who asked: slots, not channels.

use crate::wait::Aside;
use amqp1_engine::{Instant, Settlement};
use slab::Slab;
use std::{
    collections::VecDeque,
    task::{Poll, Waker},
    time::Duration,
};

/// One slot for each message whose settlement the engine owes.
#[derive(Debug)]
pub(crate) struct Receipts {
    slots: Slab<Slot>,
    /// When outcomes are given up. They all take equally long, so the first is the next.
    deadlines: VecDeque<Deadline>,
    pending: usize,
    timeout: Duration,
    next: u64,
}

/// What a slot has to say.
#[derive(Debug)]
pub(crate) enum Paid {
    Settled(Settlement),
    /// The outcome did not come in time.
    Expired,
    /// The link was suspended, and its next endpoint will know.
    Suspended,
}

#[derive(Debug)]
enum Slot {
    Pending {
        waker: Option<Waker>,
        /// Tells this use of the slot from later ones.
        number: u64,
    },
    Done(Settlement),
    /// The link was suspended with the message on it.
    Suspended,
    /// The outcome did not come in time.
    Expired,
    /// Nobody asks any more.
    Forgotten,
}

#[derive(Debug)]
struct Deadline {
    at: Instant,
    token: usize,
    number: u64,
}

impl Receipts {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { slots: Slab::new(), deadlines: VecDeque::new(), pending: 0, timeout, next: 0 }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// A slot for a message that is sent now.
    pub(crate) fn insert(&mut self, now: Instant) -> usize {
        let token = self.insert_unarmed();
        self.arm(token, now);
        token
    }

    /// A slot for a message that is not whole yet: its time does not run.
    pub(crate) fn insert_unarmed(&mut self) -> usize {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.pending = self.pending.saturating_add(1);
        self.slots.insert(Slot::Pending { waker: None, number })
    }

    /// The time of a slot runs from now on.
    pub(crate) fn arm(&mut self, token: usize, now: Instant) {
        let Some(Slot::Pending { number, .. }) = self.slots.get(token) else { return };
        let number = *number;
        if self.deadlines.len() > 64 && self.deadlines.len() / 2 > self.pending {
            let slots = &self.slots;
            self.deadlines.retain(|deadline| is_pending(slots, deadline));
        }
        self.deadlines.push_back(Deadline { at: now + self.timeout, token, number });
    }

    /// The message of this slot was not sent after all.
    pub(crate) fn take_back(&mut self, token: usize) {
        if self.slots.try_remove(token).is_some() {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    /// The engine has paid.
    pub(crate) fn settle(&mut self, token: u64, settlement: Settlement, aside: &mut Aside<'_>) {
        let token = usize::try_from(token).unwrap_or(usize::MAX);
        match self.slots.get_mut(token) {
            Some(slot @ (Slot::Pending { .. } | Slot::Expired)) => {
                if let Slot::Pending { waker, .. } = std::mem::replace(slot, Slot::Done(settlement)) {
                    self.pending = self.pending.saturating_sub(1);
                    aside.wake(waker);
                }
            }
            Some(_) => drop(self.slots.remove(token)),
            None => {}
        }
    }

    /// The settlement, once.
    pub(crate) fn poll(&mut self, token: usize, aside: &mut Aside<'_>) -> Poll<Paid> {
        match self.slots.get_mut(token) {
            Some(Slot::Pending { waker, .. }) => {
                aside.store(waker);
                Poll::Pending
            }
            Some(Slot::Done(_) | Slot::Suspended) => Poll::Ready(match self.slots.remove(token) {
                Slot::Done(settlement) => Paid::Settled(settlement),
                _ => Paid::Suspended,
            }),
            Some(slot) => {
                *slot = Slot::Forgotten;
                Poll::Ready(Paid::Expired)
            }
            None => Poll::Ready(Paid::Expired),
        }
    }

    /// Nobody asks any more.
    pub(crate) fn forget(&mut self, token: usize, aside: &mut Aside<'_>) {
        match self.slots.get_mut(token) {
            Some(slot @ (Slot::Pending { .. } | Slot::Expired)) => {
                if let Slot::Pending { waker, .. } = std::mem::replace(slot, Slot::Forgotten) {
                    self.pending = self.pending.saturating_sub(1);
                    aside.trash(waker);
                }
            }
            Some(Slot::Done(_) | Slot::Suspended) => drop(self.slots.remove(token)),
            _ => {}
        }
    }

    /// The link was suspended: the engine will not pay on this endpoint.
    pub(crate) fn suspend(&mut self, token: usize, aside: &mut Aside<'_>) {
        match self.slots.get_mut(token) {
            Some(slot @ (Slot::Pending { .. } | Slot::Expired)) => {
                if let Slot::Pending { waker, .. } = std::mem::replace(slot, Slot::Suspended) {
                    self.pending = self.pending.saturating_sub(1);
                    aside.wake(waker);
                }
            }
            Some(Slot::Forgotten) => drop(self.slots.remove(token)),
            _ => {}
        }
    }

    /// Whether the engine has still to pay.
    pub(crate) fn is_owed(&self, token: usize) -> bool {
        matches!(self.slots.get(token), Some(Slot::Pending { .. } | Slot::Expired | Slot::Forgotten))
    }

    /// Gives a slot back, with the settlement that stands in it.
    pub(crate) fn harvest(&mut self, token: usize) -> Option<Settlement> {
        match self.slots.try_remove(token)? {
            Slot::Done(settlement) => Some(settlement),
            Slot::Pending { .. } => {
                self.pending = self.pending.saturating_sub(1);
                None
            }
            _ => None,
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(deadline) = self.deadlines.front() {
            if is_pending(&self.slots, deadline) {
                return Some(deadline.at);
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// Gives up those that are due.
    pub(crate) fn expire(&mut self, now: Instant, aside: &mut Aside<'_>) {
        while self.next_deadline().is_some_and(|at| at <= now) {
            let Some(deadline) = self.deadlines.pop_front() else { return };
            let Some(slot) = self.slots.get_mut(deadline.token) else { continue };
            if let Slot::Pending { waker, .. } = std::mem::replace(slot, Slot::Expired) {
                self.pending = self.pending.saturating_sub(1);
                aside.wake(waker);
            }
        }
    }

    /// The engine will not pay any more.
    pub(crate) fn fail(&mut self, aside: &mut Aside<'_>) {
        for (_, slot) in &mut self.slots {
            if let Slot::Pending { waker, .. } = slot {
                aside.wake(waker.take());
                *slot = Slot::Done(Settlement::Lost { sent: true });
            }
        }
        self.pending = 0;
    }
}

fn is_pending(slots: &Slab<Slot>, deadline: &Deadline) -> bool {
    matches!(slots.get(deadline.token), Some(Slot::Pending { number, .. }) if *number == deadline.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    #[test]
    fn an_outcome_that_does_not_come_is_given_up_and_its_slot_is_kept_for_the_engine() {
        let mut receipts = Receipts::new(Duration::from_secs(10));
        let first = receipts.insert(at(0));
        let second = receipts.insert(at(5));
        assert_eq!(receipts.next_deadline(), Some(at(10)));
        receipts.expire(at(10), &mut Aside::default());
        assert!(matches!(receipts.poll(first, &mut Aside::default()), Poll::Ready(Paid::Expired)));
        assert!(receipts.poll(second, &mut Aside::default()).is_pending());
        // The engine may name the slot until it has paid.
        assert_ne!(receipts.insert(at(11)), first);
        receipts.settle(u64::try_from(first).expect("small"), Settlement::Sent, &mut Aside::default());
        assert_eq!(receipts.insert(at(12)), first);
    }

    #[test]
    fn deadlines_of_what_is_settled_do_not_pile_up() {
        let mut receipts = Receipts::new(Duration::from_secs(60));
        let stuck = receipts.insert(at(0));
        for _ in 0..10_000 {
            let token = receipts.insert(at(1));
            receipts.settle(u64::try_from(token).expect("small"), Settlement::Sent, &mut Aside::default());
            assert!(receipts.poll(token, &mut Aside::default()).is_ready());
        }
        assert!(receipts.deadlines.len() < 200, "{}", receipts.deadlines.len());
        assert_eq!(receipts.next_deadline(), Some(at(60)));
        receipts.forget(stuck, &mut Aside::default());
        assert_eq!(receipts.next_deadline(), None);
    }
}
