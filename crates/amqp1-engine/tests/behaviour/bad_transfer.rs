//! Transfers that are wrong, and those that only look so (§2.6.14, §2.7.5).

use amqp1_codec::{
    DeliveryTag, Message, SequenceNo,
    definitions::{ErrorCondition, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::DeliveryState,
    performative::{Attach, Performative, Transfer},
    transaction::TransactionalState,
};
use amqp1_engine::{AttachReply, ConnectionConfig, Credit, Event, StreamItem, Tolerances, transaction::TxnId};
use amqp1_testkit::*;
use bytes::Bytes;

/// A continuation, which names nothing.
fn more_of(handle: u32, more: bool) -> Transfer {
    Transfer { handle, more, ..Transfer::default() }
}

fn first(id: u32) -> Transfer {
    Transfer { more: true, ..transfer(0, id) }
}

/// Feeds a delivery in pieces to a receiver.
fn pieces(transfers: impl IntoIterator<Item = (Transfer, &'static [u8])>) -> Peer {
    fed(Peer::with_sender(), transfers)
}

/// The same, to a receiver that hands them over whole, and to one that hands them over as they come.
fn pieces_both<'a>(transfers: impl IntoIterator<Item = (Transfer, &'a [u8])>) -> [Peer; 2] {
    let transfers: Vec<_> = transfers.into_iter().collect();
    [false, true].map(|streamed| fed(receiving(|reply| reply.streamed = streamed), transfers.clone()))
}

fn fed<'a>(mut peer: Peer, transfers: impl IntoIterator<Item = (Transfer, &'a [u8])>) -> Peer {
    for (transfer, payload) in transfers {
        peer.send_payload(0, transfer, payload);
    }
    peer
}

/// An engine with a link on which the peer sends, answered with this change.
pub(crate) fn receiving(change: impl FnOnce(&mut AttachReply)) -> Peer {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    let rx = peer.end.offered_links()[0];
    let mut reply = AttachReply::echo(&peer.end.remote_attach(rx).unwrap());
    change(&mut reply);
    peer.end.accept_link(rx, reply).unwrap();
    peer.read();
    peer
}

/// What the application got, whole.
fn got(peer: &mut Peer) -> Vec<Vec<u8>> {
    let rx = peer.end.offered_links()[0];
    let mut got: Vec<_> = peer.end.take_all(rx).iter().map(|delivery| data(&delivery.message).to_vec()).collect();
    let mut octets = Vec::new();
    while let Some(item) = peer.end.poll_stream(rx) {
        match item {
            StreamItem::Begin { .. } => octets.clear(),
            StreamItem::Data(piece) => octets.extend_from_slice(&piece),
            StreamItem::Aborted => {}
            StreamItem::End { .. } => {
                let message = Message::from_bytes(std::mem::take(&mut octets).into()).unwrap();
                got.push(data(&message).to_vec());
            }
        }
    }
    got
}

const HEL: &[u8] = b"\x00\x53\x75\xa0\x05hel";
const LO: &[u8] = b"lo";

#[test]
fn a_continuation_need_not_repeat_what_the_first_said() {
    let mut peer = pieces([(first(0), HEL), (more_of(0, true), b""), (more_of(0, false), LO)]);
    assert_eq!(got(&mut peer), [b"hello"]);
    let mut peer = pieces([(first(0), HEL), (transfer(0, 0), LO)]);
    assert_eq!(got(&mut peer), [b"hello"]);
    assert!(peer.names().is_empty());
}

#[test]
fn t_2_7_5_4_a_continuation_that_names_another_delivery_is_refused() {
    let other_tag = DeliveryTag::from(99u32);
    let wrong = [
        Transfer { delivery_id: Some(SequenceNo(1)), ..more_of(0, false) },
        Transfer { delivery_tag: Some(other_tag), ..more_of(0, false) },
        Transfer { message_format: Some(1), ..more_of(0, false) },
        // T-2.6.14-2: the next delivery before this one is whole.
        transfer(0, 1),
    ];
    for (second, aborted) in wrong.into_iter().flat_map(|second| [false, true].map(|aborted| (second.clone(), aborted)))
    {
        for mut peer in pieces_both([(first(0), HEL), (Transfer { aborted, ..second }, LO)]) {
            assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)), "{aborted}");
            assert!(!peer.end.is_closed());
        }
    }
}

