use super::{
    EventConsumer, EventHubProperties, EventPosition, PartitionProperties, management,
    reader::Reader,
    redirect::{is_loopback, path},
    trail::Trail,
};
use crate::{
    connect::{Hub, Settings, common_setters},
    error::{Error, ErrorKind},
};
use amqp1::{
    Credit, Receiver,
    auth::connection_string::{ConnectionString, Credential, EventHubsConnectionString, ServiceConnectionString},
    brokers::event_hubs::{DEFAULT_CONSUMER_GROUP, OWNER_LEVEL},
    codec::Map,
    link::OnDrop,
};
use std::fmt;

/// An [`EventConsumer`] that is to be connected.
#[derive(Clone, Debug)]
#[must_use = "call connect"]
pub struct EventConsumerBuilder {
    origin: Option<Origin>,
    settings: Settings,
    consumer_group: String,
    partitions: Partitions,
    start: EventPosition,
    prefetch: u32,
    owner_level: Option<i64>,
    allowed: Vec<String>,
}

/// What is read.
#[derive(Clone, Debug)]
enum Partitions {
    These(Vec<String>),
    All,
}

/// Where reading begins.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Hub(ServiceConnectionString),
    EventHubs(EventHubsConnectionString),
}

impl Origin {
    pub(super) fn credential(&self) -> &Credential {
        match self {
            Self::Hub(string) => string.credential(),
            Self::EventHubs(string) => string.credential(),
        }
    }

    /// The host that the credentials are for.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Hub(string) => string.host().host(),
            Self::EventHubs(string) => string.endpoint().host(),
        }
    }
}

impl Default for EventConsumerBuilder {
    fn default() -> Self {
        Self {
            origin: None,
            settings: Settings::default(),
            consumer_group: DEFAULT_CONSUMER_GROUP.to_owned(),
            partitions: Partitions::These(vec!["0".to_owned()]),
            start: EventPosition::default(),
            prefetch: 300,
            owner_level: None,
            allowed: Vec::new(),
        }
    }
}

