//! Transactional states as the connection sees them (§4.4): who may use them, what is not decided yet, and what a
//! provisional outcome settles.

use amqp1_codec::{
    Symbol,
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, Role},
    messaging::DeliveryState,
    performative::{Attach, Detach, Disposition, Flow, Performative, Transfer},
    transaction::TransactionalState,
};
use amqp1_engine::{
    ApiMisuse, ConnectionConfig, DeliveryKey, Event, LinkId, SendOptions, Settlement, TransactionRole,
    transaction::TxnId,
};
use amqp1_testkit::*;
use bytes::Bytes;

use DeliveryState::{Accepted, Released};

/// The two halves of [`HELLO`].
const HEL: &[u8] = b"\x00\x53\x75\xa0\x05hel";
const LO: &[u8] = b"lo";

fn txn() -> TxnId {
    TxnId::new(b"txn").unwrap()
}

fn within(outcome: Option<DeliveryState>) -> Option<DeliveryState> {
    Some(txn().state(outcome))
}

fn receiver_says(id: u32, settled: bool, state: Option<DeliveryState>) -> Disposition {
    Disposition { role: Role::Receiver, first: id.into(), last: None, settled, state, batchable: false }
}

/// The engine receives on handle 0, in this role.
fn receives(role: TransactionRole) -> (Peer, LinkId) {
    let mut peer = Peer::with_sender();
    let id = peer.end.offered_links()[0];
    peer.end.set_transaction_role(role);
    (peer, id)
}

/// The engine has sent a message with token 7 on handle 0, outside of any transaction.
fn sent(role: TransactionRole) -> (Peer, LinkId) {
    let mut peer = Peer::with_receiver();
    let id = peer.end.offered_links()[0];
    peer.end.set_transaction_role(role);
    peer.send(0, credit(0, 10));
    peer.end.send(id, message(1, 1), unsettled(7)).unwrap();
    peer.read();
    (peer, id)
}

fn acquires() -> Flow {
    let properties: Fields = [(Symbol::from_static("txn-id"), Bytes::from_static(b"txn"))].into_iter().collect();
    Flow { properties: Some(properties), ..credit(0, 10) }
}

fn posted(id: u32) -> Transfer {
    Transfer { state: within(None), ..transfer(0, id) }
}

/// Also X-4.4.2-4.
#[test]
fn x_4_4_1_6_where_no_transactions_are_known_a_transactional_state_ends_its_link() {
    let refused = Some(("detach", ErrorCondition::TRANSACTION_UNKNOWN_ID));
    let (mut peer, rx) = receives(TransactionRole::None);
    peer.send_payload(0, posted(0), HELLO);
    assert_eq!((peer.refusal(), peer.end.recv(rx).is_none()), (refused.clone(), true));
    for settled in [true, false] {
        for role in [TransactionRole::None, TransactionRole::Controller] {
            let (mut peer, _) = sent(role);
            peer.send(0, receiver_says(0, settled, within(Some(Accepted))));
            assert_eq!(peer.refusal(), refused);
            assert_eq!(peer.end.settlements(), [(7, Settlement::Lost { sent: true })]);
        }
    }
}

#[test]
fn x_4_4_3_1_where_nothing_can_be_acquired_within_a_transaction_the_link_says_so() {
    for role in [TransactionRole::None, TransactionRole::Controller] {
        let (mut peer, _) = sent(role);
        peer.send(0, acquires());
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_IMPLEMENTED)));
    }
    let (mut peer, tx) = sent(TransactionRole::Resource);
    peer.send(0, acquires());
    assert_eq!(peer.refusal(), None);
    assert_eq!(TxnId::of_flow(&peer.end.remote_flow_properties(tx).unwrap()), Some(txn()));
    // Cleared by the discharge, it is told when it is named again.
    let told = |peer: &Peer| peer.end.count(|event| matches!(event, Event::FlowProperties(_)));
    peer.send(0, acquires());
    assert_eq!(told(&peer), 1);
    peer.end.forget_flow_properties(tx);
    peer.send(0, acquires());
    assert_eq!(told(&peer), 2);
}

