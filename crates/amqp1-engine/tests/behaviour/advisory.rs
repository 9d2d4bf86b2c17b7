//! Data that only advises (an error's info, properties, filters) costs no link, no session and no connection where its
//! meaning is unambiguous.

use amqp1_codec::{
    DeliveryTag, Map, Symbol, Value,
    definitions::Role,
    messaging::{DeliveryState, FilterSet, Source, Target},
    performative::{Begin, Performative},
};
use amqp1_engine::{
    AttachReply, ConnectionConfig, ConnectionError, Credit, ReceiverConfig, SendOptions, SenderConfig, SentSoFar,
    SessionConfig, SessionId, Settlement, SuspendedSender, Tolerances,
    transaction::{Answer, Controller},
};
use amqp1_testkit::*;

const CLIENT: Tolerances = Tolerances::CLIENT;
const ACCEPTOR: Tolerances = Tolerances::ACCEPTOR;
const STRICT: Tolerances = Tolerances::STRICT;

const ALL: [(Tolerances, bool); 3] = [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)];

/// rhea, go-amqp: a disposition that rejects with info; a redirect; an attach with a filter that is not described.
const REJECTED: &str = "0000004202000000005315c0350541434041005325c02b0100531dc02503a30f636f6d2e6578616d706c653a626164\
                        a103776879c10c02a106526561736f6ea10172";
const REDIRECT: &str = "0000004c02000000005316c03f03434100531dc03703a312616d71703a6c696e6b3a726564697265637440c11f04a1\
                        08686f73746e616d65a109682e6578616d706c65a104706f7274601627";
const FILTER: &str = "0000004d02000000005312c04007a1017243414040005328c02f08a10171434043424040c12302a31c636f6d2e6d6963\
                      726f736f66743a73657373696f6e2d66696c746572a102733100532945";

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A client with a session that the peer has answered on channel 0.
pub(crate) fn client(tolerances: Tolerances) -> (Peer, SessionId) {
    let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("client") };
    let mut peer = Peer::with(config).open();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    peer.send(0, Begin { remote_channel: Some(0), ..begin() });
    peer.read();
    (peer, session)
}

fn server(tolerances: Tolerances) -> Peer {
    let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
    let mut peer = Peer::with(config).open();
    peer.send(0, begin());
    peer.read();
    peer
}

fn name(text: &'static str) -> Symbol {
    Symbol::from_static(text)
}

#[track_caller]
fn closed_strictly(peer: &Peer) {
    let reason = peer.end.closed();
    assert!(matches!(reason, ConnectionError::Misbehaved(_)), "{reason:?}");
}

#[test]
fn rejected_with_info_under_string_keys_is_that_outcome() {
    for (tolerances, tolerated) in ALL {
        let mut peer = server(tolerances);
        peer.send(0, attach("l", 0, Role::Receiver));
        let link = peer.end.offered_links()[0];
        peer.send(0, credit(0, 1));
        peer.end.send(link, message(1, 5), unsettled(7)).unwrap();
        peer.flush();
        peer.raw(&unhex(REJECTED));
        if !tolerated {
            closed_strictly(&peer);
            continue;
        }
        assert!(!peer.end.is_closed());
        let settlements = peer.end.settlements();
        let [(7, Settlement::Outcome(Some(DeliveryState::Rejected(Some(error)))))] = &settlements[..] else {
            panic!("{settlements:?}")
        };
        assert_eq!((error.condition.as_str(), error.description.as_deref()), ("com.example:bad", Some("why")));
        let info = error.info.as_ref().unwrap();
        assert_eq!(info.iter().collect::<Vec<_>>(), [(&name("Reason").into(), &Value::from("r"))]);
    }
}

#[test]
fn a_redirect_under_string_keys_detaches_the_link_only() {
    for (tolerances, tolerated) in ALL {
        let (mut peer, session) = client(tolerances);
        let link = peer.end.attach_receiver(session, receiver("r", Credit::Manual(1))).unwrap();
        peer.flush();
        peer.send(0, attach("r", 0, Role::Sender));
        peer.raw(&unhex(REDIRECT));
        if !tolerated {
            closed_strictly(&peer);
            continue;
        }
        assert!(!peer.end.is_closed());
        let detached = peer.end.detached(link).unwrap();
        let error = detached.error.unwrap();
        let info = error.info.unwrap();
        assert_eq!(error.condition.as_str(), "amqp:link:redirect");
        assert_eq!((info.get("hostname"), info.get("port")), (Some(&"h.example".into()), Some(&5671_u16.into())));
    }
}

