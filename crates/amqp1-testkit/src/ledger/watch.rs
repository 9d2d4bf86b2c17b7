//! What one end reports: each change once, and an end of everything that was begun.

use super::Ledger;
use amqp1_engine::{Connection, ConnectionError, Event, Instant, LinkId, SessionId};
use std::collections::BTreeMap;

/// Something that an application has asked for, and of which an event tells the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Ends by `Opened` or `Closed`.
    Open,
    /// Ends by `Closed`.
    Close,
    /// Ends by `SessionBegun` or `SessionEnded`.
    Begin(SessionId),
    /// Ends by `SessionEnded`.
    End(SessionId),
    /// Ends by `LinkAttached` or `LinkDetached`.
    Attach(LinkId),
    /// Ends by `Drained` or `LinkDetached`.
    Drain(LinkId),
    /// Ends by `LinkDetached`.
    Detach(LinkId),
}

/// How often the beginning and the end of something were told.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    begun: u32,
    ended: u32,
}

impl Life {
    fn begin(&mut self, what: &Event, ledger: &mut Ledger) {
        self.begun += 1;
        ledger.expect(self.begun == 1 && self.ended == 0, || format!("once too often, or too late: {what:?}"));
    }

    fn end(&mut self, what: &Event, ledger: &mut Ledger) {
        self.ended += 1;
        ledger.expect(self.ended == 1, || format!("twice: {what:?}"));
    }
}

/// The events of one end of a connection.
#[derive(Debug, Default)]
pub struct Watch {
    connection: Life,
    sessions: BTreeMap<SessionId, Life>,
    links: BTreeMap<LinkId, Life>,
    operations: BTreeMap<Operation, Instant>,
    /// When the connection's end was told, and why.
    pub closed: Option<(Instant, ConnectionError)>,
}

impl Watch {
    /// The application has asked for something.
    pub fn begin(&mut self, operation: Operation, now: Instant, ledger: &mut Ledger) {
        match operation {
            Operation::Begin(id) => drop(self.sessions.insert(id, Life::default())),
            Operation::Attach(id) => drop(self.links.insert(id, Life::default())),
            _ => {}
        }
        // To ask for the same again is the same operation.
        if self.operations.insert(operation, now).is_none() {
            ledger.begun += 1;
        }
    }

    fn end(&mut self, operation: Operation, now: Instant, ledger: &mut Ledger) {
        if let Some(begun) = self.operations.remove(&operation) {
            ledger.ended += 1;
            ledger.waited(now - begun);
        }
    }

    /// An event was reported.
    pub fn note(&mut self, event: &Event, now: Instant, ledger: &mut Ledger) {
        if let Some((_, reason)) = &self.closed {
            ledger.wrong(format!("{event:?} after {reason:?}"));
        }
        let changes = ledger.changes;
        ledger.changes += 1;
        match event {
            Event::Opened => {
                self.connection.begin(event, ledger);
                self.end(Operation::Open, now, ledger);
            }
            Event::Closed(reason) => {
                self.connection.end(event, ledger);
                self.end(Operation::Open, now, ledger);
                self.end(Operation::Close, now, ledger);
                self.closed = Some((now, (**reason).clone()));
                self.nothing_left(ledger);
            }
            Event::SessionOffered(id) => self.sessions.entry(*id).or_default().begin(event, ledger),
            Event::SessionBegun(id) => {
                self.sessions.entry(*id).or_default().begin(event, ledger);
                self.end(Operation::Begin(*id), now, ledger);
            }
            Event::SessionEnded(id, _) => {
                self.sessions.entry(*id).or_default().end(event, ledger);
                self.end(Operation::Begin(*id), now, ledger);
                self.end(Operation::End(*id), now, ledger);
            }
            Event::LinkOffered(id) => self.links.entry(*id).or_default().begin(event, ledger),
            Event::LinkAttached(id) => {
                self.links.entry(*id).or_default().begin(event, ledger);
                self.end(Operation::Attach(*id), now, ledger);
            }
            Event::LinkDetached(id, _) => {
                self.links.entry(*id).or_default().end(event, ledger);
                for operation in [Operation::Attach(*id), Operation::Drain(*id), Operation::Detach(*id)] {
                    self.end(operation, now, ledger);
                }
            }
            Event::Drained(id) => {
                self.end(Operation::Drain(*id), now, ledger);
                self.of_live(*id, event, ledger);
                ledger.changes = changes;
            }
            Event::Sendable(id) | Event::Receivable(id) => {
                self.of_live(*id, event, ledger);
                ledger.changes = changes;
            }
            _ => ledger.changes = changes,
        }
    }

