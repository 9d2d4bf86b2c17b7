//! `begin` and `end` (§2.5).

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Begin, Close, Detach, End as EndFrame, Flow, Open, Performative},
};
use amqp1_engine::{
    ApiMisuse, Cause, ConnectionConfig, ConnectionError, Credit, Event, SessionConfig, Settlement, Tolerances,
};
use amqp1_testkit::*;

/// The begins of a session, by their channels.
fn begins(written: &[u8]) -> Vec<(u16, Option<u16>)> {
    let begins = frames(written).into_iter().filter_map(|(channel, body, _)| match body {
        Some(Performative::Begin(begin)) => Some((channel, begin.remote_channel)),
        _ => None,
    });
    begins.collect()
}

/// Before the peer's open its limits are not known, and no begin leaves.
#[test]
fn a_session_of_this_end_is_not_accepted_in_place_of_its_begin() {
    let mut peer = Peer::fresh();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(peer.end.accept_session(session, SessionConfig::default()), Err(ApiMisuse::WrongState));
    let frames = peer.read();
    assert!(!frames.iter().any(|(_, body, _)| matches!(body, Performative::Begin(_))), "{frames:?}");
}

/// Also T-2.5.1-2 and T-2.5.1-3: what begins a session answers none, and what answers one names its channel.
#[test]
fn t_2_5_1_1_sessions_begin_from_both_ends_on_channels_of_their_own() {
    let mut pair = Pair::open();
    let from_client = pair.client.begin(SessionConfig::default()).unwrap();
    let from_server = pair.server.begin(SessionConfig::default()).unwrap();
    pair.drive();
    let begun = |end: &End, session| end.count(|event| matches!(event, Event::SessionBegun(id) if *id == session));
    assert_eq!((begun(&pair.client, from_client), begun(&pair.server, from_server)), (1, 1));
    assert_eq!((pair.client.offered_sessions().len(), pair.server.offered_sessions().len()), (1, 1));
    let (client, server) = (begins(&pair.client.written), begins(&pair.server.written));
    assert_eq!(client, [(client[0].0, None), (client[1].0, Some(server[0].0))]);
    assert_eq!(server, [(server[0].0, None), (server[1].0, Some(client[0].0))]);
    assert!(client[0].0 != client[1].0 && server[0].0 != server[1].0);
}

#[test]
fn t_2_5_1_7_many_sessions_run_side_by_side() {
    let mut pair = Pair::open();
    let links: Vec<_> = (0..8)
        .map(|_| {
            let (session, _) = pair.session();
            pair.sender(session, "same name, another session")
        })
        .collect();
    for (at, (tx, _)) in links.iter().enumerate() {
        pair.client.send(*tx, message(at, 10), settled(at as u64)).unwrap();
    }
    pair.drive();
    for (at, (_, rx)) in links.iter().enumerate() {
        assert_eq!(data(&pair.server.take_all(*rx)[0].message), body(at, 10));
    }
}

/// Sessions that are begun before the connection is open begin when it is.
#[test]
fn t_2_5_1_7_all_sessions_begin_that_wait_for_the_peers_open() {
    let mut peer = Peer::fresh();
    let waiting = [(); 3].map(|()| peer.end.begin(SessionConfig::default()).unwrap());
    let mut peer = peer.open();
    peer.flush();
    let begun = begins(&peer.end.written);
    assert_eq!(begun, [(0, None), (1, None), (2, None)]);
    for (channel, session) in (0..).zip(waiting) {
        peer.send(channel + 10, Begin { remote_channel: Some(channel), ..begin() });
        assert_eq!(peer.end.count(|event| matches!(event, Event::SessionBegun(id) if *id == session)), 1);
    }
}

