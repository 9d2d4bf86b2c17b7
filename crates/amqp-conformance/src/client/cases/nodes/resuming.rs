//! Deliveries that the client resumes as their sender (§3.4.6).

use super::outcomes::SENDS;
use crate::{
    case::{Case, Check, Twin},
    client::{Attached, ClientTrial, Scenario, sends_to_node},
    delivery::Delivery,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    DeliveryTag, Value,
    definitions::Role,
    messaging::{DeliveryState, Received},
    performative::{Attach, Detach, Disposition, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, frames};

const fn send(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Send, check)
}

/// The client attaches its link again, with the delivery in its unsettled map, and resumes it.
pub(super) static RESUME: Twin = Twin { name: "resume", check: send(resume) };

/// A case on a delivery of the client's, on a link that is detached and attached again.
const RESUMED: Case = Case { twin: Some(&RESUME), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4.6-1",
        rule: "A delivery that the receiver does not know is sent as a new one (§3.4.6).",
        sends: "a detach that is not for good; an attach whose unsettled map lacks the delivery",
        wants: "a transfer without resume",
        check: send(|trial| expects(trial, Said::Nothing, None)),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-2",
        rule: "A delivery of which the receiver holds a part is resumed no later than at its end (§3.4.6).",
        sends: "an attach whose unsettled map says received(0, 4)",
        wants: "a transfer with resume, the same tag, and a state up to received(0, 4)",
        check: send(|trial| expects(trial, Said::Nothing, Some(received(4)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-3",
        rule: "A delivery that has a terminal state at the receiver is resumed so that it can be settled (§3.4.6).",
        sends: "an attach whose unsettled map says accepted",
        wants: "a transfer with resume and the same tag",
        check: send(|trial| expects(trial, Said::Nothing, Some(accepted()))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-4",
        rule: "A delivery that the receiver holds without a state is resumed from its start (§3.4.6).",
        sends: "an attach whose unsettled map says null",
        wants: "a transfer with resume, the same tag, and the whole message",
        check: send(|trial| expects(trial, Said::Nothing, Some(Value::Null))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-5",
        rule: "A delivery whose state was received, and that the receiver does not know, is sent as a new one (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map lacks the delivery",
        wants: "a transfer without resume",
        check: send(|trial| expects(trial, Said::Received(4), None)),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-6",
        rule: "A delivery is resumed between what the sender knows to be received and what the receiver says (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map says received(0, 6)",
        wants: "a transfer with resume, from received(0, 4) to (0, 6); from the start if the client's map has no state",
        check: send(|trial| expects(trial, Said::Received(4), Some(received(6)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-7",
        rule: "A delivery of which the receiver holds less than the sender has kept is aborted (§3.4.6).",
        sends: "received(0, 6); an attach whose unsettled map says received(0, 4)",
        wants: "a transfer with resume and aborted if the client's map has a later state; else one up to (0, 4)",
        check: send(|trial| expects(trial, Said::Received(6), Some(received(4)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-8",
        rule: "A delivery whose state was received, and is terminal at the receiver, is resumed to be settled (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map says accepted",
        wants: "a transfer with resume and the same tag",
        check: send(|trial| expects(trial, Said::Received(4), Some(accepted()))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-9",
        rule: "A delivery whose start the sender has not kept, and that the receiver holds nothing of, is aborted (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map says null",
        wants: "a transfer with resume, aborted if the client's map has a state; else the whole message",
        check: send(|trial| expects(trial, Said::Received(4), Some(Value::Null))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-10",
        rule: "Of a delivery that is terminal at the sender, and that the receiver does not know, nothing is sent (§3.4.6).",
        sends: "accepted, unsettled, and a detach; an attach whose unsettled map lacks the delivery",
        wants: "no transfer",
        check: send(|trial| finished(trial, None)),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-11",
        rule: "A delivery that is terminal at the sender is aborted if the receiver holds a part of it (§3.4.6).",
        sends: "accepted, unsettled, and a detach; an attach whose unsettled map says received(0, 4)",
        wants: "a transfer with resume and aborted if the client's map has the delivery, else none",
        check: send(|trial| finished(trial, Some(received(4)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-12",
        rule: "A delivery that has the same terminal state at both ends is settled by its resumption (§3.4.6).",
        sends: "accepted, unsettled, and a detach; an attach whose unsettled map says accepted",
        wants: "a transfer with resume and settled if the client's map has the delivery, else none",
        check: send(|trial| finished(trial, Some(accepted()))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-13",
        rule: "Of a delivery with different terminal states the sender's state counts (§3.4.6).",
        sends: "accepted, unsettled, and a detach; an attach whose unsettled map says released",
        wants: "a transfer with resume and accepted if the client's map has the delivery, else none",
        check: send(|trial| finished(trial, Some(state(0x26)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-14",
        rule: "A delivery that is terminal at the sender is aborted if the receiver holds it without a state (§3.4.6).",
        sends: "accepted, unsettled, and a detach; an attach whose unsettled map says null",
        wants: "a transfer with resume and aborted if the client's map has the delivery, else none",
        check: send(|trial| finished(trial, Some(Value::Null))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-16",
        rule: "The sender's map has no terminal state for what the receiver may still need (§3.4.6).",
        sends: "a detach that is not for good, before anything was said of the delivery",
        wants: "an attach whose unsettled map has the delivery, with null or received",
        check: send(entry_is_not_terminal),
        twin: Some(&SENDS),
        ..Case::CLIENT
    },
];

/// A described list without fields, of this code: an outcome.
fn state(code: u64) -> Value {
    Value::described(code, Vec::<Value>::new())
}

fn accepted() -> Value {
    state(0x24)
}

/// `received(0, offset)`.
fn received(offset: u64) -> Value {
    Value::described(0x23_u64, vec![Value::Uint(0), Value::Ulong(offset)])
}

/// The state of a delivery in an unsettled map.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Absent,
    Null,
    Received(u64),
    Terminal,
}

fn entry(value: Option<&Value>) -> Entry {
    match value {
        None => Entry::Absent,
        Some(Value::Described(described)) if described.descriptor.as_integer() == Some(0x23) => {
            match &described.value {
                Value::List(fields) => {
                    let offset =
                        fields.get(1).and_then(Value::as_integer).and_then(|offset| u64::try_from(offset).ok());
                    Entry::Received(offset.unwrap_or_default())
                }
                _ => Entry::Received(0),
            }
        }
        Some(Value::Null) => Entry::Null,
        Some(_) => Entry::Terminal,
    }
}

/// The state that the tool gives the delivery before the link is detached.
#[derive(Clone, Copy)]
enum Said {
    Nothing,
    Received(u64),
    Accepted,
}

/// The client's link after it was attached again, and what came before.
struct Resumed {
    client: Attached,
    delivery: Delivery,
    tag: DeliveryTag,
    /// The client's own entry.
    entry: Entry,
}

/// Detaches the client's link, and answers its next attach with this entry in the unsettled map.
fn resumed(trial: &mut ClientTrial<'_>, said: Said, held: Option<Value>) -> Result<Resumed, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    let tag = DeliveryTag::new(delivery.tag()).unwrap_or_default();
    let unsettled = |state| Disposition { settled: false, ..frames::settled(Role::Receiver, delivery.number(), state) };
    match said {
        Said::Nothing => {}
        Said::Received(offset) => {
            let state = Received { section_number: 0, section_offset: offset };
            client.connection.send(client.session.channel, unsettled(DeliveryState::Received(state)));
        }
        Said::Accepted => {
            client.connection.send(client.session.channel, unsettled(DeliveryState::Accepted));
        }
    }
    let attach = attached_again(&mut client)?;
    let map = attach.unsettled.clone().unwrap_or_default();
    let mut answer = client.progress.answer_to(&client.session, &attach);
    answer.unsettled = Some(held.map(|held| (tag, held)).into_iter().collect());
    client.connection.send(client.session.channel, answer.clone());
    client.link = client.progress.add_link(&client.session, attach, &answer);
    Ok(Resumed { entry: entry(map.get(&tag)), client, delivery, tag })
}

/// Detaches the client's link, not for good, and waits for its next attach of the same name.
pub(super) fn attached_again(client: &mut Attached) -> Result<Attach, Stop> {
    let name = client.link.attach.name.clone();
    client.connection.send(client.session.channel, Detach { closed: false, ..frames::detach(client.link.handle) });
    let (channel, handle) = (client.link.remote_channel, client.link.attach.handle);
    let mut is_detached = false;
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Detach(detach)), .. })
                if *on == channel && detach.handle == handle && !is_detached =>
            {
                if detach.closed {
                    return Err(Stop::SetUp(String::from("the client closes the link")));
                }
                is_detached = true;
                client.progress.forget(&client.link);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) if attach.name == name => {
                return Ok(Attach::clone(attach));
            }
            Got::Frame(AmqpFrame { body, .. })
                if !matches!(body, Some(Performative::Close(_) | Performative::End(_))) =>
            {
                let max_frame_size = client.open.max_frame_size;
                client.progress.answer(&mut client.connection, &got, max_frame_size);
            }
            _ => return Err(Stop::SetUp(format!("the client does not attach the link again: {got}"))),
        }
    }
}

/// The client's next transfers on the link; `None` if it detaches or closes before.
fn next_delivery(client: &mut Attached) -> Result<Option<Delivery>, Stop> {
    let max_frame_size = client.open.max_frame_size;
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                if let Some(delivery) = client.progress.note(&got) {
                    return Ok(Some(delivery));
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_) | Performative::End(_)), .. }) => {
                client.progress.answer(&mut client.connection, &got, max_frame_size);
                return Ok(None);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                client.connection.send(0, frames::close());
                return Ok(None);
            }
            Got::Frame(_) => client.progress.answer(&mut client.connection, &got, max_frame_size),
            _ => return Err(Outcome::fail(format!("expected a transfer, got {got}")).into()),
        }
    }
}

fn resume(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let Resumed { mut client, entry, .. } = resumed(trial, Said::Nothing, Some(Value::Null))?;
    if entry == Entry::Absent {
        return Ok(Outcome::fail("the client's unsettled map lacks the delivery"));
    }
    client.give_credit(10);
    match next_delivery(&mut client)? {
        Some(delivery) => {
            client.accept(&delivery);
            Ok(client.finishes())
        }
        None => Ok(Outcome::fail("the client does not resume the delivery")),
    }
}

/// Judges the transfer that follows, where one must.
fn expects(trial: &mut ClientTrial<'_>, said: Said, held: Option<Value>) -> Result<Outcome, Stop> {
    let own = entry(held.as_ref());
    let Resumed { mut client, delivery: first, tag, entry } = resumed(trial, said, held)?;
    client.give_credit(10);
    let Some(mut delivery) = next_delivery(&mut client)? else {
        return Ok(Outcome::fail("no transfer follows"));
    };
    if let Some(reason) = wrong(&delivery, &first, tag, entry, own) {
        return Ok(Outcome::fail(reason));
    }
    if delivery.is_aborted() {
        // It comes as a new one now, or its loss is reported.
        match next_delivery(&mut client)? {
            Some(next) => delivery = next,
            None => return Ok(Outcome::pass_with("aborted, and not sent again")),
        }
    }
    client.accept(&delivery);
    let outcome = client.finishes();
    let is_passed = outcome.verdict == crate::Verdict::Pass;
    Ok(if is_passed { Outcome::pass_with(format!("the client's map says {entry:?}")) } else { outcome })
}

/// The fault of a transfer after the link was attached again, by the table of §3.4.6: `entry` is in the client's map,
/// `own` in the tool's.
fn wrong(delivery: &Delivery, first: &Delivery, tag: DeliveryTag, entry: Entry, own: Entry) -> Option<String> {
    let transfer = delivery.first()?;
    if own == Entry::Absent {
        return transfer
            .resume
            .then(|| String::from("the transfer resumes a delivery that the receiver does not know"));
    }
    if !transfer.resume {
        return Some(String::from("the transfer does not resume the delivery"));
    }
    if transfer.delivery_tag != Some(tag) {
        return Some(String::from("the transfer resumes another delivery"));
    }
    let (least, most) = match (entry, own) {
        (_, Entry::Terminal) => return None,
        (Entry::Received(a), Entry::Received(b)) if b >= a => (a, b),
        (Entry::Received(_), _) => {
            return (!delivery.is_aborted()).then(|| String::from("the transfer is not aborted"));
        }
        (_, Entry::Received(b)) => (0, b),
        (..) => (0, 0),
    };
    if delivery.is_aborted() {
        return Some(String::from("the transfer is aborted"));
    }
    let from = start(transfer);
    if from < least || from > most {
        return Some(format!("the transfer begins at {from}, expected {least} to {most}"));
    }
    (!first.message.ends_with(&delivery.message)).then(|| String::from("the payload is not the end of the message"))
}

/// The offset at which the payload of a resuming transfer begins.
fn start(transfer: &Transfer) -> u64 {
    match transfer.state {
        Some(DeliveryState::Received(Received { section_number: 0, section_offset })) => section_offset,
        Some(DeliveryState::Received(_)) => u64::MAX,
        _ => 0,
    }
}

/// After the outcome was said, the client may have settled and forgotten the delivery, and close; else it resumes it as
/// the table of §3.4.6 says.
fn finished(trial: &mut ClientTrial<'_>, held: Option<Value>) -> Result<Outcome, Stop> {
    let own = entry(held.as_ref());
    let is_same = held == Some(accepted());
    // Two messages, so that the client attaches the link again for the second one.
    trial.set_count(2);
    let Resumed { mut client, tag, entry, .. } = resumed(trial, Said::Accepted, held)?;
    client.give_credit(10);
    let Some(delivery) = next_delivery(&mut client)? else {
        return Ok(Outcome::fail("the client sends nothing more"));
    };
    let Some(transfer) = delivery.first() else { return Ok(Outcome::fail("no transfer")) };
    let is_resumed = transfer.resume;
    if !is_resumed {
        // The second message; the first would come again as a new one with another tag.
        let is_second =
            String::from_utf8_lossy(&delivery.message).contains("message 1") || delivery.tag() != tag.as_slice();
        client.accept(&delivery);
        return Ok(if !is_second {
            Outcome::fail("the message is sent again, though it was accepted")
        } else if entry == Entry::Absent || own == Entry::Absent {
            Outcome::pass_with("the client has settled the delivery")
        } else {
            Outcome::fail("the client's map has the delivery, and no transfer resumes it")
        });
    }
    let outcome = match own {
        Entry::Absent => Outcome::fail("a transfer resumes a delivery that the receiver does not know"),
        _ if transfer.delivery_tag != Some(tag) => Outcome::fail("the transfer resumes another delivery"),
        Entry::Terminal if is_same && !delivery.is_settled() => {
            Outcome::fail("the transfer is not settled, though both states are the same")
        }
        Entry::Terminal => match transfer.state {
            Some(DeliveryState::Accepted) => Outcome::pass(),
            _ => Outcome::fail("the transfer does not have the sender's state"),
        },
        _ if delivery.is_aborted() => Outcome::pass(),
        _ => Outcome::fail("the transfer is not aborted"),
    };
    Ok(outcome)
}

fn entry_is_not_terminal(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    debug_assert!(sends_to_node(&client.link.attach), "the set-up takes such a link");
    let tag = DeliveryTag::new(delivery.tag()).unwrap_or_default();
    let attach = attached_again(&mut client)?;
    let map = attach.unsettled.unwrap_or_default();
    match entry(map.get(&tag)) {
        entry @ (Entry::Null | Entry::Received(_)) => Ok(Outcome::pass_with(format!("{entry:?}"))),
        Entry::Absent => Ok(Outcome::fail("the client's map lacks the delivery")),
        Entry::Terminal => Ok(Outcome::fail("the client's map has a terminal state for it")),
    }
}
