//! `attach` and `detach` (§2.6.1 to §2.6.6).

use amqp1_codec::{
    SequenceNo, Symbol,
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{DeliveryState, Source},
    performative::{Attach, Detach, Performative},
};
use amqp1_engine::{
    ApiMisuse, AttachReply, Cause, ConnectionConfig, Credit, Event, LinkId, LinkNames, ReceiverConfig, SendError,
    SenderConfig, Settlement,
};
use amqp1_testkit::*;

/// What a client's link saw.
fn gone(peer: &Peer, link: LinkId) -> (bool, Option<ErrorCondition>, Cause) {
    let detached = peer.end.detached(link).expect("the link is over");
    (detached.closed, detached.error.map(|error| error.condition), detached.by)
}

#[test]
fn t_2_6_3_1_links_of_both_roles_are_attached_from_both_ends() {
    let mut pair = Pair::open();
    let (session, seen) = pair.session();
    pair.sender(session, "a");
    pair.receiver(session, "b", Credit::Manual(3));
    let tx = pair.server.attach_sender(seen, sender("c")).unwrap();
    let rx = pair.server.attach_receiver(seen, receiver("d", Credit::Manual(3))).unwrap();
    pair.drive();
    assert!(pair.server.attached(tx) && pair.server.attached(rx));
    assert_eq!(pair.client.offered_links().len(), 2);
    assert_eq!(pair.server.credit(tx), 200);
    assert_eq!(pair.server.session_of(tx), Some(seen));
}

/// They may come in any order.
#[test]
fn t_2_6_3_1_an_answer_is_of_the_link_that_it_names() {
    for role in [Role::Sender, Role::Receiver] {
        let (mut peer, session) = Peer::client_with_session();
        let links = ["a", "b", "c"].map(|name| {
            let link = match role {
                Role::Sender => peer.end.attach_sender(session, sender(name)),
                Role::Receiver => peer.end.attach_receiver(session, receiver(name, Credit::Manual(1))),
            };
            link.unwrap()
        });
        peer.flush();
        for (handle, at) in [2, 0, 1].into_iter().enumerate() {
            peer.send(0, attach(["a", "b", "c"][at], handle as u32, role.opposite()));
            let attached = links.map(|link| peer.end.attached(link));
            let expected = [[false, false, true], [true, false, true], [true; 3]][handle];
            assert_eq!(attached, expected, "{role:?}");
        }
        assert!(peer.end.offered_links().is_empty(), "{role:?}");
    }
}

#[test]
fn t_2_6_1_1_one_name_serves_once_in_each_direction() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "x");
    let (rx, far) = pair.receiver(session, "x", Credit::Manual(5));
    assert_ne!(tx, rx);
    assert_eq!(pair.server.credit(far), 5);
    assert_eq!(pair.client.credit(tx), 200);
    // Attaches that wait for an answer are told apart by their direction too.
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, sender("x")).unwrap();
    let rx = peer.end.attach_receiver(session, receiver("x", Credit::Manual(5))).unwrap();
    peer.send(0, attach("x", 0, Role::Sender));
    assert!(peer.end.attached(rx) && !peer.end.attached(tx));
    peer.send(0, attach("x", 1, Role::Receiver));
    assert!(peer.end.attached(tx));
}

