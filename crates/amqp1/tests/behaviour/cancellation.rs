//! What is left behind by futures that are dropped half-way: nothing.

use crate::support::{self, body, number, pair, soon};
use amqp1::{Credit, ErrorKind, Outcome, Receiver, Sender, link::SendOptions};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Polls a future once and lets everything else run; whether it is still pending.
async fn nudge<F: Future>(mut future: Pin<&mut F>) -> bool {
    let pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    pending
}

/// Lets the other end take one delivery and accept it.
async fn take(receiver: &mut Receiver) -> u32 {
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    let number = number(&delivery);
    delivery.accept().expect("settled");
    number
}

#[tokio::test]
async fn a_recv_that_is_cancelled_and_resumed_loses_nothing() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(7)).await;
    let sending = tokio::spawn(async move {
        for index in 0..200 {
            sender.send(body(index)).await.expect("sent").into_result().expect("accepted");
        }
    });
    let mut expected = 0;
    while expected < 200 {
        let received = {
            let mut recv = pin!(receiver.recv());
            // Dropped in whatever state it is.
            poll_fn(|cx| match recv.as_mut().poll(cx) {
                Poll::Ready(received) => Poll::Ready(Some(received)),
                Poll::Pending => Poll::Ready(None),
            })
            .await
        };
        match received {
            None => tokio::task::yield_now().await,
            Some(delivery) => {
                let delivery = delivery.expect("a link").expect("a delivery");
                assert_eq!(number(&delivery), expected);
                delivery.accept().expect("settled");
                expected += 1;
            }
        }
    }
    soon(sending).await.expect("all sent");
}

#[tokio::test]
async fn a_recv_many_that_is_cancelled_loses_nothing_and_leaves_the_buffer_as_it_was() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let mut batch = Vec::new();
    {
        let mut receiving = pin!(receiver.recv_many(&mut batch, 5));
        assert!(nudge(receiving.as_mut()).await);
    }
    let receipts = [0, 1, 2].map(|index| sender.enqueue(body(index)).expect("there is credit"));
    {
        // What arrives meanwhile is not taken before it is polled again.
        let mut receiving = pin!(receiver.recv_many(&mut batch, 5));
        assert!(nudge(receiving.as_mut()).await);
    }
    assert!(batch.is_empty());
    for index in 0..3 {
        assert_eq!(take(&mut receiver).await, index);
    }
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

#[tokio::test]
async fn a_flush_that_is_cancelled_leaves_the_messages_queued() {
    let (mut pair, gate) = support::gated_pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    gate.stick();
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    assert_eq!(sender.send_with(body(1), settled).await.expect("queued"), Outcome::SentSettled);
    {
        let mut flushing = pin!(sender.flush());
        assert!(nudge(flushing.as_mut()).await);
    }
    gate.unstick();
    assert_eq!(take(&mut receiver).await, 1);
    soon(sender.flush()).await.expect("written");
}

/// The budget of the runtime makes a settled send wait before it queues anything.
#[tokio::test]
async fn a_settled_send_that_is_cancelled_while_it_yields_sends_nothing() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(1000)).await;
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    let queued = poll_fn(|cx| {
        for index in 0..1000 {
            let mut sending = pin!(sender.send_with(body(index), settled));
            if sending.as_mut().poll(cx).is_pending() {
                return Poll::Ready(index);
            }
        }
        panic!("it never yields");
    })
    .await;
    soon(sender.flush()).await.expect("written");
    for index in 0..queued {
        assert_eq!(take(&mut receiver).await, index);
    }
    soon(sender.close()).await.expect("closed");
    assert!(soon(receiver.recv()).await.expect("no error").is_none());
}

#[tokio::test]
async fn a_reserve_that_is_cancelled_uses_no_credit() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Manual(1)).await;
    let permit = sender.reserve().await.expect("credit");
    {
        // Waits behind the permit, and goes.
        let mut waiting = pin!(sender.reserve());
        assert!(nudge(waiting.as_mut()).await);
    }
    drop(permit);
    let outcome = async { soon(sender.send(body(1))).await.expect("sent") };
    let (outcome, taken) = tokio::join!(outcome, take(&mut receiver));
    assert_eq!((outcome, taken), (Outcome::Accepted, 1));
    assert_eq!(sender.credit(), 0);
}

