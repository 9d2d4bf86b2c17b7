//! Steps that cases on nodes share.

use crate::{
    case::{Check, Twin},
    server::{Begun, Consumer, Delivered, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, Unexpected, frames};
use bytes::Bytes;

/// The conditions of a frame whose fields cannot be what they are.
pub(crate) static MALFORMED: [ErrorCondition; 2] = [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD];
/// The conditions of an attach that cannot be granted as it is.
pub(crate) static INVALID: [ErrorCondition; 4] = [
    ErrorCondition::INVALID_FIELD,
    ErrorCondition::NOT_IMPLEMENTED,
    ErrorCondition::NOT_ALLOWED,
    ErrorCondition::DECODE_ERROR,
];

/// A message goes into the queue and comes out of it.
pub(crate) static ROUND_TRIP: Twin = Twin { name: "round-trip", check: Check::Server(round_trip) };

fn round_trip(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.queued(&["round trip"])?;
    holds(trial, &["round trip"])
}

/// A result of a step that belongs to the set-up.
pub(crate) fn set_up<V>(result: Result<V, Unexpected>) -> Result<V, Stop> {
    result.map_err(|unexpected| Stop::set_up(&unexpected))
}

/// An attach of a link from this source, on handle 0.
pub(crate) fn from_source(name: &str, source: Source) -> Attach {
    Attach { source: Some(Box::new(source)), ..frames::attach_receiver(name, 0, "") }
}

/// An attach of a link to this target, on handle 0.
pub(crate) fn to_target(name: &str, target: Target) -> Attach {
    Attach { target: Some(target.into()), ..frames::attach_sender(name, 0, "") }
}

/// The texts of deliveries.
pub(crate) fn texts(all: &[Delivered]) -> Vec<String> {
    all.iter().map(Delivered::text).collect()
}

/// Passes if the queue holds these messages, and empties it.
pub(crate) fn holds(trial: &mut ServerTrial<'_>, wanted: &[&str]) -> Result<Outcome, Stop> {
    let texts = texts(&trial.emptied()?);
    if texts == wanted {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("expected {wanted:?} in the queue, got {texts:?}")))
    }
}

/// Waits for a message on another link, and accepts it.
pub(crate) fn comes_again(trial: &mut ServerTrial<'_>) -> Result<Delivered, Stop> {
    let mut consumer = trial.consumer("reader")?;
    let again = consumer.take()?;
    consumer.settle(&again, DeliveryState::Accepted);
    set_up(consumer.close())?;
    Ok(again)
}

/// Puts one message into the empty queue, and takes it on a link of this name.
pub(crate) fn taken(trial: &mut ServerTrial<'_>, text: &'static str) -> Result<(Consumer, Delivered), Stop> {
    trial.queued(&[text])?;
    let mut consumer = trial.consumer("consumer")?;
    let delivered = set_up(consumer.take())?;
    Ok((consumer, delivered))
}

/// Detaches the link, and ends everything in good order: the server has acted on what was sent before.
pub(crate) fn finish(mut consumer: Consumer) -> Result<(), Stop> {
    let link = consumer.link.clone();
    set_up(consumer.connection.detached(&link))?;
    set_up(consumer.close())
}

/// Sends an attach that must be refused: it is not answered, or without a terminus of its own side, or is detached.
pub(crate) fn attach_refused(
    trial: &mut ServerTrial<'_>,
    attach: &[u8],
    conditions: &'static [ErrorCondition],
) -> Result<Outcome, Stop> {
    let Begun { mut connection, .. } = trial.begun()?;
    connection.raw(attach);
    Ok(refuses(&mut connection, conditions, trial.is_strict()))
}

fn refuses(connection: &mut Connection, conditions: &'static [ErrorCondition], is_strict: bool) -> Outcome {
    let deadline = connection.now().saturating_add(connection.patience());
    let mut is_detached = false;
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return judged(&refusal, conditions, is_strict);
        }
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) => {
                let is_refusal = match attach.role {
                    Role::Sender => attach.source.is_none(),
                    Role::Receiver => attach.target.is_none(),
                };
                if !is_refusal {
                    // A detach with an error may still come; the answer to a detach shows that none does.
                    connection.send(0, frames::detach(0));
                    is_detached = true;
                }
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_)), .. }) if is_detached => {
                return Outcome::fail("the link is attached");
            }
            _ if got.is_end() => return Outcome::new(Verdict::PassWider, "the connection was dropped without close"),
            _ => return Outcome::fail(format!("expected a refusal of the attach, got {got}")),
        }
    }
}

fn judged(refusal: &Refusal, conditions: &[ErrorCondition], is_strict: bool) -> Outcome {
    let condition = &refusal.error.condition;
    let remark = format!("{:?} ended with {condition}", refusal.scope);
    if !conditions.is_empty() && !conditions.contains(condition) && is_strict {
        let wanted: Vec<String> = conditions.iter().map(ToString::to_string).collect();
        Outcome::fail(format!("{remark}, where the text names {}", wanted.join(" or ")))
    } else if refusal.scope == Scope::Link {
        Outcome::pass_with(remark)
    } else {
        Outcome::new(Verdict::PassWider, remark)
    }
}

/// A frame on channel 0.
pub(crate) fn octets(attach: Attach) -> Bytes {
    frames::encode(0, attach, b"")
}

/// A frame on channel 0 with this body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], b"\x02\0\0\0", body].concat()
}

/// The same with an attach that the codec writes, and conditions of attaches that cannot be granted.
pub(crate) fn refused(trial: &mut ServerTrial<'_>, attach: Attach) -> Result<Outcome, Stop> {
    attach_refused(trial, &octets(attach), &INVALID)
}