/// A link in this receiver-settle-mode on which the engine has a message of the transaction.
fn received(mode: ReceiverSettleMode) -> (Peer, LinkId, DeliveryKey) {
    let mut peer = Peer::with_session();
    peer.send(0, Attach { rcv_settle_mode: mode, ..attach("l", 0, Role::Sender) });
    peer.read();
    let rx = peer.end.offered_links()[0];
    peer.send_payload(0, posted(0), HELLO);
    let key = peer.end.recv(rx).unwrap().key;
    (peer, rx, key)
}

fn disposition(peer: &mut Peer) -> Disposition {
    let frames = peer.read();
    let [(_, Performative::Disposition(disposition), _)] = &frames[..] else { panic!("{frames:?}") };
    disposition.clone()
}

/// §2.8.3, §4.4.4: also X-4.4.1-4.
#[test]
fn a_provisional_outcome_on_a_link_of_mode_first_settles() {
    let (mut peer, rx, key) = received(ReceiverSettleMode::First);
    peer.end.dispose(rx, key, txn().state(Some(Accepted))).unwrap();
    assert_eq!(disposition(&mut peer), receiver_says(0, true, within(Some(Accepted))));
    assert!(!peer.end.is_unsettled(rx, key));
    // There is nothing left to say.
    peer.end.dispose(rx, key, Released).unwrap();
    assert!(peer.names().is_empty());
    // In mode second it is the sender that settles, and another outcome may be stated until then.
    let (mut peer, rx, key) = received(ReceiverSettleMode::Second);
    peer.end.dispose(rx, key, txn().state(Some(Accepted))).unwrap();
    assert_eq!(disposition(&mut peer), receiver_says(0, false, within(Some(Accepted))));
    assert!(peer.end.is_unsettled(rx, key));
    peer.end.dispose(rx, key, Released).unwrap();
    assert_eq!(disposition(&mut peer), receiver_says(0, false, Some(Released)));
    // A state without an outcome settles nothing in either mode.
    let (mut peer, rx, key) = received(ReceiverSettleMode::First);
    peer.end.dispose(rx, key, txn().state(None)).unwrap();
    assert_eq!(disposition(&mut peer), receiver_says(0, false, within(None)));
    assert!(peer.end.is_unsettled(rx, key));
}

fn provisional(peer: &Peer) -> Vec<(u64, DeliveryState, bool)> {
    let events = peer.end.events.iter();
    let provisional = events.filter_map(|event| match event {
        Event::Provisional { token, state, settled, .. } => Some((*token, state.clone(), *settled)),
        _ => None,
    });
    provisional.collect()
}

/// One event for both cases. A retirement that was sent settled raised none, and was reported as the final outcome.
#[test]
fn x_4_4_2_1_a_retirement_is_provisional_whether_or_not_the_receiver_settles_with_it() {
    for settled in [true, false] {
        let (mut peer, tx) = sent(TransactionRole::Resource);
        peer.send(0, receiver_says(0, settled, within(Some(Accepted))));
        assert_eq!(provisional(&peer), [(7, txn().state(Some(Accepted)), settled)]);
        assert!(peer.end.settlements().is_empty(), "it is provisional");
        peer.end.settle_sent(tx, 7, Some(Accepted)).unwrap();
        peer.end.look();
        assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(Accepted)))]);
        // The receiver is told unless it has settled.
        assert_eq!(peer.names(), if settled { vec![] } else { vec!["disposition"] });
        assert_eq!(peer.end.settle_sent(tx, 7, None), Err(ApiMisuse::WrongState));
    }
}

/// §4.4.4: what was settled with a state that says no outcome has the default one, which is for the resource to apply.
#[test]
fn a_retirement_that_is_settled_without_an_outcome_is_provisional_too() {
    let (mut peer, tx) = sent(TransactionRole::Resource);
    peer.send(0, receiver_says(0, true, within(None)));
    assert_eq!(provisional(&peer), [(7, txn().state(None), true)]);
    peer.end.settle_sent(tx, 7, Some(Released)).unwrap();
    peer.end.look();
    assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(Released)))]);
}

