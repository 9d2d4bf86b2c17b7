//! Payloads that will not be sent are kept for the runtime to drop: their owners' code may use the connection.

use amqp1_codec::{EncodedMessage, definitions::ErrorCondition, messaging::DeliveryState};
use amqp1_engine::{Credit, LinkId, SendError, SenderConfig, SessionConfig, Settlement, StreamItem};
use amqp1_testkit::*;
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

/// Counts how often it is dropped.
struct Owner(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
    }
}

#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    fn octets(&self, size: usize) -> Bytes {
        Bytes::from_owner(Owner(vec![7; size], self.0.clone()))
    }

    fn message(&self) -> EncodedMessage {
        // A data section of this many octets begins so.
        EncodedMessage::from_parts([Bytes::from_static(b"\0\x53\x75\xb0\0\0\x10\0"), self.octets(4096)])
    }

    /// None was dropped by the engine, and so many were waiting to be.
    #[track_caller]
    fn taken_from(&self, end: &mut End, expected: usize) {
        assert_eq!(self.0.load(SeqCst), 0, "dropped by the engine");
        drop(end.take_discarded());
        assert_eq!(self.0.load(SeqCst), expected);
        self.0.store(0, SeqCst);
    }
}

/// A client's sender.
fn link(pair: &mut Pair) -> LinkId {
    let (session, _) = pair.session();
    pair.sender(session, "l").0
}

#[test]
fn a_message_or_a_piece_that_is_refused_is_given_back() {
    let mut pair = Pair::open();
    let tx = link(&mut pair);
    let dropped = Dropped::default();
    let mut sender = pair.client.sender(tx).unwrap();
    let unsent = sender.write(dropped.octets(10)).unwrap_err();
    assert_eq!((unsent.reason(), unsent.into_inner().len()), (SendError::Detached, 10));
    sender.send(dropped.message(), unsettled(0)).unwrap();
    pair.client.detach(tx, true, None).unwrap();
    let unsent = pair.client.sender(tx).unwrap().send(dropped.message(), unsettled(1)).unwrap_err();
    assert_eq!(unsent.reason(), SendError::Detached);
    assert_eq!(unsent.into_inner().len(), 8 + 4096);
    assert!(pair.client.take_discarded().is_empty());
}

#[test]
fn a_message_that_is_aborted_before_it_has_begun() {
    let mut pair = Pair::open();
    let tx = link(&mut pair);
    let dropped = Dropped::default();
    pair.client.send(tx, dropped.message(), unsettled(0)).unwrap();
    pair.client.abort(tx, 0).unwrap();
    dropped.taken_from(&mut pair.client, 1);
}

/// At once, not when the transfer leaves that aborts them: that may wait for the session's window.
#[test]
fn a_stream_that_is_aborted_or_settled_early() {
    for aborted in [true, false] {
        let mut pair = Pair::open();
        // One transfer leaves, and the next ones wait.
        pair.server.accept.sessions =
            Some(SessionConfig { incoming_window: 1, stream_octets: 1, ..SessionConfig::default() });
        let (session, _) = pair.session();
        let (tx, rx) = pair.sender_answered(session, "l", |reply| {
            (reply.streamed, reply.credit) = (true, Credit::Manual(1));
        });
        let dropped = Dropped::default();
        pair.client.begin_delivery(tx, unsettled(3)).unwrap();
        pair.client.write(tx, body(0, 100)).unwrap();
        pair.drive();
        pair.client.write(tx, dropped.octets(100)).unwrap();
        pair.client.write(tx, dropped.octets(100)).unwrap();
        if aborted {
            pair.client.abort(tx, 3).unwrap();
        } else {
            let Some(StreamItem::Begin { key, .. }) = pair.server.poll_stream(rx) else { panic!("it has begun") };
            pair.server.dispose(rx, key, DeliveryState::Accepted).unwrap();
            let octets = pair.server.output(pair.now, usize::MAX);
            pair.client.input.extend_from_slice(&octets);
            pair.client.take_input(pair.now);
        }
        dropped.taken_from(&mut pair.client, 2);
    }
}

#[test]
fn what_waits_on_a_link_that_ends() {
    let failed = || Some(error(ErrorCondition::INTERNAL_ERROR));
    for end in ["link", "session", "connection", "transport"] {
        let mut pair = Pair::open();
        let tx = link(&mut pair);
        let dropped = Dropped::default();
        pair.client.send(tx, dropped.message(), unsettled(0)).unwrap();
        let session = pair.client.session_of(tx).unwrap();
        match end {
            "link" => pair.client.detach(tx, true, failed()).unwrap(),
            "session" => pair.client.end(session, failed()).unwrap(),
            "connection" => pair.client.engine.close(pair.now, failed()),
            _ => pair.client.engine.handle_eof(pair.now),
        }
        pair.client.look();
        assert_eq!(pair.client.settlements(), [(0, Settlement::Lost { sent: false })], "{end}");
        dropped.taken_from(&mut pair.client, 1);
    }
}

#[test]
fn what_was_kept_to_be_sent_again() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, SenderConfig { resumable: true, ..sender("l") }).unwrap();
    pair.drive();
    let rx = pair.server.names["l"];
    let dropped = Dropped::default();
    pair.client.send(tx, dropped.message(), unsettled(0)).unwrap();
    pair.drive();
    let delivery = pair.server.take_all(rx).remove(0);
    pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
    assert_eq!(dropped.0.load(SeqCst), 0);
    let octets = pair.server.output(pair.now, usize::MAX);
    pair.client.input.extend_from_slice(&octets);
    pair.client.take_input(pair.now);
    dropped.taken_from(&mut pair.client, 1);
}
