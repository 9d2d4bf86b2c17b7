//! Deliveries of which a part has left: what waits for the rest, what is given up, and states that take much room.

use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, Role},
    messaging::DeliveryState,
    performative::{Disposition, Open, Performative, Transfer},
};
use amqp1_engine::{ConnectionConfig, Event, LinkId, SendError, SendOptions, Settlement};
use amqp1_testkit::*;
use bytes::Bytes;

/// The transfers that were written since this was last asked.
fn transfers(peer: &mut Peer) -> Vec<(Transfer, Bytes)> {
    let frames = peer.read().into_iter().filter_map(|(_, body, payload)| match body {
        Performative::Transfer(transfer) => Some((transfer, payload)),
        _ => None,
    });
    frames.collect()
}

/// A sender in frames of 512 octets with this much credit, and a window of this many transfers.
fn sending(window: u32) -> (Peer, LinkId) {
    let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, amqp1_codec::performative::Begin { incoming_window: window, ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, amqp1_codec::performative::Flow { incoming_window: window, ..credit(0, 10) });
    peer.read();
    let tx = peer.end.offered_links()[0];
    (peer, tx)
}

fn settles(first: u32, state: Option<DeliveryState>) -> Disposition {
    Disposition { role: Role::Receiver, first: first.into(), settled: true, state, ..Disposition::default() }
}

/// RabbitMQ 3.10 ends the session at a transfer without octets.
#[test]
fn the_last_transfer_of_a_stream_has_octets_however_late_it_is_finished() {
    let (mut peer, tx) = sending(100);
    for (number, pieces) in [(0, vec![1_usize]), (1, vec![10]), (2, vec![700, 1, 1]), (3, vec![2000])] {
        peer.end.begin_delivery(tx, unsettled(number)).unwrap();
        let (mut written, mut sent) = (0, 0);
        for piece in pieces {
            peer.end.write(tx, body(1, piece)).unwrap();
            written += piece;
            // Everything else leaves, and nobody has to wait for what is held back.
            sent += transfers(&mut peer)
                .iter()
                .map(|(transfer, payload)| {
                    assert!(transfer.more && !payload.is_empty());
                    payload.len()
                })
                .sum::<usize>();
            assert_eq!((sent, peer.end.queued(tx)), (written - 1, 0));
        }
        peer.end.finish(tx).unwrap();
        let last = transfers(&mut peer);
        let [(transfer, payload)] = &last[..] else { panic!("{last:?}") };
        assert_eq!((transfer.more, payload.len()), (false, 1), "{number}");
    }
}

#[test]
fn a_stream_in_which_nothing_was_written_is_an_empty_message() {
    let (mut peer, tx) = sending(100);
    peer.end.begin_delivery(tx, unsettled(0)).unwrap();
    peer.end.finish(tx).unwrap();
    let [(transfer, payload)] = &transfers(&mut peer)[..] else { panic!("one transfer") };
    assert!(!transfer.more && payload.is_empty());
}

/// What is held back neither keeps a link from being detached nor the application from being asked for more.
#[test]
fn what_is_held_back_keeps_nothing_waiting() {
    let (mut peer, tx) = sending(100);
    peer.end.begin_delivery(tx, unsettled(0)).unwrap();
    peer.end.forget();
    peer.end.write(tx, body(1, 100)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(id) if *id == tx)), 1);
    peer.end.detach(tx, true, None).unwrap();
    assert_eq!(peer.names(), ["detach"]);
}

#[test]
fn a_half_sent_delivery_that_the_receiver_has_settled_is_aborted() {
    for state in [None, Some(DeliveryState::Accepted), Some(DeliveryState::Rejected(None))] {
        let (mut peer, tx) = sending(2);
        peer.end.send(tx, message(1, 2000), unsettled(5)).unwrap();
        peer.end.send(tx, message(2, 10), unsettled(6)).unwrap();
        assert_eq!(peer.names(), ["transfer"; 2]);
        peer.send(0, settles(0, state.clone()));
        assert_eq!(peer.end.settlements(), [(5, Settlement::Outcome(state))]);
        assert_eq!(peer.end.queued(tx), message(2, 10).len());
        let window = amqp1_codec::performative::Flow { next_incoming_id: Some(2.into()), ..session_flow(10) };
        peer.send(0, window);
        let sent = transfers(&mut peer);
        let [(abort, nothing), (next, _)] = &sent[..] else { panic!("{sent:?}") };
        assert!(
            abort.aborted && !abort.more && nothing.is_empty() && abort.delivery_id.is_none_or(|id| id == 0.into())
        );
        assert_eq!((next.delivery_id, next.aborted), (Some(1.into()), false));
        assert_eq!(peer.end.settlements().len(), 1, "one answer for each");
    }
}

