//! Telemetry: from the device, through the redirect, to the readers.

use crate::support::*;
use amqp1::codec::Described;
use amqp1::{
    Credit, Delivery, ErrorKind, Message, MessageBuilder, Receiver, Session, Symbol, Value,
    link::{Filter, ReceiverBuilder, SendOptions},
    message::{MessageId, Properties, Timestamp},
};
use bytes::{Bytes, BytesMut};
use iothub_emulator::{
    Emulator,
    hub::{IdentityId, IdentitySpec, IfMatch},
};
use serde_json::json;

const SELECTOR: &str = "apache.org:selector-filter:string";
const SELECTOR_CODE: u64 = 0x0000_468C_0000_0004;

/// The address of a device's partition at the Event-Hubs-compatible endpoint.
fn partition_of(hub: &Emulator, device: &str) -> String {
    let number = hub.with_hub(|hub, _| hub.partition_of(&device.parse().unwrap()));
    format!("localhost/ConsumerGroups/$Default/Partitions/{number}")
}

async fn report(session: &Session, device: &str, bodies: &[&'static str]) {
    let sender = session.sender(events(device)).attach().await.unwrap();
    for body in bodies {
        sender.send(*body).await.unwrap().into_result().unwrap();
    }
    sender.close().await.unwrap();
}

fn selector(receiver: ReceiverBuilder, expression: &'static str) -> ReceiverBuilder {
    receiver.filter(Filter::new(Symbol::from_static(SELECTOR), SELECTOR_CODE, expression))
}

async fn bodies(receiver: &mut Receiver, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = next(receiver).await;
        assert!(delivery.is_settled());
        bodies.push(body(&delivery));
    }
    bodies
}

#[tokio::test]
async fn the_hub_redirects_readers_to_the_endpoint_and_the_same_token_is_good_there() {
    let (hub, _) = hub().await;
    report(&device(&hub, "a").await, "a", &["21.5"]).await;
    let number = hub.with_hub(|hub, _| hub.partition_of(&"a".parse().unwrap()));
    let session = service(&hub).await;
    let at_hub = session.receiver(format!("/messages/events/ConsumerGroups/$Default/Partitions/{number}"));
    let error = at_hub.attach().await.unwrap_err();
    let info = error.amqp_error().unwrap();
    assert_eq!((info.condition.as_str(), info.description.as_ref()), ("amqp:link:redirect", None));
    let port = hub.local_addr().port();
    assert_eq!(info.info.as_ref().unwrap().get("port"), Some(&Value::Int(i32::from(port))));
    let redirect = error.redirect().unwrap();
    assert_eq!((redirect.hostname.as_deref(), redirect.port), (Some("localhost"), Some(port)));
    assert_eq!(redirect.network_host, redirect.hostname);
    let address = redirect.address.unwrap();
    assert_eq!(address, format!("amqps://localhost:{port}/localhost/ConsumerGroups/$Default/Partitions/{number}"));

    // As the client of the article does it: a token for the whole address, signed with the text of the key.
    let key = amqp1::auth::sas::SasKey::from_raw_text(SERVICE_KEY).unwrap();
    let encoding = amqp1::auth::sas::PercentEncoding::Component;
    let token = key.sign(&address, encoding, (NOW + HOUR).into(), Some("service"));
    let mut cbs = Cbs::open(&hub).await;
    cbs.put(token.into_secret_text()).await.outcome().unwrap();
    let mut reader = cbs.session.receiver(address).attach().await.unwrap();
    assert_eq!(bodies(&mut reader, 1).await, ["21.5"]);
    let other = format!("localhost/ConsumerGroups/$Default/Partitions/{}", (number + 1) % 4);
    assert_eq!(refusal(cbs.session.receiver(other).attach().await), "amqp:unauthorized-access");
    for address in ["/messages/events", "/messages/events/$management"] {
        assert_eq!(refusal(session.receiver(address).attach().await), "amqp:link:redirect");
        assert_eq!(refusal(session.sender(address).attach().await), "amqp:link:redirect");
    }
}

