//! Channels (§2.5.1, §2.5.2): whose they are, and when they are used again.

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    frame::ProtocolHeader,
    performative::{Begin, Detach, End as EndFrame, Flow, Open, Performative},
};
use amqp1_engine::{ApiMisuse, Cause, ConnectionConfig, ConnectionError, PeerMisbehaved, SessionConfig};
use amqp1_testkit::*;

#[test]
fn t_2_5_1_2_the_answer_names_the_channel_that_it_answers() {
    let config = ConnectionConfig { channel_max: u16::MAX, ..ConnectionConfig::new("ours") };
    let mut peer = Peer::with(config).open();
    for (ours, channel) in (0..).zip([5, 0, 255, 256, 0x1234, u16::MAX]) {
        peer.send(channel, begin());
        let frames = peer.read();
        let [(answered_on, Performative::Begin(answer), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((*answered_on, answer.remote_channel), (ours, Some(channel)));
    }
}

#[test]
fn t_2_7_1_8_channels_stay_below_the_peers_channel_max() {
    let (client, mut server) = Pair::configs();
    server.channel_max = 1;
    let mut pair = Pair::open_with(client, server);
    pair.session();
    let (second, _) = pair.session();
    assert_eq!(pair.client.begin(SessionConfig::default()), Err(ApiMisuse::NoChannel));
    // T-2.5.2-2: an ended session leaves room.
    pair.client.end(second, None).unwrap();
    pair.drive();
    pair.session();
}

/// A session that is begun before the peer's open is known.
#[test]
fn t_2_7_1_8_a_begin_that_waits_for_the_open_keeps_to_the_peers_channel_max() {
    for channel_max in [0, 1] {
        let mut peer = Peer::fresh();
        let sessions = [(); 3].map(|()| peer.end.begin(SessionConfig::default()).unwrap());
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.send(0, Open { container_id: "peer".into(), channel_max, ..Open::default() });
        let begun: Vec<_> = peer
            .read()
            .into_iter()
            .filter_map(|(channel, body, _)| matches!(body, Performative::Begin(_)).then_some(channel))
            .collect();
        assert_eq!(begun, (0..=channel_max).collect::<Vec<_>>());
        let (fit, others) = sessions.split_at(begun.len());
        assert!(fit.iter().all(|session| peer.end.ended_session(*session).is_none()));
        for session in others {
            let ended = peer.end.ended_session(*session).unwrap();
            let condition = ended.error.unwrap().condition;
            assert_eq!((ended.by, condition), (Cause::Local, ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
        }
    }
}

#[test]
fn t_2_5_1_5_a_begin_on_a_channel_in_use_is_refused() {
    // Whichever end has begun the session, and even if this end has ended it and the peer has not.
    for begun_here in [false, true] {
        for ended in [None, Some(None), Some(Some(error(ErrorCondition::INTERNAL_ERROR)))] {
            // Another session, or the answer to a begin of this end.
            for answers in [false, true] {
                let (mut peer, session) = if begun_here {
                    Peer::client_with_session()
                } else {
                    let peer = Peer::with_session();
                    let session = peer.end.offered_sessions()[0];
                    (peer, session)
                };
                if let Some(why) = &ended {
                    peer.end.end(session, why.clone()).unwrap();
                    assert_eq!(peer.names(), ["end"]);
                }
                peer.end.begin(SessionConfig::default()).unwrap();
                assert_eq!(peer.names(), ["begin"]);
                peer.send(0, Begin { remote_channel: answers.then_some(1), ..begin() });
                let case = format!("{begun_here} {ended:?} {answers}");
                assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)), "{case}");
                let violation = PeerMisbehaved::BeginOnChannelInUse { channel: 0 };
                assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(violation), "{case}");
            }
        }
    }
}

#[test]
fn t_2_5_1_6_frames_on_a_channel_without_a_session_are_refused() {
    let bodies: [Performative; 6] = [
        attach("l", 0, Role::Sender).into(),
        session_flow(1).into(),
        transfer(0, 0).into(),
        amqp1_codec::performative::Disposition::default().into(),
        Detach::default().into(),
        EndFrame::default().into(),
    ];
    // There never was one, the peer has begun and ended one while it keeps another, or this end has.
    let never = || Peer::fresh().open();
    let ended = || {
        let mut peer = Peer::with_session();
        peer.send(1, begin());
        peer.send(0, attach("l", 0, Role::Sender));
        peer.send(0, EndFrame::default());
        peer
    };
    let ended_here = || {
        let (mut peer, session) = Peer::client_with_session();
        peer.end.end(session, None).unwrap();
        peer.flush();
        peer.send(0, EndFrame::default());
        peer
    };
    let states: [(&str, &dyn Fn() -> Peer); 3] = [("never", &never), ("ended", &ended), ("ended here", &ended_here)];
    for (state, peer) in states {
        for body in &bodies {
            let mut peer = peer();
            peer.read();
            peer.send(0, body.clone());
            assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)), "{state}: {body:?}");
            let violation = PeerMisbehaved::ChannelUnmapped { channel: 0 };
            assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(violation), "{state}: {body:?}");
        }
    }
}

