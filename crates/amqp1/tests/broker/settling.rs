//! Deliveries that are unsettled, and what becomes of them.

use super::{
    Bed, consumer, drained, failures, next, put,
    support::{body, number, soon},
    text,
};
use amqp1::{
    Credit, Source, Symbol, Value,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryState, Modified, OnDrop},
};
use std::time::Duration;

#[tokio::test]
async fn any_number_of_deliveries_is_in_flight_and_settled_in_any_order() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["0", "1", "2", "3", "4"]).await;
    let mut receiver = consumer(&session, "q", 10).await;
    let mut deliveries = Vec::new();
    for expected in ["0", "1", "2", "3", "4"] {
        let delivery = next(&mut receiver).await;
        assert_eq!(text(&delivery), expected);
        deliveries.push(delivery);
    }
    for place in [3, 0, 2, 0] {
        deliveries.remove(place).accept().expect("settled");
    }
    let (_, left) = (receiver.close().await.expect("closed"), deliveries);
    assert_eq!((left.len(), drained(&session, "q").await), (1, vec!["2".to_owned()]));
}

#[tokio::test]
async fn what_comes_back_stands_where_it_stood_and_counts_failures() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["a", "b", "c", "d"]).await;
    let mut receiver = consumer(&session, "q", 3).await;
    let [a, b, c] = [next(&mut receiver).await, next(&mut receiver).await, next(&mut receiver).await];
    c.release().expect("settled");
    a.modify(Modified { delivery_failed: true, ..Modified::default() }).expect("settled");
    b.modify(Modified::default()).expect("settled");
    // When another link gets them, all of that is known.
    receiver.close().await.expect("closed");
    let mut receiver = consumer(&session, "q", 4).await;
    for (expected, count) in [("a", 1), ("b", 0), ("c", 0), ("d", 0)] {
        let delivery = next(&mut receiver).await;
        assert_eq!((text(&delivery).as_str(), failures(&delivery)), (expected, count));
        delivery.accept().expect("settled");
    }
}

#[tokio::test]
async fn what_is_undeliverable_here_goes_to_another_link() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["a", "b"]).await;
    let mut first = consumer(&session, "q", 3).await;
    let here = Modified { undeliverable_here: true, ..Modified::default() };
    next(&mut first).await.modify(here).expect("settled");
    let b = next(&mut first).await;
    let a = next(&mut consumer(&session, "q", 1).await).await;
    assert_eq!((text(&a).as_str(), text(&b).as_str()), ("a", "b"));
    assert!(first.try_recv().is_err());
}

#[tokio::test]
async fn a_rejected_message_goes_to_the_dead_letters_with_the_reason() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["bad"]).await;
    let error = AmqpError::new(ErrorCondition::DECODE_ERROR, "no good");
    next(&mut consumer(&session, "q", 1).await).await.reject(error).expect("settled");
    let mut dead = consumer(&session, "dead-letters", 2).await;
    let delivery = next(&mut dead).await;
    let why = delivery.message().delivery_annotations().expect("they read").expect("there are some");
    let why = format!("{:?}", why.get("rejected"));
    assert_eq!((text(&delivery).as_str(), why.contains("no good")), ("bad", true), "{why}");
    // Rejected there, it is gone.
    delivery.reject(None).expect("settled");
    dead.close().await.expect("closed");
    assert!(drained(&session, "q").await.is_empty() && drained(&session, "dead-letters").await.is_empty());
}

#[tokio::test]
async fn of_the_dead_letters_the_latest_are_kept() {
    let session = Bed::new(&["--depth", "2"]).session().await;
    let mut receiver = consumer(&session, "q", 3).await;
    let sender = session.sender("q").attach().await.expect("a sender");
    for body in ["0", "1", "2"] {
        sender.send(body).await.expect("sent").into_result().expect("accepted");
        next(&mut receiver).await.reject(None).expect("settled");
    }
    receiver.close().await.expect("closed");
    assert_eq!(drained(&session, "dead-letters").await, ["1", "2"]);
}

