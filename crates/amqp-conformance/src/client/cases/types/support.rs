//! Sends octets at each state of the set-up, and judges the client's answer.

use crate::{
    client::{Attaching, ClientTrial, sends_to_node},
    either::types::TypeTrial,
    judge::Refused,
    octets::{self, Body, Style},
    verdict::{Outcome, Stop},
    wire::{Connection, Entry},
};
use amqp1_codec::{definitions::ErrorCondition, messaging::DeliveryState, performative::Open};
use amqp1_script::{Got, Refusal, frames};

/// The conditions with which malformed octets may be refused.
pub(in crate::client::cases) static MALFORMED: [ErrorCondition; 3] =
    [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD, ErrorCondition::FRAMING_ERROR];

impl TypeTrial for ClientTrial<'_> {
    const WRITES_MESSAGES: bool = true;

    fn converses(&mut self, style: &Style) -> Result<Outcome, Stop> {
        super::conversation::converses(self, style)
    }

    fn takes(&mut self, message: &[u8]) -> Result<Outcome, Stop> {
        takes(self, message)
    }

    fn logs(&self) -> Vec<Vec<Entry>> {
        Self::logs(self)
    }
}

/// The refusal of a frame on a link: the text names no scope.
fn refused() -> Refused {
    Refused::at_any_scope().with(&MALFORMED)
}

/// The open that raw cases send, to be changed.
pub(super) fn open() -> Body {
    Body::open("amqp-conformance", None)
}

/// The client's open, read, and a connection on which the answer comes next.
pub(super) fn opening(trial: &mut ClientTrial<'_>) -> Result<Connection, Stop> {
    let mut connection = trial.authenticated()?;
    connection.expect::<Open>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    Ok(connection)
}

/// Answers with an open whose properties hold this vector. Passes if the client refuses it.
pub(super) fn refuses_property(trial: &mut ClientTrial<'_>, name: &str) -> Result<Outcome, Stop> {
    super::conversation::refuses_open(trial, &octets::open_with_vector(open(), name).encode(&Style::COMPACT))
}

/// Answers the client's open with this body. Passes if the client plays its scenario to the end.
pub(super) fn takes_open(trial: &mut ClientTrial<'_>, body: &[u8]) -> Result<Outcome, Stop> {
    super::conversation::converses_after(trial, body)
}

/// Answers the attach of the client's sender with what `change` makes of a lawful answer, and gives credit. Passes if
/// the client refuses the answer, and sends nothing.
pub(super) fn refuses_attach(
    trial: &mut ClientTrial<'_>,
    change: impl FnOnce(Body) -> Vec<u8>,
) -> Result<Outcome, Stop> {
    let Attaching { mut connection, session, attach, answer, .. } = trial.link_where(sends_to_node)?;
    let address = |terminus: Option<&str>| terminus.map(String::from);
    let source = address(attach.source.as_ref().and_then(|source| source.address.as_deref()));
    let target = match &attach.target {
        Some(amqp1_codec::performative::TargetArchetype::Target(target)) => address(target.address.as_deref()),
        _ => None,
    };
    let body = Body::attach(&attach.name, answer.handle, true, source.as_deref(), target.as_deref());
    connection.raw(octets::frame(session.channel, &change(body)));
    let flow = Body::flow(session.begin.next_outgoing_id.0, 0, answer.handle, 1);
    connection.raw(octets::frame(session.channel, &flow.encode(&Style::COMPACT)));
    // A message is no refusal.
    let refused = Refused::at_any_scope().with(&MALFORMED).after(&["attach", "end"]);
    Ok(refused.judge(&mut connection, trial.is_strict()))
}

