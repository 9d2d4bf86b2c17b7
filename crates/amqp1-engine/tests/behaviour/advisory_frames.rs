//! Errors, outcomes and attaches of which a part cannot be read cost no link, no session and no connection where the rest
//! says what is meant, and the application is told. An attach that says too little costs its link only.

use super::advisory::client;
use amqp1_codec::{
    DecodeErrorKind,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{DeliveryState, Source, TerminusDurability, TerminusExpiryPolicy},
    performative::Performative,
};
use amqp1_engine::{
    Cause, ConnectionConfig, ConnectionError, Credit, Event, PeerMisbehaved, SessionId, Settlement, Tolerances,
};
use amqp1_testkit::*;

const CLIENT: Tolerances = Tolerances::CLIENT;
const ACCEPTOR: Tolerances = Tolerances::ACCEPTOR;
const STRICT: Tolerances = Tolerances::STRICT;

const ALL: [(Tolerances, bool); 3] = [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)];

/// Octets: pairs of hexadecimal digits, and text in single quotes.
fn hex(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            octets.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u32> = part.chars().filter_map(|digit| digit.to_digit(16)).collect();
        octets.extend(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8));
    }
    octets
}

/// A described list of these fields.
fn list(descriptor: &str, count: usize, fields: &str) -> String {
    format!("00 53 {descriptor} d0 {:08x} {count:08x} {fields}", hex(fields).len() + 4)
}

/// A frame on channel 0.
fn raw(body: &str) -> Vec<u8> {
    let body = hex(body);
    let mut octets = (body.len() as u32 + 8).to_be_bytes().to_vec();
    octets.extend([2, 0, 0, 0]);
    octets.extend(body);
    octets
}

/// A server with a session that the peer has begun.
fn server(tolerances: Tolerances) -> (Peer, SessionId) {
    let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.read();
    let session = peer.end.offered_sessions()[0];
    (peer, session)
}

fn both(tolerances: Tolerances) -> [(Peer, SessionId); 2] {
    [client(tolerances), server(tolerances)]
}

/// What was reported as odd.
fn reported(peer: &Peer) -> Vec<(&'static str, DecodeErrorKind)> {
    let odd = |event: &Event| match event {
        Event::OddAdvisoryData(performative, error) => Some((*performative, error.kind)),
        _ => None,
    };
    peer.end.events.iter().filter_map(odd).collect()
}

#[track_caller]
fn closed_strictly(peer: &Peer) {
    let reason = peer.end.closed();
    assert!(matches!(reason, ConnectionError::Misbehaved(PeerMisbehaved::Frame(_))), "{reason:?}");
    assert!(reported(peer).is_empty());
}

/// Errors that are odd, what is read of them, and what is reported.
fn errors() -> [(String, AmqpError, DecodeErrorKind); 6] {
    let stands_in = |text: Option<&'static str>| AmqpError {
        description: text.map(Into::into),
        ..ErrorCondition::UNREADABLE.into()
    };
    let not_found = "a3 0e 'amqp:not-found'";
    [
        (
            list("1d", 2, &format!("{not_found} a1 03 'n' fc 'r'")),
            AmqpError::new(ErrorCondition::NOT_FOUND, "n\u{fffd}r"),
            DecodeErrorKind::InvalidUtf8,
        ),
        (
            list("1d", 2, &format!("{not_found} 54 01")),
            ErrorCondition::NOT_FOUND.into(),
            DecodeErrorKind::UnexpectedFormatCode(0x54),
        ),
        (
            list("1d", 2, "a1 0e 'amqp:not-found' a1 03 'why'"),
            AmqpError::new(ErrorCondition::NOT_FOUND, "why"),
            DecodeErrorKind::UnexpectedFormatCode(0xa1),
        ),
        (list("1d", 2, "a3 02 c3 bc a1 03 'why'"), stands_in(Some("why")), DecodeErrorKind::InvalidSymbol),
        (list("1d", 4, "40 a1 03 'why' 40 40"), stands_in(Some("why")), DecodeErrorKind::MissingField(0)),
        ("c1 01 00".to_owned(), stands_in(None), DecodeErrorKind::NotDescribed),
    ]
}

