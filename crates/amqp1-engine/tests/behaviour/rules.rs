//! Rules of links, deliveries and dispositions that have no other home (§2.6, §2.7).

use amqp1_codec::{
    DeliveryTag, SequenceNo, Symbol,
    definitions::{ErrorCondition, Fields, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::DeliveryState,
    performative::{Attach, Detach, Disposition, End, Flow, Performative, Transfer},
};
use amqp1_engine::{
    AttachReply, ConnectionConfig, Credit, Event, LinkId, ReceiverConfig, SendError, SendOptions, SenderConfig,
    Settlement, StreamItem, Suspended,
};
use amqp1_testkit::*;
use bytes::Bytes;

use crate::bad_transfer::receiving;

const ACCEPTED: DeliveryState = DeliveryState::Accepted;

fn flows(frames: &[(u16, Performative, Bytes)]) -> Vec<Flow> {
    let flows = frames
        .iter()
        .filter_map(|(_, body, _)| if let Performative::Flow(flow) = body { Some(flow.clone()) } else { None });
    flows.collect()
}

/// A resumable sender of a client, with this many deliveries that the server has taken and not settled.
fn suspended(count: u64, mode: ReceiverSettleMode) -> (Pair, LinkId, LinkId, Vec<SequenceNo>) {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let config = SenderConfig { resumable: true, rcv_settle_mode: mode, ..sender("l") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let rx = pair.server.offered_links()[0];
    for token in 0..count {
        pair.client.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    pair.drive();
    let ids: Vec<_> = frames(&pair.client.written)
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Transfer(t)) = body { t.delivery_id } else { None })
        .collect();
    assert_eq!(ids.len() as u64, count);
    pair.client.detach(tx, false, None).unwrap();
    pair.drive();
    (pair, tx, rx, ids)
}

/// Also T-2.6.4-2: by their ids, as long as the session lives.
#[test]
fn t_2_7_6_6_deliveries_of_a_detached_link_are_still_settled() {
    // Whether the application takes them out of what it kept, or not.
    for takes_out in [true, false] {
        settled_while_detached(takes_out);
    }
}

fn settled_while_detached(takes_out: bool) {
    let (mut pair, tx, _, ids) = suspended(3, ReceiverSettleMode::First);
    let Some(Suspended::Sender(mut kept)) = pair.client.detached(tx).unwrap().suspended else { panic!("kept") };
    assert!(pair.client.settled.is_empty() && kept.deliveries.len() == 3);
    let settles = Disposition {
        role: Role::Receiver,
        first: ids[0],
        last: Some(ids[1]),
        settled: true,
        state: Some(ACCEPTED),
        ..Disposition::default()
    };
    let channel = frames(&pair.server.written)
        .into_iter()
        .find_map(|(channel, body, _)| matches!(body, Some(Performative::Begin(_))).then_some(channel))
        .unwrap();
    pair.client.input.extend_from_slice(&frame(channel, settles.clone(), b""));
    let now = pair.now;
    pair.client.take_input(now);
    let accepted = |token| (token, Settlement::Outcome(Some(ACCEPTED)));
    assert_eq!(pair.client.settlements(), [accepted(0), accepted(1)]);
    if takes_out {
        for (token, _) in pair.client.settlements() {
            assert!(kept.settle(token));
        }
        assert!(!kept.settle(0) && kept.deliveries[0].token == 2);
    }
    // Once the link is resumed they have other ids, and the old ones mean nothing.
    let session = pair.client.begin(Default::default()).unwrap();
    pair.drive();
    let config = SenderConfig { resume: Some(kept), resumable: true, ..sender("l") };
    pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let rx = *pair.server.offered_links().last().unwrap();
    assert_eq!(pair.server.take_all(rx).len(), 1, "what is settled is not sent again");
    pair.client.input.extend_from_slice(&frame(channel, Disposition { first: ids[2], last: None, ..settles }, b""));
    pair.client.take_input(now);
    assert_eq!(pair.client.settled.len(), 2);
}

/// T-2.7.7-2: without an error, as here, nothing went wrong.
/// Also T-2.6.4-3 and T-2.7.3-11.
#[test]
fn t_2_6_6_2_a_close_that_crosses_a_detach_is_answered_by_an_attach_and_a_close() {
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, SenderConfig { resumable: true, ..sender("l") }).unwrap();
    peer.send(0, attach("l", 5, Role::Receiver));
    peer.end.detach(tx, false, None).unwrap();
    peer.read();
    peer.send(0, Detach { handle: 5, closed: true, error: None });
    let frames = peer.read();
    let [(_, Performative::Attach(again), _), (_, Performative::Detach(close), _)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert!(again.name == "l" && again.unsettled.is_none() && close.closed && close.handle == again.handle);
    let detached = peer.end.detached(tx).unwrap();
    assert!(detached.closed && detached.suspended.is_none());
    // The peer's answer to that is nothing new.
    peer.send(0, attach("l", 5, Role::Receiver));
    peer.send(0, Detach { handle: 5, closed: true, error: None });
    assert!(peer.names().is_empty() && peer.end.offered_links().is_empty());
    assert_eq!(peer.end.count(|event| matches!(event, Event::LinkDetached(..))), 1);
    // The handle is free.
    peer.end.attach_sender(session, sender("m")).unwrap();
    let frames = peer.read();
    let [(_, Performative::Attach(next), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(next.handle, close.handle);
    // Where this end has answered, with deliveries to resume, it attaches once more without them.
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 5, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    let (before, near, ..) = suspended(1, ReceiverSettleMode::First);
    let Some(Suspended::Sender(kept)) = before.client.detached(near).unwrap().suspended else { panic!("a sender") };
    let asked = peer.end.remote_attach(tx).unwrap();
    let reply = AttachReply { resume_sender: Some(kept), resumable: true, ..AttachReply::echo(&asked) };
    peer.end.accept_link(tx, reply).unwrap();
    let frames = peer.read();
    let [(_, Performative::Attach(answer), _)] = &frames[..] else { panic!("{frames:?}") };
    assert!(answer.unsettled.is_some());
    peer.end.detach(tx, false, None).unwrap();
    peer.read();
    peer.send(0, Detach { handle: 5, closed: true, error: None });
    let frames = peer.read();
    let [(_, Performative::Attach(again), _), (_, Performative::Detach(_), _)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert!(again.unsettled.is_none());
}

/// Also T-2.7.7-2 and T-2.8.18-1: what an error says arrives, and the link with it is gone for good.
#[test]
fn t_2_6_5_1_an_error_of_a_link_detaches_it_and_nothing_else() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let config = SenderConfig { resumable: true, ..sender("a") };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let rx = pair.server.offered("a", Role::Receiver);
    let (other, _) = pair.sender(session, "b");
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    pair.drive();
    pair.server.detach(rx, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    pair.drive();
    let detached = pair.client.detached(tx).unwrap();
    assert_eq!(detached.error.unwrap(), error(ErrorCondition::DETACH_FORCED));
    assert!(detached.suspended.is_none(), "it was closed");
    assert_eq!(pair.client.settlements(), [(1, Settlement::Lost { sent: true })]);
    pair.client.send(other, message(1, 1), unsettled(2)).unwrap();
    pair.drive();
}

#[test]
fn t_2_6_7_9_available_is_a_hint_that_binds_nobody() {
    let mut peer = Peer::with_sender();
    let available =
        Flow { handle: Some(0), delivery_count: Some(SequenceNo(0)), available: Some(0), ..session_flow(100) };
    peer.send(0, available);
    peer.send_payload(0, transfer(0, 0), HELLO);
    let rx = peer.end.offered_links()[0];
    assert_eq!(peer.end.take_all(rx).len(), 1);
    assert!(peer.end.detached(rx).is_none());
}

/// §2.6.8: one message or none, and a flow that says which.
#[test]
fn t_2_6_8_1_a_synchronous_get_brings_one_message_or_says_that_there_is_none() {
    for there in [true, false] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let (rx, tx) = pair.receiver(session, "l", Credit::Manual(0));
        assert_eq!(pair.server.send(tx, message(1, 1), settled(1)), Err(SendError::NoCredit));
        pair.client.set_credit(rx, Credit::Manual(1)).unwrap();
        pair.client.drain(rx).unwrap();
        pair.client.forget();
        let before = pair.server.written.len();
        if there {
            // The sender's application answers to credit before its engine says that there is nothing.
            let now = pair.now;
            let octets = pair.client.output(now, 4096);
            pair.server.input.extend_from_slice(&octets);
            pair.server.take_input(now);
            pair.server.send(tx, message(1, 1), settled(1)).unwrap();
        }
        pair.drive();
        assert!(pair.client.drained(rx));
        assert_eq!(pair.client.take_all(rx).len(), usize::from(there));
        let said = frames(&pair.server.written[before..]).into_iter().filter_map(|(_, body, _)| body);
        let said: Vec<_> = said
            .map(|body| (body.name(), if let Performative::Flow(it) = body { it.link_credit } else { None }))
            .collect();
        let expected: &[_] = &[("transfer", None), ("flow", Some(0))];
        assert_eq!(said, expected[usize::from(!there)..]);
        assert_eq!(pair.server.credit(tx), 0);
        assert_eq!(pair.server.send(tx, message(1, 1), settled(2)), Err(SendError::NoCredit));
    }
}

/// §2.6.9: messages come as they are there, for as long as there is credit.
#[test]
fn t_2_6_9_1_with_credit_messages_come_as_they_are_sent_without_a_further_flow() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Manual(50));
    let before = pair.client.written.len();
    for token in 0..50 {
        pair.server.send(tx, message(token, 1), settled(token as u64)).unwrap();
        pair.drive();
        assert_eq!(pair.client.take_all(rx).len(), 1);
    }
    assert_eq!(pair.client.written.len(), before, "the receiver has said nothing");
}

/// §2.6.10: credit is taken back; what was on its way comes, and then nothing.
#[test]
fn t_2_6_10_1_a_receiver_stops_a_link_by_taking_its_credit_back() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Manual(50));
    pair.server.send(tx, message(1, 1), settled(1)).unwrap();
    pair.client.set_credit(rx, Credit::Manual(0)).unwrap();
    pair.drive();
    assert_eq!(pair.client.take_all(rx).len(), 1);
    assert_eq!(pair.server.send(tx, message(1, 1), settled(1)), Err(SendError::NoCredit));
    assert!(pair.client.detached(rx).is_none());
}

