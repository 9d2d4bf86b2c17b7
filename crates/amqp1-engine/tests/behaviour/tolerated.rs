//! Deviations of real peers whose meaning is unambiguous: accepted under the presets of the sides that meet them, refused
//! under `STRICT`.

use super::advisory::client;
use amqp1_codec::{
    DeliveryTag, SequenceNo,
    definitions::{ErrorCondition, Role},
    frame::ProtocolHeader,
    messaging::{DeliveryState, NodeProperties, Source},
    performative::{Attach, Begin, Close, Detach, Disposition, End as EndFrame, Flow, Open, Performative, Transfer},
};
use amqp1_engine::{
    Cause, ConnectionConfig, ConnectionError, Credit, LinkId, PeerMisbehaved, SenderConfig, Tolerances,
};
use amqp1_testkit::*;

const CLIENT: Tolerances = Tolerances::CLIENT;
const ACCEPTOR: Tolerances = Tolerances::ACCEPTOR;
const STRICT: Tolerances = Tolerances::STRICT;

/// A server that has seen nothing.
fn server(tolerances: Tolerances) -> Peer {
    let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
    Peer::with(config)
}

/// A server after header, open, and begin on channel 0.
fn with_session(tolerances: Tolerances) -> Peer {
    let mut peer = server(tolerances).open();
    peer.send(0, begin());
    assert_eq!(peer.names(), ["begin"]);
    peer
}

/// The attach of a sender without initial-delivery-count, as Microsoft's .NET stack writes it.
const DOTNET_CBS: &str =
    "0000002f02000000005312c02207a10a6362733a73656e646572434250014000532845005329c00701a10424636273";

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn t_2_7_3_6_a_missing_initial_delivery_count_counts_as_0() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let mut peer = with_session(tolerances);
        peer.raw(&unhex(DOTNET_CBS));
        if !tolerated {
            assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
            continue;
        }
        let frames = peer.read();
        let [(_, Performative::Attach(_), _), (_, Performative::Flow(flow), _)] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert_eq!(flow.delivery_count, Some(SequenceNo(0)));
        peer.send_payload(0, transfer(0, 0), HELLO);
        let link = peer.end.offered_links()[0];
        assert_eq!(peer.end.take_all(link).len(), 1);
        assert_eq!(peer.end.remote_attach(link).unwrap().name, "cbs:sender");
    }
}

#[test]
fn t_2_7_3_6_a_missing_initial_delivery_count_in_an_answer_counts_as_0() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let (mut peer, session) = client(tolerances);
        let rx = peer.end.attach_receiver(session, receiver("b", Credit::Manual(5))).unwrap();
        peer.read();
        peer.send(0, Attach { initial_delivery_count: None, ..attach("b", 0, Role::Sender) });
        if !tolerated {
            assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
            continue;
        }
        let frames = peer.read();
        let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((flow.delivery_count, flow.link_credit), (Some(SequenceNo(0)), Some(5)));
        peer.send_payload(0, transfer(0, 0), HELLO);
        assert_eq!(peer.end.take_all(rx).len(), 1);
    }
}

/// Also T-2.7.1-7. Broker-J refuses connections with an open of max-frame-size 0 and a close.
#[test]
fn a_max_frame_size_below_512_counts_as_512_so_that_the_close_that_follows_says_why() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        for size in [0, 1, 511] {
            let mut peer = server(tolerances);
            peer.raw(&ProtocolHeader::AMQP.encode());
            peer.send(0, Open { container_id: "peer".into(), max_frame_size: size, ..Open::default() });
            assert_eq!(peer.end.opened(), tolerated, "{size}");
            if !tolerated {
                let violation = PeerMisbehaved::MaxFrameSizeTooSmall { size };
                assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(violation));
                continue;
            }
            let why = error(ErrorCondition::NOT_FOUND);
            peer.send(0, Close { error: Some(why.clone()) });
            assert_eq!(peer.end.closed(), ConnectionError::ClosedByPeer(Some(why)));
            assert_eq!(peer.names(), ["open", "close"]);
        }
    }
}

#[test]
fn t_2_7_1_5_frames_for_a_peer_that_takes_less_than_512_octets_have_512() {
    let mut peer = server(ACCEPTOR);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 0, ..Open::default() });
    peer.send(0, begin());
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, credit(0, 1));
    let link = peer.end.offered_links()[0];
    peer.end.send(link, message(1, 5000), unsettled(1)).unwrap();
    peer.read();
    let items = items(&peer.end.written);
    let largest = items.iter().map(|item| if let Item::Frame { size, .. } = item { *size } else { 0 }).max();
    assert_eq!(largest, Some(512));
}