#[test]
fn a_delivery_that_is_retired_is_lost_once_with_its_link() {
    for settled in [true, false] {
        let (mut peer, tx) = sent(TransactionRole::Resource);
        peer.send(0, receiver_says(0, settled, within(Some(Accepted))));
        peer.send(0, Detach { handle: 0, closed: true, error: None });
        assert_eq!(peer.end.settlements(), [(7, Settlement::Lost { sent: true })]);
        assert_eq!(peer.end.settle_sent(tx, 7, None), Err(ApiMisuse::UnknownLink));
    }
}

/// What it says is not applied: a transaction that was committed all the same would have lost a part.
#[test]
fn x_4_4_2_1_a_retirement_that_comes_after_its_link_is_over_is_reported() {
    for role in [TransactionRole::Resource, TransactionRole::None] {
        let (mut peer, tx) = sent(role);
        peer.end.send(tx, message(2, 1), unsettled(8)).unwrap();
        peer.read();
        peer.send(0, receiver_says(0, true, Some(Accepted)));
        peer.send(0, Detach { handle: 0, closed: false, error: None });
        let lost = |peer: &Peer| {
            let lost = peer
                .end
                .events
                .iter()
                .filter(|event| matches!(event, Event::RetirementLost(_, lost) if *lost == txn()));
            lost.count()
        };
        // It was settled before.
        peer.send(0, receiver_says(0, false, within(Some(Accepted))));
        assert_eq!(lost(&peer), 0);
        peer.send(0, receiver_says(1, false, Some(Accepted)));
        assert_eq!(lost(&peer), 0, "it is not of a transaction");
        peer.send(0, receiver_says(1, false, within(Some(Accepted))));
        assert_eq!(lost(&peer), usize::from(role == TransactionRole::Resource));
        assert!(!peer.end.is_closed());
    }
}

/// One that came before is kept, and may be said again.
#[test]
fn a_retirement_that_came_before_its_link_was_over_is_not_lost() {
    let (mut peer, _) = sent(TransactionRole::Resource);
    peer.send(0, receiver_says(0, false, within(Some(Accepted))));
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    peer.send(0, receiver_says(0, false, within(Some(Accepted))));
    assert!(!peer.end.events.iter().any(|event| matches!(event, Event::RetirementLost(..))));
}

/// The receiver knows why it has rejected a message: an error there would be one about its own disposition.
#[test]
fn the_echo_of_a_rejection_within_a_transaction_carries_no_error() {
    let rejected = DeliveryState::rejected(AmqpError::new(ErrorCondition::NOT_FOUND, "no such colour"));
    // Retired, and committed.
    let (mut peer, tx) = sent(TransactionRole::Resource);
    peer.send(0, receiver_says(0, false, within(Some(rejected.clone()))));
    peer.end.settle_sent(tx, 7, Some(rejected.clone())).unwrap();
    let said = disposition(&mut peer);
    assert_eq!((said.role, said.settled, said.state), (Role::Sender, true, Some(DeliveryState::Rejected(None))));
    assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(rejected.clone())))]);
    // Posted, and answered by a receiver that waits for the settlement.
    let (mut peer, tx) = sent(TransactionRole::Controller);
    peer.send(0, receiver_says(0, true, Some(Accepted)));
    peer.end.send(tx, message(1, 1), SendOptions { state: within(None), ..unsettled(8) }).unwrap();
    peer.read();
    peer.send(0, receiver_says(1, false, within(Some(rejected.clone()))));
    assert_eq!(disposition(&mut peer).state, within(Some(DeliveryState::Rejected(None))));
    assert_eq!(peer.end.settlements()[1], (8, Settlement::Outcome(within(Some(rejected)))));
}

