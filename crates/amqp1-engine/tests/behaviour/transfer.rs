//! Deliveries of every size, both ways (§2.6.14, §2.7.5).

use crate::corners::outcomes;
use amqp1_codec::{DeliveryTag, EncodedMessage, messaging::DeliveryState, performative::Performative};
use amqp1_engine::{ConnectionConfig, Credit, Event, SendError, SendOptions, Settlement};
use amqp1_testkit::*;

#[test]
fn a_message_arrives_and_is_accepted() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 100), unsettled(7)).unwrap();
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    assert_eq!(deliveries.len(), 1);
    assert_eq!(data(&deliveries[0].message), body(1, 100));
    assert!(!deliveries[0].settled);
    pair.server.dispose(rx, deliveries[0].key, DeliveryState::Accepted).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(7, Settlement::Outcome(Some(DeliveryState::Accepted)))]);
}

#[test]
fn a_server_sends_to_a_client_that_receives() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Window(10));
    assert_eq!(pair.server.credit(tx), 10);
    for token in 0..100 {
        while pair.server.credit(tx) == 0 {
            pair.drive();
            for delivery in pair.client.take_all(rx) {
                pair.client.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
            }
        }
        pair.server.send(tx, message(token, 10), unsettled(token as u64)).unwrap();
    }
    pair.drive();
    assert_eq!(pair.client.take_all(rx).last().map(|delivery| data(&delivery.message)), Some(body(99, 10)));
}

#[test]
fn t_2_6_14_1_ten_mebibytes_arrive_in_frames_of_512_octets() {
    let (client, mut server) = Pair::configs();
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    let length = 10 << 20;
    pair.client.send(tx, message(3, length), unsettled(1)).unwrap();
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    assert_eq!(deliveries.len(), 1);
    assert!(data(&deliveries[0].message) == body(3, length), "the octets differ");
}

#[test]
fn octets_that_arrive_one_by_one_are_put_together() {
    let (mut client, server) = Pair::configs();
    client.max_frame_size = 512;
    let mut pair = Pair::with(client, server);
    (pair.up.segment, pair.down.segment) = (Segment::Of(1), Segment::Of(1));
    pair.drive();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Window(10));
    pair.server.send(tx, message(1, 3000), settled(1)).unwrap();
    pair.drive();
    assert_eq!(pair.server.settlements(), [(1, Settlement::Sent)]);
    assert_eq!(data(&pair.client.take_all(rx)[0].message), body(1, 3000));
}

/// The transfers that an end has written, and how large each frame's payload is.
fn transfers(written: &[u8]) -> Vec<(amqp1_codec::performative::Transfer, usize)> {
    let transfers = frames(written).into_iter().filter_map(|(_, body, payload)| match body {
        Some(Performative::Transfer(transfer)) => Some((transfer, payload.len())),
        _ => None,
    });
    transfers.collect()
}

#[test]
fn t_2_6_14_1_all_transfers_but_the_last_say_more() {
    let (mut client, server) = Pair::configs();
    client.outgoing_frame_cap = 600;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    // Around every size at which the number of frames changes.
    for length in (0..20).chain(440..620).chain(1040..1220) {
        pair.client.written.truncate(0);
        pair.client.send(tx, message(length, length), settled(0)).unwrap();
        let octets = pair.client.output(pair.now, usize::MAX);
        let sent = transfers(&octets);
        let (last, rest) = sent.split_last().unwrap();
        assert!(!last.0.more && last.1 > 0, "{length}: {sent:?}");
        assert!(rest.iter().all(|(transfer, payload)| transfer.more && *payload > 0), "{length}: {sent:?}");
        assert!(items(&octets).iter().all(|item| matches!(item, Item::Frame { size, .. } if *size <= 600)));
        pair.server.engine.handle_input(pair.now, &mut octets[..].into());
        let delivery = pair.server.recv(rx).unwrap();
        assert_eq!(data(&delivery.message), body(length, length));
        let octets = pair.server.output(pair.now, usize::MAX);
        pair.client.engine.handle_input(pair.now, &mut octets[..].into());
    }
}

