//! Links and deliveries that the client resumes as a sender (§2.6.3, §2.6.13, §2.7.3).

use super::support::Checked;
use crate::{
    case::{Case, Check, Severity},
    client::{
        Attached, ClientTrial, Scenario,
        cases::nodes::resuming::{Resumed, answer, attached_again, next_attach, next_delivery, resumed},
        sends_to_node, twins,
    },
    delivery::Delivery,
    either::resuming::{Entry, Said, accepted, received},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    DeliveryTag, Value,
    performative::{Flow, Unsettled},
};
use amqp1_script::{Got, frames};

/// A case on a delivery of the client's, on a link that is detached and attached again.
const RESUMED: Case = Case { twin: Some(&twins::RESUME), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.3-6",
        rule: "An end that has a terminus with state gives its unsettled map in the attach (§2.6.3).",
        sends: "a detach with closed=false, while a delivery of the client's is unsettled",
        wants: "an attach of the same name whose unsettled map has the delivery-tag",
        check: Check::Client(Scenario::Send, map_has_the_delivery),
        twin: Some(&twins::SEND),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.13-1",
        rule: "A delivery that is unsettled at the sender alone is sent again, as a new one or resumed, or is dropped \
               (§2.6.13).",
        sends: "an answer with an empty unsettled map to the attach that resumes the link, and credit",
        wants: "the message as a new delivery or as a resumed one, or the end of the link",
        check: Check::Client(Scenario::Send, forgotten_by_receiver),
        ..RESUMED
    },
    Case {
        id: "T-2.6.13-2",
        rule: "A delivery that is unsettled at the receiver alone is ignored by the sender (§2.6.13).",
        sends: "an answer whose unsettled map has a delivery-tag that the client never used, and credit",
        wants: "the message alone",
        check: Check::Client(Scenario::Send, known_to_receiver_alone),
        twin: Some(&twins::SEND),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.6.13-3",
        rule: "A delivery that is unsettled at both ends is resumed by the sender (§2.6.13).",
        sends: "an answer whose unsettled map has the delivery-tag without a state, and credit",
        wants: "a transfer with resume=true, the same delivery-tag and the message",
        check: Check::Client(Scenario::Send, resumes_what_both_have),
        ..RESUMED
    },
    Case {
        id: "T-2.6.13-4",
        rule: "Where an unsettled map is incomplete, the link is detached and resumed again until the maps are complete \
               (§2.6.13).",
        sends: "an answer with incomplete-unsettled=true and without the delivery, credit, a detach unless the client \
                detaches, and an answer with the delivery",
        wants: "the delivery resumed after the second answer",
        check: Check::Client(Scenario::Send, incomplete_then_complete),
        ..RESUMED
    },
    Case {
        id: "T-2.6.13-5",
        severity: Severity::May,
        rule: "What the receiver has of a delivery need not be sent again (§2.6.13).",
        sends: "an answer whose unsettled map has the state received at section 0, offset 4, for the delivery",
        wants: "a resumed delivery, with the whole message or with the rest of it",
        check: Check::Client(Scenario::Send, resumes_in_part),
        ..RESUMED
    },
    Case {
        id: "T-2.7.3-12",
        rule: "The states of a delivery at both ends are compared, to settle what is in doubt (§2.7.3).",
        sends: "an answer whose unsettled map has the state accepted for the delivery",
        wants: "the delivery settled: the message is not sent again",
        check: Check::Client(Scenario::Send, accepted_while_away),
        ..RESUMED
    },
    Case {
        id: "T-2.7.3-14",
        rule: "A sender that has received an incomplete unsettled map sends no new deliveries (§2.7.3).",
        sends: "an answer with incomplete-unsettled=true and without the delivery, and credit 5",
        wants: "no transfer without resume=true",
        check: Check::Client(Scenario::Send, nothing_new_while_incomplete),
        ..RESUMED
    },
];

