//! Input for links that were detached with an error (§2.6.5), where the peer is held to the letter.

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Attach, Begin, Detach, Disposition, Performative, Unsettled},
};
use amqp1_engine::{Connection, ConnectionConfig, ErrantLinks, Instant, LinkId, ServerSasl, SessionConfig, SessionId};
use amqp1_testkit::*;

const ERRANT: Option<(&str, ErrorCondition)> = Some(("end", ErrorCondition::ERRANT_LINK));

fn strict(name: &'static str) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(name);
    config.errant_links = ErrantLinks::EndSession;
    config
}

/// A strict engine with a link on handle 0, whose other end, of this role, is the peer. The engine is a server, or a
/// client that has attached the link itself.
fn with_link(client: bool, peers: Role) -> (Peer, LinkId) {
    if !client {
        let mut peer = Peer::new(Connection::server(strict("server"), ServerSasl::None, Instant::default())).open();
        peer.send(0, begin());
        peer.send(0, attach("l", 0, peers));
        peer.read();
        let id = peer.end.offered_links()[0];
        return (peer, id);
    }
    let (mut peer, _, id) = asking(peers);
    peer.send(0, attach("l", 0, peers));
    peer.read();
    (peer, id)
}

/// A strict engine that has attached a link, whose other end, of this role, is the peer. The peer has not answered.
fn asking(peers: Role) -> (Peer, SessionId, LinkId) {
    let mut peer = Peer::new(Connection::client(strict("client"), None, Instant::default())).open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    let id = match peers {
        Role::Receiver => peer.end.attach_sender(session, sender("l")).unwrap(),
        Role::Sender => peer.end.attach_receiver(session, receiver("l", amqp1_engine::Credit::Manual(10))).unwrap(),
    };
    (peer, session, id)
}

/// The same, detached with an error by the engine; the peer has not answered.
fn errored(client: bool, peers: Role) -> Peer {
    let (mut peer, id) = with_link(client, peers);
    peer.end.detach(id, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::DETACH_FORCED)));
    peer
}

fn detach() -> Detach {
    Detach { handle: 0, closed: true, error: None }
}

fn resuming(attach: Attach) -> Attach {
    Attach { unsettled: Some(Unsettled::new()), ..attach }
}

/// Also T-2.8.17-1.
#[test]
fn t_2_6_5_2_input_for_a_link_detached_with_an_error_ends_the_session() {
    for client in [false, true] {
        let mut peer = errored(client, Role::Sender);
        peer.send_payload(0, transfer(0, 0), HELLO);
        assert_eq!(peer.refusal(), ERRANT, "a transfer");
        for peers in [Role::Sender, Role::Receiver] {
            let mut peer = errored(client, peers);
            peer.send(0, credit(0, 7));
            assert_eq!(peer.refusal(), ERRANT, "a flow from the {peers:?}");
            // A detach is what is to come.
            let mut peer = errored(client, peers);
            peer.send(0, detach());
            peer.send(0, session_flow(1000));
            assert!(peer.names().is_empty());
        }
    }
}

