use super::*;
use crate::hub::{DeviceId, EventOrigin, LockToken};
use amqp1_codec::Uuid;
use amqp1_codec::messaging::MessageId;

fn received(message: MessageBuilder) -> Message {
    Message::from_bytes(stored(&Message::from_chunks(message.build().into_parts()).unwrap())).unwrap()
}

fn read(message: EncodedMessage) -> Message {
    Message::from_chunks(message.into_parts()).unwrap()
}

fn for_device(to: &str) -> MessageBuilder {
    let properties = Properties { to: Some(to.into()), message_id: Some("m1".into()), ..Properties::default() };
    Message::builder().properties(properties).application_property("iothub-ack", "full").data("hello")
}

#[test]
fn a_message_of_the_service_is_read_with_what_the_queue_needs() {
    let message = received(for_device("/devices/d1/messages/devicebound"));
    let (id, message) = to_device(&message).unwrap();
    assert_eq!((id.to_string().as_str(), message.ack), ("d1", AckMode::Full));
    assert_eq!(message.message_id.as_deref(), Some("m1"));
    assert_eq!(message.size, "hello".len() + "m1/devices/d1/messages/devicebound".len() + "iothub-ackfull".len());
}

#[test]
fn a_message_id_that_is_a_uuid_becomes_its_text() {
    let id = MessageId::Uuid(Uuid([0x11; 16]));
    let to = Some("/devices/d1/messages/devicebound".into());
    let properties = Properties { to, message_id: Some(id), ..Properties::default() };
    let (_, message) = to_device(&received(Message::builder().properties(properties).data("x"))).unwrap();
    assert_eq!(message.message_id.as_deref(), Some("11111111-1111-1111-1111-111111111111"));
}

#[test]
fn bad_messages_of_the_service_get_their_conditions() {
    let condition = |message: MessageBuilder| to_device(&received(message)).map(drop).unwrap_err();
    let error = condition(for_device("/devices/d1/messages/events"));
    assert_eq!(error.condition.as_str(), "com.microsoft:argument-error");
    let error = condition(for_device("/devices/d1/messages/devicebound").application_property("iothub-ack", 5_i32));
    assert_eq!(error.condition.as_str(), "com.microsoft:argument-error");
}

#[test]
fn a_delivery_to_the_device_has_the_annotations_in_their_types_and_keeps_what_the_service_sent() {
    let payload = stored(&received(for_device("/devices/d1/messages/devicebound").application_property("k", 7_i64)));
    let token = LockToken([7; 16]);
    let message = read(from_cloud(&CloudToDeviceDelivery {
        token,
        sequence_number: 3,
        delivery_count: 2,
        enqueued: UnixMillis(1000),
        locked_until: UnixMillis(2000),
        payload,
    }));
    let annotations = message.message_annotations().unwrap().unwrap();
    assert_eq!(annotations.get("iothub-enqueuedtime"), Some(&Value::Timestamp(Timestamp(1000))));
    assert_eq!(annotations.get("iothub-deliverycount"), Some(&Value::Ubyte(2)));
    assert_eq!(annotations.get("x-opt-sequence-number"), Some(&Value::Ulong(3)));
    assert_eq!(annotations.get("x-opt-lock-token"), Some(&Value::String(token.to_string().into())));
    assert_eq!(message.header().unwrap().unwrap().delivery_count, 2);
    assert_eq!(message.properties().unwrap().unwrap().message_id, Some("m1".into()));
    let application = message.application_properties().unwrap().unwrap();
    assert_eq!((application.get("k"), application.len()), (Some(&Value::Long(7)), 2));
    assert_eq!(message.data().unwrap(), "hello");
}

#[test]
fn every_kind_of_body_comes_out_as_it_went_in() {
    let out = |message: MessageBuilder| read(forwarded(&stored(&received(message)), None, Annotations::new()).build());
    assert_eq!(out(Message::builder().value("text")).value().unwrap(), Some(Value::from("text")));
    let sequence = out(Message::builder().sequence(vec![1_i32.into(), 2_i32.into()]));
    let Body::Sequence(sequences) = sequence.body() else { panic!("another body: {sequence:?}") };
    assert_eq!(sequences.flatten().flatten().count(), 2);
    let two = out(Message::builder().data("a").data("b"));
    assert_eq!(two.data().unwrap(), "ab");
    let Body::Data(sections) = two.body() else { panic!("another body: {two:?}") };
    assert_eq!(sections.count(), 2);
}

fn stored_event(message: MessageBuilder) -> Event {
    Event {
        partition: 0,
        sequence_number: 5,
        offset: 640,
        enqueued: UnixMillis(9000),
        origin: EventOrigin {
            device: DeviceId::new("d1").unwrap(),
            module: None,
            auth_method: "{}".into(),
            generation_id: "637".into(),
            notice: None,
        },
        payload: stored(&received(message)),
    }
}

