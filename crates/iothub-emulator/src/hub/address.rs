//! Link addresses: which node of the hub a source or target names.
//!
//! Clients write the same address in many ways: relative or absolute (`amqps://host[:port]/…`), with or without the
//! leading slash, in any case, ids percent-encoded or bare. The host in an absolute address is not looked at: the
//! connection has been opened to this hub, and behind a gateway or a custom endpoint the names differ.

use core::fmt;
use std::borrow::Cow;

use super::ids::{DeviceId, IdentityId, ModuleId};

/// The nodes of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// `$cbs`: claims-based security.
    Cbs,
    /// `/devices/{id}[/modules/{m}]/messages/devicebound`: cloud-to-device messages, taken by the device. As the `to`
    /// of a message: its destination.
    DeviceBound {
        /// The device.
        device: DeviceId,
        /// Its module.
        module: Option<ModuleId>,
    },
    /// `/devices/{id}[/modules/{m}]/messages/events`: telemetry as a target, module inputs as a source.
    DeviceTelemetry {
        /// The device.
        device: DeviceId,
        /// Its module.
        module: Option<ModuleId>,
    },
    /// `{entity}/ConsumerGroups/{group}/Partitions/{id}`: one partition of the Event-Hubs-compatible endpoint.
    EventHub {
        /// The entity, as written.
        entity: String,
        /// The consumer group, as written.
        consumer_group: String,
        /// The partition id, as written.
        partition: String,
    },
    /// `$management` or `{entity}/$management`: the request node of the Event-Hubs-compatible endpoint.
    EventHubManagement {
        /// The entity, if it is named.
        entity: Option<String>,
    },
    /// `/messages/serviceBound/feedback`.
    Feedback,
    /// `/messages/serviceBound/filenotifications`, also `fileuploadnotifications`.
    FileNotifications,
    /// `/messages/events[/…]` on the hub: answered with a redirect.
    HubEvents {
        /// What follows `/messages/events/`, as written; empty if nothing does.
        rest: String,
    },
    /// `/devices/{id}[/modules/{m}]/methods/devicebound`: direct methods.
    Methods {
        /// The device.
        device: DeviceId,
        /// Its module.
        module: Option<ModuleId>,
    },
    /// `/messages/devicebound`: cloud-to-device messages, sent by the service.
    ServiceDeviceBound,
    /// `/devices/{id}[/modules/{m}]/twin`.
    Twin {
        /// The device.
        device: DeviceId,
        /// Its module.
        module: Option<ModuleId>,
    },
    /// Nothing that the hub has.
    Unknown,
}

