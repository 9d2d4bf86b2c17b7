//! Heartbeats and silence (§2.4.5), on a clock that is moved by hand.

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    frame::ProtocolHeader,
    performative::{Flow, Open, Performative},
};
use amqp1_engine::{Connection, ConnectionConfig, ConnectionError, Instant, ServerSasl, SessionConfig};
use amqp1_testkit::*;
use core::time::Duration;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server that gives up after this, with a peer that announces this.
fn server(idle_timeout: Option<Duration>, peers: Option<u32>) -> Peer {
    let config = ConnectionConfig { idle_timeout, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), idle_time_out: peers, ..Open::default() });
    assert!(peer.end.opened());
    peer
}

/// Moves the clock to the next deadline and lets it pass.
fn pass(peer: &mut Peer) {
    peer.now = peer.end.poll_timeout().expect("a deadline");
    peer.end.engine.handle_timeout(peer.now);
    peer.flush();
}

/// How many empty frames the engine has written.
fn heartbeats(end: &End) -> usize {
    frames(&end.written).iter().filter(|(_, body, _)| body.is_none()).count()
}

fn announced(peer: &mut Peer) -> Option<u32> {
    let frames = peer.read();
    let Performative::Open(open) = &frames[0].1 else { panic!("{frames:?}") };
    open.idle_time_out
}

/// Also T-2.7.1-10: in milliseconds.
#[test]
fn t_2_4_5_2_half_of_our_threshold_is_announced() {
    for (threshold, expected) in [
        (Some(secs(60)), Some(30_000)),
        (Some(millis(1)), Some(1)),
        (Some(Duration::ZERO), None),
        (None, None),
        (Some(Duration::MAX), Some(u32::MAX)),
    ] {
        assert_eq!(announced(&mut server(threshold, None)), expected, "{threshold:?}");
    }
}

#[test]
fn t_2_4_5_1_an_empty_frame_leaves_at_half_the_peers_time() {
    let mut peer = server(None, Some(1000));
    for beat in 1..=10 {
        assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + millis(500 * beat)));
        pass(&mut peer);
        assert_eq!(heartbeats(&peer.end) as u64, beat);
    }
    peer.read();
}

/// With sessions and links, while our end or our close waits, and although calls in between find nothing to write.
#[test]
fn t_2_4_5_1_heartbeats_leave_in_each_state() {
    let steps: [fn(&mut Peer); 5] = [
        |peer| peer.send(0, begin()),
        |peer| peer.send(0, attach("l", 0, Role::Receiver)),
        |peer| {
            peer.send(0, Flow { incoming_window: 0, ..credit(0, 5) });
            let tx = peer.end.offered_links()[0];
            peer.end.send(tx, message(1, 10), unsettled(1)).unwrap();
        },
        |peer| {
            let session = peer.end.offered_sessions()[0];
            peer.end.end(session, None).unwrap();
        },
        |peer| peer.end.engine.close(peer.now, None),
    ];
    for count in 0..=steps.len() {
        let mut peer = server(None, Some(1000));
        steps[..count].iter().for_each(|step| step(&mut peer));
        peer.read();
        // The close is given up after five seconds.
        for beat in 1..=8 {
            let due = Instant::default() + millis(500 * beat);
            peer.now = Instant::default() + millis(500 * beat - 200);
            peer.end.engine.handle_timeout(peer.now);
            peer.flush();
            assert_eq!(peer.end.poll_timeout(), Some(due), "after {count} steps");
            pass(&mut peer);
            assert_eq!(heartbeats(&peer.end) as u64, beat, "after {count} steps");
        }
        assert!(peer.names().is_empty() && !peer.end.is_closed());
    }
}

#[test]
fn other_frames_put_the_heartbeat_off() {
    let mut peer = server(None, Some(1000));
    peer.now = Instant::default() + millis(400);
    peer.send(0, begin());
    assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + millis(900)));
    pass(&mut peer);
    assert_eq!(heartbeats(&peer.end), 1);
}

#[test]
fn a_heartbeat_that_cannot_leave_is_not_asked_for_twice() {
    let mut peer = server(None, Some(1000));
    peer.now = peer.end.poll_timeout().unwrap();
    peer.end.engine.handle_timeout(peer.now);
    assert_eq!(peer.end.poll_timeout(), None, "it waits for the transport");
    peer.flush();
    assert_eq!(heartbeats(&peer.end), 1);
    assert!(peer.end.poll_timeout().is_some());
}

#[test]
fn t_2_4_5_9_zero_and_nothing_ask_for_nothing() {
    for none in [None, Some(0)] {
        let peer = server(None, none);
        assert_eq!(peer.end.poll_timeout(), None);
    }
}

#[test]
fn t_2_4_5_3_a_silent_peer_is_told_and_left() {
    let mut peer = server(Some(secs(10)), None);
    assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + secs(10)));
    pass(&mut peer);
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)));
    assert_eq!(peer.end.closed(), ConnectionError::IdleTimeout);
    // Nor is its close waited for longer than any other's.
    assert!(!peer.end.is_finished());
    pass(&mut peer);
    assert!(peer.end.is_finished() && peer.end.poll_timeout().is_none());
    // Frames of this end are no sign of the peer's life.
    let mut peer = server(Some(secs(10)), Some(1000));
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.flush();
    for _ in 0..19 {
        pass(&mut peer);
        assert!(!peer.end.is_closed());
    }
    pass(&mut peer);
    assert_eq!((peer.now, heartbeats(&peer.end)), (Instant::default() + secs(10), 19));
    assert_eq!(peer.end.closed(), ConnectionError::IdleTimeout);
    assert!(peer.end.ended_session(session).is_some());
}