/// Also T-2.8.18-1.
#[test]
fn t_2_6_1_1_a_link_of_the_other_direction_is_not_stolen() {
    let config = ConnectionConfig { link_names: LinkNames::Steal, ..ConnectionConfig::new("ours") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.send(0, attach("x", 0, Role::Sender));
    peer.send(0, attach("x", 1, Role::Receiver));
    assert_eq!(peer.names(), ["begin", "attach", "flow", "attach"]);
    peer.send(0, attach("x", 2, Role::Receiver));
    let frames = peer.read();
    assert_eq!(refusal(&frames), Some(("detach", ErrorCondition::STOLEN)));
    let [first, second] = peer.end.offered_links()[..2] else { panic!("two links") };
    assert!(peer.end.detached(first).is_none() && peer.end.detached(second).is_some());
}

#[test]
fn the_answer_shows_what_was_granted() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let config = SenderConfig { rcv_settle_mode: ReceiverSettleMode::Second, ..sender("l") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let rx = pair.server.offered_links()[0];
    let asked = pair.server.remote_attach(rx).unwrap();
    assert_eq!(asked.rcv_settle_mode, ReceiverSettleMode::Second);
    let mut properties = Fields::new();
    properties.insert(Symbol::from_static("k"), 1u32);
    let reply = AttachReply {
        source: Some(Source::at("granted")),
        rcv_settle_mode: ReceiverSettleMode::First,
        max_message_size: Some(1000),
        properties,
        ..AttachReply::echo(&asked)
    };
    pair.server.accept_link(rx, reply.clone()).unwrap();
    assert_eq!(pair.server.accept_link(rx, reply), Err(ApiMisuse::WrongState));
    assert_eq!(pair.server.reject_link(rx, error(ErrorCondition::NOT_FOUND)), Err(ApiMisuse::WrongState));
    pair.drive();
    let granted = pair.client.remote_attach(tx).unwrap();
    assert_eq!(granted.source.as_ref().unwrap().address.as_ref().unwrap(), "granted");
    assert_eq!((granted.rcv_settle_mode, granted.max_message_size), (ReceiverSettleMode::First, Some(1000)));
    assert!(granted.properties.as_ref().unwrap().get("k").is_some());
}

#[test]
fn t_2_6_3_2_a_refused_link_is_attached_to_nothing_and_detached() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, sender("a")).unwrap();
    let rx = pair.client.attach_receiver(session, receiver("b", Credit::Window(5))).unwrap();
    pair.drive();
    for link in pair.server.offered_links() {
        pair.server.reject_link(link, error(ErrorCondition::NOT_FOUND)).unwrap();
    }
    pair.drive();
    for link in [tx, rx] {
        let detached = pair.client.detached(link).unwrap();
        assert_eq!((detached.closed, detached.by), (true, Cause::Peer));
        assert_eq!(detached.error, Some(error(ErrorCondition::NOT_FOUND)));
        assert!(!pair.client.attached(link), "a refused link is never said to be attached");
    }
    let attaches: Vec<_> = frames(&pair.server.written)
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Attach(attach)) = body { Some(attach) } else { None })
        .collect();
    let bare: Vec<_> = attaches.iter().map(|attach| attach.source.is_none() && attach.target.is_none()).collect();
    assert_eq!(bare, [true, true]);
}

/// An end that asks for the terminus that a link has, by attaching without one, is refused like any other.
#[test]
fn t_2_6_3_2_a_link_that_asks_for_an_earlier_terminus_is_not_attached_if_there_is_none() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let (mut to, mut from) = (sender("a"), receiver("b", Credit::Window(5)));
    (to.target, from.source) = (None, None);
    let tx = pair.client.attach_sender(session, to).unwrap();
    let rx = pair.client.attach_receiver(session, from).unwrap();
    pair.drive();
    for link in pair.server.offered_links() {
        pair.server.reject_link(link, error(ErrorCondition::NOT_FOUND)).unwrap();
    }
    pair.drive();
    for link in [tx, rx] {
        assert_eq!(pair.client.detached(link).unwrap().error, Some(error(ErrorCondition::NOT_FOUND)));
        assert!(!pair.client.attached(link), "a refused link is never said to be attached");
    }
}

#[test]
fn t_2_8_18_1_the_whole_of_a_redirect_arrives() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let rx = pair.client.attach_receiver(session, receiver("b", Credit::Window(5))).unwrap();
    pair.drive();
    let mut info = Fields::new();
    info.insert(Symbol::from_static("hostname"), "eh.example");
    info.insert(Symbol::from_static("network-host"), "10.0.0.1");
    info.insert(Symbol::from_static("port"), 5671u32);
    info.insert(Symbol::from_static("address"), "amqps://eh.example/hub/Partitions/0");
    let redirect = AmqpError { info: Some(info), ..AmqpError::new(ErrorCondition::LINK_REDIRECT, "elsewhere") };
    let link = pair.server.offered_links()[0];
    pair.server.reject_link(link, redirect.clone()).unwrap();
    pair.drive();
    assert_eq!(pair.client.detached(rx).unwrap().error, Some(redirect));
}

