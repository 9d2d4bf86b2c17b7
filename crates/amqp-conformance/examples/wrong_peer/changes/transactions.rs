//! Peers that are wrong about transactions.

use super::deliveries::{disposition, transfer};
use crate::wrong::{Fate, Past, Piece, Wrong};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Performative, TargetArchetype, Transfer},
};
use amqp1_script::{AmqpFrame, Got, frames};
use bytes::Bytes;

/// The descriptors of a declare and a discharge, within the payload of a transfer.
const DECLARE: &[u8] = b"\0\x53\x31";
const DISCHARGE: &[u8] = b"\0\x53\x32";

fn has(payload: &[u8], descriptor: &[u8]) -> bool {
    payload.windows(descriptor.len()).any(|window| window == descriptor)
}

/// A discharge that asks for a rollback ends in `true`.
fn rolls_back(payload: &[u8]) -> bool {
    has(payload, DISCHARGE) && payload.last() == Some(&0x41)
}

fn reads_transfer(piece: Piece, is_changed: fn(&[u8]) -> bool, with: fn(u16, Transfer, Bytes) -> Fate) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Transfer(transfer), payload)) if is_changed(&payload) => {
            with(channel, transfer, payload)
        }
        _ => Fate::Pass(octets),
    }
}

fn answer(channel: u16, transfer: &Transfer, state: DeliveryState) -> Fate {
    let id = transfer.delivery_id.unwrap_or_default();
    Fate::Answer(vec![frames::encode(channel, frames::settled(Role::Receiver, id.0, state), b"")])
}

/// It commits what is to be rolled back.
pub(crate) const NEVER_ROLLS_BACK: Wrong = Wrong::reads("commits-rollbacks", &["transfer"], |_, piece| {
    reads_transfer(piece, rolls_back, |channel, transfer, payload| {
        let mut payload = payload.to_vec();
        if let Some(fail) = payload.last_mut() {
            *fail = 0x42;
        }
        Fate::Pass(frames::encode(channel, transfer, &payload))
    })
});

/// It rejects what is to be rolled back.
pub(crate) const REJECTS_ROLLBACKS: Wrong = Wrong::reads("rejects-rollbacks", &["transfer"], |_, piece| {
    reads_transfer(piece, rolls_back, |channel, transfer, _| {
        answer(channel, &transfer, DeliveryState::rejected(ErrorCondition::NOT_ALLOWED))
    })
});

/// It rolls back what is to be committed.
pub(crate) const NEVER_COMMITS: Wrong = Wrong::reads("rolls-back-commits", &["transfer"], |_, piece| {
    reads_transfer(
        piece,
        |payload| has(payload, DISCHARGE) && !rolls_back(payload),
        |channel, transfer, payload| {
            let txn: Vec<u8> = payload.to_vec();
            // The id is the binary after the list's header.
            let id = txn.windows(1).position(|octet| octet == b"\xa0").and_then(|at| {
                let length = usize::from(*txn.get(at.checked_add(1)?)?);
                txn.get(at.checked_add(2)?..at.checked_add(2)?.checked_add(length)?)
            });
            Fate::Pass(frames::encode(channel, transfer, &discharge(id.unwrap_or_default(), true)))
        },
    )
});

/// The message of a discharge.
fn discharge(txn: &[u8], fail: bool) -> Vec<u8> {
    let length = u8::try_from(txn.len()).unwrap_or(u8::MAX);
    let fail = if fail { 0x41 } else { 0x42 };
    [b"\0\x53\x77\0\x53\x32\xc0", &[length.saturating_add(4), 2, 0xa0, length][..], txn, &[fail]].concat()
}

/// It rejects a declare with other sections around it.
pub(crate) const DECLARES_ALONE: Wrong = Wrong::reads("refuses-sections-beside-declare", &["transfer"], |_, piece| {
    reads_transfer(
        piece,
        |payload| has(payload, DECLARE) && !payload.starts_with(b"\0\x53\x77"),
        |channel, transfer, _| answer(channel, &transfer, DeliveryState::rejected(ErrorCondition::NOT_IMPLEMENTED)),
    )
});

