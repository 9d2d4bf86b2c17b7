//! Transactions as an acceptor keeps them, opposite a controller that does what it may at the worst time.

use crate::peers::peer::{Peer, soon};
use amqp1::{
    ErrorKind, Outcome, Sender,
    link::{DeliveryState, ReceiverSettleMode, SendOptions},
    transaction::{CoordinatorConfig, Discharge, RollbackCause, TxnId},
};
use std::{future::poll_fn, pin::pin, task::Poll};

use DeliveryState::{Accepted, Released};

async fn send(sender: &Sender) -> amqp1::Receipt {
    soon(sender.reserve()).await.expect("credit").send("m").expect("sent")
}

/// Sends this many messages, and waits until the peer has them.
async fn send_many(peer: &mut Peer, sender: &Sender, count: u32) -> Vec<amqp1::Receipt> {
    let mut receipts = Vec::new();
    for _ in 0..count {
        receipts.push(send(sender).await);
    }
    peer.transfers(count).await;
    receipts
}

async fn is_pending(receipt: &mut amqp1::Receipt) -> bool {
    let mut receipt = pin!(receipt);
    poll_fn(|cx| Poll::Ready(receipt.as_mut().poll(cx).is_pending())).await
}

async fn outcome(receipt: amqp1::Receipt) -> Outcome {
    soon(receipt).await.expect("an outcome")
}

fn is_failed(discharge: &Discharge<bytes::Bytes>) -> bool {
    matches!(discharge, Discharge::RolledBack(undone) if matches!(undone.cause, RollbackCause::Failed(_)))
}

/// Two messages had each other's outcomes.
#[tokio::test]
async fn what_is_said_twice_of_a_message_is_not_said_of_the_next() {
    let mut peer = Peer::open().await;
    let (first, second) = (peer.takes(1, None, |_| {}).await, peer.takes(2, None, |_| {}).await);
    let first = send(&first).await;
    peer.transfers(1).await;
    // Retired in a transaction that is not there, and lost, in one read.
    peer.state(0, 0, true, Some(TxnId::new(b"nope").expect("a name").state(Some(Released))));
    peer.close(1);
    peer.known().await;
    let second = send(&second).await;
    peer.transfers(1).await;
    peer.state(1, 1, true, Some(Accepted));
    peer.known().await;
    assert_eq!((outcome(second).await, outcome(first).await), (Outcome::Accepted, Outcome::Released));
}

#[tokio::test]
async fn a_rollback_pays_once_in_whatever_order_its_links_end() {
    for retirement_at in 0..3 {
        let mut peer = Peer::open().await;
        let txn = peer.declare().await;
        let (first, second) = (peer.takes(1, None, |_| {}).await, peer.takes(2, None, |_| {}).await);
        let first = send(&first).await;
        peer.transfers(1).await;
        for step in 0..2 {
            if step == retirement_at {
                peer.state(0, 0, true, Some(txn.state(Some(Accepted))));
            }
            // The control link is the first or the second to end.
            peer.close(step);
        }
        peer.flush().await;
        let receipt = soon(first).await;
        assert!(!matches!(receipt, Ok(Outcome::Accepted)), "{receipt:?}");
        let second = send(&second).await;
        peer.transfers(1).await;
        peer.state(1, 1, true, Some(Accepted));
        peer.flush().await;
        assert_eq!(outcome(second).await, Outcome::Accepted);
    }
}

/// The discharge was looked at when a part of the retirements was known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_has_all_of_the_work_that_came_before_it() {
    const COUNT: u32 = 20_000;
    // How much of it is seen by when is up to the machine.
    for _ in 0..3 {
        let mut peer = Peer::open().await;
        let txn = peer.declare().await;
        let sender = peer.takes(1, None, |_| {}).await;
        let receipts = send_many(&mut peer, &sender, COUNT).await;
        peer.state(0, COUNT - 1, true, Some(txn.state(Some(Accepted))));
        let commit = peer.commit(&txn).await;
        assert_eq!(commit.retirements().len(), receipts.len());
        commit.confirm().expect("told");
        for receipt in receipts {
            assert_eq!(outcome(receipt).await, Outcome::Accepted);
        }
    }
}

