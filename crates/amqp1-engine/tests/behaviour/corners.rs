//! Rules in the states, and on the paths, in which they are easily forgotten: beside other sessions and links, half-way
//! through a delivery, where ids wrap, and for each outcome.

use crate::bad_transfer;
use amqp1_codec::{
    Decode, DeliveryTag, Encode, EncodeStyle, Message, Reader, SequenceNo, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Role},
    message::Body,
    messaging::{DeliveryState, Modified, Received},
    performative::{Attach, Close, Flow, Open, Performative, TargetArchetype, Transfer, Unsettled},
    transaction::{Coordinator as CoordinatorTarget, Declare, Declared, capability},
};
use amqp1_engine::{
    AttachReply, ConnectionConfig, ConnectionError, Credit, LinkId, ReceivedSoFar, ReceiverConfig, SendOptions,
    SenderConfig, SentSoFar, SessionConfig, Settlement, StreamItem, Suspended, SuspendedReceiver, SuspendedSender,
    transaction::{Answer, Controller, ControllerError, TxnId},
};
use amqp1_testkit::*;
use bytes::Bytes;

/// Where counts wrap after two deliveries.
const FIRST: SequenceNo = SequenceNo(u32::MAX - 1);

fn granted(credit: u32) -> Flow {
    Flow { handle: Some(0), delivery_count: Some(FIRST), link_credit: Some(credit), ..session_flow(1000) }
}

/// The transfers among these frames, with their payloads.
fn transfers(frames: Vec<(u16, Performative, Bytes)>) -> Vec<(Transfer, Bytes)> {
    let transfer =
        |(_, body, payload)| if let Performative::Transfer(body) = body { Some((body, payload)) } else { None };
    frames.into_iter().filter_map(transfer).collect()
}

/// A peer with a link on which it sends, answered with this change, and that link.
fn receiving(change: impl FnOnce(&mut AttachReply)) -> (Peer, LinkId) {
    let peer = bad_transfer::receiving(change);
    let rx = peer.end.offered_links()[0];
    (peer, rx)
}

/// Whoever attached the link first, and whatever its name is.
#[test]
fn t_2_7_3_2_a_handle_in_use_ends_the_session_in_each_state_of_its_link() {
    let in_use = Some(("end", ErrorCondition::HANDLE_IN_USE));
    for part in Part::all() {
        for (name, role) in [("l", Role::Sender), ("l", Role::Receiver), ("m", Role::Sender), ("m", Role::Receiver)] {
            let (mut peer, _) = part.link(FIRST, Credit::Manual(3), |_| {});
            peer.send(0, attach(name, 0, role));
            assert_eq!(peer.refusal(), in_use, "{part:?} {name} {role:?}");
        }
        // Our detach does not free the handle that is the peer's.
        let (mut peer, id) = part.link(FIRST, Credit::Manual(3), |_| {});
        peer.end.detach(id, true, None).unwrap();
        assert_eq!(peer.names(), ["detach"], "{part:?}");
        peer.send(0, attach("m", 0, Role::Sender));
        assert_eq!(peer.refusal(), in_use, "{part:?}");
    }
    // The link is offered, and not answered.
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    peer.send(0, attach("m", 0, Role::Receiver));
    assert_eq!(peer.refusal(), in_use);
    // The attach answers another of ours.
    let (mut peer, session) = Peer::client_with_session();
    peer.end.attach_sender(session, sender("a")).unwrap();
    peer.end.attach_sender(session, sender("b")).unwrap();
    peer.flush();
    peer.send(0, attach("a", 0, Role::Receiver));
    assert_eq!(peer.names(), ["attach", "attach"]);
    peer.send(0, attach("b", 0, Role::Receiver));
    assert_eq!(peer.refusal(), in_use);
}

