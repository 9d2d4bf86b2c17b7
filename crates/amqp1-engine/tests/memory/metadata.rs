//! What peers say beside messages: kept as octets, within a limit for the connection.

use crate::bed::{Bed, attach, frame, properties, rejected};
use allocation_counter::measure;
use amqp1_codec::{
    SequenceNo,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    messaging::DeliveryState,
    performative::{Attach, Begin, Detach, Disposition, Flow, Open, Performative, Transfer},
    transaction::TransactionalState,
};
use amqp1_engine::{Connection, ConnectionConfig, Credit, Event, Instant, ServerSasl, TransactionRole};
use bytes::{Bytes, BytesMut};

const LIMIT: usize = 1024 * 1024;
const UNAUTHENTICATED: usize = 64 * 1024;
/// What a connection may hold of its peer's metadata in memory: this many times the limit, and what its links, sessions and
/// lists take, whatever the peer says in them.
const MULTIPLE: i64 = 2;
const OWN: i64 = 512 * 1024;

/// An attach of about so many octets.
fn large(name: &str, handle: u32, octets: usize) -> Attach {
    Attach { properties: Some(properties(octets)), ..attach(name, handle, Role::Sender) }
}

/// The errors in detach, end and close frames, with the frames' names.
fn refusals(written: &[Performative]) -> Vec<(&'static str, ErrorCondition)> {
    let error = |frame: &Performative| match frame {
        Performative::Detach(body) => body.error.clone(),
        Performative::End(body) => body.error.clone(),
        Performative::Close(body) => body.error.clone(),
        _ => None,
    };
    written.iter().filter_map(|frame| Some((frame.name(), error(frame)?.condition))).collect()
}

/// What is allocated, at the end and at most, while a peer does something.
fn held(bed: &mut Bed, attack: impl FnOnce(&mut Bed)) -> (i64, u64) {
    let info = measure(|| attack(bed));
    (info.bytes_current, info.bytes_max)
}

#[test]
fn attaches_that_are_refused_are_forgotten() {
    for authenticated in [false, true] {
        let mut bed = if authenticated { Bed::server(ConnectionConfig::new("server")) } else { Bed::unauthenticated() };
        let (limit, sent) = if authenticated { (LIMIT, 12 << 20) } else { (UNAUTHENTICATED, 4 << 20) };
        let attaches: Vec<_> = (0..50).map(|handle| frame(&large(&format!("link-{handle}"), handle, 60_000))).collect();
        let mut refused = 0;
        let (current, _) = held(&mut bed, |bed| {
            while bed.sent < sent {
                for attach in &attaches {
                    bed.take(&mut attach.clone());
                    for id in std::mem::take(&mut bed.offered) {
                        bed.engine
                            .link(id)
                            .expect("a live link")
                            .reject(ErrorCondition::NOT_ALLOWED.into())
                            .expect("a link that is offered");
                    }
                }
                refused += refusals(&bed.written()).iter().filter(|(name, _)| *name == "detach").count();
                for handle in 0..50 {
                    bed.send(&Detach { handle, closed: true, error: None });
                }
            }
        });
        assert!(refused >= sent / 70_000, "{refused} links were refused");
        assert!(current <= limit as i64 * MULTIPLE + OWN, "{current} octets are held");
        assert!(bed.engine.metadata() < 1000, "{}", bed.engine.metadata());
    }
}

