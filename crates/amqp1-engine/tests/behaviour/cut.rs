//! A transport that ends without a close, wherever that is.

use amqp1_codec::{definitions::Role, frame::ProtocolHeader};
use amqp1_engine::{
    ApiMisuse, Connection, ConnectionConfig, ConnectionError, Credit, Event, Instant, SendError, ServerSasl,
    Settlement, TransmitQueue,
};
use amqp1_testkit::*;
use bytes::BytesMut;

/// A conversation of everything, over a transport that breaks after so many octets each way; and the tokens of the
/// messages that the client's engine has taken.
fn conversation(up: Option<usize>, down: Option<usize>) -> (Pair, Vec<u64>) {
    let whole = up.is_none() && down.is_none();
    let (client, server) = Pair::configs();
    let mut pair = Pair::with(client, server);
    (pair.up.cut_after, pair.down.cut_after) = (up, down);
    let session = pair.client.begin(Default::default()).unwrap();
    let tx = pair.client.attach_sender(session, sender("a")).unwrap();
    let rx = pair.client.attach_receiver(session, receiver("b", Credit::Window(5))).unwrap();
    pair.drive();
    // Where the transport is cut already there is no credit.
    let mut taken = Vec::new();
    for token in 0..3 {
        match pair.client.send(tx, message(token, 40), unsettled(token as u64)) {
            Ok(()) => taken.push(token as u64),
            Err(error) => assert!(!whole && matches!(error, SendError::NoCredit | SendError::Detached), "{error:?}"),
        }
    }
    pair.drive();
    for link in pair.server.offered_links() {
        if pair.server.remote_attach(link).is_some_and(|attach| attach.role == Role::Receiver) {
            let sent = pair.server.send(link, message(9, 9), settled(9));
            let cut = [Err(SendError::NoCredit), Err(SendError::Detached)];
            assert!(sent.is_ok() || !whole && cut.contains(&sent), "{sent:?}");
        }
        for delivery in pair.server.take_all(link) {
            pair.server.dispose(link, delivery.key, amqp1_codec::messaging::DeliveryState::Accepted).unwrap();
        }
    }
    pair.drive();
    let detached = pair.client.detach(rx, true, None);
    assert!(detached.is_ok() || !whole && detached == Err(ApiMisuse::UnknownLink), "{detached:?}");
    pair.drive();
    pair.client.engine.close(pair.now, None);
    pair.drive();
    (pair, taken)
}

/// Links go before their session, sessions before the connection, each once, and nothing stays open.
fn check_events(end: &End) {
    let (mut links, mut sessions) = (Vec::new(), Vec::new());
    for event in &end.events {
        match event {
            Event::LinkDetached(id, _) => {
                assert!(!links.contains(id), "{:?}", end.events);
                links.push(*id);
            }
            Event::SessionEnded(id, _) => {
                assert!(!sessions.contains(id), "{:?}", end.events);
                sessions.push(*id);
            }
            Event::LinkOffered(id) | Event::LinkAttached(id) | Event::Receivable(id) | Event::Sendable(id) => {
                assert!(!links.contains(id), "{event:?} after its end");
            }
            _ => {}
        }
    }
    let known: Vec<_> = end.offered_links();
    assert!(known.iter().all(|id| links.contains(id)), "{:?}", end.events);
    assert!(end.offered_sessions().iter().all(|id| sessions.contains(id)), "{:?}", end.events);
    end.closed();
}

#[test]
fn the_end_of_the_transport_at_any_octet_ends_everything_once() {
    let (whole, taken) = conversation(None, None);
    assert_eq!((taken.len(), whole.client.settled.len(), whole.server.settled.len()), (3, 3, 1));
    let (up, down) = (whole.client.written.len(), whole.server.written.len());
    for cut in 0..up.max(down) {
        for (up, down) in [(Some(cut), None), (None, Some(cut)), (Some(cut), Some(cut))] {
            let (mut pair, taken) = conversation(up, down);
            pair.sleep(secs(100));
            for end in [&pair.client, &pair.server] {
                check_events(end);
                assert!(end.is_finished() && end.poll_timeout().is_none());
            }
            // Each message that was taken for sending has one fate.
            let mut tokens: Vec<_> = pair.client.settlements().into_iter().map(|(token, _)| token).collect();
            tokens.sort_unstable();
            assert_eq!(tokens, taken);
        }
    }
}

#[test]
fn messages_on_their_way_are_lost_and_said_to_be_sent_or_not() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.send(tx, message(0, 100), unsettled(0)).unwrap();
    pair.client.send(tx, message(1, 100_000), settled(1)).unwrap();
    pair.client.send(tx, message(2, 10), settled(2)).unwrap();
    pair.client.send(tx, message(3, 10), unsettled(3)).unwrap();
    pair.client.output(pair.now, 1000);
    pair.client.engine.handle_eof(pair.now);
    pair.client.look();
    let mut fates = pair.client.settlements();
    fates.sort_by_key(|(token, _)| *token);
    let lost = |sent| Settlement::Lost { sent };
    assert_eq!(fates, [(0, lost(true)), (1, lost(true)), (2, lost(false)), (3, lost(false))]);
    assert_eq!(pair.client.closed(), ConnectionError::TransportLost);
}

#[test]
fn nothing_is_written_after_the_end_of_the_transport() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.send(tx, message(0, 100), unsettled(0)).unwrap();
    pair.client.begin(Default::default()).unwrap();
    pair.client.engine.handle_eof(pair.now);
    assert!(pair.client.output(pair.now, usize::MAX).is_empty());
    assert!(pair.client.is_finished());
}

#[test]
fn a_refusal_is_written_even_if_the_peer_has_stopped_writing() {
    let mut peer = Peer::with_session();
    peer.end.input.extend_from_slice(&frame(0, begin(), b""));
    peer.end.take_input(peer.now);
    peer.end.engine.handle_eof(peer.now);
    peer.end.look();
    assert_eq!(peer.names(), ["close"]);
    assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)));
}

#[test]
fn the_end_of_the_transport_is_no_surprise_after_a_close() {
    let mut pair = Pair::open();
    pair.down.stalled = true;
    pair.client.engine.close(pair.now, None);
    pair.drive();
    pair.client.engine.handle_eof(pair.now);
    pair.client.look();
    assert_eq!(pair.client.closed(), ConnectionError::LocallyClosed);
    pair.client.engine.handle_eof(pair.now);
    pair.client.look();
    pair.client.closed();
}

/// Also before the header of this end has left.
#[test]
fn nothing_is_written_to_a_transport_that_has_ended() {
    let mut server = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, Instant::default());
    server.handle_input(Instant::default(), &mut BytesMut::from(&ProtocolHeader::AMQP.encode()[..]));
    assert!(server.has_output());
    server.handle_eof(Instant::default());
    assert!(server.is_finished());
    let mut out = TransmitQueue::default();
    server.transmit(Instant::default(), 1_000, &mut out);
    assert!(out.to_vec().is_empty());
}