/// Wherever in the range they are. One that was settled before, and deliveries of other links, are not among them.
#[test]
fn t_2_6_5_2_input_by_delivery_ids_is_for_the_link_too() {
    let ranges = [(0, 0, false), (3, 8, false), (1, 1, true), (2, 7, true), (0, 1, true), (0, 7, true)];
    for client in [false, true] {
        for peers in [Role::Sender, Role::Receiver] {
            for (first, last, errant) in ranges {
                let (mut peer, id) = with_link(client, peers);
                let about = |first, last| Disposition {
                    role: peers,
                    first: SequenceNo(first),
                    last: Some(SequenceNo(last)),
                    settled: true,
                    ..Disposition::default()
                };
                match peers {
                    Role::Sender => (0..3).for_each(|number| peer.send_payload(0, transfer(0, number), HELLO)),
                    Role::Receiver => {
                        peer.send(0, credit(0, 5));
                        (0..3).for_each(|token| peer.end.send(id, message(1, 10), unsettled(token)).unwrap());
                        peer.flush();
                    }
                }
                peer.send(0, about(0, 0));
                peer.end.detach(id, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
                peer.read();
                peer.send(0, about(first, last));
                let expected = if errant { ERRANT } else { None };
                assert_eq!(peer.refusal(), expected, "{first} to {last} from the {peers:?}");
            }
        }
    }
}

#[test]
fn t_2_6_5_3_after_an_errored_detach_a_link_is_resumed_or_its_attach_ends_the_session() {
    for client in [false, true] {
        for peers in [Role::Sender, Role::Receiver] {
            // On its way when our detach was written: behind the peer's own detach, or before it on another handle.
            for answered in [false, true] {
                for resumes in [false, true] {
                    let mut peer = errored(client, peers);
                    if answered {
                        peer.send(0, detach());
                    }
                    let again = attach("l", 1, peers);
                    peer.send(0, if resumes { resuming(again) } else { again });
                    if resumes {
                        let frames = peer.read();
                        assert!(matches!(frames[0].1, Performative::Attach(_)), "{frames:?}");
                    } else {
                        assert_eq!(peer.refusal(), ERRANT);
                    }
                }
            }
            // Another link is another link.
            let mut peer = errored(client, peers);
            peer.send(0, detach());
            peer.send(0, attach("l", 1, peers.opposite()));
            peer.send(0, attach("other", 2, peers));
            assert!(!peer.names().contains(&"end"));
        }
    }
}

/// A link on handle 1 that the application of a server refuses with an error; the peer has not answered.
fn refused(errant_links: ErrantLinks, peers: Role) -> Peer {
    let config = ConnectionConfig { errant_links, ..ConnectionConfig::new("server") };
    let mut peer = Peer::new(Connection::server(config, ServerSasl::None, Instant::default())).open();
    peer.end.accept.links = None;
    peer.send(0, begin());
    peer.read();
    refuse(&mut peer, attach("refused", 1, peers));
    peer
}

fn refuse(peer: &mut Peer, attach: Attach) {
    peer.send(0, attach);
    let id = *peer.end.offered_links().last().unwrap();
    peer.end.reject_link(id, error(ErrorCondition::NOT_FOUND)).unwrap();
    assert_eq!(peer.names(), ["attach", "detach"]);
}

#[test]
fn t_2_6_5_2_input_for_a_link_that_was_refused_ends_the_session() {
    let mut peer = refused(ErrantLinks::EndSession, Role::Sender);
    peer.send_payload(0, transfer(1, 0), HELLO);
    assert_eq!(peer.refusal(), ERRANT, "a transfer");
    for peers in [Role::Sender, Role::Receiver] {
        let mut peer = refused(ErrantLinks::EndSession, peers);
        peer.send(0, credit(1, 7));
        assert_eq!(peer.refusal(), ERRANT, "a flow from the {peers:?}");
        let mut peer = refused(ErrantLinks::EndSession, peers);
        peer.send(0, Detach { handle: 1, ..detach() });
        peer.send(0, session_flow(1000));
        assert!(peer.names().is_empty());
    }
}

#[test]
fn t_2_6_5_3_a_link_that_was_refused_is_attached_again_only_where_errant_links_are_discarded() {
    for closed in [false, true] {
        let mut peer = refused(ErrantLinks::EndSession, Role::Sender);
        peer.send(0, Detach { handle: 1, closed, error: None });
        peer.send(0, attach("refused", 2, Role::Sender));
        assert_eq!(peer.refusal(), ERRANT);
    }
    let mut peer = refused(ErrantLinks::EndSession, Role::Sender);
    peer.send(0, Detach { handle: 1, ..detach() });
    refuse(&mut peer, resuming(attach("refused", 2, Role::Sender)));
    let mut peer = refused(ErrantLinks::Discard, Role::Sender);
    peer.send(0, Detach { handle: 1, ..detach() });
    refuse(&mut peer, attach("refused", 2, Role::Sender));
}

/// A refusal that waits for a handle makes the link errant once it is sent.
#[test]
fn t_2_6_5_2_a_link_whose_refusal_waits_for_a_handle_is_errant_too() {
    let mut peer = Peer::new(Connection::server(strict("server"), ServerSasl::None, Instant::default())).open();
    peer.send(0, Begin { handle_max: 0, ..begin() });
    peer.send(0, attach("first", 0, Role::Sender));
    peer.read();
    let first = peer.end.offered_links()[0];
    peer.end.accept.links = None;
    peer.send(0, attach("refused", 1, Role::Sender));
    let id = *peer.end.offered_links().last().unwrap();
    peer.end.reject_link(id, error(ErrorCondition::NOT_FOUND)).unwrap();
    peer.end.detach(first, true, None).unwrap();
    assert_eq!(peer.names(), ["detach"]);
    peer.send(0, detach());
    assert_eq!(peer.names(), ["attach", "detach"]);
    peer.send_payload(0, transfer(1, 0), HELLO);
    assert_eq!(peer.refusal(), ERRANT);
}

/// The answer to the attach of a link that is detached already may be in flight; what follows it is not to come.
#[test]
fn t_2_6_5_2_a_link_detached_with_an_error_before_its_answer_is_errant_after_it() {
    for peers in [Role::Sender, Role::Receiver] {
        let (mut peer, _, id) = asking(peers);
        peer.end.detach(id, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
        peer.read();
        peer.send(0, attach("l", 0, peers));
        assert!(peer.names().is_empty());
        peer.send(0, credit(0, 7));
        assert_eq!(peer.refusal(), ERRANT, "a flow from the {peers:?}");
    }
}

/// The answer to an attach of this end is not a plain attach of the peer's.
#[test]
fn t_2_6_5_3_this_end_may_attach_the_link_again() {
    let (mut peer, session, id) = asking(Role::Receiver);
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.end.detach(id, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    peer.send(0, detach());
    peer.read();
    peer.end.attach_sender(session, sender("l")).unwrap();
    assert_eq!(peer.names(), ["attach"]);
    peer.send(0, attach("l", 0, Role::Receiver));
    assert!(peer.names().is_empty());
}

#[test]
fn t_2_6_5_2_what_the_engine_finds_wrong_with_a_link_makes_it_errant_too() {
    let (mut peer, _) = with_link(false, Role::Receiver);
    peer.send_payload(0, transfer(0, 0), HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)), "a receiver sends no transfers");
    peer.send_payload(0, transfer(0, 1), HELLO);
    assert_eq!(peer.refusal(), ERRANT);
}

/// The names that are kept against a peer have a bound.
#[test]
fn links_beyond_a_bound_are_not_held_against_the_peer() {
    let (mut peer, first) = with_link(false, Role::Sender);
    for number in 0..5000_u32 {
        let name: amqp1_codec::Str = number.to_string().into();
        peer.send(0, Attach { name, ..attach("", 1, Role::Sender) });
        let id = *peer.end.offered_links().last().unwrap();
        peer.end.detach(id, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
        peer.send(0, Detach { handle: 1, closed: true, error: None });
        if number == 0 {
            peer.end.detach(first, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
        }
    }
    peer.read();
    peer.send(0, attach("4999", 2, Role::Sender));
    assert!(!peer.names().contains(&"end"));
    peer.send(0, attach("l", 3, Role::Sender));
    assert_eq!(peer.refusal(), ERRANT);
}
