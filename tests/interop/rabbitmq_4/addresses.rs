//! Addresses, and requests whose answers come from a queue.

use super::{Broker, SIZE, next, number, rest, topology::Topology};
use amqp1::{
    Client, ErrorKind, Message, Outcome,
    auth::sasl::Plain,
    brokers::rabbitmq,
    error::ErrorCondition,
    message::{MessageId, Properties},
    request::Responder,
};
use amqp1_tests::bodies;
use std::sync::Arc;

/// Names with every kind of character, as queue, exchange and routing key.
pub(super) async fn encoded(broker: Arc<Broker>) -> u64 {
    const NAME: &str = "a/b c?d#e%f+g:é|\"~";
    let (connection, session) = broker.session().await;
    let topology = Topology::of(&session).await;
    topology.queue(NAME, &[]).await;
    topology.exchange(NAME, "direct").await;
    topology.bind(NAME, NAME, NAME).await;
    let (queue, exchange) = (rabbitmq::queue(NAME), rabbitmq::exchange(NAME, NAME));
    let relay = session.anonymous_sender().attach().await.expect("a link");
    let direct = session.sender(queue.clone()).attach().await.expect("a link");
    let routed = session.sender(exchange.clone()).attach().await.expect("a link");
    for round in 0..10 {
        for (place, sender, to) in [(0, &direct, None), (1, &routed, None), (2, &relay, Some(&exchange))] {
            let number = round * 3 + place;
            let properties =
                Properties { message_id: Some(MessageId::Ulong(number)), to: to.cloned(), ..Properties::default() };
            let message = Message::builder().properties(properties).data(bodies::body(number, SIZE)).build();
            sender.send(message).await.expect("an outcome").into_result().expect("accepted");
        }
    }
    let mut receiver = session.receiver(queue).attach().await.expect("a link");
    for expected in 0..30 {
        let delivery = next(&mut receiver).await;
        assert_eq!(number(&delivery), expected);
        let from = delivery.message().message_annotation("x-exchange").expect("a section").expect("an annotation");
        assert_eq!(from.as_text(), Some(if expected % 3 == 0 { "" } else { NAME }));
        delivery.accept().expect("settled");
    }
    receiver.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
    30
}

/// A fanout exchange has no use for a routing key; a message that no binding wants is released.
pub(super) async fn exchanges(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let topology = Topology::of(&session).await;
    topology.exchange("fan", "fanout").await;
    let sender = session.sender(rabbitmq::exchange("fan", "")).attach().await.expect("a link");
    assert_eq!(sender.send(bodies::message(0, SIZE)).await.expect("an outcome"), Outcome::Released);
    for queue in ["fan.1", "fan.2"] {
        topology.queue(queue, &[]).await;
        topology.bind("fan", "", queue).await;
    }
    super::send(&sender, 0..10).await;
    for queue in ["fan.1", "fan.2"] {
        assert!(rest(&session, queue).await.into_iter().eq(0..10));
    }
    connection.close().await.expect("a closed connection");
    20
}

/// Another vhost, by the host name of the open.
pub(super) async fn vhost(broker: Arc<Broker>) -> u64 {
    let connect = |hostname: &'static str| {
        let plain = Plain::new("guest", "guest").expect("a user and a password");
        let url = format!("amqp://127.0.0.1:{}", broker.server.port());
        Client::builder(url).sasl(plain).config(move |config| config.hostname = Some(hostname.into())).connect()
    };
    let connection = connect("vhost:other").await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    Topology::of(&session).await.queue("only here", &[]).await;
    let sender = session.sender(rabbitmq::queue("only here")).attach().await.expect("a link");
    super::send(&sender, 0..5).await;
    connection.close().await.expect("a closed connection");

    let connection = connect("vhost:/").await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    let missing = session.receiver(rabbitmq::queue("only here")).attach().await.expect_err("it is in the other one");
    assert_eq!(missing.condition(), Some(&ErrorCondition::NOT_FOUND), "{missing}");
    connect("vhost:missing").await.expect_err("there is no such vhost");
    5
}

/// The requester takes its answers from a queue; the responder is another client, and answers by the anonymous relay. What
/// an earlier requester has left in the queue is not mistaken for answers.
pub(super) async fn requests(broker: Arc<Broker>) -> u64 {
    const COUNT: usize = 100;
    let (asking, session) = broker.session().await;
    let topology = Topology::of(&session).await;
    topology.queue("requests", &[]).await;
    topology.queue("answers", &[]).await;

    let (answering, answers) = broker.session().await;
    let requests = answers.receiver(rabbitmq::queue("requests")).attach().await.expect("a link");
    let relay = answers.anonymous_sender().attach().await.expect("a link");
    let mut responder = Responder::new(requests, relay);
    let serving = tokio::spawn(async move {
        let mut served = 0;
        while let Ok(Some(request)) = responder.next().await {
            let body = request.message().data().expect("data");
            request.answer(Message::builder().data(body)).await.expect("answered");
            served += 1;
        }
        served
    });

    let attach = || session.requester(rabbitmq::queue("requests")).reply_to(rabbitmq::queue("answers")).attach();
    for round in 0..2 {
        if round == 1 {
            // Answers that nobody waits for any more.
            let late = session.sender(rabbitmq::queue("answers")).attach().await.expect("a link");
            for number in 0..3 {
                let properties = Properties { correlation_id: Some(MessageId::Ulong(number)), ..Properties::default() };
                let message = Message::builder().properties(properties).data("stale").build();
                late.send(message).await.expect("an outcome").into_result().expect("accepted");
            }
        }
        let requester = attach().await.expect("two links");
        let asked = (0..COUNT).map(|number| {
            let requester = requester.clone();
            tokio::spawn(async move {
                let body = format!("{round} {number}");
                let answer = requester.request(Message::builder().data(body.clone())).await.expect("an answer");
                assert_eq!(answer.data().expect("data"), body);
            })
        });
        for asked in asked.collect::<Vec<_>>() {
            asked.await.expect("answered");
        }
        assert_eq!(requester.strays().unasked, if round == 1 { 3 } else { 0 });
        requester.close().await.expect("closed links");
    }
    asking.close().await.expect("a closed connection");
    answering.close().await.expect("a closed connection");
    assert_eq!(serving.await.expect("it ends"), 2 * COUNT);
    4 * COUNT as u64
}

/// Dynamic nodes are refused with their reason, and the session is ended.
pub(super) async fn no_dynamic_nodes(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let error = session.requester(rabbitmq::queue("refused")).attach().await.expect_err("no dynamic nodes");
    assert_eq!(error.kind(), ErrorKind::SessionEnded, "{error}");
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED), "{error}");
    session.sender(rabbitmq::queue("refused")).attach().await.expect_err("the session is over");
    connection.close().await.expect("a closed connection");
    1
}
