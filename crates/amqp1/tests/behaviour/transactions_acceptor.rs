//! Transactions as an acceptor keeps them, opposite a client of this library.

use crate::peers::node::{self, Node};
use crate::support::{self, coordinator_request, soon};
use amqp1::{
    ErrorKind, Outcome,
    error::ErrorCondition,
    link::ReceiverSettleMode,
    transaction::{CoordinatorConfig, Discharge, RollbackCause},
};
use bytes::Bytes;
use std::time::Duration;

#[tokio::test]
async fn x_4_4_1_2_what_is_posted_is_there_after_the_commit_and_never_after_a_rollback() {
    let mut node = Node::open().await;
    let (sender, mut receiver) = node.sender("queue").await;
    let kept = node.controller.declare().await.expect("a transaction");
    let gone = node.controller.declare().await.expect("another");
    for (transaction, text) in [(&kept, "kept"), (&gone, "gone")] {
        let (outcome, ()) = tokio::join!(soon(transaction.send(&sender, text)), node.post_next(&mut receiver));
        let outcome = outcome.expect("an outcome");
        let Outcome::Transactional(state) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(state.txn_id, transaction.id().as_slice());
        outcome.into_result().expect("accepted, if it is committed");
    }
    let (discharged, rolled_back) = tokio::join!(soon(gone.rollback()), node.discharge());
    assert!(discharged.expect("rolled back").is_empty());
    let Discharge::RolledBack(rolled_back) = rolled_back else { panic!("{rolled_back:?}") };
    assert_eq!((rolled_back.work, rolled_back.cause), (vec![Bytes::from("gone")], RollbackCause::Controller));
    let (committed, done) = tokio::join!(soon(kept.commit()), node.commit_next());
    committed.expect("committed");
    assert_eq!(done, ["kept"]);
    assert_eq!(node.coordinator.live(), 0);
}

/// The state was dropped, and the message was visible before the commit.
#[tokio::test]
async fn a_message_of_a_transaction_is_not_accepted_as_an_ordinary_one() {
    let mut node = Node::open().await;
    let (sender, mut receiver) = node.sender("queue").await;
    let transaction = node.controller.declare().await.expect("a transaction");
    let posting = tokio::join!(soon(transaction.send(&sender, "m")), async {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        assert_eq!(delivery.transaction(), Some(transaction.id()));
        assert_eq!(delivery.state(), Some(&transaction.id().state(None)));
        let error = delivery.accept().expect_err("not an ordinary message");
        assert_eq!(error.kind(), ErrorKind::Config);
    });
    let outcome = posting.0.expect("an outcome").into_result().expect_err("nothing was accepted");
    assert_eq!(outcome.kind(), ErrorKind::Modified);
    let (committed, undone) = tokio::join!(soon(transaction.commit()), node.discharge());
    let error = committed.expect_err("a part of it has failed");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::RolledBack, Some(&ErrorCondition::TRANSACTION_ROLLBACK)));
    let Discharge::RolledBack(undone) = undone else { panic!("{undone:?}") };
    assert!(matches!(undone.cause, RollbackCause::Failed(_)));
}

/// Also X-4.4.2-1.
#[tokio::test]
async fn a_retirement_takes_effect_at_the_commit_and_is_one_delivery() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut node = Node::open().await;
        let (mut receiver, sender) = node.receiver("queue", mode).await;
        let mut receipt = soon(sender.reserve()).await.expect("credit").send("m").expect("sent");
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.accept(delivery).expect("retired");
        // What is asked for later is served later: the retirement is known now.
        let other = node.controller.declare().await.expect("another");
        let within = transaction.id().state(Some(amqp1::link::DeliveryState::Accepted));
        assert_eq!(receipt.provisional(), Some(within));
        assert!(node::is_pending(&mut receipt).await, "it is provisional");
        let (committed, commit) = tokio::join!(soon(transaction.commit()), async {
            let Discharge::Commit(commit) = node.discharge().await else { panic!("a commit") };
            let retired: Vec<_> = commit.retirements().iter().map(|one| (one.receipt, one.outcome.clone())).collect();
            assert_eq!(retired, [(receipt.id(), amqp1::link::DeliveryState::Accepted)]);
            commit.confirm()
        });
        committed.expect("committed");
        commit.expect("told");
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
        drop(other);
    }
}

/// Also X-4.4.2-3.
#[tokio::test]
async fn a_rollback_gives_a_delivery_back_to_who_has_it() {
    // Settled by the controller: the default outcome applies.
    let mut node = Node::open().await;
    let (mut receiver, sender) = node.receiver("queue", ReceiverSettleMode::First).await;
    let receipt = soon(sender.reserve()).await.expect("credit").send("m").expect("sent");
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    let transaction = node.controller.declare().await.expect("a transaction");
    transaction.accept(delivery).expect("retired");
    let (back, _) = tokio::join!(soon(transaction.rollback()), node.discharge());
    assert!(back.expect("rolled back").is_empty());
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Released);
    // Not settled: the controller has it as before.
    let (mut receiver, sender) = node.receiver("other", ReceiverSettleMode::Second).await;
    let mut receipt = soon(sender.reserve()).await.expect("credit").send("m").expect("sent");
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    let transaction = node.controller.declare().await.expect("a transaction");
    transaction.accept(delivery).expect("retired");
    let (back, _) = tokio::join!(soon(transaction.rollback()), node.discharge());
    let delivery = back.expect("rolled back").pop().expect("the delivery");
    assert!(node::is_pending(&mut receipt).await, "the client has it");
    assert_eq!(receipt.provisional(), None);
    delivery.reject(None).expect("settled");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Rejected(None));
}

