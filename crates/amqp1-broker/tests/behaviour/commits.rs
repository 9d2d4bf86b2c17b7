//! What a coordinator takes from a controller that never ends.

use amqp1_broker::transaction::{Coordinator, CoordinatorConfig, Refusal, Request};
use amqp1_codec::{
    Decode, Encode, Message, Reader, Value,
    definitions::ErrorCondition,
    transaction::{Declare, Discharge},
};
use amqp1_engine::{Instant, SessionId, transaction::TxnId};
use amqp1_testkit::*;
use bytes::Bytes;

/// A message of a control link.
fn ask(coordinator: &mut Coordinator<u32>, body: &impl Encode) -> Result<Request<u32>, Refusal> {
    let value = Value::decode(&mut Reader::new(&body.to_octets())).unwrap();
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (near, far) = pair.sender(session, "control");
    pair.client.send(near, Message::builder().value(value).build(), unsettled(0)).unwrap();
    pair.drive();
    let delivery = pair.server.recv(far).unwrap();
    coordinator.handle(far, None, &delivery, Instant::default())
}

fn declared_at(coordinator: &mut Coordinator<u32>) -> TxnId {
    match ask(coordinator, &Declare::default()) {
        Ok(Request::Declared(txn, _)) => txn,
        other => panic!("{other:?}"),
    }
}

fn session() -> SessionId {
    Pair::open().session().0
}

fn id(txn: &TxnId) -> Bytes {
    Bytes::copy_from_slice(txn.as_slice())
}

/// A controller that posts and never discharges costs no more than this, whatever the time-out is.
#[test]
fn a_coordinator_has_a_bound_on_the_work_of_a_transaction() {
    let config = CoordinatorConfig { max_work: 3, timeout: None, ..CoordinatorConfig::default() };
    let mut coordinator = Coordinator::new(config);
    let session = session();
    let txn = declared_at(&mut coordinator);
    for number in 0..3 {
        coordinator.record(&txn, session, number).unwrap();
    }
    let error = coordinator.record(&txn, session, 3).unwrap_err();
    assert_eq!(error.condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    // A message that was not taken must not be missing from the commit.
    let Ok(Request::Discharge(discharging)) = ask(&mut coordinator, &Discharge { txn_id: id(&txn), fail: None }) else {
        panic!("a discharge")
    };
    assert_eq!((discharging.work.as_slice(), discharging.commits()), (&[0, 1, 2][..], false));
    assert_eq!(discharging.spoilt, Some(error));
    // It is of one transaction, not of all.
    let other = declared_at(&mut coordinator);
    coordinator.record(&other, session, 0).unwrap();
}
