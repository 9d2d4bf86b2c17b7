//! Nodes of different kinds, and filters.

use super::world::{self, Broker, in_time, index, leave, next, receive, send};
use amqp1::{
    Credit, ErrorKind, Message, Receiver, Session, Source, Symbol,
    codec::messaging::{LifetimePolicy, NodeProperties},
    error::{Cause, ErrorCondition},
    link::{Filter, capability},
    message::{MessageId, Properties},
    request::Responder,
};
use amqp1_tests::bodies;
use std::sync::Arc;

/// The node is made, works, and goes with its link.
pub(super) async fn dynamic(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose);
    let source = Source { dynamic: true, dynamic_node_properties: Some(properties), ..Source::default() };
    let mut receiver = session.receiver("").source(source).attach().await.expect("a receiving link");
    let made = receiver.remote_attach().source.expect("a source").address.expect("an address");
    assert!(broker.queues().await.contains(&made.to_string()));
    let sender = world::sender(&session, &made).await;
    send(&sender, 50).await;
    receive(&mut receiver, 50).await;
    receiver.close().await.expect("a closed link");
    in_time(async { while broker.queues().await.contains(&made.to_string()) {} }).await;
    leave(&connection, &[]).await;
    50
}

/// Twenty at once over one pair of links.
pub(super) async fn request(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let mut requests = world::receiver(&session, "nodes.requests").await;
    let answers = session.anonymous_sender().attach().await.expect("a relay");
    let answering = tokio::spawn(async move {
        for _ in 0..20 {
            let delivery = next(&mut requests).await;
            let asked = delivery.message().properties().expect("a section").expect("properties");
            let properties =
                Properties { to: asked.reply_to, correlation_id: asked.message_id, ..Properties::default() };
            let body = delivery.message().data().expect("data");
            let answer = Message::builder().properties(properties).data(body).build();
            answers.send(answer).await.expect("an outcome").into_result().expect("accepted");
            delivery.accept().expect("settled");
        }
        requests
    });
    let requester = session.requester("nodes.requests").attach().await.expect("a requester");
    let asked = (0..20).map(|number| {
        let requester = requester.clone();
        tokio::spawn(async move {
            let answer = requester.request(Message::builder().data(format!("{number}"))).await.expect("an answer");
            assert_eq!(answer.data().expect("data"), format!("{number}"));
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        asked.await.expect("answered");
    }
    let requests = answering.await.expect("all answered");
    leave(&connection, &[&requests]).await;
    40
}

/// The answers come from a queue, and the responder is another client.
pub(super) async fn request_by_queue(broker: Arc<Broker>) -> u64 {
    let (answering, session) = broker.session().await;
    let requests = world::receiver(&session, "nodes.asked").await;
    let mut responder = Responder::new(requests, session.anonymous_sender().attach().await.expect("a relay"));
    let serving = tokio::spawn(async move {
        let mut served = 0;
        while let Ok(Some(request)) = responder.next().await {
            let body = request.message().data().expect("data");
            request.answer(Message::builder().data(body)).await.expect("answered");
            served += 1;
        }
        served
    });
    let (connection, session) = broker.session().await;
    let requester = session.requester("nodes.asked").reply_to("nodes.answers").attach().await.expect("a requester");
    for number in 0..20 {
        let answer = requester.request(Message::builder().data(format!("{number}"))).await.expect("an answer");
        assert_eq!(answer.data().expect("data"), format!("{number}"));
    }
    requester.close().await.expect("closed links");
    assert_eq!(broker.count("nodes.answers").await, 0);
    leave(&connection, &[]).await;
    leave(&answering, &[]).await;
    assert_eq!(serving.await.expect("it ends"), 20);
    40
}

/// Each message goes where it says.
pub(super) async fn relay(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    assert!(connection.offers(&capability::ANONYMOUS_RELAY));
    let relay = session.anonymous_sender().attach().await.expect("a relay");
    for index in 0..30 {
        let to = format!("nodes.relay.{}", index % 3);
        let message_id = Some(MessageId::Ulong(index / 3));
        let properties = Properties { message_id, to: Some(to.into()), ..Properties::default() };
        let message = Message::builder().properties(properties).data(bodies::body(index / 3, world::SIZE)).build();
        relay.send(message).await.expect("an outcome").into_result().expect("accepted");
    }
    // It may not be sent there: that message is refused, and the link goes on.
    let properties = Properties { to: Some("refused".into()), ..Properties::default() };
    let refused = relay.send(Message::builder().properties(properties).data("x").build()).await.expect("an outcome");
    assert_eq!(refused.into_result().expect_err("rejected").kind(), ErrorKind::Rejected);
    let properties = Properties { to: Some("nodes.relay.0".into()), ..Properties::default() };
    let last = relay.send(Message::builder().properties(properties).data("last").build()).await;
    last.expect("an outcome").into_result().expect("accepted");
    let mut moved = 1;
    for number in 0..3 {
        let mut receiver = world::receiver(&session, &format!("nodes.relay.{number}")).await;
        moved += receive(&mut receiver, 10).await;
        receiver.close().await.expect("a closed link");
    }
    leave(&connection, &[]).await;
    moved
}

async fn selecting(session: &Session, address: &str, selector: &str) -> Result<Receiver, amqp1::Error> {
    let selector = Filter::selector(selector.to_owned());
    session.receiver(address).credit(Credit::Window(100)).filter(selector).attach().await
}

/// Sends messages whose `third` says whether their index is divisible by three.
async fn send_thirds(session: &Session, address: &str) {
    let sender = world::sender(session, address).await;
    for index in 0..30 {
        let properties = Properties { message_id: Some(MessageId::Ulong(index)), ..Properties::default() };
        let message = Message::builder().properties(properties).application_property("third", index % 3 == 0);
        let message = message.data(bodies::body(index, world::SIZE)).build();
        sender.send(message).await.expect("an outcome").into_result().expect("accepted");
    }
}

pub(super) async fn selector(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send_thirds(&session, "nodes.selector").await;
    let mut thirds = selecting(&session, "nodes.selector", "third = TRUE").await.expect("granted");
    for expected in 0..10 {
        let delivery = next(&mut thirds).await;
        assert_eq!(index(&delivery), expected * 3);
        delivery.accept().expect("settled");
    }
    thirds.drain().await.expect("drained");
    assert!(thirds.try_recv().is_err());
    leave(&connection, &[&thirds]).await;
    assert_eq!(broker.count("nodes.selector").await, 20);
    10
}

/// It is refused, and the session goes on.
pub(super) async fn unparsable_selector(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send_thirds(&session, "nodes.unparsable").await;
    let error = selecting(&session, "nodes.unparsable", "third = = (").await.expect_err("not a selector");
    assert_eq!(error.kind(), ErrorKind::LinkRefused, "{error}");
    assert_eq!(error.condition(), Some(&ErrorCondition::INVALID_FIELD), "{error}");
    let mut receiver = world::receiver(&session, "nodes.unparsable").await;
    receive(&mut receiver, 30).await;
    leave(&connection, &[&receiver]).await;
    30
}

/// The queue keeps what was seen.
pub(super) async fn browse(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send(&world::sender(&session, "nodes.browse").await, 25).await;
    let mode = Some(Symbol::from_static("copy"));
    let source = Source { distribution_mode: mode, ..Source::at("nodes.browse") };
    for _ in 0..2 {
        let browser = session.receiver("nodes.browse").source(source.clone()).credit(Credit::Window(10));
        let mut browser = browser.attach().await.expect("granted");
        receive(&mut browser, 25).await;
        browser.drain().await.expect("drained");
        assert!(browser.try_recv().is_err());
        browser.close().await.expect("a closed link");
    }
    assert_eq!(broker.count("nodes.browse").await, 25);
    let mut receiver = world::receiver(&session, "nodes.browse").await;
    receive(&mut receiver, 25).await;
    leave(&connection, &[&receiver]).await;
    75
}

/// Its consumer hears of it; other links of the session go on.
pub(super) async fn deleted(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send(&world::sender(&session, "nodes.deleted").await, 5).await;
    let mut receiver = world::receiver(&session, "nodes.deleted").await;
    receive(&mut receiver, 5).await;
    broker.delete("nodes.deleted").await;
    let detached = in_time(receiver.detached()).await;
    assert_eq!(detached.by, Cause::Peer);
    let condition = detached.error.expect("a reason").condition;
    assert_eq!(condition, ErrorCondition::RESOURCE_DELETED);
    let error = in_time(receiver.recv()).await.expect_err("a link that is gone");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkDetached, Some(&condition)), "{error}");
    send(&world::sender(&session, "nodes.other").await, 5).await;
    let mut other = world::receiver(&session, "nodes.other").await;
    receive(&mut other, 5).await;
    leave(&connection, &[&other]).await;
    10
}
