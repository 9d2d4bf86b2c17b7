//! Events that cannot be decoded, which stay in their partition.

use crate::support::{Rules, ScriptedHub, accept_sender, delivery, pki, soon};
use amqp1::{
    Message, Symbol, Value,
    message::{EncodedMessage, Properties},
};
use bytes::Bytes;
use iothub::{
    Event, EventConsumer, EventConsumerBuilder, EventPosition, EventProcessor, UndecodableEvent,
    processor::{CheckpointStore, EventProcessorBuilder, MemoryCheckpointStore, PartitionReader, Scope},
};

fn builder(hub: &ScriptedHub) -> EventConsumerBuilder {
    let builder = EventConsumer::builder().connection_string(&hub.service_string()).expect("a connection string");
    builder.ca_pem(&pki().ca).expect("a certificate").partition(0).start(EventPosition::Start)
}

fn event(number: i64) -> EncodedMessage {
    let annotation = Symbol::from_static;
    Message::builder()
        .message_annotation(annotation("x-opt-sequence-number"), number)
        .message_annotation(annotation("x-opt-offset"), number.to_string())
        .message_annotation(annotation("iothub-connection-device-id"), "d1")
        .data("21")
        .build()
}

/// Application properties whose key has no type of AMQP's.
const NOT_PROPERTIES: [u8; 8] = [0x00, 0x53, 0x74, 0xc1, 0x03, 0x02, 0x0f, 0x40];

/// An event of which only what stands before the body can be read.
fn poison(number: i64) -> EncodedMessage {
    let octets = event(number).into_parts().concat();
    let body = octets.windows(3).position(|window| window == [0x00, 0x53, 0x75]).expect("a data section");
    let octets: Vec<u8> = [&octets[..body], &NOT_PROPERTIES, &octets[body..]].concat();
    EncodedMessage::from_parts([Bytes::from(octets)])
}

#[tokio::test]
async fn a_consumer_gives_an_event_that_cannot_be_decoded_in_its_place_and_goes_on_behind_it() {
    let mut hub = ScriptedHub::start().await;
    let connecting = tokio::spawn(builder(&hub).connect());
    let sender = accept_sender(hub.next_link().await.0);
    let mut consumer = soon("an attach", connecting).await.expect("no panic").expect("accepted");
    for message in [event(1), poison(2), event(3)] {
        drop(sender.reserve().await.expect("credit").send(message).expect("sent"));
    }
    let mut next = async || soon("an event", consumer.next()).await.expect("no error").expect("not the end");
    assert_eq!(next().await.expect("decodable").sequence_number(), Some(1));
    let undecodable = next().await.expect_err("undecodable");
    assert_eq!((undecodable.offset(), undecodable.sequence_number()), (Some("2"), Some(2)));
    assert_eq!((undecodable.device_id(), undecodable.partition_id()), (Some("d1"), "0"));
    assert_eq!(undecodable.octets(), poison(2).into_parts().concat());
    assert_eq!(undecodable.message().data().as_deref(), Some(&b"21"[..]));
    let third = next().await.expect("decodable");
    assert_eq!(third.sequence_number(), Some(3));
}

#[tokio::test]
async fn another_consumer_goes_on_behind_an_event_that_cannot_be_decoded() {
    let mut hub = ScriptedHub::start().await;
    let connecting = tokio::spawn(builder(&hub).connect());
    let sender = accept_sender(hub.next_link().await.0);
    let mut consumer = soon("an attach", connecting).await.expect("no panic").expect("accepted");
    drop(sender.reserve().await.expect("credit").send(poison(7)).expect("sent"));
    soon("an event", consumer.next()).await.expect("no error").expect("not the end").expect_err("undecodable");
    assert_eq!(consumer.position("0"), Some(&EventPosition::after_offset("7")));
}

/// A hub of one partition, which holds its events for every reader.
struct Partition {
    hub: ScriptedHub,
    store: MemoryCheckpointStore,
}

impl Partition {
    async fn new() -> Self {
        Self { hub: ScriptedHub::with(Rules::default()).await, store: MemoryCheckpointStore::new() }
    }

    fn processor(&self) -> EventProcessorBuilder {
        EventProcessor::builder(builder(&self.hub), self.store.clone())
    }

    /// Answers which partitions there are.
    async fn answer_partitions(&mut self) {
        let replies = self.hub.next_sender("/messages/events/$management").await;
        let mut questions = self.hub.next_receiver("/messages/events/$management").await;
        let question = delivery(&mut questions).await;
        let correlation_id = question.message().properties().expect("decodes").and_then(|p| p.message_id);
        question.accept().expect("the link is there");
        let ids = amqp1::codec::Array::from_values(["0"].map(Value::from)).expect("one type");
        let body: amqp1::codec::Map = [("partition_ids", Value::from(ids))].into_iter().collect();
        let answer = Message::builder()
            .properties(Properties { correlation_id, ..Properties::default() })
            .application_property("status-code", 200i32)
            .value(body);
        let receipt = replies.reserve().await.expect("credit").send(answer).expect("sent");
        soon("an outcome", receipt).await.expect("taken").into_result().expect("accepted");
    }