#[tokio::test]
async fn a_retirement_outlives_its_link() {
    for commits in [true, false] {
        let mut node = Node::open().await;
        let (mut receiver, sender) = node.receiver("queue", ReceiverSettleMode::First).await;
        let mut receipt = soon(sender.reserve()).await.expect("credit").send("m").expect("sent");
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.accept(delivery).expect("retired");
        soon(receiver.close()).await.expect("closed");
        soon(sender.detached()).await;
        assert!(node::is_pending(&mut receipt).await, "it waits for the transaction");
        if commits {
            let (committed, _) = tokio::join!(soon(transaction.commit()), node.commit_next());
            committed.expect("committed");
            assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
        } else {
            let (undone, _) = tokio::join!(soon(transaction.rollback()), node.discharge());
            undone.expect("rolled back");
            assert!(soon(receipt).await.is_err(), "the message is to be delivered again");
        }
    }
}

/// X-4.2-7.
#[tokio::test]
async fn x_4_2_7_the_end_of_a_control_link_rolls_its_transactions_back() {
    let mut node = Node::open().await;
    let (sender, mut receiver) = node.sender("queue").await;
    let (mut taker, far) = node.receiver("stock", ReceiverSettleMode::First).await;
    let receipt = soon(far.reserve()).await.expect("credit").send("m").expect("sent");
    let delivery = soon(taker.recv()).await.expect("a link").expect("a delivery");
    let transaction = node.controller.declare().await.expect("a transaction");
    transaction.accept(delivery).expect("retired");
    let (posted, ()) = tokio::join!(soon(transaction.send(&sender, "posted")), node.post_next(&mut receiver));
    posted.expect("an outcome").into_result().expect("accepted");
    soon(node.controller.close()).await.expect("closed");
    let Discharge::RolledBack(undone) = node.discharge().await else { panic!("it is over") };
    assert_eq!((undone.work, undone.cause), (vec![Bytes::from("posted")], RollbackCause::ControlLinkEnded));
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Released);
    assert!(node.next().await.is_none());
}

/// The receipts of a commit that is under way wait for it, whatever becomes of the connection.
#[tokio::test]
async fn a_commit_in_hand_is_whole_when_the_connection_breaks() {
    for confirms in [true, false] {
        let mut node = Node::open().await;
        let (mut taker, far) = node.receiver("stock", ReceiverSettleMode::First).await;
        let mut receipt = soon(far.reserve()).await.expect("credit").send("m").expect("sent");
        let delivery = soon(taker.recv()).await.expect("a link").expect("a delivery");
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.accept(delivery).expect("retired");
        let committing = tokio::spawn(transaction.commit());
        let Discharge::Commit(commit) = node.discharge().await else { panic!("a commit") };
        node.cut();
        soon(node.server.connection().closed()).await;
        tokio::time::sleep(Duration::ZERO).await;
        assert!(node::is_pending(&mut receipt).await, "it is not decided");
        if confirms {
            assert!(commit.confirm().is_err(), "the controller is not told");
            assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
        } else {
            drop(commit);
            assert!(soon(receipt).await.is_err(), "it is to be delivered again");
        }
        assert_eq!(soon(committing).await.expect("no panic").expect_err("no answer").kind(), ErrorKind::InDoubt);
    }
}

#[tokio::test(start_paused = true)]
async fn x_4_4_1_6_a_transaction_that_is_over_ends_the_link_that_names_it() {
    let config = CoordinatorConfig { timeout: Some(Duration::from_secs(10)), ..CoordinatorConfig::default() };
    let mut node = Node::with(config).await;
    let (sender, mut receiver) = node.sender("queue").await;
    let transaction = node.controller.declare().await.expect("a transaction");
    let (posted, ()) = tokio::join!(transaction.send(&sender, "in time"), node.post_next(&mut receiver));
    posted.expect("an outcome").into_result().expect("accepted");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let Discharge::RolledBack(undone) = node.discharge().await else { panic!("it took too long") };
    assert_eq!((undone.work, undone.cause), (vec![Bytes::from("in time")], RollbackCause::TimedOut));
    let (posted, received) = tokio::join!(soon(transaction.send(&sender, "too late")), soon(receiver.recv()));
    for error in [posted.expect_err("no such transaction"), received.expect_err("the link is over")] {
        assert_eq!(error.condition(), Some(&ErrorCondition::TRANSACTION_UNKNOWN_ID), "{error}");
    }
    let error = soon(transaction.commit()).await.expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::RolledBack);
}