/// §2.6.6. To attach again in order to close is what unsubscribes a durable subscription.
#[test]
fn a_detach_that_is_answered_by_a_close_ends_the_link() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        for resumable in [false, true] {
            let (mut peer, session) = client(tolerances);
            let tx = peer.end.attach_sender(session, SenderConfig { resumable, ..sender("l") }).unwrap();
            peer.send(0, attach("l", 5, Role::Receiver));
            peer.end.detach(tx, false, None).unwrap();
            assert_eq!(peer.names(), ["attach", "detach"]);
            peer.send(0, Detach { handle: 5, closed: true, error: None });
            let detached = peer.end.detached(tx).unwrap();
            assert_eq!((detached.closed, detached.by, detached.error), (true, Cause::Peer, None));
            assert!(detached.suspended.is_none());
            if !tolerated {
                assert_eq!(peer.names(), ["attach", "detach"]);
                continue;
            }
            assert!(peer.names().is_empty());
            // The handle is free, and so is the name.
            let tx = peer.end.attach_sender(session, sender("l")).unwrap();
            peer.send(0, attach("l", 5, Role::Receiver));
            let frames = peer.read();
            let [(_, Performative::Attach(again), _)] = &frames[..] else { panic!("{frames:?}") };
            assert_eq!(again.handle, 0);
            assert!(peer.end.attached(tx));
        }
    }
}

/// §2.5.5. Some SDKs detach their links after having ended the session.
#[test]
fn a_detach_on_the_channel_of_a_session_that_has_ended_is_ignored() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let mut peer = with_session(tolerances);
        peer.send(0, attach("l", 0, Role::Sender));
        peer.send(0, EndFrame::default());
        peer.read();
        peer.send(0, Detach { handle: 0, closed: true, ..Detach::default() });
        let expected = (!tolerated).then_some(("close", ErrorCondition::NOT_ALLOWED));
        assert_eq!(peer.refusal(), expected);
        assert_eq!(peer.end.is_closed(), !tolerated);
    }
}

/// §2.5.1. No session has ended there, so that the link it speaks of is not known.
#[test]
fn t_2_5_1_6_a_detach_on_a_channel_that_never_had_a_session_is_refused_under_any_tolerance() {
    for channel in [0, 7] {
        let mut config = ConnectionConfig::new("server");
        config.tolerances = Tolerances::ALL;
        let mut peer = Peer::with(config).open();
        peer.send(channel, Detach { handle: 0, closed: true, ..Detach::default() });
        assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)));
    }
}

/// §2.5.1. go-amqp ends a session that it gives up before its begin has left.
#[test]
fn an_end_on_a_channel_that_was_never_begun_is_ignored() {
    for (tolerances, tolerated) in [(CLIENT, false), (ACCEPTOR, true), (STRICT, false)] {
        let mut peer = with_session(tolerances);
        peer.send(7, EndFrame::default());
        let expected = (!tolerated).then_some(("close", ErrorCondition::NOT_ALLOWED));
        assert_eq!(peer.refusal(), expected);
        if tolerated {
            // The other sessions live on, and the channel can be used.
            peer.send(7, begin());
            peer.send(0, attach("l", 0, Role::Sender));
            assert_eq!(peer.names(), ["begin", "attach", "flow"]);
        }
    }
}

/// A link with handle 0 that the peer has detached, in a session with another one that lives.
fn after_detach(tolerances: Tolerances) -> (Peer, LinkId) {
    let mut peer = with_session(tolerances);
    peer.send(0, attach("gone", 0, Role::Receiver));
    peer.send(0, attach("lives", 1, Role::Sender));
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    peer.read();
    let lives = peer.end.offered_links()[1];
    (peer, lives)
}

/// §2.6.5. go-amqp 1.7 sends a flow on the handle of a link after its own detach.
#[test]
fn a_flow_on_a_handle_that_the_peer_has_detached_says_nothing_of_a_link() {
    for (tolerances, tolerated) in [(CLIENT, false), (ACCEPTOR, true), (STRICT, false)] {
        let (mut peer, lives) = after_detach(tolerances);
        peer.send(0, credit(0, 10));
        let expected = (!tolerated).then_some(("end", ErrorCondition::UNATTACHED_HANDLE));
        assert_eq!(peer.refusal(), expected);
        assert_eq!(peer.end.attached_now(lives), tolerated);
        if tolerated {
            peer.send(0, Flow { echo: true, ..credit(0, 10) });
            let frames = peer.read();
            let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
            assert_eq!(flow.handle, None, "the echo is the session's");
        }
    }
}

