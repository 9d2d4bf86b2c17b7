//! What all messages of a hub have in common.

mod body;

pub use body::MessageBody;

use crate::{
    error::Error,
    time::{from_timestamp, to_timestamp},
};
use amqp1::{
    Message, MessageBuilder, Symbol, Value,
    auth::sas::PercentEncoding,
    codec::printable::bounded_debug,
    message::{Annotations, ApplicationProperties, MessageId, Properties},
};
use bytes::Bytes;
use std::{fmt, time::SystemTime};

/// The longest message id, in characters; the hub's limit.
const MAX_ID: usize = 128;

/// Names that start so belong to the hub.
const RESERVED: &str = "iothub-";

/// Checks what the hub's documentation allows in a message id.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@$'".contains(&octet);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(allowed) {
        return Err(Error::invalid(
            "a message id has up to 128 ASCII letters, digits and characters of -:.+%_#*?!(),=@$'",
        ));
    }
    Ok(())
}

/// Properties of a message to the hub or to a device, as the caller gave them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) body: Bytes,
    pub(crate) message_id: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) user_id: Option<Bytes>,
    pub(crate) expiry: Option<SystemTime>,
    pub(crate) creation_time: Option<SystemTime>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) properties: Vec<(String, String)>,
}

impl Outgoing {
    pub(crate) fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// The message, apart from what is special to its kind.
    pub(crate) fn to_builder(&self, to: Option<String>) -> Result<MessageBuilder, Error> {
        if let Some(id) = &self.message_id {
            check_id(id)?;
        }
        let symbol = |text: &Option<String>, what: &str| match text {
            Some(text) => Symbol::new(text.as_str())
                .map(Some)
                .map_err(|error| Error::invalid(format!("the {what} is not ASCII")).with_source(error)),
            None => Ok(None),
        };
        if self.content_encoding.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("identity")) {
            return Err(Error::invalid("AMQP has no content encoding \"identity\": leave it out"));
        }
        let properties = Properties {
            message_id: self.message_id.clone().map(MessageId::from),
            user_id: self.user_id.clone(),
            to: to.map(Into::into),
            correlation_id: self.correlation_id.clone().map(MessageId::from),
            content_type: symbol(&self.content_type, "content type")?,
            content_encoding: symbol(&self.content_encoding, "content encoding")?,
            absolute_expiry_time: self.expiry.map(to_timestamp),
            creation_time: self.creation_time.map(to_timestamp),
            ..Properties::default()
        };
        let mut builder = Message::builder().data(self.body.clone());
        if properties != Properties::default() {
            builder = builder.properties(properties);
        }
        for (name, value) in &self.properties {
            if name.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED)) {
                return Err(Error::invalid(format!(
                    "the property {name:?} is the hub's: names beginning with {RESERVED} are"
                )));
            }
            builder = builder.application_property(name.as_str(), value.as_str());
        }
        Ok(builder)
    }
}

/// Setters that outgoing messages share.
macro_rules! outgoing_setters {
    () => {
        /// Names the message: up to 128 ASCII letters, digits and some punctuation.
        #[must_use]
        pub fn message_id(mut self, id: impl Into<String>) -> Self {
            self.message.message_id = Some(id.into());
            self
        }

        /// Says which message this one belongs to.
        #[must_use]
        pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
            self.message.correlation_id = Some(id.into());
            self
        }

        /// Says who made the message.
        #[must_use]
        pub fn user_id(mut self, id: impl Into<bytes::Bytes>) -> Self {
            self.message.user_id = Some(id.into());
            self
        }

        /// Sets when the message is no longer of use (absolute-expiry-time, §3.2.4).
        #[must_use]
        pub fn expiry(mut self, time: std::time::SystemTime) -> Self {
            self.message.expiry = Some(time);
            self
        }

        /// Sets the body's MIME type, such as `application/json`; ASCII.
        #[must_use]
        pub fn content_type(mut self, text: impl Into<String>) -> Self {
            self.message.content_type = Some(text.into());
            self
        }

        /// Sets how the body is encoded, such as `utf-8`; ASCII.
        #[must_use]
        pub fn content_encoding(mut self, text: impl Into<String>) -> Self {
            self.message.content_encoding = Some(text.into());
            self
        }

        /// Adds a property of the application's own. Names that begin with `iothub-` are the hub's.
        #[must_use]
        pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.message.properties.push((name.into(), value.into()));
            self
        }
    };
}
pub(crate) use outgoing_setters;

