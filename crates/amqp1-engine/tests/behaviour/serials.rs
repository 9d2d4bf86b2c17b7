//! Numbers that wrap: transfer-ids, delivery-ids and delivery-counts near 2^32 (§2.8.8 to §2.8.10).

use amqp1_codec::{
    SequenceNo,
    definitions::{ReceiverSettleMode, Role},
    messaging::DeliveryState,
    performative::{Attach, Begin, Disposition, Flow, Performative, Transfer},
};
use amqp1_engine::{AttachReply, Credit, LinkId, SenderConfig, SessionConfig, Settlement};
use amqp1_testkit::*;

/// How many deliveries before the wrap.
const BEFORE: u32 = 5;
const FIRST: SequenceNo = SequenceNo(u32::MAX - BEFORE + 1);

fn near_the_wrap() -> SessionConfig {
    SessionConfig { next_outgoing_id: FIRST, first_delivery_id: FIRST, incoming_window: 7, ..SessionConfig::default() }
}

/// A session whose counters all begin shortly before they wrap, at both ends, with a link of each direction.
fn pair(mode: ReceiverSettleMode) -> (Pair, [(LinkId, LinkId); 2]) {
    let (mut client, mut server) = Pair::configs();
    client.max_frame_size = 512;
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    pair.server.accept.sessions = Some(near_the_wrap());
    let (session, _) = pair.session_with(near_the_wrap());
    pair.server.accept.links = None;
    let config = SenderConfig { initial_delivery_count: FIRST, rcv_settle_mode: mode, ..sender("up") };
    let up = pair.client.attach_sender(session, config).unwrap();
    let config = amqp1_engine::ReceiverConfig { rcv_settle_mode: mode, ..receiver("down", Credit::Window(3)) };
    let down = pair.client.attach_receiver(session, config).unwrap();
    pair.drive();
    let [receives, sends] = pair.server.offered_links()[..] else { panic!("two links") };
    for link in [receives, sends] {
        let offered = pair.server.remote_attach(link).unwrap();
        let reply =
            AttachReply { initial_delivery_count: FIRST, credit: Credit::Window(3), ..AttachReply::echo(&offered) };
        pair.server.accept_link(link, reply).unwrap();
    }
    pair.drive();
    (pair, [(up, receives), (down, sends)])
}

/// Also T-2.8.10-1, T-2.6.7-1, T-2.5.6-8 and T-2.7.6-3, in both directions.
#[test]
fn t_2_5_6_1_all_counters_pass_the_wrap_in_both_directions() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let (mut pair, [(up, receives), (down, sends)]) = pair(mode);
        let count = 4 * u64::from(BEFORE);
        let mut bodies = [Vec::new(), Vec::new()];
        for token in 0..count {
            // Some take several frames.
            let length = 100 + 400 * (token as usize % 4);
            pair.client.send(up, message(token as usize, length), unsettled(token)).unwrap();
            pair.server.send(sends, message(token as usize, length), unsettled(token)).unwrap();
            pair.drive();
            let [at_server, at_client] = &mut bodies;
            for (bodies, end, link) in [(at_server, &mut pair.server, receives), (at_client, &mut pair.client, down)] {
                for delivery in end.take_all(link) {
                    bodies.push(data(&delivery.message));
                    end.dispose(link, delivery.key, DeliveryState::Accepted).unwrap();
                }
            }
            pair.drive();
        }
        let expected: Vec<_> = (0..count as usize).map(|token| body(token, 100 + 400 * (token % 4))).collect();
        assert_eq!(bodies, [expected.clone(), expected], "{mode:?}");
        let accepted: Vec<_> =
            (0..count).map(|token| (token, Settlement::Outcome(Some(DeliveryState::Accepted)))).collect();
        assert_eq!((pair.client.settlements(), pair.server.settlements()), (accepted.clone(), accepted));
        // They did wrap.
        for written in [&pair.client.written, &pair.server.written] {
            let ids: Vec<_> = frames(written)
                .into_iter()
                .filter_map(|(_, body, _)| match body {
                    Some(Performative::Transfer(transfer)) => transfer.delivery_id,
                    _ => None,
                })
                .collect();
            assert_eq!((ids[0], ids.last().copied()), (FIRST, Some(FIRST.plus(count as u32 - 1))));
        }
    }
}

/// One disposition for all, from before the wrap to behind it; also T-2.7.6-4.
#[test]
fn t_2_7_6_3_a_range_passes_the_wrap() {
    let (mut pair, [(up, receives), _]) = pair(ReceiverSettleMode::First);
    pair.server.set_credit(receives, Credit::Manual(20)).unwrap();
    pair.drive();
    for token in 0..12 {
        pair.client.send(up, message(1, 1), unsettled(token)).unwrap();
    }
    pair.drive();
    let before = pair.server.written.len();
    for delivery in pair.server.take_all(receives) {
        pair.server.dispose(receives, delivery.key, DeliveryState::Accepted).unwrap();
    }
    pair.drive();
    let dispositions: Vec<_> = frames(&pair.server.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Disposition(body)) = body { Some(body) } else { None })
        .collect();
    let [Disposition { first, last, .. }] = dispositions[..] else { panic!("{dispositions:?}") };
    assert_eq!((first, last), (FIRST, Some(SequenceNo(11 - BEFORE))));
    assert_eq!(pair.client.settled.len(), 12);
}

/// Also T-2.6.7-8.
#[test]
fn t_2_5_6_8_drain_passes_the_wrap() {
    let (mut pair, [(up, receives), _]) = pair(ReceiverSettleMode::First);
    pair.server.set_credit(receives, Credit::Manual(20)).unwrap();
    pair.drive();
    pair.client.send(up, message(1, 1), settled(0)).unwrap();
    pair.server.drain(receives).unwrap();
    pair.drive();
    assert!(pair.server.drained(receives));
    assert_eq!(pair.client.credit(up), 0);
    pair.server.set_credit(receives, Credit::Manual(2)).unwrap();
    pair.drive();
    assert_eq!(pair.client.credit(up), 2);
}

/// A server of transfers whose ids begin where those of RabbitMQ do.
#[test]
fn t_2_5_6_1_a_peer_that_counts_from_near_the_wrap_is_followed() {
    let mut peer = Peer::fresh().open();
    let first = SequenceNo(u32::MAX - 3);
    peer.send(0, Begin { next_outgoing_id: first, ..begin() });
    peer.send(0, Attach { initial_delivery_count: Some(first), ..attach("l", 0, Role::Sender) });
    peer.read();
    let rx = peer.end.offered_links()[0];
    for count in 0..8 {
        peer.send_payload(0, Transfer { delivery_id: Some(first.plus(count)), ..transfer(0, count) }, HELLO);
    }
    assert_eq!(peer.end.take_all(rx).len(), 8);
    peer.end.set_credit(rx, Credit::Manual(7)).unwrap();
    let flows: Vec<_> = peer.read();
    let seen = flows.iter().rev().find_map(|(_, body, _)| match body {
        Performative::Flow(flow) => Some((flow.next_incoming_id, flow.delivery_count)),
        _ => None,
    });
    assert_eq!(seen, Some((Some(first.plus(8)), Some(first.plus(8)))));
    // What the peer's flow says counts (T-2.5.6-6), wherever that is.
    peer.send(0, Flow { echo: true, ..session_flow(100) });
    let flows = peer.read();
    let [(_, Performative::Flow(flow), _)] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!(flow.next_incoming_id, Some(SequenceNo(0)));
}
