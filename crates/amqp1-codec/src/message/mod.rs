//! Whole messages (§3.2): received ones, whose sections are found once and decoded when asked for, and ones to send.
//!
//! ```
//! use amqp1_codec::{Message, Value, message::Body};
//!
//! let sent = Message::builder().application_property("kind", "reading").value(21.5).build();
//!
//! let received = Message::from_chunks(sent.into_parts())?;
//! match received.body() {
//!     Body::Value(value) => assert_eq!(value.decode::<f64>()?, 21.5),
//!     Body::Data(sections) => println!("{} sections of octets", sections.count()),
//!     Body::Sequence(_) | Body::Empty => {}
//! }
//! // What is only passed on keeps its octets.
//! assert_eq!(received.to_encoded().len(), received.encoded_len());
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```

mod body;
mod build;
mod cursor;
mod relay;
mod scan;
mod validate;

pub use body::{Body, BodyValue, DataSection, DataSections, Sequences};
pub use build::{EncodedMessage, MessageBuilder};

use crate::{
    Decode, DecodeError, DecodeErrorKind, Limits, Reader, Value, ValueRef,
    messaging::{Annotations, ApplicationProperties, Header, Properties, PropertiesRef, section_code},
    reader::TextKind,
    types::MapRef,
};
use alloc::{boxed::Box, vec::Vec};
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
    /// The whole message, or if it came in several pieces the sections before the body, one after another.
    head: Bytes,
    apart: Option<Box<Apart>>,
    index: Index,
    limits: Limits,
}

/// What follows the head of a message that came in several pieces.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    /// The body's sections, in the chunks they came in.
    body: Chunks,
    /// The footer.
    tail: Bytes,
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
    #[inline]
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

    #[inline]
    fn with_limits(chunks: Chunks, limits: Limits) -> Result<Self, DecodeError> {
        scan::scan(chunks, limits)
    }

    /// The octets that the footer is in.
    fn tail(&self) -> &Bytes {
        self.apart.as_ref().map_or(&self.head, |apart| &apart.tail)
    }

    /// A reader of the value of a section before the body.
    #[inline]
    fn reader(&self, number: u8) -> Option<Reader<'_>> {
        self.index.head(number).of(&self.head).map(|octets| Reader::part(&self.head, octets, self.limits))
    }

    fn map_section<T: Decode>(&self, number: u8) -> Result<Option<T>, DecodeError> {
        let Some(mut reader) = self.reader(number) else { return Ok(None) };
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
        let Some(mut reader) = self.reader(section_code::HEADER) else { return Ok(None) };
        Header::decode_fields(&mut reader).map(Some)
    }

    /// The delivery annotations (§3.2.2).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn delivery_annotations(&self) -> Result<Option<Annotations>, DecodeError> {
        self.map_section(section_code::DELIVERY_ANNOTATIONS)
    }

    /// The message annotations (§3.2.3).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn message_annotations(&self) -> Result<Option<Annotations>, DecodeError> {
        self.map_section(section_code::MESSAGE_ANNOTATIONS)
    }

    /// The properties (§3.2.4).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn properties(&self) -> Result<Option<Properties>, DecodeError> {
        let Some(mut reader) = self.reader(section_code::PROPERTIES) else { return Ok(None) };
        Properties::decode_fields(&mut reader).map(Some)
    }

    /// The properties (§3.2.4), read in place: each is decoded when it is asked for.
    ///
    /// # Errors
    ///
    /// If the section is no list of fields.
    #[inline]
    pub fn properties_ref(&self) -> Result<Option<PropertiesRef<'_>>, DecodeError> {
        let Some(mut reader) = self.reader(section_code::PROPERTIES) else { return Ok(None) };
        PropertiesRef::read(&mut reader).map(Some)
    }

    /// The application properties (§3.2.5).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn application_properties(&self) -> Result<Option<ApplicationProperties>, DecodeError> {
        self.map_section(section_code::APPLICATION_PROPERTIES)
    }

    /// The application properties (§3.2.5), read in place: pairs are decoded as they are walked.
    ///
    /// # Errors
    ///
    /// If the section is no map.
    pub fn application_properties_ref(&self) -> Result<Option<MapRef<'_>>, DecodeError> {
        self.map_ref(section_code::APPLICATION_PROPERTIES)
    }

    /// The message annotations (§3.2.3), read in place: pairs are decoded as they are walked.
    ///
    /// # Errors
    ///
    /// If the section is no map.
    pub fn message_annotations_ref(&self) -> Result<Option<MapRef<'_>>, DecodeError> {
        self.map_ref(section_code::MESSAGE_ANNOTATIONS)
    }

    #[inline]
    fn map_ref(&self, number: u8) -> Result<Option<MapRef<'_>>, DecodeError> {
        let Some(mut reader) = self.reader(number) else { return Ok(None) };
        MapRef::read(&mut reader).map(Some)
    }

    /// One application property, without looking into the others ([`MapRef::get`]).
    ///
    /// # Errors
    ///
    /// If the section is malformed before it; if it is a list, a map or an array, which it may not be.
    #[inline]
    pub fn application_property(&self, key: &str) -> Result<Option<ValueRef<'_>>, DecodeError> {
        let Some(map) = self.application_properties_ref()? else { return Ok(None) };
        let value = map.find(key, TextKind { string: true, symbol: false })?;
        match value {
            Some(ValueRef::List(_) | ValueRef::Map(_) | ValueRef::Array(_)) => {
                Err(self.wrong_value(section_code::APPLICATION_PROPERTIES))
            }
            value => Ok(value),
        }
    }

    /// One message annotation, without looking into the others ([`MapRef::get`]). Its key is a symbol, or a string if
    /// [`Limits::string_annotation_keys`] says so.
    ///
    /// # Errors
    ///
    /// If the section is malformed before it.
    pub fn message_annotation(&self, key: &str) -> Result<Option<ValueRef<'_>>, DecodeError> {
        let Some(map) = self.message_annotations_ref()? else { return Ok(None) };
        map.find(key, TextKind { string: self.limits.string_annotation_keys, symbol: true })
    }

    #[cold]
    fn wrong_value(&self, number: u8) -> DecodeError {
        let offset = u32::try_from(self.index.head(number).start()).unwrap_or(u32::MAX);
        DecodeError { kind: DecodeErrorKind::InvalidValueType, offset }
    }

    /// The footer (§3.2.9).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn footer(&self) -> Result<Option<Annotations>, DecodeError> {
        let tail = self.tail();
        let Some(octets) = self.index.footer.of(tail) else { return Ok(None) };
        Annotations::decode(&mut Reader::part(tail, octets, self.limits)).map(Some)
    }

    /// The body.
    pub fn body(&self) -> Body<'_> {
        match self.index.body_number {
            0 => Body::Empty,
            section_code::DATA => Body::Data(self.data_sections()),
            section_code::AMQP_SEQUENCE => Body::Sequence(Sequences::new(self.body_reader())),
            _ => Body::Value(BodyValue::new(self.body_reader())),
        }
    }

    /// The chunks that the body lies in, and where it begins and ends in them.
    fn body_chunks(&self) -> (&[Bytes], scan::Range) {
        match &self.apart {
            None => (core::slice::from_ref(&self.head), self.index.body),
            Some(apart) => (apart.body.as_slice(), self.index.body),
        }
    }

    fn data_sections(&self) -> DataSections<'_> {
        let (chunks, range) = self.body_chunks();
        DataSections::new(chunks, range)
    }

    fn body_reader(&self) -> Reader<'_> {
        static NOTHING: Bytes = Bytes::new();
        let (chunks, range) = self.body_chunks();
        let octets = chunks.first().unwrap_or(&NOTHING);
        Reader::part(octets, range.of(octets).unwrap_or_default(), self.limits)
    }

    /// The octets of the body if it is data in one section and one piece: the common case, without a copy.
    pub fn data(&self) -> Option<Bytes> {
        let Body::Data(mut sections) = self.body() else { return None };
        let first = sections.next()?;
        if sections.is_empty() { first.in_one_piece() } else { None }
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

    /// The message as it was received, octet for octet, to be sent on.
    pub fn to_encoded(&self) -> EncodedMessage {
        let mut parts = Vec::from([self.head.clone()]);
        if let Some(apart) = &self.apart {
            parts.extend(apart.body.as_slice().iter().cloned());
            parts.push(apart.tail.clone());
        }
        EncodedMessage::from_parts(parts)
    }

    /// A copy that keeps no larger buffer alive than its own octets.
    #[must_use]
    pub fn to_detached(&self) -> Self {
        let copy = |octets: &Bytes| Bytes::copy_from_slice(octets);
        let apart = self.apart.as_ref().map(|apart| {
            let body = match &apart.body {
                Chunks::One(body) => Chunks::One(copy(body)),
                Chunks::Many(body) => Chunks::Many(body.iter().map(copy).collect()),
            };
            Box::new(Apart { body, tail: copy(&apart.tail) })
        });
        Self { head: copy(&self.head), apart, index: self.index, limits: self.limits }
    }

    /// How many octets the message has.
    pub fn encoded_len(&self) -> usize {
        let apart = self.apart.as_ref().map_or(0, |apart| {
            let body: usize = apart.body.as_slice().iter().map(Bytes::len).sum();
            body.saturating_add(apart.tail.len())
        });
        self.head.len().saturating_add(apart)
    }
}

impl core::fmt::Debug for Message {
    /// Which sections there are, and how many octets; what they hold may be large or secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (index, body) = (&self.index, self.index.body_number);
        let mut sections = Vec::new();
        for (name, there) in [
            ("header", index.head(section_code::HEADER).is_there()),
            ("delivery-annotations", index.head(section_code::DELIVERY_ANNOTATIONS).is_there()),
            ("message-annotations", index.head(section_code::MESSAGE_ANNOTATIONS).is_there()),
            ("properties", index.head(section_code::PROPERTIES).is_there()),
            ("application-properties", index.head(section_code::APPLICATION_PROPERTIES).is_there()),
            ("data", body == section_code::DATA),
            ("amqp-sequence", body == section_code::AMQP_SEQUENCE),
            ("amqp-value", body == section_code::AMQP_VALUE),
            ("footer", index.footer.is_there()),
        ] {
            if there {
                sections.push(name);
            }
        }
        f.debug_struct("Message").field("sections", &sections).field("octets", &self.encoded_len()).finish()
    }
}