/// On channels with a session and without; and ours is on channel 0, whatever it answers.
#[test]
fn t_2_4_3_4_a_close_is_honoured_on_any_channel_in_each_state() {
    type Before = fn(&mut Peer);
    let before: [(&str, Before, ConnectionError); 3] = [
        ("opened", |_| {}, ConnectionError::ClosedByPeer(None)),
        ("close sent", |peer| peer.end.engine.close(peer.now, None), ConnectionError::LocallyClosed),
        (
            "discarding",
            |peer| peer.end.engine.close(peer.now, Some(error(ErrorCondition::INTERNAL_ERROR))),
            ConnectionError::LocallyClosed,
        ),
    ];
    for (state, before, reason) in before {
        for channel in [0, 5, 9] {
            let mut peer = Peer::fresh().open();
            peer.send(7, begin());
            peer.send(5, begin());
            peer.send(5, attach("l", 0, Role::Sender));
            peer.read();
            before(&mut peer);
            peer.flush();
            assert!(!peer.end.is_finished(), "{state} {channel}");
            peer.send(channel, Close { error: None });
            assert!(peer.end.is_finished(), "{state} {channel}");
            assert_eq!(peer.end.closed(), reason, "{state} {channel}");
            let closes: Vec<_> = peer.read().iter().map(|(channel, body, _)| (*channel, body.name())).collect();
            assert_eq!(closes, [(0, "close")], "{state} {channel}");
        }
    }
    // A violation on another channel is answered on channel 0.
    for channel in [0, 5, 9] {
        let mut peer = Peer::fresh().open();
        peer.send(5, begin());
        peer.read();
        peer.send(channel, Open { container_id: "again".into(), ..Open::default() });
        let closes: Vec<_> = peer.read().iter().map(|(channel, body, _)| (*channel, body.name())).collect();
        assert_eq!(closes, [(0, "close")], "{channel}");
        peer.send(channel, Close { error: None });
        assert!(peer.end.is_finished(), "{channel}");
    }
}

/// Whichever end ends the session, with an error or without: what links leave is there for the next endpoint.
#[test]
fn t_2_5_2_3_the_end_of_a_session_suspends_links_and_closes_none() {
    for by_client in [true, false] {
        for why in [None, Some(error(ErrorCondition::INTERNAL_ERROR))] {
            let mut pair = Pair::open();
            pair.server.accept.links = None;
            let (session, seen) = pair.session();
            let tx = pair.client.attach_sender(session, SenderConfig { resumable: true, ..sender("s") }).unwrap();
            let config = ReceiverConfig { resumable: true, ..receiver("r", Credit::Manual(5)) };
            let rx = pair.client.attach_receiver(session, config).unwrap();
            pair.drive();
            for id in pair.server.offered_links() {
                let offered = pair.server.remote_attach(id).unwrap();
                let reply = AttachReply { resumable: true, credit: Credit::Manual(5), ..AttachReply::echo(&offered) };
                pair.server.accept_link(id, reply).unwrap();
            }
            pair.drive();
            let far = (pair.server.offered("s", Role::Receiver), pair.server.offered("r", Role::Sender));
            pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
            pair.server.send(far.1, message(2, 10), unsettled(2)).unwrap();
            pair.drive();
            let before = (pair.client.written.len(), pair.server.written.len());
            match by_client {
                true => pair.client.end(session, why.clone()).unwrap(),
                false => pair.server.end(seen, why.clone()).unwrap(),
            }
            pair.drive();
            let what = format!("by the client: {by_client}, {why:?}");
            for written in [&pair.client.written[before.0..], &pair.server.written[before.1..]] {
                let names: Vec<_> = frames(written).iter().map(|(_, body, _)| body.as_ref().unwrap().name()).collect();
                assert_eq!(names, ["end"], "{what}");
            }
            for (end, sends, receives) in [(&pair.client, tx, rx), (&pair.server, far.1, far.0)] {
                let (sends, receives) = (end.detached(sends).unwrap(), end.detached(receives).unwrap());
                assert!(!sends.closed && !receives.closed, "{what}");
                let Some(Suspended::Sender(kept)) = sends.suspended else { panic!("{what}: nothing is kept") };
                assert_eq!(kept.deliveries.len(), 1, "{what}");
                let Some(Suspended::Receiver(kept)) = receives.suspended else { panic!("{what}: nothing is kept") };
                assert_eq!(kept.deliveries.len(), 1, "{what}");
            }
        }
    }
}

