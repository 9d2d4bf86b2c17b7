//! Attaching links (§2.6.1 to §2.6.3, §2.7.3).

use super::support::{Checked, flawed};
use crate::{
    case::{Case, Check, Severity},
    client::{Attached, ClientTrial, Scenario, receives_from_node, sends_to_node, twins},
    judge::{Refused, should},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    Message, SequenceNo,
    definitions::{ErrorCondition, Role},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Performative},
};
use amqp1_script::{AmqpFrame, Body, Got, Scope, frames};

const SEND: Case = Case { twin: Some(&twins::SEND), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.1-1",
        rule: "A name identifies a link among those of one direction (§2.6.1).",
        sends: "the answers that a transaction needs",
        wants: "no two links of one direction with the same name at a time",
        check: Check::Client(Scenario::Transaction, names_are_unique),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.1-2",
        severity: Severity::May,
        rule: "A link may be stolen: it is detached with the error stolen, and that detach is answered (§2.6.1).",
        sends: "detach with amqp:link:stolen",
        wants: "detach, or the end of more",
        check: Check::Client(Scenario::Receive, stolen_link_is_left),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.2-1/send",
        rule: "Each end chooses its own handle for a link, which need not be the partner's (§2.6.2).",
        sends: "an answer on handle 5, and credit on it",
        wants: "a message on the handle of the client's attach",
        check: Check::Client(Scenario::Send, handles_differ_when_sending),
        ..SEND
    },
    Case {
        id: "T-2.6.2-1/receive",
        rule: "Each end chooses its own handle for a link, which need not be the partner's (§2.6.2).",
        sends: "an answer on handle 5, and a message on it",
        wants: "credit on the handle of the client's attach, and an outcome",
        twin: Some(&twins::RECEIVE),
        check: Check::Client(Scenario::Receive, handles_differ_when_receiving),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.3-1/send",
        rule: "An attach that is answered by one of the same name and the opposite role makes a link (§2.6.3).",
        sends: "the answer to the attach, credit, and the outcome of the message",
        wants: "a message, and a close without an error",
        check: Check::Client(Scenario::Send, sends),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.3-1/receive",
        rule: "An attach that is answered by one of the same name and the opposite role makes a link (§2.6.3).",
        sends: "the answer to the attach, and a message",
        wants: "credit, an outcome, and a close without an error",
        check: Check::Client(Scenario::Receive, receives),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.3-2/send",
        rule: "A link is refused by an attach without a target and a detach, which is answered (§2.6.3, §2.6.6).",
        sends: "an answer without a target, and detach with amqp:not-found",
        wants: "detach with closed=true, and no message",
        check: Check::Client(Scenario::Send, |trial| refused_link_is_left(trial, Role::Sender)),
        ..SEND
    },
    Case {
        id: "T-2.6.3-2/receive",
        rule: "A link is refused by an attach without a source and a detach, which is answered (§2.6.3, §2.6.6).",
        sends: "an answer without a source, and detach with amqp:not-found",
        wants: "detach with closed=true",
        twin: Some(&twins::RECEIVE),
        check: Check::Client(Scenario::Receive, |trial| refused_link_is_left(trial, Role::Receiver)),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.3-4/address",
        rule: "The end that attaches a link makes sure that the terminus of the answer suits it (§2.6.3).",
        sends: "an answer whose target is at another address",
        wants: "detach; whether another address suits it is for the client to say",
        check: Check::Client(Scenario::Send, other_target),
        ..SEND
    },
    Case {
        id: "T-2.6.3-4/dynamic",
        rule: "The end that attaches a link makes sure that the terminus of the answer suits it (§2.6.3): a dynamic node \
               without an address is of no use.",
        sends: "an answer without an address to an attach from a dynamic source",
        wants: "no request that is to be answered there",
        check: Check::Client(Scenario::Request, dynamic_source_without_address),
        twin: Some(&twins::REQUEST),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.3-2",
        rule: "An attach on a handle that a link has already is answered by a close with handle-in-use (§2.7.3); since the \
               condition is one of sessions, an end counts as well.",
        sends: "answers to two attaches on the same handle",
        wants: "close or end with amqp:session:handle-in-use",
        twin: Some(&twins::REQUEST),
        check: Check::Client(Scenario::Request, handle_in_use),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.3-3",
        severity: Severity::Should,
        rule: "The lowest free handle is assigned to a link (§2.7.3, recommended).",
        sends: "the answers that a request needs",
        wants: "attaches on the handles 0 and 1 of a session",
        check: Check::Client(Scenario::Request, |trial| should(lowest_handle(trial))),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.3-6/attach",
        rule: "The attach of a sender has an initial-delivery-count (§2.7.3).",
        sends: "nothing after the begin",
        wants: "an attach with initial-delivery-count",
        check: Check::Client(Scenario::Send, count_is_there),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.3-6/missing",
        rule: "The attach of a sender has an initial-delivery-count (§2.7.3).",
        sends: "an answer as sender without initial-delivery-count",
        wants: "a refusal",
        twin: Some(&twins::RECEIVE),
        check: Check::Client(Scenario::Receive, |trial| flawed(trial, Role::Receiver, |fields| fields.truncate(7))),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.3-7",
        rule: "The initial-delivery-count of a receiver's attach is ignored (§2.7.3).",
        sends: "an answer as receiver with initial-delivery-count 77, and credit counted from the client's own",
        wants: "a message",
        check: Check::Client(Scenario::Send, count_of_receiver_is_ignored),
        ..SEND
    },
    Case {
        id: "T-2.7.3-9",
        rule: "A link without a target never permits messages (§2.7.3).",
        sends: "an answer without a target, without a detach, and credit",
        wants: "no message",
        check: Check::Client(Scenario::Send, no_target_no_message),
        ..SEND
    },
];

