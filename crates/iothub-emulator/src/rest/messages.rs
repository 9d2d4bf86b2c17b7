//! The device side over HTTPS: telemetry and cloud-to-device messages.

use std::sync::Arc;

use amqp1_codec::message::{Body, Message};
use amqp1_codec::messaging::{ApplicationProperties, MessageId, Properties};
use amqp1_codec::{Str, Symbol, Timestamp, Value as AmqpValue};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::{delete, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};

use super::Rest;
use super::auth::DeviceConnect;
use super::body::{Octets, parse};
use super::errors::Failure;
use super::path::{Lock, Subject};
use super::reply;
use crate::hub::{CloudToDeviceDelivery, ErrorCode, Hub, IdentityId, ServiceError, UnixMillis};
use crate::messages::{MAX_BATCH, STYLE, read_again, size};

/// The content type of a batch.
const BATCH: &str = "application/vnd.microsoft.iothub.json";
/// What the names of application properties begin with.
const APPLICATION: &str = "iothub-app-";

pub(super) fn routes() -> Router<Rest> {
    ["/devices/{device}", "/devices/{device}/modules/{module}"].iter().fold(Router::new(), |router, identity| {
        router
            .route(&format!("{identity}/messages/events"), post(send))
            .route(&format!("{identity}/messages/devicebound"), get(receive))
            .route(&format!("{identity}/messages/devicebound/{{lock}}"), delete(settle))
            .route(&format!("{identity}/messages/devicebound/{{lock}}/abandon"), post(abandon))
    })
}

/// Checks that the identity is there and may act.
pub(super) fn usable(hub: &Hub, id: &IdentityId) -> Result<(), ServiceError> {
    hub.identity(id)?;
    match hub.device(&id.device) {
        Some(device) if device.is_enabled() => Ok(()),
        _ => Err(ServiceError::new(ErrorCode::DeviceDisabled, format!("device {} is disabled", id.device))),
    }
}

async fn send(
    DeviceConnect(grant): DeviceConnect,
    Subject(id): Subject,
    State(rest): State<Rest>,
    headers: HeaderMap,
    Octets(body): Octets,
) -> Result<Response, Failure> {
    let octets = body.len();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_batch = content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(BATCH));
    let messages = if is_batch { batch(&body)? } else { vec![encode(&named(&headers), body)] };
    let mut measured = Vec::with_capacity(messages.len());
    for payload in messages {
        let size = size(&read_again(&payload)).map_err(|error| {
            Failure::new(ErrorCode::IotHubFormatError, format!("the message cannot be read: {error}"))
        })?;
        measured.push((size, payload));
    }
    let total: usize = measured.iter().map(|(size, _)| size).sum();
    let method = grant.auth_method();
    let appended = rest.shared.hub(|hub, now| {
        usable(hub, &id)?;
        let max = hub.settings().telemetry.max_size;
        if total > max {
            let text = format!("the request has {total} octets of messages, at most {max} are allowed");
            return Err(ServiceError::new(ErrorCode::MessageTooLarge, text));
        }
        hub.meter(now, octets)?;
        append(hub, now, &id, &method, measured)
    });
    appended?;
    Ok(reply::no_content())
}

fn append(
    hub: &mut Hub,
    now: UnixMillis,
    id: &IdentityId,
    method: &Arc<str>,
    messages: Vec<(usize, Bytes)>,
) -> Result<(), ServiceError> {
    for (size, payload) in messages {
        hub.append(now, &id.device, id.module.as_ref(), method, size, payload)
            .map_err(|error| ServiceError::from_text(&error))?;
    }
    Ok(())
}

/// The headers that describe a message, with their names in lower case.
fn named(headers: &HeaderMap) -> Vec<(String, String)> {
    let texts = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    texts.filter(|(name, _)| name.starts_with("iothub-")).map(|(name, value)| (name.into(), value.into())).collect()
}

