//! Outcomes and settlement (§2.6.12, §2.7.6).

use crate::corners::outcomes;
use amqp1_codec::{
    SequenceNo, Symbol,
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, Role},
    messaging::{DeliveryState, Modified, Received},
    performative::{Attach, Disposition, Performative, Transfer},
    transaction::TransactionalState,
};
use amqp1_engine::{ApiMisuse, Credit, DeliveryKey, Event, LinkId, SendOptions, SenderConfig, SessionId, Settlement};
use amqp1_testkit::*;

const ACCEPTED: DeliveryState = DeliveryState::Accepted;

/// A client that has sent this many deliveries, of which none is settled, to a server that has them.
fn sent(count: usize, config: SenderConfig) -> (Pair, LinkId, LinkId, Vec<DeliveryKey>) {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    for token in 0..count {
        pair.client.send(tx, message(token, 10), unsettled(token as u64)).unwrap();
    }
    pair.drive();
    let rx = pair.server.offered_links()[0];
    let keys = pair.server.take_all(rx).iter().map(|delivery| delivery.key).collect();
    (pair, tx, rx, keys)
}

fn second() -> SenderConfig {
    SenderConfig { rcv_settle_mode: ReceiverSettleMode::Second, ..sender("l") }
}

/// The dispositions that an end has written.
fn dispositions(written: &[u8]) -> Vec<Disposition> {
    let dispositions = frames(written).into_iter().filter_map(|(_, body, _)| match body {
        Some(Performative::Disposition(disposition)) => Some(disposition),
        _ => None,
    });
    dispositions.collect()
}

/// The delivery ids on an end's transfers.
fn ids(written: &[u8]) -> Vec<SequenceNo> {
    let ids = frames(written).into_iter().filter_map(|(_, body, _)| match body {
        Some(Performative::Transfer(transfer)) => transfer.delivery_id,
        _ => None,
    });
    ids.collect()
}

/// The ranges of the dispositions that an end has written, counted from this delivery id.
fn ranges(written: &[u8], from: SequenceNo) -> Vec<(u32, Option<u32>)> {
    let place = |id: SequenceNo| id.0.wrapping_sub(from.0);
    dispositions(written).iter().map(|d| (place(d.first), d.last.map(place))).collect()
}

/// A server that has sent deliveries 0 to `count`, unsettled, to the peer.
fn server_sent(count: u64) -> (Peer, LinkId, SessionId) {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 1000));
    let tx = peer.end.offered_links()[0];
    for token in 0..count {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    peer.read();
    let session = peer.end.offered_sessions()[0];
    (peer, tx, session)
}

fn says(first: u32, last: u32) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: SequenceNo(first),
        last: Some(SequenceNo(last)),
        settled: true,
        state: Some(ACCEPTED),
        ..Disposition::default()
    }
}

fn settled_tokens(peer: &Peer) -> Vec<u64> {
    let mut tokens: Vec<_> = peer.end.settlements().into_iter().map(|(token, _)| token).collect();
    tokens.sort_unstable();
    tokens
}

#[test]
fn every_outcome_reaches_the_sender_as_it_was_stated() {
    let mut annotations = Fields::default();
    annotations.insert(Symbol::from_static("x-opt-why"), "because");
    let outcomes = [
        DeliveryState::Accepted,
        DeliveryState::Rejected(None),
        DeliveryState::rejected(error(ErrorCondition::INVALID_FIELD)),
        DeliveryState::Released,
        DeliveryState::Modified(Box::default()),
        DeliveryState::Modified(Box::new(Modified {
            delivery_failed: true,
            undeliverable_here: true,
            message_annotations: Some(annotations),
        })),
    ];
    for config in [sender("l"), second()] {
        let (mut pair, _, rx, keys) = sent(outcomes.len(), config);
        for (key, outcome) in keys.iter().zip(&outcomes) {
            pair.server.dispose(rx, *key, outcome.clone()).unwrap();
        }
        pair.drive();
        let expected = outcomes.iter().enumerate();
        let expected: Vec<_> = expected.map(|(t, o)| (t as u64, Settlement::Outcome(Some(o.clone())))).collect();
        assert_eq!(pair.client.settlements(), expected);
    }
}