/// Frames that are queued on one session leave although another ends.
#[test]
fn t_2_5_1_7_a_session_that_ends_takes_nothing_of_the_others() {
    let mut peer = Peer::fresh().open();
    for channel in 0..3 {
        peer.send(channel, begin());
    }
    peer.read();
    // The answers are queued when the end comes.
    for channel in 0..3 {
        peer.end.input.extend_from_slice(&frame(channel, attach("theirs", 0, Role::Sender), b""));
    }
    peer.end.take_input(peer.now);
    for session in peer.end.offered_sessions() {
        peer.end.attach_sender(session, sender("ours")).unwrap();
    }
    peer.end.input.extend_from_slice(&frame(1, EndFrame::default(), b""));
    peer.end.take_input(peer.now);
    let frames = peer.read();
    let on = |channel: u16| {
        let mut names: Vec<_> = frames.iter().filter(|frame| frame.0 == channel).map(|frame| frame.1.name()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(on(1), ["end"]);
    let answers = vec!["attach", "attach", "flow"];
    assert_eq!((on(0), on(2)), (answers.clone(), answers), "{frames:?}");
}

#[test]
fn t_2_5_2_1_either_end_ends_a_session() {
    let mut pair = Pair::open();
    let (session, seen) = pair.session();
    pair.client.end(session, None).unwrap();
    pair.drive();
    assert_eq!(pair.client.ended_session(session).unwrap().by, Cause::Local);
    assert_eq!(pair.server.ended_session(seen).unwrap().by, Cause::Peer);
    let (session, seen) = pair.session();
    let why = error(ErrorCondition::INTERNAL_ERROR);
    pair.server.end(seen, Some(why.clone())).unwrap();
    pair.drive();
    assert_eq!(pair.client.ended_session(session).unwrap().error, Some(why.clone()));
    let ended = pair.server.ended_session(seen).unwrap();
    assert_eq!((ended.by, ended.error), (Cause::Local, Some(why)));
    assert_eq!(pair.client.end(session, None), Err(ApiMisuse::UnknownSession));
}

/// An end that waits until deliveries have left is sent at once when the peer's comes.
#[test]
fn t_2_5_2_1_an_end_is_answered_while_ours_waits() {
    for why in [None, Some(error(ErrorCondition::INTERNAL_ERROR))] {
        let mut peer = Peer::with_receiver();
        peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
        let (session, tx) = (peer.end.offered_sessions()[0], peer.end.offered_links()[0]);
        peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
        peer.end.end(session, None).unwrap();
        assert!(peer.names().is_empty(), "it waits for the window");
        peer.send(0, EndFrame { error: why.clone() });
        assert_eq!(peer.names(), ["end"]);
        let ended = peer.end.ended_session(session).unwrap();
        assert_eq!((ended.by, ended.error), (Cause::Peer, why));
        assert_eq!(peer.end.settlements(), [(1, Settlement::Lost { sent: false })]);
        peer.send(0, begin());
        assert_eq!(peer.names(), ["begin"]);
    }
}

#[test]
fn t_2_5_3_1_both_end_at_once() {
    let mut pair = Pair::open();
    let (session, seen) = pair.session();
    pair.client.end(session, None).unwrap();
    pair.server.end(seen, None).unwrap();
    pair.drive();
    assert_eq!(pair.client.ended_session(session).unwrap().by, Cause::Local);
    assert_eq!(pair.server.ended_session(seen).unwrap().by, Cause::Local);
    for end in [&pair.client, &pair.server] {
        let ends = frames(&end.written).into_iter().filter(|(_, body, _)| matches!(body, Some(Performative::End(_))));
        assert_eq!(ends.count(), 1, "the end that crosses ours is its answer");
    }
    let (session, _) = pair.session();
    pair.sender(session, "l");
}

/// Its error is reported, unless ours has one, which was reported already.
#[test]
fn t_2_5_3_1_an_end_that_crosses_ours_is_its_answer_whatever_it_says() {
    for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let why = |says: bool, condition| says.then(|| error(condition));
        let (our_error, their_error) =
            (why(ours, ErrorCondition::INTERNAL_ERROR), why(theirs, ErrorCondition::NOT_ALLOWED));
        let mut peer = Peer::with_session();
        let session = peer.end.offered_sessions()[0];
        peer.end.end(session, our_error.clone()).unwrap();
        assert_eq!(peer.names(), ["end"]);
        peer.send(0, EndFrame { error: their_error.clone() });
        assert!(peer.names().is_empty(), "it is not answered");
        let ended = peer.end.ended_session(session).unwrap();
        assert_eq!((ended.by, ended.error), (Cause::Local, our_error.or(their_error)), "{ours} {theirs}");
        peer.send(0, begin());
        assert_eq!(peer.names(), ["begin"]);
    }
}

#[test]
fn a_session_that_is_ended_before_it_was_accepted_is_answered() {
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = None;
    let mut octets = frame(2, begin(), b"").to_vec();
    octets.extend(frame(2, attach("l", 0, Role::Sender), b""));
    octets.extend(frame(2, EndFrame::default(), b""));
    peer.raw(&octets);
    assert_eq!(peer.names(), ["begin", "end"]);
    let session = peer.end.offered_sessions()[0];
    assert_eq!(peer.end.accept_session(session, SessionConfig::default()), Err(ApiMisuse::UnknownSession));
    peer.send(2, begin());
    assert!(!peer.end.is_closed());
}

#[test]
fn a_session_can_be_refused() {
    let mut pair = Pair::open();
    pair.server.accept.sessions = None;
    let (session, seen) = pair.session();
    pair.server.end(seen, Some(error(ErrorCondition::NOT_ALLOWED))).unwrap();
    pair.drive();
    assert_eq!(pair.client.ended_session(session).unwrap().error, Some(error(ErrorCondition::NOT_ALLOWED)));
    // One that is ended in peace before it is accepted is answered too.
    let (session, seen) = pair.session();
    pair.server.end(seen, None).unwrap();
    pair.drive();
    assert_eq!(pair.client.ended_session(session).unwrap().by, Cause::Peer);
}

#[test]
fn links_that_are_answered_before_their_session_follow_its_begin() {
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = None;
    peer.send(0, begin());
    peer.send(0, attach("taken", 0, Role::Sender));
    peer.send(0, attach("gone", 1, Role::Sender));
    peer.send(0, Detach { handle: 1, closed: true, ..Detach::default() });
    assert!(peer.names().is_empty());
    let session = peer.end.offered_sessions()[0];
    peer.end.accept_session(session, SessionConfig::default()).unwrap();
    assert_eq!(peer.end.accept_session(session, SessionConfig::default()), Err(ApiMisuse::WrongState));
    let mut names = peer.names();
    assert_eq!(names.remove(0), "begin");
    names.sort_unstable();
    assert_eq!(names, ["attach", "attach", "detach", "flow", "flow"]);
}

#[test]
fn a_session_may_be_ended_before_the_peer_has_answered() {
    let mut pair = Pair::open();
    let session = pair.client.begin(SessionConfig::default()).unwrap();
    pair.client.attach_sender(session, sender("l")).unwrap();
    pair.client.end(session, None).unwrap();
    pair.drive();
    assert_eq!(pair.client.ended_session(session).unwrap().by, Cause::Local);
    assert_eq!(pair.client.count(|event| matches!(event, Event::LinkDetached(..))), 1);
    let session = pair.client.begin(SessionConfig::default()).unwrap();
    pair.client.end(session, Some(error(ErrorCondition::INTERNAL_ERROR))).unwrap();
    pair.drive();
    assert!(pair.client.ended_session(session).is_some());
    pair.session();
}

#[test]
fn t_2_5_1_3_a_begin_that_answers_nothing_is_refused() {
    for channel in [0, 77] {
        let mut peer = Peer::fresh().open();
        peer.send(0, Begin { remote_channel: Some(channel), ..begin() });
        assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)));
    }
    // Nor is one session answered twice.
    let mut peer = Peer::fresh().open();
    peer.end.begin(SessionConfig::default()).unwrap();
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    peer.send(1, Begin { remote_channel: Some(0), ..begin() });
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)));
    // Nor is one that this end has ended since.
    for why in [None, Some(error(ErrorCondition::INTERNAL_ERROR))] {
        let (mut peer, session) = Peer::client_with_session();
        peer.end.end(session, why).unwrap();
        assert_eq!(peer.names(), ["end"]);
        peer.send(1, Begin { remote_channel: Some(0), ..begin() });
        assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)));
    }
    // Ours says that it answers nothing.
    let mut peer = Peer::of_client().open();
    peer.end.begin(SessionConfig::default()).unwrap();
    let frames = peer.read();
    let [(0, Performative::Begin(begin), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(begin.remote_channel, None);
}

#[test]
fn a_detach_after_the_end_is_tolerated_only_where_it_is_said() {
    for tolerated in [false, true] {
        let mut config = ConnectionConfig::new("server");
        if tolerated {
            config.tolerances = Tolerances::ALL;
        }
        let mut peer = Peer::with(config).open();
        peer.send(0, begin());
        peer.send(0, attach("l", 0, Role::Sender));
        peer.send(0, EndFrame::default());
        peer.send(0, Detach { handle: 0, closed: true, ..Detach::default() });
        assert_eq!(peer.end.is_closed(), !tolerated);
        assert_eq!(peer.refusal().is_some(), !tolerated);
    }
}

#[test]
fn t_2_5_4_2_after_an_errored_end_everything_is_discarded_until_the_peers() {
    let mut peer = Peer::with_session();
    peer.send(0, Detach { handle: 7, ..Detach::default() });
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
    let events = peer.end.events.len();
    peer.send(0, attach("l", 0, Role::Sender));
    peer.send(0, session_flow(10));
    peer.send_payload(0, transfer(0, 0), HELLO);
    assert!(peer.names().is_empty() && peer.end.events.len() == events);
    // The connection lives on, and so does the channel after the peer's end.
    peer.send(0, EndFrame::default());
    peer.send(0, begin());
    assert_eq!(peer.names(), ["begin"]);
}

#[test]
fn t_2_5_2_3_ending_a_session_detaches_its_links_and_loses_their_deliveries() {
    let mut pair = Pair::open();
    let (session, seen) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    pair.drive();
    pair.server.end(seen, None).unwrap();
    pair.drive();
    let detached = pair.client.detached(tx).unwrap();
    assert_eq!((detached.by, detached.closed), (Cause::Session, false));
    assert!(pair.server.detached(rx).is_some());
    assert_eq!(pair.client.settlements(), [(1, Settlement::Lost { sent: true })]);
    let (session, _) = pair.session();
    pair.sender(session, "l");
}

#[test]
fn an_end_in_peace_lets_what_was_sent_go_first() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..50 {
        pair.client.send(tx, message(token, 3000), settled(token as u64)).unwrap();
    }
    pair.client.end(session, None).unwrap();
    assert!(pair.client.send(tx, message(1, 1), settled(99)).is_err());
    pair.drive();
    assert!(pair.client.settlements().iter().all(|(_, s)| *s == Settlement::Sent));
    assert_eq!(pair.server.detached(rx).unwrap().undelivered.len(), 50);
}

