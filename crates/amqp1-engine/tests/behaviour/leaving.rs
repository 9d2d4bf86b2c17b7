//! What was stated before a detach, an end or a close is said; what comes later is an error.

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::{DeliveryState, Source},
    performative::{Close, Flow, Open, Performative},
};
use amqp1_engine::{
    ApiMisuse, AttachReply, ConnectionError, Credit, DeliveryKey, LinkId, PeerMisbehaved, SenderConfig, SessionId,
    Settlement,
};
use amqp1_testkit::*;

const ACCEPTED: DeliveryState = DeliveryState::Accepted;

/// A client that has taken three deliveries and settled none, and the server that sent them.
fn received() -> (Pair, SessionId, LinkId, Vec<DeliveryKey>) {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Manual(10));
    for token in 0..3 {
        pair.server.send(tx, message(1, 10), unsettled(token)).unwrap();
    }
    pair.drive();
    let keys = pair.client.take_all(rx).iter().map(|delivery| delivery.key).collect();
    (pair, session, rx, keys)
}

fn all_accepted(pair: &Pair) {
    let accepted = |token| (token, Settlement::Outcome(Some(ACCEPTED)));
    assert_eq!(pair.server.settlements(), (0..3).map(accepted).collect::<Vec<_>>());
}

/// How an application leaves.
type Leave = fn(&mut Pair, SessionId, LinkId);

const LEAVES: [(&str, Leave); 4] = [
    ("detach", |pair, _, link| pair.client.detach(link, false, None).unwrap()),
    ("close of the link", |pair, _, link| pair.client.detach(link, true, None).unwrap()),
    ("end", |pair, session, _| pair.client.end(session, None).unwrap()),
    ("close", |pair, _, _| {
        let now = pair.now;
        pair.client.close(now, None);
    }),
];

#[test]
fn what_is_settled_before_a_detach_an_end_or_a_close_has_left_goes_first() {
    for (name, leave) in LEAVES {
        let (mut pair, session, rx, keys) = received();
        pair.client.dispose(rx, keys[0], ACCEPTED).unwrap();
        leave(&mut pair, session, rx);
        for key in &keys[1..] {
            assert_eq!(pair.client.dispose(rx, *key, ACCEPTED), Ok(()), "{name}");
        }
        pair.drive();
        all_accepted(&pair);
    }
}

#[test]
fn what_is_settled_is_said_before_an_end_that_has_an_error() {
    let forced = || Some(error(ErrorCondition::CONNECTION_FORCED));
    let leaves: [(&str, Leave); 3] = [
        ("detach", |pair, _, link| pair.client.detach(link, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap()),
        ("end", |pair, session, _| pair.client.end(session, Some(error(ErrorCondition::NOT_ALLOWED))).unwrap()),
        ("close", |pair, _, _| {
            let now = pair.now;
            pair.client.close(now, Some(error(ErrorCondition::CONNECTION_FORCED)));
        }),
    ];
    for (_, leave) in leaves {
        let (mut pair, session, rx, keys) = received();
        for key in keys {
            pair.client.dispose(rx, key, ACCEPTED).unwrap();
        }
        leave(&mut pair, session, rx);
        pair.drive();
        all_accepted(&pair);
    }
    let mut peer = Peer::with_sender();
    peer.send_payload(0, transfer(0, 0), HELLO);
    let rx = peer.end.offered_links()[0];
    let key = peer.end.take_all(rx)[0].key;
    peer.read();
    peer.end.dispose(rx, key, ACCEPTED).unwrap();
    let now = peer.now;
    peer.end.close(now, forced());
    assert_eq!(peer.names(), ["disposition", "close"]);
}

#[test]
fn what_is_settled_after_a_detach_or_an_end_has_left_is_an_error() {
    for ends in [false, true] {
        let mut peer = Peer::with_sender();
        peer.send_payload(0, transfer(0, 0), HELLO);
        let (rx, session) = (peer.end.offered_links()[0], peer.end.offered_sessions()[0]);
        let key = peer.end.take_all(rx)[0].key;
        peer.read();
        if ends {
            peer.end.end(session, None).unwrap();
        } else {
            peer.end.detach(rx, true, None).unwrap();
        }
        assert_eq!(peer.names(), [if ends { "end" } else { "detach" }]);
        assert_eq!(peer.end.dispose(rx, key, ACCEPTED), Err(ApiMisuse::Detached));
        assert!(peer.names().is_empty());
    }
}

#[test]
fn t_2_4_3_1_a_close_that_waits_for_what_cannot_leave_is_forced_by_an_error() {
    let mut peer = Peer::with_receiver();
    peer.send(0, session_flow(0));
    peer.send(0, credit(0, 10));
    peer.send(0, session_flow(0));
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 10), unsettled(0)).unwrap();
    peer.read();
    let now = peer.now;
    peer.end.close(now, None);
    assert!(peer.names().is_empty(), "the message waits for the window");
    peer.end.close(now, Some(error(ErrorCondition::CONNECTION_FORCED)));
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::CONNECTION_FORCED)));
    peer.end.look();
    assert_eq!(peer.end.closed(), ConnectionError::LocallyClosed);
}

