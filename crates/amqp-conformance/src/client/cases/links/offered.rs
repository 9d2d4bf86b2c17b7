//! Links that the tool attaches at a client, and links that a client attaches again (§2.6.2, §2.6.3, §2.6.5, §2.7.3).

use super::support::Checked;
use crate::{
    case::{Case, Check, Severity},
    client::{Attached, ClientTrial, Scenario, twins},
    judge::nothing_more,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    performative::{Attach, Performative, Unsettled},
};
use amqp1_script::{AmqpFrame, Body, Got, Refusal, frames};

const RECEIVE: Case = Case { twin: Some(&twins::RECEIVE), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.2-2",
        severity: Severity::May,
        rule: "A handle is free again once the link is detached at both ends (§2.6.2).",
        sends: "a detach that is answered, and an attach of the tool's own on the same handle",
        wants: "attach, or a refusal that has nothing to do with the handle",
        check: Check::Client(Scenario::Receive, handle_is_used_again),
        ..RECEIVE
    },
    Case {
        id: "T-2.6.3-7",
        severity: Severity::May,
        rule: "A link that is to be recovered and that is not known has no terminus: the answer to its attach has none \
               (§2.6.3).",
        sends: "an attach of the tool's own, as receiver, without a source and with an empty unsettled map",
        wants: "attach without a source, and detach; or a refusal",
        check: Check::Client(Scenario::Receive, unknown_is_recovered),
        ..RECEIVE
    },
    Case {
        id: "T-2.7.3-11",
        rule: "A link that was detached with an error is attached again by resuming it: the attach has an unsettled map, which \
               may be empty (§2.6.5, §2.7.3).",
        sends: "detach with closed=false and amqp:link:detach-forced",
        wants: "no attach of the same name without an unsettled map",
        check: Check::Client(Scenario::Receive, resumes_with_map),
        ..RECEIVE
    },
];

/// The client's answer to an attach of the tool's own, and what follows it. Everything else is served.
fn answers(client: &mut Attached, attach: Attach) -> Result<Vec<Got>, Stop> {
    let (channel, name) = (client.session.channel, attach.name.clone());
    client.connection.send(channel, attach);
    let is_answer = |got: &Got| match got {
        Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) => attach.name == name,
        _ => matches!(got.name(), "detach" | "end" | "close"),
    };
    let first = client.until("attach, or a refusal", |_, got| is_answer(got).then(|| got.clone()));
    let first = match first {
        Ok(got) => got,
        Err(unexpected) if Refusal::of(&unexpected.got).is_some() => Got::clone(&unexpected.got),
        Err(unexpected) => return Err(unexpected.into()),
    };
    let mut all = vec![first];
    if let [Got::Frame(AmqpFrame { body: Some(Performative::Attach(_)), .. })] = &all[..] {
        client.connection.send(0, frames::close());
        loop {
            let got = client.connection.next();
            let is_last = got.name() == "close" || !matches!(got, Got::Frame(_));
            all.push(got);
            if is_last {
                break;
            }
        }
    }
    Ok(all)
}

fn handle_is_used_again(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sending_to_client()?;
    let handle = client.link.handle;
    let link = client.link.clone();
    client.connection.detached(&link).map_err(|unexpected| Stop::set_up(&unexpected))?;
    let all = answers(&mut client, frames::attach_sender("offered", handle, "amqp-conformance"))?;
    let refusal = all.iter().find_map(Refusal::of);
    Ok(match refusal {
        Some(refusal) if refusal.error.condition == ErrorCondition::HANDLE_IN_USE => {
            Outcome::fail("the handle of a link that is detached is taken for used")
        }
        Some(refusal) => Outcome::pass_with(format!("refused with {}", refusal.error.condition)),
        None if all.iter().any(|got| matches!(got, Got::Frame(frame) if is_attach(frame))) => Outcome::pass(),
        None => Outcome::skip("the client ends its session when its link is detached"),
    })
}

fn is_attach(frame: &AmqpFrame) -> bool {
    matches!(frame.body, Some(Performative::Attach(_)))
}

fn unknown_is_recovered(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sending_to_client()?;
    let handle = client.link.handle.saturating_add(1);
    let attach = Attach {
        source: None,
        unsettled: Some(Unsettled::new()),
        ..frames::attach_receiver("offered", handle, "amqp-conformance")
    };
    let all = answers(&mut client, attach)?;
    if let Some(refusal) = all.iter().find_map(Refusal::of) {
        return Ok(Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)));
    }
    Ok(match all.first() {
        Some(Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. })) if attach.source.is_some() => {
            Outcome::fail("the attach has a source for a link of which the client has no record")
        }
        Some(got) => Outcome::pass_with(got.name()),
        None => Outcome::fail("there was no answer"),
    })
}

fn resumes_with_map(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sending_to_client()?;
    let (channel, name) = (client.session.remote_channel, client.link.attach.name.clone());
    client.detach(false, Some(ErrorCondition::DETACH_FORCED.into()));
    let mut again = None;
    let over = client.until("the end of the conversation", |_, got| {
        if let Ok(attach) = Attach::of(got.clone()) {
            again = Some(attach).filter(|attach| attach.name == name && attach.channel == channel);
        }
        (again.is_some() || matches!(got.name(), "end" | "close")).then_some(())
    });
    match again {
        Some(attach) if attach.unsettled.is_none() => {
            Ok(Outcome::fail("the link is attached again without an unsettled map"))
        }
        Some(_) => Ok(client.closes_in_peace()),
        None => {
            over.map_or_else(nothing_more, |()| Ok(Outcome::pass_with("the client does not attach the link again")))
        }
    }
}