#[test]
fn t_2_6_12_1_a_tag_is_not_given_to_two_unsettled_deliveries() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    // One that the engine would choose too.
    let tag = DeliveryTag::from(0_u32);
    let named = |token| SendOptions { tag: Some(tag), ..unsettled(token) };
    pair.client.send(tx, message(1, 1), named(0)).unwrap();
    pair.client.send(tx, message(1, 1), unsettled(1)).unwrap();
    assert_eq!(pair.client.send(tx, message(1, 1), named(2)), Err(SendError::TagInUse));
    pair.client.send(tx, message(1, 1), unsettled(3)).unwrap();
    pair.drive();
    let deliveries = pair.server.take_all(rx);
    assert_ne!(deliveries[0].tag, deliveries[1].tag);
    assert!(deliveries[..2].iter().all(|delivery| delivery.tag != deliveries[2].tag));
    pair.server.dispose(rx, deliveries[0].key, ACCEPTED).unwrap();
    pair.drive();
    pair.client.send(tx, message(1, 1), named(2)).unwrap();
}

/// The wire of a link with many frames and deliveries is looked at by the checker: also T-2.6.14-1 and T-2.7.5-3.
#[test]
fn t_2_6_14_2_deliveries_of_one_link_come_one_after_the_other() {
    let (mut client, mut server) = Pair::configs();
    client.max_frame_size = 512;
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    let before = pair.client.written.len();
    for token in 0..5 {
        pair.client.send(tx, message(1, 2000), unsettled(token)).unwrap();
    }
    pair.drive();
    let sent: Vec<_> = frames(&pair.client.written[before..])
        .into_iter()
        .filter_map(
            |(_, body, _)| if let Some(Performative::Transfer(transfer)) = body { Some(transfer) } else { None },
        )
        .collect();
    let (mut open, mut current) = (false, None);
    for transfer in &sent {
        // A later transfer may repeat the id.
        let begins = transfer.delivery_id.is_some() && transfer.delivery_id != current;
        assert_eq!(begins, !open, "a delivery begins only when the one before is whole");
        (open, current) = (transfer.more, transfer.delivery_id.or(current));
    }
    assert!(!open && sent.len() > 20);
    let peer_of_two = |frames: &[Transfer]| {
        let mut peer = Peer::with_sender();
        for transfer in frames {
            peer.send_payload(0, transfer.clone(), b"");
        }
        peer.refusal()
    };
    let half = Transfer { more: true, ..transfer(0, 0) };
    assert_eq!(peer_of_two(&[half, transfer(0, 1)]), Some(("detach", ErrorCondition::NOT_ALLOWED)));
}

