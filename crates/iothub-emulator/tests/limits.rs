//! What one client may make the emulator keep, and how large its messages may be.

mod support;

use amqp1::{AmqpError, Connection, ErrorCondition, ErrorKind, Message, Session, Symbol, Value};
use support::*;

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

/// Whatever SASL said: who has shown no token has 64 KiB, and 1 MiB with one that covers something.
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
    let refused = attach(&session, 65_000).await.unwrap_err();
    assert_eq!(condition(&refused), Some(ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
    let mut cbs = Cbs::on(&connection).await;
    assert_eq!(cbs.put(device_token("a")).await.status_code, 200);
    let sender = attach(&session, 65_000).await.unwrap();
    sender.send("x").await.unwrap().accepted().unwrap();
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
    links[29].send("x").await.unwrap().accepted().unwrap();
}

#[tokio::test]
async fn links_announce_1_mib_and_telemetry_above_256_kib_is_rejected() {
    let (hub, _) = hub().await;
    let sender = device(&hub, "a").await.sender(events("a")).attach().await.unwrap();
    assert_eq!(sender.max_message_size(), Some(1024 * 1024));
    sender.send(Message::builder().data(vec![0; 250 * 1024])).await.unwrap().accepted().unwrap();
    let rejected = sender.send(Message::builder().data(vec![0; 300 * 1024])).await.unwrap().accepted().unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::Rejected);
    assert_eq!(condition(&rejected), Some(ErrorCondition::MESSAGE_SIZE_EXCEEDED));
    let error = sender.send(Message::builder().data(vec![0; 1100 * 1024])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    sender.send("the link goes on").await.unwrap().accepted().unwrap();
}

#[tokio::test]
async fn messages_to_devices_above_64_kib_are_rejected() {
    let (hub, _) = hub().await;
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    assert_eq!(sender.max_message_size(), Some(1024 * 1024));
    let to_a = |octets| {
        let to = amqp1::Properties { to: Some(devicebound("a").into()), ..amqp1::Properties::default() };
        Message::builder().properties(to).data(vec![0; octets])
    };
    sender.send(to_a(60 * 1024)).await.unwrap().accepted().unwrap();
    let rejected = sender.send(to_a(70 * 1024)).await.unwrap().accepted().unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::Rejected);
    assert_eq!(condition(&rejected), Some(ErrorCondition::MESSAGE_SIZE_EXCEEDED));
}
