//! `open` and `close` (§2.4).

use amqp1_codec::{
    EncodeStyle, SequenceNo, Symbol, Value,
    definitions::{ErrorCondition, Role},
    frame::ProtocolHeader,
    performative::{Close, Detach, Disposition, End as EndFrame, Open, Performative},
};
use amqp1_engine::{
    ApiMisuse, ConnectionConfig, ConnectionError, Event, Instant, PeerMisbehaved, SendError, ServerSasl, SessionConfig,
    Settlement,
};
use amqp1_testkit::*;

fn open(peer: &mut Peer, open: Open) {
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, open);
}

fn named() -> Open {
    Open { container_id: "peer".into(), ..Open::default() }
}

#[test]
fn t_2_7_1_1_both_ends_see_the_others_open() {
    let (mut client, mut server) = Pair::configs();
    client.hostname = Some("hub.example".into());
    client.channel_max = 7;
    client.desired_capabilities = vec![Symbol::from_static("ANONYMOUS-RELAY")];
    client.properties.insert(Symbol::from_static("product"), "test");
    server.max_frame_size = 4096;
    server.style = EncodeStyle::Full;
    let pair = Pair::open_with(client, server);
    let seen = pair.server.remote_open().unwrap();
    assert_eq!(seen.container_id, "client");
    assert_eq!(seen.hostname.as_ref().unwrap(), "hub.example");
    assert_eq!(seen.channel_max, 7);
    assert!(seen.properties.as_ref().unwrap().get("product").is_some());
    let seen = pair.client.remote_open().unwrap();
    assert_eq!((seen.container_id.as_str(), seen.max_frame_size), ("server", 4096));
}

#[test]
fn t_2_4_3_1_the_client_closes_and_both_ends_finish() {
    let mut pair = Pair::open();
    pair.client.engine.close(pair.now, None);
    pair.drive();
    assert!(pair.client.is_finished() && pair.server.is_finished());
    assert_eq!(pair.client.closed(), ConnectionError::LocallyClosed);
    assert_eq!(pair.server.closed(), ConnectionError::ClosedByPeer(None));
    assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None));
}

#[test]
fn t_2_4_3_1_the_server_closes_with_an_error_that_the_client_sees() {
    let mut pair = Pair::open();
    let why = error(ErrorCondition::CONNECTION_FORCED);
    pair.server.engine.close(pair.now, Some(why.clone()));
    pair.drive();
    assert_eq!(pair.client.closed(), ConnectionError::ClosedByPeer(Some(why)));
    assert_eq!(pair.server.closed(), ConnectionError::LocallyClosed);
    assert!(pair.client.is_finished() && pair.server.is_finished());
}

#[test]
fn t_2_4_4_1_both_close_at_once() {
    let mut pair = Pair::open();
    pair.client.engine.close(pair.now, None);
    pair.server.engine.close(pair.now, None);
    pair.drive();
    assert_eq!(pair.client.closed(), ConnectionError::LocallyClosed);
    assert_eq!(pair.server.closed(), ConnectionError::LocallyClosed);
    assert!(pair.client.is_finished() && pair.server.is_finished());
}

#[test]
fn t_2_4_4_1_a_close_that_crosses_ours_is_heard_whatever_it_says() {
    for (ours, theirs) in [(false, true), (true, false), (true, true)] {
        let why = |says: bool| says.then(|| error(ErrorCondition::INTERNAL_ERROR));
        let mut peer = Peer::fresh().open();
        peer.end.engine.close(peer.now, why(ours));
        assert_eq!(peer.names(), ["close"]);
        assert!(!peer.end.is_finished());
        peer.send(0, Close { error: why(theirs) });
        assert!(peer.names().is_empty() && peer.end.is_finished());
        // An error of the peer's is reported, unless ours is the reason already.
        let reported = match why(theirs) {
            Some(error) if !ours => ConnectionError::ClosedByPeer(Some(error)),
            _ => ConnectionError::LocallyClosed,
        };
        assert_eq!(peer.end.closed(), reported);
    }
}

