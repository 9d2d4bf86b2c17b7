//! uamqp and pyamqp, which Azure's SDKs for Python speak AMQP with, as senders and receivers at the example broker. They
//! ask for rcv-settle-mode second and never send the second half of it.

use super::{
    artemis::{Running, outcome},
    certificates, read,
};
use amqp1::{
    Acceptor, Client, Connection, Symbol,
    acceptor::{Authenticator, BoxFuture, SaslAttempt, SaslDecision},
    message::EncodeStyle,
    tls::{TlsClient, TlsServer},
};
use amqp1_tests::{
    broker::Broker,
    example::ExampleBroker,
    expected::{AtLeast, Judgement},
    peer,
};
use std::{collections::HashSet, path::Path};

/// More than each side gives credit for: 500 and 100.
const COUNT: u64 = 1200;

/// Takes everybody.
struct Anybody;

impl Authenticator for Anybody {
    fn authenticate(&self, attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
        let identity = attempt.mechanism.to_string();
        Box::pin(async move { SaslDecision::Accept { identity, additional_data: None } })
    }
}

/// Where the queue is.
enum Server {
    Example(ExampleBroker),
    /// For the pyamqp in azure-eventhub, which reads the fields of a performative by position: every field is written.
    Full(Broker),
}

impl Server {
    async fn start(library: &str, folder: &Path) -> Self {
        let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
        if library != "eventhub" {
            let (certificate, key) = (certificate.to_str().expect("text"), key.to_str().expect("text"));
            return Self::Example(ExampleBroker::start(&["--tls", certificate, key]).await);
        }
        let tls = TlsServer::from_pem(&read(folder, "server.pem"), &read(folder, "server.key")).expect("a certificate");
        let acceptor = Acceptor::builder()
            .tls(tls)
            .mechanisms(["ANONYMOUS", "PLAIN"].map(Symbol::from_static))
            .authenticator(Anybody)
            .config(|config| config.style = EncodeStyle::Full)
            .build();
        Self::Full(Broker::start(acceptor).await)
    }

    fn port(&self) -> u16 {
        match self {
            Self::Example(broker) => broker.address().port(),
            Self::Full(broker) => broker.address().port(),
        }
    }

    /// Its address for a library: uamqp writes the whole URL.
    fn address(library: &str) -> &'static str {
        match library {
            "uamqp" => "amqps://localhost/queue",
            _ => "queue",
        }
    }

    async fn stop(self) {
        if let Self::Example(broker) = self {
            broker.stop().await.expect("a broker that runs to its end");
        }
    }
}

async fn ours(server: &Server, folder: &Path) -> Connection {
    let tls = TlsClient::with_ca_pem(&read(folder, "ca.pem")).expect("a CA");
    let url = format!("amqps://localhost:{}", server.port());
    Client::builder(url).tls(tls).connect().await.expect("a connection")
}

async fn theirs(library: &str, operation: &str, server: &Server, folder: &Path) -> serde_json::Value {
    let mut client = peer::program("azure/python_queue.py");
    client.args([library, operation, "localhost", &server.port().to_string(), "queue", &COUNT.to_string()]);
    client.env("IOTHUB_CA", folder.join("ca.pem"));
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("{library} {operation}: {why}"));
    println!("  {library} {operation}: {report}");
    report
}

fn body(number: u64) -> String {
    format!("message {number}{}", " ".repeat(1000))
}

async fn they_send_and_we_receive(library: &'static str) -> u64 {
    let certificates = certificates();
    let server = Server::start(library, certificates.path()).await;
    let report = theirs(library, "send", &server, certificates.path()).await;
    assert_eq!((&report["sent"], &report["accepted"]), (&COUNT.into(), &COUNT.into()));
    let connection = ours(&server, certificates.path()).await;
    let session = connection.begin().await.expect("a session");
    let mut receiver = session.receiver(Server::address(library)).attach().await.expect("a link");
    let mut found = HashSet::new();
    for _ in 0..COUNT {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        found.insert(delivery.message().data().expect("data"));
        delivery.accept().expect("a settlement");
    }
    assert_eq!(found, (0..COUNT).map(|number| body(number).into()).collect());
    connection.close().await.expect("a closed connection");
    server.stop().await;
    COUNT
}

async fn we_send_and_they_receive(library: &'static str) -> u64 {
    let certificates = certificates();
    let server = Server::start(library, certificates.path()).await;
    let connection = ours(&server, certificates.path()).await;
    let session = connection.begin().await.expect("a session");
    let sender = session.sender(Server::address(library)).attach().await.expect("a link");
    let mut receipts = Vec::new();
    for number in 0..COUNT {
        receipts.push(sender.reserve().await.expect("credit").send(body(number)).expect("queued"));
    }
    for receipt in receipts {
        receipt.await.expect("an outcome").into_result().expect("accepted");
    }
    let report = theirs(library, "receive", &server, certificates.path()).await;
    assert_eq!((&report["received"], &report["distinct"]), (&COUNT.into(), &COUNT.into()));
    connection.close().await.expect("a closed connection");
    server.stop().await;
    COUNT
}

async fn both_ways(judge: &'static str, library: &'static str) {
    let mut judgement = Judgement::new(judge);
    let cases: [(_, Running); 2] = [
        ("sends", Box::pin(they_send_and_we_receive(library))),
        ("receives", Box::pin(we_send_and_they_receive(library))),
    ];
    for (case, running) in cases {
        if judgement.wants(case) {
            judgement.record(case, outcome(running).await);
        }
    }
    judgement.check(AtLeast { cases: 2, messages: 2 * COUNT });
}

#[tokio::test(flavor = "multi_thread")]
async fn uamqp_both_ways() {
    both_ways("uamqp", "uamqp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyamqp_of_azure_servicebus_both_ways() {
    both_ways("azure-servicebus _pyamqp", "servicebus").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyamqp_of_azure_eventhub_both_ways() {
    both_ways("azure-eventhub _pyamqp", "eventhub").await;
}
