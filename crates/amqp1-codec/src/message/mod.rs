//! Whole messages (§3.2): received ones, whose sections are found once and decoded when asked for, and ones to send.

mod body;
mod build;
mod cursor;
mod scan;

pub use body::{Body, BodyValue, DataSection, DataSections, Sequences};
pub use build::{EncodedMessage, MessageBuilder};

use crate::{
    Decode, DecodeError, DecodeErrorKind, Limits, Reader, Value, ValueRef,
    messaging::{Annotations, ApplicationProperties, Header, Properties, section_code},
};
use alloc::vec::Vec;
use bytes::Bytes;
use scan::Index;

/// A received message.
///
/// The payload may have come in several transfers; data sections stay in the chunks that they came in.
///
/// ```
/// use amqp1_codec::{Message, messaging::Properties};
///
/// let sent = Message::builder()
///     .properties(Properties { message_id: Some("m1".into()), ..Properties::default() })
///     .application_property("colour", "green")
///     .data("hello")
///     .build();
/// let received = Message::from_chunks(sent.chunks().cloned())?;
/// assert_eq!(received.application_property("colour")?.and_then(|value| value.as_text()), Some("green"));
/// assert_eq!(received.data().as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), amqp1_codec::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Message {
    /// The sections before the body, one after another.
    head: Bytes,
    /// The body's sections, in the chunks they came in.
    body: Chunks,
    /// The footer.
    tail: Bytes,
    index: Index,
    limits: Limits,
}

/// Octets in one piece or in several.
#[derive(Clone, Debug)]
pub(crate) enum Chunks {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Chunks {
    pub(crate) fn as_slice(&self) -> &[Bytes] {
        match self {
            Self::One(chunk) => core::slice::from_ref(chunk),
            Self::Many(chunks) => chunks,
        }
    }
}

impl Message {
    /// A message to send.
    pub fn builder() -> MessageBuilder {
        MessageBuilder::default()
    }

    /// Finds the sections of a message that came in one piece.
    ///
    /// # Errors
    ///
    /// If the octets are not message sections in their order.
    pub fn from_bytes(payload: Bytes) -> Result<Self, DecodeError> {
        Self::with_limits(Chunks::One(payload), Limits::DEFAULT)
    }

    /// Finds the sections of a message that came in several pieces.
    ///
    /// # Errors
    ///
    /// If the octets are not message sections in their order.
    pub fn from_chunks(chunks: impl IntoIterator<Item = Bytes>) -> Result<Self, DecodeError> {
        Self::from_chunks_with_limits(chunks, Limits::DEFAULT)
    }

    /// As [`from_chunks`](Self::from_chunks), with these limits.
    ///
    /// # Errors
    ///
    /// If the octets are not message sections in their order; if a body section is missing and the limits are strict.
    pub fn from_chunks_with_limits(
        chunks: impl IntoIterator<Item = Bytes>,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        let mut chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
        let first = chunks.next().unwrap_or_default();
        let Some(second) = chunks.next() else { return Self::with_limits(Chunks::One(first), limits) };
        let mut all = Vec::from([first, second]);
        all.extend(chunks);
        Self::with_limits(Chunks::Many(all), limits)
    }

    fn with_limits(chunks: Chunks, limits: Limits) -> Result<Self, DecodeError> {
        scan::scan(chunks, limits)
    }

    fn section<T: Decode>(&self, range: Option<&scan::Range>) -> Result<Option<T>, DecodeError> {
        let Some(octets) = range.and_then(|range| range.of(&self.head)) else { return Ok(None) };
        let mut reader = Reader::part(&self.head, octets, self.limits);
        let value = T::decode(&mut reader)?;
        reader.finish()?;
        Ok(Some(value))
    }

    /// The header (§3.2.1).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn header(&self) -> Result<Option<Header>, DecodeError> {
        let Some(octets) = self.index.header.as_ref().and_then(|range| range.of(&self.head)) else { return Ok(None) };
        Header::decode_fields(&mut Reader::part(&self.head, octets, self.limits)).map(Some)
    }