#[test]
fn an_event_has_the_annotations_in_their_types_and_none_that_the_device_made_up() {
    let own = |key: &'static str| Symbol::from_static(key);
    let sent = Message::builder()
        .message_annotation(own("dt-subject"), "thermostat")
        .message_annotation(own("iothub-connection-device-id"), "somebody-else")
        .message_annotation(own("x-opt-offset"), "0")
        .data("21.5");
    let message = read(event(&stored_event(sent), "localhost", None));
    let annotations = message.message_annotations().unwrap().unwrap();
    for (key, value) in [
        ("x-opt-sequence-number", Value::Long(5)),
        ("x-opt-offset", "640".into()),
        ("x-opt-enqueued-time", Timestamp(9000).into()),
        ("x-opt-partition-key", "d1".into()),
        ("iothub-connection-device-id", "d1".into()),
        ("iothub-connection-auth-method", "{}".into()),
        ("iothub-connection-auth-generation-id", "637".into()),
        ("iothub-enqueuedtime", Timestamp(9000).into()),
        ("iothub-message-source", "Telemetry".into()),
        ("dt-subject", "thermostat".into()),
    ] {
        assert_eq!(annotations.get(key), Some(&value), "{key}");
    }
    assert_eq!(annotations.len(), 10);
    assert!(message.delivery_annotations().unwrap().is_none());
}

#[test]
fn the_state_of_the_partition_comes_along_when_asked_for() {
    let properties = PartitionProperties {
        begin_sequence_number: 0,
        last_sequence_number: 5,
        last_offset: "640".into(),
        last_enqueued: Some(UnixMillis(9000)),
        is_empty: false,
    };
    let message =
        read(event(&stored_event(Message::builder().data("x")), "localhost", Some((&properties, UnixMillis(9999)))));
    let annotations = message.delivery_annotations().unwrap().unwrap();
    assert_eq!(annotations.get("last_enqueued_sequence_number"), Some(&Value::Long(5)));
    assert_eq!(annotations.get("last_enqueued_offset"), Some(&Value::from("640")));
    assert_eq!(annotations.get("runtime_info_retrieval_time_utc"), Some(&Value::Timestamp(Timestamp(9999))));
}

#[test]
fn a_batch_is_taken_apart_and_a_broken_one_is_refused_as_a_whole() {
    let one = |body: &'static str| stored(&received(Message::builder().application_property("n", body).data(body)));
    let batch = received(Message::builder().data(one("a")).data(one("b")));
    let messages = telemetry(&batch, BATCH_FORMAT).unwrap();
    let bodies: Vec<_> = messages.iter().map(|message| message.data().unwrap()).collect();
    assert_eq!(bodies, ["a", "b"]);
    assert_eq!(telemetry(&batch, 0).unwrap().len(), 1);
    let broken = received(Message::builder().data(one("a")).data("no message"));
    assert_eq!(telemetry(&broken, BATCH_FORMAT).unwrap_err().condition.as_str(), "amqp:decode-error");
    let value = received(Message::builder().value("x"));
    assert_eq!(telemetry(&value, BATCH_FORMAT).unwrap_err().condition.as_str(), "amqp:decode-error");
}

#[test]
fn a_feedback_message_has_all_that_clients_insist_on() {
    let message = read(feedback(
        &FeedbackDelivery {
            token: LockToken([9; 16]),
            sequence_number: 1,
            delivery_count: 0,
            enqueued: UnixMillis(500),
            locked_until: UnixMillis(60_500),
            records: 1,
            body: "[]".into(),
        },
        "contoso",
    ));
    let properties = message.properties().unwrap().unwrap();
    assert_eq!(properties.content_type.as_ref().map(Symbol::as_str), Some(FEEDBACK_CONTENT_TYPE));
    assert_eq!(properties.user_id.as_deref(), Some(&b"contoso"[..]));
    let annotations = message.message_annotations().unwrap().unwrap();
    assert_eq!(annotations.get("iothub-enqueuedtime"), Some(&Value::Timestamp(Timestamp(500))));
    assert_eq!(message.data().unwrap(), "[]");
}

#[test]
fn a_batch_has_a_bounded_number_of_messages_though_they_are_empty() {
    let batch = |messages: usize| {
        let empty = stored(&received(Message::builder().data("")));
        received((0..messages).fold(Message::builder(), |batch, _| batch.data(empty.clone())))
    };
    assert_eq!(telemetry(&batch(MAX_BATCH), BATCH_FORMAT).unwrap().len(), MAX_BATCH);
    let error = telemetry(&batch(MAX_BATCH + 1), BATCH_FORMAT).unwrap_err();
    assert_eq!(error.condition.as_str(), "amqp:link:message-size-exceeded");
}
