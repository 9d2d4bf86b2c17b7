//! What the settle mode of the new endpoint and the form of a message mean to deliveries that are resumed (§2.7.5).

use amqp1_codec::{
    DeliveryTag, Value,
    definitions::{ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{DeliveryState, Modified, Received},
    performative::{Attach, Disposition, Open, Performative, Transfer, Unsettled},
};
use amqp1_engine::{
    AttachReply, LinkId, SendError, SendOptions, SenderConfig, SentSoFar, Settlement, Suspended, SuspendedSender,
};
use amqp1_testkit::*;
use bytes::Bytes;

use DeliveryState::{Accepted, Released};

fn value(state: &DeliveryState) -> Value {
    use amqp1_codec::{Decode, Encode, Reader};
    Value::decode(&mut Reader::new(&state.to_octets())).unwrap()
}

fn tag(number: u8) -> DeliveryTag {
    DeliveryTag::new(&[number]).unwrap()
}

fn kept(number: u8, settled: bool, begun: bool, state: Option<DeliveryState>) -> SentSoFar {
    let message = Some(message(number.into(), 50));
    SentSoFar { tag: tag(number), token: number.into(), message_format: 0, settled, begun, state, message }
}

/// One delivery for each thing that a sender may do with one.
fn all_steps() -> (SuspendedSender, Unsettled) {
    let position = DeliveryState::Received(Received { section_number: 0, section_offset: 20 });
    let mut suspended = SuspendedSender::new();
    suspended.deliveries.extend([
        kept(1, false, true, None),
        kept(2, false, true, None),
        kept(3, false, true, None),
        kept(4, false, true, Some(Accepted)),
        kept(5, true, false, None),
        kept(6, false, true, None),
    ]);
    let theirs =
        [(tag(2), value(&position)), (tag(3), value(&Accepted)), (tag(4), value(&Released)), (tag(6), Value::Null)];
    (suspended, theirs.into_iter().collect())
}

fn resumed(mode: SenderSettleMode) -> (Peer, LinkId, Vec<(Transfer, Bytes)>) {
    let (suspended, unsettled) = all_steps();
    let (mut peer, session) = Peer::client_with_session();
    let config = SenderConfig { resume: Some(suspended), resumable: true, snd_settle_mode: mode, ..sender("l") };
    let tx = peer.end.attach_sender(session, config).unwrap();
    peer.send(0, Attach { unsettled: Some(unsettled), snd_settle_mode: mode, ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 100));
    let transfers = peer.read().into_iter().filter_map(|(_, body, payload)| match body {
        Performative::Transfer(transfer) => Some((transfer, payload)),
        _ => None,
    });
    let transfers = transfers.collect();
    (peer, tx, transfers)
}

#[test]
fn t_2_7_5_9_on_an_unsettled_link_every_resumed_delivery_is_sent_unsettled() {
    let (mut peer, _, sent) = resumed(SenderSettleMode::Unsettled);
    assert_eq!(sent.len(), 6);
    assert!(sent.iter().all(|(transfer, _)| transfer.settled != Some(true)), "{sent:?}");
    assert!(peer.end.settlements().is_empty(), "the receiver has said nothing yet");
    let outcome = |first: u32, last: u32, state| Disposition {
        role: Role::Receiver,
        first: first.into(),
        last: Some(last.into()),
        settled: true,
        state: Some(state),
        ..Disposition::default()
    };
    peer.send(0, outcome(0, 5, Accepted));
    let expected: Vec<_> = (1..=6).map(|token| (token, Settlement::Outcome(Some(Accepted)))).collect();
    assert_eq!(peer.end.settlements(), expected);
}

#[test]
fn t_2_7_5_8_on_a_settled_link_every_resumed_delivery_is_sent_settled() {
    let (peer, _, sent) = resumed(SenderSettleMode::Settled);
    assert_eq!(sent.len(), 6);
    assert!(sent.iter().all(|(transfer, _)| transfer.settled == Some(true)), "{sent:?}");
    let accepted = Settlement::Outcome(Some(Accepted));
    let reports = [Settlement::Sent, Settlement::Sent, accepted.clone(), accepted, Settlement::Sent, Settlement::Sent];
    let mut told = peer.end.settlements();
    told.sort_by_key(|(token, _)| *token);
    assert_eq!(told, (1..=6).zip(reports).collect::<Vec<_>>());
}

#[test]
fn on_a_mixed_link_deliveries_are_sent_as_they_were_meant() {
    let (_, _, sent) = resumed(SenderSettleMode::Mixed);
    let settled: Vec<_> =
        sent.iter().map(|(transfer, _)| (transfer.delivery_tag.unwrap(), transfer.settled == Some(true))).collect();
    assert_eq!(
        settled,
        [(tag(1), false), (tag(2), false), (tag(3), true), (tag(4), false), (tag(5), true), (tag(6), false)]
    );
}

/// Half of a settled delivery that is resumed has not been sent when the link goes.
#[test]
fn a_resumed_delivery_that_is_settled_by_its_transfers_is_not_sent_when_only_a_part_has_left() {
    let mut peer = Peer::fresh();
    peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 512, ..Open::default() });
    let session = peer.end.begin(amqp1_engine::SessionConfig::default()).unwrap();
    peer.send(0, amqp1_codec::performative::Begin { remote_channel: Some(0), incoming_window: 1, ..begin() });
    let mut suspended = SuspendedSender::new();
    suspended.deliveries.push_back(SentSoFar { message: Some(message(1, 3000)), ..kept(1, false, true, None) });
    let mode = SenderSettleMode::Settled;
    let config = SenderConfig { resume: Some(suspended), resumable: true, snd_settle_mode: mode, ..sender("l") };
    peer.end.attach_sender(session, config).unwrap();
    let theirs = [(tag(1), Value::Null)].into_iter().collect();
    peer.send(0, Attach { unsettled: Some(theirs), ..attach("l", 0, Role::Receiver) });
    peer.read();
    peer.send(0, amqp1_codec::performative::Flow { incoming_window: 1, ..credit(0, 100) });
    assert_eq!(peer.names(), ["transfer"]);
    peer.end.engine.handle_eof(peer.now);
    peer.end.look();
    assert_eq!(peer.end.settlements(), [(1, Settlement::Lost { sent: true })]);
}

