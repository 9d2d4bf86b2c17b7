//! Messages that are written and read piece by piece.

use crate::support::{Pair, pair, receiver_request, soon};
use amqp1::{
    AcceptedLink, Credit, ErrorKind, Message, MessageBuilder, Outcome, Receiver, Sender, Symbol,
    error::{AmqpError, ErrorCondition},
    link::SendOptions,
    message::{EncodedMessage, Properties},
};
use bytes::Bytes;
use std::sync::Arc;

/// A link on which the client sends and the server reads piece by piece.
pub(super) async fn streamed(pair: &mut Pair, credit: Credit) -> (Sender, Receiver) {
    let session = pair.session().await;
    let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link).credit(credit).streamed().accept().map(AcceptedLink::Receiver).expect("accepted")
    });
    let AcceptedLink::Receiver(receiver) = receiver else { panic!("the client sends") };
    (sender.expect("a sender"), receiver)
}

fn head() -> MessageBuilder {
    Message::builder().properties(Properties { subject: Some("large".into()), ..Properties::default() })
}

async fn read_all(stream: &mut amqp1::stream::IncomingStream<'_>) -> Vec<u8> {
    let mut got = Vec::new();
    while let Some(data) = stream.data().await.expect("data") {
        got.extend_from_slice(&data);
    }
    got
}

