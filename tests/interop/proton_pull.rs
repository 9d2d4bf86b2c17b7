//! A consumer on Proton that pulls from our acceptor: credit and drain in one flow.

use amqp1::{Acceptor, Client, IncomingLink, Sender, link::DrainMode};
use amqp1_tests::{broker::Broker, peer};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::net::TcpListener;

/// Pulls with these credits.
async fn pull<const N: usize>(port: u16, credits: [u32; N]) -> Value {
    let mut client = peer::program("proton_pull.py");
    client.args(["127.0.0.1", &port.to_string(), "pull"]).args(credits.map(|credit| credit.to_string()));
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("{why}"));
    println!("  {report}");
    report
}

fn bodies() -> Vec<String> {
    (0..5).map(|number| format!("message {number}")).collect()
}

/// Gives out what the application holds when it is asked for it, and then the rest of the credit back.
async fn give_out(sender: Sender, mut held: VecDeque<String>) {
    while sender.drain_requested().await.is_ok() {
        // Fetched only now, as from a database.
        tokio::task::yield_now().await;
        while let Ok(permit) = sender.try_reserve() {
            match held.pop_front() {
                Some(body) => drop(permit.send(body).expect("sent")),
                None => break,
            }
        }
        if sender.drained().is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_brings_what_the_application_holds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let incoming = Acceptor::builder().build().accept(stream).await.expect("a handshake");
        let mut connection = incoming.accept().await.expect("a connection");
        while let Some(link) = connection.next_link().await {
            let IncomingLink::Sender(request) = link else { panic!("not a consumer") };
            let sender = request.drain_mode(DrainMode::APPLICATION).accept().expect("accepted");
            tokio::spawn(give_out(sender, bodies().into()));
        }
    });
    // Less than there is, then more.
    let report = pull(port, [1, 1, 10, 3]).await;
    assert_eq!(report["pulled"], json!([1, 1, 3, 0]));
    assert_eq!(report["bodies"], json!(bodies()));
    serving.await.expect("served to the end");
}

/// On one thread, so that the task that waits for credit has its turn before a drain is answered, however loaded the
/// machine is.
#[tokio::test]
async fn a_pull_brings_what_waiting_tasks_send() {
    let broker = Broker::start(Acceptor::builder().build()).await;
    let connection = Client::builder(format!("amqp://{}", broker.address())).connect().await.expect("a connection");
    let sender = connection.begin().await.expect("a session").sender("pull").attach().await.expect("a link");
    for body in bodies() {
        sender.send(body).await.expect("an outcome").into_result().expect("accepted");
    }
    let report = pull(broker.address().port(), [1, 1, 10, 3]).await;
    assert_eq!(report["pulled"], json!([1, 1, 3, 0]));
    assert_eq!(report["bodies"], json!(bodies()));
    connection.close().await.expect("a closed connection");
}
