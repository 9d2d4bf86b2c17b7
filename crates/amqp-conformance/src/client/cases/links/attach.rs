//! Attaching links (§2.6.3, §2.7.3).

use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario},
    verdict::{Outcome, Stop},
};

pub(super) const CASES: &[Case] = &[
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
];

fn sends(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sender()?;
    client.give_credit(10);
    let delivery = client.delivery()?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn receives(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.receiver()?;
    client.credited()?;
    let id = client.deliver(amqp1_script::frames::message("message"));
    client.disposition_of(id)?;
    Ok(client.finishes())
}