/// Also T-2.7.3-5: the responder says the modes that it keeps.
/// Where this end sends, the mode is the receiver's to choose; where it receives, the tolerance says first.
#[test]
fn t_2_7_3_5_mode_second_is_granted_or_answered_with_first() {
    for (role, tolerant, expected) in [
        (Role::Receiver, true, ReceiverSettleMode::Second),
        (Role::Receiver, false, ReceiverSettleMode::Second),
        (Role::Sender, true, ReceiverSettleMode::First),
        (Role::Sender, false, ReceiverSettleMode::Second),
    ] {
        let mut config = ConnectionConfig::new("server");
        config.tolerances.second_answered_first = tolerant;
        let mut peer = Peer::with(config).open();
        peer.send(0, begin());
        peer.end.accept.links = None;
        peer.send(0, Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..attach("l", 0, role) });
        let link = peer.end.offered_links()[0];
        let asked = peer.end.remote_attach(link).unwrap().clone();
        let rcv_settle_mode = peer.end.receiver_settle_mode_to_answer(&asked);
        assert_eq!(rcv_settle_mode, expected, "{role:?}");
        // An answer that says otherwise than the receiver does not count.
        let rcv_settle_mode = if role == Role::Receiver { ReceiverSettleMode::First } else { rcv_settle_mode };
        peer.end.accept_link(link, AttachReply { rcv_settle_mode, ..AttachReply::echo(&asked) }).unwrap();
        let answered = peer.read().into_iter().find_map(|(_, body, _)| match body {
            Performative::Attach(attach) => Some(attach.rcv_settle_mode),
            _ => None,
        });
        assert_eq!(answered, Some(expected), "{role:?}");
    }
}