#[test]
fn an_odd_error_of_a_close_is_why_the_peer_closes() {
    for (tolerances, tolerated) in ALL {
        for (error, read, kind) in errors() {
            for (mut peer, _) in both(tolerances) {
                peer.raw(&raw(&list("18", 1, &error)));
                if !tolerated {
                    closed_strictly(&peer);
                    continue;
                }
                assert_eq!(peer.end.closed(), ConnectionError::ClosedByPeer(Some(read.clone())), "{error}");
                assert_eq!(peer.names(), ["close"]);
                assert_eq!(reported(&peer), [("close", kind)]);
            }
        }
    }
}

#[test]
fn an_odd_error_of_an_end_ends_its_session_only() {
    for (tolerances, tolerated) in ALL {
        for (error, read, kind) in errors() {
            for (mut peer, session) in both(tolerances) {
                peer.raw(&raw(&list("17", 1, &error)));
                if !tolerated {
                    closed_strictly(&peer);
                    continue;
                }
                let ended = peer.end.ended_session(session).expect("ended");
                assert_eq!((ended.error.as_ref(), ended.by), (Some(&read), Cause::Peer), "{error}");
                assert_eq!(peer.names(), ["end"]);
                assert_eq!(reported(&peer), [("end", kind)]);
                assert!(!peer.end.is_closed());
            }
        }
    }
}

#[test]
fn an_odd_error_of_a_detach_ends_its_link_only() {
    for (tolerances, tolerated) in ALL {
        for (error, read, kind) in errors() {
            for (mut peer, session) in both(tolerances) {
                let link = peer.end.attach_receiver(session, receiver("r", Credit::Manual(1))).unwrap();
                peer.flush();
                peer.send(0, attach("r", 0, Role::Sender));
                peer.read();
                peer.raw(&raw(&list("16", 3, &format!("43 41 {error}"))));
                if !tolerated {
                    closed_strictly(&peer);
                    continue;
                }
                let detached = peer.end.detached(link).expect("detached");
                assert_eq!((detached.error.as_ref(), detached.closed), (Some(&read), true), "{error}");
                assert_eq!(peer.names(), ["detach"]);
                assert_eq!(reported(&peer), [("detach", kind)]);
                assert!(!peer.end.is_closed() && peer.end.ended_session(session).is_none());
            }
        }
    }
}

/// A disposition of delivery 0 from its receiver, settled.
fn disposition(state: &str) -> Vec<u8> {
    raw(&list("15", 5, &format!("41 43 40 41 {state}")))
}

#[test]
fn odd_outcomes_are_those_outcomes() {
    let mut states: Vec<(String, DeliveryState)> = vec![
        (list("24", 1, "40"), DeliveryState::Accepted),
        (list("26", 2, "40 a1 01 'x'"), DeliveryState::Released),
        (list("25", 2, "40 40"), DeliveryState::Rejected(None)),
        (list("27", 4, "41 40 40 45"), {
            let modified = amqp1_codec::messaging::Modified { delivery_failed: true, ..Default::default() };
            DeliveryState::Modified(Box::new(modified))
        }),
    ];
    for (error, read, _) in errors() {
        states.push((list("25", 1, &error), DeliveryState::rejected(read)));
    }
    for (tolerances, tolerated) in ALL {
        for (state, read) in &states {
            for (mut peer, session) in both(tolerances) {
                let link = peer.end.attach_sender(session, sender("s")).unwrap();
                peer.flush();
                peer.send(0, attach("s", 0, Role::Receiver));
                peer.send(0, credit(0, 1));
                peer.end.send(link, message(1, 5), unsettled(7)).unwrap();
                peer.read();
                peer.raw(&disposition(state));
                if !tolerated {
                    closed_strictly(&peer);
                    continue;
                }
                assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(read.clone())))], "{state}");
                assert_eq!(reported(&peer).len(), 1);
                assert!(!peer.end.is_closed());
            }
        }
    }
}

