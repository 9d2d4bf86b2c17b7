//! Peers that ask for more than they take: their questions wait, and what they may hold is bounded.
#![allow(missing_docs)]

use amqp1_codec::{
    Encode, EncodeStyle, Limits,
    definitions::{ErrorCondition, Role},
    frame::{Frame, FrameDecoder, ProtocolHeader, write_frame},
    messaging::{Source, Target},
    performative::{Attach, Begin, Detach, Open, Performative},
};
use amqp1_engine::{Connection, ConnectionConfig, Event, Instant, ServerSasl, SessionConfig, TransmitQueue};
use bytes::{Buf, BytesMut};

fn frame(body: impl Encode, out: &mut BytesMut) {
    write_frame(0, Some(&body), EncodeStyle::Compact, out);
}

fn attach(handle: u32) -> Attach {
    Attach {
        name: format!("link-{handle}").as_str().into(),
        handle,
        role: Role::Receiver,
        source: Some(Box::new(Source::at("queue"))),
        target: Some(Target::default().into()),
        ..Attach::default()
    }
}

/// A server with one session, whose answers so far were read.
fn server(config: ConnectionConfig) -> Connection {
    let now = Instant::default();
    let mut server = Connection::server(config, ServerSasl::None, now);
    let mut input = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
    frame(Open { container_id: "client".into(), ..Open::default() }, &mut input);
    frame(Begin { incoming_window: 100, outgoing_window: 100, ..Begin::default() }, &mut input);
    server.handle_input(now, &mut input);
    while let Some(event) = server.poll_event() {
        if let Event::SessionOffered(id) = event {
            let mut session = server.session(id).expect("a live session");
            session.accept(SessionConfig::default()).expect("a session that is offered");
        }
    }
    server.transmit(now, usize::MAX, &mut TransmitQueue::default());
    server
}

/// What the server writes, as performatives.
fn written(server: &mut Connection) -> Vec<Performative> {
    let mut queue = TransmitQueue::default();
    server.transmit(Instant::default(), usize::MAX, &mut queue);
    let mut octets = BytesMut::from(&queue.to_vec()[..]);
    let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
    std::iter::from_fn(|| decoder.decode(&mut octets).expect("our own frames"))
        .filter_map(|frame| match frame {
            Frame::Amqp { performative, .. } => performative,
            Frame::Sasl(_) => None,
        })
        .collect()
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_not_listened_to() {
    let now = Instant::default();
    let mut server = server(ConnectionConfig::new("server"));
    let mut input = BytesMut::new();
    for _ in 0..20_000 {
        frame(attach(0), &mut input);
        frame(Detach { handle: 0, closed: true, ..Detach::default() }, &mut input);
    }
    let asked = input.remaining();
    let mut rounds = 0;
    while !input.is_empty() {
        server.handle_input(now, &mut input);
        while let Some(event) = server.poll_event() {
            if let Event::LinkOffered(id) = event {
                // Detached meanwhile, it cannot be accepted any more.
                let accepted = server.link(id).ok().and_then(|mut link| {
                    let attach = link.remote_attach()?;
                    Some(link.accept(amqp1_engine::AttachReply::echo(&attach)))
                });
                let expected = [None, Some(Ok(())), Some(Err(amqp1_engine::ApiMisuse::UnknownLink))];
                assert!(expected.contains(&accepted), "{accepted:?}");
            }
        }
        let waiting = written(&mut server).len();
        assert!(waiting <= 5000, "{waiting} answers waited");
        rounds += 1;
        assert!(rounds < asked, "input is taken again when answers have left");
    }
}

#[test]
fn links_are_counted_refused_ones_included() {
    let now = Instant::default();
    let mut config = ConnectionConfig::new("server");
    config.max_links = 10;
    let mut server = server(config);
    for handle in 0..11 {
        let mut input = BytesMut::new();
        frame(attach(handle), &mut input);
        server.handle_input(now, &mut input);
        while let Some(event) = server.poll_event() {
            if let Event::LinkOffered(id) = event {
                let mut link = server.link(id).expect("a live link");
                link.reject(ErrorCondition::NOT_ALLOWED.into()).expect("a link that is offered");
            }
        }
    }
    let ended = written(&mut server).into_iter().find_map(|performative| match performative {
        Performative::End(end) => end.error,
        _ => None,
    });
    assert_eq!(ended.expect("an end").condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
}
