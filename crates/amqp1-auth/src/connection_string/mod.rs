//! Connection strings: `Name=value` pairs with `;` between them, as the Azure portal shows them.
//!
//! | kind | example |
//! |---|---|
//! | [`ServiceConnectionString`] | `HostName=hub.example;SharedAccessKeyName=service;SharedAccessKey=…` |
//! | [`DeviceConnectionString`] | `HostName=hub.example;DeviceId=d1;SharedAccessKey=…` |
//! | [`EventHubsConnectionString`] | `Endpoint=sb://ns.example/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=hub` |
//!
//! Names are taken in any case, values as they are; a host name may have a port (`HostName=localhost:5671`). Spaces
//! around a pair and a `;` at the end do not matter. An error says which part is wrong and never repeats what was
//! written there.

mod credential;
mod device;
mod error;
mod event_hubs;
mod fields;
mod host;
mod service;

use core::str::FromStr;

pub use self::credential::Credential;
pub use self::device::DeviceConnectionString;
pub use self::error::ConnectionStringError;
pub use self::event_hubs::EventHubsConnectionString;
use self::fields::{DEVICE_ID, ENDPOINT, Fields};
pub use self::host::HostPort;
pub use self::service::ServiceConnectionString;

/// The longest connection string taken, in octets.
pub const MAX_CONNECTION_STRING: usize = 16 * 1024;

/// A connection string of any kind: one with an `Endpoint` is Event Hubs', one with a `DeviceId` a device's, any
/// other a service's.
#[derive(Clone, Debug)]
pub enum ConnectionString {
    /// A device's or a module's.
    Device(DeviceConnectionString),
    /// That of an Event Hubs namespace or of a hub's Event-Hubs-compatible endpoint.
    EventHubs(EventHubsConnectionString),
    /// That of a hub's shared access policy.
    Service(ServiceConnectionString),
}

impl ConnectionString {
    /// Reads a connection string of any kind.
    ///
    /// # Errors
    ///
    /// A [`ConnectionStringError`] that names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let fields = Fields::parse(text)?;
        if fields.contains(ENDPOINT) {
            EventHubsConnectionString::from_fields(fields).map(Self::EventHubs)
        } else if fields.contains(DEVICE_ID) {
            DeviceConnectionString::from_fields(fields).map(Self::Device)
        } else {
            ServiceConnectionString::from_fields(fields).map(Self::Service)
        }
    }
}

impl FromStr for ConnectionString {
    type Err = ConnectionStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_told_by_its_fields() {
        let key = "SharedAccessKey=YWJj";
        let parse = |text: &str| ConnectionString::parse(&text.replace("KEY", key)).expect(text);
        assert!(matches!(parse("HostName=h;SharedAccessKeyName=p;KEY"), ConnectionString::Service(_)));
        assert!(matches!(parse("HostName=h;DeviceId=d;KEY"), ConnectionString::Device(_)));
        assert!(matches!(parse("Endpoint=sb://h/;SharedAccessKeyName=p;KEY"), ConnectionString::EventHubs(_)));
    }

    #[test]
    fn an_empty_string_lacks_its_host() {
        for text in ["", " ", ";"] {
            let error = ConnectionString::parse(text).expect_err("nothing there");
            assert_eq!(error, ConnectionStringError::MissingField("HostName"), "{text:?}");
        }
    }
}
