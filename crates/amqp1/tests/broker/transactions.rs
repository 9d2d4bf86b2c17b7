//! Transactions: what is posted and retired within one.

use super::{Bed, consumer, drained, failures, next, put, support::soon, text};
use amqp1::{
    Message, Outcome, Source,
    codec::messaging::TerminusExpiryPolicy,
    error::ErrorCondition,
    link::SenderSettleMode,
    message::{Header, Properties},
    transaction::Transaction,
};

async fn discharge(transaction: Transaction, commits: bool) {
    match commits {
        true => transaction.commit().await.expect("committed"),
        false => drop(transaction.rollback().await.expect("rolled back")),
    }
}

#[tokio::test]
async fn x_4_4_1_2_what_is_posted_is_visible_when_it_is_committed() {
    let session = Bed::new(&[]).session().await;
    let controller = session.transactions().await.expect("a coordinator");
    let sender = session.sender("q").attach().await.expect("a sender");
    for commits in [true, false] {
        let transaction = controller.declare().await.expect("declared");
        for text in ["a", "b"] {
            transaction.send(&sender, text).await.expect("sent").into_result().expect("accepted");
        }
        assert!(drained(&session, "q").await.is_empty());
        discharge(transaction, commits).await;
        assert_eq!(drained(&session, "q").await, if commits { &["a", "b"][..] } else { &[] });
        let mut receiver = consumer(&session, "q", 10).await;
        receiver.drain().await.expect("drained");
        while let Ok(delivery) = receiver.try_recv() {
            delivery.accept().expect("settled");
        }
        receiver.close().await.expect("closed");
    }
}

#[tokio::test]
async fn x_4_4_1_5_a_message_that_is_refused_spoils_its_transaction() {
    let session = Bed::new(&[]).session().await;
    let controller = session.transactions().await.expect("a coordinator");
    let sender = session.sender("q").attach().await.expect("a sender");
    let transaction = controller.declare().await.expect("declared");
    transaction.send(&sender, "a").await.expect("sent").into_result().expect("accepted");
    let durable = Message::builder().header(Header { durable: true, ..Header::default() }).data("durable");
    let outcome = transaction.send(&sender, durable).await.expect("sent");
    let error = outcome.into_result().expect_err("refused");
    assert_eq!(error.condition(), Some(&ErrorCondition::PRECONDITION_FAILED));
    let error = transaction.commit().await.expect_err("it cannot be committed");
    assert_eq!(error.condition(), Some(&ErrorCondition::TRANSACTION_ROLLBACK));
    assert!(drained(&session, "q").await.is_empty());
}

#[tokio::test]
async fn e_anon_3_a_message_that_the_relay_cannot_deliver_spoils_its_transaction() {
    let session = Bed::new(&[]).session().await;
    let controller = session.transactions().await.expect("a coordinator");
    let sender = session.sender("q").attach().await.expect("a sender");
    let relay = session.anonymous_sender().attach().await.expect("a relay");
    let transaction = controller.declare().await.expect("declared");
    transaction.send(&sender, "a").await.expect("sent").into_result().expect("accepted");
    let nowhere = Properties { to: Some("nowhere".into()), ..Properties::default() };
    let outcome = transaction.send(&relay, Message::builder().properties(nowhere).data("b")).await.expect("sent");
    assert_eq!(outcome.into_result().expect_err("refused").condition(), Some(&ErrorCondition::NOT_FOUND));
    let error = transaction.commit().await.expect_err("it cannot be committed");
    assert_eq!(error.condition(), Some(&ErrorCondition::TRANSACTION_ROLLBACK));
    assert!(drained(&session, "q").await.is_empty());
}

/// The link of a message that was posted settled goes on: the commit tells that it was refused.
#[tokio::test]
async fn x_4_4_1_5_a_message_that_was_posted_settled_and_is_refused_fails_the_commit() {
    let session = Bed::new(&[]).session().await;
    let controller = session.transactions().await.expect("a coordinator");
    let sender = session.sender("q").settle_mode(SenderSettleMode::Settled).attach().await.expect("a sender");
    let transaction = controller.declare().await.expect("declared");
    let durable = Message::builder().header(Header { durable: true, ..Header::default() }).data("durable");
    transaction.send(&sender, durable).await.expect("sent").into_result().expect("sent");
    let error = transaction.commit().await.expect_err("it cannot be committed");
    assert_eq!(error.condition(), Some(&ErrorCondition::TRANSACTION_ROLLBACK));
    let transaction = controller.declare().await.expect("declared");
    transaction.send(&sender, "x").await.expect("the link goes on").into_result().expect("sent");
    discharge(transaction, true).await;
    assert_eq!(drained(&session, "q").await, ["x"]);
}