/// What is settled within a transaction is kept until the discharge, so that it counts as before.
#[test]
fn a_retirement_that_settles_frees_the_room_of_its_delivery_at_the_discharge() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    let offered = peer.end.remote_attach(tx).unwrap();
    let reply = amqp1_engine::AttachReply { max_unsettled: 1, ..amqp1_engine::AttachReply::echo(&offered) };
    peer.end.accept_link(tx, reply).unwrap();
    peer.send(0, credit(0, 10));
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.read();
    assert_eq!(peer.end.credit(tx), 0);
    peer.send(0, receiver_says(0, true, within(Some(Accepted))));
    assert_eq!(peer.end.credit(tx), 0);
    let begun = peer.end.events_end();
    peer.end.settle_sent(tx, 1, Some(Accepted)).unwrap();
    // An event and a settlement: both are polled before what is received now.
    let end = peer.end.events_end();
    assert_eq!((peer.end.has_polled(begun), peer.end.has_polled(end)), (true, false));
    assert!(matches!(peer.end.engine.poll_event(), Some(Event::Sendable(id)) if id == tx));
    assert!(!peer.end.has_polled(end));
    let settled = peer.end.engine.poll_settled().map(|settled| (settled.token, settled.settlement));
    assert_eq!((settled, peer.end.has_polled(end)), (Some((1, Settlement::Outcome(Some(Accepted)))), true));
    assert_eq!(peer.end.credit(tx), 1);
}

/// §4.4.4.1: whatever is wrong with the transfer, or with its link.
#[test]
fn x_4_4_4_1_a_posting_that_is_thrown_away_is_reported() {
    let lost = |peer: &Peer| peer.end.count(|event| matches!(event, Event::PostingLost(_, of) if *of == txn()));
    let settled = |id| Transfer { settled: Some(true), ..posted(id) };
    // This end has detached its link.
    let (mut peer, rx) = receives(TransactionRole::Resource);
    peer.end.detach(rx, true, Some(AmqpError::new(ErrorCondition::INTERNAL_ERROR, ""))).unwrap();
    peer.read();
    peer.send_payload(0, settled(0), HELLO);
    assert_eq!(lost(&peer), 1);
    // Given up by its sender, it was never posted.
    peer.send(0, Transfer { aborted: true, ..settled(1) });
    assert_eq!(lost(&peer), 1);
    // Its session was ended, or ends.
    let (mut peer, rx) = receives(TransactionRole::Resource);
    let session = peer.end.session_ids[&rx];
    peer.end.end(session, None).unwrap();
    peer.read();
    peer.send_payload(0, settled(0), HELLO);
    assert_eq!(lost(&peer), 1);
    let (mut peer, _) = receives(TransactionRole::Resource);
    peer.send_payload(0, transfer(0, 0), HELLO);
    peer.send_payload(0, settled(0), HELLO);
    assert_eq!(lost(&peer), 1);
    // A repeated tag.
    let (mut peer, _) = receives(TransactionRole::Resource);
    peer.send_payload(0, transfer(0, 0), HELLO);
    let again = Transfer { delivery_tag: transfer(0, 0).delivery_tag, ..posted(1) };
    peer.send_payload(0, again, HELLO);
    assert_eq!(lost(&peer), 1);
    // Where no transactions are kept, there is nobody to tell.
    let (mut peer, _) = receives(TransactionRole::None);
    peer.send_payload(0, settled(0), HELLO);
    assert_eq!(lost(&peer), 0);
}