/// Its credit is there before the events are looked at that came before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_with_credit_of_a_transaction_is_acquired_within_it() {
    const COUNT: u32 = 20_000;
    // How much of it is seen by when is up to the machine.
    for _ in 0..3 {
        let mut peer = Peer::open().await;
        let txn = peer.declare().await;
        let sender = peer.takes(1, None, |_| {}).await;
        let _receipts = send_many(&mut peer, &sender, COUNT).await;
        let acquires = peer.waits(2).await;
        let sending = tokio::spawn(async move {
            loop {
                if let Ok(permit) = acquires.try_reserve() {
                    return permit.send("m").expect("sent").provisional();
                }
                tokio::task::yield_now().await;
            }
        });
        peer.state(0, COUNT - 1, true, Some(txn.state(Some(Accepted))));
        peer.credit(2, 1, Some(&txn));
        peer.flush().await;
        assert_eq!(soon(sending).await.expect("no panic"), Some(txn.state(None)));
    }
}

/// §4.4.4.1: what the sender has settled is not answered, so that the discharge says it.
#[tokio::test]
async fn x_4_4_4_1_a_message_that_is_thrown_away_fails_the_commit() {
    for way in ["streamed", "closed", "no credit"] {
        let mut peer = Peer::open().await;
        let txn = peer.declare().await;
        let credit = if way == "no credit" { 0 } else { 10 };
        let mut receiver = peer.posts(1, credit, way == "streamed").await;
        let mut closing = None;
        match way {
            "streamed" => {
                peer.post(1, &txn);
                peer.flush().await;
                drop(soon(receiver.recv_stream()).await);
            }
            "closed" => {
                let close = tokio::spawn(async move { drop(receiver.close().await) });
                closing = Some(close);
                peer.until(|body| {
                    use amqp1::codec::performative::Performative::{Detach, Flow};
                    matches!(body, Detach(_) | Flow(_))
                })
                .await;
                peer.post(1, &txn);
                peer.close(1);
            }
            _ => {
                peer.post(1, &txn);
            }
        }
        let discharge = peer.discharged(&txn, false).await;
        assert!(is_failed(&discharge), "{way}: {discharge:?}");
        if let Some(closing) = closing {
            closing.abort();
        }
    }
}

#[tokio::test]
async fn what_was_settled_outside_of_a_transaction_is_not_undone_with_it() {
    let mut peer = Peer::open().await;
    let (one, other) = (peer.declare().await, peer.declare().await);
    let sender = peer.takes(1, None, |_| {}).await;
    let first = send(&sender).await;
    peer.transfers(1).await;
    peer.state(0, 0, false, Some(one.state(Some(Accepted))));
    peer.state(0, 0, true, Some(Released));
    peer.flush().await;
    assert_eq!(outcome(first).await, Outcome::Released);
    let second = send(&sender).await;
    peer.transfers(1).await;
    peer.state(1, 1, true, Some(other.state(Some(Accepted))));
    peer.known().await;
    assert!(matches!(peer.discharged(&one, true).await, Discharge::RolledBack(_)));
    assert_eq!(second.provisional(), Some(other.state(Some(Accepted))));
    let commit = peer.commit(&other).await;
    assert_eq!(commit.retirements().len(), 1);
    commit.confirm().expect("told");
    assert_eq!(outcome(second).await, Outcome::Accepted);
}

/// It was released, or accepted, before the application had decided.
#[tokio::test]
async fn what_is_settled_with_a_commit_in_hand_waits_for_it() {
    for (plain, confirms) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut peer = Peer::open().await;
        let txn = peer.declare().await;
        let sender = peer.takes(1, None, |attach| attach.rcv_settle_mode = ReceiverSettleMode::Second).await;
        let mut receipt = send(&sender).await;
        peer.transfers(1).await;
        peer.state(0, 0, false, Some(txn.state(Some(Accepted))));
        let commit = peer.commit(&txn).await;
        peer.state(0, 0, true, Some(if plain { Accepted } else { txn.state(Some(Accepted)) }));
        // The control link waits for the commit: another one's messages do not.
        let other = peer.takes(2, None, |_| {}).await;
        let other = send(&other).await;
        peer.transfers(1).await;
        peer.state(1, 1, true, Some(Accepted));
        peer.flush().await;
        assert_eq!(outcome(other).await, Outcome::Accepted);
        assert!(is_pending(&mut receipt).await, "{plain} {confirms}");
        match confirms {
            true => commit.confirm().expect("told"),
            false => drop(commit),
        }
        assert_eq!(outcome(receipt).await, if confirms { Outcome::Accepted } else { Outcome::Released });
    }
}

