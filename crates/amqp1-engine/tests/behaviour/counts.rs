//! What flows say of a link before and while it is used (§2.6.7), and links on which nothing may be received.

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Attach, Detach, Flow, Performative},
};
use amqp1_engine::{AttachReply, ConnectionConfig, Credit, Event, SessionConfig, Tolerances};
use amqp1_testkit::*;

fn flows(peer: &mut Peer) -> Vec<Flow> {
    let flows = peer.read().into_iter().filter_map(|(_, body, _)| match body {
        Performative::Flow(flow) => Some(flow),
        _ => None,
    });
    flows.collect()
}

/// Also T-2.7.4-6.
#[test]
fn t_2_6_7_1_a_receiver_counts_from_where_an_answering_sender_begins() {
    let (mut peer, session) = Peer::client_with_session();
    let rx = peer.end.attach_receiver(session, receiver("l", Credit::Manual(3))).unwrap();
    peer.read();
    let initial_delivery_count = Some(SequenceNo(u32::MAX - 1));
    peer.send(0, Attach { initial_delivery_count, ..attach("l", 0, Role::Sender) });
    let flow = &flows(&mut peer)[0];
    assert_eq!((flow.delivery_count, flow.link_credit), (initial_delivery_count, Some(3)));
    for id in 0..3 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    assert_eq!(peer.end.take_all(rx).len(), 3);
    peer.send(0, Flow { handle: Some(0), echo: true, ..session_flow(10) });
    let flow = &flows(&mut peer)[0];
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(SequenceNo(1)), Some(0)));
}

#[test]
fn t_2_6_7_1_credit_is_used_up_and_given_again_whatever_an_answering_sender_counts_from() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let rx = pair.client.attach_receiver(session, receiver("l", Credit::Manual(2))).unwrap();
    pair.drive();
    let tx = pair.server.offered("l", Role::Sender);
    let offered = pair.server.remote_attach(tx).unwrap().clone();
    let initial_delivery_count = SequenceNo(4_000_000_000);
    pair.server.accept_link(tx, AttachReply { initial_delivery_count, ..AttachReply::echo(&offered) }).unwrap();
    pair.drive();
    for round in 0..3 {
        assert_eq!(pair.server.credit(tx), 2, "{round}");
        for token in 0..2 {
            pair.server.send(tx, message(1, 1), settled(token)).unwrap();
        }
        pair.drive();
        assert_eq!(pair.client.take_all(rx).len(), 2);
        assert_eq!(pair.server.credit(tx), 0);
        pair.client.set_credit(rx, Credit::Manual(2)).unwrap();
        pair.drive();
    }
}

/// A delivery of several frames counts once. Also T-2.7.4-5.
#[test]
fn t_2_6_7_1_our_sender_counts_its_deliveries_from_what_its_attach_says() {
    let both = |part| [77, u32::MAX].map(|first| (part, SequenceNo(first)));
    for (part, first) in Part::of(Role::Sender).flat_map(both) {
        let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
        let (mut peer, tx) = part.link_with(config, first, Credit::Manual(0), |_| {});
        peer.send(0, Flow { delivery_count: Some(first), ..credit(0, 5) });
        for token in 0..3 {
            peer.end.send(tx, message(1, 1000), unsettled(token)).unwrap();
        }
        assert_eq!(peer.names(), ["transfer"; 9]);
        let next_incoming_id = Some(SequenceNo(9));
        peer.send(0, Flow { delivery_count: Some(first), next_incoming_id, echo: true, ..credit(0, 5) });
        let flow = &flows(&mut peer)[0];
        assert_eq!((flow.delivery_count, flow.link_credit), (Some(first.plus(3)), Some(2)), "{part:?}");
        // One counts from its first transfer on.
        peer.end.begin_delivery(tx, unsettled(3)).unwrap();
        peer.end.write(tx, body(1, 100)).unwrap();
        assert_eq!(peer.names(), ["transfer"]);
        let next_incoming_id = Some(SequenceNo(10));
        peer.send(0, Flow { delivery_count: Some(first), next_incoming_id, echo: true, ..credit(0, 5) });
        let flow = &flows(&mut peer)[0];
        assert_eq!((flow.delivery_count, flow.link_credit), (Some(first.plus(4)), Some(1)), "{part:?}");
    }
}

