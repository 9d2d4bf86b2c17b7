//! What a second look at the engine has found, in its smallest form.

use amqp1_codec::{
    DeliveryTag, EncodedMessage, Message, SequenceNo, Value,
    definitions::{ReceiverSettleMode, Role},
    messaging::{DeliveryState, Received},
    performative::{Attach, Disposition, Performative, Unsettled},
    transaction::TransactionalState,
};
use amqp1_engine::{
    ApiMisuse, AttachReply, ConnectionConfig, Credit, Event, LinkNames, SendError, SenderConfig, SentSoFar, Settlement,
    Suspended, SuspendedSender,
};
use amqp1_testkit::*;
use bytes::Bytes;

fn at(section_number: u32, section_offset: u64) -> DeliveryState {
    DeliveryState::Received(Received { section_number, section_offset })
}

fn value(state: &DeliveryState) -> Value {
    use amqp1_codec::{Decode, Encode, Reader};
    Value::decode(&mut Reader::new(&state.to_octets())).unwrap()
}

fn kept(state: Option<DeliveryState>) -> SuspendedSender {
    let mut suspended = SuspendedSender::new();
    suspended.deliveries.push_back(SentSoFar {
        tag: DeliveryTag::new(b"t").unwrap(),
        token: 7,
        message_format: 0,
        settled: false,
        begun: true,
        state,
        message: Some(message(1, 1000)),
    });
    suspended
}

#[test]
fn an_abort_that_has_not_left_is_planned_anew_by_the_next_endpoint() {
    let (mut peer, session) = Peer::client_with_session();
    let resume = Some(kept(Some(at(0, 500))));
    let config = SenderConfig { resume, resumable: true, ..sender("l") };
    let tx = peer.end.attach_sender(session, config).unwrap();
    let theirs: Unsettled = [(DeliveryTag::new(b"t").unwrap(), value(&at(0, 100)))].into_iter().collect();
    peer.send(0, Attach { unsettled: Some(theirs), ..attach("l", 0, Role::Receiver) });
    // Without credit nothing leaves.
    let now = peer.now;
    peer.end.engine.handle_eof(now);
    peer.end.look();
    let Some(Suspended::Sender(again)) = peer.end.detached(tx).unwrap().suspended else { panic!("kept") };
    assert_eq!(again.deliveries.len(), 1);
    assert!(again.deliveries[0].begun && again.deliveries[0].state == Some(at(0, 500)));
    assert_eq!(again.deliveries[0].message.as_ref().unwrap().len(), message(1, 1000).len());
}

#[test]
fn what_is_settled_while_the_link_is_attached_anew_is_not_sent_again() {
    let (mut peer, session) = Peer::client_with_session();
    let config = SenderConfig { resumable: true, ..sender("l") };
    let tx = peer.end.attach_sender(session, config.clone()).unwrap();
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, credit(0, 10));
    peer.end.send(tx, message(1, 10), unsettled(7)).unwrap();
    peer.read();
    peer.end.detach(tx, false, None).unwrap();
    peer.send(0, amqp1_codec::performative::Detach { handle: 0, closed: false, error: None });
    let Some(Suspended::Sender(sender)) = peer.end.detached(tx).unwrap().suspended else { panic!("kept") };
    peer.end.attach_sender(session, SenderConfig { resume: Some(sender), ..config }).unwrap();
    peer.read();
    // The outcome crosses the attach, and the receiver has forgotten the delivery.
    let accepted = Some(DeliveryState::Accepted);
    peer.send(
        0,
        Disposition { role: Role::Receiver, settled: true, state: accepted.clone(), ..Disposition::default() },
    );
    peer.send(0, Attach { unsettled: Some(Unsettled::new()), ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 10));
    assert!(!peer.names().contains(&"transfer"));
    assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(accepted))]);
}

#[test]
fn t_2_7_3_14_a_sender_that_resumes_nothing_sends_nothing_new_while_the_receivers_map_is_incomplete() {
    let mut peer = Peer::with_session();
    peer.send(0, Attach { incomplete_unsettled: true, ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 10));
    let tx = peer.end.offered_links()[0];
    assert_eq!(peer.end.credit(tx), 0);
    assert_eq!(peer.end.send(tx, message(1, 1), unsettled(1)), Err(SendError::Reattach));
    assert_eq!(peer.end.begin_delivery(tx, unsettled(1)), Err(SendError::Reattach));
    // There is nothing to sort out, so that the application can attach it again at once.
    assert_eq!(peer.end.count(|event| matches!(event, Event::Reattach(id) if *id == tx)), 1);
}

