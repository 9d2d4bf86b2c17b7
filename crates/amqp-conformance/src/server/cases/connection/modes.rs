//! The choices of an attach (§2.8.1 to §2.8.3), in octets.

use crate::{
    case::{Case, Check},
    octets::{self, Value, described, frame, list, string},
    server::{Begun, ServerTrial, twins},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope};

/// `null`, where a field is absent.
const NULL: &[u8] = &[0x40];
const SENDER: &[u8] = &[0x42];
const RECEIVER: &[u8] = &[0x41];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.8.1-1/sender",
        rule: "The role false is sender, and true is receiver (§2.8.1).",
        sends: "an attach with role false",
        wants: "an attach with role true",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, SENDER, NULL, NULL, (2, &[1]))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.1-1/receiver",
        rule: "The role false is sender, and true is receiver (§2.8.1).",
        sends: "an attach with role true",
        wants: "an attach with role false",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, RECEIVER, NULL, NULL, (2, &[0]))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.2-1/unsettled",
        rule: "The sender-settle-mode 0 is unsettled (§2.8.2).",
        sends: "a sender's attach with snd-settle-mode 0",
        wants: "an attach with one of the three modes, or a detach with an error",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, SENDER, &[0x50, 0], NULL, (3, &[0, 1, 2]))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.2-1/settled",
        rule: "The sender-settle-mode 1 is settled (§2.8.2).",
        sends: "a sender's attach with snd-settle-mode 1",
        wants: "an attach with one of the three modes, or a detach with an error",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, SENDER, &[0x50, 1], NULL, (3, &[0, 1, 2]))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.2-1/mixed",
        rule: "The sender-settle-mode 2 is mixed (§2.8.2).",
        sends: "a sender's attach with snd-settle-mode 2",
        wants: "an attach with one of the three modes, or a detach with an error",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, SENDER, &[0x50, 2], NULL, (3, &[0, 1, 2]))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.3-1/first",
        rule: "The receiver-settle-mode 0 is first (§2.8.3).",
        sends: "a receiver's attach with rcv-settle-mode 0",
        wants: "an attach with one of the two modes, or a detach with an error",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, RECEIVER, NULL, &[0x50, 0], (4, &[0, 1]))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.3-1/second",
        rule: "The receiver-settle-mode 1 is second (§2.8.3).",
        sends: "a receiver's attach with rcv-settle-mode 1",
        wants: "an attach with one of the two modes, or a detach with an error",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| answers(trial, RECEIVER, NULL, &[0x50, 1], (4, &[0, 1]))),
        ..Case::SERVER
    },
];

/// Attaches with these octets as role and modes. The field of the answer must be absent or one of these; only the role
/// may not be absent.
fn answers(
    trial: &mut ServerTrial<'_>,
    role: &[u8],
    snd_settle_mode: &[u8],
    rcv_settle_mode: &[u8],
    (index, choices): (usize, &[u64]),
) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let node = list(&[&string(trial.node())]);
    let (source, target, count): (_, _, &[u8]) = if role == SENDER {
        (described(0x28, &[0x45]), described(0x29, &node), &[0x43])
    } else {
        (described(0x28, &node), described(0x29, &[0x45]), NULL)
    };
    let name = string("modes");
    let fields: [&[u8]; 10] =
        [&name, &[0x43], role, snd_settle_mode, rcv_settle_mode, &source, &target, NULL, NULL, count];
    connection.raw(frame(0, &described(0x12, &list(&fields))));
    loop {
        let got = connection.next();
        if let Some(Refusal { scope, error, .. }) = Refusal::of(&got)
            && index > 2
        {
            let verdict = if scope == Scope::Link { Verdict::Pass } else { Verdict::PassWider };
            return Ok(Outcome::new(verdict, format!("{} with {}", got.name(), error.condition)));
        }
        match &got {
            Got::Frame(AmqpFrame { octets, .. }) | Got::Undecodable { octets, .. }
                if matches!(got.name(), "attach" | "undecodable octets") =>
            {
                if has_choice(octets, index, choices) {
                    // The node may take the mode for one that it does not have.
                    connection.ended(&session)?;
                    return Ok(Outcome::pass());
                }
                return Ok(Outcome::fail(format!("field {index} of its attach is not one of {choices:?}")));
            }
            Got::Frame(AmqpFrame { body, .. }) if body.as_ref().is_none_or(|body| body.name() == "flow") => {}
            _ => return Ok(Outcome::fail(format!("expected an attach, got {got}"))),
        }
    }
}

fn has_choice(attach: &[u8], index: usize, choices: &[u64]) -> bool {
    let Ok(Value::Described(_, fields)) = octets::read_one(attach.get(8..).unwrap_or_default()) else { return false };
    let Value::List(fields) = *fields else { return false };
    match fields.get(index).filter(|value| !value.is_null()) {
        None => index > 2,
        Some(value) => value.number().is_some_and(|number| choices.contains(&number)),
    }
}
