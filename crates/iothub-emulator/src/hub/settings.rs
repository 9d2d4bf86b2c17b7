//! The settings of a hub, with the defaults of the real service.

use core::net::IpAddr;
use core::time::Duration;

use thiserror::Error;

use super::blob_endpoint::BlobEndpoint;
use super::clock::UnixMillis;
use super::throttle::Scale;

/// Settings of a [`Hub`](super::Hub). All fields are public; start from `Settings::default()`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host name of the hub, without a port. Its first label is the hub's name. Default `localhost`.
    pub host_name: String,
    /// Other host names that tokens may name as well, e.g. `127.0.0.1`. Default: none.
    pub host_aliases: Vec<String>,
    /// Whether a token for an `sb://` resource, or for the `amqp://` address of the entity, may name any host. Event Hubs
    /// clients that are sent to an emulator by a custom endpoint go on naming the namespace of their connection string.
    /// The key must be right all the same. Default `true`.
    pub any_event_hub_host: bool,
    /// Name of the built-in Event-Hubs-compatible entity. Default: the hub's name, or `iothub` where the
    /// host name is an IP address.
    pub entity: Option<String>,
    /// Other names under which that entity is found. Default: none.
    pub entity_aliases: Vec<String>,
    /// Consumer groups of the built-in endpoint, compared without regard to case. Default `$Default`.
    pub consumer_groups: Vec<String>,
    /// Number of telemetry partitions, 1 to 128. Default 4.
    pub partitions: u32,
    /// Cloud-to-device messages.
    pub cloud_to_device: CloudToDeviceSettings,
    /// Feedback messages.
    pub feedback: FeedbackSettings,
    /// Device-to-cloud messages.
    pub telemetry: TelemetrySettings,
    /// How much the hub does in a second and in a day. Default: without bounds.
    pub scale: Option<Scale>,
    /// Events of the hub itself.
    pub events: EventSettings,
    /// The REST interface.
    pub https: HttpsSettings,
    /// Twins.
    pub twins: TwinSettings,
    /// File uploads.
    pub file_uploads: FileUploadSettings,
    /// How long a token is taken after its expiry. Default 0.
    pub token_clock_skew: Duration,
    /// When the hub was created, as `$management` says; unless set, when the emulator starts.
    pub created: Option<UnixMillis>,
    /// Seed of lock tokens, generation ids and entity tags. The same seed and the same calls give the same answers.
    /// Default 1.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host_name: "localhost".into(),
            host_aliases: Vec::new(),
            any_event_hub_host: true,
            entity: None,
            entity_aliases: Vec::new(),
            consumer_groups: vec!["$Default".into()],
            partitions: 4,
            cloud_to_device: CloudToDeviceSettings::default(),
            feedback: FeedbackSettings::default(),
            telemetry: TelemetrySettings::default(),
            scale: None,
            events: EventSettings::default(),
            https: HttpsSettings::default(),
            twins: TwinSettings::default(),
            file_uploads: FileUploadSettings::default(),
            token_clock_skew: Duration::ZERO,
            created: None,
            seed: 1,
        }
    }
}

/// Cloud-to-device queues.
#[derive(Clone, Debug)]
pub struct CloudToDeviceSettings {
    /// Most messages that one device may have waiting or locked. Default 50.
    pub max_depth: usize,
    /// How often a message may be given up by the device before it is dead-lettered, 1 to 100. Default 10.
    pub max_delivery_count: u32,
    /// How long a delivery belongs to the one who took it. Default 60 s.
    pub lock: Duration,
    /// Time to live of a message that names no expiry. Default 1 h.
    pub default_ttl: Duration,
    /// Longest time to live that a message may ask for. Default 2 days.
    pub max_ttl: Duration,
    /// Most octets of a message: body, system property values, user property names and values. Default 64 KiB.
    pub max_size: usize,
    /// Whether a lock that runs out raises the delivery count. The hub of today counts explicit abandons only; an
    /// older reference tells it otherwise. Default `false`.
    pub count_lock_expiry: bool,
}