/// A received message, taken apart once.
#[derive(Clone)]
pub(crate) struct Incoming {
    pub(crate) body: Bytes,
    pub(crate) content: MessageBody,
    pub(crate) message_id: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) properties: Properties,
    pub(crate) application: ApplicationProperties,
    pub(crate) annotations: Annotations,
    pub(crate) delivery_count: Option<u32>,
}

impl fmt::Debug for Incoming {
    /// Of the body how long it is: what it holds may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            body,
            content: _,
            message_id: _,
            correlation_id: _,
            properties,
            application,
            annotations,
            delivery_count,
        } = self;
        bounded_debug(f, |f| {
            f.debug_struct("Incoming")
                .field("body", &format_args!("{} octets", body.len()))
                .field("properties", properties)
                .field("application", application)
                .field("annotations", annotations)
                .field("delivery_count", delivery_count)
                .finish()
        })
    }
}

impl Incoming {
    pub(crate) fn new(message: &Message) -> Result<Self, Error> {
        Self::read(message).map_err(|error| {
            Error::protocol("the hub did not keep to the protocol: a message cannot be decoded").with_source(error)
        })
    }

    pub(crate) fn read(message: &Message) -> Result<Self, amqp1::codec::DecodeError> {
        // A property that cannot be read costs no message.
        let properties = message.properties_ref()?.map(|properties| properties.readable()).unwrap_or_default();
        let content = MessageBody::new(message)?;
        Ok(Self {
            body: content.octets(),
            content,
            message_id: properties.message_id.as_ref().map(ToString::to_string),
            correlation_id: properties.correlation_id.as_ref().map(ToString::to_string),
            properties,
            application: message.application_properties()?.unwrap_or_default(),
            annotations: message.message_annotations()?.unwrap_or_default(),
            delivery_count: message.header()?.map(|header| header.delivery_count),
        })
    }

    pub(crate) fn text_annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).and_then(Value::as_text)
    }

    pub(crate) fn integer_annotation<T: TryFrom<i128>>(&self, name: &str) -> Option<T> {
        self.annotations.get(name).and_then(Value::as_integer).and_then(|number| T::try_from(number).ok())
    }

    pub(crate) fn time_annotation(&self, name: &str) -> Option<SystemTime> {
        match self.annotations.get(name) {
            Some(Value::Timestamp(time)) => from_timestamp(*time),
            _ => None,
        }
    }

    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.application.get(name).and_then(Value::as_text)
    }
}

/// Accessors that received messages share; they have a field `message`.
macro_rules! incoming_accessors {
    () => {
        /// The body's octets; of a body that is an amqp-value, its text or its octets.
        pub fn body(&self) -> &bytes::Bytes {
            &self.message.body
        }

        /// The body, whatever kind it is of: octets, a value of AMQP's types, or lists of them.
        pub fn content(&self) -> &$crate::MessageBody {
            &self.message.content
        }

        /// The message's name as text, whatever AMQP type it has.
        pub fn message_id(&self) -> Option<&str> {
            self.message.message_id.as_deref()
        }

        /// The message that this one belongs to.
        pub fn correlation_id(&self) -> Option<&str> {
            self.message.correlation_id.as_deref()
        }

        /// Who made the message, by that one's own account.
        pub fn user_id(&self) -> Option<&[u8]> {
            self.message.properties.user_id.as_deref()
        }

        /// The address that the message is for.
        pub fn to(&self) -> Option<&str> {
            self.message.properties.to.as_deref()
        }

        /// When the message is no longer of use.
        pub fn expiry(&self) -> Option<std::time::SystemTime> {
            self.message.properties.absolute_expiry_time.and_then($crate::time::from_timestamp)
        }

        /// The body's MIME type.
        pub fn content_type(&self) -> Option<&str> {
            self.message.properties.content_type.as_deref()
        }

        /// How the body is encoded.
        pub fn content_encoding(&self) -> Option<&str> {
            self.message.properties.content_encoding.as_deref()
        }

        /// A property of the application's, if it is a text.
        pub fn property(&self, name: &str) -> Option<&str> {
            self.message.property(name)
        }

        /// The properties of the application, and those that the hub keeps among them.
        pub fn properties(&self) -> impl Iterator<Item = (&str, &amqp1::Value)> {
            self.message.application.iter().filter_map(|(name, value)| Some((name.as_text()?, value)))
        }

        /// A message annotation: what the hub says about the message.
        pub fn annotation(&self, name: &str) -> Option<&amqp1::Value> {
            self.message.annotations.get(name)
        }
    };
}
pub(crate) use incoming_accessors;

