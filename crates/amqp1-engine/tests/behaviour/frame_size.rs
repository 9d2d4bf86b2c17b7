//! Frames are no larger than the peer takes (§2.4.1, §2.7.1): the call that would need a larger one fails, and nothing else.

use amqp1_codec::{
    Symbol,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    frame::ProtocolHeader,
    messaging::{DeliveryState, Modified},
    performative::{Close, Disposition, Open, Performative},
    transaction::TransactionalState,
};
use amqp1_engine::{
    ApiMisuse, AttachReply, Cause, Connection, ConnectionConfig, ConnectionError, Credit, Event, Instant, LinkId,
    PeerMisbehaved, SenderConfig, ServerSasl, SessionConfig, Settlement, Tolerances,
};
use amqp1_testkit::*;

fn fields(octets: usize) -> Fields {
    let mut fields = Fields::new();
    fields.insert(Symbol::from_static("k"), "v".repeat(octets));
    fields
}

/// An error with a description and a condition of these lengths.
fn verbose(condition: usize, description: usize) -> AmqpError {
    AmqpError::new(ErrorCondition::new(Symbol::new("c".repeat(condition)).unwrap()), "ä".repeat(description / 2))
}

fn annotated(octets: usize) -> DeliveryState {
    DeliveryState::Modified(Box::new(Modified { message_annotations: Some(fields(octets)), ..Modified::default() }))
}

fn is_too_large<T: core::fmt::Debug>(result: Result<T, ApiMisuse>) -> bool {
    match result {
        Ok(_) => false,
        Err(ApiMisuse::FrameTooLarge { size, max }) => {
            assert!(size > max && max == 512, "{size} {max}");
            true
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// An engine whose peer takes frames of 512 octets.
fn narrow() -> Peer {
    let mut peer = Peer::fresh();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 512, ..Open::default() });
    peer.read();
    peer
}

fn narrow_session() -> (Peer, amqp1_engine::SessionId) {
    let mut peer = narrow();
    peer.send(0, begin());
    peer.read();
    let session = peer.end.offered_sessions()[0];
    (peer, session)
}

/// The peer took each frame, and the connection lives.
fn assert_taken(peer: &mut Peer) {
    peer.read();
    let mut largest = 0;
    for item in items(&peer.end.written) {
        if let Item::Frame { size, .. } = item {
            largest = largest.max(size);
        }
    }
    assert!(largest <= 512, "{largest}");
    assert!(!peer.end.is_closed());
}

#[test]
fn t_2_4_1_3_a_clients_open_has_512_octets_at_most() {
    let (mut opens, mut fails) = (0, 0);
    for length in 300..600 {
        let config = ConnectionConfig { properties: fields(length), ..ConnectionConfig::new("client") };
        let checked = config.check_open();
        let mut peer = Peer::new(Connection::client(config, None, Instant::default()));
        let Err(expected) = checked else {
            let frames = peer.read();
            assert!(matches!(&frames[..], [(0, Performative::Open(_), _)]), "{frames:?}");
            assert!(peer.end.written.len() <= 512 + ProtocolHeader::LEN);
            opens += 1;
            continue;
        };
        fails += 1;
        assert!(matches!(expected, ConnectionError::OpenTooLarge { size, max: 512 } if size > 512));
        assert!(expected.to_string().contains("properties"), "{expected}");
        assert!(peer.end.has_output(), "there is something to look at");
        assert!(peer.read().is_empty() && peer.end.written.is_empty());
        assert_eq!(peer.end.closed(), expected);
        assert!(peer.end.is_finished() && peer.end.poll_timeout().is_none());
    }
    assert!(opens > 100 && fails > 50, "{opens} {fails}");
    // So has what follows it in the pipe.
    let mut peer = Peer::of_client();
    peer.end.engine.close(peer.now, Some(AmqpError::new(ErrorCondition::INTERNAL_ERROR, "x".repeat(5000))));
    peer.flush();
    let sizes = items(&peer.end.written).into_iter().filter_map(|item| match item {
        Item::Frame { size, .. } => Some(size),
        _ => None,
    });
    let sizes: Vec<_> = sizes.collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 512), "{sizes:?}");
}

