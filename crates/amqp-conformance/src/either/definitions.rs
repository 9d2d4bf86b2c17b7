//! Definitions (§2.8): serial numbers, formats, fields and errors.

use super::{AnyTrial, Linked, UNMAPPED, cases, is_given_up, outcome_name};
use crate::{
    case::Severity,
    judge::{Refused, closes_in_peace, should},
    octets::{self, Value, described, frame, list, map, string, symbol},
    server::Opened,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Disposition, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Received, Refusal, Scope, Skip, frames};

static DECODE_ERROR: [ErrorCondition; 1] = [ErrorCondition::DECODE_ERROR];
static NO_VALUE: [ErrorCondition; 2] = [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD];

cases! {
    "T-2.8.7-1" as Receive like ATTACH_RECEIVER => takes_long_tag():
        "A delivery-tag has up to 32 octets (§2.8.7).",
        "a transfer with a delivery-tag of 32 octets", "a disposition of the delivery";
    "T-2.8.10-1" as Receive like ATTACH_RECEIVER => counts_deliveries_serially():
        "Delivery-ids and delivery-counts are serial numbers of 32 bits (§2.8.10).",
        "an attach with initial-delivery-count 0xffffffff, and deliveries from the delivery-id 0xffffffff on",
        "a disposition of each delivery";
    "T-2.8.11-1" as Receive like ATTACH_RECEIVER => survives_other_format():
        "A message-format other than 0 names another format: its octets are no sections (§2.8.11).",
        "a transfer with message-format 0x80013700 and octets that are no sections",
        "a disposition, or a detach with an error";
    "T-2.8.13-1" => opens_with_fields():
        "Fields are a map from symbols to values of any type (§2.8.13).",
        "an open whose properties have values of many types", "the connection is open";
    "T-2.8.14-1/received" => given_up_after(error(0x18, "amqp:internal-error", &map(&[&symbol("x-key"), &[0x43]]))):
        "An error has a condition, a description and a map of further information (§2.8.14).",
        "a close whose error has all three", "close";
    "T-2.8.14-1/sent" => sends_condition():
        "The condition of an error is a symbol (§2.8.14).",
        "a frame that has to be refused", "a close whose error has a symbol as condition";
    "T-2.8.15-1/decode-error" like BEGIN =>
        should_refuse_with(b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x30\x04\x40\x43\x52\x08\x52\x08", &DECODE_ERROR):
        "What cannot be decoded is refused with amqp:decode-error (§2.8.15).",
        "a begin whose list reaches beyond its frame", "amqp:decode-error", severity: Severity::Should;
    "T-2.8.15-1/mandatory" like BEGIN => should_refuse_with(b"\0\0\0\x0c\x02\0\0\0\0\x53\x11\x45", &NO_VALUE):
        "A field that is missing is refused with amqp:decode-error or amqp:invalid-field (§2.8.15).",
        "a begin without fields", "amqp:decode-error or amqp:invalid-field", severity: Severity::Should;
    "T-2.8.16-1/forced" => given_up_after(error(0x18, "amqp:connection:forced", &[0x40])):
        "A connection may be closed with amqp:connection:forced (§2.8.16).",
        "a close with amqp:connection:forced", "close";
    "T-2.8.16-1/framing-error" => given_up_after(error(0x18, "amqp:connection:framing-error", &[0x40])):
        "A connection may be closed with amqp:connection:framing-error (§2.8.16).",
        "a close with amqp:connection:framing-error", "close";
    "T-2.8.16-1/redirect" => given_up_after(error(0x18, "amqp:connection:redirect", &elsewhere())):
        "A connection may be closed with amqp:connection:redirect, which says where to go (§2.8.16).",
        "a close with amqp:connection:redirect", "close";
    "T-2.8.17-1/window-violation" => answers_end(error(0x17, "amqp:session:window-violation", &[0x40])):
        "A session may end with amqp:session:window-violation (§2.8.17).",
        "an end with amqp:session:window-violation", "an end";
    "T-2.8.17-1/errant-link" => answers_end(error(0x17, "amqp:session:errant-link", &[0x40])):
        "A session may end with amqp:session:errant-link (§2.8.17).",
        "an end with amqp:session:errant-link", "an end";
    "T-2.8.17-1/handle-in-use" => answers_end(error(0x17, "amqp:session:handle-in-use", &[0x40])):
        "A session may end with amqp:session:handle-in-use (§2.8.17).",
        "an end with amqp:session:handle-in-use", "an end";
    "T-2.8.17-1/unattached-handle" => answers_end(error(0x17, "amqp:session:unattached-handle", &[0x40])):
        "A session may end with amqp:session:unattached-handle (§2.8.17).",
        "an end with amqp:session:unattached-handle", "an end";
    "T-2.8.18-1/detach-forced" as Receive like ATTACH_RECEIVER => answers_detach("amqp:link:detach-forced", &[0x40]):
        "A link may be detached with amqp:link:detach-forced (§2.8.18).",
        "a detach with amqp:link:detach-forced", "a detach of the link";
    "T-2.8.18-1/stolen" as Receive like ATTACH_RECEIVER => answers_detach("amqp:link:stolen", &[0x40]):
        "A link may be detached with amqp:link:stolen (§2.8.18).",
        "a detach with amqp:link:stolen", "a detach of the link";
    "T-2.8.18-1/message-size-exceeded" as Receive like ATTACH_RECEIVER =>
        answers_detach("amqp:link:message-size-exceeded", &[0x40]):
        "A link may be detached with amqp:link:message-size-exceeded (§2.8.18).",
        "a detach with amqp:link:message-size-exceeded", "a detach of the link";
    "T-2.8.18-1/redirect" as Receive like ATTACH_RECEIVER => answers_detach("amqp:link:redirect", &elsewhere()):
        "A link may be detached with amqp:link:redirect, which says where to go (§2.8.18).",
        "a detach with amqp:link:redirect", "a detach of the link";
}

/// A frame on channel 0: an end or a close with an error.
fn error(performative: u8, condition: &str, info: &[u8]) -> Vec<u8> {
    frame(0, &described(performative, &list(&[&error_value(condition, info)])))
}

fn error_value(condition: &str, info: &[u8]) -> Vec<u8> {
    described(0x1d, &list(&[&symbol(condition), &string("said by amqp-conformance"), info]))
}

/// The info of a redirect to a port on which nothing listens.
fn elsewhere() -> Vec<u8> {
    map(&[
        &symbol("hostname"),
        &string("elsewhere.invalid"),
        &symbol("network-host"),
        &string("127.0.0.1"),
        &symbol("port"),
        &[0x60, 0x00, 0x01],
        &symbol("address"),
        &string("elsewhere"),
    ])
}

fn given_up_after(trial: &mut impl AnyTrial, octets: Vec<u8>) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(octets);
    Ok(is_given_up(&mut connection))
}

