//! Where to go instead.

use amqp1_codec::{
    Value,
    definitions::{AmqpError, ErrorCondition},
    printable::bounded_debug,
};
use std::fmt;

/// Where a container (§2.8.16) or the address of a link (§2.8.18) is, by the account of the peer that does not have it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The host name to state in open and as TLS's server name.
    pub hostname: Option<String>,
    /// The name or the address of the machine to connect to.
    pub network_host: Option<String>,
    /// The port to connect to.
    pub port: Option<u16>,
    /// The address to attach to.
    pub address: Option<String>,
}

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hostname, network_host, port, address } = self;
        bounded_debug(f, |f| {
            f.debug_struct("Redirect")
                .field("hostname", hostname)
                .field("network_host", network_host)
                .field("port", port)
                .field("address", address)
                .finish()
        })
    }
}

impl Redirect {
    /// The redirect that an error states, if it does.
    pub(super) fn of(error: &AmqpError) -> Option<Self> {
        let known = [ErrorCondition::LINK_REDIRECT, ErrorCondition::CONNECTION_REDIRECT].contains(&error.condition);
        let info = error.info.as_ref().filter(|_| known)?;
        let text = |key| info.get(key).and_then(Value::as_text).map(ToOwned::to_owned);
        Some(Self {
            hostname: text("hostname"),
            network_host: text("network-host"),
            port: info.get("port").and_then(Value::as_integer).and_then(|port| u16::try_from(port).ok()),
            address: text("address"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{Symbol, definitions::Fields};

    fn error(condition: ErrorCondition) -> AmqpError {
        let mut info = Fields::new();
        info.insert(Symbol::from_static("hostname"), "ns.example");
        info.insert(Symbol::from_static("network-host"), "10.0.0.1");
        info.insert(Symbol::from_static("port"), 5671u16);
        info.insert(Symbol::from_static("address"), "amqps://ns.example:5671/hub");
        AmqpError { condition, description: None, info: Some(info) }
    }

    #[test]
    fn a_link_redirect_is_read() {
        let redirect = Redirect::of(&error(ErrorCondition::LINK_REDIRECT)).expect("a redirect");
        assert_eq!(redirect.hostname.as_deref(), Some("ns.example"));
        assert_eq!(redirect.network_host.as_deref(), Some("10.0.0.1"));
        assert_eq!(redirect.port, Some(5671));
        assert_eq!(redirect.address.as_deref(), Some("amqps://ns.example:5671/hub"));
    }

    #[test]
    fn other_errors_redirect_nowhere() {
        assert_eq!(Redirect::of(&error(ErrorCondition::NOT_FOUND)), None);
        assert_eq!(Redirect::of(&ErrorCondition::LINK_REDIRECT.into()), None);
    }
}
