//! `Debug` of what a peer sent: escaped and cut. Of octets of messages it shows how many there are, since what they hold
//! may be large or secret.

use crate::{
    event::{Detached, Ended, IncomingDelivery, Settled, Settlement, StreamItem},
    resume::{ReceivedSoFar, SentSoFar, Suspended, SuspendedReceiver, SuspendedSender},
};
use amqp1_codec::printable::bounded_debug;
use bytes::Bytes;
use core::fmt;

/// A number of octets.
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

/// The fields of a struct, cut where they are long.
macro_rules! fields {
    ($($name:ident { $($field:ident),+ $(,)? })+) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self { $($field),+ } = self;
                bounded_debug(f, |f| f.debug_struct(stringify!($name))$(.field(stringify!($field), $field))+.finish())
            }
        }
    )+ };
}
fields! {
    Ended { error, by }
    IncomingDelivery { key, tag, message_format, settled, resumed, state, message }
    SentSoFar { tag, token, message_format, settled, begun, state, message }
    Settled { link, token, settlement }
    SuspendedReceiver { deliveries }
    SuspendedSender { deliveries, next_tag }
}

impl fmt::Debug for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender(sender) => fmt::Debug::fmt(sender, f),
            Self::Receiver(receiver) => fmt::Debug::fmt(receiver, f),
        }
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| match self {
            Self::Sent => f.write_str("Sent"),
            Self::Outcome(state) => f.debug_tuple("Outcome").field(state).finish(),
            Self::Aborted => f.write_str("Aborted"),
            Self::Lost { sent } => f.debug_struct("Lost").field("sent", sent).finish(),
        })
    }
}

impl fmt::Debug for ReceivedSoFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_format, parts, whole, taken, outcome } = self;
        bounded_debug(f, |f| {
            f.debug_struct("ReceivedSoFar")
                .field("message_format", message_format)
                .field("parts", &Octets::of(parts))
                .field("whole", whole)
                .field("taken", taken)
                .field("outcome", outcome)
                .finish()
        })
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, error, by, no_handle, undelivered, stream_rest, suspended } = self;
        bounded_debug(f, |f| {
            f.debug_struct("Detached")
                .field("closed", closed)
                .field("error", error)
                .field("by", by)
                .field("no_handle", no_handle)
                .field("undelivered", undelivered)
                .field("stream_rest", &stream_rest.as_deref().map(Octets::of))
                .field("suspended", suspended)
                .finish()
        })
    }
}

impl fmt::Debug for StreamItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| self.show(f))
    }
}

impl StreamItem {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            no_handle: false,
            undelivered: vec![],
            stream_rest: Some(vec![octets()]),
            suspended: None,
        };
        let shown = format!("{held:?} {rest:?} {:?}", StreamItem::Data(octets()));
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(shown.contains("parts: 12 octets") && shown.contains("Some(6 octets)") && shown.contains("Data(6"));
    }
}
