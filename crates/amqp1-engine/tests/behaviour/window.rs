//! Session windows (§2.5.6).

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Attach, Begin, Flow, Performative, Transfer},
};
use amqp1_engine::{AttachReply, ConnectionConfig, Credit, LinkId, SessionConfig};
use amqp1_testkit::*;

/// A server that sends to a peer with a window of this many transfers.
pub(crate) fn sending(window: u32) -> (Peer, LinkId) {
    begun_by_the_peer(Peer::fresh().open(), window)
}

/// A session and a link that the peer begins, with a window of this many transfers.
fn begun_by_the_peer(peer: Peer, window: u32) -> (Peer, LinkId) {
    begun_by_the_peer_with(peer, session_flow(window))
}

/// The same, with the window and the next-incoming-id of this flow.
pub(crate) fn begun_by_the_peer_with(mut peer: Peer, flow: Flow) -> (Peer, LinkId) {
    peer.send(0, Begin { incoming_window: flow.incoming_window, ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    let [_, of_link] = flows(&flow);
    peer.send(0, of_link);
    peer.read();
    let tx = peer.end.offered_links()[0];
    (peer, tx)
}

/// A server that receives in a session with a window of this many transfers.
pub(crate) fn receiving(window: u32) -> Peer {
    receiving_streamed(window, false)
}

/// The same, with a link that may be streamed. The window is not narrowed for it.
pub(crate) fn receiving_streamed(window: u32, streamed: bool) -> Peer {
    let mut peer = Peer::fresh().open();
    let config = SessionConfig { incoming_window: window, stream_octets: u32::MAX, ..SessionConfig::default() };
    peer.end.accept.sessions = Some(config);
    peer.end.accept.links = None;
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Sender));
    let rx = peer.end.offered_links()[0];
    let reply = AttachReply { streamed, ..AttachReply::echo(&peer.end.remote_attach(rx).unwrap()) };
    peer.end.accept_link(rx, reply).unwrap();
    peer.read();
    peer
}

/// A flow that tells of the session alone, and one that tells of the link too, which changes nothing of its credit.
fn flows(flow: &Flow) -> [Flow; 2] {
    let of_link = Flow { handle: Some(0), delivery_count: Some(SequenceNo(0)), link_credit: Some(100), ..flow.clone() };
    [flow.clone(), of_link]
}

#[test]
fn t_2_5_6_3_transfers_stop_at_the_peers_window() {
    for kind in 0..2 {
        let seen = |next| flows(&Flow { next_incoming_id: Some(SequenceNo(next)), ..session_flow(2) })[kind].clone();
        let (mut peer, tx) = sending(2);
        for token in 0..6 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        assert_eq!(peer.names(), ["transfer"; 2]);
        peer.send(0, seen(0));
        assert_eq!(peer.names(), ["transfer"; 0]);
        // The peer has seen one of them: one more fits.
        peer.send(0, seen(1));
        assert_eq!(peer.names(), ["transfer"; 1]);
        peer.send(0, seen(3));
        assert_eq!(peer.names(), ["transfer"; 2]);
    }
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

#[test]
fn t_2_5_6_8_an_exhausted_window_does_not_become_huge() {
    // Wherever the ids begin: those in flight may lie at both sides of the wrap.
    for (first, kind) in
        [0, 1, u32::MAX - 2, u32::MAX - 1, u32::MAX].into_iter().flat_map(|first| [(first, 0), (first, 1)])
    {
        let first = SequenceNo(first);
        let seen = |count, window| {
            flows(&Flow { next_incoming_id: Some(first.plus(count)), ..session_flow(window) })[kind].clone()
        };
        let mut peer = Peer::fresh().open();
        peer.end.accept.sessions = Some(SessionConfig { next_outgoing_id: first, ..SessionConfig::default() });
        let (mut peer, tx) = begun_by_the_peer_with(peer, seen(0, 3));
        for token in 0..10 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        assert_eq!(peer.names().len(), 3);
        // An old flow: three were allowed from the first on, and three are sent; then even less.
        peer.send(0, seen(0, 3));
        peer.send(0, seen(0, 1));
        peer.send(0, seen(2, 1));
        assert!(peer.names().is_empty(), "{first:?}");
        peer.send(0, seen(2, 2));
        assert_eq!(peer.names().len(), 1, "{first:?}");
        peer.send(0, seen(4, u32::MAX));
        assert_eq!(peer.names().len(), 6, "{first:?}");
    }
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
        for flow in flows(&Flow { next_incoming_id: None, ..session_flow(3) }) {
            peer.send(0, flow);
        }
        for token in 1..5 {
            peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
        }
        assert_eq!(peer.names(), ["transfer"; 3], "{first}");
        for flow in flows(&Flow { next_incoming_id: None, ..session_flow(3) }) {
            peer.send(0, flow);
            assert_eq!(peer.names(), ["transfer"; 0], "{first}");
        }
    }
}

