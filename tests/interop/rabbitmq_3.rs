//! Our client with RabbitMQ 3.10, whose AMQP 1.0 is a plug-in.

use super::artemis::{Running, outcome};
use amqp1::{
    Client, Connection, Credit, Delivery, ErrorKind, Message, Outcome, Sender, Session,
    auth::sasl::Plain,
    brokers::rabbitmq,
    error::{AmqpError, ErrorCondition},
    link::{Modified, ReceiverSettleMode},
    request::Responder,
};
use amqp1_tests::{
    bodies,
    expected::{AtLeast, Judgement},
    peer::{self, Server},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const QUEUES: [&str; 7] = ["requests", "answers", "accepted", "rejected", "released", "modified", "refused"];

const SIZE: usize = 1000;

struct Broker {
    server: Server,
}

impl Broker {
    async fn start() -> Self {
        let mut command = peer::program("rabbitmq.py");
        for queue in QUEUES {
            command.args(["--queue", queue]);
        }
        Self { server: Server::start(command).await }
    }

    async fn session(&self) -> (Connection, Session) {
        let plain = Plain::new("guest", "guest").expect("a user and a password");
        let url = format!("amqp://127.0.0.1:{}", self.server.port());
        let connection = Client::builder(url).sasl(plain).connect().await.expect("a connection");
        let session = connection.begin().await.expect("a session");
        (connection, session)
    }
}

fn address(queue: &str) -> amqp1::message::Str {
    rabbitmq::existing_queue_v1(queue)
}

async fn send(sender: &Sender, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let outcome = sender.send(bodies::message(number, SIZE)).await.expect("an outcome");
        outcome.into_result().expect("accepted");
    }
}

async fn next(receiver: &mut amqp1::Receiver) -> Delivery {
    let next = timeout(Duration::from_secs(15), receiver.recv()).await.expect("a delivery in time");
    next.expect("a link").expect("a delivery")
}

fn number(delivery: &Delivery) -> u64 {
    bodies::check(delivery.message(), SIZE).expect("a message as it was sent")
}

/// What a topic link declares is a queue of its own, bound to `amq.topic`. A message that no binding wants is accepted.
async fn topics(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let mut one = session.receiver("/topic/prices.*").attach().await.expect("a link");
    let mut two = session.receiver("/exchange/amq.topic/#").attach().await.expect("a link");
    let sender = session.sender("/topic/prices.tea").attach().await.expect("a link");
    send(&sender, 0..10).await;
    for expected in 0..10 {
        for receiver in [&mut one, &mut two] {
            let delivery = next(receiver).await;
            assert_eq!(number(&delivery), expected);
            delivery.accept().expect("settled");
        }
    }
    let unheard = session.sender("/exchange/amq.direct/unheard").attach().await.expect("a link");
    assert_eq!(unheard.send(bodies::message(0, SIZE)).await.expect("an outcome"), Outcome::Accepted);
    one.close().await.expect("a closed link");
    two.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
    20
}

/// A queue is declared by its address, and is not durable; one that is durable is another.
async fn declared(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send(&session.sender("/queue/declared").attach().await.expect("a link"), 0..5).await;
    let mut receiver = session.receiver(address("declared")).attach().await.expect("a link");
    for expected in 0..5 {
        let delivery = next(&mut receiver).await;
        assert_eq!(number(&delivery), expected);
        delivery.accept().expect("settled");
    }
    receiver.close().await.expect("a closed link");
    let error = session.sender("/queue/refused").attach().await.expect_err("it is durable");
    assert_eq!(error.condition(), Some(&ErrorCondition::PRECONDITION_FAILED), "{error}");
    connection.close().await.expect("a closed connection");
    5
}

/// Each is settled as it says when it comes first; those that come again are accepted.
async fn settle(
    broker: &Broker,
    queue: &str,
    again: bool,
    settle: impl Fn(Delivery) -> Result<(), amqp1::Error>,
) -> u64 {
    const COUNT: u64 = 20;
    let (connection, session) = broker.session().await;
    send(&session.sender(address(queue)).attach().await.expect("a link"), 0..COUNT).await;
    let mut receiver = session.receiver(address(queue)).attach().await.expect("a link");
    let mut held = Vec::new();
    for expected in 0..COUNT {
        let delivery = next(&mut receiver).await;
        assert_eq!(number(&delivery), expected);
        held.push(delivery);
    }
    for delivery in held {
        settle(delivery).expect("settled");
    }
    if again {
        let mut numbers = Vec::new();
        for _ in 0..COUNT {
            let delivery = next(&mut receiver).await;
            numbers.push(number(&delivery));
            delivery.accept().expect("settled");
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..COUNT));
    }
    receiver.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
    COUNT
}

async fn accepted(broker: Arc<Broker>) -> u64 {
    settle(&broker, "accepted", false, Delivery::accept).await
}

async fn rejected(broker: Arc<Broker>) -> u64 {
    let reject = |delivery: Delivery| delivery.reject(AmqpError::new(ErrorCondition::NOT_ALLOWED, "not for me"));
    settle(&broker, "rejected", false, reject).await
}

async fn released(broker: Arc<Broker>) -> u64 {
    settle(&broker, "released", true, Delivery::release).await
}

