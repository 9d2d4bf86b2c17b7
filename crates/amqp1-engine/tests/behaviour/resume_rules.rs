//! Rules of links that are resumed, where the end that attaches first resumes and where the one that answers does
//! (§2.6.13).

use crate::{
    corners::outcomes,
    resume::{Resumable, suspended_receiver, suspended_sender, tag, unsettled_map, worked_example},
};
use amqp1_codec::{
    DeliveryTag, SequenceNo, Value,
    definitions::{ReceiverSettleMode, Role},
    messaging::DeliveryState::{self, Accepted},
    performative::{Attach, Detach, Disposition, Flow, Performative, Transfer, Unsettled},
};
use amqp1_engine::{
    AttachReply, Credit, LinkId, ReceivedSoFar, ReceiverConfig, SenderConfig, SessionId, Settlement, Suspended,
    SuspendedReceiver,
};
use amqp1_testkit::*;
use bytes::Bytes;

/// Where a sender begins to count.
const FIRST: SequenceNo = SequenceNo(40);

/// The state that an end has kept of the link.
fn kept(peer: &Peer, link: LinkId) -> Suspended {
    peer.end.detached(link).expect("the link is over").suspended.expect("something is kept")
}

/// An engine that goes on with what it has kept, on a link `l` with handle 0 at both ends. The peer's attach has this
/// map. Also the engine's attach.
fn resumed(
    peer: &mut Peer,
    session: SessionId,
    asks: bool,
    suspended: Suspended,
    theirs: Option<Unsettled>,
) -> (LinkId, Attach) {
    peer.read();
    let role = if matches!(suspended, Suspended::Sender(_)) { Role::Sender } else { Role::Receiver };
    let theirs = Attach { unsettled: theirs, ..attach("l", 0, role.opposite()) };
    let link = if asks {
        let link = match suspended {
            Suspended::Sender(kept) => {
                let config = SenderConfig { resume: Some(kept), resumable: true, ..sender("l") };
                peer.end.attach_sender(session, config)
            }
            Suspended::Receiver(kept) => {
                let config =
                    ReceiverConfig { resume: Some(kept), resumable: true, ..receiver("l", Credit::Manual(100)) };
                peer.end.attach_receiver(session, config)
            }
        };
        peer.send(0, theirs);
        link.unwrap()
    } else {
        peer.end.accept.links = None;
        peer.send(0, theirs);
        let link = *peer.end.offered_links().last().unwrap();
        let reply = AttachReply { resumable: true, ..AttachReply::echo(&peer.end.remote_attach(link).unwrap()) };
        let reply = match suspended {
            Suspended::Sender(kept) => AttachReply { resume_sender: Some(kept), ..reply },
            Suspended::Receiver(kept) => AttachReply { resume_receiver: Some(kept), ..reply },
        };
        peer.end.accept_link(link, reply).unwrap();
        link
    };
    let ours = peer.read().into_iter().find_map(|(_, body, _)| match body {
        Performative::Attach(attach) => Some(*attach),
        _ => None,
    });
    (link, ours.expect("an attach"))
}

/// The first transfers of the deliveries among what the engine has written.
fn begun(peer: &mut Peer) -> Vec<Transfer> {
    let transfers = peer.read().into_iter().filter_map(|(_, body, _)| match body {
        Performative::Transfer(transfer) if transfer.delivery_tag.is_some() => Some(transfer),
        _ => None,
    });
    transfers.collect()
}

/// Of a sender, every delivery; of a receiver, those of which it holds something, or has decided. Also M-3.4.6-15.
#[test]
fn t_2_6_3_6_an_end_with_state_names_it_whichever_end_attaches_first() {
    let of_sender = unsettled_map((1..).zip(worked_example().into_iter().map(|(ours, _)| ours)));
    let of_receiver =
        unsettled_map((1..).zip(worked_example()).filter_map(|(number, (_, ours))| Some((number, Some(ours??)))));
    for asks in [true, false] {
        for (suspended, expected) in [
            (Suspended::Sender(suspended_sender()), &of_sender),
            (Suspended::Receiver(suspended_receiver()), &of_receiver),
        ] {
            let (mut peer, session) = Peer::client_with_session();
            let (_, ours) = resumed(&mut peer, session, asks, suspended, Some(Unsettled::new()));
            assert_eq!(&ours.unsettled, expected, "asks: {asks}, {:?}", ours.role);
            assert!(!ours.incomplete_unsettled, "asks: {asks}");
        }
    }
}