#[test]
fn t_2_7_1_5_frames_keep_to_the_peers_size_and_to_our_own_cap() {
    for (peers, ours, bound) in [(512, 65_536, 512), (65_536, 512, 512), (4096, 0, 512), (u32::MAX, 1000, 1000)] {
        let (mut client, mut server) = Pair::configs();
        client.outgoing_frame_cap = ours;
        server.max_frame_size = peers;
        let mut pair = Pair::open_with(client, server);
        let (session, _) = pair.session();
        let (tx, _) = pair.sender(session, "l");
        // The second has as long a head as a delivery can have without a state.
        let tag = DeliveryTag::new(&[7; DeliveryTag::MAX]).ok();
        for options in [settled(0), SendOptions { tag, message_format: u32::MAX, ..settled(1) }] {
            pair.client.send(tx, message(0, 20_000), options).unwrap();
        }
        pair.drive();
        let sizes = items(&pair.client.written).into_iter().filter_map(|item| match item {
            Item::Frame { size, .. } => Some(size),
            _ => None,
        });
        assert_eq!(sizes.max(), Some(bound));
    }
}

#[test]
fn an_empty_message_is_one_transfer() {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 1));
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, EncodedMessage::default(), settled(4)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    assert_eq!(peer.end.settlements(), [(4, Settlement::Sent)]);
}

#[test]
fn t_2_6_14_3_links_take_turns_frame_by_frame() {
    let mut pair = {
        let (client, mut server) = Pair::configs();
        server.max_frame_size = 512;
        Pair::open_with(client, server)
    };
    let (session, _) = pair.session();
    let (other, _) = pair.session();
    let links = [pair.sender(session, "a"), pair.sender(session, "b"), pair.sender(other, "c")];
    for (at, (tx, _)) in links.iter().enumerate() {
        pair.client.send(*tx, message(at, 5000), settled(at as u64)).unwrap();
    }
    pair.client.written.clear();
    let written = pair.client.output(pair.now, usize::MAX);
    let order: Vec<_> = frames(&written)
        .into_iter()
        .filter_map(|(channel, body, _)| match body {
            Some(Performative::Transfer(transfer)) => Some((channel, transfer.handle)),
            _ => None,
        })
        .collect();
    // Sessions take turns, and the links of each.
    assert_eq!(order[..6], [(0, 0), (1, 0), (0, 1), (1, 0), (0, 0), (1, 0)]);
    let last = order.iter().rposition(|from| *from == (0, 0)).unwrap();
    assert!(order.iter().rposition(|from| *from == (0, 1)).unwrap().abs_diff(last) <= 2);
}

#[test]
fn a_small_message_overtakes_a_large_one_on_another_link() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (large, _) = pair.sender(session, "large");
    let (small, rx) = pair.sender(session, "small");
    pair.client.send(large, message(0, 10 << 20), settled(0)).unwrap();
    pair.client.send(small, message(1, 10), settled(1)).unwrap();
    let octets = pair.client.output(pair.now, 300_000);
    pair.server.engine.handle_input(pair.now, &mut octets[..].into());
    assert_eq!(data(&pair.server.recv(rx).unwrap().message), body(1, 10));
}

#[test]
fn transmit_stops_soon_after_its_limit() {
    let (client, server) = Pair::configs();
    let mut pair = Pair::open_with(ConnectionConfig { outgoing_frame_cap: 1024, ..client }, server);
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.send(tx, message(0, 1 << 20), settled(0)).unwrap();
    let octets = pair.client.output(pair.now, 10_000);
    assert!((10_000..=11_024).contains(&octets.len()), "{}", octets.len());
}

#[test]
fn t_2_7_5_3_ids_are_dense_in_the_order_of_leaving() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (a, _) = pair.sender(session, "a");
    let (b, _) = pair.sender(session, "b");
    for token in 0..10 {
        pair.client.send(a, message(token, 10), unsettled(0)).unwrap();
        pair.client.send(b, message(token, 10), settled(0)).unwrap();
    }
    pair.drive();
    let ids: Vec<_> = transfers(&pair.client.written).iter().map(|(t, _)| t.delivery_id.unwrap().0).collect();
    assert_eq!(ids, (0..20).map(|place| ids[0].wrapping_add(place)).collect::<Vec<_>>());
}

#[test]
fn what_the_sender_says_of_a_delivery_arrives() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    let tag = DeliveryTag::new(b"a tag of thirty-two octets, fine").unwrap();
    let options =
        SendOptions { tag: Some(tag), message_format: 0x8001_3700, settled: true, token: 1, ..SendOptions::default() };
    pair.client.send(tx, message(0, 3), options).unwrap();
    pair.drive();
    let delivery = pair.server.recv(rx).unwrap();
    assert_eq!((delivery.tag, delivery.message_format, delivery.settled), (tag, 0x8001_3700, true));
}

