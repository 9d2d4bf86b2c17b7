//! Messages that are posted within a transaction (§4.4.1).

use super::bank::{Bank, unknown};
use amqp1_codec::{
    Message, definitions::ErrorCondition, messaging::DeliveryState::Accepted, performative::Performative,
};
use amqp1_engine::{SendOptions, Settlement, transaction::Answer};
use amqp1_testkit::*;

/// Also X-4.4.1-4: the outcome is provisional, and comes before the discharge.
#[test]
fn x_4_4_1_1_a_posting_names_its_transaction_and_gets_a_provisional_outcome() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let before = bank.pair.client.written.len();
    let token = bank.post(&txn, "a");
    let states: Vec<_> = frames(&bank.pair.client.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Transfer(t)) = body { Some(t.state) } else { None })
        .collect();
    assert_eq!(states, [Some(txn.state(None))]);
    assert_eq!(bank.outcomes.get(&token), Some(&Settlement::Outcome(Some(txn.state(Some(Accepted))))));
    // One that is sent settled names it too.
    let before = bank.pair.client.written.len();
    let options = SendOptions { state: Some(bank.controller.post(&txn).unwrap()), ..settled(1000) };
    bank.pair.client.send(bank.posts.0, message(1, 1), options).unwrap();
    bank.run();
    let posted: Vec<_> = frames(&bank.pair.client.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| match body {
            Some(Performative::Transfer(transfer)) => Some((transfer.settled, transfer.state)),
            _ => None,
        })
        .collect();
    assert_eq!(posted, [(Some(true), Some(txn.state(None)))]);
    bank.commit(&txn);
}

#[test]
fn x_4_4_1_2_a_posting_is_seen_after_the_commit_and_never_after_a_rollback() {
    let mut bank = Bank::new();
    let (one, two) = (bank.declare(), bank.declare());
    bank.post(&one, "one");
    bank.post(&two, "two");
    bank.roll_back(&one);
    assert!(bank.visible.is_empty());
    bank.commit(&two);
    assert_eq!(bank.visible(), ["two"]);
}

/// All frames carry the state, and a commit with a half of a delivery costs the control link.
#[test]
fn x_4_4_1_3_a_delivery_that_is_not_whole_is_no_work() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let state = Some(bank.controller.post(&txn).unwrap());
    let before = bank.pair.client.written.len();
    let (near, far) = bank.posts;
    bank.pair.client.begin_delivery(near, SendOptions { state: state.clone(), ..unsettled(70) }).unwrap();
    for _ in 0..3 {
        bank.pair.client.write(near, body(0, 100)).unwrap();
        bank.pair.drive();
    }
    let states: Vec<_> = frames(&bank.pair.client.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Transfer(t)) = body { Some(t.state) } else { None })
        .collect();
    assert_eq!(states, [state.clone(), state.clone(), state]);
    // The resource has seen the first of it.
    let session = bank.pair.server.session_of(far).unwrap();
    bank.coordinator.posting(&txn, session, far, 0).unwrap();
    assert!(matches!(bank.discharge(&txn, false), Some(Answer::InDoubt { .. })));
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_ROLLBACK));
    assert!(bank.coordinator.is_empty());
    // Whole, it is work like any other.
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.coordinator.posting(&txn, session, far, 0).unwrap();
    bank.coordinator.posted(&txn, far, 0);
    bank.commit(&txn);
}

#[test]
fn x_4_4_1_4_the_outcome_of_a_posting_comes_before_that_of_its_discharge() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let before = bank.pair.server.written.len();
    let token = bank.token();
    let state = Some(bank.controller.post(&txn).unwrap());
    bank.pair
        .client
        .send(bank.posts.0, Message::builder().data("a").build(), SendOptions { state, ..unsettled(token) })
        .unwrap();
    bank.commit(&txn);
    let states: Vec<_> = frames(&bank.pair.server.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Disposition(d)) = body { d.state } else { None })
        .collect();
    assert_eq!(states, [txn.state(Some(Accepted)), Accepted]);
}

#[test]
fn x_4_4_1_5_what_cannot_be_posted_spoils_the_commit() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.post(&txn, "a");
    bank.post(&txn, "nowhere");
    let Some(Answer::RolledBack { error: Some(error), .. }) = bank.discharge(&txn, false) else { panic!("spoilt") };
    assert_eq!(error.condition, ErrorCondition::TRANSACTION_ROLLBACK);
    assert!(bank.visible.is_empty());
}

#[test]
fn x_4_4_1_6_a_posting_in_an_unknown_transaction_costs_the_control_link() {
    let mut bank = Bank::new();
    // Another that is live has no part in it.
    let live = bank.declare();
    let state = Some(unknown().state(None));
    let message = Message::builder().data("a").build();
    bank.pair.client.send(bank.posts.0, message, SendOptions { state, ..unsettled(70) }).unwrap();
    bank.run();
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_UNKNOWN_ID));
    assert!(bank.visible.is_empty() && bank.rolled_back == [live]);
}
