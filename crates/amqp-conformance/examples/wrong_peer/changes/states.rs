//! Peers that take the state of a delivery for another, or act on deliveries by themselves.

use super::deliveries::{disposition, transfer};
use crate::wrong::{Fate, Past, Piece, Wrong};
use amqp1_codec::{
    SequenceNo,
    definitions::{ReceiverSettleMode, Role},
    messaging::{DeliveryState, Modified, Received},
    performative::{Disposition, Handle, Performative, TargetArchetype},
    transaction::Declared,
};
use amqp1_script::{AmqpFrame, Got, frames};
use bytes::Bytes;

/// A peer that reads other states than are written.
macro_rules! takes {
    ($($(#[$doc:meta])+ $constant:ident $name:literal $from:pat => $to:expr;)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::reads($name, &["disposition"], |_, piece| {
            disposition(piece, |disposition| {
                #[allow(clippy::single_match)]
                match &mut disposition.state {
                    $from => disposition.state = $to,
                    _ => {}
                }
            })
        });
    )+};
}

takes! {
    /// A released delivery counts as failed.
    RELEASED_FAILED "takes-released-for-failed" Some(DeliveryState::Released) => modified(true, false);
    /// A modified delivery counts as failed.
    MODIFIED_FAILED "takes-modified-for-failed" Some(DeliveryState::Modified(_)) => modified(true, false);
    /// A modified delivery never counts as failed.
    MODIFIED_RELEASED "takes-modified-for-released" Some(DeliveryState::Modified(_)) => Some(DeliveryState::Released);
    /// A modified delivery is undeliverable here.
    MODIFIED_ELSEWHERE "takes-modified-for-undeliverable" Some(DeliveryState::Modified(_)) => modified(false, true);
    /// A rejected message comes again.
    REJECTED_RELEASED "takes-rejected-for-released" Some(DeliveryState::Rejected(_)) => Some(DeliveryState::Released);
    /// A rejected message is gone.
    REJECTED_ACCEPTED "takes-rejected-for-accepted" Some(DeliveryState::Rejected(_)) => Some(DeliveryState::Accepted);
    /// A transaction was declared, though that was rejected.
    REJECTED_DECLARED "takes-rejected-for-declared" Some(DeliveryState::Rejected(_)) => {
        Some(DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::from_static(b"none") })))
    };
    /// An accepted message comes again.
    ACCEPTED_RELEASED "takes-accepted-for-released" Some(DeliveryState::Accepted) => Some(DeliveryState::Released);
    /// A released message is gone.
    RELEASED_ACCEPTED "takes-released-for-accepted" Some(DeliveryState::Released) => Some(DeliveryState::Accepted);
    /// A message that is received in part is accepted.
    RECEIVED_ACCEPTED "takes-received-for-accepted" Some(DeliveryState::Received(_)) => Some(DeliveryState::Accepted);
    /// A message that is settled without an outcome is accepted.
    NOTHING_ACCEPTED "takes-nothing-for-accepted" None => Some(DeliveryState::Accepted);
    /// A message that is settled without an outcome is released.
    NOTHING_RELEASED "takes-nothing-for-released" None => Some(DeliveryState::Released);
}

fn modified(delivery_failed: bool, undeliverable_here: bool) -> Option<DeliveryState> {
    Some(DeliveryState::Modified(Box::new(Modified { delivery_failed, undeliverable_here, message_annotations: None })))
}

/// It reads dispositions of one delivery as if they were of the next one too, or of the first alone.
pub(crate) const FIRST_OF_RANGE: Wrong = Wrong::reads("takes-ranges-for-their-first", &["disposition"], |_, piece| {
    disposition(piece, |disposition| disposition.last = None)
});

/// It takes each state for settled.
pub(crate) const READS_SETTLED: Wrong = Wrong::reads("takes-states-for-settled", &["disposition"], |_, piece| {
    disposition(piece, |disposition| disposition.settled = true)
});

/// It does not see that something is settled.
pub(crate) const READS_UNSETTLED: Wrong = Wrong::reads("takes-settled-for-unsettled", &["disposition"], |_, piece| {
    disposition(piece, |disposition| disposition.settled = false)
});