/// The outcome modified ends the session. The message comes again.
async fn modified(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send(&session.sender(address("modified")).attach().await.expect("a link"), 0..1).await;
    let mut receiver = session.receiver(address("modified")).attach().await.expect("a link");
    let delivery = next(&mut receiver).await;
    delivery.modify(Modified { delivery_failed: true, ..Modified::default() }).expect("settled");
    let end = timeout(Duration::from_secs(15), receiver.recv()).await.expect("an end in time");
    let end = end.expect_err("the session is over");
    assert_eq!(end.condition(), Some(&ErrorCondition::INVALID_FIELD), "{end}");
    drop(connection);
    let (connection, session) = broker.session().await;
    let mut receiver = session.receiver(address("modified")).attach().await.expect("a link");
    let delivery = next(&mut receiver).await;
    assert_eq!(number(&delivery), 0);
    delivery.accept().expect("settled");
    receiver.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
    2
}

/// As with RabbitMQ 4, but the responder has a link to the queue for answers, since there is no anonymous relay.
async fn requests(broker: Arc<Broker>) -> u64 {
    const COUNT: u64 = 50;
    let (asking, session) = broker.session().await;
    let (answering, other) = broker.session().await;
    let requests = other.receiver(address("requests")).attach().await.expect("a link");
    let answers = other.sender(address("answers")).attach().await.expect("a link");
    let mut responder = Responder::new(requests, answers);
    let serving = tokio::spawn(async move {
        let mut served = 0;
        while let Ok(Some(request)) = responder.next().await {
            let body = request.message().data().expect("data");
            request.answer(Message::builder().data(body)).await.expect("answered");
            served += 1;
        }
        served
    });
    let requester = session.requester(address("requests")).reply_to(address("answers")).attach().await;
    let requester = requester.expect("two links");
    for number in 0..COUNT {
        let body = format!("{number}");
        let answer = requester.request(Message::builder().data(body.clone())).await.expect("an answer");
        assert_eq!(answer.data().expect("data"), body);
    }
    requester.close().await.expect("closed links");
    asking.close().await.expect("a closed connection");
    answering.close().await.expect("a closed connection");
    assert_eq!(serving.await.expect("it ends"), COUNT);
    2 * COUNT
}

/// Each ends its session, and is shown on a connection of its own.
async fn refusals(broker: Arc<Broker>) -> u64 {
    let refused = |error: &amqp1::Error, condition| {
        assert_eq!((error.kind(), error.condition()), (ErrorKind::SessionEnded, Some(&condition)), "{error}");
    };
    let (_connection, session) = broker.session().await;
    let dynamic = session.requester(address("requests")).attach().await.expect_err("no dynamic nodes");
    refused(&dynamic, ErrorCondition::NOT_IMPLEMENTED);

    let (_connection, session) = broker.session().await;
    let second = session.receiver(address("refused")).receiver_settle_mode(ReceiverSettleMode::Second);
    refused(&second.attach().await.expect_err("mode second is not served"), ErrorCondition::NOT_IMPLEMENTED);

    let (_connection, session) = broker.session().await;
    refused(&session.transactions().await.expect_err("no transactions"), ErrorCondition::NOT_IMPLEMENTED);

    let (_connection, session) = broker.session().await;
    refused(&session.anonymous_sender().attach().await.expect_err("no relay"), ErrorCondition::INVALID_FIELD);

    let (_connection, session) = broker.session().await;
    let missing = session.receiver(address("missing")).attach().await.expect_err("no such queue");
    refused(&missing, ErrorCondition::NOT_FOUND);

    // A drain that leaves credit over.
    let (_connection, session) = broker.session().await;
    let mut empty = session.receiver(address("refused")).credit(Credit::Manual(10)).attach().await.expect("a link");
    let drained = timeout(Duration::from_secs(15), empty.drain()).await.expect("in time");
    refused(&drained.expect_err("it breaks"), ErrorCondition::INTERNAL_ERROR);

    let (connection, session) = broker.session().await;
    let sender = session.sender(address("refused")).attach().await.expect("a link");
    assert_eq!(sender.remote_attach().max_message_size, None);
    send(&sender, 0..1).await;
    connection.close().await.expect("a closed connection");
    1
}

type Case = (&'static str, fn(Arc<Broker>) -> Running);

macro_rules! cases {
    ($($row:literal: $case:path,)*) => { [$(($row, |broker| Box::pin($case(broker)))),*] };
}

const CASES: [Case; 8] = cases! {
    "topics": topics,
    "declared queues": declared,
    "accepted": accepted,
    "rejected": rejected,
    "released": released,
    "modified": modified,
    "requests with a queue for answers": requests,
    "refusals": refusals,
};

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_what_rabbitmq_3_has() {
    let broker = Arc::new(Broker::start().await);
    let mut judgement = Judgement::new("RabbitMQ 3.10");
    for (row, case) in CASES {
        if judgement.wants(row) {
            let began = std::time::Instant::now();
            let result = outcome(case(broker.clone())).await;
            println!("  RabbitMQ 3.10, {row}: {result:?} in {:.2?}", began.elapsed());
            judgement.record(row, result);
        }
    }
    judgement.check(AtLeast { cases: CASES.len(), messages: 180 });
    Arc::into_inner(broker).expect("no case goes on").server.stop().await;
}
