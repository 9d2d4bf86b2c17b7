//! Transactions, whose ids have 36 octets here.

use super::world::{self, Broker, SIZE, in_time, index, leave, next, receive, take_all};
use amqp1::Receiver;
use amqp1_tests::bodies;
use std::sync::Arc;

/// Nothing is there for this receiver.
async fn nothing(receiver: &mut Receiver) {
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err(), "a message is visible");
    receiver.set_credit(amqp1::Credit::Window(100)).expect("a link");
}

/// What is posted is there after the commit, and never after a rollback.
pub(super) async fn posting(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let controller = session.transactions().await.expect("a coordinator");
    let sender = world::sender(&session, "transactions.posting").await;
    let (other, session) = broker.session().await;
    let mut receiver = world::receiver(&session, "transactions.posting").await;
    for commits in [true, false, true] {
        let transaction = controller.declare().await.expect("declared");
        assert_eq!(transaction.id().as_slice().len(), 36);
        for index in 0..50 {
            let sent = transaction.send(&sender, bodies::message(index, SIZE)).await.expect("an outcome");
            sent.into_result().expect("accepted");
        }
        nothing(&mut receiver).await;
        if commits {
            transaction.commit().await.expect("committed");
            receive(&mut receiver, 50).await;
        } else {
            assert!(transaction.rollback().await.expect("rolled back").is_empty());
            nothing(&mut receiver).await;
        }
    }
    // One that is dropped is rolled back.
    let transaction = controller.declare().await.expect("declared");
    transaction.send(&sender, bodies::message(0, SIZE)).await.expect("an outcome").into_result().expect("accepted");
    drop(transaction);
    controller.close().await.expect("a closed link");
    nothing(&mut receiver).await;
    leave(&connection, &[]).await;
    leave(&other, &[&receiver]).await;
    assert_eq!(broker.count("transactions.posting").await, 0);
    100
}

/// What is retired is gone after the commit, and back after a rollback.
pub(super) async fn retirement(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    world::send(&world::sender(&session, "transactions.retirement").await, 60).await;
    let controller = session.transactions().await.expect("a coordinator");
    let mut receiver = world::receiver(&session, "transactions.retirement").await;

    let transaction = controller.declare().await.expect("declared");
    for expected in 0..20 {
        let delivery = next(&mut receiver).await;
        assert_eq!(index(&delivery), expected);
        transaction.accept(delivery).expect("retired");
    }
    transaction.commit().await.expect("committed");

    let transaction = controller.declare().await.expect("declared");
    for expected in 20..40 {
        let delivery = next(&mut receiver).await;
        assert_eq!(index(&delivery), expected);
        transaction.accept(delivery).expect("retired");
    }
    // On a link of mode first they are settled when they are retired, and the queue has them back.
    assert!(transaction.rollback().await.expect("rolled back").is_empty());
    leave(&connection, &[&receiver]).await;
    assert!(take_all(&broker, "transactions.retirement").await.into_iter().eq(20..60));
    60
}

/// Three on one session, in and out of two queues: each commits or rolls back its own.
pub(super) async fn several(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    world::send(&world::sender(&session, "transactions.from").await, 30).await;
    let controller = session.transactions().await.expect("a coordinator");
    let mut receiver = world::receiver(&session, "transactions.from").await;
    let sender = world::sender(&session, "transactions.to").await;
    let mut transactions = Vec::new();
    for _ in 0..3 {
        transactions.push(controller.declare().await.expect("declared"));
    }
    for expected in 0..30 {
        let delivery = next(&mut receiver).await;
        assert_eq!(index(&delivery), expected);
        let transaction = &transactions[usize::try_from(expected % 3).expect("few")];
        let permit = in_time(sender.reserve()).await.expect("credit");
        transaction.post(permit, bodies::message(expected, SIZE)).expect("posted");
        transaction.accept(delivery).expect("retired");
    }
    for (number, transaction) in transactions.into_iter().enumerate() {
        if number == 1 {
            assert!(transaction.rollback().await.expect("rolled back").is_empty());
        } else {
            transaction.commit().await.expect("committed");
        }
    }
    leave(&connection, &[&receiver]).await;
    let second = || (0..30).filter(|index| index % 3 == 1);
    assert!(take_all(&broker, "transactions.from").await.into_iter().eq(second()));
    assert!(take_all(&broker, "transactions.to").await.into_iter().eq((0..30).filter(|index| index % 3 != 1)));
    30
}
