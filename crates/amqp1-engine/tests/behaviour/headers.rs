//! Protocol headers (§2.2): what is answered to the right one, to others, and to what is none.

use super::sasl::sasl;
use amqp1_codec::{
    Symbol,
    definitions::ErrorCondition,
    frame::{ProtocolHeader, ProtocolId},
    performative::{Open, Performative},
    sasl::{SaslBody, SaslInit},
};
use amqp1_engine::{Connection, ConnectionConfig, ConnectionError, Instant, ServerSasl};
use amqp1_testkit::*;

fn anonymous() -> Vec<Symbol> {
    vec![Symbol::from_static("ANONYMOUS")]
}

/// What a server says to these octets. It must be all, and the server must be done.
fn refused(sasl: ServerSasl, octets: &[u8]) -> Vec<Item> {
    let mut peer = Peer::of_server(sasl);
    peer.raw(octets);
    assert!(peer.end.is_finished(), "the server waits for more: {:?}", peer.end);
    assert!(matches!(peer.end.closed(), ConnectionError::ProtocolMismatch { .. }), "{:?}", peer.end.events);
    items(&peer.end.written)
}

/// Also T-2.2-1, of a client.
#[test]
fn t_2_2_2_a_client_sends_its_header_without_waiting() {
    let mut peer = Peer::of_client();
    peer.flush();
    assert_eq!(peer.end.written[..8], *b"AMQP\0\x01\0\0");
}

/// Also T-2.2-1, of a server.
#[test]
fn t_2_2_3_a_server_waits_for_the_clients_header() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.flush();
    assert!(peer.end.written.is_empty());
    peer.raw(b"AMQP\0\x01\0\0");
    assert_eq!(peer.end.written, b"AMQP\0\x01\0\0");
}

/// Also T-2.2-6: there is one version that is spoken.
#[test]
fn t_2_2_5_an_unsupported_version_gets_the_supported_header_and_the_end() {
    for version in [[2, 0, 0], [1, 1, 0], [1, 0, 1], [0, 9, 1], [0, 10, 0], [255, 255, 255]] {
        let header = ProtocolHeader { id: ProtocolId::Amqp, version };
        assert_eq!(refused(ServerSasl::None, &header.encode()), [Item::Header(ProtocolHeader::AMQP)]);
        // Of SASL too, and behind it.
        let other = ProtocolHeader { id: ProtocolId::Sasl, version };
        let answer = refused(ServerSasl::Required(anonymous()), &other.encode());
        assert_eq!(answer, [Item::Header(ProtocolHeader::SASL)]);
        let mut octets = ProtocolHeader::SASL.encode().to_vec();
        octets.extend(sasl(SaslBody::Init(SaslInit {
            mechanism: anonymous().remove(0),
            initial_response: None,
            hostname: None,
        })));
        octets.extend(header.encode());
        let answer = refused(ServerSasl::Required(anonymous()), &octets);
        assert_eq!(answer.last(), Some(&Item::Header(ProtocolHeader::AMQP)), "{version:?} behind SASL");
        assert_eq!(answer.first(), Some(&Item::Header(ProtocolHeader::SASL)));
    }
}

#[test]
fn t_2_2_7_what_is_no_header_gets_a_header_and_the_end() {
    let garbage: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        // A TLS ClientHello.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\0\0\0\0",
        b"amqp\0\x01\0\0",
        b"AMQX",
        // A frame instead of a header (T-2.4.6-1).
        b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c",
    ];
    for octets in garbage {
        let answer = refused(ServerSasl::None, octets);
        assert_eq!(answer, [Item::Header(ProtocolHeader::AMQP)], "{}", octets.escape_ascii());
    }
}

#[test]
fn t_2_2_8_a_server_that_wants_sasl_says_so() {
    for id in [ProtocolId::Amqp, ProtocolId::Tls, ProtocolId::Other(9)] {
        let header = ProtocolHeader { id, version: [1, 0, 0] };
        let answer = refused(ServerSasl::Required(anonymous()), &header.encode());
        assert_eq!(answer, [Item::Header(ProtocolHeader::SASL)]);
    }
}

#[test]
fn t_2_2_8_a_server_without_sasl_refuses_the_sasl_header() {
    let answer = refused(ServerSasl::None, &ProtocolHeader::SASL.encode());
    assert_eq!(answer, [Item::Header(ProtocolHeader::AMQP)]);
}

#[test]
fn a_server_that_allows_sasl_takes_both_headers() {
    let mut plain = Peer::of_server(ServerSasl::Allowed(anonymous()));
    plain.raw(&ProtocolHeader::AMQP.encode());
    assert_eq!(items(&plain.end.written), [Item::Header(ProtocolHeader::AMQP)]);
    let mut sasl = Peer::of_server(ServerSasl::Allowed(anonymous()));
    sasl.raw(&ProtocolHeader::SASL.encode());
    assert_eq!(items(&sasl.end.written)[0], Item::Header(ProtocolHeader::SASL));
}