/// A delivery is named again at each endpoint that follows, and has another id there.
#[test]
fn t_2_6_13_3_a_delivery_is_resumed_as_often_as_its_link_is_suspended() {
    let mut link = Resumable::new(ReceiverSettleMode::Second);
    let (mut tx, mut rx) = link.attach();
    link.pair.client.send(tx, message(1, 1500), unsettled(1)).unwrap();
    link.pair.drive();
    for round in 0..3 {
        link.lose(tx, rx);
        assert!(link.outcomes.is_empty(), "{round}: {:?}", link.outcomes);
        assert_eq!(link.sender.as_ref().map(|kept| kept.deliveries.len()), Some(1), "{round}");
        (tx, rx) = link.attach();
        let resumed: Vec<_> = frames(&link.pair.client.written)
            .into_iter()
            .filter_map(|(_, body, _)| match body {
                Some(Performative::Transfer(transfer)) => Some((transfer.resume, transfer.delivery_tag)),
                _ => None,
            })
            .collect();
        assert_eq!(resumed, [(true, Some(DeliveryTag::from(0_u32)))], "{round}");
    }
    link.take(rx);
    assert_eq!(link.taken.len(), 1);
    assert_eq!(link.pair.client.settlements(), [(1, Settlement::Outcome(Some(Accepted)))]);
}

/// Resumed ones too, and those that are only given up. Also T-2.6.7-4: they wait for credit.
#[test]
fn t_2_6_7_1_every_resumed_delivery_uses_a_credit() {
    for asks in [true, false] {
        // Five of the fourteen are resumed with a message, four with an outcome, two given up, and four are sent again.
        let (mut peer, session) = Peer::client_with_session();
        let theirs =
            unsettled_map((1..).zip(worked_example()).filter_map(|(number, (_, state))| Some((number, state?))));
        resumed(&mut peer, session, asks, Suspended::Sender(suspended_sender()), theirs);
        let mut sent = 0;
        for credit_ in [0, 1, 3, 7, 8, 14, 20] {
            peer.send(0, credit(0, credit_));
            sent += begun(&mut peer).len();
            assert_eq!(sent, credit_.min(15) as usize, "asks: {asks}");
            peer.send(0, Flow { echo: true, ..credit(0, credit_) });
            let frames = peer.read();
            let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
            assert_eq!(flow.delivery_count, Some(SequenceNo(credit_.min(15))), "asks: {asks}");
            assert_eq!(flow.link_credit, Some(credit_.saturating_sub(15)), "asks: {asks}");
        }
        // The receiving end: what it knows, what it does not know, what is given up, and what is new.
        let (mut peer, session) = Peer::client_with_session();
        let theirs = unsettled_map((1..15).map(|number| (number, None)));
        let (rx, _) = resumed(&mut peer, session, asks, Suspended::Receiver(suspended_receiver()), theirs);
        peer.end.set_credit(rx, Credit::Manual(10)).unwrap();
        peer.read();
        let named = |number, id| Transfer { delivery_tag: Some(tag(number)), resume: true, ..transfer(0, id) };
        let transfers = [
            named(4, 0),
            named(77, 1),
            Transfer { aborted: true, ..named(7, 2) },
            Transfer { settled: Some(true), ..named(3, 3) },
            transfer(0, 4),
        ];
        for (transfer, count) in transfers.into_iter().zip(1..) {
            peer.send_payload(0, transfer, HELLO);
            peer.read();
            peer.send(0, Flow { echo: true, link_credit: None, delivery_count: None, ..credit(0, 0) });
            let frames = peer.read();
            let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
            let state = (flow.delivery_count, flow.link_credit);
            assert_eq!(state, (Some(SequenceNo(count)), Some(10 - count)), "asks: {asks}");
        }
    }
}

/// The tag that the engine chooses for a new delivery is not that of one that it has resumed.
#[test]
fn t_2_6_12_1_tags_stay_unique_when_a_link_is_resumed() {
    for (part, asks) in Part::of(Role::Sender).flat_map(|part| [(part, true), (part, false)]) {
        let (mut peer, tx) = part.resumable_link(FIRST, Credit::Manual(0));
        let session = peer.end.session_of(tx).unwrap();
        peer.send(0, Flow { delivery_count: Some(FIRST), ..credit(0, 10) });
        for token in 0..2 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        let before: Vec<_> = begun(&mut peer).into_iter().map(|transfer| transfer.delivery_tag.unwrap()).collect();
        peer.send(0, Detach { handle: 0, closed: false, error: None });
        let suspended = kept(&peer, tx);
        let theirs = before.iter().map(|tag| (*tag, Value::Null)).collect();
        let (tx, _) = resumed(&mut peer, session, asks, suspended, Some(theirs));
        peer.send(0, Flow { next_incoming_id: Some(SequenceNo(2)), ..credit(0, 10) });
        for token in 2..4 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        let tags: Vec<_> = begun(&mut peer).into_iter().map(|transfer| transfer.delivery_tag.unwrap()).collect();
        assert_eq!(tags[..2], before, "{part:?} {asks}");
        assert!(tags[2] != tags[3] && tags[2..].iter().all(|tag| !before.contains(tag)), "{part:?} {asks}: {tags:?}");
    }
}

