//! Channels and handles: numbers that are given out lowest first, and come back.

use alloc::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Nothing from here on was given out yet.
    next: u32,
    returned: BTreeSet<u32>,
}

impl Numbers {
    /// The lowest number that is free, if it is not above `max`.
    pub(crate) fn lowest(&self, max: u32) -> Option<u32> {
        let lowest = self.returned.first().copied().unwrap_or(self.next);
        (lowest <= max && lowest < u32::MAX).then_some(lowest)
    }

    /// Takes that number.
    pub(crate) fn take(&mut self, max: u32) -> Option<u32> {
        let lowest = self.lowest(max)?;
        if !self.returned.remove(&lowest) {
            self.next = lowest.saturating_add(1);
        }
        Some(lowest)
    }

    pub(crate) fn give_back(&mut self, number: u32) {
        self.returned.insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also T-2.5.2-2, T-2.6.2-2: one that came back is taken once.
    #[test]
    fn t_2_7_3_3_the_lowest_free_number_is_taken() {
        let mut numbers = Numbers::default();
        let taken: alloc::vec::Vec<_> = (0..4).map(|_| numbers.take(2)).collect();
        assert_eq!(taken, [Some(0), Some(1), Some(2), None]);
        numbers.give_back(2);
        numbers.give_back(1);
        assert_eq!(numbers.take(2), Some(1));
        assert_eq!(numbers.take(1), None);
    }
}