#[test]
fn t_2_4_5_8_what_is_received_puts_the_end_off() {
    let (flow, begun) = (frame(0, session_flow(9), b""), frame(3, begin(), b""));
    // Empty frames, one of them with an extended header, and two others.
    let signs: [&[u8]; 5] =
        [b"\0\0\0\x08\x02\0\0\0", b"\0\0\0\x08\x02\0\0\x03", b"\0\0\0\x0c\x03\0\0\0\0\0\0\0", &flow, &begun];
    for octets in signs {
        let mut peer = server(Some(secs(10)), None);
        peer.send(0, begin());
        peer.now = Instant::default() + secs(9);
        peer.raw(octets);
        peer.now = Instant::default() + secs(11);
        peer.end.engine.handle_timeout(peer.now);
        assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + secs(19)));
        pass(&mut peer);
        assert_eq!(peer.end.closed(), ConnectionError::IdleTimeout);
    }
}

#[test]
fn t_2_4_5_8_octets_of_a_large_slow_frame_are_life() {
    let mut peer = server(Some(secs(10)), None);
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Sender));
    let octets = frame(0, transfer(0, 0), &[HELLO, &[0x40; 60]].concat());
    for octet in &octets[..octets.len() - 1] {
        peer.now = peer.now + secs(9);
        peer.end.engine.handle_timeout(peer.now);
        peer.raw(&[*octet]);
        assert!(!peer.end.is_closed());
    }
}

#[test]
fn the_same_octets_offered_again_are_not_life() {
    let mut peer = server(Some(secs(10)), None);
    peer.raw(b"\0\0\0\x20");
    for second in 1..10 {
        // A driver that is woken for another reason gives what it has kept.
        peer.now = Instant::default() + secs(second);
        peer.end.take_input(peer.now);
    }
    assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + secs(10)));
    pass(&mut peer);
    assert_eq!(peer.end.closed(), ConnectionError::IdleTimeout);
}

#[test]
fn two_ends_keep_each_other_alive() {
    let (mut client, mut server) = Pair::configs();
    client.idle_timeout = Some(millis(400));
    server.idle_timeout = Some(secs(3));
    let mut pair = Pair::open_with(client, server);
    pair.sleep(secs(30));
    assert!(!pair.client.is_closed() && !pair.server.is_closed());
    // The client wants to hear something every 200 ms, the server every 1.5 s.
    assert_eq!(heartbeats(&pair.server), 300);
    assert_eq!(heartbeats(&pair.client), 40);
}

#[test]
fn a_transport_that_stalls_is_noticed_at_both_ends() {
    let mut pair = Pair::open();
    pair.up.stalled = true;
    pair.down.stalled = true;
    pair.sleep(secs(59));
    assert!(!pair.client.is_closed() && !pair.server.is_closed());
    pair.sleep(secs(2));
    assert_eq!(pair.client.closed(), ConnectionError::IdleTimeout);
    assert_eq!(pair.server.closed(), ConnectionError::IdleTimeout);
    pair.assert_closed();
}

#[test]
fn t_2_4_5_7_no_heartbeat_follows_a_close() {
    let mut peer = server(Some(secs(60)), Some(1000));
    peer.end.engine.close(peer.now, None);
    peer.read();
    assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + secs(5)), "only the peer's close is waited for");
    pass(&mut peer);
    assert_eq!(heartbeats(&peer.end), 0);
}

#[test]
fn t_2_4_5_7_no_heartbeat_precedes_an_open_that_is_held() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.end.hold_open(true);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), idle_time_out: Some(1000), ..Open::default() });
    for _ in 0..10 {
        peer.now = peer.now + millis(500);
        peer.end.engine.handle_timeout(peer.now);
        peer.flush();
    }
    assert_eq!((heartbeats(&peer.end), peer.names()), (0, vec![]));
    peer.end.answer_open();
    assert_eq!(peer.names(), ["open"]);
    pass(&mut peer);
    assert_eq!(heartbeats(&peer.end), 1);
}

#[test]
fn no_heartbeat_follows_the_end_of_the_transport() {
    let mut peer = server(None, Some(1000));
    let deadline = peer.end.poll_timeout().unwrap();
    peer.end.engine.handle_timeout(deadline);
    peer.end.engine.handle_eof(deadline);
    peer.flush();
    assert_eq!(heartbeats(&peer.end), 0);
}

#[test]
fn the_handshake_has_its_own_deadline() {
    let config = ConnectionConfig {
        idle_timeout: Some(secs(2)),
        handshake_timeout: secs(20),
        ..ConnectionConfig::new("client")
    };
    let engine = Connection::client(config, None, Instant::default());
    let mut peer = Peer::new(engine);
    peer.flush();
    assert_eq!(peer.end.poll_timeout(), Some(Instant::default() + secs(20)));
    pass(&mut peer);
    assert_eq!(peer.end.closed(), ConnectionError::HandshakeIncomplete);
}

#[test]
fn instants_far_in_the_future_do_not_overflow() {
    let config = ConnectionConfig {
        idle_timeout: Some(Duration::MAX),
        close_timeout: Duration::MAX,
        handshake_timeout: Duration::MAX,
        ..ConnectionConfig::new("client")
    };
    let now = Instant::from_nanos(u64::MAX - 5);
    let mut engine = Connection::client(config, None, now);
    engine.close(now, None);
    assert_eq!(engine.poll_timeout(), Some(Instant::from_nanos(u64::MAX)));
    engine.handle_timeout(Instant::from_nanos(u64::MAX));
    assert!(engine.poll_timeout().is_none());
}
