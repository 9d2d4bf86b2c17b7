//! Frames in one line each, compared with what Qpid Proton prints of the same octets.
#![allow(missing_docs)]

use amqp1_codec::{
    EncodeStyle, Map, Str, Symbol, Value,
    definitions::Fields,
    frame::{Direction, FrameLine, write_frame, write_sasl_frame},
    performative::{Open, Transfer},
    printable::MAX_REPORT,
    sasl::{SaslBody, SaslInit, SaslResponse, Secret},
};
use bytes::{Bytes, BytesMut};

/// Frames of Qpid Proton 0.40, in hexadecimal digits, and the line that it printed for each.
const PROTON: &str = include_str!("data/proton_frames.tsv");

fn octets(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn line(frame: &BytesMut) -> String {
    FrameLine::new(Direction::Incoming, &frame.clone().freeze()).to_string()
}

fn open(properties: impl IntoIterator<Item = (&'static str, Value)>) -> String {
    let properties: Fields = properties.into_iter().map(|(key, value)| (Symbol::from_static(key), value)).collect();
    let open = Open { container_id: "c".into(), properties: Some(properties), ..Open::default() };
    let mut frame = BytesMut::new();
    write_frame(0, Some(&open), EncodeStyle::Compact, &mut frame);
    line(&frame)
}

#[test]
fn frames_are_shown_as_proton_shows_them() {
    let mut shown = 0;
    for row in PROTON.lines() {
        let (hex, proton) = row.split_once('\t').expect("two columns");
        let direction = if proton.contains(" -> ") { Direction::Outgoing } else { Direction::Incoming };
        let line = FrameLine::new(direction, &octets(hex)).body(1000).to_string();
        // Proton shows what may be a password.
        assert_eq!(line, proton.replace("b\"user\"", "<4 octets>"));
        shown += 1;
    }
    assert_eq!(shown, 42);
}

#[test]
fn a_payload_is_shown_by_its_length_unless_more_is_asked_for() {
    let mut frame = BytesMut::new();
    write_frame(7, Some(&Transfer { handle: 1, ..Transfer::default() }), EncodeStyle::Compact, &mut frame);
    frame.extend_from_slice(b"0123456789\0");
    let length = u32::try_from(frame.len()).expect("it is short");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let frame = frame.freeze();
    let line = FrameLine::new(Direction::Outgoing, &frame);
    assert_eq!(line.to_string(), "AMQP:FRAME:7 -> @transfer(20) [handle=0x1] (11)");
    assert_eq!(line.clone().body(4).to_string(), "AMQP:FRAME:7 -> @transfer(20) [handle=0x1] (11) 0123...");
    assert_eq!(line.body(11).to_string(), r"AMQP:FRAME:7 -> @transfer(20) [handle=0x1] (11) 0123456789\x00");
    // The end of the frame was not kept.
    let cut = FrameLine::new(Direction::Outgoing, &frame.slice(..frame.len() - 5)).frame_len(frame.len());
    assert_eq!(cut.to_string(), "AMQP:FRAME:7 -> @transfer(20) [handle=0x1] (11)");
    let cut = FrameLine::new(Direction::Outgoing, &frame.slice(..12)).frame_len(frame.len());
    assert_eq!(cut.to_string(), "AMQP:FRAME:7 -> @transfer(20) !!<too long to be shown> (27)");
}

#[test]
fn secrets_are_not_shown() {
    let mut init = BytesMut::new();
    let response = Secret(Bytes::from_static(b"\0user\0hunter2"));
    let body =
        SaslInit { mechanism: Symbol::from_static("PLAIN"), initial_response: Some(response), ..SaslInit::default() };
    write_sasl_frame(&SaslBody::Init(body), EncodeStyle::Compact, &mut init);
    assert_eq!(line(&init), "AMQP:FRAME:0 <- @sasl-init(65) [mechanism=:PLAIN, initial-response=<13 octets>]");

    let mut answer = BytesMut::new();
    let body = SaslResponse { response: Secret(Bytes::from_static(b"p=hunter2")) };
    write_sasl_frame(&SaslBody::Response(body), EncodeStyle::Compact, &mut answer);
    assert_eq!(line(&answer), "AMQP:FRAME:0 <- @sasl-response(67) [response=<9 octets>]");

    let signature = "SharedAccessSignature sr=hub&sig=hunter2&se=1";
    let nested = |value: Value| Value::List(vec![Value::Map([("in", value)].into_iter().collect::<Map>())]);
    let shown = open([
        ("a", signature.into()),
        ("b", nested(format!("Endpoint=sb://h;SharedAccessKey={}", "hunter2").into())),
        ("c", Value::Binary(Bytes::from_static(b"Bearer hunter2"))),
        ("d", Value::Symbol(Symbol::from_static("eyJhunter2.hunter2.hunter2"))),
        ("x-opt-Password", "hunter2".into()),
        ("token", nested("hunter2".into())),
        ("h", "plain".into()),
    ]);
    let expected = "AMQP:FRAME:0 <- @open(16) [container-id=\"c\", properties={:a=<45 octets>, :b=[{\"in\"=<39 octets>}], \
                    :c=<14 octets>, :d=<26 octets>, :x-opt-Password=<7 octets>, :token=<redacted>, :h=\"plain\"}]";
    assert_eq!(shown, expected);
}

#[test]
fn a_payload_is_shown_up_to_a_secret() {
    let mut frame = BytesMut::new();
    write_frame(0, Some(&Transfer::default()), EncodeStyle::Compact, &mut frame);
    frame.extend_from_slice(b"see: SharedAccessSignature sig=hunter2");
    let length = u32::try_from(frame.len()).expect("it is short");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let frame = frame.freeze();
    let line = |body| FrameLine::new(Direction::Incoming, &frame).body(body).to_string();
    assert_eq!(line(100), "AMQP:FRAME:0 <- @transfer(20) [handle=0x0] (38) see: ...");
    // A cut within the mark shows no part of it as if it were nothing.
    assert_eq!(line(10), "AMQP:FRAME:0 <- @transfer(20) [handle=0x0] (38) see: ...");
}

#[test]
fn a_peer_cannot_forge_lines() {
    let hostile = "\r\n[0x1]: AMQP:FRAME:0 <- @close(24) []\u{1b}[2J\u{202e}\u{9b}\"'\\";
    let shown = open([("a", Value::String(Str::from(hostile)))]);
    assert_eq!(shown.chars().find(|c| !matches!(c, ' '..='~')), None, "{shown:?}");
    assert!(shown.ends_with(r#"\x1b[2J\xe2\x80\xae\xc2\x9b\x22\x27\x5c"}]"#), "{shown}");
    let long = open([("a", Value::String("x".repeat(60_000).into()))]);
    let prefix = "AMQP:FRAME:0 <- ".len();
    assert_eq!((long.len(), long.ends_with('…')), (prefix + MAX_REPORT - 128, true));
}

#[test]
fn what_is_no_frame_is_said_to_be_none() {
    let shown = |octets: &'static [u8]| FrameLine::new(Direction::Incoming, &Bytes::from_static(octets)).to_string();
    assert_eq!(shown(b"AMQP\0\x01\0\0"), "AMQP:FRAME:  <- AMQP");
    assert_eq!(shown(b"AMQP\x02\x01\0\0"), "TLS:FRAME:  <- TLS");
    assert_eq!(shown(b"AMQP\0\0\x09\x01"), "AMQP:FRAME:  <- AMQP !!<header 0 0.9.1>");
    assert_eq!(shown(b"\0\0\0\x08\x02\0\0\x05"), "AMQP:FRAME:5 <- (EMPTY FRAME)");
    assert_eq!(shown(b"\0\0\0\x08\x01\0\0\x05"), "AMQP:FRAME:5 <- !!<no frame: type 0x00, data offset 1> (8)");
    assert_eq!(shown(b"\0\0\0\x08\x02\x07\0\0"), "AMQP:FRAME:0 <- !!<no frame: type 0x07, data offset 2> (8)");
    assert_eq!(shown(b"\0\0"), "AMQP:FRAME:0 <- !!<no frame: type 0x00, data offset 0> (2)");
    // A SASL frame that cannot be read may hold a password.
    let malformed = shown(b"\0\0\0\x14\x02\x01\0\0\0\x53\x41\xc0\x20\x01\xa0\x05pass!");
    assert!(malformed.starts_with("AMQP:FRAME:0 <- @sasl-init(65) !!<"), "{malformed}");
    assert!(!malformed.contains("pass!"), "{malformed}");
}
