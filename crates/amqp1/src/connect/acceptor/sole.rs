//! One connection for each container: the extension `sole-connection-for-container`, as Qpid's broker and clients have
//! it.

use crate::{
    handle::{connection::Connection, counted::ConnectionHandle, incoming::IncomingConnection},
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{
    Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields},
    performative::Open,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// The capability that a client desires, and this end offers.
pub(super) const CAPABILITY: Symbol = Symbol::from_static("sole-connection-for-container");
const ENFORCEMENT: Symbol = Symbol::from_static("sole-connection-enforcement-policy");
const DETECTION: Symbol = Symbol::from_static("sole-connection-detection-policy");

/// The values of the policies: the new connection is refused, or the one that is there is closed; and connections count
/// whether or not they ask for it.
const REFUSE_CONNECTION: u32 = 0;
const CLOSE_EXISTING: u32 = 1;
const STRONG: u32 = 0;

/// The properties of an open that offers the extension.
pub(super) fn announce(properties: &mut Fields) {
    properties.insert(ENFORCEMENT, REFUSE_CONNECTION);
    properties.insert(DETECTION, STRONG);
}

/// The enforcement that a client asks for.
#[derive(Clone, Copy)]
struct Policy {
    /// The connection that is there is closed, rather than the one that comes refused.
    close_existing: bool,
    /// Only connections that ask for the same count.
    weak: bool,
}

impl Policy {
    fn of(open: &Open) -> Option<Self> {
        if !open.desired_capabilities.contains(&CAPABILITY) {
            return None;
        }
        let is_one = |name: &Symbol| {
            let value = open.properties.as_ref().and_then(|properties| properties.get(name.as_str()));
            value.is_some_and(|value| *value == Value::Uint(CLOSE_EXISTING))
        };
        Some(Self { close_existing: is_one(&ENFORCEMENT), weak: is_one(&DETECTION) })
    }
}

/// The owner of a connection: its container-id, and its identity, so that a client
/// cannot have another's connection closed.
type Name = (String, Option<String>);

struct Present {
    connection: Weak<ConnectionHandle>,
    policy: Option<Policy>,
}

impl Present {
    fn connection(&self) -> Option<Connection> {
        self.connection.upgrade().map(Connection::from_handle).filter(|connection| !connection.is_closed())
    }
}

/// The connections of an acceptor that are there.
#[derive(Default)]
pub(super) struct Register {
    present: Mutex<HashMap<Name, Vec<Present>>>,
}

enum Admission {
    Admitted,
    Refused,
    After(Vec<Connection>),
}

impl Register {
    /// Lets a client in whose container has no other connection; what becomes of one that has is what the clients ask for.
    pub(super) async fn admit(&self, incoming: IncomingConnection) -> Result<IncomingConnection, Error> {
        if Policy::of(&incoming.open()).is_some_and(|policy| policy.close_existing) {
            let shared = incoming.connection().shared();
            shared.command(|state, _| state.engine.set_open_property(ENFORCEMENT, CLOSE_EXISTING))?;
        }
        match self.enter(&incoming) {
            Admission::Admitted => Ok(incoming),
            Admission::Refused => {
                let info = [(Symbol::from_static("invalid-field"), Symbol::from_static("container-id"))];
                let text = "the container has a connection already, and may have one";
                let mut error = AmqpError::new(ErrorCondition::INVALID_FIELD, text);
                error.info = Some(info.into_iter().collect::<Fields>());
                incoming.refuse(error).await?;
                Err(Error::new(ErrorKind::Closed, "the client's container has a connection already: it was refused"))
            }
            Admission::After(existing) => {
                for connection in existing {
                    let text = "the container has another connection now, and may have one";
                    let mut error = AmqpError::new(ErrorCondition::RESOURCE_LOCKED, text);
                    error.info =
                        Some([(Symbol::from_static("sole-connection-enforcement"), true)].into_iter().collect());
                    // One that does not answer is closed when its time is up.
                    let _ = connection.close_with(Some(error)).await;
                }
                Ok(incoming)
            }
        }
    }

    fn enter(&self, incoming: &IncomingConnection) -> Admission {
        let open = incoming.open();
        let name = (open.container_id.as_str().to_owned(), incoming.identity().map(str::to_owned));
        let policy = Policy::of(&open);
        let mut register = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        // Names that have no connection any more are forgotten before they are many.
        if register.len() == register.capacity() {
            register.retain(|_, present| present.iter().any(|present| present.connection().is_some()));
        }
        let present = register.entry(name).or_default();
        present.retain(|present| present.connection().is_some());
        // Where both ask for it, the connection that is there has the say. Those who ask for the weak form count only others
        // who ask.
        let theirs = present.iter().filter_map(|other| other.policy).find(|theirs| !theirs.weak || policy.is_some());
        let ours = policy.filter(|policy| present.iter().any(|other| !policy.weak || other.policy.is_some()));
        let rules = theirs.or(ours);
        let existing = match rules {
            Some(rules) if !rules.close_existing => return Admission::Refused,
            Some(_) => std::mem::take(present),
            None => Vec::new(),
        };
        present.push(Present { connection: Arc::downgrade(incoming.connection().handle()), policy });
        if existing.is_empty() {
            return Admission::Admitted;
        }
        Admission::After(existing.iter().filter_map(Present::connection).collect())
    }
}
