//! Peers that are wrong about the stream, and about what a frame may have.

use super::encodings::is_malformed;
use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::performative::Performative;
use amqp1_script::{AmqpFrame, Got, Refusal, frames};
use bytes::Bytes;

/// A peer that writes no such frame once it has read one.
macro_rules! no_answer {
    ($name:literal, $frame:literal) => {
        Wrong {
            name: $name,
            on: &[$frame],
            written: |past, piece| match piece.name() {
                $frame if matches!(piece.got, Got::Frame(_)) && past.has($frame) => Fate::Drop,
                _ => Fate::Pass(piece.octets),
            },
            read: |past, piece| {
                if piece.name() == $frame && matches!(piece.got, Got::Frame(_)) {
                    past.count($frame);
                }
                Fate::Pass(piece.octets)
            },
            place: None,
        }
    };
}

/// It leaves the stream open for ever.
pub(crate) const STAYS: Wrong = Wrong::both("never-ends-the-stream", stays, stays);

fn stays(past: &mut Past, piece: Piece) -> Fate {
    past.stays = true;
    Fate::Pass(piece.octets)
}

/// It waits for an open for ever.
pub(crate) const WAITS_FOR_OPEN: Wrong = Wrong::both(
    "waits-for-open",
    |past, piece| {
        past.stays = !past.has("open");
        if piece.name() == "close" && past.stays { Fate::Drop } else { Fate::Pass(piece.octets) }
    },
    |past, piece| {
        if piece.name() == "open" {
            past.count("open");
        }
        past.stays = !past.has("open");
        Fate::Pass(piece.octets)
    },
);

/// It serves no connection after it has refused something.
pub(crate) const CRASHES: Wrong = Wrong::both(
    "crashes-at-refusals",
    |_, piece| if Refusal::of(&piece.got).is_some() { Fate::Crash } else { Fate::Pass(piece.octets) },
    |_, piece| if is_malformed(&piece) { Fate::Crash } else { Fate::Pass(piece.octets) },
);

/// It serves no connection after a frame that is large.
pub(crate) const CRASHES_AT_LARGE: Wrong = Wrong::reads("crashes-at-large-frames", &[], |_, piece| {
    if piece.octets.len() > 4096 { Fate::Crash } else { Fate::Pass(piece.octets) }
});

/// It takes no AMQP frame with an extended header.
pub(crate) const NO_EXTENDED_HEADERS: Wrong = Wrong::reads("no-extended-headers", &[], |_, piece| {
    let is_extended = matches!(piece.got, Got::Frame(_)) && piece.octets.get(4) != Some(&2);
    if is_extended { Fate::End(Vec::new()) } else { Fate::Pass(piece.octets) }
});

/// It takes no empty frame.
pub(crate) const NO_EMPTY_FRAMES: Wrong = Wrong::reads("no-empty-frames", &["empty"], |_, piece| {
    if piece.name() == "empty" { Fate::End(Vec::new()) } else { Fate::Pass(piece.octets) }
});

/// It does not answer what is closed or ended with an error.
pub(crate) const IGNORES_ERRORS: Wrong = Wrong::reads("ignores-errors", &["close", "end", "detach"], |_, piece| {
    if Refusal::of(&piece.got).is_some() { Fate::Drop } else { Fate::Pass(piece.octets) }
});

/// Its frames have an extended header that is too long for them.
pub(crate) const WRONG_DOFF: Wrong = Wrong::writes("doff-beyond-size", &["close"], |_, piece| match piece.name() {
    "close" => Fate::Pass(amqp1_script::bad::data_offset(&piece.octets, 200)),
    _ => Fate::Pass(piece.octets),
});

/// An octet follows its close and its end.
pub(crate) const TRAILING: Wrong =
    Wrong::writes("payload-after-begin", &["begin", "end"], |_, piece| match piece.name() {
        "begin" | "end" if matches!(piece.got, Got::Frame(_)) => {
            Fate::Pass(amqp1_script::bad::extra_octets(&piece.octets, b"\x40"))
        }
        _ => Fate::Pass(piece.octets),
    });

/// An octet follows its close.
pub(crate) const TRAILING_CLOSE: Wrong =
    Wrong::writes("payload-after-close", &["close"], |_, piece| match piece.name() {
        "close" => Fate::Pass(amqp1_script::bad::extra_octets(&piece.octets, b"\x40")),
        _ => Fate::Pass(piece.octets),
    });

/// It begins a session behind its header, on a channel that its partner may not have.
pub(crate) const BEGINS_AT_ONCE: Wrong =
    Wrong::writes("begins-behind-its-header", &["header"], |_, piece| match piece.got {
        Got::Header(amqp1_codec::frame::ProtocolHeader::AMQP) => {
            Fate::Replace(vec![piece.octets, frames::encode(5, frames::begin(), b"")])
        }
        _ => Fate::Pass(piece.octets),
    });

/// Its handles begin with 9.
pub(crate) const HANDLES_FROM_9: Wrong = Wrong::writes("handles-from-9", &["attach"], |_, piece| {
    let name = piece.name();
    change(piece, name, |body, _| match body {
        Performative::Attach(attach) => attach.handle = attach.handle.saturating_add(9),
        Performative::Detach(detach) => detach.handle = detach.handle.saturating_add(9),
        Performative::Transfer(transfer) => transfer.handle = transfer.handle.saturating_add(9),
        Performative::Flow(flow) => flow.handle = flow.handle.map(|handle| handle.saturating_add(9)),
        _ => {}
    })
});

