//! Messages as the hub takes them in and as it gives them out.

use amqp1_codec::definitions::AmqpError;
use amqp1_codec::message::{Body, EncodedMessage, Message, MessageBuilder};
use amqp1_codec::messaging::{Annotations, Header, Properties};
use amqp1_codec::{DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Symbol, Timestamp, Value, ValueRef};
use bytes::{Bytes, BytesMut};

use crate::hub::{
    AckMode, CloudToDevice, CloudToDeviceDelivery, EnqueueError, ErrorCode, Event, FEEDBACK_CONTENT_TYPE,
    FILE_NOTIFICATION_CONTENT_TYPE, FeedbackDelivery, FileNotification, Hub, IdentityId, ModuleInput, Notice,
    PartitionProperties, ServiceError, UnixMillis,
};

/// How the emulator writes: some clients index lists without looking at their length.
pub(crate) const STYLE: EncodeStyle = EncodeStyle::Full;

/// The message-format of a batch of telemetry: each data section is a message of its own.
pub(crate) const BATCH_FORMAT: u32 = 0x8001_3700;

/// Most messages of a batch of telemetry, as documented.
pub(crate) const MAX_BATCH: usize = 500;

/// Annotations that a device may set itself and a reader gets to see.
const DEVICE_ANNOTATIONS: [&str; 5] =
    ["Correlation-Context", "Diagnostic-Id", "dt-dataschema", "dt-subject", "iothub-interface-id"];

/// Why a message is not taken: the error of the *rejected* outcome.
pub(crate) fn malformed(error: DecodeError) -> AmqpError {
    AmqpError::new(
        amqp1_codec::definitions::ErrorCondition::DECODE_ERROR,
        format!("400006 ErrorCode:IotHubFormatError; the message is malformed: {error}"),
    )
}

/// What is tolerated in messages, as they come and when they are read again.
fn limits() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.any_section_order = true;
    limits.string_annotation_keys = true;
    limits.loose_properties = true;
    limits.compound_application_properties = true;
    limits
}

/// A stored message, as it was validated.
pub(crate) fn read_again(payload: &Bytes) -> Message {
    Message::received([payload.clone()], limits())
}

/// The message's sections, whatever its format is. The hub looks into all of them, and rejects what it cannot read.
fn looked_into(message: &Message) -> Result<Message, AmqpError> {
    let opaque = message.layout_error().is_some_and(|error| error.kind == DecodeErrorKind::OpaqueMessage);
    let message = if opaque { message.scanned() } else { message.clone() };
    message.validate().map_err(malformed)?;
    Ok(message)
}

/// The message as one piece of octets that keeps no other buffer alive.
pub(crate) fn stored(message: &Message) -> Bytes {
    let mut octets = BytesMut::with_capacity(message.encoded_len());
    message.to_encoded().chunks().for_each(|chunk| octets.extend_from_slice(chunk));
    octets.freeze()
}

/// What counts against a size limit: the body, the values of the system properties, the names and values of the
/// user's.
pub(crate) fn size(message: &Message) -> Result<usize, DecodeError> {
    let body: usize = match message.body() {
        Body::Malformed(error) => return Err(error),
        Body::Empty => 0,
        Body::Data(sections) => sections.map(|section| section.len()).sum(),
        Body::Value(value) => value.to_value()?.encoded_len(EncodeStyle::Compact),
        Body::Sequence(sequences) => {
            let mut octets = 0;
            for sequence in sequences {
                octets += sequence?.iter().map(|value| value.encoded_len(EncodeStyle::Compact)).sum::<usize>();
            }
            octets
        }
    };
    let system = message.properties()?.map_or(0, |properties| system_values(&properties));
    let user = message
        .application_properties()?
        .map_or(0, |properties| properties.iter().map(|(name, value)| value_len(name) + value_len(value)).sum());
    Ok(body + system + user)
}

