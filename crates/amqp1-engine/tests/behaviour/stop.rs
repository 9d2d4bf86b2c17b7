//! Streamed receivers that are detached while transfers are in flight, and peers whose session outlives that badly, as
//! RabbitMQ 3.10's does.

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Begin, Detach, End, Flow, Performative, Transfer},
};
use amqp1_engine::{ConnectionConfig, Credit, Event, LinkId, ReceiverConfig, SessionConfig, SessionId};
use amqp1_testkit::*;

/// A client that tolerates late transfers, with a streamed receiver on handle 0.
fn streamed(tolerant: bool, credit: u32) -> (Peer, SessionId, LinkId) {
    let mut config = ConnectionConfig::new("client");
    config.tolerances.transfer_after_detach = tolerant;
    let mut peer = Peer::with(config).open();
    let session = peer.end.begin(SessionConfig { stream_octets: 256 * 1024, ..SessionConfig::default() }).unwrap();
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    let rx = attach_streamed(&mut peer, session, "l", 0, credit);
    (peer, session, rx)
}

fn attach_streamed(peer: &mut Peer, session: SessionId, name: &'static str, handle: u32, credit: u32) -> LinkId {
    let config = ReceiverConfig { streamed: true, ..receiver(name, Credit::Manual(credit)) };
    let rx = peer.end.attach_receiver(session, config).unwrap();
    peer.send(0, attach(name, handle, Role::Sender));
    peer.read();
    rx
}

fn part(id: u32, more: bool) -> Transfer {
    Transfer { more, ..transfer(0, id) }
}

/// What the peer says of its link when it is asked.
fn answer(credit: u32) -> Flow {
    Flow { handle: Some(0), delivery_count: Some(SequenceNo(0)), link_credit: Some(credit), ..session_flow(1000) }
}

fn detach() -> Detach {
    Detach { handle: 0, closed: true, error: None }
}

/// The flow that was written last.
fn flow(peer: &mut Peer) -> Flow {
    let flows = peer.read().into_iter().map(|(_, body, _)| match body {
        Performative::Flow(flow) => flow,
        other => panic!("{other:?}"),
    });
    flows.last().expect("a flow")
}

#[test]
fn a_streamed_receiver_takes_its_credit_back_and_is_detached_when_nothing_more_comes() {
    let (mut peer, _, rx) = streamed(true, 3);
    peer.send_payload(0, part(0, true), HELLO);
    peer.end.detach(rx, true, None).unwrap();
    let asked = flow(&mut peer);
    assert_eq!((asked.link_credit, asked.echo, asked.handle), (Some(0), true, Some(0)));
    // What the sender had kept comes now, without its window ever closing.
    let mut transfers = 1;
    for round in 0..5 {
        for _ in 0..3 {
            peer.send_payload(0, part(0, true), HELLO);
            transfers += 1;
        }
        peer.read();
        // One has begun, which some count as credit that is left until all of it has gone.
        peer.send(0, Flow { next_outgoing_id: SequenceNo(transfers), ..answer(1) });
        let asked = flow(&mut peer);
        assert_eq!((asked.next_incoming_id, asked.incoming_window), (Some(SequenceNo(transfers)), 4), "{round}");
        assert!(asked.echo);
    }
    // An answer to an earlier flow says nothing.
    peer.send(0, answer(3));
    assert!(peer.names().is_empty());
    // Nothing came since it was asked.
    peer.send(0, answer(0));
    assert_eq!(peer.names(), ["detach"]);
    peer.send(0, detach());
    assert!(peer.end.detached(rx).unwrap().closed);
    assert!(peer.end.poll_stream(rx).is_none());
}

#[test]
fn a_sender_that_does_not_answer_is_waited_for_a_second_and_one_that_goes_on_for_ten() {
    let (mut peer, _, rx) = streamed(true, 3);
    peer.end.detach(rx, true, None).unwrap();
    assert_eq!(flow(&mut peer).link_credit, Some(0));
    assert_eq!(peer.end.poll_timeout(), Some(peer.now + secs(1)));
    peer.now = peer.now + secs(1);
    peer.end.take_timeout(peer.now);
    assert_eq!(peer.names(), ["detach"]);

    let (mut peer, _, rx) = streamed(true, 3);
    peer.end.detach(rx, true, None).unwrap();
    let start = peer.now;
    let mut rounds = 0;
    while !peer.names().contains(&"detach") {
        peer.now = peer.now + core::time::Duration::from_millis(500);
        peer.send_payload(0, part(0, true), HELLO);
        peer.send(0, answer(0));
        peer.end.take_timeout(peer.now);
        rounds += 1;
        assert!(rounds < 30);
    }
    assert_eq!(peer.now, start + secs(10));
}

#[test]
fn a_sender_that_begins_more_than_had_credit_is_not_waited_for() {
    let (mut peer, _, rx) = streamed(true, 2);
    peer.end.detach(rx, true, None).unwrap();
    peer.read();
    for id in 0..3 {
        peer.send_payload(0, part(id, false), HELLO);
    }
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)));
    assert!(!peer.end.is_closed());
}

/// Without credit there is nothing to wait for, and strictly the detach says all.
#[test]
fn a_receiver_whose_sender_cannot_send_is_detached_at_once() {
    for (tolerant, credit) in [(true, 0), (false, 3)] {
        let (mut peer, _, rx) = streamed(tolerant, credit);
        peer.end.detach(rx, true, None).unwrap();
        assert_eq!(peer.names(), ["detach"]);
    }
}

