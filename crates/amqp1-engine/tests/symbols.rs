//! Symbols that nobody has seen before, by the thousand: none is kept longer than what holds it.
#![allow(missing_docs)]

use amqp1_auth::sasl::Anonymous;
use amqp1_codec::{
    EncodeStyle, SequenceNo, Symbol, Value,
    definitions::{Fields, Role},
    frame::{ProtocolHeader, write_frame, write_sasl_frame},
    messaging::{FilterSet, Source, Target},
    performative::{Attach, Begin, Detach, End, Flow, Open},
    sasl::{SaslBody, SaslInit, SaslMechanisms},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Event, Instant, ServerSasl, SessionConfig, TransmitQueue,
};
use bytes::BytesMut;

/// A symbol that no other number has, about as long as such names are.
fn symbol(number: usize) -> Symbol {
    Symbol::new(format!("example.org:never-seen-before:{number:020}")).expect("ASCII")
}

fn fields(number: usize) -> Fields {
    (0..20).map(|part| (symbol(number * 20 + part), Value::Symbol(symbol(part * 7 + number)))).collect()
}

fn open(number: usize) -> Open {
    Open {
        container_id: "client".into(),
        offered_capabilities: vec![symbol(number)].into(),
        desired_capabilities: vec![symbol(number + 1)].into(),
        properties: Some(fields(number)),
        ..Open::default()
    }
}

/// Lets the server read, answers what it asks, and forgets what it says.
fn feed(server: &mut Connection, input: &mut BytesMut) {
    let now = Instant::default();
    server.handle_input(now, input);
    while let Some(event) = server.poll_event() {
        match event {
            Event::SessionOffered(id) => {
                server.session(id).expect("a live session").accept(SessionConfig::default()).expect("offered")
            }
            Event::LinkOffered(id) => {
                let reply =
                    AttachReply::echo(&server.link(id).expect("a live link").remote_attach().expect("its attach"));
                server.link(id).expect("a live link").accept(reply).expect("offered");
            }
            Event::SaslInit { .. } => server.sasl_outcome(amqp1_codec::sasl::SaslCode::Auth, None),
            _ => {}
        }
    }
    server.transmit(now, usize::MAX, &mut TransmitQueue::default());
}

/// Who looks at a stranger.
#[derive(Clone, Copy)]
enum Engine {
    Client,
    ClientWithSasl,
    Server,
    ServerWithSasl,
}

const ENGINES: [Engine; 4] = [Engine::Client, Engine::ClientWithSasl, Engine::Server, Engine::ServerWithSasl];

/// A connection that ends before anybody knows who the peer is.
fn stranger(number: usize, engine: Engine) {
    let mechanisms = vec![Symbol::from_static("PLAIN")];
    let server = |layer| Connection::server(ConnectionConfig::new("server"), layer, Instant::default());
    let mut server = match engine {
        Engine::Client => Connection::client(ConnectionConfig::new("client"), None, Instant::default()),
        Engine::ClientWithSasl => {
            let mechanism = Box::new(Anonymous::default());
            Connection::client(ConnectionConfig::new("client"), Some(mechanism), Instant::default())
        }
        Engine::Server => server(ServerSasl::None),
        Engine::ServerWithSasl => server(ServerSasl::Required(mechanisms)),
    };
    let mut input = BytesMut::new();
    match engine {
        Engine::ServerWithSasl => {
            input.extend_from_slice(&ProtocolHeader::SASL.encode());
            let init = SaslInit { mechanism: symbol(number), initial_response: None, hostname: None };
            write_sasl_frame(&SaslBody::Init(init), EncodeStyle::Compact, &mut input);
        }
        // It lacks the client's, or has it among others.
        Engine::ClientWithSasl => {
            input.extend_from_slice(&ProtocolHeader::SASL.encode());
            let mut offered: Vec<_> = (0..8).map(|part| symbol(number * 20 + part)).collect();
            if number % 8 == 1 {
                offered.push(Symbol::from_static("ANONYMOUS"));
            }
            let list = SaslMechanisms { sasl_server_mechanisms: offered.into() };
            write_sasl_frame(&SaslBody::Mechanisms(list), EncodeStyle::Compact, &mut input);
        }
        Engine::Client | Engine::Server => {
            input.extend_from_slice(&ProtocolHeader::AMQP.encode());
            write_frame(0, Some(&open(number)), EncodeStyle::Compact, &mut input);
        }
    }
    feed(&mut server, &mut input);
}

#[test]
fn t_rob_1_symbols_of_strangers_are_not_kept() {
    // What is made once is made.
    ENGINES.into_iter().for_each(|engine| stranger(0, engine));
    let memory = allocation_counter::measure(|| {
        for (number, engine) in (0..6_000).zip(ENGINES.into_iter().cycle()) {
            stranger(number, engine);
        }
    });
    assert!(memory.bytes_total > 5_000_000, "they were read: {memory:?}");
    assert_eq!((memory.count_current, memory.bytes_current), (0, 0));
    assert!(memory.bytes_max < 200_000, "one at a time: {memory:?}");
}

#[test]
fn t_rob_1_symbols_of_sessions_and_links_go_with_them() {
    let mut server = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, Instant::default());
    let mut input = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
    write_frame(0, Some(&open(0)), EncodeStyle::Compact, &mut input);
    let mut round = |number: usize| {
        let begin =
            Begin { incoming_window: 10, outgoing_window: 10, properties: Some(fields(number)), ..Begin::default() };
        write_frame(0, Some(&begin), EncodeStyle::Compact, &mut input);
        feed(&mut server, &mut input);
        let mut filter = FilterSet::new();
        filter.insert(symbol(number), Value::Symbol(symbol(number + 1)), Value::Symbol(symbol(number + 2)));
        let source = Source { capabilities: vec![symbol(number)].into(), filter: Some(filter), ..Source::at("q") };
        let attach = Attach {
            name: "l".into(),
            handle: 0,
            role: Role::Receiver,
            source: Some(Box::new(source)),
            target: Some(Target::default().into()),
            properties: Some(fields(number + 5)),
            ..Attach::default()
        };
        write_frame(0, Some(&attach), EncodeStyle::Compact, &mut input);
        feed(&mut server, &mut input);
        let flow = Flow {
            next_incoming_id: Some(SequenceNo(0)),
            incoming_window: 10,
            outgoing_window: 10,
            handle: Some(0),
            delivery_count: Some(SequenceNo(0)),
            link_credit: Some(1),
            properties: Some(fields(number + 9)),
            ..Flow::default()
        };
        write_frame(0, Some(&flow), EncodeStyle::Compact, &mut input);
        write_frame(0, Some(&Detach { handle: 0, closed: true, error: None }), EncodeStyle::Compact, &mut input);
        write_frame(0, Some(&End::default()), EncodeStyle::Compact, &mut input);
        feed(&mut server, &mut input);
    };
    (0..50).for_each(&mut round);
    let memory = allocation_counter::measure(|| (50..3_000).for_each(&mut round));
    assert!(memory.bytes_total > 10_000_000, "they were read: {memory:?}");
    assert!(memory.bytes_current.abs() < 20_000, "buffers may have grown, no more: {memory:?}");
}
