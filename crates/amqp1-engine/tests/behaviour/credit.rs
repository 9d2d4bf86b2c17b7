//! Link credit and drain (§2.6.7, §2.7.4).

use crate::corners::outcomes;
use amqp1_codec::{
    SequenceNo, Symbol,
    definitions::{ErrorCondition, Fields, ReceiverSettleMode, Role},
    messaging::DeliveryState,
    performative::{Attach, Detach, Disposition, Flow, Performative},
};
use amqp1_engine::{AttachReply, Credit, Event, LinkId, SendError, Settlement};
use amqp1_testkit::*;

/// The last flow among these frames.
fn flow(frames: &[(u16, Performative, bytes::Bytes)]) -> Flow {
    let flows = frames.iter().filter_map(|(_, body, _)| match body {
        Performative::Flow(flow) => Some(flow.clone()),
        _ => None,
    });
    flows.last().unwrap_or_else(|| panic!("no flow in {frames:?}"))
}

/// A server that sends on a link to which the peer has granted this much.
fn granted(credit_: u32) -> (Peer, LinkId) {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, credit_));
    let tx = peer.end.offered_links()[0];
    (peer, tx)
}

#[test]
fn t_2_6_7_4_nothing_is_sent_without_credit() {
    let (mut peer, tx) = granted(3);
    for token in 0..3 {
        assert_eq!(u64::from(peer.end.credit(tx)), 3 - token);
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(3)), Err(SendError::NoCredit));
    assert_eq!(peer.names(), ["transfer"; 3]);
    assert_eq!(peer.end.credit(tx), 0);
}

#[test]
fn t_2_6_7_2_credit_counts_from_what_the_receiver_has_seen() {
    let (mut peer, tx) = granted(10);
    for token in 0..4 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    peer.flush();
    // The same grant again: four of it are used.
    peer.send(0, credit(0, 10));
    assert_eq!(peer.end.credit(tx), 6);
    peer.send(0, Flow { delivery_count: Some(SequenceNo(2)), ..credit(0, 10) });
    assert_eq!(peer.end.credit(tx), 8);
    // T-2.6.7-5: less than what is used already is none.
    peer.send(0, credit(0, 3));
    assert_eq!(peer.end.credit(tx), 0);
}

#[test]
fn a_count_ahead_of_ours_adds_nothing() {
    let (mut peer, tx) = granted(2);
    peer.send(0, Flow { delivery_count: Some(SequenceNo(100)), ..credit(0, 5) });
    assert_eq!(peer.end.credit(tx), 5);
    // What was sent since then is taken off.
    peer.send(0, Flow { delivery_count: Some(SequenceNo(u32::MAX)), link_credit: Some(60_000), ..credit(0, 5) });
    assert_eq!(peer.end.credit(tx), 59_999);
}

#[test]
fn t_2_6_7_10_settling_gives_no_credit() {
    for state in outcomes().map(Some).into_iter().chain([None]) {
        let (mut peer, tx) = granted(1);
        peer.end.send(tx, message(1, 1), unsettled(0)).unwrap();
        peer.flush();
        peer.send(0, Disposition { role: Role::Receiver, settled: true, state: state.clone(), ..Default::default() });
        assert_eq!(peer.end.settlements(), [(0, Settlement::Outcome(state.clone()))]);
        assert_eq!(peer.end.credit(tx), 0, "{state:?}");
        assert_eq!(peer.end.send(tx, message(1, 1), unsettled(1)), Err(SendError::NoCredit), "{state:?}");
    }
    // What is granted to one link is of no use to another.
    let (mut peer, tx) = granted(0);
    peer.send(0, attach("m", 1, Role::Receiver));
    peer.send(0, credit(1, 3));
    let other = peer.end.offered_links()[1];
    assert_eq!((peer.end.credit(tx), peer.end.credit(other)), (0, 3));
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(1)), Err(SendError::NoCredit));
    // Nor does our receiver give any by settling.
    let mut peer = Peer::with_session();
    peer.end.accept.links = Some(Credit::Manual(2));
    peer.send(0, attach("l", 0, Role::Sender));
    peer.read();
    let rx = peer.end.offered_links()[0];
    for (id, state) in [DeliveryState::Released, DeliveryState::Accepted].into_iter().enumerate() {
        peer.send_payload(0, transfer(0, id as u32), HELLO);
        let key = peer.end.recv(rx).unwrap().key;
        peer.end.dispose(rx, key, state).unwrap();
        assert_eq!(peer.names(), ["disposition"]);
    }
    peer.send_payload(0, transfer(0, 2), HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)));
}

