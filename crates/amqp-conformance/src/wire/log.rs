//! The log of one connection, decoded and in hexadecimal.

use amqp1_codec::sasl::SaslBody;
use amqp1_script::{Direction, Got, Splitter};
use bytes::BytesMut;
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
    start: Option<Instant>,
    deadline: Deadline,
}

/// The time by which a connection must be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Deadline {
    #[default]
    None,
    /// That of its case, which is ended if it goes on.
    Case(Instant),
    /// That of the connection alone. From then on, each wait is a time-out.
    Connection(Instant),
}

/// One thing that went over a connection, as a script repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The tool wrote these octets.
    Sent(Vec<u8>),
    /// This came, in words.
    Got(String),
    /// The tool has finished writing.
    Finished,
    /// The tool has left the connection.
    Left,
    /// This many octets more that the tool wrote are not known.
    Lost(usize),
}

/// The descriptor of a transfer in each of its forms.
const TRANSFER: [&[u8]; 3] = [b"\0\x53\x14", b"\0\x80\0\0\0\0\0\0\0\x14", b"amqp:transfer:list"];
/// The events of a connection.
pub(super) const FINISHED: &str = "end of the stream";
pub(super) const RESET: &str = "connection reset";
pub(super) const BROKEN: &str = "the connection is broken";
pub(super) const LEFT: &str = "the tool leaves the connection";
/// The number of octets that a log keeps.
const MAX_OCTETS: usize = 256 * 1024;
/// The entries that are shown of a connection with more: the first, and the last.
const FIRST_ENTRIES: usize = 200;
const LAST_ENTRIES: usize = 50;
/// The number of octets of one frame that are shown.
const MAX_HEX: usize = 2048;

impl WireLog {
    /// The log of a connection that must be over by this time.
    pub(super) fn until(deadline: Deadline) -> Self {
        Self { deadline, start: Some(Instant::now()), ..Self::default() }
    }