#[test]
fn a_refusal_that_names_the_wrong_role_is_understood() {
    let (mut peer, session) = Peer::client_with_session();
    let rx = peer.end.attach_receiver(session, receiver("b", Credit::Window(5))).unwrap();
    peer.send(0, Attach { name: "b".into(), handle: 0, role: Role::Receiver, ..Attach::default() });
    let detach = Detach { handle: 0, closed: true, error: Some(error(ErrorCondition::UNAUTHORIZED_ACCESS)) };
    peer.send(0, detach);
    assert_eq!(peer.names(), ["attach", "detach"]);
    assert_eq!(gone(&peer, rx), (true, Some(ErrorCondition::UNAUTHORIZED_ACCESS), Cause::Peer));
    assert!(peer.end.offered_links().is_empty());
}

#[test]
fn a_refusal_meets_the_link_of_its_role_first() {
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, sender("x")).unwrap();
    let rx = peer.end.attach_receiver(session, receiver("x", Credit::Window(5))).unwrap();
    let refusal = Attach {
        name: "x".into(),
        role: Role::Sender,
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::default()
    };
    peer.send(0, refusal);
    peer.send(0, Detach { handle: 0, closed: true, error: Some(error(ErrorCondition::NOT_FOUND)) });
    assert_eq!(gone(&peer, rx).1, Some(ErrorCondition::NOT_FOUND));
    assert!(peer.end.detached(tx).is_none());
}

#[test]
fn either_end_detaches() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.detach(tx, true, None).unwrap();
    assert_eq!(pair.client.detach(tx, true, None), Ok(()), "it is detaching already");
    pair.drive();
    assert_eq!(pair.client.detached(tx).unwrap().by, Cause::Local);
    assert_eq!(pair.server.detached(rx).unwrap().by, Cause::Peer);
    assert_eq!(pair.client.detach(tx, true, None), Err(ApiMisuse::UnknownLink));
    let (tx, rx) = pair.sender(session, "l");
    let why = error(ErrorCondition::DETACH_FORCED);
    pair.server.detach(rx, true, Some(why.clone())).unwrap();
    pair.drive();
    assert_eq!(pair.client.detached(tx).unwrap().error, Some(why.clone()));
    let detached = pair.server.detached(rx).unwrap();
    assert_eq!((detached.by, detached.error), (Cause::Local, Some(why)));
}

#[test]
fn both_detach_at_once() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    for error in [None, Some(error(ErrorCondition::DETACH_FORCED))] {
        let (tx, rx) = pair.sender(session, "l");
        pair.client.detach(tx, true, None).unwrap();
        pair.server.detach(rx, true, error.clone()).unwrap();
        pair.drive();
        let (near, far) = (pair.client.detached(tx).unwrap(), pair.server.detached(rx).unwrap());
        assert_eq!((near.by, far.by), (Cause::Local, Cause::Local));
        assert_eq!(near.error, error, "what the peer says is not lost");
        pair.client.forget();
        pair.server.forget();
    }
    pair.sender(session, "again");
}

#[test]
fn a_detach_in_peace_lets_what_was_sent_go_first() {
    let (client, mut server) = Pair::configs();
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..30 {
        pair.client.send(tx, message(token, 2000), settled(token as u64)).unwrap();
    }
    pair.client.detach(tx, true, None).unwrap();
    assert_eq!(pair.client.send(tx, message(1, 1), settled(99)), Err(SendError::Detached));
    pair.drive();
    assert!(pair.client.settlements().iter().all(|(_, settlement)| *settlement == Settlement::Sent));
    assert_eq!(pair.server.detached(rx).unwrap().undelivered.len(), 30);
}

#[test]
fn a_detach_in_peace_does_not_wait_for_credit_that_was_taken_back() {
    let mut peer = Peer::with_receiver();
    let tx = peer.end.offered_links()[0];
    peer.send(0, amqp1_codec::performative::Flow { incoming_window: 0, ..credit(0, 5) });
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.end.detach(tx, true, None).unwrap();
    assert!(peer.names().is_empty(), "it waits for the window");
    peer.send(0, credit(0, 0));
    assert_eq!(peer.names(), ["detach"]);
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    assert_eq!(peer.end.settlements(), [(1, Settlement::Lost { sent: false })]);
}

