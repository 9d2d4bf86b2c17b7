//! Rules of links in all parts that an engine may have: the client's engine and the server's, that of the end which attaches
//! first and that of the one which answers, the sending and the receiving one.

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, ReceiverSettleMode, Role},
    messaging::DeliveryState::Accepted,
    performative::{Attach, Detach, Disposition, Flow, Performative, Transfer},
};
use amqp1_engine::{Cause, Credit, Event, LinkId, SendError, ServerSasl, Settlement};
use amqp1_testkit::*;

/// Where counts wrap after two deliveries.
const FIRST: SequenceNo = SequenceNo(u32::MAX - 1);

fn link(part: Part) -> (Peer, LinkId) {
    part.link(FIRST, Credit::Manual(3), |_| {})
}

fn granted(credit: u32) -> Flow {
    Flow { handle: Some(0), delivery_count: Some(FIRST), link_credit: Some(credit), ..session_flow(1000) }
}

fn only_flow(peer: &mut Peer) -> Flow {
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    flow.clone()
}

/// Also T-2.6.7-1: it says from where it counts, if it sends.
#[test]
fn t_2_6_3_1_an_attach_has_the_links_name_and_the_role_of_its_end() {
    for part in Part::all() {
        let (peer, link) = link(part);
        let ours = frames(&peer.end.written).into_iter().find_map(|(_, body, _)| match body {
            Some(Performative::Attach(attach)) => Some(attach),
            _ => None,
        });
        let ours = ours.unwrap();
        assert_eq!((ours.name.as_str(), ours.handle, ours.role), ("l", 0, part.role), "{part:?}");
        assert_eq!(ours.initial_delivery_count, (part.role == Role::Sender).then_some(FIRST), "{part:?}");
        assert!(peer.end.attached_now(link), "{part:?}");
    }
}

#[test]
fn t_2_6_4_1_a_detach_is_answered_by_a_detach_and_its_handle_is_free() {
    for part in Part::all() {
        for closed in [false, true] {
            let (mut peer, id) = link(part);
            peer.send(0, Detach { handle: 0, closed, error: None });
            let frames = peer.read();
            let [(_, Performative::Detach(answer), _)] = &frames[..] else { panic!("{part:?}: {frames:?}") };
            // T-2.6.6-1: a close by a close.
            assert_eq!((answer.handle, answer.closed, &answer.error), (0, closed, &None), "{part:?}");
            let detached = peer.end.detached(id).unwrap();
            assert_eq!((detached.closed, detached.by), (closed, Cause::Peer), "{part:?}");
            peer.end.accept.links = Some(Credit::Manual(0));
            peer.send(0, attach("m", 0, Role::Receiver));
            assert_eq!(peer.names(), ["attach"], "{part:?}");
        }
    }
}

#[test]
fn t_2_6_6_1_a_close_of_ours_is_over_when_the_peer_has_answered() {
    for part in Part::all() {
        let (mut peer, id) = link(part);
        peer.end.detach(id, true, None).unwrap();
        let frames = peer.read();
        let [(_, Performative::Detach(ours), _)] = &frames[..] else { panic!("{part:?}: {frames:?}") };
        assert!(ours.closed && ours.error.is_none(), "{part:?}");
        assert!(peer.end.detached(id).is_none(), "{part:?}");
        peer.send(0, Detach { handle: 0, closed: true, error: None });
        let detached = peer.end.detached(id).unwrap();
        assert_eq!((detached.closed, detached.by), (true, Cause::Local), "{part:?}");
        assert!(peer.names().is_empty(), "{part:?}");
    }
}