/// The peer does not detach what was refused, and an acceptor does not answer what was offered.
#[test]
fn attaches_that_wait_count_and_the_rest_is_refused_alone() {
    for authenticated in [false, true] {
        let mut bed = if authenticated { Bed::server(ConnectionConfig::new("server")) } else { Bed::unauthenticated() };
        let limit = if authenticated { LIMIT } else { UNAUTHENTICATED };
        let attaches: Vec<_> =
            (0..100).map(|handle| frame(&large(&format!("link-{handle}"), handle, 60_000))).collect();
        let mut refused = Vec::new();
        let (current, most) = held(&mut bed, |bed| {
            for attach in &attaches {
                bed.take(&mut attach.clone());
                refused.extend(refusals(&bed.written()));
            }
        });
        assert!(bed.sent > 6_000_000, "{} octets were sent", bed.sent);
        let end = if authenticated { None } else { refused.pop() };
        let all = refused.iter().all(|refusal| *refusal == ("detach", ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
        assert!(all && refused.len() == if authenticated { 83 } else { 18 }, "{refused:?}");
        // What is refused is there until it is detached. When there is no room for that either, it is taken away.
        assert_eq!(end, (!authenticated).then_some(("end", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)));
        assert!(bed.engine.metadata() <= limit);
        assert!(current <= limit as i64 * MULTIPLE + OWN, "{current} octets are held");
        // One frame is decoded at a time.
        assert!(most <= limit as u64 * 2 + OWN as u64 + 64 * 64 * 1024, "{most} octets at most");
    }
}

#[test]
fn what_is_detached_makes_room_again() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    let attaches: Vec<_> = (0..15).map(|handle| frame(&large(&format!("link-{handle}"), handle, 60_000))).collect();
    for round in 0..10 {
        for attach in &attaches {
            bed.take(&mut attach.clone());
        }
        assert_eq!(bed.accept(|_| {}).len(), 15, "round {round}");
        assert_eq!(refusals(&bed.written()), []);
        assert!(bed.engine.metadata() > 850_000);
        for handle in 0..15 {
            bed.send(&Detach { handle, closed: true, error: None });
        }
        bed.written();
        assert!(bed.engine.metadata() < 1000, "{}", bed.engine.metadata());
    }
}

#[test]
fn a_peer_that_is_not_authenticated_holds_64_kib_until_it_is() {
    let mut bed = Bed::unauthenticated();
    bed.send(&large("a", 0, 40_000));
    bed.send(&large("b", 1, 40_000));
    assert_eq!(refusals(&bed.written()), [("detach", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)]);
    bed.send(&Detach { handle: 1, closed: true, error: None });
    bed.engine.set_authenticated();
    bed.send(&large("b", 1, 40_000));
    assert_eq!((bed.offered.len(), refusals(&bed.written()).len()), (2, 0));
}

/// Names alone: small attaches by the thousand, and sessions.
#[test]
fn links_and_sessions_of_a_peer_that_is_not_authenticated_are_few() {
    let mut bed = Bed::unauthenticated();
    let mut refused = Vec::new();
    let (current, _) = held(&mut bed, |bed| {
        for handle in 0..5000 {
            bed.send(&attach(&format!("link-{handle}"), handle, Role::Sender));
            for id in std::mem::take(&mut bed.offered) {
                bed.engine
                    .link(id)
                    .expect("a live link")
                    .reject(ErrorCondition::NOT_ALLOWED.into())
                    .expect("a link that is offered");
            }
            refused = refusals(&bed.written());
            if refused.iter().any(|(name, _)| *name == "end") {
                break;
            }
        }
    });
    assert_eq!(refused, [("end", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)]);
    assert!(current < 512 * 1024, "{current} octets are held");
    let mut bed = Bed::unauthenticated();
    let begin = Begin { incoming_window: 10, outgoing_window: 10, ..Begin::default() };
    let mut closed = Vec::new();
    let (current, _) = held(&mut bed, |bed| {
        for channel in 1..1000 {
            let mut input = BytesMut::new();
            amqp1_codec::frame::write_frame(channel, Some(&begin), amqp1_codec::EncodeStyle::Compact, &mut input);
            bed.take(&mut input);
            closed.extend(refusals(&bed.written()));
        }
    });
    assert_eq!(closed, [("close", ErrorCondition::RESOURCE_LIMIT_EXCEEDED)]);
    assert!(current < 512 * 1024, "{current} octets are held");
}

#[test]
fn an_open_is_kept_as_octets_and_one_that_is_too_large_is_refused() {
    let open =
        |octets| frame(&Open { container_id: "peer".into(), properties: Some(properties(octets)), ..Open::default() });
    for (octets, opened) in [(50_000, true), (60_000, false)] {
        let mut config = ConnectionConfig { max_metadata_unauthenticated: 55_000, ..ConnectionConfig::new("server") };
        config.tolerances.long_open = true;
        let mut server = Connection::server(config, ServerSasl::None, Instant::default());
        let mut input = BytesMut::from(&b"AMQP\x00\x01\x00\x00"[..]);
        input.extend_from_slice(&open(octets));
        let info = measure(|| server.handle_input(Instant::default(), &mut input));
        assert!(info.bytes_current < 140_000, "{}", info.bytes_current);
        assert_eq!(matches!(server.poll_event(), Some(Event::Opened)), opened, "{octets} octets");
        assert_eq!(server.remote_open().is_some_and(|open| open.properties.is_some()), opened);
    }
}

#[test]
fn properties_of_flows_are_kept_as_octets_and_count() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    for handle in 0..20 {
        bed.send(&attach(&format!("link-{handle}"), handle, Role::Receiver));
    }
    bed.accept(|_| {});
    bed.written();
    let flow = |handle, properties: Fields| Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: 100,
        outgoing_window: 100,
        handle: Some(handle),
        properties: Some(properties),
        ..Flow::default()
    };
    let (current, _) = held(&mut bed, |bed| {
        for octets in [59_000, 59_300, 59_600] {
            for handle in 0..20 {
                bed.send(&flow(handle, properties(octets)));
            }
        }
    });
    assert!(bed.sent > 3_000_000);
    assert!(current <= LIMIT as i64 * MULTIPLE + OWN, "{current} octets are held");
    let refused = refusals(&bed.written());
    assert_eq!(refused, vec![("detach", ErrorCondition::RESOURCE_LIMIT_EXCEEDED); 3]);
}

