//! Who may read a partition: readers with an epoch push out those with a lower one or none.

use std::collections::BTreeMap;

use thiserror::Error;

use super::ids::ConsumerId;
use super::{Hub, Wake};

/// Most readers without an epoch that one partition has in one consumer group.
pub const MAX_READERS: usize = 5;

/// Why a reader may not attach to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OwnershipError {
    /// A reader with an epoch is there, and this one has none.
    #[error("a receiver with epoch {epoch} reads this partition, so a receiver without an epoch is not allowed")]
    EpochRequired {
        /// The other's.
        epoch: i64,
    },
    /// A reader with a higher epoch is there.
    #[error("a receiver with the higher epoch {theirs} reads this partition, epoch {ours} is not enough")]
    LowerEpoch {
        /// The other's.
        theirs: i64,
        /// This one's.
        ours: i64,
    },
    /// There are as many readers as there may be.
    #[error("this partition has {MAX_READERS} receivers in this consumer group, which is the most")]
    TooManyReaders,
}

impl OwnershipError {
    /// The error condition for detach. The description is the error's text.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Self::EpochRequired { .. } | Self::LowerEpoch { .. } => "amqp:link:stolen",
            Self::TooManyReaders => "amqp:resource-limit-exceeded",
        }
    }
}

/// A reader was pushed out of its partition; its link is to be detached with `amqp:link:stolen` and this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a new receiver with epoch {by} took this partition over")]
pub struct Displaced {
    /// The epoch of the one who did it.
    pub by: i64,
}

#[derive(Debug)]
struct Reader {
    id: ConsumerId,
    epoch: Option<i64>,
}

/// Who reads what.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// By partition and lower-cased consumer group.
    readers: BTreeMap<(u32, String), Vec<Reader>>,
    displaced: BTreeMap<ConsumerId, Displaced>,
}

impl Hub {
    /// Lets `reader` read a partition, with its `com.microsoft:epoch` if it has one. Those that it pushes out are
    /// woken with [`Wake::Reader`].
    ///
    /// # Errors
    /// [`OwnershipError`] says what the link is to be detached with.
    pub fn claim(
        &mut self,
        partition: u32,
        consumer_group: &str,
        reader: ConsumerId,
        epoch: Option<i64>,
    ) -> Result<(), OwnershipError> {
        let readers = self.owners.readers.entry((partition, consumer_group.to_ascii_lowercase())).or_default();
        let highest = readers.iter().filter_map(|reader| reader.epoch).max();
        match (epoch, highest) {
            (None, Some(epoch)) => return Err(OwnershipError::EpochRequired { epoch }),
            (Some(ours), Some(theirs)) if ours < theirs => return Err(OwnershipError::LowerEpoch { theirs, ours }),
            (None, None) if readers.len() >= MAX_READERS => return Err(OwnershipError::TooManyReaders),
            _ => {}
        }
        if let Some(by) = epoch {
            for old in readers.drain(..) {
                self.owners.displaced.insert(old.id, Displaced { by });
                self.wakes.insert(Wake::Reader(old.id));
            }
        }
        readers.push(Reader { id: reader, epoch });
        Ok(())
    }

    /// Whether `reader` has been pushed out of its partition. Told once.
    pub fn poll_displaced(&mut self, reader: ConsumerId) -> Option<Displaced> {
        self.owners.displaced.remove(&reader)
    }

    /// A reader is gone.
    pub fn leave_partition(&mut self, reader: ConsumerId) {
        self.owners.displaced.remove(&reader);
        self.owners.readers.retain(|_, readers| {
            readers.retain(|other| other.id != reader);
            !readers.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Policies, Settings};

    fn hub() -> Hub {
        Hub::new(Settings::default(), Policies::new()).unwrap()
    }

    #[test]
    fn a_higher_or_equal_epoch_takes_over_and_a_lower_one_is_refused() {
        let mut hub = hub();
        let [a, b, c, d] = [(); 4].map(|()| hub.add_consumer());
        hub.claim(0, "$Default", a, Some(5)).unwrap();
        let refused = hub.claim(0, "$default", b, Some(4));
        assert_eq!(refused, Err(OwnershipError::LowerEpoch { theirs: 5, ours: 4 }));
        hub.claim(0, "$default", c, Some(5)).unwrap();
        assert_eq!(hub.take_wakes(), [Wake::Reader(a)]);
        assert_eq!((hub.poll_displaced(a), hub.poll_displaced(a)), (Some(Displaced { by: 5 }), None));
        assert_eq!(hub.claim(0, "$Default", d, None), Err(OwnershipError::EpochRequired { epoch: 5 }));
        assert!(hub.claim(1, "$Default", d, None).is_ok() && hub.claim(0, "other", d, None).is_ok());
    }

    #[test]
    fn an_epoch_pushes_out_all_readers_without_one() {
        let mut hub = hub();
        let readers = [(); 5].map(|()| hub.add_consumer());
        for reader in readers {
            hub.claim(0, "$Default", reader, None).unwrap();
        }
        let sixth = hub.add_consumer();
        assert_eq!(hub.claim(0, "$Default", sixth, None), Err(OwnershipError::TooManyReaders));
        hub.claim(0, "$Default", sixth, Some(0)).unwrap();
        assert_eq!(hub.take_wakes(), readers.map(Wake::Reader));
    }

    #[test]
    fn a_place_is_free_once_its_reader_leaves() {
        let mut hub = hub();
        let [a, b] = [(); 2].map(|()| hub.add_consumer());
        hub.claim(0, "$Default", a, Some(9)).unwrap();
        hub.leave_partition(a);
        assert!(hub.claim(0, "$Default", b, None).is_ok());
    }
}
