//! An ordered map for keys that ascend: delivery-ids, counted on.

use crate::{
    connection::shrink_queue,
    steps::{step, steps},
};
use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

/// Empty slots that are kept however few live ones there are.
const SLACK: usize = 16;

/// Values by keys, of which each new one is above all others, as a rule.
///
/// Entries stand in one queue in the order of their keys. Where the keys are dense, the place of an entry is known from
/// its key; otherwise it is found by binary search. A removed entry leaves an empty slot, unless it was the first or the
/// last. Empty slots are dropped when they outnumber the live ones, and memory is given back when an eighth of it would do,
/// so that both memory and the cost of a range depend on the live entries, never on the span of their keys.
#[derive(Clone, Debug)]
pub(crate) struct Ascending<T> {
    /// The first and the last slot are live.
    slots: VecDeque<(u64, Option<T>)>,
    live: usize,
}

impl<T> Default for Ascending<T> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), live: 0 }
    }
}

impl<T> Ascending<T> {
    /// Counts a binary search.
    #[inline(always)]
    fn count_search(&self) {
        steps(usize::try_from(self.slots.len().checked_ilog2().unwrap_or_default()).unwrap_or_default());
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Adds an entry. A key that is not above all others costs as many steps as there are entries; one that is there
    /// already gets the new value.
    #[inline]
    pub(crate) fn insert(&mut self, key: u64, value: T) {
        if self.slots.back().is_none_or(|(last, _)| *last < key) {
            self.slots.push_back((key, Some(value)));
            self.live = self.live.saturating_add(1);
        } else {
            self.insert_within(key, value);
        }
    }

    #[cold]
    fn insert_within(&mut self, key: u64, value: T) {
        let at = match self.slots.binary_search_by_key(&key, |slot| slot.0) {
            Ok(at) => at,
            Err(at) => {
                steps(self.slots.len());
                self.slots.insert(at, (key, None));
                at
            }
        };
        if let Some((_, slot)) = self.slots.get_mut(at) {
            self.live = self.live.saturating_add(usize::from(slot.is_none()));
            *slot = Some(value);
        }
    }

    /// Where a key stands: its distance from the first key or from the last one tells, unless keys between are missing.
    #[inline]
    fn find(&self, key: u64) -> Option<usize> {
        step();
        let from_first = usize::try_from(key.checked_sub(self.slots.front()?.0)?).ok();
        from_first.filter(|at| self.is_at(*at, key)).or_else(|| self.find_from_last(key))
    }

    fn find_from_last(&self, key: u64) -> Option<usize> {
        let from_last = usize::try_from(self.slots.back()?.0.checked_sub(key)?).ok();
        let at = from_last.and_then(|from_last| self.slots.len().checked_sub(1)?.checked_sub(from_last));
        at.filter(|at| self.is_at(*at, key)).or_else(|| self.search(key))
    }

    #[inline]
    fn is_at(&self, at: usize, key: u64) -> bool {
        self.slots.get(at).is_some_and(|slot| slot.0 == key)
    }

    fn search(&self, key: u64) -> Option<usize> {
        self.count_search();
        self.slots.binary_search_by_key(&key, |slot| slot.0).ok()
    }

    #[inline]
    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        self.slots.get(self.find(key)?)?.1.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        let at = self.find(key)?;
        self.slots.get_mut(at)?.1.as_mut()
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.get(key).is_some()
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        // Deliveries are settled in their order, as a rule.
        let value = if self.slots.front().is_some_and(|slot| slot.0 == key) {
            let value = self.slots.pop_front().and_then(|slot| slot.1)?;
            while self.slots.front().is_some_and(|slot| slot.1.is_none()) {
                step();
                self.slots.pop_front();
            }
            value
        } else {
            self.remove_within(key)?
        };
        self.live = self.live.saturating_sub(1);
        let enough = self.live.saturating_add(SLACK);
        if self.slots.len().saturating_sub(self.live) > enough || self.slots.capacity() / 8 > enough {
            self.compact();
        }
        Some(value)
    }

    fn remove_within(&mut self, key: u64) -> Option<T> {
        let at = self.find(key)?;
        let value = self.slots.get_mut(at)?.1.take()?;
        while self.slots.back().is_some_and(|slot| slot.1.is_none()) {
            step();
            self.slots.pop_back();
        }
        Some(value)
    }

    #[cold]
    fn compact(&mut self) {
        steps(self.slots.len());
        self.slots.retain(|slot| slot.1.is_some());
        self.slots.shrink_to(self.live.saturating_mul(2));
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().filter(|slot| slot.1.is_some()).map(|slot| slot.0)
    }

    /// The keys within a range, in order.
    pub(crate) fn keys_within(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        let from = match self.find(*range.start()) {
            Some(at) => at,
            None => {
                self.count_search();
                self.slots.partition_point(|slot| slot.0 < *range.start())
            }
        };
        let within = self.slots.range(from.min(self.slots.len())..).take_while(move |slot| range.contains(&slot.0));
        let within = within.inspect(|_| step());
        within.filter(|slot| slot.1.is_some()).map(|slot| slot.0)
    }