/// It rejects nothing: what it cannot take, it accepts.
pub(crate) const REJECTS_NOTHING: Wrong = Wrong::writes("accepts-what-it-rejects", &["disposition"], |_, piece| {
    disposition(piece, |disposition| match &mut disposition.state {
        Some(state @ DeliveryState::Rejected(_)) => *state = DeliveryState::Accepted,
        Some(DeliveryState::Transactional(state)) => {
            if let Some(DeliveryState::Rejected(_)) = state.outcome.as_deref() {
                state.outcome = Some(Box::new(DeliveryState::Accepted));
            }
        }
        _ => {}
    })
});

/// Its rejections say no reason.
pub(crate) const REJECTS_WITHOUT_ERROR: Wrong =
    Wrong::writes("rejects-without-an-error", &["disposition"], |_, piece| {
        disposition(piece, |disposition| {
            if let Some(DeliveryState::Rejected(error)) = &mut disposition.state {
                *error = None;
            }
        })
    });

/// Its dispositions have the other role.
pub(crate) const DISPOSITIONS_OF_OTHER_ROLE: Wrong =
    Wrong::writes("dispositions-of-other-role", &["disposition"], |_, piece| {
        disposition(piece, |disposition| disposition.role = disposition.role.opposite())
    });

/// Its dispositions are of the delivery after theirs.
pub(crate) const DISPOSITIONS_OF_NEXT: Wrong =
    Wrong::writes("dispositions-of-next-delivery", &["disposition"], |_, piece| {
        disposition(piece, |disposition| disposition.first = disposition.first.plus(1))
    });

/// Each of its dispositions comes twice.
pub(crate) const DISPOSITIONS_TWICE: Wrong =
    Wrong::writes("dispositions-twice", &["disposition"], |_, piece| match piece.name() {
        "disposition" => Fate::Replace(vec![piece.octets.clone(), piece.octets]),
        _ => Fate::Pass(piece.octets),
    });

/// Each of its transfers has the state received.
pub(crate) const RECEIVED_ON_TRANSFERS: Wrong = Wrong::writes("transfers-with-received", &["transfer"], |_, piece| {
    transfer(piece, |transfer, _| {
        transfer.state = Some(DeliveryState::Received(Received { section_number: 0, section_offset: 0 }));
    })
});

/// It accepts what is left unsettled when the other end goes.
pub(crate) const ACCEPTS_WHAT_IS_LEFT: Wrong = Wrong {
    name: "accepts-what-is-left",
    on: &["transfer"],
    written: |past, piece| {
        if let Got::Frame(frame) = &piece.got
            && let Some(Performative::Transfer(transfer)) = &frame.body
            && let Some(SequenceNo(id)) = transfer.delivery_id
        {
            past.handles.insert((frame.channel, id));
        }
        Fate::Pass(piece.octets)
    },
    read: |past, piece| {
        if let Got::Frame(frame) = &piece.got
            && let Some(Performative::Disposition(disposition)) = &frame.body
        {
            past.handles.retain(|(_, id)| *id != disposition.first.0);
        }
        let is_end = matches!(piece.name(), "detach" | "end" | "close");
        let mut pieces: Vec<Bytes> = Vec::new();
        if is_end {
            let accepted = |id| frames::settled(Role::Receiver, id, DeliveryState::Accepted);
            pieces.extend(past.handles.drain().map(|(channel, id)| frames::encode(channel, accepted(id), b"")));
        }
        pieces.push(piece.octets);
        Fate::Replace(pieces)
    },
    place: None,
};

fn accepted(channel: u16, id: SequenceNo) -> Bytes {
    let accepted: Disposition = frames::settled(Role::Receiver, id.0, DeliveryState::Accepted);
    frames::encode(channel, accepted, b"")
}