#[test]
fn t_2_7_3_4_the_modes_that_are_asked_for_are_answered() {
    for snd_settle_mode in [SenderSettleMode::Unsettled, SenderSettleMode::Settled, SenderSettleMode::Mixed] {
        for rcv_settle_mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
            for role in [Role::Sender, Role::Receiver] {
                let mut peer = Peer::with_session();
                peer.send(0, Attach { snd_settle_mode, rcv_settle_mode, ..attach("l", 0, role) });
                let frames = peer.read();
                let Performative::Attach(answer) = &frames[0].1 else { panic!("{frames:?}") };
                assert_eq!((answer.snd_settle_mode, answer.rcv_settle_mode), (snd_settle_mode, rcv_settle_mode));
            }
        }
    }
    // One that is not kept is answered with the one that is.
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let config = ReceiverConfig { snd_settle_mode: SenderSettleMode::Unsettled, ..receiver("l", Credit::Manual(1)) };
    let rx = pair.client.attach_receiver(session, config).unwrap();
    pair.drive();
    let tx = pair.server.offered_links()[0];
    let offered = pair.server.remote_attach(tx).unwrap();
    let reply = AttachReply { snd_settle_mode: SenderSettleMode::Settled, ..AttachReply::echo(&offered) };
    pair.server.accept_link(tx, reply).unwrap();
    pair.drive();
    assert_eq!(pair.client.remote_attach(rx).unwrap().snd_settle_mode, SenderSettleMode::Settled);
}

