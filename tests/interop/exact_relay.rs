//! Messages that are received from one broker and sent on to another, octet for octet: RabbitMQ 4 and Artemis, each in
//! either place. A broker may change the sections before the bare message (§3.2); all others are compared by SHA-256.

use super::artemis;
use amqp1::{
    Client, Connection, Credit, Message, MessageBuilder, Receiver, Sender, Symbol, Value,
    auth::sasl::Plain,
    codec::messaging::section_code::{AMQP_SEQUENCE, AMQP_VALUE, DATA, FOOTER, PROPERTIES},
    link::SendOptions,
    message::EncodedMessage,
    stream::IncomingStream,
};
use amqp1_tests::{
    bodies,
    peer::{self, Server},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::timeout;

/// A section by its number, and what its octets hash to.
type Digests = Vec<(u8, [u8; 32])>;

/// The digest of each section from the properties on.
fn digests(octets: impl IntoIterator<Item = Bytes>) -> Digests {
    let message = Message::from_chunks(octets).expect("sections in their order");
    let sections = message.encoded_sections().expect("sections that end");
    let bare = sections.iter().filter(|section| section.code() >= PROPERTIES);
    let digest = |octets: &EncodedMessage| {
        let mut hash = Sha256::new();
        octets.chunks().for_each(|chunk| hash.update(chunk));
        hash.finalize().into()
    };
    bare.map(|section| (section.code(), digest(section.octets()))).collect()
}

fn head(subject: &'static str) -> MessageBuilder {
    Message::builder().durable(true).message_id(subject).to("exact").subject(subject).application_property("n", 7)
}

/// Messages of every kind of body, with and without a footer: small ones, ones of 100 sections, and one of 3 MB.
fn messages() -> Vec<EncodedMessage> {
    let described =
        Value::described(Symbol::from_static("example:d"), Value::described(1_u64, Value::from("x".repeat(300))));
    let values = |number: u8| vec![Value::from(number), Value::from("text".repeat(usize::from(number)))];
    let hundred_data = (0..100_u8)
        .fold(head("data"), |message, number| message.data(bodies::body(u64::from(number), usize::from(number) * 50)));
    let hundred_sequences = (0..100).fold(head("sequences"), |message, number| message.sequence(values(number)));
    // Sections in other forms than the shortest.
    let odd = [
        &b"\0\x80\0\0\0\0\0\0\0\x75\xb0\0\0\0\x02hi"[..],
        b"\0\xa3\x10amqp:data:binary\xa0\x03you",
        b"\0\x53\x78\xd1\0\0\0\x04\0\0\0\0",
    ];
    let odd = odd.map(Bytes::from_static);
    vec![
        head("string").value("a text").build(),
        head("null").value(Value::Null).footer("x-opt-crc", 7).build(),
        head("described").value(described).footer("x-opt-crc", 7).build(),
        head("sequence").sequence(values(3)).build(),
        head("footer").data("a body").footer("x-opt-crc", Value::from(7_u64)).footer("x-opt-text", "text").build(),
        hundred_data.footer("x-opt-crc", 7).build(),
        hundred_sequences.footer("x-opt-crc", 7).build(),
        head("large").data(bodies::body(1, 3_000_000)).footer("x-opt-crc", 7).build(),
        EncodedMessage::from_parts(head("odd").build().into_parts().into_iter().chain(odd)),
    ]
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("in time")
}

async fn sender(connection: &Connection, address: &str) -> Sender {
    let session = connection.begin().await.expect("a session");
    session.sender(address.to_owned()).attach().await.expect("a sending link")
}

async fn streamed(connection: &Connection, address: &str) -> Receiver {
    let session = connection.begin().await.expect("a session");
    let receiver = session.receiver(address.to_owned()).streamed().credit(Credit::Window(10));
    receiver.attach().await.expect("a receiving link")
}

/// Sends a message on as it comes. Gives its octets.
async fn relay(incoming: &mut IncomingStream<'_>, sender: &Sender) -> Vec<Bytes> {
    let options = SendOptions { message_format: incoming.message_format(), ..SendOptions::default() };
    let mut outgoing = in_time(sender.stream_with(EncodedMessage::default(), options)).await.expect("a stream");
    let mut seen = Vec::new();
    while let Some(octets) = in_time(incoming.encoded()).await.expect("sections in their order") {
        in_time(outgoing.write_encoded(octets.clone())).await.expect("written");
        seen.push(octets);
    }
    assert_eq!(incoming.encoded_len(), Some(seen.iter().map(|octets| octets.len() as u64).sum()));
    in_time(outgoing.finish().expect("finished")).await.expect("an outcome").into_result().expect("accepted");
    seen
}

/// Sends to one broker, relays to the other, and compares what comes out of that with what was sent.
async fn through(first: (&Connection, &str), second: (&Connection, &str)) {
    let (producer, relaying) = (sender(first.0, first.1).await, sender(second.0, second.1).await);
    let (mut between, mut consumer) = (streamed(first.0, first.1).await, streamed(second.0, second.1).await);
    for message in messages() {
        let sent = digests(message.chunks().cloned());
        in_time(producer.send(message)).await.expect("an outcome").into_result().expect("accepted");

        let mut incoming = in_time(between.recv_stream()).await.expect("a link").expect("a message");
        let relayed = digests(relay(&mut incoming, &relaying).await);
        incoming.accept().expect("settled");

        let mut incoming = in_time(consumer.recv_stream()).await.expect("a link").expect("a message");
        let mut octets = Vec::new();
        while let Some(part) = in_time(incoming.encoded()).await.expect("sections in their order") {
            octets.push(part);
        }
        let footer = incoming.encoded_footer().expect("a footer that can be told apart");
        incoming.accept().expect("settled");
        let came = digests(octets);
        let codes: Vec<u8> = sent.iter().map(|(code, _)| *code).collect();
        assert_eq!(relayed, sent, "by the first broker: {codes:02x?}");
        assert_eq!(came, sent, "by the second broker: {codes:02x?}");
        let footer = footer.map(|footer| (FOOTER, <[u8; 32]>::from(Sha256::digest(&footer))));
        assert_eq!(footer, came.last().copied().filter(|(code, _)| *code == FOOTER));
    }
    in_time(between.close()).await.expect("a closed link");
    in_time(consumer.close()).await.expect("a closed link");
}

#[test]
fn the_messages_have_all_kinds_of_bodies() {
    let all: Vec<Digests> = messages().into_iter().map(|message| digests(message.into_parts())).collect();
    let count = |code| all.iter().map(move |sections| sections.iter().filter(|(found, _)| *found == code).count());
    for (code, most) in [(AMQP_VALUE, 1), (AMQP_SEQUENCE, 100), (DATA, 100), (FOOTER, 1), (PROPERTIES, 1)] {
        assert_eq!(count(code).max(), Some(most), "{code:#x}");
    }
}

/// Also that a broker does not change the bare message.
#[tokio::test(flavor = "multi_thread")]
async fn m_3_2_3_a_message_is_relayed_octet_for_octet_between_rabbitmq_4_and_artemis() {
    let mut command = peer::program("rabbitmq.py");
    command.arg("--root").arg(peer::built("trixie")).args(["--queue", "exact", "--queue", "exact.back"]);
    let (rabbitmq, artemis) = tokio::join!(Server::start(command), artemis::Broker::start());
    let plain = Plain::new("guest", "guest").expect("a user and a password");
    let url = format!("amqp://127.0.0.1:{}", rabbitmq.port());
    let at_rabbitmq = Client::builder(url).sasl(plain).connect().await.expect("a connection");
    let url = format!("amqp://127.0.0.1:{}", artemis.port());
    let at_artemis = Client::builder(url).connect().await.expect("a connection");

    through((&at_rabbitmq, "/queues/exact"), (&at_artemis, "exact")).await;
    through((&at_artemis, "exact.back"), (&at_rabbitmq, "/queues/exact.back")).await;

    at_rabbitmq.close().await.expect("a closed connection");
    at_artemis.close().await.expect("a closed connection");
    rabbitmq.stop().await;
    artemis.stop().await;
}
