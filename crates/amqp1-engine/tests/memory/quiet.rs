//! What a connection holds when nothing passes over it any more.

use allocation_counter::measure;
use amqp1_codec::{EncodedMessage, messaging::DeliveryState};
use amqp1_engine::LinkId;
use amqp1_testkit::{Pair, message, unsettled};

/// Sends some messages together, which are accepted.
fn burst(pair: &mut Pair, (tx, rx): (LinkId, LinkId), messages: Vec<EncodedMessage>) {
    let count = messages.len();
    for (token, message) in (0..).zip(messages) {
        pair.client.send(tx, message, unsettled(token)).expect("there is credit");
    }
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    assert_eq!(deliveries.len(), count);
    for delivery in deliveries {
        pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).expect("the link is there");
    }
    pair.drive();
    assert_eq!(pair.client.settlements().len(), count);
    pair.client.forget();
    pair.server.forget();
}

fn messages(count: usize) -> Vec<EncodedMessage> {
    (0..count).map(|seed| message(seed, 10)).collect()
}

#[test]
fn a_connection_that_is_quiet_gives_its_queues_back_and_goes_on_when_it_is_not() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let links = pair.sender(session, "l");
    burst(&mut pair, links, messages(200));
    let freed = measure(|| {
        pair.client.shrink();
        pair.server.shrink();
    });
    // Queues of deliveries, events, settlements and frames, and the leaves of emptied trees.
    assert!(freed.bytes_current < -64 * 1024, "{freed:?}");
    let again = measure(|| {
        pair.client.shrink();
        pair.server.shrink();
    });
    assert_eq!((again.bytes_current, again.count_total), (0, 0), "there is nothing more to give back");
    burst(&mut pair, links, messages(200));
}

#[test]
fn nothing_that_is_in_flight_is_lost_when_memory_is_given_back() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for (token, message) in (0..).zip(messages(20)) {
        pair.client.send(tx, message, unsettled(token)).expect("there is credit");
        pair.client.shrink();
        if token % 3 == 0 {
            pair.step();
        }
        pair.server.shrink();
    }
    pair.drive();
    pair.server.shrink();
    let deliveries = pair.server.take_all(rx);
    assert_eq!(deliveries.len(), 20);
    for delivery in deliveries {
        pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).expect("the link is there");
        pair.server.shrink();
    }
    pair.client.shrink();
    pair.drive();
    assert_eq!(pair.client.settlements().len(), 20);
}
