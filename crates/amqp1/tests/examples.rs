//! The examples do what they say.
#![allow(missing_docs, dead_code)]

#[path = "../examples/broker/main.rs"]
mod broker_example;
#[path = "../examples/client.rs"]
mod client;
#[path = "../examples/requests.rs"]
mod requests;
#[path = "../examples/streams.rs"]
mod streams;
mod support;

use clap::Parser;
use support::soon;
use tokio::net::TcpListener;

#[tokio::test]
async fn the_client_gets_back_what_it_has_put_into_the_broker() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));
    let server = broker_example::server::Server::new(broker_example::Options::parse_from(["broker"]))
        .expect("options that make sense");
    tokio::spawn(server.run(listener, std::future::pending()));
    // A client that says nothing sensible does not keep the others away.
    let stray = tokio::net::TcpStream::connect(url.trim_start_matches("amqp://")).await.expect("connected");
    drop(stray);
    let received = soon(client::run(&url, "hello".into())).await.expect("it works");
    assert_eq!(received.as_deref(), Some(&b"hello"[..]));
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
