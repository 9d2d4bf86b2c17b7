//! Work in transactions (§4.4).

use super::control::{DISCHARGE, command, on_control, played};
use crate::{
    case::{Case, Check, Severity},
    client::{ClientTrial, Scenario, TXN_ID, receives_from_node},
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{Value, messaging::DeliveryState, performative::Transfer};

const fn controller(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Transaction, check)
}

const OBSERVED: Case = Case { sends: "declared and accepted, as a coordinator does", ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.4.1-1",
        rule: "A message is posted in a transaction by a transactional-state with its id (§4.4.1).",
        wants: "a transactional-state with the declared txn-id on the message's first transfer",
        check: controller(|trial| posted(trial, false)),
        ..OBSERVED
    },
    Case {
        id: "X-4.4.1-3",
        rule: "Each transfer of a delivery is in the same transaction, and none is unfinished at the discharge (§4.4.1).",
        wants: "whole deliveries before the discharge, with the txn-id on each transfer",
        check: controller(|trial| posted(trial, true)),
        ..OBSERVED
    },
    Case {
        id: "X-4.4.3-3",
        severity: Severity::Should,
        rule: "A controller has no credit outstanding in a transaction when it discharges that (§4.4.3).",
        wants: "no credit of a flow with a txn-id when the discharge comes",
        check: controller(|trial| should(no_credit(trial))),
        ..OBSERVED
    },
    Case {
        id: "X-4.3-1/discharge",
        rule: "A discharge names the transaction, in a message of one amqp-value section that is not settled (§4.3).",
        wants: "a discharge with the declared txn-id, unsettled, after the messages",
        check: controller(discharge_is_right),
        ..OBSERVED
    },
];

/// The states of a delivery's transfers: `true` if each that has one is in the transaction. After the first the state
/// may be left off only by a peer that reads §4.4.1 as the first transfer's alone, which `each` refuses.
fn is_in(transfers: &[Transfer], each: bool) -> bool {
    transfers.iter().enumerate().all(|(index, transfer)| match &transfer.state {
        Some(DeliveryState::Transactional(state)) => state.txn_id == TXN_ID,
        Some(_) => false,
        None => index > 0 && !each,
    })
}

fn posted(trial: &mut ClientTrial<'_>, each: bool) -> Result<Outcome, Stop> {
    trial.set_count(3);
    let mut control = trial.coordinator()?;
    let all = played(&mut control)?;
    let (channel, handle) = (control.link.remote_channel, control.link.attach.handle);
    let mut posted = 0u32;
    for delivery in &all {
        let is_on_control = delivery.channel == channel && delivery.first().is_some_and(|first| first.handle == handle);
        if is_on_control {
            if command(delivery).is_some_and(|(code, _)| code == DISCHARGE) {
                break;
            }
            continue;
        }
        posted = posted.saturating_add(1);
        if !is_in(&delivery.transfers, each) {
            return Ok(Outcome::fail(format!("message {posted} is not in the transaction")));
        }
    }
    match posted {
        3 => Ok(Outcome::pass()),
        _ => Ok(Outcome::fail(format!("{posted} messages came before the discharge, expected 3"))),
    }
}

fn no_credit(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = trial.coordinator()?;
    let declare = control.delivery()?;
    control.accept(&declare);
    let (channel, handle) = (control.link.remote_channel, control.link.attach.handle);
    control.until("the discharge", |_, got| {
        let transfer = <Transfer as amqp1_script::Body>::of(got.clone()).ok()?;
        (transfer.channel == channel && transfer.handle == handle).then_some(())
    })?;
    let receivers: Vec<_> = control.progress.links().filter(|link| receives_from_node(&link.attach)).cloned().collect();
    match receivers.iter().map(|link| control.progress.credit(link)).find(|credit| *credit > 0) {
        Some(credit) => Ok(Outcome::fail(format!("a credit of {credit} is outstanding at the discharge"))),
        None => Ok(Outcome::pass()),
    }
}

fn discharge_is_right(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = trial.coordinator()?;
    let all = played(&mut control)?;
    let commands = on_control(&control, &all);
    let Some(discharge) = commands.last() else { return Ok(Outcome::fail("nothing came on the control link")) };
    if discharge.is_settled() {
        return Ok(Outcome::fail("the discharge is settled"));
    }
    match command(discharge) {
        Some((DISCHARGE, fields)) => match fields.first() {
            Some(Value::Binary(id)) if *id == TXN_ID => Ok(Outcome::pass()),
            _ => Ok(Outcome::fail("the discharge does not have the txn-id that was declared")),
        },
        _ => Ok(Outcome::fail("the last command is not a discharge")),
    }
}