/// An attach of the peer with these settle modes and this terminus at the peer's and at our end.
fn odd_attach(name: &str, role: Role, snd: &str, rcv: &str, terminus: &str) -> Vec<u8> {
    let role_octet = if role == Role::Sender { "42" } else { "41" };
    let count = if role == Role::Sender { "43" } else { "40" };
    let (source, target) = (list("28", 3, terminus), list("29", 3, terminus));
    let name = format!("a1 01 '{name}'");
    raw(&list("12", 10, &format!("{name} 43 {role_octet} {snd} {rcv} {source} {target} 40 40 {count}")))
}

/// What is unknown of an attach, and what is reported.
const UNKNOWN: [(&str, &str, &str, DecodeErrorKind); 6] = [
    ("50 07", "40", "a1 01 'q' 40 40", DecodeErrorKind::InvalidValue),
    ("40", "50 02", "a1 01 'q' 40 40", DecodeErrorKind::InvalidValue),
    ("a1 01 'x'", "40", "a1 01 'q' 40 40", DecodeErrorKind::UnexpectedFormatCode(0xa1)),
    ("40", "40", "a1 01 'q' 52 07 40", DecodeErrorKind::InvalidValue),
    ("40", "40", "a1 01 'q' 40 a3 07 'forever'", DecodeErrorKind::InvalidValue),
    ("50 09", "50 09", "a1 01 'q' 52 09 a3 07 'forever'", DecodeErrorKind::InvalidValue),
];

#[test]
fn what_is_unknown_of_an_offered_attach_is_the_default_and_the_answer_says_what_holds() {
    for (tolerances, tolerated) in ALL {
        for (snd, rcv, terminus, kind) in UNKNOWN {
            for role in [Role::Sender, Role::Receiver] {
                let (mut peer, _) = server(tolerances);
                peer.raw(&odd_attach("l", role, snd, rcv, terminus));
                if !tolerated {
                    closed_strictly(&peer);
                    continue;
                }
                let link = peer.end.offered_links()[0];
                let offered = peer.end.remote_attach(link).unwrap();
                let source = Source::at("q");
                assert_eq!(offered.source.as_deref(), Some(&source));
                assert_eq!(offered.snd_settle_mode, SenderSettleMode::Mixed);
                assert_eq!(offered.rcv_settle_mode, ReceiverSettleMode::First);
                assert_eq!(reported(&peer), [("attach", kind)]);
                let frames = peer.read();
                let (_, Performative::Attach(answer), _) = &frames[0] else { panic!("{frames:?}") };
                let given = answer.source.as_ref().unwrap();
                assert_eq!(given.durable, TerminusDurability::None);
                assert_eq!(given.expiry_policy, TerminusExpiryPolicy::SessionEnd);
                assert_eq!(answer.rcv_settle_mode, ReceiverSettleMode::First);
                assert!(!peer.end.is_closed());
            }
        }
    }
}

#[test]
fn what_is_unknown_of_an_attach_that_answers_costs_nothing() {
    for (tolerances, tolerated) in ALL {
        for (snd, rcv, terminus, kind) in UNKNOWN {
            let (mut peer, session) = client(tolerances);
            let rx = peer.end.attach_receiver(session, receiver("l", Credit::Manual(1))).unwrap();
            peer.read();
            peer.raw(&odd_attach("l", Role::Sender, snd, rcv, terminus));
            if !tolerated {
                closed_strictly(&peer);
                continue;
            }
            assert!(peer.end.attached(rx));
            assert_eq!(reported(&peer), [("attach", kind)]);
            // Each transfer says whether it is settled.
            peer.send_payload(0, transfer(0, 0), HELLO);
            assert_eq!(peer.end.take_all(rx).len(), 1);
        }
    }
    for (snd, rcv, terminus, kind) in UNKNOWN {
        let (mut peer, session) = client(CLIENT);
        let tx = peer.end.attach_sender(session, sender("l")).unwrap();
        peer.read();
        peer.raw(&odd_attach("l", Role::Receiver, snd, rcv, terminus));
        peer.send(0, credit(0, 1));
        assert_eq!(reported(&peer), [("attach", kind)]);
        peer.end.send(tx, message(1, 5), unsettled(7)).unwrap();
        peer.read();
        // Whether the receiver settles or waits for us to do so, the outcome is the outcome.
        let disposition = amqp1_codec::performative::Disposition {
            role: Role::Receiver,
            state: Some(DeliveryState::Accepted),
            ..Default::default()
        };
        peer.send(0, disposition);
        assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(DeliveryState::Accepted)))]);
        assert_eq!(peer.names(), ["disposition"]);
    }
}

