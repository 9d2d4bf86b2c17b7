//! Streams that are received on one connection and sent on over another, octet for octet.

use super::streams::streamed;
use crate::support::{Pair, pair_with, soon};
use amqp1::{
    Acceptor, Credit, Error, ErrorKind, Message, MessageBuilder, Outcome, Sender, Symbol, Value,
    error::{AmqpError, ErrorCondition},
    link::SendOptions,
    message::EncodedMessage,
    stream::IncomingStream,
};
use bytes::Bytes;

/// Two connections with frames of this size.
async fn pairs(frame: u32) -> [Pair; 2] {
    let acceptor = Acceptor::builder().config(|config| config.max_frame_size = frame).build();
    let near = pair_with(|builder| builder.config(|config| config.max_frame_size = frame), &acceptor).await;
    let far = pair_with(|builder| builder.config(|config| config.max_frame_size = frame), &acceptor).await;
    [near, far]
}

fn footed(builder: MessageBuilder) -> Bytes {
    let message = builder.durable(true).message_annotation("x-opt-a", 1).subject("s").footer("x-opt-crc", 7);
    message.build().into_parts().concat().into()
}

/// Messages of every kind of body, some with descriptors and sizes in other forms than the shortest.
fn messages() -> Vec<Bytes> {
    let described = Value::described(Symbol::from_static("example:d"), Value::described(1_u64, "x".repeat(3000)));
    let hundred = || 0..100_u8;
    vec![
        footed(Message::builder().value("text")),
        footed(Message::builder().value(described)),
        footed(hundred().fold(Message::builder(), |message, number| message.sequence(vec![number.into(), "s".into()]))),
        footed(
            hundred().fold(Message::builder(), |message, number| message.data(vec![number; usize::from(number) * 50])),
        ),
        footed(Message::builder().data(vec![7; 1_000_000])),
        Bytes::from_static(
            b"\0\x80\0\0\0\0\0\0\0\x70\xd0\0\0\0\x04\0\0\0\0\0\xb3\0\0\0\x10amqp:data:binary\xb0\0\0\0\x02hi\
              \0\x53\x75\xa0\0\0\xa3\x0famqp:footer:map\xd1\0\0\0\x04\0\0\0\0",
        ),
    ]
}

/// Sends all of a message on, or gives up what was sent of it.
async fn relay(incoming: &mut IncomingStream<'_>, sender: &Sender) -> Result<Outcome, Error> {
    let options = SendOptions { message_format: incoming.message_format(), ..SendOptions::default() };
    let mut outgoing = sender.stream_with(EncodedMessage::default(), options).await?;
    while let Some(octets) = incoming.encoded().await? {
        outgoing.write_encoded(octets).await?;
    }
    outgoing.finish()?.await
}

async fn read_all(stream: &mut IncomingStream<'_>) -> Result<Vec<u8>, Error> {
    let mut got = Vec::new();
    while let Some(octets) = stream.octets().await? {
        got.extend_from_slice(&octets);
    }
    Ok(got)
}

#[tokio::test]
async fn m_3_2_3_a_stream_is_sent_on_octet_for_octet() {
    for frame in [512, 64 * 1024] {
        let [mut near, mut far] = pairs(frame).await;
        let (producer, mut between) = streamed(&mut near, Credit::Window(5)).await;
        let (relaying, mut consumer) = streamed(&mut far, Credit::Window(5)).await;
        // A message of another format, whose octets nobody looks at, goes the same way.
        let other = Bytes::from_static(b"no sections");
        let formats = messages().into_iter().map(|octets| (octets, 0)).chain([(other, 0x0102_0300)]);
        for (octets, message_format) in formats {
            let sending = async {
                let message = EncodedMessage::from_parts([octets.clone()]);
                let permit = producer.reserve().await.expect("credit");
                let options = SendOptions { message_format, ..SendOptions::default() };
                permit.send_with(message, options).expect("queued").await.expect("an outcome")
            };
            let passing = async {
                let mut incoming = between.recv_stream().await.expect("a link").expect("a message");
                let outcome = relay(&mut incoming, &relaying).await.expect("an outcome");
                assert_eq!(incoming.encoded_len(), Some(octets.len() as u64));
                incoming.settle(outcome.into_state().expect("a state")).expect("settled");
            };
            let consuming = async {
                let mut incoming = consumer.recv_stream().await.expect("a link").expect("a message");
                assert_eq!(incoming.message_format(), message_format);
                let got = read_all(&mut incoming).await.expect("all of it");
                assert!(got == octets, "{} octets, in frames of {frame}", octets.len());
                if message_format == 0 {
                    let footer = incoming.encoded_footer().expect("sections").expect("a footer");
                    assert!(octets.ends_with(&footer) && footer.starts_with(b"\0"));
                    assert_eq!(footer.len(), octets.len() - before_the_footer(&octets));
                } else {
                    assert!(incoming.encoded_footer().is_err());
                }
                incoming.accept().expect("settled");
            };
            let (outcome, (), ()) = soon(async { tokio::join!(sending, passing, consuming) }).await;
            assert_eq!(outcome, Outcome::Accepted);
        }
    }
}