#[test]
fn consecutive_deliveries_of_one_outcome_share_a_disposition() {
    let (mut pair, _, rx, keys) = sent(100, sender("l"));
    pair.server.written.clear();
    let mut shuffled = keys.clone();
    let mut random = Random::new(5);
    for at in 0..shuffled.len() {
        let other = random.below(shuffled.len());
        shuffled.swap(at, other);
    }
    for key in shuffled {
        let outcome = if key == keys[50] { DeliveryState::Released } else { ACCEPTED };
        pair.server.dispose(rx, key, outcome).unwrap();
    }
    let octets = pair.server.output(pair.now, usize::MAX);
    assert_eq!(ranges(&octets, ids(&pair.client.written)[0]), [(0, Some(49)), (50, None), (51, Some(99))]);
    pair.client.engine.handle_input(pair.now, &mut octets[..].into());
    pair.client.look();
    assert_eq!(pair.client.settled.len(), 100);
}

#[test]
fn an_undisposed_delivery_between_is_left_out() {
    let (mut pair, _, rx, keys) = sent(5, sender("l"));
    for at in [0, 1, 3, 4] {
        pair.server.dispose(rx, keys[at], ACCEPTED).unwrap();
    }
    pair.drive();
    assert_eq!(ranges(&pair.server.written, ids(&pair.client.written)[0]), [(0, Some(1)), (3, Some(4))]);
}

#[test]
fn t_2_6_12_3_in_mode_first_the_receiver_settles_at_once() {
    for state in outcomes() {
        let (mut pair, _, rx, keys) = sent(1, sender("l"));
        pair.server.dispose(rx, keys[0], state.clone()).unwrap();
        pair.drive();
        let said = dispositions(&pair.server.written);
        assert!(said[0].settled && said[0].role == Role::Receiver, "{state:?}");
        assert_eq!(said[0].state.as_ref(), Some(&state));
        assert!(dispositions(&pair.client.written).is_empty(), "{state:?}");
        // It is settled: nothing more can be said of it.
        pair.server.dispose(rx, keys[0], DeliveryState::Modified(Box::default())).unwrap();
        pair.drive();
        assert_eq!(dispositions(&pair.server.written).len(), 1, "{state:?}");
    }
}

#[test]
fn t_2_6_12_4_in_mode_second_the_sender_settles() {
    for state in outcomes() {
        let (mut pair, _, rx, keys) = sent(3, second());
        for key in &keys {
            pair.server.dispose(rx, *key, state.clone()).unwrap();
            // An outcome is final, settled or not.
            pair.server.dispose(rx, *key, DeliveryState::Modified(Box::default())).unwrap();
            assert!(pair.server.is_unsettled(rx, *key), "{state:?}");
        }
        pair.drive();
        let said = dispositions(&pair.server.written);
        assert_eq!((said.len(), said[0].settled, said[0].state.as_ref()), (1, false, Some(&state)));
        let answer = dispositions(&pair.client.written);
        assert_eq!((answer.len(), answer[0].settled, answer[0].role), (1, true, Role::Sender), "{state:?}");
        let ids = ids(&pair.client.written);
        assert_eq!((answer[0].first, answer[0].last), (ids[0], Some(ids[2])), "{state:?}");
        assert_eq!(pair.client.settled.len(), 3, "{state:?}");
        assert!(keys.iter().all(|key| !pair.server.is_unsettled(rx, *key)), "{state:?}");
    }
}

