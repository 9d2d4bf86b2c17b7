//! Two scripts over a socket, each in a thread of its own.

use amqp1_codec::{
    definitions::Role,
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Disposition, Transfer},
    sasl::SaslCode,
};
use amqp1_script::{AcceptError, Got, Listener, Peer, Skip, Tcp, Unexpected, Written, frames};
use std::{
    io::ErrorKind,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// Two ends of a connection.
fn pair() -> (Peer<Tcp>, Peer<Tcp>) {
    let listener = Listener::bind().expect("a free port");
    let client = Tcp::connect(listener.address(), LONG).expect("somebody listens");
    let mut peers = (Peer::new(client), listener.accept(LONG).expect("somebody has connected"));
    peers.0.set_patience(LONG);
    peers.1.set_patience(LONG);
    peers
}

fn in_thread(
    mut peer: Peer<Tcp>,
    script: impl FnOnce(&mut Peer<Tcp>) -> Result<(), Unexpected> + Send + 'static,
) -> JoinHandle<Result<(), Unexpected>> {
    thread::spawn(move || script(&mut peer))
}

#[test]
fn a_client_and_a_server_meet() -> Result<(), Unexpected> {
    let (mut client, server) = pair();
    let server = in_thread(server, |peer| {
        let init = peer.authenticated_by_peer(&["PLAIN", "ANONYMOUS"], SaslCode::Ok)?;
        assert_eq!(init.mechanism, *"PLAIN");
        assert_eq!(peer.opened_by_peer(frames::open("server"))?.container_id, *"client");
        let session = peer.begun_by_peer(8)?;
        let up = peer.attached_by_peer(&session, 4)?;
        assert_eq!(up.role, Role::Receiver);
        peer.give_credit(&up, 3);
        let transfer = peer.expect::<Transfer>()?;
        assert_eq!(transfer.payload, frames::message("hello"));
        peer.send(8, frames::settled(Role::Receiver, 0, DeliveryState::Accepted));
        let down = peer.attached_by_peer(&session, 5)?;
        assert_eq!(down.role, Role::Sender);
        assert_eq!(peer.credited(&down)?, 2);
        peer.send_with(8, frames::transfer(5, 0), frames::message("world"));
        // In flight when the link is detached.
        peer.send_with(8, frames::transfer(5, 1), frames::message("late"));
        peer.detached_by_peer(&down)?;
        peer.ended_by_peer(&session)?;
        peer.closed_by_peer()?;
        Ok(())
    });
    assert_eq!(client.authenticated(frames::plain("user", "swordfish"))?.code, SaslCode::Ok);
    client.opened(frames::open("client"))?;
    let session = client.begun(2)?;
    assert_eq!((session.channel, session.remote_channel), (2, 8));
    let up = client.attached_sender(&session, 0, "up", "q")?;
    assert_eq!(client.credited(&up)?, 3);
    client.send_with(2, frames::transfer(0, 0), frames::message("hello"));
    assert_eq!(client.expect::<Disposition>()?.state, Some(DeliveryState::Accepted));
    let down = client.attached_receiver(&session, 1, "down", "q")?;
    assert_eq!(down.attach.handle, 5);
    client.give_credit(&down, 2);
    assert_eq!(client.expect_skipping::<Transfer>(Skip::FLOWS)?.payload, frames::message("world"));
    client.detached(&down)?;
    client.ended(&session)?;
    client.closed()?;
    assert!(!client.transcript().to_string().contains("swordfish"));
    server.join().expect("the script does not panic")
}

#[test]
fn a_large_frame_arrives_whole() -> Result<(), Unexpected> {
    let (mut client, server) = pair();
    let payload = vec![7; 500_000];
    let server = in_thread(server, |peer| {
        assert_eq!(peer.expect::<Transfer>()?.payload, vec![7; 500_000]);
        Ok(())
    });
    assert_eq!(client.send_with(0, frames::transfer(0, 0), payload), Written::All);
    server.join().expect("the script does not panic")
}

#[test]
fn a_wait_ends_at_its_deadline() {
    let (mut client, mut server) = pair();
    let start = Instant::now();
    client.set_patience(SHORT);
    assert!(matches!(client.next(), Got::Timeout { waited, unfinished: 0 } if waited >= SHORT));
    assert!(start.elapsed() >= SHORT);
    // What has arrived is read even then.
    server.header(ProtocolHeader::AMQP);
    client.set_patience(LONG);
    client.expect_header(ProtocolHeader::AMQP).expect("it was sent");
    server.raw([0, 0, 0]);
    client.transport().stream().set_read_timeout(Some(LONG)).expect("a socket");
    client.transport().stream().peek(&mut [0; 3]).expect("they arrive");
    let got = client.next_within(Duration::ZERO);
    assert!(matches!(got, Got::Timeout { unfinished: 3, .. }), "{got:?}");
}

#[test]
fn a_write_ends_at_its_deadline() {
    let (mut client, server) = pair();
    client.set_patience(SHORT);
    // More than the buffers of any system.
    let written = client.raw(vec![0; 64 * 1024 * 1024]);
    assert!(matches!(written, Written::Timeout(count) if count > 0), "{written:?}");
    assert!(client.transcript().to_string().contains("nobody reads"));
    drop(server);
}

#[test]
fn a_peer_that_never_falls_silent_does_not_outlast_a_deadline() {
    let (mut client, mut server) = pair();
    let server = thread::spawn(move || while server.empty_frame(0) == Written::All {});
    client.set_patience(SHORT);
    let got = client.expect::<Transfer>().expect_err("only empty frames come").got;
    assert!(matches!(*got, Got::Timeout { .. }), "{got:?}");
    drop(client);
    server.join().expect("it ends when nobody listens");
}

#[test]
fn the_end_and_a_reset_are_told_apart() -> Result<(), Unexpected> {
    let (client, mut server) = pair();
    drop(client);
    server.expect_eof()?;

    let (mut client, server) = pair();
    client.header(ProtocolHeader::AMQP);
    // What was not read when the socket is closed resets the connection.
    assert_eq!(server.transport().stream().peek(&mut [0]).expect("an octet is there"), 1);
    drop(server);
    assert!(matches!(client.next(), Got::Reset { .. }), "{}", client.transcript());
    client.expect_gone()
}

#[test]
fn nobody_connects() {
    let listener = Listener::bind().expect("a free port");
    let error = listener.accept(SHORT).expect_err("nobody connects");
    assert!(matches!(error, AcceptError::Timeout(SHORT)));
    let address = listener.address();
    drop(listener);
    let error = Tcp::connect(address, LONG).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
