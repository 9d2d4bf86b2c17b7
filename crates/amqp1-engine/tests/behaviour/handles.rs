//! Peers that attach more links than their handle-max lets us answer (§2.7.2).

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    performative::{Begin, Detach, End as EndFrame, Performative},
};
use amqp1_engine::{ApiMisuse, AttachReply, Cause, ConnectionConfig, Credit, Event, LinkId};
use amqp1_testkit::*;

/// A session of a peer that allows us one handle, with a link on it that is answered, and two more that were attached.
fn narrow(accept: bool) -> (Peer, LinkId, LinkId) {
    let config = ConnectionConfig { handle_timeout: secs(20), ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(5, begin());
    peer.send(0, Begin { handle_max: 0, ..begin() });
    peer.send(0, attach("first", 0, Role::Sender));
    assert_eq!(peer.names(), ["begin", "begin", "attach", "flow"]);
    if !accept {
        peer.end.accept.links = None;
    }
    peer.send(0, attach("sends", 7, Role::Sender));
    peer.send(0, attach("receives", 9, Role::Receiver));
    assert!(peer.names().is_empty());
    let links = peer.end.offered_links();
    (peer, links[1], links[2])
}

fn detach(handle: u32) -> Detach {
    Detach { handle, closed: true, error: None }
}

fn awaited(peer: &Peer, link: LinkId) -> usize {
    peer.end.count(|event| matches!(event, Event::HandleAwaited(id) if *id == link))
}

#[test]
fn t_2_7_2_2_a_link_without_a_handle_is_answered_when_one_is_free() {
    let (mut peer, sends, receives) = narrow(true);
    assert_eq!((awaited(&peer, sends), awaited(&peer, receives)), (1, 1));
    assert!(peer.end.detached(sends).is_none() && peer.end.detached(receives).is_none());
    let echo = AttachReply::echo(&peer.end.remote_attach(sends).unwrap());
    assert_eq!(peer.end.accept_link(sends, echo), Err(ApiMisuse::WrongState));
    // In the order in which they came, as they were accepted.
    peer.send(0, detach(0));
    let frames = peer.read();
    let [(_, Performative::Detach(_), _), (_, Performative::Attach(answer), _), (_, Performative::Flow(flow), _)] =
        &frames[..]
    else {
        panic!("{frames:?}")
    };
    assert_eq!((answer.name.as_str(), answer.handle, flow.link_credit), ("sends", 0, Some(200)));
    assert!(answer.source.is_some() && answer.target.is_some());
    peer.send_payload(0, transfer(7, 0), HELLO);
    assert_eq!(peer.end.take_all(sends).len(), 1);
    // What was granted meanwhile counts.
    peer.send(0, credit(9, 3));
    assert_eq!(peer.end.credit(receives), 0);
    peer.send(0, detach(7));
    assert_eq!(peer.names(), ["detach", "attach"]);
    assert_eq!(peer.end.credit(receives), 3);
    assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(id) if *id == receives)), 1);
    peer.end.send(receives, message(1, 1), unsettled(1)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    // Nothing waits any more.
    peer.now = peer.now + secs(25);
    peer.end.take_timeout(peer.now);
    assert!(!peer.names().contains(&"end"));
}

