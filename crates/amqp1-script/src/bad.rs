//! Breaks one rule in a good frame, and only that: SIZE is right where it is not what is broken.
//!
//! ```
//! use amqp1_script::{bad, frames};
//!
//! let open = frames::encode(0, frames::open("client"), b"");
//! let doff = bad::data_offset(&open, 1);
//! assert_eq!(doff[4], 1);
//! // container-id is mandatory.
//! let null = bad::null(&open, 0).expect("open has fields");
//! // Or all that can be done to it.
//! for flawed in bad::every(&open) {
//!     println!("{}: {:?}", flawed.name, flawed.conditions());
//! }
//! ```

use amqp1_codec::{
    Decode, Described, Encode, EncodeStyle, Reader, Symbol, Value,
    definitions::ErrorCondition,
    performative::{Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Transfer},
    sasl::{SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse},
};
use bytes::{Bytes, BytesMut};

/// The number that no descriptor of the specification has, in its domain.
pub const UNKNOWN_DESCRIPTOR: u64 = 0x19;
/// An octet that is no format code (§1.6).
pub const UNKNOWN_FORMAT_CODE: u8 = 0x3f;

const SIZE: usize = 4;
const HEADER: usize = 8;

/// Changes octets at a place, if they are there.
fn patched(frame: &[u8], at: usize, octets: &[u8]) -> Bytes {
    let mut frame = frame.to_vec();
    if let Some(place) = frame.get_mut(at..).and_then(|rest| rest.get_mut(..octets.len())) {
        place.copy_from_slice(octets);
    }
    frame.into()
}

/// Makes SIZE what it is.
fn sized(frame: &[u8]) -> Bytes {
    size(frame, u32::try_from(frame.len()).unwrap_or(u32::MAX))
}

/// SIZE says this (§2.3.1).
pub fn size(frame: &[u8], size: u32) -> Bytes {
    patched(frame, 0, &size.to_be_bytes())
}

/// DOFF says this (§2.3.1): how many words of four octets the header has.
pub fn data_offset(frame: &[u8], doff: u8) -> Bytes {
    patched(frame, SIZE, &[doff])
}

/// TYPE says this (§2.3.1): 0 is AMQP, 1 is SASL.
pub fn frame_type(frame: &[u8], kind: u8) -> Bytes {
    patched(frame, 5, &[kind])
}

/// The frame stands on this channel.
pub fn channel(frame: &[u8], channel: u16) -> Bytes {
    patched(frame, 6, &channel.to_be_bytes())
}

/// Only the first octets of the frame, whose SIZE still promises all.
pub fn cut(frame: &[u8], keep: usize) -> Bytes {
    Bytes::copy_from_slice(frame.get(..keep).unwrap_or(frame))
}

/// The body lacks its last octets. At least the header is left.
pub fn truncated(frame: &[u8], less: usize) -> Bytes {
    sized(&cut(frame, frame.len().saturating_sub(less).max(HEADER)))
}

/// Octets follow the body.
pub fn extra_octets(frame: &[u8], octets: &[u8]) -> Bytes {
    sized(&[frame, octets].concat())
}

/// The body is replaced by these octets.
pub fn body(frame: &[u8], octets: &[u8]) -> Bytes {
    sized(&[frame.get(..start(frame)).unwrap_or(frame), octets].concat())
}

/// Where the body begins.
fn start(frame: &[u8]) -> usize {
    frame.get(SIZE).map_or(HEADER, |doff| usize::from(*doff).saturating_mul(4))
}

/// A frame whose body is a described list: the descriptor, the fields, and what follows them.
struct Parts {
    descriptor: Value,
    fields: Vec<Value>,
    payload: Bytes,
}

impl Parts {
    fn of(frame: &[u8]) -> Option<Self> {
        let octets = Bytes::copy_from_slice(frame.get(start(frame)..)?);
        let mut reader = Reader::new(&octets);
        let Value::Described(body) = Value::decode(&mut reader).ok()? else { return None };
        let Described { descriptor, value: Value::List(fields) } = *body else { return None };
        Some(Self { descriptor, fields, payload: reader.rest() })
    }

    fn code(&self) -> Option<u8> {
        u8::try_from(self.descriptor.as_integer()?).ok()
    }

    /// The frame with these instead of its own.
    fn into_frame(self, frame: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        Value::described(self.descriptor, Value::List(self.fields)).encode(EncodeStyle::Compact, &mut out);
        out.extend_from_slice(&self.payload);
        body(frame, &out)
    }
}

