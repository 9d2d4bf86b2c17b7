//! What a peer may send.

use amqp1_codec::{
    frame::{FrameErrorKind, ProtocolHeader},
    performative::{Begin, Open},
    sasl::SaslBody,
};
use amqp1_script::{Answer, Answering, Got, Memory, Peer, Transport, Why, Written, bad, frames};
use proptest::prelude::*;
use std::time::Duration;

fn pair() -> (Peer<Memory>, Peer<Memory>) {
    let (here, there) = Memory::pair();
    (Peer::new(here), Peer::new(there))
}

fn kind(got: &Got) -> Option<FrameErrorKind> {
    match got {
        Got::Undecodable { why: Why::Frame(error), .. } => Some(error.kind),
        _ => None,
    }
}

#[test]
fn another_protocol_is_kept_as_it_came() {
    let (mut one, mut other) = pair();
    one.raw("HTTP/1.1 400 Bad Request\r\n");
    let got = other.next();
    assert!(matches!(kind(&got), Some(FrameErrorKind::TooLarge { .. })), "{got:?}");
    assert!(got.to_string().starts_with("26 octets (48 54 54 50 2f 31 2e 31 20 34 30 …) that"), "{got:?}");
    assert!(matches!(got, Got::Undecodable { octets, .. } if octets == "HTTP/1.1 400 Bad Request\r\n"));
    // Nobody can say where a frame would begin.
    one.send(0, frames::open("c"));
    assert!(matches!(other.next(), Got::Undecodable { why: Why::Lost, .. }));
}

#[test]
fn after_a_bad_body_frames_go_on() {
    let (mut one, mut other) = pair();
    let open = frames::encode(0, frames::open("c"), b"");
    let flaws = [
        bad::null(&open, 0).expect("open has fields"),
        bad::data_offset(&open, 1),
        bad::data_offset(&open, 255),
        bad::frame_type(&open, 7),
        bad::frame_type(&open, 1),
        bad::truncated(&open, 1),
    ];
    for octets in flaws {
        one.raw(&octets);
        one.send(0, frames::begin());
        let got = other.next();
        assert!(matches!(&got, Got::Undecodable { octets: kept, .. } if *kept == octets), "{got:?}");
        other.expect::<Begin>().expect("it was sent");
    }
}

#[test]
fn a_size_beyond_what_is_taken_is_not_waited_for() {
    let (mut one, mut other) = pair();
    other.set_max_frame_size(512);
    one.raw(513u32.to_be_bytes());
    assert_eq!(kind(&other.next()), Some(FrameErrorKind::TooLarge { size: 513, max: 512 }));
}

#[test]
fn a_function_that_never_falls_silent_meets_the_deadline() {
    let mut peer = Peer::new(Answering::new(|_, _: &[u8]| Answer::octets(frames::empty(0))));
    peer.set_patience(Duration::from_millis(1));
    assert!(matches!(*peer.expect::<Open>().unwrap_err().got, Got::Timeout { .. }));
    // Nor does one that is always late.
    let wake = Some(Duration::ZERO);
    let mut peer = Peer::new(Answering::new(move |_, _: &[u8]| Answer { wake, ..Answer::default() }));
    peer.silence(Duration::from_millis(1)).expect("it says nothing");
}

#[test]
fn a_function_can_end_and_break_the_transport() {
    let ends = |eof, reset| Answer { octets: vec![0; 3], eof, reset, wake: None };
    let mut peer = Peer::new(Answering::new(move |_, _: &[u8]| ends(true, false)));
    assert!(matches!(peer.next(), Got::Eof { unfinished } if unfinished.len() == 3));
    assert_eq!(peer.header(ProtocolHeader::AMQP), Written::All);
    let mut peer = Peer::new(Answering::new(move |_, _: &[u8]| ends(false, true)));
    assert!(matches!(peer.next(), Got::Reset { unfinished } if unfinished.len() == 3));
    assert_eq!(peer.header(ProtocolHeader::AMQP), Written::Reset(0));
}

