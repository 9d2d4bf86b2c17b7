//! Topics and their subscriptions.

use super::world::{Broker, leave, receive, send};
use amqp1::{
    Connection, Credit, ErrorKind, Receiver, Session, Source, Symbol, Target,
    codec::messaging::{TerminusDurability, TerminusExpiryPolicy},
};
use std::sync::Arc;

const TOPIC: Symbol = Symbol::from_static("topic");

fn source(address: &str) -> Source {
    Source { capabilities: vec![TOPIC].into(), ..Source::at(address.to_owned()) }
}

async fn publisher(session: &Session, address: &str) -> amqp1::Sender {
    let target = Target { capabilities: vec![TOPIC].into(), ..Target::at(address.to_owned()) };
    session.sender(address).target(target).attach().await.expect("a sending link")
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
    assert!(receiver.try_recv().is_none(), "the subscription was deleted");
    leave(&connection, &[&receiver]).await;
    leave(&publishing, &[]).await;
    60
}

/// Its own messages do not come to a subscriber that does not want them.
pub(super) async fn no_local(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let (name, descriptor) = (Symbol::from_static("no-local"), 0x0000_468C_0000_0003_u64);
    let wanted =
        session.receiver("topics.local").source(source("topics.local")).filter(name, descriptor, "NoLocalFilter{}");
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
    assert!(receiver.try_recv().is_none());
    leave(&connection, &[&receiver]).await;
    leave(&other, &[]).await;
    30
}