/// A peer that has not heard our open does not know of larger frames; some send them all the same.
#[test]
fn t_2_4_1_3_an_open_of_more_than_512_octets_is_refused_or_tolerated() {
    let of_size = |size| {
        let open = |length| frame(0, Open { container_id: "x".repeat(length).into(), ..Open::default() }, b"");
        (400..600).map(open).find(|frame| frame.len() == size).unwrap()
    };
    let mut long_open = Tolerances::STRICT;
    long_open.long_open = true;
    for (size, tolerances, refused) in
        [(512, Tolerances::STRICT, false), (513, Tolerances::STRICT, true), (513, long_open, false)]
    {
        let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("server") };
        let mut peer = Peer::new(Connection::server(config, ServerSasl::None, Instant::default()));
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.raw(&of_size(size));
        assert_eq!(peer.refusal(), refused.then_some(("close", ErrorCondition::FRAMING_ERROR)), "{size}");
        assert_eq!(peer.end.opened(), !refused);
        if refused {
            let violation = PeerMisbehaved::OpenTooLong { size };
            assert_eq!(peer.end.closed(), ConnectionError::Misbehaved(violation));
        }
    }
    // A server that answers has heard what this end takes.
    let mut peer = Peer::of_client();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.raw(&of_size(513));
    assert!(peer.end.opened());
}

#[test]
fn t_2_4_1_3_an_open_that_is_too_large_is_known_before_sasl() {
    let config = ConnectionConfig { container_id: "c".repeat(600).into(), ..ConnectionConfig::new("") };
    let mechanism = Box::new(amqp1_auth::sasl::Anonymous::default());
    let mut peer = Peer::new(Connection::client(config, Some(mechanism), Instant::default()));
    peer.read();
    assert!(peer.end.written.is_empty());
    assert!(matches!(peer.end.closed(), ConnectionError::OpenTooLarge { .. }));
}

#[test]
fn t_2_7_1_5_a_servers_open_fits_the_clients_frames_or_the_connection_is_refused() {
    for (max_frame_size, held) in [(512, false), (512, true), (4096, false), (4096, true)] {
        let config = ConnectionConfig {
            container_id: "c".repeat(600).into(),
            properties: fields(600),
            ..ConnectionConfig::new("server")
        };
        let mut peer = Peer::new(Connection::server(config, ServerSasl::None, Instant::default()));
        peer.end.hold_open(held);
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.send(0, Open { container_id: "peer".into(), max_frame_size, ..Open::default() });
        if held {
            peer.end.answer_open();
        }
        let frames = peer.read();
        if max_frame_size == 4096 {
            assert!(matches!(&frames[..], [(0, Performative::Open(_), _)]), "{frames:?}");
            assert!(peer.end.opened());
            continue;
        }
        let [(_, Performative::Open(open), _), (_, Performative::Close(close), _)] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert!(open.container_id.len() == 128 && open.properties.is_none());
        assert_eq!(close.error.as_ref().unwrap().condition, ErrorCondition::FRAME_SIZE_TOO_SMALL);
        assert!(matches!(peer.end.closed(), ConnectionError::OpenTooLarge { max: 512, .. }));
        assert!(!peer.end.opened());
        peer.send(0, Close::default());
        assert!(peer.end.is_finished());
    }
}

#[test]
fn t_2_7_1_5_a_refusal_of_a_connection_fits_whatever_the_open_would_say() {
    let config = ConnectionConfig { properties: fields(600), ..ConnectionConfig::new("server") };
    let mut peer = Peer::new(Connection::server(config, ServerSasl::None, Instant::default()));
    peer.end.hold_open(true);
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 512, ..Open::default() });
    peer.end.refuse_open(verbose(20, 600));
    let frames = peer.read();
    let [(_, Performative::Open(open), _), (_, Performative::Close(close), _)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert!(open.properties.as_ref().unwrap().get("amqp:connection-establishment-failed").is_some());
    assert!(close.error.as_ref().unwrap().description.as_ref().unwrap().ends_with("ä..."));
    assert!(items(&peer.end.written).iter().all(|item| !matches!(item, Item::Frame { size, .. } if *size > 512)));
}