#[test]
fn t_2_7_6_7_an_unsettled_outcome_in_mode_first_is_settled_by_the_sender() {
    let rejected = DeliveryState::rejected(error(ErrorCondition::INVALID_FIELD));
    for outcome in [
        ACCEPTED,
        DeliveryState::Released,
        DeliveryState::Rejected(None),
        rejected,
        DeliveryState::Modified(Box::default()),
    ] {
        let (mut peer, ..) = server_sent(1);
        peer.send(0, Disposition { settled: false, state: Some(outcome.clone()), ..says(0, 0) });
        assert_eq!(peer.end.settlements(), [(0, Settlement::Outcome(Some(outcome.clone())))]);
        let frames = peer.read();
        let [(_, Performative::Disposition(answer), _)] = &frames[..] else { panic!("{outcome:?}: {frames:?}") };
        assert_eq!((answer.settled, answer.role, answer.first), (true, Role::Sender, SequenceNo(0)));
        // A later disposition of the receiver has no effect.
        peer.send(0, says(0, 0));
        assert_eq!(peer.end.settled.len(), 1);
    }
    // A state that is no outcome leaves the delivery as it is.
    let (mut peer, ..) = server_sent(1);
    let received = DeliveryState::Received(Received { section_number: 0, section_offset: 0 });
    peer.send(0, Disposition { settled: false, state: Some(received), ..says(0, 0) });
    assert!(peer.end.settled.is_empty() && peer.names().is_empty());
    peer.send(0, says(0, 0));
    assert_eq!(peer.end.settlements(), [(0, Settlement::Outcome(Some(ACCEPTED)))]);
}

#[test]
fn a_receiver_that_settles_without_an_outcome_has_settled() {
    let (mut peer, ..) = server_sent(1);
    peer.send(0, Disposition { state: None, ..says(0, 0) });
    assert_eq!(peer.end.settlements(), [(0, Settlement::Outcome(None))]);
}

#[test]
fn progress_is_no_outcome() {
    let (mut peer, ..) = server_sent(1);
    let received = DeliveryState::Received(Received { section_number: 0, section_offset: 5 });
    peer.send(0, Disposition { state: Some(received), settled: false, ..says(0, 0) });
    peer.send(0, Disposition { state: None, settled: false, ..says(0, 0) });
    assert!(peer.end.settled.is_empty() && peer.names().is_empty());
    peer.send(0, says(0, 0));
    assert_eq!(peer.end.settled.len(), 1);
}

fn provisional() -> DeliveryState {
    let state = TransactionalState { outcome: Some(Box::new(ACCEPTED)), ..TransactionalState::default() };
    DeliveryState::Transactional(Box::new(state))
}

#[test]
fn a_provisional_outcome_of_what_was_posted_in_the_transaction_settles_it() {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 1));
    let tx = peer.end.offered_links()[0];
    let posted = TransactionalState::default();
    let state = Some(DeliveryState::Transactional(Box::new(posted)));
    peer.end.send(tx, message(1, 1), SendOptions { state, ..unsettled(7) }).unwrap();
    peer.read();
    peer.send(0, Disposition { state: Some(provisional()), settled: false, ..says(0, 0) });
    assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(provisional())))]);
    assert_eq!(peer.names(), ["disposition"]);
}

/// Also X-4.4.2-3: what was retired in a transaction can be stated anew.
#[test]
fn x_4_4_2_1_a_retirement_in_a_transaction_takes_effect_when_the_resource_says_so() {
    let (mut peer, tx, _) = server_sent(2);
    peer.send(0, Disposition { state: Some(provisional()), settled: false, ..says(0, 1) });
    let events: Vec<_> = peer.end.events.iter().filter(|event| matches!(event, Event::Provisional { .. })).collect();
    assert_eq!(events.len(), 2);
    assert!(peer.end.settled.is_empty() && peer.names().is_empty());
    // Committed.
    peer.end.settle_sent(tx, 0, Some(ACCEPTED)).unwrap();
    let committed = Disposition { role: Role::Sender, last: None, ..says(0, 0) };
    assert_eq!(dispositions(&peer.end.output(peer.now, 1000)), [committed]);
    assert_eq!(peer.end.settlements(), [(0, Settlement::Outcome(Some(ACCEPTED)))]);
    assert_eq!(peer.end.settle_sent(tx, 0, Some(ACCEPTED)), Err(ApiMisuse::WrongState));
    // Rolled back: the delivery is still the receiver's.
    peer.send(0, Disposition { state: Some(DeliveryState::Released), ..says(1, 1) });
    assert_eq!(peer.end.settlements()[1], (1, Settlement::Outcome(Some(DeliveryState::Released))));
}

