//! The examples do what they say.
#![allow(missing_docs, dead_code)]

#[path = "../examples/client.rs"]
mod client;
#[path = "../examples/queue.rs"]
mod queue;
#[path = "../examples/requests.rs"]
mod requests;
#[path = "../examples/streams.rs"]
mod streams;
mod support;

use amqp1::Client;
use support::soon;
use tokio::net::TcpListener;

/// Where the example's queue listens.
async fn a_queue() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { queue::run(listener).await.expect("it serves") });
    url
}

#[tokio::test]
async fn the_client_gets_back_what_it_has_put_into_the_queue() {
    let url = a_queue().await;
    // A client that says nothing sensible does not keep the others away.
    let stray = tokio::net::TcpStream::connect(url.trim_start_matches("amqp://")).await.expect("connected");
    drop(stray);
    let received = soon(client::run(&url, "hello".into())).await.expect("it works");
    assert_eq!(received.as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn the_queue_keeps_what_was_not_accepted() {
    let url = a_queue().await;
    let connection = soon(Client::builder(&url).connect()).await.expect("a connection");
    let session = soon(connection.begin()).await.expect("a session");
    let sender = soon(session.sender("q").attach()).await.expect("a sender");
    for text in ["one", "two"] {
        soon(sender.send(text)).await.expect("sent").accepted().expect("accepted");
    }
    for (number, expected) in ["one", "one", "two"].into_iter().enumerate() {
        let receiver = session.receiver("q").credit(amqp1::Credit::Manual(1)).attach();
        let mut receiver = soon(receiver).await.expect("a link");
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a message");
        assert_eq!(delivery.message().data().as_deref(), Some(expected.as_bytes()));
        match number {
            // Its link goes without a word on it.
            0 => drop(delivery.leave_unsettled()),
            _ => delivery.accept().expect("settled"),
        }
        soon(receiver.close()).await.expect("closed");
    }
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    assert_eq!(soon(streams::run()).await.expect("it works"), 64 * 1024 * 1024);
}

#[tokio::test]
async fn requests_are_answered_or_refused() {
    let answers = soon(requests::run()).await.expect("it works");
    assert_eq!(answers[..2], ["tea: 4.50", "milk: 1.20"]);
    assert!(answers[2].starts_with("gold: ") && answers[2].contains("amqp:not-found: no such item"), "{answers:?}");
}

#[tokio::test]
async fn t_2_6_7_8_a_client_that_drains_gets_what_the_queue_has() {
    let url = a_queue().await;
    let connection = soon(Client::builder(&url).connect()).await.expect("a connection");
    let session = soon(connection.begin()).await.expect("a session");
    let sender = soon(session.sender("q").attach()).await.expect("a sender");
    let attaching = session.receiver("q").credit(amqp1::Credit::Manual(0)).attach();
    let mut receiver = soon(attaching).await.expect("a link");
    for expected in [5, 0, 0, 2] {
        for _ in 0..expected {
            soon(sender.send("x")).await.expect("sent").accepted().expect("accepted");
        }
        receiver.set_credit(amqp1::Credit::Manual(7)).expect("a link");
        soon(receiver.drain()).await.expect("the link lives");
        let mut came = 0;
        while let Some(delivery) = receiver.try_recv() {
            delivery.accept().expect("settled");
            came += 1;
        }
        assert_eq!(came, expected);
    }
}
