//! What clients ask of an acceptor: connections, and links.

use crate::{
    handle::{
        connection::Connection,
        counted::{LinkHandle, SessionHandle},
        receiver::Receiver,
        sender::Sender,
        session::Session,
        undecodable,
    },
    state::{
        attaching::{Attaching, answer_resuming, check_streamed, resumption_of},
        ids::Place,
        shared::Shared,
        suspended::Shelf,
    },
    types::{
        error::{Error, ErrorKind},
        options::{DEFAULT_MAX_MESSAGE_SIZE, OnDrop},
    },
};
use amqp1_broker::terminus::{self, Support};
use amqp1_codec::{
    Str, Symbol,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Attach, Open, TargetArchetype},
    printable::bounded_debug,
};
use amqp1_engine::{AttachReply, LinkId, SessionId};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

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

    /// What the client opens the connection with. It is decoded at each call.
    pub fn open(&self) -> Open {
        self.connection.remote_open()
    }

    /// Who the client is, as the authenticator said; `None` if nobody said so: without an authenticator, or without a
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
    sessions: HashMap<SessionId, Arc<SessionHandle>>,
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
                let found = state.engine.link(id).ok().map(|link| (link.session_id(), link.remote_attach()));
                if let Some((session, Some(attach))) = found {
                    if let Some(session) = state.sessions.get_mut(&session) {
                        session.unheld = false;
                    }
                    return Some(Some((id, session, attach)));
                }
                state.links.remove(&id);
            }
            state.closed.is_some().then_some(None)
        });
        let (id, session, attach) = offered.await.ok().flatten()?;
        let session = self.session(session);
        let shared = self.connection.shared().clone();
        // From here on the link has a handle; if it is dropped without an answer, the link is refused.
        let handle = Arc::new(LinkHandle { shared, id, session, close_on_drop: true, trace: OnceLock::new() });
        Some(IncomingLink { id, handle, attach, answered: false })
    }

    fn session(&mut self, id: SessionId) -> Arc<SessionHandle> {
        let connection = self.connection.handle();
        // Those that are over are dropped when the lock is released: their drop takes it.
        let over: Vec<_> = connection.shared.look(|state| {
            let over = |id: &&SessionId| state.sessions.get(*id).is_none_or(|session| session.ended.is_some());
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
            }
        });
    }
}

/// A link that a client wants to attach. Dropped without an answer, it is refused.
#[derive(Debug)]
pub struct IncomingLink {
    id: LinkId,
    handle: Arc<LinkHandle>,
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

    /// The address of the node at our end: the target's if the client sends, the source's if it receives. `None` for control
    /// links, dynamic nodes and the anonymous relay.
    pub fn address(&self) -> Option<&str> {
        match self.attach.role {
            Role::Sender => self.attach.target.as_ref().and_then(TargetArchetype::as_target)?.address.as_deref(),
            Role::Receiver => self.attach.source.as_ref()?.address.as_deref(),
        }
    }

    /// The session that it is on.
    pub fn session(&self) -> Session {
        Session::new(self.handle.session.clone())
    }

    /// Whether the client asks for a node to be created at our end (§3.5.3).
    pub fn is_dynamic(&self) -> bool {
        match self.attach.role {
            Role::Sender => self.attach.target.as_ref().and_then(TargetArchetype::as_target).is_some_and(|t| t.dynamic),
            Role::Receiver => self.attach.source.as_ref().is_some_and(|source| source.dynamic),
        }
    }

    /// An answer that grants what needs no support by the node ([`AttachReply::basic`]), to be changed as needed. Where the
    /// client sends with receiver-settle-mode second, it says first
    /// ([`Tolerances::second_answered_first`](crate::Tolerances)): an application that settles in two steps sets
    /// [`AttachReply::rcv_settle_mode`] to that of the attach.
    pub fn reply(&self) -> AttachReply {
        self.with_mode(AttachReply::basic(&self.attach))
    }

    /// An answer that grants what the node supports, to be changed as needed. `node` is the address of the node that was
    /// created for the link, if [it asks for one](Self::is_dynamic).
    ///
    /// ```
    /// use amqp1::{
    ///     AcceptedLink, Error, IncomingLink,
    ///     codec::messaging::DistributionMode,
    ///     broker::terminus::Support,
    /// };
    ///
    /// /// Accepts browsers, and makes temporary queues.
    /// fn accept(link: IncomingLink, next_queue: &mut u64) -> Result<Option<AcceptedLink>, Error> {
    ///     let support = Support {
    ///         distribution_modes: vec![DistributionMode::MOVE, DistributionMode::COPY],
    ///         ..Support::default()
    ///     };
    ///     let node = link.is_dynamic().then(|| {
    ///         *next_queue += 1;
    ///         format!("temporary/{next_queue}").into()
    ///     });
    ///     match link.reply_with(&support, node) {
    ///         Ok(reply) => link.accept(reply).map(Some),
    ///         Err(error) => {
    ///             link.reject(error);
    ///             Ok(None)
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the link has to be refused: it names no node at our end, asks for a dynamic one while `node` is `None`, or wants
    /// a coordinator of transactions.
    pub fn reply_with(&self, support: &Support, node: Option<Str>) -> Result<AttachReply, AmqpError> {
        support.reply(&self.attach, node).map(|reply| self.with_mode(reply))
    }