/// Deliveries that nobody takes, each with a state of a few hundred octets.
#[test]
fn states_of_deliveries_are_kept_as_octets_and_count_as_part_of_the_message() {
    let mut bed = Bed::server(ConnectionConfig { max_frame_size: 100_000, ..ConnectionConfig::new("server") });
    bed.engine.set_transaction_role(TransactionRole::Resource);
    bed.send(&attach("l", 0, Role::Sender));
    let ids = bed.accept(|reply| (reply.credit, reply.max_message_size) = (Credit::Window(5000), Some(10_000)));
    bed.written();
    let state = |octets| {
        DeliveryState::Transactional(Box::new(TransactionalState {
            txn_id: Bytes::from_static(b"t"),
            outcome: Some(Box::new(rejected(octets))),
        }))
    };
    let transfer = |id: u32, state| Transfer {
        handle: 0,
        delivery_id: Some(SequenceNo(id)),
        delivery_tag: Some(id.into()),
        message_format: Some(0),
        state: Some(state),
        ..Transfer::default()
    };
    let send = |bed: &mut Bed, id, state| {
        let mut out = BytesMut::new();
        let writer = amqp1_codec::frame::FrameWriter::begin(0, &mut out);
        amqp1_codec::Encode::encode(&transfer(id, state), amqp1_codec::EncodeStyle::Compact, &mut out);
        out.extend_from_slice(b"\x00\x53\x75\xa0\x05hello");
        writer.finish(0, &mut out);
        bed.take(&mut out);
    };
    let (current, _) = held(&mut bed, |bed| (0..1000).for_each(|id| send(bed, id, state(900))));
    assert_eq!(bed.engine.receiver(ids[0]).expect("a live link").buffered(), 1000, "deliveries wait");
    assert!(bed.engine.metadata() > 900_000);
    assert!(current <= LIMIT as i64 * MULTIPLE + OWN, "{current} octets are held");
    // They are decoded when they are taken, with nothing left out.
    let taken = bed.engine.receiver(ids[0]).expect("a live link").recv().expect("a delivery");
    assert_eq!(taken.state, Some(state(900)));
    while bed.engine.receiver(ids[0]).expect("a live link").recv().is_some() {}
    assert!(bed.engine.metadata() < 1000);
    send(&mut bed, 1000, state(11_000));
    assert_eq!(refusals(&bed.written()), [("detach", ErrorCondition::MESSAGE_SIZE_EXCEEDED)]);
}