#[tokio::test]
async fn a_stream_arrives_with_what_stands_around_its_body_and_is_settled() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    let sending = async {
        let mut stream = sender.stream(head()).await.expect("a stream");
        for number in 0..50_u8 {
            stream.write(vec![number; 10_000]).await.expect("written");
        }
        let footer = Message::builder().footer(Symbol::from_static("x-opt-crc"), 7_u32).build();
        for part in footer.into_parts() {
            stream.write_encoded(part).await.expect("written");
        }
        stream.finish().expect("finished").await.expect("an outcome")
    };
    let receiving = async {
        let mut stream = receiver.recv_stream().await.expect("a link").expect("a message");
        let head = stream.head().await.expect("a head").properties().expect("properties").expect("some");
        assert_eq!(head.subject.as_deref(), Some("large"));
        let got = read_all(&mut stream).await;
        let expected: Vec<u8> = (0..50_u8).flat_map(|number| vec![number; 10_000]).collect();
        assert!(got == expected);
        assert!(stream.footer().expect("a footer").is_some() && !stream.is_settled());
        stream.accept().expect("settled");
    };
    let (outcome, ()) = soon(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(outcome, Outcome::Accepted);
    // Whole messages come the same way.
    let (outcome, ()) = soon(async {
        tokio::join!(sender.send(Message::builder().data("small")), async {
            let mut stream = receiver.recv_stream().await.expect("a link").expect("a message");
            assert_eq!(read_all(&mut stream).await, b"small");
            stream.reject(AmqpError::new(ErrorCondition::NOT_ALLOWED, "no")).expect("settled");
        })
    })
    .await;
    assert!(matches!(outcome, Ok(Outcome::Rejected(_))));
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_aborted_and_the_next_message_comes() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    let mut stream = soon(sender.stream(head())).await.expect("a stream");
    soon(stream.write(vec![1; 100_000])).await.expect("written");
    let receipt = {
        let mut incoming = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
        assert!(soon(incoming.data()).await.expect("data").is_some());
        drop(stream);
        let receipt = sender.reserve().await.expect("credit").send(Message::builder().data("next")).expect("queued");
        let error = soon(async {
            loop {
                match incoming.data().await {
                    Ok(data) => assert!(data.is_some(), "it is not whole"),
                    Err(error) => break error,
                }
            }
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Aborted);
        let error = incoming.accept().expect_err("there is nothing to accept");
        assert_eq!(error.kind(), ErrorKind::Aborted);
        receipt
    };
    let mut incoming = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    assert_eq!(soon(read_all(&mut incoming)).await, b"next");
    incoming.accept().expect("settled");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test]
async fn a_stream_that_is_not_read_to_its_end_is_passed_over() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    let sending = async {
        let mut stream = sender.stream(head()).await.expect("a stream");
        let error = loop {
            // The rest is not wanted any more, and not sent.
            if let Err(error) = stream.write(vec![1; 100_000]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
        assert_eq!(stream.write("more").await.expect_err("settled").kind(), ErrorKind::Aborted);
        let first = stream.finish().expect("finished").await.expect("an outcome");
        (first, sender.send(Message::builder().data("second")).await.expect("an outcome"))
    };
    let receiving = async {
        let mut stream = receiver.recv_stream().await.expect("a link").expect("a message");
        stream.data().await.expect("data");
        stream.release().expect("settled");
        let mut stream = receiver.recv_stream().await.expect("a link").expect("a message");
        assert_eq!(read_all(&mut stream).await, b"second");
        stream.accept().expect("settled");
    };
    let (outcomes, ()) = soon(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(outcomes, (Outcome::Released, Outcome::Accepted));
}

#[tokio::test]
async fn a_link_is_streamed_or_it_is_not() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    assert_eq!(receiver.recv().await.expect_err("streamed").kind(), ErrorKind::Config);
    let (_, mut whole) = pair.client_sends(Credit::Manual(1)).await;
    assert_eq!(whole.recv_stream().await.expect_err("not streamed").kind(), ErrorKind::Config);
    // While a stream is open, its link sends nothing else.
    let stream = soon(sender.stream(head())).await.expect("a stream");
    assert!(sender.try_reserve().is_err());
    drop(stream);
    assert!(sender.try_reserve().is_ok());
}

#[tokio::test]
async fn a_body_that_is_no_data_is_said_to_be() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    let options = SendOptions { settled: true, ..SendOptions::default() };
    soon(sender.send_with(Message::builder().value("text"), options))
        .await
        .expect("sent")
        .into_result()
        .expect("settled");
    let mut stream = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    assert_eq!(soon(stream.data()).await.expect_err("no data").kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn the_end_of_the_connection_ends_both_ends_of_a_stream() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    let mut stream = soon(sender.stream(head())).await.expect("a stream");
    soon(stream.write("some")).await.expect("written");
    let mut incoming = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    // The last octet comes with what follows it.
    assert_eq!(soon(incoming.data()).await.expect("data"), Some(Bytes::from_static(b"som")));
    let error = AmqpError::new(ErrorCondition::CONNECTION_FORCED, "going down");
    soon(pair.server.connection().close_with(Some(error))).await.expect("closed");
    assert!(soon(incoming.data()).await.is_err());
    assert_eq!(soon(stream.write("more")).await.expect_err("gone").kind(), ErrorKind::ClosedByPeer);
    assert!(stream.finish().is_err());
}

/// Two gibibytes in all: each end holds what the window lets it, and no more. A reader that is slow at first, so that
/// everything fills up.
#[tokio::test]
async fn a_gibibyte_passes_in_a_few_mebibytes() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 16 * 1024;
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(1)).await;
    let piece = Bytes::from(vec![7; PIECE]);
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = written.clone();
    let sending = async move {
        let mut stream = sender.stream(head()).await.expect("a stream");
        for _ in 0..PIECES {
            stream.write(piece.clone()).await.expect("written");
            count.fetch_add(PIECE, std::sync::atomic::Ordering::Relaxed);
        }
        stream.finish().expect("finished").await.expect("an outcome")
    };
    let receiving = async move {
        let mut stream = receiver.recv_stream().await.expect("a link").expect("a message");
        let (mut got, mut most, mut taken) = (0, 0, 0);
        while let Some(data) = stream.data().await.expect("data") {
            assert!(data.iter().step_by(4096).all(|octet| *octet == 7));
            got += data.len();
            taken += 1;
            if taken < 500 {
                // Others run as long as they can.
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
            most = most.max(written.load(std::sync::atomic::Ordering::Relaxed).saturating_sub(got));
        }
        assert_eq!(got, PIECE * PIECES);
        stream.accept().expect("settled");
        most
    };
    let (outcome, most) = soon(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(outcome, Outcome::Accepted);
    // On its way, at both ends together.
    assert!((1024 * 1024..8 * 1024 * 1024).contains(&most), "{most}");
}

#[tokio::test]
async fn what_was_settled_from_the_start_and_has_come_is_read_to_its_end_although_the_link_has_gone() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    let options = SendOptions { settled: true, ..SendOptions::default() };
    let body = vec![3; 200_000];
    soon(sender.send_with(Message::builder().data(body.clone()), options))
        .await
        .expect("sent")
        .into_result()
        .expect("settled");
    let mut stream = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    let first = soon(stream.data()).await.expect("data").expect("some");
    soon(sender.close()).await.expect("closed");
    let rest = soon(read_all(&mut stream)).await;
    assert!([&first[..], &rest[..]].concat() == body);
    drop(stream);
    assert!(soon(receiver.recv_stream()).await.expect("an end in peace").is_none());
}

/// A client that reads piece by piece what the server sends.
async fn streamed_to_the_client(pair: &mut Pair, credit: Credit) -> (Sender, Receiver) {
    let session = pair.session().await;
    let (receiver, sender) = tokio::join!(session.receiver("q").streamed().credit(credit).attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        link.accept_default().expect("accepted")
    });
    let AcceptedLink::Sender(sender) = sender else { panic!("the client receives") };
    (sender, receiver.expect("a receiver"))
}