/// A frame on channel 0 whose last field is a map with a string key, or an error whose info is one.
fn frame_with(fields: &str, number: &str, count: u8, error: bool) -> Vec<u8> {
    let info = "c1 05 02 a1 01 6b 41";
    let last = if error { format!("00 53 1d c0 0e 03 a3 03 61 3a 62 40 {info}") } else { info.to_owned() };
    let fields = unhex(&format!("{fields} {last}"));
    let mut body = unhex(&format!("00 53 {number} c0"));
    body.extend([fields.len() as u8 + 1, count]);
    body.extend(fields);
    let mut frame = (body.len() as u32 + 8).to_be_bytes().to_vec();
    frame.extend([2, 0, 0, 0]);
    frame.extend(body);
    frame
}

#[test]
fn string_keys_in_properties_and_errors_cost_nothing() {
    let nulls = |count: usize| "40 ".repeat(count);
    let frames = [
        ("flow", frame_with(&format!("43 52 64 43 52 64 {}", nulls(6)), "13", 11, false)),
        ("attach", frame_with(&format!("a1 01 6c 43 41 40 40 00 53 28 45 00 53 29 45 {}", nulls(6)), "12", 14, false)),
        ("detach", frame_with("43 41", "16", 3, true)),
        ("end", frame_with("", "17", 1, true)),
        ("close", frame_with("", "18", 1, true)),
    ];
    for (tolerances, tolerated) in ALL {
        let mut peer = server(tolerances);
        for (which, octets) in &frames {
            peer.raw(octets);
            if !tolerated {
                closed_strictly(&peer);
                break;
            }
            match *which {
                "flow" => assert_eq!(peer.names(), [""; 0]),
                "attach" => {
                    let link = peer.end.offered_links()[0];
                    let properties = peer.end.remote_attach(link).unwrap().properties.clone().unwrap();
                    assert_eq!(properties.get("k"), Some(&Value::Boolean(true)));
                    assert_eq!(properties.iter().next().unwrap().0, &Value::Symbol(name("k")));
                    assert_eq!(peer.names(), ["attach"]);
                }
                which => assert_eq!(peer.names(), [which]),
            }
        }
        if tolerated {
            let ConnectionError::ClosedByPeer(Some(error)) = peer.end.closed() else {
                panic!("{:?}", peer.end.closed())
            };
            assert_eq!(error.info.unwrap().get("k"), Some(&Value::Boolean(true)));
            let ended = peer.end.ended_session(peer.end.offered_sessions()[0]).unwrap();
            assert!(ended.error.unwrap().info.is_some());
            assert!(peer.end.detached(peer.end.offered_links()[0]).unwrap().error.unwrap().info.is_some());
        }
        // Those before them.
        let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
        let mut peer = Peer::with(config);
        peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
        peer.raw(&frame_with(&format!("a1 01 63 {}", nulls(8)), "10", 10, false));
        peer.raw(&frame_with(&format!("40 43 52 64 52 64 {}", nulls(3)), "11", 8, false));
        assert_eq!(peer.end.offered_sessions().len(), usize::from(tolerated));
    }
}

