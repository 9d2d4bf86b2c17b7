//! The lawful counterparts that cases share.

use super::{Attached, Begun, ServerTrial};
use crate::{
    case::{Check, Twin},
    judge::closes_in_peace,
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::Disposition;
use amqp1_script::frames;

pub(crate) use super::cases::nodes::resuming::RESUME;

/// A connection is opened and closed.
pub static OPEN: Twin = Twin { name: "open", check: Check::Server(open) };
/// A session is begun and ended.
pub static BEGIN: Twin = Twin { name: "begin", check: Check::Server(begin) };
/// A link to the queue is attached and detached.
pub static ATTACH_SENDER: Twin = Twin { name: "attach-sender", check: Check::Server(attach_sender) };
/// A link from the queue is attached and detached.
pub static ATTACH_RECEIVER: Twin = Twin { name: "attach-receiver", check: Check::Server(attach_receiver) };
/// A message is sent to the queue, and accepted.
pub static TRANSFER: Twin = Twin { name: "transfer", check: Check::Server(transfer) };

fn open(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    Ok(closes_in_peace(&mut trial.opened()?.connection))
}

fn begin(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    connection.ended(&session)?;
    Ok(closes_in_peace(&mut connection))
}

fn attach_sender(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, link, .. } = trial.sender()?;
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}

fn attach_receiver(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, link, .. } = trial.receiver()?;
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}

fn transfer(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, link, .. } = trial.sender()?;
    connection.send_with(link.channel, frames::transfer(link.handle, 0), frames::message("twin"));
    connection.expect_skipping::<Disposition>(amqp1_script::Skip::FLOWS)?;
    Ok(closes_in_peace(&mut connection))
}
