//! Session windows (§2.5.6).

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Attach, Begin, Flow, Performative, Transfer},
};
use amqp1_engine::{ConnectionConfig, Credit, LinkId, SessionConfig};
use amqp1_testkit::*;

/// A server that sends to a peer with a window of this many transfers.
fn sending(window: u32) -> (Peer, LinkId) {
    begun_by_the_peer(Peer::fresh().open(), window)
}

/// A session and a link that the peer begins, with a window of this many transfers.
fn begun_by_the_peer(mut peer: Peer, window: u32) -> (Peer, LinkId) {
    peer.send(0, Begin { incoming_window: window, ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, Flow { incoming_window: window, ..credit(0, 100) });
    peer.read();
    let tx = peer.end.offered_links()[0];
    (peer, tx)
}

/// A server that receives in a session with a window of this many transfers.
fn receiving(window: u32) -> Peer {
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = Some(SessionConfig { incoming_window: window, ..SessionConfig::default() });
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Sender));
    peer.read();
    peer
}

#[test]
fn t_2_5_6_3_transfers_stop_at_the_peers_window() {
    let (mut peer, tx) = sending(2);
    for token in 0..5 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    assert_eq!(peer.names(), ["transfer"; 2]);
    // The peer has seen one of them: one more fits.
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(1)), ..session_flow(2) });
    assert_eq!(peer.names(), ["transfer"; 1]);
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(3)), ..session_flow(2) });
    assert_eq!(peer.names(), ["transfer"; 2]);
}

/// Also T-2.5.6-3: the window is one of transfers, not of messages.
#[test]
fn t_2_5_6_7_each_frame_of_a_delivery_uses_the_window() {
    let config = ConnectionConfig { outgoing_frame_cap: 512, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, Begin { incoming_window: 1, ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, Flow { incoming_window: 1, ..credit(0, 100) });
    peer.read();
    let tx = peer.end.offered_links()[0];
    // T-2.6.14-5: it takes one credit, and a window of one suffices to begin it.
    peer.end.send(tx, message(1, 1500), unsettled(0)).unwrap();
    for seen in 1..=4 {
        assert_eq!(peer.names(), ["transfer"], "frame {seen}");
        peer.send(0, Flow { next_incoming_id: Some(SequenceNo(seen)), ..session_flow(1) });
    }
    assert!(peer.names().is_empty());
    assert_eq!(peer.end.credit(tx), 99);
    // Also of the window of this end, which is opened again when half of it is used.
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = Some(SessionConfig { incoming_window: 4, ..SessionConfig::default() });
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Sender));
    peer.read();
    let more = || Transfer { more: true, ..transfer(0, 0) };
    peer.send_payload(0, more(), HELLO);
    assert!(peer.names().is_empty());
    peer.send_payload(0, more(), HELLO);
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((flow.next_incoming_id, flow.incoming_window), (Some(SequenceNo(2)), 4));
}

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

#[test]
fn t_2_5_6_8_an_exhausted_window_does_not_become_huge() {
    let (mut peer, tx) = sending(3);
    for token in 0..10 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    assert_eq!(peer.names().len(), 3);
    // An old flow: three were allowed from 0 on, and three are sent; then even less.
    peer.send(0, session_flow(3));
    peer.send(0, session_flow(1));
    assert!(peer.names().is_empty());
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(3)), ..session_flow(u32::MAX) });
    assert_eq!(peer.names().len(), 7);
}

/// Wherever we begin to count.
#[test]
fn t_2_5_6_4_a_peer_that_has_not_seen_our_begin_counts_from_our_first_transfer() {
    for first in [0, 77, u32::MAX - 1] {
        let mut peer = Peer::fresh().open();
        let next_outgoing_id = SequenceNo(first);
        peer.end.accept.sessions = Some(SessionConfig { next_outgoing_id, ..SessionConfig::default() });
        peer.send(0, Begin { incoming_window: 2, ..begin() });
        peer.send(0, attach("l", 0, Role::Receiver));
        peer.send(0, Flow { next_incoming_id: None, incoming_window: 2, ..credit(0, 100) });
        peer.read();
        let tx = peer.end.offered_links()[0];
        peer.end.send(tx, message(1, 1), unsettled(0)).unwrap();
        peer.flush();
        peer.send(0, Flow { next_incoming_id: None, ..session_flow(3) });
        for token in 1..5 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        assert_eq!(peer.names(), ["transfer"; 3], "{first}");
    }
}

