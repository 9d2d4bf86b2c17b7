//! Peers that are wrong about links.

use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    DeliveryTag, Symbol, Value,
    definitions::{ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{Source, TerminusDurability, TerminusExpiryPolicy},
    performative::{Attach, Performative, TargetArchetype},
};
use amqp1_script::{AmqpFrame, Got};

pub(super) fn attach(piece: Piece, with: impl FnOnce(&mut Attach)) -> Fate {
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
pub(crate) const DETACHES_WITHOUT_CLOSED: Wrong =
    Wrong::writes("detaches-without-closed", &["detach"], |_, piece| without_closed(piece));

pub(super) fn without_closed(piece: Piece) -> Fate {
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

/// A peer whose attaches are changed like this.
macro_rules! attaches {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$attach:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong =
            Wrong::writes($name, &["attach"], |_, piece| attach(piece, |$attach| $change));
    )+};
}

attaches! {
    /// Its sources name no outcomes.
    NO_OUTCOMES "sources-without-outcomes" |attach| {
        if let Some(source) = &mut attach.source {
            source.outcomes = Default::default();
        }
    }
    /// Its sources have no default outcome.
    NO_DEFAULT_OUTCOME "sources-without-default-outcome" |attach| {
        if let Some(source) = &mut attach.source {
            source.default_outcome = None;
        }
    }
    /// Its attaches have an unsettled delivery that there never was.
    INVENTS_UNSETTLED "invents-unsettled" |attach| {
        let tag = DeliveryTag::new(b"never").unwrap_or_default();
        attach.unsettled = Some(std::iter::once((tag, Value::Null)).collect());
    }
    /// Its coordinators have a capability that does not exist.
    UNKNOWN_CAPABILITIES "unknown-capabilities-of-transactions" |attach| {
        if let Some(TargetArchetype::Coordinator(coordinator)) = &mut attach.target {
            coordinator.capabilities = std::iter::once(Symbol::from_static("amqp:no-such-transactions")).collect();
        }
    }
    /// Its coordinators have no capability.
    NO_CAPABILITIES "no-capabilities-of-transactions" |attach| {
        if let Some(TargetArchetype::Coordinator(coordinator)) = &mut attach.target {
            coordinator.capabilities = Default::default();
        }
    }
    /// The addresses of its termini are others.
    OTHER_ADDRESSES "other-addresses" |attach| {
        if let Some(address) = attach.source.as_mut().and_then(|source| source.address.as_mut()) {
            *address = "elsewhere".into();
        }
        if let Some(TargetArchetype::Target(target)) = &mut attach.target
            && target.address.is_some()
        {
            target.address = Some("elsewhere".into());
        }
    }
    /// Its termini have no addresses.
    NO_ADDRESSES "no-addresses" |attach| {
        if let Some(source) = &mut attach.source {
            source.address = None;
        }
        if let Some(TargetArchetype::Target(target)) = &mut attach.target {
            target.address = None;
        }
    }
    /// Its termini are durable, and never expire.
    DURABLE "durable-termini" |attach| {
        if let Some(source) = &mut attach.source {
            (source.durable, source.expiry_policy) =
                (TerminusDurability::UnsettledState, TerminusExpiryPolicy::Never);
        }
        if let Some(TargetArchetype::Target(target)) = &mut attach.target {
            (target.durable, target.expiry_policy) =
                (TerminusDurability::UnsettledState, TerminusExpiryPolicy::Never);
        }
    }
    /// Its attach has another sender settle mode than was asked for.
    OTHER_SENDER_MODE "other-sender-settle-mode" |attach| {
        attach.snd_settle_mode = match attach.snd_settle_mode {
            SenderSettleMode::Settled => SenderSettleMode::Unsettled,
            _ => SenderSettleMode::Settled,
        };
    }
    /// Its attach has another receiver settle mode than was asked for.
    OTHER_RECEIVER_MODE "other-receiver-settle-mode" |attach| {
        attach.rcv_settle_mode = match attach.rcv_settle_mode {
            ReceiverSettleMode::First => ReceiverSettleMode::Second,
            ReceiverSettleMode::Second => ReceiverSettleMode::First,
        };
    }
    /// Its dynamic sources do not say that they are.
    NOT_DYNAMIC "sources-without-dynamic" |attach| {
        if let Some(source) = &mut attach.source {
            source.dynamic = false;
        }
    }
    /// Its sources do not say how they distribute messages.
    NO_DISTRIBUTION_MODE "sources-without-distribution-mode" |attach| {
        if let Some(source) = &mut attach.source {
            source.distribution_mode = None;
        }
    }
    /// Its sources say that they are kept for longer than was asked for.
    LONG_TIMEOUT "sources-with-a-long-timeout" |attach| {
        if let Some(source) = &mut attach.source {
            source.timeout = u32::MAX;
        }
    }
    /// Its handles begin with 9.
    HIGH_HANDLES "attaches-with-handle-9" |attach| { attach.handle = attach.handle.saturating_add(9); }
    /// The largest message that it takes has no octets.
    SMALLEST_MESSAGES "max-message-size-1" |attach| { attach.max_message_size = Some(1); }
    /// Its map of unsettled deliveries is incomplete.
    INCOMPLETE_UNSETTLED "incomplete-unsettled" |attach| { attach.incomplete_unsettled = !attach.incomplete_unsettled; }
}

/// It ends the connection where a coordinator has more than three capabilities.
pub(crate) const FEW_CAPABILITIES: Wrong = Wrong::reads("few-capabilities-of-transactions", &["attach"], |_, piece| {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((_, Performative::Attach(attach), _)) if matches!(&attach.target, Some(TargetArchetype::Coordinator(all)) if all.capabilities.len() > 3) => {
            Fate::End(Vec::new())
        }
        _ => Fate::Pass(octets),
    }
});

/// Where a link has no source, it takes the node that is called like the other end's container.
pub(crate) const MAKES_UP_SOURCES: Wrong = Wrong::reads("makes-up-sources", &["attach"], |past, piece| {
    if let Got::Frame(AmqpFrame { body: Some(Performative::Open(open)), .. }) = &piece.got {
        past.kept.push(open.container_id.as_bytes().to_vec().into());
    }
    let container = past.kept.first().and_then(|name| String::from_utf8(name.to_vec()).ok());
    attach(piece, |attach| {
        if attach.role == Role::Receiver && attach.source.is_none() {
            attach.source = container.map(|name| Box::new(Source::at(name)));
        }
    })
});