/// It opens its window by the way when it gives credit, and otherwise only when all of it is used.
#[test]
fn a_peer_that_opens_its_window_late_is_sent_to_until_it_is_used_up() {
    let mut peer = Peer::with_session();
    peer.send(0, attach("l", 0, Role::Receiver));
    let flow = |next, handle| amqp1_codec::performative::Flow {
        next_incoming_id: Some(SequenceNo(next)),
        incoming_window: 1000,
        handle,
        delivery_count: handle.map(|_| SequenceNo(next)),
        link_credit: handle.map(|_| 2000),
        ..session_flow(1000)
    };
    peer.send(0, flow(0, Some(0)));
    let tx = peer.end.offered_links()[0];
    for token in 0..400 {
        peer.end.send(tx, message(1, 1), settled(token)).unwrap();
    }
    peer.read();
    peer.send(0, flow(400, Some(0)));
    peer.end.send(tx, EncodedMessage::from_parts([Bytes::from(vec![0; 80_000_000])]), settled(1000)).unwrap();
    let sent = peer.names().iter().filter(|name| **name == "transfer").count();
    assert_eq!(sent, 1000, "the whole window");
}

#[test]
fn a_provisional_outcome_is_told_once_however_often_it_is_said() {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 10));
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.read();
    let state =
        TransactionalState { outcome: Some(Box::new(DeliveryState::Accepted)), ..TransactionalState::default() };
    let state = Some(DeliveryState::Transactional(Box::new(state)));
    for _ in 0..100 {
        peer.send(0, Disposition { role: Role::Receiver, state: state.clone(), ..Disposition::default() });
    }
    assert_eq!(peer.end.count(|event| matches!(event, Event::Provisional { .. })), 1);
}

#[test]
fn what_is_decided_keeps_no_octets() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let config = SenderConfig { rcv_settle_mode: ReceiverSettleMode::Second, ..sender("l") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let rx = pair.server.offered_links()[0];
    let offered = pair.server.remote_attach(rx).unwrap();
    let reply = AttachReply { resumable: true, ..AttachReply::echo(&offered) };
    pair.server.accept_link(rx, reply).unwrap();
    pair.drive();
    pair.client.send(tx, message(1, 1000), unsettled(1)).unwrap();
    pair.drive();
    let key = pair.server.recv(rx).unwrap().key;
    pair.server.dispose(rx, key, DeliveryState::Accepted).unwrap();
    let now = pair.now;
    pair.server.engine.handle_eof(now);
    pair.server.look();
    let Some(Suspended::Receiver(kept)) = pair.server.detached(rx).unwrap().suspended else { panic!("kept") };
    let [delivery] = &kept.deliveries.values().collect::<Vec<_>>()[..] else { panic!("{kept:?}") };
    assert!(delivery.parts.is_empty() && delivery.outcome == Some(DeliveryState::Accepted));
}

/// The window of a session with a streamed link is what it says, also against a peer that does not listen.
#[test]
fn a_streamed_link_has_no_part_in_what_was_let_come_before() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    let rx = peer.end.offered_links()[0];
    let offered = peer.end.remote_attach(rx).unwrap();
    let reply = AttachReply { streamed: true, credit: Credit::Manual(1), ..AttachReply::echo(&offered) };
    peer.end.accept_link(rx, reply).unwrap();
    peer.read();
    let mut sent = 0;
    while peer.end.detached(rx).is_none() && sent < 1000 {
        let more = amqp1_codec::performative::Transfer { more: true, ..transfer(0, 0) };
        peer.send_payload(0, more, &[0; 100]);
        sent += 1;
    }
    assert_eq!(sent, 65, "the window has 64 transfers");
}

#[test]
fn a_stolen_link_that_the_peer_closes_is_not_attached_again() {
    let config = ConnectionConfig { link_names: LinkNames::Steal, ..ConnectionConfig::new("ours") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.send(0, attach("x", 0, Role::Sender));
    peer.send(0, attach("x", 1, Role::Sender));
    peer.read();
    peer.send(0, amqp1_codec::performative::Detach { handle: 0, closed: true, error: None });
    assert!(peer.names().is_empty());
}

#[test]
fn calls_that_fail_change_nothing() {
    let (mut peer, session) = Peer::client_with_session();
    let config = SenderConfig { resume: Some(kept(None)), resumable: true, ..sender("l") };
    let tx = peer.end.attach_sender(session, config).unwrap();
    let theirs: Unsettled = [(DeliveryTag::new(b"t").unwrap(), Value::Null)].into_iter().collect();
    let theirs = Some(theirs);
    peer.send(0, Attach { unsettled: theirs, max_message_size: Some(100), ..attach("l", 0, Role::Receiver) });
    let queued = peer.end.queued(tx);
    assert_eq!(peer.end.abort(tx, 7), Err(ApiMisuse::WrongState));
    assert_eq!(peer.end.queued(tx), queued);
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, sender("l")).unwrap();
    peer.send(0, Attach { max_message_size: Some(100), ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 1));
    peer.end.begin_delivery(tx, unsettled(1)).unwrap();
    assert_eq!(peer.end.write(tx, body(0, 101)), Err(SendError::TooLarge { max: 100 }));
    peer.end.write(tx, Message::builder().data("fits").build().into_parts().concat().into()).unwrap();
    peer.end.finish(tx).unwrap();
    let sent = peer.read().into_iter().find_map(|(_, body, payload)| match body {
        Performative::Transfer(_) => Some(payload),
        _ => None,
    });
    assert_eq!(Message::from_bytes(sent.unwrap()).unwrap().data(), Some(Bytes::from_static(b"fits")));
}