/// Sends this body on a session on which the client's sender is attached, and gives credit; the handle is the tool's.
/// Passes if the client refuses the body, and sends nothing.
pub(super) fn refuses_on_link(trial: &mut ClientTrial<'_>, body: impl FnOnce(u32) -> Vec<u8>) -> Result<Outcome, Stop> {
    let mut client = trial.sender()?;
    client.connection.raw(octets::frame(client.session.channel, &body(client.link.handle)));
    client.give_credit(1);
    Ok(refused().judge(&mut client.connection, trial.is_strict()))
}

/// Sends this body on a session on which the client has sent a message, and accepts the message. Passes if the client
/// refuses the body, and does not detach cleanly.
pub(super) fn refuses_after_message(
    trial: &mut ClientTrial<'_>,
    body: impl FnOnce(u32) -> Vec<u8>,
) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    client.connection.raw(octets::frame(client.session.channel, &body(delivery.number())));
    client.accept(&delivery);
    Ok(refused().judge(&mut client.connection, trial.is_strict()))
}

/// Sends this body on a session on which the client has given credit, and then a message. Passes if the client refuses
/// the body, and does not detach cleanly.
pub(super) fn refuses_on_receiver(trial: &mut ClientTrial<'_>, body: &[u8]) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    client.connection.raw(octets::frame(client.session.channel, body));
    client.deliver(octets::vector("msg-value"));
    Ok(refused().judge(&mut client.connection, trial.is_strict()))
}

/// Sends this message to the client. Passes if the client accepts it, and plays the scenario to its end.
pub(in crate::client::cases) fn takes(trial: &mut ClientTrial<'_>, message: &[u8]) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let id = client.deliver(message);
    match client.disposition_of(id)?.body.state {
        None | Some(DeliveryState::Accepted) => Ok(client.finishes()),
        Some(state) => Ok(Outcome::fail(format!("the client's outcome is {state:?}"))),
    }
}

/// Closes the connection, and waits until the client has as well: it may take offence or not, but must answer.
pub(super) fn answers(connection: &mut Connection) -> Result<Outcome, Stop> {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Ok(Outcome::pass_with(format!("refused with {}", refusal.error.condition)));
        }
        match &got {
            Got::Frame(_) if got.name() == "close" => return Ok(Outcome::pass_with("accepted")),
            Got::Frame(_) => {}
            got if got.is_end() => return Ok(Outcome::pass_with("dropped")),
            _ => return Ok(Outcome::fail(format!("expected an answer, got {got}"))),
        }
    }
}

/// Cases that answer with opens whose properties hold a malformed vector.
macro_rules! bad_property {
    ($id:literal, $rule:expr, $name:literal) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: concat!("an open whose properties hold the octets of ", $name),
            wants: "close with amqp:decode-error",
            twin: Some(&$crate::client::cases::types::twins::OPEN_WITH_PROPERTY),
            check: $crate::case::Check::Client($crate::client::Scenario::Send, |trial| {
                $crate::client::cases::types::support::refuses_property(trial, $name)
            }),
            ..$crate::case::Case::CLIENT
        }
    };
}

/// A case that answers with a malformed open.
macro_rules! bad_open {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "close with amqp:decode-error",
            twin: Some(&$crate::client::cases::types::twins::RAW_OPEN),
            check: $crate::case::Check::Client($crate::client::Scenario::Send, |trial| {
                $crate::client::cases::types::conversation::refuses_open(trial, &$octets)
            }),
            ..$crate::case::Case::CLIENT
        }
    };
}

/// A case that holds a whole conversation in another style.
macro_rules! conversation {
    ($id:literal, $rule:expr, $sends:literal, $scenario:ident, $($field:ident: $value:expr),*) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "the whole scenario, and a close without an error",
            check: $crate::case::Check::Client($crate::client::Scenario::$scenario, |trial| {
                let style = $crate::octets::Style { $($field: $value,)* ..$crate::octets::Style::COMPACT };
                $crate::client::cases::types::conversation::converses(trial, &style)
            }),
            ..$crate::case::Case::CLIENT
        }
    };
}

pub(super) use {bad_open, bad_property, conversation};
