//! Peers that refuse wrongly, or everything, or nothing.

use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    performative::Performative,
};
use amqp1_script::{Refusal, Scope, frames};

/// It drops its refusals, and answers a close as if nothing had happened.
pub(crate) const SWALLOWS: Wrong = Wrong::both("swallows-refusals", swallow, polite);

fn swallow(past: &mut Past, piece: Piece) -> Fate {
    if Refusal::of(&piece.got).is_some() {
        past.count("swallowed");
        return Fate::Drop;
    }
    Fate::Pass(piece.octets)
}

/// It does not close a link that it detaches with an error, and passes over what comes for it after that.
pub(crate) const TOLERATES_ERRANT: Wrong = Wrong {
    name: "tolerates-input-after-an-error",
    on: &["detach"],
    written: |past, piece| match Refusal::of(&piece.got) {
        Some(refusal) if refusal.error.condition == ErrorCondition::ERRANT_LINK => {
            past.count("swallowed");
            Fate::Drop
        }
        _ => super::attaches::without_closed(piece),
    },
    read: polite,
    place: None,
};

/// The peer has refused, and reads nothing more: the proxy answers in its place.
fn polite(past: &mut Past, piece: Piece) -> Fate {
    if past.counts.contains_key("swallowed") {
        if piece.name() == "close" {
            return Fate::Answer(vec![frames::encode(0, frames::close(), b"")]);
        }
        if let Ok((channel, Performative::End(_), _)) = piece.clone().frame() {
            return Fate::Answer(vec![frames::encode(channel, frames::end(), b"")]);
        }
    }
    Fate::Pass(piece.octets)
}

/// It refuses at the next narrower scope: it ends the session instead of the connection, or detaches instead.
pub(crate) const NARROWER: Wrong = Wrong::writes("refuses-narrower", &[], narrower);

fn narrower(_: &mut Past, piece: Piece) -> Fate {
    match Refusal::of(&piece.got) {
        Some(Refusal { scope: Scope::Connection, error, channel }) => {
            Fate::Pass(frames::encode(channel, amqp1_codec::performative::End { error: Some(error) }, b""))
        }
        Some(Refusal { scope: Scope::Session, error, channel }) => {
            let detach = amqp1_codec::performative::Detach { error: Some(error), ..frames::detach(0) };
            Fate::Pass(frames::encode(channel, detach, b""))
        }
        _ => Fate::Pass(piece.octets),
    }
}

/// Each of its errors has a condition that fits nothing.
pub(crate) const OTHER_CONDITION: Wrong = Wrong::writes("other-condition", &[], other_condition);

fn other_condition(_: &mut Past, piece: Piece) -> Fate {
    let error = || Some(AmqpError::new(ErrorCondition::RESOURCE_DELETED, "something went wrong"));
    if Refusal::of(&piece.got).is_none() {
        return Fate::Pass(piece.octets);
    }
    let name = piece.name();
    change(piece, name, |body, _| match body {
        Performative::Detach(detach) => detach.error = error(),
        Performative::End(end) => end.error = error(),
        Performative::Close(close) => close.error = error(),
        _ => {}
    })
}

/// It never says anything.
pub(crate) const MUTE: Wrong = Wrong::both("mute", |_, _| Fate::Drop, |_, _| Fate::Drop);

/// It ends each connection at the first octets.
pub(crate) const CLOSES_AT_ONCE: Wrong =
    Wrong::both("closes-at-once", |_, _| Fate::End(Vec::new()), |_, _| Fate::End(Vec::new()));

/// It says what it hears.
pub(crate) const ECHOES: Wrong = Wrong::both("echoes", |_, _| Fate::Drop, |_, piece| Fate::Answer(vec![piece.octets]));

/// It opens, and closes with an error at once.
pub(crate) const CLOSES_AFTER_OPEN: Wrong = Wrong::writes("closes-after-open", &[], close_after_open);

fn close_after_open(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() != "open" {
        return Fate::Pass(piece.octets);
    }
    Fate::End(vec![piece.octets, frames::encode(0, frames::close_with(ErrorCondition::INTERNAL_ERROR), b"")])
}

/// It answers each begin, and ends the session with an error at once.
pub(crate) const REFUSES_SESSIONS: Wrong = Wrong::writes("refuses-sessions", &[], refuse_session);

fn refuse_session(_: &mut Past, piece: Piece) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Begin(_), _)) => {
            let error = Some(AmqpError::from(ErrorCondition::INTERNAL_ERROR));
            let end = frames::encode(channel, amqp1_codec::performative::End { error }, b"");
            Fate::Replace(vec![octets, end])
        }
        _ => Fate::Pass(octets),
    }
}

/// It answers each attach, and detaches with an error at once.
pub(crate) const REFUSES_LINKS: Wrong = Wrong::writes("refuses-links", &[], refuse_link);

fn refuse_link(_: &mut Past, piece: Piece) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Attach(attach), _)) => {
            let error = Some(AmqpError::from(ErrorCondition::INTERNAL_ERROR));
            let detach = amqp1_codec::performative::Detach { error, ..frames::detach(attach.handle) };
            Fate::Replace(vec![octets, frames::encode(channel, detach, b"")])
        }
        _ => Fate::Pass(octets),
    }
}
