//! Drains, seen from the sending end (§2.6.7).

use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    performative::{Detach, Flow, Performative},
};
use amqp1_engine::{ApiMisuse, AttachReply, Credit, DrainMode, Event, LinkId, SendError, SenderConfig};
use amqp1_testkit::*;
use core::time::Duration;

/// A server that sends on link 0, on which the peer receives.
fn sending(drain_mode: DrainMode) -> (Peer, LinkId) {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    let reply = AttachReply { drain_mode, ..AttachReply::echo(&peer.end.remote_attach(tx).unwrap()) };
    peer.end.accept_link(tx, reply).unwrap();
    peer.read();
    (peer, tx)
}

fn drain(credit_: u32) -> Flow {
    Flow { drain: true, ..credit(0, credit_) }
}

/// Lets the engine read a frame and the application its events. Nothing is written yet.
fn hear(peer: &mut Peer, body: impl Into<Performative>) {
    peer.end.input.extend_from_slice(&frame(0, body, b""));
    peer.end.take_input(peer.now);
}

fn requests(peer: &Peer, tx: LinkId) -> usize {
    peer.end.count(|event| matches!(event, Event::DrainRequested(id) if *id == tx))
}

fn answers(peer: &Peer, tx: LinkId) -> usize {
    peer.end.count(|event| matches!(event, Event::DrainAnswered(id) if *id == tx))
}

/// The names of the frames written since, and the delivery-count and credit that the last flow of the link has.
fn written(peer: &mut Peer) -> (Vec<&'static str>, Option<(u32, u32)>) {
    let frames = peer.read();
    let state = |(_, body, _): &(u16, Performative, bytes::Bytes)| match body {
        Performative::Flow(flow) => Some((flow.delivery_count?.0, flow.link_credit?)),
        _ => None,
    };
    (frames.iter().map(|(_, body, _)| body.name()).collect(), frames.iter().filter_map(state).next_back())
}

#[test]
fn t_2_6_7_8_credit_and_drain_in_one_flow_leave_the_credit_to_the_application() {
    let (mut peer, tx) = sending(DrainMode::Automatic);
    hear(&mut peer, drain(5));
    assert_eq!((requests(&peer, tx), peer.end.credit(tx)), (1, 5));
    for token in 0..3 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    assert_eq!(written(&mut peer), (vec!["transfer", "transfer", "transfer", "flow"], Some((5, 0))));
    assert_eq!(answers(&peer, tx), 1);
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(3)), Err(SendError::NoCredit));
}

#[test]
fn t_2_6_7_8_a_drain_that_the_application_answers_leaves_it_the_credit_until_then() {
    let (mut peer, tx) = sending(DrainMode::APPLICATION);
    peer.send(0, drain(5));
    assert_eq!(written(&mut peer).0.len(), 0);
    assert!(peer.end.drain_requested(tx));
    for token in 0..3 {
        peer.now = peer.now + Duration::from_millis(300);
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        assert_eq!(written(&mut peer), (vec!["transfer"], None));
    }
    peer.end.answer_drain(tx).unwrap();
    assert_eq!(written(&mut peer), (vec!["flow"], Some((5, 0))));
    assert_eq!((requests(&peer, tx), answers(&peer, tx), peer.end.drain_requested(tx)), (1, 1, false));
    // The next one is another.
    peer.send(0, Flow { delivery_count: Some(SequenceNo(5)), ..drain(2) });
    assert_eq!((requests(&peer, tx), peer.end.credit(tx)), (2, 2));
}

#[test]
fn t_2_6_7_7_a_drain_that_the_application_forgets_is_answered_after_its_time() {
    for millis in [1000, 5000] {
        let timeout = Duration::from_millis(millis);
        let (mut peer, tx) = sending(DrainMode::Application { timeout });
        peer.now = peer.now + Duration::from_secs(3);
        let deadline = peer.now + timeout;
        peer.send(0, drain(5));
        assert_eq!(peer.end.poll_timeout(), Some(deadline));
        peer.end.engine.handle_timeout(deadline);
        assert_eq!(written(&mut peer), (vec!["flow"], Some((5, 0))));
        assert_eq!((answers(&peer, tx), peer.end.credit(tx)), (1, 0));
        assert_ne!(peer.end.poll_timeout(), Some(deadline));
    }
    assert_eq!(DrainMode::APPLICATION, DrainMode::Application { timeout: Duration::from_secs(1) });
}

