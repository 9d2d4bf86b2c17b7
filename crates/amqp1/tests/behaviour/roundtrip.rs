//! Many messages, and large ones.

use crate::support::{body, number, pair, soon};
use amqp1::{Client, Credit, ErrorKind, Message, Outcome, Receiver, Retry, Sender, link::SendOptions};
use bytes::Bytes;

const MANY: u32 = 10_000;

async fn send_all(sender: Sender, settled: bool) {
    let options = SendOptions { settled, ..SendOptions::default() };
    let expected = if settled { Outcome::SentSettled } else { Outcome::Accepted };
    let mut receipts = Vec::new();
    for index in 0..MANY {
        let permit = sender.reserve().await.expect("credit");
        receipts.push(permit.send_with(body(index), options).expect("queued"));
    }
    for receipt in receipts {
        assert_eq!(receipt.await.expect("an outcome"), expected);
    }
}

async fn receive_all(mut receiver: Receiver, settled: bool) -> Receiver {
    for index in 0..MANY {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        assert_eq!((number(&delivery), delivery.is_settled()), (index, settled));
        delivery.accept().expect("settled");
    }
    assert!(receiver.try_recv().is_err());
    receiver
}

#[tokio::test]
async fn ten_thousand_messages_arrive_once_and_in_order_in_either_direction_settled_or_not() {
    for settled in [false, true] {
        let mut pair = pair().await;
        let (sender, receiver) = pair.client_sends(Credit::Window(500)).await;
        soon(async { tokio::join!(send_all(sender, settled), receive_all(receiver, settled)) }).await;
        let (sender, receiver) = pair.client_receives(Credit::Window(33)).await;
        soon(async { tokio::join!(send_all(sender, settled), receive_all(receiver, settled)) }).await;
        pair.client.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_and_receivers_on_several_threads_lose_nothing() {
    let mut pair = pair().await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (sender, receiver) = pair.client_sends(Credit::Window(100)).await;
        tasks.push((tokio::spawn(send_all(sender, false)), tokio::spawn(receive_all(receiver, false))));
    }
    for (sending, receiving) in tasks {
        soon(sending).await.expect("no panic");
        drop(soon(receiving).await.expect("no panic"));
    }
    pair.client.close().await.expect("closed");
}

#[tokio::test]
async fn a_message_of_ten_mebibytes_arrives_whole_in_either_direction() {
    let octets: Bytes = (0..10 * 1024 * 1024u32).flat_map(u32::to_be_bytes).skip(3).step_by(4).collect();
    assert_eq!(octets.len(), 10 * 1024 * 1024);
    let message = Message::builder().application_property("kind", "large").data(octets.clone()).build();
    let mut pair = pair().await;
    let there = pair.client_sends(Credit::Window(10)).await;
    let back = pair.client_receives(Credit::Window(10)).await;
    for (sender, mut receiver) in [there, back] {
        let received = async {
            let delivery = receiver.recv().await.expect("a link").expect("a delivery");
            assert_eq!(delivery.message().data().as_ref(), Some(&octets));
            let kind = delivery.message().application_property("kind").expect("well-formed");
            assert_eq!(kind.and_then(|kind| kind.as_text()), Some("large"));
            delivery.accept().expect("settled");
        };
        let (outcome, ()) = soon(async { tokio::join!(sender.send(message.clone()), received) }).await;
        assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
    }
}

#[tokio::test]
async fn a_link_with_boundless_credit_has_bounded_room_at_the_sender() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Manual(u32::MAX)).await;
    let message = Bytes::from(vec![1; 100_000]);
    // Nothing leaves while nothing else runs, so room is what is left of it here.
    let mut receipts = Vec::new();
    while let Ok(permit) = sender.try_reserve() {
        receipts.push(permit.send(message.clone()).expect("queued"));
        assert!(receipts.len() < 100, "there is no bound");
    }
    assert!(receipts.len() >= 10);
    // Room comes back as octets leave.
    let more = async {
        for _ in 0..30 {
            receipts.push(sender.reserve().await.expect("credit").send(message.clone()).expect("queued"));
        }
    };
    let taking = async {
        for _ in 0..40 {
            receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
        }
    };
    soon(async { tokio::join!(more, taking) }).await;
}

#[tokio::test]
async fn a_receiver_is_a_stream() {
    use futures_core::Stream;
    let mut pair = pair().await;
    let (sender, receiver) = pair.client_receives(Credit::Window(5)).await;
    let mut receiver = std::pin::pin!(receiver);
    let sending = async {
        for index in 0..20 {
            sender.send(body(index)).await.expect("sent").into_result().expect("accepted");
        }
        sender.close().await.expect("closed");
    };
    let receiving = async {
        let mut numbers = Vec::new();
        while let Some(delivery) = std::future::poll_fn(|cx| receiver.as_mut().poll_next(cx)).await {
            let delivery = delivery.expect("a delivery");
            numbers.push(number(&delivery));
            delivery.accept().expect("settled");
        }
        numbers
    };
    let ((), numbers) = soon(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn nobody_listening_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let error = Client::builder(format!("amqp://127.0.0.1:{port}")).connect().await.expect_err("nobody listens");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Connect, Retry::ReopenConnection));
    assert!(error.to_string().contains("nothing listens"), "{error}");
}

#[tokio::test]
async fn a_host_without_an_address_is_an_error_of_its_own() {
    let error = Client::builder("amqp://nobody.invalid").connect().await.expect_err("no such host");
    assert_eq!(error.kind(), ErrorKind::Resolve, "{error}");
}