fn system_values(properties: &Properties) -> usize {
    let text = |text: &Option<amqp1_codec::Str>| text.as_ref().map_or(0, |text| text.as_str().len());
    let symbol = |symbol: &Option<Symbol>| symbol.as_ref().map_or(0, |symbol| symbol.as_str().len());
    let ids = [&properties.message_id, &properties.correlation_id];
    let ids: usize = ids.into_iter().flatten().map(|id| value_len(&id.clone().into())).sum();
    let times = [&properties.absolute_expiry_time, &properties.creation_time];
    ids + times.into_iter().flatten().count() * 8
        + properties.user_id.as_ref().map_or(0, Bytes::len)
        + [&properties.to, &properties.subject, &properties.reply_to, &properties.group_id]
            .map(text)
            .iter()
            .sum::<usize>()
        + symbol(&properties.content_type)
        + symbol(&properties.content_encoding)
}

fn value_len(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Symbol(text) => text.as_str().len(),
        Value::Binary(octets) => octets.len(),
        other => other.encoded_len(EncodeStyle::Compact).saturating_sub(1),
    }
}

/// A cloud-to-device message from the service: for whom it is, and what the queue needs to know.
pub(crate) fn to_device(message: &Message) -> Result<(IdentityId, CloudToDevice), AmqpError> {
    let message = &looked_into(message)?;
    let properties = message.properties().map_err(malformed)?.unwrap_or_default();
    let id = Hub::destination(properties.to.as_ref().map(|to| to.as_str())).map_err(|error| refused(&error))?;
    let ack = match message.application_property("iothub-ack").map_err(malformed)? {
        None | Some(ValueRef::Null) => AckMode::None,
        Some(value) => {
            value.as_text().map_or(Err(EnqueueError::BadAck), str::parse).map_err(|error| refused(&error))?
        }
    };
    Ok((
        id,
        CloudToDevice {
            message_id: properties.message_id.map(|id| id.to_string()),
            ack,
            expiry: properties.absolute_expiry_time.map(|time| UnixMillis::from_timestamp(time.0)),
            size: size(message).map_err(malformed)?,
            payload: stored(message),
        },
    ))
}

/// The error of the *rejected* outcome for a message that the queue does not take.
pub(crate) fn refused(error: &EnqueueError) -> AmqpError {
    error_of(error.condition(), error)
}

/// The error for what a tier does not allow.
pub(crate) fn throttled(error: &ServiceError) -> AmqpError {
    let condition = match error.code() {
        ErrorCode::IotHubQuotaExceeded => "com.microsoft:quota-exceeded",
        _ => "com.microsoft:device-container-throttled",
    };
    error_of(condition, error)
}

/// An error with a condition of the hub's and a text.
pub(crate) fn error_of(condition: &'static str, text: &impl core::fmt::Display) -> AmqpError {
    AmqpError::new(amqp1_codec::definitions::ErrorCondition::from_static(condition), text.to_string())
}

/// A cloud-to-device message for its device.
pub(crate) fn from_cloud(delivery: &CloudToDeviceDelivery) -> EncodedMessage {
    let mut annotations = Annotations::new();
    annotations.insert(Symbol::from_static("iothub-enqueuedtime"), Timestamp(delivery.enqueued.to_timestamp()));
    let count = u8::try_from(delivery.delivery_count).unwrap_or(u8::MAX);
    annotations.insert(Symbol::from_static("iothub-deliverycount"), count);
    annotations.insert(Symbol::from_static("x-opt-sequence-number"), delivery.sequence_number);
    annotations.insert(Symbol::from_static("x-opt-lock-token"), delivery.token.to_string());
    let header = Header { delivery_count: delivery.delivery_count, ..Header::default() };
    forwarded(&delivery.payload, Some(header), annotations).build()
}

/// A message for an input of its module.
pub(crate) fn to_input(id: &IdentityId, input: &ModuleInput) -> EncodedMessage {
    let mut annotations = Annotations::new();
    annotations.insert(Symbol::from_static("x-opt-input-name"), &*input.name);
    annotations.insert(Symbol::from_static("iothub-connection-device-id"), id.device.as_str());
    if let Some(module) = &id.module {
        annotations.insert(Symbol::from_static("iothub-connection-module-id"), module.as_str());
    }
    forwarded(&input.payload, None, annotations).build()
}

