//! The messages that a client itself writes.

use crate::{
    case::{Case, Check, Severity},
    client::{ClientTrial, Scenario},
    either::types::written::judge_log,
    octets::{self, Kind, Section, Value},
    verdict::{Outcome, Stop},
};

/// A case that holds the messages and frames of a scenario to a rule.
macro_rules! written {
    ($id:literal, $rule:literal, $scenario:ident, $kind:ident) => {
        Case {
            id: $id,
            rule: $rule,
            sends: "the answers of a scenario",
            wants: "messages that keep the rule",
            check: Check::Client(Scenario::$scenario, |trial| {
                sent(trial)?;
                Ok(judge_log(&trial.logs(), Kind::$kind, true))
            }),
            ..Case::CLIENT
        }
    };
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.1-1/sent",
        rule: "A message in the standard format has the message-format 0 (§3.1, §3.2.16).",
        sends: "credit",
        wants: "a transfer of the message-format 0, with a message",
        check: Check::Client(Scenario::Send, |trial| {
            let (mut client, delivery) = trial.receiving_from_client(10)?;
            let format = delivery.first().and_then(|transfer| transfer.message_format).unwrap_or_default();
            if format != 0 {
                return Ok(Outcome::fail(format!("the message-format is {format}")));
            }
            if let Err(flaw) = octets::check_message(&delivery.message) {
                return Ok(Outcome::fail(flaw.to_string()));
            }
            client.accept(&delivery);
            Ok(client.finishes())
        }),
        ..Case::CLIENT
    },
    written!(
        "M-3.2-1/sent",
        "The sections have an order, and those other than the body occur at most once (§3.2).",
        Request,
        Order
    ),
    written!(
        "M-3.2-2/sent",
        "A body is data sections, amqp-sequence sections, or one amqp-value section (§3.2).",
        Request,
        Body
    ),
    written!("M-3.2-6/sent", "A message is a sequence of sections (§3.2).", Request, Encoding),
    written!("M-3.2.4-2/sent", "The fields of properties have their types (§3.2.4).", Request, WrongType),
    written!(
        "M-3.2.10-1/sent",
        "The keys of annotations are symbols or ulongs, those of application-properties strings (§3.2.5, §3.2.10).",
        Request,
        Entry
    ),
    Case {
        id: "M-3.2.4-4/content-type",
        severity: Severity::Should,
        rule: "content-type is for bodies of data sections (§3.2.4).",
        sends: "credit",
        wants: "no content-type, or a body of data sections",
        check: Check::Client(Scenario::Send, |trial| {
            let message = sent(trial)?;
            let sections = read(&message)?;
            Ok(match (property(&sections, 6), has_data(&sections)) {
                (Some(kind), false) => Outcome::warn(format!("content-type {kind:?} without data sections")),
                _ => Outcome::pass(),
            })
        }),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.2.4-4/content-encoding",
        rule: "content-encoding is for bodies of data sections, and never identity (§3.2.4).",
        sends: "credit",
        wants: "no content-encoding, or one other than identity and a body of data sections",
        check: Check::Client(Scenario::Send, |trial| {
            let message = sent(trial)?;
            let sections = read(&message)?;
            let encoding = property(&sections, 7);
            Ok(match &encoding {
                Some(encoding) if encoding.symbol() == Some("identity") => {
                    Outcome::fail("the content-encoding is identity")
                }
                Some(encoding) if !has_data(&sections) => {
                    Outcome::fail(format!("content-encoding {encoding:?} without data sections"))
                }
                Some(encoding) if encoding.symbol() == Some("compress") => {
                    Outcome::warn("the content-encoding is compress")
                }
                _ => Outcome::pass(),
            })
        }),
        ..Case::CLIENT
    },
];

/// The client's first message, accepted.
fn sent(trial: &mut ClientTrial<'_>) -> Result<Vec<u8>, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    client.accept(&delivery);
    Ok(delivery.message.to_vec())
}

fn read(message: &[u8]) -> Result<Vec<Section<'_>>, Stop> {
    Ok(octets::sections(message).map_err(|flaw| Outcome::fail(flaw.to_string()))?)
}

/// The property at this index.
fn property(sections: &[Section<'_>], index: usize) -> Option<Value> {
    let section = sections.iter().find(|section| section.code == 0x73)?;
    match &section.value {
        Value::List(items) => items.get(index).filter(|item| !item.is_null()).cloned(),
        _ => None,
    }
}

fn has_data(sections: &[Section<'_>]) -> bool {
    sections.iter().any(|section| section.code == 0x75)
}
