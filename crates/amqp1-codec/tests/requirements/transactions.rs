//! Part 4, §4.5: what a controller and a coordinator exchange.

use crate::support::{both_ways, messages, read, refused, refused_as, symbols};
use amqp1_codec::{
    DecodeErrorKind as Kind, Limits, Symbol, Value,
    definitions::ErrorCondition,
    message::Body,
    messaging::DeliveryState,
    performative::{Attach, TargetArchetype},
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState, capability},
};
use bytes::Bytes;

fn id(octets: &'static [u8]) -> Bytes {
    Bytes::from_static(octets)
}

/// X-4.5.1-1: a coordinator is a link's target, and its capabilities are symbols.
#[test]
fn a_coordinator_is_a_target() {
    both_ways(Coordinator::default(), "00 53 30 45", "00 53 30 c0 02 01 40", &["00 53 30 c0 05 01 e0 02 00 a3"]);
    let one = Coordinator { capabilities: Symbol::from_static(capability::LOCAL_TRANSACTIONS).into() };
    let octets = "00 53 30 c0 1a 01 a3 17 'amqp:local-transactions'";
    both_ways(one, octets, octets, &["00 53 30 c0 1d 01 e0 1a 01 a3 17 'amqp:local-transactions'"]);
    let two = Coordinator { capabilities: symbols(&["a", "b"]).into() };
    let octets = "00 53 30 c0 09 01 e0 06 02 a3 01 'a' 01 'b'";
    both_ways(two.clone(), octets, octets, &["00 a3 15 'amqp:coordinator:list' c0 09 01 e0 06 02 a3 01 'a' 01 'b'"]);
    let attach =
        read::<Attach>("00 53 12 c0 17 07 a1 01 'l' 43 42 40 40 40 00 53 30 c0 09 01 e0 06 02 a3 01 'a' 01 'b'");
    assert_eq!(attach.target, Some(TargetArchetype::Coordinator(two)));
    refused_as::<Coordinator>("00 53 30 c0 04 01 a1 01 'a'", Kind::UnexpectedFormatCode(0xa1));
    refused_as::<Coordinator>("00 53 30 c0 07 01 c0 04 01 a3 01 'a'", Kind::UnexpectedFormatCode(0xc0));
}

/// §4.5.2: declare is the value of a message; its global-id is anything.
#[test]
fn declare_is_a_message() {
    both_ways(Declare::default(), "00 53 31 45", "00 53 31 c0 02 01 40", &["00 53 31 c0 01 00"]);
    let global = Declare { global_id: Some(Value::described(Symbol::from_static("x:y"), 1u8)) };
    let octets = "00 53 31 c0 09 01 00 a3 03 'x:y' 50 01";
    both_ways(global, octets, octets, &[]);
    messages("00 53 77 00 53 31 45", Limits::STRICT, |message| {
        let Body::Value(value) = message.body() else { panic!("a value") };
        assert_eq!(value.decode::<Declare>(), Ok(Declare::default()));
        assert_eq!(value.decode::<Discharge>().map_err(|error| error.kind), Err(Kind::UnexpectedDescriptor));
    });
}

/// §4.5.3: discharge has an id, and may roll back.
#[test]
fn discharge_is_a_message() {
    let discharge = |fail: Option<bool>| Discharge { txn_id: id(b"t"), fail };
    both_ways(discharge(None), "00 53 32 c0 04 01 a0 01 't'", "00 53 32 c0 05 02 a0 01 't' 40", &[]);
    both_ways(
        discharge(Some(true)),
        "00 53 32 c0 05 02 a0 01 't' 41",
        "00 53 32 c0 05 02 a0 01 't' 41",
        &["00 53 32 c0 09 02 b0 00000001 't' 56 01"],
    );
    both_ways(discharge(Some(false)), "00 53 32 c0 05 02 a0 01 't' 42", "00 53 32 c0 05 02 a0 01 't' 42", &[]);
    refused::<Discharge>("00 53 32 45", Kind::MissingField(0), 4);
    messages("00 53 77 00 53 32 c0 05 02 a0 01 't' 41", Limits::STRICT, |message| {
        let Body::Value(value) = message.body() else { panic!("a value") };
        assert_eq!(value.decode::<Discharge>(), Ok(discharge(Some(true))));
    });
}