#[test]
fn t_2_7_5_2_a_first_transfer_has_an_id_and_a_tag() {
    // Of the first delivery, and of one that follows another.
    for before in [0, 1] {
        let whole = transfer(0, before);
        for incomplete in [
            Transfer { delivery_id: None, ..whole.clone() },
            Transfer { delivery_tag: None, ..whole },
            more_of(0, true),
        ] {
            for settled in [None, Some(false), Some(true)] {
                let incomplete = Transfer { settled, ..incomplete.clone() };
                let earlier = (0..before).map(|id| (transfer(0, id), HELLO));
                for mut peer in pieces_both(earlier.chain([(incomplete.clone(), HELLO)])) {
                    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)), "{incomplete:?}");
                }
            }
        }
    }
    let mut peer = pieces([(Transfer { message_format: None, ..transfer(0, 0) }, HELLO)]);
    assert_eq!(got(&mut peer), [b"hello"], "T-2.7.5-5: no format is format 0");
    // Ours has both.
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 2));
    let tx = peer.end.offered_links()[0];
    for token in 0..2 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    let transfers: Vec<_> = peer.read().into_iter().map(|(_, body, _)| body).collect();
    let [Performative::Transfer(one), Performative::Transfer(two)] = &transfers[..] else { panic!("{transfers:?}") };
    assert_eq!((one.delivery_id, two.delivery_id), (Some(SequenceNo(0)), Some(SequenceNo(1))));
    assert!(one.delivery_tag.is_some() && two.delivery_tag.is_some() && one.delivery_tag != two.delivery_tag);
}

#[test]
fn t_2_7_5_3_gaps_in_ids_are_taken_and_repeats_are_not() {
    let mut peer = pieces([(transfer(0, 5), HELLO), (transfer(0, 9), HELLO), (transfer(0, u32::MAX / 2), HELLO)]);
    assert_eq!(got(&mut peer).len(), 3);
    for repeated in [7, 0, u32::MAX] {
        for mut peer in pieces_both([(transfer(0, 7), HELLO), (transfer(0, repeated), HELLO)]) {
            assert_eq!(peer.refusal(), Some(("end", ErrorCondition::NOT_ALLOWED)), "{repeated}");
        }
    }
}

#[test]
fn t_2_7_5_3_ids_wrap() {
    let mut peer = pieces((0..4).map(|at| (transfer(0, (u32::MAX - 1).wrapping_add(at)), HELLO)));
    assert_eq!(got(&mut peer).len(), 4);
    assert!(peer.names().is_empty());
}

#[test]
fn t_2_6_14_4_an_aborted_delivery_leaves_nothing() {
    let abort = Transfer { aborted: true, ..more_of(0, false) };
    // T-2.7.5-10: aborted wins over more.
    let both = Transfer { more: true, ..abort.clone() };
    // Even the first transfer may abort.
    let at_once = Transfer { aborted: true, ..transfer(0, 0) };
    for transfers in [
        vec![(first(0), HEL), (first(0), b""), (abort, HEL), (transfer(0, 1), HELLO)],
        vec![(first(0), HEL), (both, b""), (transfer(0, 1), HELLO)],
        vec![(at_once, b""), (transfer(0, 1), HELLO)],
    ] {
        for mut peer in pieces_both(transfers) {
            assert_eq!(got(&mut peer), [b"hello"]);
            assert!(!peer.names().contains(&"disposition"));
        }
    }
}

/// T-2.6.14-4: they count as settled.
#[test]
fn aborted_deliveries_use_credit_that_is_given_anew() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = Some(Credit::Window(4));
    peer.send(0, attach("l", 0, Role::Sender));
    for id in 0..40 {
        peer.send_payload(0, Transfer { aborted: true, ..transfer(0, id) }, b"");
    }
    assert!(!peer.names().contains(&"detach"));
}

#[test]
fn t_2_6_14_3_deliveries_of_two_links_interleave() {
    let mut peer = Peer::with_sender();
    peer.send(0, attach("m", 1, Role::Sender));
    peer.send_payload(0, first(0), HEL);
    peer.send_payload(0, Transfer { more: true, ..transfer(1, 1) }, HEL);
    peer.send_payload(0, more_of(0, false), LO);
    peer.send_payload(0, more_of(1, false), b"p!");
    let links = peer.end.offered_links();
    let bodies: Vec<_> = links.iter().map(|link| data(&peer.end.recv(*link).unwrap().message)).collect();
    assert_eq!(bodies, [&b"hello"[..], b"help!"]);
}

