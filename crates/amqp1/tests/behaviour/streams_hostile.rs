//! Streams that end as they must not: what is told of them stays so, and what comes after them is not touched.

use crate::support::{Pair, pair, receiver_request, soon};
use amqp1::{AcceptedLink, Credit, ErrorKind, Message, MessageBuilder, Outcome, Receiver, Sender, stream::SendStream};
use bytes::Bytes;

/// A link on which the client sends and the server reads piece by piece.
async fn streamed(pair: &mut Pair) -> (Sender, Receiver) {
    let session = pair.session().await;
    let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link)
            .credit(Credit::Manual(10))
            .streamed()
            .accept()
            .map(AcceptedLink::Receiver)
            .expect("accepted")
    });
    let AcceptedLink::Receiver(receiver) = receiver else { panic!("the client sends") };
    (sender.expect("a sender"), receiver)
}

fn nothing() -> MessageBuilder {
    Message::builder()
}

/// Begins a message and ends it badly.
async fn broken(sender: &Sender, how: impl AsyncFnOnce(&mut SendStream)) -> SendStream {
    let mut stream = soon(sender.stream(nothing())).await.expect("a stream");
    how(&mut stream).await;
    stream
}

/// Fails, when `then` is done, and fails again in the same way whatever is asked; the next message is whole.
async fn fails_for_good(sender: &Sender, receiver: &mut Receiver, kind: ErrorKind, then: impl FnOnce()) {
    let next = {
        let mut stream = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
        then();
        let next = soon(sender.reserve()).await.expect("credit").send(Message::builder().data("next")).expect("queued");
        let error = loop {
            match soon(stream.data()).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it is not whole"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), kind, "{error}");
        for _ in 0..2 {
            let again = soon(stream.data()).await.expect_err("not the end of a message that is whole");
            assert_eq!((again.kind(), again.to_string()), (kind, error.to_string()));
            if let Err(again) = soon(stream.head()).await {
                assert_eq!(again.kind(), kind);
            }
        }
        next
    };
    let mut stream = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    assert_eq!(soon(stream.data()).await.expect("data").as_deref(), Some(&b"next"[..]));
    assert_eq!(soon(stream.data()).await.expect("its end"), None);
    stream.accept().expect("settled");
    assert_eq!(soon(next).await.expect("an outcome"), Outcome::Accepted);
}

/// Whatever it was in the middle of: its body, or what comes before that.
#[tokio::test]
async fn t_2_6_14_4_a_stream_that_was_given_up_never_looks_whole() {
    for section in [&b"\x00\x53\x75\xb0\x00\x03\x00\x00"[..], b"\x00\x53\x73\xd0\x00\x03\x00\x00"] {
        let mut pair = pair().await;
        let (sender, mut receiver) = streamed(&mut pair).await;
        let stream = broken(&sender, async |stream| {
            stream.write_encoded(Bytes::from_static(section)).await.expect("written");
            stream.write_encoded(vec![0x40; 100_000]).await.expect("written");
        });
        let stream = stream.await;
        fails_for_good(&sender, &mut receiver, ErrorKind::Aborted, || drop(stream)).await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_within_a_section_never_looks_whole() {
    for octets in [&b"\x00\x53\x75\xa0\x05he"[..], b"\x00\x53\x73\xd0\x00\x00\x01\x00", b"\x00\x53"] {
        let mut pair = pair().await;
        let (sender, mut receiver) = streamed(&mut pair).await;
        let stream = broken(&sender, async |stream| {
            stream.write_encoded(Bytes::from_static(octets)).await.expect("written");
        });
        drop(stream.await.finish().expect("finished"));
        fails_for_good(&sender, &mut receiver, ErrorKind::Protocol, || ()).await;
    }
}

/// What follows a section that is refused is not taken for one.
#[tokio::test]
async fn a_stream_with_a_section_that_is_refused_never_looks_whole() {
    let too_large = [&b"\x00\x53\x72\xd1\x7f\xff\xff\xff"[..], &[0; 100_000]].concat();
    for octets in [too_large, b"\x00\x53\x77\xa1\x02hi".to_vec(), b"no section at all".to_vec()] {
        let mut pair = pair().await;
        let (sender, mut receiver) = streamed(&mut pair).await;
        let stream = broken(&sender, async |stream| {
            stream.write_encoded(octets).await.expect("written");
            stream.write("data").await.expect("written");
        });
        drop(stream.await.finish().expect("finished"));
        fails_for_good(&sender, &mut receiver, ErrorKind::Protocol, || ()).await;
    }
}

/// What a message holds is nobody's business but its reader's.
#[tokio::test]
async fn a_stream_does_not_show_what_it_holds() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair).await;
    let message = Message::builder().application_property("key", "hunter2").data("hunter2").data("hunter2");
    let sent = soon(sender.reserve()).await.expect("credit").send(message).expect("queued");
    let mut stream = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    assert!(soon(stream.data()).await.expect("data").is_some());
    let shown = format!("{stream:?}");
    assert!(!shown.contains("hunter2") && shown.contains("octets"), "{shown}");
    stream.accept().expect("settled");
    assert_eq!(soon(sent).await.expect("an outcome"), Outcome::Accepted);
}