/// All four combinations, in both directions, for settled and unsettled deliveries; also T-2.7.5-8, T-2.7.5-9.
#[test]
fn t_2_7_5_9_what_is_settled_follows_from_the_modes() {
    for snd_settle_mode in [SenderSettleMode::Unsettled, SenderSettleMode::Settled, SenderSettleMode::Mixed] {
        for rcv_settle_mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
            for wants_settled in [false, true] {
                let mut pair = Pair::open();
                let (session, _) = pair.session();
                let config = SenderConfig { snd_settle_mode, rcv_settle_mode, ..sender("l") };
                let tx = pair.client.attach_sender(session, config).unwrap();
                pair.drive();
                let rx = pair.server.offered_links()[0];
                let before = pair.client.written.len();
                let options = SendOptions { settled: wants_settled, ..unsettled(1) };
                let sent = pair.client.send(tx, message(1, 1), options);
                let context = (snd_settle_mode, rcv_settle_mode, wants_settled);
                if wants_settled && snd_settle_mode == SenderSettleMode::Unsettled {
                    assert_eq!(sent, Err(SendError::SettleMode), "{context:?}");
                    continue;
                }
                sent.unwrap();
                pair.drive();
                let settles = wants_settled || snd_settle_mode == SenderSettleMode::Settled;
                let on_the_wire: Vec<_> = frames(&pair.client.written[before..])
                    .into_iter()
                    .filter_map(|(_, body, _)| match body {
                        Some(Performative::Transfer(transfer)) => transfer.settled,
                        _ => None,
                    })
                    .collect();
                assert_eq!(on_the_wire, [settles], "{context:?}");
                let [delivery] = &pair.server.take_all(rx)[..] else { panic!("one delivery") };
                assert_eq!(delivery.settled, settles, "{context:?}");
                pair.server.dispose(rx, delivery.key, DeliveryState::Released).unwrap();
                pair.drive();
                let expected =
                    if settles { Settlement::Sent } else { Settlement::Outcome(Some(DeliveryState::Released)) };
                assert_eq!(pair.client.settlements(), [(1, expected)], "{context:?}");
                // Nothing is left on either side: the tag and the ids are free.
                let told = pair.server.count(|event| matches!(event, Event::SettledBySender(..)));
                let second = rcv_settle_mode == ReceiverSettleMode::Second && !settles;
                assert_eq!(told, usize::from(second), "{context:?}");
            }
        }
    }
}

/// A peer that has not the terminus that was asked for uses the link all the same before it says why it refuses it.
#[test]
fn t_2_7_3_9_a_link_that_is_refused_is_not_used_before_its_detach() {
    // We send: there is no target, and credit.
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, sender("l")).unwrap();
    assert_eq!(peer.names(), ["attach"]);
    peer.send(0, Attach { target: None, ..attach("l", 0, Role::Receiver) });
    peer.send(0, credit(0, 10));
    assert!(peer.end.send(tx, message(1, 1), settled(1)).is_err());
    assert!(peer.end.begin_delivery(tx, unsettled(2)).is_err());
    assert!(peer.names().is_empty() && !peer.end.attached(tx));
    peer.send(0, Detach { handle: 0, closed: true, error: Some(error(ErrorCondition::NOT_FOUND)) });
    assert_eq!(peer.names(), ["detach"]);
    assert_eq!(peer.end.detached(tx).unwrap().error, Some(error(ErrorCondition::NOT_FOUND)));
    // We receive: there is no source, and a delivery.
    let (mut peer, session) = Peer::client_with_session();
    let rx = peer.end.attach_receiver(session, receiver("l", Credit::Manual(5))).unwrap();
    assert_eq!(peer.names(), ["attach"]);
    peer.send(0, Attach { source: None, ..attach("l", 0, Role::Sender) });
    assert!(peer.names().is_empty() && !peer.end.attached(rx), "no credit is granted");
    peer.send_payload(0, transfer(0, 0), HELLO);
    assert!(peer.end.take_all(rx).is_empty());
    assert!(!peer.names().contains(&"disposition"));
}

#[test]
fn t_2_7_3_9_a_link_without_the_terminus_at_an_end_carries_nothing() {
    for role in [Role::Sender, Role::Receiver] {
        let mut pair = Pair::open();
        pair.server.accept.links = None;
        let (session, _) = pair.session();
        let ours = match role {
            Role::Sender => pair.client.attach_sender(session, sender("l")).unwrap(),
            Role::Receiver => pair.client.attach_receiver(session, receiver("l", Credit::Manual(5))).unwrap(),
        };
        pair.drive();
        let theirs = pair.server.offered_links()[0];
        pair.server.reject_link(theirs, error(ErrorCondition::NOT_FOUND)).unwrap();
        assert_eq!(pair.server.send(theirs, message(1, 1), settled(1)), Err(SendError::Detached));
        assert_eq!(
            pair.client.send(ours, message(1, 1), settled(1)),
            Err(if role == Role::Sender { SendError::NoCredit } else { SendError::Detached })
        );
        pair.drive();
        assert!(!pair.client.attached(ours));
        assert_eq!(pair.client.detached(ours).unwrap().error.unwrap().condition, ErrorCondition::NOT_FOUND);
    }
}