/// Also T-2.6.7-9, seen from the sender.
#[test]
fn available_is_the_number_of_deliveries_that_wait_at_our_sender() {
    let mut peer = Peer::fresh().open();
    peer.send(0, amqp1_codec::performative::Begin { incoming_window: 0, ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, Flow { incoming_window: 0, ..credit(0, 10) });
    peer.read();
    let tx = peer.end.offered_links()[0];
    let available = |peer: &mut Peer, window, seen| {
        let next_incoming_id = Some(SequenceNo(seen));
        let delivery_count = Some(SequenceNo(0));
        peer.send(0, Flow { incoming_window: window, next_incoming_id, delivery_count, echo: true, ..credit(0, 10) });
        flows(peer)[0].available
    };
    assert_eq!(available(&mut peer, 0, 0), Some(0));
    for token in 0..3 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    assert_eq!(available(&mut peer, 0, 0), Some(3));
    // Two of them leave; what a flow says is encoded before that.
    available(&mut peer, 2, 0);
    assert_eq!(available(&mut peer, 0, 2), Some(1));
}

/// One that was begun has had its credit, and asks for none. Also T-2.6.7-9, seen from the sender.
#[test]
fn available_leaves_out_a_delivery_of_which_a_part_has_left() {
    let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, amqp1_codec::performative::Begin { incoming_window: 1, ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, Flow { incoming_window: 1, ..credit(0, 10) });
    peer.read();
    let tx = peer.end.offered_links()[0];
    for token in 0..2 {
        peer.end.send(tx, message(1, 1000), unsettled(token)).unwrap();
    }
    assert_eq!(peer.names(), ["transfer"]);
    peer.send(0, Flow { incoming_window: 0, next_incoming_id: Some(SequenceNo(1)), echo: true, ..credit(0, 10) });
    assert_eq!(flows(&mut peer)[0].available, Some(1));
}

/// A client that tolerates what real peers do, with a receiver that the peer has not attached.
fn refused() -> Peer {
    let mut config = ConnectionConfig::new("client");
    config.tolerances = Tolerances::ALL;
    let mut peer = Peer::with(config).open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.send(0, amqp1_codec::performative::Begin { remote_channel: Some(0), ..begin() });
    peer.end.attach_receiver(session, receiver("l", Credit::Window(10))).unwrap();
    peer.send(0, Attach { source: None, ..attach("l", 0, Role::Sender) });
    peer.read();
    peer
}

#[test]
fn nothing_is_receivable_on_a_link_that_was_refused() {
    let mut peer = refused();
    for id in 0..3 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    peer.send(0, Detach { handle: 0, closed: true, error: Some(error(ErrorCondition::NOT_FOUND)) });
    assert_eq!(peer.end.count(|event| matches!(event, Event::Receivable(_) | Event::LinkAttached(_))), 0);
    let detached: Vec<_> = peer.end.events.iter().filter(|event| matches!(event, Event::LinkDetached(..))).collect();
    let [Event::LinkDetached(_, detached)] = &detached[..] else { panic!("{detached:?}") };
    assert_eq!(detached.error.as_ref().map(|error| error.condition.clone()), Some(ErrorCondition::NOT_FOUND));
    assert!(detached.undelivered.is_empty());
    assert!(!peer.end.is_closed());
}

#[test]
fn nothing_is_receivable_on_a_link_that_is_offered_and_not_answered() {
    for tolerances in [Tolerances::STRICT, Tolerances::ALL] {
        let mut config = ConnectionConfig::new("server");
        config.tolerances = tolerances;
        let mut peer = Peer::with(config).open();
        peer.end.accept.links = None;
        peer.send(0, begin());
        peer.send(0, attach("l", 0, Role::Sender));
        peer.read();
        peer.send_payload(0, transfer(0, 0), HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)));
        assert_eq!(peer.end.count(|event| matches!(event, Event::Receivable(_))), 0);
    }
}