#[test]
fn a_flow_on_a_handle_that_was_never_attached_ends_the_session_under_any_tolerance() {
    for tolerances in [CLIENT, ACCEPTOR, Tolerances::ALL] {
        let (mut peer, _) = after_detach(tolerances);
        peer.send(0, credit(2, 10));
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
    }
}

/// What a flow on a detached handle says of the session's window counts.
#[test]
fn a_flow_after_detach_opens_the_sessions_window() {
    let mut peer = server(ACCEPTOR).open();
    peer.send(0, Begin { incoming_window: 0, ..begin() });
    peer.send(0, attach("gone", 0, Role::Receiver));
    peer.send(0, attach("lives", 1, Role::Receiver));
    peer.send(0, Flow { incoming_window: 0, ..credit(1, 1) });
    peer.send(0, Detach { handle: 0, closed: true, error: None });
    let lives = peer.end.offered_links()[1];
    peer.end.send(lives, message(1, 1), unsettled(1)).unwrap();
    assert!(!peer.names().contains(&"transfer"));
    peer.send(0, Flow { incoming_window: 5, ..credit(0, 1) });
    assert_eq!(peer.names(), ["transfer"]);
}

/// §2.6.12. protonj2 repeats tags; the link with all that is in flight on it is not lost for it.
#[test]
fn deliveries_with_the_tag_of_another_unsettled_one_are_taken() {
    const COUNT: u32 = 500;
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let mut peer = with_session(tolerances);
        peer.end.accept.links = Some(Credit::Manual(COUNT));
        peer.send(0, attach("l", 0, Role::Sender));
        let link = peer.end.offered_links()[0];
        let same = DeliveryTag::from(7u32);
        let transfers =
            (0..COUNT).flat_map(|id| frame(0, Transfer { delivery_tag: Some(same), ..transfer(0, id) }, HELLO));
        peer.raw(&transfers.collect::<Vec<_>>());
        if !tolerated {
            assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::NOT_ALLOWED)));
            continue;
        }
        let deliveries = peer.end.take_all(link);
        assert_eq!(deliveries.len(), 500);
        peer.read();
        // Each has an outcome of its own.
        peer.end.dispose(link, deliveries[3].key, DeliveryState::Released).unwrap();
        let frames = peer.read();
        let [(_, Performative::Disposition(disposition), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((disposition.first, disposition.last), (SequenceNo(3), None));
        for delivery in &deliveries {
            peer.end.dispose(link, delivery.key, DeliveryState::Accepted).unwrap();
        }
        let ranges: Vec<_> = peer
            .read()
            .into_iter()
            .filter_map(|(_, body, _)| match body {
                Performative::Disposition(d) => Some((d.first.0, d.last.map(|last| last.0))),
                _ => None,
            })
            .collect();
        assert_eq!(ranges, [(0, Some(2)), (4, Some(499))]);
        assert!(peer.end.attached_now(link));
    }
}

/// §2.5.5. The session is over, and so is what they speak of.
#[test]
fn a_flow_or_a_disposition_on_the_channel_of_a_session_that_has_ended_is_ignored() {
    let bodies: [Performative; 2] =
        [credit(0, 5).into(), Disposition { role: Role::Receiver, settled: true, ..Disposition::default() }.into()];
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        for body in &bodies {
            let mut peer = with_session(tolerances);
            peer.send(0, EndFrame::default());
            peer.read();
            peer.send(0, body.clone());
            let expected = (!tolerated).then_some(("close", ErrorCondition::NOT_ALLOWED));
            assert_eq!(peer.refusal(), expected);
            // On a channel that never had a session they say something that is not known.
            let mut peer = with_session(tolerances);
            peer.send(7, body.clone());
            assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)));
        }
    }
}

/// A message, or a link, is not ignored.
#[test]
fn a_transfer_or_an_attach_behind_an_end_is_refused_under_any_tolerance() {
    let bodies: [Performative; 2] = [transfer(0, 0).into(), attach("l", 0, Role::Sender).into()];
    for body in bodies {
        let mut peer = with_session(Tolerances::ALL);
        peer.send(0, EndFrame::default());
        peer.read();
        peer.send(0, body);
        assert_eq!(peer.refusal(), Some(("close", ErrorCondition::NOT_ALLOWED)));
    }
}

#[test]
fn a_second_detach_of_a_link_is_ignored() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let (mut peer, lives) = after_detach(tolerances);
        peer.send(0, Detach { handle: 0, closed: true, error: None });
        let expected = (!tolerated).then_some(("end", ErrorCondition::UNATTACHED_HANDLE));
        assert_eq!(peer.refusal(), expected);
        assert_eq!(peer.end.attached_now(lives), tolerated);
        // One of a handle that was never used is none of a link that is gone.
        let (mut peer, _) = after_detach(tolerances);
        peer.send(0, Detach { handle: 2, closed: true, error: None });
        assert_eq!(peer.refusal(), Some(("end", ErrorCondition::UNATTACHED_HANDLE)));
    }
}

