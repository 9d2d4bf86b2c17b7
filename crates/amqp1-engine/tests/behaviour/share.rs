//! Links and sessions side by side: what one of them does not take is no loss of the others.

use amqp1_codec::{definitions::Role, messaging::DeliveryState};
use amqp1_engine::{AttachReply, LinkId, SenderConfig, SessionConfig, SessionId};
use amqp1_testkit::*;

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
    assert!(!pair.client.output(now, 200_000).is_empty());
    let before = pair.client.written.len();
    pair.client.send(small, message(1, 10), unsettled(2)).unwrap();
    let next = pair.client.output(now, 200_000);
    let handles: Vec<_> = frames(&next)
        .into_iter()
        .filter_map(|(_, body, _)| match body {
            Some(amqp1_codec::performative::Performative::Transfer(transfer)) => Some(transfer.handle),
            _ => None,
        })
        .collect();
    assert!(handles.iter().take(3).any(|handle| *handle == 1), "{handles:?}");
    assert!(pair.client.written.len() > before && pair.client.queued(large) > 99_000_000);
}
