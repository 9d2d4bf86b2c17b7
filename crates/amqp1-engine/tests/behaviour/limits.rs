//! What a connection has much of: links, sessions, errors of many words; and the other style of writing.

use amqp1_codec::{
    EncodeStyle, Symbol,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    messaging::DeliveryState,
    performative::{Attach, Detach, End as EndFrame, Transfer},
    transaction::TransactionalState,
};
use amqp1_engine::{ConnectionConfig, Credit, SenderConfig, SessionConfig};
use amqp1_testkit::*;

#[test]
fn t_rob_4_thousands_of_links_come_and_go_in_one_session() {
    const COUNT: u32 = 2000;
    let mut peer = Peer::with_session();
    for round in 0..2 {
        let attaches: Vec<u8> =
            (0..COUNT).flat_map(|handle| frame(0, attach("l", handle, Role::Sender), b"")).collect();
        peer.raw(&attaches);
        let transfers = (0..COUNT).flat_map(|handle| frame(0, transfer(handle, round * COUNT + handle), HELLO));
        peer.raw(&transfers.collect::<Vec<_>>());
        let detaches = (0..COUNT).flat_map(|handle| frame(0, Detach { handle, ..Detach::default() }, b""));
        peer.raw(&detaches.collect::<Vec<_>>());
        let names = peer.names();
        let count = |name| names.iter().filter(|other| **other == name).count();
        assert_eq!((count("attach"), count("detach")), (2000, 2000));
        assert!(!peer.end.is_closed());
    }
}

#[test]
fn t_rob_4_thousands_of_links_end_with_their_session() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let named = |number: u32| SenderConfig { name: format!("l{number}").into(), ..sender("") };
    let links: Vec<_> = (0..1500).map(|number| pair.client.attach_sender(session, named(number)).unwrap()).collect();
    pair.drive();
    for link in &links {
        pair.client.send(*link, message(1, 1), unsettled(1)).unwrap();
    }
    pair.drive();
    pair.client.end(session, None).unwrap();
    pair.drive();
    assert_eq!(pair.client.settled.len(), 1500);
    assert!(links.iter().all(|link| pair.client.session_of(*link).is_none()));
    assert!(pair.client.ended_session(session).is_some());
}

#[test]
fn t_rob_4_sessions_that_come_and_go_leave_nothing() {
    let mut peer = Peer::fresh().open();
    for _ in 0..50 {
        let mut octets = Vec::new();
        for channel in 0..100 {
            octets.extend(frame(channel, begin(), b""));
            octets.extend(frame(channel, EndFrame::default(), b""));
        }
        peer.raw(&octets);
    }
    assert_eq!(peer.names().len(), 10_000);
    assert!(format!("{:?}", peer.end.engine).contains("sessions: 0 of"), "{:?}", peer.end.engine);
}

#[test]
fn t_rob_4_a_connection_has_no_more_links_than_it_allows() {
    let config = ConnectionConfig { max_links: 3, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    // On however many sessions they are.
    for channel in 0..2 {
        peer.send(channel, begin());
    }
    for (channel, handle) in [(0, 0), (1, 0), (1, 1)] {
        peer.send(channel, attach("l", handle, Role::Sender));
    }
    assert!(!peer.names().contains(&"end"));
    peer.send(0, attach("one too many", 1, Role::Sender));
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)));
    peer.send(0, EndFrame::default());
    // The session that ended has made room for one.
    peer.send(1, attach("fits", 2, Role::Sender));
    assert!(!peer.names().contains(&"end"));
}

