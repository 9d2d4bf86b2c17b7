//! Bodies of the application's own types, with the feature `serde`: both ends over memory.
#![allow(missing_docs)]

use amqp1::{
    AcceptedLink, Acceptor, Client, Connection, Error, ErrorKind, Message, Receiver, Sender, ServerConnection,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    sensor: String,
    celsius: Option<f64>,
    samples: Vec<u32>,
    state: State,
    labels: BTreeMap<String, bool>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Idle,
    Heating { watts: u16 },
}

fn reading(celsius: Option<f64>, state: State) -> Reading {
    let labels = BTreeMap::from([("kitchen".to_owned(), true)]);
    Reading { sensor: "boiler".to_owned(), celsius, samples: vec![0, 7, u32::MAX], state, labels }
}

struct Bed {
    client: Connection,
    _server: ServerConnection,
    sender: Sender,
    receiver: Receiver,
}

impl Bed {
    async fn new() -> Self {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let acceptor = Acceptor::builder().build();
        let (client, server) = tokio::join!(Client::builder("amqp://server.test").connect_with(near), async {
            acceptor.accept(far).await.expect("a handshake").accept().await.expect("a connection")
        });
        let (client, mut server) = (client.expect("a connection"), server);
        let session = client.begin().await.expect("a session");
        let (sender, link) = tokio::join!(session.sender("readings").attach(), async {
            server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
        let AcceptedLink::Receiver(receiver) = link else { panic!("the client sends") };
        Self { client, _server: server, sender: sender.expect("a sender"), receiver }
    }

    /// Sends a message, and gives what the other end has received.
    async fn deliver(&mut self, message: amqp1::MessageBuilder) -> Message {
        let permit = self.sender.reserve().await.expect("credit");
        let receipt = permit.send(message).expect("queued");
        let delivery = soon(self.receiver.recv()).await.expect("a link").expect("a delivery");
        let message = delivery.message().clone();
        delivery.accept().expect("settled");
        soon(receipt).await.expect("an outcome").into_result().expect("accepted");
        message
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not hang")
}

#[tokio::test(start_paused = true)]
async fn a_type_of_ones_own_arrives_as_json_and_as_a_value() {
    let mut bed = Bed::new().await;
    for sent in [reading(Some(61.5), State::Heating { watts: 900 }), reading(None, State::Idle)] {
        let json = bed.deliver(Message::builder().subject("json").json(&sent).expect("it has a form")).await;
        assert_eq!(json.json::<Reading>().expect("a reading"), sent);
        assert_eq!(json.content_type().expect("decodes"), Some("application/json"));
        assert_eq!(json.subject().expect("decodes"), Some("json"));
        let octets = json.data().expect("one data section");
        assert_eq!(serde_json::from_slice::<Reading>(&octets).expect("JSON"), sent);
        let error = json.value_as::<Reading>().expect_err("it is no amqp-value");
        assert_eq!(Error::from(error).kind(), ErrorKind::Codec);

        let value = bed.deliver(Message::builder().serialized(&sent).expect("it has a form")).await;
        assert_eq!(value.value_as::<Reading>().expect("a reading"), sent);
        assert!(value.value().expect("decodes").is_some() && value.data().is_none());
        value.json::<Reading>().expect_err("it is no data section");
    }
    soon(bed.client.close()).await.expect("closed");
}

/// What a peer sends need not be what the application wants: that is an error, and the link is as good as before.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_another_type_is_an_error_that_names_what_is_wrong() {
    let mut bed = Bed::new().await;
    let bodies = [
        Message::builder().data(r#"{"sensor": "boiler""#),
        Message::builder().data(r#"{"sensor": 7}"#),
        Message::builder().data(""),
        Message::builder().value(7u32),
        Message::builder().value("boiler"),
    ];
    for body in bodies {
        let message = bed.deliver(body).await;
        let json: Result<Reading, Error> = message.json().map_err(Error::from);
        let value: Result<Reading, Error> = message.value_as().map_err(Error::from);
        for error in [json.expect_err("no reading"), value.expect_err("no reading")] {
            assert_eq!(error.kind(), ErrorKind::Codec, "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
    }
    let sent = reading(None, State::Idle);
    let message = bed.deliver(Message::builder().json(&sent).expect("it has a form")).await;
    assert_eq!(message.json::<Reading>().expect("a reading"), sent);
    soon(bed.client.close()).await.expect("closed");
}
