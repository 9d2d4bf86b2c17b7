//! Peers that are wrong about handles, and about links that are attached or detached by the other end.

use super::{deliveries::flow, promises::attach_of};
use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{DeliveryState, Source},
    performative::{Attach, Detach, End, Performative},
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
};

/// It takes no handle a second time.
pub(crate) const HANDLES_ONCE: Wrong = Wrong::reads("takes-handles-once", &["attach"], |past, piece| {
    let (octets, channel) = (piece.octets.clone(), channel_of(&piece));
    let Some(attach) = attach_of(piece) else { return Fate::Pass(octets) };
    if past.handles.insert((channel, attach.handle)) {
        return Fate::Pass(octets);
    }
    let end = End { error: Some(AmqpError::from(ErrorCondition::HANDLE_IN_USE)) };
    Fate::Answer(vec![frames::encode(channel, end, b"")])
});

fn channel_of(piece: &Piece) -> u16 {
    match &piece.got {
        Got::Frame(frame) => frame.channel,
        _ => 0,
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
        if let Some(source) = &mut attach.source
            && attach.role == Role::Sender
            && source.address.is_none()
        {
            source.address = Some("invented".into());
        }
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
};

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
