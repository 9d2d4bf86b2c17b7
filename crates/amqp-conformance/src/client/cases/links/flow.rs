//! Credit and flows of clients (§2.6.7, §2.7.4), and states of their transfers (§2.7.5).

use super::support::Checked;
use crate::{
    case::{Case, Check},
    client::{Accepted, ClientTrial, Scenario, sends_to_node, twins},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::DeliveryState,
    performative::{Begin, Flow, Performative},
};
use amqp1_script::{AmqpFrame, Body, Got, Refusal, Scope, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.7-3",
        rule: "Where the receiver does not state the delivery-count, the sender takes its initial one (§2.6.7).",
        sends: "a flow with credit 1 and without delivery-count",
        wants: "a message",
        twin: Some(&twins::SEND),
        check: Check::Client(Scenario::Send, count_is_unknown),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.7-6",
        rule: "A receiver that gets more than it has given credit for either takes it, or detaches the link with \
               transfer-limit-exceeded (§2.6.7).",
        sends: "in one go one message more than the credit allows",
        wants: "detach with amqp:link:transfer-limit-exceeded, or outcomes",
        twin: Some(&twins::RECEIVE),
        check: Check::Client(Scenario::Receive, more_than_credit),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.4-2/early",
        rule: "A flow has no next-incoming-id before the partner's begin was received (§2.7.4).",
        sends: "nothing after the open for a while, then the answer to the begin",
        wants: "flows without next-incoming-id, or none, before the answer",
        check: Check::Client(Scenario::Receive, no_next_incoming_id_before_begin),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.4-6/early",
        rule: "A receiver's flow has no delivery-count before the sender's attach was received (§2.7.4).",
        sends: "nothing after the begin for a while, then the answer to the attach",
        wants: "flows of the link without delivery-count, or none, before the answer",
        check: Check::Client(Scenario::Receive, no_count_before_attach),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.5-18",
        rule: "The state of a transfer is that of its delivery at the sender (§2.7.5): work of a transaction has its \
               transactional-state.",
        sends: "the answers that a transaction needs",
        wants: "a transfer whose state names the transaction that was declared",
        twin: Some(&twins::TRANSACTION),
        check: Check::Client(Scenario::Transaction, transfer_has_its_state),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.6-7/released",
        rule: "A delivery is settled by its sender when the receiver has stated an outcome without settling (§2.6.12).",
        sends: "released with settled=false for the client's delivery, on a link of rcv-settle-mode second",
        wants: "a disposition with role=sender and settled=true",
        twin: Some(&twins::SEND),
        check: Check::Client(Scenario::Send, released_is_settled_by_sender),
        ..Case::CLIENT
    },
];

fn count_is_unknown(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sender()?;
    let flow = Flow { delivery_count: None, ..client.flow(1) };
    client.connection.send(client.session.channel, flow);
    let delivery = client.delivery()?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn more_than_credit(trial: &mut ClientTrial<'_>) -> Checked {
    trial.set_count(4096);
    let mut client = trial.sending_to_client()?;
    let (credit, channel, handle) = (client.credit, client.session.channel, client.link.handle);
    if credit > 2000 || credit >= client.session.begin.incoming_window {
        return Ok(Outcome::skip(format!("the client gives a credit of {credit}")));
    }
    let one = |id| frames::encode(channel, frames::transfer(handle, id), &frames::message("message"));
    client.connection.raw((0..=credit).map(one).collect::<Vec<_>>().concat());
    let is_last = |got: &Got| {
        let Ok(disposition) = amqp1_codec::performative::Disposition::of(got.clone()) else { return false };
        crate::server::covers(&disposition, credit)
    };
    let got = client.until("an outcome of the last message, or detach with an error", |_, got| {
        (is_last(got) || Refusal::of(got).is_some()).then(|| got.clone())
    })?;
    let Some(Refusal { scope, error, .. }) = Refusal::of(&got) else {
        return Ok(Outcome::pass_with("the message was taken"));
    };
    let remark = format!("{scope:?} ended with {}", error.condition);
    Ok(match scope {
        _ if error.condition != ErrorCondition::TRANSFER_LIMIT_EXCEEDED && trial.is_strict() => Outcome::fail(remark),
        Scope::Link => Outcome::pass_with(remark),
        _ => Outcome::new(Verdict::PassWider, remark),
    })
}

fn no_next_incoming_id_before_begin(trial: &mut ClientTrial<'_>) -> Checked {
    let Accepted { mut connection, .. } = trial.opened()?;
    let begin = connection.expect::<Begin>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let early = connection.gather(connection.patience() / 10, 16);
    let is_wrong = |got: &Got| matches!(got, Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) if flow.next_incoming_id.is_some());
    if early.iter().any(is_wrong) {
        return Ok(Outcome::fail("a flow had next-incoming-id before the begin was answered"));
    }
    connection.send(0, frames::begin_answering(begin.channel));
    let remark = match early.iter().any(|got| got.name() == "flow") {
        true => "a flow came before the answer, without next-incoming-id",
        false => "no flow came before the answer",
    };
    let outcome = crate::judge::closes_or_drops(&mut connection);
    Ok(if outcome == Outcome::pass() { Outcome::pass_with(remark) } else { outcome })
}

