//! The broker, and what every case does with it.

use amqp1::{
    Client, ClientBuilder, Connection, Credit, Delivery, Message, Outcome, Receipt, Receiver, Sender, Session, Value,
    message::Header,
};
use amqp1_tests::{
    bodies,
    peer::{self, Server},
};
use std::{collections::BTreeSet, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::time::timeout;

/// How large the messages are.
pub(super) const SIZE: usize = 1000;

/// Longer than anything takes that is going to happen.
const PATIENCE: Duration = Duration::from_secs(15);

/// A broker in a process of its own.
#[derive(Debug)]
pub(crate) struct Broker {
    server: Server,
    folder: TempDir,
    certificates: TempDir,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), None).await
    }

    async fn start_in(folder: TempDir, port: Option<u64>) -> Self {
        let certificates = crate::certificates();
        let [key, certificate] = ["server.key", "server.pem"].map(|file| crate::read(certificates.path(), file));
        std::fs::write(folder.path().join("server.pem"), [key, certificate].concat()).expect("written");
        let mut command = peer::java("artemis", "Artemis");
        command.arg(folder.path()).args(port.map(|port| port.to_string()));
        command.stderr(std::process::Stdio::null());
        Self { server: Server::start(command).await, folder, certificates }
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) -> TempDir {
        self.server.stop().await;
        self.folder
    }

    /// Ends it without a chance to write anything.
    pub(crate) async fn kill(self) -> TempDir {
        self.server.kill().await;
        self.folder
    }

    /// Starts it again, with what it has written.
    pub(super) async fn restart(folder: TempDir, port: u64) -> Self {
        Self::start_in(folder, Some(port)).await
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn port(&self) -> u64 {
        self.server.port()
    }

    pub(crate) fn tls_port(&self) -> u64 {
        self.server.tls_port()
    }

    /// The folder with the CA that its certificate is of.
    pub(crate) fn certificates(&self) -> &Path {
        self.certificates.path()
    }

    /// The port of another acceptor.
    pub(super) fn port_of(&self, acceptor: &str) -> u64 {
        self.server.ready[acceptor].as_u64().expect("a port")
    }

    pub(super) fn client(&self) -> ClientBuilder {
        client(self.port())
    }

    pub(super) async fn connect(&self) -> Connection {
        self.client().connect().await.expect("a connection")
    }

    pub(super) async fn session(&self) -> (Connection, Session) {
        let connection = self.connect().await;
        let session = connection.begin().await.expect("a session");
        (connection, session)
    }

    /// How many messages the queue has, as the broker's management says it.
    pub(super) async fn count(&self, queue: &str) -> u64 {
        let answer = self.manage(&format!("queue.{queue}"), Ask::Attribute("messageCount")).await;
        let Value::String(json) = &answer else { panic!("{answer:?}") };
        let counts: Vec<u64> = serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"));
        counts[0]
    }

    /// Deletes the queue, even while links use it.
    pub(super) async fn delete(&self, queue: &str) {
        let parameters = serde_json::json!([queue, true]).to_string();
        self.manage("broker", Ask::Operation("destroyQueue", parameters)).await;
    }

    /// The names of its queues.
    pub(super) async fn queues(&self) -> Vec<String> {
        let answer = self.manage("broker", Ask::Attribute("queueNames")).await;
        let Value::String(json) = &answer else { panic!("{answer:?}") };
        let names: Vec<Vec<String>> = serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"));
        names.concat()
    }

    /// How many producers the broker still serves.
    pub(super) async fn producers(&self, address: &str) -> usize {
        let parameters = serde_json::json!([
            r#"{"field":"address","operation":"EQUALS","value":"ADDRESS"}"#.replace("ADDRESS", address),
            1,
            100
        ]);
        let answer = self.manage("broker", Ask::Operation("listProducers", parameters.to_string())).await;
        let Value::String(json) = &answer else { panic!("{answer:?}") };
        let pages: Vec<String> = serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"));
        let page: serde_json::Value = serde_json::from_str(&pages[0]).expect("JSON");
        page["data"].as_array().expect("a list").len()
    }

    async fn manage(&self, resource: &str, ask: Ask) -> Value {
        let (connection, session) = self.session().await;
        let node = session.requester("activemq.management").attach().await.expect("the management node");
        let message = Message::builder().application_property("_AMQ_ResourceName", resource);
        let message = match ask {
            Ask::Attribute(name) => message.application_property("_AMQ_Attribute", name).value(""),
            Ask::Operation(name, parameters) => {
                message.application_property("_AMQ_OperationName", name).value(parameters)
            }
        };
        let answer = node.request(message).await.expect("an answer");
        let succeeded = answer.application_property("_AMQ_OperationSucceeded").expect("a property");
        let value = answer.value().expect("a value").expect("an amqp-value");
        assert_eq!(succeeded.map(|value| value.to_value().expect("a value")), Some(Value::Boolean(true)), "{value:?}");
        connection.close().await.expect("a closed connection");
        value
    }
}

