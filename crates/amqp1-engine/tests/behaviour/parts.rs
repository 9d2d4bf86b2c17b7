//! Rules of links in all parts that an engine may have: the client's engine and the server's, that of the end which attaches
//! first and that of the one which answers, the sending and the receiving one.

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, ReceiverSettleMode, Role},
    messaging::DeliveryState::Accepted,
    performative::{Attach, Detach, Disposition, Flow, Performative, Transfer},
};
use amqp1_engine::{Cause, ConnectionConfig, Credit, Event, LinkId, SendError, ServerSasl, Settlement};
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

/// The peer's is 7, ours is 0: on each frame that names the link.
#[test]
fn t_2_6_2_1_handles_of_the_two_ends_differ() {
    for part in Part::all() {
        for by_peer in [true, false] {
            let (mut peer, id) = part.link(FIRST, Credit::Manual(3), |theirs| theirs.handle = 7);
            let ours = frames(&peer.end.written).into_iter().find_map(|(_, body, _)| match body {
                Some(Performative::Attach(attach)) => Some(attach.handle),
                _ => None,
            });
            assert_eq!(ours, Some(0), "{part:?}");
            let asks = Flow { handle: Some(7), echo: true, ..granted(1) };
            match part.role {
                Role::Sender => {
                    peer.send(0, asks);
                    assert_eq!(only_flow(&mut peer).handle, Some(0), "{part:?}");
                    peer.end.send(id, message(1, 1), unsettled(1)).unwrap();
                    let frames = peer.read();
                    let [(_, Performative::Transfer(sent), _)] = &frames[..] else { panic!("{part:?}: {frames:?}") };
                    assert_eq!(sent.handle, 0, "{part:?}");
                }
                Role::Receiver => {
                    peer.send_payload(0, transfer(7, 0), HELLO);
                    assert_eq!(peer.end.take_all(id).len(), 1, "{part:?}");
                    peer.send(0, Flow { delivery_count: Some(FIRST.next()), link_credit: None, ..asks });
                    assert_eq!(only_flow(&mut peer).handle, Some(0), "{part:?}");
                }
            }
            if by_peer {
                peer.send(0, Detach { handle: 7, closed: true, error: None });
            } else {
                peer.end.detach(id, true, None).unwrap();
            }
            let frames = peer.read();
            let [(_, Performative::Detach(ours), _)] = &frames[..] else { panic!("{part:?}: {frames:?}") };
            assert_eq!(ours.handle, 0, "{part:?}");
        }
    }
}

/// The handle of our answer to a link that the peer attaches.
fn answered_on(peer: &mut Peer, name: &'static str, handle: u32) -> u32 {
    peer.end.accept.links = Some(Credit::Manual(0));
    peer.send(0, attach(name, handle, Role::Receiver));
    let frames = peer.read();
    let [(_, Performative::Attach(ours), _)] = &frames[..] else { panic!("{frames:?}") };
    ours.handle
}

