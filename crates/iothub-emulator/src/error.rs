//! Why an emulator does not start, and why a device is not added.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::ca::CaError;
use crate::hub::{DevicesFileError, IdError, KeyError, PolicyArgumentError, ServiceError, SettingsError};
use crate::x509::DeviceCaError;

/// Why an emulator did not start. Never holds a key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The emulator cannot listen there: the port is taken, or the address is not this machine's.
    #[error("cannot listen on {place}: {source}")]
    Bind {
        /// Where: an address, or a name as it was given.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate authority, or it gave no certificate.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// A certificate authority for devices cannot be used.
    #[error(transparent)]
    DeviceCa(#[from] DeviceCaError),
    /// A device that was given is wrong.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The devices file cannot be read.
    #[error("{}: {source}", path.display())]
    DevicesFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The devices file is wrong.
    #[error("{}: {source}", path.display())]
    DevicesFileContent {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: DevicesFileError,
    },
    /// A policy that was given is wrong.
    #[error("policy {name:?}: {source}")]
    Policy {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: PolicyArgumentError,
    },
    /// The operating system gave no random octets for the keys of policies.
    #[error("the operating system gave no random octets: {0}")]
    Random(getrandom::Error),
    /// A setting is out of range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The certificate that was made cannot be used.
    #[error("TLS cannot be configured: {0}")]
    Tls(tokio_rustls::rustls::Error),
}

/// Why a device is not added. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The registry does not take it: there is one of this id already, or it has too many modules.
    #[error(transparent)]
    Registry(#[from] ServiceError),
    /// The id is not valid.
    #[error("device id {id:?}: {source}")]
    Id {
        /// The text.
        id: String,
        /// What is wrong with it.
        source: IdError,
    },
    /// The key is not valid.
    #[error("device {id:?}: {source}")]
    Key {
        /// Whose.
        id: String,
        /// What is wrong with it.
        source: KeyError,
    },
}