/// Our channels are not the peer's: each end names its own.
#[test]
fn t_2_5_2_1_the_answer_to_an_end_comes_on_our_channel() {
    let ended =
        |peer: &mut Peer| -> Vec<_> { peer.read().iter().map(|(channel, body, _)| (*channel, body.name())).collect() };
    // A session that the peer has begun, and one that this end has.
    let mut peer = Peer::fresh().open();
    peer.send(7, begin());
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(ended(&mut peer), [(0, "begin"), (1, "begin")]);
    peer.send(9, Begin { remote_channel: Some(1), ..begin() });
    peer.send(9, EndFrame::default());
    assert_eq!(ended(&mut peer), [(1, "end")]);
    assert_eq!(peer.end.ended_session(session).unwrap().by, Cause::Peer);
    peer.send(7, EndFrame::default());
    assert_eq!(ended(&mut peer), [(0, "end")]);
    // One that is begun and ended before it is answered is answered twice.
    let mut peer = Peer::fresh().open();
    peer.end.accept.sessions = None;
    peer.send(7, begin());
    assert!(ended(&mut peer).is_empty());
    peer.send(7, EndFrame::default());
    assert_eq!(ended(&mut peer), [(0, "begin"), (0, "end")]);
    assert!(!peer.end.is_closed());
}

#[test]
fn t_2_5_2_2_a_channel_is_used_again_only_after_both_ends() {
    for why in [None, Some(error(ErrorCondition::INTERNAL_ERROR))] {
        let mut peer = Peer::fresh().open();
        let first = peer.end.begin(SessionConfig::default()).unwrap();
        peer.send(9, Begin { remote_channel: Some(0), ..begin() });
        peer.end.end(first, why).unwrap();
        assert_eq!(peer.names(), ["begin", "end"]);
        peer.end.begin(SessionConfig::default()).unwrap();
        assert_eq!(peer.read()[0].0, 1, "channel 0 waits for the peer's end");
        peer.send(9, EndFrame::default());
        peer.end.begin(SessionConfig::default()).unwrap();
        assert_eq!(peer.read()[0].0, 0);
    }
    // The same holds for an end that a violation of the peer causes.
    let mut peer = Peer::with_session();
    peer.send(0, Flow { handle: Some(9), ..session_flow(10) });
    assert_eq!(peer.names(), ["end"]);
    peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(peer.read()[0].0, 1);
    peer.send(0, EndFrame::default());
    peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(peer.read()[0].0, 0);
}

#[test]
fn t_2_5_2_2_a_channel_is_used_again_behind_our_end() {
    let mut peer = Peer::fresh().open();
    peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(peer.names(), ["begin"]);
    // Begin and end arrive together, and the next session is wanted before anything is written.
    let mut octets = frame(9, Begin { remote_channel: Some(0), ..begin() }, b"").to_vec();
    octets.extend(frame(9, EndFrame::default(), b""));
    peer.end.input.extend_from_slice(&octets);
    peer.end.take_input(peer.now);
    peer.end.begin(SessionConfig::default()).unwrap();
    let frames: Vec<_> = peer.read().into_iter().map(|(channel, body, _)| (channel, body.name())).collect();
    assert_eq!(frames, [(0, "end"), (0, "begin")]);
}

#[test]
fn t_2_5_2_2_sessions_come_and_go_on_the_same_channel() {
    let mut peer = Peer::fresh().open();
    for _ in 0..5 {
        peer.send(3, begin());
        peer.send(3, attach("l", 0, Role::Sender));
        peer.send(3, EndFrame::default());
        let channels: Vec<_> = peer.read().into_iter().map(|(channel, body, _)| (channel, body.name())).collect();
        assert_eq!(channels, [(0, "begin"), (0, "attach"), (0, "flow"), (0, "end")]);
    }
}