#[test]
fn t_2_7_1_5_a_begin_that_is_too_large_is_an_error_of_its_call() {
    let (mut peer, _) = narrow_session();
    let large = || SessionConfig { properties: fields(600), ..SessionConfig::default() };
    assert!(is_too_large(peer.end.begin(large())));
    assert!(peer.names().is_empty());
    peer.end.begin(SessionConfig::default()).unwrap();
    assert_eq!(peer.names(), ["begin"]);
    // The peer's session waits for an answer that fits.
    peer.end.accept.sessions = None;
    peer.send(1, begin());
    let offered = peer.end.offered_sessions()[1];
    assert!(is_too_large(peer.end.accept_session(offered, large())));
    assert!(peer.names().is_empty());
    peer.end.accept_session(offered, SessionConfig { handle_max: 3, ..SessionConfig::default() }).unwrap();
    let frames = peer.read();
    let [(_, Performative::Begin(answer), _)] = &frames[..] else { panic!("{frames:?}") };
    assert!(answer.handle_max == 3 && answer.properties.is_none());
    assert_taken(&mut peer);
}

#[test]
fn t_2_7_1_5_a_begin_that_turns_out_to_be_too_large_ends_its_session_alone() {
    let mut peer = Peer::fresh();
    let large = peer.end.begin(SessionConfig { properties: fields(600), ..SessionConfig::default() }).unwrap();
    let link = peer.end.attach_sender(large, sender("l")).unwrap();
    let small = peer.end.begin(SessionConfig::default()).unwrap();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 512, ..Open::default() });
    assert_eq!(peer.names(), ["open", "begin"]);
    let ended = peer.end.ended_session(large).unwrap();
    assert_eq!((ended.by, ended.error.unwrap().condition), (Cause::Local, ErrorCondition::FRAME_SIZE_TOO_SMALL));
    assert!(peer.end.detached(link).is_some() && peer.end.ended_session(small).is_none());
    assert_taken(&mut peer);
}

/// Also T-2.4.1-4.
#[test]
fn t_2_7_1_5_an_attach_that_is_too_large_is_an_error_of_its_call() {
    let (mut peer, session) = narrow_session();
    let (mut fits, mut fails) = (0, 0);
    for length in 350..500 {
        let name = format!("large{length}").into();
        let config = SenderConfig { properties: fields(length), name, ..sender("") };
        if is_too_large(peer.end.attach_sender(session, config)) {
            assert!(peer.names().is_empty());
            fails += 1;
        } else {
            assert_eq!(peer.names(), ["attach"]);
            fits += 1;
        }
    }
    assert!(fits > 20 && fails > 20, "{fits} {fails}");
    assert!(is_too_large(peer.end.attach_receiver(
        session,
        amqp1_engine::ReceiverConfig { properties: fields(600), ..receiver("large", Credit::Manual(1)) }
    )));
    assert_taken(&mut peer);
}

/// Pipelined, before anything is known of the peer.
#[test]
fn t_2_7_1_5_an_attach_that_turns_out_to_be_too_large_ends_its_link_alone() {
    let mut peer = Peer::fresh();
    let session = peer.end.begin(SessionConfig::default()).unwrap();
    let large = SenderConfig { properties: fields(600), ..sender("large") };
    let large = peer.end.attach_sender(session, large).unwrap();
    let small = peer.end.attach_sender(session, sender("small")).unwrap();
    peer.raw(&ProtocolHeader::AMQP.encode());
    peer.send(0, Open { container_id: "peer".into(), max_frame_size: 512, ..Open::default() });
    peer.send(0, amqp1_codec::performative::Begin { remote_channel: Some(0), ..begin() });
    assert_eq!(peer.names(), ["open", "begin", "attach"]);
    let detached = peer.end.detached(large).unwrap();
    assert_eq!((detached.by, detached.error.unwrap().condition), (Cause::Local, ErrorCondition::FRAME_SIZE_TOO_SMALL));
    assert!(peer.end.detached(small).is_none());
    assert_taken(&mut peer);
}