    fn with_mode(&self, mut reply: AttachReply) -> AttachReply {
        let attach = &self.attach;
        reply.rcv_settle_mode = self.handle.shared.look(|state| state.engine.receiver_settle_mode_to_answer(attach));
        reply
    }

    /// Accepts the link with what needs no support by the node: see [`reply`](Self::reply).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn accept_default(self) -> Result<AcceptedLink, Error> {
        let reply = self.reply();
        self.accept(reply)
    }

    /// Accepts the link. The answer is queued; the link can be used at once.
    ///
    /// # Errors
    ///
    /// If it has ended meanwhile. [`ErrorKind::Config`](crate::ErrorKind::Config) if the client wants a coordinator of
    /// transactions (see [`coordinate`](Self::coordinate)), or the answer asks for what cannot be, has no terminus at our
    /// end, or no address where the client asked for a dynamic node (§2.6.3); then the link is refused, and
    /// [`Error::condition`] says with what.
    pub fn accept(self, reply: AttachReply) -> Result<AcceptedLink, Error> {
        self.accept_with(reply, None)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Accepts a control link.
    pub(crate) fn accept_control(self, reply: AttachReply) -> Result<Arc<LinkHandle>, Error> {
        self.accept_link(reply, None)
    }

    pub(crate) fn accept_with(self, reply: AttachReply, shelf: Option<Shelf>) -> Result<AcceptedLink, Error> {
        if let Some(TargetArchetype::Coordinator(_)) = reply.target {
            let text = "there are no transactions here";
            self.reject(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, text));
            return Err(Error::new(
                ErrorKind::Config,
                "the client wants a coordinator: accept the link with IncomingLink::coordinate",
            ));
        }
        let (role, streamed) = (self.attach.role, reply.streamed);
        let handle = self.accept_link(reply, shelf)?;
        Ok(match role {
            Role::Receiver => AcceptedLink::Sender(Sender::new(handle)),
            Role::Sender => AcceptedLink::Receiver(Receiver::new(handle, OnDrop::default(), streamed)),
        })
    }

    fn accept_link(mut self, mut reply: AttachReply, shelf: Option<Shelf>) -> Result<Arc<LinkHandle>, Error> {
        if let Some(error) = terminus::refusal(&self.attach, &reply) {
            let text = "the link cannot be accepted with this answer";
            self.answered = true;
            self.refuse(error.clone());
            return Err(Error::new(ErrorKind::Config, text).with_amqp(Some(error)));
        }
        let name = self.attach.name.clone();
        let resumption = resumption_of(name, &mut reply, shelf);
        check_streamed(reply.streamed, reply.resumable)?;
        undecodable::check(reply.streamed, reply.reject_undecodable)?;
        let id = self.id;
        let (mode, streamed) = (reply.snd_settle_mode, reply.streamed);
        if self.attach.role == Role::Sender && !streamed {
            reply.max_message_size.get_or_insert(DEFAULT_MAX_MESSAGE_SIZE);
        }
        // §3.5.3: a node without a default takes back what nobody has decided about.
        let default = reply.source.as_ref().map_or(DeliveryState::Released, terminus::default_outcome);
        let (remote, timeout) = (self.attach.snd_settle_mode, self.handle.timeout());
        let attaching = Attaching::begin(&self.handle.shared, resumption, |state, left| {
            let link = state.live_link(id)?;
            reply.drain_mode = link.drain.choose(reply.drain_mode, timeout);
            answer_resuming(&mut reply, left, self.attach.unsettled.is_some());
            state.engine.link(id).and_then(|mut link| link.accept(reply)).map_err(|misuse| state.explain(misuse))?;
            let link = state.live_link(id)?;
            link.attached = true;
            link.default_outcome = Some(Box::new(default));
            link.negotiate(Some(mode));
            link.negotiate(Some(remote));
            Ok(id)
        })?;
        self.answered = true;
        attaching.done();
        Ok(self.handle.clone())
    }

    /// Refuses the link and says why (§2.6.3).
    pub fn reject(mut self, error: impl Into<AmqpError>) {
        self.answered = true;
        self.refuse(error.into());
    }

    fn refuse(&self, error: AmqpError) {
        let id = self.id;
        let _ = self.handle.shared.command(|state, _| state.engine.link(id).and_then(|mut link| link.reject(error)));
    }
}

impl Drop for IncomingLink {
    fn drop(&mut self) {
        if !self.answered {
            self.refuse(AmqpError::new(ErrorCondition::NOT_ALLOWED, "the link was not accepted"));
        }
    }
}
