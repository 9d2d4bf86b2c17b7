//! Twins, as devices and modules see them: requests on one link, answers and changes on another.
//!
//! A client reads its twin (`GET`), reports properties (`PATCH`), and subscribes to changes of desired properties (`PUT`,
//! until `DELETE`). Every request with a correlation-id is answered; a change has none, which tells it from an answer.

use std::sync::Arc;

use amqp1::codec::message::Body;
use amqp1::{
    Message, Receiver, Sender, Session, Symbol,
    message::{EncodedMessage, MessageId, Properties},
};
use serde_json::{Value, json};

use super::connection::Context;
use super::deliveries;
use super::requests::SETTLED;
use super::twin_links::{Pair, TwinLink};
use crate::hub::{
    Address, DesiredChange, ErrorCode, Hub, IdentityId, Operation, ServiceError, UnixMillis, Wake, check_integers,
};
use crate::messages::STYLE;

/// What a subscription names, and what a change says that it is of.
const DESIRED: &str = "/notifications/twin/properties/desired";
/// The same, as some clients look for it.
const DESIRED_SHORT: &str = "/properties/desired";
const REPORTED: &str = "/properties/reported";

/// What a client asks of its twin.
#[derive(Clone, Debug, PartialEq)]
enum Request {
    Read,
    Report { version: Option<u64>, patch: Value },
    Subscribe,
    Unsubscribe,
}

impl Request {
    fn parse(message: &Message) -> Result<Self, ServiceError> {
        let invalid = |text: &str| ServiceError::new(ErrorCode::ArgumentInvalid, text);
        let annotation = |key: &str| message.message_annotation(key).ok().flatten();
        let operation = annotation("operation").and_then(|operation| operation.as_text()).unwrap_or_default();
        let resource = annotation("resource").and_then(|resource| resource.as_text()).unwrap_or_default();
        let names =
            |known: &[&str]| resource.is_empty() || known.iter().any(|known| resource.eq_ignore_ascii_case(known));
        match operation.to_ascii_uppercase().as_str() {
            "GET" => Ok(Self::Read),
            "PATCH" if names(&[REPORTED]) => {
                let version = match annotation("version").map(|version| version.to_value()) {
                    None | Some(Ok(amqp1::Value::Null)) => None,
                    Some(Ok(version)) => Some(
                        version
                            .as_integer()
                            .and_then(|version| u64::try_from(version).ok())
                            .ok_or_else(|| invalid("the annotation version must be a number"))?,
                    ),
                    Some(Err(_)) => return Err(invalid("the annotation version cannot be read")),
                };
                Ok(Self::Report { version, patch: json_of(message)? })
            }
            "PUT" if names(&[DESIRED, DESIRED_SHORT]) => Ok(Self::Subscribe),
            "DELETE" if names(&[DESIRED, DESIRED_SHORT]) => Ok(Self::Unsubscribe),
            "PATCH" | "PUT" | "DELETE" => Err(invalid("a twin has no such resource for this operation")),
            _ => Err(invalid("the annotation operation must be GET, PATCH, PUT or DELETE")),
        }
    }
}

/// The JSON text of a body.
fn json_of(message: &Message) -> Result<Value, ServiceError> {
    let invalid = |text: &str| ServiceError::new(ErrorCode::IotHubFormatError, text);
    let octets: Vec<u8> = match message.body() {
        Body::Data(sections) => sections.flat_map(|section| section.chunks()).flatten().collect(),
        Body::Value(value) => match value.to_value() {
            Ok(amqp1::Value::String(text)) => text.as_str().as_bytes().to_vec(),
            Ok(amqp1::Value::Binary(octets)) => octets.to_vec(),
            _ => return Err(invalid("the body must be JSON in a data section")),
        },
        _ => return Err(invalid("the body must be JSON in a data section")),
    };
    // The error of the parser may quote what it has read.
    let parsed = serde_json::from_slice(&octets).map_err(|_| invalid("the body is not JSON"))?;
    check_integers(&octets)?;
    Ok(parsed)
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    status: i32,
    version: Option<u64>,
    body: String,
}

impl Answer {
    fn of_error(hub: &mut Hub, now: UnixMillis, error: &ServiceError) -> Self {
        // Some clients parse the body whatever the status says.
        let body = json!({
            "errorCode": error.code().number(),
            "trackingId": hub.tracking_id(),
            "message": error.text(),
            "timestampUtc": now.to_iso8601().to_string(),
        });
        Self { status: i32::from(error.code().http_status()), version: None, body: body.to_string() }
    }

    fn encode(self, correlation_id: MessageId) -> EncodedMessage {
        let mut builder = Message::builder()
            .style(STYLE)
            .message_annotation(Symbol::from_static("status"), self.status)
            .properties(Properties { correlation_id: Some(correlation_id), ..Properties::default() })
            .data(self.body);
        if let Some(version) = self.version {
            builder = builder.message_annotation(Symbol::from_static("version"), as_long(version));
        }
        builder.build()
    }
}

