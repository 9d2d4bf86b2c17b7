//! What clients leave behind is bounded, and goes with them.

use super::{Bed, consumer, filters::selected, put, support::soon, text};
use amqp1::{
    Credit, ErrorKind, Message, Session, Source, Symbol, Target, codec::messaging::TerminusExpiryPolicy,
    error::ErrorCondition, link::SendOptions, message::Properties,
};
use std::{sync::Arc, time::Duration};

/// How many tasks and links have to do with the broker.
fn users(bed: &Bed) -> usize {
    Arc::strong_count(&bed.server.broker)
}

async fn settles_at(bed: &Bed, expected: usize) {
    let settled = async {
        while users(bed) != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(settled).await;
}

/// Several senders may have credit for the same room.
#[tokio::test]
async fn a_full_queue_does_not_keep_the_links_that_have_ended() {
    let bed = Bed::new(&["--depth", "3"]);
    let session = bed.session().await;
    for (address, closes) in [("closed", true), ("cut", false)] {
        let filling = session.sender(address).attach().await.expect("a sender");
        let before = users(&bed);
        let (connection, gate) = bed.connect_with(|builder| builder).await;
        let sender = connection.begin().await.expect("a session").sender(address).attach().await.expect("a sender");
        let mut permits = Vec::new();
        for _ in 0..3 {
            permits.push(soon(sender.reserve()).await.expect("credit"));
        }
        for _ in 0..3 {
            soon(filling.send("x")).await.expect("an outcome").into_result().expect("accepted");
        }
        let settled = || SendOptions { settled: true, ..SendOptions::default() };
        let sent = permits.into_iter().map(|permit| permit.send_with("more", settled()).expect("queued"));
        for sending in sent.collect::<Vec<_>>() {
            soon(sending).await.expect("sent").into_result().expect("sent settled");
        }
        // They have arrived.
        connection.flush().await.expect("written");
        match closes {
            true => soon(connection.close()).await.expect("closed"),
            false => gate.break_off(),
        }
        drop(sender);
        settles_at(&bed, before).await;
        // One was taken before it was known that there is no room.
        assert_eq!(super::drained(&session, address).await, ["x", "x", "x", "more"]);
    }
}

#[tokio::test]
async fn a_full_queue_does_not_keep_the_anonymous_relays_that_have_ended() {
    let bed = Bed::new(&["--depth", "1"]);
    let session = bed.session().await;
    put(&session, "full", &["x"]).await;
    let before = users(&bed);
    let (connection, _gate) = bed.connect_with(|builder| builder).await;
    let sender = connection.begin().await.expect("a session").anonymous_sender().attach().await.expect("a relay");
    let to = Properties { to: Some("full".into()), ..Properties::default() };
    let sent = sender.reserve().await.expect("credit").send(Message::builder().properties(to).data("lost").build());
    connection.flush().await.expect("written");
    soon(connection.close()).await.expect("closed");
    assert!(soon(sent.expect("sent")).await.is_err());
    drop(sender);
    settles_at(&bed, before).await;
}

#[tokio::test]
async fn detaching_again_and_again_leaves_no_more_than_once() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let detach = async || {
        let source = Source { timeout: 3600, ..Source::at("q") };
        let attaching = session.receiver("q").name("kept").source(source).credit(Credit::Manual(0));
        attaching.attach().await.expect("a receiver").detach().await.expect("detached");
    };
    detach().await;
    while bed.server.broker.state().termini.len() != 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let once = users(&bed);
    for _ in 0..30 {
        detach().await;
    }
    settles_at(&bed, once).await;
}

/// One connection of a container ends; what it has left on another stays.
#[tokio::test(start_paused = true)]
async fn m_3_5_6_1_termini_outlive_other_connections_of_their_container() {
    let bed = Bed::new(&[]);
    let of = async || bed.connect_with(|builder| builder.container_id("client")).await;
    let ((first, _one), (second, _two)) = (of().await, of().await);
    let kept = async |session: &Session, name: &str| {
        let policy = TerminusExpiryPolicy::ConnectionClose;
        let source = Source { expiry_policy: policy, timeout: 1, ..Source::at(name) };
        let attaching = session.receiver(name).name(name).source(source).resumable(true).credit(Credit::Manual(1));
        let mut receiver = attaching.attach().await.expect("a receiver");
        let delivery = super::next(&mut receiver).await;
        receiver.suspend().await.expect("suspended");
        delivery
    };
    let (one, two) = (first.begin().await.expect("a session"), second.begin().await.expect("a session"));
    put(&one, "a", &["a"]).await;
    put(&one, "b", &["b"]).await;
    let held = (kept(&one, "a").await, kept(&two, "b").await);
    first.close().await.expect("closed");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let others = bed.session().await;
    assert_eq!(super::drained(&others, "a").await, ["a"]);
    assert!(super::drained(&others, "b").await.is_empty());
    drop(held);
}

#[tokio::test]
async fn a_link_that_is_refused_makes_no_node() {
    let session = Bed::new(&["--max-nodes", "1"]).session().await;
    let dynamic = || Source { dynamic: true, ..Source::default() };
    for source in [selected(Source::at("a"), "colour ="), selected(dynamic(), "colour =")] {
        let error = session.receiver("").source(source).attach().await.expect_err("a refusal");
        assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::INVALID_FIELD)));
    }
    let shared = Source { capabilities: vec![Symbol::from_static("shared")].into(), ..Source::at("b") };
    session.receiver("").source(shared).attach().await.expect_err("a refusal");
    put(&session, "c", &["x"]).await;
    let error = session.sender("").target(Target::at("d")).attach().await.expect_err("one too many");
    assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
    assert_eq!(text(&super::next(&mut consumer(&session, "c", 1).await).await), "x");
}