#[tokio::test]
async fn an_event_says_who_sent_it_when_and_how() {
    let (hub, _) = hub().await;
    let sender = device(&hub, "a").await.sender(events("a")).attach().await.unwrap();
    let properties = Properties { message_id: Some("m".into()), ..Properties::default() };
    let message = Message::builder()
        .properties(properties)
        .application_property("level", 3)
        .message_annotation(Symbol::from_static("dt-subject"), "thermostat")
        .data("21.5");
    sender.send(message).await.unwrap().into_result().unwrap();
    let mut reader = service(&hub).await.receiver(partition_of(&hub, "a")).attach().await.unwrap();
    let delivery = next(&mut reader).await;
    let annotations = delivery.message().message_annotations().unwrap().unwrap();
    let now = Value::from(Timestamp(i64::try_from(NOW).unwrap() * 1000));
    for (key, value) in [
        ("iothub-connection-device-id", Value::from("a")),
        (
            "iothub-connection-auth-method",
            r#"{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"#.into(),
        ),
        ("iothub-message-source", "Telemetry".into()),
        ("iothub-enqueuedtime", now.clone()),
        ("x-opt-enqueued-time", now),
        ("x-opt-sequence-number", Value::Long(0)),
        ("x-opt-offset", "0".into()),
        ("x-opt-partition-key", "a".into()),
        ("dt-subject", "thermostat".into()),
    ] {
        assert_eq!(annotations.get(key), Some(&value), "{key}");
    }
    assert_eq!(delivery.message().properties().unwrap().unwrap().message_id, Some(MessageId::from("m")));
    assert_eq!(delivery.message().application_property("level").unwrap().unwrap().as_integer(), Some(3));
}

#[tokio::test]
async fn selectors_choose_where_reading_begins() {
    let (hub, clock) = hub().await;
    let reporter = device(&hub, "a").await;
    report(&reporter, "a", &["one", "two"]).await;
    clock.advance(core::time::Duration::from_secs(60));
    report(&reporter, "a", &["three"]).await;
    let session = service(&hub).await;
    let from = async |expression: String, count| {
        let descriptor = Value::from(Symbol::from_static(SELECTOR));
        let receiver = session.receiver(partition_of(&hub, "a"));
        let receiver = receiver.filter(Filter::new(Symbol::from_static(SELECTOR), descriptor, expression.as_str()));
        let mut reader = receiver.attach().await.unwrap();
        let read = bodies(&mut reader, count).await;
        assert!(has_nothing(&mut reader).await, "{expression}");
        reader.close().await.unwrap();
        read
    };
    let annotation = "amqp.annotation.x-opt";
    assert_eq!(from(format!("{annotation}-offset > '-1'"), 3).await, ["one", "two", "three"]);
    assert_eq!(from(format!("{annotation}-sequence-number > 0"), 2).await, ["two", "three"]);
    assert_eq!(from(format!("{annotation}-sequence-number >= '2'"), 1).await, ["three"]);
    assert_eq!(from(format!("{annotation}-enqueued-time > '{}'", NOW * 1000), 1).await, ["three"]);
    let mut latest = selector(session.receiver(partition_of(&hub, "a")), "amqp.annotation.x-opt-offset > '@latest'");
    latest = latest.credit(Credit::Window(1));
    let mut latest = latest.attach().await.unwrap();
    let echoed = latest.remote_attach().source.unwrap().filter.unwrap();
    assert!(matches!(echoed.get(SELECTOR), Some(Value::Described(filter))
        if matches!(&**filter, Described { descriptor: Value::Ulong(SELECTOR_CODE), .. })));
    report(&reporter, "a", &["four", "five"]).await;
    assert_eq!(bodies(&mut latest, 2).await, ["four", "five"]);
}

#[tokio::test]
async fn a_reader_whose_position_lies_beyond_the_end_is_refused_and_takes_no_place() {
    let (hub, _) = hub().await;
    let session = service(&hub).await;
    let refused = async |expression: &'static str| {
        let error = selector(session.receiver(partition_of(&hub, "a")), expression).attach().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LinkRefused);
        let error = error.amqp_error().unwrap();
        assert_eq!(error.condition.as_str(), "com.microsoft:argument-error", "{expression}");
        error.description.clone().unwrap().to_string()
    };
    // As after a restart: the checkpoint is of a log that is gone.
    for _ in 0..10 {
        assert_eq!(
            refused("amqp.annotation.x-opt-sequence-number > '2995'").await,
            "The supplied sequence number '2995' is invalid. The last sequence number in the system is '-1'"
        );
    }
    report(&device(&hub, "a").await, "a", &["one", "two"]).await;
    let properties = hub.with_hub(|hub, _| hub.partition_properties(hub.partition_of(&"a".parse().unwrap())).unwrap());
    assert_eq!(
        refused("amqp.annotation.x-opt-offset >= '4711'").await,
        format!("The supplied offset '4711' is invalid. The last offset in the system is '{}'", properties.last_offset)
    );
    let mut last = selector(session.receiver(partition_of(&hub, "a")), "amqp.annotation.x-opt-sequence-number > '1'");
    last = last.credit(Credit::Window(10));
    let mut last = last.attach().await.unwrap();
    report(&device(&hub, "a").await, "a", &["three"]).await;
    assert_eq!(bodies(&mut last, 1).await, ["three"]);
}