#[tokio::test]
async fn those_who_wait_for_credit_are_served_in_order_and_newcomers_do_not_push_in() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Manual(0)).await;
    let mut waiting = Vec::new();
    for index in 0..5 {
        let sender = sender.clone();
        waiting.push(tokio::spawn(async move { sender.send(body(index)).await }));
        tokio::task::yield_now().await;
    }
    for index in 0..5 {
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        assert_eq!(take(&mut receiver).await, index);
        assert!(sender.try_reserve().is_err());
    }
    for task in waiting {
        assert_eq!(soon(task).await.expect("no panic").expect("sent"), Outcome::Accepted);
    }
}

#[tokio::test]
async fn a_waiter_that_was_woken_and_goes_passes_its_credit_on() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Manual(0)).await;
    let second = {
        let mut first = Box::pin(sender.reserve());
        assert!(nudge(first.as_mut()).await);
        let next = sender.clone();
        let second = tokio::spawn(async move { next.send(body(2)).await });
        tokio::task::yield_now().await;
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        // The first one is woken, for the credit is here, and is never polled again.
        while sender.credit() == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        second
    };
    assert_eq!(take(&mut receiver).await, 2);
    assert_eq!(soon(second).await.expect("no panic").expect("sent"), Outcome::Accepted);
}

#[tokio::test]
async fn a_permit_that_is_dropped_goes_to_the_next_in_line() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Manual(1)).await;
    let permit = sender.reserve().await.expect("credit");
    assert!(sender.try_reserve().is_err());
    let next = sender.clone();
    let waiting = tokio::spawn(async move { next.send(body(1)).await });
    tokio::task::yield_now().await;
    drop(permit);
    assert_eq!(take(&mut receiver).await, 1);
    assert_eq!(soon(waiting).await.expect("no panic").expect("sent"), Outcome::Accepted);
}

#[tokio::test]
async fn an_attach_that_is_cancelled_leaves_no_link() {
    let mut pair = pair().await;
    let session = pair.session().await;
    {
        let mut attaching = pin!(session.sender("q").attach());
        assert!(nudge(attaching.as_mut()).await);
    }
    let link = pair.offered().await.accept_default().expect("accepted");
    let amqp1::AcceptedLink::Receiver(mut receiver) = link else { panic!("the client sends") };
    assert!(soon(receiver.recv()).await.expect("no error").is_none());
}

#[tokio::test]
async fn a_begin_that_is_cancelled_leaves_no_session() {
    let pair = pair().await;
    {
        let mut beginning = pin!(pair.client.begin());
        assert!(nudge(beginning.as_mut()).await);
    }
    pair.session().await.end().await.expect("the connection goes on");
}

#[tokio::test]
async fn a_send_that_is_cancelled_after_it_was_queued_goes_on() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(5)).await;
    {
        let mut sending = pin!(sender.send(body(3)));
        assert!(nudge(sending.as_mut()).await);
    }
    assert_eq!(take(&mut receiver).await, 3);
}

async fn starved() -> (support::Pair, Sender, Receiver) {
    let mut pair = pair().await;
    let (sender, receiver) = pair.client_sends(Credit::Manual(0)).await;
    (pair, sender, receiver)
}

#[tokio::test(start_paused = true)]
async fn waiting_for_credit_is_bounded_in_send_and_not_in_reserve() {
    let (_pair, sender, receiver) = starved().await;
    let start = tokio::time::Instant::now();
    let error = sender.send("x").await.expect_err("no credit");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, amqp1::Delivered::No));
    assert!(start.elapsed() >= Duration::from_secs(60));
    let reserving = tokio::time::timeout(Duration::from_secs(7 * 24 * 3600), sender.reserve()).await;
    assert!(reserving.is_err(), "nobody gave credit");
    drop(receiver);
}

struct Sleeper;

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {}
}

/// Polls a future, which has to wait, and drops it: nothing of its waker is left.
fn leaves_nothing<F: Future>(what: &str, future: F) {
    let sleeper = Arc::new(Sleeper);
    let waker = Waker::from(sleeper.clone());
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "{what}");
    assert!(Arc::strong_count(&sleeper) > 2, "{what} is woken by nobody");
    drop(future);
    assert_eq!(Arc::strong_count(&sleeper), 2, "{what} has left its waker");
}

#[tokio::test]
async fn a_wait_that_is_dropped_takes_its_waker_with_it() {
    let mut pair = pair().await;
    let (sender, _receiver) = pair.client_sends(Credit::Manual(0)).await;
    let session = pair.session().await;
    leaves_nothing("reserve", sender.reserve());
    leaves_nothing("next_link", pair.server.next_link());
    leaves_nothing("begin", pair.client.begin());
    leaves_nothing("attach", session.sender("q").attach());
    leaves_nothing("closed", pair.client.closed());
}
