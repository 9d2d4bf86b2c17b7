//! Brokers and connections that fail. Each case has a broker of its own.

use super::{
    proxy::Proxy,
    world::{self, Broker, Sent, durable, in_time, leave, take_all},
};
use amqp1::{Connection, ErrorKind, Sender, error::ConnectionError};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Sends durable messages, up to 500 in flight, until the link fails, and gives what became of each. Says when this many
/// are accepted.
async fn send_until_it_fails(sender: Sender, many: usize, reached: oneshot::Sender<()>) -> Sent {
    let (mut sent, mut receipts, mut reached) = (Sent::default(), std::collections::VecDeque::new(), Some(reached));
    for index in 0.. {
        let queued = in_time(sender.reserve()).await.and_then(|permit| permit.send(durable(index)));
        match queued {
            Ok(receipt) => receipts.push_back((index, receipt)),
            Err(_) => break,
        }
        if receipts.len() == 500 {
            let (index, receipt) = receipts.pop_front().expect("there are 500");
            sent.record(index, in_time(receipt).await);
        }
        if sent.accepted.len() >= many {
            // The other end of it may have gone, which ends the case.
            reached.take().and_then(|reached| reached.send(()).ok());
        }
    }
    for (index, receipt) in receipts {
        sent.record(index, in_time(receipt).await);
    }
    sent
}

async fn sending(connection: &Connection, address: &str, many: usize) -> tokio::task::JoinHandle<Sent> {
    let session = connection.begin().await.expect("a session");
    let sender = world::sender(&session, address).await;
    let (reached, waiting) = oneshot::channel();
    let task = tokio::spawn(send_until_it_fails(sender, many, reached));
    in_time(waiting).await.expect("sent");
    task
}

/// In order: the connection is closed by it, and what it has is there when it is back.
pub(super) async fn stopped(_: Arc<Broker>) -> u64 {
    let broker = Broker::start().await;
    let port = broker.port();
    let connection = broker.connect().await;
    let sent = sending(&connection, "failing", 500).await;
    let folder = broker.stop().await;
    let over = in_time(connection.closed()).await;
    assert!(!matches!(over, ConnectionError::LocallyClosed), "{over:?}");
    let sent = sent.await.expect("all failed or accepted");
    there_again(folder, port, &sent).await
}

/// Without warning.
pub(super) async fn killed(_: Arc<Broker>) -> u64 {
    let broker = Broker::start().await;
    let port = broker.port();
    let connection = broker.connect().await;
    let sent = sending(&connection, "failing", 500).await;
    let folder = broker.kill().await;
    assert_eq!(in_time(connection.closed()).await, ConnectionError::TransportLost);
    let error = connection.begin().await.expect_err("a connection that is gone");
    assert_eq!(error.kind(), ErrorKind::TransportLost, "{error}");
    let sent = sent.await.expect("all failed or accepted");
    there_again(folder, port, &sent).await
}

async fn there_again(folder: tempfile::TempDir, port: u64, sent: &Sent) -> u64 {
    let broker = Broker::restart(folder, port).await;
    let moved = sent.compare(&take_all(&broker, "failing").await);
    broker.stop().await;
    moved
}

/// In both directions at once, ten times. What the broker has is as we say.
pub(super) async fn cut(broker: Arc<Broker>) -> u64 {
    let mut moved = 0;
    for round in 0..10 {
        let proxy = Proxy::start(broker.port()).await;
        let connection = world::client(proxy.port.into()).connect().await.expect("a connection");
        let queue = format!("failing.cut.{round}");
        let sent = sending(&connection, &queue, 1 + round * 150).await;
        proxy.cut();
        assert_eq!(in_time(connection.closed()).await, ConnectionError::TransportLost);
        let sent = sent.await.expect("all failed or accepted");
        // What was on the wire may still be taken in.
        in_time(async { while broker.producers(&queue).await > 0 {} }).await;
        moved += sent.compare(&take_all(&broker, &queue).await);
    }
    moved
}

/// The idle time-out notices it, and calls that wait fail with it.
pub(super) async fn frozen(_: Arc<Broker>) -> u64 {
    let broker = Broker::start().await;
    let builder = broker.client().idle_timeout(Some(Duration::from_secs(2)));
    let connection = builder.connect().await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    let mut receiver = world::receiver(&session, "failing.empty").await;
    let waiting = tokio::spawn(async move { receiver.recv().await });
    let sent = sending(&connection, "failing", 500).await;
    broker.server().signal("STOP");
    let began = Instant::now();
    assert_eq!(in_time(connection.closed()).await, ConnectionError::IdleTimeout);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let error = in_time(waiting).await.expect("no panic").expect_err("a connection that is gone");
    assert_eq!(error.kind(), ErrorKind::IdleTimeout, "{error}");
    let sent = sent.await.expect("all failed or accepted");
    broker.server().signal("CONT");
    in_time(async { while broker.producers("failing").await > 0 {} }).await;
    let moved = sent.compare(&take_all(&broker, "failing").await);
    broker.stop().await;
    moved
}

/// The broker wants to hear something every half second: nothing is sent for ten times as long, and the links still work.
pub(super) async fn idle(broker: Arc<Broker>) -> u64 {
    let connection = world::client(broker.port_of("idle")).connect().await.expect("a connection");
    let asked = connection.remote_open().idle_time_out;
    assert!(asked.is_some_and(|asked| (1..=1000).contains(&asked)), "{asked:?}");
    let session = connection.begin().await.expect("a session");
    let sender = world::sender(&session, "failing.idle").await;
    let mut receiver = world::receiver(&session, "failing.idle").await;
    world::send(&sender, 10).await;
    world::receive(&mut receiver, 10).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world::send(&sender, 10).await;
    world::receive(&mut receiver, 10).await;
    leave(&connection, &[&receiver]).await;
    20
}
