//! Streams: where reading begins, and which chunks pass.

use super::{Broker, SIZE, next, number, topology::Topology};
use amqp1::{
    Delivery, ErrorKind, Message, Receiver, Session,
    brokers::rabbitmq::{self, Offset, STREAM_FILTER_VALUE},
    message::{MessageId, Properties, Timestamp},
};
use amqp1_tests::bodies;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

async fn read(session: &Session, stream: &str, offset: Offset) -> Receiver {
    let receiver = session.receiver(rabbitmq::queue(stream)).filter(rabbitmq::stream_offset(offset));
    receiver.attach().await.expect("a link")
}

/// The offsets of the next messages, whose numbers are the same.
async fn offsets(receiver: &mut Receiver, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    for _ in 0..count {
        let delivery = next(receiver).await;
        let offset = rabbitmq::offset_of(delivery.message()).expect("annotations").expect("an offset");
        assert_eq!(number(&delivery), offset);
        offsets.push(offset);
        delivery.accept().expect("settled");
    }
    offsets
}

pub(super) async fn offset(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    Topology::of(&session).await.stream("offsets").await;
    let sender = session.sender(rabbitmq::queue("offsets")).attach().await.expect("a link");
    super::send(&sender, 0..50).await;

    let mut first = read(&session, "offsets", Offset::First).await;
    assert!(offsets(&mut first, 50).await.into_iter().eq(0..50));
    let mut middle = read(&session, "offsets", Offset::At(20)).await;
    assert!(offsets(&mut middle, 30).await.into_iter().eq(20..50));
    // Each message was confirmed before the next was sent, so that the last chunk has one.
    let mut last = read(&session, "offsets", Offset::Last).await;
    assert_eq!(offsets(&mut last, 1).await, [49]);
    let mut ago = read(&session, "offsets", Offset::Ago(Duration::from_secs(3600))).await;
    assert!(offsets(&mut ago, 50).await.into_iter().eq(0..50));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let hour_ago = i64::try_from((now - Duration::from_secs(3600)).as_millis()).expect("a time");
    let mut time = read(&session, "offsets", Offset::Time(Timestamp(hour_ago))).await;
    assert!(offsets(&mut time, 50).await.into_iter().eq(0..50));

    let mut next_one = read(&session, "offsets", Offset::Next).await;
    let mut without = session.receiver(rabbitmq::queue("offsets")).attach().await.expect("a link");
    // Both begin with what is sent after they are attached and have credit.
    tokio::time::sleep(Duration::from_secs(1)).await;
    super::send(&sender, 50..60).await;
    assert!(offsets(&mut next_one, 10).await.into_iter().eq(50..60));
    assert!(offsets(&mut without, 10).await.into_iter().eq(50..60));
    connection.close().await.expect("a closed connection");
    50 + 30 + 1 + 100 + 20
}

fn valued(number: u64, value: Option<&'static str>) -> amqp1::message::EncodedMessage {
    let properties = Properties { message_id: Some(MessageId::Ulong(number)), ..Properties::default() };
    let message = Message::builder().properties(properties).data(bodies::body(number, SIZE));
    match value {
        Some(value) => message.message_annotation(STREAM_FILTER_VALUE, value).build(),
        None => message.build(),
    }
}

async fn values(session: &Session, filters: Vec<amqp1::link::Filter>, count: usize) -> Vec<u64> {
    let mut receiver = session.receiver(rabbitmq::queue("values"));
    for filter in filters {
        receiver = receiver.filter(filter);
    }
    let mut receiver = receiver.attach().await.expect("a link");
    let mut numbers = Vec::new();
    for _ in 0..count {
        let delivery: Delivery = next(&mut receiver).await;
        numbers.push(number(&delivery));
        delivery.accept().expect("settled");
    }
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err());
    receiver.close().await.expect("a closed link");
    numbers
}

/// One message a chunk, so that a chunk has one value or none.
pub(super) async fn filter_values(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    Topology::of(&session).await.stream("values").await;
    let sender = session.sender(rabbitmq::queue("values")).attach().await.expect("a link");
    for (number, value) in (0..).zip([Some("red"), None, Some("blue"), Some("red"), Some("green"), None]) {
        sender.send(valued(number, value)).await.expect("an outcome").into_result().expect("accepted");
    }
    let first = || rabbitmq::stream_offset(Offset::First);
    let red = vec![first(), rabbitmq::stream_values(["red"])];
    assert_eq!(values(&session, red, 2).await, [0, 3]);
    let two = vec![first(), rabbitmq::stream_values(["blue", "green"])];
    assert_eq!(values(&session, two, 2).await, [2, 4]);
    let unfiltered = vec![first(), rabbitmq::stream_values(["red"]), rabbitmq::match_unfiltered(true)];
    assert_eq!(values(&session, unfiltered, 4).await, [0, 1, 3, 5]);
    connection.close().await.expect("a closed connection");
    8
}

/// Filters of later versions: 4.0 does not apply them, and its answer has them all the same.
pub(super) async fn later_filters(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    Topology::of(&session).await.stream("later").await;
    let sender = session.sender(rabbitmq::queue("later")).attach().await.expect("a link");
    super::send(&sender, 0..3).await;
    for filter in [
        rabbitmq::sql("properties.subject = 'order'"),
        rabbitmq::application_properties([("colour", "red")]),
        rabbitmq::properties([(amqp1::Symbol::from_static("subject"), "order")]),
    ] {
        let receiver = session.receiver(rabbitmq::queue("later"));
        let receiver = receiver.filter(filter).filter(rabbitmq::stream_offset(Offset::First)).attach().await;
        let mut receiver = match receiver {
            Ok(receiver) => receiver,
            Err(error) => panic!("{:?}: {error}", error.kind() == ErrorKind::NotGranted),
        };
        assert!(offsets(&mut receiver, 3).await.into_iter().eq(0..3));
        receiver.close().await.expect("a closed link");
    }
    connection.close().await.expect("a closed connection");
    9
}