fn tag_of(delivery: &Delivery) -> DeliveryTag {
    DeliveryTag::new(delivery.tag()).unwrap_or_default()
}

fn is_resumed(delivery: &Delivery) -> bool {
    delivery.first().is_some_and(|transfer| transfer.resume)
}

fn map_has_the_delivery(trial: &mut ClientTrial<'_>) -> Checked {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    let map = attached_again(&mut client)?.unsettled.unwrap_or_default();
    Ok(match map.get(&tag_of(&delivery)) {
        Some(_) => Outcome::pass(),
        None => Outcome::fail("the client's unsettled map lacks the delivery"),
    })
}

/// The client's first transfers after its link was attached again, with this entry in the tool's map.
fn first_after(trial: &mut ClientTrial<'_>, held: Option<Value>) -> Result<(Resumed, Option<Delivery>), Stop> {
    let mut resumed = resumed(trial, Said::Nothing, held)?;
    if resumed.maps.theirs == Entry::Absent {
        return Err(Stop::SetUp(String::from("the client's unsettled map lacks the delivery")));
    }
    resumed.client.give_credit(10);
    let delivery = next_delivery(&mut resumed.client)?;
    Ok((resumed, delivery))
}

fn forgotten_by_receiver(trial: &mut ClientTrial<'_>) -> Checked {
    let (Resumed { mut client, .. }, delivery) = first_after(trial, None)?;
    match delivery {
        None => Ok(Outcome::pass_with("the message is not sent again")),
        Some(delivery) if is_resumed(&delivery) => Ok(Outcome::pass_with("the delivery is resumed")),
        Some(delivery) => {
            client.accept(&delivery);
            remarked(client.finishes(), "the message comes as a new delivery")
        }
    }
}

/// The outcome, with this remark if it is a pass.
fn remarked(outcome: Outcome, remark: impl Into<String>) -> Checked {
    Ok(if outcome.verdict == Verdict::Pass { Outcome::pass_with(remark.into()) } else { outcome })
}

fn known_to_receiver_alone(trial: &mut ClientTrial<'_>) -> Checked {
    const GHOST: &[u8] = b"never used";
    let mut attaching = trial.link_where(sends_to_node)?;
    let ghost = DeliveryTag::new(GHOST).unwrap_or_default();
    attaching.answer.unsettled = Some(std::iter::once((ghost, Value::Null)).collect());
    let mut client = attaching.answered();
    client.give_credit(10);
    let delivery = client.delivery()?;
    if is_resumed(&delivery) || delivery.tag() == GHOST {
        return Ok(Outcome::fail("a delivery came that the client cannot have had unsettled"));
    }
    client.accept(&delivery);
    Ok(client.finishes())
}

/// Fails unless this is the delivery, resumed.
fn is_the_delivery(delivery: &Delivery, tag: DeliveryTag) -> Result<(), Stop> {
    if !is_resumed(delivery) || delivery.tag() != tag.as_slice() {
        return Err(Outcome::fail("the delivery lacks resume=true and the same delivery-tag").into());
    }
    Ok(())
}

fn resumes_what_both_have(trial: &mut ClientTrial<'_>) -> Checked {
    let (Resumed { mut client, delivery: first, maps }, delivery) = first_after(trial, Some(Value::Null))?;
    let Some(delivery) = delivery else { return Ok(Outcome::fail("the client does not resume the delivery")) };
    is_the_delivery(&delivery, maps.tag)?;
    if delivery.message != first.message {
        return Ok(Outcome::fail("the resumed delivery lacks the message"));
    }
    client.accept(&delivery);
    Ok(client.finishes())
}

fn resumes_in_part(trial: &mut ClientTrial<'_>) -> Checked {
    let (Resumed { mut client, delivery: first, maps }, delivery) = first_after(trial, Some(received(4)))?;
    let Some(delivery) = delivery else { return Ok(Outcome::fail("the client does not resume the delivery")) };
    is_the_delivery(&delivery, maps.tag)?;
    if !first.message.ends_with(&delivery.message) {
        return Ok(Outcome::fail("the payload is not the end of the message"));
    }
    client.accept(&delivery);
    remarked(client.finishes(), format!("{} octets of {} came", delivery.message.len(), first.message.len()))
}