impl Default for CloudToDeviceSettings {
    fn default() -> Self {
        Self {
            max_depth: 50,
            max_delivery_count: 10,
            lock: Duration::from_secs(60),
            default_ttl: Duration::from_secs(3600),
            max_ttl: Duration::from_secs(2 * 24 * 3600),
            max_size: 64 * 1024,
            count_lock_expiry: false,
        }
    }
}

/// The feedback queue.
#[derive(Clone, Debug)]
pub struct FeedbackSettings {
    /// A batch closes when it has this many records. Default 64.
    pub batch_records: usize,
    /// A batch closes when its first record is this old. Default 15 s.
    pub batch_delay: Duration,
    /// How long a batch belongs to the one who took it. Default 60 s.
    pub lock: Duration,
    /// Time to live of a closed batch. Default 1 h.
    pub ttl: Duration,
    /// How often a batch may be given up before it is dropped, 1 to 100. Default 10.
    pub max_delivery_count: u32,
}

impl Default for FeedbackSettings {
    fn default() -> Self {
        Self {
            batch_records: 64,
            batch_delay: Duration::from_secs(15),
            lock: Duration::from_secs(60),
            ttl: Duration::from_secs(3600),
            max_delivery_count: 10,
        }
    }
}

/// File uploads of devices.
#[derive(Clone, Debug)]
pub struct FileUploadSettings {
    /// Whether the service is notified of files. Off at first on the real hub; here on, since no test waits for what is not
    /// there, and nothing else is changed by it. Default `true`.
    pub notifications: bool,
    /// How long a notification belongs to the one who took it. Default 60 s.
    pub lock: Duration,
    /// Time to live of a notification. Default 1 h.
    pub ttl: Duration,
    /// How often a notification may be given up before it is dropped, 1 to 100. Default 100.
    pub max_delivery_count: u32,
    /// How many uploads a device may have in progress. Default 10.
    pub max_active: usize,
    /// How long a device may take for an upload. Default 1 h.
    pub sas_ttl: Duration,
    /// Most octets of files that are kept in memory, all devices together. Default 64 MiB.
    pub max_storage: usize,
    /// Where files are put instead of into the emulator. Notifications then say 0 as their size. Default: none.
    pub blob_endpoint: Option<BlobEndpoint>,
}

impl Default for FileUploadSettings {
    fn default() -> Self {
        Self {
            notifications: true,
            lock: Duration::from_secs(60),
            ttl: Duration::from_secs(3600),
            max_delivery_count: 100,
            max_active: 10,
            sas_ttl: Duration::from_secs(3600),
            max_storage: 64 * 1024 * 1024,
            blob_endpoint: None,
        }
    }
}

/// Telemetry partitions.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Most octets of one device-to-cloud message or batch. Default 256 KiB.
    pub max_size: usize,
    /// Most messages that a partition keeps; the oldest are dropped. Default 100,000.
    pub max_messages: usize,
    /// Most octets of messages that a partition keeps; the oldest are dropped, the newest never. Default 64 MiB.
    pub max_octets: usize,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { max_size: 256 * 1024, max_messages: 100_000, max_octets: 64 * 1024 * 1024 }
    }
}

/// Events of the hub itself at the built-in endpoint. A real hub has them by a route; here they are off by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventSettings {
    /// Whether devices and modules that connect and disconnect are reported.
    pub connection_state: bool,
    /// Whether devices and modules that are registered and removed are reported.
    pub lifecycle: bool,
    /// Whether changes of twins are reported.
    pub twin_changes: bool,
}

/// The REST interface.
#[derive(Clone, Debug, Default)]
pub struct HttpsSettings {
    /// Whether an entity tag in `If-Match` is compared also where it is not in quotes. The real hub ignores such a tag, so
    /// that the write is done in any case. Default `false`.
    pub compare_unquoted_etags: bool,
    /// Whether the certificates of devices that an authority has issued are refused over WebSockets, as older pages of the
    /// service's documentation have it. Default `false`.
    pub websocket_refuses_ca: bool,
}

