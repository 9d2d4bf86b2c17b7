//! What a controller makes of answers that a coordinator must not give, and what a coordinator takes from a controller
//! that never ends.

use amqp1_codec::{Described, Value, definitions::ErrorCondition, messaging::DeliveryState, transaction::Declared};
use amqp1_engine::{
    Settlement,
    transaction::{Answer, Controller, TxnId},
};
use bytes::Bytes;

fn declared(controller: &mut Controller) -> TxnId {
    controller.declare(1, None).unwrap();
    let state = DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::from_static(b"a") }));
    match controller.handle_settled(1, &Settlement::Outcome(Some(state))) {
        Some(Answer::Declared(txn)) => txn,
        other => panic!("{other:?}"),
    }
}

/// What a discharge comes to that is answered so.
fn answer_to(fail: bool, settlement: &Settlement) -> Answer {
    let mut controller = Controller::new(None);
    let txn = declared(&mut controller);
    controller.discharge(2, &txn, fail, |_| 0).unwrap();
    controller.handle_settled(2, settlement).unwrap()
}

/// It may be that a coordinator says "done" this way: to call it a rollback invites to do the work once more.
#[test]
fn x_4_3_1_a_commit_that_is_settled_without_an_answer_that_is_one_is_in_doubt() {
    let extension = Described { descriptor: Value::from(0x1234_u64), value: Value::Null };
    let strange = [
        None,
        Some(DeliveryState::Extension(Box::new(extension))),
        Some(DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::from_static(b"b") }))),
        Some(TxnId::new(b"a").unwrap().state(Some(DeliveryState::Accepted))),
    ];
    for state in strange {
        let answer = answer_to(false, &Settlement::Outcome(state.clone()));
        assert!(matches!(answer, Answer::InDoubt { .. }), "{state:?}: {answer:?}");
        // A rollback is one in any case.
        let answer = answer_to(true, &Settlement::Outcome(state));
        assert!(matches!(answer, Answer::RolledBack { error: None, .. }), "{answer:?}");
    }
}

#[test]
fn x_4_3_3_a_commit_that_was_not_done_is_no_doubt() {
    let refused = DeliveryState::rejected(ErrorCondition::TRANSACTION_ROLLBACK);
    let given_back = [DeliveryState::Released, DeliveryState::Modified(Box::default())];
    for state in given_back.into_iter().chain([refused, DeliveryState::Rejected(None)]) {
        let answer = answer_to(false, &Settlement::Outcome(Some(state)));
        assert!(matches!(answer, Answer::RolledBack { .. }), "{answer:?}");
    }
    for settlement in [Settlement::Lost { sent: false }, Settlement::Aborted] {
        assert!(matches!(answer_to(false, &settlement), Answer::RolledBack { error: None, .. }));
    }
    assert!(matches!(answer_to(false, &Settlement::Lost { sent: true }), Answer::InDoubt { .. }));
}
