//! What clients ask of an acceptor: connections, and links.

use crate::{
    connection::Connection,
    error::Error,
    link::{LinkHandle, LinkState},
    options::OnDrop,
    receiver::Receiver,
    sender::Sender,
    session::{Session, SessionHandle},
};
use amqp1_codec::{
    Symbol,
    definitions::{AmqpError, Role},
    performative::{Attach, Open},
};
use amqp1_engine::{ApiMisuse, AttachReply, LinkId, SessionId};
use std::{
    collections::HashMap,
    sync::Arc,
    task::Poll,
};

/// A connection whose open was not answered yet.
#[derive(Debug)]
pub struct IncomingConnection {
    connection: Connection,
    open: Open,
    identity: Option<(Symbol, String)>,
}

impl IncomingConnection {
    pub(crate) fn new(connection: Connection, identity: Option<(Symbol, String)>) -> Self {
        let open = connection.remote_open();
        Self { connection, open, identity }
    }

    /// What the client opens the connection with.
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Who the client is, as the authenticator said; `None` without a SASL layer.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_ref().map(|(_, identity)| identity.as_str())
    }

    /// The SASL mechanism that the client used; `None` without a SASL layer.
    pub fn mechanism(&self) -> Option<&str> {
        self.identity.as_ref().map(|(mechanism, _)| mechanism.as_str())
    }

    /// The certificates that the client has shown in TLS, in DER, its own first.
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
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
    pub async fn accept(self) -> Result<ServerConnection, Error> {
        self.connection.shared().command(|state, _| state.engine.answer_open())?;
        self.connection.opened().await?;
        Ok(ServerConnection { connection: self.connection, sessions: HashMap::new() })
    }

    /// Refuses the client and says why: an open, and a close with the error.
    ///
    /// # Errors
    ///
    /// If the connection has ended meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn refuse(self, error: AmqpError) -> Result<(), Error> {
        self.connection.shared().command(|state, _| state.engine.refuse_open(error))?;
        self.connection.close().await
    }
}

/// Sessions that the peer began: they live until it ends them, links or not.
type Sessions = HashMap<SessionId, Arc<SessionHandle>>;

/// A connection that a client has made.
#[derive(Debug)]
pub struct ServerConnection {
    connection: Connection,
    sessions: Sessions,
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
        let offered = self.connection.shared().wait(|state, aside| {
            while let Some(id) = state.offered.pop_front() {
                if let (Some(attach), Some(session)) =
                    (state.engine.remote_attach(id).cloned(), state.engine.session_of(id))
                {
                    return Poll::Ready(Some((id, session, attach)));
                }
            }
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            aside.join(&mut state.waiting);
            Poll::Pending
        });
        let (id, session, attach) = offered.await.ok().flatten()?;
        Some(IncomingLink { id, session: self.session(session), attach, answered: false })
    }

    fn session(&mut self, id: SessionId) -> Arc<SessionHandle> {
        let connection = self.connection.handle();
        let over = |id: &SessionId| {
            connection.shared.look(|state| state.sessions.get(id).is_none_or(|session| session.ended.is_some()))
        };
        self.sessions.retain(|id, _| !over(id));
        let begin = || Arc::new(SessionHandle { connection: connection.clone(), id });
        self.sessions.entry(id).or_insert_with(begin).clone()
    }
}

/// A link that a client wants to attach. Dropped without an answer, it is refused.
#[derive(Debug)]
pub struct IncomingLink {
    id: LinkId,
    session: Arc<SessionHandle>,
    attach: Attach,
    answered: bool,
}

/// A link that was accepted: our end of it.
#[derive(Debug)]
pub enum AcceptedLink {
    /// The client receives.
    Sender(Sender),
    /// The client sends.
    Receiver(Receiver),
}

impl IncomingLink {
    /// What the client attaches the link with.
    pub fn attach(&self) -> &Attach {
        &self.attach
    }

    /// Which end the client is.
    pub fn role(&self) -> Role {
        self.attach.role
    }

    /// The address at our end: the target if the client sends, the source if it receives.
    pub fn address(&self) -> Option<&str> {
        match self.attach.role {
            Role::Sender => self.attach.target.as_ref()?.as_target()?.address.as_deref(),
            Role::Receiver => self.attach.source.as_ref()?.address.as_deref(),
        }
    }

    /// The session that it is on.
    pub fn session(&self) -> Session {
        Session::new(self.session.clone())
    }

    /// An answer that grants what the client asked for, to be changed as needed.
    pub fn reply(&self) -> AttachReply {
        AttachReply::echo(&self.attach)
    }

    /// Accepts the link.
    ///
    /// # Errors
    ///
    /// If it has ended meanwhile.
    pub fn accept(mut self, reply: AttachReply) -> Result<AcceptedLink, Error> {
        self.answered = true;
        let id = self.id;
        let shared = self.session.shared().clone();
        shared.command(|state, _| {
            state.engine.accept_link(id, reply).map_err(|misuse| state.closed_error().unwrap_or_else(|| misuse.into()))?;
            state.links.entry(id).or_insert_with(LinkState::default).attached = true;
            Ok::<_, Error>(())
        })??;
        let timeout = self.session.connection.timeout;
        let session = self.session.clone();
        let handle = Arc::new(LinkHandle { shared, id, session, timeout, close_on_drop: true });
        Ok(match self.attach.role {
            Role::Receiver => AcceptedLink::Sender(Sender::new(handle)),
            Role::Sender => AcceptedLink::Receiver(Receiver::new(handle, OnDrop::default())),
        })
    }

    /// Refuses the link and says why (§2.6.3).
    pub fn reject(mut self, error: AmqpError) {
        self.answered = true;
        self.refuse(error);
    }

    fn refuse(&self, error: AmqpError) {
        let id = self.id;
        let _ = self.session.shared().command(|state, _| {
            let refused: Result<(), ApiMisuse> = state.engine.reject_link(id, error);
            state.links.remove(&id);
            refused
        });
    }
}

impl Drop for IncomingLink {
    fn drop(&mut self) {
        if !self.answered {
            let error = AmqpError::new(amqp1_codec::definitions::ErrorCondition::NOT_ALLOWED, "the link was not accepted");
            self.refuse(error);
        }
    }
}
