//! Topics, and subscriptions that outlive their links.

use super::{
    Bed, consumer, drained,
    filters::{coloured, not_local, selected},
    next, put,
    support::soon,
    text,
};
use amqp1::{
    Connection, Credit, ErrorKind, Message, Receiver, Session, Source, Symbol, Target,
    codec::messaging::{DistributionMode, TerminusDurability, TerminusExpiryPolicy},
    error::ErrorCondition,
    message::Properties,
};

fn topic(address: &'static str) -> Source {
    Source { capabilities: vec![Symbol::from_static("topic")].into(), ..Source::at(address) }
}

/// As clients of JMS ask for a durable subscription.
fn durable(address: &'static str) -> Source {
    Source {
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        distribution_mode: Some(DistributionMode::COPY),
        ..topic(address)
    }
}

async fn subscriber(session: &Session, source: Source, name: &str) -> Receiver {
    session.receiver("").source(source).name(name).credit(Credit::Manual(10)).attach().await.expect("a subscriber")
}

/// A connection of the container `client`.
async fn client(bed: &Bed) -> (Connection, Session) {
    let (connection, _) = bed.connect_with(|builder| builder.container_id("client")).await;
    let session = connection.begin().await.expect("a session");
    (connection, session)
}

#[tokio::test]
async fn every_subscriber_gets_each_message_and_a_queue_of_that_name_none() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    put(&session, "topic://news", &["nobody listens"]).await;
    let mut one = subscriber(&session, topic("news"), "one").await;
    let mut two = subscriber(&session, Source::at("topic://news"), "two").await;
    let mut red = subscriber(&session, selected(topic("news"), "colour = 'red'"), "red").await;
    let mut others = subscriber(&session, not_local(topic("news")), "others").await;
    let target = Target { capabilities: vec![Symbol::from_static("topic")].into(), ..Target::at("news") };
    let sender = session.sender("").target(target).attach().await.expect("a sender");
    for colour in ["red", "blue"] {
        sender.send(coloured(colour)).await.expect("sent").into_result().expect("accepted");
    }
    // The relay knows what JMS says of a destination.
    let other = bed.session().await;
    let relay = other.anonymous_sender().attach().await.expect("a relay");
    let _queue = consumer(&other, "news", 0).await;
    for (kind, body) in [(1_i8, "to the topic"), (0, "to the queue")] {
        let to = Properties { to: Some("news".into()), ..Properties::default() };
        let dest = Symbol::from_static("x-opt-jms-dest");
        let message = Message::builder().message_annotation(dest, kind).properties(to).data(body);
        relay.send(message).await.expect("sent").into_result().expect("accepted");
    }
    for receiver in [&mut one, &mut two] {
        for expected in ["red", "blue", "to the topic"] {
            let delivery = next(receiver).await;
            assert_eq!(text(&delivery), expected);
            delivery.accept().expect("settled");
        }
    }
    for (receiver, expected) in [(&mut red, "red"), (&mut others, "to the topic")] {
        let delivery = next(receiver).await;
        assert_eq!(text(&delivery), expected);
        delivery.accept().expect("settled");
        soon(receiver.drain()).await.expect("drained");
        assert!(receiver.try_recv().is_err());
    }
    assert_eq!(drained(&session, "news").await, ["to the queue"]);
}

#[tokio::test]
async fn a_durable_subscription_collects_while_its_subscriber_is_away() {
    let bed = Bed::new(&["--take-durable"]);
    let publisher = bed.session().await;
    let (connection, session) = client(&bed).await;
    let mut receiver = subscriber(&session, durable("news"), "sub").await;
    assert_eq!(receiver.remote_attach().source.map(|source| source.durable), Some(TerminusDurability::UnsettledState));
    put(&publisher, "topic://news", &["0", "1"]).await;
    let delivery = next(&mut receiver).await;
    receiver.detach().await.expect("detached");
    drop((delivery, receiver));
    connection.close().await.expect("closed");
    put(&publisher, "topic://news", &["2"]).await;
    let (_connection, session) = client(&bed).await;
    let mut receiver = subscriber(&session, durable("news"), "sub").await;
    for expected in ["0", "1", "2"] {
        let delivery = next(&mut receiver).await;
        assert_eq!(text(&delivery), expected);
        delivery.accept().expect("settled");
    }
    // Closed, it is over.
    receiver.close().await.expect("closed");
    put(&publisher, "topic://news", &["3"]).await;
    let mut receiver = subscriber(&session, durable("news"), "sub").await;
    soon(receiver.drain()).await.expect("drained");
    assert!(receiver.try_recv().is_err());
}

