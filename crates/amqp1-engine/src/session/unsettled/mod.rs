//! Deliveries by their ids: numbers that wrap on the wire and are counted on here.

mod ascending;

use amqp1_codec::SequenceNo;
pub(crate) use ascending::Ascending;
use core::{array::IntoIter, iter::Take, ops::RangeInclusive};

/// Where counting begins: far enough up that ids before the first one stay positive.
const EPOCH: u64 = 1 << 40;

/// How many live ids of a range are looked up at a time.
const AT_A_TIME: usize = 32;

/// The first id counted on from a number of the wire.
pub(crate) fn first_id(wire: SequenceNo) -> u64 {
    EPOCH | u64::from(wire.0)
}

/// The number on the wire.
pub(crate) const fn wire_id(id: u64) -> SequenceNo {
    SequenceNo(id as u32)
}

/// Deliveries that are not settled, by their ids counted on. Costs the live ones, whatever the span of their ids.
#[derive(Debug)]
pub(crate) struct Unsettled<T> {
    live: Ascending<T>,
    /// The newest id there ever was.
    newest: Option<u64>,
}

impl<T> Default for Unsettled<T> {
    fn default() -> Self {
        Self { live: Ascending::default(), newest: None }
    }
}

impl<T> Unsettled<T> {
    /// The newest id there ever was.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Notes that an id was used, whether or not it stays unsettled.
    pub(crate) fn note(&mut self, id: u64) {
        self.newest = Some(id);
    }

    /// Keeps a delivery. It may be older than the newest one: a delivery of several transfers is kept when it is whole.
    pub(crate) fn insert(&mut self, id: u64, delivery: T) {
        self.newest = self.newest.max(Some(id));
        self.live.insert(id, delivery);
    }

    pub(crate) fn get(&self, id: u64) -> Option<&T> {
        self.live.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.live.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        self.live.remove(id)
    }

    /// Gives back the memory of deliveries to come.
    pub(crate) fn shrink(&mut self) {
        self.live.shrink();
    }

    /// The ids counted on that a range of the wire covers. Nothing that lies ahead of the newest id is covered.
    pub(crate) fn range(&self, first: SequenceNo, last: SequenceNo) -> Option<RangeInclusive<u64>> {
        let newest = self.newest?;
        // §2.8.10: the last one does not lie before the first one.
        let span = u32::try_from(last.offset_from(first)).ok()?;
        let first = newest.saturating_sub(u64::from(wire_id(newest).distance_from(first)));
        Some(first..=first.saturating_add(u64::from(span)))
    }

    /// The live ids within a range; `None` if there are none.
    pub(crate) fn within(&self, range: RangeInclusive<u64>) -> Option<LiveIds> {
        let mut within = LiveIds { range, ids: [0; AT_A_TIME].into_iter().take(0) };
        within.look_up(self);
        (within.ids.len() > 0).then_some(within)
    }
}

/// The live ids within a range, in order. They are looked up a few at a time, so that they need no allocation. Takes as
/// many steps as there are live ones, not as the range claims.
#[derive(Debug)]
pub(crate) struct LiveIds {
    /// The rest of the range.
    range: RangeInclusive<u64>,
    ids: Take<IntoIter<u64, AT_A_TIME>>,
}

impl LiveIds {
    /// The next id; some of those that follow it may be settled already.
    pub(crate) fn next<T>(&mut self, unsettled: &Unsettled<T>) -> Option<u64> {
        if self.ids.len() == 0 {
            self.look_up(unsettled);
        }
        self.ids.next()
    }

