//! Outcomes of messages on their way to the tasks that wait: slots, not channels.

use crate::state::aside::Aside;
use amqp1_engine::{Instant, Settlement};
use slab::Slab;
use std::{
    collections::{HashSet, VecDeque},
    task::{Poll, Waker},
    time::Duration,
};

/// How long a peer says nothing, at least, before an outcome that does not come is taken for a sign that it is gone: the
/// interval of heartbeats by default. Who consumes a message may take longer than a short limit for its outcome.
const SILENT: Duration = Duration::from_secs(30);

/// Where the place of a slot ends in its key, and the number of its use begins. The highest bit is left to
/// [lasting tokens](crate::resume).
const NUMBER: u32 = 32;
const NUMBERS: u64 = (1 << 31) - 1;

/// One slot for each message whose settlement the engine owes. Its key names one use of it: what is said of an earlier
/// message in the same place is not taken for this one's.
#[derive(Debug)]
pub(crate) struct Receipts {
    slots: Slab<Used>,
    /// When outcomes are given up, by how long they may take: of those that take equally long, the first is the next.
    /// There are as many as there are different limits on the connection's links.
    lanes: Vec<Lane>,
    /// No outcome is given up earlier than this.
    earliest: Option<Instant>,
    pending: usize,
    next: u64,
}

/// The content of a slot.
#[derive(Debug)]
pub(crate) enum Paid {
    Settled(Settlement),
    /// The outcome did not come in time.
    Expired(Expiry),
    /// The link was suspended, and its next endpoint will know.
    Suspended,
}

/// A slot, and the number that tells this use of it from others.
#[derive(Debug)]
struct Used {
    number: u32,
    slot: Slot,
}

#[derive(Debug)]
enum Slot {
    Pending(Option<Waker>),
    Done(Settlement),
    /// The link was suspended with the message on it.
    Suspended,
    /// The outcome did not come in time.
    Expired(Expiry),
    /// The outcome is not asked for any more.
    Forgotten,
}

/// How an outcome was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// How long it was waited for.
    pub(crate) limit: Duration,
    /// Whether anything was heard from the peer meanwhile.
    pub(crate) heard: bool,
}

/// Deadlines that are equally far away when they are set.
#[derive(Debug)]
struct Lane {
    limit: Duration,
    deadlines: VecDeque<Deadline>,
}

#[derive(Debug)]
struct Deadline {
    at: Instant,
    key: u64,
}

/// The place of a slot, and the number of its use.
#[inline]
fn place(key: u64) -> Option<(usize, u32)> {
    let place = usize::try_from(key & u64::from(u32::MAX)).ok()?;
    Some((place, u32::try_from(key >> NUMBER).ok()?))
}

#[inline]
fn slot_of(slots: &Slab<Used>, key: u64) -> Option<&Slot> {
    let (place, number) = place(key)?;
    slots.get(place).filter(|used| used.number == number).map(|used| &used.slot)
}

#[inline]
fn slot_mut(slots: &mut Slab<Used>, key: u64) -> Option<&mut Slot> {
    let (place, number) = place(key)?;
    slots.get_mut(place).filter(|used| used.number == number).map(|used| &mut used.slot)
}