/// Also T-2.6.12-5.
#[test]
fn m_3_4_4_2_a_sender_may_settle_by_itself_and_the_receiver_learns_it() {
    let (mut pair, tx, rx, keys) = sent(2, sender("l"));
    pair.client.settle_sent(tx, 1, Some(DeliveryState::Released)).unwrap();
    pair.drive();
    let told = pair.server.events.iter().find_map(|event| match event {
        Event::SettledBySender(link, key, state) => Some((*link, *key, state.clone())),
        _ => None,
    });
    assert_eq!(told, Some((rx, keys[1], Some(DeliveryState::Released))));
    // What the receiver says afterwards counts no more.
    pair.server.dispose(rx, keys[1], ACCEPTED).unwrap();
    pair.server.dispose(rx, keys[0], ACCEPTED).unwrap();
    pair.drive();
    let outcomes = pair.client.settlements();
    assert_eq!(
        outcomes,
        [(1, Settlement::Outcome(Some(DeliveryState::Released))), (0, Settlement::Outcome(Some(ACCEPTED)))]
    );
}

#[test]
fn t_2_7_6_1_no_last_is_the_first() {
    let (mut peer, ..) = server_sent(3);
    peer.send(0, Disposition { last: None, ..says(1, 1) });
    assert_eq!(settled_tokens(&peer), [1]);
    // The same of a sender's.
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    for id in 0..3 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    let keys: Vec<_> = peer.end.take_all(rx).iter().map(|delivery| delivery.key).collect();
    peer.send(0, Disposition { role: Role::Sender, last: None, ..says(1, 1) });
    let settled = peer.end.events.iter().filter_map(|event| match event {
        Event::SettledBySender(_, key, _) => Some(*key),
        _ => None,
    });
    assert_eq!(settled.collect::<Vec<_>>(), [keys[1]]);
}

#[test]
fn t_2_7_6_3_a_range_settles_what_is_in_it_across_links() {
    let mut peer = Peer::with_receiver();
    peer.send(0, attach("m", 1, Role::Receiver));
    let links = peer.end.offered_links();
    for (handle, _) in links.iter().enumerate() {
        peer.send(0, credit(handle as u32, 10));
    }
    for token in 0..10 {
        peer.end.send(links[token as usize % 2], message(1, 1), unsettled(token)).unwrap();
        peer.flush();
    }
    peer.send(0, says(3, 6));
    assert_eq!(settled_tokens(&peer), [3, 4, 5, 6]);
    let of_first = peer.end.settled.iter().filter(|settled| settled.link == links[0]).count();
    assert_eq!(of_first, 2);
}

#[test]
fn t_2_7_6_3_a_range_of_the_senders_settles_what_is_in_it_across_links() {
    let mut peer = Peer::with_sender();
    peer.send(0, attach("m", 1, Role::Sender));
    for id in 0..6 {
        peer.send_payload(0, transfer(id % 2, id), HELLO);
    }
    peer.read();
    let links = peer.end.offered_links();
    let keys: Vec<_> = links.iter().flat_map(|link| peer.end.take_all(*link)).map(|delivery| delivery.key).collect();
    // Of the first link 0, 2 and 4; of the second 1, 3 and 5.
    peer.send(0, Disposition { role: Role::Sender, state: Some(DeliveryState::Released), ..says(1, 4) });
    let settled = peer.end.events.iter().filter_map(|event| match event {
        Event::SettledBySender(link, key, Some(DeliveryState::Released)) => Some((*link, *key)),
        _ => None,
    });
    let expected = [(links[1], keys[3]), (links[0], keys[1]), (links[1], keys[4]), (links[0], keys[2])];
    assert_eq!(settled.collect::<Vec<_>>(), expected);
    peer.end.dispose(links[0], keys[0], ACCEPTED).unwrap();
    peer.end.dispose(links[1], keys[5], ACCEPTED).unwrap();
    peer.end.dispose(links[0], keys[1], ACCEPTED).unwrap();
    let octets = peer.read();
    let ranges: Vec<_> = octets
        .iter()
        .filter_map(|(_, body, _)| match body {
            Performative::Disposition(body) => Some((body.first.0, body.last.map(|last| last.0))),
            _ => None,
        })
        .collect();
    assert_eq!(ranges, [(0, None), (5, None)]);
}

