//! `$management` of the Event-Hubs-compatible endpoint: what there is to read.

use std::borrow::Cow;
use std::sync::Arc;

use amqp1::codec::{Array, Map};
use amqp1::{
    Message, Receiver, Session, Symbol, Value,
    message::{EncodedMessage, MessageId, Properties, Str, Timestamp},
};

use super::connection::Context;
use super::requests::Node;
use crate::grants::Grants;
use crate::hub::{Address, AttachError, Hub, UnixMillis};
use crate::messages::{STYLE, last_enqueued};
use crate::token::{Presented, verify};

/// Answers requests until the link ends. The link is open to everybody, and outlives the tokens of its connection: each
/// request is authorised by itself.
pub(super) async fn serve(context: Arc<Context>, session: Session, mut receiver: Receiver, address: Address) {
    loop {
        let delivery = match receiver.recv().await {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "a $management link ended"),
        };
        let properties = delivery.message().properties().ok().flatten().unwrap_or_default();
        let answer = context.shared.hub(|hub, now| {
            authorize(&context.grants, hub, now, &address, delivery.message())?;
            answer(hub, delivery.message())
        });
        if let Err(refusal) = &answer {
            context.refused("request", &address, &refusal.text);
        }
        let message = encode(answer, properties.message_id, properties.reply_to.clone());
        if delivery.accept().is_err() {
            return;
        }
        let reply_to = properties.reply_to.as_ref().map(Str::as_str);
        context.replies.send((&Node::Management, &session), &receiver, reply_to, message).await;
    }
}

/// Why a request is not answered with what it asks for.
#[derive(Debug, PartialEq)]
struct Refusal {
    status: i32,
    condition: &'static str,
    text: Cow<'static, str>,
}

/// By a grant of the connection, or by the token in the request.
fn authorize(grants: &Grants, hub: &Hub, now: UnixMillis, address: &Address, request: &Message) -> Result<(), Refusal> {
    let by_grant = grants.authorize_use(hub, now, address);
    let (Err(AttachError::Unauthorized), Some(token)) = (&by_grant, text(request, "security_token")) else {
        return by_grant.map_err(|error| denied(&error));
    };
    let verified = verify(hub, now, Presented::Cbs, token).map_err(|error| unauthorized(&error))?;
    hub.authorize_use([&verified.grant], address).map(drop).map_err(|error| denied(&error))
}

fn denied(error: &AttachError) -> Refusal {
    match error {
        AttachError::Unauthorized | AttachError::DeviceDisabled(_) => unauthorized(error),
        _ => Refusal { status: 404, condition: error.condition(), text: error.to_string().into() },
    }
}

fn unauthorized(error: &dyn core::fmt::Display) -> Refusal {
    Refusal { status: 401, condition: "amqp:unauthorized-access", text: error.to_string().into() }
}

fn text<'m>(request: &'m Message, key: &str) -> Option<&'m str> {
    request.application_property(key).ok().flatten().and_then(|value| value.as_text())
}

fn answer(hub: &Hub, request: &Message) -> Result<Map, Refusal> {
    let refuse = |status, condition, text: &'static str| Err(Refusal { status, condition, text: text.into() });
    let text = |key: &str| text(request, key);
    if !text("operation").is_some_and(|operation| operation.eq_ignore_ascii_case("READ")) {
        return refuse(400, "amqp:not-implemented", "the operation must be READ");
    }
    let Some(name) = text("name").filter(|name| hub.settings().is_entity(name)) else {
        return refuse(404, "amqp:not-found", "name must be the entity's");
    };
    match text("type") {
        Some("com.microsoft:eventhub") => Ok(entity(hub, name)),
        Some("com.microsoft:partition") => {
            let number = text("partition").and_then(|id| hub.partition_number(id));
            match number.and_then(|number| partition(hub, name, number)) {
                Some(map) => Ok(map),
                None => refuse(404, "amqp:not-found", "the entity has no such partition"),
            }
        }
        _ => refuse(400, "amqp:not-implemented", "the type must be com.microsoft:eventhub or com.microsoft:partition"),
    }
}

fn entity(hub: &Hub, name: &str) -> Map {
    let ids = (0..hub.partition_count()).map(|number| Value::from(number.to_string()));
    let mut map = Map::new();
    map.insert("name", name);
    map.insert("type", "com.microsoft:eventhub");
    map.insert("created_at", Timestamp(hub.settings().created.unwrap_or_default().to_timestamp()));
    map.insert("partition_count", i32::try_from(hub.partition_count()).unwrap_or(i32::MAX));
    // Some processors do not start without it: the number of regions.
    map.insert("georeplication_factor", 1_i32);
    // Strings only: they can share a constructor.
    map.insert("partition_ids", Array::from_values(ids).unwrap_or_default());
    map
}

fn partition(hub: &Hub, name: &str, number: u32) -> Option<Map> {
    let properties = hub.partition_properties(number)?;
    let mut map = Map::new();
    map.insert("name", name);
    map.insert("type", "com.microsoft:partition");
    map.insert("partition", number.to_string());
    map.insert("begin_sequence_number", properties.begin_sequence_number);
    map.insert("last_enqueued_sequence_number", properties.last_sequence_number);
    map.insert("last_enqueued_time_utc", last_enqueued(&properties));
    map.insert("last_enqueued_offset", properties.last_offset);
    map.insert("is_partition_empty", properties.is_empty);
    Some(map)
}

fn encode(answer: Result<Map, Refusal>, correlation_id: Option<MessageId>, to: Option<Str>) -> EncodedMessage {
    let builder =
        Message::builder().style(STYLE).properties(Properties { to, correlation_id, ..Properties::default() });
    match answer {
        Ok(map) => builder
            .application_property("status-code", 200)
            .application_property("status-description", "OK")
            .value(map)
            .build(),
        Err(refusal) => builder
            .application_property("status-code", refusal.status)
            .application_property("status-description", &*refusal.text)
            .application_property("error-condition", Symbol::from_static(refusal.condition))
            .value(Value::Null)
            .build(),
    }
}
