//! How the broker ends, and what clients see of it.

use super::{Bed, put, support::soon};
use amqp1::{Client, ClientBuilder, ErrorKind, Symbol, error::ErrorCondition};
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
    assert_eq!(soon(running).await.expect("no panic"), 2);
    drop((stray, delivery));
    let error = soon(Client::builder(&url).connect()).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
}

/// The second connection of a container is refused, where its client wants that, and the broker says so beforehand.
#[tokio::test]
async fn e_sole_1_a_container_may_have_one_connection() {
    let sole = Symbol::from_static("sole-connection-for-container");
    let bed = Bed::new(&[]);
    let wishing = |builder: ClientBuilder| {
        builder.container_id("client").config(|config| config.desired_capabilities.push(sole.clone()))
    };
    let (first, _gate) = bed.connect_with(wishing).await;
    let properties = first.remote_open().properties.expect("properties");
    assert!(first.offers(&sole) && properties.get("sole-connection-enforcement-policy").is_some());
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(bed.server.clone().serve(far));
    let second =
        wishing(Client::builder("amqp://broker.test")).connect_with(crate::support::checked::Checked::new(near)).await;
    // The open is answered before the close, so that either may be what the client hears first.
    let error = match second {
        Ok(second) => amqp1::Error::from(soon(second.closed()).await),
        Err(error) => error,
    };
    assert_eq!(error.condition(), Some(&ErrorCondition::INVALID_FIELD));
    assert!(!first.is_closed());
}
