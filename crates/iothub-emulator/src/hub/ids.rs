//! Names of devices, modules and consumers.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// Most characters that a device, module or message id may have.
pub const MAX_ID_LENGTH: usize = 128;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing there.
    #[error("an id must have at least one character")]
    Empty,
    /// A character outside the set that IoT Hub documents; `at` counts characters from 0.
    #[error(
        "character {at} is not allowed in an id: use ASCII letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '"
    )]
    Character {
        /// Position of the first such character.
        at: usize,
    },
    /// More than [`MAX_ID_LENGTH`] characters.
    #[error("an id has at most {MAX_ID_LENGTH} characters")]
    TooLong,
}

/// The rule for device, module and message ids: 1 to 128 ASCII characters of the documented set, case-sensitive.
pub(crate) fn check_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-:.+%_#*?!(),=@;$'".contains(c);
    if let Some(at) = text.chars().position(|c| !allowed(c)) {
        return Err(IdError::Character { at });
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(IdError::TooLong);
    }
    Ok(())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and keeps it.
            ///
            /// # Errors
            /// [`IdError`] if the text is empty, too long, or has a character outside the documented set.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check_id(text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

id_type! {
    /// A checked device id. Case-sensitive; cloning is cheap.
    DeviceId
}

id_type! {
    /// A checked module id. Case-sensitive; cloning is cheap.
    ModuleId
}

/// What has an identity of its own: a device, or a module of a device. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId {
    /// The device.
    pub device: DeviceId,
    /// Its module; `None` for the device itself.
    pub module: Option<ModuleId>,
}

impl IdentityId {
    /// A module of a device.
    #[must_use]
    pub fn of_module(device: DeviceId, module: ModuleId) -> Self {
        Self { device, module: Some(module) }
    }

    /// The path of the identity in the hub's name space, in segments.
    pub(crate) fn segments(&self) -> Vec<&str> {
        let mut path = vec!["devices", self.device.as_str()];
        if let Some(module) = &self.module {
            path.extend(["modules", module.as_str()]);
        }
        path
    }
}

impl From<DeviceId> for IdentityId {
    fn from(device: DeviceId) -> Self {
        Self { device, module: None }
    }
}

impl From<&DeviceId> for IdentityId {
    fn from(device: &DeviceId) -> Self {
        device.clone().into()
    }
}

impl From<&Self> for IdentityId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

/// `device`, or `device/module`.
impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            None => fmt::Display::fmt(&self.device, f),
            Some(module) => write!(f, "{}/{module}", self.device),
        }
    }
}

/// One who takes messages: an attached receiving link. Given out by [`Hub::add_consumer`](super::Hub::add_consumer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub(crate) u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_the_documented_characters_only() {
        assert!(DeviceId::new("aZ0-:.+%_#*?!(),=@;$'").is_ok());
        assert_eq!(DeviceId::new("a/b"), Err(IdError::Character { at: 1 }));
        assert_eq!(DeviceId::new("tür"), Err(IdError::Character { at: 1 }));
        assert_eq!(DeviceId::new("a b"), Err(IdError::Character { at: 1 }));
        assert_eq!(DeviceId::new(""), Err(IdError::Empty));
    }

    #[test]
    fn ids_end_at_128_characters() {
        assert!(ModuleId::new(&"x".repeat(128)).is_ok());
        assert_eq!(ModuleId::new(&"x".repeat(129)), Err(IdError::TooLong));
    }
}
