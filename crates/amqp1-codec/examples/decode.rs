//! Reads captured octets: a line of hexadecimal digits at a time from standard input, a line of JSON for each.
//!
//! ```text
//! $ echo 005310c00401a10163 | cargo run -p amqp1-codec --example decode
//! {"canonical":"005310c00401a10163","ok":true,"value":{"t":"described",…}}
//! ```
//!
//! `--as value|message|frame` says what a line is. Values whose descriptor is known (performatives, sections, states,
//! SASL bodies) are checked against their type. Of a message the value is the list of its sections, of a frame its
//! channel, its body, and its payload in hexadecimal digits. `offset` says at which octet the error was found.

#[path = "../tests/support/tagged.rs"]
#[allow(dead_code, unreachable_pub)]
mod tagged;

use amqp1_codec::{
    Decode, DecodeError, Encode, EncodeStyle, Limits, Message, Reader, Value,
    definitions::AmqpError,
    frame::{Frame, FrameDecoder, FrameErrorKind, FrameWriter, write_sasl_frame},
    messaging::{
        Annotations, ApplicationProperties, DeliveryState, Header, LifetimePolicy, Properties, Source, Target,
    },
    performative::Performative,
    sasl::SaslBody,
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState},
};
use bytes::{Bytes, BytesMut};
use serde_json::{Value as Json, json};
use std::{
    env,
    io::{self, BufRead, Write},
    process::ExitCode,
};
use tagged::{digits_to_octets, hex, to_json};

/// What is wrong with a line, and at which octet.
struct Wrong {
    error: String,
    offset: u32,
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        Self { error: error.kind.to_string(), offset: error.offset }
    }
}

/// A value in JSON, and its canonical octets.
type Read = Result<(Json, Vec<u8>), Wrong>;

