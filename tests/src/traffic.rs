//! Messages out and in over our client, each checked and counted.

use crate::bodies;
use amqp1::{Connection, Credit, ErrorKind, Session, link::SendOptions};
use std::collections::HashSet;

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many messages.
    pub count: u64,
    /// How large each is, in octets.
    pub size: usize,
    /// Whether they are sent settled.
    pub settled: bool,
}

impl Load {
    /// Many small ones, at least once.
    pub const MANY: Self = Self { count: 10_000, size: 1024, settled: false };
    /// Small ones, at most once.
    pub const SETTLED: Self = Self { count: 2_000, size: 1024, settled: true };
    /// One of 10 MiB.
    pub const LARGE: Self = Self { count: 1, size: 10 * 1024 * 1024, settled: false };
}

/// Sends the load to an address on one link and receives it on another, at the same time. Every message arrives once,
/// unchanged; every one that was sent unsettled is accepted.
///
/// # Panics
///
/// If any of that is not so.
pub async fn both(connection: &Connection, address: &str, load: Load) {
    let session = connection.begin().await.expect("a session");
    let mut receiver = session.receiver(address).credit(Credit::Window(500)).attach().await.expect("a receiving link");
    let sending = tokio::spawn(send(connection.clone(), address.to_owned(), load));
    let mut seen = HashSet::new();
    while (seen.len() as u64) < load.count {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        let index = bodies::check(delivery.message(), load.size).expect("a message as it was sent");
        assert!(seen.insert(index), "message {index} came twice");
        delivery.accept().expect("a settlement");
    }
    sending.await.expect("everything sent");
    receiver.close().await.expect("a closed link");
    end(&session).await;
}

/// Ends a session. RabbitMQ 3.10 now and then shuts it down before its own end is written, which costs nothing.
///
/// # Panics
///
/// If it ends in another way.
pub async fn end(session: &Session) {
    if let Err(error) = session.end().await {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
}

/// Sends the load to an address and waits for every outcome.
async fn send(connection: Connection, address: String, load: Load) {
    let session = connection.begin().await.expect("a session");
    let sender = session.sender(address).attach().await.expect("a sending link");
    let mut receipts = Vec::new();
    for index in 0..load.count {
        let permit = sender.reserve().await.expect("credit");
        let options = SendOptions { settled: load.settled, ..SendOptions::default() };
        receipts.push(permit.send_with(bodies::message(index, load.size), options).expect("queued"));
    }
    for receipt in receipts {
        receipt.await.expect("an outcome").into_result().expect("accepted");
    }
    sender.close().await.expect("a closed link");
    end(&session).await;
}
