//! A delivery reaches the application, whatever its octets are, and is settled by the application only.

use amqp1_codec::{
    DecodeErrorKind as Kind, Message,
    definitions::{ErrorCondition, Role},
    message::Body,
    messaging::DeliveryState,
    performative::{Performative, Transfer},
};
use amqp1_engine::{AttachReply, ConnectionConfig, Credit, Event, LinkId, StreamItem, Tolerances};
use amqp1_testkit::*;

const CLIENT: Tolerances = Tolerances::CLIENT;
const ACCEPTOR: Tolerances = Tolerances::ACCEPTOR;
const STRICT: Tolerances = Tolerances::STRICT;

/// What real peers send, the section that is malformed by the letter, and the one that is in spite of all tolerances.
const MESSAGES: [(&str, Option<&str>, Option<&str>); 17] = [
    // RabbitMQ: a user-id as string, a content-type beyond ASCII.
    ("005373c0090240a1056775657374005375a00178", Some("properties"), None),
    ("005373c00c07404040404040a30361c3a9005375a00178", Some("properties"), Some("properties")),
    // A content-type as string.
    ("005373c00a07404040404040a10161005375a00178", Some("properties"), None),
    // A message-id as uint.
    ("005373c00301522a005375a00178", Some("properties"), None),
    // A field too many.
    ("005373c00f0e4040404040404040404040404040005375a00178", Some("properties"), Some("properties")),
    // Application properties: a map, a list, an array, an array of maps; a key twice; no map.
    ("005374c11402a10130c10e02a108636c69656e744964a10167005375a00178", Some("application-properties"), None),
    ("005374c10902a1016bc003015401005375a00178", Some("application-properties"), None),
    ("005374c10a02a1016be00402540102005375a00178", Some("application-properties"), None),
    ("005374c11802a1016bf00000000f00000001d100000006000000024140005375a00178", Some("application-properties"), None),
    ("005374c10904a1016b41a1016b42005375a00178", Some("application-properties"), Some("application-properties")),
    ("00537440005375a00178", Some("application-properties"), Some("application-properties")),
    // String keys of annotations.
    ("005372c10702a1016ba10176005375a00178", Some("message-annotations"), None),
    ("005371c10702a1016ba10176005375a00178", Some("delivery-annotations"), None),
    // Sections out of order, and twice.
    ("005375a001780053 78c10100005371c10100", Some("delivery-annotations"), None),
    ("005373450053 7345005375a00178", Some("properties"), Some("properties")),
    // Data that is null.
    ("00537345005375 40", Some("body"), Some("body")),
    // No sections at all.
    ("3c3f786d6c3f3e", Some("body"), Some("body")),
];

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A server on whose link 0 the peer sends, and which answered the attach so.
fn with_link(tolerances: Tolerances, reply: impl Fn(AttachReply) -> AttachReply) -> (Peer, LinkId) {
    let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.end.accept.links = None;
    peer.send(0, attach("l", 0, Role::Sender));
    let link = peer.end.offered_links()[0];
    let echoed = AttachReply::echo(&peer.end.remote_attach(link).unwrap());
    peer.end.accept_link(link, reply(echoed)).unwrap();
    assert!(peer.names().starts_with(&["begin", "attach", "flow"]));
    (peer, link)
}

/// Sends a delivery in transfers of at most this many octets.
fn deliver(peer: &mut Peer, id: u32, settled: bool, format: u32, octets: &[u8], most: usize) {
    let pieces: Vec<&[u8]> = octets.chunks(most).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let settled = settled.then_some(true);
        let transfer =
            Transfer { settled, more: at + 1 < pieces.len(), message_format: Some(format), ..transfer(0, id) };
        peer.send_payload(0, transfer, piece);
    }
}

fn octets_of(message: &Message) -> Vec<u8> {
    message.to_encoded().into_parts().concat()
}

/// The sections that cannot be read.
fn malformed(message: &Message) -> Vec<&'static str> {
    let body = match message.body() {
        Body::Malformed(_) => false,
        Body::Value(value) => value.to_value().is_ok(),
        Body::Sequence(mut sequences) => sequences.all(|sequence| sequence.is_ok()),
        Body::Data(_) | Body::Empty => true,
    };
    let read = [
        ("delivery-annotations", message.delivery_annotations().is_ok()),
        ("message-annotations", message.message_annotations().is_ok()),
        ("properties", message.properties().is_ok()),
        ("application-properties", message.application_properties().is_ok()),
        ("body", body),
    ];
    read.into_iter().filter(|(_, read)| !read).map(|(section, _)| section).collect()
}