/// The messages of a batch: `[{"body", "base64Encoded"?, "properties"?}]`.
fn batch(body: &[u8]) -> Result<Vec<Bytes>, Failure> {
    let malformed = |text: &str| Failure::new(ErrorCode::IotHubFormatError, text);
    let batch: Vec<Map<String, Value>> = parse(body)?;
    if batch.len() > MAX_BATCH {
        let text = format!("a batch may have {MAX_BATCH} messages at most, this one has {}", batch.len());
        return Err(Failure::new(ErrorCode::MessageTooLarge, text));
    }
    let message = |entry: Map<String, Value>| {
        let text =
            entry.get("body").and_then(Value::as_str).ok_or_else(|| malformed("a message of a batch has a body"))?;
        let is_text = entry.get("base64Encoded").and_then(Value::as_bool) == Some(false);
        let octets = if is_text {
            text.as_bytes().to_vec()
        } else {
            STANDARD.decode(text).map_err(|_| malformed("the body of a message is base64"))?
        };
        let mut names = Vec::new();
        if let Some(Value::Object(properties)) = entry.get("properties") {
            for (name, value) in properties {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                names.push((name.clone(), value));
            }
        }
        Ok(encode(&names, octets.into()))
    };
    batch.into_iter().map(message).collect()
}

/// A message as the hub stores it. `named` has its properties by the names of the headers.
fn encode(named: &[(String, String)], body: Bytes) -> Bytes {
    let mut properties = Properties::default();
    let mut application = ApplicationProperties::new();
    for (name, value) in named {
        let lower = name.to_ascii_lowercase();
        let text = || Some(Str::from(value.as_str()));
        match lower.as_str() {
            "iothub-messageid" => properties.message_id = Some(value.as_str().into()),
            "iothub-correlationid" => properties.correlation_id = Some(value.as_str().into()),
            "iothub-userid" => properties.user_id = Some(Bytes::copy_from_slice(value.as_bytes())),
            "iothub-to" => properties.to = text(),
            "iothub-contenttype" => properties.content_type = Symbol::new(value).ok(),
            "iothub-contentencoding" => properties.content_encoding = Symbol::new(value).ok(),
            // What devices say over AMQP by application properties of these names.
            "iothub-creation-time-utc" | "iothub-message-schema" | "iothub-outputname" => {
                application.insert(lower.as_str(), value.as_str());
            }
            _ => {
                let own = lower.starts_with(APPLICATION).then(|| name.get(APPLICATION.len()..)).flatten();
                if let Some(own) = own.filter(|own| !own.is_empty()) {
                    application.insert(own, value.as_str());
                }
            }
        }
    }
    let message =
        Message::builder().style(STYLE).properties(properties).application_properties(application).data(body).build();
    let mut octets = BytesMut::new();
    message.chunks().for_each(|chunk| octets.extend_from_slice(chunk));
    octets.freeze()
}

async fn receive(_: DeviceConnect, Subject(id): Subject, State(rest): State<Rest>) -> Result<Response, Failure> {
    let delivery = rest.shared.hub(|hub, now| {
        usable(hub, &id)?;
        hub.touched(now, &id);
        let consumer = hub.add_consumer();
        Ok::<_, ServiceError>(hub.take_next(now, &id, consumer))
    });
    Ok(delivery?.as_ref().map_or_else(reply::no_content, shown))
}

