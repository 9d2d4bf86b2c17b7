//! Links and sessions side by side: what one of them does not take is no loss of the others.

use amqp1_codec::{definitions::Role, messaging::DeliveryState};
use amqp1_engine::{AttachReply, LinkId, SessionConfig, SessionId};
use amqp1_testkit::*;

fn accept(pair: &mut Pair, session: SessionId, name: &'static str, streamed: bool) -> (LinkId, LinkId) {
    pair.server.accept.links = None;
    let tx = pair.client.attach_sender(session, sender(name)).unwrap();
    pair.drive();
    let rx = pair.server.offered(name, Role::Receiver);
    let attach = pair.server.remote_attach(rx).unwrap().clone();
    pair.server.accept_link(rx, AttachReply { streamed, ..AttachReply::echo(&attach) }).unwrap();
    pair.drive();
    (tx, rx)
}

#[test]
fn a_stalled_stream_holds_only_its_share_of_the_window() {
    let mut pair = Pair::open();
    let (session, _) = pair.session_with(SessionConfig::default());
    let (stalled, unread) = accept(&mut pair, session, "stalled", true);
    let (tx, rx) = accept(&mut pair, session, "other", false);
    // A peer that opens its window in time is known by what it has done.
    for token in 0..200 {
        pair.client.send(tx, message(1, 10), unsettled(token)).unwrap();
        pair.drive();
        for delivery in pair.server.take_all(rx) {
            pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
        }
        pair.drive();
    }
    pair.client.begin_delivery(stalled, unsettled(1000)).unwrap();
    pair.client.write(stalled, body(0, 64 * 1024 * 1024)).unwrap();
    pair.drive();
    let held = pair.server.buffered_octets(unread);
    assert!(held <= 2 * 1024 * 1024 + 64 * 1024, "{held}");
    pair.client.forget();
    for token in 0..500 {
        pair.client.send(tx, message(2, 100), unsettled(token)).unwrap();
        pair.drive();
        for delivery in pair.server.take_all(rx) {
            pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
        }
        pair.drive();
    }
    assert_eq!(pair.client.settled.len(), 500);
    assert_eq!(pair.server.buffered_octets(unread), held);
    // When it is taken from, it goes on.
    let mut got = 0;
    while got < 64 * 1024 * 1024 {
        let before = got;
        while let Some(item) = pair.server.poll_stream(unread) {
            if let amqp1_engine::StreamItem::Data(octets) = item {
                got += octets.len();
            }
        }
        pair.drive();
        pair.client.written.clear();
        assert!(got > before, "stuck at {got}");
    }
}

#[test]
fn a_peer_that_opens_its_window_only_when_it_is_used_up_gets_all_of_it() {
    // The engine on the other side has a window of one frame at a time: nothing is left to wait with.
    let mut pair = Pair::open();
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: 1, ..SessionConfig::default() });
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 1_000_000), unsettled(0)).unwrap();
    pair.drive();
    assert_eq!(pair.server.take_all(rx).len(), 1);
}
