//! Deliveries in pieces: streams out and in, and aborted ones (§2.6.14).

use amqp1_codec::{
    Message,
    messaging::DeliveryState,
    performative::{Performative, Transfer},
};
use amqp1_engine::{
    ApiMisuse, Credit, Event, LinkId, SendError, SenderConfig, SessionConfig, SessionId, Settlement, StreamItem,
};
use amqp1_testkit::*;
use bytes::Bytes;

/// A client's sender to a server whose end of the link is streamed.
fn streamed(pair: &mut Pair, session: SessionId, name: &'static str, credit: u32) -> (LinkId, LinkId) {
    pair.sender_answered(session, name, |reply| {
        (reply.streamed, reply.credit) = (true, Credit::Manual(credit));
    })
}

/// The octets of a whole message, in pieces of this size.
fn pieces(seed: usize, length: usize, size: usize) -> (Bytes, Vec<Bytes>) {
    let whole: Bytes = message(seed, length).into_parts().concat().into();
    let pieces = (0..whole.len()).step_by(size).map(|at| whole.slice(at..whole.len().min(at + size)));
    (whole.clone(), pieces.collect())
}

/// Everything that waits on a streamed link.
fn take(end: &mut End, rx: LinkId) -> Vec<StreamItem> {
    core::iter::from_fn(|| end.poll_stream(rx)).collect()
}

fn octets(items: &[StreamItem]) -> Vec<u8> {
    let data =
        items.iter().filter_map(|item| if let StreamItem::Data(octets) = item { Some(&octets[..]) } else { None });
    data.collect::<Vec<_>>().concat()
}

fn transfers(written: &[u8]) -> Vec<(Transfer, Bytes)> {
    let frames = frames(written).into_iter().filter_map(|(_, body, payload)| match body {
        Some(Performative::Transfer(transfer)) => Some((transfer, payload)),
        _ => None,
    });
    frames.collect()
}

#[test]
fn a_stream_arrives_piece_by_piece_as_it_is_written() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 1);
    let (whole, pieces) = pieces(1, 10_000, 3000);
    pair.client.begin_delivery(tx, unsettled(5)).unwrap();
    pair.drive();
    assert!(take(&mut pair.server, rx).is_empty(), "nothing is said before there is something to say");
    let (mut got, mut key) = (Vec::new(), None);
    for piece in pieces {
        pair.client.write(tx, piece).unwrap();
        pair.drive();
        let items = take(&mut pair.server, rx);
        for item in &items {
            if let StreamItem::Begin { key: begun, settled, .. } = item {
                assert!(key.replace(*begun).is_none() && !settled);
            }
        }
        assert!(!octets(&items).is_empty());
        got.extend(octets(&items));
    }
    assert_eq!(got, whole[..whole.len() - 1]);
    pair.client.finish(tx).unwrap();
    pair.drive();
    let items = take(&mut pair.server, rx);
    assert!(matches!(items[..], [StreamItem::Data(_), StreamItem::End { settled: false }]));
    assert_eq!(octets(&items), whole[whole.len() - 1..]);
    pair.server.dispose(rx, key.unwrap(), DeliveryState::Accepted).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(5, Settlement::Outcome(Some(DeliveryState::Accepted)))]);
}

/// Also T-2.6.14-5: however many frames, one delivery-id and one credit.
#[test]
fn t_2_6_14_1_every_transfer_but_the_last_says_more() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 2);
    let before = pair.client.written.len();
    pair.client.begin_delivery(tx, settled(0)).unwrap();
    for piece in [b"\x00\x53\x75\xa0\x04ab", b"cd\x00\x53\x75\xa0\x00".as_slice()] {
        pair.client.write(tx, Bytes::copy_from_slice(piece)).unwrap();
        pair.drive();
    }
    pair.client.finish(tx).unwrap();
    pair.drive();
    let more: Vec<_> =
        transfers(&pair.client.written[before..]).iter().map(|(t, _)| (t.more, t.delivery_id.map(|id| id.0))).collect();
    assert_eq!(more, [(true, Some(0)), (true, None), (false, None)]);
    assert_eq!(pair.client.credit(tx), 1);
    assert!(matches!(
        take(&mut pair.server, rx)[..],
        [StreamItem::Begin { settled: true, .. }, .., StreamItem::End { .. }]
    ));
    assert_eq!(pair.client.settlements(), [(0, Settlement::Sent)]);
}