#[test]
fn sendable_is_said_when_there_is_more_credit() {
    let (mut peer, tx) = granted(1);
    let said = |peer: &Peer| peer.end.count(|event| matches!(event, Event::Sendable(id) if *id == tx));
    assert_eq!(said(&peer), 1);
    peer.send(0, credit(0, 1));
    assert_eq!(said(&peer), 1, "no more than before");
    peer.send(0, credit(0, 9));
    assert_eq!(said(&peer), 2);
}

#[test]
fn credit_that_came_before_the_link_was_accepted_counts() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, credit(0, 4));
    let tx = peer.end.offered_links()[0];
    assert_eq!(peer.end.credit(tx), 0);
    let reply = AttachReply::echo(&peer.end.remote_attach(tx).unwrap());
    peer.end.accept_link(tx, reply).unwrap();
    assert_eq!(peer.end.credit(tx), 4);
    peer.flush();
    assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(_))), 1);
}

#[test]
fn a_drain_that_came_before_the_link_was_accepted_is_answered() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, Flow { drain: true, ..credit(0, 4) });
    let tx = peer.end.offered_links()[0];
    let reply = AttachReply::echo(&peer.end.remote_attach(tx).unwrap());
    peer.end.accept_link(tx, reply).unwrap();
    let answer = flow(&peer.read());
    assert_eq!((answer.delivery_count, answer.link_credit), (Some(SequenceNo(4)), Some(0)));
}

#[test]
fn t_2_6_7_7_a_sender_with_nothing_to_send_gives_its_credit_up() {
    let (mut peer, tx) = granted(5);
    peer.read();
    peer.send(0, Flow { drain: true, ..credit(0, 5) });
    let answer = flow(&peer.read());
    assert_eq!(answer.handle, Some(0));
    assert_eq!((answer.delivery_count, answer.link_credit, answer.drain), (Some(SequenceNo(5)), Some(0), true));
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(0)), Err(SendError::NoCredit));
    // Credit counts from where it was given up.
    peer.send(0, Flow { delivery_count: Some(SequenceNo(5)), ..credit(0, 2) });
    assert_eq!(peer.end.credit(tx), 2);
}

#[test]
fn t_2_6_7_8_a_sender_that_drains_sends_what_it_has_first() {
    let (mut peer, tx) = granted(5);
    peer.read();
    // Two wait, in frames of which the window lets one pass at a time.
    peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
    for token in 0..2 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    peer.send(0, Flow { incoming_window: 1, drain: true, ..credit(0, 5) });
    assert_eq!(peer.names(), ["transfer"]);
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(1)), ..session_flow(10) });
    let frames = peer.read();
    assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["transfer", "flow"]);
    assert_eq!(flow(&frames).delivery_count, Some(SequenceNo(5)));
}

#[test]
fn a_receiver_that_drains_learns_that_nothing_more_comes() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Manual(10));
    for token in 0..4 {
        pair.server.send(tx, message(token, 10), settled(token as u64)).unwrap();
    }
    pair.client.drain(rx).unwrap();
    pair.drive();
    assert!(pair.client.drained(rx));
    assert_eq!(pair.client.take_all(rx).len(), 4);
    assert_eq!(pair.server.credit(tx), 0);
    // Nothing comes until it is asked for again.
    pair.drive();
    assert_eq!(pair.server.credit(tx), 0);
    pair.client.set_credit(rx, Credit::Manual(3)).unwrap();
    pair.drive();
    assert_eq!(pair.server.credit(tx), 3);
}

#[test]
fn a_drain_without_credit_is_done_at_once() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, _) = pair.receiver(session, "l", Credit::Manual(0));
    pair.client.drain(rx).unwrap();
    pair.client.look();
    assert!(pair.client.drained(rx));
}

