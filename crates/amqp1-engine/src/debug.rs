//! What `Debug` shows of octets of messages: how many there are. What they hold may be large or secret.

use crate::{
    event::{Detached, StreamItem},
    resume::ReceivedSoFar,
};
use bytes::Bytes;
use core::fmt;

/// So many octets.
struct Octets(usize);

impl Octets {
    fn of(parts: &[Bytes]) -> Self {
        Self(parts.iter().fold(0, |sum, part| sum.saturating_add(part.len())))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.0)
    }
}

impl fmt::Debug for ReceivedSoFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_format, parts, whole, taken, outcome } = self;
        f.debug_struct("ReceivedSoFar")
            .field("message_format", message_format)
            .field("parts", &Octets::of(parts))
            .field("whole", whole)
            .field("taken", taken)
            .field("outcome", outcome)
            .finish()
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, error, by, undelivered, stream_rest, suspended } = self;
        f.debug_struct("Detached")
            .field("closed", closed)
            .field("error", error)
            .field("by", by)
            .field("undelivered", undelivered)
            .field("stream_rest", &stream_rest.as_deref().map(Octets::of))
            .field("suspended", suspended)
            .finish()
    }
}

impl fmt::Debug for StreamItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { key, tag, message_format, settled, state } => f
                .debug_struct("Begin")
                .field("key", key)
                .field("tag", tag)
                .field("message_format", message_format)
                .field("settled", settled)
                .field("state", state)
                .finish(),
            Self::Data(octets) => f.debug_tuple("Data").field(&Octets(octets.len())).finish(),
            Self::End { settled } => f.debug_struct("End").field("settled", settled).finish(),
            Self::Aborted => f.write_str("Aborted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};

    #[test]
    fn what_messages_hold_is_not_shown() {
        let octets = || Bytes::from_static(b"SECRET");
        let held = ReceivedSoFar {
            message_format: 0,
            parts: vec![octets(), octets()],
            whole: true,
            taken: false,
            outcome: None,
        };
        let rest = Detached {
            closed: false,
            error: None,
            by: crate::Cause::Peer,
            undelivered: vec![],
            stream_rest: Some(vec![octets()]),
            suspended: None,
        };
        let shown = format!("{held:?} {rest:?} {:?}", StreamItem::Data(octets()));
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(shown.contains("parts: 12 octets") && shown.contains("Some(6 octets)") && shown.contains("Data(6"));
    }
}
