//! Third-party programs: our client against their servers, their clients against our acceptor.
//!
//! `tests/interop/README.md` says what they are and how each is started.
#![allow(missing_docs)]

use amqp1::{
    Acceptor, Client, Connection, Credit, IncomingLink, auth::sasl::Plain, link::ReceiverSettleMode, tls::TlsServer,
};
use amqp1_tests::{
    peer::{self, Server},
    traffic::{Load, both},
};
use std::{path::Path, process::Command};
use tempfile::TempDir;

mod artemis;
mod azure;
mod azure_go;
mod azure_queues;
mod both_ways;
mod exact_relay;
mod go_amqp;
mod java_clients;
mod proton_driver;
mod proton_pull;
mod rabbitmq_0_9_1;
mod rabbitmq_3;
mod rabbitmq_4;
mod rhea_habits;
mod sdks;
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
        let IncomingLink::Receiver(request) = link else { panic!("it sends") };
        let mut receiver = request.credit(Credit::Window(10)).max_unsettled(10).accept().expect("accepted");
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