    /// Everything that a script needs, each with its time.
    pub fn steps(&self) -> Vec<(Instant, Step)> {
        let Some(start) = self.start else { return Vec::new() };
        let mut received = Splitter::new(u32::MAX);
        let mut steps = Vec::new();
        for chunk in &self.chunks {
            let at = start.checked_add(chunk.at).unwrap_or(start);
            match (&chunk.content, chunk.direction) {
                (Content::Octets(octets), Direction::Sent) => steps.push((at, Step::Sent(octets.clone()))),
                (Content::Octets(octets), _) => {
                    received.feed(octets);
                    while let Some(got) = received.next() {
                        steps.push((at, Step::Got(String::from(got.name()))));
                    }
                }
                (Content::Event(LEFT), _) => steps.push((at, Step::Left)),
                (Content::Event(FINISHED), Direction::Sent) => steps.push((at, Step::Finished)),
                (Content::Event(FINISHED), _) => steps.push((at, Step::Got(String::from("end")))),
                (Content::Event(RESET), _) => steps.push((at, Step::Got(String::from("reset")))),
                (Content::Event(_), _) => {}
            }
        }
        if let (1.., Some((at, _))) = (self.dropped, steps.last()) {
            steps.push((*at, Step::Lost(self.dropped)));
        }
        steps
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns `true` if the peer has left the connection, and the tool has read that.
    pub(crate) fn is_left_by_peer(&self) -> bool {
        self.chunks.iter().any(|chunk| {
            chunk.direction == Direction::Received && matches!(chunk.content, Content::Event(FINISHED | RESET))
        })
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

    pub(crate) fn add(&mut self, at: Duration, direction: Direction, octets: &[u8]) {
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

    /// The log, a line for each header, frame and event. SASL responses are masked; [`Secrets`](crate::run::Secrets) mask
    /// the rest, and leave out what reports do not show.
    pub fn entries(&self) -> Vec<Entry> {
        let (mut sent, mut received) = (Side::default(), Side::default());
        let mut entries = Vec::new();
        for chunk in &self.chunks {
            let side = if chunk.direction == Direction::Sent { &mut sent } else { &mut received };
            match &chunk.content {
                Content::Octets(octets) => {
                    side.feed(octets);
                    while let Some((got, octets)) = side.next() {
                        entries.push(entry(chunk, got.to_string(), hex_of(&got, &octets)));
                    }
                }
                Content::Event(event) => {
                    let unfinished = side.take_unfinished();
                    if unfinished > 0 {
                        let text = format!("{unfinished} octets of a frame that was not finished");
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

/// Leaves out what a report does not show of a long conversation: the entries between, and the end of large frames.
pub(crate) fn shorten(entries: &mut Vec<Entry>) {
    let left_out = entries.len().saturating_sub(FIRST_ENTRIES.saturating_add(LAST_ENTRIES));
    // One entry more is the remark itself.
    if left_out > 1
        && let Some(first) = entries.get(FIRST_ENTRIES)
    {
        let text = format!("{left_out} lines between are left out");
        let remark = Entry { text, hex: String::new(), ..first.clone() };
        entries.splice(FIRST_ENTRIES..FIRST_ENTRIES.saturating_add(left_out), [remark]);
    }
    for Entry { hex, .. } in entries {
        let shown = MAX_HEX.saturating_mul(2);
        let more = hex.len().saturating_sub(shown) / 2;
        if more > 0 && !hex.contains(' ') {
            *hex = format!("{} and {more} octets more", hex.get(..shown).unwrap_or_default());
        }
    }
}

fn entry(chunk: &Chunk, text: String, hex: String) -> Entry {
    let direction = if chunk.direction == Direction::Sent { "sent" } else { "received" };
    let at_us = u64::try_from(chunk.at.as_micros()).unwrap_or(u64::MAX);
    Entry { at_us, direction: String::from(direction), text, hex }
}

/// One direction, split into frames, with the octets of each.
struct Side {
    splitter: Splitter,
    octets: BytesMut,
}

impl Default for Side {
    fn default() -> Self {
        Self { splitter: Splitter::new(u32::MAX), octets: BytesMut::new() }
    }
}

impl Side {
    fn feed(&mut self, octets: &[u8]) {
        self.splitter.feed(octets);
        self.octets.extend_from_slice(octets);
    }

    fn next(&mut self) -> Option<(Got, BytesMut)> {
        let got = self.splitter.next()?;
        let taken = self.octets.len().saturating_sub(self.splitter.unfinished());
        Some((got, self.octets.split_to(taken)))
    }

    fn take_unfinished(&mut self) -> usize {
        self.octets.clear();
        self.splitter.take_unfinished().len()
    }
}

/// The octets of a frame's header and of its descriptor, after which a secret may stand.
const BEFORE_SECRETS: usize = 11;

/// The kinds of SASL frames that hold no response, by their descriptors in the usual form.
const WITHOUT_SECRETS: [&[u8]; 3] = [b"\0\x53\x40", b"\0\x53\x42", b"\0\x53\x44"];
const TYPE_SASL: u8 = 1;

/// Returns `true` if a frame that cannot be read may be a response of SASL.
fn may_be_response(octets: &[u8]) -> bool {
    let body = octets.get(8..).unwrap_or_default();
    octets.get(5) == Some(&TYPE_SASL) && !WITHOUT_SECRETS.iter().any(|descriptor| body.starts_with(descriptor))
}

fn hex_of(got: &Got, octets: &[u8]) -> String {
    let is_response = match got {
        Got::Sasl(body) => matches!(body, SaslBody::Init(_) | SaslBody::Response(_)),
        Got::Undecodable { .. } => may_be_response(octets),
        _ => false,
    };
    match is_response {
        // The response may hold a password.
        true => {
            let shown = octets.get(..BEFORE_SECRETS).unwrap_or(octets);
            hex(shown) + &"..".repeat(octets.len().saturating_sub(shown.len()))
        }
        false => hex(octets),
    }
}

/// Octets in hexadecimal, two digits each.
fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(2));
    for octet in octets {
        // Writing to a `String` does not fail.
        write!(text, "{octet:02x}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{frame::ProtocolHeader, performative::Performative, sasl::SaslBody};
    use amqp1_script::frames;

    fn sent(octets: &[&[u8]]) -> Vec<Entry> {
        let mut log = WireLog::until(Deadline::None);
        octets.iter().for_each(|octets| log.add(Duration::from_millis(1), Direction::Sent, octets));
        log.entries()
    }

    #[test]
    fn octets_are_shown_as_they_went_but_for_sasl_responses() {
        let mechanisms = [&b"\0\0\0\x15\x02\x01\0\0\0\x53\x40\xd0\0\0\0\x06"[..], b"\0\0\0\x01\xa3\0"].concat();
        let [entry] = &sent(&[&mechanisms[..21]])[..] else { panic!("one entry") };
        assert_eq!(entry.hex.len(), 42, "an unusual encoding is shown as it is");
        let init = frames::sasl(&SaslBody::Init(frames::plain("me", "sesame")));
        let entries = sent(&[&ProtocolHeader::SASL.encode(), &init]);
        assert_eq!(entries[0].hex, "414d515003010000");
        assert!(entries[1].hex.ends_with("...."), "{}", entries[1].hex);
        assert_eq!(entries[1].hex.len(), init.len() * 2);
    }

    #[test]
    fn of_many_frames_the_first_and_the_last_are_shown() {
        let mut octets = vec![frames::empty(0); 1000];
        octets.push(frames::encode(0, frames::end(), b""));
        let octets: Vec<&[u8]> = octets.iter().map(AsRef::as_ref).collect();
        let mut entries = sent(&octets);
        assert_eq!(entries.len(), octets.len());
        shorten(&mut entries);
        let once = entries.clone();
        shorten(&mut entries);
        assert_eq!(entries, once);
        assert_eq!(entries.len(), FIRST_ENTRIES + 1 + LAST_ENTRIES);
        assert_eq!(entries[FIRST_ENTRIES].text, "751 lines between are left out");
        assert_eq!(entries[entries.len() - 1].text, "[0] end");
    }

    #[test]
    fn a_large_frame_is_whole_until_it_is_shown() {
        let frame = frames::encode(0, Performative::from(frames::transfer(0, 1)), &[7; 3000]);
        let mut entries = sent(&[&frame]);
        assert_eq!(entries[0].hex.len(), frame.len() * 2);
        shorten(&mut entries);
        let more = format!(" and {} octets more", frame.len() - MAX_HEX);
        assert!(entries[0].hex.ends_with(&more) && entries[0].hex.len() == 2 * MAX_HEX + more.len());
    }

    #[test]
    fn a_response_that_is_malformed_is_masked_as_well() {
        let init = frames::sasl(&SaslBody::Init(frames::plain("me", "sesame")));
        let mut malformed = init.to_vec();
        // The size of the list is wrong.
        malformed[12] = malformed[12].wrapping_add(1);
        for octets in
            [&malformed[..], &[&malformed[..8], &b"\0\xa3\x13amqp:sasl-init:list"[..], &malformed[11..]].concat()]
        {
            let mut octets = octets.to_vec();
            octets[3] = u8::try_from(octets.len()).expect("it is small");
            let entries = sent(&[&octets]);
            assert!(!entries[0].hex.contains("736573616d65"), "{:?}", entries[0]);
        }
    }

    #[test]
    fn deliveries_are_noticed_in_every_form_of_their_descriptor() {
        for form in TRANSFER {
            let mut log = WireLog::until(Deadline::None);
            assert!(!log.has_deliveries());
            log.add(Duration::ZERO, Direction::Received, &[b"\0\0\0\x20\x02\0\0\0", form].concat());
            assert!(log.has_deliveries());
        }
    }
}