impl EventConsumerBuilder {
    /// Sets which hub and as whom: a service's connection string
    /// (`HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`), or the one of the hub's Event-Hubs-compatible endpoint
    /// (`Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`). Hosts may have a port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`], with the part that is wrong.
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        let wrong =
            |what: &str| Err(Error::new(ErrorKind::InvalidConnectionString, format!("the connection string {what}")));
        self.origin = Some(match ConnectionString::parse(text)? {
            ConnectionString::Service(string) => Origin::Hub(string),
            ConnectionString::EventHubs(string) if string.entity_path().is_none() => return wrong("has no EntityPath"),
            ConnectionString::EventHubs(string)
                if string.is_development_emulator() && !is_loopback(string.endpoint().host()) =>
            {
                return wrong("asks for UseDevelopmentEmulator, which is without TLS, on another machine");
            }
            ConnectionString::EventHubs(string) => Origin::EventHubs(string),
            ConnectionString::Device(_) => return wrong("is a device's, which may not read telemetry"),
        });
        Ok(self)
    }

    common_setters!();

    /// Sets the consumer group; `$Default` unless set.
    ///
    /// An [`EventProcessor`](crate::EventProcessor) needs a group of its own: it reads with an owner level, and the hub
    /// ends readers without one in the same group.
    pub fn consumer_group(mut self, name: impl Into<String>) -> Self {
        self.consumer_group = name.into();
        self
    }

    /// Sets the partition, such as `0`; that one unless set.
    pub fn partition(self, id: impl fmt::Display) -> Self {
        self.partitions([id])
    }

    /// Sets the partitions to those of these ids.
    pub fn partitions<I: fmt::Display>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.partitions = Partitions::These(ids.into_iter().map(|id| id.to_string()).collect());
        self
    }

    /// Reads all partitions that there are.
    pub fn all_partitions(mut self) -> Self {
        self.partitions = Partitions::All;
        self
    }

    /// Sets where to begin; [`EventPosition::Latest`] unless set.
    pub fn start(mut self, position: EventPosition) -> Self {
        self.start = position;
        self
    }

    /// Sets how many events are fetched ahead, at least 1; 300 unless set.
    pub fn prefetch(mut self, events: u32) -> Self {
        self.prefetch = events.max(1);
        self
    }

    /// Makes this the only consumer of the partition in its group: those with a lower level, or with none, are ended.
    pub fn owner_level(mut self, level: i64) -> Self {
        self.owner_level = Some(level);
        self
    }

    /// Sets an owner level where there is none.
    pub(crate) fn default_owner_level(mut self, level: i64) -> Self {
        self.owner_level.get_or_insert(level);
        self
    }

    /// Allows the hub to redirect to hosts of this domain, and to show them a token. Without this a redirect is
    /// followed to the host of the connection string itself, to the Event Hubs of the hub's own cloud, and from this
    /// machine to this machine.
    pub fn allow_redirect_to(mut self, domain: impl Into<String>) -> Self {
        self.allowed.push(domain.into());
        self
    }

    /// Connects, follows redirects, and attaches to the partitions. Each has a connection of its own.
    ///
    /// [`Auth::SaslPlain`](crate::Auth::SaslPlain) holds at the hub; the Event-Hubs-compatible endpoint is always
    /// shown a token by CBS.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] for credentials that the hub refuses, [`ErrorKind::NotFound`] for a partition or a
    /// consumer group that is not there, [`ErrorKind::Redirect`] for a redirect that may not be followed,
    /// [`ErrorKind::Superseded`] where there is a consumer with a higher owner level, [`ErrorKind::Connect`] where nothing
    /// listens, [`ErrorKind::Tls`] for a certificate that is not trusted, [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connections are closed.
    pub async fn connect(self) -> Result<EventConsumer, Error> {
        let partitions = match &self.partitions {
            Partitions::These(ids) => ids.clone(),
            Partitions::All => self.partition_ids().await?,
        };
        let readers = match &partitions[..] {
            [] => return Err(Error::invalid("a consumer needs a partition")),
            [one] => vec![self.read(one).await?],
            several => {
                let mut reading = tokio::task::JoinSet::new();
                for (index, id) in several.iter().enumerate() {
                    let (builder, id) = (self.clone(), id.clone());
                    reading.spawn(async move { (index, builder.read(&id).await) });
                }
                let mut readers = Vec::with_capacity(several.len());
                while let Some(read) = reading.join_next().await {
                    let (index, reader) = read.map_err(|error| {
                        Error::new(ErrorKind::Internal, "something broke in this program").with_source(error)
                    })?;
                    readers.push((index, reader?));
                }
                readers.sort_by_key(|(index, _)| *index);
                readers.into_iter().map(|(_, reader)| reader).collect()
            }
        };
        Ok(EventConsumer { readers, turn: 0, over: false })
    }

    async fn read(&self, partition: &str) -> Result<Reader, Error> {
        for (text, what) in [(self.consumer_group.as_str(), "consumer group"), (partition, "partition")] {
            if text.is_empty() || text.contains(['/', '?', '#']) || text.chars().any(char::is_control) {
                return Err(Error::invalid(format!("the name of the {what} cannot stand in an address")));
            }
        }
        let mut trail = self.trail(&format!("ConsumerGroups/{}/Partitions/{partition}", self.consumer_group))?;
        loop {
            let hub = trail.open().await?;
            match self.attach(&hub, trail.address()).await {
                Ok(receiver) => {
                    return Ok(Reader {
                        partition: partition.to_owned(),
                        address: trail.address().to_owned(),
                        position: self.start.clone(),
                        hub,
                        receiver,
                        ended: false,
                    });
                }
                Err(error) => trail.follow(&hub, error)?,
            }
        }
    }

    /// Asks the hub which partitions there are.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn partition_ids(&self) -> Result<Vec<String>, Error> {
        self.hub_properties().await.map(|properties| properties.partition_ids)
    }

    /// Asks what the built-in endpoint is: its name, and which partitions there are.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn hub_properties(&self) -> Result<EventHubProperties, Error> {
        EventHubProperties::read(&self.manage(None).await?)
    }

    /// Asks what is in a partition: from which event to which, and when the last one came.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn partition_properties(&self, id: impl fmt::Display) -> Result<PartitionProperties, Error> {
        PartitionProperties::read(&self.manage(Some(&id.to_string())).await?)
    }

    async fn manage(&self, partition: Option<&str>) -> Result<Map, Error> {
        let mut trail = self.trail(management::ADDRESS)?;
        loop {
            let hub = trail.open().await?;
            // A hub redirects by its own address; an endpoint has one node for all of its event hubs.
            let address = if trail.is_at_hub() { trail.address() } else { management::ADDRESS };
            match management::Node::attach(&hub.session, address).await {
                Ok(node) => {
                    let entity = path(trail.address()).trim_end_matches(management::ADDRESS).trim_end_matches('/');
                    return node.read(&hub, entity, partition).await;
                }
                Err(error) => trail.follow(&hub, error)?,
            }
        }
    }

    /// Which events of which hub these are, for a store of checkpoints: where the connection string leads, the event hub
    /// as it is known there, and the consumer group.
    pub(crate) fn scope(&self) -> (String, String, String) {
        let (host, hub) = match &self.origin {
            Some(Origin::Hub(string)) => (string.host().host(), string.host().short_name()),
            Some(Origin::EventHubs(string)) => (string.endpoint().host(), string.entity_path().unwrap_or_default()),
            None => ("", ""),
        };
        // Consumer groups are compared without case, and the vendor's libraries keep them in lower case.
        (host.to_ascii_lowercase(), hub.to_ascii_lowercase(), self.consumer_group.to_ascii_lowercase())
    }

    fn trail(&self, below: &str) -> Result<Trail<'_>, Error> {
        let none = || Error::new(ErrorKind::InvalidConnectionString, "an event consumer needs a connection string");
        Trail::new(self.origin.as_ref().ok_or_else(none)?, &self.settings, &self.allowed, below)
    }

    async fn attach(&self, hub: &Hub, address: &str) -> Result<Receiver, amqp1::Error> {
        let mut receiver = hub
            .session
            .receiver(address)
            .max_message_size(crate::connect::MAX_MESSAGE_SIZE)
            .filter(self.start.clone())
            // The service applies the filter whether or not its answer has it.
            .allow_differences()
            .credit(Credit::Window(self.prefetch))
            .on_drop(OnDrop::LeaveUnsettled);
        if let Some(level) = self.owner_level {
            receiver = receiver.property(OWNER_LEVEL, level);
        }
        receiver.attach().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EventConsumerBuilder, Error> {
        EventConsumerBuilder::default().connection_string(text)
    }

    #[test]
    fn without_tls_there_is_this_machine_only() {
        let text = |host: &str| {
            format!(
                "Endpoint=sb://{host};SharedAccessKeyName=p;SharedAccessKey=k;UseDevelopmentEmulator=true;EntityPath=e"
            )
        };
        assert!(parse(&text("localhost")).is_ok());
        let error = parse(&text("ns.example")).expect_err("another machine");
        assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
    }

    #[test]
    fn other_connection_strings_are_refused_with_their_reason() {
        for (text, part) in [
            ("HostName=h;DeviceId=d;SharedAccessKey=YWJj", "device"),
            ("Endpoint=sb://h/;SharedAccessKeyName=p;SharedAccessKey=k", "EntityPath"),
            ("HostName=h;SharedAccessKeyName=p", "SharedAccessKey"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn names_that_would_change_the_address_are_refused() {
        let builder = parse("HostName=h;SharedAccessKeyName=p;SharedAccessKey=YWJj").expect("a connection string");
        for builder in [builder.clone().consumer_group("a/b"), builder.clone().partition(""), builder.partition("0#")] {
            assert_eq!(builder.connect().await.expect_err("refused").kind(), ErrorKind::InvalidArgument);
        }
    }
}
