//! What outcomes do, in both directions, and what is not implemented.

use super::{Broker, SIZE, address, next, number, rest, send, topology::Topology};
use amqp1::{
    Credit, Delivery, ErrorKind, Message, Outcome, Session, Symbol, Value,
    brokers::rabbitmq,
    error::{AmqpError, ErrorCondition},
    link::{Modified, SenderSettleMode},
    message::{Fields, Header},
};
use amqp1_tests::bodies;
use std::sync::Arc;

/// A quorum queue, whose dead letters go to a queue.
async fn with_dead_letters(session: &Session, queue: &str, dead: &str) {
    let topology = Topology::of(session).await;
    topology.queue(dead, &[]).await;
    let key = Value::from(dead.to_owned());
    let arguments = [
        ("x-queue-type", Value::from("quorum")),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", key),
        ("x-delivery-limit", Value::Int(3)),
    ];
    topology.queue(queue, &arguments).await;
}

async fn count(session: &Session, queue: &str) -> Option<i128> {
    let (_, found) = Topology::of(session).await.call("GET", &rabbitmq::queue(queue), Value::Null).await;
    let Value::Map(found) = found else { panic!("{found:?}") };
    found.get_str("message_count").and_then(Value::as_integer)
}

/// What is rejected, and what is undeliverable here, goes to the dead letters.
pub(super) async fn dead_letters(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    with_dead_letters(&session, "living", "dead").await;
    send(&session.sender(address("living")).attach().await.expect("a link"), 0..2).await;
    let mut receiver = session.receiver(address("living")).credit(Credit::Window(1)).attach().await.expect("a link");
    let rejected = next(&mut receiver).await;
    rejected.reject(AmqpError::new(ErrorCondition::NOT_ALLOWED, "not for me")).expect("settled");
    let mut annotations = Fields::default();
    annotations.insert(Symbol::from_static("x-why"), "broken");
    let modified = Modified { undeliverable_here: true, message_annotations: Some(annotations), ..Modified::default() };
    next(&mut receiver).await.modify(modified).expect("settled");
    let mut dead = session.receiver(address("dead")).attach().await.expect("a link");
    for expected in 0..2 {
        let delivery = next(&mut dead).await;
        assert_eq!(number(&delivery), expected);
        let why = delivery.message().message_annotation("x-why").expect("annotations");
        assert_eq!(why.and_then(|why| why.as_text()), (expected == 1).then_some("broken"));
        delivery.accept().expect("settled");
    }
    connection.close().await.expect("a closed connection");
    4
}

fn delivery_count(delivery: &Delivery) -> u32 {
    delivery.message().header().expect("a section").unwrap_or_default().delivery_count
}

/// A quorum queue counts attempts that have failed in the header. It gives a message up that was returned more often than its
/// limit says, which counts those released as well.
pub(super) async fn failed_attempts(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    with_dead_letters(&session, "failing", "failed").await;
    send(&session.sender(address("failing")).attach().await.expect("a link"), 0..1).await;
    let mut receiver = session.receiver(address("failing")).credit(Credit::Window(1)).attach().await.expect("a link");
    for round in 0..4_i64 {
        let delivery = next(&mut receiver).await;
        let returned = delivery.message().message_annotation("x-delivery-count").expect("annotations");
        let returned = returned.map_or(0, |count| count.to_value().expect("a value").as_integer().expect("a count"));
        let failed = u32::try_from((round - 2).max(0)).expect("a count");
        assert_eq!((delivery_count(&delivery), returned), (failed, i128::from(round)));
        if round < 2 {
            delivery.release().expect("settled");
        } else {
            delivery.modify(Modified { delivery_failed: true, ..Modified::default() }).expect("settled");
        }
    }
    let mut dead = session.receiver(address("failed")).attach().await.expect("a link");
    let delivery = next(&mut dead).await;
    assert_eq!(number(&delivery), 0);
    delivery.accept().expect("settled");
    connection.close().await.expect("a closed connection");
    5
}

/// A queue that is full rejects, if it is declared so; the outcome of 4.0 does not say why.
pub(super) async fn full(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let arguments = [("x-max-length", Value::Int(2)), ("x-overflow", "reject-publish".into())];
    Topology::of(&session).await.queue("small", &arguments).await;
    let sender = session.sender(address("small")).attach().await.expect("a link");
    let mut outcomes = Vec::new();
    for number in 0..5 {
        outcomes.push(sender.send(bodies::message(number, SIZE)).await.expect("an outcome"));
    }
    let Some(Outcome::Rejected(None)) = outcomes.last() else { panic!("{outcomes:?}") };
    let kept = rest(&session, "small").await;
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    assert_eq!(kept.len(), accepted);
    connection.close().await.expect("a closed connection");
    kept.len() as u64
}

/// A delivery that is dropped comes again, as the modified outcome has it; at the end of its link it comes again as well.
pub(super) async fn without_a_word(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    Topology::of(&session).await.queue("dropped", &[]).await;
    send(&session.sender(address("dropped")).attach().await.expect("a link"), 0..1).await;
    let mut receiver = session.receiver(address("dropped")).attach().await.expect("a link");
    drop(next(&mut receiver).await);
    let again = next(&mut receiver).await;
    assert_eq!(number(&again), 0);
    receiver.close().await.expect("a closed link");
    // It was held when the link was closed.
    assert_eq!(rest(&session, "dropped").await, [0]);

    // Received settled, it is gone when it was sent.
    send(&session.sender(address("dropped")).attach().await.expect("a link"), 0..1).await;
    let settled = session.receiver(address("dropped")).settle_mode(SenderSettleMode::Settled);
    let mut settled = settled.attach().await.expect("a link");
    assert_eq!(number(&next(&mut settled).await), 0);
    settled.close().await.expect("a closed link");
    assert_eq!(rest(&session, "dropped").await, [0; 0]);
    connection.close().await.expect("a closed connection");
    4
}

/// Its attach says how large messages may be.
pub(super) async fn largest(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    Topology::of(&session).await.queue("largest", &[]).await;
    let sender = session.sender(address("largest")).attach().await.expect("a link");
    let limit = sender.remote_attach().max_message_size.expect("a limit");
    assert_eq!(limit, 16 * 1024 * 1024);
    let body = vec![b'x'; usize::try_from(limit).expect("it fits") - 1000];
    sender.send(Message::builder().data(body)).await.expect("an outcome").into_result().expect("accepted");
    let body = vec![b'x'; usize::try_from(limit).expect("it fits")];
    let error = sender.send(Message::builder().data(body)).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge, "{error}");
    // It was not sent, and the link goes on.
    send(&sender, 0..1).await;
    assert_eq!(count(&session, "largest").await, Some(2));
    connection.close().await.expect("a closed connection");
    2
}

/// Transactions, and links that are resumed.
pub(super) async fn not_implemented(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let error = session.transactions().await.expect_err("no transactions");
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED), "{error}");
    connection.close().await.expect("a closed connection");

    // A durable message outlives a restart in a durable queue; one that is not is kept as well.
    let (connection, session) = broker.session().await;
    Topology::of(&session).await.queue("durable", &[]).await;
    let sender = session.sender(address("durable")).attach().await.expect("a link");
    let header = Header { durable: true, ..Header::default() };
    let message = Message::builder().header(header).data("x").build();
    sender.send(message).await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(count(&session, "durable").await, Some(1));
    connection.close().await.expect("a closed connection");
    1
}
