//! Two scripts in memory, which take turns.

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    frame::{ProtocolHeader, ProtocolId},
    messaging::DeliveryState,
    performative::{Attach, Begin, Disposition, Flow, Open, Transfer},
    sasl::{SaslBody, SaslCode, SaslInit, SaslMechanisms, SaslOutcome},
};
use amqp1_script::{
    Direction, Got, Memory, Peer, Read, Scope, Skip, Transcript, Transport, Unexpected, Written, frames,
};
use std::time::Duration;

fn pair() -> (Peer<Memory>, Peer<Memory>) {
    let (here, there) = Memory::pair();
    (Peer::new(here), Peer::new(there))
}

#[test]
fn frames_arrive_as_they_were_sent() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    let strange = ProtocolHeader { id: ProtocolId::Other(9), version: [0, 9, 1] };
    one.header(strange);
    one.sasl(frames::mechanisms(&["PLAIN", "ANONYMOUS"]));
    one.sasl(SaslBody::Init(frames::plain("user", "swordfish")));
    one.sasl(frames::outcome(SaslCode::Auth));
    one.send(5, frames::attach_sender("l", 3, "q"));
    one.send_with(5, frames::transfer(3, 0), "payload");

    assert_eq!(other.expect_any_header()?, strange);
    assert_eq!(other.expect::<SaslMechanisms>()?.sasl_server_mechanisms.len(), 2);
    assert_eq!(other.expect::<SaslInit>()?.mechanism, *"PLAIN");
    assert_eq!(other.expect::<SaslOutcome>()?.code, SaslCode::Auth);
    let attach = other.expect::<Attach>()?;
    assert_eq!((attach.channel, attach.handle, attach.role), (5, 3, Role::Sender));
    let transfer = other.expect::<Transfer>()?;
    assert_eq!((transfer.channel, &transfer.payload[..]), (5, &b"payload"[..]));
    Ok(())
}

#[test]
fn octets_of_a_frame_are_kept() {
    let (mut one, mut other) = pair();
    let frame = frames::encode(0, frames::open("c"), b"");
    one.raw(&frame);
    let Got::Frame(got) = other.next() else { panic!() };
    assert_eq!(got.octets, frame);
}

#[test]
fn a_frame_in_pieces_is_one() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    let frame = frames::encode(0, frames::open("c"), b"");
    for octet in &frame[..10] {
        one.raw([*octet]);
    }
    assert!(matches!(other.next(), Got::Timeout { unfinished: 10, .. }));
    one.raw(&frame[10..]);
    assert_eq!(other.expect::<Open>()?.container_id, *"c");
    let lines: Vec<_> = one.transcript().lines().map(|line| line.text.as_str()).collect();
    assert_eq!((lines[0], lines.len()), ("1 octets of a frame that is not finished", 11));
    assert!(lines[10].starts_with("[0] open"), "{lines:?}");
    Ok(())
}

#[test]
fn waits_pass_over_what_they_are_told_to() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    let chatter = |one: &mut Peer<Memory>| {
        one.empty_frame(0);
        one.send(0, frames::flow());
        one.send(0, frames::settled(Role::Sender, 0, DeliveryState::Accepted));
        one.send(0, frames::begin());
    };
    chatter(&mut one);
    other.expect_skipping::<Begin>(Skip::CHATTER)?;
    chatter(&mut one);
    let unexpected = other.expect_skipping::<Begin>(Skip::FLOWS).unwrap_err();
    assert_eq!(unexpected.got.name(), "disposition");
    other.expect::<Begin>()?;
    // What is waited for is not passed over.
    chatter(&mut one);
    other.expect_skipping::<Flow>(Skip::CHATTER)?;
    other.expect_skipping::<Disposition>(Skip::CHATTER)?;
    other.expect::<Begin>()?;
    chatter(&mut one);
    assert_eq!(other.expect_skipping::<Begin>(Skip::NOTHING).unwrap_err().got.name(), "empty");
    Ok(())
}

#[test]
fn refusals_say_what_they_end() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    one.send(0, frames::flow());
    one.send(4, amqp1_codec::performative::End { error: Some(ErrorCondition::WINDOW_VIOLATION.into()) });
    let refusal = other.expect_refusal()?;
    assert_eq!((refusal.scope, refusal.channel), (Scope::Session, 4));
    assert_eq!(refusal.error.condition, ErrorCondition::WINDOW_VIOLATION);
    one.send(0, frames::close());
    assert_eq!(other.expect_refusal().unwrap_err().got.name(), "close");
    Ok(())
}