/// What the engine has written of dispositions, and of what ends something.
fn answers(peer: &mut Peer) -> Vec<Performative> {
    let all = peer.read().into_iter().map(|(_, body, _)| body);
    all.filter(|body| !matches!(body, Performative::Flow(_))).collect()
}

/// The application may reject it; nothing else does.
#[test]
fn m_3_2_1_a_malformed_message_is_handed_over_and_left_to_the_application() {
    for tolerances in [STRICT, CLIENT, ACCEPTOR] {
        for (hex, strictly, in_spite) in MESSAGES {
            let octets = unhex(hex);
            for (settled, most) in [(false, 1000), (false, 1), (false, 7), (true, 1000), (true, 3)] {
                let (mut peer, link) = with_link(tolerances, |reply| reply);
                deliver(&mut peer, 0, settled, 0, &octets, most);
                let deliveries = peer.end.take_all(link);
                let [delivery] = &deliveries[..] else { panic!("{hex}: {deliveries:?}") };
                assert_eq!((delivery.settled, delivery.message_format), (settled, 0));
                assert_eq!(octets_of(&delivery.message), octets, "{hex}");
                let expected = if tolerances == STRICT { strictly } else { in_spite };
                let found = malformed(&delivery.message);
                match octets[0] {
                    0 => assert_eq!(found, Vec::from_iter(expected), "{hex} {tolerances:?}"),
                    _ => assert_eq!(found.len(), 5, "nothing of it is a section"),
                }
                if expected != Some("body") {
                    assert_eq!(data(&delivery.message), &b"x"[..], "{hex}");
                }
                // Nothing is settled by the engine, and the link lives on.
                assert_eq!(answers(&mut peer), [], "{hex}");
                assert_eq!(peer.end.undecodable(link), 0);
                peer.end.dispose(link, delivery.key, DeliveryState::Accepted).unwrap();
                let stated: Vec<_> = answers(&mut peer);
                match &stated[..] {
                    [] => assert!(settled),
                    [Performative::Disposition(stated)] => {
                        assert_eq!((stated.settled, &stated.state), (true, &Some(DeliveryState::Accepted)));
                    }
                    other => panic!("{hex}: {other:?}"),
                }
                deliver(&mut peer, 1, false, 0, HELLO, 1000);
                assert_eq!(peer.end.take_all(link).len(), 1);
            }
        }
    }
}

#[test]
fn m_3_2_1_a_malformed_message_is_handed_over_on_a_streamed_link_too() {
    for (hex, ..) in MESSAGES {
        let octets = unhex(hex);
        for (settled, most) in [(false, 1000), (false, 5), (true, 5)] {
            let (mut peer, link) = with_link(STRICT, |reply| AttachReply { streamed: true, ..reply });
            deliver(&mut peer, 0, settled, 0, &octets, most);
            let mut streamed = Vec::new();
            let mut ends = Vec::new();
            while let Some(item) = peer.end.poll_stream(link) {
                match item {
                    StreamItem::Data(octets) => streamed.extend_from_slice(&octets),
                    StreamItem::Begin { .. } => ends.push("begin"),
                    StreamItem::End { .. } => ends.push("end"),
                    StreamItem::Aborted => ends.push("aborted"),
                }
            }
            assert_eq!((streamed, ends), (octets.clone(), vec!["begin", "end"]), "{hex}");
            assert_eq!(answers(&mut peer), [], "{hex}");
        }
    }
}

/// A settled message that nobody has taken exists only here: it is handed over when the link ends.
#[test]
fn a_malformed_message_that_is_settled_outlives_its_link() {
    for streamed in [false, true] {
        for (hex, ..) in MESSAGES {
            let (mut peer, link) = with_link(STRICT, |reply| AttachReply { streamed, ..reply });
            deliver(&mut peer, 0, true, 0, &unhex(hex), 1000);
            peer.end.detach(link, true, None).unwrap();
            peer.send(0, amqp1_codec::performative::Detach { closed: true, ..Default::default() });
            let detached = peer.end.detached(link).unwrap();
            let octets: Vec<_> = detached.undelivered.iter().map(|delivery| octets_of(&delivery.message)).collect();
            assert_eq!(octets, [unhex(hex)], "{streamed}");
        }
    }
}

