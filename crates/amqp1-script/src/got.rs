//! Whatever can come of waiting.

use amqp1_codec::{
    frame::{FrameError, FrameErrorKind, ProtocolHeader},
    performative::Performative,
    sasl::SaslBody,
};
use bytes::Bytes;
use std::{fmt, time::Duration};

/// An AMQP frame (§2.3.2) as it came.
#[derive(Clone, PartialEq)]
pub struct AmqpFrame {
    /// The channel.
    pub channel: u16,
    /// The performative; nothing in an empty frame, which only shows that the peer lives (§2.4.5).
    pub body: Option<Performative>,
    /// What follows the performative: the payload of a transfer.
    pub payload: Bytes,
    /// The whole frame, its header included.
    pub octets: Bytes,
}

/// What came, or that nothing did.
#[derive(Clone, PartialEq)]
pub enum Got {
    /// A protocol header (§2.2), of any layer and version.
    Header(ProtocolHeader),
    /// An AMQP frame.
    Frame(AmqpFrame),
    /// A SASL frame (§5.3.1).
    Sasl(SaslBody),
    /// Octets that are no frame.
    Undecodable {
        /// What is wrong with them.
        why: Why,
        /// All of them: the frame where its SIZE could be believed, else everything that came.
        octets: Bytes,
    },
    /// The peer writes no more.
    Eof {
        /// The beginning of a frame that was never finished.
        unfinished: Bytes,
    },
    /// The transport broke.
    Reset {
        /// The beginning of a frame that was never finished.
        unfinished: Bytes,
    },
    /// Nothing came in time.
    Timeout {
        /// How long it was waited.
        waited: Duration,
        /// How many octets of an unfinished frame are there; the next wait goes on with them.
        unfinished: usize,
    },
}

/// Why octets cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They are no valid frame.
    Frame(FrameError),
    /// They follow what was no valid frame and begin none themselves, so nobody knows where a frame begins.
    Lost,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => fmt::Display::fmt(error, f),
            Self::Lost => f.write_str("where the next frame begins is not known"),
        }
    }
}

impl Got {
    /// Whether nothing will come after it.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Eof { .. } | Self::Reset { .. })
    }

    /// The specification's name for it, or what it is otherwise.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Frame(frame) => frame.body.as_ref().map_or("empty", Performative::name),
            Self::Sasl(body) => body.name(),
            Self::Undecodable { .. } => "undecodable octets",
            Self::Eof { .. } => "end",
            Self::Reset { .. } => "reset",
            Self::Timeout { .. } => "nothing",
        }
    }
}

/// How many octets of what begins no frame are shown: what a frame's header and a descriptor would take. What a secret
/// may stand in comes later.
const SHOWN: usize = 11;

/// What another protocol says is told from its first octets. Of all else that cannot be read the reason says enough, and
/// the octets may be the middle of a secret.
fn octets(octets: &[u8], why: Why, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} octets", octets.len())?;
    let Why::Frame(FrameError { kind: FrameErrorKind::TooSmall { .. } | FrameErrorKind::TooLarge { .. }, .. }) = why
    else {
        return Ok(());
    };
    f.write_str(" (")?;
    for (index, octet) in octets.iter().take(SHOWN).enumerate() {
        let separator = if index == 0 { "" } else { " " };
        write!(f, "{separator}{octet:02x}")?;
    }
    f.write_str(if octets.len() > SHOWN { " …)" } else { ")" })
}

fn end(f: &mut fmt::Formatter<'_>, what: &str, unfinished: &[u8]) -> fmt::Result {
    f.write_str(what)?;
    if unfinished.is_empty() { Ok(()) } else { write!(f, " after {} octets of a frame", unfinished.len()) }
}

/// A time as a reader needs it: a clock tells more digits than mean something.
fn rounded(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// The layer as a header names it, and the version where it is not 1.0.0.
fn header(header: ProtocolHeader, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [_, _, _, _, id, major, minor, revision] = header.encode();
    match header {
        ProtocolHeader::AMQP => f.write_str("header AMQP"),
        ProtocolHeader::SASL => f.write_str("header SASL"),
        ProtocolHeader::TLS => f.write_str("header TLS"),
        _ => write!(f, "header id {id} version {major}.{minor}.{revision}"),
    }
}

/// One line. Payloads and secrets are not shown.
impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(got) => header(*got, f),
            Self::Frame(frame) => fmt::Display::fmt(frame, f),
            Self::Sasl(body) => write!(f, "[sasl] {body}"),
            Self::Undecodable { why, octets: kept } => {
                octets(kept, *why, f)?;
                write!(f, " that cannot be read: {why}")
            }
            Self::Eof { unfinished } => end(f, "end of stream", unfinished),
            Self::Reset { unfinished } => end(f, "reset", unfinished),
            Self::Timeout { waited, unfinished: 0 } => write!(f, "nothing within {}", rounded(*waited)),
            Self::Timeout { waited, unfinished } => {
                write!(f, "{unfinished} octets of a frame within {}", rounded(*waited))
            }
        }
    }
}

/// One line: the channel, the performative, and how long the payload is.
impl fmt::Display for AmqpFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.channel)?;
        match &self.body {
            None => f.write_str("empty")?,
            Some(body) => fmt::Display::fmt(body, f)?,
        }
        if self.payload.is_empty() { Ok(()) } else { write!(f, " + {} octets", self.payload.len()) }
    }
}

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Got({self})")
    }
}

impl fmt::Debug for AmqpFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AmqpFrame({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stream_is_no_end_of_a_session_and_times_are_rounded() {
        assert_eq!(Got::Eof { unfinished: Default::default() }.to_string(), "end of stream");
        let nothing = |micros| Got::Timeout { waited: Duration::from_micros(micros), unfinished: 0 }.to_string();
        assert_eq!(nothing(5_200_417), "nothing within 5.2 s");
        assert_eq!(nothing(250_999), "nothing within 250 ms");
    }
}