/// The body has another descriptor (§1.2); `None` if it has none now.
pub fn descriptor(frame: &[u8], descriptor: impl Into<Value>) -> Option<Bytes> {
    let mut parts = Parts::of(frame)?;
    parts.descriptor = descriptor.into();
    Some(parts.into_frame(frame))
}

/// The body is a list without a descriptor; `None` if it has none now.
pub fn undescribed(frame: &[u8]) -> Option<Bytes> {
    let parts = Parts::of(frame)?;
    let mut out = BytesMut::new();
    Value::List(parts.fields).encode(EncodeStyle::Compact, &mut out);
    out.extend_from_slice(&parts.payload);
    Some(body(frame, &out))
}

/// The field of this number, from 0, has this value: of another type, say; `None` if the body is no described list.
pub fn field(frame: &[u8], index: u8, value: impl Into<Value>) -> Option<Bytes> {
    let mut parts = Parts::of(frame)?;
    let index = usize::from(index);
    if parts.fields.len() <= index {
        parts.fields.resize(index.saturating_add(1), Value::Null);
    }
    *parts.fields.get_mut(index)? = value.into();
    Some(parts.into_frame(frame))
}

/// The field of this number is null; `None` if the body is no described list.
pub fn null(frame: &[u8], index: u8) -> Option<Bytes> {
    field(frame, index, Value::Null)
}

/// The list has a field more than the specification knows; `None` if the body is none that it knows.
pub fn too_many_fields(frame: &[u8]) -> Option<Bytes> {
    let parts = Parts::of(frame)?;
    let (_, count, _) = rule(parts.code()?)?;
    field(frame, u8::try_from(count).ok()?, true)
}

/// Changes the list's constructor, size and count, which are given and have to be returned.
fn list(frame: &[u8], change: impl FnOnce([u8; 3]) -> [u8; 3]) -> Option<Bytes> {
    let parts = Parts::of(frame)?;
    // A list that is not too long for that, after a descriptor of one octet.
    let frame = parts.into_frame(frame);
    let octets = frame.slice(start(&frame).min(frame.len())..);
    let mut reader = Reader::new(&octets);
    reader.descriptor().ok()?;
    let at = octets.len().checked_sub(reader.remaining())?;
    let found = *octets.get(at..)?.first_chunk::<3>()?;
    (found.first() == Some(&LIST8)).then(|| patched(&frame, start(&frame).saturating_add(at), &change(found)))
}

const LIST8: u8 = 0xc0;

/// The list's size is so much more than it is; `None` if the body is no short described list.
pub fn list_size(frame: &[u8], more: u8) -> Option<Bytes> {
    list(frame, |[code, size, count]| [code, size.wrapping_add(more), count])
}

/// The list's count is so much more than it is; `None` if the body is no short described list.
pub fn list_count(frame: &[u8], more: u8) -> Option<Bytes> {
    list(frame, |[code, size, count]| [code, size, count.wrapping_add(more)])
}

/// The list's constructor is another octet; `None` if the body is no short described list.
pub fn format_code(frame: &[u8], code: u8) -> Option<Bytes> {
    list(frame, |[_, size, count]| [code, size, count])
}

/// What is known of a body: its descriptor, how many fields it has, and which are mandatory.
type Rule = (u8, usize, &'static [u8]);

const RULES: [Rule; 14] = [
    (Open::CODE, Open::FIELDS.len(), &[0]),
    (Begin::CODE, Begin::FIELDS.len(), &[1, 2, 3]),
    (Attach::CODE, Attach::FIELDS.len(), &[0, 1, 2]),
    (Flow::CODE, Flow::FIELDS.len(), &[1, 2, 3]),
    (Transfer::CODE, Transfer::FIELDS.len(), &[0]),
    (Disposition::CODE, Disposition::FIELDS.len(), &[0, 1]),
    (Detach::CODE, Detach::FIELDS.len(), &[0]),
    (End::CODE, End::FIELDS.len(), &[]),
    (Close::CODE, Close::FIELDS.len(), &[]),
    (SaslMechanisms::CODE, SaslMechanisms::FIELDS.len(), &[0]),
    (SaslInit::CODE, SaslInit::FIELDS.len(), &[0]),
    (SaslChallenge::CODE, SaslChallenge::FIELDS.len(), &[0]),
    (SaslResponse::CODE, SaslResponse::FIELDS.len(), &[0]),
    (SaslOutcome::CODE, SaslOutcome::FIELDS.len(), &[0]),
];

fn rule(code: u8) -> Option<Rule> {
    RULES.into_iter().find(|(known, ..)| *known == code)
}

/// What a flaw makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its header is none (§2.3.1).
    Header,
    /// Its body cannot be decoded, or has a field that cannot be what it is.
    Body,
}

