use crate::{
    error::Error,
    message::{Outgoing, outgoing_setters},
    time::to_iso8601,
};
use amqp1::{Symbol, message::EncodedMessage};
use bytes::Bytes;
use std::time::SystemTime;

/// Telemetry of a device, at most 256 KB with its properties.
#[derive(Clone, Debug)]
pub struct Telemetry {
    message: Outgoing,
    subject: Option<String>,
    interface_id: Option<String>,
    message_schema: Option<String>,
    output_name: Option<String>,
}

impl Telemetry {
    /// Telemetry with this body.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            message: Outgoing::new(body),
            subject: None,
            interface_id: None,
            message_schema: None,
            output_name: None,
        }
    }

    outgoing_setters!();

    /// Sets when the device made it: creation-time (§3.2.4), and the application property
    /// `iothub-creation-time-utc`.
    #[must_use]
    pub fn creation_time(mut self, time: SystemTime) -> Self {
        self.message.creation_time = Some(time);
        self
    }

    /// Names the component of the device's model that it is about: the annotation `dt-subject`.
    #[must_use]
    pub fn subject(mut self, text: impl Into<String>) -> Self {
        self.subject = Some(text.into());
        self
    }

    /// Names the interface of the device's model: the annotation `iothub-interface-id`.
    #[must_use]
    pub fn interface_id(mut self, text: impl Into<String>) -> Self {
        self.interface_id = Some(text.into());
        self
    }

    /// Names the body's schema: the application property `iothub-message-schema`.
    #[must_use]
    pub fn message_schema(mut self, text: impl Into<String>) -> Self {
        self.message_schema = Some(text.into());
        self
    }

    /// Names a module's output: the application property `iothub-outputname`.
    #[must_use]
    pub fn output_name(mut self, text: impl Into<String>) -> Self {
        self.output_name = Some(text.into());
        self
    }

    pub(super) fn encode(&self) -> Result<EncodedMessage, Error> {
        let mut builder = self.message.to_builder(None)?;
        for (name, value) in [("dt-subject", &self.subject), ("iothub-interface-id", &self.interface_id)] {
            if let Some(value) = value {
                builder = builder.message_annotation(Symbol::from_static(name), value.as_str());
            }
        }
        for (name, value) in [
            ("iothub-creation-time-utc", &self.message.creation_time.map(to_iso8601)),
            ("iothub-message-schema", &self.message_schema),
            ("iothub-outputname", &self.output_name),
        ] {
            if let Some(value) = value {
                builder = builder.application_property(name, value.as_str());
            }
        }
        Ok(builder.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::received;
    use amqp1::message::{MessageId, Timestamp};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn every_property_has_its_place_in_the_message() {
        let telemetry = Telemetry::new("21")
            .message_id("t1")
            .content_type("text/plain")
            .creation_time(UNIX_EPOCH + Duration::from_millis(1_795_378_051_123))
            .subject("thermostat")
            .interface_id("dtmi:x;1")
            .message_schema("s")
            .output_name("out")
            .property("room", "3");
        let message = received(telemetry.encode().expect("telemetry"));
        let properties = message.properties().expect("decodes").expect("properties");
        assert_eq!(properties.message_id, Some(MessageId::from("t1")));
        assert_eq!(properties.creation_time, Some(Timestamp(1_795_378_051_123)));
        assert_eq!(properties.to, None);
        let annotation = |name| message.message_annotation(name).expect("decodes").and_then(|value| value.as_text());
        assert_eq!(annotation("dt-subject"), Some("thermostat"));
        assert_eq!(annotation("iothub-interface-id"), Some("dtmi:x;1"));
        let property = |name| message.application_property(name).expect("decodes").and_then(|value| value.as_text());
        assert_eq!(property("iothub-creation-time-utc"), Some("2026-11-22T20:07:31.123Z"));
        assert_eq!(property("iothub-message-schema"), Some("s"));
        assert_eq!(property("iothub-outputname"), Some("out"));
        assert_eq!(property("room"), Some("3"));
    }
}
