//! Calls that do not wait, and calls for many messages at once.

use crate::support::{body, number, pair, soon};
use amqp1::{
    Credit, ErrorKind, Outcome,
    codec::messaging::DeliveryState,
    link::{Blocked, SendOptions, TryRecvError, TryReserveError},
};

#[tokio::test]
async fn a_batch_that_is_queued_without_waiting_is_received_and_accepted_in_order() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(100)).await;
    let receipts: Vec<_> = (0..50).map(|index| sender.enqueue(body(index)).expect("there is credit")).collect();
    let (mut batch, mut received) = (Vec::new(), Vec::new());
    while received.len() < 50 {
        let count = soon(receiver.recv_many(&mut batch, 20)).await.expect("a link");
        assert_eq!(count, batch.len());
        assert!((1..=20).contains(&count), "{count}");
        received.extend(batch.iter().map(number));
        receiver.accept_all(&mut batch).expect("settled");
        assert!(batch.is_empty());
    }
    assert_eq!(received, (0..50).collect::<Vec<_>>());
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

#[tokio::test]
async fn a_batch_is_added_to_what_the_buffer_holds_and_a_limit_of_zero_takes_nothing() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let receipts = [1, 2].map(|index| sender.enqueue(body(index)).expect("there is credit"));
    let mut batch = Vec::new();
    assert_eq!(soon(receiver.recv_many(&mut batch, 0)).await.expect("a link"), 0);
    assert_eq!(soon(receiver.recv_many(&mut batch, 1)).await.expect("a link"), 1);
    assert_eq!(soon(receiver.recv_many(&mut batch, 5)).await.expect("a link"), 1);
    assert_eq!(batch.iter().map(number).collect::<Vec<_>>(), [1, 2]);
    receiver.settle_all(&mut batch, &DeliveryState::Released).expect("settled");
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Released);
    }
    sender.close().await.expect("closed");
    assert_eq!(soon(receiver.recv_many(&mut batch, 5)).await.expect("no error"), 0);
}

#[tokio::test]
async fn deliveries_of_several_links_and_connections_are_settled_together() {
    let (mut one, mut other) = (pair().await, pair().await);
    let (first, mut here) = one.client_sends(Credit::Window(10)).await;
    let (second, mut there) = one.client_sends(Credit::Window(10)).await;
    let (third, mut elsewhere) = other.client_sends(Credit::Window(10)).await;
    let receipts = [&first, &second, &third].map(|sender| sender.enqueue(body(0)).expect("there is credit"));
    let mut batch = Vec::new();
    for receiver in [&mut here, &mut there, &mut elsewhere] {
        assert_eq!(soon(receiver.recv_many(&mut batch, 5)).await.expect("a link"), 1);
    }
    here.accept_all(&mut batch).expect("settled");
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

#[tokio::test]
async fn a_batch_of_a_link_that_is_gone_cannot_be_accepted() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let receipt = sender.enqueue(body(0)).expect("there is credit");
    let mut batch = Vec::new();
    soon(receiver.recv_many(&mut batch, 5)).await.expect("a link");
    soon(receiver.close()).await.expect("closed");
    let error = receiver.accept_all(&mut batch).expect_err("the link is gone");
    assert_eq!((error.kind(), batch.len()), (ErrorKind::LinkDetached, 0));
    soon(receipt).await.expect_err("it is lost");
}

#[tokio::test]
async fn a_message_that_cannot_be_queued_now_is_given_back() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Manual(1)).await;
    assert!(!sender.is_full() && !sender.is_detached());
    let permit = sender.try_reserve().expect("there is credit");
    // The credit is claimed.
    assert!(sender.is_full());
    let refused = sender.enqueue(body(1)).expect_err("no credit is left");
    assert!(matches!(refused.reason(), TryReserveError::Full(Blocked::Credit)), "{refused:?}");
    assert!(refused.is_full());
    drop(permit);
    let receipt = sender.enqueue(refused.into_message()).expect("there is credit");
    assert_eq!(sender.credit(), 0);
    let error = amqp1::Error::from(sender.try_reserve().expect_err("no credit is left"));
    assert_eq!(error.kind(), ErrorKind::Full);
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert_eq!(number(&delivery), 1);
    delivery.accept().expect("settled");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test]
async fn calls_that_do_not_wait_say_how_the_link_ended() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    sender.close().await.expect("closed");
    assert!(sender.is_detached() && sender.is_full());
    assert!(
        matches!(sender.try_reserve(), Err(TryReserveError::Failed(error)) if error.kind() == ErrorKind::LinkDetached)
    );
    let refused = sender.enqueue("x").expect_err("the link is gone");
    assert!(!refused.is_full());
    assert_eq!(refused.into_message().len(), amqp1::message::EncodedMessage::from("x").len());
    soon(receiver.detached()).await;
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Ended)));

    let (_sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    pair.client.close().await.expect("closed");
    soon(receiver.detached()).await;
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Failed(_))));
}

#[tokio::test]
async fn a_message_that_may_not_be_settled_is_given_back_with_the_reason() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.sender("q").settle_mode(amqp1::link::SenderSettleMode::Unsettled).attach();
    let (sender, _link) = tokio::join!(attaching, async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    let refused = sender.expect("a sender").enqueue_with("x", settled).expect_err("not allowed");
    assert!(matches!(refused.reason(), TryReserveError::Failed(error) if error.kind() == ErrorKind::Config));
}
