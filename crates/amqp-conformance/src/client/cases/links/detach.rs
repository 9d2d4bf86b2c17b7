//! Detaching, closing and errors of links (§2.6.4 to §2.6.6, §2.7.7).

use super::support::Checked;
use crate::{
    case::{Case, Check, Severity},
    client::{Attached, ClientTrial, Scenario, twins},
    judge::{Refused, nothing_more, should},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::DeliveryState,
    performative::{Attach, Detach, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Refusal, Scope, frames};
use bytes::Bytes;

const RECEIVE: Case = Case { twin: Some(&twins::RECEIVE), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.4-2",
        severity: Severity::May,
        rule: "The deliveries of a link that is detached and not closed may still be settled by their ids (§2.6.4).",
        sends: "detach with closed=false of a link with an unsettled delivery, and a disposition of the delivery",
        wants: "no refusal",
        twin: Some(&twins::SEND),
        check: Check::Client(Scenario::Send, disposition_after_detach),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.4-3",
        rule: "An attach that attaches a link again has no unsettled map (§2.6.4, §2.7.3); one with a map resumes the link, \
               and has the unsettled deliveries of it.",
        sends: "detach with closed=false of a link without deliveries",
        wants: "detach, and no attach of the same name with unsettled deliveries; none in the first attach either",
        check: Check::Client(Scenario::Receive, no_map_on_reattach),
        ..RECEIVE
    },
    Case {
        id: "T-2.6.5-1",
        rule: "A link with an error is detached, and the detach carries the error; the link endpoint is gone then (§2.6.5).",
        sends: "a transfer without a delivery-tag, and the answer to the detach",
        wants: "detach with an error, and nothing on the link after it",
        check: Check::Client(Scenario::Receive, error_is_carried),
        ..RECEIVE
    },
    Case {
        id: "T-2.6.5-2",
        rule: "Input for a link that was detached with an error ends the session with errant-link (§2.6.5).",
        sends: "a transfer without a delivery-tag and, in the same write, another transfer",
        wants: "end with amqp:session:errant-link",
        check: Check::Client(Scenario::Receive, transfer_on_errant_link),
        ..RECEIVE
    },
    Case {
        id: "T-2.6.5-3",
        rule: "After a link was detached with an error, an attach that does not resume it ends the session with \
               errant-link (§2.6.5).",
        sends: "a transfer without a delivery-tag and, in the same write, a detach with closed=false and an attach of the \
                same name, where the client's detach has closed=false",
        wants: "end with amqp:session:errant-link",
        check: Check::Client(Scenario::Receive, attach_of_errant_link),
        ..RECEIVE
    },
    Case {
        id: "T-2.6.6-2",
        rule: "Where one end closes a link while the other detaches it, the link is attached again and closed then (§2.6.6).",
        sends: "in answer to the client's closing detach one with closed=false, as if they had crossed, then an attach of \
                the same name and detach with closed=true",
        wants: "no refusal",
        twin: Some(&twins::SEND),
        check: Check::Client(Scenario::Send, detach_crosses_close),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.7-2/error",
        severity: Severity::Should,
        rule: "The error of a detach names the condition and describes the cause (§2.7.7).",
        sends: "a transfer without a delivery-tag",
        wants: "detach with a condition and a description",
        check: Check::Client(Scenario::Receive, |trial| should(error_is_described(trial))),
        ..RECEIVE
    },
];

fn disposition_after_detach(trial: &mut ClientTrial<'_>) -> Checked {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    client.detach(false, None);
    let got = client.until("detach", |_, got| matches!(got.name(), "detach" | "end" | "close").then(|| got.clone()));
    let got = got.map_err(|unexpected| Stop::set_up(&unexpected))?;
    match &got {
        Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) if !detach.closed => {}
        _ => return Ok(Outcome::skip(format!("the client does not detach, but closes: {got}"))),
    }
    client.settle(&delivery, DeliveryState::Accepted);
    Ok(client.closes_in_peace())
}

fn no_map_on_reattach(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sending_to_client()?;
    let count = |attach: &Attach| attach.unsettled.as_ref().map(amqp1_codec::performative::Unsettled::len);
    if count(&client.link.attach) > Some(0) {
        return Ok(Outcome::fail("the first attach of the link has unsettled deliveries"));
    }
    let name = client.link.attach.name.clone();
    client.detach(false, None);
    let mut again = None;
    let over = client.until("the end of the conversation", |_, got| {
        if let Ok(attach) = Attach::of(got.clone()) {
            again = Some(attach.body).filter(|attach| attach.name == name);
        }
        (again.is_some() || matches!(got.name(), "end" | "close")).then_some(())
    });
    match again.as_ref().map(count) {
        Some(Some(0)) => Ok(Outcome::pass_with("the link is resumed, without deliveries")),
        Some(Some(count)) => Ok(Outcome::fail(format!("the attach has {count} unsettled deliveries"))),
        Some(None) => Ok(client.closes_in_peace()),
        None => {
            over.map_or_else(nothing_more, |()| Ok(Outcome::pass_with("the client does not attach the link again")))
        }
    }
}