fn sends(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sender()?;
    client.give_credit(10);
    let delivery = client.delivery()?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn receives(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.receiver()?;
    client.credited()?;
    let id = client.deliver(frames::message("message"));
    client.disposition_of(id)?;
    Ok(client.finishes())
}

fn names_are_unique(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.coordinator()?;
    let mut repeated = None;
    let closed = client.until("close", |progress, got| {
        if let Ok(attach) = Attach::of(got.clone()) {
            let is_same =
                |link: &&amqp1_script::Link| link.attach.name == attach.name && link.attach.role == attach.role;
            if progress.attached_links().any(|link| is_same(&link)) {
                repeated = Some(attach.name.to_string());
            }
        }
        (got.name() == "close").then_some(())
    });
    client.connection.send(0, frames::close());
    match repeated {
        Some(name) => Ok(Outcome::fail(format!("two links have the name {name:?}"))),
        None => Ok(closed.map(|()| Outcome::pass())?),
    }
}

/// Waits for the client to answer a detach, or to end more than the link. No message may come.
fn leaves(client: &mut Attached, wants_closed: bool) -> Checked {
    let (channel, handle) = (client.session.remote_channel, client.link.attach.handle);
    let got = client.until("detach", |_, got| match got {
        Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Detach(detach)), .. })
            if *on == channel && detach.handle == handle =>
        {
            Some(got.clone())
        }
        _ => matches!(got.name(), "end" | "close" | "transfer").then(|| got.clone()),
    })?;
    Ok(match &got {
        Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) => match detach.closed {
            false if wants_closed => Outcome::fail("a closing detach is answered by closed=false"),
            _ => Outcome::pass(),
        },
        _ if got.name() == "transfer" => Outcome::fail("a message came on a link that is detached"),
        _ => Outcome::new(Verdict::PassWider, format!("{}, without a detach", got.name())),
    })
}

fn stolen_link_is_left(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.sending_to_client()?;
    client.detach(false, Some(ErrorCondition::STOLEN.into()));
    leaves(&mut client, false)
}

fn refused_link_is_left(trial: &mut ClientTrial<'_>, role: Role) -> Checked {
    let mut attaching = trial.link_where(|attach| match role {
        Role::Sender => sends_to_node(attach),
        Role::Receiver => receives_from_node(attach),
    })?;
    match role {
        Role::Sender => attaching.answer.target = None,
        Role::Receiver => attaching.answer.source = None,
    }
    let mut client = attaching.answered();
    client.detach(true, Some(ErrorCondition::NOT_FOUND.into()));
    leaves(&mut client, true)
}

/// The answer to the client's attach with a handle that is not the client's.
fn on_handle_5(trial: &mut ClientTrial<'_>, is_wanted: fn(&Attach) -> bool) -> Result<Attached, Stop> {
    let mut attaching = trial.link_where(is_wanted)?;
    let most = attaching.session.begin.handle_max;
    if most < 5 {
        return Err(Outcome::skip(format!("handle-max is {most}")).into());
    }
    attaching.answer.handle = 5;
    Ok(attaching.answered())
}

fn handles_differ_when_sending(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = on_handle_5(trial, sends_to_node)?;
    client.give_credit(1);
    let delivery = client.delivery()?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn handles_differ_when_receiving(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = on_handle_5(trial, receives_from_node)?;
    client.credited()?;
    let id = client.deliver(frames::message("message"));
    client.disposition_of(id)?;
    Ok(client.finishes())
}

fn other_target(trial: &mut ClientTrial<'_>) -> Checked {
    let mut attaching = trial.link_where(sends_to_node)?;
    attaching.answer.target = Some(Target::at("amqp-conformance/elsewhere").into());
    let mut client = attaching.answered();
    client.give_credit(1);
    let first = client.until("detach or a message", |_, got| {
        matches!(got.name(), "transfer" | "detach" | "end" | "close").then(|| got.name())
    })?;
    Ok(match first {
        "transfer" => Outcome::info("the client sends to an address that it did not name"),
        name => Outcome::pass_with(name),
    })
}

fn dynamic_source_without_address(trial: &mut ClientTrial<'_>) -> Checked {
    let is_dynamic =
        |attach: &Attach| attach.role == Role::Receiver && attach.source.as_ref().is_some_and(|source| source.dynamic);
    let mut attaching = trial.link_where(is_dynamic)?;
    attaching.answer.source = Some(Box::new(Source { dynamic: true, ..Source::default() }));
    let mut client = attaching.answered();
    let found = client
        .until("detach", |_, got| matches!(got.name(), "transfer" | "detach" | "end" | "close").then(|| got.clone()))?;
    let Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), payload, .. }) = &found else {
        return Ok(Outcome::pass_with(found.to_string()));
    };
    let properties = Message::from_bytes(payload.clone()).ok().and_then(|message| message.properties().ok().flatten());
    Ok(match properties.and_then(|properties| properties.reply_to) {
        Some(to) => Outcome::pass_with(format!("the request is to be answered at {to}")),
        None => Outcome::fail("a request came that cannot be answered"),
    })
}

