//! Attacks on time, and on what is held for each connection: those that were never dangerous, so that they stay so.

use crate::{
    Case, Outcome,
    process::{Process, Target},
    raw::{Raw, attach, credit, frame},
};
use amqp1_codec::{
    SequenceNo, Symbol, Value,
    definitions::{Fields, Role},
    frame::ProtocolHeader,
    performative::{Detach, Flow, Open, Performative},
};
use bytes::BytesMut;
use std::time::{Duration, Instant};

pub(crate) fn all() -> Vec<Case> {
    let case = |name, target, growth, attack| Case { name, target, growth, attack };
    vec![
        case("half-handshakes", Target::Emulator, 160, half_handshakes),
        case("idle-connections", Target::Emulator, 640, idle_connections),
        case("flow-echoes", Target::Acceptor, 32, flow_echoes),
        case("drain-storm", Target::Acceptor, 32, drain_storm),
        case("one-octet-frames", Target::Acceptor, 32, one_octet),
        case("handle-flood", Target::Acceptor, 48, handle_flood),
        case("nested-values", Target::Acceptor, 32, nested),
        case("slow-reader", Target::Acceptor, 64, slow_reader),
    ]
}

/// How long a flood goes on.
const FLOOD: Duration = Duration::from_millis(1500);

/// How many connections are tried: as many as this process may have, at most this many.
fn connections(most: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let soft = line.split_whitespace().nth(3).and_then(|number| number.parse::<usize>().ok()).unwrap_or(1024);
    most.min(soft.saturating_sub(100))
}

fn half_handshakes(process: &Process) -> Outcome {
    let count = connections(2_000);
    let mut halves = Vec::with_capacity(count);
    let open = frame(0, &Open { container_id: "x".into(), ..Open::default() });
    for number in 0..count {
        let mut raw = Raw::connect(process.address())?;
        match number % 3 {
            0 => raw.write(b"AMQ")?,
            1 => raw.write(&ProtocolHeader::AMQP.encode())?,
            _ => {
                raw.write(&ProtocolHeader::AMQP.encode())?;
                raw.write(&open[..open.len() - 1])?;
            }
        }
        halves.push(raw);
    }
    std::thread::sleep(Duration::from_millis(500));
    Ok(format!("{count} connections went half-way"))
}

fn idle_connections(process: &Process) -> Outcome {
    let count = connections(10_000);
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        let mut raw = Raw::connect(process.address())?;
        raw.write(&ProtocolHeader::AMQP.encode())?;
        raw.send(&Open { container_id: "x".into(), ..Open::default() })?;
        idle.push(raw);
    }
    for raw in &mut idle {
        raw.wait_for(|frame| matches!(frame, Performative::Open(_)))?;
    }
    Ok(format!("{count} connections are open"))
}

/// Writes the same again and again, while another thread reads what comes.
fn flood(raw: &mut Raw, octets: &[u8]) -> Result<usize, String> {
    let mut reader = raw.stream.try_clone().map_err(|error| error.to_string())?;
    let reading = std::thread::spawn(move || {
        let mut octets = [0; 64 * 1024];
        let mut read = 0;
        while let Ok(length @ 1..) = std::io::Read::read(&mut reader, &mut octets) {
            read += length;
        }
        read
    });
    let began = Instant::now();
    while began.elapsed() < FLOOD {
        raw.write(octets)?;
    }
    drop(raw.stream.shutdown(std::net::Shutdown::Both));
    reading.join().map_err(|_| "the reader panicked".to_owned())
}

fn flow_echoes(process: &Process) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    raw.send(&attach("l", 0, Role::Sender, "q"))?;
    raw.wait_for(|frame| matches!(frame, Performative::Flow(_)))?;
    let echo = frame(0, &Flow { echo: true, link_credit: None, ..credit(0, 0) }).repeat(1000);
    let read = flood(&mut raw, &echo)?;
    Ok(format!("{} MiB of flows sent, {} KiB of answers", raw.sent >> 20, read >> 10))
}

fn drain_storm(process: &Process) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    raw.send(&attach("l", 0, Role::Receiver, "live-0"))?;
    raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
    let drains: Vec<u8> = (0..1000)
        .flat_map(|number| {
            let drain = number % 2 == 0;
            frame(0, &Flow { drain, delivery_count: Some(SequenceNo(number)), ..credit(0, 1000) }).to_vec()
        })
        .collect();
    let read = flood(&mut raw, &drains)?;
    Ok(format!("{} MiB of flows sent, {} KiB of answers", raw.sent >> 20, read >> 10))
}

/// Empty frames, octet by octet.
fn one_octet(process: &Process) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    raw.stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let empty = [0, 0, 0, 8, 2, 0, 0, 0];
    let began = Instant::now();
    while began.elapsed() < FLOOD {
        for octet in empty {
            raw.write(&[octet])?;
        }
    }
    Ok(format!("{} octets sent, one at a time", raw.sent))
}

fn handle_flood(process: &Process) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    let mut links = BytesMut::new();
    for handle in 0..1000 {
        links.extend_from_slice(&frame(0, &attach("l", handle, Role::Sender, "q")));
        links.extend_from_slice(&frame(0, &Detach { handle, closed: true, error: None }));
    }
    let read = flood(&mut raw, &links)?;
    Ok(format!("{} MiB of attaches sent, {} KiB of answers", raw.sent >> 20, read >> 10))
}

/// Values that nest as deep as is allowed, in the properties of flows.
fn nested(process: &Process) -> Outcome {
    let mut value = Value::Null;
    for _ in 0..14 {
        value = Value::List(vec![Value::described(Value::Null, value)]);
    }
    let list = Value::List(vec![value; 500]);
    let properties: Fields = [(Symbol::from_static("x"), list)].into_iter().collect();
    let mut raw = Raw::open(process.address())?;
    raw.send(&attach("l", 0, Role::Sender, "q"))?;
    raw.wait_for(|frame| matches!(frame, Performative::Flow(_)))?;
    let flow = frame(0, &Flow { properties: Some(properties), link_credit: None, ..credit(0, 0) });
    if flow.len() > 60_000 {
        return Err(format!("a frame of {} octets", flow.len()));
    }
    flood(&mut raw, &flow.repeat(4))?;
    Ok(format!("{} MiB sent in frames of {} octets", raw.sent >> 20, flow.len()))
}

/// Asks for much, and reads an octet now and then.
fn slow_reader(process: &Process) -> Outcome {
    let mut raw = Raw::open(process.address())?;
    raw.send(&attach("l", 0, Role::Receiver, "large"))?;
    raw.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
    raw.send(&credit(0, 100_000))?;
    let began = Instant::now();
    let mut read = 0;
    while began.elapsed() < FLOOD {
        read += std::io::Read::read(&mut raw.stream, &mut [0]).map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(format!("{read} octets read of 100,000 messages of 80 KB"))
}
