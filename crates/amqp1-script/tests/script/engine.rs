//! The engine of this workspace, driven in memory.

use crate::support::against;
use amqp1_auth::sasl::Plain;
use amqp1_codec::{
    Message, Symbol,
    definitions::{ErrorCondition, Role},
    messaging::{DeliveryState, Source, Target},
    performative::{Disposition, Open, Transfer},
    sasl::{SaslCode, SaslMechanisms},
};
use amqp1_engine::{
    Connection, ConnectionConfig, Credit, Event, Instant, ReceiverConfig, SendOptions, SenderConfig, ServerSasl,
    SessionConfig, Settlement,
};
use amqp1_script::{Scope, Unexpected, bad, frames};
use std::time::Duration;

fn server(sasl: ServerSasl) -> Connection {
    Connection::server(ConnectionConfig::new("server"), sasl, Instant::default())
}

fn client() -> Connection {
    Connection::client(ConnectionConfig::new("client"), None, Instant::default())
}

#[test]
fn the_script_is_a_client_and_sends() -> Result<(), Unexpected> {
    let (mut peer, app) = against(server(ServerSasl::None));
    assert_eq!(peer.opened(frames::open("script"))?.container_id, *"server");
    let session = peer.begun(3)?;
    let link = peer.attached_sender(&session, 7, "l", "q")?;
    assert_eq!(peer.credited(&link)?, 10);
    peer.send_with(3, frames::transfer(7, 0), frames::message("hello"));
    let id = app.borrow().link();
    let delivery = app.borrow_mut().take(id);
    assert_eq!(delivery.message.data().as_deref(), Some(&b"hello"[..]));
    app.borrow_mut().receiver(id).dispose(delivery.key, DeliveryState::Accepted).expect("it is unsettled");
    let disposition = peer.expect_skipping::<Disposition>(amqp1_script::Skip::FLOWS)?;
    assert_eq!((disposition.role, disposition.first.0), (Role::Receiver, 0));
    assert_eq!(disposition.state, Some(DeliveryState::Accepted));
    peer.detached(&link)?;
    peer.ended(&session)?;
    peer.closed()?;
    assert!(app.borrow().engine.is_finished());
    Ok(())
}

#[test]
fn the_script_is_a_client_and_receives() -> Result<(), Unexpected> {
    let (mut peer, app) = against(server(ServerSasl::None));
    peer.opened(frames::open("script"))?;
    let session = peer.begun(0)?;
    let link = peer.attached_receiver(&session, 0, "l", "q")?;
    peer.give_credit(&link, 1);
    let id = app.borrow().link();
    let message = Message::builder().data(&b"hello"[..]).build();
    app.borrow_mut().sender(id).send(message, SendOptions { token: 5, ..SendOptions::default() }).expect("attached");
    let transfer = peer.expect::<Transfer>()?;
    assert_eq!(transfer.payload, frames::message("hello"));
    let delivery_id = transfer.delivery_id.expect("a first transfer").0;
    peer.send(0, frames::settled(Role::Receiver, delivery_id, DeliveryState::Released));
    let settled = app.borrow_mut().engine.poll_settled().expect("it is settled");
    assert_eq!(settled.token, 5);
    assert!(matches!(settled.settlement, Settlement::Outcome(Some(DeliveryState::Released))), "{settled:?}");
    peer.closed()?;
    Ok(())
}

#[test]
fn the_script_is_a_server_for_both_ends_of_links() -> Result<(), Unexpected> {
    let (mut peer, app) = against(client());
    assert_eq!(peer.opened_by_peer(frames::open("script"))?.container_id, *"client");
    let on = app.borrow_mut().engine.begin(SessionConfig::default()).expect("the connection is open");
    let session = peer.begun_by_peer(0)?;

    let config = SenderConfig::new("up", Target::at("q"));
    let up = app.borrow_mut().session(on).attach_sender(config).expect("the session is there");
    let link = peer.attached_by_peer(&session, 0)?;
    assert_eq!(link.role, Role::Receiver);
    peer.give_credit(&link, 1);
    app.borrow_mut()
        .sender(up)
        .send(Message::builder().data(&b"hello"[..]).build(), SendOptions::default())
        .expect("attached");
    assert_eq!(peer.expect::<Transfer>()?.payload, frames::message("hello"));
    peer.send(0, frames::settled(Role::Receiver, 0, DeliveryState::Accepted));

    let config = ReceiverConfig { credit: Credit::Manual(4), ..ReceiverConfig::new("down", Source::at("q")) };
    let down = app.borrow_mut().session(on).attach_receiver(config).expect("the session is there");
    let link = peer.attached_by_peer(&session, 1)?;
    assert_eq!((link.role, peer.credited(&link)?), (Role::Sender, 4));
    peer.send_with(0, frames::transfer(1, 0), frames::message("world"));
    assert_eq!(app.borrow_mut().take(down).message.data().as_deref(), Some(&b"world"[..]));

    app.borrow_mut().engine.link(down).expect("attached").detach(true, None).expect("attached");
    assert!(peer.detached_by_peer(&link)?.closed);
    app.borrow_mut().session(on).end(None).expect("begun");
    peer.ended_by_peer(&session)?;
    app.borrow_mut().engine.close(Instant::default(), None);
    assert_eq!(peer.closed_by_peer()?.error, None);
    Ok(())
}