/// By a receiver that hands deliveries out whole, and by one that hands them out as they come: its tag is free, nothing
/// can be said of it, and nothing of it was kept.
#[test]
fn t_2_6_14_4_an_aborted_delivery_is_settled_and_its_tag_is_free() {
    let tag = DeliveryTag::new(b"again").unwrap();
    for streamed in [false, true] {
        let (mut peer, rx) = receiving(|reply| reply.streamed = streamed);
        for id in 0..3 {
            let begin = Transfer { delivery_tag: Some(tag), more: true, ..transfer(0, id) };
            peer.send_payload(0, begin, &HELLO[..5]);
            peer.send_payload(0, Transfer { aborted: true, ..Transfer::default() }, &HELLO[5..]);
            let mut keys = Vec::new();
            while let Some(item) = peer.end.poll_stream(rx) {
                match item {
                    StreamItem::Begin { key, .. } => keys.push(key),
                    StreamItem::Data(octets) => assert_eq!(octets, HELLO[..5]),
                    StreamItem::Aborted => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(keys.len(), usize::from(streamed));
            for key in keys {
                peer.end.dispose(rx, key, DeliveryState::Accepted).unwrap();
            }
            assert!(!peer.names().contains(&"disposition"), "streamed: {streamed}");
        }
        peer.send_payload(0, Transfer { delivery_tag: Some(tag), ..transfer(0, 3) }, HELLO);
        assert!(peer.end.detached(rx).is_none(), "streamed: {streamed}");
    }
    // What an earlier endpoint has received of it is forgotten too.
    let mut kept = SuspendedReceiver::new();
    let parts = vec![Bytes::from_static(&HELLO[..5])];
    let half = ReceivedSoFar { message_format: 0, parts, whole: false, taken: false, outcome: None };
    let other = DeliveryTag::new(b"other").unwrap();
    kept.deliveries.insert(tag, half.clone());
    kept.deliveries.insert(other, half);
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    let known: Unsettled = [tag, other].into_iter().map(|tag| (tag, Value::Null)).collect();
    peer.send(0, Attach { unsettled: Some(known), ..attach("l", 0, Role::Sender) });
    let rx = peer.end.offered_links()[0];
    let offered = peer.end.remote_attach(rx).unwrap();
    let reply = AttachReply { resumable: true, resume_receiver: Some(kept), ..AttachReply::echo(&offered) };
    peer.end.accept_link(rx, reply).unwrap();
    peer.read();
    peer.send(0, Transfer { delivery_tag: Some(tag), resume: true, aborted: true, ..transfer(0, 0) });
    assert!(peer.end.take_all(rx).is_empty() && peer.names().iter().all(|name| *name == "flow"));
    peer.end.engine.handle_eof(peer.now);
    peer.end.look();
    match peer.end.detached(rx).unwrap().suspended {
        Some(Suspended::Receiver(left)) => assert!(left.deliveries.keys().eq([&other]), "{left:?}"),
        other => panic!("{other:?}"),
    }
}

/// A flow may be old when it comes, also one that drains, and ids wrap. One that asks for an answer grants as much.
#[test]
fn t_2_6_7_2_what_is_in_flight_is_taken_off_each_grant() {
    for (part, echo) in Part::of(Role::Sender).flat_map(|part| [(part, false), (part, true)]) {
        let flow = |seen: u32, credit: u32| Flow {
            delivery_count: Some(FIRST.plus(seen)),
            next_incoming_id: Some(SequenceNo(seen)),
            echo,
            ..granted(credit)
        };
        let (mut peer, tx) = part.link(FIRST, Credit::Manual(0), |_| {});
        peer.send(0, granted(5));
        for token in 0..4 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        peer.read();
        for (seen, credit, left) in [(0, 10, 6), (1, 10, 7), (3, 10, 9), (4, 10, 10), (3, 1, 0), (1, 2, 0), (2, 3, 1)] {
            peer.send(0, flow(seen, credit));
            assert_eq!(peer.end.credit(tx), left, "{part:?}: {credit} from {seen} on");
        }
        // Before the receiver has our attach, it counts from our first delivery.
        peer.send(0, Flow { delivery_count: None, next_incoming_id: None, ..flow(0, 7) });
        assert_eq!(peer.end.credit(tx), 3, "{part:?}");
        // What is given up is what is left.
        peer.read();
        peer.send(0, Flow { drain: true, ..flow(2, 9) });
        let flows = peer.read();
        let [(_, Performative::Flow(answer), _)] = &flows[..] else { panic!("{part:?}: {flows:?}") };
        assert_eq!((answer.delivery_count, answer.link_credit), (Some(FIRST.plus(11)), Some(0)), "{part:?}");
    }
}

/// A delivery that has left in part goes first, and the count passes the end of the numbers.
#[test]
fn t_2_6_7_8_a_drain_waits_for_the_rest_of_a_delivery() {
    for part in Part::of(Role::Sender) {
        let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
        let (mut peer, tx) = part.link_with(config, FIRST, Credit::Manual(0), |_| {});
        peer.send(0, Flow { incoming_window: 1, ..granted(5) });
        peer.end.send(tx, message(1, 1200), unsettled(1)).unwrap();
        assert_eq!(peer.names(), ["transfer"], "{part:?}");
        peer.send(0, Flow { incoming_window: 1, drain: true, ..granted(5) });
        assert!(peer.names().is_empty(), "{part:?}");
        peer.send(0, Flow { next_incoming_id: Some(SequenceNo(1)), ..session_flow(1) });
        assert_eq!(peer.names(), ["transfer"], "{part:?}");
        peer.send(0, Flow { next_incoming_id: Some(SequenceNo(2)), ..session_flow(1000) });
        let frames = peer.read();
        let [(_, Performative::Transfer(last), _), (_, Performative::Flow(answer), _)] = &frames[..] else {
            panic!("{part:?}: {frames:?}")
        };
        assert!(!last.more, "{part:?}");
        assert_eq!((answer.delivery_count, answer.link_credit), (Some(FIRST.plus(5)), Some(0)), "{part:?}");
        assert_eq!((peer.end.credit(tx), answer.drain), (0, true), "{part:?}");
    }
}

/// In the style in which every field is written, a transfer takes more of a frame.
#[test]
fn t_2_6_14_1_all_transfers_but_the_last_say_more_in_either_style() {
    for style in [EncodeStyle::Compact, EncodeStyle::Full] {
        for is_settled in [true, false] {
            let config = ConnectionConfig { outgoing_frame_cap: 512, style, ..ConnectionConfig::new("ours") };
            let part = Part::of(Role::Sender).next().unwrap();
            let (mut peer, tx) = part.link_with(config, FIRST, Credit::Manual(0), |_| {});
            peer.send(0, Flow { incoming_window: 100_000, ..granted(10_000) });
            for length in (0..5).chain(360..520).chain(840..1000) {
                let options = SendOptions {
                    tag: (length % 2 == 0).then(|| DeliveryTag::new(&[7; 32]).unwrap()).filter(|_| is_settled),
                    settled: is_settled,
                    ..unsettled(length as u64)
                };
                peer.end.send(tx, message(length, length), options).unwrap();
                let sent = transfers(peer.read());
                let (last, rest) = sent.split_last().unwrap();
                assert!(!last.0.more && !last.1.is_empty(), "{style:?} {length}");
                assert!(
                    rest.iter().all(|(transfer, payload)| transfer.more && !payload.is_empty()),
                    "{style:?} {length}"
                );
                let whole: Vec<u8> = sent.iter().flat_map(|(_, payload)| payload.to_vec()).collect();
                assert_eq!(whole, message(length, length).into_parts().concat(), "{style:?} {length}");
            }
        }
    }
}

/// However it is sent; what follows in the same delivery names no other. Also T-2.7.5-2.
#[test]
fn t_2_7_5_5_the_first_transfer_of_each_delivery_that_is_sent_has_its_id_tag_and_format() {
    let format = |options| SendOptions { message_format: 0x8000_0007, ..options };
    for part in Part::of(Role::Sender) {
        let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
        let (mut peer, tx) = part.link_with(config, FIRST, Credit::Manual(0), |_| {});
        peer.send(0, granted(100));
        peer.end.send(tx, message(1, 1), format(unsettled(0))).unwrap();
        peer.end.send(tx, message(1, 1), format(settled(1))).unwrap();
        peer.end.send(tx, message(1, 1200), format(unsettled(2))).unwrap();
        peer.end.send(tx, message(1, 1200), format(settled(3))).unwrap();
        peer.flush();
        for token in [4, 5] {
            let options = if token == 4 { unsettled(token) } else { settled(token) };
            peer.end.begin_delivery(tx, format(options)).unwrap();
            peer.end.write(tx, Bytes::from_static(HELLO)).unwrap();
            peer.flush();
            match token {
                4 => peer.end.finish(tx).unwrap(),
                _ => peer.end.abort(tx, token).unwrap(),
            }
            peer.flush();
        }
        let sent = transfers(peer.read());
        let (first, later): (Vec<_>, Vec<_>) =
            sent.into_iter().map(|(transfer, _)| transfer).partition(|transfer| transfer.delivery_id.is_some());
        let ids: Vec<_> = first.iter().map(|transfer| transfer.delivery_id.unwrap().0).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5], "{part:?}");
        let tags: std::collections::BTreeSet<_> = first.iter().map(|transfer| transfer.delivery_tag.unwrap()).collect();
        assert_eq!(tags.len(), 6, "{part:?}");
        assert!(first.iter().all(|transfer| transfer.message_format == Some(0x8000_0007)), "{part:?}");
        assert!(later.len() >= 6 && later.iter().all(|transfer| transfer.delivery_tag.is_none()), "{part:?}");
    }
}

