//! Leaving cleanly, and by force: what was settled is said, and what cannot be said any more is an error.

use crate::peers::raw::Raw;
use crate::support::{self, body, gated_pair, mute, pair, pair_with, soon};
use amqp1::{
    Acceptor, Client, Connection, Credit, Delivered, Delivery, Error, ErrorKind, Outcome, Receipt, Receiver, Retry,
    Sender, Session,
    codec::{
        Encode, EncodeStyle, SequenceNo,
        frame::FrameWriter,
        performative::{Detach, End, Flow, Performative, Transfer},
    },
    error::{AmqpError, ErrorCondition},
    link::SenderSettleMode,
};
use bytes::BytesMut;
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

async fn begun() -> (Connection, Session, Raw) {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    (connection, session.expect("a session"), raw)
}

/// Deliveries in the hands of a client, and the receipts of their sender.
async fn in_hand(pair: &mut support::Pair) -> (Receiver, Vec<Delivery>, Sender, Vec<Receipt>) {
    let (sender, mut receiver) = pair.client_receives(Credit::Window(50)).await;
    let (mut receipts, mut deliveries) = (Vec::new(), Vec::new());
    for number in 0..21 {
        receipts.push(sender.reserve().await.expect("credit").send(body(number)).expect("queued"));
    }
    for _ in 0..21 {
        deliveries.push(receiver.recv().await.expect("a link").expect("a delivery"));
    }
    (receiver, deliveries, sender, receipts)
}

async fn all_accepted(receipts: Vec<Receipt>) {
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

fn accept(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        delivery.accept().expect("the detach has not left");
    }
}

#[tokio::test]
async fn what_is_settled_while_a_link_is_closed_goes_before_its_detach() {
    for closes in [Some(true), Some(false), None] {
        let mut pair = pair().await;
        let (receiver, mut deliveries, sender, receipts) = in_hand(&mut pair).await;
        let late = deliveries.split_off(10);
        accept(deliveries);
        let leaving = async {
            match closes {
                Some(true) => receiver.close().await,
                Some(false) => receiver.detach().await,
                None => receiver.detach_with(None, true).await,
            }
        };
        let (left, ()) = tokio::join!(leaving, async { accept(late) });
        left.expect("answered");
        all_accepted(receipts).await;
        drop(sender);
    }
}

#[tokio::test]
async fn what_is_settled_is_said_before_a_close_that_has_an_error() {
    let forced = || Some(AmqpError::new(ErrorCondition::CONNECTION_FORCED, "the process ends"));
    let mut pair = pair().await;
    let (_receiver, deliveries, _sender, receipts) = in_hand(&mut pair).await;
    accept(deliveries);
    pair.client.close_with(forced()).await.expect("answered");
    all_accepted(receipts).await;
}

/// A receiver, and a delivery that it has taken.
async fn received(session: &Session, raw: &mut Raw) -> (Receiver, Delivery) {
    let (receiver, ()) = tokio::join!(session.receiver("q").attach(), async {
        let attach = raw.attach().await;
        raw.answer_as_sender(&attach).await;
    });
    let mut receiver = receiver.expect("a receiver");
    let transfer = Transfer {
        delivery_id: Some(SequenceNo(0)),
        delivery_tag: Some(0.into()),
        message_format: Some(0),
        ..Transfer::default()
    };
    let mut out = BytesMut::new();
    let frame = FrameWriter::begin(0, &mut out);
    transfer.encode(EncodeStyle::Compact, &mut out);
    out.extend_from_slice(b"\x00\x53\x75\xa0\x05hello");
    frame.finish(0, &mut out);
    raw.octets(&out).await;
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    (receiver, delivery)
}

#[tokio::test]
async fn what_is_settled_after_the_detach_has_left_is_an_error_that_says_so() {
    let (_connection, session, mut raw) = begun().await;
    let (receiver, delivery) = received(&session, &mut raw).await;
    let (closed, ()) = tokio::join!(receiver.close(), async {
        raw.detach_seen().await;
        let error = delivery.accept().expect_err("nothing can be said any more");
        assert_eq!(error.kind(), ErrorKind::LinkDetached);
        assert!(error.to_string().contains("before the delivery was settled"), "{error}");
        raw.send(Detach { handle: 0, closed: true, error: None }).await;
    });
    closed.expect("answered");
}

/// The client's frames, as far as they are there already.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn what_was_settled_is_written_when_flush_returns() {
    let (connection, session, mut raw) = begun().await;
    let (_receiver, delivery) = received(&session, &mut raw).await;
    delivery.accept().expect("queued");
    let disposition = |body: &Performative| matches!(body, Performative::Disposition(_));
    soon(connection.flush()).await.expect("written");
    assert!(at_once(raw.until(disposition)).is_some());
    // With nothing to write, and twice at once.
    let (first, second) = soon(async { tokio::join!(connection.flush(), connection.flush()) }).await;
    first.and(second).expect("written");
    drop(raw);
    assert_eq!(soon(connection.closed()).await, amqp1::error::ConnectionError::TransportLost);
    assert_eq!(connection.flush().await.expect_err("over").kind(), ErrorKind::TransportLost);
}

