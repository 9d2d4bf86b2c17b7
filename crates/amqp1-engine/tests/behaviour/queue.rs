//! What may be unsettled on a link, and what may wait to be sent on a connection.

use amqp1_codec::{
    SequenceNo,
    definitions::{Role, SenderSettleMode},
    messaging::DeliveryState,
    performative::{Disposition, Flow},
};
use amqp1_engine::{
    AttachReply, Blocked, ConnectionConfig, Credit, Event, LinkId, SendError, SendOptions, SenderConfig,
};
use amqp1_testkit::*;

const MOST: u32 = 65_536;

/// A receiver grants all the credit there is.
fn unlimited(handle: u32) -> Flow {
    Flow { incoming_window: u32::MAX, ..credit(handle, 1 << 31) }
}

fn settles(first: u32, last: u32) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: SequenceNo(first),
        last: Some(SequenceNo(last)),
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: false,
    }
}

#[test]
fn a_sender_waits_when_as_many_deliveries_are_unsettled_as_may_be() {
    let mut peer = Peer::with_receiver();
    let tx = peer.end.offered_links()[0];
    peer.send(0, unlimited(0));
    assert_eq!((peer.end.credit(tx), peer.end.blocked(tx)), (MOST, None));
    for token in 0..u64::from(MOST) {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        if token % 1000 == 0 {
            peer.flush();
        }
    }
    assert_eq!(peer.names().len(), MOST as usize, "all of them left");
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(0)), Err(SendError::TooManyUnsettled { max: MOST }));
    assert_eq!((peer.end.credit(tx), peer.end.blocked(tx)), (0, Some(Blocked::Unsettled)));
    // More credit changes nothing. What is sent settled goes on.
    peer.end.forget();
    peer.send(0, Flow { delivery_count: Some(SequenceNo(MOST)), ..unlimited(0) });
    assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(_))), 0);
    peer.end.send(tx, message(1, 1), settled(7)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    // Room for two.
    peer.send(0, settles(10, 11));
    assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(id) if *id == tx)), 1);
    assert_eq!((peer.end.credit(tx), peer.end.blocked(tx)), (2, None));
    for _ in 0..2 {
        peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    }
    assert_eq!(peer.end.blocked(tx), Some(Blocked::Unsettled));
}

#[test]
fn how_many_deliveries_may_be_unsettled_is_set_on_either_side() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let config = SenderConfig { max_unsettled: 3, ..sender("l") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let mut sent = 0;
    while pair.client.send(tx, message(1, 1), unsettled(sent)).is_ok() {
        sent += 1;
    }
    assert_eq!((sent, pair.client.blocked(tx)), (3, Some(Blocked::Unsettled)));
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    let reply = AttachReply { max_unsettled: 5, ..AttachReply::echo(&peer.end.remote_attach(tx).unwrap()) };
    peer.end.accept_link(tx, reply).unwrap();
    peer.send(0, unlimited(0));
    assert_eq!(peer.end.credit(tx), 5);
    // A link whose sender settles everything has nothing to wait for.
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    let echo = AttachReply::echo(&peer.end.remote_attach(tx).unwrap());
    let reply = AttachReply { max_unsettled: 5, snd_settle_mode: SenderSettleMode::Settled, ..echo };
    peer.end.accept_link(tx, reply).unwrap();
    peer.send(0, unlimited(0));
    assert_eq!(peer.end.credit(tx), 1 << 31);
}

/// A server, and a peer with this many links that receive.
fn receivers(links: u32, max_queued: usize) -> (Peer, Vec<LinkId>) {
    let config = ConnectionConfig { max_queued, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    for handle in 0..links {
        let name: &'static str = format!("l{handle}").leak();
        peer.send(0, attach(name, handle, Role::Receiver));
        peer.send(0, credit(handle, 1000));
    }
    peer.read();
    let ids = peer.end.offered_links();
    (peer, ids)
}

const MESSAGE: usize = 1000;

#[test]
fn what_waits_on_a_connection_is_bounded_over_all_of_its_links() {
    let (mut peer, links) = receivers(100, 50_000);
    let mut taken = 0;
    for (at, id) in links.iter().cycle().take(1000).enumerate() {
        match peer.end.send(*id, message(at, MESSAGE), unsettled(at as u64)) {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error, SendError::QueueFull),
        }
    }
    assert!((30..50).contains(&taken), "{taken} were taken");
    assert!((50_000..52_000).contains(&peer.end.all_queued()), "{}", peer.end.all_queued());
    assert!(!peer.end.has_queue_room() && peer.end.blocked(links[99]) == Some(Blocked::Queue));
    assert!(peer.end.credit(links[99]) > 0, "it is not for want of credit");
    // One whose sender was let in before is taken.
    let admitted = SendOptions { admitted: true, ..unsettled(1) };
    peer.end.send(links[99], message(1, MESSAGE), admitted).unwrap();
    peer.end.forget();
    assert_eq!(peer.names().iter().filter(|name| **name == "transfer").count(), taken + 1);
    assert_eq!(peer.end.count(|event| matches!(event, Event::QueueHasRoom)), 1);
    assert_eq!((peer.end.all_queued(), peer.end.blocked(links[99])), (0, None));
    peer.end.send(links[99], message(1, MESSAGE), unsettled(2)).unwrap();
}