fn answers_end(trial: &mut impl AnyTrial, octets: Vec<u8>) -> Result<Outcome, Stop> {
    super::sessions::answers_end(trial, &octets)
}

fn answers_detach(trial: &mut impl AnyTrial, condition: &str, info: &[u8]) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let Linked { mut connection, session, link, .. } = trial.peer_receives(open, frames::begin())?;
    let detach = described(
        0x16,
        &list(&[&[0x52, u8::try_from(link.handle).unwrap_or_default()], &[0x41], &error_value(condition, info)]),
    );
    connection.raw(frame(session.channel, &detach));
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Detach(detach)), .. })
                if channel == session.remote_channel && detach.handle == link.attach.handle =>
            {
                break;
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            got if is_unread(&got) => return Ok(Outcome::fail(format!("the condition is not read: {got}"))),
            // The link ends with its session or connection.
            got if !got.is_end() && matches!(got.name(), "end" | "close") => {
                return Ok(Outcome::new(crate::Verdict::PassWider, got.to_string()));
            }
            got => return Ok(Outcome::fail(format!("expected detach, got {got}"))),
        }
    }
    Ok(closes_in_peace(&mut connection))
}

/// Whether a peer refuses what it got as something that it cannot read.
fn is_unread(got: &Got) -> bool {
    Refusal::of(got).is_some_and(|refusal| {
        [ErrorCondition::DECODE_ERROR, ErrorCondition::FRAMING_ERROR, ErrorCondition::INVALID_FIELD]
            .contains(&refusal.error.condition)
    })
}

fn is_receivers(disposition: &Received<Disposition>) -> bool {
    disposition.role == Role::Receiver
}

fn takes_long_tag(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let Linked { mut connection, session, link, .. } = trial.peer_receives(open, frames::begin())?;
    let tag = [&[0xa0, 32][..], &[b't'; 32]].concat();
    let handle = [0x52, u8::try_from(link.handle).unwrap_or_default()];
    let transfer = described(0x14, &list(&[&handle, &[0x43], &tag, &[0x43], &[0x42]]));
    connection.raw(frame(session.channel, &[&transfer[..], b"\0\x53\x75\xa0\x03tag"].concat()));
    let disposition = connection.expect_where(Skip::FLOWS, "a disposition of the delivery", is_receivers)?;
    trial.tidy()?;
    Ok(Outcome::pass_with(outcome_name(disposition.state.as_ref())))
}