/// Fields that do not only advise: an address as a number, an unsettled map that is a list, an initial-delivery-count as
/// text, and termini that are text or belong to the other end.
fn unreadable(name: &str, handle: u8, role: Role) -> [(Vec<u8>, ErrorCondition); 7] {
    let head = format!("a1 01 '{name}' 52 {handle:02x} {}", if role == Role::Sender { "42" } else { "41" });
    let (source, target) = (list("28", 1, "a1 01 'q'"), list("29", 1, "a1 01 'q'"));
    let wrong = list("28", 1, "52 07");
    let bodies = [
        list("12", 7, &format!("{head} 40 40 {wrong} {target}")),
        list("12", 8, &format!("{head} 40 40 {source} {target} 45")),
        list("12", 10, &format!("{head} 40 40 {source} {target} 40 40 a1 01 'x'")),
        list("12", 10, &format!("{head} 40 40 a1 01 'q' {target} 40 40 43")),
        list("12", 10, &format!("{head} 40 40 {target} {target} 40 40 43")),
        list("12", 10, &format!("{head} 40 40 {source} a1 01 'q' 40 40 43")),
        list("12", 10, &format!("{head} 40 40 {source} {source} 40 40 43")),
    ];
    bodies.map(|body| (raw(&body), ErrorCondition::DECODE_ERROR))
}

/// T-2.7.3-8: a terminus of another type among others.
#[test]
fn an_offered_attach_that_cannot_be_read_costs_its_link_only() {
    for (tolerances, tolerated) in ALL {
        for role in [Role::Sender, Role::Receiver] {
            for (octets, condition) in unreadable("l", 0, role) {
                let (mut peer, _) = server(tolerances);
                peer.raw(&octets);
                if !tolerated {
                    closed_strictly(&peer);
                    continue;
                }
                let frames = peer.read();
                let [(_, Performative::Attach(answer), _), (_, Performative::Detach(detach), _)] = &frames[..] else {
                    panic!("{frames:?}")
                };
                assert_eq!((answer.name.as_str(), answer.role), ("l", role.opposite()));
                assert!(answer.source.is_none() && answer.target.is_none());
                assert_eq!(detach.error.as_ref().map(|error| &error.condition), Some(&condition));
                assert!(detach.closed && peer.end.offered_links().is_empty());
                // The next one is another.
                peer.send(0, amqp1_codec::performative::Detach { handle: 0, closed: true, error: None });
                peer.send(0, attach("l", 0, role));
                assert_eq!(peer.end.offered_links().len(), 1);
                assert!(!peer.end.is_closed());
            }
        }
    }
}

/// T-2.7.3-8: a terminus of another type among others.
#[test]
fn an_answering_attach_that_cannot_be_read_costs_its_link_only() {
    for (tolerances, tolerated) in ALL {
        for (octets, condition) in unreadable("l", 3, Role::Sender) {
            let (mut peer, session) = client(tolerances);
            let rx = peer.end.attach_receiver(session, receiver("l", Credit::Manual(1))).unwrap();
            peer.read();
            peer.raw(&octets);
            if !tolerated {
                closed_strictly(&peer);
                continue;
            }
            assert_eq!(peer.names(), ["detach"]);
            let detached = peer.end.detached(rx).expect("the application is told");
            assert_eq!(detached.error.map(|error| error.condition), Some(condition));
            assert_eq!(detached.by, Cause::Local);
            assert!(!peer.end.is_closed() && peer.end.ended_session(session).is_none());
        }
    }
}

/// Without a name, a handle and a role there is no link to refuse.
#[test]
fn an_attach_without_a_head_closes_the_connection() {
    for (tolerances, _) in ALL {
        for body in ["52 07 43 42", "a1 01 'l' 40 42", "a1 01 'l' 43 40"] {
            let (mut peer, _) = server(tolerances);
            peer.raw(&raw(&list("12", 3, body)));
            closed_strictly(&peer);
        }
    }
}