#[test]
fn a_filter_that_is_not_described_is_offered_as_it_came() {
    for (tolerances, tolerated) in ALL {
        let mut peer = server(tolerances);
        peer.end.accept.links = None;
        peer.raw(&unhex(FILTER));
        if !tolerated {
            closed_strictly(&peer);
            continue;
        }
        let link = peer.end.offered_links()[0];
        let source = peer.end.remote_attach(link).unwrap().source.clone().unwrap();
        let filter = source.filter.as_ref().unwrap();
        assert_eq!(filter.get("com.microsoft:session-filter"), Some(&"s1".into()));
        // One that is not supported is left out of the answer.
        let echoed = AttachReply::echo(&peer.end.remote_attach(link).unwrap());
        let source = Some(Source { filter: None, ..*source });
        peer.end.accept_link(link, AttachReply { source, ..echoed }).unwrap();
        let frames = peer.read();
        let [(_, Performative::Attach(answer), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(answer.source.as_ref().unwrap().filter, None);
    }
}

/// Service Bus: the session to be given any is asked for with null, and the answer names the one that was given.
#[test]
fn filters_without_a_descriptor_are_written_and_come_back() {
    let filter = |value: Value| {
        let mut filter = FilterSet::new();
        filter.insert_undescribed(name("com.microsoft:session-filter"), value);
        filter
    };
    let (mut peer, session) = client(CLIENT);
    let source = Source { filter: Some(filter(Value::Null)), ..Source::at("q") };
    let link = peer.end.attach_receiver(session, ReceiverConfig::new("r", source)).unwrap();
    let frames = peer.read();
    let Some((_, Performative::Attach(asked), _)) = frames.first() else { panic!("{frames:?}") };
    assert_eq!(asked.source.as_ref().unwrap().filter, Some(filter(Value::Null)));
    let mut answer = attach("r", 0, Role::Sender);
    answer.source = Some(Box::new(Source { filter: Some(filter("s1".into())), ..Source::at("q") }));
    peer.send(0, answer);
    assert!(peer.end.attached(link));
    let granted = peer.end.remote_attach(link).unwrap().source.clone().unwrap();
    assert_eq!(granted.filter, Some(filter("s1".into())));
}

/// Artemis's transaction ids have 36 octets.
#[test]
fn long_transaction_ids_of_a_coordinator_are_taken_and_said_back() {
    for (tolerances, tolerated) in [(CLIENT, true), (STRICT, false)] {
        let (mut peer, session) = client(tolerances);
        let config = SenderConfig::new("control", Target::default());
        let link = peer.end.attach_sender(session, config).unwrap();
        peer.flush();
        peer.send(0, attach("control", 0, Role::Receiver));
        peer.send(0, credit(0, 9));
        let mut controller = Controller::new(None);
        let declare = controller.declare(1, None).unwrap();
        peer.end.send(link, declare, unsettled(1)).unwrap();
        peer.read();
        // A disposition: declared, with 36 octets.
        let id = "74".repeat(36);
        peer.raw(&unhex(&format!("0000003e 02000000 0053 15c0 31 05 41 43 40 41 0053 33c0 27 01 a024 {id}")));
        if !tolerated {
            closed_strictly(&peer);
            continue;
        }
        let settlements = peer.end.settlements();
        let answer = controller.handle_settled(1, &settlements[0].1);
        let Some(Answer::Declared(txn)) = answer else { panic!("{answer:?}") };
        assert_eq!(txn.as_slice(), [0x74; 36]);
        let state = controller.post(&txn).unwrap();
        peer.end.send(link, message(1, 3), SendOptions { state: Some(state), ..unsettled(2) }).unwrap();
        let frames = peer.read();
        let [(_, Performative::Transfer(posted), _)] = &frames[..] else { panic!("{frames:?}") };
        let Some(DeliveryState::Transactional(state)) = &posted.state else { panic!("{posted:?}") };
        assert_eq!(&state.txn_id[..], [0x74; 36]);
    }
}

/// An outcome that the peer names when the link is resumed is that outcome, whatever keys its info has.
#[test]
fn an_outcome_in_an_unsettled_map_may_have_info_under_string_keys() {
    for (tolerances, tolerated) in [(CLIENT, true), (STRICT, false)] {
        let (mut peer, session) = client(tolerances);
        let tag = DeliveryTag::new(b"t").unwrap();
        let mut left = SuspendedSender::new();
        left.deliveries.push_back(SentSoFar {
            tag,
            token: 7,
            message_format: 0,
            settled: false,
            begun: true,
            state: None,
            message: Some(message(1, 5)),
        });
        let config = SenderConfig { resumable: true, resume: Some(left), ..sender("l") };
        peer.end.attach_sender(session, config).unwrap();
        peer.flush();
        let info: Map = [("Reason", "r")].into_iter().collect();
        let error = vec![name("a:b").into(), Value::Null, Value::Map(info)];
        let rejected = Value::described(0x25_u64, vec![Value::described(0x1d_u64, error)]);
        let mut answer = attach("l", 0, Role::Receiver);
        answer.unsettled = Some([(tag, rejected)].into_iter().collect());
        peer.send(0, answer);
        peer.send(0, credit(0, 5));
        let settlements = peer.end.settlements();
        let rejected = matches!(
            &settlements[..],
            [(7, Settlement::Outcome(Some(DeliveryState::Rejected(Some(error)))))] if error.info.is_some()
        );
        assert_eq!(rejected, tolerated, "{settlements:?}");
    }
}
