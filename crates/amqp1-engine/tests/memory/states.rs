//! Dispositions over many deliveries: their state is kept once.

use crate::bed::{Bed, attach, frame, rejected};
use allocation_counter::measure;
use amqp1_codec::{
    SequenceNo,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::DeliveryState,
    performative::Disposition,
    transaction::TransactionalState,
};
use amqp1_engine::{ConnectionConfig, Event, SenderConfig, Settlement, TransactionRole};
use bytes::Bytes;

/// What a delivery may take, whatever is said of it: its place among those to be polled, and among the provisional ones.
const EACH: u64 = 600;
/// What one state may take, and what is allocated while a frame is read: 64 times its octets.
const READ: u64 = 64;

fn transactional(octets: usize) -> DeliveryState {
    DeliveryState::Transactional(Box::new(TransactionalState {
        txn_id: Bytes::from_static(b"t"),
        outcome: Some(Box::new(rejected(octets))),
    }))
}

fn disposition(count: u32, settled: bool, state: DeliveryState) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: SequenceNo(0),
        last: Some(SequenceNo(count - 1)),
        settled,
        state: Some(state),
        batchable: false,
    }
}

fn error_of(state: &DeliveryState) -> &AmqpError {
    match state {
        DeliveryState::Rejected(Some(error)) => error,
        DeliveryState::Transactional(state) => error_of(state.outcome.as_ref().expect("an outcome")),
        other => panic!("{other:?}"),
    }
}

/// The outcome is there, and the error says that its info is not.
fn check(state: &DeliveryState) {
    let error = error_of(state);
    assert_eq!((&error.condition, &error.info), (&ErrorCondition::NOT_FOUND, &None));
    let description = error.description.as_ref().expect("a description");
    assert!(description.starts_with("no such queue") && description.contains("left out"), "{description}");
}

/// A server has sent so many deliveries, and the receiver says the same of all of them, settled or not.
fn attacked(live: u32, octets: usize, settled: bool) {
    let mut bed = Bed::server(ConnectionConfig { max_frame_size: 100_000, ..ConnectionConfig::new("server") });
    bed.engine.set_transaction_role(TransactionRole::Resource);
    bed.send(&attach("l", 0, Role::Receiver));
    bed.deliver(live);
    let said = frame(&disposition(live, settled, transactional(octets)));
    let length = said.len();
    assert!(length >= octets, "{length} octets are sent");
    let info = bed.measured(said);
    let allowed = u64::from(live) * EACH + length as u64 * READ + 64 * 1024;
    assert!(info.bytes_max <= allowed, "{live} deliveries and {length} octets: {} of {allowed}", info.bytes_max);
    // What is polled is the application's: it takes little too.
    let mut polled = 0;
    let engine = &mut bed.engine;
    let mut seen = Vec::with_capacity(live as usize);
    let info = measure(|| {
        while let Some(event) = engine.poll_event() {
            let Event::Provisional { token, state, .. } = event else { panic!("{event:?}") };
            seen.push((token, state));
        }
        while let Some(settled) = engine.poll_settled() {
            let Settlement::Outcome(Some(state)) = settled.settlement else { panic!("{:?}", settled.settlement) };
            seen.push((settled.token, state));
        }
    });
    assert!(info.bytes_max <= u64::from(live) * EACH + 64 * 1024, "{} are handed over", info.bytes_max);
    for (token, state) in &seen {
        assert_eq!(*token, polled);
        check(state);
        polled += 1;
    }
    assert_eq!(polled, u64::from(live), "each delivery has its outcome");
    assert!(settled == (bed.engine.metadata() < 200), "{}", bed.engine.metadata());
}

#[test]
fn one_state_over_many_deliveries_is_kept_once() {
    for settled in [false, true] {
        attacked(20_000, 1900, settled);
        attacked(1_000, 60_000, settled);
    }
}

#[test]
fn a_server_cannot_fill_a_client_with_one_disposition() {
    let mut bed = Bed::client(ConnectionConfig::new("client"));
    let session = bed.session.expect("a session");
    let config = SenderConfig::new("l", amqp1_codec::messaging::Target::at("q"));
    let id = bed.engine.session(session).expect("a live session").attach_sender(config).expect("a session");
    bed.written();
    bed.send(&attach("l", 0, Role::Receiver));
    bed.fill(id, 2_000);
    let said = frame(&disposition(2_000, true, rejected(9_000)));
    let length = said.len() as u64;
    assert!(length >= 9_000);
    let info = bed.measured(said);
    assert!(info.bytes_max <= 2_000 * EACH + length * READ + 64 * 1024, "{}", info.bytes_max);
    let mut outcomes = 0;
    while let Some(settled) = bed.engine.poll_settled() {
        let Settlement::Outcome(Some(state)) = settled.settlement else { panic!("{:?}", settled.settlement) };
        check(&state);
        outcomes += 1;
    }
    assert_eq!(outcomes, 2_000);
}
