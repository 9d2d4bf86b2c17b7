//! The transfers that windows and transfer-ids count (§2.5.6): all of them, kept or not.

use crate::window::{begun_by_the_peer_with, receiving, receiving_streamed, sending};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Begin, Flow, Performative, Transfer},
};
use amqp1_engine::{AttachReply, ConnectionConfig, Credit, LinkId, SessionConfig};
use amqp1_testkit::*;

/// Frames without a message use it too: those of a delivery that is given up, and those that are discarded.
#[test]
fn t_2_5_6_7_frames_of_which_nothing_is_kept_use_the_window() {
    let part = |id| Transfer { more: true, ..transfer(0, id) };
    let given_up = Transfer { aborted: true, ..Transfer::default() };
    let mut peer = receiving(4);
    peer.send_payload(0, part(0), HELLO);
    peer.send(0, given_up.clone());
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((flow.next_incoming_id, flow.incoming_window), (Some(SequenceNo(2)), 4));
    // Behind a detach of ours that the peer has not seen.
    let mut peer = receiving(4);
    let rx = peer.end.offered_links()[0];
    peer.end.detach(rx, true, None).unwrap();
    assert_eq!(peer.names(), ["detach"]);
    peer.send_payload(0, transfer(0, 0), HELLO);
    peer.send_payload(0, transfer(0, 1), HELLO);
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((flow.next_incoming_id, flow.incoming_window), (Some(SequenceNo(2)), 4));
    // One that this end gives up waits for the window, and uses it.
    let (mut peer, tx) = sending(1);
    peer.end.begin_delivery(tx, unsettled(0)).unwrap();
    peer.end.write(tx, body(1, 100)).unwrap();
    assert_eq!(peer.names(), ["transfer"]);
    peer.end.abort(tx, 0).unwrap();
    peer.end.send(tx, message(1, 1), unsettled(1)).unwrap();
    assert!(peer.names().is_empty());
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(1)), ..session_flow(1) });
    let frames = peer.read();
    let [(_, Performative::Transfer(last), _)] = &frames[..] else { panic!("{frames:?}") };
    assert!(last.aborted);
    // Each has an id, which flows tell.
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(2)), echo: true, ..session_flow(0) });
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(flow.next_outgoing_id, SequenceNo(2));
}

/// Aborted deliveries count, and those that come behind our detach.
#[test]
fn t_2_5_6_5_transfers_that_are_discarded_keep_to_our_window_too() {
    let aborted = |id| Transfer { aborted: true, ..transfer(0, id) };
    for (streamed, detached, aborts) in
        [(false, false, true), (true, false, true), (false, true, false), (true, true, false), (false, true, true)]
    {
        for (count, refused) in [(5, false), (6, true)] {
            let mut peer = receiving_streamed(5, streamed);
            if detached {
                let rx = peer.end.offered_links()[0];
                peer.end.detach(rx, true, None).unwrap();
                peer.flush();
            }
            let kind = |id| if aborts { aborted(id) } else { transfer(0, id) };
            let octets: Vec<u8> = (0..count).flat_map(|id| frame(0, kind(id), HELLO)).collect();
            peer.raw(&octets);
            let expected = refused.then_some(("end", ErrorCondition::WINDOW_VIOLATION));
            assert_eq!(peer.refusal(), expected, "{streamed} {detached} {aborts} {count}");
        }
    }
}

/// A way to send something on a link.
type Send = fn(&mut Peer, LinkId);

/// Each frame of a delivery counts, sent settled or not.
#[test]
fn t_2_5_6_1_transfers_of_each_kind_are_counted_by_the_sender() {
    let first = SequenceNo(u32::MAX - 2);
    let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("ours") };
    let mut peer = Peer::with(config).open();
    peer.end.accept.sessions = Some(SessionConfig { next_outgoing_id: first, ..SessionConfig::default() });
    let counted = |count| Flow { next_incoming_id: Some(first.plus(count)), ..session_flow(1000) };
    let (mut peer, tx) = begun_by_the_peer_with(peer, counted(0));
    let steps: [(&str, Send); 5] = [
        ("unsettled", |peer, tx| peer.end.send(tx, message(1, 1), unsettled(0)).unwrap()),
        ("settled", |peer, tx| peer.end.send(tx, message(1, 1), settled(1)).unwrap()),
        ("in frames", |peer, tx| peer.end.send(tx, message(1, 1500), unsettled(2)).unwrap()),
        ("settled, in frames", |peer, tx| peer.end.send(tx, message(1, 1500), settled(3)).unwrap()),
        ("given up", |peer, tx| {
            peer.end.begin_delivery(tx, unsettled(4)).unwrap();
            peer.end.write(tx, body(1, 100)).unwrap();
            peer.flush();
            peer.end.abort(tx, 4).unwrap();
        }),
    ];
    let mut count = 0;
    for (name, step) in steps {
        step(&mut peer, tx);
        let names = peer.names();
        assert!(!names.is_empty() && names.iter().all(|name| *name == "transfer"), "{name}: {names:?}");
        count += u32::try_from(names.len()).unwrap();
        peer.send(0, Flow { echo: true, ..counted(count) });
        let frames = peer.read();
        let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{name}: {frames:?}") };
        assert_eq!(flow.next_outgoing_id, first.plus(count), "{name}");
    }
    assert_eq!(count, 1 + 1 + 4 + 4 + 2);
}

/// On streamed links and on others.
#[test]
fn t_2_5_6_2_transfers_of_each_kind_are_counted_by_the_receiver() {
    for streamed in [false, true] {
        let first = SequenceNo(u32::MAX - 2);
        let mut peer = Peer::fresh().open();
        peer.end.accept.links = None;
        peer.send(0, Begin { next_outgoing_id: first, ..begin() });
        peer.send(0, attach("l", 0, Role::Sender));
        let rx = peer.end.offered_links()[0];
        let reply = AttachReply { streamed, ..AttachReply::echo(&peer.end.remote_attach(rx).unwrap()) };
        peer.end.accept_link(rx, reply).unwrap();
        let transfers = [
            transfer(0, 0),
            Transfer { settled: Some(true), ..transfer(0, 1) },
            Transfer { more: true, ..transfer(0, 2) },
            Transfer { more: true, ..Transfer::default() },
            Transfer::default(),
            Transfer { more: true, ..transfer(0, 3) },
            Transfer { aborted: true, ..Transfer::default() },
            transfer(0, 4),
        ];
        peer.read();
        for (count, transfer) in (1..).zip(transfers) {
            peer.send_payload(0, transfer, HELLO);
            assert!(peer.names().is_empty());
            // New credit makes the engine send a flow.
            peer.end.set_credit(rx, Credit::Manual(100 + count)).unwrap();
            let frames = peer.read();
            let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
            assert_eq!(flow.next_incoming_id, Some(first.plus(count)), "{count} {streamed}");
        }
    }
}
