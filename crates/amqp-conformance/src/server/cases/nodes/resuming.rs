//! Deliveries that the server resumes as their sender (§3.4.6).

use super::support::{from_source, holds, set_up};
use crate::{
    case::{Case, Check, Need, Twin},
    server::{Consumer, Delivered, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    DeliveryTag, Value,
    messaging::{DeliveryState, Received, Source, TerminusExpiryPolicy},
    performative::{Attach, Transfer, Unsettled},
};

const NEEDS: &[Need] = &[Need::Queue, Need::Resume];

/// A case on a delivery that the server has sent, on a link that is detached and attached again.
const RESUMED: Case = Case { needs: NEEDS, twin: Some(&RESUME), ..Case::SERVER };

/// A link is detached and attached again, and its delivery settled.
static RESUME: Twin = Twin { name: "resume", check: Check::Server(resume) };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4.6-1",
        rule: "A delivery that the receiver does not know is sent as a new one (§3.4.6).",
        sends: "an attach whose unsettled map lacks the delivery",
        wants: "a transfer without resume",
        check: Check::Server(|trial| expects(trial, Said::Nothing, None)),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-2",
        rule: "A delivery of which the receiver holds a part is resumed no later than at its end (§3.4.6).",
        sends: "an attach whose unsettled map says received(0, 4)",
        wants: "a transfer with resume, the same tag, and a state up to received(0, 4)",
        check: Check::Server(|trial| expects(trial, Said::Nothing, Some(received(4)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-3",
        rule: "A delivery that has a terminal state at the receiver is resumed so that it can be settled (§3.4.6).",
        sends: "an attach whose unsettled map says accepted",
        wants: "a transfer with resume and the same tag; the message is gone once it is settled",
        check: Check::Server(|trial| expects(trial, Said::Nothing, Some(accepted()))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-4",
        rule: "A delivery that the receiver holds without a state is resumed from its start (§3.4.6).",
        sends: "an attach whose unsettled map says null",
        wants: "a transfer with resume, the same tag, and the whole message",
        check: Check::Server(|trial| expects(trial, Said::Nothing, Some(Value::Null))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-5",
        rule: "A delivery whose state was received, and that the receiver does not know, is sent as a new one (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map lacks the delivery",
        wants: "a transfer without resume",
        check: Check::Server(|trial| expects(trial, Said::Received(4), None)),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-6",
        rule: "A delivery is resumed between what the sender knows to be received and what the receiver says (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map says received(0, 6)",
        wants: "a transfer with resume, from received(0, 4) to (0, 6); from the start if the server's map has no state",
        check: Check::Server(|trial| expects(trial, Said::Received(4), Some(received(6)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-7",
        rule: "A delivery of which the receiver holds less than the sender has kept is aborted (§3.4.6).",
        sends: "received(0, 6); an attach whose unsettled map says received(0, 4)",
        wants: "a transfer with resume and aborted if the server's map has a later state; else one up to (0, 4)",
        check: Check::Server(|trial| expects(trial, Said::Received(6), Some(received(4)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-8",
        rule: "A delivery whose state was received, and is terminal at the receiver, is resumed to be settled (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map says accepted",
        wants: "a transfer with resume and the same tag",
        check: Check::Server(|trial| expects(trial, Said::Received(4), Some(accepted()))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-9",
        rule: "A delivery whose start the sender has not kept, and that the receiver holds nothing of, is aborted (§3.4.6).",
        sends: "received(0, 4); an attach whose unsettled map says null",
        wants: "a transfer with resume, aborted if the server's map has a state; else the whole message",
        check: Check::Server(|trial| expects(trial, Said::Received(4), Some(Value::Null))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-10",
        rule: "Of a delivery that is terminal at the sender, and that the receiver does not know, nothing is sent (§3.4.6).",
        sends: "accepted, unsettled; an attach whose unsettled map lacks the delivery",
        wants: "no transfer, and the message is gone",
        check: Check::Server(|trial| finished(trial, None)),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-11",
        rule: "A delivery that is terminal at the sender is aborted if the receiver holds a part of it (§3.4.6).",
        sends: "accepted, unsettled; an attach whose unsettled map says received(0, 4)",
        wants: "a transfer with resume and aborted if the server's map has the delivery, else none",
        check: Check::Server(|trial| finished(trial, Some(received(4)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-12",
        rule: "A delivery that has the same terminal state at both ends is settled by its resumption (§3.4.6).",
        sends: "accepted, unsettled; an attach whose unsettled map says accepted",
        wants: "a transfer with resume and settled if the server's map has the delivery, else none",
        check: Check::Server(|trial| finished(trial, Some(accepted()))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-13",
        rule: "Of a delivery with different terminal states the sender's state counts (§3.4.6).",
        sends: "accepted, unsettled; an attach whose unsettled map says released",
        wants: "a transfer with resume and accepted if the server's map has the delivery, else none; the message is gone",
        check: Check::Server(|trial| finished(trial, Some(state(0x26)))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-14",
        rule: "A delivery that is terminal at the sender is aborted if the receiver holds it without a state (§3.4.6).",
        sends: "accepted, unsettled; an attach whose unsettled map says null",
        wants: "a transfer with resume and aborted if the server's map has the delivery, else none",
        check: Check::Server(|trial| finished(trial, Some(Value::Null))),
        ..RESUMED
    },
    Case {
        id: "M-3.4.6-16",
        rule: "The sender's map has no terminal state for what the receiver may still need (§3.4.6).",
        sends: "an attach whose unsettled map says null, for a delivery of which nothing was said",
        wants: "an attach whose map has the delivery, with null or received",
        check: Check::Server(entry_is_not_terminal),
        ..RESUMED
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

/// The states of the server's own map.
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

const TEXT: &str = "0123456789";

/// A link that is attached again.
struct Resumed {
    consumer: Consumer,
    tag: DeliveryTag,
    /// The server's own entry.
    entry: Entry,
}

fn attach(trial: &ServerTrial<'_>, unsettled: Unsettled) -> Attach {
    let source =
        Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Source::at(trial.node()) };
    Attach { unsettled: Some(unsettled), ..from_source("resumed", source) }
}

fn resumed(trial: &mut ServerTrial<'_>, said: Said, held: Option<Value>) -> Result<Resumed, Stop> {
    trial.queued(&[TEXT])?;
    let first = attach(trial, Unsettled::new());
    let mut consumer = trial.consumer_with(first)?;
    let delivered = set_up(consumer.take())?;
    match said {
        Said::Nothing => {}
        Said::Received(offset) => {
            let state = Received { section_number: 0, section_offset: offset };
            consumer.state(&delivered, DeliveryState::Received(state));
        }
        Said::Accepted => consumer.state(&delivered, DeliveryState::Accepted),
    }
    let Some(tag) = delivered.transfer.delivery_tag else {
        return Err(Stop::SetUp(String::from("the delivery has no tag")));
    };
    set_up(consumer.detach())?;
    let map = held.map(|held| (tag, held)).into_iter().collect();
    set_up(consumer.attach(attach(trial, map)))?;
    let unsettled = consumer.link.attach.unsettled.clone().unwrap_or_default();
    Ok(Resumed { entry: entry(unsettled.get(&tag)), consumer, tag })
}

fn resume(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Resumed { mut consumer, entry, .. } = resumed(trial, Said::Nothing, Some(Value::Null))?;
    if entry == Entry::Absent {
        return Ok(Outcome::fail("the server's map lacks the delivery"));
    }
    let delivered = consumer.take()?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    let link = consumer.link.clone();
    consumer.connection.detached(&link)?;
    consumer.close()?;
    trial.purge()?;
    Ok(Outcome::pass())
}

/// Judges the transfer that follows, where one must.
fn expects(trial: &mut ServerTrial<'_>, said: Said, held: Option<Value>) -> Result<Outcome, Stop> {
    let own = entry(held.as_ref());
    let Resumed { mut consumer, tag, entry } = resumed(trial, said, held)?;
    let delivered = consumer.take()?;
    let outcome = match wrong(&delivered, tag, entry, own) {
        Some(reason) => Outcome::fail(reason),
        None => Outcome::pass_with(format!("the server's map says {entry:?}")),
    };
    consumer.settle(&delivered, DeliveryState::Accepted);
    let link = consumer.link.clone();
    set_up(consumer.connection.detached(&link))?;
    set_up(consumer.close())?;
    if outcome.verdict != crate::Verdict::Pass || delivered.aborted {
        trial.purge()?;
        return Ok(outcome);
    }
    let left = holds(trial, &[])?;
    Ok(if left.verdict == crate::Verdict::Pass { outcome } else { left })
}

/// The fault of a transfer after the link was attached again, by the table of §3.4.6: `entry` is in the server's map,
/// `own` in the tool's.
fn wrong(delivered: &Delivered, tag: DeliveryTag, entry: Entry, own: Entry) -> Option<String> {
    let transfer = &delivered.transfer;
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
            return (!delivered.aborted).then(|| String::from("the transfer is not aborted"));
        }
        (_, Entry::Received(b)) => (0, b),
        (..) => (0, 0),
    };
    if delivered.aborted {
        return Some(String::from("the transfer is aborted"));
    }
    let from = start(transfer);
    if from < least || from > most {
        return Some(format!("the transfer begins at {from}, expected {least} to {most}"));
    }
    // The payload is what follows; its own header of a data section may be repeated or not.
    let text = String::from_utf8_lossy(&delivered.payload).into_owned();
    let wanted = TEXT.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    (!text.ends_with(wanted)).then(|| format!("the payload does not end with {wanted:?}"))
}

/// The offset at which the payload of a resuming transfer begins.
fn start(transfer: &Transfer) -> u64 {
    match transfer.state {
        Some(DeliveryState::Received(Received { section_number: 0, section_offset })) => section_offset,
        Some(DeliveryState::Received(_)) => u64::MAX,
        _ => 0,
    }
}

/// After the outcome was said, the server may have settled and forgotten the delivery; else it resumes it as the table
/// of §3.4.6 says.
fn finished(trial: &mut ServerTrial<'_>, held: Option<Value>) -> Result<Outcome, Stop> {
    let own = entry(held.as_ref());
    let is_same = held == Some(accepted());
    let Resumed { mut consumer, tag, entry } = resumed(trial, Said::Accepted, held)?;
    let all = consumer.drain(1)?;
    let outcome = match (all.first(), entry, own) {
        (None, Entry::Absent, _) => Outcome::pass_with("the server has settled the delivery"),
        (None, _, Entry::Absent) => Outcome::pass(),
        (None, ..) => Outcome::fail("the server's map has the delivery, and no transfer resumes it"),
        (Some(delivered), ..) if !delivered.transfer.resume || delivered.transfer.delivery_tag != Some(tag) => {
            Outcome::fail("the message is sent again, though it was accepted")
        }
        (Some(_), _, Entry::Absent) => Outcome::fail("a transfer resumes a delivery that the receiver does not know"),
        (Some(delivered), _, Entry::Terminal) if is_same && delivered.transfer.settled != Some(true) => {
            Outcome::fail("the transfer is not settled, though both states are the same")
        }
        (Some(delivered), _, Entry::Terminal) => match delivered.transfer.state {
            Some(DeliveryState::Accepted) => Outcome::pass(),
            _ => Outcome::fail("the transfer does not have the sender's state"),
        },
        (Some(delivered), ..) if delivered.aborted => Outcome::pass(),
        (Some(_), ..) => Outcome::fail("the transfer is not aborted"),
    };
    let link = consumer.link.clone();
    set_up(consumer.connection.detached(&link))?;
    set_up(consumer.close())?;
    let left = holds(trial, &[])?;
    Ok(if left.verdict == crate::Verdict::Pass { outcome } else { left })
}

fn entry_is_not_terminal(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Resumed { consumer, entry, .. } = resumed(trial, Said::Nothing, Some(Value::Null))?;
    drop(consumer);
    trial.purge()?;
    match entry {
        Entry::Null | Entry::Received(_) => Ok(Outcome::pass_with(format!("{entry:?}"))),
        Entry::Absent => Ok(Outcome::fail("the server's map lacks the delivery")),
        Entry::Terminal => Ok(Outcome::fail("the server's map has a terminal state for it")),
    }
}