#[test]
fn a_message_that_is_sent_again_when_its_link_is_resumed_keeps_its_format() {
    for left in [true, false] {
        let (mut peer, session) = Peer::client_with_session();
        let config = SenderConfig { resumable: true, ..sender("l") };
        let tx = peer.end.attach_sender(session, config.clone()).unwrap();
        peer.send(0, attach("l", 0, Role::Receiver));
        peer.send(0, credit(0, 10));
        let options = SendOptions { message_format: 0x8013_7000, ..unsettled(1) };
        peer.end.send(tx, message(1, 10), options).unwrap();
        if left {
            peer.read();
        }
        peer.end.engine.handle_eof(peer.now);
        peer.end.look();
        let Some(Suspended::Sender(suspended)) = peer.end.detached(tx).unwrap().suspended else { panic!("kept") };
        let (mut peer, session) = Peer::client_with_session();
        peer.end.attach_sender(session, SenderConfig { resume: Some(suspended), ..config }).unwrap();
        peer.send(0, Attach { unsettled: Some(Unsettled::new()), ..attach("l", 0, Role::Receiver) });
        peer.send(0, credit(0, 10));
        let sent = peer.read();
        let transfer = sent.iter().find_map(|(_, body, _)| match body {
            Performative::Transfer(transfer) => Some(transfer),
            _ => None,
        });
        let transfer = transfer.unwrap();
        assert_eq!((transfer.message_format, transfer.resume), (Some(0x8013_7000), false), "{left}");
    }
}

/// Where it begins is said once. Also M-3.4.1-1.
#[test]
fn t_2_7_5_16_the_first_of_several_transfers_says_that_a_delivery_is_resumed() {
    let mut peer = Peer::fresh();
    peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 512, ..Open::default() });
    let session = peer.end.begin(amqp1_engine::SessionConfig::default()).unwrap();
    peer.send(0, amqp1_codec::performative::Begin { remote_channel: Some(0), ..begin() });
    let mut suspended = SuspendedSender::new();
    suspended.deliveries.push_back(SentSoFar { message: Some(message(1, 3000)), ..kept(1, false, true, None) });
    let config = SenderConfig { resume: Some(suspended), resumable: true, ..sender("l") };
    peer.end.attach_sender(session, config).unwrap();
    let position = DeliveryState::Received(Received { section_number: 0, section_offset: 20 });
    let theirs = [(tag(1), value(&position))].into_iter().collect();
    peer.send(0, Attach { unsettled: Some(theirs), ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 10));
    let mut sent = peer.read().into_iter().filter_map(|(_, body, payload)| match body {
        Performative::Transfer(transfer) => Some((transfer, payload)),
        _ => None,
    });
    let (first, mut octets) = sent.next().map(|(transfer, payload)| (transfer, payload.to_vec())).unwrap();
    assert_eq!((first.delivery_tag, first.resume, first.more), (Some(tag(1)), true, true));
    assert_eq!(first.state, Some(position));
    let rest: Vec<_> = sent.collect();
    assert!(rest.len() > 4, "{rest:?}");
    for (transfer, payload) in &rest {
        assert_eq!((&transfer.delivery_tag, &transfer.state), (&None, &None));
        octets.extend_from_slice(payload);
    }
    let whole = message(1, 3000).into_parts().concat();
    assert_eq!(octets, whole[20..]);
}

