//! Drains (§2.6.7): what the receiver gets of what the sender's application has.

use crate::peers::raw::Raw;
use crate::support::{Pair, body, number, pair, sender_request, soon};
use amqp1::{
    AcceptedLink, Credit, Error, ErrorKind, Outcome, Receiver, Retry, Sender,
    codec::{
        SequenceNo,
        performative::{Flow, Performative},
    },
    link::{DrainMode, SendOptions},
};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

const SETTLED: SendOptions = SendOptions { settled: true, tag: None, message_format: 0 };

/// A link without credit on which the client receives, and whose drains are answered like this.
async fn link(pair: &mut Pair, mode: DrainMode) -> (Sender, Receiver) {
    let session = pair.session().await;
    let (receiver, sender) = tokio::join!(session.receiver("q").credit(Credit::Manual(0)).attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        sender_request(link).drain_mode(mode).accept().map(AcceptedLink::Sender).expect("accepted")
    });
    let AcceptedLink::Sender(sender) = sender else { panic!("the client receives") };
    (sender, receiver.expect("a receiver"))
}

/// Asks for this many messages in one flow with a drain. What has come when it is answered.
async fn pull(receiver: &mut Receiver, credit: u32) -> Vec<u32> {
    // Nothing is written between the two.
    receiver.set_credit(Credit::Manual(credit)).expect("a link");
    soon(receiver.drain()).await.expect("drained");
    std::iter::from_fn(|| receiver.try_recv().ok()).map(|delivery| number(&delivery)).collect()
}

/// Messages that an application keeps, and gives only after having been asked for a while.
async fn fetch(messages: &mut VecDeque<u32>) -> Option<u32> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    messages.pop_front()
}

#[tokio::test(start_paused = true)]
async fn t_2_6_7_8_a_drain_that_the_application_answers_brings_what_it_fetches_after_the_request() {
    for credit in [5, 8] {
        let mut pair = pair().await;
        let (sender, mut receiver) = link(&mut pair, DrainMode::APPLICATION).await;
        let serving = sender.clone();
        let served = tokio::spawn(async move {
            let mut messages: VecDeque<_> = (0..5).collect();
            let mut requests = 0;
            loop {
                if serving.drain_requested().await.is_err() {
                    return requests;
                }
                requests += 1;
                while serving.credit() > 0 {
                    let Some(message) = fetch(&mut messages).await else { break };
                    let permit = serving.reserve().await.expect("credit");
                    drop(permit.send_with(body(message), SETTLED).expect("queued"));
                }
                serving.drained().expect("a link");
            }
        });
        assert_eq!(pull(&mut receiver, credit).await, [0, 1, 2, 3, 4], "with {credit}");
        assert_eq!(sender.credit(), 0);
        assert_eq!(pull(&mut receiver, credit).await, [0_u32; 0]);
        receiver.close().await.expect("closed");
        assert_eq!(soon(served).await.expect("it ends"), 2);
    }
}

