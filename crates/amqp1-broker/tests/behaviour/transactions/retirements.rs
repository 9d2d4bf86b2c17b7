//! Deliveries that are acquired and retired within a transaction (§4.4.2 to §4.4.4).

use super::bank::{Bank, default, unknown};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::DeliveryState::{Accepted, Released},
    performative::Performative,
};
use amqp1_engine::{
    Credit, Event, SendOptions,
    transaction::{Answer, ControllerError, TxnId},
};
use amqp1_testkit::*;

/// Also X-4.4.4-2: what is unsettled afterwards is what was applied.
#[test]
fn x_4_4_2_1_a_retirement_takes_effect_at_the_commit() {
    for outcome in [Accepted, Released] {
        let mut bank = Bank::new();
        let txn = bank.declare();
        let delivery = bank.acquire("m");
        let (rx, tx) = bank.takes;
        let state = bank.controller.retire(&txn, rx, delivery.key, outcome.clone()).unwrap();
        bank.pair.client.dispose(rx, delivery.key, state).unwrap();
        bank.run();
        assert_eq!(bank.acquired.len(), 1, "it is acquired still");
        bank.commit(&txn);
        assert!(bank.acquired.is_empty());
        assert_eq!(bank.visible(), if outcome == Accepted { vec![] } else { vec!["m"] });
        let told = bank.pair.client.events.iter().any(|event| {
            matches!(event, Event::SettledBySender(link, key, Some(state))
                if *link == rx && *key == delivery.key && *state == outcome)
        });
        assert!(told, "the receiver learns that it is settled");
        assert_eq!(bank.pair.server.settle_sent(tx, 0, None), Err(amqp1_engine::ApiMisuse::WrongState));
    }
}

/// Also X-4.4.2-3: after a rollback the delivery is the receiver's as before, and can be retired again.
#[test]
fn x_4_4_2_3_after_a_rollback_a_delivery_can_be_settled_again() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let delivery = bank.acquire("m");
    let rx = bank.takes.0;
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.roll_back(&txn);
    assert_eq!(bank.acquired.len(), 1);
    // In another transaction, or in none.
    let txn = bank.declare();
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.commit(&txn);
    assert!(bank.acquired.is_empty() && bank.visible.is_empty());
}

/// At the controller, and at the resource where a controller does it all the same.
#[test]
fn x_4_4_2_2_a_delivery_is_not_retired_in_two_transactions() {
    let mut bank = Bank::new();
    let (one, two) = (bank.declare(), bank.declare());
    let delivery = bank.acquire("m");
    let rx = bank.takes.0;
    let state = bank.controller.retire(&one, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    let refused = bank.controller.retire(&two, rx, delivery.key, Accepted);
    assert_eq!(refused, Err(ControllerError::OtherTransaction));
    bank.pair.client.dispose(rx, delivery.key, two.state(Some(Accepted))).unwrap();
    bank.run();
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_ROLLBACK));
    assert_eq!(bank.rolled_back.len(), 2);
    // Nor one that was acquired in another.
    let mut bank = Bank::new();
    let (one, two) = (bank.declare(), bank.declare());
    let (delivery, rx) = (bank.acquire("m"), bank.takes.0);
    bank.controller.acquired(&one, rx, delivery.key).unwrap();
    assert_eq!(bank.controller.acquired(&two, rx, delivery.key), Err(ControllerError::OtherTransaction));
    let refused = bank.controller.retire(&two, rx, delivery.key, Accepted);
    assert_eq!(refused, Err(ControllerError::OtherTransaction));
    assert!(bank.controller.retire(&one, rx, delivery.key, Accepted).is_ok());
}

#[test]
fn x_4_4_2_4_a_retirement_in_an_unknown_transaction_costs_the_control_link() {
    let mut bank = Bank::new();
    // Another that is live has no part in it.
    bank.declare();
    let delivery = bank.acquire("m");
    let refused = bank.coordinator.own(&unknown(), bank.takes.1, 0).unwrap_err();
    assert_eq!(refused.condition, ErrorCondition::TRANSACTION_UNKNOWN_ID);
    bank.pair.client.dispose(bank.takes.0, delivery.key, unknown().state(Some(Accepted))).unwrap();
    bank.run();
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_UNKNOWN_ID));
    assert_eq!(bank.acquired.len(), 1, "it stays acquired");
}