/// A link that the client has detached with an error.
struct Errant {
    client: Attached,
    error: Refusal,
    /// Whether its detach has closed=true.
    is_closed: bool,
}

fn errant(trial: &mut ClientTrial<'_>) -> Result<Errant, Stop> {
    errant_with(trial, |_| Vec::new())
}

/// The frames of `behind` go out in one write with the transfer, so that the client reads them before it ends the session.
fn errant_with(
    trial: &mut ClientTrial<'_>,
    behind: impl FnOnce(&Link) -> Vec<(Performative, Bytes)>,
) -> Result<Errant, Stop> {
    let mut client = trial.sending_to_client()?;
    let transfer = Transfer { delivery_tag: None, ..frames::transfer(client.link.handle, 0) };
    let mut together = vec![(transfer.into(), frames::message("untagged"))];
    together.extend(behind(&client.link));
    client.connection.send_together(client.session.channel, together);
    let wanted = "a refusal";
    let found = client.until(wanted, |_, got| {
        (Refusal::of(got).is_some() || matches!(got.name(), "disposition" | "detach" | "end" | "close"))
            .then(|| got.clone())
    });
    let got = found.map_err(|unexpected| Stop::set_up(&unexpected))?;
    match Refusal::of(&got) {
        Some(error) if error.scope == Scope::Link => {
            let is_closed = Detach::of(got).is_ok_and(|detach| detach.closed);
            Ok(Errant { client, error, is_closed })
        }
        _ => Err(Outcome::skip(format!("the client does not refuse the link for this: {got}")).into()),
    }
}

fn error_is_carried(trial: &mut ClientTrial<'_>) -> Checked {
    let Errant { mut client, error, .. } = errant(trial)?;
    client.detach(true, None);
    let (channel, handle) = (client.session.remote_channel, client.link.attach.handle);
    client.connection.send(0, frames::close());
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Flow(flow)), .. })
                if *on == channel && flow.handle == Some(handle) =>
            {
                return Ok(Outcome::fail("a flow came on a link that was detached"));
            }
            Got::Frame(frame) if matches!(frame.body, Some(Performative::Close(_))) => {
                return Ok(Outcome::pass_with(format!("detach with {}", error.error.condition)));
            }
            Got::Frame(_) => {}
            _ => return Err(client.connection.unexpected("close", got).into()),
        }
    }
}

static ERRANT: [ErrorCondition; 1] = [ErrorCondition::ERRANT_LINK];

fn transfer_on_errant_link(trial: &mut ClientTrial<'_>) -> Checked {
    let errant = errant_with(trial, |link| vec![(frames::transfer(link.handle, 1).into(), frames::message("errant"))])?;
    Ok(errant.ends_session(trial.is_strict()))
}

fn attach_of_errant_link(trial: &mut ClientTrial<'_>) -> Checked {
    let errant = errant_with(trial, |link| {
        let detach = Detach { closed: false, ..frames::detach(link.handle) };
        let again = frames::attach_answering(&link.attach, link.handle);
        vec![(detach.into(), Bytes::new()), (again.into(), Bytes::new())]
    })?;
    if errant.is_closed {
        // A link that one end closes while the other detaches it is attached again (§2.6.6).
        return Ok(Outcome::skip("the client closes the link that it refuses"));
    }
    Ok(errant.ends_session(trial.is_strict()))
}

impl Errant {
    fn ends_session(mut self, is_strict: bool) -> Outcome {
        let refused = Refused::by(Scope::Session).with(&ERRANT);
        refused.judge_on(&self.client.session, &mut self.client.connection, is_strict)
    }
}

fn detach_crosses_close(trial: &mut ClientTrial<'_>) -> Checked {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    client.accept(&delivery);
    let got = client.until("detach", |_, got| matches!(got.name(), "detach" | "end" | "close").then(|| got.clone()));
    let got = got.map_err(|unexpected| Stop::set_up(&unexpected))?;
    match &got {
        Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) if detach.closed => {}
        _ => return Ok(Outcome::skip(format!("the client does not close the link: {got}"))),
    }
    let (channel, handle) = (client.session.channel, client.link.handle);
    client.connection.send(channel, Detach { closed: false, ..frames::detach(handle) });
    client.connection.send(channel, frames::attach_answering(&client.link.attach, handle));
    client.connection.send(channel, frames::detach(handle));
    Ok(client.finishes())
}

fn error_is_described(trial: &mut ClientTrial<'_>) -> Checked {
    let Errant { error: Refusal { error, .. }, .. } = errant(trial)?;
    Ok(match &error.description {
        Some(text) if !text.is_empty() => Outcome::pass_with(error.condition.to_string()),
        _ => Outcome::fail(format!("{} without a description", error.condition)),
    })
}
