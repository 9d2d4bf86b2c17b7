//! What is seen of connections: in the log, and by an observer. A program of its own, since its subscriber sees all of the
//! process at level TRACE.
#![allow(missing_docs)]

#[path = "../support/gate.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod gate;
mod ledger;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod panics;
mod secrets;
mod spans;
mod traced;
mod unsent;

use amqp1::{Acceptor, Client, ClientBuilder, Connection, ServerConnection, acceptor::AcceptorBuilder};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Both ends of a connection over memory.
async fn pair(
    client: impl FnOnce(ClientBuilder) -> ClientBuilder,
    acceptor: impl FnOnce(AcceptorBuilder) -> AcceptorBuilder,
) -> (Connection, ServerConnection) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    pair_over(near, far, client, acceptor).await
}

/// Both ends of a connection over these ends of a transport.
async fn pair_over<IO>(
    near: IO,
    far: DuplexStream,
    client: impl FnOnce(ClientBuilder) -> ClientBuilder,
    acceptor: impl FnOnce(AcceptorBuilder) -> AcceptorBuilder,
) -> (Connection, ServerConnection)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    log::install();
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