#[tokio::test]
async fn what_a_transaction_cannot_take_is_not_sent_outside_of_it() {
    let mut peer = Peer::open_with(CoordinatorConfig { max_work: 1, ..CoordinatorConfig::default() }).await;
    let txn = peer.declare().await;
    let sender = peer.takes(1, Some(&txn), |_| {}).await;
    peer.known().await;
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    let first = soon(sender.reserve()).await.expect("credit").send_with("m", settled).expect("sent");
    let error = soon(sender.reserve()).await.expect("credit").send_with("m", settled).expect_err("too much");
    assert_eq!(error.kind(), ErrorKind::RolledBack);
    assert_eq!(outcome(first).await, Outcome::Released);
}

#[tokio::test]
async fn x_4_4_4_1_an_acquisition_is_rolled_back_whatever_the_default_outcome() {
    for settles in [true, false] {
        let mut peer = Peer::open().await;
        let txn = peer.declare().await;
        let accepts = |attach: &mut amqp1::link::Attach| {
            attach.source.as_mut().expect("a source").default_outcome = Some(Accepted);
        };
        let sender = peer.takes(1, Some(&txn), accepts).await;
        peer.known().await;
        let mut receipt = send(&sender).await;
        peer.transfers(1).await;
        if settles {
            peer.state(0, 0, true, None);
        }
        peer.known().await;
        assert!(is_pending(&mut receipt).await, "it is provisional");
        assert_eq!(receipt.provisional(), Some(txn.state(settles.then_some(Accepted))));
        assert!(matches!(peer.discharged(&txn, true).await, Discharge::RolledBack(_)));
        assert_eq!(outcome(receipt).await, Outcome::Released);
    }
}

#[tokio::test]
async fn a_commit_does_not_wait_for_a_receiver_that_is_dropped() {
    let mut peer = Peer::open().await;
    let txn = peer.declare().await;
    let receiver = peer.posts(1, 10, false).await;
    peer.post(1, &txn);
    peer.close(1);
    peer.known().await;
    drop(receiver);
    let discharge = peer.discharged(&txn, false).await;
    assert!(is_failed(&discharge), "{discharge:?}");
}

/// The runtime of the connection's task goes with a commit in hand.
#[test]
fn a_commit_in_hand_pays_also_when_its_connection_is_gone_with_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (acquired, second, confirms) in [(true, false, true), (false, true, false), (false, false, true)] {
        let first = runtime();
        let (commit, receipt, kept) = first.block_on(async {
            let mut peer = Peer::open().await;
            let txn = peer.declare().await;
            let mode = |attach: &mut amqp1::link::Attach| {
                if second {
                    attach.rcv_settle_mode = ReceiverSettleMode::Second;
                }
            };
            let sender = peer.takes(1, acquired.then_some(&txn), mode).await;
            peer.known().await;
            let receipt = send(&sender).await;
            peer.transfers(1).await;
            if !acquired {
                peer.state(0, 0, !second, Some(txn.state(Some(Accepted))));
            }
            let commit = peer.commit(&txn).await;
            (commit, receipt, (peer, sender))
        });
        drop(first);
        match confirms {
            true => drop(commit.confirm().expect_err("nobody is told")),
            false => drop(commit),
        }
        let receipt = runtime().block_on(async { soon(receipt).await });
        match acquired || second {
            // Nobody has said what it comes to.
            true => assert!(receipt.is_err(), "{receipt:?}"),
            false => assert_eq!(receipt.expect("an outcome"), Outcome::Accepted),
        }
        drop(kept);
    }
}