/// Accepts in the peer's place what comes on a link, if this says so.
fn accepts(past: &mut Past, piece: Piece, is_lost: fn(&mut Past, &amqp1_codec::performative::Attach) -> bool) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Attach(attach), _)) => {
            if is_lost(past, &attach) {
                past.handles.insert((channel, attach.handle));
            }
            Fate::Pass(octets)
        }
        Ok((channel, Performative::Transfer(transfer), _)) if is_of(past, channel, transfer.handle) => {
            match transfer.delivery_id {
                Some(id) if transfer.settled != Some(true) => Fate::Answer(vec![accepted(channel, id)]),
                _ => Fate::Drop,
            }
        }
        _ => Fate::Pass(octets),
    }
}

fn is_of(past: &Past, channel: u16, handle: Handle) -> bool {
    past.handles.contains(&(channel, handle))
}

/// It loses what it is to relay to the address in the message.
pub(crate) const LOSES_RELAYED: Wrong = Wrong::reads("loses-what-it-relays", &["attach"], |past, piece| {
    accepts(past, piece, |_, attach| {
        let target = attach.target.as_ref().and_then(TargetArchetype::as_target);
        attach.role == Role::Sender && target.is_some_and(|target| target.address.is_none() && !target.dynamic)
    })
});

/// It loses what comes on a link that is attached again.
pub(crate) const LOSES_RESUMED: Wrong = Wrong::reads("loses-what-is-resumed", &["attach"], |past, piece| {
    accepts(past, piece, |past, attach| attach.role == Role::Sender && past.count("attach") > 0)
});

/// It sends nothing but what it resumes, once it has attached a second time.
pub(crate) const LOSES_SENT_AGAIN: Wrong = Wrong::writes("loses-what-is-sent-again", &["transfer"], |past, piece| {
    match &piece.got {
        Got::Frame(AmqpFrame { body: Some(Performative::Attach(_)), .. }) => drop(past.count("attach written")),
        Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), .. })
            if !transfer.resume && past.counts.get("attach written") > Some(&1) =>
        {
            return Fate::Drop;
        }
        _ => {}
    }
    Fate::Pass(piece.octets)
});

/// A peer that reads other transfers than are written.
macro_rules! reads_transfers {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$transfer:ident, $payload:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::reads($name, &["transfer"], |_, piece| {
            transfer(piece, |$transfer, $payload| $change)
        });
    )+};
}

reads_transfers! {
    /// It does not see that a delivery is settled.
    TRANSFERS_UNSETTLED "reads-settled-as-unsettled" |transfer, _payload| { transfer.settled = None; }
    /// It takes each delivery for settled.
    TRANSFERS_SETTLED "reads-unsettled-as-settled" |transfer, _payload| { transfer.settled = Some(true); }
    /// It does not see that a delivery is aborted.
    TRANSFERS_NOT_ABORTED "reads-aborted-as-whole" |transfer, _payload| {
        if transfer.aborted {
            (transfer.aborted, transfer.more) = (false, false);
        }
    }
    /// It takes a delivery that is resumed for a new one.
    TRANSFERS_NOT_RESUMED "reads-resumed-as-new" |transfer, _payload| { transfer.resume = false; }
    /// It takes each transfer for a whole delivery.
    TRANSFERS_WHOLE "reads-parts-as-whole" |transfer, _payload| { transfer.more = false; }
    /// It does not see the receiver's settle mode of a delivery.
    TRANSFERS_WITHOUT_MODE "reads-no-settle-mode" |transfer, _payload| { transfer.rcv_settle_mode = None; }
    /// It does not see the state of a delivery.
    TRANSFERS_WITHOUT_STATE "reads-no-state" |transfer, _payload| { transfer.state = None; }
    /// It takes each message for one of another format.
    TRANSFERS_OF_OTHER_FORMAT "reads-another-format" |transfer, _payload| { transfer.message_format = Some(7); }
    /// It loses the last octet of what it reads.
    TRANSFERS_CUT "reads-cut-payload" |_transfer, payload| { payload.truncate(payload.len().saturating_sub(1)); }
}

/// A peer that writes other transfers.
macro_rules! writes_transfers {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$transfer:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::writes($name, &["transfer"], |_, piece| {
            transfer(piece, |$transfer, _| $change)
        });
    )+};
}

