//! Attacks that cost little as long as nothing is kept of them: what they leave, and what they take at most.

use crate::bed::{Bed, attach, frame};
use allocation_counter::measure;
use amqp1_codec::{
    EncodedMessage, Message, SequenceNo, Symbol, Value,
    definitions::{ErrorCondition, Fields, Role},
    frame::ProtocolHeader,
    performative::{Begin, Detach, Flow, Open, Performative},
};
use amqp1_engine::{
    Connection, ConnectionConfig, Credit, Event, Instant, SendError, SendOptions, ServerSasl, TransmitQueue,
};
use bytes::BytesMut;

const NOW: Instant = Instant::from_nanos(0);

fn server() -> Connection {
    Connection::server(ConnectionConfig::new("server"), ServerSasl::None, NOW)
}

fn header_and_open() -> BytesMut {
    let mut input = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
    input.extend_from_slice(&frame(&Open { container_id: "peer".into(), ..Open::default() }));
    input
}

fn flow(handle: u32, credit: u32) -> Flow {
    Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: 1000,
        outgoing_window: 1000,
        handle: Some(handle),
        delivery_count: Some(SequenceNo(0)),
        link_credit: Some(credit),
        ..Flow::default()
    }
}

/// Ten thousand connections, half of which went half-way.
#[test]
fn connections_that_do_nothing_take_a_few_kibibytes_each() {
    const EACH: i64 = 6 * 1024;
    let whole = header_and_open();
    for octets in [3, 8, whole.len() - 1, whole.len()] {
        let mut connections = Vec::with_capacity(2_500);
        let info = measure(|| {
            for _ in 0..2_500 {
                let mut connection = server();
                let mut input = BytesMut::from(&whole[..octets]);
                connection.handle_input(NOW, &mut input);
                while connection.poll_event().is_some() {}
                let mut written = TransmitQueue::default();
                connection.transmit(NOW, usize::MAX, &mut written);
                connections.push((connection, input));
            }
        });
        let opened = connections.iter().filter(|(connection, _)| connection.remote_open().is_some()).count();
        assert_eq!(opened, if octets == whole.len() { 2_500 } else { 0 });
        assert!(info.bytes_current <= 2_500 * EACH, "{} octets each", info.bytes_current / 2_500);
    }
}

#[test]
fn flows_that_ask_for_an_echo_are_answered_once_for_all_of_a_read() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    bed.send(&attach("l", 0, Role::Sender));
    bed.accept(|_| {});
    bed.written();
    let echoes = frame(&Flow { echo: true, ..flow(0, 0) }).repeat(100_000);
    let info = bed.measured(BytesMut::from(&echoes[..]));
    assert!(info.bytes_max < 64 * 1024, "{}", info.bytes_max);
    let flows = bed.written().into_iter().filter(|frame| matches!(frame, Performative::Flow(_))).count();
    assert_eq!(flows, 1);
}

#[test]
fn a_storm_of_drains_leaves_nothing() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    bed.send(&attach("l", 0, Role::Receiver));
    bed.accept(|_| {});
    bed.written();
    let drains: Vec<u8> = (0..20_000)
        .flat_map(|number| {
            let drain = number % 2 == 0;
            frame(&Flow { drain, delivery_count: Some(SequenceNo(number)), ..flow(0, 10) }).to_vec()
        })
        .collect();
    bed.sent = 0;
    let info = measure(|| {
        for read in drains.chunks(64 * 1024) {
            bed.take(&mut BytesMut::from(read));
            bed.written();
        }
    });
    assert_eq!(bed.sent, drains.len());
    // The room of queues stays.
    assert!(info.bytes_current < 256 * 1024, "{}", info.bytes_current);
    assert!(info.bytes_max < 1024 * 1024, "{}", info.bytes_max);
}

/// One octet at a time, empty frames and others.
#[test]
fn input_that_comes_in_single_octets_takes_no_memory_of_its_own() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    bed.send(&attach("l", 0, Role::Sender));
    bed.accept(|reply| reply.credit = Credit::Manual(0));
    bed.written();
    let octets: Vec<u8> =
        (0..2_000).flat_map(|_| [&[0, 0, 0, 8, 2, 0, 0, 0][..], &frame(&flow(0, 0))].concat()).collect();
    let mut input = BytesMut::with_capacity(256);
    let info = measure(|| {
        for octet in &octets {
            input.extend_from_slice(&[*octet]);
            bed.engine.handle_input(NOW, &mut input);
        }
    });
    assert!(input.is_empty() && octets.len() > 50_000);
    assert!(info.bytes_max < 16 * 1024, "{info:?}");
    assert!(info.count_total < 10_000, "{info:?}");
}

#[test]
fn handles_that_are_attached_and_detached_leave_nothing() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    let mut input = BytesMut::new();
    for handle in 0..1_000 {
        input.extend_from_slice(&frame(&attach("l", handle, Role::Sender)));
        input.extend_from_slice(&frame(&Detach { handle, closed: true, error: None }));
    }
    bed.sent = 0;
    // The slots of a thousand links, and the room of queues, stay.
    let info = measure(|| {
        for _ in 0..50 {
            bed.take(&mut input.clone());
            bed.offered.clear();
            bed.written();
        }
    });
    assert_eq!(bed.sent, 50 * input.len());
    assert!(info.bytes_current < 1024 * 1024, "{}", info.bytes_current);
    assert!(info.bytes_max < 2 * 1024 * 1024, "{}", info.bytes_max);
    assert!(bed.engine.metadata() < 1000, "{}", bed.engine.metadata());
}