/// A refused link exists until the peer has detached it.
#[test]
fn t_rob_4_links_that_are_refused_and_not_given_up_count() {
    let config = ConnectionConfig { max_links: 3, ..ConnectionConfig::new("server") };
    let refused_by_the_application = |peer: &mut Peer| {
        peer.end.accept.links = None;
        for (handle, name) in (0..).zip(["a", "b", "c"]) {
            peer.send(0, attach(name, handle, Role::Sender));
            let link = *peer.end.offered_links().last().unwrap();
            peer.end.detach(link, true, Some(error(ErrorCondition::NOT_FOUND))).unwrap();
        }
    };
    let refused_at_once = |peer: &mut Peer| {
        for (handle, name) in (0..).zip(["a", "b", "c"]) {
            // A sender has to say where it counts from.
            peer.send(0, Attach { initial_delivery_count: None, ..attach(name, handle, Role::Sender) });
        }
        assert!(peer.end.offered_links().is_empty());
    };
    let ways: [&dyn Fn(&mut Peer); 2] = [&refused_by_the_application, &refused_at_once];
    for way in ways {
        for given_up in [false, true] {
            let mut peer = Peer::with(config.clone()).open();
            peer.send(0, begin());
            way(&mut peer);
            let names = peer.names();
            let count = |name| names.iter().filter(|other| **other == name).count();
            assert_eq!((count("attach"), count("detach"), count("end")), (3, 3, 0), "{names:?}");
            if given_up {
                peer.send(0, Detach { handle: 1, closed: true, error: None });
            }
            peer.send(0, attach("m", 3, Role::Sender));
            let refused = peer.refusal() == Some(("end", ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
            assert_eq!(refused, !given_up);
        }
    }
}

#[test]
fn t_rob_2_a_peer_that_does_not_take_its_answers_is_not_listened_to() {
    let mut peer = Peer::fresh().open();
    let churn = [frame(0, begin(), b""), frame(0, EndFrame::default(), b"")].concat();
    peer.end.input.extend_from_slice(&churn.repeat(20_000));
    peer.end.take_input(peer.now);
    assert!(peer.end.is_congested());
    let left = peer.end.input.len();
    assert!(left > churn.len() * 15_000, "{left} octets are left");
    peer.end.take_input(peer.now);
    assert_eq!(peer.end.input.len(), left);
    // As its answers leave, it is listened to again.
    assert_eq!(peer.names().len(), 40_000);
    assert!(peer.end.input.is_empty() && !peer.end.is_congested());
}

#[test]
fn ten_thousand_sends_are_settled_by_one_frame_each_way() {
    const COUNT: u64 = 10_000;
    let mut pair = Pair::open();
    pair.server.accept.links = Some(Credit::Manual(COUNT as u32));
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: u32::MAX, ..SessionConfig::default() });
    pair.limit = usize::MAX;
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..COUNT {
        pair.client.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    pair.drive();
    for delivery in pair.server.take_all(rx) {
        pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
    }
    let octets = pair.server.output(pair.now, usize::MAX);
    assert_eq!(frames(&octets).len(), 1);
    pair.client.engine.handle_input(pair.now, &mut octets[..].into());
    pair.client.look();
    assert_eq!(pair.client.settled.len(), 10_000);
}

/// An error that does not fit a frame of 512 octets, nor do its words alone.
fn verbose() -> AmqpError {
    let mut info = Fields::new();
    info.insert(Symbol::from_static("k"), "v".repeat(600));
    AmqpError { info: Some(info), ..AmqpError::new(ErrorCondition::INTERNAL_ERROR, "w".repeat(600)) }
}

/// Also T-2.4.1-4.
#[test]
fn t_2_7_1_5_an_error_is_shortened_to_the_peers_frame_size() {
    let (mut client, server) = Pair::configs();
    client.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, seen) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
    let key = pair.server.recv(rx).unwrap().key;
    pair.server.dispose(rx, key, DeliveryState::rejected(verbose())).unwrap();
    // `drive` looks at the sizes of frames.
    pair.drive();
    pair.server.detach(rx, true, Some(verbose())).unwrap();
    pair.drive();
    assert_eq!(pair.client.detached(tx).unwrap().error.unwrap().condition, ErrorCondition::INTERNAL_ERROR);
    pair.server.end(seen, Some(verbose())).unwrap();
    pair.drive();
    pair.server.engine.close(pair.now, Some(verbose()));
    pair.drive();
    assert_eq!(pair.client.settled.len(), 1);
    assert!(pair.client.is_closed());
}

#[test]
fn an_error_that_fits_is_sent_whole() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.server.detach(rx, true, Some(verbose())).unwrap();
    pair.drive();
    assert_eq!(pair.client.detached(tx).unwrap().error, Some(verbose()));
}

#[test]
fn every_field_is_written_where_the_style_is_full() {
    let (mut client, server) = Pair::configs();
    client.style = EncodeStyle::Full;
    client.outgoing_frame_cap = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 2000), unsettled(1)).unwrap();
    pair.drive();
    let delivery = pair.server.recv(rx).unwrap();
    assert_eq!(data(&delivery.message), body(1, 2000));
    // No list0 where there are fields, and an id in each transfer.
    let transfers = frames(&pair.client.written).into_iter().filter_map(|(_, body, _)| match body {
        Some(amqp1_codec::performative::Performative::Transfer(transfer)) => Some(transfer.delivery_id),
        _ => None,
    });
    assert!(transfers.collect::<Vec<_>>().iter().all(Option::is_some));
    pair.client.detach(tx, true, None).unwrap();
    pair.drive();
    pair.client.engine.close(pair.now, None);
    pair.assert_closed();
}

/// The peer keeps to its credit: what each of its deliveries names a transaction with is no reason to detach the link.
#[test]
fn transactions_of_deliveries_that_wait_exceed_no_metadata() {
    let config = ConnectionConfig { max_metadata: 10_000, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.end.accept.links = Some(Credit::Manual(1002));
    peer.send(0, attach("l", 0, Role::Sender));
    let rx = peer.end.offered_links()[0];
    let before = peer.end.metadata();
    let state = |octets| {
        let txn_id = vec![7; octets].into();
        Some(DeliveryState::Transactional(Box::new(TransactionalState { txn_id, outcome: None })))
    };
    for id in 0..1000 {
        peer.send_payload(0, Transfer { state: state(32), ..transfer(0, id) }, HELLO);
    }
    assert_eq!((peer.refusal(), peer.end.buffered(rx), peer.end.metadata()), (None, 1000, before));
    // Larger ones count: here an outcome that says why.
    let large = |octets: usize| {
        let outcome = AmqpError::new(ErrorCondition::NOT_FOUND, "x".repeat(octets));
        Some(DeliveryState::Rejected(Some(Box::new(outcome))))
    };
    peer.send_payload(0, Transfer { state: large(5000), ..transfer(0, 1000) }, HELLO);
    assert!(peer.refusal().is_none() && peer.end.metadata() > before + 4900);
    peer.send_payload(0, Transfer { state: large(6000), ..transfer(0, 1001) }, HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)));
}
