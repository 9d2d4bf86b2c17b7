//! Messages as streams to and from RabbitMQ 3.10, whose session does not outlive an empty last transfer, nor transfers
//! that it has kept for a link that is detached.

use amqp1::{
    Client, Connection, Credit, ErrorKind, Message, Receiver, Session, auth::sasl::Plain, stream::IncomingStream,
};
use amqp1_tests::{
    bodies,
    peer::{self, Server},
    traffic::end,
};
use std::time::{Duration, Instant};

const LARGE: usize = 3_000_000;

/// Puts this many messages into a queue.
async fn fill(connection: &Connection, address: &str, count: u64, size: usize) {
    let session = connection.begin().await.expect("a session");
    let sender = session.sender(address.to_owned()).attach().await.expect("a sending link");
    for index in 0..count {
        let outcome = sender.send(bodies::message(index, size)).await.expect("an outcome");
        outcome.into_result().expect("accepted");
    }
    sender.close().await.expect("a closed link");
    end(&session).await;
}

async fn streamed(session: &Session, address: &str, credit: u32) -> Receiver {
    let receiver = session.receiver(address.to_owned()).streamed().credit(Credit::Manual(credit));
    receiver.attach().await.expect("a receiving link")
}

async fn body(message: &mut IncomingStream<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(octets) = message.data().await.expect("data") {
        body.extend_from_slice(&octets);
    }
    body
}

/// Takes this many messages out of a queue, each of this size, in whichever order they come.
async fn take_all(connection: &Connection, address: &str, count: u64, size: usize) {
    let session = connection.begin().await.expect("a session");
    let mut receiver = streamed(&session, address, u32::try_from(count).expect("few")).await;
    for _ in 0..count {
        let mut message = receiver.recv_stream().await.expect("a link").expect("a message");
        assert_eq!(body(&mut message).await.len(), size);
        message.accept().expect("settled");
    }
    receiver.close().await.expect("a closed link");
    end(&session).await;
}

/// All octets of a message have left before it is finished.
async fn streams_that_are_finished_late(connection: &Connection, address: &str) {
    const COUNT: u64 = 5;
    let session = connection.begin().await.expect("a session");
    let sender = session.sender(address.to_owned()).attach().await.expect("a sending link");
    for index in 0..COUNT {
        let mut stream = sender.stream(Message::builder()).await.expect("a stream");
        for _ in 0..=index {
            stream.write(bodies::body(index, 100_000)).await.expect("written");
        }
        // What was written is on the wire when the begin that follows it is answered.
        end(&connection.begin().await.expect("a session")).await;
        let outcome = stream.finish().expect("finished").await.expect("an outcome");
        outcome.into_result().expect("accepted");
    }
    let mut receiver = streamed(&session, address, u32::try_from(COUNT).expect("few")).await;
    for index in 0..COUNT {
        let mut message = receiver.recv_stream().await.expect("a link").expect("a message");
        let whole = bodies::body(index, 100_000).repeat(usize::try_from(index).expect("few") + 1);
        assert!(body(&mut message).await == whole, "message {index}");
        message.accept().expect("settled");
    }
    receiver.close().await.expect("a closed link");
    sender.close().await.expect("a closed link");
    end(&session).await;
}

/// The session goes on, and each message is there afterwards.
async fn receivers_that_are_closed_in_the_middle(connection: &Connection, address: &str, other: &str) {
    const COUNT: u64 = 6;
    fill(connection, address, COUNT, LARGE).await;
    for round in 0..10 {
        let session = connection.begin().await.expect("a session");
        let mut receiver = streamed(&session, address, 6).await;
        let mut message = receiver.recv_stream().await.expect("a link").expect("a message");
        for _ in 0..round {
            message.data().await.expect("data");
        }
        message.release().expect("settled");
        receiver.close().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        // On the same session, messages pass.
        let sender = session.sender(other.to_owned()).attach().await.expect("a sending link");
        let mut receiver = session.receiver(other.to_owned()).attach().await.expect("a receiving link");
        for index in 0..10 {
            let sent = sender.send(bodies::message(index, 1000)).await.expect("an outcome");
            sent.into_result().expect("accepted");
            let delivery = receiver.recv().await.expect("a link").expect("a delivery");
            assert_eq!(bodies::check(delivery.message(), 1000), Ok(index), "round {round}");
            delivery.accept().expect("settled");
        }
        receiver.close().await.expect("a closed link");
        end(&session).await;
    }
    take_all(connection, address, COUNT, LARGE).await;
}

/// It works or fails at once. RabbitMQ 3.10 ends the session where credit is left over: its queue cannot say so.
async fn streamed_receivers_that_are_drained(connection: &Connection, address: &str) {
    const COUNT: u64 = 8;
    for size in [1000, LARGE] {
        fill(connection, address, COUNT, size).await;
        let session = connection.begin().await.expect("a session");
        let mut receiver = streamed(&session, address, 20).await;
        let mut message = receiver.recv_stream().await.expect("a link").expect("a message");
        message.data().await.expect("data");
        message.release().expect("settled");
        let began = Instant::now();
        if let Err(error) = receiver.drain().await {
            assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::SessionEnded), "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        drop(receiver);
        // It is over if the drain has ended it.
        session.end().await.ok();
        take_all(connection, address, COUNT, size).await;
    }
}

/// RabbitMQ may lose its answer, which is not waited for long. Each message is there afterwards.
async fn sessions_that_end_under_a_streamed_receiver(connection: &Connection, address: &str) {
    const COUNT: u64 = 40;
    fill(connection, address, COUNT, 200_000).await;
    for round in 0..40 {
        let session = connection.begin().await.expect("a session");
        let mut receiver = streamed(&session, address, [1, 20, 1000][round % 3]).await;
        let mut message = receiver.recv_stream().await.expect("a link").expect("a message");
        message.data().await.expect("data");
        message.release().expect("settled");
        if round % 2 == 0 {
            drop(receiver);
        }
        let began = Instant::now();
        end(&session).await;
        assert!(began.elapsed() < Duration::from_secs(20), "round {round}: {:?}", began.elapsed());
    }
    take_all(connection, address, COUNT, 200_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_streams_with_rabbitmq() {
    let mut command = peer::program("rabbitmq.py");
    for queue in ["finished", "closed", "other", "drained", "ended"] {
        command.args(["--queue", queue]);
    }
    let server = Server::start(command).await;
    let url = format!("amqp://127.0.0.1:{}", server.port());
    let plain = Plain::new("guest", "guest").expect("a user and a password");
    let connection = Client::builder(url).sasl(plain).connect().await.expect("a connection");
    let form = server.ready["address"].as_str().expect("the form of an address").to_owned();
    let address = |queue| form.replace("{}", queue);
    streams_that_are_finished_late(&connection, &address("finished")).await;
    receivers_that_are_closed_in_the_middle(&connection, &address("closed"), &address("other")).await;
    streamed_receivers_that_are_drained(&connection, &address("drained")).await;
    sessions_that_end_under_a_streamed_receiver(&connection, &address("ended")).await;
    connection.close().await.expect("a closed connection");
    server.stop().await;
}
