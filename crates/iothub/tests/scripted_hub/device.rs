use crate::support::{ScriptedHub, delivery, error, pki, soon};
use amqp1::{
    Message, Outcome, Symbol,
    link::SendOptions,
    message::{MessageId, Properties, Timestamp},
};
use iothub::{Ack, DeviceClient, ErrorKind, Telemetry};
use std::sync::Arc;

const DEVICE_BOUND: &str = "/devices/d1/messages/devicebound";

pub(crate) async fn connect(hub: &ScriptedHub) -> Arc<DeviceClient> {
    let builder = DeviceClient::builder().connection_string(&hub.device_string()).expect("a connection string");
    let client = builder.ca_pem(&pki().ca).expect("a certificate").connect();
    Arc::new(soon("a connection", client).await.expect("the hub takes everyone"))
}

fn receive(
    client: &Arc<DeviceClient>,
) -> tokio::task::JoinHandle<Result<iothub::CloudToDeviceReceiver, iothub::Error>> {
    let client = client.clone();
    tokio::spawn(async move { client.cloud_to_device().await })
}

fn message(id: &'static str) -> amqp1::MessageBuilder {
    let annotation = Symbol::from_static;
    let properties = Properties {
        message_id: Some(MessageId::from(id)),
        to: Some(DEVICE_BOUND.into()),
        content_type: Some(Symbol::from_static("text/plain")),
        absolute_expiry_time: Some(Timestamp(1_795_378_060_000)),
        ..Properties::default()
    };
    Message::builder()
        .properties(properties)
        .application_property("iothub-ack", "full")
        .application_property("level", "3")
        .message_annotation(annotation("iothub-enqueuedtime"), Timestamp(1_795_378_051_000))
        .message_annotation(annotation("iothub-deliverycount"), 2u8)
        .message_annotation(annotation("x-opt-sequence-number"), 7u64)
        .message_annotation(annotation("x-opt-lock-token"), "lock")
        .data("open")
}

#[tokio::test]
async fn a_message_is_received_with_all_that_the_hub_says_about_it() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let receiving = receive(&client);
    let sender = hub.next_sender(DEVICE_BOUND).await;
    let mut messages = soon("an attach", receiving).await.expect("no panic").expect("accepted");
    assert_eq!(
        soon("credit", async {
            drop(sender.reserve().await);
            sender.credit()
        })
        .await,
        50
    );

    let receipt = sender.reserve().await.expect("credit").send(message("m1")).expect("sent");
    let received = soon("a message", messages.next()).await.expect("a message").expect("not detached");
    assert_eq!(&received.body()[..], b"open");
    assert_eq!((received.message_id(), received.to()), (Some("m1"), Some(DEVICE_BOUND)));
    assert_eq!((received.content_type(), received.property("level")), (Some("text/plain"), Some("3")));
    assert_eq!((received.delivery_count(), received.sequence_number()), (Some(2), Some(7)));
    assert_eq!((received.ack(), received.lock_token().as_deref()), (Ack::Full, Some("lock")));
    let since_1970 = |time: Option<std::time::SystemTime>| {
        time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map(|time| time.as_secs())
    };
    assert_eq!(since_1970(received.enqueued_time()), Some(1_795_378_051));
    assert_eq!(since_1970(received.expiry()), Some(1_795_378_060));
    received.complete().expect("the link is there");
    assert_eq!(soon("the outcome", receipt).await.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test]
async fn messages_are_settled_as_the_device_says_and_not_at_all_when_dropped() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let receiving = receive(&client);
    let sender = hub.next_sender(DEVICE_BOUND).await;
    let mut messages = soon("an attach", receiving).await.expect("no panic").expect("accepted");
    let mut receipts = Vec::new();
    for (index, id) in ["dropped", "abandoned", "rejected", "completed"].into_iter().enumerate() {
        let tag = amqp1::link::DeliveryTag::from([u8::try_from(index).expect("few"); 16]);
        let options = SendOptions { tag: Some(tag), ..SendOptions::default() };
        receipts.push(sender.reserve().await.expect("credit").send_with(message(id), options).expect("sent"));
    }
    for _ in 0..4 {
        let received = soon("a message", messages.next()).await.expect("a message").expect("not detached");
        match received.message_id() {
            Some("abandoned") => received.abandon().expect("the link is there"),
            Some("rejected") => received.reject().expect("the link is there"),
            Some("completed") => received.complete().expect("the link is there"),
            _ => drop(received),
        }
    }
    let mut receipts = receipts.into_iter();
    let dropped = tokio::spawn(receipts.next().expect("four"));
    for expected in [Outcome::Released, Outcome::Rejected(None), Outcome::Accepted] {
        let outcome = soon("the outcome", receipts.next().expect("four")).await;
        assert_eq!(outcome.expect("an outcome"), expected);
    }
    // All others are settled: so would this one be by now.
    assert!(!dropped.is_finished());
    client.close().await.expect("a clean close");
    soon("the end", dropped).await.expect("no panic").expect_err("the link ended without an outcome");
}

