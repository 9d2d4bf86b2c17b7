//! Peers that are wrong about credit, transfers and dispositions.

use crate::wrong::{Fate, Past, Piece, Wrong, change, drops};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, frames};
use bytes::Bytes;

pub(super) fn transfer(piece: Piece, with: impl FnOnce(&mut Transfer, &mut Bytes)) -> Fate {
    change(piece, "transfer", |body, payload| {
        if let Performative::Transfer(transfer) = body {
            with(transfer, payload);
        }
    })
}

pub(super) fn disposition(piece: Piece, with: impl FnOnce(&mut Disposition)) -> Fate {
    change(piece, "disposition", |body, _| {
        if let Performative::Disposition(disposition) = body {
            with(disposition);
        }
    })
}

pub(super) fn flow(piece: Piece, with: impl FnOnce(&mut Flow)) -> Fate {
    change(piece, "flow", |body, _| {
        if let Performative::Flow(flow) = body {
            with(flow);
        }
    })
}

/// It sends no flow after the first ones that give credit.
pub(crate) const NO_FLOW: Wrong = Wrong::writes("no-flow", &["flow"], no_flow);

fn no_flow(past: &mut Past, piece: Piece) -> Fate {
    if piece.name() == "flow" && past.count("flow") > 0 { Fate::Drop } else { Fate::Pass(piece.octets) }
}

/// The counts in its flows are wrong, and a drain never ends.
pub(crate) const WRONG_FLOW_COUNTS: Wrong = Wrong::writes("wrong-flow-counts", &["flow"], wrong_counts);

fn wrong_counts(_: &mut Past, piece: Piece) -> Fate {
    flow(piece, |flow| {
        flow.next_incoming_id = flow.next_incoming_id.map(|id| id.plus(1));
        flow.delivery_count = flow.delivery_count.map(|count| count.plus(7));
    })
}

/// Its flows ask for an answer.
pub(crate) const ECHOES_ECHO: Wrong = Wrong::writes("echoes-echo", &["flow"], echo);

fn echo(_: &mut Past, piece: Piece) -> Fate {
    flow(piece, |flow| flow.echo = true)
}

/// It sends no disposition.
pub(crate) const NO_DISPOSITION: Wrong =
    Wrong::writes("no-disposition", &["disposition"], |_, piece| drops(piece, "disposition"));

/// Its outcomes are not the ones that fit.
pub(crate) const OTHER_OUTCOME: Wrong = Wrong::writes("other-outcome", &["disposition"], other_outcome);

fn other_outcome(_: &mut Past, piece: Piece) -> Fate {
    disposition(piece, |disposition| {
        disposition.state = match disposition.state {
            Some(DeliveryState::Accepted) => Some(DeliveryState::Released),
            Some(_) => Some(DeliveryState::Accepted),
            None => None,
        };
    })
}

/// Its dispositions settle nothing.
pub(crate) const NOT_SETTLED: Wrong = Wrong::writes("not-settled", &["disposition"], not_settled);

fn not_settled(_: &mut Past, piece: Piece) -> Fate {
    disposition(piece, |disposition| disposition.settled = false)
}

/// Its dispositions and transfers have no state.
pub(crate) const NO_STATE: Wrong = Wrong::writes("no-state", &["transfer", "disposition"], no_state);

fn no_state(_: &mut Past, piece: Piece) -> Fate {
    match piece.name() {
        "transfer" => transfer(piece, |transfer, _| transfer.state = None),
        _ => disposition(piece, |disposition| disposition.state = None),
    }
}

/// It sends each delivery twice, with the same id and tag.
pub(crate) const TWICE: Wrong = Wrong::writes("twice", &["transfer"], twice);

fn twice(_: &mut Past, piece: Piece) -> Fate {
    if piece.name() != "transfer" {
        return Fate::Pass(piece.octets);
    }
    Fate::Replace(vec![piece.octets.clone(), piece.octets])
}

/// It changes the last octet of what it relays.
pub(crate) const CHANGED_PAYLOAD: Wrong = Wrong::writes("changed-payload", &["transfer"], changed);

fn changed(_: &mut Past, piece: Piece) -> Fate {
    transfer(piece, |_, payload| {
        let mut octets = payload.to_vec();
        if let Some(last) = octets.last_mut() {
            *last ^= 1;
        }
        *payload = octets.into();
    })
}