#[test]
fn t_2_2_9_a_client_that_gets_another_header_stops() {
    for answer in [ProtocolHeader::SASL, ProtocolHeader { id: ProtocolId::Amqp, version: [0, 9, 1] }] {
        let mut peer = Peer::of_client();
        peer.flush();
        let before = peer.end.written.len();
        peer.raw(&answer.encode());
        let ConnectionError::ProtocolMismatch { expected, received, .. } = peer.end.closed() else {
            panic!("{:?}", peer.end.events)
        };
        assert_eq!((expected, received), (ProtocolHeader::AMQP, answer.encode()));
        assert_eq!(peer.end.written.len(), before, "nothing more is written");
        assert!(peer.end.is_finished());
    }
}

#[test]
fn a_client_says_what_came_instead_of_a_header() {
    let mut peer = Peer::of_client();
    peer.raw(b"SSH-2.0-OpenSSH_9.6\r\n");
    assert!(peer.end.closed().to_string().contains("SSH-2.0-"), "{}", peer.end.closed());
}

#[test]
fn t_2_2_11_a_header_may_come_octet_by_octet() {
    let mut peer = Peer::of_server(ServerSasl::None);
    for octet in ProtocolHeader::AMQP.encode() {
        assert!(peer.end.written.is_empty());
        peer.raw(&[octet]);
    }
    assert_eq!(items(&peer.end.written), [Item::Header(ProtocolHeader::AMQP)]);
}

#[test]
fn t_2_2_11_a_partial_header_is_given_up() {
    let config = ConnectionConfig { handshake_timeout: secs(3), ..ConnectionConfig::new("server") };
    let mut peer = Peer::new(Connection::server(config, ServerSasl::None, Instant::default()));
    peer.raw(b"AMQP\0\x01");
    let deadline = peer.end.poll_timeout().unwrap();
    assert_eq!(deadline, Instant::default() + secs(3));
    peer.now = deadline;
    peer.end.engine.handle_timeout(peer.now);
    assert_eq!(peer.names(), ["open", "close"]);
    assert_eq!(peer.end.closed(), ConnectionError::HandshakeIncomplete);
    assert!(peer.end.is_finished(), "what is no frame ends the wait for the peer's close");
}

#[test]
fn t_2_2_11_the_end_after_a_partial_header_is_the_end() {
    let mut peer = Peer::of_server(ServerSasl::None);
    peer.raw(b"AMQ");
    peer.end.engine.handle_eof(peer.now);
    peer.end.look();
    assert_eq!(peer.end.closed(), ConnectionError::TransportLost);
}

#[test]
fn t_2_2_10_sasl_frames_have_no_place_behind_the_amqp_header() {
    for mut peer in [Peer::of_server(ServerSasl::None), Peer::of_client()] {
        peer.raw(&ProtocolHeader::AMQP.encode());
        // A SASL frame with an init in it.
        peer.raw(b"\0\0\0\x19\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS");
        let frames = peer.read();
        assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["open", "close"]);
        assert_eq!(refusal(&frames), Some(("close", ErrorCondition::FRAMING_ERROR)));
        assert!(peer.end.is_finished());
    }
}

#[test]
fn t_2_4_2_1_everything_may_come_in_one_write() {
    let mut peer = Peer::of_server(ServerSasl::None);
    let mut octets = ProtocolHeader::AMQP.encode().to_vec();
    octets.extend(frame(0, Open { container_id: "peer".into(), ..Open::default() }, b""));
    octets.extend(frame(0, begin(), b""));
    octets.extend(frame(0, attach("l", 0, amqp1_codec::definitions::Role::Receiver), b""));
    octets.extend(frame(0, credit(0, 5), b""));
    let mut open = Peer::of_server(ServerSasl::None);
    open.raw(&octets);
    assert_eq!(open.names(), ["open", "begin", "attach"]);
    assert_eq!(open.end.credit(open.end.offered_links()[0]), 5);
    // Each session that is begun ahead of a close is answered.
    for channel in [1, 2, 700] {
        octets.extend(frame(channel, begin(), b""));
    }
    octets.extend(frame(0, amqp1_codec::performative::Close::default(), b""));
    peer.raw(&octets);
    let frames = peer.read();
    assert_eq!(
        frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(),
        ["open", "begin", "begin", "begin", "begin", "close"]
    );
    let answered = frames.iter().filter_map(|(_, body, _)| match body {
        Performative::Begin(begin) => Some(begin.remote_channel),
        _ => None,
    });
    assert_eq!(answered.collect::<Vec<_>>(), [0, 1, 2, 700].map(Some));
    assert!(peer.end.is_finished());
    assert_eq!(peer.end.closed(), ConnectionError::ClosedByPeer(None));
}
