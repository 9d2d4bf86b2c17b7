//! How the broker ends, and what clients see of it.

use super::{Bed, put, support::soon};
use amqp1::{Client, ErrorCondition, ErrorKind};
use tokio::{net::TcpListener, sync::oneshot};

#[tokio::test]
async fn it_closes_its_connections_and_says_how_many_messages_are_lost() {
    let bed = Bed::new(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(bed.server.clone().run(listener, async move { drop(stopped.await) }));
    let connection = soon(Client::builder(&url).connect()).await.expect("a connection");
    // A client that says nothing sensible does not keep the broker.
    let stray = tokio::net::TcpStream::connect(url.trim_start_matches("amqp://")).await.expect("connected");
    let session = connection.begin().await.expect("a session");
    put(&session, "q", &["a", "b"]).await;
    let mut receiver = super::consumer(&session, "q", 1).await;
    let delivery = super::next(&mut receiver).await;
    drop(stop);
    soon(connection.closed()).await;
    let error = connection.closed_error().expect("closed");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::ClosedByPeer, Some(&ErrorCondition::CONNECTION_FORCED)));
    assert_eq!(soon(running).await.expect("no panic").expect("no error"), 2);
    drop((stray, delivery));
    let error = soon(Client::builder(&url).connect()).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
}
