//! Messages to send.

use super::EncodedMessage;
use crate::{
    Encode, EncodeStyle, Str, Symbol, Value,
    messaging::{Annotations, ApplicationProperties, Header, Properties, section_code as section},
    types::{encode_list, format_code as code},
    write,
};
use alloc::{vec, vec::Vec};
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt;

/// Puts a message together, section by section; they are written in the specification's order whatever the order of
/// the calls.
///
/// ```
/// use amqp1_codec::Message;
///
/// let sent = Message::builder()
///     .durable(true)
///     .message_id("m1")
///     .subject("greeting")
///     .content_type("text/plain")
///     .application_property("colour", "green")
///     .data("hello")
///     .build();
///
/// let received = Message::from_chunks(sent.into_parts())?;
/// assert_eq!(received.text()?.as_deref(), Some("hello"));
/// let properties = received.properties()?.unwrap_or_default();
/// assert_eq!(properties.subject.as_deref(), Some("greeting"));
/// # Ok::<(), amqp1_codec::DecodeError>(())
/// ```
#[derive(Clone, Default)]
pub struct MessageBuilder {
    pub(super) header: Option<Header>,
    delivery_annotations: Annotations,
    message_annotations: Annotations,
    pub(crate) properties: Option<Properties>,
    application_properties: ApplicationProperties,
    body: BuiltBody,
    footer: Annotations,
    style: EncodeStyle,
}

#[derive(Clone, Default)]
enum BuiltBody {
    #[default]
    Empty,
    Data(Vec<Bytes>),
    Sequence(Vec<Vec<Value>>),
    Value(Value),
}

impl fmt::Debug for MessageBuilder {
    /// How much there is of each section; what they hold may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBuilder")
            .field("header", &self.header)
            .field("delivery_annotations", &self.delivery_annotations.len())
            .field("message_annotations", &self.message_annotations.len())
            .field("properties", &self.properties.is_some())
            .field("application_properties", &self.application_properties.len())
            .field("body", &self.body)
            .field("footer", &self.footer.len())
            .finish()
    }
}

impl fmt::Debug for BuiltBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Data(sections) => write!(f, "Data({} octets)", sections.iter().map(Bytes::len).sum::<usize>()),
            Self::Sequence(sections) => write!(f, "Sequence({} values)", sections.iter().map(Vec::len).sum::<usize>()),
            Self::Value(_) => f.write_str("Value(..)"),
        }
    }
}

/// Bodies up to this size are copied behind the sections, which is cheaper than to share them.
const COPIED: usize = 1024;

/// The size of a buffer that messages share, in octets, unless one of them needs more.
const BLOCK: usize = 16 * 1024;

impl MessageBuilder {
    /// Sets the whole header. [`durable`](Self::durable) and the like set one field of it.
    #[must_use]
    pub fn header(mut self, header: Header) -> Self {
        self.header = Some(header);
        self
    }

    /// Adds a delivery annotation.
    #[must_use]
    pub fn delivery_annotation(mut self, key: impl Into<Symbol>, value: impl Into<Value>) -> Self {
        self.delivery_annotations.insert(key, value);
        self
    }

    /// Adds a message annotation.
    #[must_use]
    pub fn message_annotation(mut self, key: impl Into<Symbol>, value: impl Into<Value>) -> Self {
        self.message_annotations.insert(key, value);
        self
    }

    /// Sets all message annotations.
    #[must_use]
    pub fn message_annotations(mut self, annotations: Annotations) -> Self {
        self.message_annotations = annotations;
        self
    }