/// What was posted earlier is part of the transaction, however late it is taken.
#[tokio::test]
async fn a_discharge_waits_for_what_was_posted_before_it() {
    let mut node = Node::open().await;
    let (sender, mut receiver) = node.sender("queue").await;
    let transaction = node.controller.declare().await.expect("a transaction");
    let settled = amqp1::link::SendOptions { settled: true, ..amqp1::link::SendOptions::default() };
    transaction.send_with(&sender, "m", settled).await.expect("sent").into_result().expect("posted");
    let mut committing = tokio::spawn(transaction.commit());
    tokio::select! {
        biased;
        _ = &mut committing => panic!("a message is not decided"),
        _ = node.next() => panic!("a message is not decided"),
        () = async { for _ in 0..1000 { tokio::task::yield_now().await } } => {}
    }
    node.post_next(&mut receiver).await;
    assert_eq!(node.commit_next().await, ["m"]);
    soon(committing).await.expect("no panic").expect("committed");
}

/// Also X-4.1-1: where no control link is accepted as such, it is refused.
#[tokio::test]
async fn a_control_link_is_accepted_by_the_coordinator_of_its_connection_alone() {
    let mut pair = support::pair().await;
    let session = pair.session().await;
    let stranger = support::pair().await;
    let foreign: amqp1::transaction::Coordinator<()> =
        stranger.server.coordinator(CoordinatorConfig::default()).expect("the first");
    for way in 0..2 {
        let (controller, accepted) = tokio::join!(session.transactions(), async {
            let link = pair.offered().await;
            match way {
                0 => link.accept_default().map(drop),
                _ => coordinator_request(link).coordinate(&foreign).map(drop),
            }
        });
        assert_eq!(accepted.expect_err("no coordinator here").kind(), ErrorKind::Config);
        let error = controller.expect_err("no coordinator there");
        assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED));
    }
    assert_eq!(
        stranger.server.coordinator::<()>(CoordinatorConfig::default()).expect_err("a second").kind(),
        ErrorKind::Config
    );
}

/// What is posted waits in memory: a client that never commits holds no more than this.
#[tokio::test]
async fn the_octets_that_wait_for_commits_are_bounded() {
    let config = CoordinatorConfig { max_octets: 2500, ..CoordinatorConfig::default() };
    let mut node = Node::with(config).await;
    let (sender, mut receiver) = node.sender("queue").await;
    let large = "x".repeat(1000);
    // What is discharged does not count.
    for _ in 0..3 {
        let transaction = node.controller.declare().await.expect("a transaction");
        for _ in 0..2 {
            let (posted, ()) = tokio::join!(transaction.send(&sender, large.clone()), node.post_next(&mut receiver));
            posted.expect("an outcome").into_result().expect("accepted");
        }
        let (committed, done) = tokio::join!(soon(transaction.commit()), node.commit_next());
        committed.expect("committed");
        assert_eq!(done.len(), 2);
    }
    let transactions = [node.controller.declare().await, node.controller.declare().await];
    let [one, two] = transactions.map(|transaction| transaction.expect("a transaction"));
    for transaction in [&one, &two] {
        let (posted, ()) = tokio::join!(transaction.send(&sender, large.clone()), node.post_next(&mut receiver));
        posted.expect("an outcome").into_result().expect("accepted");
    }
    let (posted, refused) = tokio::join!(soon(two.send(&sender, large)), async {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        node.coordinator.post(delivery, Bytes::new())
    });
    assert!(posted.is_err() || posted.is_ok_and(|outcome| outcome != Outcome::Accepted), "nothing is accepted");
    let error = refused.expect_err("too much");
    assert_eq!(
        (error.kind(), error.condition()),
        (ErrorKind::RolledBack, Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED))
    );
    let detached = soon(node.controller.detached()).await;
    assert_eq!(detached.error.map(|error| error.condition), Some(ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
    for _ in 0..2 {
        let Discharge::RolledBack(undone) = node.discharge().await else { panic!("rolled back") };
        assert_eq!(undone.work.len(), 1);
    }
    assert_eq!(node.coordinator.live(), 0);
}

/// A consumer that is gone does not keep a transaction from its end.
#[tokio::test]
async fn what_was_posted_on_a_link_that_nobody_serves_is_not_committed() {
    for settled in [true, false] {
        let mut node = Node::open().await;
        let (sender, receiver) = node.sender("queue").await;
        let transaction = node.controller.declare().await.expect("a transaction");
        let permit = soon(sender.reserve()).await.expect("credit");
        if settled {
            let settled = amqp1::link::SendOptions { settled: true, ..amqp1::link::SendOptions::default() };
            drop(permit);
            transaction.send_with(&sender, "m", settled).await.expect("sent").into_result().expect("posted");
            soon(sender.close()).await.expect("closed");
            soon(receiver.detached()).await;
        } else {
            transaction.post(permit, "m").expect("posted");
        }
        drop(receiver);
        let (committed, undone) = tokio::join!(soon(transaction.commit()), node.discharge());
        assert_eq!(committed.expect_err("nobody has it").kind(), ErrorKind::RolledBack, "{settled}");
        let Discharge::RolledBack(undone) = undone else { panic!("{undone:?}") };
        assert!(undone.work.is_empty());
    }
}
