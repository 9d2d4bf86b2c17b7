use crate::{
    error::Error,
    message::{Outgoing, device_path, outgoing_setters},
};
use amqp1::message::EncodedMessage;
use bytes::Bytes;

/// Which outcomes of a message the hub is to give feedback about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ack {
    /// None.
    #[default]
    None,
    /// That the device has completed it.
    Positive,
    /// That it expired, was rejected, or was delivered too often.
    Negative,
    /// All of them.
    Full,
}

impl Ack {
    /// The value of the application property `iothub-ack`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Full => "full",
        }
    }

    /// The mode of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::None, Self::Positive, Self::Negative, Self::Full];
        all.into_iter().find(|ack| ack.as_str().eq_ignore_ascii_case(name))
    }
}

/// The application property that asks for feedback.
pub(crate) const ACK: &str = "iothub-ack";

/// A message for a device, at most 64 KB with its properties.
#[derive(Clone, Debug)]
pub struct CloudMessage {
    message: Outgoing,
    ack: Ack,
}

impl CloudMessage {
    /// A message with this body.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { message: Outgoing::new(body), ack: Ack::None }
    }

    outgoing_setters!();

    /// Asks for feedback. The message then needs a [`message_id`](Self::message_id), by which feedback names it.
    #[must_use]
    pub fn ack(mut self, ack: Ack) -> Self {
        self.ack = ack;
        self
    }

    pub(super) fn encode(&self, device: &str, module: Option<&str>) -> Result<EncodedMessage, Error> {
        if device.is_empty() || module.is_some_and(str::is_empty) {
            return Err(Error::invalid("the id of the device or of the module is empty"));
        }
        if self.ack != Ack::None && self.message.message_id.is_none() {
            // The hub would take it and never say a word about it.
            return Err(Error::invalid("a message that asks for feedback needs a message id"));
        }
        let to = format!("{}/messages/devicebound", device_path(device, module));
        let builder = self.message.to_builder(Some(to))?;
        Ok(match self.ack {
            Ack::None => builder.build(),
            ack => builder.application_property(ACK, ack.as_str()).build(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorKind, message::tests::received};
    use amqp1::message::{MessageId, Timestamp};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn every_property_has_its_place_in_the_message() {
        let message = CloudMessage::new("body")
            .message_id("m1")
            .correlation_id("c1")
            .user_id(&b"user"[..])
            .expiry(UNIX_EPOCH + Duration::from_millis(1_795_378_051_123))
            .content_type("application/json")
            .content_encoding("utf-8")
            .ack(Ack::Full)
            .property("level", "3");
        let message = received(message.encode("dev#1", None).expect("a message"));
        let properties = message.properties().expect("properties").expect("some");
        assert_eq!(properties.message_id, Some(MessageId::from("m1")));
        assert_eq!(properties.correlation_id, Some(MessageId::from("c1")));
        assert_eq!(properties.user_id.as_deref(), Some(&b"user"[..]));
        assert_eq!(properties.to.as_deref(), Some("/devices/dev%231/messages/devicebound"));
        assert_eq!(properties.absolute_expiry_time, Some(Timestamp(1_795_378_051_123)));
        assert_eq!(properties.content_type.as_deref(), Some("application/json"));
        assert_eq!(properties.content_encoding.as_deref(), Some("utf-8"));
        let text = |name| message.application_property(name).expect("decodes").and_then(|value| value.as_text());
        assert_eq!((text("iothub-ack"), text("level")), (Some("full"), Some("3")));
        assert_eq!(message.data().as_deref(), Some(&b"body"[..]));
    }

    #[test]
    fn a_module_is_addressed_below_its_device() {
        let message = received(CloudMessage::new("").encode("d", Some("m")).expect("a message"));
        let to = message.properties().expect("properties").and_then(|properties| properties.to);
        assert_eq!(to.as_deref(), Some("/devices/d/modules/m/messages/devicebound"));
        assert!(message.application_properties().expect("decodes").is_none());
    }

    #[test]
    fn feedback_that_could_never_come_is_refused() {
        let error = CloudMessage::new("x").ack(Ack::Positive).encode("d", None).expect_err("no id");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(CloudMessage::new("x").encode("", None).is_err());
    }

    #[test]
    fn ack_modes_have_the_hubs_names() {
        for (ack, name) in
            [(Ack::None, "none"), (Ack::Positive, "positive"), (Ack::Negative, "negative"), (Ack::Full, "full")]
        {
            assert_eq!(ack.as_str(), name);
            assert_eq!(Ack::from_name(&name.to_uppercase()), Some(ack));
        }
        assert_eq!(Ack::from_name("some"), None);
    }
}