    /// Serves a reader, and gives what it wants: from where.
    async fn serve(&mut self, messages: [EncodedMessage; 2]) -> (amqp1::Sender, String) {
        let (link, _) = self.hub.next_link().await;
        let source = link.attach().source.clone().expect("a source");
        let filter = source.filter.as_ref().and_then(|filter| filter.get("apache.org:selector-filter:string")).cloned();
        let Some(Value::Described(described)) = filter else { panic!("a selector") };
        let selector = described.value.as_text().expect("text").to_owned();
        let sender = accept_sender(link);
        for message in messages {
            drop(sender.reserve().await.expect("credit").send(message).expect("sent"));
        }
        (sender, selector)
    }
}

async fn reader(processor: &mut EventProcessor) -> PartitionReader {
    soon("a partition", processor.next_partition()).await.expect("no error").expect("not closed")
}

async fn next(reader: &mut PartitionReader) -> Result<Event, UndecodableEvent> {
    soon("an event", reader.next()).await.expect("no error").expect("not lost")
}

#[tokio::test]
async fn a_processor_passes_an_event_that_cannot_be_decoded_by_its_checkpoint() {
    let mut partition = Partition::new().await;
    let starting = tokio::spawn(partition.processor().start());
    partition.answer_partitions().await;
    let mut processor = soon("a start", starting).await.expect("no panic").expect("started");
    let (_sender, selector) = partition.serve([event(1), poison(2)]).await;
    assert_eq!(selector, "amqp.annotation.x-opt-offset > '-1'");
    let mut first = reader(&mut processor).await;
    assert!(next(&mut first).await.is_ok());
    // The loop of an application: each event is looked at, then passed.
    let event_or_not = next(&mut first).await;
    assert!(event_or_not.is_err());
    first.checkpoint(&event_or_not).await.expect("written");
    let scope = Scope::new("localhost", "localhost", "$Default");
    let checkpoints = partition.store.list_checkpoints(&scope).await.expect("a list");
    let checkpoint = checkpoints.first().expect("a checkpoint");
    assert_eq!((checkpoint.offset.as_deref(), checkpoint.sequence_number), (Some("2"), Some(2)));
    drop(first);
    soon("the end", processor.close()).await;

    // The next processor begins behind it.
    let starting = tokio::spawn(partition.processor().start());
    partition.answer_partitions().await;
    let mut processor = soon("a start", starting).await.expect("no panic").expect("started");
    let (_sender, selector) = partition.serve([event(3), event(4)]).await;
    assert_eq!(selector, "amqp.annotation.x-opt-offset > '2'");
    let mut second = reader(&mut processor).await;
    assert_eq!(next(&mut second).await.expect("decodable").sequence_number(), Some(3));
}

/// Its annotations cannot be read, so it has no place; the checkpoint of the next event passes both.
#[tokio::test]
async fn a_processor_goes_on_behind_an_event_without_a_place() {
    let mut partition = Partition::new().await;
    let starting = tokio::spawn(partition.processor().start());
    partition.answer_partitions().await;
    let mut processor = soon("a start", starting).await.expect("no panic").expect("started");
    let placeless = EncodedMessage::from_parts([Bytes::from_static(&NOT_PROPERTIES)]);
    let (_sender, _) = partition.serve([placeless, event(2)]).await;
    let mut reader = reader(&mut processor).await;
    let undecodable = next(&mut reader).await.expect_err("undecodable");
    assert_eq!((undecodable.offset(), undecodable.sequence_number()), (None, None));
    let refused = reader.checkpoint(&undecodable).await.expect_err("no place");
    assert_eq!(refused.kind(), iothub::ErrorKind::Protocol);
    let event = next(&mut reader).await.expect("decodable");
    reader.checkpoint(&event).await.expect("written");
}

/// The stream waits for each event, and for the processor to be closed.
#[tokio::test]
async fn a_partition_is_a_stream_that_ends_when_its_processor_is_closed() {
    let mut partition = Partition::new().await;
    let starting = tokio::spawn(partition.processor().start());
    partition.answer_partitions().await;
    let mut processor = soon("a start", starting).await.expect("no panic").expect("started");
    let (sender, _) = partition.serve([event(1), poison(2)]).await;
    let mut reader = reader(&mut processor).await;
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    let collecting = tokio::spawn(async move {
        while let Some(event) = futures_util::StreamExt::next(&mut reader).await {
            give.send(event.map(|event| event.is_ok())).expect("the test waits");
        }
        assert!(futures_util::StreamExt::next(&mut reader).await.is_none());
    });
    let mut next = async || soon("an event", take.recv()).await.expect("not the end").expect("no error");
    assert_eq!((next().await, next().await), (true, false));
    drop(sender.reserve().await.expect("credit").send(event(3)).expect("sent"));
    assert!(next().await);
    soon("the end", processor.close()).await;
    soon("the end", collecting).await.expect("no panic");
}
