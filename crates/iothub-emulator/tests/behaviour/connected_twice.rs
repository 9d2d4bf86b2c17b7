//! One identity on two connections, and several identities on one.

use crate::support::*;
use amqp1::auth::sasl::Mssbcbs;
use amqp1::{Error, Message, Receiver, Session};

const CONFLICT: &str = "com.microsoft:link-creation-conflict";

/// The condition with which the hub ends a receiver.
async fn ended(receiver: &mut Receiver) -> String {
    let ended = tokio::time::timeout(core::time::Duration::from_secs(20), receiver.recv()).await;
    condition(ended.expect("an end in time").unwrap_err())
}

fn condition(error: Error) -> String {
    error.condition().unwrap_or_else(|| panic!("no condition: {error}")).as_str().into()
}

async fn queue(session: &Session, id: &str) -> Receiver {
    session.receiver(devicebound(id)).attach().await.unwrap()
}

#[tokio::test]
async fn all_older_links_of_an_identity_are_detached_and_the_newer_work() {
    let (hub, _) = hub().await;
    let old = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let session = old.begin().await.unwrap();
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    let mut messages = queue(&session, "a").await;
    let mut twin = session.receiver("/devices/a/twin").attach().await.unwrap();
    let mut module = session.receiver("/devices/a/modules/m/twin").attach().await.unwrap();

    // One link, of whatever kind, is enough.
    let new = device(&hub, "a").await;
    let mut newer = queue(&new, "a").await;
    assert_eq!(ended(&mut messages).await, CONFLICT);
    assert_eq!(ended(&mut twin).await, CONFLICT);
    assert!(format!("{:?}", telemetry.detached().await).contains(CONFLICT));
    let to_a = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    to_a.send(c2d("a", "1")).await.unwrap().into_result().unwrap();
    next(&mut newer).await.accept().unwrap();
    let telemetry_of_new = new.sender(events("a")).attach().await.unwrap();
    telemetry_of_new.send(Message::builder().data("1")).await.unwrap().into_result().unwrap();
    // The module is another identity, and keeps the connection.
    assert!(has_nothing(&mut module).await);

    // With the last of them the connection is closed.
    let _twin = new.receiver("/devices/a/modules/m/twin").attach().await.unwrap();
    assert_eq!(ended(&mut module).await, CONFLICT);
    assert!(format!("{:?}", old.closed().await).contains(CONFLICT));
    assert!(has_nothing(&mut newer).await);
}

#[tokio::test]
async fn a_connection_of_several_devices_loses_only_the_one_that_went_elsewhere() {
    let (hub, _) = hub().await;
    let mut pool = Cbs::open(&hub).await;
    for id in ["a", "b"] {
        pool.put(device_token(id)).await;
    }
    let (mut of_a, mut of_b) = (queue(&pool.session, "a").await, queue(&pool.session, "b").await);
    let elsewhere = device(&hub, "a").await;
    let mut newer = queue(&elsewhere, "a").await;
    assert_eq!(ended(&mut of_a).await, CONFLICT);
    assert!(has_nothing(&mut of_b).await);
    // It may come back.
    let mut again = queue(&pool.session, "a").await;
    assert_eq!(ended(&mut newer).await, CONFLICT);
    assert!(has_nothing(&mut again).await);
}

#[tokio::test]
async fn links_of_one_name_in_several_sessions_of_a_connection_are_left_alone() {
    let (hub, _) = hub().await;
    let connection = connect(&hub, Mssbcbs::default()).await.unwrap();
    let mut cbs = Cbs::on(&connection).await;
    let mut links = Vec::new();
    for id in ["a", "b", "a"] {
        cbs.put(device_token(id)).await;
        let session = connection.begin().await.unwrap();
        links.push(session.receiver(devicebound(id)).name("TelemetryReceiverLink").attach().await.unwrap());
    }
    for link in &mut links {
        assert!(has_nothing(link).await);
    }
}