#[test]
fn while_a_stream_is_open_nothing_else_is_sent_on_its_link() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = streamed(&mut pair, session, "l", 10);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    assert_eq!(pair.client.send(tx, message(1, 1), unsettled(1)), Err(SendError::Unfinished));
    assert_eq!(pair.client.begin_delivery(tx, unsettled(1)), Err(SendError::Unfinished));
    pair.client.finish(tx).unwrap();
    assert_eq!(pair.client.write(tx, Bytes::from_static(b"late")), Err(SendError::Detached));
    assert_eq!(pair.client.finish(tx), Err(SendError::Detached));
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
}

#[test]
fn t_2_6_14_4_an_aborted_delivery_is_forgotten_and_the_next_one_comes() {
    for is_streamed in [true, false] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let (tx, rx) = if is_streamed { streamed(&mut pair, session, "l", 10) } else { pair.sender(session, "l") };
        pair.client.begin_delivery(tx, unsettled(0)).unwrap();
        pair.client.write(tx, body(1, 100)).unwrap();
        pair.drive();
        let before = pair.client.written.len();
        pair.client.abort(tx, 0).unwrap();
        pair.drive();
        let [(transfer, payload)] = &transfers(&pair.client.written[before..])[..] else { panic!("one transfer") };
        assert!(transfer.aborted && !transfer.more && payload.is_empty());
        assert_eq!(pair.client.settlements(), [(0, Settlement::Aborted)]);
        pair.client.send(tx, message(7, 70), unsettled(1)).unwrap();
        pair.drive();
        let key = if is_streamed {
            let items = take(&mut pair.server, rx);
            let [_, StreamItem::Data(_), StreamItem::Aborted, StreamItem::Begin { key, .. }, ..] = items[..] else {
                panic!("{items:?}")
            };
            key
        } else {
            let [delivery] = &pair.server.take_all(rx)[..] else { panic!("one delivery") };
            assert_eq!(data(&delivery.message), body(7, 70));
            delivery.key
        };
        pair.server.dispose(rx, key, DeliveryState::Accepted).unwrap();
        pair.drive();
        let outcomes = pair.client.settlements();
        assert_eq!(outcomes[1..], [(1, Settlement::Outcome(Some(DeliveryState::Accepted)))]);
        assert!(!pair.server.written.is_empty() && !pair.client.is_closed());
    }
}

#[test]
fn a_whole_message_can_be_aborted_until_its_last_octet_has_left() {
    let mut pair = Pair::open();
    let (session, _) = pair.session_with(SessionConfig::default());
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: 1, ..SessionConfig::default() });
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(0, 10), unsettled(0)).unwrap();
    pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    pair.client.abort(tx, 1).unwrap();
    pair.drive();
    assert_eq!(pair.client.abort(tx, 0), Err(ApiMisuse::WrongState));
    assert_eq!(pair.client.abort(tx, 9), Err(ApiMisuse::WrongState));
    assert_eq!(pair.server.take_all(rx).len(), 1);
    assert_eq!(pair.client.settlements(), [(1, Settlement::Aborted)]);
}

#[test]
fn an_outcome_that_comes_before_the_end_is_the_only_one_told() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 10);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    pair.client.write(tx, body(1, 100)).unwrap();
    pair.drive();
    let items = take(&mut pair.server, rx);
    let StreamItem::Begin { key, .. } = items[0] else { panic!("{items:?}") };
    pair.server.dispose(rx, key, DeliveryState::Released).unwrap();
    pair.drive();
    pair.client.abort(tx, 0).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(0, Settlement::Outcome(Some(DeliveryState::Released)))]);
    assert!(matches!(take(&mut pair.server, rx)[..], [StreamItem::Aborted]));
}