fn accepted_while_away(trial: &mut ClientTrial<'_>) -> Checked {
    let (Resumed { mut client, .. }, delivery) = first_after(trial, Some(accepted()))?;
    let again = "the message comes again as a new delivery";
    match delivery {
        // It has settled the delivery without a transfer, and is done.
        None => return Ok(Outcome::pass()),
        Some(delivery) if !is_resumed(&delivery) => return Ok(Outcome::fail(again)),
        Some(delivery) => client.accept(&delivery),
    }
    let is_sent_again = client.until("close", |_, got| match got.name() {
        "transfer" => Some(true),
        "close" => Some(false),
        _ => None,
    })?;
    client.connection.send(0, frames::close());
    Ok(if is_sent_again { Outcome::fail(again) } else { Outcome::pass() })
}

/// The client's link after it was answered with an incomplete map that lacks its delivery, with credit.
fn incomplete(trial: &mut ClientTrial<'_>) -> Result<(Attached, DeliveryTag), Stop> {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    let attach = attached_again(&mut client)?;
    answer(&mut client, attach, Unsettled::new(), true);
    client.give_credit(5);
    Ok((client, tag_of(&delivery)))
}

/// The next step of the client after an incomplete map: a transfer without resume, the end of the link or of more, or
/// `None` once it has had the time.
fn next_step(client: &mut Attached) -> Result<Option<Got>, Stop> {
    let session = client.session.clone();
    let echo = Flow { echo: true, ..client.progress.flow(&session) };
    client.connection.send(session.channel, echo);
    let patience = client.connection.patience();
    client.connection.set_patience(patience / 5);
    let found = client.until("nothing", |progress, got| match got.name() {
        "transfer" => {
            let is_new = progress.note(got).is_none_or(|delivery| !is_resumed(&delivery));
            is_new.then(|| got.clone())
        }
        "detach" | "end" | "close" => Some(got.clone()),
        _ => None,
    });
    client.connection.set_patience(patience);
    match found {
        Ok(got) => Ok(Some(got)),
        Err(unexpected) if matches!(*unexpected.got, Got::Timeout { .. }) => Ok(None),
        Err(unexpected) => Err(unexpected.into()),
    }
}

const NEW: &str = "a new delivery came after an incomplete unsettled map";

fn nothing_new_while_incomplete(trial: &mut ClientTrial<'_>) -> Checked {
    // A second message, which a client that sends without waiting has ready.
    trial.set_count(2);
    let (mut client, _) = incomplete(trial)?;
    Ok(match next_step(&mut client)? {
        Some(got) if got.name() == "transfer" => Outcome::fail(NEW),
        Some(got) => Outcome::pass_with(got.name()),
        None => Outcome::pass(),
    })
}

fn incomplete_then_complete(trial: &mut ClientTrial<'_>) -> Checked {
    let (mut client, tag) = incomplete(trial)?;
    let attach = match next_step(&mut client)? {
        Some(got) if got.name() == "transfer" => return Ok(Outcome::fail(NEW)),
        Some(got) if got.name() == "detach" => {
            client.progress.answer(&mut client.connection, &got, client.open.max_frame_size);
            next_attach(&mut client, true)?
        }
        Some(got) => return Ok(Outcome::fail(format!("expected another attach, got {got}"))),
        None => attached_again(&mut client)?,
    };
    answer(&mut client, attach, std::iter::once((tag, Value::Null)).collect(), false);
    client.give_credit(5);
    let Some(delivery) = next_delivery(&mut client)? else {
        return Ok(Outcome::fail("the client does not resume the delivery"));
    };
    is_the_delivery(&delivery, tag)?;
    client.accept(&delivery);
    Ok(client.finishes())
}
