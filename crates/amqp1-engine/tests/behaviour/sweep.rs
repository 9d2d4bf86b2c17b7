//! A whole conversation, cut off at each octet and with each octet changed: the server survives, says little, and
//! comes to an end.

use amqp1_auth::sasl::Plain;
use amqp1_codec::{Symbol, messaging::DeliveryState};
use amqp1_engine::{ApiMisuse, Connection, ConnectionConfig, Credit, Event, Instant, SendError, ServerSasl};
use amqp1_testkit::*;
use core::time::Duration;

fn sasl() -> ServerSasl {
    ServerSasl::Required(vec![Symbol::from_static("PLAIN")])
}

/// What a client writes in a conversation that has something of everything.
fn recorded() -> Vec<u8> {
    let (mut client, mut server) = Pair::configs();
    (client.hostname, client.max_frame_size) = (Some("hub.example".into()), 1024);
    client.properties.insert(Symbol::from_static("product"), "sweep");
    server.max_frame_size = 512;
    let mut pair = Pair::sasl(client, Some(Box::new(Plain::new("user", "secret").unwrap())), server, sasl());
    pair.drive();
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "a");
    let (back, far) = pair.receiver(session, "b", Credit::Window(5));
    for token in 0..3 {
        pair.client.send(tx, message(token, 400 * token), unsettled(0)).unwrap();
        pair.server.send(far, message(token, 5), unsettled(0)).unwrap();
    }
    pair.drive();
    for delivery in pair.client.take_all(back) {
        pair.client.dispose(back, delivery.key, DeliveryState::Released).unwrap();
    }
    for delivery in pair.server.take_all(rx) {
        pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
    }
    pair.client.drain(back).unwrap();
    pair.drive();
    pair.client.detach(tx, true, None).unwrap();
    pair.drive();
    pair.client.end(session, None).unwrap();
    pair.drive();
    pair.client.engine.close(pair.now, None);
    pair.drive();
    assert!(pair.client.is_finished() && pair.server.is_finished());
    pair.client.written
}

/// Gives these octets to a server whose application does what applications do.
fn feed(octets: &[u8]) {
    let now = Instant::default();
    let mut end = End::new(Connection::server(ConnectionConfig::new("server"), sasl(), now));
    end.input.extend_from_slice(octets);
    let mut looked_at = 0;
    for _ in 0..20 {
        end.take_input(now);
        while let Some(event) = end.events.get(looked_at) {
            looked_at += 1;
            match *event {
                Event::Sendable(link) => {
                    let sent = end.send(link, message(1, 10), unsettled(1));
                    assert!(!matches!(sent, Err(SendError::TooLarge { .. })));
                }
                Event::Receivable(link) => {
                    if let Some(delivery) = end.recv(link) {
                        let stated = end.dispose(link, delivery.key, DeliveryState::Accepted);
                        let gone = [Err(ApiMisuse::Detached), Err(ApiMisuse::UnknownLink)];
                        assert!(stated.is_ok() || gone.contains(&stated), "{stated:?}");
                    }
                }
                _ => {}
            }
        }
        end.output(now, 10_000);
    }
    assert!(!end.engine.has_output(), "{:?}", end.engine);
    assert!(end.written.len() < 20_000, "{} octets are said to {}", end.written.len(), octets.len());
    assert!(end.events.len() < 100, "{:?}", end.events);
    // What was said is well-formed and in order, whatever was heard.
    Checker::default().check(&end.written, || end.engine.remote_open());
    if !end.is_closed() {
        let deadline = end.poll_timeout().expect("an open connection has a deadline");
        assert!(deadline <= now + Duration::from_secs(60));
        end.engine.handle_eof(now);
        end.look();
    }
    end.closed();
    while let Some(deadline) = end.poll_timeout() {
        end.engine.handle_timeout(deadline);
        end.look();
        end.output(deadline, 10_000);
    }
    assert!(end.is_finished());
}

#[test]
fn every_truncation_comes_to_an_end() {
    let octets = recorded();
    assert!((1000..10_000).contains(&octets.len()), "{}", octets.len());
    for length in 0..=octets.len() {
        feed(&octets[..length]);
    }
}

#[test]
fn every_changed_octet_comes_to_an_end() {
    let mut octets = recorded();
    for at in 0..octets.len() {
        let right = octets[at];
        let wrong = (0..8).map(|bit| right ^ (1 << bit)).chain([0, 0xff]);
        for wrong in wrong {
            octets[at] = wrong;
            feed(&octets);
        }
        octets[at] = right;
    }
}

#[test]
fn octets_left_out_or_doubled_come_to_an_end() {
    let octets = recorded();
    for at in 0..octets.len() {
        feed(&[&octets[..at], &octets[at + 1..]].concat());
        feed(&[&octets[..at], &octets[at.saturating_sub(3)..]].concat());
    }
}
