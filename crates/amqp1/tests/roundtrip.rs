//! Client and acceptor, over memory.
#![allow(missing_docs)]

mod broker;

use amqp1::{Client, Credit, ErrorKind};
use broker::Broker;
use bytes::Bytes;

#[tokio::test]
async fn ten_thousand_messages_arrive_once_and_in_order() {
    let broker = Broker::start();
    let connection = broker.connect().await;
    let session = connection.begin().await.expect("a session");
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut receiver = session.receiver("q").credit(Credit::Window(500)).attach().await.expect("a receiver");
    let sending = tokio::spawn(async move {
        let mut receipts = Vec::new();
        for number in 0..10_000u32 {
            let permit = sender.reserve().await.expect("credit");
            receipts.push(permit.send(Bytes::from(number.to_be_bytes().to_vec())).expect("queued"));
        }
        for receipt in receipts {
            receipt.await.expect("an outcome").accepted().expect("accepted");
        }
    });
    for number in 0..10_000u32 {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        assert_eq!(delivery.message().data().as_deref(), Some(&number.to_be_bytes()[..]));
        delivery.accept().expect("settled");
    }
    sending.await.expect("all sent");
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_message_of_ten_mebibytes_arrives_whole() {
    let broker = Broker::start();
    let connection = broker.connect().await;
    let session = connection.begin().await.expect("a session");
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut receiver = session.receiver("q").attach().await.expect("a receiver");
    let body: Bytes = (0..10 * 1024 * 1024).map(|index: u32| index.to_be_bytes()[3]).collect();
    sender.send(body.clone()).await.expect("sent").accepted().expect("accepted");
    let delivery = receiver.recv().await.expect("a link").expect("a delivery");
    assert_eq!(delivery.message().to_contiguous(), Some(body));
    delivery.accept().expect("settled");
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn when_the_transport_goes_nothing_waits_for_ever() {
    let broker = Broker::start();
    let connection = broker.connect().await;
    let session = connection.begin().await.expect("a session");
    let mut receiver = session.receiver("q").attach().await.expect("a receiver");
    let waiting = tokio::spawn(async move { receiver.recv().await.map(drop) });
    tokio::task::yield_now().await;
    broker.cut();
    let error = waiting.await.expect("the task ends").expect_err("the connection is lost");
    assert_eq!(error.kind(), ErrorKind::TransportLost);
    assert!(connection.is_closed());
}

#[tokio::test]
async fn nobody_listening_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let error = Client::builder(&format!("amqp://127.0.0.1:{port}")).connect().await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
}
