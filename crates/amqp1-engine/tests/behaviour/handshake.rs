//! Handshakes that take too long: the peer gets to know, wherever something can be said.

use crate::sasl::sasl;
use amqp1_codec::{
    Symbol,
    definitions::ErrorCondition,
    frame::ProtocolHeader,
    performative::{Open, Performative},
    sasl::{SaslBody, SaslCode, SaslInit, SaslOutcome},
};
use amqp1_engine::{Connection, ConnectionConfig, ConnectionError, HandshakeStage, Instant, ServerSasl};
use amqp1_testkit::*;

fn config() -> ConnectionConfig {
    ConnectionConfig { handshake_timeout: secs(7), ..ConnectionConfig::new("server") }
}

fn server(sasl: ServerSasl) -> Peer {
    let mut peer = Peer::new(Connection::server(config(), sasl, Instant::default()));
    peer.end.accept.sasl = false;
    peer
}

fn plain() -> Vec<Symbol> {
    vec![Symbol::from_static("PLAIN")]
}

/// Lets the deadline pass. What was written because of it.
fn expire(peer: &mut Peer) -> Vec<Item> {
    peer.flush();
    let before = items(&peer.end.written).len();
    peer.now = Instant::default() + secs(7);
    assert_eq!(peer.end.poll_timeout(), Some(peer.now));
    peer.end.engine.handle_timeout(peer.now);
    peer.flush();
    peer.end.look();
    assert_eq!(peer.end.closed(), ConnectionError::HandshakeIncomplete);
    items(&peer.end.written).split_off(before)
}

fn is_outcome(item: &Item) -> bool {
    matches!(item, Item::Sasl(SaslBody::Outcome(SaslOutcome { code: SaslCode::SysTemp, additional_data: None })))
}

#[track_caller]
fn check_close(items: &[Item]) {
    let [
        ..,
        Item::Frame { body: Some(Performative::Open(_)), .. },
        Item::Frame { body: Some(Performative::Close(close)), .. },
    ] = items
    else {
        panic!("{items:?}")
    };
    let error = close.error.as_ref().expect("a close without a condition");
    assert_eq!(error.condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn t_rob_6_a_client_that_does_not_answer_the_mechanisms_gets_an_outcome() {
    let mut peer = server(ServerSasl::Required(plain()));
    peer.raw(&ProtocolHeader::SASL.encode());
    assert_eq!(peer.end.engine.handshake_stage(), Some(HandshakeStage::Sasl));
    let said = expire(&mut peer);
    assert!(matches!(&said[..], [outcome] if is_outcome(outcome)), "{said:?}");
    assert!(peer.end.is_finished());
    assert_eq!(peer.end.engine.handshake_stage(), Some(HandshakeStage::Sasl), "where it ended");
}

#[test]
fn t_rob_6_a_client_whose_authentication_takes_too_long_gets_an_outcome() {
    let mut peer = server(ServerSasl::Required(plain()));
    peer.raw(&ProtocolHeader::SASL.encode());
    peer.raw(&sasl(SaslBody::Init(SaslInit { mechanism: Symbol::from_static("PLAIN"), ..SaslInit::default() })));
    let said = expire(&mut peer);
    assert!(matches!(&said[..], [outcome] if is_outcome(outcome)), "{said:?}");
    // The application's answer comes too late.
    peer.end.engine.sasl_outcome(SaslCode::Ok, None);
    peer.flush();
    assert!(peer.end.is_finished());
}

/// Also T-rob-6.
#[test]
fn t_2_4_3_1_a_client_that_stops_after_sasl_gets_a_close_with_a_condition() {
    let mut peer = server(ServerSasl::Required(plain()));
    peer.raw(&ProtocolHeader::SASL.encode());
    peer.raw(&sasl(SaslBody::Init(SaslInit { mechanism: Symbol::from_static("PLAIN"), ..SaslInit::default() })));
    peer.end.engine.sasl_outcome(SaslCode::Ok, None);
    assert_eq!(peer.end.engine.handshake_stage(), Some(HandshakeStage::Open));
    let said = expire(&mut peer);
    assert_eq!(said[0], Item::Header(ProtocolHeader::AMQP));
    check_close(&said);
}

/// Also T-rob-6.
#[test]
fn t_2_4_3_1_a_client_that_does_not_open_gets_a_close_with_a_condition() {
    for octets in [&b""[..], b"AMQP", b"AMQP\0\x01\0\0", b"AMQP\0\x01\0\0\0\0\0\x11\x02"] {
        for sasl in [ServerSasl::None, ServerSasl::Allowed(plain())] {
            let mut peer = server(sasl);
            peer.raw(octets);
            assert_eq!(peer.end.engine.handshake_stage(), Some(HandshakeStage::Open));
            check_close(&expire(&mut peer));
        }
    }
}

#[test]
fn t_rob_6_a_client_that_says_nothing_where_sasl_is_required_gets_the_header_of_sasl() {
    let mut peer = server(ServerSasl::Required(plain()));
    assert_eq!(expire(&mut peer), [Item::Header(ProtocolHeader::SASL)]);
    assert!(peer.end.is_finished());
}

#[test]
fn t_2_4_3_1_a_server_that_does_not_open_gets_a_close_with_a_condition() {
    let mut peer = Peer::new(Connection::client(config(), None, Instant::default()));
    peer.flush();
    assert_eq!(peer.end.engine.handshake_stage(), Some(HandshakeStage::Open));
    let said = expire(&mut peer);
    let [Item::Frame { body: Some(Performative::Close(close)), .. }] = &said[..] else { panic!("{said:?}") };
    assert!(close.error.is_some());
}

#[test]
fn a_handshake_can_be_given_up_before_its_deadline_and_only_while_it_lasts() {
    let mut peer = server(ServerSasl::None);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.end.engine.abandon_handshake(peer.now);
    peer.flush();
    check_close(&items(&peer.end.written));
    let length = peer.end.written.len();
    peer.end.engine.abandon_handshake(peer.now);
    peer.flush();
    assert_eq!(peer.end.written.len(), length);

    let mut peer = server(ServerSasl::None);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), ..Open::default() });
    assert_eq!(peer.end.engine.handshake_stage(), None);
    peer.end.engine.abandon_handshake(peer.now);
    assert!(peer.end.opened() && !peer.end.is_finished());
}
