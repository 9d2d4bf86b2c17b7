//! The resource of a SAS token: the `sr` field, percent-decoded once.

use thiserror::Error;

use super::address::decode;

/// Which family of clients wrote a resource, recognised by its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceStyle {
    /// `amqps://…` or `amqp://…`: an address, as a redirect gives it. Signed like [`ResourceStyle::EventHub`].
    Address,
    /// `sb://…`: written by an Event Hubs client, which signs with the text of the key, not with what it decodes to.
    EventHub,
    /// A bare host and path, or `https://…`: written by an IoT Hub client, which signs with the decoded key.
    Hub,
}

/// Why a text is no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// A segment of the path is empty.
    #[error("the resource of the token has an empty path segment")]
    EmptySegment,
    /// No host.
    #[error("the resource of the token names no host")]
    NoHost,
    /// A scheme other than amqp, amqps, http, https and sb.
    #[error("the resource of the token has an unknown scheme")]
    Scheme,
}

/// What a token is for: a host and a path below it. Covers all that lies below that path, segment by segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub(crate) style: ResourceStyle,
    pub(crate) host: String,
    pub(crate) path: Vec<String>,
}

impl Resource {
    /// Parses a decoded `sr`: `[scheme://]host[:port][/path]`. The port is dropped, the host lower-cased.
    ///
    /// # Errors
    /// [`ResourceError`] if there is no host, an unknown scheme, or an empty segment within the path.
    pub fn parse(sr: &str) -> Result<Self, ResourceError> {
        let (style, rest) = match sr.split_once("://") {
            None => (ResourceStyle::Hub, sr),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "amqp" | "amqps" => (ResourceStyle::Address, rest),
                "http" | "https" => (ResourceStyle::Hub, rest),
                "sb" => (ResourceStyle::EventHub, rest),
                _ => return Err(ResourceError::Scheme),
            },
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host_of(authority);
        if host.is_empty() {
            return Err(ResourceError::NoHost);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let path: Vec<String> = match path {
            "" => Vec::new(),
            path => path.split('/').map(Into::into).collect(),
        };
        if path.iter().any(String::is_empty) {
            return Err(ResourceError::EmptySegment);
        }
        Ok(Self { style, host: host.to_ascii_lowercase(), path })
    }

    /// How it was written.
    #[must_use]
    pub fn style(&self) -> ResourceStyle {
        self.style
    }

    /// The host, lower-cased, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Undoes a second percent-encoding of the path: some clients encode an id first and then the whole.
    pub(crate) fn decoded_path(&self) -> Vec<String> {
        self.path.iter().map(|segment| decode(segment).into_owned()).collect()
    }
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    if let Some(end) = authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        return end.0;
    }
    match authority.rsplit_once(':') {
        // More than one colon: an IPv6 address without brackets, so without a port.
        Some((host, _)) if !host.contains(':') => host,
        _ => authority,
    }
}

/// Whether the path `prefix` covers `path`: each of its segments is there, at the same place. Ids, which follow
/// `devices` and `modules`, are case-sensitive; all else is not.
pub(crate) fn covers(prefix: &[String], path: &[&str]) -> bool {
    let of_device = path.first().is_some_and(|first| first.eq_ignore_ascii_case("devices"));
    let of_module = of_device && path.get(2).is_some_and(|word| word.eq_ignore_ascii_case("modules"));
    prefix.len() <= path.len()
        && prefix.iter().zip(path).enumerate().all(|(at, (a, b))| match at {
            1 if of_device => a == b,
            3 if of_module => a == b,
            _ => a.eq_ignore_ascii_case(b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(sr: &str) -> (ResourceStyle, String, Vec<String>) {
        let resource = Resource::parse(sr).unwrap();
        (resource.style, resource.host, resource.path)
    }

    #[test]
    fn resources_are_taken_as_the_clients_write_them() {
        use ResourceStyle::{Address, EventHub, Hub};
        for (sr, style, host, path) in [
            ("Hub.Azure-Devices.net", Hub, "hub.azure-devices.net", ""),
            ("localhost:5671", Hub, "localhost", ""),
            ("localhost/devices/device1", Hub, "localhost", "devices/device1"),
            ("https://localhost/", Hub, "localhost", ""),
            ("sb://ns.net/hub/$management", EventHub, "ns.net", "hub/$management"),
            (
                "amqps://h:5671/hub/ConsumerGroups/$Default/Partitions/0",
                Address,
                "h",
                "hub/ConsumerGroups/$Default/Partitions/0",
            ),
            ("[::1]:5671/devices/a", Hub, "::1", "devices/a"),
        ] {
            let path: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(Into::into).collect();
            assert_eq!(parsed(sr), (style, host.into(), path), "{sr}");
        }
    }

    #[test]
    fn texts_that_are_no_resource_are_refused() {
        assert_eq!(Resource::parse(""), Err(ResourceError::NoHost));
        assert_eq!(Resource::parse(":5671/x"), Err(ResourceError::NoHost));
        assert_eq!(Resource::parse("ftp://host"), Err(ResourceError::Scheme));
        assert_eq!(Resource::parse("host//devices"), Err(ResourceError::EmptySegment));
    }

    #[test]
    fn a_path_covers_what_is_below_it_by_whole_segments() {
        let covers = |prefix: &str, path: &str| {
            let prefix: Vec<String> = prefix.split('/').filter(|s| !s.is_empty()).map(Into::into).collect();
            covers(&prefix, &path.split('/').collect::<Vec<_>>())
        };
        assert!(covers("", "messages/devicebound"));
        assert!(covers("Devices/a", "devices/a/messages/events"));
        assert!(covers("devices/a", "devices/a/modules/m/twin"));
        assert!(!covers("devices/a", "devices/ab/twin"));
        assert!(!covers("devices/A", "devices/a/twin"));
        assert!(!covers("devices/a/modules/M", "devices/a/modules/m/twin"));
        assert!(!covers("devices/a/modules/m", "devices/a/twin"));
        assert!(covers("HUB/consumergroups/$default", "hub/ConsumerGroups/$Default/Partitions/0"));
        assert!(!covers("hub/ConsumerGroups/$Default/Partitions/0", "hub/ConsumerGroups/$Default/Partitions/1"));
        assert!(!covers("hub/ConsumerGroups/$Def", "hub/ConsumerGroups/$Default/Partitions/1"));
    }
}