/// Also T-2.8.11-1.
#[test]
fn a_message_of_another_format_is_opaque_octets() {
    for (octets, most) in [(&b"\0\0opaque"[..], 1000), (HELLO, 1000), (HELLO, 2), (b"\x80", 1)] {
        for settled in [false, true] {
            let (mut peer, link) = with_link(STRICT, |reply| AttachReply { reject_undecodable: true, ..reply });
            deliver(&mut peer, 0, settled, 0x8001_3700, octets, most);
            let deliveries = peer.end.take_all(link);
            let [delivery] = &deliveries[..] else { panic!("{deliveries:?}") };
            assert_eq!((delivery.message_format, octets_of(&delivery.message)), (0x8001_3700, octets.to_vec()));
            let header = delivery.message.header().map_err(|error| error.kind);
            assert_eq!(header, Err(Kind::OpaqueMessage));
            assert_eq!((answers(&mut peer), peer.end.undecodable(link)), (vec![], 0));
            // Piece by piece the format is said first.
            let (mut peer, link) = with_link(STRICT, |reply| AttachReply { streamed: true, ..reply });
            deliver(&mut peer, 0, settled, 0x8001_3700, octets, most);
            let Some(StreamItem::Begin { message_format, .. }) = peer.end.poll_stream(link) else { panic!("a begin") };
            assert_eq!(message_format, 0x8001_3700);
        }
    }
}

/// The link, its session and its connection live on, and what comes behind it is taken. Also T-2.8.15-1.
#[test]
fn m_3_2_6_a_message_that_cannot_be_decoded_is_rejected_where_the_receiver_asks_for_it() {
    for (hex, strictly, _) in MESSAGES {
        assert!(strictly.is_some());
        for (settled, most) in [(false, 1000), (false, 3), (true, 1000)] {
            let (mut peer, link) = with_link(STRICT, |reply| AttachReply { reject_undecodable: true, ..reply });
            deliver(&mut peer, 0, settled, 0, &unhex(hex), most);
            let stated = answers(&mut peer);
            match &stated[..] {
                [Performative::Disposition(says)] if !settled => {
                    let Some(DeliveryState::Rejected(Some(error))) = &says.state else { panic!("{hex}: {says:?}") };
                    assert_eq!((says.settled, &error.condition), (true, &ErrorCondition::DECODE_ERROR), "{hex}");
                }
                stated => assert!(settled && stated.is_empty(), "{hex}: {stated:?}"),
            }
            assert!(peer.end.take_all(link).is_empty(), "{hex}");
            deliver(&mut peer, 1, false, 0, HELLO, 1000);
            assert_eq!(peer.end.take_all(link).len(), 1, "{hex}");
        }
    }
}

#[test]
fn undecodable_messages_are_rejected_and_counted_if_the_receiver_asks_for_it() {
    let (mut peer, link) = with_link(STRICT, |reply| AttachReply { reject_undecodable: true, ..reply });
    deliver(&mut peer, 0, false, 0, b"\x00\x53\x75\xa0\xffshort", 1000);
    deliver(&mut peer, 1, false, 0, HELLO, 1000);
    let stated = answers(&mut peer);
    let [Performative::Disposition(disposition)] = &stated[..] else { panic!("{stated:?}") };
    let Some(DeliveryState::Rejected(Some(error))) = &disposition.state else { panic!("{disposition:?}") };
    assert_eq!(error.condition, ErrorCondition::DECODE_ERROR);
    assert!(disposition.settled);
    // One that is settled is dropped.
    deliver(&mut peer, 2, true, 0, b"<?xml?>", 3);
    assert_eq!(answers(&mut peer), []);
    let got: Vec<_> = peer.end.take_all(link).iter().map(|delivery| data(&delivery.message)).collect();
    assert_eq!(got, [&b"hello"[..]]);
    assert_eq!(peer.end.undecodable(link), 2);
    let told = peer.end.events.iter().filter_map(|event| match event {
        Event::Undecodable(id, _, error) if *id == link => Some(error.kind),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [Kind::Truncated, Kind::NotDescribed]);
}

/// What is tolerated is no reason.
#[test]
fn what_is_tolerated_is_not_rejected() {
    for (tolerances, rejected) in [(STRICT, 1), (CLIENT, 0), (ACCEPTOR, 0)] {
        let (mut peer, link) = with_link(tolerances, |reply| AttachReply { reject_undecodable: true, ..reply });
        deliver(&mut peer, 0, false, 0, &unhex(MESSAGES[0].0), 1000);
        assert_eq!(peer.end.undecodable(link), rejected);
        assert_eq!(u64::try_from(peer.end.take_all(link).len()), Ok(1 - rejected));
    }
}

/// A window of credit is filled again for what is rejected.
#[test]
fn rejected_messages_use_no_credit_for_good() {
    let credit = Credit::Window(2);
    let (mut peer, link) = with_link(STRICT, |reply| AttachReply { reject_undecodable: true, credit, ..reply });
    for id in 0..50 {
        deliver(&mut peer, id, id % 2 == 0, 0, b"?", 1);
    }
    assert_eq!(peer.end.undecodable(link), 50);
    assert!(peer.end.detached(link).is_none());
}
