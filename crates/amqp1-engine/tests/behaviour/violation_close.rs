//! A violation that closes the connection, and the peer's close in the same read: the close is what is reported.

use amqp1_codec::{
    definitions::ErrorCondition,
    frame::ProtocolHeader,
    performative::{Begin, Close, Open, Performative},
};
use amqp1_engine::{Connection, ConnectionConfig, ConnectionError, Instant, PeerMisbehaved, ServerSasl};
use amqp1_testkit::*;

fn named() -> Open {
    Open { container_id: "peer".into(), ..Open::default() }
}

fn close() -> Vec<u8> {
    frame(0, Close { error: Some(error(ErrorCondition::CONNECTION_FORCED)) }, b"").to_vec()
}

/// What cannot be answered but by a close, with the condition that it is answered with.
fn violations() -> Vec<(&'static str, Vec<u8>, ErrorCondition)> {
    let answers_nothing = Begin { remote_channel: Some(9), ..begin() };
    let mut too_large = (70_000_u32).to_be_bytes().to_vec();
    too_large.extend([2, 0, 0, 0]);
    too_large.resize(20_000, 0);
    let size = (20_000_u32).to_be_bytes();
    too_large[..4].copy_from_slice(&size);
    vec![
        ("a second open", frame(0, named(), b"").to_vec(), ErrorCondition::ILLEGAL_STATE),
        ("a channel without a session", frame(3, session_flow(1), b"").to_vec(), ErrorCondition::NOT_ALLOWED),
        ("a channel above channel-max", frame(9999, begin(), b"").to_vec(), ErrorCondition::FRAMING_ERROR),
        ("a begin that answers nothing", frame(0, answers_nothing, b"").to_vec(), ErrorCondition::NOT_ALLOWED),
        ("a malformed body", b"\0\0\0\x0c\x02\0\0\0\0\x53\x11\xff".to_vec(), ErrorCondition::DECODE_ERROR),
        ("an unknown performative", b"\0\0\0\x0c\x02\0\0\0\0\x53\x99\x45".to_vec(), ErrorCondition::DECODE_ERROR),
        ("a frame that is too large", too_large, ErrorCondition::FRAMING_ERROR),
        ("a frame of another type", b"\0\0\0\x08\x02\x07\0\0".to_vec(), ErrorCondition::FRAMING_ERROR),
        ("a data offset of 1", b"\0\0\0\x08\x01\0\0\0".to_vec(), ErrorCondition::FRAMING_ERROR),
    ]
}

fn ends() -> [Peer; 2] {
    let config = |name| ConnectionConfig { max_frame_size: 16 * 1024, ..ConnectionConfig::new(name) };
    [
        Peer::new(Connection::server(config("server"), ServerSasl::None, Instant::default())).open(),
        Peer::new(Connection::client(config("client"), None, Instant::default())).open(),
    ]
}

#[test]
fn a_close_behind_a_violation_is_what_is_reported() {
    for (what, octets, condition) in violations() {
        for mut peer in ends() {
            // Other frames may lie between the two.
            let between =
                [frame(1, begin(), b""), frame(1, attach("l", 0, amqp1_codec::definitions::Role::Sender), b"")];
            let read = [&octets[..], &between.concat(), &close()].concat();
            peer.raw(&read);
            let expected = ConnectionError::ClosedByPeer(Some(error(ErrorCondition::CONNECTION_FORCED)));
            assert_eq!(peer.end.closed(), expected, "{what}");
            assert_eq!(peer.refusal(), Some(("close", condition.clone())), "{what}");
            assert!(peer.end.is_finished(), "{what}: nothing more is waited for");
            assert!(peer.end.offered_sessions().is_empty(), "{what}: what lies between is not looked at");
        }
    }
}

#[test]
fn without_a_close_in_the_same_read_the_violation_is_reported() {
    for (what, octets, condition) in violations() {
        for mut peer in ends() {
            let mut read = octets.clone();
            let close = close();
            // The last octet of the close has not come yet.
            read.extend(&close[..close.len() - 1]);
            peer.raw(&read);
            assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)), "{what}: {:?}", peer.end.closed());
            assert_eq!(peer.refusal(), Some(("close", condition.clone())), "{what}");
            peer.raw(&close[close.len() - 1..]);
            assert!(peer.end.is_finished(), "{what}");
            assert!(peer.names().is_empty(), "{what}");
        }
    }
}

