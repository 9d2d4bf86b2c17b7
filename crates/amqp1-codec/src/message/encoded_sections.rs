//! The sections of a received message as they came.

use super::{EncodedMessage, Message, cursor::Cursor, octets::Chunks, walk::Walk};
use crate::{DecodeError, DecodeErrorKind};
use alloc::vec::Vec;

/// A section of a message as it was received: its descriptor and its value, octet for octet.
#[derive(Clone, Debug)]
pub struct EncodedSection {
    code: u8,
    octets: EncodedMessage,
}

impl EncodedSection {
    /// The number of the section ([`section_code`](crate::messaging::section_code)), in whichever form its descriptor came;
    /// 0 if it is not a section of a message.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The octets, from the descriptor on.
    pub fn octets(&self) -> &EncodedMessage {
        &self.octets
    }

    /// The octets, from the descriptor on.
    pub fn into_octets(self) -> EncodedMessage {
        self.octets
    }
}

impl Message {
    /// The sections one by one as they came, in their order, descriptors and all; one after another they are what
    /// [`to_encoded`](Self::to_encoded) gives. They share the message's octets.
    ///
    /// ```
    /// use amqp1_codec::{Message, messaging::section_code::{DATA, FOOTER}};
    ///
    /// let sent = Message::builder().data("hello").footer("x-opt-crc", 7).build();
    /// let received = Message::from_chunks(sent.into_parts())?;
    /// let sections = received.encoded_sections()?;
    /// assert_eq!(sections.iter().map(|section| section.code()).collect::<Vec<_>>(), [DATA, FOOTER]);
    /// assert_eq!(sections[0].octets().chunks().next().map(|octets| &octets[..]), Some(&b"\0\x53\x75\xa0\x05hello"[..]));
    /// # Ok::<(), amqp1_codec::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If octets belong to no section: if a section does not end, or something else stands between sections; and for messages
    /// of formats other than 0. Sections out of their order, and those whose value is malformed, are no error.
    pub fn encoded_sections(&self) -> Result<Vec<EncodedSection>, DecodeError> {
        if let Some(error) = self.layout_error().filter(|error| error.kind == DecodeErrorKind::OpaqueMessage) {
            return Err(error);
        }
        let octets = Chunks::gather(self.to_encoded().into_parts());
        let all = Cursor::new(octets.as_slice());
        let mut walk = Walk::new(&octets, self.limits);
        let (mut sections, mut at) = (Vec::new(), 0_usize);
        while let Some(section) = walk.next_section() {
            let section = section.map_err(|stop| stop.error)?;
            let end = at.saturating_add(section.descriptor).saturating_add(section.value);
            let mut parts = Vec::new();
            all.range(at, end, &mut |part| parts.push(part));
            sections.push(EncodedSection { code: section.number, octets: EncodedMessage::from_parts(parts) });
            at = end;
        }
        Ok(sections)
    }
}