/// Whatever the outcome was.
#[test]
fn t_2_6_12_2_a_tag_may_be_used_again() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for (state, token) in outcomes().into_iter().zip(0..) {
        let options = SendOptions { tag: Some(7u32.into()), ..unsettled(token) };
        pair.client.send(tx, message(0, 3), options).unwrap();
        pair.drive();
        let delivery = pair.server.recv(rx).unwrap();
        pair.server.dispose(rx, delivery.key, state).unwrap();
        pair.drive();
    }
    assert_eq!(pair.client.settled.len(), outcomes().len());
    assert!(pair.client.detached(tx).is_none());
}

#[test]
fn t_2_7_3_17_the_peers_max_message_size_is_respected() {
    let mut pair = Pair::open();
    pair.server.accept.max_message_size = Some(100);
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    let exact = EncodedMessage::from_parts([body(0, 100)]);
    let more = EncodedMessage::from_parts([body(0, 101)]);
    assert_eq!(pair.client.send(tx, more, settled(0)), Err(SendError::TooLarge { max: 100 }));
    pair.client.send(tx, exact, settled(0)).unwrap();
    let before = pair.client.credit(tx);
    pair.drive();
    assert_eq!((pair.client.credit(tx), pair.server.detached(rx).is_none()), (before, true));
    // Of a stream the pieces count together.
    pair.client.begin_delivery(tx, settled(1)).unwrap();
    assert_eq!(pair.client.write(tx, body(0, 101)), Err(SendError::TooLarge { max: 100 }));
    pair.client.write(tx, body(0, 60)).unwrap();
    assert_eq!(pair.client.write(tx, body(0, 41)), Err(SendError::TooLarge { max: 100 }));
    pair.client.write(tx, body(0, 40)).unwrap();
    pair.client.finish(tx).unwrap();
    pair.drive();
    assert!(pair.server.detached(rx).is_none() && pair.server.take_all(rx).len() == 2);
}

#[test]
fn t_2_7_3_16_no_bound_is_none_or_zero() {
    for bound in [None, Some(0)] {
        let mut pair = Pair::open();
        pair.server.accept.max_message_size = bound;
        let (session, _) = pair.session();
        let (tx, rx) = pair.sender(session, "l");
        pair.client.send(tx, message(0, 1 << 20), settled(0)).unwrap();
        pair.drive();
        assert!(pair.server.recv(rx).is_some());
    }
}

#[test]
fn what_waits_to_be_sent_is_counted_in_octets() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    let large = message(0, 100_000);
    let length = large.len();
    pair.client.send(tx, large, settled(0)).unwrap();
    assert_eq!(pair.client.queued(tx), length);
    pair.client.output(pair.now, 1);
    assert!((1..length).contains(&pair.client.queued(tx)));
    pair.client.output(pair.now, usize::MAX);
    assert_eq!(pair.client.queued(tx), 0);
}

#[test]
fn messages_arrive_whatever_the_pieces() {
    for seed in 0..20 {
        let (client, mut server) = Pair::configs();
        server.max_frame_size = 700;
        let mut pair = Pair::with(client, server);
        pair.up.segment = Segment::UpTo(60, Random::new(seed));
        pair.down.segment = Segment::UpTo(9, Random::new(seed + 100));
        pair.limit = 100;
        pair.drive();
        let (session, _) = pair.session();
        let (tx, rx) = pair.sender(session, "l");
        let (back, far) = pair.receiver(session, "m", Credit::Window(7));
        for token in 0..7 {
            pair.client.send(tx, message(token, token * 300), settled(token as u64)).unwrap();
            pair.server.send(far, message(token, token * 300), settled(token as u64)).unwrap();
        }
        pair.drive();
        for (end, link) in [(&mut pair.server, rx), (&mut pair.client, back)] {
            let got: Vec<_> = end.take_all(link).iter().map(|delivery| data(&delivery.message)).collect();
            assert_eq!(got, (0..7).map(|token| body(token, token * 300)).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn deliveries_are_reported_where_there_were_none() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    let reported = |peer: &Peer| peer.end.count(|event| matches!(event, Event::Receivable(id) if *id == rx));
    for (count, expected) in [(3, 1), (2, 2), (1, 3)] {
        for _ in 0..count {
            let id = peer.end.buffered(rx);
            peer.send_payload(0, transfer(0, u32::try_from(100 * expected + id).unwrap()), HELLO);
        }
        assert_eq!((reported(&peer), peer.end.buffered(rx)), (expected, count));
        while peer.end.recv(rx).is_some() {}
    }
}