    /// Sets all properties that the specification defines. [`message_id`](Self::message_id) and the like set one of them.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = Some(properties);
        self
    }

    /// The properties that are set so far, to be changed. A message whose properties are all unset has the section still.
    pub fn properties_mut(&mut self) -> &mut Properties {
        self.properties.get_or_insert_default()
    }

    /// Adds an application property.
    #[must_use]
    pub fn application_property(mut self, key: impl Into<Str>, value: impl Into<Value>) -> Self {
        self.application_properties.insert(key, value);
        self
    }

    /// Sets all application properties.
    #[must_use]
    pub fn application_properties(mut self, properties: ApplicationProperties) -> Self {
        self.application_properties = properties;
        self
    }

    /// Adds a data section; a body of another kind is replaced.
    #[must_use]
    pub fn data(mut self, octets: impl Into<Bytes>) -> Self {
        match &mut self.body {
            BuiltBody::Data(sections) => sections.push(octets.into()),
            body => *body = BuiltBody::Data(vec![octets.into()]),
        }
        self
    }

    /// Makes the body this one data section.
    #[cfg(feature = "json")]
    pub(crate) fn sole_data(mut self, octets: Vec<u8>) -> Self {
        self.body = BuiltBody::Data(vec![octets.into()]);
        self
    }

    /// Adds an amqp-sequence section; a body of another kind is replaced.
    #[must_use]
    pub fn sequence(mut self, values: Vec<Value>) -> Self {
        match &mut self.body {
            BuiltBody::Sequence(sections) => sections.push(values),
            body => *body = BuiltBody::Sequence(vec![values]),
        }
        self
    }

    /// Makes the body an amqp-value section.
    #[must_use]
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        self.body = BuiltBody::Value(value.into());
        self
    }

    /// Makes the body an amqp-value section of a type of one's own, by way of [`serde`](crate::serde).
    ///
    /// # Errors
    ///
    /// As [`to_value`](crate::serde::to_value): if the type holds what AMQP has no form for. That is the program's
    /// fault, and trying again does not help.
    #[cfg(feature = "serde")]
    pub fn serialized<T: ::serde::Serialize + ?Sized>(self, value: &T) -> Result<Self, crate::serde::Error> {
        crate::serde::to_value(value).map(|value| self.value(value))
    }

    /// Adds an entry to the footer.
    #[must_use]
    pub fn footer(mut self, key: impl Into<Symbol>, value: impl Into<Value>) -> Self {
        self.footer.insert(key, value);
        self
    }

    /// Sets how the sections are written.
    #[must_use]
    pub fn style(mut self, style: EncodeStyle) -> Self {
        self.style = style;
        self
    }

    /// Encodes the message. Data of more than 1 KiB is shared, not copied.
    #[must_use]
    pub fn build(self) -> EncodedMessage {
        let mut out = BytesMut::with_capacity(self.room());
        let mut message = EncodedMessage::default();
        self.write_in_pieces(&mut message, &mut out);
        message.push(out.freeze());
        message
    }

    /// Encodes the message as [`build`](Self::build) does, into a buffer that many messages share: nothing is allocated while
    /// there is room in it, and when the messages that were encoded into it are dropped, their room is used again. What the
    /// buffer holds is dropped. Each message keeps the whole buffer alive.
    #[must_use]
    pub fn build_in(self, buffer: &mut BytesMut) -> EncodedMessage {
        let room = self.room();
        in_shared(buffer, room, |message, out| self.write_in_pieces(message, out))
    }

    /// As many octets as most messages like this take, but for data that is shared.
    fn room(&self) -> usize {
        /// Octets of a header and properties.
        const HEAD: usize = 192;
        /// Octets of an entry of a map.
        const ENTRY: usize = 48;
        let maps = [&self.delivery_annotations, &self.message_annotations, &self.footer];
        let entries = maps.iter().map(|map| map.len()).sum::<usize>().saturating_add(self.application_properties.len());
        let body = match &self.body {
            BuiltBody::Data(sections) => {
                let copied = |octets: &Bytes| if octets.len() <= COPIED { octets.len() } else { 0 };
                sections.iter().fold(0_usize, |sum, octets| sum.saturating_add(copied(octets)).saturating_add(8))
            }
            _ => HEAD,
        };
        HEAD.saturating_add(entries.saturating_mul(ENTRY)).saturating_add(body)
    }

    /// Encodes the message; its last piece stays in `out`.
    fn write_in_pieces(mut self, message: &mut EncodedMessage, out: &mut BytesMut) {
        self.write_head(out);
        match core::mem::take(&mut self.body) {
            BuiltBody::Data(sections) => {
                for octets in sections {
                    data_header(octets.len(), out);
                    if octets.len() <= COPIED {
                        out.put_slice(&octets);
                    } else {
                        message.push(out.split().freeze());
                        message.push(octets);
                    }
                }
            }
            body => {
                self.body = body;
                self.write_body(out);
            }
        }
        self.write_footer(out);
    }

    /// Appends the encoded message to `out`, its body included: for a buffer that is used again and again. Large data
    /// is better shared, as [`build`](Self::build) does.
    pub fn encode(&self, out: &mut BytesMut) {
        self.write_head(out);
        self.write_body(out);
        self.write_footer(out);
    }

    fn write_head(&self, out: &mut BytesMut) {
        let style = self.style;
        if let Some(header) = &self.header {
            header.encode(style, out);
        }
        annotations(section::DELIVERY_ANNOTATIONS, &self.delivery_annotations, style, out);
        annotations(section::MESSAGE_ANNOTATIONS, &self.message_annotations, style, out);
        if let Some(properties) = &self.properties {
            properties.encode(style, out);
        }
        if !self.application_properties.is_empty() {
            write::descriptor(section::APPLICATION_PROPERTIES, out);
            self.application_properties.encode(style, out);
        }
    }

    fn write_body(&self, out: &mut BytesMut) {
        match &self.body {
            BuiltBody::Empty => {}
            BuiltBody::Data(sections) => {
                for octets in sections {
                    data_header(octets.len(), out);
                    out.put_slice(octets);
                }
            }
            BuiltBody::Sequence(sections) => {
                for values in sections {
                    write::descriptor(section::AMQP_SEQUENCE, out);
                    encode_list(values, self.style, out);
                }
            }
            BuiltBody::Value(value) => {
                write::descriptor(section::AMQP_VALUE, out);
                value.encode(self.style, out);
            }
        }
    }

    fn write_footer(&self, out: &mut BytesMut) {
        annotations(section::FOOTER, &self.footer, self.style, out);
    }
}