/// It sends them behind its own detach; the session, and links that are attached then, go on.
#[test]
fn transfers_behind_the_peers_detach_are_discarded_as_far_as_they_had_credit() {
    let (mut peer, session, rx) = streamed(true, 3);
    peer.send_payload(0, part(0, true), HELLO);
    peer.send(0, detach());
    assert!(peer.end.detached(rx).is_some());
    peer.read();
    // The rest of the first delivery, whose id some repeat, and two more.
    for (id, more) in [(0, true), (0, false), (1, true), (1, false), (2, false)] {
        peer.send_payload(0, part(id, more), HELLO);
    }
    assert!(!peer.names().contains(&"end"));
    assert_eq!(peer.end.count(|event| matches!(event, Event::Receivable(_))), 1, "of the time before");
    // The next link has another handle of ours, since some peers take it for their own.
    let config = ReceiverConfig { streamed: true, ..receiver("next", Credit::Manual(3)) };
    let next = peer.end.attach_receiver(session, config).unwrap();
    let frames = peer.read();
    let Performative::Attach(ours) = &frames[0].1 else { panic!("{frames:?}") };
    assert_eq!(ours.handle, 1);
    peer.send(0, attach("next", 1, Role::Sender));
    peer.send_payload(0, Transfer { handle: 1, ..part(3, false) }, HELLO);
    assert!(peer.end.poll_stream(next).is_some());
    // One more than had credit.
    peer.send_payload(0, part(4, false), HELLO);
    peer.send_payload(0, part(5, false), HELLO);
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
}

#[test]
fn t_2_7_5_1_strictly_a_transfer_behind_the_peers_detach_ends_the_session() {
    let (mut peer, _, _) = streamed(false, 3);
    peer.send(0, detach());
    peer.send_payload(0, part(0, false), HELLO);
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
}

/// The oldest handles are forgotten, whatever their numbers.
#[test]
fn the_handles_that_were_detached_last_are_remembered() {
    let mut config = ConnectionConfig::new("client");
    config.tolerances.transfer_after_detach = true;
    let mut peer = Peer::with(config).open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    let attach_to = |peer: &mut Peer, handle: u32| {
        let name: &'static str = format!("l{handle}").leak();
        peer.end.attach_receiver(session, receiver(name, Credit::Manual(3))).unwrap();
        peer.send(0, attach(name, handle, Role::Sender));
        peer.read();
    };
    for handle in 0..17 {
        attach_to(&mut peer, handle);
    }
    for handle in 0..17 {
        peer.send(0, Detach { handle, ..detach() });
    }
    peer.read();
    attach_to(&mut peer, 0);
    peer.send(0, detach());
    peer.read();
    // On the handle that was detached last, and on the oldest of the others that are remembered.
    peer.send_payload(0, transfer(0, 0), HELLO);
    peer.send_payload(0, transfer(2, 1), HELLO);
    assert_eq!(peer.refusal(), None);
    peer.send_payload(0, transfer(1, 2), HELLO);
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
}

/// However many links come and go, and with few handles.
#[test]
fn handles_that_are_used_last_of_all_are_used_when_there_is_no_other() {
    for handle_max in [0, 1, 5, 1000] {
        let mut config = ConnectionConfig::new("client");
        config.tolerances.transfer_after_detach = true;
        let mut peer = Peer::with(config).open();
        let session = peer.end.begin(SessionConfig::default()).unwrap();
        peer.send(0, Begin { remote_channel: Some(0), handle_max, ..begin() });
        for _ in 0..100 {
            let rx = peer.end.attach_receiver(session, receiver("l", Credit::Manual(3))).unwrap();
            peer.send(0, attach("l", 0, Role::Sender));
            assert!(peer.end.attached(rx), "{handle_max}");
            peer.send(0, detach());
            peer.read();
            peer.end.forget();
        }
    }
}

/// Its channel is not used again before it has answered.
#[test]
fn a_peer_that_does_not_answer_our_end_is_reported() {
    let (mut peer, session) = Peer::client_with_session();
    peer.end.end(session, None).unwrap();
    assert_eq!(peer.names(), ["end"]);
    peer.now = peer.now + secs(4);
    peer.end.take_timeout(peer.now);
    assert_eq!(peer.end.count(|event| matches!(event, Event::EndUnanswered(_))), 0);
    peer.now = peer.now + secs(1);
    peer.end.take_timeout(peer.now);
    assert_eq!(peer.end.count(|event| matches!(event, Event::EndUnanswered(id) if *id == session)), 1);
    assert!(peer.end.ended_session(session).is_none());
    peer.end.begin(SessionConfig::default()).unwrap();
    let frames = peer.read();
    assert_eq!(frames[0].0, 1, "{frames:?}");
    peer.send(0, End::default());
    assert!(peer.end.ended_session(session).is_some());
    assert_eq!(peer.end.count(|event| matches!(event, Event::EndUnanswered(_))), 1);
}

#[test]
fn what_is_not_taken_holds_its_sender_back_when_half_of_the_window_is_used() {
    let (mut peer, _, rx) = streamed(true, 3);
    assert!(!peer.end.is_held_back(rx));
    peer.send_payload(0, part(0, true), HELLO);
    assert!(!peer.end.is_held_back(rx));
    peer.send_payload(0, part(0, true), HELLO);
    assert!(peer.end.is_held_back(rx));
    for _ in 0..2 {
        peer.end.poll_stream(rx);
    }
    assert!(!peer.end.is_held_back(rx));
}
