//! Links that go on over another connection (§2.6.13). The broker keeps nothing of what is not settled.

use super::{
    proxy::Proxy,
    world::{self, Broker, SIZE, Sent, in_time, index, leave, next, send, take_all},
};
use amqp1::{Connection, ErrorKind, Session};
use amqp1_tests::bodies;
use std::{collections::BTreeSet, sync::Arc};

/// A container, whose link goes on over the next of its connections.
async fn container(port: u64) -> (Connection, Session) {
    let connection = world::client(port).container_id("resuming").connect().await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    (connection, session)
}

/// Messages whose outcomes had not come when the connection was cut: each has one in the end, and none is lost.
pub(super) async fn sender(broker: Arc<Broker>) -> u64 {
    const COUNT: u64 = 400;
    let proxy = Proxy::start(broker.port()).await;
    let (_, session) = container(proxy.port.into()).await;
    let sender = session.sender("resuming.sender").resumable(true).attach().await.expect("a sending link");
    let mut receipts = Vec::new();
    for index in 0..COUNT {
        let permit = in_time(sender.reserve()).await.expect("credit");
        receipts.push(permit.send(bodies::message(index, SIZE)).expect("queued"));
    }
    // Some have their outcomes, some have left, and some have not.
    let first = in_time(&mut receipts[0]).await.expect("an outcome");
    proxy.cut();
    let left = in_time(sender.suspend()).await.expect("suspended");
    let (mut accepted, mut suspended) = (0, 0);
    for (index, receipt) in receipts.into_iter().enumerate() {
        let outcome = if index == 0 { Ok(first.clone()) } else { in_time(receipt).await };
        match outcome {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Suspended, "{error}");
                suspended += 1;
            }
            Ok(outcome) => {
                outcome.into_result().expect("accepted");
                accepted += 1;
            }
        }
    }
    assert_eq!((left.deliveries().len(), accepted + suspended), (suspended, 400));

    let (connection, session) = container(broker.port()).await;
    let sender = session.sender("resuming.sender").resume(&left).attach().await.expect("the link again");
    let resumed = sender.resumed();
    assert_eq!(resumed.len(), suspended);
    for (_, receipt) in resumed {
        in_time(receipt).await.expect("an outcome").into_result().expect("accepted");
    }
    // The broker keeps nothing of a link that is gone, so that what had left may be there twice.
    let mut receiver = world::receiver(&session, "resuming.sender").await;
    let mut there = BTreeSet::new();
    while there.len() < 400 {
        let delivery = next(&mut receiver).await;
        there.insert(index(&delivery));
        delivery.accept().expect("settled");
    }
    assert!(there.into_iter().eq(0..COUNT));
    leave(&connection, &[&receiver]).await;
    COUNT
}

/// What was received and not settled comes again as new; what was settled does not.
pub(super) async fn receiver(broker: Arc<Broker>) -> u64 {
    let (connection, session) = container(broker.port()).await;
    send(&world::sender(&session, "resuming.receiver").await, 100).await;
    let mut receiver = session.receiver("resuming.receiver").resumable(true).attach().await.expect("a receiving link");
    let mut held = Vec::new();
    for expected in 0..50 {
        let delivery = next(&mut receiver).await;
        assert_eq!(index(&delivery), expected);
        if expected % 2 == 0 { delivery.accept().expect("settled") } else { held.push(delivery.leave_unsettled()) }
    }
    let left = in_time(receiver.suspend()).await.expect("suspended");
    connection.close().await.expect("a closed connection");

    let (connection, session) = container(broker.port()).await;
    let mut receiver = session.receiver("resuming.receiver").resume(&left).attach().await.expect("the link again");
    let mut there = BTreeSet::new();
    while there.len() < 75 {
        let delivery = next(&mut receiver).await;
        if delivery.is_resumed() {
            // The broker does not say that it has it: what was received, and not taken, is handed over.
            assert!(delivery.is_settled() && index(&delivery) >= 50);
            continue;
        }
        assert!(there.insert(index(&delivery)), "message {} came twice", index(&delivery));
        delivery.accept().expect("settled");
    }
    assert!(there.into_iter().eq((1..50).step_by(2).chain(50..100)));
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("resuming.receiver").await, 0);
    100
}

/// The broker settles without an outcome what was in flight: nothing is left to go on with, and nothing is said to be
/// accepted that it does not have.
pub(super) async fn detached(broker: Arc<Broker>) -> u64 {
    let (connection, session) = container(broker.port()).await;
    let sender = session.sender("resuming.detached").resumable(true).attach().await.expect("a sending link");
    let mut receipts = Vec::new();
    for index in 0..400 {
        let permit = in_time(sender.reserve()).await.expect("credit");
        receipts.push(permit.send(bodies::message(index, SIZE)).expect("queued"));
    }
    let left = in_time(sender.suspend()).await.expect("suspended");
    assert_eq!(left.deliveries().len(), 0);
    let mut sent = Sent::default();
    for (index, receipt) in (0..).zip(receipts) {
        sent.record(index, in_time(receipt).await);
    }
    assert!(sent.not_delivered.is_empty());
    leave(&connection, &[]).await;
    sent.compare(&take_all(&broker, "resuming.detached").await)
}