#[test]
fn t_2_7_1_5_a_link_whose_answer_is_too_large_is_refused() {
    let (mut peer, _) = narrow_session();
    peer.end.accept.links = None;
    for role in [Role::Sender, Role::Receiver] {
        peer.send(0, attach("l", 0, role));
        let link = *peer.end.offered_links().last().unwrap();
        let reply =
            AttachReply { properties: fields(600), ..AttachReply::echo(&peer.end.remote_attach(link).unwrap()) };
        assert!(is_too_large(peer.end.accept_link(link, reply)));
        peer.end.look();
        let frames = peer.read();
        let [(_, Performative::Attach(answer), _), (_, Performative::Detach(detach), _)] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert!(answer.source.is_none() && answer.target.is_none() && answer.properties.is_none());
        assert_eq!(detach.error.as_ref().unwrap().condition, ErrorCondition::FRAME_SIZE_TOO_SMALL);
        assert_eq!(peer.end.detached(link).unwrap().by, Cause::Local);
        peer.send(0, amqp1_codec::performative::Detach { handle: 0, closed: true, error: None });
    }
    assert_taken(&mut peer);
}

/// Its name alone is more than the peer takes: there is nothing to say on the link.
#[test]
fn t_2_7_1_5_a_link_that_can_be_neither_answered_nor_refused_ends_its_session_alone() {
    let (mut peer, session) = narrow_session();
    let named = amqp1_codec::performative::Attach { name: "n".repeat(600).into(), ..attach("", 0, Role::Sender) };
    peer.send(0, named);
    assert_eq!(peer.refusal(), Some(("end", ErrorCondition::FRAME_SIZE_TOO_SMALL)));
    assert!(peer.end.ended_session(session).is_some());
    assert_taken(&mut peer);
}