/// A gibibyte through a window of four mebibytes: what waits anywhere stays below eight.
#[test]
fn a_large_body_passes_in_constant_memory() {
    const CHUNK: usize = 64 * 1024;
    // A sixteenth of it here: a slow reader makes it long.
    const CHUNKS: usize = 1024;
    const MOST: usize = 8 * 1024 * 1024;
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 1);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    let chunk = body(3, CHUNK);
    let (mut written, mut taken, mut most) = (0, 0, 0);
    while taken < CHUNKS * CHUNK {
        while written < CHUNKS && pair.client.queued(tx) < 2 * CHUNK {
            pair.client.write(tx, chunk.clone()).unwrap();
            written += 1;
            if written == CHUNKS {
                pair.client.finish(tx).unwrap();
            }
        }
        for _ in 0..20 {
            pair.step();
        }
        pair.client.written.clear();
        pair.server.written.clear();
        // A slow reader: less comes out than could go in, so that the window fills.
        let waiting = pair.server.buffered_octets(rx);
        most = most.max(waiting + pair.client.queued(tx));
        if let Some(StreamItem::Data(octets)) = pair.server.poll_stream(rx) {
            taken += octets.len();
        }
    }
    assert!((1024 * 1024..MOST).contains(&most), "{most}");
}

#[test]
fn a_stream_nobody_takes_from_stops_at_the_window() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 1);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    pair.client.write(tx, body(0, 6 * 1024 * 1024)).unwrap();
    pair.drive();
    let waiting = pair.server.buffered_octets(rx);
    assert!(waiting <= 4 * 1024 * 1024 && pair.client.queued(tx) > 0, "{waiting}");
    assert!(!pair.client.is_closed());
    // It goes on where it stopped.
    while !take(&mut pair.server, rx).is_empty() {
        pair.drive();
    }
    assert_eq!(pair.client.queued(tx), 0);
}

/// The session's window, which other links share, does not wait until the next delivery is asked for.
#[test]
fn the_rest_of_a_stream_that_is_passed_over_is_dropped_as_it_comes() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 2);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    pair.client.write(tx, body(0, 6 * 1024 * 1024)).unwrap();
    pair.drive();
    assert!(pair.client.queued(tx) > 1024 * 1024);
    assert!(matches!(pair.server.poll_stream(rx), Some(StreamItem::Begin { .. })));
    pair.server.skip_stream(rx);
    pair.drive();
    assert_eq!((pair.server.buffered_octets(rx), pair.client.queued(tx)), (0, 0));
    // What comes later is dropped as well, up to the end.
    pair.client.write(tx, body(0, 6 * 1024 * 1024)).unwrap();
    pair.client.finish(tx).unwrap();
    pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    pair.drive();
    let items = take(&mut pair.server, rx);
    assert!(matches!(items[..], [StreamItem::Begin { .. }, StreamItem::Data(_), StreamItem::End { .. }]), "{items:?}");
    assert!(octets(&items).ends_with(&body(1, 10)));
}

/// Neither between two deliveries nor before the first is there anything to pass over.
#[test]
fn passing_over_a_stream_that_is_not_being_taken_loses_nothing() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 2);
    for seed in 0..2 {
        pair.server.skip_stream(rx);
        pair.client.send(tx, message(seed, 10), unsettled(0)).unwrap();
        pair.drive();
        pair.server.skip_stream(rx);
        let items = take(&mut pair.server, rx);
        assert_eq!(items.len(), 3, "{items:?}");
        assert!(octets(&items).ends_with(&body(seed, 10)));
    }
}

#[test]
fn a_sender_that_aborts_a_stream_that_is_passed_over_can_send_the_next() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 1);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    pair.client.write(tx, body(0, 1000)).unwrap();
    pair.drive();
    assert!(matches!(pair.server.poll_stream(rx), Some(StreamItem::Begin { .. })));
    pair.server.skip_stream(rx);
    pair.client.abort(tx, 0).unwrap();
    pair.drive();
    assert!(take(&mut pair.server, rx).is_empty());
    pair.server.set_credit(rx, Credit::Manual(1)).unwrap();
    pair.drive();
    pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    pair.drive();
    assert!(octets(&take(&mut pair.server, rx)).ends_with(&body(1, 10)));
}

