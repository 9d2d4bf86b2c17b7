//! Messages that are sent settled: queued, flushed, and counted where they are not sent.

use crate::support::{body, gated_pair, number, pair, soon};
use amqp1::{Credit, ErrorKind, Message, Outcome, link::SendOptions};

const SETTLED: SendOptions = SendOptions { settled: true, tag: None, message_format: 0 };

#[tokio::test]
async fn a_settled_send_returns_when_the_message_is_queued_and_flush_when_it_is_written() {
    let (mut pair, gate) = gated_pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(100)).await;
    gate.stick();
    for index in 0..50 {
        assert_eq!(sender.send_with(body(index), SETTLED).await.expect("queued"), Outcome::SentSettled);
    }
    let mut flushing = tokio::spawn({
        let sender = sender.clone();
        async move { sender.flush().await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!flushing.is_finished(), "nothing can be written");
    gate.unstick();
    soon(&mut flushing).await.expect("no panic").expect("written");
    for index in 0..50 {
        assert_eq!(number(&soon(receiver.recv()).await.expect("a link").expect("a delivery")), index);
    }
}

/// A loop that always succeeds at once would keep a runtime of one thread to itself.
#[tokio::test]
async fn a_loop_of_settled_sends_does_not_starve_the_connection() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(2000)).await;
    let sending = tokio::spawn(async move {
        for index in 0..1000 {
            sender.send_with(body(index), SETTLED).await.expect("queued").into_result().expect("settled");
            if let Ok(delivery) = receiver.try_recv() {
                return (index, number(&delivery));
            }
        }
        panic!("nothing arrives while it sends");
    });
    let (sent, arrived) = soon(sending).await.expect("no panic");
    assert_eq!(arrived, 0, "{sent}");
}

#[tokio::test]
async fn what_is_lost_in_the_queue_is_counted_by_flush_and_by_close() {
    let (mut pair, gate) = gated_pair().await;
    let (sender, _receiver) = pair.client_sends(Credit::Window(2000)).await;
    gate.stick();
    // More than the driver encodes while nothing can be written.
    let large = bytes::Bytes::from(vec![0; 100_000]);
    let mut queued = 0;
    while !sender.is_full() {
        sender.send_with(large.clone(), SETTLED).await.expect("queued").into_result().expect("settled");
        queued += 1;
    }
    assert!(queued >= 5, "{queued}");
    let flushing = tokio::spawn({
        let sender = sender.clone();
        async move { sender.flush().await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    gate.break_off();
    let error = soon(flushing).await.expect("no panic").expect_err("the transport is lost");
    let unsent = error.unsent().expect("it is counted");
    assert_eq!(error.kind(), ErrorKind::TransportLost);
    assert!(unsent > 0 && unsent < queued, "{unsent} of {queued}");
    assert!(error.to_string().ends_with(&format!("{unsent} messages were not sent")), "{error}");
    let closed = soon(sender.close()).await.expect_err("the transport is lost");
    assert_eq!(closed.unsent(), Some(unsent));
    let closed = soon(pair.client.close()).await.expect_err("the transport is lost");
    assert_eq!((closed.kind(), closed.unsent()), (ErrorKind::TransportLost, Some(unsent)));
}

/// A stream that is dropped before any of it has left takes its place in the queue back.
#[tokio::test]
async fn streams_that_are_given_up_behind_a_flush_do_not_count_as_what_it_waits_for() {
    let (mut pair, gate) = gated_pair().await;
    let (sender, _receiver) = pair.client_sends(Credit::Window(2000)).await;
    gate.stick();
    let large = bytes::Bytes::from(vec![0; 100_000]);
    for _ in 0..6 {
        sender.send_with(large.clone(), SETTLED).await.expect("queued").into_result().expect("settled");
    }
    let flushing = tokio::spawn({
        let sender = sender.clone();
        async move { sender.flush().await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    for _ in 0..6 {
        soon(sender.stream(Message::builder())).await.expect("credit").abort();
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    gate.break_off();
    let unsent = soon(flushing).await.expect("no panic").expect_err("the transport is lost").unsent();
    let closed = soon(sender.close()).await.expect_err("the transport is lost");
    assert!(unsent > Some(0), "{unsent:?}");
    assert_eq!(closed.unsent(), unsent);
}

#[tokio::test]
async fn a_receipt_of_a_settled_message_still_says_whether_it_was_sent() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let receipt = sender.enqueue_with(body(1), SETTLED).expect("there is credit");
    assert_eq!(soon(receipt).await.expect("sent"), Outcome::SentSettled);
    let permit = sender.reserve().await.expect("credit");
    assert_eq!(soon(permit.send_with(body(2), SETTLED).expect("queued")).await.expect("sent"), Outcome::SentSettled);
    for index in [1, 2] {
        assert_eq!(number(&soon(receiver.recv()).await.expect("a link").expect("a delivery")), index);
    }
}

#[tokio::test]
async fn closing_the_connection_writes_what_is_queued() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(2000)).await;
    for index in 0..500 {
        sender.send_with(body(index), SETTLED).await.expect("queued").into_result().expect("settled");
    }
    let closing = tokio::spawn(async move { pair.client.close().await });
    for index in 0..500 {
        assert_eq!(number(&soon(receiver.recv()).await.expect("a link").expect("a delivery")), index);
    }
    soon(closing).await.expect("no panic").expect("closed");
}