#[test]
fn ends_are_told_apart() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    one.raw([0, 0]);
    one.finish();
    assert_eq!(one.raw([0]), Written::Reset(0));
    assert!(matches!(other.next(), Got::Eof { unfinished } if unfinished == [0, 0][..]));
    // The end stays.
    assert!(matches!(other.next(), Got::Eof { .. }));
    assert!(other.expect_eof().is_err());
    other.expect_gone()?;

    let (mut one, mut other) = pair();
    one.header(ProtocolHeader::AMQP);
    one.transport_mut().reset();
    other.expect_header(ProtocolHeader::AMQP)?;
    assert!(matches!(other.expect_eof().unwrap_err().got.as_ref(), Got::Reset { .. }));
    assert_eq!(other.header(ProtocolHeader::AMQP), Written::Reset(0));

    let (one, mut other) = pair();
    drop(one);
    other.expect_eof()?;
    Ok(())
}

#[test]
fn silence_is_what_it_says() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    one.empty_frame(0);
    other.silence(Duration::from_secs(3600))?;
    assert!(other.now() >= Duration::from_secs(3600));
    other.set_skip(Skip::NOTHING);
    one.empty_frame(0);
    let unexpected = other.silence(Duration::from_secs(1)).unwrap_err();
    assert_eq!((unexpected.wanted.as_ref(), unexpected.got.name()), ("nothing for 1s", "empty"));
    Ok(())
}

#[test]
fn all_that_comes_is_gathered() {
    let (mut one, mut other) = pair();
    one.empty_frame(0);
    one.send(0, frames::begin());
    let names = |all: Vec<Got>| all.iter().map(Got::name).collect::<Vec<_>>();
    assert_eq!(names(other.gather(Duration::from_secs(1), 100)), ["empty", "begin"]);
    one.empty_frame(0);
    one.empty_frame(0);
    one.finish();
    assert_eq!(names(other.gather(Duration::from_secs(1), 1)), ["empty"]);
    assert_eq!(names(other.gather(Duration::from_secs(1), 100)), ["empty", "end"]);
}

#[test]
fn waits_up_to_a_deadline_end_however_much_comes() {
    const SENT: usize = 100_000;
    let (mut one, mut other) = pair();
    one.raw(frames::empty(0).repeat(SENT));
    let count = |peer: &mut Peer<Memory>| {
        let mut count = 0;
        while peer.next_within(Duration::ZERO).name() == "empty" {
            count += 1;
        }
        count
    };
    let first = count(&mut other);
    assert!((1..SENT / 10).contains(&first), "{first} frames after the deadline");
    // A wait with time reads on, and what has arrived is not lost.
    let rest = (0..).take_while(|_| other.next_within(Duration::from_secs(1)).name() == "empty").count();
    assert_eq!(first + rest, SENT);
    one.empty_frame(0);
    assert_eq!(count(&mut other), 1);
}

#[test]
fn steps_refuse_the_answer_to_something_else() -> Result<(), Unexpected> {
    let (mut one, mut other) = pair();
    one.send(0, frames::begin_answering(4));
    let unexpected = other.begun(5).unwrap_err();
    assert_eq!(unexpected.wanted, "a begin that answers channel 5");
    one.send(0, frames::begin_answering(5));
    let session = other.begun(5)?;
    one.send(1, frames::attach_receiver("l", 0, "q"));
    assert_eq!(other.attached_sender(&session, 0, "l", "q").unwrap_err().got.name(), "attach");
    Ok(())
}

#[test]
fn a_transcript_is_a_line_for_each_frame_with_its_time() {
    let (mut one, mut other) = pair();
    one.transport_mut().advance(Duration::from_millis(1500));
    one.header(ProtocolHeader::AMQP);
    one.send(0, frames::open("c\n9 -> forged"));
    one.note("as\nexpected");
    other.header(ProtocolHeader::SASL);
    one.next();
    let text = one.transcript().to_string();
    let expected = "    1.500000 -> header AMQP\n    \
                    1.500000 -> [0] open container-id=\"c\\n9 -> forged\" max-frame-size=65536\n    \
                    1.500000 -- as\\nexpected\n    \
                    1.500000 <- header SASL\n";
    assert_eq!(text, expected);
}

#[test]
fn a_transcript_keeps_the_last_lines() {
    let (mut one, mut other) = pair();
    one.header(ProtocolHeader::AMQP);
    for _ in 0..Transcript::MAX {
        one.empty_frame(0);
    }
    while !matches!(other.next(), Got::Timeout { .. }) {}
    assert_eq!(one.transcript().dropped(), 1);
    let transcript = other.transcript();
    assert_eq!((transcript.lines().len(), transcript.dropped()), (Transcript::MAX, 2));
    assert!(transcript.lines().rev().nth(1).is_some_and(|line| line.direction == Direction::Received));
    assert!(transcript.to_string().starts_with("             2 lines before\n"));
}

#[test]
fn a_transport_can_be_used_alone() {
    let (mut here, mut there) = Memory::pair();
    assert_eq!(here.write(b"octets", Duration::ZERO), Written::All);
    let mut buffer = [0; 4];
    assert_eq!(there.read(&mut buffer, Duration::ZERO), Read::Octets(4));
    assert_eq!(there.read(&mut buffer, Duration::ZERO), Read::Octets(2));
    assert_eq!(there.read(&mut buffer, Duration::from_secs(1)), Read::Timeout);
}