/// Each outcome of the receiver's, settled or not, and a settlement without one. What the application has kept is not
/// sent again, also if it has not taken these deliveries out.
#[test]
fn t_2_6_4_2_deliveries_of_a_detached_link_are_settled_by_their_ids() {
    let states = outcomes().into_iter().flat_map(|state| [(Some(state.clone()), true), (Some(state), false)]);
    for (state, is_settled) in states.chain([(None, true)]) {
        for (part, asks) in Part::of(Role::Sender).flat_map(|part| [(part, true), (part, false)]) {
            let what = format!("{part:?} {asks} {state:?} {is_settled}");
            let (mut peer, tx) = part.resumable_link(FIRST, Credit::Manual(0));
            let session = peer.end.session_of(tx).unwrap();
            peer.send(0, Flow { delivery_count: Some(FIRST), ..credit(0, 10) });
            for token in 0..3 {
                peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
            }
            let last = begun(&mut peer)[2].delivery_tag.unwrap();
            peer.send(0, Detach { handle: 0, closed: false, error: None });
            peer.read();
            let says = Disposition {
                role: Role::Receiver,
                first: SequenceNo(0),
                last: Some(SequenceNo(1)),
                settled: is_settled,
                state: state.clone(),
                ..Disposition::default()
            };
            peer.send(0, says);
            let outcome = |token| (token, Settlement::Outcome(state.clone()));
            assert_eq!(peer.end.settlements(), [outcome(0), outcome(1)], "{what}");
            // A receiver that waits for us to settle is answered.
            let answers: Vec<_> = peer
                .read()
                .into_iter()
                .filter_map(|(_, body, _)| match body {
                    Performative::Disposition(says) => Some((says.role, says.first, says.last, says.settled)),
                    _ => None,
                })
                .collect();
            let answer = (Role::Sender, SequenceNo(0), Some(SequenceNo(1)), true);
            assert_eq!(answers, Vec::from_iter((!is_settled).then_some(answer)), "{what}");
            let suspended = kept(&peer, tx);
            let theirs = [(last, Value::Null)].into_iter().collect();
            resumed(&mut peer, session, asks, suspended, Some(theirs));
            peer.send(0, Flow { next_incoming_id: Some(SequenceNo(3)), ..credit(0, 10) });
            let sent: Vec<_> = begun(&mut peer).into_iter().map(|sent| (sent.resume, sent.delivery_tag)).collect();
            assert_eq!(sent, [(true, Some(last))], "{what}");
            assert_eq!(peer.end.settled.len(), 2, "{what}");
        }
    }
}

/// What has come whole and was not taken exists only here, and is handed out. A part of a message is nothing.
#[test]
fn t_2_6_13_2_of_what_the_sender_has_forgotten_whole_messages_are_handed_out_and_nothing_is_kept() {
    let received = |octets: &'static [u8], whole, taken, outcome: Option<DeliveryState>| ReceivedSoFar {
        message_format: 0,
        parts: vec![Bytes::from_static(octets)],
        whole,
        taken,
        outcome,
    };
    for asks in [true, false] {
        let mut suspended = SuspendedReceiver::new();
        suspended.deliveries.extend([
            (tag(1), received(HELLO, true, false, None)),
            (tag(2), received(HELLO, true, true, None)),
            (tag(3), received(HELLO, true, true, Some(Accepted))),
            (tag(4), received(&HELLO[..5], false, false, None)),
        ]);
        let (mut peer, session) = Peer::client_with_session();
        let suspended = Suspended::Receiver(suspended);
        let (rx, _) = resumed(&mut peer, session, asks, suspended, Some(Unsettled::new()));
        let handed_out: Vec<_> = peer.end.take_all(rx).iter().map(|it| (it.tag, it.settled, it.resumed)).collect();
        assert_eq!(handed_out, [(tag(1), true, true)], "asks: {asks}");
        peer.send(0, Detach { handle: 0, closed: false, error: None });
        match kept(&peer, rx) {
            Suspended::Receiver(left) => assert!(left.is_empty(), "asks: {asks}, {:?}", left.deliveries),
            Suspended::Sender(left) => panic!("{:?}", left.deliveries),
        }
    }
}