#[test]
fn an_end_in_peace_waits_for_the_peers_window() {
    let mut pair = Pair::open();
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: 2, ..SessionConfig::default() });
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..20 {
        pair.client.send(tx, message(token, 10), settled(token as u64)).unwrap();
    }
    pair.client.end(session, None).unwrap();
    pair.drive();
    assert_eq!(pair.server.detached(rx).unwrap().undelivered.len(), 20);
}

#[test]
fn an_end_in_peace_does_not_wait_for_a_link_that_goes() {
    let mut peer = Peer::with_receiver();
    peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
    let (session, tx) = (peer.end.offered_sessions()[0], peer.end.offered_links()[0]);
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.end.end(session, None).unwrap();
    assert!(peer.names().is_empty(), "it waits for the window");
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    assert_eq!(peer.names(), ["detach", "end"]);
    assert_eq!(peer.end.settlements(), [(1, Settlement::Lost { sent: false })]);
}

#[test]
fn an_end_in_peace_does_not_wait_for_a_link_that_is_given_up() {
    let mut peer = Peer::with_receiver();
    peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
    let (session, tx) = (peer.end.offered_sessions()[0], peer.end.offered_links()[0]);
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.end.end(session, None).unwrap();
    peer.end.detach(tx, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    assert_eq!(peer.names(), ["detach", "end"]);
}

#[test]
fn what_is_queued_for_a_session_that_the_peer_has_ended_is_not_written() {
    let mut peer = Peer::with_session();
    let session = peer.end.offered_sessions()[0];
    peer.end.attach_sender(session, sender("late")).unwrap();
    peer.end.input.extend_from_slice(&frame(0, EndFrame::default(), b""));
    peer.end.take_input(peer.now);
    assert_eq!(peer.names(), ["end"]);
    assert_eq!(peer.end.count(|event| matches!(event, Event::LinkDetached(..))), 1);
}

#[test]
fn an_outcome_that_crosses_our_end_still_counts() {
    let mut peer = Peer::with_receiver();
    let tx = peer.end.offered_links()[0];
    peer.send(0, credit(0, 1));
    peer.end.send(tx, message(1, 1), unsettled(5)).unwrap();
    let session = peer.end.offered_sessions()[0];
    peer.end.end(session, None).unwrap();
    assert_eq!(peer.names(), ["transfer", "end"]);
    let accepted = amqp1_codec::performative::Disposition {
        role: Role::Receiver,
        first: SequenceNo(0),
        settled: true,
        state: Some(amqp1_codec::messaging::DeliveryState::Accepted),
        ..Default::default()
    };
    peer.send(0, accepted);
    peer.send(0, EndFrame::default());
    assert!(matches!(peer.end.settlements()[..], [(5, Settlement::Outcome(Some(_)))]));
}

#[test]
fn events_come_from_the_inside_out() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "a");
    pair.receiver(session, "b", Credit::Manual(1));
    pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    pair.drive();
    pair.client.forget();
    pair.server.engine.close(pair.now, Some(error(ErrorCondition::CONNECTION_FORCED)));
    pair.drive();
    let names: Vec<_> = pair.client.events.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[0].starts_with("LinkDetached") && names[1].starts_with("LinkDetached"));
    assert!(names[2].starts_with("SessionEnded") && names[3].starts_with("Closed"));
    assert_eq!(pair.client.settlements(), [(1, Settlement::Lost { sent: true })]);
}

