//! The coordinator, and transactions that are declared (§4.1, §4.2, §4.5).

use super::super::nodes::support::{MALFORMED, attach_refused};
use super::support::{Answer, COMMIT, Controller, DECLARE, ILLEGAL_STATE, NOT_IMPLEMENTED, control, outcomes};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{Refused, closes_in_peace, should},
    server::{Begun, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Symbol,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Detach, TargetArchetype, Transfer},
    transaction::Coordinator,
};
use amqp1_script::{Scope, Skip, frames};
use std::collections::HashSet;

const NEEDS: &[Need] = &[Need::Coordinator];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.1-1",
        severity: Severity::Should,
        rule: "A peer has a coordinator, or refuses a control link by a null target and a detach (§4.1, §2.6.3).",
        sends: "an attach whose target is a coordinator",
        wants: "an attach with a coordinator; or one without a target, and a detach with an error",
        check: Check::Server(|trial| should(attach_is_answered(trial))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.1-2",
        rule: "No transactional work is done on the control link (§4.1).",
        sends: "an ordinary message on the control link",
        wants: "rejected, or the end of the control link, with an error",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| refused_command(trial, b"\0\x53\x75\xa0\x03abc", &[])),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-1",
        rule: "A declare in an amqp-value section is answered with the state declared (§4.2).",
        sends: "declare, unsettled",
        wants: "declared with a txn-id",
        needs: NEEDS,
        check: Check::Server(declare),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-2/declare",
        severity: Severity::Should,
        rule: "A declare that was sent settled ends the control link with amqp:illegal-state (§4.2).",
        sends: "declare, settled",
        wants: "detach with amqp:illegal-state",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| should(settled_declare(trial))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-2/discharge",
        severity: Severity::Should,
        rule: "A discharge that was sent settled is an error as a settled declare is (§4.3).",
        sends: "discharge of a live transaction, settled",
        wants: "detach with amqp:illegal-state",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| should(settled_discharge(trial))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-3",
        severity: Severity::Should,
        rule: "Other sections around the declare are ignored (§4.2).",
        sends: "declare with a header, properties and application-properties before it",
        wants: "declared",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| should(declare_with_sections(trial))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-4",
        rule: "A txn-id has up to 32 octets, and differs from those of other live transactions (§4.2, §4.5.4).",
        sends: "100 declares",
        wants: "different txn-ids of up to 32 octets; a refusal at the server's limit",
        needs: NEEDS,
        check: Check::Server(ids_differ),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-5/rejected",
        rule: "A declare that fails is rejected with the error, if the control link's source allows that (§4.2).",
        sends: "declare with a global-id, on a link that allows rejected",
        wants: "rejected with an error",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| global_id(trial, &["amqp:accepted:list", "amqp:rejected:list"])),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-5/detach",
        rule: "A declare that fails ends a control link whose source does not allow rejected (§4.2).",
        sends: "declare with a global-id, on a link that allows accepted alone",
        wants: "detach with an error",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| global_id(trial, &["amqp:accepted:list"])),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.1-1",
        rule: "The coordinator of the reply has the capabilities that there are, each a txn-capability (§4.5.1).",
        sends: "a coordinator that asks for amqp:local-transactions and a capability that does not exist",
        wants: "a coordinator with known capabilities alone",
        needs: NEEDS,
        check: Check::Server(capabilities),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.1-1/type",
        rule: "The capabilities of a coordinator are symbols (§4.5.1).",
        sends: "a coordinator whose capabilities are a string",
        wants: "close with amqp:decode-error or amqp:invalid-field",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(string_capabilities),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.1-1/one",
        rule: "One capability may be sent as a symbol or as an array of one (§1.4, §4.5.1).",
        sends: "a coordinator whose capabilities are an array of one symbol",
        wants: "an attach with a coordinator, and credit",
        needs: NEEDS,
        check: Check::Server(array_of_one),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.7-1",
        rule: "More than one transaction at a time on a session is the capability amqp:multi-txns-per-ssn (§4.5.7).",
        sends: "two declares on one session",
        wants: "declared twice if the coordinator has the capability, else a refusal or both",
        needs: NEEDS,
        check: Check::Server(two_at_a_time),
        ..Case::SERVER
    },
];