fn counts_deliveries_serially(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let first = SequenceNo(u32::MAX);
    let Linked { mut connection, session, link, credit, .. } =
        trial.peer_receives_from(open, frames::begin(), first)?;
    for number in 0..trial.takes().min(credit) {
        let SequenceNo(id) = first.plus(number);
        connection.send_with(session.channel, frames::transfer(link.handle, id), frames::message("serial"));
        let is_of_it = |disposition: &Received<Disposition>| {
            let last = disposition.last.unwrap_or(disposition.first);
            is_receivers(disposition) && (disposition.first == SequenceNo(id) || last == SequenceNo(id))
        };
        connection.expect_where(Skip::FLOWS, format!("a disposition of delivery {id}"), is_of_it)?;
    }
    trial.tidy()?;
    Ok(Outcome::pass())
}

fn survives_other_format(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let Linked { mut connection, session, link, .. } = trial.peer_receives(open, frames::begin())?;
    let transfer = Transfer { message_format: Some(0x8001_3700), ..frames::transfer(link.handle, 0) };
    connection.send_with(session.channel, transfer, b"\xde\xad\xbe\xef");
    let deadline = connection.now().saturating_add(connection.patience());
    let outcome = loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match (&got, Refusal::of(&got)) {
            (Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }), _) => {
                break Outcome::pass_with(outcome_name(disposition.state.as_ref()));
            }
            (_, Some(Refusal { scope: Scope::Link, error, .. })) => {
                break Outcome::pass_with(format!("detach with {}", error.condition));
            }
            (Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }), _) => {}
            _ => break Outcome::fail(format!("expected a disposition or a detach, got {got}")),
        }
    };
    drop(connection);
    trial.tidy()?;
    Ok(outcome)
}

fn opens_with_fields(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let hostname = trial.own_open().hostname.map_or_else(|| vec![0x40], |name| string(&name));
    let properties = map(&[
        &symbol("x-null"),
        &[0x40],
        &symbol("x-true"),
        &[0x41],
        &symbol("x-ulong"),
        &[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &symbol("x-string"),
        &string("text"),
        &symbol("x-list"),
        &list(&[&[0x43], &string("item"), &[0x45]]),
        &symbol("x-map"),
        &map(&[&string("key"), &[0x54, 0xff]]),
        &symbol("x-array"),
        &octets::array(&[0xa3], &[b"\x01a", b"\x01b"]),
        &symbol("x-described"),
        &[&[0x00][..], &symbol("x:described"), &string("value")].concat(),
    ]);
    let fields: [&[u8]; 10] = [
        &string("amqp-conformance"),
        &hostname,
        &[0x40],
        &[0x40],
        &[0x40],
        &[0x40],
        &[0x40],
        &[0x40],
        &[0x40],
        &properties,
    ];
    let mut connection = trial.opening()?;
    connection.raw(frame(0, &described(0x10, &list(&fields))));
    trial.is_open_after(&mut connection)
}

fn sends_condition(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(UNMAPPED);
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match &got {
            Got::Frame(frame) if got.name() == "close" => {
                if matches!(&frame.body, Some(Performative::Close(close)) if close.error.is_none()) {
                    return Err(Stop::SetUp(String::from("the peer closes without an error")));
                }
                return Ok(match condition_of(&frame.octets) {
                    Some(condition) => Outcome::pass_with(condition),
                    None => Outcome::fail("close without an error whose condition is a symbol"),
                });
            }
            Got::Frame(_) => {}
            Got::Undecodable { .. } => return Ok(Outcome::fail(format!("expected close, got {got}"))),
            _ => return Err(Stop::SetUp(format!("expected close, got {got}"))),
        }
    }
}

/// The condition of the error that a close carries.
fn condition_of(frame: &[u8]) -> Option<String> {
    let Value::Described(_, close) = octets::read_one(frame.get(8..)?).ok()? else { return None };
    let Value::List(fields) = *close else { return None };
    let Value::Described(_, error) = fields.into_iter().next()? else { return None };
    let Value::List(error) = *error else { return None };
    error.first()?.symbol().map(String::from)
}

fn should_refuse_with(
    trial: &mut impl AnyTrial,
    octets: &[u8],
    conditions: &'static [ErrorCondition],
) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(octets);
    let refused = Refused::by(Scope::Session).or_wider().with(conditions).in_words().after(super::in_flight(trial));
    should(Ok(refused.judge(&mut connection, true)))
}