/// X-4.5.4-1: a transaction id is octets, 32 at the most.
#[test]
fn transaction_ids_are_octets() {
    both_ways(
        Declared { txn_id: id(b"") },
        "00 53 33 c0 03 01 a0 00",
        "00 53 33 c0 03 01 a0 00",
        &["00 53 33 c0 06 01 b0 00000000"],
    );
    let most = format!("00 53 33 c0 23 01 a0 20 {}", "7f".repeat(32));
    both_ways(Declared { txn_id: id(&[0x7f; 32]) }, &most, &most, &[]);
    let beyond = "7f".repeat(33);
    refused_as::<Declared>(&format!("00 53 33 c0 24 01 a0 21 {beyond}"), Kind::InvalidValue);
    refused_as::<Discharge>(&format!("00 53 32 c0 24 01 a0 21 {beyond}"), Kind::InvalidValue);
    refused_as::<TransactionalState>(&format!("00 53 34 c0 24 01 a0 21 {beyond}"), Kind::InvalidValue);
    for other in ["a1 01 't'", "53 01", "a3 01 't'"] {
        let list = format!("c0 {:02x} 01 {other}", crate::support::hex(other).len() + 1);
        for code in [0x32, 0x33, 0x34] {
            let octets = crate::support::hex(&format!("00 53 {code:02x} {list}"));
            let kind = match code {
                0x32 => crate::support::whole_within::<Discharge>(&octets, Limits::DEFAULT).map(drop),
                0x33 => crate::support::whole_within::<Declared>(&octets, Limits::DEFAULT).map(drop),
                _ => crate::support::whole_within::<TransactionalState>(&octets, Limits::DEFAULT).map(drop),
            };
            assert!(matches!(kind.map_err(|error| error.kind), Err(Kind::UnexpectedFormatCode(_))), "{other}");
        }
    }
}

/// §4.5.6: a delivery's state in a transaction, with an outcome or without.
#[test]
fn a_transactional_state_has_an_outcome_or_none() {
    let state = |outcome: Option<DeliveryState>| {
        let state = TransactionalState { txn_id: id(b"t"), outcome: outcome.map(Box::new) };
        DeliveryState::Transactional(Box::new(state))
    };
    both_ways(state(None), "00 53 34 c0 04 01 a0 01 't'", "00 53 34 c0 05 02 a0 01 't' 40", &[]);
    both_ways(
        state(Some(DeliveryState::Accepted)),
        "00 53 34 c0 08 02 a0 01 't' 00 53 24 45",
        "00 53 34 c0 0a 02 a0 01 't' 00 53 24 c0 01 00",
        &["00 a3 1d 'amqp:transactional-state:list' c0 0a 02 a0 01 't' 00 53 24 c0 01 00"],
    );
    // States that are no outcome, a state in a transaction among them.
    refused_as::<DeliveryState>("00 53 34 c0 0c 02 a0 01 't' 00 53 23 c0 03 02 43 44", Kind::InvalidValue);
    refused_as::<DeliveryState>("00 53 34 c0 0d 02 a0 01 't' 00 53 34 c0 04 01 a0 01 't'", Kind::InvalidValue);
    refused_as::<DeliveryState>("00 53 34 45", Kind::MissingField(0));
    both_ways(
        DeliveryState::Declared(Box::new(Declared { txn_id: id(b"t") })),
        "00 53 33 c0 04 01 a0 01 't'",
        "00 53 33 c0 04 01 a0 01 't'",
        &[],
    );
}

/// X-4.5.7-1: the capabilities have the names of the text.
#[test]
fn capabilities_have_their_names() {
    assert_eq!(capability::LOCAL_TRANSACTIONS, "amqp:local-transactions");
    assert_eq!(capability::DISTRIBUTED_TRANSACTIONS, "amqp:distributed-transactions");
    assert_eq!(capability::PROMOTABLE_TRANSACTIONS, "amqp:promotable-transactions");
    assert_eq!(capability::MULTI_TXNS_PER_SSN, "amqp:multi-txns-per-ssn");
    assert_eq!(capability::MULTI_SSNS_PER_TXN, "amqp:multi-ssns-per-txn");
}

/// X-4.5.8-1: the errors of transactions have the names of the text.
#[test]
fn transaction_errors_have_their_names() {
    for (condition, octets) in [
        (ErrorCondition::TRANSACTION_UNKNOWN_ID, "a3 1b 'amqp:transaction:unknown-id'"),
        (ErrorCondition::TRANSACTION_ROLLBACK, "a3 19 'amqp:transaction:rollback'"),
        (ErrorCondition::TRANSACTION_TIMEOUT, "a3 18 'amqp:transaction:timeout'"),
    ] {
        both_ways(condition, octets, octets, &[]);
    }
}