/// Also T-2.8.18-1.
#[test]
fn t_2_7_3_16_a_message_above_our_maximum_detaches() {
    for (length, fine, streamed) in [(10, true, false), (11, false, false), (10, true, true), (11, false, true)] {
        let mut peer = receiving(|reply| (reply.max_message_size, reply.streamed) = (Some(10), streamed));
        let octets = [HELLO, b"x"].concat();
        let (one, rest) = octets[..length].split_at(6);
        peer.send_payload(0, first(0), one);
        peer.send_payload(0, more_of(0, true), rest);
        let expected = (!fine).then_some(("detach", ErrorCondition::MESSAGE_SIZE_EXCEEDED));
        assert_eq!(peer.refusal(), expected, "{length} {streamed}");
        // In one transfer, which is the last or not, and within a transaction or not.
        let txn_id = Bytes::from_static(&[7; TxnId::MAX]);
        let posting = DeliveryState::Transactional(Box::new(TransactionalState { txn_id, outcome: None }));
        for (more, state) in [(false, None), (true, None), (false, Some(posting.clone())), (true, Some(posting))] {
            let mut peer = receiving(|reply| (reply.max_message_size, reply.streamed) = (Some(10), streamed));
            peer.send_payload(0, Transfer { more, state, ..first(0) }, &octets[..length]);
            assert_eq!(peer.refusal(), expected, "{length} {streamed} {more}");
        }
    }
}

#[test]
fn t_2_7_5_1_a_transfer_on_an_unattached_handle_ends_the_session() {
    for unattached in [
        transfer(42, 0),
        Transfer { settled: Some(false), ..transfer(42, 0) },
        Transfer { settled: Some(true), ..transfer(42, 0) },
        Transfer { more: true, ..transfer(42, 0) },
        Transfer { aborted: true, ..transfer(42, 0) },
        more_of(42, false),
    ] {
        let mut peer = pieces([(unattached.clone(), HELLO)]);
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)), "{unattached:?}");
    }
}

#[test]
fn a_transfer_from_a_receiver_detaches() {
    let mut peer = Peer::with_receiver();
    peer.send_payload(0, transfer(0, 0), HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)));
}

#[test]
fn t_2_7_5_7_settled_sticks_from_whichever_transfer_says_it() {
    let settled = |transfer: Transfer| Transfer { settled: Some(true), ..transfer };
    for delivery in
        [[(settled(first(0)), HEL), (more_of(0, false), LO)], [(first(0), HEL), (settled(more_of(0, false)), LO)]]
    {
        let [mut peer, mut streamed] = pieces_both(delivery);
        let rx = streamed.end.offered_links()[0];
        let items: Vec<_> = std::iter::from_fn(|| streamed.end.poll_stream(rx)).collect();
        assert!(matches!(items.last(), Some(StreamItem::End { settled: true })), "{items:?}");
        let Some(StreamItem::Begin { key, .. }) = items.first() else { panic!("{items:?}") };
        assert!(!streamed.end.is_unsettled(rx, *key));
        streamed.end.dispose(rx, *key, DeliveryState::Accepted).unwrap();
        assert!(streamed.names().is_empty(), "there is nothing to settle");
        let rx = peer.end.offered_links()[0];
        let delivery = peer.end.recv(rx).unwrap();
        assert!(delivery.settled);
        peer.end.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
        assert!(peer.names().is_empty(), "there is nothing to settle");
    }
}

/// Also T-2.6.13-1.
#[test]
fn t_2_7_5_14_what_resumes_an_unknown_delivery_is_ignored() {
    let resumed = Transfer { resume: true, ..first(0) };
    let transfers = [(resumed, HEL), (more_of(0, false), LO), (transfer(0, 1), HELLO)];
    assert_eq!(pieces(transfers.clone()).end.count(|event| matches!(event, Event::Receivable(_))), 1);
    for mut peer in pieces_both(transfers.clone()) {
        assert_eq!(got(&mut peer), [b"hello"]);
        assert!(!peer.names().contains(&"disposition"));
    }
    // Nothing of it is handed out as it comes, not even that it has begun.
    let [_, mut streamed] = pieces_both(transfers[..2].to_vec());
    let rx = streamed.end.offered_links()[0];
    assert!(streamed.end.poll_stream(rx).is_none());
    assert_eq!(streamed.end.count(|event| matches!(event, Event::Receivable(_))), 0);
}

#[test]
fn t_2_7_5_12_a_transfer_that_asks_for_mode_second_on_a_link_of_mode_first_ends_it() {
    let second = Transfer { rcv_settle_mode: Some(ReceiverSettleMode::Second), ..transfer(0, 0) };
    for mut peer in pieces_both([(second.clone(), HELLO)]) {
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
        assert!(got(&mut peer).is_empty());
    }
    // Of a delivery that is sent settled it says nothing.
    let settled = Transfer { settled: Some(true), ..second };
    let mut peer = pieces([(settled, HELLO)]);
    assert_eq!((peer.refusal(), got(&mut peer).len(), peer.end.second_on_first()), (None, 1, 0));
}

