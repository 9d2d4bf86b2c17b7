//! The states of connections (§2.4.6) and sessions (§2.5.5), walked one frame at a time.

use amqp1_codec::{
    SequenceNo, Symbol,
    definitions::{ErrorCondition, Role},
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Begin, Close, Disposition, End, Flow, Open, Performative},
};
use amqp1_engine::{ApiMisuse, Cause, ConnectionConfig, ConnectionError, Credit, Event, ServerSasl, SessionConfig};
use amqp1_testkit::*;

fn open() -> Open {
    Open { container_id: "peer".into(), ..Open::default() }
}

const HEADER: [u8; 8] = ProtocolHeader::AMQP.encode();

/// START: also S-5.1-1 for an engine without a security layer, T-2.2-5.
#[test]
fn t_2_4_6_1_a_frame_before_the_header_is_the_end() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.raw(&frame(0, open(), b""));
    assert!(matches!(peer.end.closed(), ConnectionError::ProtocolMismatch { .. }));
    assert_eq!(peer.end.written, HEADER, "§2.2: the header that is spoken, and no more");
    assert!(peer.end.is_finished());
}

/// HDR_RCVD, HDR_SENT and HDR_EXCH, in either order. Also T-2.2-4: the version asked for is answered with itself.
#[test]
fn t_2_4_6_2_headers_are_exchanged_in_either_order() {
    let mut server = Peer::of_server(ServerSasl::None);
    server.flush();
    assert!(server.end.written.is_empty(), "START");
    server.raw(&HEADER);
    assert_eq!(server.end.written, HEADER, "HDR_EXCH, and no open before the client's");
    let mut client = Peer::of_client();
    client.flush();
    assert_eq!(client.end.written[..8], HEADER, "HDR_SENT, with the open in the pipe");
    assert!(!client.end.opened());
    client.raw(&HEADER);
    assert!(!client.end.opened() && !client.end.is_closed());
    client.send(0, open());
    assert!(client.end.opened());
}

/// OPEN_PIPE. Also T-2.4.2-2: what is in the pipe is within 512 octets and on channel 0.
#[test]
fn t_2_4_6_3_a_client_says_open_before_it_hears_anything_and_waits_with_the_rest() {
    let mut peer = Peer::of_client();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.flush();
    let before: Vec<_> = items(&peer.end.written);
    let [Item::Header(_), Item::Frame { channel: 0, body: Some(Performative::Open(_)), size, .. }] = &before[..] else {
        panic!("{before:?}")
    };
    assert!(*size <= 512);
    assert_eq!(peer.names(), ["open"]);
    peer.raw(&HEADER);
    // A begin waits for the peer's open, also when the application asks for it behind the header.
    let second = peer.end.begin(SessionConfig::default()).unwrap();
    peer.end.attach_sender(second, sender("l")).unwrap();
    assert_eq!(peer.names(), [""; 0], "OPEN_SENT");
    peer.send(0, open());
    assert_eq!(peer.names(), ["begin"; 2]);
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    assert_eq!(peer.end.count(|event| matches!(event, Event::SessionBegun(id) if *id == session)), 1);
    assert_eq!(peer.names(), [""; 0]);
    peer.send(1, Begin { remote_channel: Some(1), ..begin() });
    assert_eq!(peer.names(), ["attach"]);
}

/// Also T-2.6.14-1: after the opens, the peer's limits are kept.
#[test]
fn t_2_4_1_4_every_frame_after_the_opens_is_within_the_peers_limits() {
    let (client, mut server) = Pair::configs();
    server.max_frame_size = 512;
    server.channel_max = 1;
    let mut pair = Pair::open_with(client, server);
    pair.session();
    let (session, _) = pair.session();
    assert_eq!(pair.client.begin(SessionConfig::default()), Err(ApiMisuse::NoChannel));
    let (tx, rx) = pair.sender(session, "l");
    pair.client.send(tx, message(1, 5000), unsettled(1)).unwrap();
    pair.drive();
    assert_eq!(pair.server.take_all(rx).len(), 1);
    let frames = items(&pair.client.written).into_iter().filter_map(|item| match item {
        Item::Frame { size, channel, .. } => Some((size, channel)),
        _ => None,
    });
    let (sizes, channels): (Vec<_>, Vec<_>) = frames.unzip();
    assert_eq!((sizes.into_iter().max(), channels.into_iter().max()), (Some(512), Some(1)));
}