/// The message of `payload` with another header and other annotations.
fn forwarded(payload: &Bytes, header: Option<Header>, annotations: Annotations) -> MessageBuilder {
    let mut builder = Message::builder().style(STYLE).message_annotations(annotations);
    if let Some(header) = header {
        builder = builder.header(header);
    }
    // What is stored has been validated, so no part of this is left out.
    let message = read_again(payload);
    if let Ok(Some(properties)) = message.properties() {
        builder = builder.properties(properties);
    }
    if let Ok(Some(properties)) = message.application_properties() {
        builder = builder.application_properties(properties);
    }
    match message.body() {
        Body::Empty | Body::Malformed(_) => builder.data(Bytes::new()),
        Body::Data(sections) => {
            sections.fold(builder, |builder, section| builder.data(section.chunks().next().unwrap_or_default()))
        }
        Body::Value(value) => builder.value(value.to_value().unwrap_or_default()),
        Body::Sequence(sequences) => sequences.flatten().fold(builder, |builder, sequence| builder.sequence(sequence)),
    }
}

/// A batch of feedback records. Some clients insist on each of its properties.
pub(crate) fn feedback(delivery: &FeedbackDelivery, hub_name: &str) -> EncodedMessage {
    Message::builder()
        .style(STYLE)
        .header(Header { delivery_count: delivery.delivery_count, ..Header::default() })
        .message_annotation(Symbol::from_static("iothub-enqueuedtime"), Timestamp(delivery.enqueued.to_timestamp()))
        .message_annotation(Symbol::from_static("x-opt-sequence-number"), delivery.sequence_number)
        .message_annotation(Symbol::from_static("x-opt-lock-token"), delivery.token.to_string())
        .properties(Properties {
            message_id: Some(delivery.token.to_string().into()),
            user_id: Some(Bytes::copy_from_slice(hub_name.as_bytes())),
            content_type: Some(Symbol::from_static(FEEDBACK_CONTENT_TYPE)),
            content_encoding: Some(Symbol::from_static("utf-8")),
            ..Properties::default()
        })
        .data(delivery.body.clone())
        .build()
}

/// A file notification. Its properties are those of feedback.
pub(crate) fn file_notification(notification: &FileNotification, hub_name: &str) -> EncodedMessage {
    Message::builder()
        .style(STYLE)
        .header(Header { delivery_count: notification.delivery_count, ..Header::default() })
        .message_annotation(Symbol::from_static("iothub-enqueuedtime"), Timestamp(notification.enqueued.to_timestamp()))
        .message_annotation(Symbol::from_static("x-opt-sequence-number"), notification.sequence_number)
        .message_annotation(Symbol::from_static("x-opt-lock-token"), notification.token.to_string())
        .properties(Properties {
            message_id: Some(notification.token.to_string().into()),
            user_id: Some(Bytes::copy_from_slice(hub_name.as_bytes())),
            content_type: Some(Symbol::from_static(FILE_NOTIFICATION_CONTENT_TYPE)),
            content_encoding: Some(Symbol::from_static("utf-8")),
            ..Properties::default()
        })
        .data(notification.body.clone())
        .build()
}

/// The messages of a telemetry transfer: one, or those of a batch.
pub(crate) fn telemetry(message: &Message, message_format: u32) -> Result<Vec<Message>, AmqpError> {
    if message_format != BATCH_FORMAT {
        return looked_into(message).map(|message| vec![message]);
    }
    let batch = message.scanned();
    let Body::Data(sections) = batch.body() else {
        return Err(error_of("amqp:decode-error", &"400006 ErrorCode:IotHubFormatError; a batch has data sections"));
    };
    if sections.count() > MAX_BATCH {
        let text = format!("413001 ErrorCode:MessageTooLarge; a batch has {MAX_BATCH} messages at most");
        return Err(error_of("amqp:link:message-size-exceeded", &text));
    }
    sections
        .map(|section| {
            let message = Message::received(section.chunks(), limits());
            message.validate().map_err(malformed)?;
            Ok(message)
        })
        .collect()
}