/// Also T-2.7.4-5 for the sender's own count, T-2.7.4-9 for the one answer to several.
#[test]
fn t_2_7_4_8_an_answer_to_an_echo_asks_for_none() {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 10));
    let tx = peer.end.offered_links()[0];
    for token in 0..3 {
        peer.end.send(tx, message(1, 1), settled(token)).unwrap();
    }
    peer.read();
    let echo = frame(0, Flow { echo: true, next_incoming_id: Some(SequenceNo(3)), ..credit(0, 10) }, b"");
    peer.raw(&[&echo[..], &echo[..], &echo[..]].concat());
    let flows = flows(&peer.read());
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!((flow.echo, flow.delivery_count, flow.link_credit), (false, Some(SequenceNo(3)), Some(7)));
}

#[test]
fn t_2_7_4_6_a_receivers_flow_says_the_last_count_that_it_knows() {
    for first in [77, 0, u32::MAX].map(SequenceNo) {
        let mut peer = Peer::with_session();
        peer.send(0, Attach { initial_delivery_count: Some(first), ..attach("l", 0, Role::Sender) });
        let ours = flows(&peer.read());
        assert_eq!(ours[0].delivery_count, Some(first));
        peer.send_payload(0, transfer(0, 0), HELLO);
        peer.send(0, Flow { handle: Some(0), delivery_count: Some(first.next()), echo: true, ..session_flow(100) });
        assert_eq!(flows(&peer.read())[0].delivery_count, Some(first.next()));
    }
}

#[test]
fn t_2_7_5_5_a_format_that_is_not_said_is_0() {
    let mut peer = Peer::with_sender();
    peer.send_payload(0, Transfer { message_format: None, ..transfer(0, 0) }, HELLO);
    let rx = peer.end.offered_links()[0];
    assert_eq!(peer.end.recv(rx).unwrap().message_format, 0);
    peer.send_payload(0, Transfer { delivery_tag: None, ..transfer(0, 1) }, HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
}

/// In both directions. One octet more is a frame that cannot be read.
#[test]
fn t_2_7_5_6_a_tag_has_32_octets_at_most() {
    let longest = DeliveryTag::new(&[7; 32]).unwrap();
    assert!(DeliveryTag::new(&[7; 33]).is_err());
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 1), SendOptions { tag: Some(longest), ..unsettled(1) }).unwrap();
    pair.drive();
    assert_eq!(pair.server.take_all(rx)[0].tag, longest);
    let written = frames(&pair.client.written);
    assert!(
        written.iter().any(
            |(_, body, _)| matches!(body, Some(Performative::Transfer(sent)) if sent.delivery_tag == Some(longest))
        )
    );
    let mut peer = Peer::with_sender();
    let octets = frame(0, Transfer { delivery_tag: Some(longest), ..transfer(0, 0) }, HELLO);
    let at = octets.windows(2).position(|pair| pair == [0xa0, 32]).unwrap();
    // The tag, the list and the frame, each with an octet more.
    let mut long = octets.to_vec();
    long[at + 1] += 1;
    long.insert(at + 2, 7);
    (long[3], long[12]) = (long[3] + 1, long[12] + 1);
    peer.raw(&octets);
    let rx = peer.end.offered_links()[0];
    assert_eq!(peer.end.recv(rx).unwrap().tag, longest);
    peer.raw(&long);
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::DECODE_ERROR)));
}

/// Also T-2.6.14-4 and T-2.7.5-11: what an aborted transfer carries is nothing.
#[test]
fn t_2_7_5_10_aborted_wins_over_more() {
    let mut peer = Peer::with_sender();
    peer.send_payload(0, Transfer { more: true, aborted: true, ..transfer(0, 0) }, HELLO);
    peer.send_payload(0, transfer(0, 1), HELLO);
    let rx = peer.end.offered_links()[0];
    let deliveries = peer.end.take_all(rx);
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].tag, DeliveryTag::from(1_u32));
    // Ours never says both.
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.begin_delivery(tx, unsettled(1)).unwrap();
    pair.client.write(tx, body(0, 10)).unwrap();
    pair.drive();
    pair.client.abort(tx, 1).unwrap();
    pair.drive();
    let last = frames(&pair.client.written).into_iter().filter_map(|(_, body, _)| match body {
        Some(Performative::Transfer(transfer)) => Some(transfer),
        _ => None,
    });
    let last = last.last().unwrap();
    assert!(last.aborted && !last.more);
    // T-2.7.5-11: what it carries is of no size either, and is not handed out as a piece.
    for streamed in [false, true] {
        let mut peer = receiving(|reply| (reply.max_message_size, reply.streamed) = (Some(100), streamed));
        peer.send_payload(0, Transfer { more: true, ..transfer(0, 0) }, HELLO);
        peer.send_payload(0, Transfer { handle: 0, aborted: true, ..Transfer::default() }, &[0; 200]);
        assert_eq!(peer.refusal(), None);
        let rx = peer.end.offered_links()[0];
        let items: Vec<_> = std::iter::from_fn(|| peer.end.poll_stream(rx)).collect();
        match &items[..] {
            [StreamItem::Begin { .. }, StreamItem::Data(octets), StreamItem::Aborted] if streamed => {
                assert_eq!(octets, HELLO);
            }
            items => assert!(!streamed && items.is_empty(), "{items:?}"),
        }
    }
}