#[test]
fn the_script_speaks_sasl_as_a_client() -> Result<(), Unexpected> {
    let mechanisms = vec![Symbol::from_static("ANONYMOUS"), Symbol::from_static("PLAIN")];
    for init in [frames::anonymous(), frames::plain("user", "swordfish")] {
        let (mut peer, app) = against(server(ServerSasl::Required(mechanisms.clone())));
        let mechanism = init.mechanism.clone();
        assert_eq!(peer.authenticated(init)?.code, SaslCode::Ok);
        peer.opened(frames::open("script"))?;
        let chosen = |event: &Event| matches!(event, Event::SaslInit(choice) if choice.mechanism == mechanism);
        assert!(app.borrow().events.iter().any(chosen));
        assert!(!format!("{}{:?}", peer.transcript(), peer.transcript()).contains("swordfish"));
    }
    Ok(())
}

#[test]
fn the_script_speaks_sasl_as_a_server() -> Result<(), Unexpected> {
    let mechanism = Plain::new("user", "swordfish").expect("a name and a password");
    let now = Instant::default();
    let engine = Connection::client(ConnectionConfig::new("client"), Some(Box::new(mechanism)), now);
    let (mut peer, app) = against(engine);
    let init = peer.authenticated_by_peer(&["PLAIN"], SaslCode::Ok)?;
    assert_eq!(init.initial_response.expect("PLAIN begins").0, &b"\0user\0swordfish"[..]);
    peer.opened_by_peer(frames::open("script"))?;
    assert!(app.borrow().events.iter().any(|event| matches!(event, Event::Opened)));
    assert!(!peer.transcript().to_string().contains("swordfish"));
    Ok(())
}

/// What a step meets that it does not want is said, with what came.
#[test]
fn a_step_that_fails_shows_the_conversation() {
    let (mut peer, _) = against(server(ServerSasl::Required(vec![Symbol::from_static("PLAIN")])));
    let unexpected = peer.opened(frames::open("script")).expect_err("SASL is required");
    assert_eq!(unexpected.wanted, "header AMQP");
    assert_eq!(unexpected.got.to_string(), "header SASL");
    let text = format!("{unexpected:?}");
    assert!(text.contains("-> [0] open container-id=\"script\""), "{text}");
    assert!(peer.expect::<SaslMechanisms>().is_err());
}

/// Time is what is waited: the engine's heartbeats come when they are due, and no real time passes.
#[test]
fn time_passes_while_the_script_waits() -> Result<(), Unexpected> {
    let (mut peer, _) = against(server(ServerSasl::None));
    peer.opened(Open { idle_time_out: Some(10_000), ..frames::open("script") })?;
    let start = peer.now();
    let got = peer.next_within(Duration::from_secs(10));
    assert_eq!(got.name(), "empty", "{got:?}");
    let waited = peer.now() - start;
    assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
    Ok(())
}

/// Also T-2.3.1-3, T-2.3.1-4 and T-2.3.1-6.
#[test]
fn t_2_3_1_2_each_flaw_of_each_frame_is_answered_with_its_condition() -> Result<(), Unexpected> {
    let good = [
        frames::encode(0, frames::begin(), b""),
        frames::encode(1, frames::attach_sender("other", 8, "q"), b""),
        frames::encode(1, frames::flow(), b""),
        frames::encode(1, frames::transfer(7, 0), b""),
        frames::encode(1, frames::settled(Role::Sender, 0, None), b""),
        frames::encode(1, frames::detach(7), b""),
        frames::encode(1, frames::end(), b""),
        frames::encode(0, frames::close_with(ErrorCondition::NOT_FOUND), b""),
    ];
    let mut count = 0;
    for frame in good {
        for flawed in bad::every(&frame) {
            let (mut peer, _) = against(server(ServerSasl::None));
            peer.opened(frames::open("script"))?;
            let session = peer.begun(1)?;
            peer.attached_sender(&session, 7, "l", "q")?;
            peer.note(&flawed.name);
            peer.raw(&flawed.octets);
            let refusal = peer.expect_refusal()?;
            assert_eq!(refusal.scope, Scope::Connection, "{flawed:?}\n{}", peer.transcript());
            assert!(flawed.conditions().contains(&refusal.error.condition), "{flawed:?}: {refusal:?}");
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
    Ok(())
}
