//! Which connection has the links of a device or module: the one that attached last.

use std::collections::BTreeMap;

use super::address::Address;
use super::ids::IdentityId;
use super::{Hub, Wake};

/// One connection of a client. Given out by [`Hub::add_connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

#[derive(Debug)]
struct Owner {
    connection: ConnectionId,
    /// The links of the identity, also those of older connections that have not ended yet.
    links: usize,
}

/// Who has the links of which identity.
#[derive(Debug, Default)]
pub(super) struct LinkOwners {
    owners: BTreeMap<IdentityId, Owner>,
    last: u64,
}

impl Hub {
    /// A name for a new connection. Unique for the life of the hub.
    pub fn add_connection(&mut self) -> ConnectionId {
        self.link_owners.last += 1;
        ConnectionId(self.link_owners.last)
    }

    /// A link to `address` was attached on `connection`. If it is a device's or module's, the links that this identity has on
    /// other connections are to be detached, whatever they are for: see [`Hub::is_displaced`]. Several links of one connection
    /// may be at one address.
    pub fn link_attached(&mut self, address: &Address, connection: ConnectionId) {
        let Some(id) = address.identity() else { return };
        let device = id.device.clone();
        let owner = self.link_owners.owners.entry(id).or_insert(Owner { connection, links: 0 });
        owner.links += 1;
        if owner.connection != connection {
            owner.connection = connection;
            self.wakes.insert(Wake::Device(device));
        }
    }

    /// A link to `address`, which [`Hub::link_attached`] was called for, has ended.
    pub fn link_detached(&mut self, address: &Address) {
        let Some(id) = address.identity() else { return };
        if let Some(owner) = self.link_owners.owners.get_mut(&id) {
            owner.links = owner.links.saturating_sub(1);
            if owner.links == 0 {
                self.link_owners.owners.remove(&id);
            }
        }
    }

    /// Whether another connection than `connection` has attached a link of the same identity since. [`Wake::Device`] tells
    /// when that may have changed.
    #[must_use]
    pub fn is_displaced(&self, address: &Address, connection: ConnectionId) -> bool {
        let owner = address.identity().and_then(|id| self.link_owners.owners.get(&id));
        owner.is_some_and(|owner| owner.connection != connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Policies, Settings};

    #[test]
    fn the_newest_connection_has_all_links_of_an_identity() {
        let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        let (old, new) = (hub.add_connection(), hub.add_connection());
        let telemetry = Address::parse("/devices/a/messages/events");
        let twin = Address::parse("/devices/a/twin");
        let module = Address::parse("/devices/a/modules/m/twin");
        let other = Address::parse("/devices/b/messages/events");
        for address in [&telemetry, &telemetry, &twin, &module, &other] {
            hub.link_attached(address, old);
        }
        assert_eq!(hub.take_wakes(), []);
        hub.link_attached(&telemetry, new);
        assert_eq!(hub.take_wakes(), [Wake::Device(telemetry.device().unwrap().clone())]);
        assert!(hub.is_displaced(&telemetry, old) && hub.is_displaced(&twin, old));
        assert!(!hub.is_displaced(&telemetry, new) && !hub.is_displaced(&twin, new));
        assert!(!hub.is_displaced(&module, old) && !hub.is_displaced(&other, old));
        // Even if the newer link has ended before the older ones.
        hub.link_detached(&telemetry);
        assert!(hub.is_displaced(&telemetry, old) && hub.is_displaced(&twin, old));
        for address in [&telemetry, &telemetry, &twin, &module, &other] {
            hub.link_detached(address);
        }
        assert!(hub.link_owners.owners.is_empty());
    }

    #[test]
    fn links_of_the_service_are_shared() {
        let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        let (old, new) = (hub.add_connection(), hub.add_connection());
        for address in ["/messages/servicebound/feedback", "h/ConsumerGroups/$Default/Partitions/0", "$cbs"] {
            let address = Address::parse(address);
            hub.link_attached(&address, old);
            hub.link_attached(&address, new);
            assert!(!hub.is_displaced(&address, old));
        }
    }
}
