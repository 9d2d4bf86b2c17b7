use crate::support::{builder, consumer, device, hub, registry, send, soon};
use iothub::{
    ErrorKind, Event, EventConsumer, EventPosition, EventSource,
    registry::{Device, IfMatch, TwinUpdate},
};
use std::collections::BTreeSet;

async fn next(consumer: &mut EventConsumer) -> Event {
    soon("an event", consumer.next()).await.expect("no error").expect("not the end").expect("decodable")
}

fn text(event: &Event) -> String {
    String::from_utf8_lossy(event.body()).into_owned()
}

#[tokio::test]
async fn all_partitions_are_read_in_turn_with_what_the_hub_says_of_each_event() {
    let hub = hub(8).await;
    let sent: BTreeSet<_> = send(&hub, 8, 0..5).await.into_iter().collect();
    let builder = consumer(&hub).all_partitions().start(EventPosition::Start);
    let mut events = soon("a connection", builder.connect()).await.expect("accepted");
    assert_eq!(events.partition_ids().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    let mut read = BTreeSet::new();
    for _ in 0..sent.len() {
        let event = next(&mut events).await;
        let device = event.device_id().expect("a device").to_owned();
        assert!(text(&event).starts_with(&device));
        assert_eq!(event.partition_key(), Some(device.as_str()));
        assert_eq!(event.source().expect("a source").as_str(), "Telemetry");
        assert_eq!(event.auth_method().expect("a method").scope, "device");
        assert!(event.device_generation_id().is_some() && event.enqueued_time().is_some());
        let position = EventPosition::after_offset(event.offset().expect("an offset"));
        assert_eq!(events.position(event.partition_id()), Some(&position));
        assert!(read.insert(text(&event)), "none comes twice");
    }
    assert_eq!(read, sent);
    events.close().await.expect("a clean close");
}

#[tokio::test]
async fn the_endpoint_and_its_partitions_describe_themselves() {
    let hub = hub(1).await;
    let builder = consumer(&hub);
    let properties = soon("an answer", builder.hub_properties()).await.expect("readable");
    assert_eq!(properties.partition_ids, ["0", "1", "2", "3"]);
    assert!(!properties.name.is_empty() && properties.created.is_some());
    for id in &properties.partition_ids {
        assert!(soon("an answer", builder.partition_properties(id)).await.expect("readable").is_empty, "{id}");
    }
    send(&hub, 1, 0..3).await;
    let mut last = Vec::new();
    for id in &properties.partition_ids {
        let partition = soon("an answer", builder.partition_properties(id)).await.expect("readable");
        assert_eq!((&partition.id, &partition.hub), (id, &properties.name));
        last.push((
            partition.is_empty,
            partition.last_enqueued_sequence_number,
            partition.last_enqueued_time.is_some(),
        ));
    }
    assert_eq!(last.iter().filter(|(empty, ..)| !empty).count(), 1);
    assert!(last.contains(&(false, 2, true)), "{last:?}");
    let error = soon("an answer", builder.partition_properties("9")).await.expect_err("no such partition");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// Start, latest, offset and number with and without the event itself, and the time.
#[tokio::test]
async fn reading_begins_where_it_was_asked_to() {
    let hub = hub(1).await;
    send(&hub, 1, 0..4).await;
    let all = consumer(&hub).all_partitions().start(EventPosition::Start).connect();
    let mut all = soon("a connection", all).await.expect("accepted");
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(next(&mut all).await);
    }
    let partition = events[0].partition_id().to_owned();
    let (offset, number) = (events[1].offset().expect("an offset"), events[1].sequence_number().expect("a number"));
    let before = events[0].enqueued_time().expect("a time") - std::time::Duration::from_secs(3600);
    for (position, first) in [
        (EventPosition::Start, "d0-0"),
        (EventPosition::after_offset(offset), "d0-2"),
        (EventPosition::at_offset(offset), "d0-1"),
        (EventPosition::after_sequence_number(number), "d0-2"),
        (EventPosition::at_sequence_number(number), "d0-1"),
        (EventPosition::enqueued_after(before), "d0-0"),
    ] {
        let builder = consumer(&hub).partition(&partition).start(position.clone());
        let mut reader = soon("a connection", builder.connect()).await.expect("accepted");
        assert_eq!(text(&next(&mut reader).await), first, "{position:?}");
    }
    let builder = consumer(&hub).partition(&partition).start(EventPosition::Latest);
    let mut latest = soon("a connection", builder.connect()).await.expect("accepted");
    send(&hub, 1, 9..10).await;
    assert_eq!(text(&next(&mut latest).await), "d0-9");
}

#[tokio::test]
async fn a_higher_owner_level_ends_one_partition_and_not_the_others() {
    let hub = hub(8).await;
    let builder = || consumer(&hub).start(EventPosition::Latest);
    let mut all = soon("a connection", builder().all_partitions().owner_level(1).connect()).await.expect("accepted");
    let _thief = soon("a connection", builder().partition(2).owner_level(2).connect()).await.expect("accepted");
    let error = soon("the end of one", all.next()).await.expect_err("stolen");
    assert_eq!(error.kind(), ErrorKind::Superseded, "{error}");
    assert!(error.to_string().starts_with("partition 2: "), "{error}");
    let lower = soon("an answer", builder().partition(2).owner_level(1).connect()).await.expect_err("refused");
    assert_eq!(lower.kind(), ErrorKind::Superseded, "{lower}");

    send(&hub, 8, 0..1).await;
    let mut partitions = BTreeSet::new();
    while partitions.len() < 3 {
        partitions.insert(next(&mut all).await.partition_id().to_owned());
    }
    assert!(!partitions.contains("2"), "{partitions:?}");
}

#[tokio::test]
async fn consumer_groups_read_apart_and_others_are_not_there() {
    let hub = builder().device("d0", "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==").partitions(1);
    let hub = hub.settings(|settings| settings.consumer_groups.push("Workers".to_owned())).start().await;
    let hub = hub.expect("a hub");
    send(&hub, 1, 0..2).await;
    let mut readers = Vec::new();
    for group in ["$Default", "workers"] {
        let builder = consumer(&hub).consumer_group(group).start(EventPosition::Start).owner_level(0);
        readers.push(soon("a connection", builder.connect()).await.expect("accepted"));
    }
    for reader in &mut readers {
        assert_eq!(text(&next(reader).await), "d0-0");
    }
    let error = soon("an answer", consumer(&hub).consumer_group("none").connect()).await.expect_err("no such group");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn events_of_the_hub_itself_are_told_by_their_source_and_operation() {
    let hub = builder().device("d0", "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==").partitions(1);
    let hub = hub.settings(|settings| {
        settings.events.connection_state = true;
        settings.events.lifecycle = true;
        settings.events.twin_changes = true;
    });
    let hub = hub.start().await.expect("a hub");
    let registry = registry(&hub);
    let builder = consumer(&hub).partition(0).start(EventPosition::Latest);
    let mut events = soon("a connection", builder.connect()).await.expect("accepted");
    soon("an answer", registry.create_device(&Device::new("new"))).await.expect("created");
    let update = TwinUpdate::new().tag("room", "cellar").desired("speed", 1);
    soon("an answer", registry.patch_twin("new", &update, IfMatch::Any)).await.expect("patched");
    soon("an answer", registry.replace_twin("new", &update, IfMatch::Any)).await.expect("replaced");
    let client = device(&hub.device_connection_string("new").expect("a device"), &hub).await;
    let twin = soon("the links", client.twin()).await.expect("attached");
    soon("an answer", twin.update_reported(serde_json::json!({"speed": 1}))).await.expect("reported");
    soon("an outcome", client.send(iothub::Telemetry::new("x"))).await.expect("accepted");
    client.close().await.expect("a clean close");
    let mut told = Vec::new();
    while told.last() != Some(&(EventSource::ConnectionState, Some("deviceDisconnected".to_owned()))) {
        let event = next(&mut events).await;
        assert_eq!(event.device_id(), Some("new"));
        told.push((event.source().expect("a source"), event.operation().map(str::to_owned)));
    }
    soon("an answer", registry.delete_device("new", IfMatch::Any)).await.expect("deleted");
    let event = next(&mut events).await;
    told.push((event.source().expect("a source"), event.operation().map(str::to_owned)));
    let expected = [
        (EventSource::DeviceLifecycle, Some("createDeviceIdentity")),
        (EventSource::TwinChange, Some("updateTwin")),
        (EventSource::TwinChange, Some("replaceTwin")),
        (EventSource::ConnectionState, Some("deviceConnected")),
        (EventSource::TwinChange, Some("updateTwin")),
        (EventSource::Telemetry, None),
        (EventSource::ConnectionState, Some("deviceDisconnected")),
        (EventSource::DeviceLifecycle, Some("deleteDeviceIdentity")),
    ];
    assert_eq!(told, expected.map(|(source, operation)| (source, operation.map(str::to_owned))));
}
