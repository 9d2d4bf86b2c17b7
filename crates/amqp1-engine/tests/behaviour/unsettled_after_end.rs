//! Deliveries that a sender leaves unsettled when its link ends, for an application that wants all that has arrived.

use amqp1_codec::messaging::DeliveryState;
use amqp1_engine::{LinkId, SessionId, Settlement};
use amqp1_testkit::*;

/// A link to an application that wants what is not settled, and may keep such links for their next endpoint.
fn attached(unsettled_after_end: bool, resumable: bool) -> (Pair, SessionId, LinkId, LinkId) {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender_answered(session, "l", |reply| {
        (reply.unsettled_after_end, reply.resumable) = (unsettled_after_end, resumable);
    });
    (pair, session, tx, rx)
}

/// Four deliveries: the first is taken, the second settled.
fn send(pair: &mut Pair, tx: LinkId, rx: LinkId) {
    for (token, options) in [(0, unsettled(0)), (1, settled(1)), (2, unsettled(2)), (3, unsettled(3))] {
        pair.client.send(tx, message(token, 10), options).expect("sent");
    }
    pair.drive();
    pair.server.recv(rx).expect("the first");
}

fn handed_over(pair: &Pair, rx: LinkId) -> Vec<(usize, bool)> {
    let undelivered = pair.server.detached(rx).expect("the link is over").undelivered;
    let token = |octets| (0..4).find(|token| body(*token, 10) == octets).expect("one of those sent");
    undelivered.iter().map(|delivery| (token(data(&delivery.message)), delivery.settled)).collect()
}

#[test]
fn what_arrived_before_the_detach_is_handed_over_where_that_is_wanted() {
    for closed in [true, false] {
        let (mut pair, _, tx, rx) = attached(true, false);
        send(&mut pair, tx, rx);
        pair.client.detach(tx, closed, None).expect("detached");
        pair.drive();
        assert_eq!(handed_over(&pair, rx), [(1, true), (2, false), (3, false)]);
        let lost = pair.client.settlements().into_iter().filter(|(_, it)| *it == Settlement::Lost { sent: true });
        assert_eq!(lost.count(), 3, "the sender knows of no outcome");
        let key = pair.server.detached(rx).expect("over").undelivered[1].key;
        assert!(pair.server.dispose(rx, key, DeliveryState::Accepted).is_err(), "there is no link to say it on");
    }
}

#[test]
fn elsewhere_the_sender_has_it_still() {
    let (mut pair, _, tx, rx) = attached(false, false);
    send(&mut pair, tx, rx);
    pair.client.detach(tx, true, None).expect("detached");
    pair.drive();
    assert_eq!(handed_over(&pair, rx), [(1, true)]);
}

#[test]
fn sessions_connections_and_transports_that_end_hand_over_as_well() {
    let ends: [fn(&mut Pair, SessionId); 3] = [
        |pair, session| pair.client.end(session, None).expect("ended"),
        |pair, _| pair.client.engine.close(pair.now, None),
        |pair, _| assert!(pair.server.take_end(pair.now)),
    ];
    for end in ends {
        let (mut pair, session, tx, rx) = attached(true, false);
        send(&mut pair, tx, rx);
        end(&mut pair, session);
        pair.drive();
        assert_eq!(handed_over(&pair, rx), [(1, true), (2, false), (3, false)]);
    }
}

/// The next endpoint of a link receives them, and would receive them twice.
#[test]
fn a_link_that_is_suspended_keeps_what_is_not_settled() {
    let (mut pair, _, tx, rx) = attached(true, true);
    send(&mut pair, tx, rx);
    pair.client.detach(tx, false, None).expect("detached");
    pair.drive();
    assert_eq!(handed_over(&pair, rx), [(1, true)]);
}
