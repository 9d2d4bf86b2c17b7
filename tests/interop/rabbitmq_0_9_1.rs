//! Messages that were published with AMQP 0-9-1, received from RabbitMQ 3.10 with AMQP 1.0.

use amqp1::{Client, Delivery, auth::sasl::Plain, codec::messaging::MessageIdRef};
use amqp1_tests::peer::{self, Server};
use std::time::Duration;
use tokio::time::timeout;

const ROUNDS: u64 = 20;
const QUEUE: &str = "interop";

/// Checks what is the same in every message: its payload octet for octet, and the properties that are in order.
fn check(number: u64, delivery: &Delivery) {
    let message = delivery.message();
    assert_eq!(message.data().expect("data"), format!("message {number}"));
    let properties = message.properties_ref().expect("a properties section").expect("properties");
    let id = properties.message_id().expect("a message-id").expect("a message-id");
    assert_eq!(id, MessageIdRef::String(&format!("m{number}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_with_amqp_0_9_1_arrives_whole() {
    let server = Server::start(peer::program("rabbitmq.py")).await;
    let mut publisher = peer::program("amqp_0_9_1_publisher.py");
    publisher.args(["127.0.0.1", &server.port().to_string(), QUEUE, &ROUNDS.to_string()]);
    let published = peer::run(publisher).await.unwrap_or_else(|why| panic!("{why}"));
    let sent = ROUNDS * 3;
    assert_eq!(published["sent"], sent);

    let url = format!("amqp://127.0.0.1:{}", server.port());
    let plain = Plain::new("guest", "guest").expect("a user and a password");
    let connection = Client::builder(url).sasl(plain).connect().await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    let mut receiver = session.receiver(format!("/amq/queue/{QUEUE}")).attach().await.expect("a link");
    for number in 0..sent {
        let next = timeout(Duration::from_secs(20), receiver.recv()).await;
        let delivery = next.unwrap_or_else(|_| panic!("message {number} of {sent} did not come"));
        let delivery = delivery.expect("a link").expect("a delivery");
        check(number, &delivery);
        let properties = delivery.message().properties();
        match number % 3 {
            0 => assert_eq!(properties.expect("properties").expect("properties").user_id, None),
            // A string, which means what a binary would.
            1 => {
                let properties = properties.expect("properties").expect("properties");
                assert_eq!(properties.user_id.as_deref(), Some(&b"guest"[..]));
            }
            // Not ASCII: that field is the error, and no other.
            _ => {
                let error = properties.expect_err("a symbol that is none");
                assert!(error.to_string().contains("content-type"), "{error}");
            }
        }
        delivery.accept().expect("a settlement");
    }
    receiver.close().await.expect("a closed link");
    connection.close().await.expect("a closed connection");
    server.stop().await;
}
