//! Sentences for people: what the first octets of a peer reveal, and the peer's own text, escaped and cut.

use crate::sasl::sasl;
use amqp1_codec::{
    Str, Symbol,
    definitions::{AmqpError, ErrorCondition},
    frame::ProtocolHeader,
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Begin, Close, Detach, End, Open},
    printable::MAX_REPORT,
    sasl::{SaslBody, SaslInit, SaslMechanisms},
};
use amqp1_engine::{Connection, ConnectionConfig, ConnectionError, Instant, SaslFailure, ServerSasl, Settlement};
use amqp1_testkit::*;
use proptest::prelude::*;
use std::fmt::Debug;

fn plain() -> Vec<Symbol> {
    vec![Symbol::from_static("PLAIN")]
}

/// What a client says to a server that begins with these octets.
fn at_client(octets: &[u8]) -> String {
    let mut peer = Peer::of_client();
    peer.flush();
    peer.raw(octets);
    peer.end.closed().to_string()
}

/// What a server says to a client that begins with these octets.
fn at_server(sasl: ServerSasl, octets: &[u8]) -> String {
    let mut peer = Peer::of_server(sasl);
    peer.raw(octets);
    peer.end.closed().to_string()
}

const ALERT: &[u8] = b"\x15\x03\x03\0\x02\x02\x46";
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
const AMQP_0_9_1: &[u8] = b"AMQP\0\0\x09\x01";

#[test]
fn a_client_says_what_speaks_on_the_port() {
    assert_eq!(at_client(ALERT), "this port speaks TLS: use amqps://");
    assert_eq!(at_client(CLIENT_HELLO), "this port speaks TLS: use amqps://");
    assert_eq!(at_client(b"HTTP/1.1 400 Bad Request\r\n"), "this port speaks HTTP, not AMQP: check the port");
    assert!(
        at_client(AMQP_0_9_1).starts_with("this port speaks AMQP 0-9-1, not AMQP 1.0"),
        "{}",
        at_client(AMQP_0_9_1)
    );
}

#[test]
fn a_server_says_what_the_client_speaks() {
    for sasl in [ServerSasl::None, ServerSasl::Required(plain())] {
        let text = at_server(sasl.clone(), CLIENT_HELLO);
        assert_eq!(text, "the client speaks TLS, and this port does not: let it use amqp://");
        assert_eq!(at_server(sasl.clone(), b"GET / HTTP/1.1\r\n"), "the client speaks HTTP, not AMQP");
        assert_eq!(at_server(sasl, AMQP_0_9_1), "the client speaks AMQP 0-9-1, not AMQP 1.0");
    }
}

#[test]
fn either_end_says_that_the_other_wants_sasl_or_does_not() {
    let text = at_client(&ProtocolHeader::SASL.encode());
    assert_eq!(text, "the server requires SASL, which this client leaves out");
    let text = at_server(ServerSasl::Required(plain()), &ProtocolHeader::AMQP.encode());
    assert_eq!(text, "the client leaves SASL out, which is required here");
    let text = at_server(ServerSasl::None, &ProtocolHeader::SASL.encode());
    assert_eq!(text, "the client wants SASL, which is not offered here");
    let mechanism = Box::new(amqp1_auth::sasl::Anonymous::default());
    let config = ConnectionConfig::new("client");
    let mut peer = Peer::new(Connection::client(config, Some(mechanism), Instant::default()));
    peer.flush();
    peer.raw(&ProtocolHeader::AMQP.encode());
    assert_eq!(peer.end.closed().to_string(), "the server does not take SASL: leave it out");
}

