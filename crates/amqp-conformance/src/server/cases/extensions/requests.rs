//! Nodes that answer requests: claims-based security and management.

use super::super::nodes::support::set_up;
use crate::{
    case::{Case, Check, Need},
    server::{Consumer, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Message, Value,
    messaging::{DeliveryState, MessageId, Properties, Target},
    performative::{Attach, TargetArchetype},
};
use amqp1_script::{Link, frames};
use bytes::Bytes;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "E-cbs-1",
        rule: "A put-token request is answered with a status-code (claims-based security §4.2).",
        sends: "put-token with a token that is not one",
        wants: "a response with the request's id as correlation-id, and a status-code of 4xx",
        needs: &[Need::Cbs],
        check: Check::Server(put_token),
        ..Case::SERVER
    },
    Case {
        id: "E-mgmt-1",
        rule: "A request to the management node is answered with a status code (management §3.2).",
        sends: "an operation that does not exist",
        wants: "a response with the request's id as correlation-id, and a statusCode that is not a success",
        needs: &[Need::Management],
        check: Check::Server(manage),
        ..Case::SERVER
    },
];

const REPLY_TO: &str = "amqp-conformance-reply";

/// Sends a request to this node, and waits for its response.
fn response(trial: &mut ServerTrial<'_>, node: &str, request: Bytes) -> Result<Message, Stop> {
    let begun = trial.begun()?;
    let (mut connection, session) = (begun.connection, begun.session);
    let sender: Link = set_up(connection.attached_sender(&session, 0, "request", node))?;
    let credited = set_up(connection.credited(&sender))?;
    let target = Some(TargetArchetype::from(Target::at(REPLY_TO)));
    let attach = Attach { target, ..frames::attach_receiver("response", 1, node) };
    let receiver = set_up(connection.attached(&session, attach))?;
    debug_assert!(credited > 0, "credit is waited for");
    let mut consumer = Consumer::new(connection, session, receiver);
    consumer.credit(10);
    consumer.connection.send_with(0, frames::transfer(0, 0), request);
    let delivered = consumer.expect_delivery()?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    let message = delivered.message()?;
    let properties = message.properties().ok().flatten().unwrap_or_default();
    if properties.correlation_id != Some(MessageId::from("request-1")) {
        return Err(Outcome::fail("the correlation-id of the response is not the request's message-id").into());
    }
    Ok(message)
}

fn request(node: &str, properties: &[(&'static str, &'static str)], body: &'static str) -> Bytes {
    let header = Properties {
        message_id: Some(MessageId::from("request-1")),
        to: Some(node.into()),
        reply_to: Some(REPLY_TO.into()),
        ..Properties::default()
    };
    let builder = properties.iter().fold(Message::builder().properties(header), |builder, (name, value)| {
        builder.application_property(*name, *value)
    });
    builder.value(body).build().into_parts().concat().into()
}

/// The first of these application properties that is an integer.
fn code(message: &Message, names: &[&str]) -> Option<i128> {
    let properties = message.application_properties().ok().flatten()?;
    names.iter().find_map(|name| properties.get(name).and_then(Value::as_integer))
}

fn put_token(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let fields =
        [("operation", "put-token"), ("type", "servicebus.windows.net:sastoken"), ("name", "amqp-conformance")];
    let message = response(trial, "$cbs", request("$cbs", &fields, "not a token"))?;
    judge(code(&message, &["status-code", "statusCode"]))
}

fn manage(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let fields = [("operation", "amqp-conformance-no-such-operation"), ("type", "none"), ("name", "none")];
    let message = response(trial, "$management", request("$management", &fields, ""))?;
    judge(code(&message, &["statusCode", "status-code"]))
}

fn judge(code: Option<i128>) -> Result<Outcome, Stop> {
    match code {
        Some(400..=599) => Ok(Outcome::pass_with(format!("status {}", code.unwrap_or_default()))),
        Some(code) => Ok(Outcome::fail(format!("status {code}"))),
        None => Ok(Outcome::fail("the response has no status code")),
    }
}
