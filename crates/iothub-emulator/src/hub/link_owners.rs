//! Which connection has the links of a device or module: the one that attached last.

use std::collections::BTreeMap;

use super::address::Address;
use super::ids::IdentityId;
use super::{Hub, Wake};

/// One connection of a client. Given out by [`Hub::add_connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// What the links at an address are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    DeviceBound,
    Events,
    Methods,
    Twin,
}

#[derive(Debug)]
struct Owner {
    connection: ConnectionId,
    /// How many links it has there.
    links: usize,
}

/// Who has the links of which identity, by kind.
#[derive(Debug, Default)]
pub(super) struct LinkOwners {
    owners: BTreeMap<(IdentityId, Kind), Owner>,
    last: u64,
}

fn key(address: &Address) -> Option<(IdentityId, Kind)> {
    let kind = match address {
        Address::DeviceBound { .. } => Kind::DeviceBound,
        Address::DeviceTelemetry { .. } => Kind::Events,
        Address::Methods { .. } => Kind::Methods,
        Address::Twin { .. } => Kind::Twin,
        _ => return None,
    };
    Some((address.identity()?, kind))
}

impl Hub {
    /// A name for a new connection. Unique for the life of the hub.
    pub fn add_connection(&mut self) -> ConnectionId {
        self.link_owners.last += 1;
        ConnectionId(self.link_owners.last)
    }

    /// A link to `address` was attached on `connection`. Links of other connections to the same address, which is one of a
    /// device or module, are to be detached: see [`Hub::is_displaced`]. Several links of one connection may be at one address.
    pub fn link_attached(&mut self, address: &Address, connection: ConnectionId) {
        let Some(key) = key(address) else { return };
        let device = key.0.device.clone();
        let owner = self.link_owners.owners.entry(key).or_insert(Owner { connection, links: 0 });
        if owner.connection != connection {
            *owner = Owner { connection, links: 0 };
            self.wakes.insert(Wake::Device(device));
        }
        owner.links += 1;
    }

    /// A link to `address` has ended on `connection`.
    pub fn link_detached(&mut self, address: &Address, connection: ConnectionId) {
        let Some(key) = key(address) else { return };
        if let Some(owner) = self.link_owners.owners.get_mut(&key).filter(|owner| owner.connection == connection) {
            owner.links = owner.links.saturating_sub(1);
            if owner.links == 0 {
                self.link_owners.owners.remove(&key);
            }
        }
    }

    /// Whether another connection than `connection` has attached links to `address` since. [`Wake::Device`] tells when that
    /// may have changed.
    #[must_use]
    pub fn is_displaced(&self, address: &Address, connection: ConnectionId) -> bool {
        let owner = key(address).and_then(|key| self.link_owners.owners.get(&key));
        owner.is_some_and(|owner| owner.connection != connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Policies, Settings};

    #[test]
    fn the_newest_connection_has_the_links_of_a_kind() {
        let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        let (old, new) = (hub.add_connection(), hub.add_connection());
        let telemetry = Address::parse("/devices/a/messages/events");
        let twin = Address::parse("/devices/a/twin");
        let other = Address::parse("/devices/b/messages/events");
        for address in [&telemetry, &telemetry, &twin, &other] {
            hub.link_attached(address, old);
        }
        assert_eq!(hub.take_wakes(), []);
        hub.link_attached(&telemetry, new);
        assert_eq!(hub.take_wakes(), [Wake::Device(telemetry.device().unwrap().clone())]);
        assert!(hub.is_displaced(&telemetry, old) && !hub.is_displaced(&telemetry, new));
        assert!(!hub.is_displaced(&twin, old) && !hub.is_displaced(&other, old));
        hub.link_detached(&telemetry, old);
        hub.link_detached(&telemetry, old);
        assert!(hub.is_displaced(&telemetry, old), "the newer link is still there");
        hub.link_detached(&telemetry, new);
        assert!(!hub.is_displaced(&telemetry, old));
        hub.link_detached(&twin, old);
        hub.link_detached(&other, old);
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
