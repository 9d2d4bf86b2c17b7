//! The anonymous terminus (Using the AMQP Anonymous Terminus for Message Routing 1.0), and addresses.

use super::super::nodes::support::{ROUND_TRIP, from_source, holds, set_up, to_target};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::Refused,
    server::{Attached, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    Message, Symbol, Value,
    definitions::ErrorCondition,
    messaging::{DeliveryState, FilterSet, Properties, Source, Target},
    performative::{Attach, Disposition, Transfer},
};
use amqp1_script::{Received, Refusal, Scope, Skip, frames};
use bytes::Bytes;

const RELAY: &[Need] = &[Need::AnonymousRelay];

static NOT_FOUND: [ErrorCondition; 1] = [ErrorCondition::NOT_FOUND];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "E-anon-1",
        rule: "A server that offers ANONYMOUS-RELAY sends a message on a link without an address to the address in its `to` \
               (anonymous terminus §2.2).",
        sends: "a message to the queue, on a link whose target has no address",
        wants: "accepted, and the message in the queue",
        needs: &[Need::AnonymousRelay, Need::Queue],
        twin: Some(&ROUND_TRIP),
        check: Check::Server(routed),
        ..Case::SERVER
    },
    Case {
        id: "E-anon-2/rejected",
        rule: "A message that cannot be routed is rejected, if the link's source allows that (anonymous terminus §2.2.2).",
        sends: "a message for an address that does not exist, on a link that allows rejected",
        wants: "rejected with amqp:not-found",
        needs: RELAY,
        check: Check::Server(|trial| unroutable(trial, &["amqp:accepted:list", "amqp:rejected:list"], None)),
        ..Case::SERVER
    },
    Case {
        id: "E-anon-2/detach",
        rule: "A message that cannot be routed ends the link, if its source does not allow rejected (anonymous terminus \
               §2.2.2).",
        sends: "a message for an address that does not exist, on a link that allows accepted alone",
        wants: "detach with amqp:not-found",
        needs: RELAY,
        check: Check::Server(|trial| unroutable(trial, &["amqp:accepted:list"], None)),
        ..Case::SERVER
    },
    Case {
        id: "E-anon-2/settled",
        rule: "A settled message that cannot be routed ends the link (anonymous terminus §2.2.2).",
        sends: "a settled message for an address that does not exist",
        wants: "detach with amqp:not-found",
        needs: RELAY,
        check: Check::Server(|trial| unroutable(trial, &["amqp:accepted:list", "amqp:rejected:list"], Some(true))),
        ..Case::SERVER
    },
    Case {
        id: "E-anon-2/no-address",
        rule: "A message without `to` cannot be routed (anonymous terminus §2.2).",
        sends: "a message without properties, on a link that allows rejected",
        wants: "rejected with an error",
        needs: RELAY,
        check: Check::Server(without_to),
        ..Case::SERVER
    },
    Case {
        id: "E-filt-1/no-local",
        rule: "A source that grants apache.org:no-local-filter:list does not send what its own connection has sent.",
        sends: "a message and a no-local source on one connection, then a message from another connection",
        wants: "the second message alone, if the filter is granted",
        needs: &[Need::Queue],
        twin: Some(&ROUND_TRIP),
        check: Check::Server(no_local),
        ..Case::SERVER
    },
    Case {
        id: "E-addr-1",
        severity: Severity::May,
        rule: "An address of another server's syntax is served or refused, and does no other harm.",
        sends: "attaches to /queues/…, /exchanges/…, queue://…, and an address of 4000 octets",
        wants: "an answer to each attach, and the session goes on",
        check: Check::Server(odd_addresses),
        ..Case::SERVER
    },
];

/// A link to the anonymous terminus whose source allows these outcomes.
fn relay(trial: &mut ServerTrial<'_>, outcomes: &[&'static str]) -> Result<Attached, Stop> {
    let outcomes = outcomes.iter().map(|name| Symbol::from_static(name)).collect();
    let source = Some(Box::new(Source { outcomes, ..Source::default() }));
    trial.sender_with(Attach { source, ..to_target("relay", Target::default()) })
}

fn message_to(address: &str) -> Bytes {
    let properties = Properties { to: Some(address.into()), ..Properties::default() };
    Message::builder().properties(properties).data("relayed").build().into_parts().concat().into()
}

fn routed(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut attached = relay(trial, &[])?;
    attached.connection.send_with(0, frames::transfer(0, 0), message_to(trial.node()));
    attached.connection.expect_where(Skip::FLOWS, "disposition accepted", |answer: &Received<Disposition>| {
        answer.state == Some(DeliveryState::Accepted)
    })?;
    set_up(attached.connection.closed())?;
    holds(trial, &["relayed"])
}

pub(crate) const MISSING: &str = "amqp-conformance-no-such-node";

fn unroutable(trial: &mut ServerTrial<'_>, outcomes: &[&'static str], settled: Option<bool>) -> Result<Outcome, Stop> {
    let mut attached = relay(trial, outcomes)?;
    let transfer = Transfer { settled, ..frames::transfer(0, 0) };
    attached.connection.send_with(0, transfer, message_to(MISSING));
    let outcome = unroutable_answer(
        &mut attached,
        trial.is_strict(),
        settled != Some(true) && outcomes.contains(&"amqp:rejected:list"),
    )?;
    drop(attached);
    if outcome.verdict == Verdict::Fail && is_made(trial) {
        return Ok(Outcome::skip("the server makes a node for every address, so that each message can be routed"));
    }
    Ok(outcome)
}

/// Returns `true` if a message for the address that does not exist is accepted, and can be received from there.
pub(crate) fn is_made(trial: &mut ServerTrial<'_>) -> bool {
    made(trial).is_ok_and(|is_made| is_made)
}

