//! Our client with RabbitMQ 4, whose AMQP 1.0 is its own and no plug-in.

mod addresses;
mod settling;
mod streams;
mod topology;

use super::{
    artemis::{Running, outcome},
    certificates, read,
};
use amqp1::{
    Client, ClientBuilder, Connection, Credit, Delivery, Error, ErrorKind, Message, Receiver, Sender, Session,
    auth::sasl::Plain,
    error::{AmqpError, ErrorCondition},
    link::{Modified, ReceiverSettleMode},
    message::{MessageId, Properties},
    tls::TlsClient,
};
use amqp1_tests::{
    bodies,
    expected::{AtLeast, Judgement},
    peer::{self, Server},
    traffic::{Load, both},
};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The queues that cases have to themselves.
const QUEUES: [&str; 9] =
    ["tls", "accepted", "rejected", "released", "modified", "drain", "relay", "published", "refused"];

const SIZE: usize = 1000;

struct Broker {
    server: Server,
    certificates: TempDir,
}

impl Broker {
    async fn start() -> Self {
        let certificates = certificates();
        let folder = certificates.path();
        let mut command = peer::program("rabbitmq.py");
        command.arg("--root").arg(peer::built("trixie"));
        command.arg("--ca").arg(folder.join("ca.pem"));
        command.arg("--cert").arg(folder.join("server.pem")).arg("--key").arg(folder.join("server.key"));
        for queue in QUEUES {
            command.args(["--queue", queue]);
        }
        Self { server: Server::start(command).await, certificates }
    }

    fn client(&self) -> ClientBuilder {
        Client::builder(format!("amqp://127.0.0.1:{}", self.server.port()))
    }

    async fn connect(&self) -> Connection {
        let plain = Plain::new("guest", "guest").expect("a user and a password");
        self.client().sasl(plain).connect().await.expect("a connection")
    }

    async fn session(&self) -> (Connection, Session) {
        let connection = self.connect().await;
        let session = connection.begin().await.expect("a session");
        (connection, session)
    }
}

fn address(queue: &str) -> String {
    format!("/queues/{queue}")
}

async fn send(sender: &Sender, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let outcome = sender.send(bodies::message(number, SIZE)).await.expect("an outcome");
        outcome.into_result().expect("accepted");
    }
}

async fn next(receiver: &mut Receiver) -> Delivery {
    let next = timeout(Duration::from_secs(15), receiver.recv()).await.expect("a delivery in time");
    next.expect("a link").expect("a delivery")
}

fn number(delivery: &Delivery) -> u64 {
    bodies::check(delivery.message(), SIZE).expect("a message as it was sent")
}

/// Takes what a queue has, by a drain.
async fn rest(session: &Session, queue: &str) -> Vec<u64> {
    let mut receiver = session.receiver(address(queue)).credit(Credit::Manual(0)).attach().await.expect("a link");
    let rest = pull(&mut receiver, 1000).await;
    receiver.close().await.expect("a closed link");
    rest
}

async fn pull(receiver: &mut Receiver, credit: u32) -> Vec<u64> {
    receiver.set_credit(Credit::Manual(credit)).expect("a link");
    receiver.drain().await.expect("drained");
    let mut taken = Vec::new();
    while let Ok(delivery) = receiver.try_recv() {
        taken.push(number(&delivery));
        delivery.accept().expect("settled");
    }
    taken
}

async fn load(broker: Arc<Broker>, queue: &str, load: Load) -> u64 {
    let connection = broker.connect().await;
    both(&connection, &address(queue), load).await;
    connection.close().await.expect("a closed connection");
    load.count
}

async fn many(broker: Arc<Broker>) -> u64 {
    load(broker, "interop", Load::MANY).await
}

async fn settled(broker: Arc<Broker>) -> u64 {
    load(broker, "interop.settled", Load::SETTLED).await
}

async fn large(broker: Arc<Broker>) -> u64 {
    load(broker, "interop.large", Load::LARGE).await
}

async fn tls(broker: Arc<Broker>) -> u64 {
    let tls = TlsClient::with_ca_pem(&read(broker.certificates.path(), "ca.pem")).expect("a CA");
    let url = format!("amqps://guest:guest@localhost:{}", broker.server.tls_port());
    let connection = Client::builder(url).tls(tls).connect().await.expect("a connection over TLS");
    let load = Load { count: 1000, ..Load::MANY };
    both(&connection, &address("tls"), load).await;
    connection.close().await.expect("a closed connection");
    load.count
}