    /// Nothing is told of a link that is over.
    fn of_live(&self, id: LinkId, event: &Event, ledger: &mut Ledger) {
        let live = self.links.get(&id).is_some_and(|link| link.ended == 0);
        ledger.expect(live, || format!("of a link that is over: {event:?}"));
    }

    /// With the connection, everything is over.
    fn nothing_left(&self, ledger: &mut Ledger) {
        for operation in self.operations.keys() {
            ledger.wrong(format!("{operation:?} has no end"));
        }
        for (id, _) in self.sessions.iter().filter(|(_, life)| life.ended == 0) {
            ledger.wrong(format!("session {id:?} has no end"));
        }
        for (id, _) in self.links.iter().filter(|(_, life)| life.ended == 0) {
            ledger.wrong(format!("link {id:?} has no end"));
        }
    }

    /// The connection is over, and holds nothing any more.
    pub fn check_over(&self, name: &str, engine: &Connection, ledger: &mut Ledger) {
        ledger.expect(self.closed.is_some(), || format!("the {name} was not told of the connection's end"));
        let state = format!("{engine:?}");
        let empty = state.contains("sessions: 0 of") && state.contains("links: 0 of");
        ledger.expect(empty, || format!("the {name} keeps something: {state}"));
        let done = engine.is_finished() && !engine.has_output() && engine.poll_timeout().is_none();
        ledger.expect(done, || format!("the {name} has not finished: {state}"));
    }

    /// Operations that have no end yet.
    pub fn pending(&self) -> usize {
        self.operations.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_engine::{Cause, Ended, ServerSasl, SessionConfig};

    /// An end that has begun a session, and its name.
    fn begun() -> (Watch, Ledger, SessionId) {
        let config = amqp1_engine::ConnectionConfig::new("c");
        let mut engine = Connection::server(config, ServerSasl::None, Instant::default());
        let id = engine.begin(SessionConfig::default()).unwrap();
        let (mut watch, mut ledger) = (Watch::default(), Ledger::default());
        watch.begin(Operation::Begin(id), Instant::default(), &mut ledger);
        watch.note(&Event::SessionBegun(id), Instant::from_nanos(7), &mut ledger);
        (watch, ledger, id)
    }

    fn ended(id: SessionId) -> Event {
        Event::SessionEnded(id, Box::new(Ended { error: None, by: Cause::Peer }))
    }

    fn lost() -> Event {
        Event::Closed(Box::new(ConnectionError::TransportLost))
    }

    #[test]
    fn an_operation_ends_by_its_event() {
        let (watch, ledger, _) = begun();
        assert_eq!((ledger.begun, ledger.ended, ledger.changes, watch.pending()), (1, 1, 1, 0));
        assert_eq!(ledger.worst_wait.as_nanos(), 7);
    }

    #[test]
    fn a_change_is_told_once_and_nothing_after_the_end() {
        let now = Instant::default();
        let (mut watch, mut ledger, id) = begun();
        watch.note(&ended(id), now, &mut ledger);
        watch.note(&lost(), now, &mut ledger);
        assert!(ledger.holds());
        watch.note(&lost(), now, &mut ledger);
        assert!(!ledger.holds());
        let (mut watch, mut ledger, id) = begun();
        watch.note(&Event::SessionBegun(id), now, &mut ledger);
        assert!(!ledger.holds());
    }

    #[test]
    fn the_connection_does_not_end_before_what_is_in_it() {
        let (mut watch, mut ledger, id) = begun();
        watch.begin(Operation::End(id), Instant::default(), &mut ledger);
        watch.note(&lost(), Instant::default(), &mut ledger);
        assert_eq!(ledger.reasons().len(), 2, "{ledger:?}");
    }
}
