//! What takes more memory than is kept of a state is left out, and the application is told.

use amqp1_codec::{
    Symbol, Value,
    definitions::{Fields, Role},
    messaging::{DeliveryState, Modified},
    performative::Disposition,
    transaction::TransactionalState,
};
use amqp1_engine::{ANNOTATIONS_LEFT_OUT, ConnectionConfig, Event, Settlement};
use amqp1_testkit::*;

fn annotations(count: usize) -> Fields {
    let key = |number: usize| Symbol::new(format!("x-opt-{number}")).expect("ASCII");
    (0..count).map(|number| (key(number), "a text of some octets")).collect()
}

fn modified(count: usize) -> DeliveryState {
    let message_annotations = Some(annotations(count));
    DeliveryState::Modified(Box::new(Modified { delivery_failed: true, undeliverable_here: true, message_annotations }))
}

/// What a sender is told when the receiver settles with this state.
fn settled_with(state: DeliveryState, change: impl Fn(&mut ConnectionConfig)) -> DeliveryState {
    let mut config = ConnectionConfig::new("server");
    change(&mut config);
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Receiver));
    let link = peer.end.offered_links()[0];
    peer.send(0, credit(0, 1));
    peer.end.send(link, message(1, 5), unsettled(7)).unwrap();
    peer.read();
    peer.send(0, Disposition { role: Role::Receiver, settled: true, state: Some(state), ..Disposition::default() });
    // Within a transaction it is provisional.
    let provisional = peer.end.events.iter().find_map(|event| match event {
        Event::Provisional { state, settled: true, .. } => Some(state.clone()),
        _ => None,
    });
    if let Some(state) = provisional {
        return state;
    }
    let settlements = peer.end.settlements();
    let [(7, Settlement::Outcome(Some(state)))] = &settlements[..] else { panic!("{settlements:?}") };
    state.clone()
}

fn left_out(state: &DeliveryState) -> &Value {
    let DeliveryState::Modified(state) = state else { panic!("{state:?}") };
    assert!(state.delivery_failed && state.undeliverable_here);
    let annotations = state.message_annotations.as_ref().expect("what says that they were left out");
    assert_eq!(annotations.iter().len(), 1, "{annotations:?}");
    annotations.get(ANNOTATIONS_LEFT_OUT).expect("its key")
}

#[test]
fn annotations_of_modified_that_take_too_much_are_said_to_be_left_out() {
    let size = annotations(200).heap_size();
    assert!(size > 8192);
    let text = format!("annotations that take {size} octets were left out");
    assert_eq!(left_out(&settled_with(modified(200), |_| {})), &text.as_str().into());
    // Beyond what is kept of all metadata.
    let kept = settled_with(modified(200), |config| {
        config.max_info = 1024 * 1024;
        config.max_metadata = 2000;
    });
    assert_eq!(left_out(&kept), &"annotations were left out".into());
    // Within a transaction too.
    let within = DeliveryState::Transactional(Box::new(TransactionalState {
        txn_id: bytes::Bytes::from_static(b"t"),
        outcome: Some(Box::new(modified(200))),
    }));
    let DeliveryState::Transactional(within) = settled_with(within, |_| {}) else { panic!("a transactional state") };
    assert_eq!(left_out(within.outcome.as_ref().expect("an outcome")), &text.as_str().into());
}

#[test]
fn annotations_of_modified_that_fit_are_handed_over_as_they_came() {
    assert_eq!(settled_with(modified(3), |_| {}), modified(3));
    assert_eq!(settled_with(modified(200), |config| config.max_info = 1024 * 1024), modified(200));
    let none = DeliveryState::Modified(Box::default());
    assert_eq!(settled_with(none.clone(), |config| config.max_info = 1), none);
}