/// §3.5.3: whatever ends the link, its deliveries have the default outcome of its source.
#[tokio::test]
async fn m_3_5_3_6_what_a_link_leaves_has_the_default_outcome() {
    let bed = Bed::new(&[]);
    let failed = DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }));
    for (default, count) in [(None, 0), (Some(failed), 1), (Some(DeliveryState::Released), 0)] {
        for end in ["detach, and end", "close", "end", "close the connection"] {
            let connection = bed.connect().await;
            let session = connection.begin().await.expect("a session");
            put(&session, "q", &["x", "y"]).await;
            let source = Source { default_outcome: default.clone(), ..Source::at("q") };
            let mut receiver =
                session.receiver("q").source(source).on_drop(OnDrop::LeaveUnsettled).attach().await.expect("a link");
            let deliveries = [next(&mut receiver).await, next(&mut receiver).await];
            match end {
                // The source lasts as long as the session.
                "detach, and end" => match receiver.detach().await {
                    Ok(()) => session.end().await,
                    error => error,
                },
                "close" => receiver.close().await,
                "end" => session.end().await,
                _ => connection.close().await,
            }
            .expect("ended");
            drop(deliveries);
            let session = bed.session().await;
            let mut receiver = consumer(&session, "q", 2).await;
            for expected in ["x", "y"] {
                let delivery = next(&mut receiver).await;
                assert_eq!((text(&delivery).as_str(), failures(&delivery)), (expected, count), "{end}, {default:?}");
                delivery.accept().expect("settled");
            }
            session.end().await.expect("ended");
        }
    }
}

#[tokio::test]
async fn an_attempt_that_ends_with_a_reset_has_failed() {
    let bed = Bed::new(&[]);
    let (connection, gate) = bed.connect_with(|builder| builder).await;
    let session = connection.begin().await.expect("a session");
    put(&session, "q", &["x", "y"]).await;
    let mut receiver = consumer(&session, "q", 1).await;
    let delivery = next(&mut receiver).await;
    gate.break_off();
    let session = bed.session().await;
    let mut receiver = consumer(&session, "q", 2).await;
    for (expected, count) in [("x", 1), ("y", 0)] {
        let delivery = next(&mut receiver).await;
        assert_eq!((text(&delivery).as_str(), failures(&delivery)), (expected, count));
    }
    drop(delivery);
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_seventy_seconds_is_not_delivered_twice() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["x"]).await;
    let mut receiver = consumer(&session, "q", 2).await;
    let mut other = consumer(&session, "q", 2).await;
    let delivery = next(&mut receiver).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(receiver.try_recv().is_err() && other.try_recv().is_err());
    delivery.accept().expect("settled");
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(receiver.try_recv().is_err() && other.try_recv().is_err());
}

/// §3.4.5: what a receiver changes of a message stays changed.
#[tokio::test]
async fn m_3_4_5_3_annotations_of_modified_are_there_at_the_next_attempt() {
    let session = Bed::new(&[]).session().await;
    put(&session, "q", &["x"]).await;
    let mut receiver = consumer(&session, "q", 2).await;
    let note = Symbol::from_static("x-opt-note");
    let annotations = [(note, Value::from("seen"))].into_iter().collect();
    let modified = Modified { message_annotations: Some(annotations), ..Modified::default() };
    next(&mut receiver).await.modify(modified).expect("settled");
    let delivery = next(&mut receiver).await;
    let found = delivery.message().message_annotation("x-opt-note").expect("it reads");
    assert_eq!(found.and_then(|value| value.as_text()), Some("seen"));
}

/// Five consumers on threads of their own take, accept in batches from the last to the first, and release every seventh
/// message once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_message_is_accepted_once_by_one_of_five_consumers() {
    const COUNT: u32 = 5000;
    let bed = Bed::new(&["--depth", "500", "--max-unsettled", "64"]);
    let (accepted, mut numbers) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..5 {
        let (session, accepted) = (bed.session().await, accepted.clone());
        tokio::spawn(async move {
            let mut receiver = session.receiver("q").credit(Credit::Window(100)).attach().await.expect("a receiver");
            loop {
                let mut batch = vec![next(&mut receiver).await];
                while let Ok(delivery) = receiver.try_recv() {
                    batch.push(delivery);
                }
                while let Some(delivery) = batch.pop() {
                    let value = number(&delivery);
                    if value % 7 == 0 && failures(&delivery) == 0 {
                        let failed = Modified { delivery_failed: true, ..Modified::default() };
                        delivery.modify(failed).expect("settled");
                        continue;
                    }
                    delivery.accept().expect("settled");
                    accepted.send(value).expect("the test goes on");
                }
            }
        });
    }
    let session = bed.session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut receipts = Vec::new();
    for value in 0..COUNT {
        receipts.push(soon(sender.reserve()).await.expect("credit").send(body(value)).expect("sent"));
    }
    for receipt in receipts {
        soon(receipt).await.expect("an outcome").into_result().expect("accepted");
    }
    let mut seen = Vec::new();
    for _ in 0..COUNT {
        seen.push(soon(numbers.recv()).await.expect("a number"));
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..COUNT));
    soon(async {
        while bed.server.broker.len() > 0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert!(numbers.try_recv().is_err());
}