impl Receipts {
    pub(crate) fn new() -> Self {
        Self { slots: Slab::new(), lanes: Vec::new(), earliest: None, pending: 0, next: 0 }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn remove(&mut self, key: u64) -> Option<Slot> {
        slot_of(&self.slots, key)?;
        self.slots.try_remove(place(key)?.0).map(|used| used.slot)
    }

    /// A slot for a message that is sent now, whose outcome is waited for at most this long.
    pub(crate) fn insert(&mut self, now: Instant, limit: Option<Duration>) -> u64 {
        let key = self.insert_unarmed();
        self.arm(key, now, limit);
        key
    }

    /// A slot for a message that is not whole yet: its time does not run.
    pub(crate) fn insert_unarmed(&mut self) -> u64 {
        let number = self.next & NUMBERS;
        self.next = number.wrapping_add(1);
        self.pending = self.pending.saturating_add(1);
        let place = self.slots.insert(Used { number: u32::try_from(number).unwrap_or(0), slot: Slot::Pending(None) });
        number << NUMBER | u64::try_from(place).unwrap_or_default()
    }

    /// The time of a slot runs from now on, if it has a limit.
    pub(crate) fn arm(&mut self, key: u64, now: Instant, limit: Option<Duration>) {
        let Some(limit) = limit else { return };
        let Some(Slot::Pending(_)) = slot_of(&self.slots, key) else { return };
        let deadline = Deadline { at: now + limit, key };
        let Self { slots, lanes, earliest, pending, .. } = self;
        *earliest = Some(earliest.map_or(deadline.at, |earliest| earliest.min(deadline.at)));
        match lanes.iter_mut().find(|lane| lane.limit == limit) {
            Some(Lane { deadlines, .. }) => {
                if deadlines.len() > 64 && deadlines.len() / 2 > *pending {
                    deadlines.retain(|deadline| is_pending(slots, deadline.key));
                }
                deadlines.push_back(deadline);
            }
            None => lanes.push(Lane { limit, deadlines: VecDeque::from([deadline]) }),
        }
    }

    /// The message of this slot was not sent after all.
    pub(crate) fn take_back(&mut self, key: u64) {
        if self.remove(key).is_some() {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    /// The engine has paid. What is said again of a slot that was paid means nothing.
    pub(crate) fn settle(&mut self, key: u64, settlement: Settlement, aside: &mut Aside<'_>) {
        match slot_mut(&mut self.slots, key) {
            Some(slot @ (Slot::Pending(_) | Slot::Expired(_))) => {
                if let Slot::Pending(waker) = std::mem::replace(slot, Slot::Done(settlement)) {
                    self.pending = self.pending.saturating_sub(1);
                    aside.wake(waker);
                }
            }
            Some(Slot::Forgotten) => drop(self.remove(key)),
            Some(Slot::Done(_) | Slot::Suspended) | None => {}
        }
    }

    /// The settlement, once.
    pub(crate) fn poll(&mut self, key: u64, aside: &mut Aside<'_>) -> Poll<Paid> {
        match slot_mut(&mut self.slots, key) {
            Some(Slot::Pending(waker)) => {
                aside.store(waker);
                Poll::Pending
            }
            Some(Slot::Done(_) | Slot::Suspended) => Poll::Ready(match self.remove(key) {
                Some(Slot::Done(settlement)) => Paid::Settled(settlement),
                _ => Paid::Suspended,
            }),
            Some(slot @ Slot::Expired(_)) => match std::mem::replace(slot, Slot::Forgotten) {
                Slot::Expired(expiry) => Poll::Ready(Paid::Expired(expiry)),
                _ => Poll::Ready(Paid::Suspended),
            },
            // Not asked for.
            Some(Slot::Forgotten) | None => Poll::Ready(Paid::Settled(Settlement::Lost { sent: true })),
        }
    }

    /// The outcome is not asked for any more.
    pub(crate) fn forget(&mut self, key: u64, aside: &mut Aside<'_>) {
        match slot_mut(&mut self.slots, key) {
            Some(slot @ (Slot::Pending(_) | Slot::Expired(_))) => {
                if let Slot::Pending(waker) = std::mem::replace(slot, Slot::Forgotten) {
                    self.pending = self.pending.saturating_sub(1);
                    aside.trash(waker);
                }
            }
            Some(Slot::Done(_) | Slot::Suspended) => drop(self.remove(key)),
            _ => {}
        }
    }

    /// The link was suspended: the engine will not pay on this endpoint.
    pub(crate) fn suspend(&mut self, key: u64, aside: &mut Aside<'_>) {
        match slot_mut(&mut self.slots, key) {
            Some(slot @ (Slot::Pending(_) | Slot::Expired(_))) => {
                if let Slot::Pending(waker) = std::mem::replace(slot, Slot::Suspended) {
                    self.pending = self.pending.saturating_sub(1);
                    aside.wake(waker);
                }
            }
            Some(Slot::Forgotten) => drop(self.remove(key)),
            _ => {}
        }
    }

    /// Whether the engine has still to pay.
    pub(crate) fn is_owed(&self, key: u64) -> bool {
        matches!(slot_of(&self.slots, key), Some(Slot::Pending(_) | Slot::Expired(_) | Slot::Forgotten))
    }

    /// Gives a slot back, with the settlement that stands in it.
    pub(crate) fn harvest(&mut self, key: u64) -> Option<Settlement> {
        match self.remove(key)? {
            Slot::Done(settlement) => Some(settlement),
            Slot::Pending(_) => {
                self.pending = self.pending.saturating_sub(1);
                None
            }
            _ => None,
        }
    }

    /// A time before which [`expire`](Self::expire) has nothing to do: what was settled since it was called last may still
    /// count.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// When the first outcome is given up.
    fn next_deadline(&mut self) -> Option<Instant> {
        let Self { slots, lanes, .. } = self;
        let mut next: Option<Instant> = None;
        for Lane { deadlines, .. } in &mut *lanes {
            while let Some(deadline) = deadlines.front() {
                if is_pending(slots, deadline.key) {
                    next = Some(next.map_or(deadline.at, |next| next.min(deadline.at)));
                    break;
                }
                deadlines.pop_front();
            }
        }
        if lanes.len() > 1 {
            lanes.retain(|lane| !lane.deadlines.is_empty());
        }
        next
    }

    /// Gives up those that are due. `heard` is when the peer was last heard.
    pub(crate) fn expire(&mut self, now: Instant, heard: Instant, aside: &mut Aside<'_>) {
        self.earliest = self.next_deadline();
        if self.earliest.is_none_or(|at| at > now) {
            return;
        }
        let Self { slots, lanes, pending, .. } = self;
        for Lane { limit, deadlines } in lanes {
            while let Some(Deadline { at, key }) = deadlines.pop_front() {
                if at > now {
                    deadlines.push_front(Deadline { at, key });
                    break;
                }
                let slot = slot_mut(slots, key);
                let Some(slot) = slot.filter(|slot| matches!(slot, Slot::Pending(_))) else { continue };
                let expiry = Expiry { limit: *limit, heard: heard + SILENT.max(*limit) > at };
                if let Slot::Pending(waker) = std::mem::replace(slot, Slot::Expired(expiry)) {
                    *pending = pending.saturating_sub(1);
                    aside.wake(waker);
                }
            }
        }
        self.earliest = self.next_deadline();
    }

    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        if self.slots.is_empty() {
            self.slots = Slab::new();
        }
        self.lanes.iter_mut().filter(|lane| lane.deadlines.is_empty()).for_each(|lane| lane.deadlines.shrink_to_fit());
    }

    /// The engine will not pay any more. Some slots are paid by the commit of a transaction that is under way.
    pub(crate) fn fail(&mut self, committing: &[u64], aside: &mut Aside<'_>) {
        let committing: HashSet<_> = committing.iter().filter_map(|key| place(*key)).collect();
        for (place, Used { number, slot }) in &mut self.slots {
            if committing.contains(&(place, *number)) {
                continue;
            }
            if let Slot::Pending(waker) = slot {
                aside.wake(waker.take());
                *slot = Slot::Done(Settlement::Lost { sent: true });
            }
        }
        self.pending = committing.len();
    }
}

fn is_pending(slots: &Slab<Used>, key: u64) -> bool {
    matches!(slot_of(slots, key), Some(Slot::Pending(_)))
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
        let limit = Some(Duration::from_secs(40));
        let mut receipts = Receipts::new();
        let first = receipts.insert(at(0), limit);
        let second = receipts.insert(at(5), limit);
        assert_eq!(receipts.next_deadline(), Some(at(40)));
        receipts.expire(at(40), at(0), &mut Aside::default());
        let silence = Expiry { limit: Duration::from_secs(40), heard: false };
        let Poll::Ready(Paid::Expired(expiry)) = receipts.poll(first, &mut Aside::default()) else { panic!("expired") };
        assert_eq!(expiry, silence);
        assert!(receipts.poll(second, &mut Aside::default()).is_pending());
        // The engine may name the slot until it has paid.
        let place = |key| place(key).expect("a key").0;
        assert_ne!(place(receipts.insert(at(41), limit)), place(first));
        receipts.settle(first, Settlement::Sent, &mut Aside::default());
        assert_eq!(place(receipts.insert(at(42), limit)), place(first));
        receipts.expire(at(45), at(6), &mut Aside::default());
        let Poll::Ready(Paid::Expired(expiry)) = receipts.poll(second, &mut Aside::default()) else {
            panic!("expired")
        };
        assert_eq!(expiry, Expiry { heard: true, ..silence });
    }

    #[test]
    fn a_slot_is_paid_once_and_what_is_said_of_its_last_message_is_not_said_of_the_next() {
        let mut receipts = Receipts::new();
        let first = receipts.insert(at(0), None);
        receipts.settle(first, Settlement::Outcome(None), &mut Aside::default());
        receipts.settle(first, Settlement::Lost { sent: true }, &mut Aside::default());
        // It was paid twice, and still has a reader.
        let second = receipts.insert(at(0), None);
        receipts.settle(second, Settlement::Sent, &mut Aside::default());
        let paid = receipts.poll(first, &mut Aside::default());
        assert!(matches!(paid, Poll::Ready(Paid::Settled(Settlement::Outcome(None)))), "{paid:?}");
        // Its slot is another one's.
        let third = receipts.insert(at(0), None);
        assert_eq!((place(third).map(|place| place.0), third == first), (place(first).map(|place| place.0), false));
        receipts.settle(first, Settlement::Lost { sent: true }, &mut Aside::default());
        receipts.forget(first, &mut Aside::default());
        assert!(receipts.poll(third, &mut Aside::default()).is_pending());
        let paid = receipts.poll(second, &mut Aside::default());
        assert!(matches!(paid, Poll::Ready(Paid::Settled(Settlement::Sent))), "{paid:?}");
    }

    /// Who consumes a message may take longer than that, and heartbeats come less often.
    #[test]
    fn a_short_limit_for_an_outcome_does_not_make_a_peer_dead() {
        let mut receipts = Receipts::new();
        let limit = Duration::from_millis(300);
        let token = receipts.insert(at(100), Some(limit));
        receipts.expire(at(101), at(99), &mut Aside::default());
        let Poll::Ready(Paid::Expired(expiry)) = receipts.poll(token, &mut Aside::default()) else { panic!("expired") };
        assert_eq!(expiry, Expiry { limit, heard: true });
    }

    #[test]
    fn each_outcome_has_its_own_limit_and_one_without_a_limit_is_never_given_up() {
        let mut receipts = Receipts::new();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let [long, none, short] = [seconds(60), None, seconds(1)].map(|limit| receipts.insert(at(0), limit));
        assert_eq!(receipts.next_deadline(), Some(at(1)));
        receipts.expire(at(59), at(59), &mut Aside::default());
        let mut expired = |token| matches!(receipts.poll(token, &mut Aside::default()), Poll::Ready(Paid::Expired(_)));
        assert_eq!([long, none, short].map(&mut expired), [false, false, true]);
        assert_eq!(receipts.next_deadline(), Some(at(60)));
        receipts.expire(at(60), at(59), &mut Aside::default());
        assert_eq!(receipts.next_deadline(), None);
        receipts.expire(at(1_000_000), at(59), &mut Aside::default());
        assert!(receipts.poll(none, &mut Aside::default()).is_pending());
    }

    #[test]
    fn deadlines_of_what_is_settled_do_not_pile_up() {
        let limit = Some(Duration::from_secs(60));
        let mut receipts = Receipts::new();
        let stuck = receipts.insert(at(0), limit);
        for _ in 0..10_000 {
            let token = receipts.insert(at(1), limit);
            receipts.settle(token, Settlement::Sent, &mut Aside::default());
            assert!(receipts.poll(token, &mut Aside::default()).is_ready());
        }
        let waiting: usize = receipts.lanes.iter().map(|lane| lane.deadlines.len()).sum();
        assert!(waiting < 200, "{waiting}");
        assert_eq!(receipts.next_deadline(), Some(at(60)));
        receipts.forget(stuck, &mut Aside::default());
        assert_eq!(receipts.next_deadline(), None);
    }
}