#[test]
fn what_was_settled_from_the_start_is_not_lost_when_the_link_goes() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = streamed(&mut pair, session, "l", 10);
    pair.client.send(tx, message(1, 10), settled(0)).unwrap();
    pair.client.send(tx, message(2, 10), unsettled(1)).unwrap();
    pair.drive();
    pair.client.detach(tx, true, None).unwrap();
    pair.drive();
    let detached = pair.server.detached(rx).unwrap();
    let bodies: Vec<_> = detached.undelivered.iter().map(|delivery| data(&delivery.message)).collect();
    assert_eq!(bodies, [body(1, 10)]);
}

#[test]
fn the_window_that_a_dead_stream_held_is_given_back() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (dead, rx) = streamed(&mut pair, session, "dead", 1);
    pair.client.begin_delivery(dead, unsettled(0)).unwrap();
    pair.client.write(dead, body(0, 6 * 1024 * 1024)).unwrap();
    pair.drive();
    pair.server.detach(rx, true, None).unwrap();
    pair.drive();
    let (tx, rx) = streamed(&mut pair, session, "next", 1);
    let (whole, _) = pieces(4, 3 * 1024 * 1024, 1);
    pair.client.send(tx, amqp1_codec::EncodedMessage::from_parts([whole.clone()]), unsettled(1)).unwrap();
    pair.drive();
    let items = take(&mut pair.server, rx);
    assert!(octets(&items) == whole && matches!(items.last(), Some(StreamItem::End { .. })));
}

#[test]
fn the_application_is_asked_for_more_when_its_stream_runs_dry() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = streamed(&mut pair, session, "l", 1);
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    pair.client.forget();
    for _ in 0..3 {
        pair.client.write(tx, body(0, 200_000)).unwrap();
        pair.drive();
        assert!(pair.client.count(|event| matches!(event, Event::Sendable(id) if *id == tx)) > 0);
        pair.client.forget();
    }
}

#[test]
fn a_stream_larger_than_the_receiver_takes_is_refused_at_the_piece_that_is_too_much() {
    let mut pair = Pair::open();
    pair.server.accept.max_message_size = Some(1000);
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    pair.client.write(tx, body(0, 1000)).unwrap();
    assert_eq!(pair.client.write(tx, body(0, 1)), Err(SendError::TooLarge { max: 1000 }));
    pair.client.abort(tx, 0).unwrap();
    pair.drive();
    assert!(!pair.client.is_closed() && pair.client.detached(tx).is_none());
}

#[test]
fn m_3_1_1_what_a_stream_carries_is_an_encoded_message() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.begin_delivery(tx, unsettled(0)).unwrap();
    for part in Message::builder().data("one").data("two").build().into_parts() {
        pair.client.write(tx, part).unwrap();
    }
    pair.client.finish(tx).unwrap();
    pair.drive();
    let [delivery] = &pair.server.take_all(rx)[..] else { panic!("one delivery") };
    assert_eq!(data(&delivery.message), Bytes::from_static(b"onetwo"));
}

/// It was told that it is given up; that this has not left yet when the link ends is no news.
#[test]
fn a_settled_stream_that_is_given_up_has_one_fate_when_its_link_ends_at_once() {
    for resumable in [false, true] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let tx = pair.client.attach_sender(session, SenderConfig { resumable, ..sender("l") }).unwrap();
        pair.drive();
        pair.client.begin_delivery(tx, settled(1)).unwrap();
        pair.client.write(tx, Bytes::from(vec![0; 10])).unwrap();
        pair.drive();
        pair.client.abort(tx, 1).unwrap();
        let now = pair.now;
        pair.client.engine.handle_eof(now);
        pair.client.look();
        assert_eq!(pair.client.settlements(), [(1, Settlement::Aborted)], "{resumable}");
    }
}