#[test]
fn t_2_6_7_6_a_receiver_of_streams_takes_no_more_than_its_credit_either() {
    let exceeded = Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED));
    let (mut answering, _) = receiving(|reply| (reply.streamed, reply.credit) = (true, Credit::Manual(2)));
    let (mut asking, session) = Peer::client_with_session();
    let config = ReceiverConfig { streamed: true, ..receiver("l", Credit::Manual(2)) };
    asking.end.attach_receiver(session, config).unwrap();
    asking.send(0, attach("l", 0, Role::Sender));
    for peer in [&mut answering, &mut asking] {
        peer.read();
        for id in 0..2 {
            peer.send_payload(0, transfer(0, id), HELLO);
        }
        assert_eq!(peer.refusal(), None);
        peer.send_payload(0, Transfer { more: true, ..transfer(0, 2) }, HELLO);
        assert_eq!(peer.refusal(), exceeded);
    }
}

/// All outcomes, of which two say more than that they are.
pub(crate) fn outcomes() -> [DeliveryState; 5] {
    let error = AmqpError::new(ErrorCondition::INVALID_FIELD, "why");
    let modified = Modified { delivery_failed: true, undeliverable_here: true, ..Modified::default() };
    [
        DeliveryState::Accepted,
        DeliveryState::Rejected(None),
        DeliveryState::Rejected(Some(Box::new(error))),
        DeliveryState::Released,
        DeliveryState::Modified(Box::new(modified)),
    ]
}