enum Ask {
    Attribute(&'static str),
    Operation(&'static str, String),
}

pub(super) fn client(port: u64) -> ClientBuilder {
    Client::builder(format!("amqp://127.0.0.1:{port}")).operation_timeout(PATIENCE)
}

pub(super) async fn sender(session: &Session, address: &str) -> Sender {
    session.sender(address).attach().await.expect("a sending link")
}

pub(super) async fn receiver(session: &Session, address: &str) -> Receiver {
    session.receiver(address).credit(Credit::Window(100)).attach().await.expect("a receiving link")
}

/// Sends messages 0 to `count`, at most 500 of them in flight, each of which is accepted.
pub(super) async fn send(sender: &Sender, count: u64) -> u64 {
    send_sized(sender, count, SIZE).await
}

pub(super) async fn send_sized(sender: &Sender, count: u64, size: usize) -> u64 {
    let mut receipts = std::collections::VecDeque::new();
    for index in 0..count {
        if receipts.len() == 500 {
            accepted(receipts.pop_front().expect("there are 500")).await;
        }
        let permit = in_time(sender.reserve()).await.expect("credit");
        receipts.push_back(permit.send(bodies::message(index, size)).expect("queued"));
    }
    for receipt in receipts {
        accepted(receipt).await;
    }
    count
}

async fn accepted(receipt: Receipt) {
    in_time(receipt).await.expect("an outcome").into_result().expect("accepted");
}

/// A message that outlives the broker.
pub(super) fn durable(index: u64) -> amqp1::message::EncodedMessage {
    let properties =
        amqp1::message::Properties { message_id: Some(amqp1::message::MessageId::Ulong(index)), ..Default::default() };
    let header = Header { durable: true, ..Header::default() };
    Message::builder().header(header).properties(properties).data(bodies::body(index, SIZE)).build()
}

/// Waits for what is going to happen.
///
/// # Panics
///
/// If it does not.
pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

pub(super) async fn next(receiver: &mut Receiver) -> Delivery {
    in_time(receiver.recv()).await.expect("a link").expect("a delivery")
}

/// The index of the next message.
pub(super) fn index(delivery: &Delivery) -> u64 {
    index_sized(delivery, SIZE)
}

pub(super) fn index_sized(delivery: &Delivery, size: usize) -> u64 {
    bodies::check(delivery.message(), size).expect("a message as it was sent")
}

/// The header's delivery-count.
pub(super) fn delivery_count(delivery: &Delivery) -> u32 {
    delivery.message().header().expect("a header section").unwrap_or_default().delivery_count
}

/// Receives messages 0 to `count`, once each and in order, and accepts them.
pub(super) async fn receive(receiver: &mut Receiver, count: u64) -> u64 {
    for expected in 0..count {
        let delivery = next(receiver).await;
        assert_eq!(index(&delivery), expected);
        delivery.accept().expect("settled");
    }
    count
}

/// Takes everything that the queue has, and accepts it: the indices, each of which is there once.
pub(super) async fn take_all(broker: &Broker, queue: &str) -> BTreeSet<u64> {
    let (connection, session) = broker.session().await;
    let builder = session.receiver(queue).credit(Credit::Manual(0));
    let mut receiver = builder.attach().await.expect("a receiving link");
    let mut taken = BTreeSet::new();
    loop {
        receiver.set_credit(Credit::Manual(500)).expect("a link");
        receiver.drain().await.expect("drained");
        let before = taken.len();
        while let Ok(delivery) = receiver.try_recv() {
            assert!(taken.insert(index(&delivery)), "message {} is there twice", index(&delivery));
            delivery.accept().expect("settled");
        }
        // The broker may answer a drain before a message is ready.
        if taken.len() == before && broker.count(queue).await == 0 {
            break;
        }
    }
    leave(&connection, &[&receiver]).await;
    taken
}

/// Takes this many messages, and accepts them: the indices, each of which is there once.
pub(super) async fn take(broker: &Broker, address: &str, count: usize) -> BTreeSet<u64> {
    let (connection, session) = broker.session().await;
    let mut receiver = receiver(&session, address).await;
    let mut taken = BTreeSet::new();
    while taken.len() < count {
        let delivery = next(&mut receiver).await;
        assert!(taken.insert(index(&delivery)), "message {} is there twice", index(&delivery));
        delivery.accept().expect("settled");
    }
    receiver.drain().await.expect("drained");
    assert!(receiver.try_recv().is_err());
    leave(&connection, &[&receiver]).await;
    taken
}

/// Closes the links, and then the connection.
pub(super) async fn leave(connection: &Connection, receivers: &[&Receiver]) {
    for receiver in receivers {
        receiver.close().await.expect("a closed link");
    }
    connection.close().await.expect("a closed connection");
}

/// What became of messages that were sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) accepted: BTreeSet<u64>,
    /// Those that the broker does not have.
    pub(super) not_delivered: BTreeSet<u64>,
    pub(super) unknown: BTreeSet<u64>,
}

impl Sent {
    pub(super) fn record(&mut self, index: u64, outcome: Result<Outcome, amqp1::Error>) {
        let delivered = match outcome.and_then(Outcome::into_result) {
            Ok(()) => &mut self.accepted,
            Err(error) if error.delivered() == amqp1::Delivered::No => &mut self.not_delivered,
            Err(_) => &mut self.unknown,
        };
        delivered.insert(index);
    }

    /// Compares with what the broker has: all that it accepted, and nothing that it does not have. Gives how many it has.
    pub(super) fn compare(&self, there: &BTreeSet<u64>) -> u64 {
        let lost = self.accepted.difference(there);
        assert!(
            lost.clone().next().is_none(),
            "{} were accepted, and are not there: {:?} first",
            lost.clone().count(),
            lost.min()
        );
        let denied = self.not_delivered.intersection(there);
        assert!(
            denied.clone().next().is_none(),
            "{} were not delivered, and are there: {:?} first",
            denied.clone().count(),
            denied.min()
        );
        let sent: BTreeSet<_> = self.accepted.union(&self.unknown).copied().collect();
        assert!(there.is_subset(&sent), "the broker has what was not sent");
        there.len() as u64
    }
}