/// Sends messages, settles each as it says when it comes first, and accepts those that come again.
async fn settle(broker: &Broker, queue: &str, again: bool, settle: impl Fn(Delivery) -> Result<(), Error>) -> u64 {
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
    assert_eq!(rest(&session, queue).await, [0; 0]);
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

async fn modified(broker: Arc<Broker>) -> u64 {
    let modify = |delivery: Delivery| delivery.modify(Modified { delivery_failed: true, ..Modified::default() });
    settle(&broker, "modified", true, modify).await
}

/// Less than there is, all, none, and then the link goes on.
async fn drain(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let sender = session.sender(address("drain")).attach().await.expect("a link");
    send(&sender, 0..10).await;
    let mut receiver = session.receiver(address("drain")).credit(Credit::Manual(0)).attach().await.expect("a link");
    assert_eq!(pull(&mut receiver, 3).await, [0, 1, 2]);
    assert_eq!(pull(&mut receiver, 100).await, [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(pull(&mut receiver, 100).await, [0; 0]);
    receiver.set_credit(Credit::Window(10)).expect("a link");
    send(&sender, 10..60).await;
    for expected in 10..60 {
        let delivery = next(&mut receiver).await;
        assert_eq!(number(&delivery), expected);
        delivery.accept().expect("settled");
    }
    receiver.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
    60
}

async fn relay(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let relay = session.anonymous_sender().attach().await.expect("a link");
    for number in 0..10 {
        let (to, message_id) = (Some(address("relay").into()), Some(MessageId::Ulong(number)));
        let properties = Properties { message_id, to, ..Properties::default() };
        let message = Message::builder().properties(properties).data(bodies::body(number, SIZE)).build();
        relay.send(message).await.expect("an outcome").into_result().expect("accepted");
    }
    assert!(rest(&session, "relay").await.into_iter().eq(0..10));
    connection.close().await.expect("a closed connection");
    10
}

/// What each message published with another protocol has: its number as text.
async fn published(broker: &Broker, queue: &str, count: u64, check: impl Fn(u64, &Message)) {
    let (connection, session) = broker.session().await;
    let mut receiver = session.receiver(address(queue)).attach().await.expect("a link");
    for expected in 0..count {
        let delivery = next(&mut receiver).await;
        let message = delivery.message();
        assert_eq!(message.data().expect("data"), format!("message {expected}"));
        check(expected, message);
        delivery.accept().expect("settled");
    }
    receiver.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
}

async fn with_0_9_1(broker: Arc<Broker>) -> u64 {
    let mut publisher = peer::program("amqp_0_9_1_publisher.py");
    publisher.args(["127.0.0.1", &broker.server.port().to_string(), "published", "20"]);
    let sent = peer::run(publisher).await.unwrap_or_else(|why| panic!("{why}"))["sent"].as_u64().expect("a count");
    assert_eq!(sent, 60);
    published(&broker, "published", sent, |number, message| {
        let properties = message.properties_ref().expect("a section").expect("properties");
        let id = properties.message_id().expect("a message-id").expect("a message-id").to_owned();
        assert_eq!(id, MessageId::from(format!("m{number}")));
        if number % 3 == 1 {
            assert_eq!(properties.user_id().expect("a user-id"), Some(&b"guest"[..]));
        }
    })
    .await;
    sent
}

/// A publisher that is a few lines of STOMP 1.2.
async fn with_stomp(broker: Arc<Broker>) -> u64 {
    const COUNT: u64 = 20;
    let port = broker.server.ready["stomp"].as_u64().expect("a port");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("a connection");
    let mut frames = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0".to_owned();
    for number in 0..COUNT {
        let headers = format!("destination:/amq/queue/published\ncontent-type:text/plain\nnumber:{number}");
        frames += &format!("SEND\n{headers}\nreceipt:{number}\n\nmessage {number}\0");
    }
    stream.write_all(frames.as_bytes()).await.expect("written");
    let mut answered = Vec::new();
    let last = format!("receipt-id:{}\n", COUNT - 1);
    while !String::from_utf8_lossy(&answered).contains(&last) {
        let read = timeout(Duration::from_secs(15), stream.read_buf(&mut answered)).await.expect("an answer in time");
        let text = String::from_utf8_lossy(&answered).into_owned();
        assert!(read.is_ok_and(|octets| octets > 0) && !text.starts_with("ERROR"), "{text}");
    }
    published(&broker, "published", COUNT, |number, message| {
        let properties = message.properties().expect("a section").expect("properties");
        assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
        let property = message.application_property("number").expect("a section").expect("a value");
        assert_eq!(property.as_text(), Some(number.to_string().as_str()));
    })
    .await;
    COUNT
}

/// Each is refused with its reason, on a connection of its own: it forgets a begin that follows on the channel of a
/// session that it has just ended, now and then.
async fn refusals(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let missing = session.receiver(address("missing")).attach().await.expect_err("there is no such queue");
    assert_eq!(missing.condition(), Some(&ErrorCondition::NOT_FOUND), "{missing}");
    let why = missing.amqp_error().and_then(|error| error.description.clone()).expect("a reason");
    assert!(why.contains("missing"), "{why}");

    connection.close().await.expect("a closed connection");
    let (connection, session) = broker.session().await;
    let second = session.receiver(address("refused")).receiver_settle_mode(ReceiverSettleMode::Second);
    let second = second.attach().await.expect_err("mode second is not served");
    assert_eq!(second.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED), "{second}");

    connection.close().await.expect("a closed connection");
    let (connection, session) = broker.session().await;
    let sender = session.sender(address("refused")).attach().await.expect("a link");
    send(&sender, 0..5).await;
    assert!(rest(&session, "refused").await.into_iter().eq(0..5));
    connection.close().await.expect("a closed connection");
    5
}

async fn logins(broker: Arc<Broker>) -> u64 {
    let client = |user: &str, password: &str| {
        broker.client().sasl(Plain::new(user, password).expect("a user and a password")).connect()
    };
    for (user, password) in [("guest", "wrong"), ("somebody", "guest")] {
        let error = client(user, password).await.expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    }
    // It cuts the connection of one without permissions and says nothing (its log does).
    let error = client("nobody", "nobody").await.expect_err("it has no permissions");
    assert_ne!(error.kind(), ErrorKind::Authentication, "{error}");
    let (connection, session) = broker.session().await;
    send(&session.sender(address("refused")).attach().await.expect("a link"), 0..5).await;
    assert!(rest(&session, "refused").await.into_iter().eq(0..5));
    connection.close().await.expect("a closed connection");
    5
}

type Case = (&'static str, fn(Arc<Broker>) -> Running);

macro_rules! cases {
    ($($row:literal: $case:path,)*) => { [$(($row, |broker| Box::pin($case(broker)))),*] };
}

const CASES: [Case; 29] = cases! {
    "10,000 messages": many,
    "settled": settled,
    "10 MiB": large,
    "TLS": tls,
    "accepted": accepted,
    "rejected": rejected,
    "released": released,
    "modified": modified,
    "drain": drain,
    "anonymous relay": relay,
    "published with AMQP 0-9-1": with_0_9_1,
    "published with STOMP": with_stomp,
    "refusals": refusals,
    "logins": logins,
    "management": topology::management,
    "encoded addresses": addresses::encoded,
    "exchanges": addresses::exchanges,
    "vhost": addresses::vhost,
    "requests with a queue for answers": addresses::requests,
    "no dynamic nodes": addresses::no_dynamic_nodes,
    "stream offsets": streams::offset,
    "stream filter values": streams::filter_values,
    "filters of later versions": streams::later_filters,
    "dead letters": settling::dead_letters,
    "failed attempts": settling::failed_attempts,
    "full queue": settling::full,
    "settled without a word": settling::without_a_word,
    "largest message": settling::largest,
    "not implemented": settling::not_implemented,
};

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_rabbitmq_4() {
    let broker = Arc::new(Broker::start().await);
    let mut judgement = Judgement::new("RabbitMQ 4");
    for (row, case) in CASES {
        if judgement.wants(row) {
            let began = std::time::Instant::now();
            let result = outcome(case(broker.clone())).await;
            println!("  RabbitMQ 4, {row}: {result:?} in {:.2?}", began.elapsed());
            judgement.record(row, result);
        }
    }
    judgement.check(AtLeast { cases: CASES.len(), messages: 13_800 });
    Arc::into_inner(broker).expect("no case goes on").server.stop().await;
}