fn value(state: Option<&DeliveryState>) -> Value {
    state.map_or(Value::Null, |state| Value::decode(&mut Reader::new(&state.to_octets())).unwrap())
}

/// Every outcome is as final as the one of the worked example. Also M-3.4.6-8, M-3.4.6-10 to M-3.4.6-14, T-2.7.3-12,
/// T-2.7.5-2 and T-2.7.5-5.
#[test]
fn m_3_4_6_3_each_outcome_of_either_end_is_final_when_a_sender_resumes() {
    let position = |section_offset| DeliveryState::Received(Received { section_number: 0, section_offset });
    let undecided = [None, Some(position(3))];
    let local: Vec<_> = undecided.into_iter().chain(outcomes().map(Some)).collect();
    let remote: Vec<_> =
        [None, Some(None), Some(Some(position(4)))].into_iter().chain(outcomes().map(|it| Some(Some(it)))).collect();
    let tag = DeliveryTag::new(b"t").unwrap();
    for ours in &local {
        for theirs in &remote {
            let what = format!("{ours:?} here, {theirs:?} there");
            let decided = ours.as_ref().filter(|state| state.is_outcome());
            let final_there = theirs.as_ref().and_then(|state| state.as_ref()).filter(|state| state.is_outcome());
            if decided.is_none() && final_there.is_none() {
                // The worked example has these.
                continue;
            }
            let mut suspended = SuspendedSender::new();
            suspended.deliveries.push_back(SentSoFar {
                tag,
                token: 9,
                message_format: 0,
                settled: false,
                begun: true,
                state: ours.clone(),
                message: Some(message(1, 10)),
            });
            let (mut peer, session) = Peer::client_with_session();
            let config = SenderConfig { resume: Some(suspended), ..sender("l") };
            peer.end.attach_sender(session, config).unwrap();
            peer.read();
            let map: Unsettled = theirs.iter().map(|state| (tag, value(state.as_ref()))).collect();
            peer.send(0, Attach { unsettled: Some(map), ..attach("l", 0, Role::Receiver) });
            peer.send(0, credit(0, 10));
            let sent = transfers(peer.read());
            let settlements = peer.end.settlements();
            let outcome = |state: &DeliveryState| (9, Settlement::Outcome(Some(state.clone())));
            // State, aborted, settled of the transfer; what is reported.
            let (expected, reported) = match (decided, theirs, final_there) {
                (Some(ours), None, _) => (None, Some(ours)),
                (Some(ours), _, Some(theirs)) if ours == theirs => (Some((Some(ours), false, true)), Some(ours)),
                (Some(ours), _, Some(_)) => (Some((Some(ours), false, false)), None),
                (Some(ours), _, None) => (Some((None, true, false)), Some(ours)),
                (None, _, theirs) => (Some((theirs, false, true)), theirs),
            };
            assert_eq!(settlements, Vec::from_iter(reported.map(outcome)), "{what}");
            assert_eq!(sent.len(), usize::from(expected.is_some()), "{what}");
            for ((transfer, payload), (state, aborted, settled)) in sent.iter().zip(expected) {
                assert!(transfer.resume && transfer.delivery_id.is_some() && payload.is_empty(), "{what}");
                assert_eq!(transfer.delivery_tag, Some(tag), "{what}");
                assert_eq!((transfer.aborted, transfer.settled), (aborted, Some(settled)), "{what}");
                assert_eq!(transfer.state.as_ref(), state, "{what}");
            }
        }
    }
}

