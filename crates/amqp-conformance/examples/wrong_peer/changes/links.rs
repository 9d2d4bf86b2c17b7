//! Peers that are wrong about handles, and about links that are attached or detached by the other end.

use super::{deliveries::flow, promises::attach_of};
use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    SequenceNo,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{DeliveryState, Source},
    performative::{Attach, Detach, End, Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, frames};

/// Its flows have the handle of the other end.
pub(crate) const HANDLES_OF_PARTNER: Wrong = Wrong {
    name: "writes-handles-of-its-partner",
    on: &["attach"],
    written: |past, piece| {
        let handle = past.counts.get("handle").copied();
        flow(piece, |flow| flow.handle = flow.handle.and(handle))
    },
    read: |past, piece| {
        if let Some(attach) = attach_of(piece.clone()) {
            past.counts.insert("handle", attach.handle);
        }
        Fate::Pass(piece.octets)
    },
    place: None,
};

/// It takes no handle a second time.
pub(crate) const HANDLES_ONCE: Wrong = Wrong {
    name: "takes-handles-once",
    on: &["attach"],
    // It stays when the other end detaches, so that the handle can be used again.
    written: |past, piece| match &piece.got {
        Got::Frame(AmqpFrame { body: Some(Performative::End(_) | Performative::Close(_)), .. })
            if past.has("detached") =>
        {
            Fate::Drop
        }
        _ => {
            if detach_of(&piece).is_some() {
                past.count("detaches");
            }
            Fate::Pass(piece.octets)
        }
    },
    read: |past, piece| {
        if detach_of(&piece).is_some() && !past.has("detaches") {
            past.count("detached");
        }
        let (octets, channel) = (piece.octets.clone(), channel_of(&piece));
        let Some(attach) = attach_of(piece) else { return Fate::Pass(octets) };
        if past.handles.insert((channel, attach.handle)) {
            return Fate::Pass(octets);
        }
        let end = End { error: Some(AmqpError::from(ErrorCondition::HANDLE_IN_USE)) };
        Fate::Answer(vec![frames::encode(channel, end, b"")])
    },
    place: None,
};

/// It knows no error that a link ends with.
pub(crate) const NO_LINK_ERRORS: Wrong =
    Wrong::reads("knows-no-link-errors", &["detach"], |_, piece| {
        match detach_of(&piece).and_then(|detach| detach.error.as_ref()) {
            Some(error) if error.condition.as_str().starts_with("amqp:link:") => {
                Fate::Answer(vec![frames::encode(0, frames::close_with(ErrorCondition::DECODE_ERROR), b"")])
            }
            _ => Fate::Pass(piece.octets),
        }
    });

/// It writes a flow with `next-incoming-id` before its begin is answered.
pub(crate) const FLOWS_BEFORE_SESSION: Wrong = Wrong::writes("flows-before-its-session", &["begin"], |_, piece| {
    if piece.name() != "begin" {
        return Fate::Pass(piece.octets);
    }
    let flow = Flow { next_incoming_id: Some(SequenceNo(0)), ..frames::flow() };
    let flow = frames::encode(channel_of(&piece), flow, b"");
    Fate::Replace(vec![piece.octets, flow])
});

/// It gives credit with `delivery-count` before its attach is answered.
pub(crate) const FLOWS_BEFORE_LINK: Wrong = Wrong::writes("flows-before-its-link", &["attach"], |_, piece| {
    let (octets, channel) = (piece.octets.clone(), channel_of(&piece));
    match attach_of(piece) {
        Some(attach) if attach.role == Role::Receiver => {
            let credit = Flow { delivery_count: Some(SequenceNo(0)), ..frames::credit(attach.handle, 1) };
            Fate::Replace(vec![octets, frames::encode(channel, credit, b"")])
        }
        _ => Fate::Pass(octets),
    }
});

fn channel_of(piece: &Piece) -> u16 {
    match &piece.got {
        Got::Frame(frame) => frame.channel,
        _ => 0,
    }
}

/// It closes where a delivery is settled after the link was detached.
pub(crate) const SETTLES_BEFORE_DETACH: Wrong =
    Wrong::reads("refuses-dispositions-after-detach", &["detach"], |past, piece| {
        if detach_of(&piece).is_some() {
            past.count("detach");
        }
        if piece.name() == "disposition" && past.has("detach") {
            return Fate::Answer(vec![frames::encode(0, frames::close_with(ErrorCondition::NOT_ALLOWED), b"")]);
        }
        Fate::Pass(piece.octets)
    });

/// It sends a request that cannot be answered, when it has no address for the answer.
pub(crate) const NO_REPLY_TO: Wrong = Wrong {
    name: "requests-without-reply-to",
    on: &["attach"],
    written: |past, piece| {
        let has_address = !past.has("invented");
        super::deliveries::transfer(piece, |_, payload| {
            if !has_address {
                *payload = frames::message("a request");
            }
        })
    },
    read: |past, piece| {
        super::attaches::attach(piece, |attach| {
            if invents(attach) {
                past.count("invented");
            }
        })
    },
    place: None,
};

