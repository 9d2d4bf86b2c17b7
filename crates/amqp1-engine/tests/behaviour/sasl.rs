//! The SASL layer (§5.3), with both ends and with peers that break its order.

mod malformed;
mod size;
mod steps;

use amqp1_auth::sasl::{Anonymous, ClientMechanism, Plain, SaslError, plain::Credentials};
use amqp1_codec::{
    EncodeStyle, Symbol,
    definitions::ErrorCondition,
    frame::{ProtocolHeader, write_sasl_frame},
    performative::{Open, Performative},
    sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse, Secret},
};
use amqp1_engine::{
    Connection, ConnectionConfig, ConnectionError, Event, Instant, PeerMisbehaved, SaslFailure, ServerSasl, Tolerances,
};
use amqp1_testkit::*;
use bytes::{Bytes, BytesMut};

const MECHANISMS: [&str; 2] = ["PLAIN", "ANONYMOUS"];

fn offered() -> Vec<Symbol> {
    MECHANISMS.map(Symbol::from_static).to_vec()
}

fn plain() -> Box<dyn ClientMechanism> {
    Box::new(Plain::new("user", "secret").unwrap())
}

/// A client that authenticates like this, and a server that demands it.
fn pair(mechanism: Box<dyn ClientMechanism>) -> Pair {
    let (mut client, server) = Pair::configs();
    client.hostname = Some("hub.example".into());
    let mut pair = Pair::sasl(client, Some(mechanism), server, ServerSasl::Required(offered()));
    pair.server.accept.sasl = false;
    pair
}

/// The client's mechanism, response and host, when they are there.
fn asked(end: &mut End) -> (Symbol, Option<Bytes>, Option<String>) {
    let inits = end.events.iter().filter_map(|event| match event {
        Event::SaslInit(choice) => {
            let hostname = choice.hostname.as_ref().map(|host| host.as_str().to_owned());
            Some((choice.mechanism.clone(), choice.response.clone(), hostname))
        }
        _ => None,
    });
    inits.last().expect("the client began")
}

pub(crate) fn sasl(body: SaslBody) -> BytesMut {
    let mut out = BytesMut::new();
    write_sasl_frame(&body, EncodeStyle::Compact, &mut out);
    out
}

fn init(mechanism: &'static str, response: Option<&'static [u8]>) -> SaslBody {
    SaslBody::Init(SaslInit {
        mechanism: Symbol::from_static(mechanism),
        initial_response: response.map(|octets| Secret(Bytes::from_static(octets))),
        hostname: None,
    })
}