/// Its transfers have neither tag nor id.
pub(crate) const NO_TAG: Wrong = Wrong::writes("no-tag", &["transfer"], no_tag);

fn no_tag(_: &mut Past, piece: Piece) -> Fate {
    transfer(piece, |transfer, _| (transfer.delivery_tag, transfer.delivery_id) = (None, None))
}

/// Its transfers are settled where they should not be, and the other way round.
pub(crate) const SETTLED_FLIPPED: Wrong = Wrong::writes("settled-flipped", &["transfer"], flipped);

fn flipped(_: &mut Past, piece: Piece) -> Fate {
    transfer(piece, |transfer, _| transfer.settled = Some(transfer.settled != Some(true)))
}

/// Its frames are as large as it likes: transfers of one delivery are joined.
pub(crate) const LARGE_FRAMES: Wrong = Wrong::writes("large-frames", &["transfer"], large);

fn large(past: &mut Past, piece: Piece) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Transfer(mut transfer), payload)) => {
            past.kept.push(payload);
            if transfer.more {
                past.handles.insert((channel, transfer.handle));
                if past.counts.get("first").is_none_or(|count| *count == 0) {
                    past.counts.insert("first", 1);
                    past.kept.insert(0, octets);
                }
                return Fate::Drop;
            }
            let mut kept: Vec<Bytes> = past.kept.drain(..).collect();
            if past.counts.insert("first", 0) == Some(1)
                && let Ok((_, Performative::Transfer(first), _)) = Piece::new(kept.remove(0)).frame()
            {
                transfer = Transfer { more: false, ..first };
            }
            Fate::Pass(frames::encode(channel, transfer, &kept.concat()))
        }
        _ => Fate::Pass(octets),
    }
}

/// It does not read dispositions.
pub(crate) const IGNORES_DISPOSITIONS: Wrong =
    Wrong::reads("ignores-dispositions", &["disposition"], |_, piece| drops(piece, "disposition"));

/// It takes every credit for a thousand.
pub(crate) const IGNORES_CREDIT: Wrong = Wrong::reads("ignores-credit", &["flow"], more_credit);

fn more_credit(_: &mut Past, piece: Piece) -> Fate {
    flow(piece, |flow| {
        flow.link_credit = flow.link_credit.map(|_| 1000);
        flow.incoming_window = 1000;
        flow.drain = false;
    })
}

/// It takes over the credit of the other end's flows.
pub(crate) const TAKES_CREDIT_OF_SENDER: Wrong = Wrong {
    name: "takes-credit-of-its-sender",
    on: &["flow"],
    written: |past, piece| {
        let taken = past.counts.get("credit").copied();
        flow(piece, |flow| flow.link_credit = flow.link_credit.map(|credit| taken.unwrap_or(credit)))
    },
    read: |past, piece| {
        if let Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) = &piece.got {
            past.counts.extend(flow.link_credit.map(|credit| ("credit", credit)));
        }
        Fate::Pass(piece.octets)
    },
    place: None,
};

/// It accepts what it is sent and drops it.
pub(crate) const ACCEPTS_WITHOUT_KEEPING: Wrong = Wrong::reads("accepts-without-keeping", &["transfer"], accept);

fn accept(_: &mut Past, piece: Piece) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Transfer(transfer), _)) => match transfer.delivery_id {
            Some(id) if transfer.settled != Some(true) => Fate::Answer(vec![frames::encode(
                channel,
                frames::settled(Role::Receiver, id.0, DeliveryState::Accepted),
                b"",
            )]),
            _ => Fate::Drop,
        },
        _ => Fate::Pass(octets),
    }
}

/// A peer that reads flows changed.
macro_rules! reads_flows {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$flow:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong =
            Wrong::reads($name, &["flow"], |_, piece| flow(piece, |$flow| $change));
    )+};
}