/// It closes on another channel than 0.
pub(crate) const CLOSES_ON_CHANNEL_1: Wrong =
    Wrong::writes("close-on-channel-1", &["close"], |_, piece| match piece.name() {
        "close" => Fate::Pass(amqp1_script::bad::channel(&piece.octets, 1)),
        _ => Fate::Pass(piece.octets),
    });

/// It closes twice.
pub(crate) const CLOSES_TWICE: Wrong = Wrong::writes("closes-twice", &["close"], |_, piece| match piece.name() {
    "close" => Fate::Replace(vec![piece.octets.clone(), piece.octets]),
    _ => Fate::Pass(piece.octets),
});

/// It answers a close with an error of its own.
pub(crate) const CLOSES_WITH_ERROR: Wrong = Wrong::writes("closes-with-an-error", &["close"], |_, piece| {
    change(piece, "close", |body, _| {
        if let Performative::Close(close) = body {
            close.error = Some(amqp1_codec::definitions::ErrorCondition::INTERNAL_ERROR.into());
        }
    })
});

/// It hears a close on channel 0 alone.
pub(crate) const CLOSE_ON_0_ALONE: Wrong =
    Wrong::reads("hears-close-on-channel-0-alone", &["close"], |_, piece| match &piece.got {
        Got::Frame(AmqpFrame { channel: 1.., body: Some(Performative::Close(_)), .. }) => Fate::Drop,
        _ => Fate::Pass(piece.octets),
    });

/// It hears nothing on a channel above 0.
pub(crate) const CHANNEL_0_ALONE: Wrong = Wrong::reads("hears-channel-0-alone", &[], |_, piece| match &piece.got {
    Got::Frame(AmqpFrame { channel: 1.., .. }) => Fate::Drop,
    _ => Fate::Pass(piece.octets),
});

/// It begins a session for each that is begun.
pub(crate) const BEGINS_TWICE: Wrong = Wrong::writes("begins-twice", &["begin"], |_, piece| match piece.name() {
    "begin" => Fate::Replace(vec![piece.octets, frames::encode(77, frames::begin(), b"")]),
    _ => Fate::Pass(piece.octets),
});

/// It uses channels from 7 on.
pub(crate) const HIGH_CHANNELS: Wrong = Wrong {
    name: "begins-on-channel-7",
    on: &["begin"],
    written: |_, piece| match &piece.got {
        Got::Frame(AmqpFrame { channel, body: Some(body), .. }) if !matches!(body.name(), "open" | "close") => {
            Fate::Pass(amqp1_script::bad::channel(&piece.octets, channel.saturating_add(HIGHER)))
        }
        _ => Fate::Pass(piece.octets),
    },
    read: |_, piece| {
        change(piece, "begin", |body, _| {
            if let Performative::Begin(begin) = body {
                begin.remote_channel = begin.remote_channel.map(|channel| channel.saturating_sub(HIGHER));
            }
        })
    },
    place: None,
};

const HIGHER: u16 = 7;

/// The conditions of its closes are strings.
pub(crate) const STRING_CONDITIONS: Wrong =
    Wrong::writes("conditions-are-strings", &["close"], |_, piece| match Refusal::of(&piece.got) {
        Some(Refusal { scope: amqp1_script::Scope::Connection, .. }) => Fate::Pass(Bytes::from_static(
            b"\0\0\0\x29\x02\0\0\0\0\x53\x18\xc0\x1c\x01\0\x53\x1d\xc0\x16\x01\xa1\x13amqp:internal-error",
        )),
        _ => Fate::Pass(piece.octets),
    });

/// It does not answer a detach.
pub(crate) const NO_ANSWER_TO_DETACH: Wrong = no_answer!("no-answer-to-detach", "detach");
/// It does not answer an end.
pub(crate) const NO_ANSWER_TO_END: Wrong = no_answer!("no-answer-to-end", "end");
/// It does not answer a close.
pub(crate) const NO_ANSWER_TO_CLOSE: Wrong = no_answer!("no-answer-to-close", "close");
/// It does not answer a flow with echo, or any other.
pub(crate) const NO_ANSWER_TO_FLOW: Wrong = no_answer!("no-answer-to-flow", "flow");

/// Its detaches have an error.
pub(crate) const DETACHES_WITH_ERROR: Wrong = Wrong::writes("detaches-with-an-error", &["detach"], |_, piece| {
    change(piece, "detach", |body, _| {
        if let Performative::Detach(detach) = body {
            detach.error = Some(amqp1_codec::definitions::ErrorCondition::INTERNAL_ERROR.into());
        }
    })
});

/// Its ends have an error.
pub(crate) const ENDS_WITH_ERROR: Wrong = Wrong::writes("ends-with-an-error", &["end"], |_, piece| {
    change(piece, "end", |body, _| {
        if let Performative::End(end) = body {
            end.error = Some(amqp1_codec::definitions::ErrorCondition::INTERNAL_ERROR.into());
        }
    })
});