    fn look_up<T>(&mut self, unsettled: &Unsettled<T>) {
        if self.range.is_empty() {
            return;
        }
        let (mut ids, mut count) = ([0; AT_A_TIME], 0_usize);
        for (slot, id) in ids.iter_mut().zip(unsettled.live.keys_within(self.range.clone())) {
            *slot = id;
            count = count.saturating_add(1);
            self.range = id.saturating_add(1)..=*self.range.end();
        }
        self.ids = ids.into_iter().take(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps;
    use alloc::{vec, vec::Vec};

    fn within<T>(unsettled: &Unsettled<T>, range: RangeInclusive<u64>) -> Vec<u64> {
        let mut within = unsettled.within(range);
        core::iter::from_fn(|| within.as_mut()?.next(unsettled)).collect()
    }

    /// Also T-2.7.6-5.
    #[test]
    fn t_2_7_6_3_a_range_costs_only_what_is_live_and_wraps() {
        let mut unsettled = Unsettled::default();
        let start = first_id(SequenceNo(u32::MAX - 1));
        for id in start..start + 4 {
            unsettled.insert(id, ());
        }
        let range = unsettled.range(SequenceNo(u32::MAX), SequenceNo(0)).expect("ids were used");
        assert_eq!(within(&unsettled, range), vec![start + 1, start + 2]);
        let everything = unsettled.range(SequenceNo(u32::MAX - 1), SequenceNo(0x7fff_fffd)).expect("ids were used");
        assert_eq!(within(&unsettled, everything).len(), 4);
    }

    #[test]
    fn t_2_7_6_5_a_range_takes_steps_for_what_is_live_whatever_it_claims() {
        let mut unsettled = Unsettled::default();
        let start = first_id(SequenceNo(7));
        for id in start..start + 100 {
            unsettled.insert(id, ());
        }
        // Some of those between are settled; their ids are further apart than before.
        for id in (start + 10..start + 90).filter(|id| id % 8 != 0) {
            unsettled.remove(id);
        }
        let live = unsettled.live.len() as u64;
        for last in [99, 100, 1000, 1 << 20] {
            let steps = steps::of(|| assert_eq!(within(&unsettled, start..=start + last).len() as u64, live));
            // One for each live one and its look-up, and as many for what is looked at between.
            assert!(steps <= 3 * live, "{steps} for {live} in a range of {last}");
        }
    }

    #[test]
    fn t_2_7_6_4_ids_that_are_not_there_cover_nothing() {
        let mut unsettled = Unsettled::default();
        assert_eq!(unsettled.range(SequenceNo(0), SequenceNo(9)), None);
        let start = first_id(SequenceNo(0));
        for id in start..start + 10 {
            unsettled.insert(id, ());
        }
        let covered =
            |first, last| unsettled.range(SequenceNo(first), SequenceNo(last)).map(|r| within(&unsettled, r).len());
        assert_eq!(covered(8, 5), None, "backwards");
        assert_eq!(covered(10, 20), Some(0), "ahead of the newest");
        assert_eq!(covered(8, 20), Some(2), "from within to ahead");
        assert_eq!(covered(u32::MAX - 3, 1), Some(2), "from before the first");
    }

    #[test]
    fn many_live_ids_come_in_order_and_each_once() {
        let mut unsettled = Unsettled::default();
        let start = first_id(SequenceNo(0));
        let ids: Vec<u64> = (start..start + 5 * AT_A_TIME as u64).step_by(2).collect();
        ids.iter().for_each(|id| unsettled.insert(*id, ()));
        let last = *ids.last().expect("ids were used");
        assert_eq!(within(&unsettled, start..=u64::MAX), ids);
        assert_eq!(within(&unsettled, start..=last), ids);
        assert_eq!(within(&unsettled, start..=last - 1), ids[..ids.len() - 1]);
        assert_eq!(within(&unsettled, last..=last), [last]);
        assert_eq!(within(&unsettled, last + 1..=u64::MAX), Vec::<u64>::new());
    }

    #[test]
    fn one_delivery_that_stays_does_not_mind_that_ids_come_round() {
        let mut unsettled = Unsettled::default();
        let first = first_id(SequenceNo(7));
        unsettled.insert(first, ());
        unsettled.note(first + (1 << 31) + 5);
        let range = unsettled.range(SequenceNo(7), SequenceNo(7)).expect("ids were used");
        assert_eq!(within(&unsettled, range), vec![first]);
    }
}