#[tokio::test]
async fn t_2_6_7_8_a_drain_brings_what_waits_to_be_sent() {
    for credit in [5, 9] {
        let mut pair = pair().await;
        let (sender, mut receiver) = link(&mut pair, DrainMode::Automatic).await;
        let waiting: Vec<_> = (0..5)
            .map(|index| {
                let sender = sender.clone();
                tokio::spawn(async move { sender.send_with(body(index), SETTLED).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(pull(&mut receiver, credit).await, [0, 1, 2, 3, 4], "with {credit}");
        assert_eq!(sender.credit(), 0);
        for sent in waiting {
            assert_eq!(sent.await.expect("it ends").expect("sent"), Outcome::SentSettled);
        }
    }
}

/// Serves messages as most senders do: credit first, then a message.
async fn serve(sender: Sender, mut messages: tokio::sync::mpsc::Receiver<u32>) -> Result<u32, Error> {
    let mut revoked = 0;
    let mut kept = None;
    loop {
        let permit = sender.reserve().await?;
        let message = match kept.take() {
            Some(message) => message,
            None => match messages.recv().await {
                Some(message) => message,
                None => return Ok(revoked),
            },
        };
        match permit.send_with(body(message), SETTLED) {
            Ok(receipt) => drop(receipt),
            Err(error) if error.kind() == ErrorKind::CreditRevoked => {
                assert_eq!(error.retry(), Retry::Now);
                revoked += 1;
                kept = Some(message);
            }
            Err(error) => return Err(error),
        }
    }
}

#[tokio::test]
async fn t_2_6_7_8_a_drain_brings_what_the_application_holds_and_an_idle_permit_does_not_block_it() {
    for credit in [5, 9] {
        let mut pair = pair().await;
        let (sender, mut receiver) = link(&mut pair, DrainMode::Automatic).await;
        let (held, messages) = tokio::sync::mpsc::channel(10);
        for index in 0..5 {
            held.send(index).await.expect("room");
        }
        let serving = tokio::spawn(serve(sender.clone(), messages));
        tokio::task::yield_now().await;
        assert_eq!(pull(&mut receiver, credit).await, [0, 1, 2, 3, 4], "with {credit}");
        assert_eq!(sender.credit(), 0);
        // With an idle permit the answer comes, and again.
        assert_eq!(pull(&mut receiver, 3).await, [0_u32; 0]);
        assert_eq!(pull(&mut receiver, 3).await, [0_u32; 0]);
        // The message that was meant for the permit goes with the next one.
        held.send(5).await.expect("room");
        tokio::task::yield_now().await;
        assert_eq!(pull(&mut receiver, 3).await, [5]);
        drop(held);
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        assert_eq!(soon(serving).await.expect("it ends").expect("the link lives"), 1);
    }
}

#[tokio::test]
async fn a_permit_is_revoked_by_a_drain_and_the_link_goes_on() {
    for mode in [DrainMode::Automatic, DrainMode::APPLICATION] {
        let mut pair = pair().await;
        let (sender, mut receiver) = link(&mut pair, mode).await;
        receiver.set_credit(Credit::Manual(2)).expect("a link");
        let (used, dropped) =
            (soon(sender.reserve()).await.expect("credit"), soon(sender.reserve()).await.expect("credit"));
        assert!(!used.is_revoked());
        let (drained, ()) = tokio::join!(soon(receiver.drain()), async {
            if mode != DrainMode::Automatic {
                soon(sender.drain_requested()).await.expect("a link");
                sender.drained().expect("a link");
            }
        });
        drained.expect("drained");
        assert!(used.is_revoked());
        // New credit is not theirs.
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        let fresh = soon(sender.reserve()).await.expect("credit");
        let error = used.send("x").expect_err("revoked");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::CreditRevoked, Retry::Now));
        drop(dropped);
        assert!(sender.try_reserve().is_err(), "a revoked permit gives no credit back");
        drop(fresh.send_with(body(7), SETTLED).expect("sent"));
        assert_eq!(number(&soon(receiver.recv()).await.expect("a link").expect("a delivery")), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn t_2_6_7_7_a_drain_that_the_application_forgets_is_answered_after_a_second() {
    let mut pair = pair().await;
    let (sender, mut receiver) = link(&mut pair, DrainMode::APPLICATION).await;
    let permit = {
        receiver.set_credit(Credit::Manual(4)).expect("a link");
        soon(sender.reserve()).await.expect("credit")
    };
    let began = Instant::now();
    assert_eq!(pull(&mut receiver, 4).await, [0_u32; 0]);
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_millis(1100)).contains(&took), "{took:?}");
    assert!(permit.is_revoked());
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_not_polled_holds_a_drain_up_for_a_second() {
    let mut pair = pair().await;
    let (sender, mut receiver) = link(&mut pair, DrainMode::Automatic).await;
    let mut reserving = Box::pin(sender.reserve());
    let pending = std::future::poll_fn(|cx| std::task::Poll::Ready(reserving.as_mut().poll(cx).is_pending())).await;
    assert!(pending);
    let began = Instant::now();
    assert_eq!(pull(&mut receiver, 4).await, [0_u32; 0]);
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_millis(1100)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_drain_request_ends_with_the_link() {
    let mut pair = pair().await;
    let (sender, receiver) = link(&mut pair, DrainMode::APPLICATION).await;
    let requested = sender.drain_requested();
    sender.drained().expect("there is nothing to answer");
    receiver.close().await.expect("closed");
    assert_eq!(soon(requested).await.expect_err("gone").kind(), ErrorKind::LinkDetached);
    assert_eq!(sender.drained().expect_err("gone").kind(), ErrorKind::LinkDetached);
}

/// Tasks that are woken for credit on other threads are waited for as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t_2_6_7_8_a_drain_waits_for_those_who_are_served_on_other_threads() {
    let mut pair = pair().await;
    let (sender, mut receiver) = link(&mut pair, DrainMode::Automatic).await;
    for round in 0..100 {
        let mut waiting = Vec::new();
        for index in 0..20 {
            let mut send = Box::pin({
                let sender = sender.clone();
                async move { sender.send_with(body(index), SETTLED).await }
            });
            // It stands in line before the drain is asked for.
            let pending = std::future::poll_fn(|cx| std::task::Poll::Ready(send.as_mut().poll(cx).is_pending())).await;
            assert!(pending, "there is no credit");
            waiting.push(tokio::spawn(send));
        }
        let mut came = pull(&mut receiver, 25).await;
        came.sort_unstable();
        assert_eq!(came, (0..20).collect::<Vec<_>>(), "round {round}");
        for sent in waiting {
            sent.await.expect("it ends").expect("sent").into_result().expect("settled");
        }
    }
}

/// A task may be between two messages on another thread when the driver has nothing to do. The clock moves only when that
/// task has sent all that it has, so that the machine may be as slow as it likes.
#[tokio::test(start_paused = true)]
async fn t_2_6_7_8_a_drain_brings_what_a_task_on_another_thread_sends_one_by_one() {
    let mut pair = pair().await;
    let (sender, mut receiver) = link(&mut pair, DrainMode::Automatic).await;
    let (held, messages) = tokio::sync::mpsc::channel(32);
    // While it runs, a clock that is paused does not advance by itself.
    let (runtime, serving) = (tokio::runtime::Handle::current(), serve(sender.clone(), messages));
    let serving = tokio::task::spawn_blocking(move || runtime.block_on(serving));
    for round in 0..20 {
        for index in 0..20 {
            held.send(index).await.expect("room");
        }
        let mut pulling = std::pin::pin!(pull(&mut receiver, 25));
        let came = loop {
            tokio::select! {
                biased;
                came = &mut pulling => break came,
                () = tokio::task::yield_now() => {}
            }
            if sender.credit() == 5 {
                tokio::time::advance(Duration::from_millis(10)).await;
            }
        };
        assert_eq!(came, (0..20).collect::<Vec<_>>(), "round {round}");
    }
    drop(held);
    receiver.set_credit(Credit::Manual(1)).expect("a link");
    soon(serving).await.expect("it ends").expect("the link lives");
}

/// The answer waits for a moment in which nothing is sent, and for no longer.
#[tokio::test(start_paused = true)]
async fn a_drain_is_answered_when_nothing_was_sent_for_ten_milliseconds() {
    let mut pair = pair().await;
    let (sender, mut receiver) = link(&mut pair, DrainMode::Automatic).await;
    let began = Instant::now();
    assert_eq!(pull(&mut receiver, 4).await, [0_u32; 0]);
    let idle = began.elapsed();
    assert!((Duration::from_millis(10)..Duration::from_millis(20)).contains(&idle), "{idle:?}");
    let serving = tokio::spawn(async move {
        loop {
            let permit = sender.reserve().await?;
            tokio::time::sleep(Duration::from_millis(8)).await;
            drop(permit.send_with(body(1), SETTLED)?);
        }
        #[allow(unreachable_code)]
        Ok::<(), Error>(())
    });
    assert_eq!(pull(&mut receiver, 6).await, [1; 6]);
    serving.abort();
}

/// ActiveMQ Artemis ignores a drain that arrives while it finishes the one before.
#[tokio::test(start_paused = true)]
async fn t_2_6_7_7_a_drain_that_the_sender_ignores_is_requested_again_after_two_seconds() {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    let session = session.expect("a session");
    let builder = session.receiver("q").credit(Credit::Manual(7));
    let (receiver, ()) = tokio::join!(builder.attach(), async {
        let asked = raw.attach().await;
        raw.answer_as_sender(&asked).await;
    });
    let mut receiver = receiver.expect("a receiver");
    let began = Instant::now();
    let draining = tokio::spawn(async move { receiver.drain().await.map(|()| receiver) });
    let is_drain = |body: &Performative| matches!(body, Performative::Flow(flow) if flow.drain);
    for after in [0, 2, 6] {
        let Performative::Flow(flow) = soon(raw.until(is_drain)).await else { panic!("a flow") };
        assert_eq!((flow.link_credit, flow.delivery_count), (Some(7), Some(SequenceNo(0))));
        assert_eq!(began.elapsed().as_secs(), after);
    }
    raw.send(Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: 1000,
        outgoing_window: 1000,
        handle: Some(0),
        delivery_count: Some(SequenceNo(7)),
        link_credit: Some(0),
        drain: true,
        ..Flow::default()
    })
    .await;
    soon(draining).await.expect("no panic").expect("drained");
}