static IN_USE: [ErrorCondition; 1] = [ErrorCondition::HANDLE_IN_USE];

fn handle_in_use(trial: &mut ClientTrial<'_>) -> Checked {
    let mut client = trial.attached()?;
    let (channel, used) = (client.session.remote_channel, client.link.handle);
    let attach = client
        .until("a second attach", |_, got| Attach::of(got.clone()).ok())
        .map_err(|unexpected| Stop::set_up(&unexpected))?;
    if attach.channel != channel {
        return Ok(Outcome::skip("the client has a session for each link"));
    }
    let session = client.session.clone();
    let answer = Attach { handle: used, ..client.progress.answer_to(&session, &attach) };
    client.connection.send(session.channel, answer);
    Ok(Refused::by(Scope::Session).with(&IN_USE).judge_on(&session, &mut client.connection, trial.is_strict()))
}

fn lowest_handle(trial: &mut ClientTrial<'_>) -> Checked {
    let client = trial.attached()?;
    let session = client.session.clone();
    let mut handles = vec![client.link.attach.handle];
    let mut client = client;
    let second = client.until("a second attach", |_, got| Attach::of(got.clone()).ok());
    let second = second.map_err(|unexpected| Stop::set_up(&unexpected))?;
    let wanted: &[u32] = if second.channel == session.remote_channel { &[0, 1] } else { &[0, 0] };
    handles.push(second.handle);
    Ok(match handles == wanted {
        true => Outcome::pass(),
        false => Outcome::fail(format!("the attaches have the handles {handles:?}")),
    })
}

fn count_is_there(trial: &mut ClientTrial<'_>) -> Checked {
    let attaching = trial.link_where(sends_to_node)?;
    Ok(match attaching.attach.initial_delivery_count {
        Some(SequenceNo(count)) => Outcome::pass_with(format!("initial-delivery-count {count}")),
        None => Outcome::fail("the sender's attach has no initial-delivery-count"),
    })
}

fn count_of_receiver_is_ignored(trial: &mut ClientTrial<'_>) -> Checked {
    let mut attaching = trial.link_where(sends_to_node)?;
    attaching.answer.initial_delivery_count = Some(SequenceNo(77));
    let mut client = attaching.answered();
    client.give_credit(1);
    let delivery = client.delivery()?;
    client.settle(&delivery, DeliveryState::Accepted);
    Ok(client.finishes())
}

fn no_target_no_message(trial: &mut ClientTrial<'_>) -> Checked {
    let mut attaching = trial.link_where(sends_to_node)?;
    attaching.answer.target = None;
    let mut client = attaching.answered();
    client.give_credit(10);
    let session = client.session.clone();
    let echo = amqp1_codec::performative::Flow { echo: true, ..client.progress.flow(&session) };
    client.connection.send(session.channel, echo);
    let patience = client.connection.patience();
    client.connection.set_patience(patience / 5);
    let found = client
        .until("nothing", |_, got| matches!(got.name(), "transfer" | "detach" | "end" | "close").then(|| got.name()));
    client.connection.set_patience(patience);
    match found {
        Ok("transfer") => Ok(Outcome::fail("a message came on a link without a target")),
        Ok(name) => Ok(Outcome::pass_with(name)),
        Err(unexpected) if matches!(*unexpected.got, Got::Timeout { .. }) => Ok(client.closes_in_peace()),
        Err(unexpected) => match amqp1_script::Refusal::of(&unexpected.got) {
            Some(refusal) => Ok(Outcome::pass_with(refusal.error.condition.to_string())),
            None => Err(unexpected.into()),
        },
    }
}

/// The octets of a right answer are what the flaws above are put into.
#[cfg(test)]
mod tests {
    use super::super::support::answer_fields;
    use amqp1_codec::definitions::Role;

    #[test]
    fn an_answer_has_the_fields_up_to_the_initial_delivery_count_where_the_tool_sends() {
        assert_eq!(answer_fields("link", "node", 0, Role::Sender).len(), 10);
    }
}