/// A frame with one thing wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct Flawed {
    /// What is wrong, in words.
    pub name: String,
    /// Where.
    pub flaw: Flaw,
    /// The frame.
    pub octets: Bytes,
}

impl Flawed {
    /// The conditions (§2.8.15, §2.8.16) with which it may be answered.
    pub fn conditions(&self) -> Vec<ErrorCondition> {
        match self.flaw {
            Flaw::Header => vec![ErrorCondition::FRAMING_ERROR],
            Flaw::Body => vec![
                ErrorCondition::DECODE_ERROR,
                ErrorCondition::INVALID_FIELD,
                ErrorCondition::NOT_IMPLEMENTED,
                ErrorCondition::FRAMING_ERROR,
            ],
        }
    }
}

/// Of the octets only the number is shown: the frame may hold a secret.
impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flawed({}, {} octets)", self.name, self.octets.len())
    }
}

/// Everything in this module that can be done to a frame so that no peer may take it, each by itself. All are whole:
/// none makes a peer wait for more octets, but a SIZE beyond what it has announced.
pub fn every(frame: &[u8]) -> Vec<Flawed> {
    let mut all = Vec::new();
    let mut add = |flaw, name: &str, octets: Option<Bytes>| {
        all.extend(octets.map(|octets| Flawed { name: name.to_owned(), flaw, octets }));
    };
    for small in [0, 1, 4, 7] {
        add(Flaw::Header, &format!("SIZE {small}"), Some(size(frame, small)));
    }
    add(Flaw::Header, "SIZE of 4 GiB", Some(size(frame, u32::MAX)));
    for doff in [0, 1] {
        add(Flaw::Header, &format!("DOFF {doff}"), Some(data_offset(frame, doff)));
    }
    if frame.len() < usize::from(u8::MAX).saturating_mul(4) {
        add(Flaw::Header, "DOFF beyond SIZE", Some(data_offset(frame, u8::MAX)));
    }
    for kind in [2, u8::MAX] {
        add(Flaw::Header, &format!("TYPE {kind:#04x}"), Some(frame_type(frame, kind)));
    }
    let Some(parts) = Parts::of(frame) else { return all };
    if parts.payload.is_empty() {
        add(Flaw::Body, "the last octet missing", Some(truncated(frame, 1)));
    }
    let Some((code, count, mandatory)) = parts.code().and_then(rule) else { return all };
    if code != Transfer::CODE {
        add(Flaw::Body, "an octet after the body", Some(extra_octets(frame, &[0x40])));
    }
    add(Flaw::Body, "an unknown descriptor", descriptor(frame, UNKNOWN_DESCRIPTOR));
    add(Flaw::Body, "an unknown symbolic descriptor", descriptor(frame, Symbol::from_static("amqp:nothing:list")));
    add(Flaw::Body, "a text as descriptor", descriptor(frame, "text"));
    add(Flaw::Body, "no descriptor", undescribed(frame));
    add(Flaw::Body, "an unknown format code", format_code(frame, UNKNOWN_FORMAT_CODE));
    add(Flaw::Body, "a map instead of the list", format_code(frame, 0xc1));
    add(Flaw::Body, "an empty body that is no list", Some(body(frame, &[0x00, 0x53, code, 0x40])));
    add(Flaw::Body, "a list that claims 100 octets more", list_size(frame, 100));
    add(Flaw::Body, "a list that claims 100 fields more", list_count(frame, 100));
    add(Flaw::Body, "a field too many", too_many_fields(frame));
    for index in mandatory {
        add(Flaw::Body, &format!("mandatory field {index} null"), null(frame, *index));
    }
    for index in 0..u8::try_from(count).unwrap_or(u8::MAX) {
        // Nothing that is a body of a frame has a field of this type.
        add(Flaw::Body, &format!("field {index} of a wrong type"), field(frame, index, 1.5f64));
    }
    all
}