/// A position is where a resumed delivery goes on: it is not said of any other.
#[test]
fn m_3_4_1_1_a_delivery_that_is_not_resumed_is_sent_without_a_position() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    let position = DeliveryState::Received(Received { section_number: 0, section_offset: 20 });
    let options = || SendOptions { state: Some(position.clone()), ..unsettled(1) };
    assert_eq!(pair.client.send(tx, message(1, 50), options()), Err(SendError::StateNotAllowed));
    assert_eq!(pair.client.begin_delivery(tx, options()), Err(SendError::StateNotAllowed));
    // Nor of one that is sent again, because the receiver holds less than is left here.
    let mut suspended = SuspendedSender::new();
    suspended.deliveries.push_back(kept(1, false, true, Some(position)));
    let (mut peer, session) = Peer::client_with_session();
    let config = SenderConfig { resume: Some(suspended), resumable: true, ..sender("l") };
    peer.end.attach_sender(session, config).unwrap();
    let theirs = [(tag(1), Value::Null)].into_iter().collect();
    peer.send(0, Attach { unsettled: Some(theirs), ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 10));
    let sent: Vec<_> = peer
        .read()
        .into_iter()
        .filter_map(|(_, body, _)| match body {
            Performative::Transfer(transfer) => Some((transfer.aborted, transfer.resume, transfer.state)),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(true, true, None), (false, false, None)]);
}

/// The receiver has it, and it was not stated; the sender resumes it without that wish.
#[test]
fn t_2_7_5_20_what_a_transfer_wants_of_the_receiver_is_not_kept_when_its_link_is_resumed() {
    let second =
        |unsettled| Attach { rcv_settle_mode: ReceiverSettleMode::Second, unsettled, ..attach("l", 0, Role::Sender) };
    let accepted = |peer: &mut Peer, resume_receiver| {
        let rx = peer.end.offered_links()[0];
        let reply = AttachReply::echo(&peer.end.remote_attach(rx).unwrap());
        peer.end.accept_link(rx, AttachReply { resumable: true, resume_receiver, ..reply }).unwrap();
        peer.read();
        rx
    };
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, second(None));
    let rx = accepted(&mut peer, None);
    let first = Some(ReceiverSettleMode::First);
    peer.send_payload(0, Transfer { rcv_settle_mode: first, ..transfer(0, 0) }, HELLO);
    peer.end.engine.handle_eof(peer.now);
    peer.end.look();
    let Some(Suspended::Receiver(kept)) = peer.end.detached(rx).unwrap().suspended else { panic!("kept") };

    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    let theirs = [(transfer(0, 0).delivery_tag.unwrap(), Value::Null)].into_iter().collect();
    peer.send(0, second(Some(theirs)));
    let rx = accepted(&mut peer, Some(kept));
    peer.send_payload(0, Transfer { resume: true, ..transfer(0, 0) }, HELLO);
    let delivery = peer.end.recv(rx).unwrap();
    assert!(delivery.resumed);
    peer.end.dispose(rx, delivery.key, Accepted).unwrap();
    let frames = peer.read();
    let [(_, Performative::Disposition(says), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((says.settled, &says.state), (false, &Some(Accepted)), "as the link has it");
}

/// The outcome is said; what explains it is left out where it takes more than a frame.
#[test]
fn an_outcome_that_does_not_fit_into_a_frame_is_said_without_its_explanation() {
    let annotations = [(amqp1_codec::Symbol::from_static("x-opt-x"), Value::from("x".repeat(700)))];
    let modified = Modified {
        delivery_failed: true,
        message_annotations: Some(annotations.into_iter().collect()),
        ..Modified::default()
    };
    let mut rejected = error(amqp1_codec::definitions::ErrorCondition::DECODE_ERROR);
    rejected.description = Some("x".repeat(700).into());
    for state in [DeliveryState::Modified(Box::new(modified)), DeliveryState::rejected(rejected)] {
        let mut suspended = SuspendedSender::new();
        suspended.deliveries.push_back(kept(1, false, true, Some(state.clone())));
        let mut peer = Peer::fresh();
        peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
        peer.send(0, Open { container_id: "peer".into(), max_frame_size: 600, ..Open::default() });
        let session = peer.end.begin(amqp1_engine::SessionConfig::default()).unwrap();
        peer.send(0, amqp1_codec::performative::Begin { remote_channel: Some(0), ..begin() });
        peer.end.attach_sender(session, SenderConfig { resume: Some(suspended), ..sender("l") }).unwrap();
        let theirs = [(tag(1), value(&Accepted))].into_iter().collect();
        peer.send(0, Attach { unsettled: Some(theirs), ..attach("l", 0, Role::Receiver) });
        peer.send(0, credit(0, 10));
        let sent = peer.read();
        let said = sent.iter().find_map(|(_, body, _)| match body {
            Performative::Transfer(transfer) => transfer.state.clone(),
            _ => None,
        });
        let same = match (&said, &state) {
            (Some(DeliveryState::Modified(said)), DeliveryState::Modified(_)) => said.message_annotations.is_none(),
            (Some(DeliveryState::Rejected(Some(said))), DeliveryState::Rejected(_)) => said.description.is_none(),
            _ => false,
        };
        assert!(same, "{said:?}");
    }
}