#[test]
fn t_2_7_5_9_a_settled_transfer_on_a_link_of_mode_unsettled_ends_it_unless_it_is_tolerated() {
    let settled = Transfer { settled: Some(true), ..transfer(0, 0) };
    let more = Transfer { more: true, ..transfer(0, 0) };
    let (unsettled, mixed) = (SenderSettleMode::Unsettled, SenderSettleMode::Mixed);
    let refused = Some(("detach", ErrorCondition::INVALID_FIELD));
    for (tolerances, mode, transfers, refusal) in [
        (Tolerances::STRICT, unsettled, vec![settled.clone()], refused.clone()),
        (Tolerances::STRICT, unsettled, vec![more, settled.clone()], refused),
        (Tolerances::STRICT, unsettled, vec![Transfer { aborted: true, ..settled.clone() }], None),
        (Tolerances::STRICT, mixed, vec![settled.clone()], None),
        (Tolerances::CLIENT, unsettled, vec![settled.clone()], None),
        (Tolerances::ACCEPTOR, unsettled, vec![settled], None),
    ] {
        let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
        let mut peer = Peer::with(config).open();
        peer.send(0, begin());
        peer.send(0, Attach { snd_settle_mode: mode, ..attach("l", 0, Role::Sender) });
        peer.read();
        for transfer in transfers {
            peer.send_payload(0, transfer, HELLO);
        }
        assert_eq!(peer.refusal(), refusal, "{mode:?}");
    }
}

/// The delivery is settled as the link has it.
#[test]
fn mode_second_on_a_link_of_mode_first_is_counted_where_it_is_tolerated() {
    for preset in [Tolerances::CLIENT, Tolerances::ACCEPTOR] {
        assert!(preset.second_on_first);
    }
    let config = ConnectionConfig { tolerances: Tolerances::ALL, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Sender));
    peer.read();
    let second = Transfer { rcv_settle_mode: Some(ReceiverSettleMode::Second), ..transfer(0, 0) };
    peer.send_payload(0, second, HELLO);
    peer.send_payload(0, transfer(0, 1), HELLO);
    assert_eq!(peer.end.second_on_first(), 1);
    let rx = peer.end.offered_links()[0];
    let key = peer.end.recv(rx).unwrap().key;
    peer.end.dispose(rx, key, DeliveryState::Accepted).unwrap();
    let frames = peer.read();
    let Performative::Disposition(disposition) = &frames[0].1 else { panic!("{frames:?}") };
    assert!(disposition.settled);
}

#[test]
fn t_rob_3_a_delivery_of_very_many_transfers_is_refused() {
    // Whether they are empty or not, and whatever the first of them says.
    let is_settled = Transfer { settled: Some(true), ..first(0) };
    let is_unknown = Transfer { resume: true, ..first(0) };
    for (begins, payload) in [(first(0), &b""[..]), (first(0), b"x"), (is_settled, b"x"), (is_unknown, b"")] {
        let mut peer = Peer::with_sender();
        peer.send_payload(0, begins.clone(), HEL);
        let many: Vec<u8> = (0..1000).flat_map(|_| frame(0, more_of(0, true), payload)).collect();
        let mut refusal = None;
        for _ in 0..270 {
            peer.end.input.extend_from_slice(&many);
            peer.end.take_input(peer.now);
            // Nothing but flows and the refusal is said; old ones are of no interest.
            peer.end.written.clear();
            let octets = peer.end.output(peer.now, 4096);
            refusal = refusal.or_else(|| refusal_of(&octets));
        }
        assert_eq!(refusal, Some(ErrorCondition::RESOURCE_LIMIT_EXCEEDED), "{begins:?} {payload:?}");
    }
}

fn refusal_of(octets: &[u8]) -> Option<ErrorCondition> {
    let frames: Vec<_> = frames(octets).into_iter().filter_map(|(c, body, p)| Some((c, body?, p))).collect();
    refusal(&frames).map(|(_, condition)| condition)
}

#[test]
fn some_overrun_of_credit_is_taken_where_it_is_tolerated() {
    let config = ConnectionConfig { tolerances: Tolerances::ALL, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.end.accept.links = Some(Credit::Manual(1));
    peer.send(0, attach("l", 0, Role::Sender));
    for id in 0..50 {
        peer.send_payload(0, transfer(0, id), HELLO);
    }
    assert_eq!(got(&mut peer).len(), 50);
    let many: Vec<u8> = (50..2000).flat_map(|id| frame(0, transfer(0, id), HELLO)).collect();
    peer.raw(&many);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::TRANSFER_LIMIT_EXCEEDED)));
}