/// Gives a dynamic source an address that it does not have.
fn invents(attach: &mut Attach) -> bool {
    match &mut attach.source {
        Some(source) if attach.role == Role::Sender && source.address.is_none() => {
            source.address = Some("invented".into());
            true
        }
        _ => false,
    }
}

/// It has a source for links that do not exist.
pub(crate) const KNOWS_ALL_LINKS: Wrong = Wrong::reads("recovers-unknown-links", &["attach"], |_, piece| {
    let (octets, channel) = (piece.octets.clone(), channel_of(&piece));
    match attach_of(piece) {
        Some(attach) if attach.role == Role::Receiver && attach.source.is_none() => {
            let answer = Attach {
                source: Some(Box::new(Source::at("recovered"))),
                ..frames::attach_answering(&attach, attach.handle)
            };
            Fate::Answer(vec![frames::encode(channel, answer, b"")])
        }
        _ => Fate::Pass(octets),
    }
});

/// It makes up an address for a dynamic node that has none.
pub(crate) const INVENTS_ADDRESSES: Wrong = Wrong::reads("invents-dynamic-addresses", &["attach"], |_, piece| {
    super::attaches::attach(piece, |attach| {
        invents(attach);
    })
});

/// It ends the connection where a source has a filter.
pub(crate) const ENDS_AT_FILTERS: Wrong = Wrong::reads("ends-at-filters", &["attach"], |_, piece| {
    let octets = piece.octets.clone();
    let has_filter = |attach: &Attach| attach.source.as_ref().is_some_and(|source| source.filter.is_some());
    match attach_of(piece) {
        Some(attach) if has_filter(&attach) => Fate::End(Vec::new()),
        _ => Fate::Pass(octets),
    }
});

/// It ends the connection where a delivery is received in part.
pub(crate) const ENDS_AT_RECEIVED: Wrong =
    Wrong::reads("ends-at-received", &["disposition"], |_, piece| match &piece.got {
        Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. })
            if matches!(disposition.state, Some(DeliveryState::Received(_))) =>
        {
            Fate::End(Vec::new())
        }
        _ => Fate::Pass(piece.octets),
    });

fn detach_of(piece: &Piece) -> Option<&Detach> {
    match &piece.got {
        Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) => Some(detach),
        _ => None,
    }
}

/// It writes a flow after a detach with an error.
pub(crate) const FLOWS_AFTER_DETACH: Wrong = Wrong::writes("flows-after-its-detach", &["detach"], |_, piece| {
    match detach_of(&piece).filter(|detach| detach.error.is_some()) {
        Some(detach) => {
            let flow = frames::encode(channel_of(&piece), frames::credit(detach.handle, 1), b"");
            Fate::Replace(vec![piece.octets, flow])
        }
        None => Fate::Pass(piece.octets),
    }
});

/// It answers a detach with an error.
pub(crate) const ANSWERS_WITH_ERROR: Wrong = Wrong {
    name: "answers-detach-with-an-error",
    on: &["detach"],
    written: |past, piece| {
        let is_answer = past.has("detach");
        change(piece, "detach", |body, _| {
            if let (Performative::Detach(detach), true) = (body, is_answer) {
                detach.error = Some(ErrorCondition::INTERNAL_ERROR.into());
            }
        })
    },
    read: |past: &mut Past, piece| {
        if detach_of(&piece).is_some() {
            past.count("detach");
        }
        Fate::Pass(piece.octets)
    },
    place: None,
};

/// It does not say why it ends a session.
pub(crate) const ENDS_WITHOUT_ERROR: Wrong = Wrong::writes("ends-without-an-error", &["end"], |_, piece| {
    change(piece, "end", |body, _| {
        if let Performative::End(end) = body {
            end.error = None;
        }
    })
});

/// A peer whose errors are changed like this.
macro_rules! errors {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$error:ident| $change:expr;)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::writes($name, &["detach", "end", "close"], |_, piece| {
            if Refusal::of(&piece.got).is_none() {
                return Fate::Pass(piece.octets);
            }
            let name = piece.name();
            change(piece, name, |body, _| {
                let $error = match body {
                    Performative::Detach(detach) => &mut detach.error,
                    Performative::End(end) => &mut end.error,
                    Performative::Close(close) => &mut close.error,
                    _ => return,
                };
                $change;
            })
        });
    )+};
}

errors! {
    /// It does not say why it detaches, ends or closes.
    NO_ERRORS "refuses-without-an-error" |error| *error = None;
    /// Its errors have a condition alone.
    NO_DESCRIPTIONS "errors-without-description" |error| {
        if let Some(error) = error {
            error.description = None;
        }
    };
}