/// Also T-2.6.5-1: with the error, and the session lives on.
#[test]
fn t_2_7_7_2_an_error_of_a_link_is_told_and_ends_it_alone() {
    for part in Part::all() {
        let (mut peer, id) = link(part);
        peer.send(0, Detach { handle: 0, closed: true, error: Some(error(ErrorCondition::DETACH_FORCED)) });
        let condition = peer.end.detached(id).unwrap().error.unwrap().condition;
        assert_eq!(condition, ErrorCondition::DETACH_FORCED, "{part:?}");
        assert_eq!(peer.names(), ["detach"], "{part:?}");
        let (mut peer, id) = link(part);
        peer.end.detach(id, true, Some(error(ErrorCondition::RESOURCE_DELETED))).unwrap();
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::RESOURCE_DELETED)), "{part:?}");
        peer.send(0, Flow { echo: true, ..session_flow(5) });
        assert_eq!(peer.names(), ["flow"], "{part:?}");
    }
    // A link that is refused is one too.
    for (side, theirs) in
        Side::BOTH.into_iter().flat_map(|side| [Role::Sender, Role::Receiver].map(|role| (side, role)))
    {
        let mut peer = match side {
            Side::Server => Peer::of_server(ServerSasl::None),
            Side::Client => Peer::of_client(),
        }
        .open();
        peer.end.accept.links = None;
        peer.send(0, begin());
        peer.send(0, attach("l", 0, theirs));
        let offered = peer.end.offered_links()[0];
        peer.end.reject_link(offered, error(ErrorCondition::NOT_FOUND)).unwrap();
        let frames = peer.read();
        let [.., (_, Performative::Attach(_), _), (_, Performative::Detach(detach), _)] = &frames[..] else {
            panic!("{side:?} {theirs:?}: {frames:?}")
        };
        assert_eq!(detach.error, Some(error(ErrorCondition::NOT_FOUND)), "{side:?} {theirs:?}");
        assert!(!peer.end.is_closed() && peer.end.count(|event| matches!(event, Event::SessionEnded(..))) == 0);
    }
}

/// Also T-2.7.4-5, T-2.7.4-6 and T-2.7.4-8.
#[test]
fn t_2_7_4_7_an_echo_is_answered_with_the_state_of_the_link() {
    for part in Part::all() {
        let (mut peer, _) = link(part);
        let asks = match part.role {
            Role::Sender => granted(7),
            Role::Receiver => Flow { link_credit: None, ..granted(0) },
        };
        peer.send(0, Flow { echo: true, ..asks });
        let flow = only_flow(&mut peer);
        let credit = if part.role == Role::Sender { 7 } else { 3 };
        assert_eq!((flow.handle, flow.delivery_count), (Some(0), Some(FIRST)), "{part:?}");
        assert_eq!((flow.link_credit, flow.echo), (Some(credit), false), "{part:?}");
    }
}

/// Also T-2.6.7-1 and T-2.6.7-2: across the end of the numbers.
#[test]
fn t_2_6_7_4_a_sender_sends_as_many_deliveries_as_it_has_credit_for() {
    for part in Part::of(Role::Sender) {
        let (mut peer, tx) = link(part);
        assert_eq!(peer.end.send(tx, message(1, 1), unsettled(9)), Err(SendError::NoCredit), "{part:?}");
        peer.send(0, granted(3));
        for token in 0..3 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        assert_eq!(peer.end.send(tx, message(1, 1), unsettled(9)), Err(SendError::NoCredit), "{part:?}");
        assert_eq!(peer.names(), ["transfer"; 3], "{part:?}");
        // What is granted counts from what the receiver has seen.
        let delivery_count = Some(FIRST.plus(3));
        let next_incoming_id = Some(SequenceNo(3));
        peer.send(0, Flow { delivery_count, next_incoming_id, ..granted(2) });
        assert_eq!(peer.end.credit(tx), 2, "{part:?}");
    }
}

#[test]
fn t_2_6_7_3_without_a_count_credit_counts_from_the_senders_first() {
    for part in Part::of(Role::Sender) {
        let (mut peer, tx) = link(part);
        peer.send(0, Flow { delivery_count: None, ..granted(5) });
        peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
        peer.read();
        peer.send(0, Flow { delivery_count: None, ..granted(5) });
        assert_eq!(peer.end.credit(tx), 4, "{part:?}");
    }
}

