//! The size of SASL frames (§5.3.1).

use super::{steps::scram, *};
use amqp1_auth::sasl::scram::ScramStep;

#[test]
fn s_5_3_1_2_frames_of_more_than_512_octets_are_a_tolerance() {
    for (tolerances, tolerated) in
        [(Tolerances::CLIENT, true), (Tolerances::ACCEPTOR, true), (Tolerances::STRICT, false)]
    {
        let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
        let mut peer = Peer::new(Connection::server(config, ServerSasl::Required(offered()), Instant::default()));
        peer.end.accept.sasl = false;
        peer.raw(&ProtocolHeader::SASL.encode());
        let response: &'static [u8] = Box::leak(vec![b'x'; 3000].into_boxed_slice());
        peer.raw(&sasl(init("PLAIN", Some(response))));
        if tolerated {
            assert_eq!(asked(&mut peer.end).1.unwrap().len(), 3000);
        } else {
            assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::Frame(_))));
        }
    }
}

/// For each kind of frame, at either end.
#[test]
fn s_5_3_1_2_a_frame_of_512_octets_is_the_longest() {
    // The same bodies, with this many octets more.
    type Grown = fn(usize) -> SaslBody;
    let init: Grown = |more| {
        let initial_response = Some(Secret(Bytes::from(vec![b'x'; 256 + more])));
        SaslBody::Init(SaslInit { mechanism: Symbol::from_static("PLAIN"), initial_response, hostname: None })
    };
    let response: Grown =
        |more| SaslBody::Response(SaslResponse { response: Secret(Bytes::from(vec![b'x'; 256 + more])) });
    let list: Grown = |more| {
        let long = Symbol::new("X".repeat(256 + more)).unwrap();
        SaslBody::Mechanisms(SaslMechanisms {
            sasl_server_mechanisms: vec![Symbol::from_static("X-QUESTIONS"), long].into(),
        })
    };
    let challenge: Grown =
        |more| SaslBody::Challenge(SaslChallenge { challenge: Secret(Bytes::from(vec![b'x'; 256 + more])) });
    let outcome: Grown = |more| {
        let additional_data = Some(Secret(Bytes::from(vec![b'x'; 256 + more])));
        SaslBody::Outcome(SaslOutcome { code: SaslCode::Ok, additional_data })
    };
    let challenged = || {
        let mut peer = sasl_server();
        peer.raw(&sasl(super::init("PLAIN", None)));
        peer.end.sasl_challenge("c".into());
        peer.flush();
        peer
    };
    let greeted = || {
        let mut peer = sasl_client(Box::new(Questions(0)));
        peer.raw(&ProtocolHeader::SASL.encode());
        peer
    };
    let begun = || asked_client(Box::new(Questions(0)), "X-QUESTIONS");
    let states: [(&dyn Fn() -> Peer, Grown); 5] =
        [(&sasl_server, init), (&challenged, response), (&greeted, list), (&begun, challenge), (&begun, outcome)];
    for (state, body) in states {
        let least = sasl(body(0)).len();
        for (size, taken) in [(512, true), (513, false), (5000, false)] {
            let octets = sasl(body(size - least));
            assert_eq!(octets.len(), size);
            let mut peer = state();
            let before = peer.end.written.len();
            peer.raw(&octets);
            assert_eq!(peer.end.is_closed(), !taken, "{size}: {:?}", peer.end.engine);
            if !taken {
                assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(PeerMisbehaved::Frame(_))));
                assert!(peer.end.is_finished() && peer.end.written.len() == before);
            }
        }
    }
}

/// Tokens need more, and get it.
#[test]
fn s_5_3_1_2_what_is_not_a_token_fits_512_octets() {
    let (mut pair, step) = scram("pencil");
    let Ok(ScramStep::Verified { additional_data, .. }) = step else { panic!("{step:?}") };
    pair.server.sasl_outcome(SaslCode::Ok, Some(additional_data));
    pair.drive();
    for end in [&pair.client, &pair.server] {
        let bodies = items(&end.written).into_iter().filter_map(|item| match item {
            Item::Sasl(body) => Some(sasl(body).len()),
            _ => None,
        });
        let sizes: Vec<_> = bodies.collect();
        assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= 512), "{sizes:?}");
    }
}
