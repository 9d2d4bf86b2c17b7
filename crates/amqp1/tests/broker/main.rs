//! The example broker does what it says, over our own client.
#![allow(missing_docs)]

#[path = "../../examples/broker/main.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod example;
#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod ending;
mod filters;
mod nodes;
mod queues;
mod refused;
mod resumed;
mod settling;
mod topics;
mod transactions;

use amqp1::{Client, ClientBuilder, Connection, Credit, Delivery, Receiver, Session};
use clap::Parser;
use example::{Options, server::Server};
use std::sync::Arc;
use support::gate::Gate;

/// A broker that clients reach over memory.
struct Bed {
    server: Arc<Server>,
}

impl Bed {
    /// A broker that is started with these arguments.
    fn new(arguments: &[&str]) -> Self {
        let options = Options::parse_from([&["broker"], arguments].concat());
        Self { server: Server::new(options).expect("options that make sense") }
    }

    async fn connect(&self) -> Connection {
        self.connect_with(|builder| builder).await.0
    }

    async fn connect_with(&self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> (Connection, Gate) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.server.clone().serve(far));
        let gate = Gate::default();
        let connecting = change(Client::builder("amqp://broker.test")).connect_with(gate.around(near));
        (connecting.await.expect("a connection"), gate)
    }

    async fn session(&self) -> Session {
        self.connect().await.begin().await.expect("a session")
    }
}

/// Puts texts into a queue.
async fn put(session: &Session, address: &str, texts: &[&'static str]) {
    let sender = session.sender(address).attach().await.expect("a sender");
    for text in texts {
        sender.send(*text).await.expect("an outcome").into_result().expect("accepted");
    }
    sender.close().await.expect("closed");
}

/// A consumer that has given credit for this many messages.
async fn consumer(session: &Session, address: &str, credit: u32) -> Receiver {
    session.receiver(address).credit(Credit::Manual(credit)).attach().await.expect("a receiver")
}

async fn next(receiver: &mut Receiver) -> Delivery {
    support::soon(receiver.recv()).await.expect("a link").expect("a message")
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message().data().expect("data").to_vec()).expect("UTF-8")
}

/// How many attempts to deliver it have failed.
fn failures(delivery: &Delivery) -> u32 {
    delivery.message().header().expect("a header that reads").unwrap_or_default().delivery_count
}

/// What is in the queue now, in its order; it stays there.
async fn drained(session: &Session, address: &str) -> Vec<String> {
    let mut receiver = consumer(session, address, 1000).await;
    support::soon(receiver.drain()).await.expect("drained");
    let mut texts = Vec::new();
    let mut deliveries = Vec::new();
    while let Ok(delivery) = receiver.try_recv() {
        texts.push(text(&delivery));
        deliveries.push(delivery);
    }
    for delivery in deliveries {
        delivery.release().expect("released");
    }
    receiver.close().await.expect("closed");
    texts
}
