//! Frames and performatives as one line that a person can read, without what is secret or large.

mod support;

use amqp1_codec::{
    Decode, Limits, Message, Multiple, Reader, SequenceNo, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Role},
    frame::{Frame, FrameDecoder},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Close, Disposition, Open, Performative},
    sasl::{SaslBody, SaslInit, SaslMechanisms, Secret},
};
use bytes::{Bytes, BytesMut};
use support::{malformed, vectors};

#[test]
fn performatives_show_the_fields_that_are_set() {
    let open = Open {
        container_id: "c\n1".into(),
        max_frame_size: 65_536,
        offered_capabilities: Multiple(vec![Symbol::from_static("A"), Symbol::from_static("B")]),
        ..Open::default()
    };
    let open = Performative::from(open).to_string();
    assert_eq!(open, r#"open container-id="c\n1" max-frame-size=65536 offered-capabilities=[A, B]"#);
    let attach = Attach {
        name: "l".into(),
        role: Role::Receiver,
        source: Some(Box::new(Source::at("q"))),
        target: Some(Target::default().into()),
        ..Attach::default()
    };
    let attach = Performative::from(attach).to_string();
    assert_eq!(attach, r#"attach name="l" handle=0 role=receiver source=(address="q") target=()"#);
    let error = AmqpError::new(ErrorCondition::NOT_FOUND, "no such \"queue\"");
    let rejected = DeliveryState::rejected(error.clone());
    let disposition =
        Disposition { first: SequenceNo(3), settled: true, state: Some(rejected), ..Disposition::default() };
    assert_eq!(
        Performative::from(disposition).to_string(),
        r#"disposition role=sender first=3 settled=true state=rejected(condition=amqp:not-found description="no such \"queue\"")"#,
    );
    assert_eq!(
        Performative::from(Close { error: Some(error) }).to_string(),
        r#"close error=(condition=amqp:not-found description="no such \"queue\"")"#,
    );
}

#[test]
fn sasl_secrets_are_not_shown() {
    let init = SaslBody::Init(SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(Secret(Bytes::from_static(b"\0user\0pass"))),
        hostname: Some("h".into()),
    });
    assert_eq!(init.to_string(), r#"sasl-init mechanism=PLAIN initial-response=<10 octets> hostname="h""#);
    let shown = format!("{init:?} {:?}", Frame::Sasl(init.clone()));
    assert!(!shown.contains("pass") && !shown.contains("112, 97"), "{shown}");
    let mechanisms = SaslMechanisms { sasl_server_mechanisms: Multiple(vec![Symbol::from_static("EXTERNAL")]) };
    assert_eq!(SaslBody::Mechanisms(mechanisms).to_string(), "sasl-mechanisms sasl-server-mechanisms=[EXTERNAL]");
}

#[test]
fn payloads_are_not_shown() {
    let vectors = vectors();
    let vector = vectors.frames.iter().find(|vector| vector.payload > 0).expect("a transfer");
    let frame = FrameDecoder::new(65_536, Limits::DEFAULT).decode(&mut BytesMut::from(&vector.wire[..]));
    let frame = frame.expect("valid").expect("whole");
    let shown = frame.to_string();
    assert!(shown.starts_with("[0] transfer handle=0 delivery-id=0 delivery-tag=0x31 message-format=0"), "{shown}");
    assert!(shown.ends_with(&format!(" + {} octets", vector.payload)), "{shown}");
    assert_eq!(format!("{frame:?}"), format!("Frame({shown})"));
    let message = Message::builder().value("SharedAccessSignature secret").build();
    let received = Message::from_chunks(message.chunks().cloned()).expect("valid");
    let shown = format!("{message:?} {received:?} {:?} {:?}", received.body(), Message::builder().data("secret"));
    assert!(!shown.contains("secret"), "{shown}");
}

/// Everything that decodes is shown on one line, which does not grow with long texts, octets and arrays.
#[test]
fn lines_are_bounded() {
    let all = vectors();
    let mut octets: Vec<Bytes> = all.values.into_iter().flat_map(|vector| vector.wire).collect();
    octets.extend(malformed().into_iter().map(|vector| vector.wire));
    // A hundred nests of nothings.
    octets.push([&[0xf0, 0, 0, 0, 5][..], &65_536u32.to_be_bytes(), &[0x45]].concat().into());
    for octets in octets {
        if let Ok(value) = Value::decode(&mut Reader::new(&octets)) {
            let shown = format!("{value:?}");
            assert!(shown.len() <= 3_000 + 16 * octets.len().min(4_096), "{} from {}", shown.len(), octets.len());
            assert!(!shown.contains('\n'));
        }
        if let Ok(performative) = Performative::decode(&mut Reader::new(&octets)) {
            let shown = performative.to_string();
            assert!(shown.len() <= 4_096, "{shown}");
            assert!(!shown.contains('\n'), "{shown}");
        }
    }
}