#[tokio::test]
async fn readers_of_what_is_not_there_are_refused() {
    let (hub, _) = hub().await;
    let session = service(&hub).await;
    let bad = selector(session.receiver(partition_of(&hub, "a")), "colour = 'red'");
    assert_eq!(refusal(bad.attach().await), "amqp:invalid-field");
    for address in [
        "localhost/ConsumerGroups/$Default/Partitions/4",
        "localhost/ConsumerGroups/mine/Partitions/0",
        "elsewhere/ConsumerGroups/$Default/Partitions/0",
    ] {
        assert_eq!(refusal(session.receiver(address).attach().await), "amqp:not-found", "{address}");
    }
}

#[tokio::test]
async fn a_reader_with_an_epoch_pushes_out_those_with_a_lower_one() {
    let (hub, _) = hub().await;
    let session = service(&hub).await;
    let reader = |epoch: Option<i64>| {
        let receiver = session.receiver(partition_of(&hub, "a"));
        match epoch {
            Some(epoch) => receiver.property(Symbol::from_static("com.microsoft:epoch"), epoch),
            None => receiver,
        }
    };
    let without = reader(None).attach().await.unwrap();
    let low = reader(Some(1)).attach().await.unwrap();
    assert_eq!(without.detached().await.error.expect("a reason").condition.as_str(), "amqp:link:stolen");
    let mut high = reader(Some(2)).attach().await.unwrap();
    assert_eq!(low.detached().await.error.expect("a reason").condition.as_str(), "amqp:link:stolen");
    assert_eq!(refusal(reader(Some(1)).attach().await), "amqp:link:stolen");
    assert_eq!(refusal(reader(None).attach().await), "amqp:link:stolen");
    report(&device(&hub, "a").await, "a", &["21.5"]).await;
    assert_eq!(bodies(&mut high, 1).await, ["21.5"]);
    // Its place is free once it has left.
    high.close().await.unwrap();
    while reader(None).attach().await.is_err() {
        tokio::task::yield_now().await;
    }
}

fn octets(message: MessageBuilder) -> Bytes {
    let mut octets = BytesMut::new();
    message.build().chunks().for_each(|chunk| octets.extend_from_slice(chunk));
    octets.freeze()
}

#[tokio::test]
async fn a_batch_becomes_as_many_events_and_is_taken_as_a_whole() {
    let (hub, _) = hub_with(|settings| settings.telemetry.max_size = 1000).await;
    let sender = device(&hub, "a").await.sender(events("a")).attach().await.unwrap();
    let batch = |bodies: &[&str]| {
        bodies.iter().fold(Message::builder(), |batch, body| {
            let message = Message::builder().application_property("n", *body).data((*body).to_owned());
            batch.data(octets(message))
        })
    };
    let options = SendOptions { message_format: 0x8001_3700, ..SendOptions::default() };
    let send = async |message: MessageBuilder| sender.send_with(message, options).await.unwrap();
    send(batch(&["one", "two"])).await.into_result().unwrap();
    let large = "x".repeat(400);
    assert_eq!(rejection(send(batch(&[&large, &large, &large])).await), "amqp:link:message-size-exceeded");
    assert_eq!(rejection(send(Message::builder().data("no message")).await), "amqp:decode-error");
    let mut reader = service(&hub).await.receiver(partition_of(&hub, "a")).attach().await.unwrap();
    assert_eq!(bodies(&mut reader, 2).await, ["one", "two"]);
    assert!(has_nothing(&mut reader).await);
}

