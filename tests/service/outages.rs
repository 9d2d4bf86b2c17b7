//! Tokens that run out, connections that are cut, and a hub that is restarted.

use crate::support::{builder, consumer, device, hub, owner, send, service, soon};
use iothub::{
    CloudMessage, ErrorKind, EventPosition, EventProcessor, RegistryClient, ServiceClient,
    processor::{MemoryCheckpointStore, Strategy},
};
use iothub_emulator::Emulator;
use std::{
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
    const LIFETIME: Duration = Duration::from_secs(2);
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
    while begun.elapsed() < LIFETIME * 2 {
        soon("an outcome", service.send("d0", CloudMessage::new("x"))).await.expect("accepted");
        soon("an answer", registry.purge_messages("d0")).await.expect("purged");
        send(&hub, 1, number..number + 1).await;
        let event = soon("an event", events.next()).await.expect("readable").expect("not the end");
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
                while let Ok(Some(event)) = reader.next().await {
                    tell.send(event).ok();
                }
            });
        }
    });
    let event = soon("an event", told.recv()).await.expect("an event");
    assert_eq!(&event.body()[..], b"after");
    reading.abort();
}