#[test]
fn t_2_6_7_7_a_sender_that_is_drained_gives_its_credit_up() {
    for part in Part::of(Role::Sender) {
        let (mut peer, tx) = link(part);
        peer.send(0, Flow { drain: true, ..granted(4) });
        let flow = only_flow(&mut peer);
        assert_eq!((flow.delivery_count, flow.link_credit), (Some(FIRST.plus(4)), Some(0)), "{part:?}");
        assert_eq!(peer.end.credit(tx), 0, "{part:?}");
    }
}

/// Also T-2.6.7-1: what comes is counted, across the end of the numbers.
#[test]
fn t_2_6_7_6_a_receiver_takes_what_it_has_given_credit_for_and_no_more() {
    for part in Part::of(Role::Receiver) {
        let (mut peer, rx) = link(part);
        for id in 0..3 {
            peer.send_payload(0, transfer(0, id), HELLO);
        }
        assert_eq!(peer.end.take_all(rx).len(), 3, "{part:?}");
        peer.send(0, Flow { echo: true, link_credit: None, delivery_count: Some(FIRST.plus(3)), ..granted(0) });
        let flow = only_flow(&mut peer);
        assert_eq!((flow.delivery_count, flow.link_credit), (Some(FIRST.plus(3)), Some(0)), "{part:?}");
        peer.send_payload(0, transfer(0, 3), HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)), "{part:?}");
    }
}

/// Also T-2.6.12-2: in mode first it settles with its outcome, in mode second it waits for the sender.
#[test]
fn t_2_7_3_5_a_delivery_is_settled_as_the_links_mode_says() {
    let says = |role, settled| Disposition { role, settled, state: Some(Accepted), ..Disposition::default() };
    for rcv_settle_mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let second = rcv_settle_mode == ReceiverSettleMode::Second;
        let mode = |attach: &mut Attach| attach.rcv_settle_mode = rcv_settle_mode;
        for part in Part::all() {
            // A receiver that attaches first has a mode of its own.
            if part.role == Role::Receiver && part.initiates && second {
                continue;
            }
            let (mut peer, id) = part.link(FIRST, Credit::Manual(3), mode);
            match part.role {
                Role::Receiver => {
                    peer.send_payload(0, transfer(0, 0), HELLO);
                    let key = peer.end.recv(id).unwrap().key;
                    peer.end.dispose(id, key, Accepted).unwrap();
                    let frames = peer.read();
                    let [(_, Performative::Disposition(ours), _)] = &frames[..] else { panic!("{part:?}: {frames:?}") };
                    assert_eq!((ours.role, ours.settled), (Role::Receiver, !second), "{part:?}");
                }
                Role::Sender => {
                    peer.send(0, granted(1));
                    peer.end.send(id, message(1, 1), unsettled(1)).unwrap();
                    peer.read();
                    peer.send(0, says(Role::Receiver, !second));
                    assert_eq!(peer.end.settlements(), [(1, Settlement::Outcome(Some(Accepted)))], "{part:?}");
                    let frames = peer.read();
                    match &frames[..] {
                        [] => assert!(!second, "{part:?}"),
                        [(_, Performative::Disposition(ours), _)] => {
                            assert!(second && ours.settled && ours.role == Role::Sender, "{part:?}: {ours:?}");
                        }
                        other => panic!("{part:?}: {other:?}"),
                    }
                }
            }
        }
    }
}

/// Its link ends, and nothing else.
#[test]
fn t_2_6_12_1_a_transfer_to_a_sender_is_refused() {
    for part in Part::of(Role::Sender) {
        let (mut peer, _) = link(part);
        peer.send_payload(0, Transfer { settled: Some(true), ..transfer(0, 0) }, HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)), "{part:?}");
        assert!(!peer.end.is_closed(), "{part:?}");
    }
}