#[test]
fn t_2_6_7_8_a_drain_is_answered_when_the_last_credit_is_used() {
    for mode in [DrainMode::Automatic, DrainMode::APPLICATION] {
        let (mut peer, tx) = sending(mode);
        hear(&mut peer, drain(2));
        for token in 0..2 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        assert_eq!(written(&mut peer), (vec!["transfer", "transfer", "flow"], Some((2, 0))), "{mode:?}");
        assert_eq!(answers(&peer, tx), 1);
        // There is nothing to give up, so the application is not asked.
        peer.send(0, Flow { delivery_count: Some(SequenceNo(2)), ..drain(0) });
        assert_eq!(written(&mut peer), (vec!["flow"], Some((2, 0))), "{mode:?}");
        assert_eq!(requests(&peer, tx), 1);
    }
}

#[test]
fn credit_is_given_up_only_while_a_drain_waits_for_an_answer() {
    let (mut peer, tx) = sending(DrainMode::APPLICATION);
    peer.send(0, credit(0, 4));
    peer.end.answer_drain(tx).unwrap();
    assert_eq!((written(&mut peer), peer.end.credit(tx)), ((vec![], None), 4));
    // The receiver changes its mind.
    peer.send(0, drain(4));
    peer.send(0, credit(0, 4));
    peer.end.answer_drain(tx).unwrap();
    peer.end.engine.handle_timeout(peer.now + Duration::from_secs(2));
    assert_eq!((written(&mut peer), peer.end.credit(tx)), ((vec![], None), 4));
    assert!(!peer.end.drain_requested(tx));
    // A drain that is repeated is one.
    peer.send(0, drain(4));
    peer.send(0, drain(4));
    assert_eq!(requests(&peer, tx), 2);
    peer.end.answer_drain(tx).unwrap();
    assert_eq!(written(&mut peer), (vec!["flow"], Some((4, 0))));
}

#[test]
fn what_is_queued_goes_before_the_credit_is_given_up_and_nothing_is_queued_behind_it() {
    let (mut peer, tx) = sending(DrainMode::APPLICATION);
    peer.send(0, Flow { incoming_window: 0, ..drain(5) });
    for token in 0..2 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    peer.end.answer_drain(tx).unwrap();
    assert_eq!(written(&mut peer), (vec![], None));
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(2)), Err(SendError::NoCredit));
    peer.send(0, session_flow(10));
    assert_eq!(written(&mut peer), (vec!["transfer", "transfer", "flow"], Some((5, 0))));
}

#[test]
fn t_2_6_7_8_a_drain_before_the_link_is_accepted_is_reported_when_it_is() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, drain(4));
    let tx = peer.end.offered_links()[0];
    let reply =
        AttachReply { drain_mode: DrainMode::APPLICATION, ..AttachReply::echo(&attach("l", 0, Role::Receiver)) };
    peer.end.accept_link(tx, reply).unwrap();
    assert_eq!(written(&mut peer).0, ["attach"]);
    assert_eq!((requests(&peer, tx), peer.end.credit(tx)), (1, 4));
    peer.end.answer_drain(tx).unwrap();
    assert_eq!(written(&mut peer), (vec!["flow"], Some((4, 0))));
}

#[test]
fn a_client_that_sends_can_answer_drains_itself() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let config = SenderConfig { drain_mode: DrainMode::APPLICATION, ..sender("l") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.server.accept.links = Some(Credit::Manual(3));
    pair.drive();
    let rx = pair.server.offered("l", Role::Receiver);
    pair.server.drain(rx).unwrap();
    pair.drive();
    assert!(!pair.server.drained(rx));
    pair.client.send(tx, message(1, 1), settled(1)).unwrap();
    pair.client.answer_drain(tx).unwrap();
    pair.drive();
    assert!(pair.server.drained(rx));
    assert_eq!(pair.server.take_all(rx).len(), 1);
    assert_eq!(pair.server.answer_drain(rx), Err(ApiMisuse::WrongRole));
}

#[test]
fn a_link_that_is_detached_leaves_no_drain_behind() {
    let (mut peer, tx) = sending(DrainMode::APPLICATION);
    peer.send(0, drain(4));
    let deadline = peer.now + Duration::from_secs(1);
    assert_eq!(peer.end.poll_timeout(), Some(deadline));
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    assert_ne!(peer.end.poll_timeout(), Some(deadline));
    assert_eq!(peer.end.answer_drain(tx), Err(ApiMisuse::UnknownLink));
    assert_eq!(written(&mut peer).0, ["detach"]);
}