/// Messages that never end do not keep it waiting.
#[tokio::test]
async fn flush_does_not_wait_for_messages() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(50)).await;
    let sends = tokio::spawn(async move {
        while let Ok(permit) = sender.reserve().await {
            drop(permit.send(vec![0; 50_000]).expect("queued"));
        }
    });
    let takes = tokio::spawn(async move {
        while let Ok(Some(delivery)) = receiver.recv().await {
            delivery.accept().expect("queued");
        }
    });
    for _ in 0..20 {
        soon(pair.client.flush()).await.expect("written");
    }
    sends.abort();
    takes.abort();
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_takes_nothing_fails_a_flush() {
    let (mut pair, gate) = gated_pair().await;
    let (_receiver, deliveries, _sender, _receipts) = in_hand(&mut pair).await;
    gate.stick();
    accept(deliveries);
    let error = pair.client.flush().await.expect_err("stuck");
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::IdleTimeout), "{error}");
    assert_eq!(error.retry(), Retry::ReopenConnection);
}

/// A message waits for the peer's window, and settlements were stated.
#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_what_cannot_be_sent_says_what_was_settled_and_keeps_to_its_limit() {
    let (connection, session, mut raw) = begun().await;
    let (_receiver, delivery) = received(&session, &mut raw).await;
    let (sender, ()) = tokio::join!(session.sender("q").attach(), async {
        let mut attach = raw.attach().await;
        attach.role = attach.role.opposite();
        attach.initial_delivery_count = None;
        let handle = attach.handle;
        raw.send(attach).await;
        let credit = (Some(handle), Some(SequenceNo(0)), Some(5));
        let (handle, delivery_count, link_credit) = credit;
        let next_incoming_id = Some(SequenceNo(0));
        raw.send(Flow { next_incoming_id, handle, delivery_count, link_credit, ..Flow::default() }).await;
    });
    let sender = sender.expect("a sender");
    let receipt = soon(sender.reserve()).await.expect("credit").send("x").expect("queued");
    delivery.accept().expect("queued");
    let start = tokio::time::Instant::now();
    let (shut, ()) = tokio::join!(connection.shutdown(Duration::from_secs(3)), async {
        raw.until(|body| matches!(body, Performative::Disposition(_))).await;
        match raw.until(|body| !matches!(body, Performative::Flow(_))).await {
            Performative::Close(close) => {
                let condition = close.error.expect("a reason").condition;
                assert_eq!(condition, ErrorCondition::CONNECTION_FORCED);
            }
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(shut.expect_err("not closed cleanly").kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(receipt.await.expect_err("not sent").delivered(), Delivered::No);
}

/// The peer's window lets one of two messages leave: of that one the peer may know, of the other it cannot.
#[tokio::test]
async fn what_waits_to_be_sent_when_the_connection_breaks_does_not_count_as_sent() {
    for mode in [SenderSettleMode::Settled, SenderSettleMode::Unsettled] {
        let (_connection, session, mut raw) = begun().await;
        let (sender, ()) = tokio::join!(session.sender("q").settle_mode(mode).attach(), async {
            let attach = raw.attach().await;
            raw.answer(&attach, None).await;
            let flow = Flow { handle: Some(attach.handle), delivery_count: Some(SequenceNo(0)), ..Flow::default() };
            let next_incoming_id = Some(SequenceNo(0));
            raw.send(Flow { next_incoming_id, incoming_window: 1, link_credit: Some(2), ..flow }).await;
        });
        let sender = sender.expect("a sender");
        let mut receipts = Vec::new();
        for _ in 0..2 {
            receipts.push(soon(sender.reserve()).await.expect("credit").send("x").expect("queued"));
        }
        raw.until(|body| matches!(body, Performative::Transfer(_))).await;
        drop(raw);
        let waits = receipts.pop().expect("two");
        let left = soon(receipts.pop().expect("two")).await;
        match mode {
            SenderSettleMode::Settled => assert_eq!(left.expect("sent"), Outcome::SentSettled),
            _ => assert_eq!(left.expect_err("no outcome").delivered(), Delivered::Unknown),
        }
        assert_eq!(soon(waits).await.expect_err("not sent").delivered(), Delivered::No, "{mode:?}");
    }
}

#[tokio::test]
async fn a_shutdown_that_is_answered_is_a_close() {
    let mut pair = pair().await;
    let (_receiver, deliveries, _sender, receipts) = in_hand(&mut pair).await;
    accept(deliveries);
    soon(pair.client.shutdown(Duration::from_secs(600))).await.expect("answered");
    all_accepted(receipts).await;
}

/// As some brokers refuse a link: with the end of its session.
#[tokio::test]
async fn every_error_of_a_session_that_a_refused_attach_has_ended_says_why() {
    let (_connection, session, mut raw) = begun().await;
    let (receiver, delivery) = received(&session, &mut raw).await;
    let mut receiver = receiver;
    let (refused, ()) = tokio::join!(session.sender("missing").attach(), async {
        raw.attach().await;
        raw.send(End { error: Some(AmqpError::new(ErrorCondition::NOT_FOUND, "no queue 'missing'")) }).await;
    });
    let says_why = |what: &str, error: Error| {
        assert_eq!(error.kind(), ErrorKind::SessionEnded, "{what}: {error}");
        assert_eq!(error.condition(), Some(&ErrorCondition::NOT_FOUND), "{what}: {error}");
        assert_eq!((error.retry(), error.delivered()), (Retry::Never, Delivered::No), "{what}: {error}");
        assert!(error.to_string().contains("no queue 'missing'"), "{what}: {error}");
    };
    says_why("attach", refused.expect_err("refused"));
    says_why("another attach", session.receiver("q").attach().await.expect_err("over"));
    says_why("requester", session.requester("q").attach().await.expect_err("over"));
    says_why("transactions", session.transactions().await.expect_err("over"));
    says_why("settle", delivery.accept().expect_err("over"));
    says_why("credit", receiver.set_credit(Credit::Manual(1)).expect_err("over"));
    says_why("recv", receiver.recv().await.expect_err("over"));
    says_why("close", receiver.close().await.expect_err("over"));
    says_why("end", session.end().await.expect_err("over"));
    assert_eq!(session.ended().await.error.expect("a reason").condition, ErrorCondition::NOT_FOUND);
}

// Time. The clock is virtual.

/// Closed in any way, at any time-out.
#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_says_so_always_in_the_same_way() {
    let error = || Some(AmqpError::new(ErrorCondition::CONNECTION_FORCED, "the process ends"));
    let mut texts = Vec::new();
    for operation_timeout in [2, 60] {
        for condition in [None, error()] {
            let (near, far) = tokio::io::duplex(4096);
            let kept = tokio::spawn(async move {
                let mut far = far;
                support::handshake_only(&mut far).await;
                std::future::pending::<()>().await;
            });
            let timeout = Duration::from_secs(operation_timeout);
            let connection = support::client(near, |builder| builder.operation_timeout(timeout)).await;
            for _ in 0..2 {
                let error = connection.close_with(condition.clone()).await.expect_err("no answer");
                assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenConnection));
                texts.push(error.to_string());
            }
            kept.abort();
        }
    }
    texts.dedup();
    assert_eq!(texts, ["the peer did not answer the close in time"]);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_at_a_peer_that_says_nothing_needs_another_connection() {
    let (near, far) = tokio::io::duplex(4096);
    let _peer = mute(far);
    let connection = support::client(near, |builder| builder.idle_timeout(None)).await;
    let error = connection.begin().await.expect_err("no answer");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenConnection));

    let acceptor = Acceptor::builder().build();
    let silent = |builder: amqp1::ClientBuilder| builder.idle_timeout(None);
    let mut pair = pair_with(silent, &acceptor).await;
    let (sender, receiver) = pair.client_sends(Credit::Window(5)).await;
    let error = sender.send("x").await.expect_err("no outcome");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown));
    assert_eq!(error.retry(), Retry::ReopenConnection);
    drop(receiver);
}

