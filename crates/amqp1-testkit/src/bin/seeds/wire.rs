//! A committed record of what the engines write, by blocks of seeds: a change that is to leave the wire as it is, does.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::PathBuf};

/// The seeds that share a line.
const BLOCK: u64 = 100;

/// The sums of the digests, by the first seed of the block.
#[derive(Default)]
pub(crate) struct Digests(BTreeMap<u64, u64>);

/// The use of the digests of a campaign.
pub(crate) enum Record {
    /// They are written to this file.
    Write(PathBuf),
    /// They are those of this file.
    Check(PathBuf),
}

impl Digests {
    pub(crate) fn add(&mut self, seed: u64, digest: u64) {
        let sum = self.0.entry(seed - seed % BLOCK).or_default();
        *sum = sum.wrapping_add(digest);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (first, digest) in other.0 {
            self.add(first, digest);
        }
    }

    fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (first, digest)| {
            // A string takes whatever is written to it.
            writeln!(text, "{first} {digest:016x}").expect("memory");
            text
        })
    }

    /// The first seeds of the blocks that differ from this record, or are in one of the two alone.
    fn differing(&self, record: &str) -> Vec<u64> {
        let mut left = self.0.clone();
        let mut differing: Vec<u64> = Vec::new();
        for line in record.lines() {
            let Some((first, digest)) = line.split_once(' ') else { continue };
            let Ok(first) = first.parse() else { continue };
            if left.remove(&first).map(|digest| format!("{digest:016x}")).as_deref() != Some(digest) {
                differing.push(first);
            }
        }
        differing.extend(left.into_keys());
        differing.sort_unstable();
        differing
    }
}

impl Record {
    /// Writes the record, or tells which blocks differ from it.
    pub(crate) fn settle(&self, digests: &Digests) -> io::Result<Vec<u64>> {
        match self {
            Self::Write(path) => fs::write(path, digests.text()).map(|()| Vec::new()),
            Self::Check(path) => fs::read_to_string(path).map(|record| digests.differing(&record)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(of: &[(u64, u64)]) -> Digests {
        let mut digests = Digests::default();
        of.iter().for_each(|(seed, digest)| digests.add(*seed, *digest));
        digests
    }

    #[test]
    fn a_block_differs_when_one_seed_of_it_does() {
        let record = digests(&[(0, 1), (99, 2), (100, u64::MAX), (199, 2)]);
        assert_eq!(record.text(), "0 0000000000000003\n100 0000000000000001\n");
        assert_eq!(record.differing(&record.text()), Vec::<u64>::new());
        assert_eq!(digests(&[(0, 1), (99, 2), (100, 3)]).differing(&record.text()), [100]);
        assert_eq!(digests(&[(0, 3)]).differing(&record.text()), [100]);
        assert_eq!(digests(&[(0, 3), (150, 1), (200, 0)]).differing(&record.text()), [200]);
    }
}