/// Credit that comes while a drain gives credit up can be used. The next drain gives up the rest of it.
#[test]
fn t_2_6_7_8_credit_that_comes_while_credit_is_given_up_can_be_used() {
    for mode in [DrainMode::Automatic, DrainMode::APPLICATION] {
        let (mut peer, tx) = sending(mode);
        peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
        for token in 0..2 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        peer.send(0, Flow { incoming_window: 0, ..drain(5) });
        peer.end.answer_drain(tx).unwrap();
        assert_eq!((written(&mut peer), peer.end.credit(tx)), ((vec![], None), 0), "{mode:?}");
        hear(&mut peer, Flow { incoming_window: 0, ..drain(8) });
        assert_eq!((requests(&peer, tx), peer.end.credit(tx)), (2, 6), "{mode:?}");
        peer.end.send(tx, message(1, 1), unsettled(2)).unwrap();
        peer.end.answer_drain(tx).unwrap();
        peer.send(0, session_flow(10));
        assert_eq!(written(&mut peer), (vec!["transfer", "transfer", "transfer", "flow"], Some((8, 0))), "{mode:?}");
        assert_eq!(answers(&peer, tx), 1, "{mode:?}");
    }
}

/// Nothing of it is written in time. It stays, and goes on when there is credit again.
#[test]
fn t_2_6_7_7_a_drain_is_answered_in_time_although_a_delivery_was_begun() {
    for answers_itself in [false, true] {
        let (mut peer, tx) = sending(DrainMode::APPLICATION);
        peer.send(0, credit(0, 5));
        peer.end.begin_delivery(tx, unsettled(1)).unwrap();
        peer.send(0, drain(5));
        if answers_itself {
            peer.end.answer_drain(tx).unwrap();
        }
        assert_eq!(written(&mut peer), (vec![], None));
        peer.now = peer.now + Duration::from_secs(1);
        assert_eq!(peer.end.poll_timeout(), Some(peer.now));
        peer.end.engine.handle_timeout(peer.now);
        assert_eq!(written(&mut peer), (vec!["flow"], Some((5, 0))));
        assert_eq!((answers(&peer, tx), peer.end.credit(tx)), (1, 0));
        // It waits for credit.
        peer.end.write(tx, bytes::Bytes::from_static(HELLO)).unwrap();
        peer.end.finish(tx).unwrap();
        assert_eq!(written(&mut peer), (vec![], None));
        peer.send(0, Flow { delivery_count: Some(SequenceNo(5)), ..drain(1) });
        assert_eq!(written(&mut peer), (vec!["transfer", "flow"], Some((6, 0))));
    }
}

/// What is queued before it leaves when the window opens, and the drain is answered then.
#[test]
fn t_2_6_7_7_a_drain_whose_time_is_over_waits_for_what_is_queued_only() {
    let (mut peer, tx) = sending(DrainMode::APPLICATION);
    peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
    peer.end.send(tx, message(1, 1), unsettled(0)).unwrap();
    peer.end.begin_delivery(tx, unsettled(1)).unwrap();
    peer.send(0, Flow { incoming_window: 0, ..drain(5) });
    peer.end.engine.handle_timeout(peer.now + Duration::from_secs(1));
    assert_eq!(written(&mut peer), (vec![], None));
    peer.send(0, session_flow(10));
    assert_eq!(written(&mut peer), (vec!["transfer", "flow"], Some((5, 0))));
}

/// Its first octets are written only after the drain.
#[test]
fn t_2_6_7_8_a_delivery_that_was_begun_keeps_its_credit_in_a_drain() {
    for mode in [DrainMode::Automatic, DrainMode::APPLICATION] {
        let (mut peer, tx) = sending(mode);
        peer.send(0, credit(0, 5));
        peer.end.begin_delivery(tx, unsettled(1)).unwrap();
        peer.send(0, drain(5));
        peer.end.answer_drain(tx).unwrap();
        assert_eq!(written(&mut peer), (vec![], None), "{mode:?}");
        peer.end.write(tx, bytes::Bytes::from_static(HELLO)).unwrap();
        assert_eq!(written(&mut peer), (vec!["transfer", "flow"], Some((5, 0))), "{mode:?}");
        peer.end.finish(tx).unwrap();
        assert_eq!(written(&mut peer), (vec!["transfer"], None), "{mode:?}");
        assert_eq!((answers(&peer, tx), peer.end.credit(tx)), (1, 0));
    }
    // One that is given up has no use for it.
    let (mut peer, tx) = sending(DrainMode::Automatic);
    peer.send(0, credit(0, 5));
    peer.end.begin_delivery(tx, unsettled(1)).unwrap();
    peer.send(0, drain(5));
    assert_eq!(written(&mut peer), (vec![], None));
    peer.end.abort(tx, 1).unwrap();
    assert_eq!(written(&mut peer), (vec!["flow"], Some((5, 0))));
}