/// A receiver in mode second that decides before the message is whole: we settle, and give up the rest.
#[test]
fn a_half_sent_delivery_that_is_decided_is_settled_and_aborted() {
    let mut peer = Peer::with_session();
    let mode = ReceiverSettleMode::Second;
    peer.send(0, amqp1_codec::performative::Attach { rcv_settle_mode: mode, ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 10));
    peer.read();
    let tx = peer.end.offered_links()[0];
    peer.end.begin_delivery(tx, unsettled(5)).unwrap();
    peer.end.write(tx, body(1, 100)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    peer.send(0, Disposition { settled: false, ..settles(0, Some(DeliveryState::Released)) });
    assert_eq!(peer.names(), ["disposition", "transfer"]);
    assert_eq!(peer.end.settlements(), [(5, Settlement::Outcome(Some(DeliveryState::Released)))]);
}

#[test]
fn who_writes_a_stream_that_is_settled_early_learns_it_and_the_link_is_free_afterwards() {
    for given_up in [false, true] {
        let (mut peer, tx) = sending(100);
        peer.end.begin_delivery(tx, unsettled(5)).unwrap();
        peer.end.write(tx, body(1, 100)).unwrap();
        peer.read();
        peer.end.forget();
        peer.send(0, settles(0, Some(DeliveryState::Released)));
        assert!(transfers(&mut peer)[0].0.aborted);
        assert_eq!(peer.end.settlements(), [(5, Settlement::Outcome(Some(DeliveryState::Released)))]);
        assert_eq!(peer.end.count(|event| matches!(event, Event::Sendable(_))), 1, "who waits to write is woken");
        assert_eq!(peer.end.write(tx, body(1, 1)), Err(SendError::SettledEarly));
        // Its handle still stands for the link's stream, which no other may take.
        assert_eq!(peer.end.begin_delivery(tx, unsettled(6)), Err(SendError::Unfinished));
        assert_eq!((peer.end.credit(tx), peer.names().len()), (0, 0));
        if given_up {
            peer.end.abort(tx, 5).unwrap();
        } else {
            peer.end.finish(tx).unwrap();
        }
        assert_eq!(peer.end.settlements().len(), 1);
        assert_eq!(peer.end.credit(tx), 9);
        peer.end.send(tx, message(1, 1), unsettled(6)).unwrap();
        assert_eq!(peer.names(), ["transfer"]);
    }
}

/// A state whose encoding has about this many octets.
fn state(octets: usize) -> DeliveryState {
    let mut info = Fields::new();
    info.insert(amqp1_codec::Symbol::from_static("x"), amqp1_codec::Value::from("x".repeat(octets)));
    let error = AmqpError { info: Some(info), ..AmqpError::from(ErrorCondition::INTERNAL_ERROR) };
    DeliveryState::Rejected(Some(Box::new(error)))
}

/// T-2.6.14-1: a transfer with a state has less room for its payload.
#[test]
fn a_state_of_any_size_leaves_the_message_whole_or_is_refused() {
    let mut refused = 0;
    for octets in (0..600).step_by(7) {
        for size in [1, 60, 100, 200, 300, 384, 400, 470, 1000] {
            let (mut peer, tx) = sending(10_000);
            let whole: Vec<u8> = message(3, size).into_parts().concat();
            let options = SendOptions { state: Some(state(octets)), ..unsettled(1) };
            match peer.end.send(tx, message(3, size), options) {
                Err(SendError::StateTooLarge { max: 512 }) => {
                    refused += 1;
                    assert!(octets > 200, "{octets}");
                    assert!(peer.names().is_empty());
                }
                sent => {
                    sent.unwrap();
                    let sent = transfers(&mut peer);
                    assert_eq!(sent.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>().concat(), whole);
                    let last = sent.len() - 1;
                    assert!(sent.iter().enumerate().all(|(at, (transfer, _))| transfer.more == (at < last)));
                    assert!(sent.iter().all(|(_, payload)| !payload.is_empty()));
                }
            }
        }
    }
    assert!(refused > 0);
    let (mut peer, tx) = sending(1);
    let options = SendOptions { state: Some(state(600)), ..unsettled(1) };
    assert_eq!(peer.end.begin_delivery(tx, options), Err(SendError::StateTooLarge { max: 512 }));
}

/// Frames of the size that the peer takes, not only of that which we like.
#[test]
fn t_2_7_1_5_a_state_that_the_peer_has_no_room_for_is_refused() {
    let mut peer = Peer::fresh();
    peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 600, ..Open::default() });
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, credit(0, 10));
    let tx = peer.end.offered_links()[0];
    let options = SendOptions { state: Some(state(700)), ..unsettled(1) };
    assert_eq!(peer.end.send(tx, message(1, 1), options), Err(SendError::StateTooLarge { max: 600 }));
}
