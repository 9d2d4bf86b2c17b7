//! SASL out of its order, and octets that are none.

use super::*;

/// Also S-5.3-1: who is connected to is the server, and speaks as one. Also S-5.1-1: that is the end of the connection.
#[test]
fn s_5_3_2_6_frames_out_of_order_end_the_connection() {
    let response = || SaslBody::Response(SaslResponse { response: Secret("r".into()) });
    let challenge = || SaslBody::Challenge(SaslChallenge { challenge: Secret("c".into()) });
    for body in [response(), challenge(), outcome(SaslCode::Ok), mechanisms(&["PLAIN"])] {
        let mut peer = sasl_server();
        let before = peer.end.written.len();
        peer.raw(&sasl(body));
        assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::SaslOutOfOrder));
        assert!(peer.end.is_finished() && peer.end.written.len() == before);
    }
    // Nor does a server take them in place of the response to its challenge.
    for body in [init("PLAIN", None), challenge(), outcome(SaslCode::Ok), mechanisms(&["PLAIN"])] {
        let mut peer = sasl_server();
        peer.raw(&sasl(init("PLAIN", None)));
        peer.end.sasl_challenge("c".into());
        peer.flush();
        let before = peer.end.written.len();
        peer.raw(&sasl(body));
        assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::SaslOutOfOrder));
        assert!(peer.end.is_finished() && peer.end.written.len() == before);
    }
    // A client is as strict.
    for body in [response(), init("PLAIN", None), outcome(SaslCode::Ok), challenge()] {
        let mut peer = sasl_client(plain());
        peer.raw(&ProtocolHeader::SASL.encode());
        peer.raw(&sasl(body));
        assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::SaslOutOfOrder));
        assert!(peer.end.is_finished());
    }
    for body in [response(), init("PLAIN", None), mechanisms(&["PLAIN"])] {
        let mut peer = asked_client(plain(), "PLAIN");
        peer.raw(&sasl(body));
        assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::SaslOutOfOrder));
        assert!(peer.end.is_finished());
    }
}

#[test]
fn s_5_3_2_6_a_second_init_ends_the_connection_whatever_the_first_got() {
    let mut peer = sasl_server();
    let twice = [sasl(init("ANONYMOUS", None)), sasl(init("ANONYMOUS", None))].concat();
    peer.raw(&twice);
    peer.end.sasl_outcome(SaslCode::Ok, None);
    peer.flush();
    assert!(matches!(peer.end.closed(), ConnectionError::ProtocolMismatch { .. }));
    let outcomes = items(&peer.end.written).into_iter().filter(|item| matches!(item, Item::Sasl(SaslBody::Outcome(_))));
    assert_eq!(outcomes.count(), 1);
    assert!(peer.end.is_finished());
}

/// Also S-5.3.1-4, S-5.3.2-7 and S-5.3.3.2-1.
#[test]
fn s_5_3_1_3_malformed_sasl_ends_the_connection() {
    let garbage: [&[u8]; 8] = [
        // An empty SASL frame.
        b"\0\0\0\x08\x02\x01\0\0",
        // An AMQP frame.
        b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c",
        // An open in a SASL frame.
        b"\0\0\0\x11\x02\x01\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c",
        // An init without a mechanism.
        b"\0\0\0\x0c\x02\x01\0\0\0\x53\x41\x45",
        // DOFF 1.
        b"\0\0\0\x0c\x01\x01\0\0\0\x53\x41\x45",
        // SIZE 0.
        b"\0\0\0\0\x02\x01\0\0",
        // The AMQP header instead of an init.
        b"AMQP\0\x01\0\0\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c",
        // Octets after the performative.
        b"\0\0\0\x1a\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS\x40",
    ];
    for octets in garbage {
        let mut peer = sasl_server();
        peer.raw(octets);
        assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)), "{}", octets.escape_ascii());
        assert!(peer.end.is_finished() && !peer.end.opened());
    }
}

/// Also S-5.3.1-4, S-5.3.3.3-1 and S-5.3.3.1-1.
#[test]
fn s_5_3_1_3_malformed_sasl_ends_the_connection_for_a_client_too() {
    let garbage: [&[u8]; 5] = [
        // An empty SASL frame.
        b"\0\0\0\x08\x02\x01\0\0",
        // An AMQP frame.
        b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c",
        // An open in a SASL frame.
        b"\0\0\0\x11\x02\x01\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c",
        // A challenge without its octets.
        b"\0\0\0\x0c\x02\x01\0\0\0\x53\x42\x45",
        // A challenge that is a text.
        b"\0\0\0\x11\x02\x01\0\0\0\x53\x42\xc0\x04\x01\xa1\x01c",
    ];
    for octets in garbage {
        let mut peer = asked_client(Box::new(Questions(0)), "X-QUESTIONS");
        let before = peer.end.written.len();
        peer.raw(octets);
        assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)), "{}", octets.escape_ascii());
        assert!(peer.end.is_finished() && peer.end.written.len() == before);
    }
}