/// §2.6.3: a null source is the one that the link of this name has, which is how clients of JMS unsubscribe.
#[tokio::test]
async fn a_null_source_finds_the_subscription_of_that_name() {
    let bed = Bed::new(&["--take-durable"]);
    let (_connection, session) = client(&bed).await;
    let mut receiver = subscriber(&session, durable("news"), "sub").await;
    receiver.detach().await.expect("detached");
    let publisher = bed.session().await;
    put(&publisher, "topic://news", &["0"]).await;
    assert_eq!(bed.server.broker.len(), 1);
    let source = null_source(&session, "sub").await.expect("a subscription");
    assert_eq!(source.address.as_deref(), Some("news"));
    assert_eq!(bed.server.broker.len(), 0);
    for name in ["sub", "another"] {
        assert_eq!(null_source(&session, name).await, None);
    }
    receiver = subscriber(&session, durable("news"), "sub").await;
    soon(receiver.drain()).await.expect("drained");
    assert!(receiver.try_recv().is_err());
}

/// What a link of this name without a source is answered with. It is closed.
async fn null_source(session: &Session, name: &str) -> Option<Source> {
    let attaching = session.receiver("").existing_source().name(name).credit(Credit::Manual(0)).attach();
    match attaching.await {
        Ok(receiver) => {
            let source = receiver.remote_attach().source;
            receiver.close().await.expect("closed");
            source.map(|source| *source)
        }
        Err(error) => {
            assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_FOUND)));
            None
        }
    }
}

#[tokio::test]
async fn another_selector_or_topic_makes_it_another_subscription() {
    let bed = Bed::new(&["--take-durable"]);
    let (_connection, session) = client(&bed).await;
    for source in [durable("news"), selected(durable("news"), "colour = 'red'"), durable("weather")] {
        let receiver = subscriber(&session, source, "sub").await;
        receiver.detach().await.expect("detached");
        assert_eq!(bed.server.broker.len(), 0);
        put(&session, "topic://news", &["x"]).await;
    }
    assert_eq!(bed.server.broker.len(), 0);
}

#[tokio::test]
async fn a_subscription_goes_with_its_link_unless_it_is_durable() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let receiver = subscriber(&session, topic("news"), "sub").await;
    put(&session, "topic://news", &["x"]).await;
    receiver.close().await.expect("closed");
    assert_eq!(bed.server.broker.len(), 0);
    // One that is detached alone goes with its session.
    let other = bed.session().await;
    let receiver = subscriber(&other, topic("news"), "sub").await;
    receiver.detach().await.expect("detached");
    put(&session, "topic://news", &["x"]).await;
    assert_eq!(bed.server.broker.len(), 1);
    other.end().await.expect("ended");
    while bed.server.broker.len() > 0 {
        tokio::task::yield_now().await;
    }
    // Shared ones are not served.
    let shared = Source {
        capabilities: vec![Symbol::from_static("topic"), Symbol::from_static("shared")].into(),
        ..topic("news")
    };
    let error = session.receiver("").source(shared).attach().await.expect_err("a refusal");
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED));
    let mut queue = consumer(&session, "news", 1).await;
    soon(queue.drain()).await.expect("drained");
    assert!(queue.try_recv().is_err());
}

#[tokio::test]
async fn a_durable_subscriber_that_is_back_early_takes_its_link_over() {
    let bed = Bed::new(&["--take-durable"]);
    let (_first, session) = client(&bed).await;
    let mut old = subscriber(&session, durable("news"), "sub").await;
    put(&bed.session().await, "topic://news", &["0", "1"]).await;
    let delivery = next(&mut old).await;
    assert_eq!(text(&delivery), "0");
    let (_second, session) = client(&bed).await;
    let mut new = subscriber(&session, durable("news"), "sub").await;
    let detached = soon(old.detached()).await;
    assert_eq!(detached.error.map(|error| error.condition), Some(ErrorCondition::STOLEN));
    for expected in ["0", "1"] {
        assert_eq!(text(&next(&mut new).await), expected);
    }
    drop(delivery);
}
