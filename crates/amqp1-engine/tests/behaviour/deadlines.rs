//! A runtime that looks at `earliest_timeout` alone misses no deadline. That it is never later than `poll_timeout` is an
//! assertion of that method too, so that each test that looks at a deadline shows it of its kind.

use amqp1_codec::{
    definitions::Role,
    frame::ProtocolHeader,
    performative::{Flow, Open},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Credit, DrainMode, Event, Instant, ReceiverConfig, SessionId,
};
use amqp1_testkit::*;
use core::time::Duration;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How a runtime knows when to call `handle_timeout`.
type Timer = fn(&Connection) -> Option<Instant>;

/// An engine on a clock that is moved by hand, and what it did when.
struct Clocked {
    peer: Peer,
    timer: Timer,
    done: Vec<(Instant, usize, usize)>,
}

impl Clocked {
    /// A server with heartbeats both ways.
    fn new(timer: Timer) -> Self {
        let config =
            ConnectionConfig { idle_timeout: Some(secs(10)), close_timeout: secs(3), ..ConnectionConfig::new("s") };
        let mut peer = Peer::with(config);
        peer.raw(&ProtocolHeader::AMQP.encode());
        peer.send(0, Open { container_id: "peer".into(), idle_time_out: Some(4000), ..Open::default() });
        peer.send(0, begin());
        Self { peer, timer, done: Vec::new() }
    }

    /// Lets this much time pass, and wakes the engine as its timer says.
    fn pass(&mut self, time: Duration) {
        let until = self.peer.now + time;
        while let Some(at) = (self.timer)(&self.peer.end.engine).filter(|at| *at <= until) {
            self.peer.now = at.max(self.peer.now);
            self.peer.end.engine.handle_timeout(self.peer.now);
            self.note();
        }
        self.peer.now = until;
    }

    fn note(&mut self) {
        self.peer.flush();
        let (written, events) = (self.peer.end.written.len(), self.peer.end.events.len());
        if self.done.last().is_none_or(|(_, octets, count)| (*octets, *count) != (written, events)) {
            self.done.push((self.peer.now, written, events));
        }
    }

    fn session(&self) -> SessionId {
        self.peer.end.offered_sessions()[0]
    }
}

/// What an engine does whose deadlines of each kind are set, come earlier, go later and go away.
fn story(timer: Timer) -> Vec<(Instant, usize, usize)> {
    let mut clocked = Clocked::new(timer);
    clocked.pass(millis(4500));
    // Something came: silence begins later.
    clocked.peer.send(0, session_flow(100));
    clocked.pass(millis(700));
    // A drain that the application forgets, one that is withdrawn, and one that comes again.
    clocked.peer.end.accept.links = None;
    clocked.peer.send(0, attach("drained", 0, Role::Receiver));
    let tx = clocked.peer.end.offered_links()[0];
    let mode = DrainMode::Application { timeout: millis(900) };
    let reply = AttachReply { drain_mode: mode, ..AttachReply::echo(&clocked.peer.end.remote_attach(tx).unwrap()) };
    clocked.peer.end.accept_link(tx, reply).unwrap();
    for _ in 0..2 {
        clocked.peer.send(0, Flow { drain: true, ..credit(0, 5) });
        clocked.pass(millis(500));
        clocked.peer.send(0, credit(0, 5));
        clocked.pass(millis(100));
    }
    clocked.peer.send(0, Flow { drain: true, ..credit(0, 5) });
    clocked.pass(millis(1500));
    assert_eq!(clocked.peer.end.count(|event| matches!(event, Event::DrainAnswered(_))), 1);
    clocked.peer.send(0, session_flow(100));
    // A receiver that stops its sender.
    let session = clocked.session();
    let config = ReceiverConfig { streamed: true, ..receiver("stopped", Credit::Manual(3)) };
    let rx = clocked.peer.end.attach_receiver(session, config).unwrap();
    clocked.peer.send(0, attach("stopped", 1, Role::Sender));
    clocked.peer.end.detach(rx, true, None).unwrap();
    clocked.note();
    clocked.pass(millis(1800));
    clocked.peer.send(0, session_flow(100));
    // An end and a close that the peer does not answer.
    clocked.peer.end.end(session, None).unwrap();
    clocked.note();
    clocked.pass(millis(2900));
    assert_eq!(clocked.peer.end.count(|event| matches!(event, Event::EndUnanswered(_))), 0);
    clocked.pass(millis(200));
    assert_eq!(clocked.peer.end.count(|event| matches!(event, Event::EndUnanswered(_))), 1);
    let now = clocked.peer.now;
    clocked.peer.end.close(now, None);
    clocked.note();
    clocked.pass(secs(4));
    assert!(clocked.peer.end.is_closed());
    clocked.done
}

#[test]
fn an_engine_that_is_woken_at_its_earliest_time_does_all_that_it_does_at_its_exact_deadlines() {
    let exact = story(Connection::poll_timeout);
    assert!(exact.len() >= 10, "{exact:?}");
    assert_eq!(story(Connection::earliest_timeout), exact);
}

#[test]
fn a_deadline_that_a_call_sets_is_known_at_once_and_one_that_moves_on_with_the_next_transmission() {
    let mut clocked = Clocked::new(Connection::earliest_timeout);
    let peer = &mut clocked.peer;
    assert_eq!(peer.end.earliest_timeout(), peer.end.poll_timeout());
    let before = peer.end.poll_timeout().unwrap();
    peer.now = peer.now + millis(500);
    let now = peer.now;
    // Before anything is written, the close has its deadline.
    peer.end.engine.handle_timeout(now);
    peer.end.close(now, None);
    assert_eq!(peer.end.earliest_timeout(), Some(before.min(now + secs(3))));
    assert!(peer.end.poll_timeout().unwrap() >= peer.end.earliest_timeout().unwrap());
    peer.flush();
    assert_eq!(peer.end.earliest_timeout(), peer.end.poll_timeout());
    assert!(peer.end.poll_timeout().unwrap() > before, "the close was written: the heartbeat is due later");
}
