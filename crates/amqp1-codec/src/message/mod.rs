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
//!     Body::Sequence(_) | Body::Empty | Body::Malformed(_) => {}
//! }
//! // What is only passed on keeps its octets.
//! assert_eq!(received.to_encoded().len(), received.encoded_len());
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```

mod body;
mod build;
mod content;
mod cursor;
mod encoded;
mod encoded_sections;
mod fields;
mod into_message;
mod layout;
mod octets;
mod properties;
mod received;
mod relay;
mod scan;
#[cfg(test)]
mod tests;
mod validate;
mod walk;

pub use body::{Body, BodyValue, DataSection, DataSections, Sequences};
pub use build::MessageBuilder;
pub use encoded::EncodedMessage;
pub use encoded_sections::EncodedSection;
pub use into_message::IntoMessage;

use crate::{
    Decode, DecodeError, DecodeErrorKind, Limits, Reader, ValueRef,
    limits::Packed,
    messaging::{Annotations, ApplicationProperties, Header, Properties, PropertiesRef, section_code},
    reader::TextKind,
    types::MapRef,
};
use alloc::{boxed::Box, vec::Vec};
use bytes::Bytes;
use layout::Faults;
use octets::Chunks;
use scan::Index;

/// A received message.
///
/// The payload may have come in several transfers; data sections stay in the chunks that they came in.
///
/// Sections are decoded when they are asked for. [`from_chunks`](Self::from_chunks) refuses octets that are not
/// sections in their order; [`received`](Self::received) takes any octets: of a message that is malformed, the
/// accessors of the sections that cannot be read return an error, and the others work. [`to_encoded`](Self::to_encoded)
/// gives the octets of any message as they came.
///
/// ```
/// use amqp1_codec::Message;
///
/// let sent = Message::builder()
///     .message_id("m1")
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
    limits: Packed,
}

/// The parts of a message that did not come in one piece, or is malformed.
#[derive(Clone)]
struct Apart {
    /// The octets behind the head, if the message came in several pieces.
    pieces: Option<Pieces>,
    faults: Faults,
    /// Whether the octets are something other than sections in their order.
    irregular: bool,
}