writes_transfers! {
    /// Its transfers never say that more follows.
    WRITES_NO_MORE "writes-no-more" |transfer| { transfer.more = false; }
    /// Its transfers always say that more follows.
    WRITES_MORE "writes-more" |transfer| { transfer.more = true; }
    /// Each of its deliveries is resumed.
    WRITES_RESUME "writes-resume" |transfer| { transfer.resume = true; }
    /// None of its deliveries is resumed.
    WRITES_NO_RESUME "writes-no-resume" |transfer| { transfer.resume = false; }
    /// Each of its deliveries is aborted.
    WRITES_ABORTED "writes-aborted" |transfer| { transfer.aborted = true; }
    /// Its delivery-ids begin with another one.
    WRITES_OTHER_IDS "writes-other-delivery-ids" |transfer| {
        transfer.delivery_id = transfer.delivery_id.map(|id| id.plus(1));
    }
    /// All of its deliveries have one id.
    WRITES_ONE_ID "writes-one-delivery-id" |transfer| { transfer.delivery_id = transfer.delivery_id.map(|_| SequenceNo(0)); }
    /// All of its deliveries have one tag.
    WRITES_ONE_TAG "writes-one-delivery-tag" |transfer| {
        transfer.delivery_tag = transfer.delivery_tag.as_ref().map(|_| 0_u32.into());
    }
    /// Its transfers have no delivery-tag.
    WRITES_NO_TAG "writes-no-delivery-tag" |transfer| { transfer.delivery_tag = None; }
    /// Its transfers have no delivery-id.
    WRITES_NO_ID "writes-no-delivery-id" |transfer| { transfer.delivery_id = None; }
    /// Its messages have another format.
    WRITES_OTHER_FORMAT "writes-another-format" |transfer| { transfer.message_format = Some(7); }
    /// Its transfers do not say the format.
    WRITES_NO_FORMAT "writes-no-format" |transfer| { transfer.message_format = None; }
    /// Its transfers are on another link.
    WRITES_OTHER_HANDLE "writes-another-handle" |transfer| { transfer.handle = transfer.handle.saturating_add(1); }
    /// Its transfers say that the receiver settles second.
    WRITES_SECOND "writes-settle-second" |transfer| { transfer.rcv_settle_mode = Some(ReceiverSettleMode::Second); }
    /// Its transfers have no state.
    WRITES_NO_STATE "writes-no-state-of-transfers" |transfer| { transfer.state = None; }
    /// Its transfers are settled.
    WRITES_SETTLED "writes-settled" |transfer| { transfer.settled = Some(true); }
    /// Its transfers are not settled.
    WRITES_UNSETTLED "writes-unsettled" |transfer| { transfer.settled = None; }
}

/// It loses messages of a sender that had said that it has none.
pub(crate) const NO_MORE_THAN_AVAILABLE: Wrong =
    Wrong::reads("takes-no-more-than-available", &["flow"], |past, piece| match &piece.got {
        Got::Frame(frame) => match &frame.body {
            Some(Performative::Flow(flow)) if flow.available == Some(0) => {
                past.count("none");
                Fate::Pass(piece.octets)
            }
            Some(Performative::Transfer(_)) if past.has("none") => Fate::Drop,
            _ => Fate::Pass(piece.octets),
        },
        _ => Fate::Pass(piece.octets),
    });

/// It rejects its own first delivery when the link is detached.
pub(crate) const REJECTS_OWN: Wrong =
    Wrong::writes("rejects-what-it-sends", &["detach"], |_, piece| match &piece.got {
        Got::Frame(AmqpFrame { channel, body: Some(Performative::Detach(_)), .. }) => {
            let rejected = DeliveryState::rejected(amqp1_codec::definitions::ErrorCondition::INTERNAL_ERROR);
            let disposition = frames::encode(*channel, frames::settled(Role::Sender, 0, rejected), b"");
            Fate::Replace(vec![disposition, piece.octets])
        }
        _ => Fate::Pass(piece.octets),
    });