/// CLOSE_PIPE: open and close in the pipe, the peer's open not yet read. Also T-2.4.3-4: on channel 0.
#[test]
fn t_2_4_6_6_a_close_may_follow_an_open_that_nobody_has_answered() {
    let mut peer = Peer::of_client();
    let now = peer.now;
    peer.end.engine.close(now, None);
    assert_eq!(peer.names(), ["open", "close"]);
    peer.raw(&HEADER);
    peer.send(0, open());
    assert!(!peer.end.is_finished(), "the peer's close is awaited");
    // What else it sends before it has read ours means nothing.
    peer.send(0, begin());
    assert!(peer.end.offered_sessions().is_empty() && peer.names().is_empty());
    peer.send(0, Close { error: None });
    assert_eq!(peer.end.closed(), ConnectionError::LocallyClosed);
    assert!(peer.end.is_finished());
}

/// OPENED. Also T-2.1.2-1: in order.
#[test]
fn t_2_4_6_7_an_open_connection_carries_everything_in_its_order() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    for token in 0..20 {
        pair.client.send(tx, message(token, 10 * token), unsettled(token as u64)).unwrap();
    }
    pair.drive();
    let bodies: Vec<_> = pair.server.take_all(rx).iter().map(|delivery| data(&delivery.message)).collect();
    assert_eq!(bodies, (0..20).map(|token| body(token, 10 * token)).collect::<Vec<_>>());
    // What comes in one read is answered in its order.
    let mut peer = Peer::with_session();
    let asked = ["a", "b", "c"];
    let octets: Vec<_> =
        (0..).zip(asked).map(|(handle, name)| frame(0, attach(name, handle, Role::Sender), b"")).collect();
    peer.raw(&octets.concat());
    let answered = peer.read().into_iter().filter_map(|(_, body, _)| match body {
        Performative::Attach(attach) => Some(attach.name.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(answered.collect::<Vec<_>>(), asked);
}

#[test]
fn t_2_4_3_4_a_close_is_honoured_on_any_channel() {
    let mut peer = Peer::fresh().open();
    peer.send(3, Close { error: None });
    assert_eq!(peer.end.closed(), ConnectionError::ClosedByPeer(None));
    assert_eq!(peer.names(), ["close"]);
}

/// CLOSE_SENT, and END behind it. Also T-2.4.6-11 and T-2.4.3-5: the transport is done with.
#[test]
fn t_2_4_6_9_nothing_is_written_once_close_is_sent() {
    let mut peer = Peer::with_receiver();
    peer.send(0, credit(0, 10));
    let link = peer.end.offered_links()[0];
    peer.send(0, attach("other", 1, Role::Sender));
    peer.send_payload(0, transfer(1, 0), b"\0\x53\x75\xa0\x01x");
    let rx = peer.end.offered("other", Role::Receiver);
    let session = peer.end.session_of(link).unwrap();
    let delivery = peer.end.recv(rx).unwrap();
    peer.read();
    let now = peer.now;
    peer.end.engine.close(now, None);
    assert_eq!(peer.names(), ["close"]);
    assert!(peer.end.send(link, message(1, 1), unsettled(1)).is_err());
    // Whatever is asked for, and whether that is refused or not.
    let asks = |peer: &mut Peer| {
        [
            peer.end.dispose(rx, delivery.key, DeliveryState::Accepted).is_ok(),
            peer.end.set_credit(rx, Credit::Manual(7)).is_ok(),
            peer.end.attach_sender(session, sender("late")).is_ok(),
            peer.end.begin(SessionConfig::default()).is_ok(),
            peer.end.detach(link, true, None).is_ok(),
            peer.end.end(session, None).is_ok(),
        ]
    };
    let asked = asks(&mut peer);
    assert!(peer.names().is_empty(), "{asked:?}");
    peer.send(0, Flow { echo: true, ..session_flow(10) });
    peer.end.engine.handle_timeout(now + secs(1));
    assert!(peer.names().is_empty());
    peer.send(0, Close { error: None });
    assert!(peer.names().is_empty() && peer.end.is_finished());
    assert_eq!(peer.end.poll_timeout(), None);
    let asked = asks(&mut peer);
    peer.raw(&frame(0, begin(), b""));
    assert!(peer.names().is_empty(), "{asked:?}");
}

/// DISCARDING, by a violation of the peer's and by the application's error. Also T-2.4.6-11: at the END nothing is written
/// or taken.
#[test]
fn t_2_4_6_10_after_a_close_with_an_error_input_counts_for_nothing_until_the_peers_close() {
    for violated in [true, false] {
        let discarding = || {
            let mut peer = Peer::with_receiver();
            peer.send(0, credit(0, 10));
            let (now, link) = (peer.now, peer.end.offered_links()[0]);
            peer.end.send(link, message(1, 1), unsettled(1)).unwrap();
            peer.flush();
            if violated {
                peer.send(0, open());
            } else {
                peer.end.engine.close(now, Some(error(ErrorCondition::ILLEGAL_STATE)));
            }
            assert_eq!(peer.refusal(), Some(("close", ErrorCondition::ILLEGAL_STATE)));
            peer
        };
        let mut peer = discarding();
        let (events, settlements) = (peer.end.events.len(), peer.end.settlements());
        peer.send(1, begin());
        peer.send(0, attach("other", 1, Role::Sender));
        peer.send(0, open());
        let accepted = Some(DeliveryState::Accepted);
        let role = Role::Receiver;
        peer.send(0, Disposition { role, settled: true, state: accepted, ..Disposition::default() });
        // A frame whose body is none.
        peer.raw(b"\0\0\0\x09\x02\0\0\0\xff");
        peer.send(0, End { error: None });
        assert!(peer.names().is_empty() && !peer.end.is_finished(), "it waits for the peer's close");
        assert_eq!((peer.end.events.len(), peer.end.settlements()), (events, settlements));
        peer.send(0, Close { error: None });
        assert!(peer.names().is_empty() && peer.end.is_finished());
        assert_eq!(peer.end.poll_timeout(), None);
        peer.send(1, begin());
        assert!(peer.names().is_empty());

        // Behind octets that are no frame, no close can be told apart.
        let mut peer = discarding();
        peer.raw(b"no frame at all: the size is what these octets say");
        assert!(peer.names().is_empty() && peer.end.is_finished());
        assert_eq!(peer.end.offered_sessions().len(), 1);
    }
}

/// END, by the end of the transport: what waits to be written is not written any more, a heartbeat that is due included.
#[test]
fn t_2_4_6_11_nothing_is_written_when_the_transport_has_ended() {
    let mut peer = Peer::fresh();
    peer.raw(&HEADER);
    peer.send(0, Open { idle_time_out: Some(1000), ..open() });
    peer.send(0, begin());
    peer.flush();
    peer.send(0, Flow { echo: true, ..session_flow(10) });
    let session = peer.end.offered_sessions()[0];
    peer.end.end(session, None).unwrap();
    peer.end.begin(SessionConfig::default()).unwrap();
    peer.now = peer.now + secs(1);
    let now = peer.now;
    peer.end.engine.handle_timeout(now);
    assert!(peer.end.has_output());
    peer.end.engine.handle_eof(now);
    let seen = peer.end.written.len();
    peer.flush();
    assert_eq!(peer.end.written.len(), seen);
    assert!(peer.end.is_finished());
    assert_eq!(peer.end.poll_timeout(), None);
    let events = peer.end.events.len();
    peer.send(1, begin());
    peer.send(0, session_flow(10));
    assert_eq!((peer.end.written.len(), peer.end.events.len()), (seen, events));
}

#[test]
fn t_2_4_5_4_an_idle_time_out_that_cannot_be_kept_to_closes_the_connection() {
    for (millis, refused) in [(0, false), (1, true), (9, true), (10, false), (1000, false)] {
        let mut peer = Peer::fresh();
        peer.raw(&HEADER);
        peer.send(0, Open { idle_time_out: Some(millis), ..open() });
        let refusal = peer.refusal();
        assert_eq!(refusal.is_some(), refused, "{millis}");
        if refused {
            assert_eq!(refusal, Some(("close", ErrorCondition::INVALID_FIELD)));
        }
    }
}

/// Also T-2.7.1-10: what the peer announces is in milliseconds.
#[test]
fn t_2_4_5_6_heartbeats_are_on_channel_0() {
    // However many sessions there are, on other channels.
    for sessions in 0..3 {
        let mut peer = Peer::fresh();
        peer.raw(&HEADER);
        peer.send(0, Open { idle_time_out: Some(1000), ..open() });
        for channel in 0..sessions {
            peer.send(7 + channel, begin());
            peer.end.begin(SessionConfig::default()).unwrap();
        }
        peer.read();
        let seen = peer.end.written.len();
        peer.now = peer.now + secs(1);
        let now = peer.now;
        peer.end.engine.handle_timeout(now);
        peer.flush();
        assert_eq!(peer.end.written[seen..], [0, 0, 0, 8, 2, 0, 0, 0], "{sessions}");
    }
}

/// UNMAPPED, BEGIN_SENT, MAPPED, END_SENT, UNMAPPED; then by way of BEGIN_RCVD and END_RCVD.
#[test]
fn t_2_5_5_1_a_session_passes_through_its_states() {
    let mut peer = Peer::fresh().open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(peer.names(), ["begin"], "BEGIN_SENT");
    let link = peer.end.attach_sender(session, sender("l")).unwrap();
    assert!(peer.names().is_empty(), "handle-max is not known before the peer's begin");
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    assert_eq!(peer.names(), ["attach"], "MAPPED");
    peer.end.end(session, None).unwrap();
    assert_eq!(peer.names(), ["end"], "END_SENT");
    assert!(peer.end.ended_session(session).is_none());
    let events = peer.end.events.len();
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, attach("m", 1, Role::Sender));
    peer.send(0, Flow { echo: true, ..session_flow(10) });
    peer.send_payload(0, transfer(1, 0), HELLO);
    peer.send(0, Flow { handle: Some(9), ..session_flow(10) });
    assert!(peer.names().is_empty() && peer.end.events.len() == events, "what comes is discarded");
    peer.send(0, End { error: None });
    let ended = peer.end.ended_session(session).unwrap();
    assert!(ended.by == Cause::Local && peer.end.detached(link).is_some(), "UNMAPPED");

    // An end waits for the peer's begin.
    let mut peer = Peer::of_client().open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.end.end(session, None).unwrap();
    assert_eq!(peer.names(), ["begin"], "BEGIN_SENT");
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    assert_eq!(peer.names(), ["end"], "END_SENT");

    // An end with an error does not. The begin that comes behind it begins nothing.
    let mut peer = Peer::fresh().open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    let link = peer.end.attach_sender(session, sender("l")).unwrap();
    peer.end.end(session, Some(error(ErrorCondition::INTERNAL_ERROR))).unwrap();
    assert_eq!(peer.names(), ["begin", "end"], "DISCARDING");
    assert!(peer.end.ended_session(session).is_some() && peer.end.detached(link).is_some());
    let events = peer.end.events.len();
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    peer.send(0, attach("l", 0, Role::Receiver));
    assert!(peer.names().is_empty() && peer.end.events.len() == events);
    peer.send(0, End { error: None });
    assert!(peer.names().is_empty() && peer.end.events.len() == events, "UNMAPPED");

    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = None;
    peer.send(4, begin());
    assert!(peer.names().is_empty(), "BEGIN_RCVD");
    let session = peer.end.offered_sessions()[0];
    peer.end.accept_session(session, SessionConfig::default()).unwrap();
    assert_eq!(peer.names(), ["begin"], "MAPPED");
    peer.send(4, End { error: None });
    assert_eq!(peer.names(), ["end"], "END_RCVD, answered at once");
    assert_eq!(peer.end.ended_session(session).unwrap().by, Cause::Peer);
    // UNMAPPED: the channel is free.
    peer.send(4, begin());
    assert_eq!(peer.end.offered_sessions().len(), 2);
}

/// DISCARDING of sessions. Also T-2.8.17-1.
#[test]
fn t_2_5_4_1_what_a_session_cannot_take_ends_it_with_an_error_and_only_it() {
    let mut peer = Peer::with_session();
    peer.send(1, begin());
    peer.read();
    peer.send(0, Flow { handle: Some(9), ..session_flow(10) });
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
    peer.send(0, attach("l", 0, Role::Sender));
    assert!(peer.names().is_empty());
    peer.send(1, attach("m", 0, Role::Sender));
    assert_eq!(peer.names(), ["attach", "flow"]);
    peer.send(0, End { error: None });
    peer.send(0, begin());
    assert_eq!(peer.names(), ["begin"]);
}

/// BEGIN_RCVD: the begin that the application has not answered is answered first.
#[test]
fn t_2_5_4_1_what_a_session_cannot_take_before_it_is_answered_ends_it_too() {
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = None;
    peer.send(3, begin());
    peer.send(4, begin());
    peer.send(3, Flow { handle: Some(9), ..session_flow(10) });
    let frames = peer.read();
    assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["begin", "end"]);
    assert_eq!(refusal(&frames), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
    let [first, second] = peer.end.offered_sessions()[..] else { panic!("two sessions") };
    assert_eq!(peer.end.ended_session(first).unwrap().by, Cause::Local);
    peer.end.accept_session(second, SessionConfig::default()).unwrap();
    assert_eq!(peer.names(), ["begin"]);
    peer.send(3, End { error: None });
    peer.send(3, begin());
    assert_eq!(peer.end.offered_sessions().len(), 3);
}

#[test]
fn t_2_5_1_4_the_lowest_free_channel_is_taken() {
    let mut pair = Pair::open();
    let begun: Vec<_> = (0..3).map(|_| pair.session().0).collect();
    for session in &begun[..2] {
        pair.client.end(*session, None).unwrap();
    }
    pair.drive();
    let before = pair.client.written.len();
    for _ in 0..3 {
        pair.session();
    }
    let channels: Vec<_> = frames(&pair.client.written[before..]).into_iter().map(|(channel, ..)| channel).collect();
    assert_eq!(channels, [0, 1, 3]);
}

#[test]
fn t_2_7_1_12_capabilities_arrive_and_a_peer_that_lacks_one_can_be_closed() {
    let (mut client, mut server) = Pair::configs();
    client.desired_capabilities = vec![Symbol::from_static("needed"), Symbol::from_static("nice")];
    server.offered_capabilities = vec![Symbol::from_static("nice"), Symbol::from_static("other")];
    let mut pair = Pair::open_with(client.clone(), server.clone());
    let offered = pair.client.remote_open().unwrap().offered_capabilities.clone();
    let desired = pair.server.remote_open().unwrap().desired_capabilities.clone();
    assert_eq!((&offered[..], &desired[..]), (&server.offered_capabilities[..], &client.desired_capabilities[..]));
    let now = pair.now;
    pair.client.engine.close(now, Some(error(ErrorCondition::NOT_IMPLEMENTED)));
    pair.drive();
    let ConnectionError::ClosedByPeer(Some(error)) = pair.server.closed() else { panic!("an error") };
    assert_eq!(error.condition, ErrorCondition::NOT_IMPLEMENTED);
}

/// §2.5.6, from the peer's flows.
#[test]
fn t_2_5_6_6_the_peers_flow_says_where_it_counts() {
    let told = |peer: &mut Peer| {
        let flows = peer.read();
        let [(_, Performative::Flow(flow), _)] = &flows[..] else { panic!("{flows:?}") };
        flow.next_incoming_id
    };
    // A flow of a link says it of the session too.
    for handle in [None, Some(0)] {
        let mut peer = Peer::with_sender();
        let flow = |next, count| Flow {
            next_outgoing_id: SequenceNo(next),
            outgoing_window: 50 + count,
            handle,
            delivery_count: handle.map(|_| SequenceNo(count)),
            echo: true,
            ..session_flow(10)
        };
        peer.send_payload(0, transfer(0, 0), HELLO);
        let (rx, session) = (peer.end.offered_links()[0], peer.end.offered_sessions()[0]);
        peer.end.set_credit(rx, Credit::Manual(5)).unwrap();
        assert_eq!(told(&mut peer), Some(SequenceNo(1)), "a transfer is counted when it comes");
        peer.send(0, flow(7, 1));
        assert_eq!(told(&mut peer), Some(SequenceNo(7)), "{handle:?}");
        assert_eq!(peer.end.remote_outgoing_window(session), Some(51), "{handle:?}");
        // Each transfer frame advances it by one.
        peer.send_payload(0, transfer(0, 1), HELLO);
        peer.send(0, flow(8, 2));
        assert_eq!(told(&mut peer), Some(SequenceNo(8)), "{handle:?}");
        assert_eq!(peer.end.remote_outgoing_window(session), Some(52), "{handle:?}");
    }
}

/// The begin states it first and each flow again, and each transfer takes one of it.
#[test]
fn t_2_5_6_6_the_peers_outgoing_window_is_what_it_says_less_what_it_has_sent() {
    let mut peer = Peer::with_sender();
    let session = peer.end.offered_sessions()[0];
    let window = |peer: &mut Peer| peer.end.remote_outgoing_window(session);
    assert_eq!(window(&mut peer), Some(begin().outgoing_window));
    peer.send_payload(0, transfer(0, 0), HELLO);
    assert_eq!(window(&mut peer), Some(begin().outgoing_window - 1));
    let next_outgoing_id = SequenceNo(1);
    peer.send(0, Flow { next_outgoing_id, outgoing_window: 1, ..session_flow(10) });
    assert_eq!(window(&mut peer), Some(1));
    // It is a hint: transfers beyond it are taken.
    for id in 1..3 {
        peer.send_payload(0, transfer(0, id), HELLO);
        assert_eq!(window(&mut peer), Some(0));
    }
    assert_eq!(peer.names(), [""; 0]);
}

/// Which hosts there are, and which of them is meant by none, is the application's to say.
#[test]
fn t_2_7_1_2_a_hostname_arrives_or_none_does_and_an_unknown_one_can_be_refused() {
    let (client, server) = Pair::configs();
    let mut pair = Pair::with(client, server);
    pair.server.hold_open(true);
    pair.drive();
    assert_eq!(pair.server.remote_open().unwrap().hostname, None);
    pair.server.answer_open();
    pair.drive();
    assert!(pair.client.opened());
    let (mut client, server) = Pair::configs();
    client.hostname = Some("here.example".into());
    let mut pair = Pair::with(client, server);
    pair.server.hold_open(true);
    pair.drive();
    assert_eq!(pair.server.remote_open().unwrap().hostname.as_ref().unwrap(), "here.example");
    pair.server.refuse_open(error(ErrorCondition::NOT_FOUND));
    pair.drive();
    let ConnectionError::ClosedByPeer(Some(error)) = pair.client.closed() else { panic!("an error") };
    assert_eq!(error.condition, ErrorCondition::NOT_FOUND);
}

#[test]
fn a_clock_that_leaps_ends_a_silent_connection_once() {
    let mut config = ConnectionConfig::new("server");
    config.idle_timeout = Some(secs(10));
    let mut peer = Peer::with(config).open();
    let now = peer.now + secs(3600);
    peer.now = now;
    for _ in 0..3 {
        peer.end.engine.handle_timeout(now);
    }
    peer.flush();
    peer.end.look();
    assert_eq!(peer.names(), ["close"]);
    assert_eq!(peer.end.closed(), ConnectionError::IdleTimeout);
}

#[test]
fn t_2_4_5_5_an_empty_frame_is_taken_on_any_channel() {
    let mut ended = Peer::with_session();
    ended.send(0, End { error: None });
    let mut discarding = Peer::with_session();
    discarding.send(0, Flow { handle: Some(9), ..session_flow(10) });
    let sessions = [Peer::fresh().open(), Peer::with_sender(), Peer::client_with_session().0, ended, discarding];
    for mut peer in sessions {
        peer.send(1, begin());
        peer.read();
        for channel in [0_u8, 1, 200] {
            peer.raw(&[0, 0, 0, 8, 2, 0, 0, channel]);
        }
        assert!(!peer.end.is_closed() && peer.names().is_empty());
    }
}

#[test]
fn t_2_7_1_11_locales_are_taken_and_none_is_needed() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.raw(&HEADER);
    let locales = [Symbol::from_static("xx-XX"), Symbol::from_static("en-US")].to_vec();
    peer.send(0, Open { outgoing_locales: locales.clone().into(), incoming_locales: locales.into(), ..open() });
    let frames = peer.read();
    let [(_, Performative::Open(ours), _)] = &frames[..] else { panic!("{frames:?}") };
    // None said is en-US, which is what descriptions of errors are in.
    assert!(ours.outgoing_locales.is_empty() && ours.incoming_locales.is_empty());
}