fn attach_is_answered(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let link = connection.attached(&session, control())?;
    match &link.attach.target {
        Some(TargetArchetype::Coordinator(_)) => {
            connection.credited(&link)?;
            Ok(Outcome::pass_with("there is a coordinator"))
        }
        Some(TargetArchetype::Target(_)) => Ok(Outcome::fail("the target of the reply is not a coordinator")),
        None => {
            Ok(Refused::by(Scope::Link).with(&NOT_IMPLEMENTED).in_words().judge(&mut connection, trial.is_strict()))
        }
    }
}

fn refused_command(
    trial: &mut ServerTrial<'_>,
    body: &[u8],
    conditions: &[amqp1_codec::definitions::ErrorCondition],
) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let id = controller.command(body)?;
    Ok(controller.answer(id)?.judge(conditions, trial.is_strict()))
}

fn declare(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let id = controller.command(DECLARE)?;
    match controller.answer(id)? {
        Answer::State(DeliveryState::Declared(declared)) if !declared.txn_id.is_empty() => {
            controller.discharged(&declared.txn_id, true)?;
            Ok(closes_in_peace(&mut controller.connection))
        }
        answer => Ok(Outcome::fail(format!("expected declared with a txn-id, got {answer}"))),
    }
}

fn settled_declare(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let transfer = Transfer { settled: Some(true), ..controller.transfer(0) };
    controller.connection.send_with(0, transfer, DECLARE);
    Ok(Refused::by(Scope::Link).with(&ILLEGAL_STATE).judge(&mut controller.connection, trial.is_strict()))
}

fn settled_discharge(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let txn = controller.declared()?;
    let transfer = Transfer { settled: Some(true), ..controller.transfer(0) };
    controller.connection.send_with(0, transfer, super::support::discharge(&txn, false));
    Ok(Refused::by(Scope::Link).with(&ILLEGAL_STATE).judge(&mut controller.connection, trial.is_strict()))
}

/// header(durable=true), properties(message-id="m"), application-properties{"a": "b"}.
const SECTIONS: &[u8] =
    b"\0\x53\x70\xc0\x02\x01\x41\0\x53\x73\xc0\x04\x01\xa1\x01m\0\x53\x74\xc1\x07\x02\xa1\x01a\xa1\x01b";

fn declare_with_sections(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let id = controller.command(&[SECTIONS, DECLARE].concat())?;
    match controller.answer(id)? {
        Answer::State(DeliveryState::Declared(_)) => Ok(Outcome::pass()),
        answer => Ok(Outcome::fail(format!("expected declared, got {answer}"))),
    }
}

fn ids_differ(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let mut ids = HashSet::new();
    for _ in 0..100 {
        let id = controller.command(DECLARE)?;
        let txn = match controller.answer(id)? {
            Answer::State(DeliveryState::Declared(declared)) => declared.txn_id,
            answer if ids.is_empty() => return Ok(Outcome::fail(format!("expected declared, got {answer}"))),
            answer => return Ok(Outcome::pass_with(format!("{} at a time, then {answer}", ids.len()))),
        };
        if txn.is_empty() || txn.len() > 32 {
            return Ok(Outcome::fail(format!("a txn-id of {} octets", txn.len())));
        }
        if !ids.insert(txn) {
            return Ok(Outcome::fail(format!("live transaction {} has the id of another", ids.len())));
        }
    }
    Ok(closes_in_peace(&mut controller.connection))
}

fn global_id(trial: &mut ServerTrial<'_>, allowed: &[&'static str]) -> Result<Outcome, Stop> {
    let allows_rejected = allowed.contains(&"amqp:rejected:list");
    let attach = Attach { source: Some(Box::new(outcomes(allowed))), ..control() };
    let mut controller = Controller::with(trial, attach)?;
    // declare(global-id="x")
    let id = controller.command(b"\0\x53\x77\0\x53\x31\xc0\x04\x01\xa1\x01x")?;
    match controller.answer(id)? {
        Answer::State(DeliveryState::Declared(_)) => Ok(match &controller.control.attach.target {
            Some(TargetArchetype::Coordinator(coordinator)) if has(coordinator, "amqp:distributed-transactions") => {
                Outcome::skip("the coordinator has distributed transactions")
            }
            _ => Outcome::fail("declared, though the coordinator has no distributed transactions"),
        }),
        answer @ Answer::State(_) if !allows_rejected => {
            Ok(Outcome::fail(format!("{answer}, though the source does not allow it")))
        }
        answer @ Answer::Refused(_) if allows_rejected && trial.is_strict() => {
            Ok(Outcome::fail(format!("{answer}, though the source allows rejected")))
        }
        answer => Ok(answer.judge(&[], trial.is_strict())),
    }
}