#[test]
fn t_2_6_5_1_after_an_errored_detach_transfers_are_discarded_until_the_answer() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    peer.end.detach(rx, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    assert_eq!(peer.names(), ["detach"]);
    let told = peer.end.events.len();
    peer.send_payload(0, transfer(0, 0), HELLO);
    peer.send(0, credit(0, 7));
    assert!(peer.names().is_empty() && peer.end.events.len() == told);
    // The handle stays taken until the peer's detach.
    peer.send(0, attach("other", 1, Role::Sender));
    let frames = peer.read();
    let Performative::Attach(answer) = &frames[0].1 else { panic!("{frames:?}") };
    assert_eq!(answer.handle, 1);
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    peer.send(0, attach("third", 0, Role::Sender));
    let frames = peer.read();
    let Performative::Attach(answer) = &frames[0].1 else { panic!("{frames:?}") };
    assert_eq!(answer.handle, 0);
}

#[test]
fn an_offered_link_that_goes_before_it_is_answered_is_answered_all_the_same() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    let mut octets = frame(0, attach("l", 0, Role::Sender), b"").to_vec();
    octets.extend(frame(0, Detach { handle: 0, closed: true, error: None }, b""));
    peer.raw(&octets);
    assert_eq!(peer.names(), ["attach", "detach"]);
    let link = peer.end.offered_links()[0];
    assert_eq!(peer.end.reject_link(link, error(ErrorCondition::NOT_FOUND)), Err(ApiMisuse::UnknownLink));
    assert_eq!(gone(&peer, link).2, Cause::Peer);
}

#[test]
fn an_offered_link_that_the_application_detaches_is_refused() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    let link = peer.end.offered_links()[0];
    peer.end.detach(link, true, None).unwrap();
    assert_eq!(peer.names(), ["attach", "detach"]);
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    assert_eq!(gone(&peer, link).2, Cause::Local);
}

#[test]
fn t_2_6_7_6_a_transfer_on_an_offered_link_is_refused_before_it_is_answered() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    peer.send_payload(0, transfer(0, 0), HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)));
    peer.send_payload(0, transfer(0, 1), HELLO);
    assert!(peer.names().is_empty());
}

#[test]
fn a_link_detached_before_the_peer_has_answered_is_over_when_it_has() {
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, sender("l")).unwrap();
    peer.end.detach(tx, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    assert_eq!(peer.names(), ["attach", "detach"]);
    peer.send(0, attach("l", 3, Role::Receiver));
    peer.send(0, credit(3, 10));
    peer.send(0, Detach { handle: 3, closed: true, error: None });
    assert!(peer.names().is_empty() && !peer.end.is_closed());
    assert_eq!(peer.end.count(|event| matches!(event, Event::LinkDetached(..))), 1);
    assert!(!peer.end.attached(tx));
}

#[test]
fn what_was_sent_and_not_settled_is_lost_with_the_link() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..3 {
        pair.client.send(tx, message(1, 10), unsettled(token)).unwrap();
    }
    pair.drive();
    let first = pair.server.recv(rx).unwrap().key;
    pair.server.dispose(rx, first, DeliveryState::Accepted).unwrap();
    pair.server.detach(rx, true, None).unwrap();
    pair.drive();
    let mut settlements = pair.client.settlements();
    settlements.sort_by_key(|(token, _)| *token);
    let lost = Settlement::Lost { sent: true };
    let accepted = Settlement::Outcome(Some(DeliveryState::Accepted));
    assert_eq!(settlements, [(0, accepted), (1, lost.clone()), (2, lost)]);
}

#[test]
fn commands_of_the_other_role_are_refused() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    assert_eq!(pair.client.set_credit(tx, Credit::Manual(1)), Err(ApiMisuse::WrongRole));
    assert_eq!(pair.client.drain(tx), Err(ApiMisuse::WrongRole));
    assert_eq!(pair.server.send(rx, message(1, 1), unsettled(1)), Err(SendError::Detached));
    assert!(pair.client.recv(tx).is_none());
}

