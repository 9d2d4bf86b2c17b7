//! Closing while outcomes are outstanding: nothing is reported as accepted that the broker does not have.

use super::world::{self, Broker, SIZE, Sent, in_time, take_all};
use amqp1_tests::bodies;
use std::sync::Arc;

/// What is closed.
#[derive(Clone, Copy, Debug)]
enum What {
    Link,
    LinkDetached,
    Session,
    Connection,
    Dropped,
}

pub(super) async fn outstanding(broker: Arc<Broker>) -> u64 {
    let mut moved = 0;
    for what in [What::Link, What::LinkDetached, What::Session, What::Connection, What::Dropped] {
        for round in 0..4 {
            moved += close(&broker, what, 50 + round * 250).await;
        }
    }
    moved
}

/// Queues this many messages and closes at once.
async fn close(broker: &Broker, what: What, count: u64) -> u64 {
    let queue = format!("closing.{what:?}.{count}");
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, &queue).await;
    let mut receipts = Vec::new();
    for index in 0..count {
        let permit = in_time(sender.reserve()).await.expect("credit");
        receipts.push(permit.send(bodies::message(index, SIZE)).expect("queued"));
    }
    match what {
        What::Link => sender.close().await.expect("a closed link"),
        What::LinkDetached => sender.detach().await.expect("a detached link"),
        What::Session => session.end().await.expect("an ended session"),
        What::Connection => connection.close().await.expect("a closed connection"),
        What::Dropped => drop((sender, session)),
    }
    let mut sent = Sent::default();
    for (index, receipt) in (0..).zip(receipts) {
        sent.record(index, in_time(receipt).await);
    }
    connection.close().await.expect("a closed connection");
    in_time(async { while broker.producers(&queue).await > 0 {} }).await;
    let there = take_all(broker, &queue).await;
    sent.compare(&there)
}