/// Ten messages for a peer that grants five transfers twice, without next-incoming-id. How many leave.
fn sent_to_a_peer_that_leaves_out_what_it_has_seen(peer: Peer, tx: LinkId) -> usize {
    sent_to_a_peer_that_says(peer, tx, Flow { next_incoming_id: None, ..session_flow(5) })
}

/// Ten messages for a peer that grants five transfers, and then says this. How many leave.
fn sent_to_a_peer_that_says(mut peer: Peer, tx: LinkId, flow: Flow) -> usize {
    for token in 0..10 {
        peer.end.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    let first = peer.names().len();
    assert_eq!(first, 5);
    peer.send(0, flow);
    first + peer.names().len()
}

#[test]
fn t_2_5_6_4_a_flow_without_next_incoming_id_counts_from_our_first_transfer() {
    for (window, sent) in [(5, 5), (7, 7)] {
        for flow in flows(&Flow { next_incoming_id: None, ..session_flow(window) }) {
            let (peer, tx) = sending(5);
            assert_eq!(sent_to_a_peer_that_says(peer, tx, flow), sent);
        }
    }
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
    let kinds = [(false, false), (true, false), (false, true), (true, true)];
    for (window, (one, streamed)) in [0, 1, 2, 5, 100].into_iter().flat_map(|window| kinds.map(|kind| (window, kind))) {
        let mut peer = receiving_streamed(window, streamed);
        let part = |id| match (one, id) {
            (false, id) | (true, id @ 0) => Transfer { more: one, ..transfer(0, id) },
            (true, _) => Transfer { more: true, ..Transfer::default() },
        };
        // In one go, so that no flow of ours can have come between.
        let octets: Vec<u8> = (0..=window).flat_map(|id| frame(0, part(id), HELLO)).collect();
        peer.raw(&octets);
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::WINDOW_VIOLATION)), "{window} {one} {streamed}");
        assert!(!peer.end.is_closed());
        // One less is taken.
        let mut peer = receiving_streamed(window, streamed);
        let octets: Vec<u8> = (0..window).flat_map(|id| frame(0, part(id), HELLO)).collect();
        peer.raw(&octets);
        assert_eq!(peer.refusal(), None, "{window} {one} {streamed}");
    }
}

#[test]
fn t_rob_5_transfers_beyond_the_window_are_not_kept() {
    // Settled, so that those that were kept outlive the link.
    let settled = |id| Transfer { settled: Some(true), ..transfer(0, id) };
    for streamed in [false, true] {
        let mut peer = receiving_streamed(10, streamed);
        let link = peer.end.offered_links()[0];
        for _ in 0..100 {
            let octets: Vec<u8> = (0..1000).flat_map(|id| frame(0, settled(id), HELLO)).collect();
            peer.raw(&octets);
        }
        assert_eq!(peer.names(), ["end"], "{streamed}");
        assert_eq!(peer.end.detached(link).expect("the link is over").undelivered.len(), 10, "{streamed}");
        assert_eq!(peer.end.count(|event| matches!(event, amqp1_engine::Event::Receivable(_))), 1);
    }
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
    for (begun_here, first) in [true, false].into_iter().flat_map(|here| [77, 0, u32::MAX].map(|first| (here, first))) {
        let mut peer = Peer::fresh().open();
        let next_outgoing_id = SequenceNo(first);
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
        assert_eq!(seen(&mut peer), [Some(next_outgoing_id)], "{begun_here}");
        peer.send_payload(0, transfer(0, 0), HELLO);
        let rx = peer.end.offered_links()[0];
        peer.end.set_credit(rx, Credit::Manual(5)).unwrap();
        assert_eq!(seen(&mut peer), [Some(next_outgoing_id.next())], "{begun_here}");
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