/// The path of a device or of a module of it, to be put before the kind of link.
pub(crate) fn device_path(device: &str, module: Option<&str>) -> String {
    let encode = |id| PercentEncoding::Component.encode(id);
    match module {
        Some(module) => format!("/devices/{}/modules/{}", encode(device), encode(module)),
        None => format!("/devices/{}", encode(device)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use amqp1::message::{Body, EncodedMessage};

    /// A message as it arrives.
    pub(crate) fn received(message: impl Into<EncodedMessage>) -> Message {
        Message::from_chunks(message.into().into_parts()).expect("our own message")
    }

    #[test]
    fn debug_of_a_message_is_bounded_and_does_not_show_its_body() {
        let hostile = "a\n\u{1b}[2J\u{202e}".repeat(2000);
        let built = Message::builder().application_property("text", hostile.as_str()).data("geheim").build();
        let message = Message::from_chunks(built.into_parts()).expect("a message");
        let shown = format!("{:?}", Incoming::new(&message).expect("readable"));
        assert!(shown.contains("6 octets") && !shown.contains("geheim"), "{shown}");
        assert!(shown.len() <= amqp1::codec::printable::MAX_REPORT, "{} octets", shown.len());
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    }

    #[test]
    fn ids_are_percent_encoded_in_addresses() {
        assert_eq!(device_path("dev-1", None), "/devices/dev-1");
        assert_eq!(device_path("a#b%", Some("m=1")), "/devices/a%23b%25/modules/m%3D1");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_it_is_sent() {
        let refused = |message: Outgoing| message.to_builder(None).expect_err("refused").to_string();
        let message = Outgoing::new("x");
        assert!(refused(Outgoing { message_id: Some("a b".into()), ..message.clone() }).contains("message id"));
        assert!(refused(Outgoing { message_id: Some("x".repeat(129)), ..message.clone() }).contains("message id"));
        assert!(refused(Outgoing { content_type: Some("tëxt".into()), ..message.clone() }).contains("content type"));
        let reserved = vec![("IoTHub-ack".to_owned(), "full".to_owned())];
        assert!(refused(Outgoing { properties: reserved, ..message }).contains("iothub-"));
    }

    /// What describes a body of octets stands with such a body.
    #[test]
    fn m_3_2_4_4_content_type_and_encoding_go_with_data() {
        for (content_type, content_encoding, body) in [
            (Some("application/json"), Some("utf-8"), "{}"),
            (Some("application/json"), None, "{}"),
            (None, Some("gzip"), "{}"),
            (Some("text/plain"), Some("utf-8"), ""),
        ] {
            let message = Outgoing {
                content_type: content_type.map(str::to_owned),
                content_encoding: content_encoding.map(str::to_owned),
                ..Outgoing::new(body)
            };
            let message = received(message.to_builder(None).expect("a message"));
            let properties = message.properties().expect("readable").expect("some");
            assert_eq!(properties.content_type.as_ref().map(|text| text.as_str()), content_type);
            assert_eq!(properties.content_encoding.as_ref().map(|text| text.as_str()), content_encoding);
            assert!(matches!(message.body(), Body::Data(_)), "{content_type:?} {content_encoding:?}");
            assert_eq!(message.data().as_deref(), Some(body.as_bytes()));
        }
        for text in ["identity", "Identity"] {
            let message = Outgoing { content_encoding: Some(text.into()), ..Outgoing::new("x") };
            assert!(message.to_builder(None).expect_err("refused").to_string().contains("identity"));
        }
    }

    #[test]
    fn a_message_without_properties_has_no_properties_section() {
        let message = received(Outgoing::new("x").to_builder(None).expect("a message"));
        assert_eq!(message.properties(), Ok(None));
        assert_eq!(message.data().as_deref(), Some(&b"x"[..]));
    }
}