/// Heartbeats show that it lives.
#[tokio::test(start_paused = true)]
async fn what_takes_too_long_at_a_peer_that_lives_needs_another_link_and_a_request_only_another_try() {
    let mut pair = pair().await;
    let (sender, _receiver) = pair.client_sends(Credit::Window(5)).await;
    let error = sender.send("x").await.expect_err("no outcome");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenLink));
    let session = pair.session().await;
    let (requester, _links) = tokio::join!(session.requester("node").reply_to_unsaid().attach(), async {
        let first = pair.server.next_link().await.expect("a link").accept_default().expect("accepted");
        (first, pair.server.next_link().await.expect("a link").accept_default().expect("accepted"))
    });
    let error = requester.expect("a requester").request(amqp1::Message::builder().data("?")).await;
    let error = error.expect_err("no answer");
    assert_eq!((error.kind(), error.retry(), error.delivered()), (ErrorKind::Timeout, Retry::Now, Delivered::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_has_delivered_nothing() {
    let (near, far) = tokio::io::duplex(4096);
    let kept = far;
    let error = Client::builder("amqp://server.test")
        .connect_with(support::checked::Checked::new(near))
        .await
        .expect_err("no answer");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::No));
    assert_eq!(error.retry(), Retry::ReopenConnection);
    drop(kept);
}