#[test]
fn t_2_7_6_4_settled_and_unknown_ids_are_skipped() {
    let (mut peer, ..) = server_sent(10);
    peer.send(0, says(0, 0));
    peer.send(0, says(2, 4));
    peer.send(0, says(0, 20));
    peer.send(0, says(0, 9));
    peer.send(0, says(500, 12_345));
    peer.send(0, says(u32::MAX - 5, u32::MAX));
    // Backwards is no range.
    peer.send(0, says(9, 1));
    assert_eq!(settled_tokens(&peer), (0..10).collect::<Vec<_>>());
    assert!(peer.names().is_empty() && !peer.end.is_closed());
    // The same of what a sender says.
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    for id in 0..5 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    let keys: Vec<_> = peer.end.take_all(rx).iter().map(|delivery| delivery.key).collect();
    for (first, last) in [(0, 0), (2, 2), (0, 20)] {
        peer.send(0, Disposition { role: Role::Sender, ..says(first, last) });
    }
    let settled = peer.end.events.iter().filter_map(|event| match event {
        Event::SettledBySender(_, key, _) => Some(*key),
        _ => None,
    });
    assert_eq!(settled.collect::<Vec<_>>(), [0, 2, 1, 3, 4].map(|at: usize| keys[at]));
}

#[test]
fn t_2_7_6_4_a_disposition_before_any_delivery_is_of_nothing() {
    let mut peer = Peer::with_sender();
    peer.send(0, says(0, 0x7fff_ffff));
    peer.send(0, Disposition { role: Role::Sender, ..says(0, 9) });
    assert!(peer.names().is_empty() && !peer.end.is_closed());
}

#[test]
fn t_2_7_6_5_a_huge_range_costs_what_is_live() {
    let (mut peer, ..) = server_sent(10);
    let mut octets = Vec::new();
    for _ in 0..10_000 {
        octets.extend(frame(0, Disposition { settled: false, state: None, ..says(0, 0x7fff_ffff) }, b""));
        octets.extend(frame(0, Disposition { role: Role::Sender, ..says(0, 0x7fff_ffff) }, b""));
    }
    // 2^31 steps for each of these would take days.
    peer.raw(&octets);
    assert!(peer.end.settled.is_empty());
    peer.send(0, says(0, 0x7fff_ffff));
    assert_eq!(peer.end.settled.len(), 10);
}