#[tokio::test]
async fn x_4_4_2_1_what_is_retired_is_gone_when_it_is_committed() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let controller = session.transactions().await.expect("a coordinator");
    put(&session, "q", &["a", "b"]).await;
    let mut receiver = consumer(&session, "q", 2).await;
    let (a, b) = (next(&mut receiver).await, next(&mut receiver).await);
    let committed = controller.declare().await.expect("declared");
    committed.accept(a).expect("stated");
    discharge(committed, true).await;
    let undone = controller.declare().await.expect("declared");
    undone.accept(b).expect("stated");
    discharge(undone, false).await;
    session.end().await.expect("ended");
    let session = bed.session().await;
    assert_eq!(drained(&session, "q").await, ["b"]);
}

#[tokio::test]
async fn x_4_4_4_1_what_is_acquired_comes_back_at_a_rollback() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let controller = session.transactions().await.expect("a coordinator");
    put(&session, "q", &["a", "b"]).await;
    for commits in [false, true] {
        let mut receiver = consumer(&session, "q", 0).await;
        let transaction = controller.declare().await.expect("declared");
        transaction.acquire(&mut receiver, 1).expect("a link");
        let delivery = next(&mut receiver).await;
        assert_eq!(text(&delivery), "a");
        transaction.accept(delivery).expect("stated");
        // It belongs to the transaction, whatever others ask for.
        assert_eq!(drained(&session, "q").await, ["b"]);
        discharge(transaction, commits).await;
        receiver.close().await.expect("closed");
        assert_eq!(drained(&session, "q").await, if commits { &["b"][..] } else { &["a", "b"] });
    }
}

/// A consumer that is closed does not take back what its transaction still decides about.
#[tokio::test]
async fn x_4_4_2_1_a_link_that_is_closed_does_not_decide_what_is_retired() {
    let bed = Bed::new(&[]);
    for commits in [true, false] {
        let session = bed.session().await;
        let controller = session.transactions().await.expect("a coordinator");
        put(&session, "q", &["a", "b"]).await;
        let lasting = || Source { expiry_policy: TerminusExpiryPolicy::Never, ..Source::at("q") };
        let mut receiver = session.receiver("").source(lasting()).name("link").attach().await.expect("a receiver");
        let (a, b) = (next(&mut receiver).await, next(&mut receiver).await);
        let transaction = controller.declare().await.expect("declared");
        transaction.accept(a).expect("stated");
        b.release().expect("stated");
        receiver.detach().await.expect("detached");
        // The name is free before the transaction is discharged.
        let mut receiver =
            soon(session.receiver("").source(lasting()).name("link").attach()).await.expect("a receiver");
        let b = next(&mut receiver).await;
        assert_eq!(text(&b), "b");
        discharge(transaction, commits).await;
        b.accept().expect("settled");
        receiver.close().await.expect("closed");
        let left = drained(&session, "q").await;
        assert_eq!(left, if commits { &[][..] } else { &["a"] }, "{commits}");
        session.end().await.expect("ended");
    }
}

#[tokio::test]
async fn x_4_2_7_the_end_of_the_connection_rolls_back() {
    let bed = Bed::new(&[]);
    let (connection, gate) = bed.connect_with(|builder| builder).await;
    let session = connection.begin().await.expect("a session");
    put(&session, "q", &["old"]).await;
    let controller = session.transactions().await.expect("a coordinator");
    let transaction = controller.declare().await.expect("declared");
    let sender = session.sender("q").attach().await.expect("a sender");
    let Ok(Outcome::Transactional(_) | Outcome::Accepted) = transaction.send(&sender, "new").await else {
        panic!("not posted")
    };
    let mut receiver = consumer(&session, "q", 1).await;
    let delivery = next(&mut receiver).await;
    assert_eq!((text(&delivery).as_str(), failures(&delivery)), ("old", 0));
    transaction.accept(delivery).expect("stated");
    // It has arrived when what comes behind it is answered.
    sender.close().await.expect("closed");
    gate.break_off();
    let session = bed.session().await;
    let mut receiver = consumer(&session, "q", 2).await;
    let delivery = next(&mut receiver).await;
    assert_eq!(text(&delivery), "old");
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err());
}