#[test]
fn commands_after_close_are_refused() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.engine.close(pair.now, None);
    assert_eq!(pair.client.begin(SessionConfig::default()), Err(ApiMisuse::Closed));
    assert_eq!(pair.client.send(tx, message(1, 1), unsettled(1)), Err(SendError::Detached));
    pair.drive();
    assert_eq!(pair.client.send(tx, message(1, 1), unsettled(1)), Err(SendError::Detached));
    assert_eq!(pair.client.detach(tx, true, None), Err(ApiMisuse::UnknownLink));
    assert_eq!(pair.client.end(session, None), Err(ApiMisuse::UnknownSession));
}

#[test]
fn a_close_in_peace_lets_what_was_sent_go_first() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..20 {
        pair.client.send(tx, message(token, 5000), settled(token as u64)).unwrap();
    }
    pair.client.engine.close(pair.now, None);
    pair.drive();
    assert_eq!(pair.client.settled.len(), 20);
    assert!(pair.client.settlements().iter().all(|(_, settlement)| *settlement == Settlement::Sent));
    // Settled deliveries exist only at the receiver now, and come with its end.
    assert_eq!(pair.server.detached(rx).unwrap().undelivered.len(), 20);
}

#[test]
fn a_close_in_peace_may_take_long_while_something_leaves() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 1 << 19), settled(1)).unwrap();
    pair.client.engine.close(pair.now, None);
    // One frame every four seconds, where the close is waited for five.
    while pair.client.queued(tx) > 0 {
        pair.now = pair.now + secs(4);
        let octets = pair.client.output(pair.now, 1);
        pair.up.write(&octets);
        pair.up.read(&mut pair.server.input);
        pair.server.take_input(pair.now);
        pair.client.engine.handle_timeout(pair.now + secs(1));
    }
    assert!(pair.server.recv(rx).is_some());
    pair.drive();
    assert!(pair.client.is_finished());
    assert_eq!(pair.client.settlements(), [(1, Settlement::Sent)]);
}

#[test]
fn a_close_with_an_error_drops_what_was_not_sent() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    pair.client.engine.close(pair.now, Some(error(ErrorCondition::INTERNAL_ERROR)));
    pair.drive();
    assert_eq!(pair.client.settlements(), [(1, Settlement::Lost { sent: false })]);
}

#[test]
fn t_2_4_3_3_a_peer_that_talks_on_and_does_not_answer_close_is_left() {
    for why in [None, Some(error(ErrorCondition::INTERNAL_ERROR))] {
        let mut peer = Peer::with_session();
        let start = peer.now;
        peer.end.engine.close(start, why);
        assert_eq!(peer.names(), ["close"]);
        for second in 1..5 {
            peer.now = start + secs(second);
            peer.send(0, session_flow(10));
            peer.raw(&[0, 0, 0, 8, 2, 0, 0, 0]);
            peer.end.take_timeout(peer.now);
            assert!(!peer.end.is_finished());
            assert_eq!(peer.end.poll_timeout(), Some(start + secs(5)));
        }
        peer.now = start + secs(5);
        peer.end.take_timeout(peer.now);
        assert!(peer.end.is_finished() && peer.end.close_unanswered());
    }
}

#[test]
fn t_2_4_3_3_a_peer_that_does_not_answer_close_is_left() {
    let mut pair = Pair::open();
    pair.down.stalled = true;
    pair.client.engine.close(pair.now, None);
    pair.drive();
    assert!(!pair.client.is_closed());
    pair.sleep(secs(4));
    assert!(!pair.client.is_closed());
    pair.sleep(secs(2));
    assert_eq!(pair.client.closed(), ConnectionError::LocallyClosed);
    assert!(pair.client.is_finished());
}

