//! Peers that do not get over a flood.

use crate::wrong::{Fate, Wrong};
use amqp1_codec::performative::{Flow, Performative};
use amqp1_script::{AmqpFrame, Got, frames};
use std::sync::atomic::Ordering;

/// The number of frames on a connection that these peers get over.
const MANY: u32 = 200;

/// It reads and writes nothing once it has read this number of frames on a connection.
pub(crate) const HANGS: Wrong = Wrong::both(
    "hangs-at-floods",
    |past, piece| if past.has("hangs") { Fate::Drop } else { Fate::Pass(piece.octets) },
    |past, piece| {
        if past.count("frames") < MANY {
            return Fate::Pass(piece.octets);
        }
        past.count("hangs");
        past.stays = true;
        Fate::Drop
    },
);

/// It answers each flow with echo by two.
pub(crate) const ANSWERS_TWICE: Wrong = Wrong::reads("answers-echo-twice", &["flow"], |_, piece| match piece.got {
    Got::Frame(AmqpFrame { channel, body: Some(Performative::Flow(Flow { echo: true, .. })), .. }) => {
        Fate::Answer(vec![frames::encode(channel, frames::flow(), b""); 2])
    }
    _ => Fate::Pass(piece.octets),
});

/// The number of symbols that there is room for.
const SYMBOLS: usize = 1000;

/// It keeps each symbol of an open, whatever the connection, until there is no room.
pub(crate) const KEEPS_SYMBOLS: Wrong = Wrong::reads("keeps-symbols", &["open"], |past, piece| {
    let Got::Frame(AmqpFrame { body: Some(Performative::Open(open)), .. }) = &piece.got else {
        return Fate::Pass(piece.octets);
    };
    let kept = past.shared.fetch_add(open.desired_capabilities.len(), Ordering::Relaxed);
    if kept < SYMBOLS { Fate::Pass(piece.octets) } else { Fate::Crash }
});
