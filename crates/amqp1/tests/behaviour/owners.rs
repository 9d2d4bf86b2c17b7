//! Octets that belong to an owner of the application's: what runs when they are dropped may use the connection.

use crate::support::{pair, receiver_request, soon};
use amqp1::{
    AcceptedLink, Credit, Message, Sender,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryState, DeliveryTag, SendOptions},
    message::EncodedMessage,
};
use bytes::Bytes;
use std::{
    sync::mpsc::{Receiver, Sender as Report, channel},
    time::Duration,
};

/// Octets whose owner asks the connection something when they are dropped, and reports whether it was answered.
struct Owner {
    octets: Vec<u8>,
    sender: Sender,
    report: Report<bool>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let (answer, answered) = channel();
        let sender = self.sender.clone();
        // By another thread, so that a lock that is held is seen and not waited for forever.
        std::thread::spawn(move || {
            sender.credit();
            answer.send(()).ok();
        });
        let free = answered.recv_timeout(Duration::from_secs(5)).is_ok();
        self.report.send(free).ok();
    }
}

fn owned(size: usize, sender: &Sender) -> (Bytes, Receiver<bool>) {
    let (report, reported) = channel();
    (Bytes::from_owner(Owner { octets: vec![7; size], sender: sender.clone(), report }), reported)
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_were_written_are_dropped_where_the_connection_is_free() {
    let mut pair = pair().await;
    let (sender, _receiver) = pair.client_sends(Credit::Window(10)).await;
    for size in [10, 10_000] {
        let (octets, dropped) = owned(size, &sender);
        let options = SendOptions { settled: true, ..SendOptions::default() };
        // A data section of this many octets begins so.
        let head = [&b"\0\x53\x75\xb0"[..], &u32::try_from(size).expect("few").to_be_bytes()].concat();
        let message = EncodedMessage::from_parts([Bytes::from(head), octets]);
        let receipt = sender.reserve().await.expect("credit").send_with(message, options).expect("queued");
        soon(receipt).await.expect("it has left").into_result().expect("settled");
        let free = tokio::task::spawn_blocking(move || dropped.recv_timeout(Duration::from_secs(10)));
        assert_eq!(free.await.expect("no panic"), Ok(true), "{size} octets");
    }
}

#[tokio::test(start_paused = true)]
async fn octets_that_are_given_up_are_dropped_where_the_connection_is_free() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, accepted) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link).streamed().accept().map(AcceptedLink::Receiver).expect("accepted")
    });
    let (sender, AcceptedLink::Receiver(mut receiver)) = (sender.expect("a sender"), accepted) else {
        panic!("the client sends")
    };
    let mut stream = soon(sender.stream(Message::builder())).await.expect("a stream");
    let mut owners = Vec::new();
    // Until the receiver's session and this end hold what they may.
    loop {
        let (octets, dropped) = owned(64 * 1024, &sender);
        match tokio::time::timeout(Duration::from_secs(30), stream.write(octets)).await {
            Ok(written) => written.expect("written"),
            Err(_) => break,
        }
        owners.push(dropped);
    }
    let mut message = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
    soon(message.octets()).await.expect("octets");
    message.settle(DeliveryState::Accepted).expect("settled");
    let all = tokio::task::spawn_blocking(move || {
        owners.iter().map(|dropped| dropped.recv_timeout(Duration::from_secs(10))).collect::<Result<Vec<_>, _>>()
    });
    let all = all.await.expect("no panic").expect("all are dropped");
    assert!(all.iter().all(|free| *free), "{all:?}");
    drop(stream);
}

/// Of each message that is not sent: refused, given up by its caller, or left on a link that ends.
#[tokio::test(start_paused = true)]
async fn octets_that_are_not_sent_are_dropped_where_the_connection_is_free() {
    let mut pair = pair().await;
    let (sender, receiver) = pair.client_sends(Credit::Window(10)).await;
    let message = |octets: &Bytes| {
        let head = [&b"\0\x53\x75\xb0"[..], &u32::try_from(octets.len()).expect("few").to_be_bytes()].concat();
        EncodedMessage::from_parts([Bytes::from(head), octets.clone()])
    };
    let mut owners = Vec::new();
    // Waits when the connection ends, or is refused because its tag is in use, or because the connection has ended.
    let (octets, dropped) = owned(10_000, &sender);
    owners.push(dropped);
    let options = || SendOptions { tag: DeliveryTag::new(b"tag").ok(), ..SendOptions::default() };
    let permit = soon(sender.reserve()).await.expect("credit");
    let second = soon(sender.reserve()).await.expect("credit");
    let last = soon(sender.reserve()).await.expect("credit");
    let receipt = permit.send_with(message(&octets), options()).expect("queued");
    drop(octets);
    let (octets, dropped) = owned(10_000, &sender);
    owners.push(dropped);
    second.send_with(message(&octets), options()).expect_err("the tag is in use");
    drop(octets);
    let over = AmqpError::new(ErrorCondition::INTERNAL_ERROR, "over");
    soon(pair.client.close_with(Some(over))).await.expect("closed");
    soon(receipt).await.expect_err("the connection is closed");
    drop(receiver);
    let (octets, dropped) = owned(10_000, &sender);
    owners.push(dropped);
    last.send(message(&octets)).expect_err("the connection is closed");
    drop(octets);
    let all = tokio::task::spawn_blocking(move || {
        owners.iter().map(|dropped| dropped.recv_timeout(Duration::from_secs(10))).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(all.await.expect("no panic"), Ok(vec![true; 3]));
}
