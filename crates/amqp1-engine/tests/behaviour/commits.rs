//! What a controller makes of answers that a coordinator must not give.

use amqp1_codec::{Described, Value, definitions::ErrorCondition, messaging::DeliveryState, transaction::Declared};
use amqp1_engine::{
    Settlement,
    transaction::{Answer, Controller, ControllerError, TxnId},
};
use bytes::Bytes;

fn id(txn: &TxnId) -> Bytes {
    Bytes::copy_from_slice(txn.as_slice())
}

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
        Some(DeliveryState::Extension(std::sync::Arc::new(extension))),
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

/// The answer to the second would say that there is no such transaction, which reads as a rollback of what the first has
/// committed.
#[test]
fn x_4_3_5_a_transaction_is_discharged_once() {
    for (first, second) in [(false, true), (true, false), (false, false)] {
        let mut controller = Controller::new(None);
        let txn = declared(&mut controller);
        controller.discharge(2, &txn, first, |_| 0).unwrap();
        let again = controller.discharge(3, &txn, second, |_| 0);
        assert_eq!(again.map(drop), Err(ControllerError::UnknownTransaction));
        assert_eq!(controller.handle_settled(3, &Settlement::Outcome(Some(DeliveryState::Accepted))), None);
        let answer = controller.handle_settled(2, &Settlement::Outcome(Some(DeliveryState::Accepted)));
        assert_eq!(answer, Some(Answer::Discharged { txn, committed: !first }));
    }
}

/// A coordinator that names two alike cannot be told which of them is meant.
#[test]
fn x_4_2_4_a_name_that_is_taken_names_no_other_transaction() {
    let mut controller = Controller::new(None);
    let txn = declared(&mut controller);
    controller.declare(2, None).unwrap();
    let state = DeliveryState::Declared(Box::new(Declared { txn_id: id(&txn) }));
    let answer = controller.handle_settled(2, &Settlement::Outcome(Some(state)));
    assert_eq!(answer, Some(Answer::NotDeclared(None)));
    controller.post(&txn).unwrap();
}

/// A coordinator may give a name again once it was discharged, and who waits for answers may see them in any order.
#[test]
fn x_4_2_4_a_name_may_be_given_again_when_its_transaction_is_discharged() {
    let accepted = Settlement::Outcome(Some(DeliveryState::Accepted));
    let mut controller = Controller::new(None);
    let txn = declared(&mut controller);
    controller.discharge(2, &txn, false, |_| 0).unwrap();
    controller.declare(3, None).unwrap();
    let state = DeliveryState::Declared(Box::new(Declared { txn_id: id(&txn) }));
    let answer = controller.handle_settled(3, &Settlement::Outcome(Some(state)));
    assert_eq!(answer, Some(Answer::Declared(txn.clone())));
    let answer = controller.handle_settled(2, &accepted);
    assert_eq!(answer, Some(Answer::Discharged { txn: txn.clone(), committed: true }));
    controller.post(&txn).unwrap();
    controller.discharge(4, &txn, true, |_| 0).unwrap();
    assert_eq!(
        controller.handle_settled(4, &accepted),
        Some(Answer::Discharged { txn: txn.clone(), committed: false })
    );
    assert_eq!(controller.post(&txn), Err(ControllerError::UnknownTransaction));
}