/// A controller with a transaction, and that transaction.
fn working() -> (Controller, TxnId) {
    let mut controller = Controller::new(None);
    controller.declare(1, None).unwrap();
    let declared = DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::from_static(b"txn") }));
    match controller.handle_settled(1, &Settlement::Outcome(Some(declared))) {
        Some(Answer::Declared(txn)) => (controller, txn),
        other => panic!("{other:?}"),
    }
}

/// Whichever of the links it is, and also before a rollback.
#[test]
fn x_4_4_3_3_credit_of_any_link_is_drained_before_any_discharge() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let links = ["a", "b", "c"].map(|name| pair.receiver(session, name, Credit::Manual(0)).0);
    for fail in [false, true] {
        for left in links {
            let (mut controller, txn) = working();
            for link in links {
                controller.acquire(&txn, link).unwrap();
            }
            let refused = controller.discharge(2, &txn, fail, |link| u32::from(link == left));
            assert_eq!(refused.map(drop), Err(ControllerError::CreditLeft(left)), "fail: {fail}");
            assert!(controller.discharge(3, &txn, fail, |_| 0).is_ok(), "fail: {fail}");
        }
    }
}

/// With a global id too, whatever its type is.
#[test]
fn x_4_2_1_a_declare_with_a_global_id_is_a_message_of_one_value_too() {
    let capabilities = [Symbol::from_static(capability::DISTRIBUTED_TRANSACTIONS)].into_iter().collect();
    let offered = TargetArchetype::Coordinator(CoordinatorTarget { capabilities });
    for global_id in [None, Some(Value::from("id")), Some(Value::from(7u64)), Some(Value::List(vec![true.into()]))] {
        let declare = Declare { global_id };
        let mut controller = Controller::new(Some(&offered));
        let message = controller.declare(1, declare.global_id.clone()).unwrap();
        let message = Message::from_bytes(message.into_parts().concat().into()).unwrap();
        let Body::Value(body) = message.body() else { panic!("{declare:?} is not a value") };
        assert_eq!(body.decode::<Declare>(), Ok(declare));
    }
}

/// Beside others that come and go.
#[test]
fn t_2_4_6_7_sessions_of_either_end_carry_messages_side_by_side() {
    let mut pair = Pair::open();
    let sessions: Vec<_> = (0..3).map(|_| pair.session().0).collect();
    let theirs = pair.server.begin(SessionConfig::default()).unwrap();
    pair.drive();
    let links: Vec<_> = sessions.iter().map(|session| pair.sender(*session, "l")).collect();
    let back = pair.server.attach_sender(theirs, sender("back")).unwrap();
    pair.drive();
    pair.client.end(sessions[1], None).unwrap();
    pair.drive();
    for (at, (tx, _)) in links.iter().enumerate().filter(|(at, _)| *at != 1) {
        pair.client.send(*tx, message(at, 10), unsettled(at as u64)).unwrap();
    }
    pair.server.send(back, message(9, 10), unsettled(9)).unwrap();
    pair.drive();
    for (at, (_, rx)) in links.iter().enumerate().filter(|(at, _)| *at != 1) {
        let [delivery] = &pair.server.take_all(*rx)[..] else { panic!("one delivery") };
        assert_eq!(data(&delivery.message), body(at, 10));
    }
    let rx = pair.client.offered("back", Role::Receiver);
    assert_eq!(pair.client.take_all(rx).len(), 1);
    let begins = |written: &[u8]| -> Vec<_> {
        let begins = frames(written).into_iter().filter_map(|(channel, body, _)| match body {
            Some(Performative::Begin(begin)) => Some((channel, begin.remote_channel)),
            _ => None,
        });
        begins.collect()
    };
    let ours = begins(&pair.client.written);
    let answered: Vec<_> = begins(&pair.server.written).into_iter().map(|(_, remote_channel)| remote_channel).collect();
    assert_eq!(answered, [Some(ours[0].0), Some(ours[1].0), Some(ours[2].0), None]);
}