/// The frames behind a body that cannot be read can be told apart, so that the peer's close is waited for.
#[test]
fn t_2_4_3_3_the_answer_is_waited_for_if_it_could_be_read() {
    const HIDING: [&str; 3] = ["a frame that is too large", "a frame of another type", "a data offset of 1"];
    for (what, octets, condition) in violations() {
        let unreadable = HIDING.contains(&what);
        for answered in [true, false] {
            for mut peer in ends() {
                peer.raw(&octets);
                assert_eq!(peer.refusal(), Some(("close", condition.clone())), "{what}");
                assert_eq!(peer.end.is_finished(), unreadable, "{what}");
                let deadline = (!unreadable).then(|| peer.now + secs(5));
                assert_eq!(peer.end.poll_timeout(), deadline, "{what}");
                if answered {
                    peer.raw(&close());
                } else if let Some(deadline) = deadline {
                    peer.now = deadline;
                    peer.end.take_timeout(deadline);
                }
                assert!(peer.end.is_finished() && peer.names().is_empty(), "{what}");
                assert_eq!(peer.end.close_unanswered(), !answered && !unreadable, "{what}");
            }
        }
    }
}

#[test]
fn behind_a_size_that_is_no_size_nothing_can_be_told_apart() {
    for mut peer in ends() {
        peer.raw(&[&b"\0\0\0\x07\x02\0\0\0"[..], &close()].concat());
        assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::Frame(_))));
        assert!(peer.end.is_finished());
    }
}

/// Broker-J refuses connections with an open of max-frame-size 0 and a close; strict reports the close all the same.
#[test]
fn t_2_7_1_7_a_refusal_behind_a_max_frame_size_of_0_is_reported_under_strict_too() {
    for (with_close, size) in [(true, 0), (false, 0), (true, 511)] {
        let mut peer = Peer::fresh();
        peer.raw(&ProtocolHeader::AMQP.encode());
        let mut octets = frame(0, Open { max_frame_size: size, ..named() }, b"").to_vec();
        if with_close {
            octets.extend(close());
        }
        peer.raw(&octets);
        let forced = ConnectionError::ClosedByPeer(Some(error(ErrorCondition::CONNECTION_FORCED)));
        let violation = ConnectionError::Misbehaved(PeerMisbehaved::MaxFrameSizeTooSmall { size });
        assert_eq!(peer.end.closed(), if with_close { forced } else { violation });
        assert!(!peer.end.opened());
        let frames = peer.read();
        assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["open", "close"]);
        let Performative::Close(answer) = &frames[1].1 else { panic!("{frames:?}") };
        assert_eq!(answer.error.as_ref().unwrap().condition, ErrorCondition::INVALID_FIELD);
    }
}

/// What is wrong after our close is nothing new; the close that is waited for may lie behind it.
#[test]
fn t_2_4_3_6_a_violation_after_our_close_hides_no_close() {
    for (what, octets, _) in violations() {
        for mut peer in ends() {
            peer.end.engine.close(peer.now, None);
            assert_eq!(peer.names(), ["close"]);
            peer.raw(&octets);
            let unreadable = peer.end.is_finished();
            assert_eq!(peer.end.is_closed(), unreadable, "{what}: who is finished has said so");
            peer.raw(&frame(0, Close::default(), b""));
            assert_eq!(peer.end.closed(), ConnectionError::LocallyClosed, "{what}");
            assert!(peer.end.is_finished() && peer.names().is_empty(), "{what}");
        }
        for mut peer in ends() {
            peer.end.engine.close(peer.now, None);
            peer.raw(&[&octets[..], &close()].concat());
            let forced = ConnectionError::ClosedByPeer(Some(error(ErrorCondition::CONNECTION_FORCED)));
            assert_eq!(peer.end.closed(), forced, "{what}");
        }
    }
}