/// What one transfer asks for is of that delivery alone.
#[test]
fn t_2_7_5_13_a_transfer_may_ask_the_receiver_to_settle_first() {
    let of_mode_second = |streamed| {
        let mut peer = Peer::with_session();
        peer.end.accept.links = None;
        peer.send(0, Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..attach("l", 0, Role::Sender) });
        let rx = peer.end.offered_links()[0];
        let reply = AttachReply { streamed, ..AttachReply::echo(&peer.end.remote_attach(rx).unwrap()) };
        peer.end.accept_link(rx, reply).unwrap();
        peer.read();
        (peer, rx)
    };
    let modes = [Some(ReceiverSettleMode::First), None, Some(ReceiverSettleMode::Second)];
    let outcomes =
        [ACCEPTED, DeliveryState::Released, DeliveryState::Rejected(None), DeliveryState::Modified(Box::default())];
    for streamed in [false, true] {
        let (mut peer, rx) = of_mode_second(streamed);
        let each = modes.iter().flat_map(|mode| outcomes.iter().map(move |outcome| (*mode, outcome.clone())));
        for (id, (rcv_settle_mode, outcome)) in each.enumerate() {
            peer.send_payload(0, Transfer { rcv_settle_mode, ..transfer(0, id as u32) }, HELLO);
            let items = std::iter::from_fn(|| peer.end.poll_stream(rx)).collect::<Vec<_>>();
            let key = match items.first() {
                Some(StreamItem::Begin { key, .. }) => *key,
                _ => peer.end.recv(rx).unwrap().key,
            };
            peer.end.dispose(rx, key, outcome.clone()).unwrap();
            let frames = peer.read();
            let says = frames
                .iter()
                .find_map(|(_, body, _)| if let Performative::Disposition(d) = body { Some(d) } else { None })
                .unwrap();
            let settled = rcv_settle_mode == Some(ReceiverSettleMode::First);
            assert_eq!((says.settled, &says.state), (settled, &Some(outcome)), "{rcv_settle_mode:?} {streamed}");
        }
    }
    let (mut peer, rx) = of_mode_second(false);
    // Settled from the start: there is nothing to wait for.
    let transfer =
        Transfer { settled: Some(true), rcv_settle_mode: Some(ReceiverSettleMode::Second), ..transfer(0, 9) };
    peer.send_payload(0, transfer, HELLO);
    let delivery = peer.end.recv(rx).unwrap();
    peer.end.dispose(rx, delivery.key, ACCEPTED).unwrap();
    assert!(delivery.settled && !peer.names().contains(&"disposition"));
}

/// In either role: it changes nothing of what is said.
#[test]
fn t_2_7_5_17_batchable_is_a_hint() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    for (id, batchable) in [true, false].into_iter().enumerate() {
        peer.send_payload(0, Transfer { batchable, ..transfer(0, id as u32) }, HELLO);
        let key = peer.end.recv(rx).unwrap().key;
        peer.end.dispose(rx, key, ACCEPTED).unwrap();
        assert_eq!(peer.names(), ["disposition"]);
    }
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 1));
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.read();
    let settles = Disposition {
        role: Role::Receiver,
        settled: true,
        state: Some(ACCEPTED),
        batchable: true,
        ..Disposition::default()
    };
    peer.send(0, settles);
    assert_eq!(peer.end.settlements(), [(1, Settlement::Outcome(Some(ACCEPTED)))]);
}

