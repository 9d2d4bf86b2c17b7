//! Requests of clients to an acceptor: connections, and links.

use crate::{
    handle::{connection::Connection, counted::SessionHandle, offered::Offered, requests::IncomingLink},
    state::ids::{Place, SessionKey},
    types::error::Error,
};
use amqp1_codec::{
    Symbol,
    definitions::{AmqpError, ErrorCondition},
    performative::Open,
    printable::bounded_debug,
};
use std::{collections::HashMap, fmt, sync::Arc};

#[cfg(feature = "tls")]
use rustls::pki_types::CertificateDer;

/// Who a client is, as SASL had it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) mechanism: Symbol,
    pub(crate) name: String,
}

/// A connection whose open was not answered yet. Dropped, it is refused.
pub struct IncomingConnection {
    connection: Connection,
    identity: Option<Identity>,
    answered: bool,
}

impl fmt::Debug for IncomingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, identity, answered } = self;
        bounded_debug(f, |f| {
            f.debug_struct("IncomingConnection")
                .field("connection", connection)
                .field("identity", identity)
                .field("answered", answered)
                .finish()
        })
    }
}

impl IncomingConnection {
    pub(crate) fn new(connection: Connection, identity: Option<Identity>) -> Self {
        Self { connection, identity, answered: false }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The client's open. It is decoded at each call.
    pub fn open(&self) -> Open {
        self.connection.remote_open()
    }

    /// Who the client is, as the authenticator said; `None` without an identity: without an authenticator, or without a
    /// SASL layer.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.name.as_str()).filter(|name| !name.is_empty())
    }

    /// The SASL mechanism that the client used; `None` without a SASL layer.
    pub fn mechanism(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.mechanism.as_str())
    }

    /// The certificates that the client has shown in TLS, its own first; `None` if it has shown none.
    #[cfg(feature = "tls")]
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.connection.peer_certificates()
    }

    /// Answers the open.
    ///
    /// # Errors
    ///
    /// If the connection has ended meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn accept(mut self) -> Result<ServerConnection, Error> {
        self.answered = true;
        self.connection.shared().command(|state, _| state.engine.answer_open())?;
        self.connection.opened().await?;
        Ok(ServerConnection { connection: self.connection.clone(), sessions: HashMap::new() })
    }

    /// Refuses the client and says why: an open, and a close with the error (§2.4.6).
    ///
    /// # Errors
    ///
    /// If the connection has ended otherwise meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn refuse(mut self, error: AmqpError) -> Result<(), Error> {
        self.answered = true;
        self.connection.shared().command(|state, _| state.engine.refuse_open(error))?;
        self.connection.shut().await
    }
}

impl Drop for IncomingConnection {
    fn drop(&mut self) {
        if !self.answered {
            let error = AmqpError::new(ErrorCondition::NOT_ALLOWED, "the connection was not accepted");
            let _ = self.connection.shared().command(|state, _| state.engine.refuse_open(error));
        }
    }
}

/// A connection that a client has made. When it is dropped, no more links are accepted; those that were accepted go on.
/// Without any link and any other handle, the connection closes.
#[derive(Debug)]
pub struct ServerConnection {
    connection: Connection,
    /// Sessions that the client began: they live until it ends them, links or not.
    sessions: HashMap<SessionKey, Arc<SessionHandle>>,
}

impl ServerConnection {
    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits for the next link that the client wants to attach; `None` when the connection has ended. Sessions are
    /// accepted by themselves.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no link is lost.
    pub async fn next_link(&mut self) -> Option<IncomingLink> {
        let offered = self.connection.shared().wait(Place::Connection, |state| {
            let server = state.server.as_mut()?;
            while let Some(id) = server.offered.pop_front() {
                let found =
                    state.engine.link(id).ok().and_then(|link| Some((link.session_id(), link.remote_attach()?)));
                let found = found.and_then(|(session, attach)| Some((state.engine.session_key(session)?, attach)));
                if let Some((session, attach)) = found {
                    if let Some(session) = state.sessions.get_mut(&session) {
                        session.unheld = false;
                    }
                    return Some(Some((id, session, attach)));
                }
                state.links.remove(&id);
                state.engine.forget_link(id, false);
            }
            state.closed.is_some().then_some(None)
        });
        let (id, session, attach) = offered.await.ok().flatten()?;
        let session = self.session(session);
        let shared = self.connection.shared().clone();
        Some(IncomingLink::new(Offered::new(shared, id, session, attach)))
    }

    fn session(&mut self, id: SessionKey) -> Arc<SessionHandle> {
        let connection = self.connection.handle();
        // Those that are over are dropped when the lock is released: their drop takes it.
        let over: Vec<_> = connection.shared.look(|state| {
            let over = |id: &&SessionKey| state.sessions.get(*id).is_none_or(|session| session.ended.is_some());
            self.sessions.keys().filter(over).copied().collect()
        });
        for id in over {
            self.sessions.remove(&id);
        }
        let begin = || Arc::new(SessionHandle { connection: connection.clone(), id });
        self.sessions.entry(id).or_insert_with(begin).clone()
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        let _ = self.connection.shared().command(|state, _| {
            let Some(server) = &mut state.server else { return };
            server.deaf = true;
            for id in std::mem::take(&mut server.offered) {
                let error = AmqpError::new(ErrorCondition::NOT_ALLOWED, "the link was not accepted");
                let _ = state.engine.link(id).and_then(|mut link| link.reject(error));
                state.links.remove(&id);
                state.engine.forget_link(id, true);
            }
        });
    }
}