pub(super) fn annotations(number: u8, annotations: &Annotations, style: EncodeStyle, out: &mut BytesMut) {
    if !annotations.is_empty() {
        write::descriptor(number, out);
        annotations.encode(style, out);
    }
}

/// Encodes a message into a buffer that many share, of which it needs about `room` octets.
#[inline(always)]
fn in_shared(
    buffer: &mut BytesMut,
    room: usize,
    write: impl FnOnce(&mut EncodedMessage, &mut BytesMut),
) -> EncodedMessage {
    buffer.clear();
    if buffer.capacity() < room {
        buffer.reserve(room.max(BLOCK));
    }
    let mut message = EncodedMessage::default();
    write(&mut message, buffer);
    let is_large = buffer.capacity() > BLOCK.saturating_mul(4);
    message.push(buffer.split().freeze());
    if is_large {
        // A buffer that has grown for one message is not kept for the small ones after it.
        *buffer = BytesMut::new();
    }
    message
}

/// A message of one data section, with a copy of the octets. Few are written into the buffer that messages share.
pub(super) fn copied_data(octets: &[u8], buffer: Option<&mut BytesMut>) -> EncodedMessage {
    let room = octets.len().saturating_add(8);
    let write = |out: &mut BytesMut| {
        data_header(octets.len(), out);
        out.put_slice(octets);
    };
    match buffer {
        Some(buffer) if octets.len() <= COPIED => in_shared(buffer, room, |_, out| write(out)),
        _ => {
            let mut out = BytesMut::with_capacity(room);
            write(&mut out);
            EncodedMessage::from_parts([out.freeze()])
        }
    }
}

/// A message of one data section. Few octets are copied, as [`copied_data`] does, and many are shared.
pub(super) fn data(octets: impl Into<Bytes> + AsRef<[u8]>, buffer: Option<&mut BytesMut>) -> EncodedMessage {
    if octets.as_ref().len() <= COPIED {
        copied_data(octets.as_ref(), buffer)
    } else {
        MessageBuilder::default().data(octets).build()
    }
}

/// All of a data section but its octets.
fn data_header(length: usize, out: &mut BytesMut) {
    write::descriptor(section::DATA, out);
    match u8::try_from(length) {
        Ok(length) => out.put_slice(&[code::VBIN8, length]),
        Err(_) => {
            out.put_u8(code::VBIN32);
            out.put_u32(write::saturating_u32(length));
        }
    }
}
