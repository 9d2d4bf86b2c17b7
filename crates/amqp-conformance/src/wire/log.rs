//! The log of one connection, decoded and in hexadecimal.

use amqp1_codec::sasl::SaslBody;
use amqp1_script::{AmqpFrame, Direction, Got, Splitter};
use serde::{Deserialize, Serialize};
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// One header, frame or event of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The time in microseconds, from the start of the connection.
    pub at_us: u64,
    /// `"sent"` by the tool, or `"received"`.
    pub direction: String,
    /// The frame in words, or the event.
    pub text: String,
    /// Its octets in hexadecimal; `..` stands for an octet of a secret. Empty for an event.
    pub hex: String,
}

#[derive(Debug)]
struct Chunk {
    at: Duration,
    direction: Direction,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Octets(Vec<u8>),
    Event(&'static str),
}

/// Everything that went over one connection, in its order. Of a flood the beginning is kept.
#[derive(Debug, Default)]
pub struct WireLog {
    chunks: Vec<Chunk>,
    octets: usize,
    dropped: usize,
    deadline: Option<Instant>,
}

/// The descriptor of a transfer in each of its forms.
const TRANSFER: [&[u8]; 3] = [b"\0\x53\x14", b"\0\x80\0\0\0\0\0\0\0\x14", b"amqp:transfer:list"];
/// The number of octets that a log keeps.
const MAX_OCTETS: usize = 256 * 1024;
/// The number of octets of one frame that are shown.
const MAX_HEX: usize = 2048;

impl WireLog {
    /// The log of a connection that must be over by this time.
    pub(super) fn until(deadline: Option<Instant>) -> Self {
        Self { deadline, ..Self::default() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns `true` if deliveries went over the connection in either direction, whole or not.
    pub fn has_deliveries(&self) -> bool {
        self.chunks.iter().any(|chunk| match &chunk.content {
            Content::Octets(octets) => {
                TRANSFER.iter().any(|form| octets.windows(form.len()).any(|window| window == *form))
            }
            Content::Event(_) => false,
        })
    }

    pub(super) fn add(&mut self, at: Duration, direction: Direction, octets: &[u8]) {
        let kept = octets.get(..MAX_OCTETS.saturating_sub(self.octets)).unwrap_or(octets);
        self.dropped = self.dropped.saturating_add(octets.len().saturating_sub(kept.len()));
        if !kept.is_empty() {
            self.octets = self.octets.saturating_add(kept.len());
            self.chunks.push(Chunk { at, direction, content: Content::Octets(kept.to_vec()) });
        }
    }

    pub(super) fn add_event(&mut self, at: Duration, direction: Direction, event: &'static str) {
        let is_repeated = self.chunks.iter().any(
            |chunk| matches!(chunk.content, Content::Event(other) if other == event && chunk.direction == direction),
        );
        if !is_repeated {
            self.chunks.push(Chunk { at, direction, content: Content::Event(event) });
        }
    }

    /// The log, a line for each header, frame and event. SASL responses are masked.
    pub fn entries(&self) -> Vec<Entry> {
        let (mut sent, mut received) = (Splitter::new(u32::MAX), Splitter::new(u32::MAX));
        let mut entries = Vec::new();
        for chunk in &self.chunks {
            let splitter = if chunk.direction == Direction::Sent { &mut sent } else { &mut received };
            match &chunk.content {
                Content::Octets(octets) => {
                    splitter.feed(octets);
                    while let Some(got) = splitter.next() {
                        entries.push(entry(chunk, got.to_string(), hex_of(&got)));
                    }
                }
                Content::Event(event) => {
                    let unfinished = splitter.take_unfinished();
                    if !unfinished.is_empty() {
                        let text = format!("{} octets of a frame that was not finished", unfinished.len());
                        entries.push(entry(chunk, text, String::new()));
                    }
                    entries.push(entry(chunk, String::from(*event), String::new()));
                }
            }
        }
        if let (1.., Some(last)) = (self.dropped, self.chunks.last()) {
            entries.push(entry(last, format!("{} octets more are not kept", self.dropped), String::new()));
        }
        entries
    }
}

fn entry(chunk: &Chunk, text: String, hex: String) -> Entry {
    let direction = if chunk.direction == Direction::Sent { "sent" } else { "received" };
    let at_us = u64::try_from(chunk.at.as_micros()).unwrap_or(u64::MAX);
    Entry { at_us, direction: String::from(direction), text, hex }
}

fn hex_of(got: &Got) -> String {
    match got {
        Got::Header(header) => hex(&header.encode()),
        Got::Frame(AmqpFrame { octets, .. }) | Got::Undecodable { octets, .. } => hex(octets),
        // The response may hold a password.
        Got::Sasl(body @ (SaslBody::Init(_) | SaslBody::Response(_))) => {
            let octets = amqp1_script::frames::sasl(body);
            let shown = octets.get(..11).unwrap_or(&octets);
            hex(shown) + &"..".repeat(octets.len().saturating_sub(shown.len()))
        }
        Got::Sasl(body) => hex(&amqp1_script::frames::sasl(body)),
        _ => String::new(),
    }
}

/// Octets in hexadecimal, two digits each.
fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(2));
    for octet in octets.iter().take(MAX_HEX) {
        // Writing to a `String` does not fail.
        write!(text, "{octet:02x}").unwrap_or_default();
    }
    if octets.len() > MAX_HEX {
        write!(text, " and {} octets more", octets.len().saturating_sub(MAX_HEX)).unwrap_or_default();
    }
    text
}