/// Also X-4.4.3-2: the flow's properties end with the transaction, and the credit stays.
#[test]
fn x_4_4_3_1_deliveries_that_a_flow_acquires_are_part_of_the_transaction() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let rx = bank.takes.0;
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    let delivery = bank.acquire("m");
    assert_eq!(delivery.state.as_ref().and_then(TxnId::of), Some(txn.clone()));
    bank.controller.acquired(&txn, rx, delivery.key).unwrap();
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.commit(&txn);
    assert!(bank.acquired.is_empty() && bank.visible.is_empty());
    bank.pair.client.set_flow_properties(rx, Default::default()).unwrap();
    let delivery = bank.acquire("n");
    assert_eq!(delivery.state, None);
    // A resource that does not know acquisitions detaches the link.
    let mut bank = Bank::new();
    let txn = bank.declare();
    let (rx, tx) = bank.takes;
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    bank.pair.drive();
    assert!(bank.pair.server.count(|event| matches!(event, Event::FlowProperties(id) if *id == tx)) == 1);
    bank.pair.server.detach(tx, true, Some(error(ErrorCondition::NOT_IMPLEMENTED))).unwrap();
    bank.pair.drive();
    let detached = bank.pair.client.detached(rx).unwrap();
    assert_eq!(detached.error.unwrap().condition, ErrorCondition::NOT_IMPLEMENTED);
}

#[test]
fn x_4_4_3_3_credit_is_drained_before_the_discharge() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let (rx, tx) = bank.takes;
    bank.pair.client.set_credit(rx, Credit::Manual(5)).unwrap();
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    bank.pair.drive();
    let left = |bank: &mut Bank| bank.pair.server.credit(tx);
    let credit = left(&mut bank);
    assert_eq!(bank.controller.discharge(70, &txn, false, |_| credit).map(drop), Err(ControllerError::CreditLeft(rx)));
    bank.pair.client.drain(rx).unwrap();
    bank.pair.drive();
    assert!(bank.pair.client.drained(rx));
    let credit = left(&mut bank);
    assert!(bank.controller.discharge(71, &txn, false, |_| credit).is_ok());
}

/// The resource gives up what it has half sent before it answers the discharge.
#[test]
fn x_4_4_3_4_an_acquisition_that_is_half_sent_is_aborted_before_the_rollback_is_answered() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let (rx, tx) = bank.takes;
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    bank.pair.client.set_credit(rx, Credit::Manual(1)).unwrap();
    bank.pair.drive();
    let options = SendOptions { state: Some(txn.state(None)), ..unsettled(70) };
    bank.pair.server.begin_delivery(tx, options).unwrap();
    bank.pair.server.write(tx, body(0, 100)).unwrap();
    bank.pair.drive();
    // Both may leave at once, when the discharge comes: the abort is the first.
    bank.half = Some(70);
    let before = bank.pair.server.written.len();
    bank.roll_back(&txn);
    let order: Vec<_> = frames(&bank.pair.server.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| match body {
            Some(Performative::Transfer(transfer)) => Some(if transfer.aborted { "aborted" } else { "transfer" }),
            Some(Performative::Disposition(_)) => Some("discharged"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["aborted", "discharged"]);
    assert!(bank.pair.client.recv(rx).is_none());
}

#[test]
fn x_4_4_4_1_the_default_outcome_is_for_what_a_rollback_leaves() {
    for (fail, spoilt, retired) in [
        (true, false, true),
        (true, false, false),
        (false, true, true),
        (false, true, false),
        (false, false, true),
        (false, false, false),
    ] {
        let context = (fail, spoilt, retired);
        let mut bank = Bank::new();
        let txn = bank.declare();
        let rx = bank.takes.0;
        let properties = bank.controller.acquire(&txn, rx).unwrap();
        bank.pair.client.set_flow_properties(rx, properties).unwrap();
        let delivery = bank.acquire("m");
        if retired {
            let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
            bank.pair.client.dispose(rx, delivery.key, state).unwrap();
            bank.run();
        }
        match (fail, spoilt) {
            (true, _) => bank.roll_back(&txn),
            (false, true) => {
                bank.fails = Some(error(ErrorCondition::INTERNAL_ERROR));
                let answer = bank.discharge(&txn, false);
                assert!(matches!(answer, Some(Answer::RolledBack { .. })), "{answer:?}");
            }
            (false, false) => bank.commit(&txn),
        }
        let applied = bank.pair.client.events.iter().filter_map(|event| match event {
            Event::SettledBySender(_, key, state) if *key == delivery.key => Some(state.clone()),
            _ => None,
        });
        // X-4.4.4-2: and nothing else is said of it.
        let applied: Vec<_> = applied.collect();
        match (fail || spoilt, retired) {
            (true, _) => assert_eq!(applied, [Some(default())], "{context:?}"),
            (false, true) => assert_eq!(applied, [Some(Accepted)], "{context:?}"),
            (false, false) => assert_eq!(applied, [], "{context:?}: it is acquired, and unsettled still"),
        }
        assert_eq!(bank.visible(), if fail || spoilt { vec!["m"] } else { vec![] }, "{context:?}");
    }
}

#[test]
fn x_4_4_4_2_after_a_discharge_nothing_is_left_in_doubt() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let delivery = bank.acquire("m");
    let rx = bank.takes.0;
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.commit(&txn);
    // The delivery is settled at both ends: neither has anything to say of it.
    let (up, down) = (bank.pair.client.written.len(), bank.pair.server.written.len());
    bank.pair.client.dispose(rx, delivery.key, Released).unwrap();
    bank.run();
    assert_eq!((bank.pair.client.written.len(), bank.pair.server.written.len()), (up, down));
}
