//! Octets written by hand, and what is expected of them.

use amqp1_codec::{
    Array, Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Message, Reader, Symbol, Value, ValueRef,
};
use bytes::{Bytes, BytesMut};
use std::fmt::Debug;

pub(crate) const STYLES: [EncodeStyle; 2] = [EncodeStyle::Compact, EncodeStyle::Full];

/// Octets: pairs of hexadecimal digits, and text in single quotes. Blanks and bars are for the reader.
pub(crate) fn hex(text: &str) -> Bytes {
    let mut octets = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            octets.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u32> = part
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '|')
            .map(|c| c.to_digit(16).unwrap_or_else(|| panic!("{c:?} in {text:?} is no digit")))
            .collect();
        assert_eq!(digits.len() % 2, 0, "half an octet in {text:?}");
        octets.extend(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8));
    }
    octets.into()
}

/// Octets as hexadecimal digits, to be compared.
pub(crate) fn shown(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Decodes all of the octets.
pub(crate) fn whole_within<T: Decode>(octets: &Bytes, limits: Limits) -> Result<T, DecodeError> {
    let mut reader = Reader::with_limits(octets, limits);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// The value that the octets are, strictly.
#[track_caller]
pub(crate) fn read<T: Decode>(text: &str) -> T {
    whole_within(&hex(text), Limits::STRICT).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The octets are refused, by default too, for this reason at this octet.
#[track_caller]
pub(crate) fn refused<T: Decode + Debug>(text: &str, kind: DecodeErrorKind, offset: u32) {
    for limits in [Limits::DEFAULT, Limits::STRICT] {
        let error = whole_within::<T>(&hex(text), limits).expect_err(text);
        assert_eq!((error.kind, error.offset), (kind, offset), "{text}");
    }
}

/// The octets are refused for this reason, wherever it is told.
#[track_caller]
pub(crate) fn refused_as<T: Decode + Debug>(text: &str, kind: DecodeErrorKind) {
    for limits in [Limits::DEFAULT, Limits::STRICT] {
        assert_eq!(whole_within::<T>(&hex(text), limits).expect_err(text).kind, kind, "{text}");
    }
}

/// The octets are refused for this reason by a reader that copies nothing.
#[track_caller]
pub(crate) fn refused_in_place(text: &str, kind: DecodeErrorKind) {
    for limits in [Limits::DEFAULT, Limits::STRICT] {
        let found = walked(&hex(text), limits).map_err(|error| error.kind);
        assert_eq!(found, Err(kind), "{text} in place");
    }
}

/// Reads one value in place, with all that it holds.
pub(crate) fn walked(octets: &Bytes, limits: Limits) -> Result<(), DecodeError> {
    ValueRef::read(&mut Reader::with_limits(octets, limits)).and_then(walk)
}

fn walk(value: ValueRef<'_>) -> Result<(), DecodeError> {
    match value {
        ValueRef::List(mut items) => items.try_for_each(|item| walk(item?)),
        ValueRef::Map(mut entries) => entries.try_for_each(|entry| {
            let (key, value) = entry?;
            walk(key).and_then(|()| walk(value))
        }),
        ValueRef::Described(described) => {
            let (descriptor, value) = described.parts()?;
            walk(descriptor).and_then(|()| walk(value))
        }
        other => other.to_value().map(drop),
    }
}

/// What is written in this style, as long as was said before.
pub(crate) fn written(value: &impl Encode, style: EncodeStyle) -> Bytes {
    let mut out = BytesMut::from(&b"before"[..]);
    value.encode(style, &mut out);
    let octets = out.freeze().slice(6..);
    assert_eq!(octets.len(), value.encoded_len(style), "encoded_len of {}", shown(&octets));
    octets
}

/// The value is written as these octets in the two styles, and read from them and from the others.
#[track_caller]
pub(crate) fn both_ways<T: Decode + Encode + PartialEq + Debug>(value: T, compact: &str, full: &str, others: &[&str]) {
    assert_eq!(shown(&written(&value, EncodeStyle::Compact)), shown(&hex(compact)), "compact {value:?}");
    assert_eq!(shown(&written(&value, EncodeStyle::Full)), shown(&hex(full)), "full {value:?}");
    for text in [compact, full].iter().chain(others) {
        assert_eq!(read::<T>(text), value, "{text}");
    }
}

/// The same for any value, which is also read in place, skipped, and refused where it is cut short (Y-rob-3).
#[track_caller]
pub(crate) fn value(value: impl Into<Value>, compact: &str, full: &str, others: &[&str]) {
    let value = value.into();
    both_ways(value.clone(), compact, full, others);
    for text in [compact, full].iter().chain(others) {
        let octets = hex(text);
        let mut reader = Reader::new(&octets);
        let in_place = ValueRef::read(&mut reader).and_then(|value| value.to_value());
        assert_eq!((in_place, reader.remaining()), (Ok(value.clone()), 0), "{text} in place");
        let mut reader = Reader::new(&octets);
        assert_eq!(reader.skip().map(<[u8]>::len), Ok(octets.len()), "{text} skipped");
        let described = [&hex("00 53 01")[..], &octets, &hex("40")].concat().into();
        let skipped = Reader::new(&described).skip().map(<[u8]>::len);
        assert_eq!(skipped, Ok(octets.len() + 3), "{text} described and skipped");
        for end in 0..octets.len() {
            let cut = octets.slice(..end);
            let error = whole_within::<Value>(&cut, Limits::DEFAULT).expect_err("cut short");
            assert_eq!(error.kind, DecodeErrorKind::Truncated, "{text} cut at {end}");
        }
        in_array(&value, &octets);
    }
    written_in_array(&value, &hex(compact));
}

/// An array of two elements that are both written like this; `None` if the value is described, since its constructor is
/// more than one octet.
fn twice(octets: &[u8]) -> Option<Vec<u8>> {
    let (constructor, data) = octets.split_first()?;
    let body = [&[*constructor], data, data].concat();
    let header = match u8::try_from(body.len() + 1) {
        Ok(size) => vec![0xe0, size, 2],
        Err(_) => [&[0xf0][..], &(body.len() as u32 + 4).to_be_bytes(), &2u32.to_be_bytes()].concat(),
    };
    (*constructor != 0).then(|| [header, body].concat())
}

/// The value is read from the data of an array's elements too, by both readers.
#[track_caller]
fn in_array(value: &Value, octets: &[u8]) {
    let Some(octets) = twice(octets).map(Bytes::from) else { return };
    let expected = array([value.clone(), value.clone()]);
    assert_eq!(whole_within::<Value>(&octets, Limits::STRICT), Ok(expected.clone()), "{}", shown(&octets));
    let in_place = ValueRef::read(&mut Reader::new(&octets)).and_then(|value| value.to_value());
    assert_eq!(in_place, Ok(expected), "{} in place", shown(&octets));
}

/// The value is written in an array as it is alone, unless that takes no octets of data.
#[track_caller]
fn written_in_array(value: &Value, compact: &[u8]) {
    let Some(octets) = twice(compact).filter(|_| !matches!(compact[0], 0x41..=0x45)) else { return };
    let array = array([value.clone(), value.clone()]);
    for style in STYLES {
        assert_eq!(shown(&written(&array, style)), shown(&octets), "{style:?}");
    }
}

pub(crate) fn symbol(text: &'static str) -> Value {
    Symbol::from_static(text).into()
}

pub(crate) fn symbols(texts: &[&'static str]) -> Vec<Symbol> {
    texts.iter().map(|text| Symbol::from_static(text)).collect()
}

pub(crate) fn binary(octets: &'static [u8]) -> Value {
    Bytes::from_static(octets).into()
}

pub(crate) fn array(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(Array::from_values(values).expect("one type"))
}

/// The message that these octets are, in one chunk, in chunks of one octet, and cut in two at each octet: the same
/// octets again, and the same answer from `look`.
#[track_caller]
pub(crate) fn messages(text: &str, limits: Limits, look: impl Fn(&Message)) {
    let octets = hex(text);
    let mut cuts: Vec<Vec<Bytes>> = (0..octets.len()).map(|at| vec![octets.slice(..at), octets.slice(at..)]).collect();
    cuts.push(octets.chunks(1).map(Bytes::copy_from_slice).collect());
    cuts.push(octets.chunks(3).map(Bytes::copy_from_slice).collect());
    for chunks in cuts {
        let message =
            Message::from_chunks_with_limits(chunks, limits).unwrap_or_else(|error| panic!("{text}: {error}"));
        message.validate().unwrap_or_else(|error| panic!("{text}: {error}"));
        look(&message);
    }
}

/// The octets of a message that is passed on.
pub(crate) fn passed_on(message: &Message) -> String {
    let encoded = message.to_encoded();
    let octets: Vec<u8> = encoded.chunks().flat_map(|chunk| chunk.to_vec()).collect();
    assert_eq!((octets.len(), octets.len()), (encoded.len(), message.encoded_len()));
    shown(&octets)
}

/// The octets are no message: refused when they are taken in, or when all is looked at; in one chunk and in many.
#[track_caller]
pub(crate) fn no_message(text: &str, limits: Limits, kind: DecodeErrorKind) {
    let octets = hex(text);
    for chunks in [vec![octets.clone()], octets.chunks(1).map(Bytes::copy_from_slice).collect()] {
        let refused = Message::from_chunks_with_limits(chunks, limits).and_then(|message| message.validate());
        assert_eq!(refused.expect_err(text).kind, kind, "{text}");
    }
}

pub(crate) fn name(text: &'static str) -> Symbol {
    Symbol::from_static(text)
}
