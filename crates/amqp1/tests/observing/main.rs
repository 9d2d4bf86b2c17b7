//! What is seen of connections: in the log, and by an observer. A program of its own, since its subscriber sees all of the
//! process at level TRACE.
#![allow(missing_docs)]

mod ledger;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod panics;
mod secrets;
mod spans;
mod traced;

use amqp1::{Acceptor, Client, ClientBuilder, Connection, ServerConnection, acceptor::AcceptorBuilder};
use std::time::Duration;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Both ends of a connection over memory.
async fn pair(
    client: impl FnOnce(ClientBuilder) -> ClientBuilder,
    acceptor: impl FnOnce(AcceptorBuilder) -> AcceptorBuilder,
) -> (Connection, ServerConnection) {
    log::install();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let acceptor =
        acceptor(Acceptor::builder().config(|config| config.container_id = "server-container".into())).build();
    let client = client(Client::builder("amqp://server.test").container_id("client-container")).connect_with(near);
    let (client, server) =
        tokio::join!(client, async { acceptor.accept(far).await.expect("a handshake").accept().await.expect("open") });
    (client.expect("a connection"), server)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not hang")
}
