//! Attaches and handles that are wrong (§2.7.2, §2.7.3).

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    messaging::Source,
    performative::{Attach, Begin, Detach, Performative},
};
use amqp1_engine::{Cause, Credit, Event, SessionConfig};
use amqp1_testkit::*;

#[test]
fn t_2_7_3_2_a_handle_in_use_ends_the_session() {
    let mut peer = Peer::with_sender();
    peer.send(0, attach("other", 0, Role::Sender));
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::HANDLE_IN_USE)));
    assert!(!peer.end.is_closed());
}

#[test]
fn t_2_7_2_3_a_handle_above_handle_max_closes_the_connection() {
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = Some(SessionConfig { handle_max: 4, ..SessionConfig::default() });
    peer.send(0, begin());
    peer.send(0, attach("fits", 4, Role::Sender));
    assert_eq!(peer.names(), ["begin", "attach", "flow"]);
    peer.send(0, attach("does not", 5, Role::Sender));
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::FRAMING_ERROR)));
    // The handles of answers count too.
    for role in [Role::Sender, Role::Receiver] {
        for (handle, fits) in [(4, true), (5, false), (u32::MAX, false)] {
            let mut peer = Peer::fresh().open();
            let session = peer.end.begin(SessionConfig { handle_max: 4, ..SessionConfig::default() }).unwrap();
            peer.send(0, Begin { remote_channel: Some(0), ..begin() });
            match role {
                Role::Sender => peer.end.attach_receiver(session, receiver("l", Credit::Manual(1))).unwrap(),
                Role::Receiver => peer.end.attach_sender(session, sender("l")).unwrap(),
            };
            peer.send(0, attach("l", handle, role));
            let refused = (!fits).then_some(("close", ErrorCondition::FRAMING_ERROR));
            assert_eq!(peer.refusal(), refused, "{role:?} {handle}");
        }
    }
}

#[test]
fn t_2_7_2_2_handles_stay_below_the_peers_handle_max() {
    let mut pair = Pair::open();
    pair.server.accept.sessions = Some(SessionConfig { handle_max: 1, ..SessionConfig::default() });
    let (session, _) = pair.session();
    let (first, _) = pair.sender(session, "a");
    pair.sender(session, "b");
    let third = pair.client.attach_sender(session, sender("c")).unwrap();
    pair.drive();
    let detached = pair.client.detached(third).unwrap();
    assert_eq!(detached.by, Cause::Local);
    assert_eq!(detached.error.unwrap().condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    // T-2.7.3-3: the handle comes back.
    pair.client.detach(first, true, None).unwrap();
    pair.drive();
    pair.sender(session, "d");
}

#[test]
fn t_2_7_2_2_attaches_that_wait_for_begin_respect_handle_max_too() {
    let mut peer = Peer::fresh().open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    let links: Vec<_> = ["a", "b"].map(|name| peer.end.attach_sender(session, sender(name)).unwrap()).to_vec();
    peer.flush();
    peer.send(0, Begin { remote_channel: Some(0), handle_max: 0, ..begin() });
    assert_eq!(peer.names(), ["begin", "attach"]);
    let why = peer.end.detached(links[1]).unwrap().error.unwrap();
    assert_eq!(why.condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn t_2_7_7_1_a_detach_of_nothing_ends_the_session() {
    for (handle, closed) in [(9, false), (9, true), (0, false), (0, true)] {
        let mut peer = Peer::with_sender();
        if handle == 0 {
            // The link on it is detached already.
            peer.send(0, Detach { handle, closed, error: None });
            assert_eq!(peer.names(), ["detach"]);
        }
        peer.send(0, Detach { handle, closed, error: None });
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)), "{handle} {closed}");
    }
}

#[test]
fn t_2_7_3_6_a_senders_attach_says_where_it_counts_from() {
    let mut peer = Peer::with_session();
    peer.send(0, Attach { initial_delivery_count: None, ..attach("l", 0, Role::Sender) });
    let frames = peer.read();
    assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["attach", "detach"]);
    assert_eq!(refusal(&frames), Some(("detach", ErrorCondition::INVALID_FIELD)));
    assert!(peer.end.events.iter().all(|e| !matches!(e, Event::LinkOffered(_) | Event::LinkDetached(..))));
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    peer.send(0, attach("l", 0, Role::Sender));
    assert_eq!(peer.names(), ["attach", "flow"]);
}

#[test]
fn t_2_7_3_6_the_answer_to_a_receiver_says_it_too() {
    let (mut peer, session) = Peer::client_with_session();
    let rx = peer.end.attach_receiver(session, receiver("b", Credit::Window(5))).unwrap();
    peer.send(0, Attach { initial_delivery_count: None, ..attach("b", 0, Role::Sender) });
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
    assert_eq!(peer.end.detached(rx).unwrap().by, Cause::Local);
    // Ours says it, whether it asks or answers.
    let (mut peer, session) = Peer::client_with_session();
    peer.end.attach_sender(session, sender("a")).unwrap();
    peer.send(0, attach("b", 0, Role::Receiver));
    let attaches: Vec<_> = peer.read().into_iter().map(|(_, body, _)| body).collect();
    let [Performative::Attach(asks), Performative::Attach(answers)] = &attaches[..] else { panic!("{attaches:?}") };
    assert!(asks.initial_delivery_count.is_some() && answers.initial_delivery_count.is_some());
    // An answer that refuses the link is a sender's attach too.
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("b", 0, Role::Receiver));
    let refused = peer.end.offered_links()[0];
    peer.end.reject_link(refused, error(ErrorCondition::NOT_FOUND)).unwrap();
    let frames = peer.read();
    let [(_, Performative::Attach(refuses), _), (_, Performative::Detach(_), _)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert!(refuses.source.is_none() && refuses.initial_delivery_count.is_some());
}

#[test]
fn t_2_7_3_7_a_receivers_initial_delivery_count_is_ignored() {
    let mut peer = Peer::with_session();
    let strange = Some(SequenceNo(77));
    peer.send(0, Attach { initial_delivery_count: strange, ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 3));
    assert_eq!(peer.end.credit(peer.end.offered_links()[0]), 3);
}

#[test]
fn t_2_7_3_7_a_receivers_initial_delivery_count_is_ignored_in_an_answer_too() {
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, sender("l")).unwrap();
    peer.send(0, Attach { initial_delivery_count: Some(SequenceNo(77)), ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 3));
    assert_eq!(peer.end.credit(tx), 3);
}

#[test]
fn an_attach_that_contradicts_itself_is_refused() {
    let source = Source { dynamic: true, ..Source::at("q") };
    let mut peer = Peer::with_session();
    peer.send(0, Attach { source: Some(Box::new(source)), ..attach("l", 0, Role::Receiver) });
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
}
