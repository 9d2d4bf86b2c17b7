//! Links that are resumed with what was not settled on them, and how long that is kept.

use super::{
    Bed, consumer, drained, failures, next, put,
    support::{gate::Gate, soon},
    text,
};
use amqp1::{
    Client, Connection, Credit, ErrorKind, Session, Source, Target,
    codec::messaging::{DistributionMode, TerminusExpiryPolicy},
    link::{DeliveryState, Modified},
};
use std::time::Duration;

fn kept(address: &'static str) -> Source {
    Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Source::at(address) }
}

async fn client(bed: &Bed) -> (Connection, Session, Gate) {
    let (connection, gate) = bed.connect_with(|builder| builder.container_id("client")).await;
    let session = connection.begin().await.expect("a session");
    (connection, session, gate)
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_a_consumer_has_are_not_given_to_others_until_it_is_back() {
    let bed = Bed::new(&[]);
    let (_connection, session, gate) = client(&bed).await;
    put(&session, "q", &["0", "1", "2"]).await;
    let attaching = session.receiver("").source(kept("q")).name("link").resumable(true).credit(Credit::Manual(2));
    let mut receiver = attaching.attach().await.expect("a receiver");
    let (zero, one) = (next(&mut receiver).await, next(&mut receiver).await);
    gate.break_off();
    let left = soon(receiver.suspend()).await.expect("suspended");
    let others = bed.session().await;
    assert_eq!(drained(&others, "q").await, ["2"]);
    // What was decided meanwhile is said when the link is back.
    assert!(left.settle(&zero.tag(), DeliveryState::Accepted));
    let (_connection, session, _gate) = client(&bed).await;
    let resuming = session.receiver("").source(kept("q")).name("link").resume(&left).credit(Credit::Manual(10));
    let mut receiver = resuming.attach().await.expect("a receiver");
    let again = next(&mut receiver).await;
    assert_eq!((text(&again).as_str(), again.is_resumed(), again.tag()), ("1", true, one.tag()));
    assert_eq!(text(&next(&mut receiver).await), "2");
    again.accept().expect("settled");
    receiver.close().await.expect("closed");
    assert_eq!(drained(&others, "q").await, ["2"]);
    drop((zero, one));
}

#[tokio::test(start_paused = true)]
async fn m_3_5_6_1_what_a_consumer_has_comes_back_when_its_source_expires() {
    let bed = Bed::new(&[]);
    let (connection, session, _gate) = client(&bed).await;
    put(&session, "q", &["0", "1"]).await;
    let attaching = session.receiver("").source(kept("q")).name("link").resumable(true).credit(Credit::Manual(1));
    let mut receiver = attaching.attach().await.expect("a receiver");
    let delivery = next(&mut receiver).await;
    receiver.suspend().await.expect("suspended");
    let others = bed.session().await;
    // Its time begins with the end of the connection.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(drained(&others, "q").await, ["1"]);
    }
    connection.close().await.expect("closed");
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(drained(&others, "q").await, ["1"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(drained(&others, "q").await, ["0", "1"]);
    drop(delivery);
}

/// The policy that there is unless another is asked for: session-end, with a time-out of 0.
#[tokio::test(start_paused = true)]
async fn m_3_5_6_1_what_a_consumer_has_is_kept_until_its_session_ends() {
    for ends in [true, false] {
        let bed = Bed::new(&[]);
        let (connection, session, _gate) = client(&bed).await;
        put(&session, "q", &["0", "1"]).await;
        let receiver = session.receiver("q").name("link").resumable(true).credit(Credit::Manual(1));
        let mut receiver = receiver.attach().await.expect("a receiver");
        let delivery = next(&mut receiver).await;
        let left = receiver.suspend().await.expect("suspended");
        let others = bed.session().await;
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(drained(&others, "q").await, ["1"]);
        if ends {
            session.end().await.expect("ended");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(drained(&others, "q").await, ["0", "1"]);
        } else {
            let again = session.receiver("q").name("link").resume(&left).credit(Credit::Manual(1)).attach().await;
            let mut receiver = again.expect("a receiver");
            let again = next(&mut receiver).await;
            assert_eq!((text(&again).as_str(), again.is_resumed(), again.tag()), ("0", true, delivery.tag()));
            again.accept().expect("settled");
            receiver.close().await.expect("closed");
            assert_eq!(drained(&others, "q").await, ["1"]);
        }
        connection.close().await.expect("closed");
        drop(delivery);
    }
}

/// An attach whose terminus lasts takes the name of a live link over; a plain one leaves it, and has nothing to resume.
#[tokio::test(start_paused = true)]
async fn several_plain_links_of_a_name_go_on_side_by_side() {
    let bed = Bed::new(&[]);
    let (connection, session, _gate) = client(&bed).await;
    let (_other_connection, other, _other_gate) = client(&bed).await;
    put(&session, "q", &["0", "1"]).await;
    let plain = async |session: &Session| {
        let attaching = session.receiver("q").name("link").credit(Credit::Manual(1));
        attaching.attach().await.expect("a receiver")
    };
    let (mut one, mut two) = (plain(&session).await, plain(&other).await);
    let held = [next(&mut one).await, next(&mut two).await];
    assert_eq!(held.each_ref().map(text), ["0", "1"]);
    two.detach().await.expect("detached");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let others = bed.session().await;
    assert_eq!(drained(&others, "q").await, ["1"], "the second link had no name of its own");
    // On another session: on one, a name is an error of the call.
    let again = connection.begin().await.expect("a session");
    let lasting = again.receiver("").source(kept("q")).name("link").credit(Credit::Manual(1)).attach().await;
    let detached = soon(one.detached()).await;
    assert_eq!(detached.error.map(|error| error.condition), Some(amqp1::error::ErrorCondition::STOLEN));
    drop((held, lasting.expect("a receiver")));
}

#[tokio::test(start_paused = true)]
async fn t_2_6_13_3_a_message_that_was_stored_is_not_stored_again() {
    let bed = Bed::new(&["--settle-second"]);
    let (near, far) = tokio::io::duplex(64 * 1024);
    let gate = Gate::default();
    tokio::spawn(bed.server.clone().serve(gate.around(far)));
    let connection = Client::builder("amqp://broker.test")
        .container_id("client")
        .connect_with(crate::support::checked::Checked::new(near));
    let session = connection.await.expect("a connection").begin().await.expect("a session");
    let target = || Target { expiry_policy: TerminusExpiryPolicy::Never, ..Target::at("q") };
    let attaching = session.sender("").target(target()).name("link").resumable(true);
    let attaching = attaching.receiver_settle_mode(amqp1::link::ReceiverSettleMode::Second);
    let sender = attaching.attach().await.expect("a sender");
    sender.send("0").await.expect("sent").into_result().expect("accepted");
    // The message arrives, and nothing comes back.
    gate.deafen();
    let sending = sender.reserve().await.expect("credit").send("1").expect("sent");
    let others = bed.session().await;
    while bed.server.broker.len() < 2 {
        tokio::task::yield_now().await;
    }
    gate.break_off();
    assert_eq!(soon(sending).await.expect_err("no outcome").kind(), ErrorKind::Suspended);
    let left = soon(sender.suspend()).await.expect("suspended");
    let (_connection, session, _gate) = client(&bed).await;
    let sender = session.sender("").target(target()).name("link").resume(&left).attach().await.expect("a sender");
    for (_, receipt) in sender.resumed() {
        soon(receipt).await.expect("an outcome").into_result().expect("accepted");
    }
    sender.send("2").await.expect("sent").into_result().expect("accepted");
    assert_eq!(drained(&others, "q").await, ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_does_not_resume_leaves_nothing_out() {
    let bed = Bed::new(&[]);
    let (_connection, session, _gate) = client(&bed).await;
    put(&session, "q", &["0"]).await;
    let failed = DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }));
    let source = || Source { default_outcome: Some(failed.clone()), ..kept("q") };
    let attaching = session.receiver("").source(source()).name("link").resumable(true).credit(Credit::Manual(1));
    let mut receiver = attaching.attach().await.expect("a receiver");
    let delivery = next(&mut receiver).await;
    receiver.suspend().await.expect("suspended");
    // Back without a word of what it had: it has forgotten that.
    let mut receiver = session.receiver("").source(source()).name("link").attach().await.expect("a receiver");
    let again = next(&mut receiver).await;
    assert_eq!((text(&again).as_str(), again.is_resumed(), failures(&again)), ("0", false, 1));
    again.accept().expect("settled");
    receiver.close().await.expect("closed");
    let mut others = consumer(&session, "q", 1).await;
    others.drain().await.expect("drained");
    assert!(others.try_recv().is_err());
    drop(delivery);
}

/// What a browser left is not put back, and what a consumer left is, whichever attaches next by that name.
#[tokio::test(start_paused = true)]
async fn a_link_that_comes_back_in_another_distribution_mode_leaves_the_queue_whole() {
    for copies in [true, false] {
        let bed = Bed::new(&[]);
        let (_connection, session, _gate) = client(&bed).await;
        put(&session, "q", &["0", "1"]).await;
        let source = |copy: bool| {
            let mode = if copy { DistributionMode::COPY } else { DistributionMode::MOVE };
            Source { distribution_mode: Some(mode), ..kept("q") }
        };
        let attaching = session.receiver("").source(source(copies)).name("link").credit(Credit::Manual(1));
        let mut receiver = attaching.attach().await.expect("a receiver");
        let delivery = next(&mut receiver).await;
        receiver.detach().await.expect("detached");
        let attaching = session.receiver("").source(source(!copies)).name("link").credit(Credit::Manual(10));
        let mut receiver = attaching.attach().await.expect("a receiver");
        for expected in ["0", "1"] {
            let delivery = next(&mut receiver).await;
            assert_eq!(text(&delivery), expected, "copies first: {copies}");
            delivery.release().expect("settled");
        }
        receiver.close().await.expect("closed");
        put(&session, "q", &["2"]).await;
        let others = bed.session().await;
        assert_eq!(drained(&others, "q").await, ["0", "1", "2"], "copies first: {copies}");
        drop(delivery);
    }
}
