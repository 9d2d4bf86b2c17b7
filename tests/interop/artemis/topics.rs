//! Topics and their subscriptions.

use super::world::{Broker, index, leave, next, receive, send};
use amqp1::{
    Connection, Credit, ErrorKind, Receiver, Session, Source,
    brokers::artemis,
    codec::messaging::{TerminusDurability, TerminusExpiryPolicy},
    link::Filter,
};
use std::{collections::BTreeSet, sync::Arc};

fn source(address: &str) -> Source {
    Source { capabilities: artemis::TOPIC.into(), ..Source::at(address.to_owned()) }
}

async fn publisher(session: &Session, address: &str) -> amqp1::Sender {
    session.sender(address.to_owned()).target_capability(artemis::TOPIC).attach().await.expect("a sending link")
}

pub(super) async fn two_subscribers(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let subscribe = || session.receiver("topics.two").source(source("topics.two")).credit(Credit::Window(10)).attach();
    let (mut one, mut two) = (subscribe().await.expect("a link"), subscribe().await.expect("a link"));
    let publisher = publisher(&session, "topics.two").await;
    let (sent, first, second) = tokio::join!(send(&publisher, 200), receive(&mut one, 200), receive(&mut two, 200));
    assert_eq!((sent, first, second), (200, 200, 200));
    leave(&connection, &[&one, &two]).await;
    400
}

/// A connection of the container that the subscription belongs to.
async fn container(broker: &Broker) -> (Connection, Session) {
    let connection = broker.client().container_id("subscriber").connect().await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    (connection, session)
}

async fn subscribe(session: &Session) -> Receiver {
    let durable = Source {
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        ..source("topics.durable")
    };
    let builder = session.receiver("topics.durable").name("subscription").source(durable).credit(Credit::Window(50));
    builder.attach().await.expect("a subscription")
}

/// What is published while no subscriber is attached is kept, until closing the link deletes the subscription.
pub(super) async fn durable(broker: Arc<Broker>) -> u64 {
    let (publishing, session) = broker.session().await;
    let publisher = publisher(&session, "topics.durable").await;

    let (connection, session) = container(&broker).await;
    let mut receiver = subscribe(&session).await;
    send(&publisher, 20).await;
    receive(&mut receiver, 20).await;
    receiver.detach().await.expect("detached");
    connection.close().await.expect("a closed connection");

    send(&publisher, 20).await;
    let (connection, session) = container(&broker).await;
    // As an application finds it that knows the subscription by its name only.
    let mut receiver = subscribe(&session).await;
    receive(&mut receiver, 20).await;
    // Dropping the link must not delete the subscription.
    drop(receiver);
    connection.close().await.expect("a closed connection");

    send(&publisher, 20).await;
    let (connection, session) = container(&broker).await;
    let mut receiver = subscribe(&session).await;
    receive(&mut receiver, 20).await;
    receiver.close().await.expect("a closed link");
    send(&publisher, 5).await;
    let mut receiver = subscribe(&session).await;
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err(), "the subscription was deleted");
    leave(&connection, &[&receiver]).await;
    leave(&publishing, &[]).await;
    60
}

/// Two queues of one address, each with all messages, which two receivers of one queue share.
pub(super) async fn queues_of_an_address(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let attach = |queue: &str| {
        let receiver = session.receiver(artemis::queue_of("topics.queues", queue)).source_capability(artemis::TOPIC);
        receiver.credit(Credit::Window(1)).attach()
    };
    let mut all = attach("topics.queues.all").await.expect("a link");
    let mut one = attach("topics.queues.shared").await.expect("a link");
    let mut two = attach("topics.queues.shared").await.expect("a link");
    let publisher = publisher(&session, "topics.queues").await;
    let (sent, received, shared) =
        tokio::join!(send(&publisher, 100), receive(&mut all, 100), share(&mut one, &mut two, 100));
    assert_eq!((sent, received, shared), (100, 100, 100));
    leave(&connection, &[&all, &one, &two]).await;
    200
}

/// Takes this many messages from either, each number once.
async fn share(one: &mut Receiver, two: &mut Receiver, count: u64) -> u64 {
    let mut taken = BTreeSet::new();
    while (taken.len() as u64) < count {
        let delivery = tokio::select! { delivery = next(one) => delivery, delivery = next(two) => delivery };
        assert!(taken.insert(index(&delivery)));
        delivery.accept().expect("settled");
    }
    count
}

/// A subscription that links of two containers share.
pub(super) async fn shared(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let (other, elsewhere) = broker.session().await;
    let subscribe = |session: &Session, name: &'static str| {
        let receiver = session.receiver("topics.shared").name(name).credit(Credit::Window(1));
        let receiver = receiver.source_capability(artemis::TOPIC).source_capability(artemis::SHARED);
        receiver.source_capability(artemis::GLOBAL).attach()
    };
    let mut one = subscribe(&session, "subscription|1").await.expect("a link");
    let mut two = subscribe(&elsewhere, "subscription|2").await.expect("a link");
    let publisher = publisher(&session, "topics.shared").await;
    let (sent, shared) = tokio::join!(send(&publisher, 100), share(&mut one, &mut two, 100));
    assert_eq!((sent, shared), (100, 100));
    leave(&connection, &[&one]).await;
    leave(&other, &[&two]).await;
    100
}

/// Its own messages do not come to a subscriber that does not want them.
pub(super) async fn no_local(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let wanted = session.receiver("topics.local").source_capability(artemis::TOPIC).filter(Filter::no_local());
    let mut receiver = match wanted.credit(Credit::Window(10)).attach().await {
        Ok(receiver) => receiver,
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::NotGranted, "{error}");
            panic!("{error}");
        }
    };
    send(&publisher(&session, "topics.local").await, 10).await;
    let (other, session) = broker.session().await;
    send(&publisher(&session, "topics.local").await, 30).await;
    // These 30 only.
    receive(&mut receiver, 30).await;
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err());
    leave(&connection, &[&receiver]).await;
    leave(&other, &[]).await;
    30
}