/// Clients insist on this type.
fn as_long(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn answer(hub: &mut Hub, now: UnixMillis, id: &IdentityId, request: &Request, link: &TwinLink) -> Answer {
    let answered = match request {
        Request::Read => {
            hub.touched(now, id);
            let read = hub.twin(id).map(|twin| twin.to_device_json().to_string());
            read.map(|body| {
                hub.charge(now, || body.len());
                Answer { status: 200, version: None, body }
            })
        }
        Request::Report { version, patch } => {
            let version = report(hub, now, id, *version, patch);
            version.map(|version| Answer { status: 204, version: Some(version), body: String::new() })
        }
        Request::Subscribe => hub.watch_desired(id, link.consumer).map(|_| {
            link.subscribe(true);
            Answer { status: 200, version: None, body: String::new() }
        }),
        Request::Unsubscribe => {
            hub.unwatch_desired(id, link.consumer);
            link.subscribe(false);
            Ok(Answer { status: 200, version: None, body: String::new() })
        }
    };
    answered.unwrap_or_else(|error| Answer::of_error(hub, now, &error))
}

/// Changes reported properties. Returns the new version.
fn report(
    hub: &mut Hub,
    now: UnixMillis,
    id: &IdentityId,
    version: Option<u64>,
    patch: &Value,
) -> Result<u64, ServiceError> {
    let version = hub.patch_reported(now, id, version, patch)?;
    hub.charge(now, || patch.to_string().len());
    Ok(version)
}

/// Serves the link on which a client asks, until it ends or may not go on.
pub(super) async fn serve(
    context: Arc<Context>,
    session: Session,
    mut receiver: Receiver,
    address: Address,
    pair: Option<Pair>,
) {
    let Some(id) = address.identity() else { return };
    let asking = context.twins.ask(id, pair, session);
    let mut revoked = context.revoked(&address);
    loop {
        let delivery = match deliveries::next(&mut receiver, &mut revoked).await {
            Ok(delivery) => delivery,
            Err(over) => return over.conclude(&receiver, &address).await,
        };
        let message = delivery.message().clone();
        if let Err(error) = delivery.accept() {
            // The client has left; what it reported counts.
            tracing::debug!(%error, "a request of a twin was not accepted");
        }
        let correlation_id = message.properties().ok().flatten().and_then(|properties| properties.correlation_id);
        let request = Request::parse(&message);
        let needs_link = correlation_id.is_some() || matches!(request, Ok(Request::Subscribe | Request::Unsubscribe));
        let link = if needs_link { asking.link(&receiver).await } else { None };
        let Some(link) = link else {
            // Nothing can be answered, but what was reported counts.
            if let Ok(Request::Report { version, patch }) = request {
                let reported = match context.shared.throttle(Operation::TwinUpdate, 0).await {
                    Ok(()) => context.shared.hub(|hub, now| report(hub, now, asking.id(), version, &patch)),
                    Err(error) => Err(error),
                };
                if let Err(error) = reported {
                    context.refused("report", &address, &error);
                }
            }
            continue;
        };
        let throttled = match &request {
            Ok(Request::Read) => context.shared.throttle(Operation::TwinRead, 0).await,
            Ok(Request::Report { .. }) => context.shared.throttle(Operation::TwinUpdate, 0).await,
            _ => Ok(()),
        };
        let request = throttled.and(request);
        let answer = context.shared.hub(|hub, now| match &request {
            Ok(request) => answer(hub, now, asking.id(), request, &link),
            Err(error) => Answer::of_error(hub, now, error),
        });
        if answer.status >= 300 {
            context.refused("request", &address, &answer.body);
        }
        if let Some(correlation_id) = correlation_id {
            link.send(&receiver, answer.encode(correlation_id)).await;
        }
    }
}

/// Serves the link on which a client gets answers and changes, until it ends or may not go on.
pub(super) async fn hold(
    context: Arc<Context>,
    session: Session,
    sender: Sender,
    address: Address,
    pair: Option<Pair>,
) {
    let Some(id) = address.identity() else { return };
    let consumer = context.shared.hub(|hub, _| hub.add_consumer());
    let link = context.twins.add(&id, TwinLink::new(pair, session, sender.clone(), consumer));
    tokio::select! {
        error = context.revoked(&address) => {
            let _ = Box::pin(sender.detach_with(Some(error), true)).await;
        }
        _ = sender.detached() => {}
        () = changes(&context, &id, &link) => {}
    }
    context.twins.remove(&id, consumer);
    context.shared.hub(|hub, _| hub.unwatch_desired(&id, consumer));
}

/// Sends changes of desired properties whenever the client has subscribed. Resolves when the link is gone.
async fn changes(context: &Context, id: &IdentityId, link: &TwinLink) {
    let mut subscribed = link.subscribed();
    // Of what could not be sent, because the client took its credit back.
    let mut unsent: Option<Arc<DesiredChange>> = None;
    loop {
        if subscribed.wait_for(|subscribed| *subscribed).await.is_err() {
            return;
        }
        let mut changed = context.shared.waiter(Wake::Twin(id.clone()));
        while *subscribed.borrow_and_update() {
            let Ok(permit) = link.sender.reserve().await else { return };
            let taken = |hub: &mut Hub, now| {
                let change = hub.take_desired(id, link.consumer)?;
                hub.charge(now, || change.to_json().to_string().len());
                Some(change)
            };
            let next = unsent.take().or_else(|| context.shared.hub(taken));
            match next {
                Some(change) => {
                    if let Err(error) = permit.send_with(encode(&change), SETTLED) {
                        tracing::debug!(%error, "a change of desired properties was not sent");
                        unsent = Some(change);
                    }
                }
                None => {
                    drop(permit);
                    tokio::select! {
                        () = changed.woken() => {}
                        _ = subscribed.changed() => {}
                    }
                }
            }
        }
        unsent = None;
    }
}

fn encode(change: &DesiredChange) -> EncodedMessage {
    Message::builder()
        .style(STYLE)
        .message_annotation(Symbol::from_static("resource"), DESIRED)
        .message_annotation(Symbol::from_static("version"), as_long(change.version()))
        .data(change.to_json().to_string())
        .build()
}