/// A link on which nothing can be sent, and a close of this end that waits for it.
fn closing() -> Peer {
    let mut peer = Peer::with_receiver();
    peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 10), unsettled(1)).unwrap();
    peer.end.engine.close(peer.now, None);
    assert!(peer.names().is_empty(), "the message waits for the window, and the close for the message");
    peer
}

#[test]
fn t_2_4_6_8_the_peers_close_is_answered_while_ours_waits() {
    for why in [None, Some(error(ErrorCondition::CONNECTION_FORCED))] {
        let mut peer = closing();
        peer.send(0, Close { error: why.clone() });
        assert_eq!(peer.names(), ["close"]);
        let expected = why.map_or(ConnectionError::LocallyClosed, |why| ConnectionError::ClosedByPeer(Some(why)));
        assert_eq!(peer.end.closed(), expected);
        assert!(peer.end.is_finished());
    }
}

#[test]
fn t_2_4_3_1_a_violation_is_answered_while_a_close_without_an_error_waits() {
    let mut peer = closing();
    peer.send(0, Open { container_id: "peer".into(), ..Open::default() });
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::ILLEGAL_STATE)));
    assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::OpenTwice));
    assert!(!peer.end.is_finished(), "the peer's close is awaited");
    peer.send(0, Close::default());
    assert!(peer.end.is_finished() && peer.names().is_empty());
}

#[test]
fn t_2_4_3_3_a_close_that_is_not_answered_is_known_not_to_be() {
    for condition in [None, Some(ErrorCondition::CONNECTION_FORCED)] {
        for answered in [true, false] {
            let mut peer = Peer::with_session();
            let now = peer.now;
            peer.end.close(now, condition.clone().map(error));
            peer.read();
            if answered {
                peer.send(0, Close::default());
            }
            while let Some(at) = peer.end.poll_timeout() {
                peer.now = at;
                peer.end.take_timeout(at);
            }
            assert_eq!(peer.end.close_unanswered(), !answered);
            assert_eq!(peer.end.closed(), ConnectionError::LocallyClosed);
        }
    }
}

#[test]
fn m_3_5_3_6_the_default_outcome_is_the_senders_or_else_as_it_was_answered() {
    let source = |default: Option<DeliveryState>| Source { default_outcome: default, ..Source::at("q") };
    let (released, accepted) = (Some(DeliveryState::Released), Some(ACCEPTED));
    for (ours, theirs, expected) in [
        (None, None, None),
        (accepted.clone(), None, accepted.clone()),
        (None, released.clone(), released.clone()),
        (accepted.clone(), released, accepted),
    ] {
        let (mut peer, session) = Peer::client_with_session();
        let config = SenderConfig { source: Some(source(ours)), ..sender("l") };
        let tx = peer.end.attach_sender(session, config).unwrap();
        peer.read();
        let mut answer = attach("l", 0, Role::Receiver);
        answer.source = Some(Box::new(source(theirs)));
        peer.send(0, Performative::Attach(Box::new(answer)));
        assert_eq!(peer.end.default_outcome(tx), expected);
    }
}

/// Also when the attach is forgotten.
#[test]
fn m_3_5_3_6_the_default_outcome_of_a_link_that_was_accepted_is_the_one_that_was_granted() {
    let (asked, granted) = (Some(ACCEPTED), Some(DeliveryState::Released));
    let modified = Some(DeliveryState::Modified(Box::default()));
    for (granted, forgotten) in [
        (granted.clone(), false),
        (granted, true),
        (Some(ACCEPTED), true),
        (modified, false),
        (None, false),
        (None, true),
    ] {
        let mut peer = Peer::with_session();
        peer.end.accept.links = None;
        let mut offer = attach("l", 0, Role::Receiver);
        offer.source = Some(Box::new(Source { default_outcome: asked.clone(), ..Source::at("q") }));
        peer.send(0, offer);
        let tx = peer.end.offered_links()[0];
        let mut reply = AttachReply::echo(&peer.end.remote_attach(tx).unwrap());
        reply.source.as_mut().unwrap().default_outcome.clone_from(&granted);
        peer.end.accept_link(tx, reply).unwrap();
        peer.read();
        if forgotten {
            peer.end.forget_attach(tx);
        }
        assert_eq!(peer.end.default_outcome(tx), granted, "{forgotten}");
    }
}