/// Ten messages for a peer that grants five transfers twice, without next-incoming-id. How many leave.
fn sent_to_a_peer_that_leaves_out_what_it_has_seen(mut peer: Peer, tx: LinkId) -> usize {
    for token in 0..10 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    let first = peer.names().len();
    assert_eq!(first, 5);
    peer.send(0, Flow { next_incoming_id: None, ..session_flow(5) });
    first + peer.names().len()
}

#[test]
fn t_2_5_6_4_a_flow_without_next_incoming_id_counts_from_our_first_transfer() {
    let (peer, tx) = sending(5);
    assert_eq!(sent_to_a_peer_that_leaves_out_what_it_has_seen(peer, tx), 5);
}

#[test]
fn a_peer_that_never_says_what_it_has_seen_is_sent_to_where_that_is_tolerated() {
    let mut config = ConnectionConfig::new("server");
    config.tolerances.flow_without_next_incoming_id = true;
    let peer = Peer::with(config).open();
    let (peer, tx) = begun_by_the_peer(peer, 5);
    assert_eq!(sent_to_a_peer_that_leaves_out_what_it_has_seen(peer, tx), 10);
}

/// It answers our begin, so it knows where we count from.
#[test]
fn a_peer_that_never_says_what_it_has_seen_is_sent_to_on_sessions_that_we_begin() {
    let mut peer = Peer::fresh().open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.send(0, Begin { remote_channel: Some(0), incoming_window: 5, ..begin() });
    let tx = peer.end.attach_sender(session, sender("l")).unwrap();
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, Flow { incoming_window: 5, ..credit(0, 100) });
    peer.read();
    assert_eq!(sent_to_a_peer_that_leaves_out_what_it_has_seen(peer, tx), 10);
}

#[test]
fn a_peer_that_has_seen_more_than_was_sent_gets_no_more_than_its_window() {
    let (mut peer, tx) = sending(0);
    for token in 0..10 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    peer.send(0, Flow { next_incoming_id: Some(SequenceNo(1000)), ..session_flow(4) });
    assert_eq!(peer.names().len(), 4);
}

#[test]
fn t_2_5_6_5_more_than_our_window_ends_the_session() {
    // Many deliveries, or many transfers of one (T-2.5.6-7).
    for (window, one) in [0, 1, 2, 5, 100].into_iter().flat_map(|window| [(window, false), (window, true)]) {
        let mut peer = receiving(window);
        let part = |id| match (one, id) {
            (false, id) | (true, id @ 0) => Transfer { more: one, ..transfer(0, id) },
            (true, _) => Transfer { more: true, ..Transfer::default() },
        };
        // In one go, so that no flow of ours can have come between.
        let octets: Vec<u8> = (0..=window).flat_map(|id| frame(0, part(id), HELLO)).collect();
        peer.raw(&octets);
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::WINDOW_VIOLATION)), "{window} {one}");
        assert!(!peer.end.is_closed());
        // One less is taken.
        let mut peer = receiving(window);
        let octets: Vec<u8> = (0..window).flat_map(|id| frame(0, part(id), HELLO)).collect();
        peer.raw(&octets);
        assert_eq!(peer.refusal(), None, "{window} {one}");
    }
}

#[test]
fn t_rob_5_transfers_beyond_the_window_are_not_kept() {
    let mut peer = receiving(10);
    let link = peer.end.offered_links()[0];
    // Settled, so that those that were kept outlive the link.
    let settled = |id| Transfer { settled: Some(true), ..transfer(0, id) };
    for _ in 0..100 {
        let octets: Vec<u8> = (0..1000).flat_map(|id| frame(0, settled(id), HELLO)).collect();
        peer.raw(&octets);
    }
    assert_eq!(peer.names(), ["end"]);
    assert_eq!(peer.end.detached(link).expect("the link is over").undelivered.len(), 10);
    assert_eq!(peer.end.count(|event| matches!(event, amqp1_engine::Event::Receivable(_))), 1);
}

#[test]
fn t_2_5_6_2_our_window_is_opened_again_before_it_is_used_up() {
    let mut peer = receiving(4);
    let mut window = 4;
    for id in 0..100 {
        assert!(window > 0, "at transfer {id}");
        peer.send_payload(0, transfer(0, id), HELLO);
        window -= 1;
        let rx = peer.end.offered_links()[0];
        peer.end.take_all(rx);
        for (_, body, _) in peer.read() {
            let Performative::Flow(flow) = body else { panic!("{body:?}") };
            assert_eq!(flow.next_incoming_id, Some(SequenceNo(id + 1)));
            window = flow.incoming_window;
        }
    }
}

