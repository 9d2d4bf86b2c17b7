//! What one client may make the emulator keep, and how large its messages may be.

use crate::support::*;
use amqp1::auth::sasl::Plain;
use amqp1::{
    Client, Connection, ErrorKind, Message, Session, Symbol, Value,
    error::{AmqpError, ConnectionError, ErrorCondition},
    tls::TlsClient,
};

/// Attaches a telemetry link with properties of this many octets.
async fn attach(session: &Session, octets: usize) -> Result<amqp1::Sender, amqp1::Error> {
    let builder =
        session.sender(events("a")).property(Symbol::from_static("x"), Value::String("x".repeat(octets).into()));
    builder.attach().await
}

fn condition(error: &amqp1::Error) -> Option<ErrorCondition> {
    error.amqp_error().map(|error: &AmqpError| error.condition.clone())
}

async fn anonymous(hub: &iothub_emulator::Emulator) -> Connection {
    connect(hub, amqp1::auth::sasl::Anonymous::default()).await.unwrap()
}

/// The same, with as many channels as the emulator allows: with the client's default it would stop by itself before.
async fn anonymous_with_all_channels(hub: &iothub_emulator::Emulator) -> Connection {
    let port = hub.local_addr().port();
    let client = Client::builder(format!("amqps://localhost:{port}"))
        .dial("127.0.0.1", port)
        .tls(TlsClient::with_ca_pem(hub.ca_pem().as_bytes()).unwrap())
        .sasl(amqp1::auth::sasl::Anonymous::default())
        .config(|config| config.channel_max = 8191);
    client.connect().await.unwrap()
}

/// Whatever SASL said: who has shown no token has 320 KiB, and more with one that covers something.
#[tokio::test]
async fn a_client_without_a_token_holds_little_and_one_with_a_token_more() {
    let (hub, _) = hub().await;
    let connection = anonymous(&hub).await;
    let session = connection.begin().await.unwrap();
    let refused = attach(&session, 60_000).await.unwrap_err();
    assert_eq!(condition(&refused).unwrap().as_str(), "amqp:unauthorized-access", "it fits, but needs a token");
    // It was forgotten when it was refused, so that there is room for the next one.
    for _ in 0..5 {
        let refused = attach(&session, 60_000).await.unwrap_err();
        assert_eq!(condition(&refused).unwrap().as_str(), "amqp:unauthorized-access");
    }
    let connection = anonymous(&hub).await;
    let session = connection.begin().await.unwrap();
    let mut cbs = Cbs::on(&connection).await;
    assert_eq!(cbs.put(device_token("a")).await.status_code, 200);
    let sender = attach(&session, 65_000).await.unwrap();
    sender.send("x").await.unwrap().into_result().unwrap();
}

/// Each session counts 256 octets. The connection ends with the reason, which all that waits on it returns.
#[tokio::test]
async fn a_client_without_a_token_that_begins_too_many_sessions_loses_its_connection() {
    let (hub, _) = hub().await;
    let connection = anonymous_with_all_channels(&hub).await;
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.closed().await }
    });
    let mut sessions = Vec::new();
    let refused = loop {
        match connection.begin().await {
            Ok(session) => sessions.push(session),
            Err(error) => break error,
        }
        assert!(sessions.len() < 1_280);
    };
    assert!(sessions.len() > 1_200, "{} sessions", sessions.len());
    assert_eq!(refused.kind(), ErrorKind::ClosedByPeer, "{refused}");
    for closed in [connection.closed().await, waiting.await.unwrap()] {
        let ConnectionError::ClosedByPeer(Some(error)) = closed else { panic!("{closed:?}") };
        assert_eq!(error.condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    }
}

/// A client on Java's SDK begins the sessions of all its devices before its first token is answered.
#[tokio::test]
async fn a_thousand_devices_may_have_their_sessions_before_the_first_token() {
    let (hub, _) = hub().await;
    let connection = anonymous(&hub).await;
    let mut sessions = Vec::new();
    for _ in 0..1_001 {
        sessions.push(connection.begin().await.unwrap());
    }
    let mut cbs = Cbs::on(&connection).await;
    assert_eq!(cbs.put(device_token("a")).await.status_code, 200);
    attach(&sessions[1_000], 10).await.unwrap().send("x").await.unwrap().into_result().unwrap();
}

/// What links were attached with is forgotten when they are accepted.
#[tokio::test]
async fn a_client_with_a_token_may_have_many_links() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let mut links = Vec::new();
    for _ in 0..30 {
        links.push(attach(&session, 60_000).await.unwrap());
    }
    links[29].send("x").await.unwrap().into_result().unwrap();
}

/// A gateway with a thousand devices on one connection, six links each, attached with as much as Java's client tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_devices_have_six_links_each_on_one_connection() {
    let (hub, _) = hub().await;
    let port = hub.local_addr().port();
    let client = Client::builder(format!("amqps://localhost:{port}"))
        .dial("127.0.0.1", port)
        .tls(TlsClient::with_ca_pem(hub.ca_pem().as_bytes()).unwrap())
        .sasl(Plain::new("a@sas.localhost", device_token("a")).unwrap())
        // The client keeps the answers.
        .config(|config| config.max_metadata = 16 * 1024 * 1024);
    let session = client.connect().await.unwrap().begin().await.unwrap();
    let mut links = Vec::new();
    for device in 0..1000 {
        let mut attaching = tokio::task::JoinSet::new();
        for link in 0..6 {
            let session = session.clone();
            attaching.spawn(async move {
                let name = format!("device-{device}-link-{link}-{}", "0123456789abcdef".repeat(12));
                let about = Symbol::from_static("com.microsoft:client-version");
                let builder = session.sender(events("a")).name(name).property(about, "x".repeat(450));
                builder.attach().await
            });
        }
        while let Some(link) = attaching.join_next().await {
            links.push(link.unwrap().unwrap_or_else(|error| panic!("device {device}: {error}")));
        }
    }
    assert_eq!(links.len(), 6000);
    links[5999].send("x").await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn links_announce_1_mib_and_telemetry_above_256_kib_is_rejected() {
    let (hub, _) = hub().await;
    let sender = device(&hub, "a").await.sender(events("a")).attach().await.unwrap();
    assert_eq!(sender.max_message_size(), Some(1024 * 1024));
    sender.send(Message::builder().data(vec![0; 250 * 1024])).await.unwrap().into_result().unwrap();
    let rejected = sender.send(Message::builder().data(vec![0; 300 * 1024])).await.unwrap().into_result().unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::Rejected);
    assert_eq!(condition(&rejected), Some(ErrorCondition::MESSAGE_SIZE_EXCEEDED));
    let error = sender.send(Message::builder().data(vec![0; 1100 * 1024])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    sender.send("the link goes on").await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn messages_to_devices_above_64_kib_are_rejected() {
    let (hub, _) = hub().await;
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    assert_eq!(sender.max_message_size(), Some(1024 * 1024));
    let to_a = |octets| {
        let to =
            amqp1::message::Properties { to: Some(devicebound("a").into()), ..amqp1::message::Properties::default() };
        Message::builder().properties(to).data(vec![0; octets])
    };
    sender.send(to_a(60 * 1024)).await.unwrap().into_result().unwrap();
    let rejected = sender.send(to_a(70 * 1024)).await.unwrap().into_result().unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::Rejected);
    assert_eq!(condition(&rejected), Some(ErrorCondition::MESSAGE_SIZE_EXCEEDED));
}
