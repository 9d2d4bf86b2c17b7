use crate::support::{consumer, hub, send, soon};
use iothub::{
    ErrorKind, EventProcessor,
    processor::{
        Checkpoint, CheckpointStore, EventProcessorBuilder, MemoryCheckpointStore, PartitionReader, Scope, Strategy,
    },
};
use iothub_emulator::Emulator;
use std::{collections::BTreeMap, time::Duration};

/// Often enough for a test, and nothing expires.
fn builder(hub: &Emulator, store: &MemoryCheckpointStore) -> EventProcessorBuilder {
    let builder = EventProcessor::builder(consumer(hub), store.clone()).strategy(Strategy::Greedy);
    builder.interval(Duration::from_millis(50)).expiration(Duration::from_secs(3600))
}

async fn next(processor: &mut EventProcessor) -> PartitionReader {
    soon("a partition", processor.next_partition()).await.expect("no error").expect("not closed")
}

/// How many partitions each has, once all have an owner.
async fn shares(hub: &Emulator, store: &MemoryCheckpointStore) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for ownership in store.list_ownership(&scope(hub)).await.expect("a list") {
        *shares.entry(ownership.owner_id).or_default() += 1;
    }
    shares
}

fn scope(hub: &Emulator) -> Scope {
    let host = hub.hostname();
    Scope::new(host, host.split('.').next().unwrap_or_default(), "$Default")
}

#[tokio::test]
async fn a_second_processor_takes_its_share_and_leaves_it_when_it_closes() {
    let (hub, store) = (hub(1).await, MemoryCheckpointStore::new());
    let mut first = soon("a start", builder(&hub, &store).owner_id("first").start()).await.expect("started");
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(next(&mut first).await);
    }
    let mut second = soon("a start", builder(&hub, &store).owner_id("second").start()).await.expect("started");
    let stolen = [next(&mut second).await, next(&mut second).await];
    assert_eq!(shares(&hub, &store).await, BTreeMap::from([("first".to_owned(), 2), ("second".to_owned(), 2)]));

    // The old readers end, by the hub or by the store, and say so.
    for reader in &mut readers {
        let is_stolen = stolen.iter().any(|stolen| stolen.partition_id() == reader.partition_id());
        if is_stolen {
            let end = soon("the end", reader.next()).await.expect("no error");
            assert!(end.is_none() && reader.is_lost());
        } else {
            assert!(!reader.is_lost());
        }
    }
    readers.retain(|reader| !reader.is_lost());
    drop(stolen);
    soon("the end", second.close()).await;
    // Nothing expires here, so they were given up.
    readers.push(next(&mut first).await);
    readers.push(next(&mut first).await);
    assert_eq!(shares(&hub, &store).await, BTreeMap::from([("first".to_owned(), 4)]));
    drop(readers);
    soon("the end", first.close()).await;
}

/// The first does not look into the store any more, as one that hangs does not: the owner level is what stops its readers.
#[tokio::test]
async fn the_hub_stops_the_reader_of_a_partition_that_another_processor_has_taken() {
    let (hub, store) = (hub(1).await, MemoryCheckpointStore::new());
    let rarely = builder(&hub, &store).interval(Duration::from_secs(1000));
    let mut first = soon("a start", rarely.start()).await.expect("started");
    let mut readers = BTreeMap::new();
    for _ in 0..4 {
        let reader = next(&mut first).await;
        readers.insert(reader.partition_id().to_owned(), reader);
    }
    let mut second = soon("a start", builder(&hub, &store).start()).await.expect("started");
    let mut taken = Vec::new();
    for _ in 0..2 {
        let stolen = next(&mut second).await;
        let reader = readers.get_mut(stolen.partition_id()).expect("it was the first's");
        assert!(soon("the end", reader.next()).await.expect("no error").is_none());
        assert!(reader.is_lost());
        taken.push(stolen);
    }
}