#[test]
fn t_2_7_6_2_the_role_says_whose_deliveries_are_meant() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "a");
    let (back, far) = pair.receiver(session, "b", Credit::Manual(10));
    // Delivery 0 in each direction.
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.server.send(far, message(2, 2), unsettled(2)).unwrap();
    pair.drive();
    let key = pair.server.recv(rx).unwrap().key;
    pair.server.dispose(rx, key, ACCEPTED).unwrap();
    pair.drive();
    assert_eq!((pair.client.settled.len(), pair.server.settled.len()), (1, 0));
    let key = pair.client.recv(back).unwrap().key;
    pair.client.dispose(back, key, DeliveryState::Released).unwrap();
    pair.drive();
    assert_eq!((pair.client.settled.len(), pair.server.settled.len()), (1, 1));
    // A sender's own settlement is of what it has sent, and leaves what comes the other way.
    pair.client.send(tx, message(1, 1), unsettled(3)).unwrap();
    pair.server.send(far, message(2, 2), unsettled(4)).unwrap();
    pair.drive();
    let by_sender = |end: &End| end.count(|event| matches!(event, Event::SettledBySender(..)));
    pair.client.settle_sent(tx, 3, Some(DeliveryState::Released)).unwrap();
    pair.drive();
    assert_eq!((pair.client.settled.len(), pair.server.settled.len()), (2, 1));
    assert_eq!((by_sender(&pair.client), by_sender(&pair.server)), (0, 1));
    pair.server.settle_sent(far, 4, Some(DeliveryState::Released)).unwrap();
    pair.drive();
    assert_eq!((pair.client.settled.len(), pair.server.settled.len()), (2, 2));
    assert_eq!((by_sender(&pair.client), by_sender(&pair.server)), (1, 1));
}

#[test]
fn t_2_6_12_5_what_the_sender_settles_first_is_settled() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut peer = Peer::with_session();
        peer.send(0, Attach { rcv_settle_mode: mode, ..attach("l", 0, Role::Sender) });
        for id in 0..3 {
            peer.send_payload(0, transfer(0, id), HELLO);
        }
        peer.read();
        let rx = peer.end.offered_links()[0];
        let keys: Vec<_> = peer.end.take_all(rx).iter().map(|delivery| delivery.key).collect();
        peer.send(0, Disposition { role: Role::Sender, state: Some(DeliveryState::Released), ..says(0, 1) });
        for key in keys {
            peer.end.dispose(rx, key, ACCEPTED).unwrap();
        }
        let frames = peer.read();
        let Performative::Disposition(said) = &frames[0].1 else { panic!("{frames:?}") };
        assert_eq!((frames.len(), said.first, said.last), (1, SequenceNo(2), None), "only the third is left");
    }
}

/// Also §3.4.3: the error is the receiver's, and it is reported here.
#[test]
fn the_echo_of_a_rejected_outcome_carries_no_error() {
    let (mut peer, _, _) = server_sent(3);
    let error = AmqpError::new(ErrorCondition::NOT_ALLOWED, "not that");
    let state = Some(DeliveryState::rejected(error.clone()));
    peer.send(0, Disposition { settled: false, state, ..says(0, 1) });
    let frames = peer.read();
    let Performative::Disposition(said) = &frames[0].1 else { panic!("{frames:?}") };
    assert_eq!((frames.len(), said.first, said.last), (1, SequenceNo(0), Some(SequenceNo(1))));
    assert_eq!((said.role, said.settled, &said.state), (Role::Sender, true, &Some(DeliveryState::Rejected(None))));
    let rejected = || Settlement::Outcome(Some(DeliveryState::rejected(error.clone())));
    assert_eq!(peer.end.settlements(), [(0, rejected()), (1, rejected())]);
}

#[test]
fn t_2_7_6_7_the_senders_unsettled_state_changes_nothing() {
    let mut peer = Peer::with_sender();
    peer.send_payload(0, transfer(0, 0), HELLO);
    peer.send(0, Disposition { role: Role::Sender, settled: false, ..says(0, 0) });
    let rx = peer.end.offered_links()[0];
    let key = peer.end.recv(rx).unwrap().key;
    peer.end.dispose(rx, key, ACCEPTED).unwrap();
    assert_eq!(peer.names(), ["disposition"]);
}

