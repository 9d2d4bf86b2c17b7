//! Deliveries of every size, both ways (§2.6.14, §2.7.5).

use crate::common::*;
use amqp1_codec::messaging::DeliveryState;
use amqp1_engine::{Credit, Settlement};

#[test]
fn a_message_arrives_and_is_accepted() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 100), unsettled(7)).unwrap();
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    assert_eq!(deliveries.len(), 1);
    assert_eq!(data(&deliveries[0].message), body(1, 100));
    assert!(!deliveries[0].settled);
    pair.server.dispose(rx, deliveries[0].key, DeliveryState::Accepted).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(7, Settlement::Outcome(Some(DeliveryState::Accepted)))]);
}

#[test]
fn a_server_sends_to_a_client_that_receives() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Window(10));
    assert_eq!(pair.server.credit(tx), 10);
    for token in 0..100 {
        while pair.server.credit(tx) == 0 {
            pair.drive();
            for delivery in pair.client.take_all(rx) {
                pair.client.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
            }
        }
        pair.server.send(tx, message(token, 10), unsettled(token as u64)).unwrap();
    }
    pair.drive();
    assert_eq!(pair.client.take_all(rx).last().map(|delivery| data(&delivery.message)), Some(body(99, 10)));
}

#[test]
fn t_2_6_14_1_ten_mebibytes_arrive_in_frames_of_512_octets() {
    let (client, mut server) = Pair::configs();
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    let length = 10 << 20;
    pair.client.send(tx, message(3, length), unsettled(1)).unwrap();
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    assert_eq!(deliveries.len(), 1);
    assert!(data(&deliveries[0].message) == body(3, length), "the octets differ");
}

#[test]
fn octets_that_arrive_one_by_one_are_put_together() {
    let (mut client, server) = Pair::configs();
    client.max_frame_size = 512;
    let mut pair = Pair::with(client, server);
    (pair.up.segment, pair.down.segment) = (Segment::Of(1), Segment::Of(1));
    pair.drive();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Window(10));
    pair.server.send(tx, message(1, 3000), settled(1)).unwrap();
    pair.drive();
    assert_eq!(pair.server.settlements(), [(1, Settlement::Sent)]);
    assert_eq!(data(&pair.client.take_all(rx)[0].message), body(1, 3000));
}
