//! Messages that are acquired within a transaction (§4.4.3), by a client of this library at an acceptor of it.

use crate::peers::node::{Node, is_pending};
use crate::support::soon;
use amqp1::{
    Credit, Delivery, ErrorKind, Outcome, Receipt, Receiver, Sender,
    link::{DeliveryState, ReceiverSettleMode},
    transaction::{Discharge, RollbackCause},
};

use ReceiverSettleMode::{First, Second};

async fn next(receiver: &mut Receiver) -> Delivery {
    soon(receiver.recv()).await.expect("a link").expect("a delivery")
}

/// Sends a message as soon as there is credit.
async fn send(sender: &Sender, body: &'static str) -> Receipt {
    soon(sender.reserve()).await.expect("credit").send(body).expect("sent")
}

/// A link whose credit is used up: none is given outside of a transaction.
async fn link(node: &mut Node, mode: ReceiverSettleMode) -> (Receiver, Sender) {
    let (mut receiver, sender) = node.receiver("queue", mode).await;
    receiver.set_credit(Credit::Manual(0)).expect("a link");
    (receiver, sender)
}

#[tokio::test]
async fn x_4_4_3_1_what_is_acquired_is_settled_by_the_commit() {
    for mode in [First, Second] {
        let mut node = Node::open().await;
        let (mut receiver, sender) = link(&mut node, mode).await;
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.acquire(&mut receiver, 1).expect("asked");
        let mut receipt = send(&sender, "m").await;
        assert_eq!(sender.acquiring().as_ref(), Some(transaction.id()));
        let delivery = next(&mut receiver).await;
        assert_eq!(delivery.transaction(), Some(transaction.id()));
        assert_eq!(receipt.provisional(), Some(transaction.id().state(None)));
        transaction.accept(delivery).expect("retired");
        assert!(is_pending(&mut receipt).await, "{mode:?}: it is provisional");
        assert_eq!(receipt.provisional(), Some(transaction.id().state(Some(DeliveryState::Accepted))));
        let (committed, _) = tokio::join!(soon(transaction.commit()), node.commit_next());
        committed.expect("committed");
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
        assert_eq!(sender.acquiring(), None);
        // What is sent from now on is part of no transaction.
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        let receipt = send(&sender, "n").await;
        let delivery = next(&mut receiver).await;
        assert_eq!((delivery.transaction(), receipt.provisional()), (None, None));
        delivery.accept().expect("accepted");
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

/// §4.4.4: settled or not, and taken or not.
#[tokio::test]
async fn x_4_4_4_1_what_was_acquired_is_the_sources_again_after_a_rollback() {
    for mode in [First, Second] {
        let mut node = Node::open().await;
        let (mut receiver, sender) = link(&mut node, mode).await;
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.acquire(&mut receiver, 4).expect("asked");
        let mut receipts = Vec::new();
        for body in ["retired", "in hand", "not taken"] {
            receipts.push(send(&sender, body).await);
        }
        transaction.accept(next(&mut receiver).await).expect("retired");
        let in_hand = next(&mut receiver).await;
        let (back, undone) = tokio::join!(soon(transaction.rollback()), node.discharge());
        assert!(back.expect("rolled back").is_empty(), "nothing is this end's any more");
        let Discharge::RolledBack(undone) = undone else { panic!("{undone:?}") };
        assert_eq!(undone.cause, RollbackCause::Controller);
        for receipt in receipts {
            assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Released, "{mode:?}");
        }
        // It is somebody else's by now, which is not kept from the one who has it in hand.
        assert_eq!(in_hand.accept().expect_err("taken back").kind(), ErrorKind::RolledBack);
        assert!(receiver.try_recv().is_err(), "what was not taken is not handed over");
        assert_eq!(sender.credit(), 0, "the rest was drained");
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        let receipt = send(&sender, "again").await;
        next(&mut receiver).await.accept().expect("accepted");
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

#[tokio::test]
async fn x_4_4_3_3_the_credit_that_is_left_is_drained_before_the_discharge() {
    for commits in [true, false] {
        let mut node = Node::open().await;
        let (mut receiver, sender) = link(&mut node, First).await;
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.acquire(&mut receiver, 4).expect("asked");
        let receipt = send(&sender, "m").await;
        transaction.accept(next(&mut receiver).await).expect("retired");
        assert_eq!(sender.credit(), 3);
        let discharge =
            async { if commits { transaction.commit().await } else { transaction.rollback().await.map(drop) } };
        let (discharged, ()) = tokio::join!(soon(discharge), async {
            let asked = node.discharge().await;
            assert_eq!(sender.credit(), 0, "when the discharge comes; commits: {commits}");
            if let Discharge::Commit(commit) = asked {
                commit.confirm().expect("committed");
            }
        });
        discharged.expect("discharged");
        drop(receipt);
    }
}

/// Of each link that acquires within the transaction.
#[tokio::test]
async fn x_4_4_3_3_the_credit_of_every_link_is_drained_before_the_discharge() {
    for commits in [true, false] {
        let mut node = Node::open().await;
        let (mut one, sends_one) = link(&mut node, First).await;
        let (mut two, sends_two) = link(&mut node, Second).await;
        let (mut three, sends_three) = link(&mut node, First).await;
        let transaction = node.controller.declare().await.expect("a transaction");
        transaction.acquire(&mut one, 2).expect("asked");
        transaction.acquire(&mut two, 3).expect("asked");
        transaction.acquire(&mut three, 4).expect("asked");
        let senders = [sends_one, sends_two, sends_three];
        for sender in &senders {
            drop(soon(sender.reserve()).await.expect("credit"));
        }
        assert_eq!(senders.each_ref().map(|sender| sender.credit()), [2, 3, 4]);
        let discharge =
            async { if commits { transaction.commit().await } else { transaction.rollback().await.map(drop) } };
        let (discharged, ()) = tokio::join!(soon(discharge), async {
            let asked = node.discharge().await;
            let left = senders.each_ref().map(|sender| sender.credit());
            assert_eq!(left, [0, 0, 0], "when the discharge comes; commits: {commits}");
            if let Discharge::Commit(commit) = asked {
                commit.confirm().expect("committed");
            }
        });
        discharged.expect("discharged");
    }
}

/// X-4.4.3-2: what has no outcome by the commit is acquired, as outside of a transaction.
#[tokio::test]
async fn what_has_no_outcome_by_the_commit_is_settled_later() {
    let mut node = Node::open().await;
    let (mut receiver, sender) = link(&mut node, First).await;
    let transaction = node.controller.declare().await.expect("a transaction");
    transaction.acquire(&mut receiver, 2).expect("asked");
    let (mut one, mut two) = (send(&sender, "in hand").await, send(&sender, "not taken").await);
    let in_hand = next(&mut receiver).await;
    let in_hand = match in_hand.accept() {
        Err(error) => error.kind(),
        Ok(()) => panic!("it belongs to the transaction"),
    };
    assert_eq!(in_hand, ErrorKind::Config);
    let (committed, _) = tokio::join!(soon(transaction.commit()), node.commit_next());
    committed.expect("committed");
    // Dropped, it had an outcome in the transaction; the other one has none.
    assert!(matches!(soon(&mut one).await.expect("an outcome"), Outcome::Modified(_)));
    assert!(is_pending(&mut two).await);
    next(&mut receiver).await.accept().expect("accepted");
    assert_eq!(soon(two).await.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test]
async fn a_link_acquires_within_one_transaction() {
    let mut node = Node::open().await;
    let (mut receiver, _sender) = link(&mut node, First).await;
    let one = node.controller.declare().await.expect("a transaction");
    let two = node.controller.declare().await.expect("another");
    one.acquire(&mut receiver, 1).expect("asked");
    one.acquire(&mut receiver, 2).expect("more of it");
    assert_eq!(two.acquire(&mut receiver, 1).expect_err("another's").kind(), ErrorKind::Config);
    let (back, _) = tokio::join!(soon(one.rollback()), node.discharge());
    back.expect("rolled back");
    two.acquire(&mut receiver, 1).expect("it is free");
    let (back, _) = tokio::join!(soon(two.rollback()), node.discharge());
    back.expect("rolled back");
}

/// A message that is sent settled could not be taken back.
#[tokio::test]
async fn what_is_acquired_is_not_sent_settled() {
    let mut node = Node::open().await;
    let (mut receiver, sender) = link(&mut node, First).await;
    let transaction = node.controller.declare().await.expect("a transaction");
    transaction.acquire(&mut receiver, 1).expect("asked");
    let permit = soon(sender.reserve()).await.expect("credit");
    let settled = amqp1::link::SendOptions { settled: true, ..amqp1::link::SendOptions::default() };
    let mut receipt = permit.send_with("m", settled).expect("sent");
    assert!(!next(&mut receiver).await.is_settled());
    assert!(is_pending(&mut receipt).await);
    let (back, _) = tokio::join!(soon(transaction.rollback()), node.discharge());
    back.expect("rolled back");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Released);
}

/// §4.4.3: a link that cannot acquire within a transaction ends with not-implemented, and the transaction with it is whole.
#[tokio::test]
async fn x_4_4_3_1_a_link_that_sends_settled_refuses_to_acquire() {
    let mut node = Node::open().await;
    let attaching = node.session.receiver("queue").settle_mode(amqp1::link::SenderSettleMode::Settled);
    let attaching = attaching.credit(Credit::Manual(0)).attach();
    let (receiver, link) =
        tokio::join!(attaching, async { node.server.next_link().await.expect("a link").accept_default() });
    let (mut receiver, _link) = (receiver.expect("a receiver"), link.expect("accepted"));
    let transaction = node.controller.declare().await.expect("a transaction");
    transaction.acquire(&mut receiver, 1).expect("asked");
    let error = soon(receiver.recv()).await.expect_err("it cannot");
    assert_eq!(error.condition(), Some(&amqp1::error::ErrorCondition::NOT_IMPLEMENTED));
    let (committed, _) = tokio::join!(soon(transaction.commit()), node.commit_next());
    committed.expect("nothing of it is missing");
}