/// T-2.5.6-2: by what is received, without a flow of the peer's.
#[test]
fn t_2_5_6_1_a_peer_that_counts_from_elsewhere_is_followed() {
    let mut peer = Peer::fresh().open();
    peer.send(0, Begin { next_outgoing_id: SequenceNo(u32::MAX), ..begin() });
    peer.send(0, attach("l", 0, Role::Sender));
    for id in 0..3 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    let rx = peer.end.offered_links()[0];
    peer.end.set_credit(rx, Credit::Manual(7)).unwrap();
    let frames = peer.read();
    let Some((_, Performative::Flow(flow), _)) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(flow.next_incoming_id, Some(SequenceNo(2)));
}

#[test]
fn a_second_close_of_everything_finds_nothing() {
    let mut peer = Peer::with_sender();
    let (session, link) = (peer.end.offered_sessions()[0], peer.end.offered_links()[0]);
    peer.send(0, Close::default());
    assert_eq!(peer.end.end(session, None), Err(ApiMisuse::UnknownSession));
    assert_eq!(peer.end.detach(link, true, None), Err(ApiMisuse::UnknownLink));
    assert_eq!((peer.end.credit(link), peer.end.session_of(link)), (0, None));
    peer.end.engine.close(peer.now, None);
    peer.send(0, Open::default());
    assert!(matches!(peer.end.closed(), ConnectionError::ClosedByPeer(None)));
}