#[test]
fn settle_modes_bind_the_sender() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let config = SenderConfig { snd_settle_mode: SenderSettleMode::Unsettled, ..sender("l") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    assert_eq!(pair.client.send(tx, message(1, 1), settled(1)), Err(SendError::SettleMode));
    // T-2.7.5-8: on a link whose sender settles everything, every delivery is settled.
    let config = SenderConfig { snd_settle_mode: SenderSettleMode::Settled, ..sender("m") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(1, Settlement::Sent)]);
    let rx = pair.server.offered("m", Role::Receiver);
    assert!(pair.server.recv(rx).unwrap().settled);
}

/// The mode is the one that the answer states, and a receiver may ask for it.
#[test]
fn t_2_7_5_8_a_link_is_settled_by_the_receivers_word_too() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, sender("answered")).unwrap();
    pair.drive();
    let rx = pair.server.offered("answered", Role::Receiver);
    let asked = pair.server.remote_attach(rx).unwrap();
    let credit = Credit::Manual(1);
    let reply = AttachReply { snd_settle_mode: SenderSettleMode::Settled, credit, ..AttachReply::echo(&asked) };
    pair.server.accept_link(rx, reply).unwrap();
    pair.drive();
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
    assert!(pair.server.recv(rx).unwrap().settled);
    let config = ReceiverConfig { snd_settle_mode: SenderSettleMode::Settled, ..receiver("asked", Credit::Manual(1)) };
    let rx = pair.client.attach_receiver(session, config).unwrap();
    pair.drive();
    let tx = pair.server.offered("asked", Role::Sender);
    let asked = pair.server.remote_attach(tx).unwrap();
    pair.server.accept_link(tx, AttachReply::echo(&asked)).unwrap();
    pair.drive();
    pair.server.send(tx, message(2, 2), unsettled(2)).unwrap();
    pair.drive();
    assert!(pair.client.recv(rx).unwrap().settled);
}

#[test]
fn t_2_7_7_2_the_error_of_a_detach_that_answers_ours_is_reported() {
    for (ours, theirs) in [(true, true), (false, false), (false, true)] {
        let (mut peer, session) = Peer::client_with_session();
        let tx = peer.end.attach_sender(session, sender("l")).unwrap();
        peer.send(0, attach("l", 5, Role::Receiver));
        peer.end.detach(tx, ours, None).unwrap();
        assert_eq!(peer.names(), ["attach", "detach"]);
        peer.send(0, Detach { handle: 5, closed: theirs, error: Some(error(ErrorCondition::INTERNAL_ERROR)) });
        assert_eq!(gone(&peer, tx).1, Some(ErrorCondition::INTERNAL_ERROR), "{ours} {theirs}");
    }
}

/// Their answers could not be told apart.
#[test]
fn t_2_6_1_1_a_name_that_the_session_has_already_is_an_error_of_the_call() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    let before = pair.client.written.len();
    // Before and after the answer.
    let pending = pair.client.attach_sender(session, sender("m")).unwrap();
    for name in ["l", "m"] {
        assert_eq!(pair.client.attach_sender(session, sender(name)), Err(ApiMisuse::NameInUse));
    }
    pair.drive();
    assert!(pair.client.attached(pending));
    let attaches = frames(&pair.client.written[before..]);
    assert_eq!(attaches.iter().filter(|(_, body, _)| matches!(body, Some(Performative::Attach(_)))).count(), 1);
    // In the other direction it is another link.
    let (rx, _) = pair.receiver(session, "l", Credit::Manual(1));
    assert_eq!(pair.client.attach_receiver(session, receiver("l", Credit::Manual(1))), Err(ApiMisuse::NameInUse));
    // As soon as its end was asked for, the name is free.
    for (link, closed) in [(tx, true), (rx, false)] {
        pair.client.detach(link, closed, None).unwrap();
    }
    pair.client.attach_sender(session, sender("l")).unwrap();
    pair.client.attach_receiver(session, receiver("l", Credit::Manual(1))).unwrap();
    pair.drive();
}
