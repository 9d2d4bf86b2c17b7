//! Tokens that run out, connections that are cut, and a hub that is restarted.

use crate::support::{builder, consumer, device, hub, owner, send, service, soon};
use amqp1_tests::relay::Relay;
use iothub::{
    Ack, CloudMessage, ErrorKind, EventConsumer, EventPosition, EventProcessor, RegistryClient, ServiceClient,
    processor::{MemoryCheckpointStore, Strategy},
};
use iothub_emulator::Emulator;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==";

/// A hub that comes again as it was: at the same addresses, with the same certificate authority and the same keys.
async fn start(folder: &Path, addresses: Option<(SocketAddr, SocketAddr)>) -> Emulator {
    let any = "127.0.0.1:0".parse().expect("an address");
    let (amqps, https) = addresses.unwrap_or((any, any));
    let hub = builder().policy("service", KEY).device("d0", KEY).ca_dir(folder).listen(amqps).https_listen(https);
    hub.start().await.expect("a hub")
}

#[tokio::test]
async fn clients_with_short_lived_tokens_go_on() {
    // A fifth of it is left for the renewal, on a busy machine too.
    const LIFETIME: Duration = Duration::from_secs(12);
    let hub = hub(1).await;
    let builder = ServiceClient::builder().connection_string(&hub.service_connection_string()).expect("a string");
    let builder = builder.ca_pem(hub.ca_pem()).expect("a certificate").token_lifetime(LIFETIME);
    let service = soon("a connection", builder.connect()).await.expect("accepted");
    let builder = consumer(&hub).all_partitions().start(EventPosition::Latest).token_lifetime(LIFETIME);
    let mut events = soon("a connection", builder.connect()).await.expect("accepted");
    let builder = RegistryClient::builder().connection_string(&owner(&hub)).expect("a string").token_lifetime(LIFETIME);
    let builder = builder.ca_pem(hub.ca_pem()).expect("a certificate").https_port(hub.https_addr().port());
    let registry = builder.build().expect("a client");
    let begun = Instant::now();
    let mut number = 0;
    // Each of the first tokens has run out before the end.
    while begun.elapsed() < LIFETIME + Duration::from_secs(1) {
        soon("an outcome", service.send("d0", CloudMessage::new("x"))).await.expect("accepted");
        soon("an answer", registry.purge_messages("d0")).await.expect("purged");
        send(&hub, 1, number..number + 1).await;
        let event = soon("an event", events.next()).await.expect("no error").expect("not the end").expect("decodable");
        assert_eq!(&event.body()[..], format!("d0-{number}").as_bytes());
        number += 1;
    }
}

#[tokio::test]
async fn after_a_restart_https_goes_on_and_amqp_says_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = start(folder.path(), None).await;
    let addresses = (first.local_addr(), first.https_addr());
    let (service_client, registry) = (service(&first).await, crate::support::registry(&first));
    soon("an outcome", service_client.send("d0", CloudMessage::new("x"))).await.expect("accepted");
    soon("an answer", registry.device("d0")).await.expect("read");
    let mut feedback = soon("a link", service_client.feedback()).await.expect("attached");
    first.shutdown().await;

    let ended = soon("the end", feedback.next()).await.expect_err("the hub is gone");
    assert!(ended.kind() == ErrorKind::ConnectionLost && ended.is_retriable(), "{ended}");
    let lost = soon("an outcome", service_client.send("d0", CloudMessage::new("x"))).await.expect_err("gone");
    assert!(lost.is_retriable(), "{lost}");

    let second = start(folder.path(), Some(addresses)).await;
    assert_eq!((second.local_addr(), second.https_addr()), addresses);
    soon("an answer", registry.device("d0")).await.expect("the same client reads on");
    let again = service(&second).await;
    soon("an outcome", again.send("d0", CloudMessage::new("x"))).await.expect("accepted");
}