#[test]
fn a_close_that_waits_for_the_peers_window_does_not_wait_for_ever() {
    let mut peer = Peer::with_session();
    peer.send(0, session_flow(0));
    peer.send(0, attach("l", 0, Role::Receiver));
    let tx = peer.end.offered_links()[0];
    peer.send(0, amqp1_codec::performative::Flow { incoming_window: 0, ..credit(0, 5) });
    peer.end.send(tx, message(1, 10), unsettled(1)).unwrap();
    peer.end.engine.close(peer.now, None);
    assert_eq!(peer.names(), ["attach"]);
    assert!(!peer.end.has_output(), "nothing can be written: {:?}", peer.end);
    let deadline = peer.end.poll_timeout().unwrap();
    peer.now = deadline;
    peer.end.engine.handle_timeout(deadline);
    assert_eq!(peer.names(), ["close"]);
    assert_eq!(peer.end.closed(), ConnectionError::LocallyClosed);
    assert_eq!(peer.end.settlements(), [(1, Settlement::Lost { sent: false })]);
    assert!(peer.end.is_finished());
}

/// Also T-2.4.6-9.
#[test]
fn t_2_4_3_2_nothing_is_written_after_close() {
    let mut peer = Peer::with_sender();
    let rx = peer.end.offered_links()[0];
    peer.send_payload(0, transfer(0, 0), HELLO);
    let key = peer.end.recv(rx).unwrap().key;
    peer.end.engine.close(peer.now, None);
    assert_eq!(peer.names(), ["close"]);
    // All of these would say something if the connection were open.
    peer.end.dispose(rx, key, amqp1_codec::messaging::DeliveryState::Accepted).unwrap();
    peer.end.set_credit(rx, amqp1_engine::Credit::Manual(7)).unwrap();
    peer.end.detach(rx, true, None).unwrap();
    let session = peer.end.offered_sessions()[0];
    peer.end
        .end(session, Some(amqp1_codec::definitions::AmqpError::new(ErrorCondition::INTERNAL_ERROR, "late")))
        .unwrap();
    peer.send(0, begin());
    peer.end.handle_timeout(peer.now);
    assert_eq!(peer.names(), Vec::<&str>::new());
    peer.send(0, Close::default());
    assert_eq!(peer.names(), Vec::<&str>::new());
    assert!(peer.end.is_finished());
}

#[test]
fn t_2_4_3_6_after_an_errored_close_everything_is_discarded_until_the_answer() {
    let mut peer = Peer::with_session();
    peer.send(0, named());
    assert_eq!(peer.names(), ["close"]);
    let events = peer.end.events.len();
    peer.send(0, begin());
    peer.send_payload(0, transfer(0, 0), HELLO);
    peer.send(0, named());
    assert!(peer.names().is_empty() && peer.end.events.len() == events);
    assert!(!peer.end.is_finished());
    peer.send(0, Close::default());
    assert!(peer.end.is_finished());
    assert!(peer.end.closed() == ConnectionError::Misbehaved(PeerMisbehaved::OpenTwice));
}

#[test]
fn t_2_4_6_8_frames_after_the_peers_close_are_ignored() {
    for why in [None, Some(error(ErrorCondition::CONNECTION_FORCED))] {
        let mut peer = Peer::with_session();
        let mut octets = frame(0, Close { error: why.clone() }, b"").to_vec();
        octets.extend(frame(1, begin(), b""));
        peer.raw(&octets);
        assert_eq!(peer.names(), ["close"]);
        assert_eq!(peer.end.closed(), ConnectionError::ClosedByPeer(why));
        assert!(peer.end.is_finished());
    }
}

#[test]
fn t_2_4_1_1_nothing_comes_before_open() {
    let frames: [Performative; 7] = [
        begin().into(),
        attach("l", 0, Role::Sender).into(),
        session_flow(10).into(),
        transfer(0, 0).into(),
        Disposition { role: Role::Sender, first: SequenceNo(0), ..Disposition::default() }.into(),
        Detach::default().into(),
        EndFrame::default().into(),
    ];
    for body in frames {
        let mut peer = Peer::fresh();
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.send(0, body);
        let frames = peer.read();
        assert_eq!(refusal(&frames).unwrap(), ("close", ErrorCondition::ILLEGAL_STATE));
        assert_eq!(frames[0].1.name(), "open", "close follows an open");
        assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::FrameBeforeOpen));
    }
}

