//! Programs that nobody here wrote: our client against their servers, their clients against our acceptor.
//!
//! `tests/interop/README.md` says what they are and how each is started.
#![allow(missing_docs)]

use amqp1::{
    AcceptedLink, Acceptor, Client, Connection, Credit, ReceiverSettleMode, TlsClient, TlsServer, auth::sasl::Plain,
};
use amqp1_tests::{
    broker::Broker,
    peer::{self, Server},
    traffic::{Load, both},
};
use std::{path::Path, process::Command};
use tempfile::TempDir;

mod artemis;
mod azure;
mod azure_go;
mod azure_queues;
mod go_amqp;
mod proton_driver;
mod proton_pull;
mod rabbitmq_0_9_1;
mod rabbitmq_4;
mod rhea_habits;
mod streams;

const LOADS: [(&str, Load); 3] =
    [("interop", Load::MANY), ("interop.settled", Load::SETTLED), ("interop.large", Load::LARGE)];

/// A CA and a certificate for localhost, made anew.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(peer::folder().join("certs.sh")).arg(folder.path()).status().expect("openssl");
    assert!(made.success());
    folder
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).expect("a file that certs.sh makes")
}

async fn all_loads(connection: Connection, address: impl Fn(&str) -> String) {
    for (name, load) in LOADS {
        let began = std::time::Instant::now();
        both(&connection, &address(name), load).await;
        println!("  {name}: {load:?} in {:.2?}", began.elapsed());
    }
    connection.close().await.expect("a closed connection");
}

/// Our client against a server of theirs, plain and over TLS.
async fn our_client_against(file: &str) {
    let certificates = certificates();
    let folder = certificates.path();
    let mut command = peer::program(file);
    command.arg("--cert").arg(folder.join("server.pem")).arg("--key").arg(folder.join("server.key"));
    let server = Server::start({
        command.args(["--tls-port", "0"]);
        command
    })
    .await;
    let url = format!("amqp://127.0.0.1:{}", server.port());
    all_loads(Client::builder(url).connect().await.expect("a connection"), str::to_owned).await;

    let url = format!("amqps://localhost:{}", server.tls_port());
    let tls = TlsClient::with_ca_pem(&read(folder, "ca.pem")).expect("a CA");
    let connection = Client::builder(url).tls(tls).connect().await.expect("a connection over TLS");
    both(&connection, "tls", Load { count: 1_000, ..Load::MANY }).await;
    connection.close().await.expect("a closed connection");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_a_server_built_with_rhea() {
    our_client_against("rhea_server.js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_a_server_built_with_proton() {
    our_client_against("proton_server.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_rabbitmq() {
    let server = Server::start(peer::program("rabbitmq.py")).await;
    let url = format!("amqp://127.0.0.1:{}", server.port());
    let plain = Plain::new("guest", "guest").expect("a user and a password");
    let connection = Client::builder(url).sasl(plain).connect().await.expect("a connection");
    let form = server.ready["address"].as_str().expect("the form of an address").to_owned();
    all_loads(connection, |queue| form.replace("{}", queue)).await;
    server.stop().await;
}

/// A client of theirs against our acceptor, plain and over TLS.
async fn our_acceptor_with(file: &str) {
    let broker = Broker::start(Acceptor::builder().build()).await;
    let port = broker.address().port().to_string();
    for (address, load) in LOADS {
        let mut client = peer::program(file);
        client.args(["both", "127.0.0.1", &port, address, "--sasl", "anonymous", "--json"]);
        client.args(["--count", &load.count.to_string(), "--size", &load.size.to_string()]);
        if load.settled {
            client.arg("--settled");
        }
        let began = std::time::Instant::now();
        let report = peer::run(client).await.unwrap_or_else(|why| panic!("{file} {address}: {why}"));
        assert_eq!(report["received"], load.count, "{report}");
        println!("  {file} {address}: {load:?} in {:.2?}", began.elapsed());
    }

    let certificates = certificates();
    let folder = certificates.path();
    let tls = TlsServer::from_pem(&read(folder, "server.pem"), &read(folder, "server.key")).expect("a certificate");
    let broker = Broker::start(Acceptor::builder().tls(tls).build()).await;
    let mut client = peer::program(file);
    client.args(["both", "localhost", &broker.address().port().to_string(), "tls", "--sasl", "anonymous", "--json"]);
    client.args(["--count", "1000"]).arg("--ca").arg(folder.join("ca.pem"));
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("{file} over TLS: {why}"));
    assert_eq!(report["received"], 1000, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_built_with_rhea_with_our_acceptor() {
    our_acceptor_with("rhea_client.js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_built_with_proton_with_our_acceptor() {
    our_acceptor_with("proton_client.py").await;
}

/// A JMS client's receiveNoWait does the same.
#[tokio::test(flavor = "multi_thread")]
async fn t_2_6_7_8_a_pull_consumer_built_with_proton_gets_what_our_queue_has() {
    let broker = Broker::start(Acceptor::builder().build()).await;
    let mut client = peer::program("proton_drain.py");
    client.args(["127.0.0.1", &broker.address().port().to_string(), "pulled", "--count", "5"]);
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("proton_drain.py: {why}"));
    assert_eq!((&report["sent"], &report["received"]), (&5.into(), &5.into()), "{report}");
    assert_eq!((&report["empty"], &report["again"]), (&0.into(), &1.into()), "{report}");
}

/// It asks for receiver-settle-mode second and never settles: of more messages than may be unsettled all arrive.
#[tokio::test(flavor = "multi_thread")]
async fn t_2_7_3_5_a_sender_built_with_uamqp_does_not_stall() {
    const COUNT: usize = 100;
    let certificates = certificates();
    let folder = certificates.path();
    let tls = TlsServer::from_pem(&read(folder, "server.pem"), &read(folder, "server.key")).expect("a certificate");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let acceptor = Acceptor::builder().tls(tls).build();
    let receiving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let incoming = acceptor.accept(stream).await.expect("a handshake");
        let mut connection = incoming.accept().await.expect("an open connection");
        let link = connection.next_link().await.expect("a link");
        assert_eq!(link.attach().rcv_settle_mode, ReceiverSettleMode::Second);
        let mut reply = link.reply();
        (reply.credit, reply.max_unsettled) = (Credit::Window(10), 10);
        let AcceptedLink::Receiver(mut receiver) = link.accept(reply).expect("accepted") else { panic!("it sends") };
        let mut received = 0;
        while let Ok(Some(delivery)) = receiver.recv().await {
            delivery.accept().expect("settled");
            received += 1;
        }
        assert!(!receiver.is_credit_withheld());
        received
    });
    let mut client = peer::program("uamqp_send.py");
    client.args(["localhost", &port, "q", "--count", &COUNT.to_string()]).arg("--ca").arg(folder.join("ca.pem"));
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("uamqp_send.py: {why}"));
    assert_eq!(report["accepted"], COUNT, "{report}");
    assert_eq!(receiving.await.expect("it ends"), COUNT);
}