#[tokio::test(start_paused = true)]
async fn a_streamed_receiver_is_drained_with_small_messages_waiting() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed_to_the_client(&mut pair, Credit::Manual(10)).await;
    for number in 0..3_u8 {
        let options = SendOptions { settled: true, ..SendOptions::default() };
        soon(sender.send_with(Message::builder().data(vec![number; 1000]), options))
            .await
            .expect("sent")
            .into_result()
            .expect("settled");
    }
    soon(receiver.drain()).await.expect("drained");
    for number in 0..3_u8 {
        let mut message = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
        assert_eq!(soon(read_all(&mut message)).await, vec![number; 1000]);
    }
}

/// It never waits for what cannot come while nobody reads.
#[tokio::test(start_paused = true)]
async fn draining_a_streamed_receiver_fails_at_once_when_what_waits_fills_the_window() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed_to_the_client(&mut pair, Credit::Manual(2)).await;
    let large = Message::builder().data(vec![7; 10_000_000]);
    let receipt = soon(sender.reserve()).await.expect("credit").send(large).expect("queued");
    let began = tokio::time::Instant::now();
    let error = soon(receiver.drain()).await.expect_err("it waits to be received");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
    let mut message = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    assert_eq!(soon(read_all(&mut message)).await.len(), 10_000_000);
    message.accept().expect("settled");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    soon(receiver.drain()).await.expect("drained");
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_when_a_streamed_receiver_is_closed_in_the_middle_of_a_message() {
    let mut pair = pair().await;
    let session = pair.session().await;
    for round in 0..5 {
        let (receiver, sender) =
            tokio::join!(session.receiver("q").streamed().credit(Credit::Manual(5)).attach(), async {
                let link = pair.server.next_link().await.expect("a link");
                link.accept_default().expect("accepted")
            });
        let (AcceptedLink::Sender(sender), Ok(mut receiver)) = (sender, receiver) else { panic!("{round}") };
        tokio::spawn(async move { while sender.send(Message::builder().data(vec![7; 3_000_000])).await.is_ok() {} });
        let mut message = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
        assert!(soon(message.data()).await.expect("data").is_some());
        drop(message);
        soon(receiver.close()).await.expect("closed");
    }
    soon(session.end()).await.expect("ended");
}

#[tokio::test]
async fn a_streamed_message_of_another_format_has_nothing_but_octets() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair, Credit::Manual(5)).await;
    // Octets that would be sections in format 0, and such that would not.
    let octets = [head().data("no body").build().into_parts().concat(), b"\x01\x02\x03".repeat(1000)];
    for octets in octets {
        let options = SendOptions { message_format: 0x0102_0300, ..SendOptions::default() };
        let sending = async {
            let permit = sender.reserve().await.expect("credit");
            let message = EncodedMessage::from_parts([Bytes::from(octets.clone())]);
            permit.send_with(message, options).expect("queued").await.expect("an outcome")
        };
        let receiving = async {
            let mut stream = receiver.recv_stream().await.expect("a link").expect("a message");
            assert_eq!(stream.message_format(), 0x0102_0300);
            let errors = [stream.head().await.err(), stream.data().await.err(), stream.footer().err()];
            for error in errors {
                let error = error.expect("it is not read");
                assert!(error.kind() == ErrorKind::Protocol && error.to_string().contains("format"), "{error}");
            }
            let mut got = Vec::new();
            while let Some(octets) = stream.octets().await.expect("octets") {
                got.extend_from_slice(&octets);
            }
            assert!(got == octets);
            assert!(stream.footer().is_err() && stream.tail().properties().is_err());
            stream.accept().expect("settled");
        };
        let (outcome, ()) = soon(async { tokio::join!(sending, receiving) }).await;
        assert_eq!(outcome, Outcome::Accepted);
    }
}