/// In each state, at either end: a frame of the wrong kind, none in a frame, another body behind it, and octets that are
/// none. Also S-5.3.1-4.
#[test]
fn s_5_3_1_3_a_frame_holds_one_body_of_sasl_in_each_state() {
    let asked = || {
        let mut peer = sasl_server();
        peer.raw(&sasl(init("PLAIN", None)));
        peer.end.sasl_challenge("c".into());
        peer.flush();
        peer
    };
    let greeted = || {
        let mut peer = sasl_client(plain());
        peer.raw(&ProtocolHeader::SASL.encode());
        peer
    };
    let init_sent = || asked_client(Box::new(Questions(0)), "X-QUESTIONS");
    let (response, challenge) = (
        || SaslBody::Response(SaslResponse { response: Secret("r".into()) }),
        || SaslBody::Challenge(SaslChallenge { challenge: Secret("c".into()) }),
    );
    // The state, and what is taken in it.
    let states: [(&dyn Fn() -> Peer, SaslBody); 5] = [
        (&sasl_server, init("ANONYMOUS", None)),
        (&asked, response()),
        (&greeted, mechanisms(&["PLAIN"])),
        (&init_sent, challenge()),
        (&init_sent, outcome(SaslCode::Ok)),
    ];
    for (state, body) in states {
        let frame = sasl(body.clone());
        let grown = |more: &[u8]| {
            let mut octets = [&frame[..], more].concat();
            let size = octets.len() as u32;
            octets[..4].copy_from_slice(&size.to_be_bytes());
            octets
        };
        let mut of_amqp = frame.to_vec();
        of_amqp[5] = 0;
        let flawed: [Vec<u8>; 6] = [
            b"\0\0\0\x08\x02\x01\0\0".to_vec(),
            b"\0\0\0\x11\x02\x01\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c".to_vec(),
            of_amqp,
            grown(b"\x40"),
            grown(b"\0"),
            grown(&frame[8..]),
        ];
        for octets in flawed {
            let mut peer = state();
            let before = peer.end.written.len();
            peer.raw(&octets);
            assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)), "{}", octets.escape_ascii());
            assert!(peer.end.is_finished() && peer.end.written.len() == before, "{}", octets.escape_ascii());
        }
        let mut peer = state();
        peer.raw(&frame);
        assert!(!peer.end.is_closed(), "{body:?} is taken");
    }
}

#[test]
fn s_5_3_3_3_1_a_response_must_hold_octets_which_may_be_none() {
    for (octets, taken) in [
        (&b"\0\0\0\x10\x02\x01\0\0\0\x53\x43\xc0\x03\x01\xa0\0"[..], true),
        (b"\0\0\0\x0c\x02\x01\0\0\0\x53\x43\x45", false),
        (b"\0\0\0\x0f\x02\x01\0\0\0\x53\x43\xc0\x02\x01\x40", false),
    ] {
        let mut peer = sasl_server();
        peer.raw(&sasl(init("PLAIN", None)));
        peer.end.sasl_challenge(Bytes::new());
        peer.flush();
        peer.raw(octets);
        assert_eq!(answers(&peer.end).first(), taken.then_some(&&b""[..]), "{}", octets.escape_ascii());
        assert_eq!(peer.end.is_closed(), !taken);
    }
}

#[test]
fn s_5_3_1_1_octets_6_and_7_and_the_extended_header_are_ignored() {
    let mut peer = sasl_server();
    peer.raw(b"\0\0\0\x1d\x03\x01\xab\xcd\xff\xff\xff\xff\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS");
    assert_eq!(asked(&mut peer.end).0, "ANONYMOUS");
    // The same for a client: mechanisms, in a frame with DOFF 3.
    let mut peer = sasl_client(plain());
    peer.raw(&ProtocolHeader::SASL.encode());
    peer.raw(b"\0\0\0\x19\x03\x01\xab\xcd\xff\xff\xff\xff\0\x53\x40\xc0\x08\x01\xa3\x05PLAIN");
    assert!(matches!(items(&peer.end.written).last(), Some(Item::Sasl(SaslBody::Init(_)))));
}

#[test]
fn s_5_3_1_1_what_is_sent_has_the_plainest_header() {
    let mut client = pair(plain());
    client.drive();
    for end in [&client.client, &client.server] {
        assert_eq!(end.written.get(12..16), Some(&[2, 1, 0, 0][..]), "DOFF 2, TYPE 1, zeros");
    }
}