/// How many octets of a message stand before its last section.
fn before_the_footer(octets: &Bytes) -> usize {
    let message = Message::from_chunks([octets.clone()]).expect("sections");
    let mut sections = message.encoded_sections().expect("sections");
    sections.pop();
    sections.iter().map(|section| section.octets().len()).sum()
}

/// A stream that is cut off, or holds what is no section: the receiver behind the relay forgets what it has of it.
#[tokio::test]
async fn m_3_2_1_truncated_and_garbage_framing_is_not_sent_on() {
    let good = footed(Message::builder().data(vec![7; 10_000]));
    let [mut near, mut far] = pairs(1000).await;
    let (producer, mut between) = streamed(&mut near, Credit::Window(5)).await;
    let (relaying, mut consumer) = streamed(&mut far, Credit::Window(5)).await;
    for octets in [
        good.slice(..good.len() - 1),
        good.slice(..5000),
        good.slice(..10),
        [&good[..], b"garbage"].concat().into(),
        [&good[..], &good[..]].concat().into(),
        [&b"\0\x53\x75\xa0\x02hi\0\x53\x79\x40"[..], &[0x40; 5000]].concat().into(),
        Bytes::from(vec![0x2a; 5000]),
    ] {
        let sending = async {
            let message = EncodedMessage::from_parts([octets.clone()]);
            producer.reserve().await.expect("credit").send(message).expect("queued").await.expect("an outcome")
        };
        let passing = async {
            let mut incoming = between.recv_stream().await.expect("a link").expect("a message");
            let error = relay(&mut incoming, &relaying).await.expect_err("not sections in their order");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            let again = incoming.encoded().await.expect_err("it stays so");
            assert_eq!((again.kind(), again.to_string()), (ErrorKind::Protocol, error.to_string()));
            incoming.reject(AmqpError::new(ErrorCondition::DECODE_ERROR, error.to_string())).expect("settled");
            // The next message comes behind what was given up.
            relaying.send("next").await.expect("an outcome").into_result().expect("accepted");
        };
        let consuming = async {
            loop {
                let mut incoming = consumer.recv_stream().await.expect("a link").expect("a message");
                match read_all(&mut incoming).await {
                    Ok(whole) => {
                        assert_eq!(whole, b"\0\x53\x75\xa0\x04next");
                        break incoming.accept().expect("settled");
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
                        assert_eq!(incoming.encoded_len(), None);
                    }
                }
            }
        };
        let (outcome, (), ()) = soon(async { tokio::join!(sending, passing, consuming) }).await;
        assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_length_of_a_stream_is_known_once_its_last_octet_has_come() {
    let [mut near, _] = pairs(1000).await;
    let (sender, mut receiver) = streamed(&mut near, Credit::Window(5)).await;
    let mut outgoing = soon(sender.stream(Message::builder().subject("s"))).await.expect("a stream");
    soon(outgoing.write(vec![7; 5000])).await.expect("written");
    let head = Message::builder().subject("s").build().len() as u64;
    let whole = head + 5000 + 8;
    let mut incoming = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    soon(incoming.head()).await.expect("a head");
    assert_eq!(incoming.encoded_len(), None, "it goes on");
    let receipt = outgoing.finish().expect("finished");
    // Nothing is read meanwhile.
    soon(async {
        while incoming.encoded_len().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(incoming.encoded_len(), Some(whole));
    assert_eq!(soon(read_all(&mut incoming)).await.expect("all of it").len() as u64, whole);
    assert_eq!(incoming.encoded_len(), Some(whole));
    incoming.accept().expect("settled");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);

    // What was sent settled outlives its link, as does its length.
    let options = SendOptions { settled: true, ..SendOptions::default() };
    soon(sender.send_with(Message::builder().data(vec![7; 5000]), options)).await.map(drop).expect("sent");
    let mut incoming = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    assert!(soon(incoming.octets()).await.expect("octets").is_some());
    soon(sender.close()).await.expect("closed");
    assert_eq!(incoming.encoded_len(), Some(5008));
}