/// Also T-2.7.2-4, and S-conf-2: without any, everything here works.
#[test]
fn t_2_7_1_13_nothing_is_desired_or_offered_unless_the_application_says_so() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    pair.sender(session, "l");
    pair.receiver(session, "m", Credit::Manual(0));
    for written in [&pair.client.written, &pair.server.written] {
        let mut seen = Vec::new();
        for (_, body, _) in frames(written) {
            let Some(body) = body else { continue };
            let (desired, offered) = match &body {
                Performative::Open(open) => (&open.desired_capabilities, &open.offered_capabilities),
                Performative::Begin(begin) => (&begin.desired_capabilities, &begin.offered_capabilities),
                Performative::Attach(attach) => (&attach.desired_capabilities, &attach.offered_capabilities),
                _ => continue,
            };
            assert!(desired.is_empty() && offered.is_empty(), "{body:?}");
            seen.push(body.name());
        }
        assert_eq!(seen, ["open", "begin", "attach", "attach"]);
    }
}

/// What a peer desires is not offered to it for that.
#[test]
fn t_2_7_2_4_a_begin_that_desires_something_is_offered_nothing() {
    let mut peer = Peer::fresh().open();
    let wish = || Symbol::from_static("x-opt-wish");
    peer.send(0, Begin { desired_capabilities: wish().into(), offered_capabilities: wish().into(), ..begin() });
    let frames = peer.read();
    let [(_, Performative::Begin(answer), _)] = &frames[..] else { panic!("{frames:?}") };
    assert!(answer.offered_capabilities.is_empty() && answer.desired_capabilities.is_empty());
}
