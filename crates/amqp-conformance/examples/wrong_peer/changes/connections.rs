//! Peers that are wrong about connections, sessions and logins.

use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::Performative,
    sasl::{SaslBody, SaslOutcome, Secret},
};
use amqp1_script::{Got, frames};
use bytes::Bytes;

/// Its headers name version 1.1.0.
pub(crate) const OTHER_HEADER: Wrong = Wrong::writes("other-header", &["header"], other_header);

fn other_header(_: &mut Past, piece: Piece) -> Fate {
    match piece.got {
        Got::Header(ProtocolHeader { .. }) => {
            let mut octets = piece.octets.to_vec();
            if let Some(minor) = octets.get_mut(6) {
                *minor = 1;
            }
            Fate::Pass(octets.into())
        }
        _ => Fate::Pass(piece.octets),
    }
}

/// It does not close.
pub(crate) const NO_CLOSE: Wrong = Wrong::writes("no-close", &["close"], no_close);

fn no_close(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "close" { Fate::Drop } else { Fate::Pass(piece.octets) }
}

/// It writes a frame after its close.
pub(crate) const TALKS_AFTER_CLOSE: Wrong = Wrong::writes("talks-after-close", &["close"], talk);

fn talk(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() != "close" {
        return Fate::Pass(piece.octets);
    }
    Fate::Replace(vec![piece.octets, frames::encode(0, frames::begin(), b"")])
}

/// It leaves the stream open after its close, and sends empty frames.
pub(crate) const STAYS_AFTER_CLOSE: Wrong = Wrong::writes("stays-after-close", &["close"], stay);

fn stay(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() != "close" {
        return Fate::Pass(piece.octets);
    }
    Fate::Replace(vec![piece.octets, frames::empty(0)])
}

/// It sends no empty frames.
pub(crate) const NO_HEARTBEAT: Wrong = Wrong::writes("no-heartbeat", &["empty"], no_heartbeat);

fn no_heartbeat(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "empty" { Fate::Drop } else { Fate::Pass(piece.octets) }
}

/// It takes a connection for idle on which other than empty frames come.
pub(crate) const HEARS_EMPTY_FRAMES_ALONE: Wrong = Wrong::reads("hears-empty-frames-alone", &["flow"], |_, piece| {
    if piece.name() == "flow" { Fate::Drop } else { Fate::Pass(piece.octets) }
});

/// It opens on channel 1.
pub(crate) const OPEN_ON_CHANNEL_1: Wrong = Wrong::writes("open-on-channel-1", &["open"], open_on_1);

fn open_on_1(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "open" {
        Fate::Pass(amqp1_script::bad::channel(&piece.octets, 1))
    } else {
        Fate::Pass(piece.octets)
    }
}

/// It opens twice.
pub(crate) const OPEN_TWICE: Wrong = Wrong::writes("open-twice", &["open"], open_twice);

fn open_twice(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() != "open" {
        return Fate::Pass(piece.octets);
    }
    Fate::Replace(vec![piece.octets.clone(), piece.octets])
}

/// Its open has more than 512 octets, and asks for frames of fewer.
pub(crate) const LARGE_OPEN: Wrong = Wrong::writes("large-open", &["open"], large_open);

fn large_open(_: &mut Past, piece: Piece) -> Fate {
    change(piece, "open", |body, _| {
        if let Performative::Open(open) = body {
            open.container_id = "c".repeat(600).into();
            open.max_frame_size = 100;
            open.channel_max = 0;
        }
    })
}

/// Its transfers are larger than a peer that asks for frames of 512 octets allows.
pub(crate) const LARGE_STATES: Wrong = Wrong::writes("large-states", &["transfer"], |_, piece| {
    change(piece, "transfer", |body, _| {
        if let Performative::Transfer(transfer) = body {
            let error = AmqpError::from(ErrorCondition::INTERNAL_ERROR);
            let error = AmqpError { description: Some("d".repeat(600).into()), ..error };
            transfer.state = Some(DeliveryState::Rejected(Some(Box::new(error))));
        }
    })
});

/// Its begins answer none.
pub(crate) const NO_REMOTE_CHANNEL: Wrong = Wrong::writes("no-remote-channel", &["begin"], no_remote);

fn no_remote(_: &mut Past, piece: Piece) -> Fate {
    change(piece, "begin", |body, _| {
        if let Performative::Begin(begin) = body {
            begin.remote_channel = None;
        }
    })
}

/// Its begins answer another channel, and forget their windows.
pub(crate) const WRONG_REMOTE_CHANNEL: Wrong = Wrong::writes("wrong-remote-channel", &["begin"], wrong_remote);

fn wrong_remote(_: &mut Past, piece: Piece) -> Fate {
    change(piece, "begin", |body, _| {
        if let Performative::Begin(begin) = body {
            begin.remote_channel = Some(begin.remote_channel.unwrap_or_default().wrapping_add(1));
        }
    })
}

/// It ends no session.
pub(crate) const NO_END: Wrong = Wrong::writes("no-end", &["end"], no_end);

fn no_end(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "end" { Fate::Drop } else { Fate::Pass(piece.octets) }
}

/// Every login succeeds.
pub(crate) const SASL_ALWAYS_OK: Wrong = Wrong::writes("sasl-always-ok", &["sasl-outcome"], always_ok);

fn always_ok(_: &mut Past, piece: Piece) -> Fate {
    match piece.got {
        Got::Sasl(SaslBody::Outcome(_)) => Fate::Pass(frames::sasl(&frames::outcome(amqp1_codec::sasl::SaslCode::Ok))),
        _ => Fate::Pass(piece.octets),
    }
}

/// It offers no mechanism.
pub(crate) const SASL_NO_MECHANISM: Wrong = Wrong::writes("sasl-no-mechanism", &["sasl-mechanisms"], no_mechanism);

/// `sasl-mechanisms` with an empty array of symbols.
const NO_MECHANISMS: &[u8] = b"\0\0\0\x12\x02\x01\0\0\0\x53\x40\xc0\x05\x01\xe0\x02\0\xa3";

fn no_mechanism(_: &mut Past, piece: Piece) -> Fate {
    match piece.got {
        Got::Sasl(SaslBody::Mechanisms(_)) => Fate::Pass(Bytes::from_static(NO_MECHANISMS)),
        _ => Fate::Pass(piece.octets),
    }
}

/// Its outcomes carry data, whatever they are.
pub(crate) const SASL_WITH_DATA: Wrong = Wrong::writes("sasl-with-data", &["sasl-outcome"], with_data);

fn with_data(_: &mut Past, piece: Piece) -> Fate {
    match piece.got {
        Got::Sasl(SaslBody::Outcome(outcome)) => {
            let additional_data = Some(Secret(Bytes::from_static(b"v=wrong")));
            Fate::Pass(frames::sasl(&SaslBody::Outcome(SaslOutcome { additional_data, ..outcome })))
        }
        _ => Fate::Pass(piece.octets),
    }
}
