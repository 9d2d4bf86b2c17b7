//! The tags of deliveries that are not settled, each of which may occur once.

use crate::connection::{shrink_queue, shrink_set};
use alloc::collections::{BTreeSet, VecDeque};
use amqp1_codec::DeliveryTag;

/// Empty slots that are kept however few live ones there are.
const SLACK: usize = 16;

/// A set of tags, compared octet by octet: a hash, here without a source of randomness, is one that a peer can make collide.
///
/// Most senders count, so that each new tag is above the others and the first one is the next to go. Those that ascend stand
/// in a queue, in which adding the next and taking the first costs a few steps. The others stand in an ordered set, so that a
/// peer with tags in any order costs no more than that set does.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// Ascending; those that are not live were removed. The first and the last one are live.
    run: VecDeque<(DeliveryTag, bool)>,
    live: usize,
    others: BTreeSet<DeliveryTag>,
}

impl Tags {
    /// Adds a tag; `false` if it is there already.
    #[inline]
    pub(crate) fn insert(&mut self, tag: DeliveryTag) -> bool {
        if self.is_above(&tag) && !self.is_other(&tag) {
            self.run.push_back((tag, true));
            self.live = self.live.saturating_add(1);
            return true;
        }
        !self.contains(&tag) && self.others.insert(tag)
    }

    /// Whether a tag is above all of those in the queue.
    #[inline]
    fn is_above(&self, tag: &DeliveryTag) -> bool {
        self.run.back().is_none_or(|(last, _)| last < tag)
    }

    #[inline]
    fn is_other(&self, tag: &DeliveryTag) -> bool {
        !self.others.is_empty() && self.others.contains(tag)
    }

    #[inline]
    pub(crate) fn contains(&self, tag: &DeliveryTag) -> bool {
        !self.is_above(tag) && self.find(tag).is_some() || self.is_other(tag)
    }

    /// The place of a live tag in the queue.
    fn find(&self, tag: &DeliveryTag) -> Option<usize> {
        let at = self.run.binary_search_by(|(other, _)| other.cmp(tag)).ok()?;
        self.run.get(at)?.1.then_some(at)
    }

    #[inline]
    pub(crate) fn remove(&mut self, tag: &DeliveryTag) {
        let at = match self.run.front() {
            Some((first, _)) if first == tag => Some(0),
            Some(_) => self.find(tag),
            None => None,
        };
        let Some(slot) = at.and_then(|at| self.run.get_mut(at)) else {
            if !self.others.is_empty() {
                self.others.remove(tag);
            }
            return;
        };
        slot.1 = false;
        self.live = self.live.saturating_sub(1);
        while self.run.front().is_some_and(|(_, live)| !live) {
            self.run.pop_front();
        }
        while self.run.back().is_some_and(|(_, live)| !live) {
            self.run.pop_back();
        }
        let enough = self.live.saturating_add(SLACK);
        if self.run.len().saturating_sub(self.live) > enough || self.run.capacity() / 8 > enough {
            self.compact();
        }
    }

    #[cold]
    fn compact(&mut self) {
        self.run.retain(|(_, live)| *live);
        self.run.shrink_to(self.live.saturating_mul(2));
    }

    /// Gives back the memory of tags to come.
    pub(crate) fn shrink(&mut self) {
        shrink_queue(&mut self.run);
        shrink_set(&mut self.others);
    }
}

impl FromIterator<DeliveryTag> for Tags {
    fn from_iter<I: IntoIterator<Item = DeliveryTag>>(tags: I) -> Self {
        let mut all = Self::default();
        for tag in tags {
            all.insert(tag);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_set_of_tags_does_what_an_ordered_set_does() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut number = |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from((state >> 8) % u64::from(below)).expect("below a small number")
        };
        for ascending in [0, 1, 3, 4] {
            let (mut tags, mut model, mut next) = (Tags::default(), BTreeSet::new(), 1000);
            for _ in 0..20_000 {
                if number(4) < ascending {
                    next += 1;
                    assert_eq!(tags.insert(next.into()), model.insert(DeliveryTag::from(next)));
                }
                let tag = DeliveryTag::from(next.saturating_sub(number(60)));
                match number(3) {
                    0 => assert_eq!(tags.insert(tag), model.insert(tag)),
                    1 => {
                        tags.remove(&tag);
                        model.remove(&tag);
                    }
                    _ => assert_eq!(tags.contains(&tag), model.contains(&tag)),
                }
                assert_eq!(tags.live + tags.others.len(), model.len());
                assert!(tags.run.len() <= 2 * tags.live + SLACK);
            }
        }
    }

    #[test]
    fn tags_that_count_stand_in_the_queue_and_one_that_stays_does_not_keep_those_that_went() {
        let mut tags = Tags::default();
        assert!(tags.insert(0.into()));
        for number in 1..100_000 {
            assert!(tags.insert(number.into()));
            assert!(!tags.insert(number.into()));
            tags.remove(&number.into());
        }
        assert_eq!((tags.run.len(), tags.others.len()), (1, 0));
        assert!(tags.contains(&0.into()));
    }

    #[test]
    fn tags_in_descending_order_are_found_and_go() {
        let all: Vec<DeliveryTag> = (0..10_000).rev().map(DeliveryTag::from).collect();
        let mut tags: Tags = all.iter().copied().collect();
        assert!(all.iter().all(|tag| tags.contains(tag)));
        all.iter().for_each(|tag| tags.remove(tag));
        assert_eq!((tags.run.len(), tags.live, tags.others.len()), (0, 0, 0));
    }
}
