//! What becomes of a message by each outcome, and its delivery-count afterwards.

use super::world::{self, Broker, delivery_count, in_time, index, leave, next, receive, take};
use amqp1::{
    Delivery, Error, Message, Receiver,
    error::{AmqpError, ErrorCondition},
    link::Modified,
    message::Header,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const COUNT: u64 = 20;

/// Sends messages to a queue, and settles each as it says when it comes for the first time.
async fn settle_all(
    broker: &Broker,
    queue: &str,
    settle: impl Fn(Delivery) -> Result<(), Error>,
) -> (amqp1::Connection, Receiver) {
    let (connection, session) = broker.session().await;
    world::send(&world::sender(&session, queue).await, COUNT).await;
    let mut receiver = world::receiver(&session, queue).await;
    let mut held = Vec::new();
    for expected in 0..COUNT {
        let delivery = next(&mut receiver).await;
        assert_eq!((index(&delivery), delivery_count(&delivery)), (expected, 0));
        held.push(delivery);
    }
    for delivery in held {
        settle(delivery).expect("settled");
    }
    (connection, receiver)
}

/// All come again, each once and with this delivery-count.
async fn all_again(receiver: &mut Receiver, count: u32) -> u64 {
    let mut seen = BTreeSet::new();
    for _ in 0..COUNT {
        let delivery = next(receiver).await;
        assert_eq!(delivery_count(&delivery), count, "message {}", index(&delivery));
        assert!(seen.insert(index(&delivery)), "message {} came twice", index(&delivery));
        delivery.accept().expect("settled");
    }
    COUNT
}

pub(super) async fn accepted(broker: Arc<Broker>) -> u64 {
    let (connection, receiver) = settle_all(&broker, "outcomes.accepted", Delivery::accept).await;
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("outcomes.accepted").await, 0);
    COUNT
}

pub(super) async fn rejected(broker: Arc<Broker>) -> u64 {
    let reject = |delivery: Delivery| delivery.reject(AmqpError::new(ErrorCondition::DECODE_ERROR, "not for me"));
    let (connection, receiver) = settle_all(&broker, "outcomes.rejected", reject).await;
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("outcomes.rejected").await, 0);
    assert!(take(&broker, "dead", 20).await.into_iter().eq(0..COUNT));
    COUNT
}

pub(super) async fn released(broker: Arc<Broker>) -> u64 {
    let (connection, mut receiver) = settle_all(&broker, "outcomes.released", Delivery::release).await;
    let again = all_again(&mut receiver, 0).await;
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("outcomes.released").await, 0);
    again
}

pub(super) async fn delivery_failed(broker: Arc<Broker>) -> u64 {
    let modify = |delivery: Delivery| delivery.modify(Modified { delivery_failed: true, ..Modified::default() });
    let (connection, mut receiver) = settle_all(&broker, "outcomes.failed", modify).await;
    let again = all_again(&mut receiver, 1).await;
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("outcomes.failed").await, 0);
    again
}

/// They come to another consumer, and not to this one.
pub(super) async fn undeliverable_here(broker: Arc<Broker>) -> u64 {
    let modify = |delivery: Delivery| delivery.modify(Modified { undeliverable_here: true, ..Modified::default() });
    let (connection, mut receiver) = settle_all(&broker, "outcomes.undeliverable", modify).await;
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err());
    let (other, session) = broker.session().await;
    let again = all_again(&mut world::receiver(&session, "outcomes.undeliverable").await, 0).await;
    leave(&connection, &[&receiver]).await;
    leave(&other, &[]).await;
    assert_eq!(broker.count("outcomes.undeliverable").await, 0);
    again
}

/// The broker gives up after five attempts.
pub(super) async fn limit(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    world::send(&world::sender(&session, "outcomes.limit").await, 1).await;
    let mut receiver = world::receiver(&session, "outcomes.limit").await;
    for attempt in 0..5 {
        let delivery = next(&mut receiver).await;
        assert_eq!((index(&delivery), delivery_count(&delivery)), (0, attempt));
        delivery.modify(Modified { delivery_failed: true, ..Modified::default() }).expect("settled");
    }
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err());
    leave(&connection, &[&receiver]).await;
    assert_eq!(take(&broker, "dead.limit", 1).await, BTreeSet::from([0]));
    1
}

/// Every third one in the first round, then the others backwards.
pub(super) async fn any_order(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    world::send(&world::sender(&session, "outcomes.order").await, 99).await;
    let mut receiver = world::receiver(&session, "outcomes.order").await;
    let mut held = Vec::new();
    for expected in 0..99 {
        let delivery = next(&mut receiver).await;
        assert_eq!(index(&delivery), expected);
        if expected % 3 == 0 { delivery.accept().expect("settled") } else { held.push(delivery) }
    }
    while let Some(delivery) = held.pop() {
        delivery.accept().expect("settled");
    }
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("outcomes.order").await, 0);
    99
}

/// What has expired goes where expired messages go, and what has not arrives.
pub(super) async fn time_to_live(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "outcomes.ttl").await;
    let short = Message::builder().header(Header { ttl: Some(1), ..Header::default() }).data("late").build();
    sender.send(short).await.expect("an outcome").into_result().expect("accepted");
    world::send(&sender, COUNT).await;
    in_time(async {
        while broker.count("outcomes.ttl").await > COUNT {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let mut receiver = world::receiver(&session, "outcomes.ttl").await;
    receive(&mut receiver, COUNT).await;
    let mut expired = world::receiver(&session, "expired").await;
    let delivery = next(&mut expired).await;
    assert_eq!(delivery.message().data().as_deref(), Some(&b"late"[..]));
    delivery.accept().expect("settled");
    leave(&connection, &[&receiver, &expired]).await;
    COUNT + 1
}
