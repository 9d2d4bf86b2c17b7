//! Addresses that are full: of 100 kB.

use super::world::{self, Broker, SIZE, Sent, in_time, leave, next, send, take_all};
use amqp1::{ErrorKind, error::ErrorCondition, link::Blocked};
use amqp1_tests::bodies;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// What does not fit is refused with the reason, and the broker may take its credit back. When it is emptied, it takes
/// messages again.
pub(super) async fn failing(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "full.failing").await;
    let (mut sent, mut refused) = (Sent::default(), 0);
    for index in 0..300 {
        let reserved = timeout(Duration::from_secs(1), sender.reserve()).await;
        let Ok(permit) = reserved else { break };
        let receipt = permit.expect("a link").send(bodies::message(index, SIZE)).expect("queued");
        let outcome = in_time(receipt).await.expect("an outcome");
        if let Err(error) = outcome.clone().into_result() {
            assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
            assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED), "{error}");
            refused += 1;
        }
        sent.record(index, Ok(outcome));
    }
    assert!(refused > 0);
    let moved = sent.compare(&take_all(&broker, "full.failing").await);
    send(&sender, 20).await;
    assert_eq!(take_all(&broker, "full.failing").await.len(), 20);
    leave(&connection, &[]).await;
    moved + 20
}

/// The broker gives no more credit. Senders wait, and go on when it is emptied.
pub(super) async fn blocking(broker: Arc<Broker>) -> u64 {
    const COUNT: u64 = 2000;
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "blocked.address").await;
    let waiting = sender.clone();
    let mut sending = tokio::spawn(async move {
        for index in 0..COUNT {
            let permit = sender.reserve().await.expect("credit");
            let receipt = permit.send(bodies::message(index, SIZE)).expect("queued");
            tokio::spawn(async move { receipt.await.expect("an outcome").into_result().expect("accepted") });
        }
    });
    timeout(Duration::from_secs(2), &mut sending).await.expect_err("there is no room for all");
    assert_eq!(waiting.blocked(), Some(Blocked::Credit));
    let (other, session) = broker.session().await;
    let mut receiver = world::receiver(&session, "blocked.address").await;
    for expected in 0..COUNT {
        let delivery = next(&mut receiver).await;
        assert_eq!(world::index(&delivery), expected);
        delivery.accept().expect("settled");
    }
    in_time(sending).await.expect("all sent");
    leave(&other, &[&receiver]).await;
    leave(&connection, &[]).await;
    COUNT
}