/// The same of a delivery whose outcome this end has stated, and which the sender is to settle.
#[test]
fn t_2_7_6_7_an_unsettled_state_does_not_settle_what_waits_for_the_sender() {
    let states = [None, Some(ACCEPTED), Some(DeliveryState::Released), Some(DeliveryState::Rejected(None))];
    for state in states {
        let mut peer = Peer::with_session();
        let rcv_settle_mode = ReceiverSettleMode::Second;
        peer.send(0, Attach { rcv_settle_mode, ..attach("l", 0, Role::Sender) });
        peer.send_payload(0, transfer(0, 0), HELLO);
        let rx = peer.end.offered_links()[0];
        let key = peer.end.recv(rx).unwrap().key;
        peer.end.dispose(rx, key, ACCEPTED).unwrap();
        peer.read();
        let by_sender = |peer: &Peer| peer.end.count(|event| matches!(event, Event::SettledBySender(..)));
        peer.send(0, Disposition { role: Role::Sender, settled: false, state: state.clone(), ..says(0, 0) });
        assert_eq!((by_sender(&peer), peer.names()), (0, vec![]), "{state:?}");
        peer.send(0, Disposition { role: Role::Sender, ..says(0, 0) });
        assert_eq!((by_sender(&peer), peer.names()), (1, vec![]), "{state:?}");
    }
}

#[test]
fn a_key_is_of_its_link() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "a");
    let (_, other) = pair.sender(session, "b");
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
    let key = pair.server.recv(rx).unwrap().key;
    pair.server.dispose(other, key, DeliveryState::Released).unwrap();
    pair.drive();
    assert!(pair.client.settled.is_empty());
    pair.server.dispose(rx, key, ACCEPTED).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(1, Settlement::Outcome(Some(ACCEPTED)))]);
}

#[test]
fn the_end_of_a_link_settles_nothing_of_the_other_direction() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "a");
    let (back, far) = pair.receiver(session, "b", Credit::Manual(10));
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.server.send(far, message(2, 2), unsettled(2)).unwrap();
    pair.drive();
    // Both are delivery 0 of their direction.
    pair.client.detach(back, true, None).unwrap();
    pair.drive();
    assert_eq!(pair.server.settlements(), [(2, Settlement::Lost { sent: true })]);
    let key = pair.server.recv(rx).unwrap().key;
    pair.server.dispose(rx, key, ACCEPTED).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(1, Settlement::Outcome(Some(ACCEPTED)))]);
}

#[test]
fn a_delivery_may_be_settled_before_it_was_taken() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "a");
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
    pair.server.detach(rx, true, None).unwrap();
    pair.drive();
    assert_eq!(pair.client.settlements(), [(1, Settlement::Lost { sent: true })]);
    assert!(pair.server.detached(rx).unwrap().undelivered.is_empty(), "the sender has it still");
}

#[test]
fn dispositions_leave_before_the_detach_of_their_link() {
    let (mut pair, tx, rx, keys) = sent(3, sender("l"));
    for key in keys {
        pair.server.dispose(rx, key, ACCEPTED).unwrap();
    }
    pair.server.detach(rx, true, None).unwrap();
    pair.drive();
    assert!(pair.client.settlements().iter().all(|(_, s)| *s == Settlement::Outcome(Some(ACCEPTED))));
    assert!(pair.client.detached(tx).is_some());
    assert_eq!(pair.server.dispose(rx, dead(), ACCEPTED), Err(ApiMisuse::UnknownLink));
}

/// The key of a delivery of another connection.
fn dead() -> DeliveryKey {
    sent(1, sender("l")).3[0]
}

#[test]
fn dispositions_leave_before_the_end_of_their_session() {
    let (mut pair, _, rx, keys) = sent(3, sender("l"));
    for key in keys {
        pair.server.dispose(rx, key, ACCEPTED).unwrap();
    }
    let session = pair.server.session_of(rx).unwrap();
    pair.server.end(session, Some(error(ErrorCondition::INTERNAL_ERROR))).unwrap();
    pair.drive();
    assert!(pair.client.settlements().iter().all(|(_, s)| *s == Settlement::Outcome(Some(ACCEPTED))));
    assert_eq!(pair.client.settled.len(), 3);
}