impl Address {
    /// Parses an address. What is not understood is [`Address::Unknown`]; nothing is an error here.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let path = strip_authority(text);
        let path = path.strip_prefix('/').unwrap_or(path);
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = trimmed.split('/').collect();
        if let ["$cbs"] = lower(&segments).as_slice() {
            return Self::Cbs;
        }
        match segments.as_slice() {
            [first, id, rest @ ..] if is(first, "devices") => Self::parse_device(id, rest).unwrap_or(Self::Unknown),
            [first, rest @ ..] if is(first, "messages") => Self::parse_service(path, rest),
            [management] if is(management, "$management") => Self::EventHubManagement { entity: None },
            [entity, management] if is(management, "$management") && !entity.is_empty() => {
                Self::EventHubManagement { entity: Some(decode(entity).into_owned()) }
            }
            [entity, groups, group, partitions, partition]
                if is(groups, "ConsumerGroups") && is(partitions, "Partitions") =>
            {
                let [entity, consumer_group, partition] = [entity, group, partition].map(|s| decode(s).into_owned());
                if entity.is_empty() { Self::Unknown } else { Self::EventHub { entity, consumer_group, partition } }
            }
            _ => Self::Unknown,
        }
    }

    /// The entity to which a producer of Event Hubs would send that attaches to this address: `{entity}` itself, or one of
    /// its partitions. The hub has no such nodes.
    pub(crate) fn entity_of_producer(text: &str) -> Option<Cow<'_, str>> {
        let path = strip_authority(text);
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        match segments.as_slice() {
            [entity] => Some(decode(entity)),
            [entity, partitions, _] if is(partitions, "Partitions") => Some(decode(entity)),
            _ => None,
        }
    }

    fn parse_device(id: &str, rest: &[&str]) -> Option<Self> {
        let device = DeviceId::new(&decode(id)).ok()?;
        let (module, rest) = match rest {
            [word, module, rest @ ..] if is(word, "modules") => (Some(ModuleId::new(&decode(module)).ok()?), rest),
            _ => (None, rest),
        };
        match lower(rest).as_slice() {
            ["messages", "events"] => Some(Self::DeviceTelemetry { device, module }),
            ["messages", "devicebound"] => Some(Self::DeviceBound { device, module }),
            ["methods", "devicebound"] => Some(Self::Methods { device, module }),
            ["twin"] => Some(Self::Twin { device, module }),
            _ => None,
        }
    }

    fn parse_service(path: &str, rest: &[&str]) -> Self {
        match lower(rest).as_slice() {
            ["devicebound"] => Self::ServiceDeviceBound,
            ["servicebound", "feedback"] => Self::Feedback,
            ["servicebound", "filenotifications" | "fileuploadnotifications"] => Self::FileNotifications,
            ["events", ..] => Self::HubEvents { rest: path.splitn(3, '/').nth(2).unwrap_or_default().into() },
            _ => Self::Unknown,
        }
    }

    /// The device that the address belongs to.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::DeviceBound { device, .. }
            | Self::DeviceTelemetry { device, .. }
            | Self::Methods { device, .. }
            | Self::Twin { device, .. } => Some(device),
            _ => None,
        }
    }

    /// The module that the address belongs to.
    #[must_use]
    pub fn module(&self) -> Option<&ModuleId> {
        match self {
            Self::DeviceBound { module, .. }
            | Self::DeviceTelemetry { module, .. }
            | Self::Methods { module, .. }
            | Self::Twin { module, .. } => module.as_ref(),
            _ => None,
        }
    }

    /// The device or module that the address belongs to.
    #[must_use]
    pub fn identity(&self) -> Option<IdentityId> {
        let device = self.device()?.clone();
        Some(IdentityId { device, module: self.module().cloned() })
    }

    /// The path in the hub's name space, in segments, for comparing with the resource of a token.
    pub(crate) fn segments(&self) -> Vec<&str> {
        let mut path = Vec::with_capacity(6);
        if let Some(device) = self.device() {
            path.extend(["devices", device.as_str()]);
        }
        if let Some(module) = self.module() {
            path.extend(["modules", module.as_str()]);
        }
        match self {
            Self::Cbs => path.push("$cbs"),
            Self::DeviceBound { .. } => path.extend(["messages", "devicebound"]),
            Self::DeviceTelemetry { .. } => path.extend(["messages", "events"]),
            Self::EventHub { entity, consumer_group, partition } => {
                path.extend([entity.as_str(), "consumergroups", consumer_group, "partitions", partition]);
            }
            Self::EventHubManagement { entity } => path.extend(entity.as_deref().into_iter().chain(["$management"])),
            Self::Feedback => path.extend(["messages", "servicebound", "feedback"]),
            Self::FileNotifications => path.extend(["messages", "servicebound", "filenotifications"]),
            Self::HubEvents { rest } => {
                path.extend(["messages", "events"]);
                path.extend(rest.split('/').filter(|segment| !segment.is_empty()));
            }
            Self::Methods { .. } => path.extend(["methods", "devicebound"]),
            Self::ServiceDeviceBound => path.extend(["messages", "devicebound"]),
            Self::Twin { .. } => path.push("twin"),
            Self::Unknown => {}
        }
        path
    }
}

/// The path, with the ids as they are registered.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            known => write!(f, "/{}", known.segments().join("/")),
        }
    }
}

/// The path of an absolute address, or the text itself.
fn strip_authority(text: &str) -> &str {
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.split_once('/').map_or("", |(_, path)| path),
        _ => text,
    }
}

fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

/// The fixed words that `segments` spell, lower-cased; what is not such a word becomes empty, which matches nothing.
fn lower(segments: &[&str]) -> Vec<&'static str> {
    const WORDS: [&str; 10] = [
        "$cbs",
        "devicebound",
        "events",
        "feedback",
        "filenotifications",
        "fileuploadnotifications",
        "messages",
        "methods",
        "servicebound",
        "twin",
    ];
    segments.iter().map(|s| WORDS.into_iter().find(|word| is(s, word)).unwrap_or_default()).collect()
}

/// Undoes percent-encoding. A `%` that starts no escape, or octets that are no UTF-8, are left as they are: ids may
/// hold a `%`, and some clients send ids bare.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = match (first, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4 | l, after)),
            _ => None,
        };
        let (octet, after) = escape.unwrap_or((*first, tail));
        out.push(octet);
        rest = after;
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