#[tokio::test]
async fn a_processor_goes_on_by_itself_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = start(folder.path(), None).await;
    let addresses = (first.local_addr(), first.https_addr());
    let processor = EventProcessor::builder(consumer(&first), MemoryCheckpointStore::new());
    let processor = processor.interval(Duration::from_millis(50)).strategy(Strategy::Greedy).start();
    let mut processor = soon("a start", processor).await.expect("started");
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(soon("a partition", processor.next_partition()).await.expect("no error").expect("not closed"));
    }
    first.shutdown().await;
    for mut reader in readers {
        let ended = soon("the end", reader.next()).await.expect_err("the hub is gone");
        assert!(ended.is_retriable() && !reader.is_lost(), "{ended}");
    }
    let second = start(folder.path(), Some(addresses)).await;
    let client = device(&second.device_connection_string("d0").expect("a device"), &second).await;
    soon("an outcome", client.send(iothub::Telemetry::new("after"))).await.expect("accepted");
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        loop {
            // Until the hub is there again, each round is an error.
            let Ok(Some(mut reader)) = processor.next_partition().await else { continue };
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(Some(Ok(event))) = reader.next().await {
                    tell.send(event).ok();
                }
            });
        }
    });
    let event = soon("an event", told.recv()).await.expect("an event");
    assert_eq!(&event.body()[..], b"after");
    reading.abort();
}

/// A connection string of the hub with the relay's port.
fn through(relay: &Relay, hub: &Emulator, string: &str) -> String {
    let port = |port: u16| format!("localhost:{port}");
    let moved = string.replace(&port(hub.local_addr().port()), &port(relay.address().port()));
    assert_ne!(moved, string);
    moved
}

async fn service_through(relay: &Relay, hub: &Emulator) -> ServiceClient {
    let builder = ServiceClient::builder().connection_string(&through(relay, hub, &hub.service_connection_string()));
    let builder = builder.expect("a connection string").ca_pem(hub.ca_pem()).expect("a certificate");
    soon("a connection", builder.connect()).await.expect("accepted")
}

fn consumer_through(relay: &Relay, hub: &Emulator) -> iothub::EventConsumerBuilder {
    // No redirect leads past the relay: the string is the one of the endpoint itself.
    let string = through(relay, hub, &hub.event_hubs_connection_string());
    let builder = EventConsumer::builder().connection_string(&string).expect("a connection string");
    builder.ca_pem(hub.ca_pem()).expect("a certificate")
}

fn check_lost(what: &str, error: &iothub::Error) {
    assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::ConnectionLost, true), "{what}: {error}");
}

/// A batch was read when the connection ends, and not completed: the next client reads it once its lock has run out.
#[tokio::test]
async fn feedback_that_was_not_completed_before_a_connection_was_cut_comes_to_the_next_client() {
    let hub = builder().device("d0", KEY).settings(|settings| settings.feedback.lock = Duration::from_secs(2));
    let hub = hub.start().await.expect("a hub");
    let relay = Relay::start(hub.local_addr()).await;
    let client = service_through(&relay, &hub).await;
    let mut feedback = soon("a link", client.feedback()).await.expect("attached");
    let device = device(&hub.device_connection_string("d0").expect("a device"), &hub).await;
    let mut messages = soon("a link", device.cloud_to_device()).await.expect("attached");
    let settle = async |client: &ServiceClient, messages: &mut iothub::CloudToDeviceReceiver, id: &str| {
        let message = CloudMessage::new("x").message_id(id).ack(Ack::Full);
        soon("an outcome", client.send("d0", message)).await.expect("accepted");
        let message = soon("a message", messages.next()).await.expect("readable").expect("not the end");
        message.complete().expect("the link is there");
    };
    settle(&client, &mut messages, "read").await;
    let held = soon("feedback", feedback.next()).await.expect("readable").expect("not the end");
    assert_eq!(held.records()[0].original_message_id, "read");
    relay.cut();
    check_lost("feedback", &soon("the end", feedback.next()).await.expect_err("cut"));
    let sent = soon("an outcome", client.send("d0", CloudMessage::new("x"))).await;
    check_lost("a message", &sent.expect_err("cut"));
    held.complete().expect_err("the link has ended");

    let client = service_through(&relay, &hub).await;
    let mut feedback = soon("a link", client.feedback()).await.expect("attached");
    settle(&client, &mut messages, "later").await;
    let mut records = BTreeSet::new();
    while records.len() < 2 {
        let batch = soon("feedback", feedback.next()).await.expect("readable").expect("not the end");
        records.extend(batch.records().iter().map(|record| record.original_message_id.clone()));
        batch.complete().expect("the link is there");
    }
    assert_eq!(records, BTreeSet::from(["read".to_owned(), "later".to_owned()]));
}

