//! Where the emulator listens, as it is given on the command line.

use iothub_emulator::EmulatorBuilder;
use std::{net::SocketAddr, str::FromStr};

/// `HOST:PORT`, where the host is a name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenOn {
    Address(SocketAddr),
    Named(String),
}

impl FromStr for ListenOn {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_name = |host: &str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        match text.rsplit_once(':') {
            Some((host, port)) if is_name(host) && port.parse::<u16>().is_ok() => Ok(Self::Named(text.to_owned())),
            _ => Err("expected HOST:PORT, where HOST is a name, an IPv4 address, or an IPv6 address in brackets"),
        }
    }
}

impl ListenOn {
    /// Has AMQP over TLS served here.
    pub(crate) fn over_tls(&self, builder: EmulatorBuilder) -> EmulatorBuilder {
        match self {
            Self::Address(address) => builder.listen(*address),
            Self::Named(name) => builder.listen_on(name),
        }
    }

    /// Has HTTPS served here.
    pub(crate) fn https(&self, builder: EmulatorBuilder) -> EmulatorBuilder {
        match self {
            Self::Address(address) => builder.https_listen(*address),
            Self::Named(name) => builder.https_listen_on(name),
        }
    }

    /// Has AMQP without TLS served here.
    pub(crate) fn without_tls(&self, builder: EmulatorBuilder) -> EmulatorBuilder {
        match self {
            Self::Address(address) => builder.amqp_listen(*address),
            Self::Named(name) => builder.amqp_listen_on(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_need_a_port() {
        for text in ["127.0.0.1:0", "[::1]:5671", "0.0.0.0:5671"] {
            assert_eq!(text.parse(), Ok(ListenOn::Address(text.parse().unwrap())), "{text}");
        }
        for text in ["localhost:5671", "hub.local:0"] {
            assert_eq!(text.parse(), Ok(ListenOn::Named(text.into())), "{text}");
        }
        for text in ["localhost", "127.0.0.1", "::1", ":5671", "localhost:", "localhost:99999", "a b:1", "c2VjcmV0=:1"]
        {
            assert!(text.parse::<ListenOn>().is_err(), "{text}");
        }
    }
}