#[tokio::test]
async fn a_refused_link_says_why() {
    for (condition, kind) in
        [("amqp:not-found", ErrorKind::DeviceNotFound), ("amqp:unauthorized-access", ErrorKind::Unauthorized)]
    {
        let mut hub = ScriptedHub::start().await;
        let client = connect(&hub).await;
        let receiving = receive(&client);
        hub.next_link().await.0.reject(error(condition, "no such thing"));
        let error = soon("an answer", receiving).await.expect("no panic").expect_err("refused");
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("no such thing"), "{error}");
    }
}

#[tokio::test]
async fn telemetry_is_sent_to_the_devices_address() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let sending = tokio::spawn({
        let client = client.clone();
        let telemetry = Telemetry::new("21").message_id("t1").subject("thermostat").property("room", "3");
        async move { client.send(telemetry).await }
    });
    let mut messages = hub.next_receiver("/devices/d1/messages/events").await;
    let received = delivery(&mut messages).await;
    let annotation = received.message().message_annotation("dt-subject").expect("decodes");
    assert_eq!(annotation.and_then(|value| value.as_text()), Some("thermostat"));
    let property = received.message().application_property("room").expect("decodes");
    assert_eq!(property.and_then(|value| value.as_text()), Some("3"));
    received.accept().expect("the link is there");
    soon("the outcome", sending).await.expect("no panic").expect("accepted");
}

#[tokio::test]
async fn a_connection_that_the_hub_ends_ends_the_receiver() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let receiving = receive(&client);
    let (link, connection) = hub.next_link().await;
    let _sender = crate::support::accept_sender(link);
    let mut messages = soon("an attach", receiving).await.expect("no panic").expect("accepted");
    let _ = connection.close_with(Some(error("amqp:connection:forced", "maintenance"))).await;
    let error = soon("the end", messages.next()).await.expect_err("the connection is gone");
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    assert!(error.is_retriable() && error.to_string().contains("maintenance"), "{error}");
}

#[tokio::test]
async fn a_receiver_is_a_stream_that_ends_with_its_link() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let receiving = receive(&client);
    let sender = hub.next_sender(DEVICE_BOUND).await;
    let mut messages = soon("an attach", receiving).await.expect("no panic").expect("accepted");
    let collecting = tokio::spawn(async move {
        let mut ids = Vec::new();
        while let Some(message) = futures_util::StreamExt::next(&mut messages).await {
            let message = message.expect("a message");
            ids.extend(message.message_id().map(str::to_owned));
            message.complete().expect("settled");
        }
        ids
    });
    for id in ["m1", "m2"] {
        // The stream waits for each.
        let receipt = sender.reserve().await.expect("credit").send(message(id)).expect("sent");
        soon("an outcome", receipt).await.expect("settled").into_result().expect("accepted");
    }
    sender.close().await.expect("closed");
    assert_eq!(soon("the end", collecting).await.expect("no panic"), ["m1", "m2"]);
}

#[tokio::test]
async fn a_module_receives_on_inputs_what_a_gateway_routes() {
    let mut hub = ScriptedHub::start().await;
    let string = format!("{};ModuleId=m", hub.device_string());
    let builder = iothub::ModuleClient::builder().connection_string(&string).expect("a connection string");
    let client = builder.ca_pem(&pki().ca).expect("a certificate").connect();
    let client = soon("a connection", client).await.expect("the hub takes everyone");
    let receiving = tokio::spawn(async move { (client.inputs().await, client) });
    let sender = hub.next_sender("/devices/d1/modules/m/messages/events").await;
    let (messages, _client) = soon("an attach", receiving).await.expect("no panic");
    let mut messages = messages.expect("accepted");
    let routed =
        [("x-opt-input-name", "in"), ("iothub-connection-device-id", "d1"), ("iothub-connection-module-id", "other")];
    for id in ["completed", "abandoned"] {
        let message = routed
            .into_iter()
            .fold(message(id), |message, (name, value)| message.message_annotation(Symbol::from_static(name), value));
        let receipt = sender.reserve().await.expect("credit").send(message).expect("sent");
        let received = soon("a message", messages.next()).await.expect("a message").expect("not detached");
        assert_eq!((received.input_name(), received.sender_device_id()), (Some("in"), Some("d1")));
        assert_eq!((received.sender_module_id(), &received.body()[..]), (Some("other"), &b"open"[..]));
        let (settled, expected) = match id {
            "completed" => (received.complete(), Outcome::Accepted),
            _ => (received.abandon(), Outcome::Released),
        };
        settled.expect("the link is there");
        assert_eq!(soon("the outcome", receipt).await.expect("an outcome"), expected);
    }
}

#[tokio::test]
async fn a_batch_is_one_message_of_the_format_for_batches() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let sending = tokio::spawn(async move { client.send_batch([Telemetry::new("1"), Telemetry::new("2")]).await });
    let mut messages = hub.next_receiver("/devices/d1/messages/events").await;
    let received = delivery(&mut messages).await;
    assert_eq!(received.message_format(), 0x8001_3700);
    received.accept().expect("the link is there");
    soon("the outcome", sending).await.expect("no panic").expect("accepted");
}
