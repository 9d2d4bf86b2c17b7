//! Right peers for rules that our own peers break, on purpose or by a known fault: the change corrects that.

use crate::wrong::{Fate, Past, Piece, Wrong};
use amqp_conformance::Role;
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    performative::{Attach, End, Performative},
};
use amqp1_script::{AmqpFrame, Got, frames};

/// The cases that our own peer fails, and the change that makes it a right one.
pub(crate) static ALL: &[(Role, &str, Wrong)] = &[
    (Role::Server, "T-2.6.5-2", ENDS_ERRANT_LINKS),
    (Role::Server, "T-2.6.5-3", ENDS_ERRANT_LINKS),
    (Role::Client, "T-2.6.5-2", ENDS_ERRANT_LINKS),
    (Role::Client, "T-2.6.5-3", ENDS_ERRANT_LINKS),
];

/// It ends the session, and nothing before, when something comes for a link that it has detached with an error.
const ENDS_ERRANT_LINKS: Wrong = Wrong {
    name: "ends-errant-links",
    on: &["detach"],
    written: |past, piece| {
        match &piece.got {
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) if detach.error.is_some() => {
                past.count("errant");
            }
            // It has not given up the session, nor the connection.
            Got::Frame(AmqpFrame { body: Some(Performative::End(_) | Performative::Close(_)), .. })
                if past.has("errant") =>
            {
                return Fate::Drop;
            }
            _ => {}
        }
        Fate::Pass(piece.octets)
    },
    read: end_errant,
};

fn end_errant(past: &mut Past, piece: Piece) -> Fate {
    let is_input = |body: &Performative| match body {
        Performative::Transfer(_) => true,
        Performative::Attach(attach) => is_new(attach),
        _ => false,
    };
    match &piece.got {
        Got::Frame(AmqpFrame { channel, body: Some(body), .. }) if past.has("errant") && is_input(body) => {
            let error = Some(AmqpError::from(ErrorCondition::ERRANT_LINK));
            Fate::Answer(vec![frames::encode(*channel, End { error }, b"")])
        }
        Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) if past.has("errant") => {
            Fate::Answer(vec![frames::encode(0, frames::close(), b"")])
        }
        _ => Fate::Pass(piece.octets),
    }
}

fn is_new(attach: &Attach) -> bool {
    attach.unsettled.is_none()
}