/// Deeper than is allowed, and as deep as that.
#[test]
fn values_that_nest_deeply_are_refused_or_kept_as_octets() {
    for (depth, refused) in [(28, false), (40, true)] {
        let mut value = Value::Null;
        for _ in 0..depth {
            value = Value::List(vec![value]);
        }
        let properties: Fields = [(Symbol::from_static("x"), value)].into_iter().collect();
        let mut bed = Bed::server(ConnectionConfig::new("server"));
        let asked =
            frame(&amqp1_codec::performative::Attach { properties: Some(properties), ..attach("l", 0, Role::Sender) });
        let info = bed.measured(asked);
        assert!(info.bytes_max < 16 * 1024, "{}", info.bytes_max);
        bed.look();
        assert_eq!(bed.offered.is_empty(), refused);
        let closes = bed.written().iter().any(|frame| matches!(frame, Performative::Close(_)));
        assert_eq!(closes, refused);
    }
}

/// A peer that asks for messages and reads none: what is written for it stops at what the driver asks for.
#[test]
fn a_slow_reader_is_written_for_as_far_as_it_reads() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    bed.send(&attach("l", 0, Role::Receiver));
    let ids = bed.accept(|_| {});
    bed.send(&flow(0, 10_000));
    bed.written();
    let message: EncodedMessage = Message::builder().data(vec![0; 1000]).build();
    let mut queued = 0;
    let mut out = TransmitQueue::default();
    let engine = &mut bed.engine;
    let info = measure(|| {
        for token in 0..100_000 {
            match engine
                .sender(ids[0])
                .expect("a live link")
                .send(message.clone(), SendOptions { token, ..SendOptions::default() })
            {
                Ok(()) => queued += 1,
                Err(unsent) => {
                    assert!(matches!(unsent.reason(), SendError::NoCredit | SendError::QueueFull), "{unsent}");
                    break;
                }
            }
            engine.transmit(NOW, 64 * 1024, &mut out);
        }
    });
    assert!(queued > 500, "{queued}");
    assert!(bytes::Buf::remaining(&out) < 128 * 1024);
    assert!(info.bytes_max < 2 * 16 * 1024 * 1024, "{info:?}");
}

/// All the credit there is, and no settlement.
#[test]
fn a_receiver_that_never_settles_takes_bounded_memory() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    bed.send(&attach("l", 0, Role::Receiver));
    let ids = bed.accept(|_| {});
    bed.send(&Flow { incoming_window: u32::MAX, ..flow(0, 1 << 31) });
    bed.written();
    let message: EncodedMessage = Message::builder().data("x").build();
    let (mut sent, mut out) = (0_u64, TransmitQueue::default());
    let engine = &mut bed.engine;
    let info = measure(|| {
        loop {
            match engine
                .sender(ids[0])
                .expect("a live link")
                .send(message.clone(), SendOptions { token: sent, ..SendOptions::default() })
            {
                Ok(()) => sent += 1,
                Err(unsent) => break assert_eq!(unsent.reason(), SendError::TooManyUnsettled { max: 65_536 }),
            }
            engine.transmit(NOW, usize::MAX, &mut out);
            out.clear();
        }
    });
    assert_eq!(sent, 65_536);
    assert!(info.bytes_current < 65_536 * 256, "{} octets each", info.bytes_current / 65_536);
}

/// Ten thousand links that may all send.
#[test]
fn ten_thousand_active_links_queue_what_one_connection_may() {
    let config = ConnectionConfig { max_metadata: 4 << 20, ..ConnectionConfig::new("server") };
    let mut bed = Bed::server(config);
    for handle in 0..10_000 {
        bed.send(&attach(&format!("l{handle}"), handle, Role::Receiver));
        bed.send(&Flow { incoming_window: 8, ..flow(handle, 10) });
    }
    let ids = bed.accept(|_| {});
    assert_eq!(ids.len(), 10_000);
    bed.written();
    let engine = &mut bed.engine;
    let mut queued = 0;
    let info = measure(|| {
        for id in &ids {
            let message: EncodedMessage = Message::builder().data(vec![0; 80 * 1024]).build();
            queued +=
                usize::from(engine.sender(*id).expect("a live link").send(message, SendOptions::default()).is_ok());
        }
    });
    assert!((190..220).contains(&queued), "{queued} were taken");
    assert!(info.bytes_max < 18 * 1024 * 1024, "{}", info.bytes_max);
    // They are alive: what has left makes room.
    bed.engine.transmit(NOW, usize::MAX, &mut TransmitQueue::default());
    assert!(bed.look().iter().any(|event| matches!(event, Event::QueueHasRoom)));
}

#[test]
fn sessions_that_are_begun_and_ended_leave_nothing() {
    let mut bed = Bed::server(ConnectionConfig::new("server"));
    let begin = Begin { incoming_window: 10, outgoing_window: 10, ..Begin::default() };
    let mut input = BytesMut::new();
    for channel in 1..500 {
        amqp1_codec::frame::write_frame(channel, Some(&begin), amqp1_codec::EncodeStyle::Compact, &mut input);
        let end = amqp1_codec::performative::End { error: Some(ErrorCondition::NOT_FOUND.into()) };
        amqp1_codec::frame::write_frame(channel, Some(&end), amqp1_codec::EncodeStyle::Compact, &mut input);
    }
    let info = measure(|| {
        for _ in 0..20 {
            bed.engine.handle_input(NOW, &mut input.clone());
            while let Some(event) = bed.engine.poll_event() {
                assert!(matches!(event, Event::SessionOffered(_) | Event::SessionEnded(..)), "{event:?}");
            }
            bed.written();
        }
    });
    assert!(info.bytes_current < 1024 * 1024, "{}", info.bytes_current);
}