#[tokio::test]
async fn consumer_groups_are_those_of_the_settings_whatever_their_case() {
    let clock = iothub_emulator::ManualClock::new(iothub_emulator::hub::UnixMillis(NOW * 1000));
    let hub = Emulator::builder().policy("service", SERVICE_KEY).clock(clock);
    let hub = hub.consumer_group("Dashboards").consumer_group("$default").start().await.unwrap();
    assert_eq!(hub.with_hub(|hub, _| hub.settings().consumer_groups.len()), 2);
    let session = service(&hub).await;
    for group in ["dashboards", "DASHBOARDS", "$Default"] {
        session.receiver(format!("localhost/ConsumerGroups/{group}/Partitions/0")).attach().await.unwrap();
    }
    let unknown = session.receiver("localhost/ConsumerGroups/other/Partitions/0").attach().await;
    assert_eq!(refusal(unknown), "amqp:not-found");
}

/// All three kinds, with each of their operations.
#[tokio::test]
async fn events_of_the_hub_itself_say_what_they_are_about() {
    let (hub, _) = hub_with(|settings| {
        settings.partitions = 1;
        settings.events.connection_state = true;
        settings.events.lifecycle = true;
        settings.events.twin_changes = true;
    })
    .await;
    let mut events =
        service(&hub).await.receiver("localhost/ConsumerGroups/$Default/Partitions/0").attach().await.unwrap();
    // Those of the settings are registered when the hub starts, without an event.
    assert!(has_nothing(&mut events).await);
    let id = IdentityId::of_module("b".parse().unwrap(), "n".parse().unwrap());
    hub.with_hub(|hub, now| {
        hub.create_identity(now, IdentitySpec::new(id.clone())).unwrap();
        let patch = json!({ "tags": { "floor": 1 }, "properties": { "desired": { "fan": 2 } } });
        hub.patch_twin(now, &id, &IfMatch::Any, &patch).unwrap();
        hub.replace_twin(now, &id, &IfMatch::Any, &patch).unwrap();
        hub.delete_identity(now, &IfMatch::Any, &id).unwrap();
    });
    let lifecycle = "deviceLifecycle";
    for (kind, operation, field) in [
        (lifecycle, "createDeviceIdentity", "/properties/desired"),
        ("twinChange", "updateTwin", "/properties/desired/fan"),
        ("twinChange", "replaceTwin", "/tags/floor"),
        (lifecycle, "deleteDeviceIdentity", "/properties/reported"),
    ] {
        check_notice(&next(&mut events).await, ("b", "n"), kind, operation, field);
    }
    let session = device(&hub, "a").await;
    let module = session.receiver("/devices/a/modules/m/twin").attach().await.unwrap();
    module.close().await.unwrap();
    for operation in ["deviceConnected", "deviceDisconnected"] {
        let event = next(&mut events).await;
        check_notice(&event, ("a", "m"), "deviceConnectionState", operation, "/sequenceNumber");
    }
}

fn check_notice(event: &Delivery, of: (&str, &str), kind: &str, operation: &str, field: &str) {
    let message = event.message();
    let source = message.message_annotation("iothub-message-source").unwrap().unwrap();
    assert_eq!(source.as_text(), Some(&*format!("{kind}Events")));
    assert!(message.message_annotation("iothub-connection-auth-method").unwrap().is_none());
    let device = message.message_annotation("iothub-connection-device-id").unwrap().unwrap();
    assert_eq!(device.as_text(), Some(of.0));
    let property = |name: &str| message.application_property(name).unwrap().unwrap().as_text().map(str::to_owned);
    for (name, value) in [
        ("hubName", "localhost"),
        ("deviceId", of.0),
        ("moduleId", of.1),
        ("opType", operation),
        ("iothub-message-schema", &format!("{kind}Notification")),
    ] {
        assert_eq!(property(name).as_deref(), Some(value), "{operation}");
    }
    assert!(property("operationTimestamp").unwrap().ends_with('Z'));
    let properties = message.properties().unwrap().unwrap();
    assert_eq!(properties.content_type.unwrap().as_str(), "application/json");
    assert_eq!(properties.user_id.as_deref(), Some(&b"localhost"[..]));
    let body: serde_json::Value = serde_json::from_str(&body(event)).unwrap();
    assert!(body.pointer(field).is_some(), "{operation}: {body}");
}
