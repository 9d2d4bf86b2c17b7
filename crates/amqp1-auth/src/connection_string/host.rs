use alloc::string::String;
use core::fmt;

use super::ConnectionStringError;

/// A host name and, where one was written, a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

const EXPECTED: &str = "a host name or a host name and a port, such as hub.example or localhost:5671";

impl HostPort {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    pub(super) fn parse(text: &str, field: &'static str) -> Result<Self, ConnectionStringError> {
        let invalid = ConnectionStringError::InvalidValue { field, expected: EXPECTED };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or(invalid)?;
                if !address.bytes().all(|octet| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.')) {
                    return Err(invalid);
                }
                let port = match after {
                    "" => None,
                    after => Some(after.strip_prefix(':').ok_or(invalid)?),
                };
                (address, port)
            }
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                if !host.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_')) {
                    return Err(invalid);
                }
                (host, port)
            }
        };
        if host.is_empty() {
            return Err(invalid);
        }
        let port = match port {
            None => None,
            Some(digits) if digits.bytes().all(|octet| octet.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port != 0).ok_or(invalid)?)
            }
            Some(_) => return Err(invalid),
        };
        Ok(Self { host: String::from(host), port })
    }

    /// The host name as it was written, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port, or `default` if none was written.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }

    /// The hub's or namespace's short name: the host name up to its first dot.
    pub fn short_name(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_host_may_have_a_port() {
        for (text, host, port) in [
            ("hub.azure-devices.net", "hub.azure-devices.net", None),
            ("localhost:5671", "localhost", Some(5671)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "::1", None),
            ("[fe80::1]:5671", "fe80::1", Some(5671)),
        ] {
            let parsed = HostPort::parse(text, "HostName").expect(text);
            assert_eq!((parsed.host(), parsed.port()), (host, port));
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!(HostPort::parse("my-hub.example", "HostName").expect("a host").short_name(), "my-hub");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":1",
            "h:",
            "h:0",
            "h:65536",
            "h:+1",
            "h:1:2",
            "a b",
            "a/b",
            "amqps://h",
            "h?x",
            "user@h",
            "[::1",
            "[]",
            "[::1]5671",
            "[::1]:",
            "[g]",
            "::1",
            "hå",
        ] {
            let error = HostPort::parse(text, "HostName").expect_err(text);
            assert_eq!(error, ConnectionStringError::InvalidValue { field: "HostName", expected: EXPECTED });
        }
    }
}
