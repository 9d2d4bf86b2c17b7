//! A session's memory of links that were detached with an error (§2.6.5).

use alloc::collections::BTreeSet;
use amqp1_codec::{Str, definitions::Role};

/// Links and deliveries in which the peer has no say any more, where it is held to that.
#[derive(Debug, Default)]
pub(crate) struct Errant {
    /// Names of links at whose sending end we were, and of those at whose receiving end.
    senders: BTreeSet<Str>,
    receivers: BTreeSet<Str>,
    /// Deliveries, by their ids counted on, that were not settled when their link was detached.
    sent: BTreeSet<u64>,
    received: BTreeSet<u64>,
}

impl Errant {
    /// The number of names, and of ids, that are remembered for a session; what comes after them is not held against
    /// the peer.
    pub(crate) const REMEMBERED: usize = 4096;

    pub(crate) fn names(&mut self, role: Role) -> &mut BTreeSet<Str> {
        match role {
            Role::Sender => &mut self.senders,
            Role::Receiver => &mut self.receivers,
        }
    }

    pub(crate) fn deliveries(&mut self, role: Role) -> &mut BTreeSet<u64> {
        match role {
            Role::Sender => &mut self.sent,
            Role::Receiver => &mut self.received,
        }
    }
}
