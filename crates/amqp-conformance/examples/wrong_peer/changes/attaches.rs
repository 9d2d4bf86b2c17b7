//! Peers that are wrong about links.

use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    definitions::{ReceiverSettleMode, SenderSettleMode},
    performative::{Attach, Performative},
};

fn attach(piece: Piece, with: impl FnOnce(&mut Attach)) -> Fate {
    change(piece, "attach", |body, _| {
        if let Performative::Attach(attach) = body {
            with(attach);
        }
    })
}

/// Its attach names another link.
pub(crate) const OTHER_NAME: Wrong = Wrong::writes("other-name", &["attach"], other_name);

fn other_name(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| attach.name = format!("{}-other", attach.name).into())
}

/// Its attach has the role of the one that it answers.
pub(crate) const SAME_ROLE: Wrong = Wrong::writes("same-role", &["attach"], same_role);

fn same_role(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| attach.role = attach.role.opposite())
}

/// Its attach has neither a source nor a target.
pub(crate) const NO_TERMINI: Wrong = Wrong::writes("no-termini", &["attach"], no_termini);

fn no_termini(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| (attach.source, attach.target) = (None, None))
}

/// Its attach has no `initial-delivery-count`.
pub(crate) const NO_INITIAL_DELIVERY_COUNT: Wrong =
    Wrong::writes("no-initial-delivery-count", &["attach"], no_initial_delivery_count);

fn no_initial_delivery_count(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| attach.initial_delivery_count = None)
}

/// Its attach names the settle modes that were not asked for.
pub(crate) const OTHER_SETTLE_MODES: Wrong = Wrong::writes("other-settle-modes", &["attach"], other_settle_modes);

fn other_settle_modes(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| {
        attach.snd_settle_mode = match attach.snd_settle_mode {
            SenderSettleMode::Settled => SenderSettleMode::Unsettled,
            _ => SenderSettleMode::Settled,
        };
        attach.rcv_settle_mode = match attach.rcv_settle_mode {
            ReceiverSettleMode::First => ReceiverSettleMode::Second,
            ReceiverSettleMode::Second => ReceiverSettleMode::First,
        };
    })
}

/// Its attach repeats the termini that it was asked for, granted or not.
pub(crate) const ECHOES_TERMINI: Wrong = Wrong::both("echoes-termini", echo_termini, keep_attach);

fn keep_attach(past: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "attach" {
        past.kept.push(piece.octets.clone());
    }
    Fate::Pass(piece.octets)
}

fn echo_termini(past: &mut Past, piece: Piece) -> Fate {
    let asked = past.kept.last().cloned();
    attach(piece, |attach| {
        if let Some(Ok((_, Performative::Attach(asked), _))) = asked.map(|octets| Piece::new(octets).frame()) {
            (attach.source, attach.target) = (asked.source, asked.target);
        }
    })
}

/// It does not detach.
pub(crate) const NO_DETACH: Wrong = Wrong::writes("no-detach", &["detach"], no_detach);

fn no_detach(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "detach" { Fate::Drop } else { Fate::Pass(piece.octets) }
}

/// Its detach never closes a link.
pub(crate) const DETACHES_WITHOUT_CLOSED: Wrong = Wrong::writes("detaches-without-closed", &["detach"], without_closed);

fn without_closed(_: &mut Past, piece: Piece) -> Fate {
    change(piece, "detach", |body, _| {
        if let Performative::Detach(detach) = body {
            detach.closed = false;
        }
    })
}

/// Its attach has no unsettled deliveries.
pub(crate) const FORGETS_UNSETTLED: Wrong = Wrong::writes("forgets-unsettled", &["attach"], forget);

fn forget(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| attach.unsettled = None)
}

/// Its attach has neither capabilities nor limits.
pub(crate) const NO_LIMITS: Wrong = Wrong::writes("no-limits", &["attach"], no_limits);

fn no_limits(_: &mut Past, piece: Piece) -> Fate {
    attach(piece, |attach| {
        attach.max_message_size = None;
        attach.offered_capabilities = Default::default();
        attach.properties = None;
    })
}