reads_flows! {
    /// It does not see that an answer is wanted.
    IGNORES_ECHO "ignores-echo" |flow| { flow.echo = false; }
    /// It does not see a drain.
    IGNORES_DRAIN "ignores-drain" |flow| { flow.drain = false; }
    /// It drains whenever credit is given.
    ALWAYS_DRAINS "always-drains" |flow| { flow.drain = true; }
    /// It takes a flow of the session for one of the first link.
    SESSION_FLOW_OF_LINK "takes-session-flows-for-link-0" |flow| {
        if flow.handle.is_none() && flow.link_credit.is_some() {
            (flow.handle, flow.delivery_count) = (Some(0), Some(SequenceNo(0)));
        }
    }
    /// It takes the windows of the other end for endless.
    IGNORES_WINDOW "ignores-windows" |flow| { flow.incoming_window = 100_000; }
    /// It adds credit to what there was.
    ADDS_CREDIT "takes-one-credit-more" |flow| { flow.link_credit = flow.link_credit.map(|credit| credit.saturating_add(1)); }
    /// It takes all credit but one.
    LOSES_CREDIT "takes-one-credit-less" |flow| { flow.link_credit = flow.link_credit.map(|credit| credit.saturating_sub(1)); }
    /// It does not see the properties of a flow.
    IGNORES_PROPERTIES "ignores-properties-of-flows" |flow| { flow.properties = None; }
    /// It takes the delivery-count of the other end for another.
    OTHER_COUNT "takes-delivery-count-for-another" |flow| { flow.delivery_count = flow.delivery_count.map(|count| count.plus(1)); }
}

/// A peer that writes flows changed.
macro_rules! writes_flows {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$flow:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong =
            Wrong::writes($name, &["flow"], |_, piece| flow(piece, |$flow| $change));
    )+};
}

writes_flows! {
    /// Its flows of the session have credit.
    SESSION_FLOW_WITH_CREDIT "session-flows-with-credit" |flow| {
        if flow.handle.is_none() {
            flow.link_credit = Some(5);
        }
    }
    /// Its flows have no `next-incoming-id`.
    NO_NEXT_INCOMING_ID "no-next-incoming-id" |flow| { flow.next_incoming_id = None; }
    /// Its flows have another `next-incoming-id`.
    OTHER_NEXT_INCOMING_ID "other-next-incoming-id" |flow| {
        flow.next_incoming_id = flow.next_incoming_id.map(|id| id.plus(1));
    }
    /// Its flows have another `next-outgoing-id`.
    OTHER_NEXT_OUTGOING_ID "other-next-outgoing-id" |flow| { flow.next_outgoing_id = flow.next_outgoing_id.plus(1); }
    /// Its flows have another `delivery-count`.
    OTHER_DELIVERY_COUNT "other-delivery-count" |flow| {
        flow.delivery_count = flow.delivery_count.map(|count| count.plus(1));
    }
    /// Its flows have no `delivery-count`.
    NO_DELIVERY_COUNT "no-delivery-count" |flow| { flow.delivery_count = None; }
    /// Its flows leave one credit.
    LEAVES_CREDIT "leaves-credit" |flow| { flow.link_credit = flow.link_credit.map(|credit| credit.max(1)); }
    /// Its flows give no credit.
    GIVES_NO_CREDIT "gives-no-credit" |flow| { flow.link_credit = flow.link_credit.map(|_| 0); }
    /// Its flows are of another link.
    FLOWS_OF_OTHER_LINK "flows-of-another-link" |flow| { flow.handle = flow.handle.map(|handle| handle.saturating_add(1)); }
    /// Its flows close its window.
    CLOSES_WINDOW "closes-its-window" |flow| { flow.incoming_window = 0; }
    /// Its flows say that it drains.
    SAYS_DRAIN "flows-with-drain" |flow| { flow.drain = true; }
    /// Its flows never say that it drains.
    SAYS_NO_DRAIN "flows-without-drain" |flow| { flow.drain = false; }
    /// Its flows say what is available.
    SAYS_AVAILABLE "flows-with-available" |flow| { flow.available = Some(77); }
}

/// It answers no end after a flow of the session.
pub(crate) const HANGS_AT_SESSION_FLOWS: Wrong =
    Wrong::reads("hangs-at-session-flows", &["flow"], |past, piece| match &piece.got {
        Got::Frame(frame) => match &frame.body {
            Some(Performative::Flow(Flow { handle: None, .. })) => {
                past.count("hung");
                Fate::Drop
            }
            _ if past.has("hung") => Fate::Drop,
            _ => Fate::Pass(piece.octets),
        },
        _ => Fate::Pass(piece.octets),
    });

/// It takes the credit in a flow without a handle for that of the first link.
pub(crate) const TAKES_CREDIT_OF_SESSION: Wrong =
    Wrong::reads("takes-credit-without-a-handle", &["flow"], |_, piece| {
        flow(piece, |flow| {
            if flow.handle.is_none() && flow.link_credit.is_some() {
                flow.handle = Some(0);
            }
        })
    });