#[test]
fn while_a_link_drains_credit_is_not_refilled() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Window(4));
    for token in 0..4 {
        pair.server.send(tx, message(token, 10), settled(token as u64)).unwrap();
    }
    pair.client.drain(rx).unwrap();
    pair.drive();
    assert_eq!(pair.client.take_all(rx).len(), 4);
    pair.drive();
    assert_eq!(pair.server.credit(tx), 0);
    assert_eq!(pair.client.count(|event| matches!(event, Event::Drained(_))), 1);
}

#[test]
fn a_window_of_credit_is_refilled_as_deliveries_are_taken() {
    for window in [1, 2, 5, 100] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let (rx, tx) = pair.receiver(session, "l", Credit::Window(window));
        for token in 0..300 {
            if pair.server.credit(tx) == 0 {
                pair.drive();
                assert!((1..=window as usize).contains(&pair.client.buffered(rx)));
                assert_eq!(pair.server.credit(tx), 0, "nothing was taken yet");
                pair.client.recv(rx).unwrap();
                pair.client.take_all(rx);
                pair.drive();
            }
            pair.server.send(tx, message(token, 1), settled(0)).unwrap();
        }
    }
}

#[test]
fn t_2_6_7_6_more_than_the_credit_detaches() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = Some(Credit::Manual(2));
    peer.send(0, attach("l", 0, Role::Sender));
    peer.read();
    for id in 0..2 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    assert!(peer.names().is_empty());
    peer.send_payload(0, transfer(0, 2), HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)));
    assert!(!peer.end.is_closed());
}

#[test]
fn t_2_6_7_5_what_was_on_its_way_when_credit_was_lowered_is_taken() {
    // At once, and in steps; and after some of it has come.
    let steps: [&[u32]; 5] = [&[1], &[0], &[5, 1], &[7, 4, 0], &[0, 3, 1]];
    for (steps, came) in steps.into_iter().flat_map(|steps| [0, 2].map(|came| (steps, came))) {
        let mut peer = Peer::with_session();
        peer.end.accept.links = Some(Credit::Manual(10));
        peer.send(0, attach("l", 0, Role::Sender));
        let rx = peer.end.offered_links()[0];
        for id in 0..came {
            peer.send_payload(0, transfer(0, id), HELLO);
        }
        for credit in steps {
            peer.end.set_credit(rx, Credit::Manual(*credit)).unwrap();
            assert_eq!(flow(&peer.read()).link_credit, Some(*credit), "{steps:?}");
        }
        for id in came..10 {
            peer.send_payload(0, transfer(0, id), HELLO);
        }
        assert!(peer.names().is_empty(), "{steps:?}");
        // It is not given twice.
        peer.end.set_credit(rx, Credit::Manual(2)).unwrap();
        for id in 10..12 {
            peer.send_payload(0, transfer(0, id), HELLO);
        }
        assert_eq!(peer.refusal(), None, "{steps:?}");
        peer.send_payload(0, transfer(0, 12), HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)), "{steps:?}");
        assert_eq!(peer.end.buffered(rx), 0, "{steps:?}");
    }
}

#[test]
fn t_2_6_7_1_counts_wrap() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = Some(Credit::Manual(4));
    let count = SequenceNo(u32::MAX - 1);
    peer.send(0, Attach { initial_delivery_count: Some(count), ..attach("l", 0, Role::Sender) });
    assert_eq!(flow(&peer.read()).delivery_count, Some(count));
    for id in 0..3 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    peer.send(0, Flow { echo: true, delivery_count: Some(SequenceNo(1)), ..credit(0, 0) });
    let answer = flow(&peer.read());
    assert_eq!((answer.delivery_count, answer.link_credit), (Some(SequenceNo(1)), Some(1)));
    // The sender gives the last one up across the wrap.
    peer.send(0, Flow { echo: true, delivery_count: Some(SequenceNo(2)), ..credit(0, 0) });
    assert_eq!(flow(&peer.read()).link_credit, Some(0));
}

#[test]
fn t_2_7_4_7_an_echo_is_answered_with_the_links_state_and_asks_for_none() {
    let (mut peer, tx) = granted(7);
    peer.end.send(tx, message(1, 1), unsettled(0)).unwrap();
    peer.read();
    peer.send(0, Flow { echo: true, ..credit(0, 7) });
    let answer = flow(&peer.read());
    assert_eq!((answer.handle, answer.delivery_count), (Some(0), Some(SequenceNo(1))));
    assert_eq!((answer.link_credit, answer.available, answer.echo), (Some(6), Some(0), false));
}

