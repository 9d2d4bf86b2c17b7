//! Links and sessions side by side: what one of them does not take is no loss of the others.

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Begin, Flow},
};
use amqp1_engine::{AttachReply, ConnectionConfig, LinkId, SenderConfig, SessionConfig, SessionId};
use amqp1_testkit::*;
use core::time::Duration;

fn accept(pair: &mut Pair, session: SessionId, name: &'static str, streamed: bool) -> (LinkId, LinkId) {
    pair.server.accept.links = None;
    let tx = pair.client.attach_sender(session, sender(name)).unwrap();
    pair.drive();
    let rx = pair.server.offered(name, Role::Receiver);
    let attach = pair.server.remote_attach(rx).unwrap();
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
    pair.client.finish(stalled).unwrap();
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

/// Two hundred sessions with fifty links each, in both directions, on one connection.
#[test]
fn ten_thousand_links_in_hundreds_of_sessions_work_side_by_side() {
    let mut pair = Pair::open();
    let mut links = Vec::new();
    for session in 0..200 {
        let (session_id, _) = pair.session();
        for link in 0..50 {
            let config = SenderConfig { name: format!("{session}/{link}").into(), ..sender("") };
            links.push(pair.client.attach_sender(session_id, config).unwrap());
        }
        pair.drive();
        pair.client.events.clear();
    }
    for (token, link) in links.iter().enumerate() {
        pair.client.send(*link, message(token, 20), unsettled(token as u64)).unwrap();
    }
    pair.drive();
    for link in pair.server.offered_links() {
        let [delivery] = &pair.server.take_all(link)[..] else { panic!("one delivery") };
        pair.server.dispose(link, delivery.key, DeliveryState::Accepted).unwrap();
    }
    pair.drive();
    assert_eq!(pair.client.settled.len(), 10_000);
}

/// While a message of a hundred megabytes is on its way: another link's message passes within a few frames, and the
/// peer hears enough to know that we live.
#[test]
fn a_message_of_a_hundred_megabytes_starves_nobody() {
    let (mut client, server) = Pair::configs();
    client.outgoing_frame_cap = 64 * 1024;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (large, _) = pair.sender(session, "large");
    let (small, _) = pair.sender(session, "small");
    let body = amqp1_codec::EncodedMessage::from_parts([
        bytes::Bytes::from_static(b"\x00\x53\x75\xb0\x05\xf5\xe1\x00"),
        bytes::Bytes::from(vec![0; 100_000_000]),
    ]);
    pair.client.send(large, body, unsettled(1)).unwrap();
    let now = pair.now;
    // A few frames of it are under way.
    let handles = |written: &[u8]| -> Vec<_> {
        let handles = frames(written).into_iter().filter_map(|(_, body, _)| match body {
            Some(amqp1_codec::performative::Performative::Transfer(transfer)) => Some(transfer.handle),
            _ => None,
        });
        handles.collect()
    };
    let of_large = handles(&pair.client.output(now, 200_000))[0];
    let before = pair.client.written.len();
    pair.client.send(small, message(1, 10), unsettled(2)).unwrap();
    let next = handles(&pair.client.output(now, 200_000));
    assert!(next.iter().take(3).any(|handle| *handle != of_large), "{next:?}");
    assert!(pair.client.written.len() > before && pair.client.queued(large) > 99_000_000);
}

/// A server in frames of 512 octets, whose peer has a window of ten transfers and receives on these links.
fn small_window(names: &[&'static str]) -> (Peer, Vec<LinkId>) {
    let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, Begin { incoming_window: 10, ..begin() });
    for (handle, name) in (0..).zip(names) {
        peer.send(0, attach(name, handle, Role::Receiver));
        peer.send(0, Flow { incoming_window: 10, ..credit(handle, 1000) });
    }
    peer.read();
    let links = peer.end.offered_links();
    (peer, links)
}

/// The peer has seen all that was sent, and widens its window.
fn widen(peer: &mut Peer, seen: u32) {
    peer.send(0, Flow { next_incoming_id: Some(seen.into()), ..session_flow(10) });
}

/// Two messages of one transfer each, of which the peer takes one at a time.
fn learns_that_the_window_is_widened_in_time(peer: &mut Peer, link: LinkId) {
    for seen in 1..=2 {
        peer.end.send(link, message(1, 10), settled(0)).unwrap();
        assert_eq!(peer.names(), ["transfer"]);
        widen(peer, seen);
    }
}

#[test]
fn a_delivery_uses_all_of_the_window_where_no_other_link_sends() {
    let (mut peer, links) = small_window(&["l"]);
    learns_that_the_window_is_widened_in_time(&mut peer, links[0]);
    // It takes ten frames, and the peer widens its window when it has all of them.
    peer.end.send(links[0], message(1, 4500), settled(1)).unwrap();
    assert_eq!(peer.names(), ["transfer"; 10]);
    assert_eq!(peer.end.queued(links[0]), 0);
}

/// As long as another link sends something now and then, it has its part.
#[test]
fn a_delivery_uses_the_rest_of_the_window_when_no_other_link_needs_it() {
    let (mut peer, links) = small_window(&["large", "small"]);
    learns_that_the_window_is_widened_in_time(&mut peer, links[1]);
    peer.end.send(links[0], message(1, 4500), settled(1)).unwrap();
    assert_eq!(peer.names(), ["transfer"; 5]);
    let start = peer.now;
    assert_eq!(peer.end.poll_timeout(), Some(start + secs(1)));
    peer.now = start + Duration::from_millis(900);
    peer.end.send(links[1], message(1, 10), settled(2)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    peer.now = start + Duration::from_millis(1800);
    peer.end.take_timeout(peer.now);
    assert!(peer.names().is_empty());
    peer.now = start + Duration::from_millis(1900);
    peer.end.take_timeout(peer.now);
    // Four are left, and those that do not fit leave when it is widened.
    assert_eq!(peer.names(), ["transfer"; 4]);
    widen(&mut peer, 12);
    assert_eq!(peer.names(), ["transfer"]);
    assert_eq!(peer.end.queued(links[0]), 0);
}

/// A window that is widened in between is none to use up at once.
#[test]
fn the_wait_for_the_window_begins_again_when_it_is_widened() {
    let (mut peer, links) = small_window(&["large", "small"]);
    learns_that_the_window_is_widened_in_time(&mut peer, links[1]);
    peer.end.send(links[0], message(1, 20_000), settled(1)).unwrap();
    assert_eq!(peer.names(), ["transfer"; 5]);
    peer.now = peer.now + Duration::from_millis(900);
    widen(&mut peer, 7);
    assert_eq!(peer.names(), ["transfer"; 5]);
    peer.now = peer.now + Duration::from_millis(900);
    peer.end.take_timeout(peer.now);
    assert!(peer.names().is_empty());
    let session = peer.end.session_of(links[0]).unwrap();
    peer.end.end(session, Some(error(ErrorCondition::INTERNAL_ERROR))).unwrap();
    peer.send(0, amqp1_codec::performative::End::default());
    let deadline = peer.end.poll_timeout().unwrap();
    assert!(deadline > peer.now + secs(10), "nothing waits any more: {deadline:?}");
}

/// Its share is smaller, so that it passes the one that waits.
#[test]
fn a_delivery_that_passes_one_that_waits_does_not_end_its_wait() {
    let (mut peer, links) = small_window(&["large", "two"]);
    learns_that_the_window_is_widened_in_time(&mut peer, links[1]);
    peer.end.send(links[0], message(1, 4500), settled(1)).unwrap();
    assert_eq!(peer.names(), ["transfer"; 5]);
    peer.now = peer.now + Duration::from_millis(900);
    peer.end.send(links[1], message(1, 600), settled(2)).unwrap();
    assert_eq!(peer.names(), ["transfer"; 2]);
    let until = peer.now + secs(1);
    assert_eq!(peer.end.poll_timeout(), Some(until));
    peer.now = until;
    peer.end.take_timeout(until);
    assert_eq!(peer.names(), ["transfer"; 3], "the rest of the window is used");
    widen(&mut peer, 12);
    assert_eq!(peer.names(), ["transfer"; 2]);
    assert_eq!(peer.end.queued(links[0]), 0);
}
