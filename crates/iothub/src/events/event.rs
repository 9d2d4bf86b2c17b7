use super::source::{AuthMethod, EventSource};
use crate::message::{Incoming, incoming_accessors};
use amqp1::{Message, codec::DecodeError};
use std::time::SystemTime;

/// An event of a partition: telemetry of a device, or what the hub itself has to say about one.
#[derive(Clone, Debug)]
pub struct Event {
    message: Incoming,
    partition: String,
}

impl Event {
    pub(super) fn new(message: &Message, partition: &str) -> Result<Self, DecodeError> {
        Incoming::read(message).map(|message| Self { message, partition: partition.to_owned() })
    }

    incoming_accessors!();

    /// The partition that it was read from.
    pub fn partition_id(&self) -> &str {
        &self.partition
    }

    /// Where the event is in its partition, for [`EventPosition::Offset`](crate::EventPosition::Offset).
    pub fn offset(&self) -> Option<&str> {
        self.message.text_annotation("x-opt-offset")
    }

    /// The event's number in its partition.
    pub fn sequence_number(&self) -> Option<i64> {
        self.message.integer_annotation("x-opt-sequence-number")
    }

    /// When the event came into its partition.
    pub fn enqueued_time(&self) -> Option<SystemTime> {
        self.message.time_annotation("x-opt-enqueued-time")
    }

    /// What the partition was chosen by: the device's id, for telemetry.
    pub fn partition_key(&self) -> Option<&str> {
        self.message.text_annotation("x-opt-partition-key")
    }

    /// The device that sent it.
    pub fn device_id(&self) -> Option<&str> {
        self.message.text_annotation("iothub-connection-device-id")
    }

    /// The module that sent it.
    pub fn module_id(&self) -> Option<&str> {
        self.message.text_annotation("iothub-connection-module-id")
    }

    /// When the hub received it.
    pub fn hub_enqueued_time(&self) -> Option<SystemTime> {
        self.message.time_annotation("iothub-enqueuedtime")
    }

    /// What the event is: telemetry of a device, or what the hub has to say about one.
    pub fn source(&self) -> Option<EventSource> {
        self.message.text_annotation("iothub-message-source").map(EventSource::from_name)
    }

    /// How the device had shown who it is.
    pub fn auth_method(&self) -> Option<AuthMethod> {
        self.message.text_annotation("iothub-connection-auth-method").and_then(AuthMethod::parse)
    }

    /// Tells the device from an earlier one of the same id.
    pub fn device_generation_id(&self) -> Option<&str> {
        self.message.text_annotation("iothub-connection-auth-generation-id")
    }

    /// The model of the device's data in the language of digital twins.
    pub fn model_id(&self) -> Option<&str> {
        self.message.text_annotation("dt-dataschema")
    }

    /// The component of the model that the data is of.
    pub fn component(&self) -> Option<&str> {
        self.message.text_annotation("dt-subject")
    }

    /// The interface that the data is of; security messages have `urn:azureiot:Security:SecurityAgent:1`.
    pub fn interface_id(&self) -> Option<&str> {
        self.message.text_annotation("iothub-interface-id")
    }

    /// The output that a module sent it to.
    pub fn output_name(&self) -> Option<&str> {
        self.property("iothub-outputname")
    }

    /// What happened, in an event of the hub's own: `updateTwin`, `deviceConnected`, `createDeviceIdentity` …
    pub fn operation(&self) -> Option<&str> {
        self.property("opType")
    }

    /// All that the hub says about the event.
    pub fn system_properties(&self) -> impl Iterator<Item = (&str, &amqp1::Value)> {
        self.message.annotations.iter().filter_map(|(name, value)| Some((name.as_text()?, value)))
    }

    /// When the device made it, by its own account.
    pub fn creation_time(&self) -> Option<SystemTime> {
        self.message.properties.creation_time.and_then(crate::time::from_timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::received;
    use amqp1::{
        Symbol, Value,
        message::{Timestamp, Uuid},
    };

    fn annotated(annotations: &[(&'static str, Value)]) -> Event {
        let mut builder = Message::builder().data("21").application_property("room", "3");
        for (name, value) in annotations {
            builder = builder.message_annotation(Symbol::from_static(name), value.clone());
        }
        Event::new(&received(builder), "3").expect("an event")
    }

    #[test]
    fn annotations_of_the_hub_are_read() {
        let time = crate::time::from_timestamp(Timestamp(1_795_378_051_123));
        let event = annotated(&[
            ("x-opt-sequence-number", 42i64.into()),
            ("x-opt-offset", "4096".into()),
            ("x-opt-enqueued-time", Timestamp(1_795_378_051_123).into()),
            ("x-opt-partition-key", "d1".into()),
            ("iothub-connection-device-id", "d1".into()),
            ("iothub-connection-module-id", "m1".into()),
            ("iothub-enqueuedtime", Timestamp(1_795_378_051_123).into()),
            ("iothub-message-source", "Telemetry".into()),
            ("iothub-connection-auth-method", r#"{"scope":"device","type":"sas","issuer":"iothub"}"#.into()),
            ("iothub-connection-auth-generation-id", "638".into()),
            ("dt-subject", "thermostat".into()),
        ]);
        assert_eq!((event.offset(), event.sequence_number()), (Some("4096"), Some(42)));
        assert_eq!((event.enqueued_time(), event.hub_enqueued_time()), (time, time));
        assert_eq!((event.device_id(), event.module_id(), event.partition_key()), (Some("d1"), Some("m1"), Some("d1")));
        assert_eq!((event.source(), event.property("room")), (Some(EventSource::Telemetry), Some("3")));
        assert_eq!(event.partition_id(), "3");
        let (scope, kind, issuer) = ("device".to_owned(), "sas".to_owned(), "iothub".to_owned());
        assert_eq!(event.auth_method(), Some(AuthMethod { scope, kind, issuer }));
        assert_eq!((event.device_generation_id(), event.component()), (Some("638"), Some("thermostat")));
        assert_eq!(event.system_properties().count(), 11);
        assert_eq!(&event.body()[..], b"21");
    }

    #[test]
    fn annotations_of_another_type_count_as_missing() {
        let event = annotated(&[
            ("x-opt-sequence-number", "42".into()),
            ("x-opt-offset", 7u32.into()),
            ("x-opt-enqueued-time", 5u64.into()),
        ]);
        assert_eq!((event.sequence_number(), event.offset(), event.enqueued_time()), (None, None, None));
    }

    #[test]
    fn ids_are_text_whatever_their_type() {
        let id = Uuid([0x11; 16]);
        let properties = amqp1::message::Properties { message_id: Some(id.into()), ..Default::default() };
        let event = Event::new(&received(Message::builder().properties(properties).data("")), "0").expect("an event");
        assert_eq!(event.message_id(), Some("11111111-1111-1111-1111-111111111111"));
    }
}