#[test]
fn t_rob_2_many_echoes_are_answered_by_one_flow() {
    let mut peer = Peer::with_receiver();
    let mut octets = Vec::new();
    for _ in 0..10_000 {
        octets.extend(frame(0, Flow { echo: true, ..session_flow(10) }, b""));
        octets.extend(frame(0, Flow { echo: true, ..credit(0, 1) }, b""));
    }
    peer.raw(&octets);
    assert_eq!(peer.names(), ["flow", "flow"]);
}

#[test]
fn t_2_7_4_10_credit_from_a_sender_means_nothing() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    peer.send(0, Flow { delivery_count: Some(SequenceNo(0)), available: Some(3), ..credit(0, 1000) });
    peer.send(0, Flow { echo: true, ..credit(0, 0) });
    assert_eq!(flow(&peer.read()).link_credit, Some(200));
    assert_eq!((peer.end.credit(rx), peer.end.buffered(rx)), (0, 0));
}

#[test]
fn t_2_7_4_10_a_sender_says_how_many_deliveries_wait() {
    let (mut peer, tx) = granted(5);
    // Without a window they cannot leave.
    peer.send(0, session_flow(0));
    for token in 0..3 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    peer.send(0, Flow { echo: true, incoming_window: 0, ..credit(0, 5) });
    assert_eq!(flow(&peer.read()).available, Some(3));
    // One that has begun does not wait any more.
    peer.send(0, Flow { echo: true, incoming_window: 1, ..credit(0, 5) });
    peer.read();
    peer.send(0, Flow { echo: true, next_incoming_id: Some(SequenceNo(1)), incoming_window: 0, ..credit(0, 5) });
    let said = flow(&peer.read());
    assert_eq!((said.available, said.link_credit, said.delivery_count), (Some(2), Some(4), Some(SequenceNo(1))));
}

#[test]
fn t_2_7_4_4_a_flow_of_a_link_names_it() {
    let nameless = || Flow { handle: None, delivery_count: None, link_credit: None, ..credit(0, 0) };
    let mut properties = Fields::new();
    properties.insert(Symbol::from_static("x:y"), true);
    let wrong = [
        Flow { link_credit: Some(5), ..nameless() },
        Flow { delivery_count: Some(SequenceNo(5)), ..nameless() },
        Flow { available: Some(5), ..nameless() },
        Flow { drain: true, ..nameless() },
        Flow { properties: Some(properties), ..nameless() },
    ];
    for flow in wrong {
        let mut peer = Peer::with_receiver();
        peer.send(0, flow.clone());
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::INVALID_FIELD)), "{flow:?}");
    }
}

/// In the flows of this end, whichever end of the link it is.
#[test]
fn t_2_7_4_4_a_flow_says_something_of_a_link_only_where_it_names_it() {
    for mut peer in [Peer::with_receiver(), Peer::with_sender()] {
        peer.send(0, Flow { echo: true, ..credit(0, 5) });
        let of_the_link = flow(&peer.read());
        assert!(of_the_link.handle.is_some() && of_the_link.link_credit.is_some(), "{of_the_link:?}");
        peer.send(0, Flow { echo: true, ..session_flow(100) });
        let of_the_session = flow(&peer.read());
        let Flow { next_incoming_id, incoming_window, next_outgoing_id, outgoing_window, .. } = of_the_session;
        let expected = Flow { next_incoming_id, incoming_window, next_outgoing_id, outgoing_window, ..Flow::default() };
        assert_eq!(of_the_session, expected);
    }
}

#[test]
fn t_2_7_4_3_a_flow_on_an_unattached_handle_ends_the_session() {
    // A handle that was never attached, and one that is not attached any more.
    for (handle, echo) in [(u32::MAX, false), (u32::MAX, true), (0, false), (0, true)] {
        let mut peer = Peer::with_receiver();
        if handle == 0 {
            peer.send(0, Detach { handle, closed: true, error: None });
            assert_eq!(peer.names(), ["detach"]);
        }
        peer.send(0, Flow { echo, ..credit(handle, 5) });
        let frames = peer.read();
        assert_eq!(refusal(&frames), Some(("end", ErrorCondition::UNATTACHED_HANDLE)), "{handle} {echo}");
        assert_eq!(frames.len(), 1, "{frames:?}");
    }
}