fn made(trial: &mut ServerTrial<'_>) -> Result<bool, Stop> {
    let mut attached = relay(trial, &[])?;
    attached.connection.send_with(0, frames::transfer(0, 0), message_to(MISSING));
    attached.connection.expect_where(Skip::FLOWS, "disposition accepted", |answer: &Received<Disposition>| {
        answer.state == Some(DeliveryState::Accepted)
    })?;
    let mut consumer = trial.consumer_with(from_source("reader", Source::at(MISSING)))?;
    let found = consumer.drain(10)?;
    for delivered in &found {
        consumer.settle(delivered, DeliveryState::Accepted);
    }
    consumer.close()?;
    Ok(!found.is_empty())
}

/// Judges the answer to a message that cannot be routed.
fn unroutable_answer(attached: &mut Attached, is_strict: bool, may_reject: bool) -> Result<Outcome, Stop> {
    if !may_reject {
        return Ok(Refused::by(Scope::Link).with(&NOT_FOUND).judge(&mut attached.connection, is_strict));
    }
    let answer = match attached.connection.expect_skipping::<Disposition>(Skip::FLOWS) {
        Ok(answer) => answer.body,
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) if is_strict => {
                return Ok(Outcome::fail(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)));
            }
            Some(refusal) => {
                return Ok(Outcome::new(
                    Verdict::PassWider,
                    format!("{:?} ended with {}", refusal.scope, refusal.error.condition),
                ));
            }
            None => return Err(unexpected.into()),
        },
    };
    match answer.state {
        Some(DeliveryState::Rejected(Some(error))) if error.condition == ErrorCondition::NOT_FOUND => {
            Ok(Outcome::pass())
        }
        Some(DeliveryState::Rejected(Some(error))) if !is_strict => {
            Ok(Outcome::pass_with(format!("rejected with {}", error.condition)))
        }
        Some(DeliveryState::Rejected(Some(error))) => Ok(Outcome::fail(format!("rejected with {}", error.condition))),
        _ => Ok(Outcome::fail("the message is not rejected with an error")),
    }
}

fn without_to(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut attached = relay(trial, &["amqp:accepted:list", "amqp:rejected:list"])?;
    attached.connection.send_with(0, frames::transfer(0, 0), frames::message("nowhere"));
    match attached.connection.expect_skipping::<Disposition>(Skip::FLOWS) {
        Ok(answer) => match &answer.state {
            Some(DeliveryState::Rejected(Some(error))) => {
                Ok(Outcome::pass_with(format!("rejected with {}", error.condition)))
            }
            _ => Ok(Outcome::fail("the message is not rejected with an error")),
        },
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) => Ok(Outcome::new(
                Verdict::PassWider,
                format!("{:?} ended with {}", refusal.scope, refusal.error.condition),
            )),
            None => Err(unexpected.into()),
        },
    }
}

fn no_local(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut filter = FilterSet::new();
    filter.insert(Symbol::from_static("no-local"), 0x0000_468c_0000_0003_u64, Vec::<Value>::new());
    let source = Source { filter: Some(filter), ..Source::at(trial.node()) };
    let mut consumer = trial.consumer_with(from_source("receiver", source))?;
    let granted = consumer.link.attach.source.as_ref().and_then(|source| source.filter.clone()).unwrap_or_default();
    if granted.get("no-local").is_none_or(Value::is_null) {
        return Ok(Outcome::skip("the source does not grant the filter"));
    }
    let sender = set_up(consumer.connection.attached_sender(&consumer.session, 1, "sender", trial.node()))?;
    set_up(consumer.connection.credited(&sender))?;
    consumer.connection.send_with(0, frames::transfer(1, 0), frames::message("own"));
    set_up(consumer.connection.expect_skipping::<Disposition>(Skip::FLOWS))?;
    let other = amqp1_codec::performative::Open { container_id: "amqp-conformance-other".into(), ..trial.open() };
    let mut opened = trial.opened_with(other)?;
    let session = set_up(opened.connection.begun(0))?;
    let sender = set_up(opened.connection.attached_sender(&session, 0, "sender", trial.node()))?;
    set_up(opened.connection.credited(&sender))?;
    opened.connection.send_with(0, frames::transfer(0, 0), frames::message("other"));
    set_up(opened.connection.expect_skipping::<Disposition>(Skip::FLOWS))?;
    let got = consumer.take()?.text();
    drop(consumer);
    trial.purge()?;
    if got == "other" { Ok(Outcome::pass()) } else { Ok(Outcome::fail(format!("the message {got:?} came"))) }
}

fn odd_addresses(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let long = "a".repeat(4000);
    let addresses = [
        "/queues/amqp-conformance%2Fodd-address",
        "/exchanges/amqp-conformance-none/key",
        "queue://amqp-conformance-odd-address",
        &long,
    ];
    let mut served = 0u32;
    for address in addresses {
        let mut begun = trial.begun()?;
        begun.connection.send(0, frames::attach_sender("sender", 0, address));
        let reply = match begun.connection.expect_skipping::<Attach>(Skip::FLOWS) {
            Ok(reply) => reply.body,
            Err(unexpected) => match Refusal::of(&unexpected.got) {
                Some(_) => continue,
                None => return Err(unexpected.into()),
            },
        };
        if reply.target.is_some() {
            served = served.saturating_add(1);
        }
        begun.connection.send(0, frames::detach(0));
        match begun.connection.expect_skipping::<amqp1_codec::performative::Detach>(Skip::CHATTER) {
            Ok(_) => {}
            Err(unexpected) if Refusal::of(&unexpected.got).is_some() => {}
            Err(unexpected) => return Err(unexpected.into()),
        }
    }
    Ok(Outcome::pass_with(format!("{served} of {} are served", addresses.len())))
}
