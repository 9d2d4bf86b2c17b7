//! Attacks on memory.

use crate::{
    Case, Outcome,
    process::{Process, Target},
    raw::{Raw, attach, begin, credit, frame, properties, rejected},
    server::IN_FLIGHT,
};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Attach, Begin, Disposition, End, Open, Performative},
    transaction::TransactionalState,
};
use bytes::Bytes;
use std::time::{Duration, Instant};

pub(crate) fn all() -> Vec<Case> {
    let case = |name, target, growth, attack| Case { name, target, growth, attack };
    vec![
        case("disposition-20000x1.9KB", Target::Acceptor, 64, |process| disposition(process, 20_000, 1_900)),
        case("disposition-1000x60KB", Target::Acceptor, 48, |process| disposition(process, 1_000, 60_000)),
        case("hostile-server-2000x9KB", Target::Client, 48, hostile_server),
        case("refused-attaches-28MiB", Target::Emulator, 32, refused_attaches),
        case("attaches-28MiB", Target::Acceptor, 32, attaches),
        case("credit-2^31", Target::Acceptor, 128, endless_credit),
        case("active-links-10000", Target::Acceptor, 256, active_links),
        case("large-opens-200", Target::Emulator, 96, large_opens),
    ]
}

fn said(count: u32, settled: bool, state: DeliveryState) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: SequenceNo(0),
        last: Some(SequenceNo(count - 1)),
        settled,
        state: Some(state),
        batchable: false,
    }
}

/// Waits until what was sent is dealt with: the answer to a begin comes after it.
fn settle_down(raw: &mut Raw, channel: u16) -> Result<(), String> {
    raw.write(&frame(channel, &begin()))?;
    raw.wait_for(|frame| matches!(frame, Performative::Begin(_)))?;
    Ok(())
}

fn disposition(process: &Process, live: u32, octets: usize) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    raw.receive(&format!("live-{live}"), live)?;
    let before = raw.sent;
    raw.send(&said(
        live,
        false,
        DeliveryState::Transactional(Box::new(TransactionalState {
            txn_id: Bytes::from_static(b"t"),
            outcome: Some(Box::new(rejected(octets))),
        })),
    ))?;
    raw.send(&said(live, true, rejected(octets)))?;
    let sent = raw.sent - before;
    settle_down(&mut raw, 1)?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(format!("{live} deliveries live, {sent} octets sent"))
}

fn hostile_server(process: &Process) -> Outcome {
    let listener = process.listener.as_ref().ok_or("no listener")?;
    let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
    let mut raw = Raw::on(stream)?;
    raw.write(&ProtocolHeader::AMQP.encode())?;
    raw.send(&Open { container_id: "hostile".into(), ..Open::default() })?;
    raw.wait_for(|frame| matches!(frame, Performative::Begin(_)))?;
    raw.send(&Begin { remote_channel: Some(0), ..begin() })?;
    let Performative::Attach(asked) = raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))? else {
        return Err("no attach".to_owned());
    };
    raw.send(&Attach { source: asked.source.clone(), ..attach(asked.name.as_str(), 0, Role::Receiver, "q") })?;
    let in_flight = u32::try_from(IN_FLIGHT).expect("small");
    raw.send(&credit(0, in_flight))?;
    for _ in 0..IN_FLIGHT {
        raw.wait_for(|frame| matches!(frame, Performative::Transfer(_)))?;
    }
    let before = raw.sent;
    raw.send(&said(in_flight, true, rejected(9_000)))?;
    let sent = raw.sent - before;
    // It attaches once more when it has all outcomes.
    raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
    Ok(format!("{IN_FLIGHT} deliveries in flight, {sent} octets sent, all outcomes arrived"))
}

const MIB_28: usize = 28 * 1024 * 1024;