/// It ends a session's transaction when another is declared: both have the id of the first.
pub(crate) const ONE_TRANSACTION: Wrong = Wrong::writes("one-txn-id-for-all", &["disposition"], |past, piece| {
    disposition(piece, |disposition| {
        if let Some(DeliveryState::Declared(declared)) = &mut disposition.state {
            match past.kept.first() {
                Some(first) => declared.txn_id = first.clone(),
                None => past.kept.push(declared.txn_id.clone()),
            }
        }
    })
});

/// Its txn-ids have 33 octets or more.
pub(crate) const LONG_TXN_ID: Wrong = Wrong {
    name: "long-txn-ids",
    on: &["disposition"],
    written: |_, piece| {
        disposition(piece, |disposition| {
            if let Some(DeliveryState::Declared(declared)) = &mut disposition.state {
                declared.txn_id = [&declared.txn_id[..], &[b'x'; 33]].concat().into();
            }
        })
    },
    read: |_, piece| Fate::Pass(piece.octets),
    place: None,
};

/// It commits what is not discharged when the connection is closed or lost.
pub(crate) const COMMITS_WHAT_IS_LEFT: Wrong = Wrong {
    name: "commits-what-is-left",
    on: &["disposition"],
    written: |past, piece| {
        let Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) = &piece.got else {
            return Fate::Pass(piece.octets);
        };
        if !past.held.is_empty() {
            return Fate::Answer(past.held.split_off(0));
        }
        if let Some(DeliveryState::Declared(declared)) = &disposition.state {
            past.kept.push(declared.txn_id.clone());
        }
        Fate::Pass(piece.octets)
    },
    read: commit,
    place: None,
};

fn commit(past: &mut Past, piece: Piece) -> Fate {
    if let Got::Frame(AmqpFrame { channel, body: Some(body), payload, .. }) = &piece.got {
        match body {
            Performative::Attach(attach) if matches!(attach.target, Some(TargetArchetype::Coordinator(_))) => {
                past.handles.insert((*channel, attach.handle));
            }
            Performative::Transfer(transfer) => {
                past.counts.insert("next", transfer.delivery_id.unwrap_or_default().0.wrapping_add(1));
                if has(payload, DISCHARGE) {
                    past.kept.clear();
                }
            }
            Performative::Detach(_) | Performative::End(_) | Performative::Close(_) => {
                let id = past.counts.get("next").copied().unwrap_or_default();
                let control = past.handles.iter().next().copied();
                if let (Some((on, handle)), Some(txn)) = (control, past.kept.pop()) {
                    let transfer = Transfer { delivery_id: Some(SequenceNo(id)), ..frames::transfer(handle, id) };
                    let commit = frames::encode(on, transfer, &discharge(&txn, false));
                    // What ends the transaction waits until it is committed.
                    past.held.push(piece.octets);
                    return Fate::Pass(commit);
                }
            }
            _ => {}
        }
    }
    Fate::Pass(piece.octets)
}

/// It says no provisional outcome once the discharge has come.
pub(crate) const NO_PROVISIONAL_OUTCOME: Wrong = Wrong {
    name: "no-outcome-before-discharge",
    on: &["disposition"],
    written: |past, piece| {
        let Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) = &piece.got else {
            return Fate::Pass(piece.octets);
        };
        let is_provisional = matches!(disposition.state, Some(DeliveryState::Transactional(_)));
        if is_provisional && past.has("discharge") { Fate::Drop } else { Fate::Pass(piece.octets) }
    },
    read: |past, piece| {
        if let Got::Frame(AmqpFrame { payload, .. }) = &piece.got
            && has(payload, DISCHARGE)
        {
            past.count("discharge");
        }
        Fate::Pass(piece.octets)
    },
    place: None,
};

/// Its provisional outcomes are settled states without the transaction.
pub(crate) const FORGETS_TXN: Wrong = Wrong::writes("states-without-txn", &["disposition", "transfer"], |_, piece| {
    let without = |state: &mut Option<DeliveryState>| {
        if let Some(DeliveryState::Transactional(transactional)) = state {
            *state = transactional.outcome.take().map(|outcome| *outcome);
        }
    };
    match piece.name() {
        "transfer" => transfer(piece, |transfer, _| without(&mut transfer.state)),
        _ => disposition(piece, |disposition| without(&mut disposition.state)),
    }
});
