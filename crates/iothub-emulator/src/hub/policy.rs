//! Shared access policies: a name, a key, and the rights that go with them.

use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;
use std::collections::BTreeMap;

use thiserror::Error;

use super::key::{Key, KeyError};

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Read the identity registry.
    pub const REGISTRY_READ: Self = Self(1);
    /// Read and write the identity registry.
    pub const REGISTRY_READ_WRITE: Self = Self(1 | 2);
    /// The service's links: send cloud-to-device messages, read feedback, read telemetry.
    pub const SERVICE_CONNECT: Self = Self(4);
    /// The links of a device.
    pub const DEVICE_CONNECT: Self = Self(8);
    /// Every right.
    pub const ALL: Self = Self(1 | 2 | 4 | 8);

    /// Whether all of `other` is in here.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// As the service names them.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::REGISTRY_READ_WRITE, "RegistryWrite"),
            (Self::REGISTRY_READ, "RegistryRead"),
            (Self::SERVICE_CONNECT, "ServiceConnect"),
            (Self::DEVICE_CONNECT, "DeviceConnect"),
        ];
        let mut left = *self;
        let mut separator = "";
        for (rights, name) in names {
            if left.contains(rights) {
                write!(f, "{separator}{name}")?;
                left.0 &= !rights.0;
                separator = ", ";
            }
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The policies that every hub is born with, and their rights.
pub const WELL_KNOWN_POLICIES: [(&str, Rights); 5] = [
    ("iothubowner", Rights::ALL),
    ("service", Rights::SERVICE_CONNECT),
    ("device", Rights::DEVICE_CONNECT),
    ("registryRead", Rights::REGISTRY_READ),
    ("registryReadWrite", Rights::REGISTRY_READ_WRITE),
];

/// One shared access policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, the `skn` of a token.
    pub name: String,
    /// What its keys allow.
    pub rights: Rights,
    /// The key that clients sign with.
    pub primary_key: Key,
    /// A second key that is as good.
    pub secondary_key: Option<Key>,
}

impl Policy {
    /// A policy with the rights that its name stands for ([`WELL_KNOWN_POLICIES`]). A name of one's own gets all
    /// rights, as there is no place to say which.
    #[must_use]
    pub fn new(name: &str, primary_key: Key) -> Self {
        let known = WELL_KNOWN_POLICIES.into_iter().find(|(known, _)| *known == name);
        let rights = known.map_or(Rights::ALL, |(_, rights)| rights);
        Self { name: name.into(), rights, primary_key, secondary_key: None }
    }

    /// Its keys, the primary one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.primary_key).chain(&self.secondary_key)
    }
}

/// Parses `NAME=BASE64KEY`.
impl FromStr for Policy {
    type Err = PolicyArgumentError;

    fn from_str(text: &str) -> Result<Self, PolicyArgumentError> {
        let (name, key) = text.split_once('=').ok_or(PolicyArgumentError::NoKey)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err(PolicyArgumentError::Name);
        }
        Ok(Self::new(name, Key::from_base64(key)?))
    }
}

/// Why a text is not `NAME=BASE64KEY`. Never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyArgumentError {
    /// No `=` in it.
    #[error("expected NAME=BASE64KEY, found no =")]
    NoKey,
    /// What is before the `=` is no policy name.
    #[error("policy name: use 1 to 64 ASCII letters, digits and - _ .")]
    Name,
    /// What follows the `=` is no key.
    #[error("policy key: {0}")]
    Key(#[from] KeyError),
}

/// The policies of a hub, by name.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    by_name: BTreeMap<String, Policy>,
}

impl Policies {
    /// No policy at all: only devices can authenticate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The well-known policies, each with a key from `make_key`, which is called with the policy's name. Keys of a
    /// hub that is reachable by others must come from the operating system's generator.
    #[must_use]
    pub fn well_known(mut make_key: impl FnMut(&str) -> Key) -> Self {
        let mut policies = Self::new();
        for (name, _) in WELL_KNOWN_POLICIES {
            policies.set(Policy::new(name, make_key(name)));
        }
        policies
    }

    /// Adds a policy, or replaces the one of the same name.
    pub fn set(&mut self, policy: Policy) {
        self.by_name.insert(policy.name.clone(), policy);
    }

    /// The policy of this name, which is case-sensitive.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.by_name.get(name)
    }

    /// All policies, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.by_name.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_names_bring_their_rights_and_others_bring_all() {
        let rights = |text: &str| text.parse::<Policy>().unwrap().rights;
        assert_eq!(rights("service=c2VjcmV0"), Rights::SERVICE_CONNECT);
        assert_eq!(rights("device=c2VjcmV0"), Rights::DEVICE_CONNECT);
        assert_eq!(rights("iothubowner=c2VjcmV0"), Rights::ALL);
        assert_eq!(rights("mine=c2VjcmV0"), Rights::ALL);
        assert!(!rights("registryRead=c2VjcmV0").contains(Rights::REGISTRY_READ_WRITE));
        assert!(rights("registryReadWrite=c2VjcmV0").contains(Rights::REGISTRY_READ));
    }

    #[test]
    fn rights_are_shown_by_their_names() {
        assert_eq!(Rights::ALL.to_string(), "RegistryWrite, ServiceConnect, DeviceConnect");
        assert_eq!(Rights::REGISTRY_READ.to_string(), "RegistryRead");
        assert_eq!(Rights::NONE.to_string(), "none");
    }

    #[test]
    fn bad_arguments_are_told_apart_and_hide_the_key() {
        assert_eq!("service".parse::<Policy>().unwrap_err(), PolicyArgumentError::NoKey);
        assert_eq!("a b=c2VjcmV0".parse::<Policy>().unwrap_err(), PolicyArgumentError::Name);
        let error = "service=not base64".parse::<Policy>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("not base64\""), "{error}");
    }

    #[test]
    fn the_default_set_has_five_policies_with_keys_of_their_own() {
        let policies = Policies::well_known(|name| Key::from_octets(name.as_bytes()).unwrap());
        assert_eq!(policies.iter().count(), 5);
        assert_eq!(policies.policy("service").unwrap().primary_key.octets(), b"service");
        assert!(policies.policy("Service").is_none());
    }

    #[test]
    fn a_policy_given_by_hand_replaces_the_default_one() {
        let mut policies = Policies::well_known(|name| Key::from_octets(name.as_bytes()).unwrap());
        policies.set("service=c2VjcmV0".parse().unwrap());
        assert_eq!(policies.policy("service").unwrap().primary_key.octets(), b"secret");
        assert_eq!(policies.iter().count(), 5);
    }
}