#[test]
fn deliveries_pass_through_a_window_of_one() {
    let (client, mut server) = Pair::configs();
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: 1, ..SessionConfig::default() });
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..10 {
        pair.client.send(tx, message(token, 5000), settled(token as u64)).unwrap();
    }
    pair.drive();
    assert_eq!(pair.server.take_all(rx).len(), 10);
}

#[test]
fn a_narrow_window_starves_no_link() {
    let mut pair = Pair::open();
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: 1, ..SessionConfig::default() });
    let (session, _) = pair.session();
    let links: Vec<_> = ["a", "b", "c"].map(|name| pair.sender(session, name)).to_vec();
    for (tx, _) in &links {
        for token in 0..50 {
            pair.client.send(*tx, message(token, 10), settled(token as u64)).unwrap();
        }
    }
    // Whichever link is looked at, it has had its share.
    for _ in 0..40 {
        let octets = pair.client.output(pair.now, 1);
        pair.up.write(&octets);
        pair.up.read(&mut pair.server.input);
        pair.server.take_input(pair.now);
        let octets = pair.server.output(pair.now, 1024);
        pair.down.write(&octets);
        pair.down.read(&mut pair.client.input);
        pair.client.take_input(pair.now);
    }
    let got: Vec<_> = links.iter().map(|(_, rx)| pair.server.buffered(*rx)).collect();
    assert!(got.iter().all(|count| (5..=20).contains(count)), "{got:?}");
    pair.drive();
    assert!(links.iter().all(|(_, rx)| pair.server.buffered(*rx) == 50));
}

#[test]
fn t_2_7_4_2_flows_say_what_was_seen_as_soon_as_it_is_known() {
    let mut peer = Peer::fresh().open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    let rx = peer.end.attach_receiver(session, receiver("l", Credit::Manual(1))).unwrap();
    assert_eq!(peer.names(), ["begin"], "no flow before anything is known");
    peer.send(0, Begin { remote_channel: Some(0), next_outgoing_id: SequenceNo(77), ..begin() });
    assert_eq!(peer.names(), ["attach"]);
    // T-2.7.4-6: nothing is known of the link yet.
    peer.send(0, Flow { echo: true, next_outgoing_id: SequenceNo(77), ..session_flow(10) });
    let flows = peer.read();
    let [(_, Performative::Flow(flow), _)] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!((flow.next_incoming_id, flow.handle), (Some(SequenceNo(77)), None));
    peer.send(0, Attach { initial_delivery_count: Some(SequenceNo(5)), ..attach("l", 0, Role::Sender) });
    let flows = peer.read();
    let [(_, Performative::Flow(flow), _)] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!((flow.next_incoming_id, flow.delivery_count), (Some(SequenceNo(77)), Some(SequenceNo(5))));
    assert!(peer.end.attached(rx));
}

/// By the begin alone, whichever end has begun the session, and by the transfers that came since.
#[test]
fn t_2_7_4_2_the_first_flow_counts_from_the_peers_begin() {
    for begun_here in [true, false] {
        let mut peer = Peer::fresh().open();
        let next_outgoing_id = SequenceNo(77);
        if begun_here {
            peer.end.begin(SessionConfig::default()).unwrap();
            peer.flush();
        }
        peer.send(0, Begin { remote_channel: begun_here.then_some(0), next_outgoing_id, ..begin() });
        peer.send(0, attach("l", 0, Role::Sender));
        let seen = |peer: &mut Peer| {
            let flows = peer.read().into_iter().filter_map(|(_, body, _)| match body {
                Performative::Flow(flow) => Some(flow.next_incoming_id),
                _ => None,
            });
            flows.collect::<Vec<_>>()
        };
        assert_eq!(seen(&mut peer), [Some(SequenceNo(77))], "{begun_here}");
        peer.send_payload(0, transfer(0, 0), HELLO);
        let rx = peer.end.offered_links()[0];
        peer.end.set_credit(rx, Credit::Manual(5)).unwrap();
        assert_eq!(seen(&mut peer), [Some(SequenceNo(78))], "{begun_here}");
    }
}

#[test]
fn t_2_7_4_7_an_echo_of_the_session_is_answered() {
    let mut peer = receiving(9);
    peer.send(0, Flow { echo: true, ..session_flow(10) });
    let frames = peer.read();
    let Performative::Flow(flow) = &frames[0].1 else { panic!("{frames:?}") };
    assert_eq!((flow.handle, flow.incoming_window, flow.echo), (None, 9, false));
}
