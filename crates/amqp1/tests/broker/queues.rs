//! What a queue does with what waits in it.

use super::{Bed, consumer, drained, next, put, text};
use amqp1::{
    Credit, Message, Source,
    codec::messaging::DistributionMode,
    error::ErrorCondition,
    link::{Blocked, SendOptions},
    message::Header,
};
use std::time::Duration;

#[tokio::test]
async fn t_2_6_7_8_a_drain_gets_what_there_is_and_leaves_the_link_usable() {
    let session = Bed::new(&[]).session().await;
    let mut receiver = consumer(&session, "q", 0).await;
    for count in [5, 0, 0, 2] {
        put(&session, "q", &["x", "x", "x", "x", "x"][..count]).await;
        receiver.set_credit(Credit::Manual(7)).expect("a link");
        receiver.drain().await.expect("the link lives");
        let mut came = 0;
        while let Ok(delivery) = receiver.try_recv() {
            delivery.accept().expect("settled");
            came += 1;
        }
        assert_eq!(came, count);
    }
}

#[tokio::test]
async fn credit_that_is_taken_back_costs_no_message() {
    let session = Bed::new(&[]).session().await;
    let mut receiver = consumer(&session, "q", 1).await;
    for _ in 0..20 {
        receiver.set_credit(Credit::Manual(0)).expect("a link");
        put(&session, "q", &["x"]).await;
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        next(&mut receiver).await.accept().expect("settled");
    }
}

/// A message that the receiver does not take stays for others, and its link goes on.
#[tokio::test]
async fn t_2_7_3_17_a_message_above_the_max_message_size_stays_for_others() {
    let session = Bed::new(&[]).session().await;
    let small = session.receiver("q").max_message_size(100).attach();
    let mut small = small.await.expect("a receiver");
    let sender = session.sender("q").attach().await.expect("a sender");
    for size in [1, 1000, 2] {
        sender.send(vec![b'x'; size]).await.expect("sent").into_result().expect("accepted");
    }
    for size in [1, 2] {
        let delivery = next(&mut small).await;
        assert_eq!(text(&delivery).len(), size);
        delivery.accept().expect("settled");
    }
    assert_eq!(text(&next(&mut consumer(&session, "q", 1).await).await).len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn m_3_2_1_what_has_expired_is_not_delivered_and_leaves_room() {
    let session = Bed::new(&["--depth", "2"]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let message = |ttl: Option<u32>, body: &'static str| {
        Message::builder().header(Header { ttl, ..Header::default() }).data(body).build()
    };
    sender.send(message(Some(1000), "short")).await.expect("sent").into_result().expect("accepted");
    sender.send(message(Some(9000), "long")).await.expect("sent").into_result().expect("accepted");
    // The queue is full until a second has passed.
    let began = tokio::time::Instant::now();
    sender.send(message(None, "lasting")).await.expect("sent").into_result().expect("accepted");
    assert_eq!(began.elapsed().as_millis() / 10, 100);
    let mut receiver = consumer(&session, "q", 3).await;
    let delivery = next(&mut receiver).await;
    let ttl = delivery.message().header().expect("it reads").and_then(|header| header.ttl).expect("a time to live");
    assert!(text(&delivery) == "long" && (7000..=8000).contains(&ttl), "{ttl}");
    let lasting = next(&mut receiver).await;
    assert_eq!(text(&lasting), "lasting");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_no_more_until_there_is_room() {
    let session = Bed::new(&["--depth", "3"]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut waiting = Vec::new();
    // As many as there is credit for, which is as many as the queue has room for.
    while let Ok(permit) = sender.try_reserve() {
        waiting.push(permit.send("x").expect("sent"));
    }
    assert_eq!(waiting.len(), 3);
    for receipt in waiting {
        receipt.await.expect("an outcome").into_result().expect("accepted");
    }
    // Neither has a sender credit that attaches now.
    let late = session.sender("q").attach().await.expect("a sender");
    assert_eq!(late.credit(), 0);
    let next_one = sender.send("x");
    tokio::pin!(next_one);
    let early = tokio::time::timeout(Duration::from_secs(30), &mut next_one).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!((sender.credit(), sender.blocked()), (0, Some(Blocked::Credit)));
    let mut receiver = consumer(&session, "q", 1).await;
    next(&mut receiver).await.accept().expect("settled");
    next_one.await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(drained(&session, "q").await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_are_unsettled_with_a_consumer_are_bounded() {
    let session = Bed::new(&["--max-unsettled", "2"]).session().await;
    put(&session, "q", &["a", "b", "c"]).await;
    let mut receiver = consumer(&session, "q", 100).await;
    let (first, second) = (next(&mut receiver).await, next(&mut receiver).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(receiver.try_recv().is_err());
    second.accept().expect("settled");
    assert_eq!(text(&next(&mut receiver).await), "c");
    drop(first);
}

#[tokio::test]
async fn what_was_sent_settled_is_stored_and_what_is_received_settled_is_gone() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    for text in ["a", "b"] {
        sender.send_with(text, settled).await.expect("sent").into_result().expect("sent");
    }
    let receiver = session.receiver("q").settle_mode(amqp1::link::SenderSettleMode::Settled).credit(Credit::Manual(2));
    let mut receiver = receiver.attach().await.expect("a receiver");
    for expected in ["a", "b"] {
        let delivery = next(&mut receiver).await;
        assert_eq!((text(&delivery).as_str(), delivery.is_settled()), (expected, true));
    }
    receiver.close().await.expect("closed");
    assert!(drained(&session, "q").await.is_empty());
}

#[tokio::test]
async fn m_3_5_7_1_a_browser_sees_each_message_once_and_takes_none() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["a", "b"]).await;
    let copies = Source { distribution_mode: Some(DistributionMode::COPY), ..Source::at("q") };
    let browser = session.receiver("q").source(copies).credit(Credit::Manual(10)).attach();
    let mut browser = browser.await.expect("a browser");
    next(&mut browser).await.accept().expect("settled");
    next(&mut browser).await.release().expect("settled");
    browser.drain().await.expect("drained");
    assert!(browser.try_recv().is_err());
    assert_eq!(drained(&session, "q").await, ["a", "b"]);
    // What comes later is seen too.
    browser.set_credit(Credit::Manual(10)).expect("a link");
    put(&session, "q", &["c"]).await;
    assert_eq!(text(&next(&mut browser).await), "c");
}

#[tokio::test]
async fn there_are_no_more_nodes_than_there_may_be() {
    let session = Bed::new(&["--max-nodes", "2"]).session().await;
    for address in ["a", "topic://a", "a"] {
        session.sender(address).attach().await.expect("a node");
    }
    let dynamic = || Source { dynamic: true, ..Source::default() };
    for attaching in [session.receiver("b"), session.receiver("").source(dynamic())] {
        let error = attaching.attach().await.expect_err("one too many");
        assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
    }
}