/// Whatever is wrong with a frame that holds a secret, or how it is cut, nothing shows it: not as a text, and not as
/// octets.
#[test]
fn broken_sasl_frames_do_not_show_secrets() {
    const CANARY: &str = "QQQQ";
    let shows = |text: &str| text.contains("QQ") || text.contains("51 51") || text.contains("81, 81");
    let good = frames::sasl(&SaslBody::Init(frames::plain("", CANARY)));
    let mut all: Vec<Vec<u8>> = bad::every(&good).into_iter().map(|flawed| flawed.octets.to_vec()).collect();
    all.extend((0..good.len()).map(|keep| bad::cut(&good, keep).to_vec()));
    all.extend((0..good.len()).map(|less| bad::truncated(&good, less).to_vec()));
    for size in 8..good.len() {
        let shrunk = bad::size(&good, u32::try_from(size).expect("a short frame"));
        all.extend([shrunk.to_vec(), bad::frame_type(&shrunk, 0).to_vec()]);
    }
    for octets in all {
        for cut in 0..=octets.len() {
            let (mut one, mut other) = pair();
            one.raw(&octets[..cut]);
            let first = format!("{:?}", other.next());
            one.raw(&octets[cut..]);
            one.finish();
            let rest = format!("{:?}", [other.next(), other.next(), other.next()]);
            let unexpected = other.expect::<Open>().unwrap_err();
            let text = format!("{first}{rest}{unexpected}{unexpected:?}{}{:?}", one.transcript(), one.transcript());
            assert!(!shows(&text), "{text}");
        }
    }
}

/// A transport that says more than is true.
struct Liar;

impl Transport for Liar {
    fn write(&mut self, _: &[u8], _: Duration) -> Written {
        Written::Timeout(usize::MAX)
    }

    fn read(&mut self, _: &mut [u8], _: Duration) -> amqp1_script::Read {
        amqp1_script::Read::Octets(usize::MAX)
    }

    fn now(&self) -> Duration {
        Duration::MAX
    }

    fn finish(&mut self) {}
}

#[test]
fn a_transport_that_lies_does_no_harm() {
    let mut peer = Peer::new(Liar);
    peer.header(ProtocolHeader::AMQP);
    assert!(matches!(peer.next(), Got::Undecodable { .. }));
}

proptest! {
    /// Also in pieces, which make no difference.
    #[test]
    fn any_octets_become_values(octets: Vec<u8>, cuts: Vec<u8>) {
        let all = |cuts: &[u8]| {
            let (mut one, mut other) = pair();
            let mut rest = &octets[..];
            for cut in cuts {
                let (piece, more) = rest.split_at(rest.len().min(usize::from(*cut)));
                one.raw(piece);
                rest = more;
            }
            one.raw(rest);
            one.finish();
            let mut got = Vec::new();
            while !got.last().is_some_and(Got::is_end) {
                got.push(other.next());
            }
            assert!(!other.transcript().to_string().is_empty());
            got
        };
        prop_assert_eq!(all(&[]), all(&cuts));
    }

    #[test]
    fn any_change_of_a_conversation_becomes_values(at: prop::sample::Index, octet: u8) {
        let mut octets = ProtocolHeader::AMQP.encode().to_vec();
        octets.extend(frames::encode(0, frames::open("c"), b""));
        octets.extend(frames::encode(0, frames::begin(), b""));
        octets.extend(frames::encode(0, frames::attach_sender("l", 0, "q"), b""));
        octets.extend(frames::encode(0, frames::transfer(0, 0), b"payload"));
        *at.get_mut(&mut octets) = octet;
        let (mut one, mut other) = pair();
        one.raw(&octets);
        one.finish();
        prop_assert!((0..16).any(|_| other.next().is_end()));
    }
}