/// §2.7.4. Some encoders write every number.
#[test]
fn counters_of_a_link_that_is_not_named_say_nothing() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let zeros = || Flow {
            delivery_count: Some(SequenceNo(0)),
            link_credit: Some(0),
            available: Some(0),
            echo: true,
            ..session_flow(7)
        };
        let mut peer = with_session(tolerances);
        peer.send(0, zeros());
        let frames = peer.read();
        let names: Vec<_> = frames.iter().map(|(_, body, _)| body.name()).collect();
        assert_eq!(names, [if tolerated { "flow" } else { "end" }]);
        // Credit without a link has another meaning, which is not known.
        for flow in [Flow { link_credit: Some(1), ..zeros() }, Flow { drain: true, ..zeros() }] {
            let mut peer = with_session(tolerances);
            peer.send(0, flow);
            assert_eq!(peer.refusal(), Some(("end", ErrorCondition::INVALID_FIELD)));
        }
    }
}

/// §3.5.3. They are offered to the application as they came.
#[test]
fn properties_of_a_node_that_is_not_to_be_made_say_nothing() {
    for (tolerances, tolerated) in [(CLIENT, true), (ACCEPTOR, true), (STRICT, false)] {
        let dynamic_node_properties = Some(NodeProperties::default());
        let source = Source { dynamic_node_properties, ..Source::at("q") };
        let mut peer = with_session(tolerances);
        peer.send(0, Attach { source: Some(Box::new(source)), ..attach("l", 0, Role::Receiver) });
        let expected = (!tolerated).then_some(("detach", ErrorCondition::INVALID_FIELD));
        assert_eq!(peer.refusal(), expected);
        assert_eq!(peer.end.offered_links().len(), usize::from(tolerated));
        // A node that is to be made and has an address is two nodes.
        let source = Source { dynamic: true, ..Source::at("q") };
        let mut peer = with_session(tolerances);
        peer.send(0, Attach { source: Some(Box::new(source)), ..attach("l", 0, Role::Receiver) });
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
    }
}

/// A detach whose error has this info, as octets of a map's entries.
fn detach_with_info(entries: &[&[u8]]) -> Vec<u8> {
    let list = |descriptor: u8, count: u8, fields: &[u8]| {
        let mut list = vec![0, 0x53, descriptor, 0xc0, fields.len() as u8 + 1, count];
        list.extend_from_slice(fields);
        list
    };
    let map = entries.concat();
    let condition = b"amqp:link:redirect";
    let mut fields = vec![0xa3, condition.len() as u8];
    fields.extend_from_slice(condition);
    fields.extend_from_slice(&[0x40, 0xc1, map.len() as u8 + 1, entries.len() as u8]);
    fields.extend_from_slice(&map);
    let error = list(0x1d, 3, &fields);
    let detach = list(0x16, 3, &[&[0x43, 0x41][..], &error].concat());
    let mut frame = (detach.len() as u32 + 8).to_be_bytes().to_vec();
    frame.extend_from_slice(&[2, 0, 0, 0]);
    frame.extend_from_slice(&detach);
    frame
}

fn text(code: u8, text: &str) -> Vec<u8> {
    [&[code, text.len() as u8], text.as_bytes()].concat()
}

#[test]
fn t_2_8_13_1_an_info_whose_keys_are_tolerated_reaches_the_application() {
    let (string, symbol) = (0xa1, 0xa3);
    for (code, key) in [(string, "größe"), (string, "hostname"), (symbol, "port")] {
        let mut peer = server(ACCEPTOR);
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.send(0, Open { container_id: "peer".into(), ..Open::default() });
        peer.send(0, begin());
        peer.send(0, attach("l", 0, Role::Receiver));
        peer.read();
        let tx = peer.end.offered_links()[0];
        let entries = [text(symbol, "hostname"), text(string, "h"), text(code, key), text(string, "x")];
        peer.raw(&detach_with_info(&entries.each_ref().map(Vec::as_slice)));
        let error = peer.end.detached(tx).unwrap().error.unwrap();
        let info = error.info.unwrap_or_else(|| panic!("{key}: {:?}", error.description));
        assert_eq!(info.get("hostname"), Some(&"h".into()), "{key}");
        assert_eq!(info.iter().len(), 2, "{key}");
    }
}