#[test]
fn t_2_7_2_2_the_session_ends_when_no_handle_is_free_in_time_and_no_other_does() {
    let (mut peer, sends, receives) = narrow(true);
    let deadline = peer.now + secs(20);
    assert_eq!(peer.end.poll_timeout(), Some(deadline));
    peer.now = deadline;
    peer.end.take_timeout(deadline);
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)));
    for link in [sends, receives] {
        let detached = peer.end.detached(link).unwrap();
        assert_eq!(detached.by, Cause::Session);
        assert_eq!(detached.error.unwrap().condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    }
    let session = peer.end.offered_sessions()[1];
    let ended = peer.end.ended_session(session).unwrap();
    assert_eq!((ended.by, ended.error.unwrap().condition), (Cause::Local, ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
    // The other session lives, and the channel comes back.
    peer.send(5, attach("elsewhere", 0, Role::Sender));
    peer.send(0, EndFrame::default());
    peer.send(0, begin());
    assert_eq!(peer.names(), ["attach", "flow", "begin"]);
    assert!(peer.end.poll_timeout().is_none_or(|next| next > deadline));
}

#[test]
fn a_link_without_a_handle_can_be_refused_or_given_up() {
    for refused in [true, false] {
        let (mut peer, sends, receives) = narrow(!refused);
        if refused {
            peer.end.reject_link(sends, error(ErrorCondition::NOT_FOUND)).unwrap();
        } else {
            peer.end.detach(sends, true, None).unwrap();
        }
        peer.end.look();
        let detached = peer.end.detached(sends).unwrap();
        assert_eq!((detached.by, detached.error.is_some()), (Cause::Local, refused));
        assert!(peer.names().is_empty() && peer.end.detached(receives).is_none());
        peer.send(0, detach(0));
        let frames = peer.read();
        let [(..), (_, Performative::Attach(attach), _), (_, Performative::Detach(detached), _)] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert!(attach.name == "sends" && attach.source.is_none() && attach.target.is_none());
        assert_eq!((detached.handle, detached.closed), (0, true));
        let why = detached.error.as_ref().map(|error| error.condition.clone());
        assert_eq!(why, refused.then_some(ErrorCondition::NOT_FOUND));
        // Its handle is free when the peer has detached it too.
        peer.send(0, detach(7));
        assert_eq!(peer.names(), if refused { vec![] } else { vec!["attach"] });
    }
}

/// Whether the application has answered it, or has not seen it yet.
#[test]
fn t_2_7_7_1_a_link_without_a_handle_that_the_peer_detaches_is_answered_when_there_is_one() {
    for accept in [true, false] {
        let (mut peer, sends, _) = narrow(accept);
        peer.send(0, detach(7));
        let detached = peer.end.detached(sends).unwrap();
        assert_eq!((detached.by, detached.closed, detached.error), (Cause::Peer, true, None));
        assert!(peer.names().is_empty());
        peer.send(0, detach(0));
        let expected: &[_] =
            if accept { &["detach", "attach", "detach", "attach"] } else { &["detach", "attach", "detach"] };
        assert_eq!(peer.names(), expected);
        assert!(!peer.end.is_closed());
    }
}

/// Also T-2.6.5-1: the error is reported, whether the application has answered the link, refused it, or not seen it yet.
#[test]
fn t_2_7_7_1_the_error_of_a_peer_that_detaches_a_link_without_a_handle_is_reported() {
    for accept in [true, false] {
        for closed in [true, false] {
            let (mut peer, sends, receives) = narrow(accept);
            let why = error(ErrorCondition::RESOURCE_DELETED);
            peer.send(0, Detach { handle: 7, closed, error: Some(why.clone()) });
            let detached = peer.end.detached(sends).unwrap();
            assert_eq!((detached.by, detached.closed, detached.error), (Cause::Peer, closed, Some(why)));
            assert!(peer.names().is_empty() && peer.end.detached(receives).is_none());
            // The answer is of the same kind, and repeats no error.
            peer.send(0, detach(0));
            let frames = peer.read();
            let answer = frames.iter().filter_map(|(_, body, _)| match body {
                Performative::Detach(detach) => Some((detach.closed, detach.error.is_some())),
                _ => None,
            });
            assert_eq!(answer.collect::<Vec<_>>(), [(true, false), (closed, false)], "{accept}");
        }
    }
    // An application that has refused it has its own reason.
    let (mut peer, sends, _) = narrow(false);
    peer.end.reject_link(sends, error(ErrorCondition::NOT_FOUND)).unwrap();
    peer.send(0, Detach { handle: 7, closed: true, error: Some(error(ErrorCondition::RESOURCE_DELETED)) });
    let detached = peer.end.detached(sends).unwrap();
    assert_eq!((detached.by, detached.error), (Cause::Local, Some(error(ErrorCondition::NOT_FOUND))));
}

#[test]
fn a_link_that_waits_for_a_handle_says_nothing_of_itself() {
    let (mut peer, sends, receives) = narrow(true);
    peer.end.set_credit(sends, Credit::Manual(7)).unwrap();
    peer.send(0, amqp1_codec::performative::Flow { echo: true, ..credit(9, 3) });
    assert!(peer.end.send(receives, message(1, 1), unsettled(1)).is_err());
    assert!(peer.names().is_empty());
    peer.send(0, detach(0));
    let frames = peer.read();
    let Performative::Flow(flow) = &frames[2].1 else { panic!("{frames:?}") };
    assert_eq!(flow.link_credit, Some(7), "what was set last");
}

/// Other limits that are exceeded have the same condition.
#[test]
fn t_2_7_2_2_a_link_that_the_peers_handle_max_does_not_allow_says_so() {
    for handle_max in [0, 1] {
        let config = ConnectionConfig { max_metadata: 1000, ..ConnectionConfig::new("client") };
        let mut peer = Peer::with(config).open();
        let session = peer.end.begin(amqp1_engine::SessionConfig::default()).unwrap();
        peer.send(0, Begin { remote_channel: Some(0), handle_max, ..begin() });
        peer.end.attach_sender(session, sender("first")).unwrap();
        peer.send(0, attach("first", 0, Role::Receiver));
        let second = peer.end.attach_sender(session, sender("second")).unwrap();
        peer.read();
        if handle_max == 1 {
            let mut answer = attach("second", 1, Role::Receiver);
            let properties = answer.properties.get_or_insert_default();
            properties.insert(amqp1_codec::Symbol::from_static("k"), "x".repeat(2000));
            peer.send(0, answer);
        }
        peer.end.look();
        let detached = peer.end.detached(second).unwrap();
        let condition = detached.error.unwrap().condition;
        assert_eq!((detached.by, condition), (Cause::Local, ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
        assert_eq!(detached.no_handle, handle_max == 0);
    }
}

/// An offer is held back while the peer may have attached the link only to close it, and nothing is said of its handle.
#[test]
fn a_link_that_was_not_offered_awaits_its_handle_in_silence() {
    let mut peer = Peer::fresh().open();
    peer.send(0, Begin { handle_max: 0, ..begin() });
    peer.send(0, attach("l", 0, Role::Sender));
    peer.read();
    let first = peer.end.offered_links()[0];
    peer.end.detach(first, true, None).unwrap();
    peer.read();
    peer.send(0, Detach { handle: 0, closed: false, error: None });
    peer.send(0, attach("other", 1, Role::Sender));
    peer.read();
    peer.end.forget();
    peer.send(0, attach("l", 0, Role::Sender));
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    assert!(peer.end.events.is_empty(), "{:?}", peer.end.events);
}
