//! Section after section of a message, whatever order they have.

use super::{
    Chunks,
    cursor::Cursor,
    scan::{Start, section_start},
};
use crate::{DecodeError, DecodeErrorKind, Reader, limits::Packed};

/// A section's descriptor and value.
pub(super) struct Section {
    /// Its numeric descriptor; 0 if it is none of a section.
    pub(super) number: u8,
    /// Octets from the start of the descriptor to the start of the value.
    pub(super) descriptor: usize,
    /// Octets of the value.
    pub(super) value: usize,
    /// The error in it: its descriptor, or the type of its value.
    pub(super) fault: Option<DecodeError>,
}

/// Why what follows is not told apart.
pub(super) struct Stop {
    /// The section that does not end; 0 if what stands here is none.
    pub(super) number: u8,
    pub(super) error: DecodeError,
}

/// A walk from section to section.
pub(super) enum Walk<'a> {
    One(Reader<'a>),
    Many(Cursor<'a>, Packed),
}

impl<'a> Walk<'a> {
    pub(super) fn new(chunks: &'a Chunks, limits: Packed) -> Self {
        match chunks {
            Chunks::One(octets) => Self::One(Reader::part(octets, octets, limits)),
            Chunks::Many(chunks) => Self::Many(Cursor::new(chunks), limits),
        }
    }

    /// The next section; `None` at the end.
    #[inline]
    pub(super) fn next_section(&mut self) -> Option<Result<Section, Stop>> {
        match self {
            Self::One(reader) if reader.is_empty() => None,
            Self::One(reader) => Some(read_section(reader)),
            Self::Many(cursor, _) if cursor.is_empty() => None,
            Self::Many(cursor, limits) => Some(cursor.measure(*limits).and_then(|section| {
                let number = section.number;
                match cursor.skip(section.descriptor.saturating_add(section.value)) {
                    Ok(()) => Ok(section),
                    Err(error) => Err(Stop { number, error: section.fault.unwrap_or(error) }),
                }
            })),
        }
    }
}

/// Takes the next section.
fn read_section(reader: &mut Reader<'_>) -> Result<Section, Stop> {
    let start = *reader;
    let Start { number, fault } = section_start(reader).map_err(|error| Stop { number: 0, error })?;
    let descriptor = start.remaining().saturating_sub(reader.remaining());
    match reader.skip() {
        Ok(value) => Ok(Section { number, descriptor, value: value.len(), fault }),
        Err(error) => Err(Stop { number, error: fault.unwrap_or(error) }),
    }
}

impl Cursor<'_> {
    /// The kind and the extent of the section that begins here.
    fn measure(&self, limits: Packed) -> Result<Section, Stop> {
        // Enough for a descriptor and a constructor with its size, however they are written. Only what has no meaning
        // here and the descriptors of values within amqp-value sections are longer: these are tried with ever more,
        // which comes to a constant number of times what they have.
        let mut window = Self::WINDOW;
        loop {
            let octets = self.peek(window);
            let rest_is_seen = octets.len() < window;
            let mut reader = Reader::part(&octets, &octets, limits);
            let (mut number, mut fault) = (0, None);
            let measured = section_start(&mut reader).and_then(|start| {
                (number, fault) = (start.number, start.fault);
                let descriptor = octets.len().saturating_sub(reader.remaining());
                let before = reader.remaining();
                let format = reader.skip_descriptors()?;
                let data = reader.data_len(format)?;
                let value = before.saturating_sub(reader.remaining()).saturating_add(data);
                Ok((descriptor, value))
            });
            let further = |error: DecodeError| DecodeError {
                offset: self.error(error.kind).offset.saturating_add(error.offset),
                ..error
            };
            match measured {
                Ok((descriptor, value)) => {
                    return Ok(Section { number, descriptor, value, fault: fault.map(further) });
                }
                Err(error) if error.kind == DecodeErrorKind::Truncated && !rest_is_seen => {
                    window = window.saturating_mul(8);
                }
                Err(error) => return Err(Stop { number, error: further(fault.unwrap_or(error)) }),
            }
        }
    }
}