/// Also T-2.6.14-4 and X-4.4.1-4: no outcome is missing at the discharge.
#[test]
fn x_4_4_1_3_what_is_posted_is_known_until_it_is_decided() {
    let (mut peer, rx) = receives(TransactionRole::Resource);
    peer.send_payload(0, Transfer { more: true, ..posted(0) }, HEL);
    assert!(peer.end.is_half_posted(&txn()));
    peer.send_payload(0, Transfer { more: false, ..posted(0) }, LO);
    assert_eq!((peer.end.is_half_posted(&txn()), peer.end.undecided_postings(&txn())), (false, 1));
    // Its sender settles this one.
    peer.send_payload(0, Transfer { settled: Some(true), ..posted(1) }, HELLO);
    // And gives this one up.
    peer.send_payload(0, Transfer { more: true, ..posted(2) }, HEL);
    peer.send_payload(0, Transfer { aborted: true, ..posted(2) }, b"");
    // This one belongs to no transaction, and that one to another.
    peer.send_payload(0, transfer(0, 3), HELLO);
    let other = TransactionalState { txn_id: Bytes::from_static(b"other"), outcome: None };
    let other = Transfer { state: Some(DeliveryState::Transactional(Box::new(other))), ..transfer(0, 4) };
    peer.send_payload(0, other, HELLO);
    assert_eq!(peer.end.undecided_postings(&txn()), 2);
    let keys: Vec<_> = peer.end.take_all(rx).iter().map(|delivery| delivery.key).collect();
    assert_eq!((keys.len(), peer.end.undecided_postings(&txn())), (4, 2), "taken is not decided");
    peer.end.dispose(rx, keys[0], txn().state(Some(Accepted))).unwrap();
    assert_eq!(peer.end.undecided_postings(&txn()), 1);
    assert!(peer.end.decide_posting(rx, keys[1]) && !peer.end.decide_posting(rx, keys[1]));
    assert_eq!(peer.end.undecided_postings(&txn()), 0);
}

/// Also T-2.7.5-18: of a whole message, and of one that is written in pieces.
#[test]
fn x_4_4_1_3_each_of_our_frames_names_the_transaction() {
    for streamed in [false, true] {
        let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
        let mut peer = Peer::with(config).open();
        peer.end.set_transaction_role(TransactionRole::Controller);
        peer.send(0, begin());
        peer.send(0, attach("l", 0, Role::Receiver));
        peer.send(0, credit(0, 10));
        peer.read();
        let tx = peer.end.offered_links()[0];
        let options = SendOptions { state: within(None), ..unsettled(7) };
        if streamed {
            peer.end.begin_delivery(tx, options).unwrap();
            peer.end.write(tx, body(1, 2000)).unwrap();
            peer.end.finish(tx).unwrap();
        } else {
            peer.end.send(tx, message(1, 2000), options).unwrap();
        }
        let states = peer.read().into_iter().filter_map(|(_, body, _)| match body {
            Performative::Transfer(transfer) => Some(transfer.state),
            _ => None,
        });
        assert_eq!(states.collect::<Vec<_>>(), vec![within(None); 5], "{streamed}");
    }
}

#[test]
fn x_4_4_1_3_all_frames_of_a_delivery_are_of_one_transaction() {
    let (mut peer, _) = receives(TransactionRole::Resource);
    peer.send_payload(0, Transfer { more: true, ..posted(0) }, HEL);
    let other = TransactionalState { txn_id: Bytes::from_static(b"other"), outcome: None };
    let other = Transfer { state: Some(DeliveryState::Transactional(Box::new(other))), ..transfer(0, 0) };
    peer.send_payload(0, other, LO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)));
}

/// §4.4.4: what was posted before the rollback and not taken is released, and what comes of it later too.
#[test]
fn a_rollback_voids_what_was_posted_and_not_taken() {
    let (mut peer, rx) = receives(TransactionRole::Resource);
    peer.send_payload(0, posted(0), HELLO);
    peer.send_payload(0, transfer(0, 1), HELLO);
    peer.send_payload(0, Transfer { more: true, ..posted(2) }, HEL);
    peer.end.void_postings(&txn());
    assert_eq!((peer.end.undecided_postings(&txn()), peer.end.is_half_posted(&txn())), (0, false));
    assert_eq!(disposition(&mut peer), receiver_says(0, true, Some(Released)));
    peer.send_payload(0, Transfer { more: false, ..posted(2) }, LO);
    assert_eq!(disposition(&mut peer), receiver_says(2, true, Some(Released)));
    let left = peer.end.take_all(rx);
    assert_eq!((left.len(), left[0].state.is_none()), (1, true));
    // The transaction is not known any more, which is for the application to see.
    peer.send_payload(0, posted(3), HELLO);
    assert_eq!(peer.end.undecided_postings(&txn()), 1);
}