/// A message with its properties as headers.
fn shown(delivery: &CloudToDeviceDelivery) -> Response {
    let message = read_again(&delivery.payload);
    let mut body = BytesMut::new();
    if let Body::Data(sections) = message.body() {
        for section in sections {
            section.chunks().for_each(|chunk| body.extend_from_slice(&chunk));
        }
    }
    let mut response = Response::new(body.freeze().into());
    let headers = response.headers_mut();
    let mut set = |name: &str, value: &str| {
        // A name or a value that cannot be in a header is left out; nothing else of the message is lost by that.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    };
    set("etag", &format!("\"{}\"", delivery.token));
    set("content-type", "application/octet-stream");
    set("iothub-enqueuedtime", &delivery.enqueued.to_iso8601().to_string());
    set("iothub-sequencenumber", &delivery.sequence_number.to_string());
    set("iothub-deliverycount", &delivery.delivery_count.to_string());
    let properties = message.properties().ok().flatten().unwrap_or_default();
    let text = |id: &MessageId| id.to_string();
    let user = properties.user_id.as_ref().map(|user| String::from_utf8_lossy(user).into_owned());
    let expiry = |at: &Timestamp| UnixMillis::from_timestamp(at.0).to_iso8601().to_string();
    for (name, value) in [
        ("iothub-messageid", properties.message_id.as_ref().map(text)),
        ("iothub-correlationid", properties.correlation_id.as_ref().map(text)),
        ("iothub-userid", user),
        ("iothub-to", properties.to.as_ref().map(|to| to.as_str().to_owned())),
        ("iothub-expiry", properties.absolute_expiry_time.as_ref().map(expiry)),
        ("iothub-contenttype", properties.content_type.as_ref().map(|kind| kind.as_str().to_owned())),
        ("iothub-contentencoding", properties.content_encoding.as_ref().map(|kind| kind.as_str().to_owned())),
    ] {
        if let Some(value) = value {
            set(name, &value);
        }
    }
    if let Ok(Some(application)) = message.application_properties() {
        for (name, value) in application.iter() {
            let (AmqpValue::String(name), value) = (name, value) else { continue };
            let Some(text) = text_of(value) else { continue };
            match name.as_str() {
                "iothub-ack" => set("iothub-ack", &text),
                name => set(&format!("{APPLICATION}{name}"), &text),
            }
        }
    }
    response
}

/// A simple value as text; all others cannot be in a header.
fn text_of(value: &AmqpValue) -> Option<String> {
    let text = value.as_text().map(str::to_owned).or_else(|| value.as_integer().map(|number| number.to_string()));
    text.or_else(|| match value {
        AmqpValue::Boolean(value) => Some(value.to_string()),
        AmqpValue::Float(value) => Some(value.to_string()),
        AmqpValue::Double(value) => Some(value.to_string()),
        AmqpValue::Timestamp(value) => Some(UnixMillis::from_timestamp(value.0).to_iso8601().to_string()),
        _ => None,
    })
}

/// Completes a message, or rejects it where the query says so.
async fn settle(
    _: DeviceConnect,
    Subject(id): Subject,
    Lock(lock): Lock,
    uri: Uri,
    State(rest): State<Rest>,
) -> Result<Response, Failure> {
    settled(&rest, &id, |hub, now| match rejects(&uri) {
        true => hub.reject(now, &id, &lock),
        false => hub.complete(now, &id, &lock),
    })
}

/// Whether the query has `reject`.
pub(super) fn rejects(uri: &Uri) -> bool {
    let query = crate::hub::decode(uri.query().unwrap_or_default()).into_owned();
    // One client writes the question mark twice.
    let mut names = query.split('&').map(|field| field.split('=').next().unwrap_or_default().trim_start_matches('?'));
    names.any(|name| name.eq_ignore_ascii_case("reject"))
}

async fn abandon(
    _: DeviceConnect,
    Subject(id): Subject,
    Lock(lock): Lock,
    State(rest): State<Rest>,
) -> Result<Response, Failure> {
    settled(&rest, &id, |hub, now| hub.abandon(now, &id, &lock))
}

fn settled<T>(
    rest: &Rest,
    id: &IdentityId,
    work: impl FnOnce(&mut Hub, UnixMillis) -> Result<T, crate::hub::LockLost>,
) -> Result<Response, Failure> {
    rest.shared.hub(|hub, now| {
        usable(hub, id)?;
        hub.touched(now, id);
        let lost = |_| ServiceError::new(ErrorCode::DeviceMessageLockLost, "the lock of the message is gone");
        work(hub, now).map(drop).map_err(lost)
    })?;
    Ok(reply::no_content())
}