#[test]
fn sixty_kilobytes_of_mechanisms_make_a_short_error() {
    let mechanism = Box::new(amqp1_auth::sasl::Anonymous::default());
    let mut config = ConnectionConfig::new("client");
    config.tolerances.long_sasl_frames = true;
    let mut peer = Peer::new(Connection::client(config, Some(mechanism), Instant::default()));
    peer.flush();
    peer.raw(&ProtocolHeader::SASL.encode());
    let names: Vec<_> = (0..6000).map(|n| Symbol::new(format!("\x1b]0;{n}\x07")).unwrap()).collect();
    peer.raw(&sasl(SaslBody::Mechanisms(SaslMechanisms { sasl_server_mechanisms: names.clone().into() })));
    let error = peer.end.closed();
    let ConnectionError::Sasl(SaslFailure::NotOffered { offered, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(*offered, names, "the raw text stays there");
    let text = error.to_string();
    assert!(text.len() < 1000 && text.ends_with("… 5984 more], not ANONYMOUS"), "{text}");
    check(&text);
    check(&format!("{error:?}"));
}

#[track_caller]
fn check(shown: &str) {
    assert!(shown.len() <= MAX_REPORT, "{} octets", shown.len());
    let odd =
        |c: &char| c.is_control() || ('\u{200b}'..='\u{200f}').contains(c) || ('\u{2028}'..='\u{202e}').contains(c);
    assert_eq!(shown.chars().find(odd), None, "{}", shown.escape_unicode());
}

#[track_caller]
fn check_debug(what: &impl Debug) {
    check(&format!("{what:?}"));
}

fn hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(&['\0', '\n', '\r', '\x1b', '\u{9b}', '\u{200b}', '\u{202e}', '\u{2028}'][..]);
    let c = prop_oneof![odd, Just('a')];
    (prop::collection::vec(c, 1..20), prop::sample::select(&[1usize, 300][..]))
        .prop_map(|(chars, times)| chars.into_iter().collect::<String>().repeat(times))
}

/// All that a peer can name, in the errors, the events and the state of the connection.
fn tell(text: &str) {
    let error = || {
        let condition = ErrorCondition::new(Symbol::new(text.replace(|c: char| !c.is_ascii(), "?")).unwrap());
        Some(AmqpError { description: Some(text.into()), ..AmqpError::from(condition) })
    };
    let mut config = ConnectionConfig::new("server");
    config.tolerances.long_open = true;
    let mut peer = Peer::new(Connection::server(config, ServerSasl::None, Instant::default()));
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: text.into(), hostname: Some(text.into()), ..Open::default() });
    peer.send(0, Begin { next_outgoing_id: 0.into(), incoming_window: 100, outgoing_window: 100, ..Begin::default() });
    let address = || Some(Str::from(text));
    peer.send(
        0,
        Attach {
            name: text.into(),
            source: Some(Box::new(Source { address: address(), ..Source::default() })),
            target: Some(Target { address: address(), ..Target::default() }.into()),
            initial_delivery_count: Some(0.into()),
            ..Attach::default()
        },
    );
    check_debug(&peer.end.engine);
    peer.send(0, Detach { handle: 0, closed: true, error: error() });
    peer.send(0, End { error: error() });
    peer.send(0, Close { error: error() });
    peer.end.events.iter().for_each(|event| check_debug(event));
    let closed = peer.end.closed();
    assert!(matches!(closed, ConnectionError::ClosedByPeer(Some(_))), "{closed:?}");
    check(&closed.to_string());
    check_debug(&closed);
    check_debug(&peer.end.engine);
    check_debug(&Settlement::Outcome(Some(DeliveryState::rejected(error().unwrap()))));
}

fn name_mechanism(text: &str) {
    let mut peer = Peer::of_server(ServerSasl::Required(plain()));
    peer.raw(&ProtocolHeader::SASL.encode());
    let mechanism = Symbol::from_static("PLAIN");
    peer.raw(&sasl(SaslBody::Init(SaslInit { mechanism, hostname: Some(text.into()), ..SaslInit::default() })));
    peer.end.events.iter().for_each(|event| check_debug(event));
    assert!(!peer.end.events.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_peer_names_escapes_an_error_or_an_event(text in hostile()) {
        tell(&text);
        name_mechanism(&text);
    }
}
