//! The lawful counterparts that cases share.

use super::{Begun, ClientTrial, Scenario};
use crate::{
    case::{Check, Twin},
    judge::closes_in_peace,
    verdict::{Outcome, Stop},
};
use amqp1_script::frames;

pub(crate) use super::cases::nodes::resuming::RESUME;

/// The client opens a connection, and answers a close.
pub static OPEN: Twin = Twin { name: "open", check: Check::Client(Scenario::Send, open) };
/// The client opens a connection and begins a session.
pub static BEGIN: Twin = Twin { name: "begin", check: Check::Client(Scenario::Send, begin) };
/// The client attaches a link on which it sends.
pub static ATTACH_SENDER: Twin = Twin { name: "attach-sender", check: Check::Client(Scenario::Send, attach_sender) };
/// The client attaches a link on which it receives, and gives credit.
pub static ATTACH_RECEIVER: Twin =
    Twin { name: "attach-receiver", check: Check::Client(Scenario::Receive, attach_receiver) };
/// The client sends a message, sees it accepted, and closes.
pub static SEND: Twin = Twin { name: "send", check: Check::Client(Scenario::Send, send) };
/// The client receives a message, accepts it, and closes.
pub static RECEIVE: Twin = Twin { name: "receive", check: Check::Client(Scenario::Receive, receive) };
/// The same, for cases of which a server has the like.
pub static TRANSFER: Twin = Twin { name: "transfer", check: Check::Client(Scenario::Receive, receive) };
/// The client sends a request, receives the response, and closes.
pub static REQUEST: Twin = Twin { name: "request", check: Check::Client(Scenario::Request, request) };
/// The client declares a transaction, sends a message in it, discharges it, and closes.
pub static TRANSACTION: Twin = Twin { name: "transaction", check: Check::Client(Scenario::Transaction, transaction) };

fn open(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    Ok(closes_in_peace(&mut trial.opened()?.connection))
}

fn begin(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let Begun { .. } = trial.begun()?;
    Ok(Outcome::pass())
}

fn attach_sender(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    Ok(trial.sender()?.closes_in_peace())
}

fn attach_receiver(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    Ok(trial.sending_to_client()?.closes_in_peace())
}

fn send(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn receive(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let id = client.deliver(frames::message("twin"));
    client.disposition_of(id)?;
    Ok(client.finishes())
}

fn request(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn transaction(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.coordinator()?;
    Ok(client.finishes())
}