/// The time of a partition's newest event. The service writes the first instant of the year 1 where there never was one.
pub(crate) fn last_enqueued(properties: &PartitionProperties) -> Timestamp {
    const NEVER: Timestamp = Timestamp(-62_135_596_800_000);
    properties.last_enqueued.map_or(NEVER, |at| Timestamp(at.to_timestamp()))
}

/// A telemetry event for its reader, with `runtime` if the reader asked for the partition's state.
pub(crate) fn event(
    event: &Event,
    hub_name: &str,
    runtime: Option<(&PartitionProperties, UnixMillis)>,
) -> EncodedMessage {
    let mut annotations = Annotations::new();
    let mut set = |key: &'static str, value: Value| annotations.insert(Symbol::from_static(key), value);
    let enqueued = Timestamp(event.enqueued.to_timestamp());
    set("x-opt-sequence-number", event.sequence_number.into());
    set("x-opt-offset", event.offset.to_string().into());
    set("x-opt-enqueued-time", enqueued.into());
    set("x-opt-partition-key", event.origin.device.as_str().into());
    set("iothub-connection-device-id", event.origin.device.as_str().into());
    if let Some(module) = &event.origin.module {
        set("iothub-connection-module-id", module.as_str().into());
    }
    if event.origin.notice.is_none() {
        set("iothub-connection-auth-method", (&*event.origin.auth_method).into());
    }
    set("iothub-connection-auth-generation-id", (&*event.origin.generation_id).into());
    set("iothub-enqueuedtime", enqueued.into());
    let source = event.origin.notice.as_ref().map_or("Telemetry", |notice| notice.kind.source());
    set("iothub-message-source", source.into());
    if event.origin.notice.is_none()
        && let Ok(Some(own)) = read_again(&event.payload).message_annotations()
    {
        for key in DEVICE_ANNOTATIONS {
            if let Some(value) = own.get(key) {
                set(key, value.clone());
            }
        }
    }
    let mut builder = match &event.origin.notice {
        Some(notice) => of_notice(event, notice, hub_name, annotations),
        None => forwarded(&event.payload, None, annotations),
    };
    if let Some((properties, now)) = runtime {
        let last = last_enqueued(properties);
        builder = builder
            .delivery_annotation(Symbol::from_static("last_enqueued_sequence_number"), properties.last_sequence_number)
            .delivery_annotation(Symbol::from_static("last_enqueued_offset"), properties.last_offset.as_str())
            .delivery_annotation(Symbol::from_static("last_enqueued_time_utc"), last)
            .delivery_annotation(Symbol::from_static("runtime_info_retrieval_time_utc"), Timestamp(now.to_timestamp()));
    }
    builder.build()
}

/// An event of the hub itself.
fn of_notice(event: &Event, notice: &Notice, hub_name: &str, annotations: Annotations) -> MessageBuilder {
    let origin = &event.origin;
    let mut builder = Message::builder()
        .style(STYLE)
        .message_annotations(annotations)
        .properties(Properties {
            user_id: Some(Bytes::copy_from_slice(hub_name.as_bytes())),
            correlation_id: Some(format!("{:08x}-{:x}", event.partition, event.sequence_number).into()),
            content_type: Some(Symbol::from_static("application/json")),
            content_encoding: Some(Symbol::from_static("utf-8")),
            ..Properties::default()
        })
        .application_property("hubName", hub_name)
        .application_property("deviceId", origin.device.as_str())
        .application_property("opType", notice.kind.operation())
        .application_property("iothub-message-schema", notice.kind.schema())
        .application_property("operationTimestamp", notice.at.to_iso8601().to_string());
    if let Some(module) = &origin.module {
        builder = builder.application_property("moduleId", module.as_str());
    }
    builder.data(event.payload.clone())
}

#[cfg(test)]
mod tests;