#[test]
fn set_credit_before_the_link_is_attached_is_what_it_begins_with() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let rx = pair.client.attach_receiver(session, receiver("l", Credit::Manual(0))).unwrap();
    pair.client.set_credit(rx, Credit::Manual(6)).unwrap();
    pair.drive();
    let tx = pair.server.offered("l", Role::Sender);
    assert_eq!(pair.server.credit(tx), 6);
}

#[test]
fn a_drain_of_all_the_credit_that_can_be_given_ends() {
    for credit in [i32::MAX as u32, 1 << 31, u32::MAX] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let (rx, tx) = pair.receiver(session, "l", Credit::Manual(credit));
        pair.server.send(tx, message(1, 1), settled(1)).unwrap();
        pair.client.drain(rx).unwrap();
        pair.drive();
        assert!(pair.client.drained(rx), "{credit}");
        assert_eq!(pair.server.credit(tx), 0);
        pair.client.set_credit(rx, Credit::Manual(1)).unwrap();
        pair.drive();
        assert_eq!(pair.server.credit(tx), 1, "{credit}");
    }
}

/// A sender that asks for mode second and never settles does not fill our memory, and nothing stops silently.
#[test]
fn credit_is_withheld_while_too_many_deliveries_are_unsettled() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut peer = Peer::with_session();
        peer.end.accept.links = None;
        peer.send(0, Attach { rcv_settle_mode: mode, ..attach("l", 0, Role::Sender) });
        let rx = peer.end.offered_links()[0];
        let offered = peer.end.remote_attach(rx).unwrap();
        let reply = AttachReply { max_unsettled: 10, credit: Credit::Window(4), ..AttachReply::echo(&offered) };
        peer.end.accept_link(rx, reply).unwrap();
        peer.read();
        let mut keys = Vec::new();
        let (mut id, mut credit) = (0, 4);
        while credit > 0 && id < 100 {
            peer.send_payload(0, transfer(0, id), HELLO);
            (id, credit) = (id + 1, credit - 1);
            keys.extend(peer.end.take_all(rx).iter().map(|delivery| delivery.key));
            let flows = peer.read().into_iter().filter_map(|(_, body, _)| match body {
                Performative::Flow(flow) => flow.link_credit,
                _ => None,
            });
            credit = flows.last().unwrap_or(credit);
        }
        assert_eq!(id, 10);
        assert_eq!(peer.end.count(|event| matches!(event, Event::CreditWithheld(id) if *id == rx)), 1);
        // The outcome alone does not help in mode second: the sender has to settle.
        for key in keys {
            peer.end.dispose(rx, key, DeliveryState::Accepted).unwrap();
        }
        if mode == ReceiverSettleMode::Second {
            assert_eq!(peer.names(), ["disposition"]);
            let settles = Disposition { settled: true, last: Some(SequenceNo(id - 1)), ..Disposition::default() };
            peer.send(0, Disposition { role: Role::Sender, ..settles });
        }
        assert!(peer.names().contains(&"flow"), "{mode:?}");
    }
}

/// A window that is set while as many deliveries are unsettled as may be is filled when they are settled.
#[test]
fn a_window_that_is_set_at_the_bound_is_filled_later() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender_answered(session, "l", |reply| {
        (reply.max_unsettled, reply.credit) = (3, Credit::Manual(3));
    });
    for token in 0..3 {
        pair.client.send(tx, message(0, 1), unsettled(token)).unwrap();
    }
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    pair.server.set_credit(rx, Credit::Window(200)).unwrap();
    pair.drive();
    assert_eq!((deliveries.len(), pair.client.credit(tx)), (3, 0));
    assert_eq!(pair.server.count(|event| matches!(event, Event::CreditWithheld(id) if *id == rx)), 1);
    pair.server.dispose(rx, deliveries[0].key, DeliveryState::Accepted).unwrap();
    pair.drive();
    assert_eq!(pair.client.credit(tx), 1);
}
