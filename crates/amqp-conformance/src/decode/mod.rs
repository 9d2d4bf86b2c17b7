//! Prints AMQP frames from other tools' output: hexadecimal digits, traces of Qpid Proton, captures of packets.

mod hex;
mod message;
mod pcap;
mod streams;
mod trace;
mod value;

use amqp1_codec::{performative::Performative, sasl::SaslBody};
use amqp1_script::{AmqpFrame, Got, Splitter};
use std::fmt::Write as _;

pub use hex::HexError;
pub use pcap::PcapError;

/// The form of what is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Hexadecimal digits, as `xxd`, `hexdump -C`, Wireshark or this tool print them.
    Hex,
    /// The output of Qpid Proton with `PN_TRACE_FRM=1`.
    Trace,
    /// A capture of packets, in the form pcap or pcapng.
    Pcap,
}

impl Form {
    /// The form that this looks like.
    pub fn of(input: &[u8]) -> Self {
        if pcap::is_pcap(input) {
            return Self::Pcap;
        }
        let text = String::from_utf8_lossy(input);
        if text.lines().any(|line| trace::Line::of(line).is_some()) { Self::Trace } else { Self::Hex }
    }
}

/// Input that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not text.
    #[error("the input is not text")]
    NotText,
    /// It is not hexadecimal.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// It is not a capture.
    #[error(transparent)]
    Pcap(#[from] PcapError),
    /// There is no line of a trace in it.
    #[error("the input has no frame of a trace in it: run the program with PN_TRACE_FRM=1")]
    NoTrace,
    /// No connection in the capture is AMQP.
    #[error(
        "the capture has no AMQP connection in it; TLS is not decoded, and --port names a port whose beginning was not captured"
    )]
    NoStream,
}

/// The frames, a line for each, and below a transfer the sections of its message. `port` is the port of an AMQP server in
/// a capture that begins in the middle of a connection.
///
/// # Errors
///
/// If the input is not in this form.
pub fn decode(input: &[u8], form: Form, port: Option<u16>) -> Result<String, DecodeError> {
    decode_all(input, form, &DecodeOptions { port, ..DecodeOptions::default() }).map(|decoded| decoded.text)
}

/// How input is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The port of an AMQP server in a capture that begins in the middle of a connection.
    pub port: Option<u16>,
    /// Shows the responses of SASL and the tokens of claims-based security, which are left out otherwise.
    pub shows_secrets: bool,
}

/// What was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The frames, as [`decode`] returns them.
    pub text: String,
    /// The octets at the end of hexadecimal digits that are the beginning of a frame. A capture may end anywhere.
    pub unfinished: usize,
}

/// Does the same, and tells whether the input ends within a frame.
///
/// # Errors
///
/// As said for [`decode`].
pub fn decode_all(input: &[u8], form: Form, options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let shows_secrets = options.shows_secrets;
    let whole = |text| Decoded { text, unfinished: 0 };
    match form {
        Form::Pcap => {
            let text = pcap::decode(input, options)?;
            if text.is_empty() { Err(DecodeError::NoStream) } else { Ok(whole(text)) }
        }
        Form::Hex => {
            let text = std::str::from_utf8(input).map_err(|_| DecodeError::NotText)?;
            Ok(octets(&hex::parse(text)?, shows_secrets))
        }
        Form::Trace => {
            let text = String::from_utf8_lossy(input);
            let lines = text.lines().filter_map(trace::Line::of);
            let lines: String = lines.map(|line| line.shown(shows_secrets).to_string()).collect();
            if lines.is_empty() { Err(DecodeError::NoTrace) } else { Ok(whole(lines)) }
        }
    }
}

/// The beginning of a described value: what is not a frame may be one, without the header of a frame.
const DESCRIBED: u8 = 0;

/// Decodes octets: headers and frames, or the sections of a message, or other values.
fn octets(octets: &[u8], shows_secrets: bool) -> Decoded {
    let is_bare = octets.first() == Some(&DESCRIBED) && matches!(octets.get(1), Some(0x53 | 0x80 | 0xa3 | 0xb3));
    if is_bare {
        return Decoded { text: message::sections(octets, "", shows_secrets), unfinished: 0 };
    }
    let mut splitter = Splitter::new(u32::MAX);
    splitter.feed(octets);
    let mut text = String::new();
    while let Some(got) = splitter.next() {
        frame(&mut text, "", &got, shows_secrets);
    }
    if splitter.unfinished() > 0 {
        // Writing to a `String` does not fail.
        writeln!(text, "{} octets of a frame that is not finished", splitter.unfinished()).unwrap_or_default();
    }
    Decoded { text, unfinished: splitter.unfinished() }
}

/// A line for a frame, and lines for the sections of its message.
fn frame(text: &mut String, prefix: &str, got: &Got, shows_secrets: bool) {
    let mut line = got.to_string();
    if let Some(response) = response(got).filter(|_| shows_secrets) {
        line += &format!(" (b\"{}\")", response.escape_ascii());
    }
    writeln!(text, "{prefix}{}", crate::report::one_line(&line)).unwrap_or_default();
    if let Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), payload, .. }) = got {
        // The rest of a message of several transfers is not the beginning of a section.
        if !transfer.more && transfer.delivery_id.is_some() {
            text.push_str(&message::sections(payload, "    ", shows_secrets));
        }
    }
}

/// The response in a SASL frame, which its line shows by its length alone.
fn response(got: &Got) -> Option<&[u8]> {
    match got {
        Got::Sasl(SaslBody::Init(init)) => init.initial_response.as_ref().map(|response| &response.0[..]),
        Got::Sasl(SaslBody::Response(response)) => Some(&response.response.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