fn has(coordinator: &Coordinator, name: &str) -> bool {
    coordinator.capabilities.iter().any(|capability| capability.as_str() == name)
}

/// The txn-capabilities of §4.5.7; the text of the Standard and the draft name the same.
const KNOWN: [&str; 5] = [
    "amqp:local-transactions",
    "amqp:distributed-transactions",
    "amqp:promotable-transactions",
    "amqp:multi-txns-per-ssn",
    "amqp:multi-ssns-per-txn",
];

fn capabilities(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let asked = ["amqp:local-transactions", "amqp-conformance:nothing"];
    let coordinator = Coordinator { capabilities: asked.into_iter().map(Symbol::from_static).collect() };
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach = Attach { target: Some(TargetArchetype::Coordinator(coordinator)), ..control() };
    let link = connection.attached(&session, attach)?;
    let Some(TargetArchetype::Coordinator(coordinator)) = &link.attach.target else {
        return Ok(Outcome::fail("the target of the reply is not a coordinator"));
    };
    let names: Vec<&str> = coordinator.capabilities.iter().map(|capability| capability.as_str()).collect();
    let is_own = |name: &&&str| !KNOWN.contains(name) && (name.starts_with("amqp:") || asked.contains(name));
    match names.iter().find(is_own) {
        Some(name) => Ok(Outcome::fail(format!("the reply has the capability {name}"))),
        None => Ok(Outcome::pass_with(names.join(" "))),
    }
}

/// The attach of a control link in octets, with this coordinator.
fn raw_control(coordinator: &[u8]) -> Vec<u8> {
    // name "control", handle 0, role sender, both settle modes null, source(), and after the target null, null and an
    // initial-delivery-count of 0.
    let fields = [b"\xa1\x07control\x43\x42\x40\x40\0\x53\x28\x45", coordinator, b"\x40\x40\x43"].concat();
    let length = u8::try_from(fields.len().saturating_add(1)).unwrap_or(u8::MAX);
    let body = [b"\0\x53\x12\xc0", &[length, 10][..], &fields].concat();
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], b"\x02\0\0\0", &body].concat()
}

fn string_capabilities(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    attach_refused(trial, &raw_control(b"\0\x53\x30\xc0\x1a\x01\xa1\x17amqp:local-transactions"), &MALFORMED)
}

fn array_of_one(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    connection.raw(raw_control(b"\0\x53\x30\xc0\x1d\x01\xe0\x1a\x01\xa3\x17amqp:local-transactions"));
    let attach = connection.expect_skipping::<Attach>(Skip::FLOWS)?.body;
    if !matches!(attach.target, Some(TargetArchetype::Coordinator(_))) {
        return Ok(Outcome::fail("the target of the reply is not a coordinator"));
    }
    let (channel, remote_channel) = (session.channel, session.remote_channel);
    let link = amqp1_script::Link { channel, remote_channel, handle: 0, role: Role::Sender, attach };
    connection.credited(&link)?;
    connection.send(0, frames::detach(0));
    connection.expect_skipping::<Detach>(Skip::CHATTER)?;
    Ok(Outcome::pass())
}

fn two_at_a_time(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let has_many = match &controller.control.attach.target {
        Some(TargetArchetype::Coordinator(coordinator)) => has(coordinator, "amqp:multi-txns-per-ssn"),
        _ => false,
    };
    let first = controller.declared()?;
    let id = controller.command(DECLARE)?;
    match controller.answer(id)? {
        Answer::State(DeliveryState::Declared(second)) if second.txn_id != first => {
            // Each is discharged by itself.
            controller.discharged(&second.txn_id, false)?;
            match controller.discharge(&first, false)? {
                Answer::State(DeliveryState::Accepted) => {
                    Ok(Outcome::pass_with(if has_many { "offered" } else { "declared twice, though not offered" }))
                }
                answer => Ok(Outcome::fail(format!("the first one ended with the second: {answer}"))),
            }
        }
        Answer::State(DeliveryState::Declared(_)) => Ok(Outcome::fail("both transactions have one id")),
        answer if has_many => Ok(Outcome::fail(format!("expected declared, since it is offered, got {answer}"))),
        answer => Ok(answer.judge(&[], trial.is_strict())),
    }
}