    /// The delivery annotations (§3.2.2).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn delivery_annotations(&self) -> Result<Option<Annotations>, DecodeError> {
        self.section(self.index.delivery_annotations.as_ref())
    }

    /// The message annotations (§3.2.3).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn message_annotations(&self) -> Result<Option<Annotations>, DecodeError> {
        self.section(self.index.message_annotations.as_ref())
    }

    /// The properties (§3.2.4).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn properties(&self) -> Result<Option<Properties>, DecodeError> {
        let Some(octets) = self.index.properties.as_ref().and_then(|range| range.of(&self.head)) else {
            return Ok(None);
        };
        Properties::decode_fields(&mut Reader::part(&self.head, octets, self.limits)).map(Some)
    }

    /// The application properties (§3.2.5).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn application_properties(&self) -> Result<Option<ApplicationProperties>, DecodeError> {
        self.section(self.index.application_properties.as_ref())
    }

    /// One application property, without decoding the others.
    ///
    /// # Errors
    ///
    /// If the section is malformed before it.
    pub fn application_property(&self, key: &str) -> Result<Option<ValueRef<'_>>, DecodeError> {
        self.entry(self.index.application_properties.as_ref(), key)
    }

    /// One message annotation, without decoding the others.
    ///
    /// # Errors
    ///
    /// If the section is malformed before it.
    pub fn message_annotation(&self, key: &str) -> Result<Option<ValueRef<'_>>, DecodeError> {
        self.entry(self.index.message_annotations.as_ref(), key)
    }

    fn entry(&self, range: Option<&scan::Range>, key: &str) -> Result<Option<ValueRef<'_>>, DecodeError> {
        let Some(octets) = range.and_then(|range| range.of(&self.head)) else { return Ok(None) };
        let mut reader = Reader::part(&self.head, octets, self.limits);
        match ValueRef::read(&mut reader)? {
            ValueRef::Map(map) => map.get(key),
            _ => Ok(None),
        }
    }

    /// The footer (§3.2.9).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn footer(&self) -> Result<Option<Annotations>, DecodeError> {
        let Some(octets) = self.index.footer.as_ref().and_then(|range| range.of(&self.tail)) else { return Ok(None) };
        Annotations::decode(&mut Reader::part(&self.tail, octets, self.limits)).map(Some)
    }

    /// The body.
    pub fn body(&self) -> Body<'_> {
        match self.index.body {
            None => Body::Empty,
            Some(section_code::DATA) => Body::Data(DataSections::new(self.body.as_slice())),
            Some(section_code::AMQP_SEQUENCE) => Body::Sequence(Sequences::new(self.body_reader())),
            Some(_) => Body::Value(BodyValue::new(self.body_reader())),
        }
    }

    fn body_reader(&self) -> Reader<'_> {
        static NOTHING: Bytes = Bytes::new();
        Reader::with_limits(self.body.as_slice().first().unwrap_or(&NOTHING), self.limits)
    }

    /// The octets of the body if it is data in one section and one piece: the common case, without a copy.
    pub fn data(&self) -> Option<Bytes> {
        let Body::Data(mut sections) = self.body() else { return None };
        let first = sections.next()?;
        let mut chunks = first.chunks();
        let chunk = chunks.next().unwrap_or_default();
        (chunks.next().is_none() && sections.next().is_none()).then_some(chunk)
    }

    /// The octets of all data sections, copied together if they are in several pieces.
    pub fn to_contiguous(&self) -> Option<Bytes> {
        if let Some(data) = self.data() {
            return Some(data);
        }
        let Body::Data(sections) = self.body() else { return None };
        let mut all = bytes::BytesMut::new();
        sections.flat_map(|section| section.chunks()).for_each(|chunk| all.extend_from_slice(&chunk));
        Some(all.freeze())
    }

    /// The value of an amqp-value body.
    ///
    /// # Errors
    ///
    /// If the value is malformed.
    pub fn value(&self) -> Result<Option<Value>, DecodeError> {
        match self.body() {
            Body::Value(value) => value.to_value().map(Some),
            _ => Ok(None),
        }
    }

    /// Decodes every section and throws the values away: what is malformed is found now rather than when it is used.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.header()?;
        self.delivery_annotations()?;
        self.message_annotations()?;
        self.properties()?;
        self.application_properties()?;
        match self.body() {
            Body::Value(value) => drop(value.to_value()?),
            Body::Sequence(mut sequences) => sequences.try_for_each(|sequence| sequence.map(drop))?,
            Body::Empty if self.limits.strict => {
                return Err(DecodeError { kind: DecodeErrorKind::MissingBody, offset: 0 });
            }
            Body::Empty | Body::Data(_) => {}
        }
        self.footer()?;
        Ok(())
    }

    /// The message as it was received, octet for octet, to be sent on.
    pub fn to_encoded(&self) -> EncodedMessage {
        let mut parts = Vec::new();
        parts.push(self.head.clone());
        parts.extend(self.body.as_slice().iter().cloned());
        parts.push(self.tail.clone());
        EncodedMessage::from_parts(parts)
    }

    /// A copy that keeps no larger buffer alive than its own octets.
    #[must_use]
    pub fn to_detached(&self) -> Self {
        let body = match &self.body {
            Chunks::One(chunk) => Chunks::One(Bytes::copy_from_slice(chunk)),
            Chunks::Many(chunks) => Chunks::Many(chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect()),
        };
        Self {
            head: Bytes::copy_from_slice(&self.head),
            body,
            tail: Bytes::copy_from_slice(&self.tail),
            index: self.index,
            limits: self.limits,
        }
    }

    /// How many octets the message has.
    pub fn encoded_len(&self) -> usize {
        let body: usize = self.body.as_slice().iter().map(Bytes::len).sum();
        self.head.len().saturating_add(body).saturating_add(self.tail.len())
    }
}

impl core::fmt::Debug for Message {
    /// Which sections there are, and how many octets; what they hold may be large or secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let index = &self.index;
        let mut sections = Vec::new();
        for (name, there) in [
            ("header", index.header.is_some()),
            ("delivery-annotations", index.delivery_annotations.is_some()),
            ("message-annotations", index.message_annotations.is_some()),
            ("properties", index.properties.is_some()),
            ("application-properties", index.application_properties.is_some()),
            ("data", index.body == Some(section_code::DATA)),
            ("amqp-sequence", index.body == Some(section_code::AMQP_SEQUENCE)),
            ("amqp-value", index.body == Some(section_code::AMQP_VALUE)),
            ("footer", index.footer.is_some()),
        ] {
            if there {
                sections.push(name);
            }
        }
        f.debug_struct("Message").field("sections", &sections).field("octets", &self.encoded_len()).finish()
    }
}
