//! Spans for a connection, its sessions and its links, and the events in them.
//!
//! They are made and used by the driver, when the lock of the connection is released.

use super::ConnectionInfo;
use amqp1_codec::{
    Str,
    definitions::Role,
    performative::Attach,
    printable::{Printable, printable},
};
use amqp1_engine::{Connection as Engine, Event, LinkId, SessionId};
use std::collections::HashMap;
use tracing::{
    Level, Span,
    field::{self, DebugValue},
};

/// The target of spans and events. Frames have one of their own.
const TARGET: &str = "amqp1";

/// The octets of a name that are shown.
const NAME: usize = 160;

/// An event of the engine's that is to be logged.
#[derive(Debug)]
pub(crate) struct Logged {
    scope: Scope,
    text: String,
    change: Change,
}

/// The subject of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Connection,
    Session(SessionId),
    Link(LinkId),
}

/// The effect on the span.
#[derive(Debug)]
enum Change {
    None,
    Opens(Option<Str>),
    Begins,
    Attaches(Box<LinkNames>),
    Ends,
}

#[derive(Debug)]
struct LinkNames {
    session: SessionId,
    name: Str,
    role: Role,
    source: Option<Str>,
    target: Option<Str>,
}

impl Logged {
    /// The log line of an event; `None` for events of each message.
    pub(crate) fn of(event: &Event, engine: &mut Engine) -> Option<Self> {
        let (scope, change) = match event {
            Event::Receivable(_) | Event::Sendable(_) => return None,
            Event::Opened | Event::OpenReceived => {
                (Scope::Connection, Change::Opens(engine.remote_open().map(|open| open.container_id)))
            }
            Event::SessionOffered(id) | Event::SessionBegun(id) => (Scope::Session(*id), Change::Begins),
            Event::SessionEnded(id, _) => (Scope::Session(*id), Change::Ends),
            Event::EndUnanswered(id) | Event::RetirementLost(id, _) => (Scope::Session(*id), Change::None),
            Event::LinkOffered(id) | Event::LinkAttached(id) => {
                (Scope::Link(*id), LinkNames::of(*id, engine).map_or(Change::None, Change::Attaches))
            }
            Event::LinkDetached(id, _) => (Scope::Link(*id), Change::Ends),
            Event::HandleAwaited(id)
            | Event::Drained(id)
            | Event::DrainRequested(id)
            | Event::DrainAnswered(id)
            | Event::CreditWithheld(id)
            | Event::Undecodable(id, ..)
            | Event::SettledBySender(id, ..)
            | Event::Provisional { link: id, .. }
            | Event::PostingLost(Some(id), _)
            | Event::FlowProperties(id)
            | Event::Reattach(id) => (Scope::Link(*id), Change::None),
            _ => (Scope::Connection, Change::None),
        };
        Some(Self { scope, text: format!("{event:?}"), change })
    }
}

impl LinkNames {
    fn of(id: LinkId, engine: &mut Engine) -> Option<Box<Self>> {
        let link = engine.link(id).ok()?;
        let Attach { source, target, .. } = link.remote_attach().unwrap_or_default();
        let target = target.as_ref().and_then(|target| target.as_target()).and_then(|target| target.address.clone());
        Some(Box::new(Self {
            session: link.session_id(),
            name: link.name().into(),
            role: link.role(),
            source: source.and_then(|source| source.address),
            target,
        }))
    }
}

/// A name, in quotation marks.
fn shown(name: &str) -> DebugValue<Printable<'_>> {
    field::debug(printable(name).limit(NAME))
}

/// The spans of one connection.
#[derive(Debug)]
pub(crate) struct Spans {
    connection: Span,
    /// Whether the span names the peer's container.
    is_open: bool,
    sessions: HashMap<SessionId, Span>,
    links: HashMap<LinkId, Span>,
}

impl Spans {
    pub(crate) fn new(info: &ConnectionInfo) -> Self {
        let connection = tracing::info_span!(
            target: TARGET,
            "connection",
            id = %format_args!("{:#x}", info.id),
            role = if info.accepted { "acceptor" } else { "client" },
            peer = info.peer.map(field::display),
            container = shown(&info.container_id),
            remote_container = field::Empty,
        );
        Self { connection, is_open: false, sessions: HashMap::new(), links: HashMap::new() }
    }

    /// The span of the connection.
    pub(crate) fn connection(&self) -> &Span {
        &self.connection
    }

    /// Whether events are logged.
    pub(crate) fn is_on() -> bool {
        tracing::enabled!(target: TARGET, Level::DEBUG)
    }

    /// Logs an event in its span.
    pub(crate) fn log(&mut self, event: Logged) {
        let Logged { scope, text, change } = event;
        match (scope, &change) {
            (_, Change::Opens(Some(container))) if !self.is_open => {
                self.is_open = true;
                self.connection.record("remote_container", shown(container));
            }
            (Scope::Session(id), Change::Begins) => {
                let parent = &self.connection;
                self.sessions
                    .entry(id)
                    .or_insert_with(|| tracing::debug_span!(target: TARGET, parent: parent, "session", id = ?id));
            }
            (Scope::Link(id), Change::Attaches(names)) => {
                let parent = self.sessions.get(&names.session).unwrap_or(&self.connection);
                self.links.entry(id).or_insert_with(|| names.span(id, parent));
            }
            _ => {}
        }
        let span = match scope {
            Scope::Connection => None,
            Scope::Session(id) => self.sessions.get(&id),
            Scope::Link(id) => self.links.get(&id),
        };
        tracing::debug!(target: TARGET, parent: span.unwrap_or(&self.connection), "{text}");
        if matches!(change, Change::Ends) {
            match scope {
                Scope::Session(id) => drop(self.sessions.remove(&id)),
                Scope::Link(id) => drop(self.links.remove(&id)),
                Scope::Connection => {}
            }
        }
    }
}

impl LinkNames {
    fn span(&self, id: LinkId, parent: &Span) -> Span {
        let role = match self.role {
            Role::Sender => "sender",
            Role::Receiver => "receiver",
        };
        tracing::debug_span!(
            target: TARGET,
            parent: parent,
            "link",
            id = ?id,
            name = shown(&self.name),
            role,
            source = self.source.as_deref().map(shown),
            target = self.target.as_deref().map(shown),
        )
    }
}