fn refused_attaches(process: &Process) -> Outcome {
    // The client never detaches what was refused. When its session or its connection is ended for that, it begins another.
    let attach = |handle: u32| {
        let attach = attach(&format!("l{handle}"), handle, Role::Sender, "/devices/a/messages/events");
        frame(0, &Attach { properties: Some(properties(60_000)), ..attach })
    };
    let attaches: Vec<_> = (0..600).map(attach).collect();
    let (mut connections, mut sessions, mut refused, mut sent) = (Vec::new(), 0, 0, 0);
    while sent < MIB_28 {
        let mut raw = Raw::open(process.address())?;
        'connection: while sent < MIB_28 {
            sessions += 1;
            for attach in &attaches {
                raw.write(attach)?;
                sent += attach.len();
                match raw.read_answer()? {
                    Some(Performative::Detach(_)) => refused += 1,
                    Some(Performative::End(_)) => break,
                    _ => break 'connection,
                }
                if sent >= MIB_28 {
                    break 'connection;
                }
            }
            raw.send(&End::default())?;
            raw.send(&begin())?;
            match raw.read_answer()? {
                Some(Performative::Begin(_)) => {}
                _ => break,
            }
        }
        connections.push(raw);
    }
    let many = connections.len();
    Ok(format!("{refused} links refused in {sessions} sessions of {many} connections, {} MiB sent", sent >> 20))
}

fn attaches(process: &Process) -> Outcome {
    let attaches: Vec<_> = (0..480)
        .map(|handle| {
            let properties = Some(properties(60_000));
            frame(0, &Attach { properties, ..attach(&format!("l{handle}"), handle, Role::Sender, "q") })
        })
        .collect();
    let mut raw = Raw::open(process.address())?;
    let mut answered = 0;
    for attach in &attaches {
        raw.write(attach)?;
        raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
        answered += 1;
    }
    Ok(format!("{answered} attaches answered, {} MiB sent", raw.sent >> 20))
}

fn endless_credit(process: &Process) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    raw.send(&attach("l", 0, Role::Receiver, "endless"))?;
    raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
    raw.send(&credit(0, 1 << 31))?;
    let timeout = Some(Duration::from_secs(1));
    raw.stream.set_read_timeout(timeout).map_err(|error| error.to_string())?;
    let (began, mut received) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_secs(20) {
        match raw.read() {
            Ok(Some(Performative::Transfer(_))) => received += 1,
            Ok(Some(_)) => {}
            // Nothing comes any more.
            Ok(None) | Err(_) => break,
        }
    }
    if received < 10_000 {
        return Err(format!("{received} deliveries came"));
    }
    Ok(format!("{received} deliveries received in {:.1} s and none settled", began.elapsed().as_secs_f64()))
}

/// Each link may send; nothing is read.
fn active_links(process: &Process) -> Outcome {
    const LINKS: u32 = 10_000;
    let mut raw = Raw::open(process.address())?;
    let mut attached = 0;
    for handle in 0..LINKS {
        raw.send(&attach(&format!("l{handle}"), handle, Role::Receiver, "large"))?;
        if handle % 100 == 99 {
            for _ in 0..100 {
                raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
                attached += 1;
            }
        }
    }
    for handle in 0..LINKS {
        raw.send(&credit(handle, 1))?;
    }
    std::thread::sleep(Duration::from_secs(3));
    // They are alive, and each has its turn when something is read.
    let mut transfers = 0;
    while transfers < 100 {
        raw.wait_for(|frame| matches!(frame, Performative::Transfer(_)))?;
        transfers += 1;
    }
    Ok(format!("{attached} links attached, {} MiB to send", LINKS as usize * 80 / 1024))
}

/// Connections whose opens are as large as they may be, and go no further.
fn large_opens(process: &Process) -> Outcome {
    let open = Open { container_id: "x".into(), properties: Some(properties(60_000)), ..Open::default() };
    let mut open_connections = Vec::new();
    let mut sent = 0;
    for _ in 0..200 {
        let mut raw = Raw::connect(process.address())?;
        raw.write(&ProtocolHeader::AMQP.encode())?;
        raw.send(&open)?;
        raw.wait_for(|frame| matches!(frame, Performative::Open(_)))?;
        sent += raw.sent;
        open_connections.push(raw);
    }
    Ok(format!("{} connections open, {} MiB sent", open_connections.len(), sent >> 20))
}