fn whole<T: Decode>(mut reader: Reader<'_>) -> Result<T, DecodeError> {
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Checks a value against the type that its descriptor names, if that is known.
fn check(octets: &Bytes, value: &Value) -> Result<(), DecodeError> {
    let all = Reader::new(octets);
    let mut rest = all;
    let Ok(descriptor) = rest.descriptor() else { return Ok(()) };
    match descriptor.code() {
        Some(0x10..=0x18) => whole::<Performative>(all).map(drop),
        Some(0x1d) => whole::<AmqpError>(all).map(drop),
        Some(0x23..=0x27) => whole::<DeliveryState>(all).map(drop),
        Some(0x28) => whole::<Source>(all).map(drop),
        Some(0x29) => whole::<Target>(all).map(drop),
        Some(0x2b..=0x2e) if LifetimePolicy::from_value(value).is_none() => {
            Err(all.error(amqp1_codec::DecodeErrorKind::InvalidValue))
        }
        Some(0x30) => whole::<Coordinator>(all).map(drop),
        Some(0x31) => whole::<Declare>(all).map(drop),
        Some(0x32) => whole::<Discharge>(all).map(drop),
        Some(0x33) => whole::<Declared>(all).map(drop),
        Some(0x34) => whole::<TransactionalState>(all).map(drop),
        Some(0x40..=0x44) => whole::<SaslBody>(all).map(drop),
        Some(0x70) => whole::<Header>(all).map(drop),
        Some(0x71 | 0x72 | 0x78) => whole::<Annotations>(rest).map(drop),
        Some(0x73) => whole::<Properties>(all).map(drop),
        Some(0x74) => whole::<ApplicationProperties>(rest).map(drop),
        Some(0x75) => whole::<Bytes>(rest).map(drop),
        Some(0x76) => match value {
            Value::Described(described) if !matches!(described.value, Value::List(_)) => {
                Err(rest.error(amqp1_codec::DecodeErrorKind::InvalidValue))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn read_value(octets: &Bytes) -> Read {
    let value = whole::<Value>(Reader::new(octets))?;
    check(octets, &value)?;
    Ok((to_json(&value), value.to_octets().to_vec()))
}

fn read_message(octets: &Bytes) -> Read {
    let message = Message::from_bytes(octets.clone())?;
    message.validate()?;
    // The sections are values one after another, and valid by now.
    let mut reader = Reader::new(octets);
    let (mut sections, mut canonical) = (Vec::new(), BytesMut::new());
    while !reader.is_empty() {
        let section = Value::decode(&mut reader)?;
        sections.push(to_json(&section));
        section.encode(EncodeStyle::Compact, &mut canonical);
    }
    Ok((Json::Array(sections), canonical.to_vec()))
}

fn read_frame(octets: &Bytes) -> Read {
    // The frame's own header says which layer it is of.
    let sasl = octets.get(5) == Some(&1);
    let decoder = if sasl { FrameDecoder::sasl } else { FrameDecoder::new };
    let mut input = BytesMut::from(&octets[..]);
    let start = u32::from(octets.get(4).copied().unwrap_or_default()) * 4;
    let frame = match decoder(u32::MAX, Limits::DEFAULT).decode(&mut input) {
        Ok(Some(frame)) if input.is_empty() => frame,
        Ok(Some(_)) => {
            let offset = (octets.len() - input.len()) as u32;
            return Err(Wrong { error: "octets follow the frame".to_owned(), offset });
        }
        Ok(None) => return Err(Wrong { error: "the octets end before the frame does".to_owned(), offset: 0 }),
        Err(error) => {
            let offset = match error.kind {
                FrameErrorKind::Body(body) => start + body.offset,
                FrameErrorKind::DataOffset(_) => 4,
                FrameErrorKind::Type(_) => 5,
                _ => 0,
            };
            return Err(Wrong { error: error.to_string(), offset });
        }
    };
    let value = |octets: Bytes| whole::<Value>(Reader::new(&octets)).map(|value| to_json(&value));
    let body = octets.slice(octets.len().min(start as usize)..);
    let mut canonical = BytesMut::new();
    let (channel, body, payload) = match &frame {
        Frame::Sasl(sasl) => {
            write_sasl_frame(sasl, EncodeStyle::Compact, &mut canonical);
            (Json::Null, value(body)?, Bytes::new())
        }
        Frame::Amqp { channel, performative, payload } => {
            let writer = FrameWriter::begin(*channel, &mut canonical);
            let mut shown = Json::Null;
            if let Some(performative) = performative {
                performative.encode(EncodeStyle::Compact, &mut canonical);
                shown = value(body.slice(..body.len() - payload.len()))?;
            }
            writer.finish(payload.len(), &mut canonical);
            canonical.extend_from_slice(payload);
            (json!(channel), shown, payload.clone())
        }
    };
    let kind = u8::from(sasl);
    let json =
        json!({"type": kind, "channel": channel, "body": body, "payload": hex(&payload), "line": frame.to_string()});
    Ok((json, canonical.to_vec()))
}

fn answer(line: &str, read: fn(&Bytes) -> Read) -> Json {
    let digits: String = line.split_whitespace().collect();
    let result = match digits_to_octets(&digits) {
        Some(octets) => read(&octets.into()),
        None => Err(Wrong { error: "no hexadecimal digits, or an odd number of them".to_owned(), offset: 0 }),
    };
    match result {
        Ok((value, canonical)) => json!({"ok": true, "value": value, "canonical": hex(&canonical)}),
        Err(wrong) => json!({"ok": false, "error": wrong.error, "offset": wrong.offset}),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let read: fn(&Bytes) -> Read = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--as", "value"] => read_value,
        ["--as", "message"] => read_message,
        ["--as", "frame"] => read_frame,
        _ => {
            eprintln!("usage: decode [--as value|message|frame]; lines of hexadecimal digits on standard input");
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return ExitCode::FAILURE };
        // A reader that went away is no error of ours.
        if writeln!(out, "{}", answer(&line, read)).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
