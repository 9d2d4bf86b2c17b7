//! Messages of all kinds, out and in.

use super::world::{self, Broker, in_time, leave, next};
use amqp1::{
    Connection, Message, Symbol, Value,
    codec::SequenceNo,
    connection::SessionConfig,
    message::{Body, Header, MessageId, Properties, Timestamp, Uuid},
};
use amqp1_tests::{
    bodies,
    traffic::{Load, both},
};
use std::sync::Arc;

async fn load(broker: &Broker, address: &str, load: Load) -> u64 {
    let connection = broker.connect().await;
    both(&connection, address, load).await;
    closed(&connection).await;
    assert_eq!(broker.count(address).await, 0);
    load.count
}

async fn closed(connection: &Connection) {
    connection.close().await.expect("a closed connection");
}

pub(super) async fn settled(broker: Arc<Broker>) -> u64 {
    load(&broker, "messages.settled", Load::SETTLED).await
}

pub(super) async fn unsettled(broker: Arc<Broker>) -> u64 {
    load(&broker, "messages.unsettled", Load { count: 2_000, ..Load::MANY }).await
}

pub(super) async fn many_in_flight(broker: Arc<Broker>) -> u64 {
    const COUNT: u64 = 10_000;
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "messages.many").await;
    let sending = tokio::spawn(async move { world::send(&sender, COUNT).await });
    let mut receiver = world::receiver(&session, "messages.many").await;
    let received = world::receive(&mut receiver, COUNT).await;
    assert_eq!(sending.await.expect("sent"), received);
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("messages.many").await, 0);
    received
}

/// Each section and each type of body.
pub(super) async fn sections(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "messages.sections").await;
    let mut receiver = world::receiver(&session, "messages.sections").await;
    let properties = Properties {
        message_id: Some(MessageId::Uuid(Uuid([7; 16]))),
        user_id: Some(vec![0, 255].into()),
        subject: Some("subject".into()),
        reply_to: Some("there".into()),
        correlation_id: Some(MessageId::Binary(vec![1, 2].into())),
        content_type: Some(Symbol::from_static("text/plain")),
        content_encoding: Some(Symbol::from_static("utf-8")),
        creation_time: Some(Timestamp(1_700_000_000_000)),
        group_id: Some("group".into()),
        group_sequence: Some(SequenceNo(3)),
        reply_to_group_id: Some("other".into()),
        ..Properties::default()
    };
    let head = || {
        Message::builder()
            .header(Header { durable: true, priority: 7, ttl: Some(60_000), ..Header::default() })
            .message_annotation(Symbol::from_static("x-opt-annotation"), 1_u64)
            .properties(properties.clone())
            .application_property("colour", "red")
            .application_property("number", -3_i64)
            .application_property("none", Value::Null)
    };
    let list = vec![Value::from("a"), Value::Null, Value::from(1.5_f64)];
    let footer = Symbol::from_static("x-opt-sum");
    let messages = [
        head().data(vec![1, 2, 3]).footer(footer.clone(), 4_u32),
        head().data(vec![1, 2]).data(vec![3]),
        head().value("text"),
        head().value(Value::Null),
        head().value(list.clone()),
        head().sequence(list.clone()).sequence(list),
    ]
    .map(amqp1::MessageBuilder::build);
    for message in &messages {
        sender.send(message.clone()).await.expect("an outcome").into_result().expect("accepted");
        let delivery = next(&mut receiver).await;
        let (sent, came) = (Message::from_chunks(message.chunks().cloned()).expect("a message"), delivery.message());
        assert_eq!(came.properties(), Ok(Some(Properties { to: came_to(came), ..properties.clone() })));
        assert_eq!(came.application_properties(), sent.application_properties());
        assert_eq!(came.footer(), sent.footer());
        let header = came.header().expect("a section").expect("a header");
        assert_eq!((header.durable, header.priority), (true, 7));
        assert!(header.ttl.is_some_and(|ttl| ttl <= 60_000), "{header:?}");
        assert_eq!(body(came), body(&sent));
        let annotation = came.message_annotation("x-opt-annotation").expect("annotations").expect("an annotation");
        assert_eq!(annotation.to_value(), Ok(Value::Ulong(1)));
        delivery.accept().expect("settled");
    }
    leave(&connection, &[&receiver]).await;
    messages.len() as u64
}

/// Some brokers say where a message went.
fn came_to(message: &Message) -> Option<amqp1::message::Str> {
    message.properties().expect("a section").expect("properties").to
}

fn body(message: &Message) -> String {
    match message.body() {
        Body::Data(sections) => {
            format!("{:?}", sections.map(|section| section.chunks().collect::<Vec<_>>().concat()).collect::<Vec<_>>())
        }
        Body::Value(value) => format!("{:?}", value.to_value()),
        other => format!("{other:?}"),
    }
}

pub(super) async fn streamed(broker: Arc<Broker>) -> u64 {
    const PIECES: u64 = 1600;
    const PIECE: usize = 64 * 1024;
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "messages.streamed").await;
    let mut stream = sender.stream(Message::builder()).await.expect("a stream");
    for index in 0..PIECES {
        stream.write(bodies::body(index, PIECE)).await.expect("written");
    }
    stream.finish().expect("finished").await.expect("an outcome").into_result().expect("accepted");

    let other = connection.begin_with(SessionConfig::default()).await.expect("a session");
    let mut receiver = other.receiver("messages.streamed").streamed().attach().await.expect("a receiving link");
    let mut message = in_time(receiver.recv_stream()).await.expect("a link").expect("a message");
    let (mut index, mut piece) = (0, Vec::new());
    while let Some(octets) = in_time(message.data()).await.expect("data") {
        piece.extend_from_slice(&octets);
        while piece.len() >= PIECE {
            assert!(piece[..PIECE] == bodies::body(index, PIECE), "piece {index}");
            piece.drain(..PIECE);
            index += 1;
        }
    }
    assert_eq!((index, piece.len()), (PIECES, 0));
    message.accept().expect("settled");
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("messages.streamed").await, 0);
    1
}

/// The smallest frames that there may be (§2.7.1), in both directions.
pub(super) async fn small_frames(broker: Arc<Broker>) -> u64 {
    const SIZES: [usize; 5] = [0, 1, 400, 600, 100_000];
    let builder = broker.client().config(|config| (config.max_frame_size, config.outgoing_frame_cap) = (512, 512));
    let connection = builder.connect().await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    let sender = world::sender(&session, "messages.frames").await;
    let mut receiver = world::receiver(&session, "messages.frames").await;
    let mut moved = 0;
    for size in SIZES {
        moved += world::send_sized(&sender, 20, size).await;
        for expected in 0..20 {
            let delivery = next(&mut receiver).await;
            assert_eq!(world::index_sized(&delivery, size), expected);
            delivery.accept().expect("settled");
        }
    }
    leave(&connection, &[&receiver]).await;
    moved
}