/// Also T-2.4.1-1.
#[test]
fn t_2_4_5_7_no_empty_frame_comes_before_open() {
    for channel in [0_u16, 1, 255, 256, u16::MAX] {
        let [high, low] = channel.to_be_bytes();
        let mut peer = Peer::fresh();
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.raw(&[0, 0, 0, 8, 2, 0, high, low]);
        let frames = peer.read();
        assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["open", "close"], "{channel}");
        assert_eq!(refusal(&frames), Some(("close", ErrorCondition::ILLEGAL_STATE)), "{channel}");
    }
}

#[test]
fn t_2_4_1_1_a_close_before_open_is_answered_and_ends() {
    let mut peer = Peer::fresh();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Close::default());
    assert_eq!(peer.names(), ["open", "close"]);
    assert!(peer.end.is_finished());
}

#[test]
fn t_2_4_1_2_open_comes_on_channel_0() {
    let mut peer = Peer::fresh();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(1, named());
    let frames = peer.read();
    assert_eq!(
        frames.iter().map(|(channel, body, _)| (*channel, body.name())).collect::<Vec<_>>(),
        [(0, "open"), (0, "close")]
    );
    assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)), "{:?}", peer.end.closed());
}

#[test]
fn t_2_4_1_5_a_second_open_is_refused() {
    // On each channel, with a session and without.
    for channel in [0, 1, 7, u16::MAX] {
        for peer in [Peer::fresh().open(), Peer::with_session(), Peer::client_with_session().0, Peer::with_sender()] {
            let mut peer = peer;
            peer.send(1, begin());
            peer.read();
            peer.send(channel, named());
            assert_eq!(peer.refusal(), Some(("close", ErrorCondition::ILLEGAL_STATE)), "{channel}");
            assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::OpenTwice));
        }
    }
}

#[test]
fn t_2_7_1_7_a_max_frame_size_below_512_is_refused() {
    for (size, fine) in [(0, false), (511, false), (512, true)] {
        let mut peer = Peer::fresh();
        open(&mut peer, Open { max_frame_size: size, ..named() });
        assert_eq!(peer.end.opened(), fine, "{size}");
        let expected = (!fine).then_some(("close", ErrorCondition::INVALID_FIELD));
        assert_eq!(peer.refusal(), expected, "{size}");
    }
    // Ours is never smaller, and as much is taken.
    for configured in [0, 511, 512] {
        let mut peer = Peer::with(ConnectionConfig { max_frame_size: configured, ..ConnectionConfig::new("ours") });
        open(&mut peer, named());
        let frames = peer.read();
        let Performative::Open(ours) = &frames[0].1 else { panic!("{frames:?}") };
        assert_eq!(ours.max_frame_size, 512, "{configured}");
        let mut largest = frame(0, begin(), b"").to_vec();
        // An extended header is skipped: it makes the frame as large as it may be.
        let room = 512 - largest.len();
        largest[..4].copy_from_slice(&512_u32.to_be_bytes());
        largest[4] += u8::try_from(room / 4).unwrap();
        largest.splice(8..8, core::iter::repeat_n(0, room / 4 * 4));
        let whole = u32::try_from(largest.len()).unwrap();
        largest[..4].copy_from_slice(&whole.to_be_bytes());
        assert!(whole > 508);
        peer.raw(&largest);
        assert_eq!(peer.names(), ["begin"], "{configured}");
    }
}

#[test]
fn t_2_7_1_6_a_frame_that_is_too_large_is_refused() {
    let config = ConnectionConfig { max_frame_size: 512, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    // It is refused by its size alone, before its octets come.
    peer.raw(&513u32.to_be_bytes());
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::FRAMING_ERROR)));
    assert!(peer.end.is_finished(), "what follows cannot be read, so no close is waited for");
}