/// Twins.
#[derive(Clone, Debug, Default)]
pub struct TwinSettings {
    /// Whether a change of tags alone also raises `$version` of the desired properties and is notified, as the service
    /// was seen to do in 2019. Default `false`.
    pub tags_raise_desired_version: bool,
}

/// A setting that makes no hub.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("setting {field}: {reason}")]
pub struct SettingsError {
    /// The field, as it is called in [`Settings`].
    pub field: &'static str,
    /// What it must be.
    pub reason: &'static str,
}

/// The built-in entity's name where the host name is an IP address.
const ENTITY_OF_ADDRESS: &str = "iothub";

impl Settings {
    /// The hub's name: the first label of the host name.
    #[must_use]
    pub fn hub_name(&self) -> &str {
        first_label(&self.host_name)
    }

    /// The name of the built-in Event-Hubs-compatible entity: the hub's name unless set. Where the host name is an IP
    /// address, whose first label is no name, it is `iothub`.
    #[must_use]
    pub fn entity(&self) -> &str {
        self.entity.as_deref().unwrap_or_else(|| {
            if self.host_name.parse::<IpAddr>().is_ok() { ENTITY_OF_ADDRESS } else { self.hub_name() }
        })
    }

    /// Whether `name` is the built-in entity or one of its aliases; case does not matter. Clients that take the name from
    /// the host name are understood also where that is an IP address.
    #[must_use]
    pub fn is_entity(&self, name: &str) -> bool {
        let is_hub_name = self.entity.is_none() && self.hub_name().eq_ignore_ascii_case(name);
        is_hub_name || self.entity().eq_ignore_ascii_case(name) || contains_ignoring_case(&self.entity_aliases, name)
    }

    /// Whether `host` (no port) is this hub's host name or an alias; case does not matter.
    #[must_use]
    pub fn is_host(&self, host: &str) -> bool {
        self.host_name.eq_ignore_ascii_case(host) || contains_ignoring_case(&self.host_aliases, host)
    }

    /// Whether `name` is the hub's name, taken from the host name or an alias; case does not matter.
    #[must_use]
    pub fn is_hub_name(&self, name: &str) -> bool {
        let mut hosts = core::iter::once(&self.host_name).chain(&self.host_aliases);
        hosts.any(|host| first_label(host).eq_ignore_ascii_case(name))
    }

    /// Whether `name` is a consumer group; case does not matter.
    #[must_use]
    pub fn is_consumer_group(&self, name: &str) -> bool {
        contains_ignoring_case(&self.consumer_groups, name)
    }