/// A peer that reads nothing: what answers its attaches, and says the same again, counts too.
#[test]
fn answers_that_are_not_read_count() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    let mut accepted = 0;
    let attach = frame(&Attach {
        source: Some(Box::new(amqp1_codec::messaging::Source {
            dynamic_node_properties: None,
            capabilities: vec![amqp1_codec::Symbol::from_static("a"); 20_000].into(),
            ..amqp1_codec::messaging::Source::at("q")
        })),
        ..attach("l", 0, Role::Sender)
    });
    let (current, _) = held(&mut bed, |bed| {
        for _ in 0..500 {
            bed.take(&mut attach.clone());
            accepted += bed.accept(|_| {}).len();
            bed.send(&Detach { handle: 0, closed: true, error: None });
        }
    });
    assert!(accepted >= 10, "{accepted}");
    assert!(bed.sent > 15_000_000, "{}", bed.sent);
    assert!(current <= LIMIT as i64 * MULTIPLE + OWN, "{current} octets are held");
}

/// Errors that wait to be polled.
#[test]
fn errors_wait_without_what_takes_too_much() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    for handle in 0..1000 {
        bed.send(&attach(&format!("link-{handle}"), handle, Role::Sender));
    }
    bed.accept(|_| {});
    bed.written();
    let mut input = BytesMut::new();
    for handle in 0..1000 {
        let error =
            AmqpError { info: Some(properties(500)), ..AmqpError::new(ErrorCondition::NOT_FOUND, "x".repeat(2000)) };
        input.extend_from_slice(&frame(&Detach { handle, closed: true, error: Some(error) }));
    }
    let octets = input.len();
    assert!(octets > 2_500_000);
    let info = bed.measured(input);
    assert!(info.bytes_max <= LIMIT as u64 * MULTIPLE as u64 + OWN as u64, "{}", info.bytes_max);
    let mut seen = 0;
    for event in bed.look() {
        let Event::LinkDetached(_, detached) = event else { continue };
        let error = detached.error.expect("an error");
        assert_eq!((error.condition, error.info), (ErrorCondition::NOT_FOUND, None));
        assert!(error.description.is_some_and(|text| text.contains("left out")));
        seen += 1;
    }
    assert_eq!(seen, 1000);
    assert!(bed.engine.metadata() < 1000, "{}", bed.engine.metadata());
}

/// A state for each delivery: the outcomes are all there when the limit is reached.
#[test]
fn states_of_many_dispositions_lose_their_info_and_no_outcome() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    bed.send(&attach("l", 0, Role::Receiver));
    bed.deliver(2_000);
    let mut input = BytesMut::new();
    for id in 0..2_000 {
        input.extend_from_slice(&frame(&Disposition {
            role: Role::Receiver,
            first: SequenceNo(id),
            last: None,
            settled: true,
            state: Some(rejected(150)),
            batchable: false,
        }));
    }
    let info = bed.measured(input);
    assert!(info.bytes_max <= LIMIT as u64 * MULTIPLE as u64 + OWN as u64, "{}", info.bytes_max);
    let (mut whole, mut without) = (0, 0);
    while let Some(settled) = bed.engine.poll_settled() {
        let amqp1_engine::Settlement::Outcome(Some(DeliveryState::Rejected(Some(error)))) = settled.settlement else {
            panic!("rejected")
        };
        assert_eq!(error.condition, ErrorCondition::NOT_FOUND);
        *(if error.info.is_some() { &mut whole } else { &mut without }) += 1;
    }
    assert_eq!(whole + without, 2_000);
    assert!(whole > 100 && without > 100, "{whole} {without}");
}