fn no_count_before_attach(trial: &mut ClientTrial<'_>) -> Checked {
    let mut attaching = trial.link_where(crate::client::receives_from_node)?;
    let handle = attaching.attach.handle;
    let early = attaching.connection.gather(attaching.connection.patience() / 10, 16);
    let flow = early.iter().find_map(|got| match got {
        Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) if flow.handle == Some(handle) => Some(flow),
        _ => None,
    });
    let remark = match flow {
        Some(Flow { delivery_count: Some(_), .. }) => {
            return Ok(Outcome::fail("a flow had delivery-count before the attach was answered"));
        }
        Some(_) => "a flow came before the answer, without delivery-count",
        None => "no flow came before the answer",
    };
    let outcome = attaching.answered().closes_in_peace();
    Ok(if outcome == Outcome::pass() { Outcome::pass_with(remark) } else { outcome })
}

fn transfer_has_its_state(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.coordinator()?;
    let found = client.until("a message in the transaction", |progress, got| {
        let Got::Frame(AmqpFrame { channel, body: Some(Performative::Transfer(transfer)), .. }) = got else {
            return None;
        };
        let is_its = |link: &&amqp1_script::Link| {
            link.remote_channel == *channel && link.attach.handle == transfer.handle && sends_to_node(&link.attach)
        };
        let is_to_node = progress.attached_links().any(|link| is_its(&link));
        is_to_node.then(|| transfer.state.clone())
    })?;
    Ok(match found {
        Some(DeliveryState::Transactional(state)) if state.txn_id == crate::client::TXN_ID => Outcome::pass(),
        state => Outcome::fail(format!("the transfer has the state {state:?}")),
    })
}

fn released_is_settled_by_sender(trial: &mut ClientTrial<'_>) -> Checked {
    let mut attaching = trial.link_where(sends_to_node)?;
    attaching.answer.rcv_settle_mode = amqp1_codec::definitions::ReceiverSettleMode::Second;
    let mut client = attaching.answered();
    client.give_credit(1);
    let delivery = client.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
    if delivery.is_settled() {
        return Ok(Outcome::skip("the client settles what it sends"));
    }
    let id = delivery.number();
    let role = amqp1_codec::definitions::Role::Receiver;
    let released =
        amqp1_codec::performative::Disposition { settled: false, ..frames::settled(role, id, DeliveryState::Released) };
    client.connection.send(client.session.channel, released);
    let settled = client.until("a disposition with role=sender", |_, got| {
        let disposition = amqp1_codec::performative::Disposition::of(got.clone()).ok()?;
        (disposition.role != role).then_some(disposition.body)
    });
    let settled = match settled {
        Ok(settled) => settled,
        // No sentence says that the sender has to, but the receiver waits for it.
        Err(unexpected) if matches!(unexpected.got.name(), "nothing" | "close") => {
            return Ok(Outcome::warn("the sender does not settle the delivery, for which the receiver waits"));
        }
        Err(unexpected) => return Err(unexpected.into()),
    };
    if !settled.settled || !crate::server::covers(&settled, id) {
        return Ok(Outcome::fail("the sender's disposition does not settle the delivery"));
    }
    Ok(client.closes_in_peace())
}
