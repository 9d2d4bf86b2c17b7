//! Detaches that cross, of which one closes (§2.6.6).

use amqp1_codec::{
    definitions::Role,
    performative::{Detach, Performative},
};
use amqp1_engine::Event;
use amqp1_testkit::*;
use core::time::Duration;

fn offers(end: &End) -> usize {
    end.count(|event| matches!(event, Event::LinkOffered(_)))
}

/// The one that did not close attaches the link once more in order to, which is nothing that the other would use.
#[test]
fn t_2_6_6_2_an_attach_that_only_closes_is_not_offered_however_it_is_cut() {
    for client_closes in [true, false] {
        for limit in [1, 7, 16 * 1024] {
            let mut pair = Pair::open();
            let (session, _) = pair.session();
            let (tx, rx) = pair.sender(session, "l");
            pair.client.forget();
            pair.server.forget();
            pair.limit = limit;
            pair.client.detach(tx, client_closes, None).unwrap();
            pair.server.detach(rx, !client_closes, None).unwrap();
            pair.drive();
            assert!(pair.client.detached(tx).unwrap().closed && pair.server.detached(rx).unwrap().closed);
            let events = (offers(&pair.client), offers(&pair.server));
            assert_eq!(events, (0, 0), "{client_closes} {limit}: {:?} {:?}", pair.client.events, pair.server.events);
            for end in [&pair.client, &pair.server] {
                assert_eq!(end.count(|event| matches!(event, Event::LinkDetached(..))), 1);
            }
            // The session is as good as before, and so is the name.
            let (tx, _) = pair.sender(session, "l");
            pair.client.send(tx, message(1, 1), settled(0)).unwrap();
            pair.drive();
            assert!(!pair.client.is_closed() && !pair.server.is_closed());
        }
    }
}

/// A server whose peer has answered its close with a plain detach.
fn answered_plainly() -> Peer {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    peer.end.detach(rx, true, None).unwrap();
    assert_eq!(peer.names(), ["detach"]);
    peer.send(0, Detach { handle: 0, closed: false, error: None });
    peer.end.forget();
    peer
}

/// Some peers answer so, and mean the next link of that name.
#[test]
fn a_link_of_the_same_name_that_is_used_or_stays_is_offered() {
    let mut peer = answered_plainly();
    peer.send(0, attach("l", 0, Role::Sender));
    assert_eq!(offers(&peer.end), 0);
    peer.send(0, amqp1_codec::performative::Flow { handle: Some(0), ..session_flow(10) });
    assert_eq!(offers(&peer.end), 1);
    assert!(peer.names().contains(&"attach"));

    let mut peer = answered_plainly();
    peer.send(0, attach("l", 0, Role::Sender));
    assert_eq!(peer.end.poll_timeout(), Some(peer.now + Duration::from_millis(100)));
    peer.now = peer.now + Duration::from_millis(100);
    peer.end.take_timeout(peer.now);
    assert_eq!(offers(&peer.end), 1);

    // Only the first one, of that name and direction.
    let mut peer = answered_plainly();
    peer.send(0, attach("other", 0, Role::Sender));
    peer.send(0, attach("l", 1, Role::Receiver));
    assert_eq!(offers(&peer.end), 2);
}

/// T-2.6.6-1: also where nothing has answered the attach.
#[test]
fn an_attach_that_only_closes_is_answered() {
    let mut peer = answered_plainly();
    peer.send(0, attach("l", 0, Role::Sender));
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    let frames = peer.read();
    let [(_, Performative::Attach(attach), _), (_, Performative::Detach(detach), _)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!((&*attach.name, detach.closed), ("l", true));
    assert!(peer.end.events.is_empty(), "{:?}", peer.end.events);
}

/// It is not reported at all, since its end is not.
#[test]
fn an_attach_that_waits_to_be_offered_is_not_once_its_link_is_over() {
    let mut peer = answered_plainly();
    peer.send(0, attach("l", 0, Role::Sender));
    peer.send_payload(0, transfer(0, 0), b"without credit");
    assert_eq!(peer.names(), ["attach", "detach"]);
    peer.now = peer.now + Duration::from_millis(100);
    peer.end.take_timeout(peer.now);
    assert!(peer.end.events.is_empty(), "{:?}", peer.end.events);
}