    /// Gives back the memory of entries to come.
    pub(crate) fn shrink(&mut self) {
        shrink_queue(&mut self.slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps;
    use alloc::{collections::BTreeMap, vec::Vec};

    fn filled(keys: impl Iterator<Item = u64>) -> Ascending<u64> {
        let mut map = Ascending::default();
        keys.for_each(|key| map.insert(key, key));
        map
    }

    /// Numbers that are the same in each run.
    fn numbers() -> impl FnMut(u64) -> u64 {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 8) % below
        }
    }

    #[test]
    fn t_2_8_10_1_it_does_what_an_ordered_map_does() {
        let mut number = numbers();
        for round in 0..300 {
            let (mut map, mut model, mut next) = (Ascending::default(), BTreeMap::new(), number(1000));
            let gap = [1, 2, 50][round % 3];
            for _ in 0..400 {
                match number(8) {
                    0..4 => {
                        next += 1 + number(gap);
                        map.insert(next, next * 2);
                        model.insert(next, next * 2);
                    }
                    4 => {
                        let key = number(next + 2);
                        map.insert(key, 7);
                        model.insert(key, 7);
                    }
                    5 => {
                        let key = model.keys().nth(number(4) as usize).copied().unwrap_or(next);
                        assert_eq!(map.remove(key), model.remove(&key));
                    }
                    6 => {
                        let key = number(next + 2);
                        assert_eq!(map.get_mut(key), model.get_mut(&key));
                        assert_eq!(map.remove(key), model.remove(&key));
                    }
                    _ => {
                        let from = number(next + 2);
                        let range = from..=from + number(60);
                        let keys = model.range(range.clone()).map(|(key, _)| *key);
                        assert!(map.keys_within(range).eq(keys));
                    }
                }
                assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
                assert!(map.slots.len() <= 2 * map.len() + SLACK);
            }
            assert!(map.keys().eq(model.keys().copied()));
            assert!(model.into_iter().all(|(key, value)| map.get(key) == Some(&value)));
        }
    }

    #[test]
    fn one_live_entry_behind_a_million_removed_ones_is_all_that_is_kept() {
        let mut map = filled(core::iter::once(0));
        let steps = steps::of(|| {
            for key in 1..=1 << 20 {
                map.insert(key, key);
                assert_eq!(map.remove(key), Some(key));
                assert_eq!(map.slots.len(), 1);
            }
        });
        assert_eq!(map.get(0), Some(&0));
        assert!(map.slots.capacity() <= 8, "{}", map.slots.capacity());
        assert!(steps <= 2 << 20, "{steps}");
    }

    #[test]
    fn keys_far_apart_take_a_slot_each() {
        const APART: u64 = (1 << 31) - 1;
        let mut map = Ascending::default();
        let ids = || (0..1000).map(|number| number * APART);
        assert_eq!(steps::of(|| ids().for_each(|id| map.insert(id, id))), 0);
        assert_eq!(map.slots.len(), 1000);
        assert!(map.slots.capacity() <= 1024, "{}", map.slots.capacity());
        assert!(map.keys_within(0..=u64::MAX).eq(ids()));
        assert_eq!(map.get(3 * APART), Some(&(3 * APART)));
        assert_eq!(map.get(3 * APART + 1), None);
        let steps = steps::of(|| ids().rev().for_each(|id| assert_eq!(map.get(id), Some(&id))));
        assert!(steps <= 1000 * 10, "a binary search each: {steps}");
        ids().for_each(|id| assert_eq!(map.remove(id), Some(id)));
        assert!(map.slots.is_empty() && map.slots.capacity() <= 8 * SLACK, "{}", map.slots.capacity());
    }

    #[test]
    fn t_2_7_6_3_a_range_of_half_of_all_ids_costs_what_is_live_however_often_it_comes() {
        let map = filled([0, 5, 1 << 30].into_iter());
        let steps = steps::of(|| {
            for _ in 0..10_000 {
                assert_eq!(map.keys_within(0..=(1 << 31) - 1).count(), 3);
                assert_eq!(map.keys_within(6..=(1 << 30) - 1).count(), 0);
            }
        });
        assert!(steps <= 10_000 * 8, "{steps}");
    }

    #[test]
    fn ten_thousand_are_removed_in_any_order() {
        let mut number = numbers();
        let mut shuffled: Vec<u64> = (0..10_000).collect();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, number(at as u64 + 1) as usize);
        }
        for order in [(0..10_000).collect(), (0..10_000).rev().collect(), shuffled] {
            let mut map = filled(0..10_000);
            assert!(map.slots.capacity() <= 16_384, "{}", map.slots.capacity());
            let steps = steps::of(|| {
                for key in order {
                    assert_eq!(map.remove(key), Some(key));
                    assert!(map.slots.len() <= 2 * map.len() + SLACK);
                    assert!(map.slots.capacity() / 8 <= map.len() + SLACK);
                }
            });
            assert!(map.is_empty() && map.slots.is_empty());
            // A search each at most, and what is moved when empty slots are dropped: each time half of them are.
            assert!(steps <= 10_000 * (14 + 4), "{steps}");
        }
    }

    #[test]
    fn memory_for_entries_to_come_is_given_back() {
        let mut map = filled(0..100);
        (0..60).for_each(|key| assert_eq!(map.remove(key), Some(key)));
        map.shrink();
        assert_eq!((map.len(), map.slots.capacity()), (40, 40));
        (60..100).for_each(|key| assert_eq!(map.remove(key), Some(key)));
        map.shrink();
        assert_eq!(map.slots.capacity(), 0);
    }
}