#[tokio::test]
async fn a_consumer_whose_connection_was_cut_goes_on_behind_the_last_event_it_gave() {
    let hub = builder().device("d0", KEY).partitions(1).start().await.expect("a hub");
    let relay = Relay::start(hub.local_addr()).await;
    let mut sent = send(&hub, 1, 0..5).await;
    let builder = consumer_through(&relay, &hub).partition(0).start(EventPosition::Start);
    let mut events = soon("a connection", builder.connect()).await.expect("accepted");
    let mut read = Vec::new();
    let next = async |events: &mut EventConsumer| {
        let event = soon("an event", events.next()).await.expect("no error").expect("not the end").expect("decodable");
        String::from_utf8(event.body().to_vec()).expect("UTF-8")
    };
    for _ in 0..3 {
        read.push(next(&mut events).await);
    }
    relay.cut();
    // Events that came before the cut are still given.
    let error = loop {
        match soon("the end", events.next()).await {
            Ok(event) => {
                let event = event.expect("an event").expect("decodable");
                read.push(String::from_utf8(event.body().to_vec()).expect("UTF-8"));
            }
            Err(error) => break error,
        }
    };
    check_lost("a consumer", &error);
    let position = events.position("0").expect("a position").clone();
    sent.extend(send(&hub, 1, 5..8).await);
    let builder = consumer_through(&relay, &hub).partition(0).start(position);
    let mut events = soon("a connection", builder.connect()).await.expect("accepted");
    while read.len() < sent.len() {
        read.push(next(&mut events).await);
    }
    assert_eq!(read, sent);
}

/// Each event that was sent is given, behind the checkpoint again; none before it.
#[tokio::test]
async fn a_processor_whose_connection_was_cut_goes_on_behind_its_checkpoint() {
    let hub = builder().device("d0", KEY).partitions(1).start().await.expect("a hub");
    let relay = Relay::start(hub.local_addr()).await;
    let sent = send(&hub, 1, 0..5).await;
    let processor = EventProcessor::builder(consumer_through(&relay, &hub), MemoryCheckpointStore::new());
    let processor = processor.interval(Duration::from_millis(50)).strategy(Strategy::Greedy).start();
    let mut processor = soon("a start", processor).await.expect("started");
    let mut reader = soon("a partition", processor.next_partition()).await.expect("no error").expect("not closed");
    for (number, expected) in sent.iter().enumerate().take(3) {
        let event = soon("an event", reader.next()).await.expect("no error").expect("not the end").expect("decodable");
        assert_eq!(&event.body()[..], expected.as_bytes());
        if number == 1 {
            soon("a checkpoint", reader.checkpoint(&event)).await.expect("written");
        }
    }
    relay.cut();
    let error = loop {
        match soon("the end", reader.next()).await {
            Ok(event) => assert!(event.is_some(), "an end without an error"),
            Err(error) => break error,
        }
    };
    check_lost("a processor", &error);
    assert!(!reader.is_lost());
    drop(reader);
    // A round in between may have found the connection gone.
    let mut reader = loop {
        match soon("a partition", processor.next_partition()).await {
            Ok(reader) => break reader.expect("not closed"),
            Err(error) => assert!(error.is_retriable(), "{error}"),
        }
    };
    for expected in &sent[2..] {
        let event = soon("an event", reader.next()).await.expect("no error").expect("not the end").expect("decodable");
        assert_eq!(&event.body()[..], expected.as_bytes());
    }
}
