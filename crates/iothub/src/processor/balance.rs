//! Which partitions a processor should claim. A function of what the store says, without IO and without a clock.

use super::store::Ownership;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// How fast a processor takes its share of the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// One partition at a time: when processors start together, none has more than its share for long.
    #[default]
    Balanced,
    /// All of its share at once.
    Greedy,
}

/// What there is to claim from.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    pub(super) owner: &'a str,
    /// All partitions of the hub.
    pub(super) partitions: &'a [String],
    /// What the store says.
    pub(super) ownership: &'a [Ownership],
    pub(super) now: SystemTime,
    /// After this time without having been renewed, an owner is gone.
    pub(super) expiration: Duration,
    /// A random number, different in each processor.
    pub(super) random: u64,
}

impl Situation<'_> {
    /// The claims to make besides those that are renewed.
    pub(super) fn claims(&self, strategy: Strategy) -> Vec<Ownership> {
        let entries: BTreeMap<&str, &Ownership> =
            self.ownership.iter().map(|ownership| (ownership.partition_id.as_str(), ownership)).collect();
        let mut owned: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        owned.insert(self.owner, Vec::new());
        let mut free = Vec::new();
        for partition in self.partitions.iter().map(String::as_str) {
            match entries.get(partition) {
                Some(ownership) if self.is_live(ownership) => {
                    owned.entry(ownership.owner_id.as_str()).or_default().push(partition);
                }
                _ => free.push(partition),
            }
        }
        let (least, rest) = (self.partitions.len() / owned.len(), self.partitions.len() % owned.len());
        let mine = owned.get(self.owner).map_or(0, Vec::len);
        // Some have one more, where the partitions cannot be divided evenly.
        let others_with_more =
            owned.iter().filter(|(owner, owned)| **owner != self.owner && owned.len() > least).count();
        let share = if others_with_more < rest { least + 1 } else { least };
        let wanted = share.saturating_sub(mine);
        let wanted = if strategy == Strategy::Balanced { wanted.min(1) } else { wanted };
        let mut taken = self.pick(&mut free, wanted);
        taken.extend(self.steal(&owned, least, wanted - taken.len()));
        let etag = |partition: &str| entries.get(partition).and_then(|ownership| ownership.etag.clone());
        taken.into_iter().map(|partition| Ownership::new(partition, self.owner, etag(partition))).collect()
    }

    fn is_live(&self, ownership: &Ownership) -> bool {
        let age = ownership.last_modified.and_then(|modified| self.now.duration_since(modified).ok());
        !ownership.owner_id.is_empty() && age.unwrap_or_default() < self.expiration
    }

    /// Picks at random, so that processors that start together go for different partitions.
    fn pick<'p>(&self, from: &mut Vec<&'p str>, count: usize) -> Vec<&'p str> {
        let mut picked = Vec::new();
        while picked.len() < count && !from.is_empty() {
            let index = usize::try_from(self.random % from.len() as u64).unwrap_or_default();
            picked.push(from.swap_remove(index));
        }
        picked
    }

    /// Takes partitions of those who have more than the least, first of those who have most.
    fn steal<'p>(&self, owned: &BTreeMap<&str, Vec<&'p str>>, least: usize, count: usize) -> Vec<&'p str> {
        let mut stolen: BTreeSet<&'p str> = BTreeSet::new();
        let mut owned: Vec<Vec<&'p str>> =
            owned.iter().filter(|(owner, _)| **owner != self.owner).map(|(_, owned)| owned.clone()).collect();
        let mut mine =
            self.ownership.iter().filter(|entry| entry.owner_id == self.owner && self.is_live(entry)).count();
        while stolen.len() < count {
            let Some(richest) = owned.iter_mut().max_by_key(|owned| owned.len()) else { break };
            // One who would have less than this one then keeps what it has.
            if richest.len() <= least || richest.len() <= mine + 1 {
                break;
            }
            stolen.extend(self.pick(richest, 1));
            mine += 1;
        }
        stolen.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const EXPIRATION: Duration = Duration::from_secs(120);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    /// `owners` has an owner for each partition; `-` for none.
    struct Table {
        partitions: Vec<String>,
        ownership: Vec<Ownership>,
    }

    impl Table {
        fn new(owners: &str) -> Self {
            let partitions: Vec<_> = (0..owners.len()).map(|index| index.to_string()).collect();
            let ownership = partitions.iter().zip(owners.chars()).filter(|(_, owner)| *owner != '-');
            let ownership = ownership.map(|(partition, owner)| Ownership {
                last_modified: Some(now() - Duration::from_secs(60)),
                ..Ownership::new(partition, owner.to_string(), Some(format!("etag{partition}")))
            });
            Self { ownership: ownership.collect(), partitions }
        }

        fn claims(&self, owner: &str, strategy: Strategy, random: u64) -> Vec<Ownership> {
            let (partitions, ownership) = (&self.partitions, &self.ownership);
            let expiration = EXPIRATION;
            Situation { owner, partitions, ownership, now: now(), expiration, random }.claims(strategy)
        }

        fn count(&self, owner: &str, strategy: Strategy) -> usize {
            self.claims(owner, strategy, 7).len()
        }

        /// Writes claims as a store would.
        fn apply(&mut self, claims: Vec<Ownership>) {
            for claim in claims {
                self.ownership.retain(|ownership| ownership.partition_id != claim.partition_id);
                self.ownership.push(Ownership { last_modified: Some(now()), etag: Some("new".into()), ..claim });
            }
        }
    }

    #[test]
    fn a_processor_alone_takes_everything_at_once_or_one_at_a_time() {
        let table = Table::new("----");
        assert_eq!((table.count("a", Strategy::Greedy), table.count("a", Strategy::Balanced)), (4, 1));
        assert!(table.claims("a", Strategy::Greedy, 0).iter().all(|claim| claim.etag.is_none()));
    }

    #[test]
    fn what_is_owned_by_a_processor_that_is_gone_is_free() {
        let mut table = Table::new("bbbb");
        for ownership in &mut table.ownership {
            ownership.last_modified = Some(now() - EXPIRATION);
        }
        let claims = table.claims("a", Strategy::Greedy, 0);
        assert_eq!(claims.len(), 4);
        assert!(claims.iter().all(|claim| claim.etag.is_some()), "the old entries are replaced");
        let mut given_up = Table::new("bbbb");
        given_up.ownership.iter_mut().for_each(|ownership| ownership.owner_id.clear());
        assert_eq!(given_up.count("a", Strategy::Greedy), 4);
    }

    #[test]
    fn a_newcomer_takes_its_share_of_what_others_have() {
        assert_eq!(Table::new("bbbb").count("a", Strategy::Greedy), 2);
        assert_eq!(Table::new("bbbb").count("a", Strategy::Balanced), 1);
        assert_eq!(Table::new("bbcc").count("a", Strategy::Greedy), 1);
        assert_eq!(Table::new("abbb").count("a", Strategy::Greedy), 1);
    }

    #[test]
    fn what_is_balanced_stays_as_it_is() {
        for owners in ["aabb", "aab", "abb", "ab", "abcab"] {
            let table = Table::new(owners);
            for owner in ["a", "b"] {
                assert_eq!(table.count(owner, Strategy::Greedy), 0, "{owners} {owner}");
            }
        }
        // One partition is not worth a fight.
        assert_eq!(Table::new("b").count("a", Strategy::Greedy), 0);
    }

    /// Whatever the start, the number of processors and chance: everything is owned in the end, evenly.
    #[test]
    fn every_start_ends_in_balance() {
        for strategy in [Strategy::Balanced, Strategy::Greedy] {
            for (seed, start) in ["-------", "bbbbbbb", "bbbcccc", "a--bbbb", "cccccc-"].into_iter().enumerate() {
                let mut table = Table::new(start);
                for round in 0..40u64 {
                    for (index, owner) in ["a", "b", "c"].into_iter().enumerate() {
                        let random = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (seed + index) as u64;
                        let claims = table.claims(owner, strategy, random);
                        table.apply(claims);
                    }
                }
                let count = |owner: &str| table.ownership.iter().filter(|entry| entry.owner_id == owner).count();
                let mut counts = [count("a"), count("b"), count("c")];
                counts.sort_unstable();
                assert_eq!(counts, [2, 2, 3], "{start} {strategy:?}");
                let settled = ["a", "b", "c"].iter().all(|owner| table.count(owner, strategy) == 0);
                assert!(settled, "{start} {strategy:?}");
            }
        }
    }
}