    /// Checks what the model relies on.
    ///
    /// # Errors
    /// [`SettingsError`] names the first field that is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let c2d = &self.cloud_to_device;
        let rules: [(bool, &'static str, &'static str); 15] = [
            (!self.host_name.is_empty() && !self.host_name.contains(['/', ' ']), "host_name", "must be a host name"),
            (!self.entity().is_empty() && !self.entity().contains('/'), "entity", "must be a name without /"),
            (
                self.consumer_groups.iter().all(|name| is_group_name(name)),
                "consumer_groups",
                "must be names of 1 to 50 octets without / \\ ? #",
            ),
            ((1..=128).contains(&self.partitions), "partitions", "must be 1 to 128"),
            (self.scale.is_none_or(|scale| (1..=200).contains(&scale.units)), "scale.units", "must be 1 to 200"),
            (c2d.max_depth > 0, "cloud_to_device.max_depth", "must be at least 1"),
            ((1..=100).contains(&c2d.max_delivery_count), "cloud_to_device.max_delivery_count", "must be 1 to 100"),
            (c2d.default_ttl <= c2d.max_ttl, "cloud_to_device.default_ttl", "must not be above max_ttl"),
            (at_least_1_ms(&[c2d.lock, c2d.default_ttl]), "cloud_to_device", "times must be 1 ms or more"),
            (at_least_1_ms(&[self.feedback.lock, self.feedback.ttl]), "feedback", "lock and ttl must be 1 ms or more"),
            (self.feedback.batch_records > 0, "feedback.batch_records", "must be at least 1"),
            ((1..=100).contains(&self.feedback.max_delivery_count), "feedback.max_delivery_count", "must be 1 to 100"),
            (
                at_least_1_ms(&[self.file_uploads.lock, self.file_uploads.ttl]),
                "file_uploads",
                "lock and ttl must be 1 ms or more",
            ),
            (
                (1..=100).contains(&self.file_uploads.max_delivery_count),
                "file_uploads.max_delivery_count",
                "must be 1 to 100",
            ),
            (self.telemetry.max_messages > 0, "telemetry.max_messages", "must be at least 1"),
        ];
        match rules.into_iter().find(|(ok, ..)| !ok) {
            Some((_, field, reason)) => Err(SettingsError { field, reason }),
            None => Ok(()),
        }
    }
}

fn is_group_name(name: &str) -> bool {
    (1..=50).contains(&name.len()) && !name.contains(['/', '\\', '?', '#'])
}

fn contains_ignoring_case(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| entry.eq_ignore_ascii_case(name))
}

fn first_label(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

fn at_least_1_ms(times: &[Duration]) -> bool {
    times.iter().all(|time| time.as_millis() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_service() {
        let settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.cloud_to_device.max_depth, 50);
        assert_eq!(settings.cloud_to_device.max_delivery_count, 10);
        assert_eq!(settings.cloud_to_device.lock, Duration::from_secs(60));
        assert_eq!(settings.feedback.batch_records, 64);
        assert_eq!(settings.feedback.batch_delay, Duration::from_secs(15));
        assert_eq!(settings.partitions, 4);
    }

    #[test]
    fn names_come_from_the_first_label_and_ignore_case() {
        let settings = Settings {
            host_name: "Contoso.azure-devices.net".into(),
            host_aliases: vec!["localhost".into()],
            ..Settings::default()
        };
        assert_eq!((settings.hub_name(), settings.entity()), ("Contoso", "Contoso"));
        assert!(settings.is_host("contoso.AZURE-devices.net") && settings.is_host("LOCALHOST"));
        assert!(settings.is_hub_name("contoso") && settings.is_hub_name("localhost"));
        assert!(settings.is_entity("CONTOSO") && !settings.is_entity("other"));
        assert!(settings.is_consumer_group("$default") && !settings.is_consumer_group("mine"));
    }

    #[test]
    fn an_ip_address_as_host_name_gives_a_usable_entity_name() {
        for host in ["127.0.0.44", "::1"] {
            let settings = Settings { host_name: host.into(), ..Settings::default() };
            assert_eq!(settings.entity(), "iothub");
            // What clients make of the host name goes on working: in SASL PLAIN, and as the entity.
            assert!(settings.is_hub_name(settings.hub_name()) && settings.is_entity(settings.hub_name()));
            assert!(settings.is_entity("IoTHub"));
        }
        let settings = Settings { host_name: "127.0.0.44".into(), entity: Some("e".into()), ..Settings::default() };
        assert!(settings.entity() == "e" && !settings.is_entity("127"));
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let settings = Settings { partitions: 0, ..Settings::default() };
        assert_eq!(settings.check().unwrap_err().field, "partitions");
        let mut settings = Settings::default();
        settings.cloud_to_device.max_delivery_count = 101;
        assert_eq!(settings.check().unwrap_err().field, "cloud_to_device.max_delivery_count");
        let mut settings = Settings::default();
        settings.feedback.lock = Duration::ZERO;
        assert_eq!(settings.check().unwrap_err().field, "feedback");
    }
}