/// Whichever end is the first to. Until the other has answered, the handle is in use.
#[test]
fn t_2_6_2_2_a_handle_is_used_again_when_both_ends_have_detached() {
    for closed in [true, false] {
        let theirs = || Detach { handle: 0, closed, error: None };
        for part in Part::all() {
            let (mut peer, _) = link(part);
            peer.send(0, theirs());
            assert_eq!(peer.names(), ["detach"], "{part:?}");
            assert_eq!(answered_on(&mut peer, "m", 0), 0, "{part:?}");
            let (mut peer, id) = link(part);
            peer.end.detach(id, closed, None).unwrap();
            assert_eq!(peer.names(), ["detach"], "{part:?}");
            assert_eq!(answered_on(&mut peer, "m", 1), 1, "{part:?}");
            peer.send(0, theirs());
            assert_eq!(answered_on(&mut peer, "n", 0), 0, "{part:?}");
        }
        // A link that is refused has a handle too.
        for role in [Role::Sender, Role::Receiver] {
            let mut peer = Peer::with_session();
            peer.end.accept.links = None;
            peer.send(0, attach("l", 0, role));
            let link = peer.end.offered_links()[0];
            peer.end.reject_link(link, error(ErrorCondition::NOT_FOUND)).unwrap();
            assert_eq!(peer.names(), ["attach", "detach"], "{role:?}");
            assert_eq!(answered_on(&mut peer, "m", 1), 1, "{role:?}");
            peer.send(0, theirs());
            assert_eq!(answered_on(&mut peer, "n", 0), 0, "{role:?}");
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

/// Whether it is settled or not. Also T-2.6.7-1: what comes is counted, across the end of the numbers.
#[test]
fn t_2_6_7_6_a_receiver_takes_what_it_has_given_credit_for_and_no_more() {
    for (part, settled) in Part::of(Role::Receiver).flat_map(|part| [(part, None), (part, Some(true))]) {
        let transfer = |id| Transfer { settled, ..transfer(0, id) };
        let (mut peer, rx) = link(part);
        for id in 0..3 {
            peer.send_payload(0, transfer(id), HELLO);
        }
        assert_eq!(peer.end.take_all(rx).len(), 3, "{part:?}");
        peer.send(0, Flow { echo: true, link_credit: None, delivery_count: Some(FIRST.plus(3)), ..granted(0) });
        let flow = only_flow(&mut peer);
        assert_eq!((flow.delivery_count, flow.link_credit), (Some(FIRST.plus(3)), Some(0)), "{part:?}");
        peer.send_payload(0, transfer(3), HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)), "{part:?}");
    }
}

/// A delivery keeps no credit that was taken back before its first transfer left: neither one that waits for the window,
/// nor one whose octets are written later.
#[test]
fn t_2_6_7_4_what_was_queued_waits_where_its_credit_is_taken_back() {
    for (part, streamed) in Part::of(Role::Sender).flat_map(|part| [(part, false), (part, true)]) {
        let (mut peer, tx) = link(part);
        peer.send(0, Flow { incoming_window: 0, ..granted(1) });
        if streamed {
            peer.end.begin_delivery(tx, unsettled(1)).unwrap();
        } else {
            peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
        }
        peer.send(0, granted(0));
        if streamed {
            peer.end.write(tx, HELLO.into()).unwrap();
            assert!(peer.names().is_empty(), "{part:?}");
            peer.end.finish(tx).unwrap();
        }
        assert!(peer.names().is_empty(), "{part:?} {streamed}");
        peer.send(0, granted(1));
        assert_eq!(peer.names(), ["transfer"], "{part:?} {streamed}");
    }
}

/// With an echo or without. The answer says that there is no credit any more.
#[test]
fn t_2_6_10_1_a_sender_that_is_stopped_has_no_credit_and_says_so() {
    for (part, echo) in Part::of(Role::Sender).flat_map(|part| [(part, false), (part, true)]) {
        let (mut peer, tx) = link(part);
        peer.send(0, granted(5));
        peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
        assert_eq!(peer.names(), ["transfer"], "{part:?}");
        peer.send(0, Flow { echo, ..granted(0) });
        assert_eq!(peer.end.send(tx, message(1, 1), unsettled(2)), Err(SendError::NoCredit), "{part:?} {echo}");
        let frames = peer.read();
        let flows = frames.iter().map(|(_, body, _)| match body {
            Performative::Flow(flow) => (flow.delivery_count, flow.link_credit),
            other => panic!("{part:?}: {other:?}"),
        });
        let expected: &[_] = if echo { &[(Some(FIRST.next()), Some(0))] } else { &[] };
        assert_eq!(flows.collect::<Vec<_>>(), expected, "{part:?} {echo}");
    }
}

/// In either direction, also if it is given up in the end.
#[test]
fn t_2_6_14_5_a_delivery_uses_one_credit_and_each_of_its_frames_a_transfer_id() {
    for (part, aborted) in Part::all().flat_map(|part| [(part, false), (part, true)]) {
        let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
        let (mut peer, id) = part.link_with(config, FIRST, Credit::Manual(3), |_| {});
        let asks = Flow { echo: true, next_incoming_id: Some(SequenceNo(3)), incoming_window: 0, ..granted(3) };
        let counted = match part.role {
            Role::Sender => {
                peer.send(0, Flow { incoming_window: 3, ..granted(3) });
                if aborted {
                    peer.end.begin_delivery(id, unsettled(1)).unwrap();
                    for seed in 0..2 {
                        peer.end.write(id, body(seed, 100)).unwrap();
                        peer.flush();
                    }
                    peer.end.abort(id, 1).unwrap();
                } else {
                    peer.end.send(id, message(1, 1200), unsettled(1)).unwrap();
                }
                assert_eq!(peer.names(), ["transfer"; 3], "{part:?} {aborted}");
                // The window of three is used up.
                peer.end.send(id, message(1, 1), unsettled(2)).unwrap();
                assert!(peer.names().is_empty(), "{part:?} {aborted}");
                peer.send(0, asks);
                let flow = only_flow(&mut peer);
                assert_eq!(flow.next_outgoing_id, SequenceNo(3), "{part:?} {aborted}");
                peer.send(0, Flow { next_incoming_id: Some(SequenceNo(3)), ..session_flow(1) });
                let frames = peer.read();
                let [(_, Performative::Transfer(next), _)] = &frames[..] else { panic!("{part:?}: {frames:?}") };
                assert_eq!(next.delivery_id, Some(SequenceNo(1)), "{part:?} {aborted}");
                flow
            }
            Role::Receiver => {
                let more = Transfer { more: true, ..Transfer::default() };
                peer.send_payload(0, Transfer { more: true, ..transfer(0, 0) }, &HELLO[..3]);
                peer.send_payload(0, more, &HELLO[3..5]);
                peer.send_payload(0, Transfer { aborted, ..Transfer::default() }, &HELLO[5..]);
                assert_eq!(peer.end.take_all(id).len(), usize::from(!aborted), "{part:?}");
                peer.read();
                let (delivery_count, next_outgoing_id) = (Some(FIRST.next()), SequenceNo(3));
                peer.send(0, Flow { delivery_count, next_outgoing_id, link_credit: None, ..asks });
                let flow = only_flow(&mut peer);
                assert_eq!(flow.next_incoming_id, Some(SequenceNo(3)), "{part:?} {aborted}");
                flow
            }
        };
        let state = (counted.delivery_count, counted.link_credit);
        assert_eq!(state, (Some(FIRST.next()), Some(2)), "{part:?} {aborted}");
    }
}

/// A delivery that is queued behind one that has left in part waits for the rest of it, settled or not.
#[test]
fn t_2_6_14_2_a_delivery_begins_behind_the_last_transfer_of_the_one_before() {
    for (part, options) in Part::of(Role::Sender).flat_map(|part| [(part, settled(2)), (part, unsettled(2))]) {
        for first in [settled(1), unsettled(1)] {
            let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
            let (mut peer, tx) = part.link_with(config, FIRST, Credit::Manual(0), |_| {});
            peer.send(0, Flow { incoming_window: 1, ..granted(3) });
            peer.end.send(tx, message(1, 1200), first).unwrap();
            assert_eq!(peer.names(), ["transfer"], "{part:?}");
            peer.end.send(tx, message(2, 10), options.clone()).unwrap();
            peer.send(0, Flow { next_incoming_id: Some(SequenceNo(1)), ..session_flow(100) });
            let begins = peer.read().into_iter().map(|(_, body, _)| match body {
                Performative::Transfer(sent) => (sent.delivery_tag.is_some(), sent.more),
                other => panic!("{part:?}: {other:?}"),
            });
            assert_eq!(begins.collect::<Vec<_>>(), [(false, true), (false, false), (true, false)], "{part:?}");
        }
    }
}

/// However the delivery has come whose tag it is.
#[test]
fn t_2_6_12_1_the_tag_of_a_delivery_that_is_not_settled_is_refused() {
    for (part, in_parts) in Part::of(Role::Receiver).flat_map(|part| [(part, false), (part, true)]) {
        let (mut peer, rx) = link(part);
        if in_parts {
            peer.send_payload(0, Transfer { more: true, ..transfer(0, 0) }, &HELLO[..5]);
            peer.send_payload(0, Transfer::default(), &HELLO[5..]);
        } else {
            peer.send_payload(0, transfer(0, 0), HELLO);
        }
        assert_eq!((peer.end.take_all(rx).len(), peer.refusal()), (1, None), "{part:?} {in_parts}");
        peer.send_payload(0, Transfer { delivery_tag: transfer(0, 0).delivery_tag, ..transfer(0, 1) }, HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)), "{part:?} {in_parts}");
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