#[test]
fn dispositions_leave_before_the_close() {
    let (mut pair, _, rx, keys) = sent(3, sender("l"));
    for key in keys {
        pair.server.dispose(rx, key, ACCEPTED).unwrap();
    }
    pair.server.engine.close(pair.now, None);
    pair.drive();
    assert!(pair.client.settlements().iter().all(|(_, s)| *s == Settlement::Outcome(Some(ACCEPTED))));
    assert_eq!(pair.client.settled.len(), 3);
}

#[test]
fn an_outcome_that_crosses_our_close_still_counts() {
    let (mut peer, ..) = server_sent(2);
    peer.end.engine.close(peer.now, None);
    assert_eq!(peer.names(), ["close"]);
    peer.send(0, Disposition { settled: false, ..says(0, 0) });
    peer.send(0, amqp1_codec::performative::Close::default());
    let lost = Settlement::Lost { sent: true };
    assert_eq!(peer.end.settlements(), [(0, Settlement::Outcome(Some(ACCEPTED))), (1, lost)]);
    assert!(peer.names().is_empty());
}

#[test]
fn an_outcome_may_come_before_the_delivery_is_whole() {
    let mut peer = Peer::with_receiver();
    peer.send(0, amqp1_codec::performative::Flow { incoming_window: 1, ..credit(0, 10) });
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 100_000), unsettled(9)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    peer.send(0, Disposition { state: Some(DeliveryState::Rejected(None)), ..says(0, 0) });
    assert_eq!(peer.end.settlements(), [(9, Settlement::Outcome(Some(DeliveryState::Rejected(None))))]);
    // The rest is sent all the same, and the link lives on.
    peer.send(0, amqp1_codec::performative::Flow { next_incoming_id: Some(SequenceNo(1)), ..session_flow(9) });
    assert_eq!(peer.names(), ["transfer"]);
    peer.end.send(tx, message(1, 1), unsettled(10)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    peer.send(0, says(1, 1));
    assert_eq!(settled_tokens(&peer), [9, 10]);
}

#[test]
fn m_3_4_1_a_final_state_is_stated_once() {
    let mut peer = Peer::with_session();
    peer.send(0, Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..attach("l", 0, Role::Sender) });
    peer.send_payload(0, transfer(0, 0), HELLO);
    let rx = peer.end.offered_links()[0];
    let key = peer.end.take_all(rx)[0].key;
    peer.read();
    for state in [ACCEPTED, DeliveryState::Released] {
        peer.end.dispose(rx, key, state).unwrap();
    }
    let stated: Vec<_> = peer.read().into_iter().map(|(_, body, _)| body).collect();
    let [Performative::Disposition(stated)] = &stated[..] else { panic!("{stated:?}") };
    assert_eq!((stated.settled, &stated.state), (false, &Some(ACCEPTED)));
}

/// A delivery of several transfers may be whole after others, on other links, that have higher ids: they are still settled by
/// their ids, and none of these can be used again.
#[test]
fn t_2_7_5_3_ids_above_a_delivery_that_is_whole_later_are_settled_and_not_used_again() {
    let mut peer = Peer::with_sender();
    peer.send(0, attach("m", 1, Role::Sender));
    peer.read();
    let m = peer.end.offered_links()[1];
    peer.send_payload(0, Transfer { more: true, ..transfer(0, 0) }, &HELLO[..3]);
    (1..=3).for_each(|id| peer.send_payload(0, transfer(1, id), HELLO));
    peer.send_payload(0, Transfer { handle: 0, ..Transfer::default() }, &HELLO[3..]);
    let settles = Disposition {
        role: Role::Sender,
        first: SequenceNo(1),
        last: Some(SequenceNo(3)),
        settled: true,
        state: Some(ACCEPTED),
        batchable: false,
    };
    peer.send(0, settles);
    let taken = peer.end.take_all(m);
    assert_eq!(taken.len(), 3);
    for delivery in taken {
        assert!(!peer.end.is_unsettled(m, delivery.key), "{delivery:?}");
    }
    peer.send_payload(0, Transfer { delivery_tag: Some(77_u32.into()), ..transfer(1, 3) }, HELLO);
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::NOT_ALLOWED)));
}