#[test]
fn a_posting_that_goes_with_its_link_is_reported() {
    let (mut peer, rx) = receives(TransactionRole::Resource);
    peer.send_payload(0, posted(0), HELLO);
    peer.send_payload(0, Transfer { settled: Some(true), ..posted(1) }, HELLO);
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    let lost = |peer: &Peer| {
        peer.end.count(|event| matches!(event, Event::PostingLost(id, of) if *id == Some(rx) && *of == txn()))
    };
    assert_eq!(lost(&peer), 1);
    // The one that is settled exists here, and can still be decided.
    let undelivered = peer.end.detached(rx).unwrap().undelivered;
    assert_eq!((undelivered.len(), peer.end.undecided_postings(&txn())), (1, 1));
    assert!(peer.end.decide_posting(rx, undelivered[0].key));
}

/// A message that is rejected here without the application's doing keeps its transaction from being committed.
#[test]
fn a_posting_that_cannot_be_decoded_is_reported() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    let rx = peer.end.offered_links()[0];
    let offered = peer.end.remote_attach(rx).unwrap();
    let reply = amqp1_engine::AttachReply { reject_undecodable: true, ..amqp1_engine::AttachReply::echo(&offered) };
    peer.end.accept_link(rx, reply).unwrap();
    peer.read();
    peer.send_payload(0, posted(0), b"\x00\x53");
    assert_eq!(peer.end.count(|event| matches!(event, Event::PostingLost(_, of) if *of == txn())), 1);
    let Some(DeliveryState::Transactional(state)) = disposition(&mut peer).state else { panic!("in the transaction") };
    assert!(matches!(state.outcome.as_deref(), Some(DeliveryState::Rejected(Some(error))) if is_decode_error(error)));
    assert_eq!(peer.end.undecided_postings(&txn()), 0);
}

fn is_decode_error(error: &AmqpError) -> bool {
    error.condition == ErrorCondition::DECODE_ERROR
}

/// §4.4.3: what was acquired and waits to be sent when the transaction is committed is sent outside of it.
#[test]
fn what_waits_to_be_sent_can_leave_its_transaction() {
    for forgets in [true, false] {
        let (mut peer, tx) = sent(TransactionRole::Resource);
        peer.end.send(tx, message(1, 1), SendOptions { state: within(None), acquired: true, ..unsettled(8) }).unwrap();
        if forgets {
            peer.end.forget_state(tx, 8);
        }
        let frames = peer.read();
        let [(_, Performative::Transfer(transfer), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(transfer.state, if forgets { None } else { within(None) });
    }
}

/// §4.4.4: after a rollback they are the source's, and not to be handed over.
#[test]
fn what_was_acquired_and_not_taken_can_be_dropped() {
    let (mut peer, rx) = receives(TransactionRole::Controller);
    peer.send_payload(0, posted(0), HELLO);
    peer.send_payload(0, transfer(0, 1), HELLO);
    assert_eq!((peer.end.drop_acquired(rx, &txn()), peer.end.drop_acquired(rx, &txn())), (1, 0));
    let left = peer.end.take_all(rx);
    assert_eq!((left.len(), left[0].state.is_none()), (1, true));
}

/// §4.4.3: the discharge clears the transaction of a link, so that the next flow does not name it.
#[test]
fn flow_properties_are_left_out_without_a_flow_that_says_so() {
    let (mut peer, rx) = receives(TransactionRole::Controller);
    peer.read();
    let properties = acquires().properties.unwrap();
    peer.end.set_flow_properties(rx, properties.clone()).unwrap();
    assert_eq!(peer.end.flow_properties(rx), Some(properties));
    assert_eq!(peer.names(), ["flow"]);
    peer.end.clear_flow_properties(rx);
    assert!(peer.names().is_empty());
    peer.end.set_credit(rx, amqp1_engine::Credit::Manual(3)).unwrap();
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((flow.properties.clone(), peer.end.allowed(rx)), (None, 3));
}