#[test]
fn t_2_7_1_5_flow_properties_that_are_too_large_are_an_error_of_their_call() {
    let (mut peer, _) = narrow_session();
    peer.send(0, attach("l", 0, Role::Sender));
    let link = peer.end.offered_links()[0];
    peer.read();
    peer.end.set_flow_properties(link, fields(300)).unwrap();
    assert_eq!(peer.names(), ["flow"]);
    assert!(is_too_large(peer.end.set_flow_properties(link, fields(600))));
    assert!(peer.names().is_empty());
    // What was said before is still said.
    peer.end.set_credit(link, Credit::Manual(u32::MAX)).unwrap();
    let frames = peer.read();
    let [(_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(flow.properties, Some(fields(300)));
    assert_taken(&mut peer);
}

/// A server that has received a delivery.
fn with_delivery() -> (Peer, LinkId, amqp1_engine::DeliveryKey) {
    let (mut peer, _) = narrow_session();
    peer.send(0, attach("l", 0, Role::Sender));
    let link = peer.end.offered_links()[0];
    peer.send_payload(0, transfer(0, 0), HELLO);
    let key = peer.end.recv(link).unwrap().key;
    peer.read();
    (peer, link, key)
}

fn told(peer: &mut Peer) -> Disposition {
    let frames = peer.read();
    let [(_, Performative::Disposition(disposition), _)] = &frames[..] else { panic!("{frames:?}") };
    disposition.clone()
}

#[test]
fn t_2_7_1_5_a_state_that_is_too_large_is_an_error_of_its_call_and_decides_nothing() {
    let transactional = |outcome| {
        let state = TransactionalState { txn_id: vec![1; 8].into(), outcome: Some(Box::new(outcome)) };
        DeliveryState::Transactional(Box::new(state))
    };
    for state in [annotated(600), transactional(annotated(600)), DeliveryState::rejected(verbose(600, 10))] {
        let (mut peer, link, key) = with_delivery();
        assert!(is_too_large(peer.end.dispose(link, key, state)));
        assert!(peer.names().is_empty());
        peer.end.dispose(link, key, annotated(300)).unwrap();
        assert_eq!(told(&mut peer).state, Some(annotated(300)));
        assert_taken(&mut peer);
    }
}

/// What explains a rejection is cut, within a transaction too; the outcome is not lost.
#[test]
fn t_2_7_1_5_the_explanation_of_a_rejection_is_cut_to_the_peers_frames() {
    for (info, length) in [(0, 300), (0, 400), (0, 600), (0, 5000), (600, 100), (600, 700)] {
        let error = AmqpError { info: (info > 0).then(|| fields(info)), ..verbose(20, length) };
        let rejected = DeliveryState::rejected(error);
        let within = TransactionalState { txn_id: vec![1; 8].into(), outcome: Some(Box::new(rejected.clone())) };
        for state in [rejected, DeliveryState::Transactional(Box::new(within))] {
            let (mut peer, link, key) = with_delivery();
            peer.end.dispose(link, key, state).unwrap();
            let told = told(&mut peer).state.unwrap();
            let outcome = match told {
                DeliveryState::Transactional(state) => *state.outcome.unwrap(),
                state => state,
            };
            let DeliveryState::Rejected(Some(error)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(error.condition.as_str().len(), 20);
            let description = error.description.unwrap();
            assert!(description.len() > length.min(400) - 20, "{length}: {}", description.len());
            assert_eq!(description.ends_with("..."), length > 450, "{length}: {}", description.len());
            assert!(error.info.is_none());
            assert_taken(&mut peer);
        }
    }
}

#[test]
fn t_2_7_1_5_a_state_of_a_sender_that_is_too_large_is_an_error_of_its_call() {
    let (mut peer, _) = narrow_session();
    peer.send(0, attach("l", 0, Role::Receiver));
    peer.send(0, credit(0, 1));
    let link = peer.end.offered_links()[0];
    peer.end.send(link, message(1, 1), unsettled(7)).unwrap();
    peer.read();
    assert!(is_too_large(peer.end.settle_sent(link, 7, Some(annotated(600)))));
    assert!(peer.names().is_empty() && peer.end.settlements().is_empty());
    peer.end.settle_sent(link, 7, Some(DeliveryState::Released)).unwrap();
    assert_eq!(peer.names(), ["disposition"]);
    assert_eq!(peer.end.settlements(), [(7, Settlement::Outcome(Some(DeliveryState::Released)))]);
    assert_taken(&mut peer);
}

#[test]
fn t_2_7_1_5_errors_of_any_length_leave_in_frames_that_the_peer_takes() {
    for (condition, description) in [(20, 600), (20, 470), (600, 600), (400, 600), (600, 0)] {
        let why = verbose(condition, description);
        let (mut peer, session) = narrow_session();
        peer.send(0, attach("l", 0, Role::Sender));
        let link = peer.end.offered_links()[0];
        peer.read();
        peer.end.detach(link, true, Some(why.clone())).unwrap();
        peer.end.end(session, Some(why.clone())).unwrap();
        peer.end.engine.close(peer.now, Some(why.clone()));
        let frames = peer.read();
        assert_eq!(frames.iter().map(|(_, body, _)| body.name()).collect::<Vec<_>>(), ["detach", "end", "close"]);
        assert!(items(&peer.end.written).iter().all(|item| !matches!(item, Item::Frame { size, .. } if *size > 512)));
        // The application's own end has all of it.
        peer.end.look();
        assert_eq!(peer.end.detached(link).unwrap().error, Some(why));
        assert!(peer.end.count(|event| matches!(event, Event::SessionEnded(..))) == 1);
    }
}