#[test]
fn t_2_7_1_9_a_channel_above_channel_max_is_refused() {
    let config = ConnectionConfig { channel_max: 3, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(3, begin());
    assert_eq!(peer.names(), ["begin"]);
    peer.send(4, begin());
    assert_eq!(peer.refusal(), Some(("close", ErrorCondition::FRAMING_ERROR)));
}

#[test]
fn t_2_4_6_4_a_client_may_say_everything_before_it_hears_anything() {
    let mut peer = Peer::of_client();
    peer.end.engine.close(peer.now, None);
    assert_eq!(peer.names(), ["open", "close"]);
    assert_eq!(peer.end.closed(), ConnectionError::LocallyClosed);
    assert!(!peer.end.is_finished());
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, named());
    peer.send(0, Close::default());
    assert!(peer.names().is_empty() && peer.end.is_finished());
}

#[test]
fn t_2_4_6_5_a_session_waits_for_the_peers_open() {
    let mut peer = Peer::of_client();
    peer.end.begin(SessionConfig::default()).unwrap();
    peer.raw(&ProtocolHeader::AMQP.encode());
    assert_eq!(peer.names(), ["open"]);
    assert!(!peer.end.opened(), "OPEN_SENT");
    peer.end.begin(SessionConfig::default()).unwrap();
    assert!(peer.names().is_empty());
    peer.send(0, named());
    assert_eq!(peer.names(), ["begin"; 2]);
    assert!(peer.end.opened());
    // The other way round.
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.raw(&ProtocolHeader::AMQP.encode());
    assert!(peer.names().is_empty() && !peer.end.opened(), "HDR_EXCH");
    peer.send(0, named());
    assert_eq!(peer.names(), ["open"]);
    assert!(peer.end.opened());
}

/// OPEN_SENT and OPEN_RCVD: what is no open does not stand for one, whether it comes ahead of the peer's or is said twice.
#[test]
fn t_2_4_6_5_only_the_open_that_is_missing_opens() {
    let empty = b"\0\0\0\x08\x02\0\0\0".to_vec();
    for ahead in [empty, frame(0, begin(), b"").into(), frame(0, session_flow(1), b"").into()] {
        for mut peer in [Peer::of_client(), Peer::of_server(ServerSasl::None)] {
            peer.raw(&ProtocolHeader::AMQP.encode());
            peer.raw(&ahead);
            assert_eq!(peer.names(), ["open", "close"], "{}", ahead.escape_ascii());
            assert!(!peer.end.opened());
            peer.send(0, named());
            assert!(peer.names().is_empty() && !peer.end.opened());
        }
    }
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.end.hold_open(true);
    peer.end.answer_open();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.end.answer_open();
    assert!(peer.names().is_empty() && !peer.end.opened(), "there is nothing to answer");
    peer.send(0, named());
    assert!(peer.names().is_empty() && !peer.end.opened(), "OPEN_RCVD");
    peer.end.answer_open();
    peer.end.answer_open();
    assert_eq!(peer.names(), ["open"]);
    assert_eq!(peer.end.count(|event| matches!(event, Event::Opened)), 1);
}

#[test]
fn an_open_that_is_held_is_answered_when_the_application_says_so() {
    let mut pair = {
        let (client, server) = Pair::configs();
        Pair::with(client, server)
    };
    pair.server.hold_open(true);
    pair.client.begin(SessionConfig::default()).unwrap();
    pair.drive();
    assert!(matches!(pair.server.events[..], [Event::OpenReceived]));
    assert!(!pair.client.opened());
    assert_eq!(pair.server.remote_open().unwrap().container_id, "client");
    pair.server.set_open_property(Symbol::from_static("answers"), "client");
    pair.server.answer_open();
    // It has been sent.
    pair.server.set_open_property(Symbol::from_static("answers"), "another");
    pair.drive();
    assert!(pair.client.opened() && pair.server.opened());
    let properties = pair.client.remote_open().unwrap().properties.expect("properties");
    assert_eq!(properties.get("answers").and_then(Value::as_text), Some("client"));
    assert_eq!(pair.server.offered_sessions().len(), 1);
}

