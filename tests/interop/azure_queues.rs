//! uamqp and pyamqp, which Azure's SDKs for Python speak AMQP with, as senders and receivers at our acceptor. They ask for
//! rcv-settle-mode second and never send the second half of it.

use super::{certificates, read};
use amqp1::{
    Acceptor, Authenticator, BoxFuture, Client, Connection, EncodeStyle, SaslAttempt, SaslDecision, Symbol, TlsClient,
    TlsServer,
};
use amqp1_tests::{broker::Broker, peer};
use std::{collections::HashSet, path::Path};
use tempfile::TempDir;

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

/// The pyamqp in azure-eventhub reads the fields of a performative by position, so every field is written for it.
fn style(library: &str) -> EncodeStyle {
    if library == "eventhub" { EncodeStyle::Full } else { EncodeStyle::Compact }
}

async fn broker(style: EncodeStyle) -> (Broker, TempDir) {
    let certificates = certificates();
    let folder = certificates.path();
    let tls = TlsServer::from_pem(&read(folder, "server.pem"), &read(folder, "server.key")).expect("a certificate");
    let acceptor = Acceptor::builder()
        .tls(tls)
        .mechanisms(["ANONYMOUS", "PLAIN"].map(Symbol::from_static))
        .authenticator(Anybody)
        .config(|config| config.style = style)
        .build();
    (Broker::start(acceptor).await, certificates)
}

async fn ours(broker: &Broker, folder: &Path) -> Connection {
    let tls = TlsClient::with_ca_pem(&read(folder, "ca.pem")).expect("a CA");
    let url = format!("amqps://localhost:{}", broker.address().port());
    Client::builder(url).tls(tls).connect().await.expect("a connection")
}

async fn theirs(library: &str, operation: &str, broker: &Broker, folder: &Path) -> serde_json::Value {
    let mut client = peer::program("azure/python_queue.py");
    client.args([library, operation, "localhost", &broker.address().port().to_string(), "queue", &COUNT.to_string()]);
    client.env("IOTHUB_CA", folder.join("ca.pem"));
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("{library} {operation}: {why}"));
    println!("  {library} {operation}: {report}");
    report
}

fn body(number: u64) -> String {
    format!("message {number}{}", " ".repeat(1000))
}

async fn they_send_and_we_receive(library: &str) {
    let (broker, certificates) = broker(style(library)).await;
    let report = theirs(library, "send", &broker, certificates.path()).await;
    assert_eq!((&report["sent"], &report["accepted"]), (&COUNT.into(), &COUNT.into()));
    let connection = ours(&broker, certificates.path()).await;
    let session = connection.begin().await.expect("a session");
    let mut receiver = session.receiver("queue").attach().await.expect("a link");
    let mut found = HashSet::new();
    for _ in 0..COUNT {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        found.insert(delivery.message().to_contiguous().expect("data"));
        delivery.accept().expect("a settlement");
    }
    assert_eq!(found, (0..COUNT).map(|number| body(number).into()).collect());
    connection.close().await.expect("a closed connection");
}

async fn we_send_and_they_receive(library: &str) {
    let (broker, certificates) = broker(style(library)).await;
    let connection = ours(&broker, certificates.path()).await;
    let session = connection.begin().await.expect("a session");
    let sender = session.sender("queue").attach().await.expect("a link");
    let mut receipts = Vec::new();
    for number in 0..COUNT {
        receipts.push(sender.reserve().await.expect("credit").send(body(number)).expect("queued"));
    }
    for receipt in receipts {
        receipt.await.expect("an outcome").accepted().expect("accepted");
    }
    let report = theirs(library, "receive", &broker, certificates.path()).await;
    assert_eq!((&report["received"], &report["distinct"]), (&COUNT.into(), &COUNT.into()));
    connection.close().await.expect("a closed connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_on_uamqp() {
    they_send_and_we_receive("uamqp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_on_uamqp() {
    we_send_and_they_receive("uamqp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_on_pyamqp() {
    they_send_and_we_receive("servicebus").await;
    they_send_and_we_receive("eventhub").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_on_pyamqp() {
    we_send_and_they_receive("servicebus").await;
    we_send_and_they_receive("eventhub").await;
}
