//! Deliveries of several transfers that the server sends, and that come on several links (§2.6.14).

use super::support::{Checked, attach_more, large, set_up, text};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::closes_in_peace,
    server::{Attached, Opened, Progress, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    messaging::DeliveryState,
    performative::{Begin, Flow, Open, Transfer},
};
use amqp1_script::{Got, Received, Session, Skip, frames};

const QUEUE: Case = Case { needs: &[Need::Queue], ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.14-1/sends",
        rule: "A message that is larger than a frame comes in several transfers, all but the last with more=true (§2.6.14).",
        sends: "an open with max-frame-size 512, and credit, where the queue has a message of 5000 octets",
        wants: "frames of at most 512 octets, and the whole message",
        check: Check::Server(sends_in_parts),
        ..QUEUE
    },
    Case {
        id: "T-2.6.14-2/sends",
        rule: "The deliveries of one link are not interleaved (§2.6.14).",
        sends: "an open with max-frame-size 512, and credit 2, where the queue has two messages of 5000 octets",
        wants: "the transfers of one message, then those of the other",
        check: Check::Server(does_not_interleave),
        ..QUEUE
    },
    Case {
        id: "T-2.6.14-3",
        severity: Severity::May,
        rule: "Deliveries on different links of a session may be interleaved (§2.6.14).",
        sends: "two messages on two links, their transfers in turns",
        wants: "both accepted",
        twin: Some(&twins::TRANSFER),
        check: Check::Server(takes_from_two_links),
        ..QUEUE
    },
    Case {
        id: "T-2.6.14-5/credit",
        rule: "A delivery takes one credit, however many frames it has (§2.6.14).",
        sends: "an open with max-frame-size 512, and credit 1, where the queue has two messages of 5000 octets",
        wants: "one whole message",
        check: Check::Server(takes_one_credit),
        ..QUEUE
    },
    Case {
        id: "T-2.6.14-5/window",
        rule: "Each frame of a delivery takes one transfer-id of the session's window (§2.6.14).",
        sends: "an open with max-frame-size 512, a begin with incoming-window 3, and credit 1, where the queue has a message \
                of 5000 octets",
        wants: "three transfers, and the rest when the window is open",
        check: Check::Server(takes_transfer_ids),
        ..QUEUE
    },
];

/// A link from the queue, with frames of at most 512 octets and this incoming window.
fn small_frames(trial: &mut ServerTrial<'_>, incoming_window: u32) -> Result<Attached, Stop> {
    let Opened { mut connection, open } = trial.opened_with(Open { max_frame_size: 512, ..trial.open() })?;
    connection.set_max_frame_size(512);
    connection.send(0, Begin { incoming_window, ..frames::begin() });
    let begin = connection.expect::<Begin>().map_err(set_up)?;
    let session = Session { channel: 0, remote_channel: begin.channel, begin: begin.body };
    let attach = frames::attach_receiver("receiver", 0, trial.node());
    let link = connection.attached(&session, attach).map_err(set_up)?;
    Ok(Attached { connection, open, session, link, credit: 0, progress: Progress::default() })
}

fn fill(trial: &mut ServerTrial<'_>, count: usize) -> Result<(), Stop> {
    trial.purge()?;
    trial.fill(&vec![large(5000); count])
}

/// Takes one delivery, and accepts it if it is whole.
fn take(attached: &mut Attached) -> Result<crate::Delivery, Stop> {
    let delivery = attached.delivery()?;
    if text(&delivery).len() != 5000 {
        return Err(Outcome::fail("the message is not the one that was sent").into());
    }
    let rest = delivery.transfers.get(1..).unwrap_or_default();
    if rest.is_empty() {
        return Err(Outcome::fail("the message came in one transfer").into());
    }
    attached.settle(&delivery, DeliveryState::Accepted);
    Ok(delivery)
}

fn sends_in_parts(trial: &mut ServerTrial<'_>) -> Checked {
    fill(trial, 1)?;
    let mut attached = small_frames(trial, frames::WINDOW)?;
    attached.give_credit(1);
    take(&mut attached)?;
    Ok(closes_in_peace(&mut attached.connection))
}

fn does_not_interleave(trial: &mut ServerTrial<'_>) -> Checked {
    fill(trial, 2)?;
    let mut attached = small_frames(trial, frames::WINDOW)?;
    attached.give_credit(2);
    for _ in 0..2 {
        let delivery = take(&mut attached)?;
        let id = delivery.id();
        // A continuation may leave the id out.
        if delivery.transfers.iter().any(|transfer| transfer.delivery_id.is_some_and(|other| Some(other) != id)) {
            return Ok(Outcome::fail("the transfers of two deliveries are interleaved"));
        }
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn takes_one_credit(trial: &mut ServerTrial<'_>) -> Checked {
    fill(trial, 2)?;
    let mut attached = small_frames(trial, frames::WINDOW)?;
    attached.give_credit(1);
    take(&mut attached)?;
    let rest = attached.ends()?;
    Ok(match super::support::transfers(&rest).len() {
        0 => closes_in_peace(&mut attached.connection),
        count => Outcome::fail(format!("{count} transfers came after the delivery that the credit allows")),
    })
}

fn takes_transfer_ids(trial: &mut ServerTrial<'_>) -> Checked {
    fill(trial, 1)?;
    let mut attached = small_frames(trial, 3)?;
    let credit = Flow { incoming_window: 3, ..attached.flow(1) };
    attached.connection.send(0, credit);
    for _ in 0..3 {
        let transfer: Received<Transfer> = attached.connection.expect_skipping(Skip::FLOWS)?;
        if !transfer.more {
            return Ok(Outcome::fail("the message came in three transfers of 512 octets"));
        }
        attached.progress.add(&transfer);
    }
    // The window is used up, and this does not open it.
    let echo = Flow { incoming_window: 0, echo: true, ..attached.flow(1) };
    attached.connection.send(0, echo);
    let got = attached.connection.next();
    if got.name() == "transfer" {
        return Ok(Outcome::fail("a fourth transfer came in a window of three"));
    }
    // The answer to echo is another rule's.
    if !matches!(got, Got::Frame(_) | Got::Timeout { .. }) {
        return Err(attached.connection.unexpected("a flow", got).into());
    }
    let open = attached.flow(1);
    attached.connection.send(0, open);
    take(&mut attached)?;
    Ok(closes_in_peace(&mut attached.connection))
}

fn takes_from_two_links(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.sender()?;
    let other = attach_more(&mut attached, frames::attach_sender("other", 1, trial.node())).map_err(set_up)?;
    attached.connection.credited(&other).map_err(set_up)?;
    let message = frames::message("message");
    let parts: Vec<&[u8]> = message.chunks(4).collect();
    for (index, part) in parts.iter().enumerate() {
        let more = index.saturating_add(1) < parts.len();
        for handle in [0, 1] {
            let transfer = Transfer { more, ..frames::transfer(handle, handle) };
            attached.connection.send_with(0, transfer, part);
        }
    }
    // The links are served apart, so that either outcome may come first.
    let mut outcomes = [false, false];
    while outcomes != [true, true] {
        let disposition = attached.next_disposition()?;
        if disposition.state != Some(DeliveryState::Accepted) {
            return Ok(Outcome::fail(format!("a delivery was answered by {:?}", disposition.state)));
        }
        for (outcome, id) in outcomes.iter_mut().zip(0..) {
            *outcome |= crate::server::covers(&disposition, id);
        }
    }
    Ok(closes_in_peace(&mut attached.connection))
}