/// OPEN_RCVD.
#[test]
fn t_2_4_6_5_what_comes_behind_an_open_that_is_held_waits() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.end.hold_open(true);
    let mut octets = ProtocolHeader::AMQP.encode().to_vec();
    octets.extend(frame(0, named(), b""));
    octets.extend(frame(0, begin(), b""));
    peer.raw(&octets);
    assert!(peer.names().is_empty());
    // So do our own begin and attach.
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.end.attach_sender(session, sender("l")).unwrap();
    assert!(peer.names().is_empty());
    peer.end.answer_open();
    assert_eq!(peer.names(), ["open", "begin", "begin"]);
    peer.send(1, amqp1_codec::performative::Begin { remote_channel: Some(0), ..begin() });
    assert_eq!(peer.names(), ["attach"]);
}

/// It is legal (§2.4.2) and may be long: it is left where it is, and no more is read.
#[test]
fn much_that_comes_behind_an_open_that_is_held_waits_too() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.end.hold_open(true);
    let mut octets = ProtocolHeader::AMQP.encode().to_vec();
    octets.extend(frame(0, named(), b""));
    octets.extend(frame(0, begin(), b""));
    for _ in 0..3000 {
        octets.extend(frame(0, session_flow(100), b""));
    }
    assert!(octets.len() > 64 * 1024);
    peer.raw(&octets);
    assert!(peer.end.is_congested());
    assert!(peer.names().is_empty());
    peer.end.answer_open();
    assert_eq!(peer.names(), ["open", "begin"]);
    assert!(!peer.end.is_congested());
}

#[test]
fn t_2_4_3_1_an_open_that_is_held_can_be_refused() {
    let (client, server) = Pair::configs();
    let mut pair = Pair::with(client, server);
    pair.server.hold_open(true);
    pair.drive();
    pair.server.refuse_open(error(ErrorCondition::NOT_FOUND));
    pair.drive();
    assert_eq!(pair.client.closed(), ConnectionError::ClosedByPeer(Some(error(ErrorCondition::NOT_FOUND))));
    assert!(pair.server.is_finished());
}

#[test]
fn the_open_of_a_refusal_says_that_a_close_follows() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.end.hold_open(true);
    let mut octets = ProtocolHeader::AMQP.encode().to_vec();
    octets.extend(frame(0, named(), b""));
    peer.raw(&octets);
    peer.end.refuse_open(error(ErrorCondition::NOT_FOUND));
    let frames = peer.read();
    let [(0, Performative::Open(open), _), (0, Performative::Close(_), _)] = &frames[..] else { panic!("{frames:?}") };
    let told = open.properties.as_ref().and_then(|properties| properties.get("amqp:connection-establishment-failed"));
    assert_eq!(told, Some(&true.into()));
}

#[test]
fn t_rob_6_a_peer_that_does_not_open_is_left() {
    let config = ConnectionConfig { handshake_timeout: secs(7), ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.now = Instant::default() + secs(7);
    assert_eq!(peer.end.poll_timeout(), Some(peer.now));
    peer.end.engine.handle_timeout(peer.now);
    assert_eq!(peer.names(), ["open", "close"]);
    assert_eq!(peer.end.closed(), ConnectionError::HandshakeIncomplete);
    // It is not waited for longer than for any close.
    peer.now = peer.end.poll_timeout().unwrap();
    peer.end.engine.handle_timeout(peer.now);
    assert!(peer.end.is_finished());
}

#[test]
fn t_2_3_1_5_extended_headers_are_skipped() {
    let mut peer = Peer::fresh();
    peer.raw(b"AMQP\0\x01\0\0");
    peer.raw(b"\0\0\0\x15\x03\0\0\0\xde\xad\xbe\xef\0\x53\x10\xc0\x04\x01\xa1\x01c");
    assert!(peer.end.opened());
}