#[tokio::test]
async fn reading_goes_on_behind_the_checkpoint() {
    let (hub, store) = (hub(1).await, MemoryCheckpointStore::new());
    send(&hub, 1, 0..6).await;
    let mut first = soon("a start", builder(&hub, &store).start()).await.expect("started");
    let mut partition = first_with_events(&mut first).await;
    for number in 0..4 {
        let event =
            soon("an event", partition.1.next()).await.expect("no error").expect("not lost").expect("decodable");
        assert_eq!(&event.body()[..], format!("d0-{number}").as_bytes());
        if number == 2 {
            partition.1.checkpoint(&event).await.expect("written");
        }
    }
    drop(partition);
    soon("the end", first.close()).await;

    let mut second = soon("a start", builder(&hub, &store).start()).await.expect("started");
    let mut partition = first_with_events(&mut second).await;
    let event = soon("an event", partition.1.next()).await.expect("no error").expect("not lost").expect("decodable");
    // What was processed and not checkpointed comes again.
    assert_eq!(&event.body()[..], b"d0-3");
}

/// The partition of the device, and the others, which are kept so that they do not come again.
async fn first_with_events(processor: &mut EventProcessor) -> (Vec<PartitionReader>, PartitionReader) {
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(next(processor).await);
    }
    let hit = {
        let mut waiting: Vec<_> = others
            .iter_mut()
            .enumerate()
            .map(|(index, reader)| Box::pin(async move { (index, reader.next().await.map(|event| event.is_some())) }))
            .collect();
        soon(
            "an event",
            std::future::poll_fn(|context| {
                for reader in &mut waiting {
                    if let std::task::Poll::Ready((index, _)) = reader.as_mut().poll(context) {
                        return std::task::Poll::Ready(index);
                    }
                }
                std::task::Poll::Pending
            }),
        )
        .await
    };
    // Begun again, since one event of it was taken.
    let id = others.remove(hit).partition_id().to_owned();
    let again = next(processor).await;
    assert_eq!(again.partition_id(), id);
    (others, again)
}

#[tokio::test]
async fn a_reader_that_was_dropped_comes_again_and_a_lost_one_writes_nothing() {
    let (hub, store) = (hub(1).await, MemoryCheckpointStore::new());
    send(&hub, 1, 0..2).await;
    let mut processor = soon("a start", builder(&hub, &store).start()).await.expect("started");
    let (_others, mut reader) = first_with_events(&mut processor).await;
    let event = soon("an event", reader.next()).await.expect("no error").expect("not lost").expect("decodable");

    // Another one claims the partition, as a processor on another machine would.
    let scope = scope(&hub);
    let entries = store.list_ownership(&scope).await.expect("a list");
    let mut entry = entries.into_iter().find(|entry| entry.partition_id == reader.partition_id()).expect("an entry");
    entry.owner_id = "other".to_owned();
    // Its own renewals may come between.
    while store.claim_ownership(&scope, vec![entry.clone()]).await.expect("no error").is_empty() {
        let entries = store.list_ownership(&scope).await.expect("a list");
        entry.etag =
            entries.into_iter().find(|found| found.partition_id == entry.partition_id).and_then(|found| found.etag);
    }
    while soon("the end", reader.next()).await.expect("no error").is_some() {}
    assert!(reader.is_lost());
    let refused = reader.checkpoint(&event).await.expect_err("lost");
    assert_eq!(refused.kind(), ErrorKind::Superseded);
    assert!(store.list_checkpoints(&scope).await.expect("a list").is_empty());
}

/// As after a restart of an emulator, which forgets its events.
#[tokio::test]
async fn a_checkpoint_that_the_hub_does_not_take_is_an_error_that_names_its_partition() {
    let (hub, store) = (hub(1).await, MemoryCheckpointStore::new());
    let checkpoint = Checkpoint::new("2", Some("99999".to_owned()), Some(99999));
    store.update_checkpoint(&scope(&hub), checkpoint).await.expect("written");
    let mut processor = soon("a start", builder(&hub, &store).start()).await.expect("started");
    let mut readers = Vec::new();
    let error = loop {
        match soon("a partition", processor.next_partition()).await {
            Ok(reader) => readers.push(reader.expect("not closed")),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().starts_with("partition 2: the hub has no event at the checkpoint"), "{error}");
}

#[tokio::test]
async fn times_that_do_not_go_together_are_refused() {
    let (hub, store) = (hub(1).await, MemoryCheckpointStore::new());
    let error = builder(&hub, &store).expiration(Duration::from_millis(60)).start().await.expect_err("too short");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