#[test]
fn t_2_7_5_18_the_state_on_a_transfer_is_the_senders() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    let state = DeliveryState::Transactional(Box::default());
    peer.send_payload(0, Transfer { more: true, ..transfer(0, 0) }, b"\x00\x53\x75\xa0\x05");
    peer.send_payload(0, Transfer { state: Some(state.clone()), ..Transfer::default() }, b"hello");
    assert_eq!(peer.end.recv(rx).unwrap().state, Some(state));
    // Ours says it as well.
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 1));
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 1), SendOptions { state: Some(ACCEPTED), ..unsettled(1) }).unwrap();
    let sent = peer.read();
    let [(_, Performative::Transfer(transfer), _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(transfer.state, Some(ACCEPTED));
}

/// M-3.4-1, in both directions, however it is said again.
#[test]
fn m_3_4_1_a_state_that_is_final_stays() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    peer.send_payload(0, transfer(0, 0), HELLO);
    let key = peer.end.recv(rx).unwrap().key;
    peer.end.dispose(rx, key, ACCEPTED).unwrap();
    peer.end.dispose(rx, key, DeliveryState::Released).unwrap();
    let frames = peer.read();
    let [(_, Performative::Disposition(says), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(says.state, Some(ACCEPTED));
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 1));
    let tx = peer.end.offered_links()[0];
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    peer.read();
    for state in [ACCEPTED, DeliveryState::Released] {
        let says = Disposition { role: Role::Receiver, settled: true, state: Some(state), ..Disposition::default() };
        peer.send(0, says);
    }
    assert_eq!(peer.end.settlements(), [(1, Settlement::Outcome(Some(ACCEPTED)))]);
}

#[test]
fn t_2_7_8_1_an_end_may_say_why() {
    for why in [None, Some(error(ErrorCondition::INTERNAL_ERROR))] {
        let (mut peer, session) = Peer::client_with_session();
        peer.send(0, End { error: why.clone() });
        assert_eq!(peer.names(), ["end"]);
        assert_eq!(peer.end.ended_session(session).unwrap().error, why);
        // In answer to ours.
        let (mut peer, session) = Peer::client_with_session();
        peer.end.end(session, None).unwrap();
        assert_eq!(peer.names(), ["end"]);
        peer.send(0, End { error: why.clone() });
        assert_eq!(peer.end.ended_session(session).unwrap().error, why);
        // Ours, as the application says it.
        let (mut peer, session) = Peer::client_with_session();
        peer.end.end(session, why.clone()).unwrap();
        let frames = peer.read();
        let [(_, Performative::End(end), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(end.error, why);
    }
}

/// The keys of annotations that this end does not know are left to the application. That goes for those without `x-opt-`
/// as well, against M-3.2.10-3: IoT Hub uses them.
#[test]
fn m_3_2_10_2_an_annotation_that_is_not_known_is_no_reason_to_refuse() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    let message = amqp1_codec::Message::builder()
        .message_annotation(Symbol::from_static("x-opt-unknown"), 1_u32)
        .message_annotation(Symbol::from_static("iothub-enqueuedtime"), 2_u32)
        .data("x")
        .build();
    pair.client.send(tx, message, unsettled(1)).unwrap();
    pair.drive();
    let delivery = pair.server.recv(rx).unwrap();
    for key in ["x-opt-unknown", "iothub-enqueuedtime"] {
        assert!(delivery.message.message_annotation(key).unwrap().is_some(), "{key}");
    }
}

/// What a flow says in its properties, in both directions (§2.7.4): how a transaction's acquisitions begin and end.
#[test]
fn x_4_4_3_2_the_properties_of_flows_arrive_and_are_taken_back() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Manual(5));
    let mut properties = Fields::new();
    properties.insert(Symbol::from_static("txn-id"), Bytes::from_static(b"t1"));
    for properties in [properties, Fields::new()] {
        pair.server.forget();
        pair.client.set_flow_properties(rx, properties.clone()).unwrap();
        pair.drive();
        assert_eq!(pair.server.count(|event| matches!(event, Event::FlowProperties(id) if *id == tx)), 1);
        let expected = (!properties.is_empty()).then_some(properties);
        assert_eq!(pair.server.remote_flow_properties(tx), expected);
        assert_eq!(pair.server.credit(tx), 5, "credit stays");
    }
}