/// However it ends, nothing stays counted.
#[test]
fn what_does_not_leave_is_counted_no_longer_than_it_waits() {
    let (mut peer, links) = receivers(4, 1 << 20);
    for (token, id) in links.iter().enumerate() {
        peer.end.begin_delivery(*id, unsettled(token as u64)).unwrap();
        peer.end.write(*id, bytes::Bytes::from(vec![0; MESSAGE])).unwrap();
    }
    assert!(peer.end.all_queued() >= 4 * MESSAGE);
    peer.end.abort(links[0], 0).unwrap();
    peer.end.detach(links[1], true, Some(error(amqp1_codec::definitions::ErrorCondition::NOT_FOUND))).unwrap();
    assert!(peer.end.all_queued() < 3 * MESSAGE);
    let session = peer.end.session_of(links[2]).unwrap();
    peer.end.end(session, Some(error(amqp1_codec::definitions::ErrorCondition::NOT_FOUND))).unwrap();
    assert_eq!(peer.end.all_queued(), 0);
}

#[test]
fn a_large_message_on_one_link_does_not_stop_the_others() {
    let (mut peer, links) = receivers(2, 160_000);
    peer.end.send(links[0], message(0, 10_000_000), unsettled(0)).unwrap();
    assert_eq!(peer.end.all_queued(), 10_000);
    peer.end.send(links[1], message(0, MESSAGE), unsettled(1)).unwrap();
}

#[test]
fn streams_count_too() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (_, tx) = pair.receiver(session, "l", Credit::Manual(1));
    pair.server.begin_delivery(tx, unsettled(1)).unwrap();
    pair.server.write(tx, bytes::Bytes::from(vec![0; 5000])).unwrap();
    assert!((5000..6000).contains(&pair.server.all_queued()));
    pair.drive();
    assert!(pair.server.all_queued() < 1000, "{}", pair.server.all_queued());
}

/// What fills the queue of a connection whose peer has no window.
fn fill(peer: &mut Peer, links: &[LinkId]) -> Vec<(LinkId, u64)> {
    let mut sent = Vec::new();
    for (at, id) in links.iter().cycle().take(3 * links.len()).enumerate() {
        let token = at as u64;
        if peer.end.send(*id, message(at, MESSAGE), unsettled(token)).is_ok() {
            sent.push((*id, token));
        }
    }
    assert!(!peer.end.has_queue_room());
    peer.end.forget();
    sent
}

#[test]
fn room_that_comes_from_giving_up_what_waits_is_reported() {
    let (mut peer, links) = receivers(20, 50_000);
    peer.send(0, Flow { incoming_window: 0, ..session_flow(0) });
    for (id, token) in fill(&mut peer, &links) {
        peer.end.abort(id, token).unwrap();
    }
    assert!(peer.end.has_queue_room());
    peer.read();
    assert_eq!(peer.end.count(|event| matches!(event, Event::QueueHasRoom)), 1);
}

/// A receiver settles deliveries of which only a part has left.
#[test]
fn room_that_comes_from_deliveries_that_are_settled_early_is_reported() {
    let (mut peer, links) = receivers(16, 160_000);
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(0)), ..session_flow(16) });
    for id in &links {
        peer.end.send(*id, message(0, 1_000_000), unsettled(1)).unwrap();
    }
    assert_eq!(peer.names(), ["transfer"; 16]);
    assert_eq!(peer.end.send(links[0], message(0, 1), unsettled(2)), Err(SendError::QueueFull));
    peer.end.forget();
    // Nothing is written after it.
    peer.end.input.extend_from_slice(&frame(0, settles(0, 15), b""));
    peer.end.take_input(peer.now);
    assert!(peer.end.has_queue_room());
    assert_eq!(peer.end.count(|event| matches!(event, Event::QueueHasRoom)), 1);
}

#[test]
fn a_link_can_send_again_when_the_delivery_that_filled_it_is_given_up() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    let reply = AttachReply { max_unsettled: 1, ..AttachReply::echo(&peer.end.remote_attach(tx).unwrap()) };
    peer.end.accept_link(tx, reply).unwrap();
    peer.send(0, credit(0, 100));
    peer.end.begin_delivery(tx, unsettled(5)).unwrap();
    peer.end.write(tx, bytes::Bytes::from_static(b"0123456789")).unwrap();
    peer.read();
    peer.end.forget();
    peer.end.abort(tx, 5).unwrap();
    peer.read();
    assert_eq!(peer.end.credit(tx), 1);
    assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(id) if *id == tx)), 1);
}