/// The octets behind the head of a message that came in several pieces.
#[derive(Clone)]
struct Pieces {
    /// The body's sections, in the chunks they came in.
    body: Chunks,
    /// The footer.
    tail: Bytes,
    /// All chunks, where head, body and footer one after another are not what was received.
    whole: Option<Vec<Bytes>>,
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
        scan::scan_strictly(Chunks::One(payload), Packed::DEFAULT)
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
        scan::scan_strictly(Chunks::gather(chunks), Packed::of(limits))
    }

    /// A message that came in several pieces.
    fn pieces(&self) -> Option<&Pieces> {
        self.apart.as_ref().and_then(|apart| apart.pieces.as_ref())
    }

    /// The octets that the footer is in.
    fn tail(&self) -> &Bytes {
        self.pieces().map_or(&self.head, |pieces| &pieces.tail)
    }

    /// A reader of the value of a section before the body.
    #[inline]
    fn reader(&self, number: u8) -> Result<Option<Reader<'_>>, DecodeError> {
        match self.index.head(number).of(&self.head) {
            Some(octets) => Ok(Some(Reader::part(&self.head, octets, self.limits))),
            None => self.absent(number),
        }
    }

    /// A section that was not found: it is not there, or cannot be read.
    #[inline]
    fn absent<T>(&self, number: u8) -> Result<Option<T>, DecodeError> {
        match self.apart.as_ref().and_then(|apart| apart.faults.of(number)) {
            None => Ok(None),
            Some(error) => Err(error),
        }
    }

    fn map_section<T: Decode>(&self, number: u8) -> Result<Option<T>, DecodeError> {
        let Some(mut reader) = self.reader(number)? else { return Ok(None) };
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
        let Some(mut reader) = self.reader(section_code::HEADER)? else { return Ok(None) };
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
    /// If the section is malformed. [`DecodeError::property`] names the field, where it is one;
    /// [`properties_ref`](Self::properties_ref) reads the others.
    pub fn properties(&self) -> Result<Option<Properties>, DecodeError> {
        let Some(reader) = self.reader(section_code::PROPERTIES)? else { return Ok(None) };
        match Properties::decode_fields(&mut { reader }) {
            Ok(properties) => Ok(Some(properties)),
            Err(error) => self.odd_properties(reader, error).map(Some),
        }
    }

    /// Properties that are not as the specification has them.
    #[cold]
    fn odd_properties(&self, mut reader: Reader<'_>, error: DecodeError) -> Result<Properties, DecodeError> {
        let fields = PropertiesRef::read(&mut reader).map_err(|_| error)?;
        match fields.to_properties() {
            Ok(properties) if self.limits.loose_properties() && !fields.has_excess() => Ok(properties),
            // The field that is odd is tolerated, so that one too many is all that is wrong.
            Ok(_) if self.limits.loose_properties() => {
                Err(DecodeError { kind: DecodeErrorKind::TooManyFields, property: None, ..error })
            }
            Ok(_) => Err(error),
            Err(named) if self.limits.loose_properties() => Err(named),
            Err(named) => Err(DecodeError { property: named.property, ..error }),
        }
    }

    /// The properties (§3.2.4), read in place: each is decoded when it is asked for.
    ///
    /// # Errors
    ///
    /// If the section is no list of fields. A malformed field costs that field only.
    #[inline]
    pub fn properties_ref(&self) -> Result<Option<PropertiesRef<'_>>, DecodeError> {
        let Some(mut reader) = self.reader(section_code::PROPERTIES)? else { return Ok(None) };
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
        let Some(mut reader) = self.reader(number)? else { return Ok(None) };
        MapRef::read(&mut reader).map(Some)
    }

    /// One application property, without looking into the others ([`MapRef::get`]).
    ///
    /// # Errors
    ///
    /// If the section is malformed before it; if it is a list, a map or an array, unless
    /// [`Limits::compound_application_properties`] allows them.
    #[inline]
    pub fn application_property(&self, key: &str) -> Result<Option<ValueRef<'_>>, DecodeError> {
        let Some(map) = self.application_properties_ref()? else { return Ok(None) };
        let value = map.find(key, TextKind { string: true, symbol: false })?;
        match value {
            Some(ValueRef::List(_) | ValueRef::Map(_) | ValueRef::Array(_))
                if !self.limits.compound_application_properties() =>
            {
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
        map.find(key, TextKind { string: self.limits.string_annotation_keys(), symbol: true })
    }

    #[cold]
    fn wrong_value(&self, number: u8) -> DecodeError {
        DecodeError::at(DecodeErrorKind::InvalidValueType, self.index.head(number).start())
    }

    /// The footer (§3.2.9).
    ///
    /// # Errors
    ///
    /// If the section is malformed.
    pub fn footer(&self) -> Result<Option<Annotations>, DecodeError> {
        let tail = self.tail();
        let Some(octets) = self.index.footer.of(tail) else { return self.absent(section_code::FOOTER) };
        Annotations::decode(&mut Reader::part(tail, octets, self.limits)).map(Some)
    }

    /// The body, as it came. [`data`](Self::data), [`text`](Self::text) and [`value`](Self::value) are shorter where
    /// its kind is known.
    pub fn body(&self) -> Body<'_> {
        match self.index.body_number {
            0 => match self.absent::<()>(layout::BODY) {
                Ok(_) => Body::Empty,
                Err(error) => Body::Malformed(error),
            },
            section_code::DATA => Body::Data(self.data_sections()),
            section_code::AMQP_SEQUENCE => Body::Sequence(Sequences::new(self.body_reader())),
            _ => Body::Value(BodyValue::new(self.body_reader())),
        }
    }

    /// The chunks that the body lies in, and where it begins and ends in them.
    fn body_chunks(&self) -> (&[Bytes], scan::Range) {
        match self.pieces() {
            None => (core::slice::from_ref(&self.head), self.index.body),
            Some(pieces) => (pieces.body.as_slice(), self.index.body),
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
}