fn mechanisms(names: &[&'static str]) -> SaslBody {
    let names: Vec<_> = names.iter().map(|name| Symbol::from_static(name)).collect();
    SaslBody::Mechanisms(SaslMechanisms { sasl_server_mechanisms: names.into() })
}

fn outcome(code: SaslCode) -> SaslBody {
    SaslBody::Outcome(SaslOutcome { code, additional_data: None })
}

fn sasl_client(mechanism: Box<dyn ClientMechanism>) -> Peer {
    let config = ConnectionConfig::new("client");
    Peer::new(Connection::client(config, Some(mechanism), Instant::default()))
}

/// A server that has taken the SASL header and offered its mechanisms.
fn sasl_server() -> Peer {
    let mut peer = Peer::of_server(ServerSasl::Required(offered()));
    peer.end.accept.sasl = false;
    peer.raw(&ProtocolHeader::SASL.encode());
    peer
}

/// Also S-5.3-2 and S-5.3.2-7: each layer begins with its header, at both ends.
#[test]
fn s_5_3_2_1_the_server_names_its_mechanisms_first() {
    let mut pair = pair(plain());
    pair.drive();
    let server = items(&pair.server.written);
    assert_eq!(server, [Item::Header(ProtocolHeader::SASL), Item::Sasl(mechanisms(&MECHANISMS))]);
    let client = items(&pair.client.written);
    assert_eq!(client.first(), Some(&Item::Header(ProtocolHeader::SASL)));
    assert!(matches!(client.get(1), Some(Item::Sasl(SaslBody::Init(_)))) && client.len() == 2);
    pair.server.sasl_outcome(SaslCode::Ok, None);
    pair.drive();
    for end in [&pair.client, &pair.server] {
        let items = items(&end.written);
        let header = items.iter().position(|item| *item == Item::Header(ProtocolHeader::AMQP));
        let last_sasl = items.iter().rposition(|item| matches!(item, Item::Sasl(_)));
        assert_eq!(header, last_sasl.map(|at| at + 1), "the AMQP header follows on the last SASL frame");
    }
}

/// Also S-5.3-1.
#[test]
fn s_5_3_2_a_client_takes_no_other_header_for_sasls() {
    for header in [ProtocolHeader::AMQP, ProtocolHeader::TLS] {
        let mut peer = sasl_client(plain());
        peer.raw(&header.encode());
        let ConnectionError::ProtocolMismatch { expected, .. } = peer.end.closed() else { panic!("taken") };
        assert_eq!(expected, ProtocolHeader::SASL);
        assert_eq!(items(&peer.end.written), [Item::Header(ProtocolHeader::SASL)], "no secret leaves");
    }
}

/// Also T-2.7.1-3: open and init name the same host.
#[test]
fn s_5_3_2_1_plain_succeeds_and_the_connection_opens() {
    let mut pair = pair(plain());
    pair.drive();
    let (mechanism, response, hostname) = asked(&mut pair.server);
    assert_eq!(mechanism, "PLAIN");
    assert_eq!(hostname.as_deref(), Some("hub.example"));
    let credentials = Credentials::parse(&response.unwrap()).unwrap();
    assert!(credentials.authcid() == "user" && credentials.password_matches("secret"));
    assert!(!pair.client.opened());
    pair.server.sasl_outcome(SaslCode::Ok, None);
    pair.drive();
    assert!(pair.client.opened() && pair.server.opened());
    assert_eq!(pair.server.remote_open().unwrap().hostname.as_deref(), Some("hub.example"));
}

#[test]
fn anonymous_succeeds_octet_by_octet() {
    let mut pair = pair(Box::new(Anonymous::default()));
    (pair.up.segment, pair.down.segment) = (Segment::Of(1), Segment::Of(1));
    pair.server.accept.sasl = true;
    pair.drive();
    assert_eq!(asked(&mut pair.server).0, "ANONYMOUS");
    assert!(pair.client.opened() && pair.server.opened());
}

/// Also S-5.1-1: what is said last is the outcome, then both ends are done.
#[test]
fn s_5_3_3_6_1_each_refusal_is_told_apart() {
    let mut texts = Vec::new();
    for code in [SaslCode::Auth, SaslCode::Sys, SaslCode::SysPerm, SaslCode::SysTemp] {
        let mut pair = pair(plain());
        pair.drive();
        pair.server.sasl_outcome(code, None);
        pair.drive();
        assert_eq!(pair.client.closed(), ConnectionError::Sasl(SaslFailure::Refused(code)));
        assert_eq!(pair.server.closed(), ConnectionError::Sasl(SaslFailure::Refused(code)));
        assert!(pair.client.is_finished() && pair.server.is_finished());
        // The outcome is the last that the server says.
        assert_eq!(items(&pair.server.written).last(), Some(&Item::Sasl(outcome(code))));
        texts.push(pair.client.closed().to_string());
    }
    for (text, word) in texts.iter().zip(["check the user name", "IoT Hub", "will not help", "try again later"]) {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn s_5_3_3_5_1_additional_data_comes_with_ok_only() {
    let others = [SaslCode::Auth, SaslCode::Sys, SaslCode::SysPerm, SaslCode::SysTemp];
    let ok = (SaslCode::Ok, Some(Secret("v=x".into())));
    for (code, sent) in others.map(|code| (code, None)).into_iter().chain([ok]) {
        let mut peer = sasl_server();
        peer.raw(&sasl(init("ANONYMOUS", None)));
        peer.end.sasl_outcome(code, Some("v=x".into()));
        peer.flush();
        let ended = items(&peer.end.written).into_iter().find(|item| matches!(item, Item::Sasl(SaslBody::Outcome(_))));
        assert_eq!(ended, Some(Item::Sasl(SaslBody::Outcome(SaslOutcome { code, additional_data: sent }))));
    }
}

#[test]
fn s_5_3_3_5_1_an_outcome_without_a_code_or_with_another_is_fatal_to_a_client() {
    let outcomes: [&[u8]; 4] = [
        b"\0\0\0\x0c\x02\x01\0\0\0\x53\x44\x45",
        b"\0\0\0\x10\x02\x01\0\0\0\x53\x44\xc0\x03\x01\x50\x05",
        b"\0\0\0\x0f\x02\x01\0\0\0\x53\x44\xc0\x02\x01\x40",
        b"\0\0\0\x10\x02\x01\0\0\0\x53\x44\xc0\x03\x01\x54\0",
    ];
    for octets in outcomes {
        let mut peer = asked_client(plain(), "PLAIN");
        peer.raw(octets);
        assert!(matches!(peer.end.closed(), ConnectionError::Misbehaved(_)), "{}", octets.escape_ascii());
        assert!(!peer.end.opened() && peer.end.is_finished());
    }
}

/// A client that has been offered its mechanism, and has begun it.
fn asked_client(mechanism: Box<dyn ClientMechanism>, name: &'static str) -> Peer {
    let mut peer = sasl_client(mechanism);
    peer.raw(&ProtocolHeader::SASL.encode());
    peer.raw(&sasl(mechanisms(&[name])));
    peer
}

/// Also S-5.3.2-3.
#[test]
fn s_5_3_3_1_1_a_list_of_nothing_is_neither_sent_nor_taken() {
    for octets in [&b"\0\0\0\x0c\x02\x01\0\0\0\x53\x40\x45"[..], &sasl(mechanisms(&[]))] {
        let mut peer = sasl_client(plain());
        peer.raw(&ProtocolHeader::SASL.encode());
        peer.raw(octets);
        assert!(!peer.end.opened() && peer.end.is_finished());
        assert_eq!(items(&peer.end.written), [Item::Header(ProtocolHeader::SASL)], "no secret leaves");
    }
    for (sasl, answer) in [
        (ServerSasl::Allowed(Vec::new()), ProtocolHeader::AMQP),
        (ServerSasl::Required(Vec::new()), ProtocolHeader::SASL),
    ] {
        let mut peer = Peer::of_server(sasl);
        peer.raw(&ProtocolHeader::SASL.encode());
        assert_eq!(items(&peer.end.written), [Item::Header(answer)]);
        assert!(peer.end.is_finished());
    }
}

#[test]
fn s_5_3_3_2_2_the_host_name_is_named_if_there_is_one() {
    let (client, server) = Pair::configs();
    let mut pair = Pair::sasl(client, Some(plain()), server, ServerSasl::Required(offered()));
    pair.server.accept.sasl = false;
    pair.drive();
    assert_eq!(asked(&mut pair.server).2, None);
    pair.server.sasl_outcome(SaslCode::Ok, None);
    pair.drive();
    assert_eq!(pair.server.remote_open().unwrap().hostname, None);
    // With one it is named before the open is.
    let (mut client, server) = Pair::configs();
    client.hostname = Some("hub.test".into());
    let mut pair = Pair::sasl(client, Some(plain()), server, ServerSasl::Required(offered()));
    pair.server.accept.sasl = false;
    pair.drive();
    assert_eq!(asked(&mut pair.server).2.as_deref(), Some("hub.test"));
}

/// Also S-5.3.2-3.
#[test]
fn s_5_3_2_4_a_client_picks_its_own_wherever_it_stands_in_the_list() {
    for names in [&["PLAIN", "X-FOO"][..], &["X-FOO", "SCRAM-SHA-256", "PLAIN"]] {
        let mut peer = sasl_client(plain());
        peer.raw(&ProtocolHeader::SASL.encode());
        peer.raw(&sasl(mechanisms(names)));
        let written = items(&peer.end.written);
        let Some(Item::Sasl(SaslBody::Init(init))) = written.last() else { panic!("{written:?}") };
        assert_eq!(init.mechanism, "PLAIN");
    }
}

/// Also S-5.3.2-4: it picks what it can do, or nothing.
#[test]
fn s_5_3_2_3_a_client_does_not_use_what_is_not_offered() {
    for names in [
        &["SCRAM-SHA-256", "EXTERNAL"][..],
        // Similar names are of other mechanisms.
        &["PLAINTEXT"],
        &["X-PLAIN", "PLAI", "PLAIN-2"],
        &["plain", "Plain"],
    ] {
        let mut peer = sasl_client(plain());
        peer.raw(&ProtocolHeader::SASL.encode());
        peer.raw(&sasl(mechanisms(names)));
        let ConnectionError::Sasl(SaslFailure::NotOffered { wanted, offered }) = peer.end.closed() else {
            panic!("{:?}", peer.end.events)
        };
        assert_eq!((wanted.as_str(), offered.len()), ("PLAIN", names.len()));
        assert_eq!(items(&peer.end.written), [Item::Header(ProtocolHeader::SASL)], "no secret leaves");
        assert!(peer.end.is_finished());
    }
}

/// Also S-5.1-1 and S-5.3.3.5-1.
#[test]
fn s_5_3_2_5_a_server_refuses_what_it_does_not_offer() {
    let refused = |name| {
        let mut peer = sasl_server();
        peer.raw(&sasl(init(name, Some(b"n,,n=user"))));
        assert_eq!(items(&peer.end.written).last(), Some(&Item::Sasl(outcome(SaslCode::Auth))), "{name}");
        assert!(peer.end.is_finished());
        assert!(!peer.end.events.iter().any(|event| matches!(event, Event::SaslInit { .. })));
        peer
    };
    // Similar names are of other mechanisms.
    for name in ["plain", "Anonymous", "PLAI", "PLAINTEXT", "X-PLAIN", "PLAIN ", ""] {
        refused(name);
    }
    let mut peer = refused("SCRAM-SHA-1");
    // What it says after that is read, and means nothing.
    let (said, told) = (peer.end.written.len(), peer.end.events.len());
    peer.raw(&sasl(init("PLAIN", None)));
    peer.raw(&frame(0, Open { container_id: "client".into(), ..Open::default() }, b""));
    assert_eq!((peer.end.written.len(), peer.end.events.len()), (said, told));
    let mut peer = sasl_server();
    peer.raw(&sasl(init("SCRAM-SHA-1", Some(b"n,,n=user"))));
    let (said, told) = (peer.end.written.len(), peer.end.events.len());
    peer.raw(&frame(0, Open { container_id: "client".into(), ..Open::default() }, b""));
    assert_eq!((peer.end.written.len(), peer.end.events.len()), (said, told));
}

/// A mechanism of three steps.
#[derive(Debug)]
struct Questions(u8);

impl ClientMechanism for Questions {
    fn name(&self) -> &'static str {
        "X-QUESTIONS"
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        self.0 += 1;
        if self.0 > 2 {
            return Err(SaslError::UnexpectedChallenge { mechanism: "X-QUESTIONS" });
        }
        Ok(Bytes::from([challenge, b"!"].concat()))
    }
}

fn questions() -> Pair {
    let (client, server) = Pair::configs();
    let offered = vec![Symbol::from_static("X-QUESTIONS")];
    let mut pair = Pair::sasl(client, Some(Box::new(Questions(0))), server, ServerSasl::Required(offered));
    pair.server.accept.sasl = false;
    pair.drive();
    pair
}

#[test]
fn s_5_3_3_2_3_a_missing_response_is_not_an_empty_one() {
    assert_eq!(asked(&mut questions().server).1, None);
    let mut pair = pair(Box::new(Anonymous::default()));
    pair.drive();
    assert_eq!(asked(&mut pair.server).1, Some(Bytes::new()));
}

fn answers(end: &End) -> Vec<&[u8]> {
    let mut answers = Vec::new();
    for event in &end.events {
        if let Event::SaslResponse(octets) = event {
            answers.push(&octets[..]);
        }
    }
    answers
}

#[test]
fn s_5_3_2_6_challenges_go_back_and_forth() {
    let mut pair = questions();
    for question in ["one", ""] {
        pair.server.sasl_challenge(question.into());
        pair.drive();
    }
    assert_eq!(answers(&pair.server), [&b"one!"[..], b"!"]);
    pair.server.sasl_outcome(SaslCode::Ok, Some("done".into()));
    pair.drive();
    assert!(pair.client.opened());
}

#[test]
fn s_5_1_1_a_client_that_cannot_answer_a_challenge_gives_up() {
    let mut pair = questions();
    for _ in 0..3 {
        pair.server.sasl_challenge("?".into());
        pair.drive();
    }
    let why = SaslError::UnexpectedChallenge { mechanism: "X-QUESTIONS" };
    assert_eq!(pair.client.closed(), ConnectionError::Sasl(SaslFailure::Mechanism(why)));
    assert!(pair.client.is_finished() && pair.client.poll_timeout().is_none());
    // The outcome that follows is not read any more.
    let written = pair.client.written.len();
    pair.server.sasl_outcome(SaslCode::Ok, None);
    pair.drive();
    assert!(pair.client.written.len() == written && !pair.client.opened());
}

#[test]
fn answers_that_nobody_asked_for_are_ignored() {
    let mut pair = questions();
    pair.server.sasl_outcome(SaslCode::Ok, None);
    pair.server.sasl_outcome(SaslCode::Auth, None);
    pair.server.sasl_challenge("?".into());
    pair.drive();
    assert!(pair.client.opened() && pair.server.opened());
}

/// Also S-5.3.2-7: nothing of it counts yet.
#[test]
fn s_5_3_2_8_a_client_may_send_everything_before_the_outcome() {
    let mut peer = Peer::of_server(ServerSasl::Required(offered()));
    peer.end.accept.sasl = false;
    let mut octets = ProtocolHeader::SASL.encode().to_vec();
    octets.extend(sasl(init("ANONYMOUS", Some(b""))));
    octets.extend(ProtocolHeader::AMQP.encode());
    octets.extend(frame(0, Open { container_id: "peer".into(), ..Open::default() }, b""));
    octets.extend(frame(0, begin(), b""));
    peer.raw(&octets);
    assert!(peer.names().is_empty() && peer.end.remote_open().is_none());
    peer.end.sasl_outcome(SaslCode::Ok, None);
    assert_eq!(peer.names(), ["open", "begin"]);
}

#[test]
fn s_5_3_2_an_amqp_header_without_sasl_is_refused_where_sasl_is_demanded() {
    let mut peer = Peer::of_server(ServerSasl::Required(offered()));
    let mut octets = ProtocolHeader::AMQP.encode().to_vec();
    octets.extend(frame(0, Open { container_id: "peer".into(), ..Open::default() }, b""));
    peer.raw(&octets);
    assert_eq!(items(&peer.end.written), [Item::Header(ProtocolHeader::SASL)]);
    assert!(!peer.end.opened() && peer.end.is_finished());
}

#[test]
fn t_rob_6_octets_before_open_are_bounded() {
    // Within the dialog, by frames that never end.
    let mut peer = sasl_server();
    peer.raw(&sasl(init("PLAIN", None)));
    for _ in 0..2000 {
        peer.end.sasl_challenge("again".into());
        peer.flush();
        peer.raw(&sasl(SaslBody::Response(SaslResponse { response: Secret(Bytes::from(vec![0; 400])) })));
    }
    assert_eq!(peer.end.closed(), ConnectionError::HandshakeIncomplete);
    // While the application thinks, by what is pipelined.
    let mut peer = sasl_server();
    peer.raw(&sasl(init("PLAIN", None)));
    peer.raw(&vec![0; 70_000]);
    assert_eq!(peer.end.closed(), ConnectionError::HandshakeIncomplete);
    assert!(peer.end.is_finished() && peer.refusal().is_none_or(|r| r.1 == ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
}

/// OPEN_PIPE behind SASL: the header and the open leave together, and nothing else does.
#[test]
fn t_2_4_6_3_behind_sasl_too_a_client_says_open_before_it_hears_anything() {
    let mut peer = asked_client(plain(), "PLAIN");
    peer.end.begin(amqp1_engine::SessionConfig::default()).unwrap();
    peer.flush();
    let before = items(&peer.end.written).len();
    peer.raw(&sasl(outcome(SaslCode::Ok)));
    let written = items(&peer.end.written).split_off(before);
    let [Item::Header(ProtocolHeader::AMQP), Item::Frame { channel: 0, body: Some(Performative::Open(_)), .. }] =
        &written[..]
    else {
        panic!("{written:?}")
    };
    peer.names();
    peer.raw(&ProtocolHeader::AMQP.encode());
    assert!(peer.names().is_empty() && !peer.end.opened());
    peer.send(0, Open { container_id: "peer".into(), ..Open::default() });
    assert_eq!(peer.names(), ["begin"]);
    assert!(peer.end.opened());
}

/// The header of SASL, and that of AMQP after it: both ends send both, octet for octet.
#[test]
fn t_2_2_1_with_sasl_there_are_two_headers() {
    let mut pair = pair(plain());
    pair.drive();
    pair.server.sasl_outcome(SaslCode::Ok, None);
    pair.drive();
    for end in [&pair.client, &pair.server] {
        assert_eq!(end.written[..8], *b"AMQP\x03\x01\0\0");
        let headers = items(&end.written).into_iter().filter(|item| matches!(item, Item::Header(_)));
        assert_eq!(headers.count(), 2);
        let amqp = end.written.windows(8).filter(|octets| octets == b"AMQP\0\x01\0\0");
        assert_eq!(amqp.count(), 1);
    }
}

#[test]
fn secrets_are_not_shown() {
    let mut pair = pair(plain());
    pair.drive();
    assert!(!format!("{:?} {:?}", pair.server.events, pair.client.engine).contains("secret"));
}
