//! Links that clients ask for, by what this end is to be on them.

use crate::{
    handle::{offered::Offered, receiver::Receiver, sender::Sender, session::Session},
    state::suspended::Shelf,
    types::{
        error::{Error, ErrorKind},
        options::OnDrop,
    },
};
use amqp1_broker::terminus::Support;
use amqp1_codec::{
    Str, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{Source, Target},
    performative::{Attach, TargetArchetype},
};
use amqp1_engine::{AttachReply, Credit, DrainMode};
use std::time::Duration;

/// A link that a client wants to attach, by what this end is to be. Dropped without an answer, it is refused.
///
/// ```no_run
/// # async fn example(mut connection: amqp1::ServerConnection) -> Result<(), amqp1::Error> {
/// use amqp1::{error::{AmqpError, ErrorCondition}, Credit, IncomingLink};
///
/// while let Some(link) = connection.next_link().await {
///     match link {
///         IncomingLink::Receiver(request) => {
///             let mut receiver = request.credit(Credit::Window(10)).accept()?;
///             tokio::spawn(async move { receiver.recv().await });
///         }
///         other => other.reject(AmqpError::new(ErrorCondition::NOT_ALLOWED, "nothing is sent from here")),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum IncomingLink {
    /// The client receives: this end is to send.
    Sender(SenderRequest),
    /// The client sends: this end is to receive.
    Receiver(ReceiverRequest),
    /// The client wants a control link for transactions (§4.2).
    Coordinator(CoordinatorRequest),
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
    pub(crate) fn new(offered: Offered) -> Self {
        if matches!(offered.attach().target, Some(TargetArchetype::Coordinator(_))) {
            return Self::Coordinator(CoordinatorRequest { offered });
        }
        let reply = offered.basic_reply();
        match offered.attach().role {
            Role::Receiver => {
                Self::Sender(SenderRequest { offered, reply, left: None, wrong: None, outcome_timeout: None })
            }
            Role::Sender => {
                Self::Receiver(ReceiverRequest { offered, reply, left: None, wrong: None, on_drop: OnDrop::default() })
            }
        }
    }

    fn offered(&self) -> &Offered {
        match self {
            Self::Sender(request) => &request.offered,
            Self::Receiver(request) => &request.offered,
            Self::Coordinator(request) => &request.offered,
        }
    }

    /// The client's attach.
    pub fn attach(&self) -> &Attach {
        self.offered().attach()
    }

    /// Which end the client is.
    pub fn role(&self) -> Role {
        self.attach().role
    }

    /// The address of the node at our end: the target's if the client sends, the source's if it receives. `None` for control
    /// links, dynamic nodes and the anonymous relay.
    pub fn address(&self) -> Option<&str> {
        self.offered().address()
    }

    /// The session that it is on.
    pub fn session(&self) -> Session {
        self.offered().session()
    }

    /// Whether the client asks for a node to be created at our end (§3.5.3).
    pub fn is_dynamic(&self) -> bool {
        self.offered().is_dynamic()
    }

    /// Whether the client sends to no address: each message goes where its `to` says (§3.2.4). An acceptor that takes
    /// such links offers [`ANONYMOUS_RELAY`](crate::link::capability::ANONYMOUS_RELAY) in its open.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Receiver(request) if request.is_anonymous())
    }

    /// Whether the client resumes a link, and says what it knows of it (§2.6.13).
    pub fn is_resumed(&self) -> bool {
        self.attach().unsettled.is_some()
    }

    /// Accepts the link with what needs no support by the node: see [`SenderRequest::accept`] and
    /// [`ReceiverRequest::accept`].
    ///
    /// # Errors
    ///
    /// As these. [`ErrorKind::Config`](crate::ErrorKind::Config) if the client wants a coordinator of transactions; then
    /// the link is refused.
    pub fn accept_default(self) -> Result<AcceptedLink, Error> {
        match self {
            Self::Sender(request) => request.accept().map(AcceptedLink::Sender),
            Self::Receiver(request) => request.accept().map(AcceptedLink::Receiver),
            Self::Coordinator(request) => {
                request.reject(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "there are no transactions here"));
                let text = "the client wants a coordinator: accept the link with CoordinatorRequest::coordinate";
                Err(Error::new(ErrorKind::Config, text))
            }
        }
    }

    /// Refuses the link and says why (§2.6.3).
    pub fn reject(self, error: impl Into<AmqpError>) {
        match self {
            Self::Sender(SenderRequest { offered, .. })
            | Self::Receiver(ReceiverRequest { offered, .. })
            | Self::Coordinator(CoordinatorRequest { offered }) => offered.reject(error.into()),
        }
    }
}

/// Declares what both requests can be told, in the words of the client's builders.
macro_rules! common {
    () => {
        /// The client's attach.
        pub fn attach(&self) -> &Attach {
            self.offered.attach()
        }

        /// The address of the node at our end; `None` for dynamic nodes and the anonymous relay.
        pub fn address(&self) -> Option<&str> {
            self.offered.address()
        }

        /// The session that it is on.
        pub fn session(&self) -> Session {
            self.offered.session()
        }

        /// Whether the client asks for a node to be created at our end (§3.5.3).
        pub fn is_dynamic(&self) -> bool {
            self.offered.is_dynamic()
        }

        /// Whether the client resumes a link, and says what it knows of it (§2.6.13).
        pub fn is_resumed(&self) -> bool {
            self.attach().unsettled.is_some()
        }

        /// Grants what the node supports of what was asked for (§2.6.3). `node` is the address of the node that was created
        /// for the link, if [it asks for one](Self::is_dynamic). Without this, what needs no support by the node is
        /// granted: the addresses, and the four outcomes of the specification.
        ///
        /// # Errors
        ///
        /// Why the link has to be refused: it names no node at our end, or asks for a dynamic one while `node` is `None`.
        /// Nothing is changed then.
        pub fn grant(&mut self, support: &Support, node: Option<Str>) -> Result<(), AmqpError> {
            let granted = support.reply(self.offered.attach(), node)?;
            (self.reply.source, self.reply.target) = (granted.source, granted.target);
            Ok(())
        }

        /// Grants everything that was asked for, whether or not the node supports it, and says so.
        pub fn grant_everything(mut self) -> Self {
            let granted = AttachReply::echo(self.offered.attach());
            (self.reply.source, self.reply.target) = (granted.source, granted.target);
            self.reply.rcv_settle_mode = granted.rcv_settle_mode;
            self
        }

        /// The source that is answered as it stands.
        pub fn granted_source(&self) -> Option<&Source> {
            self.reply.source.as_ref()
        }

        /// The target that is answered as it stands.
        pub fn granted_target(&self) -> Option<&Target> {
            self.reply.target.as_ref().and_then(TargetArchetype::as_target)
        }

        /// Sets the source that is answered (§3.5.3); `None` for none.
        pub fn source(mut self, source: impl Into<Option<Source>>) -> Self {
            self.reply.source = source.into();
            self
        }

        /// Sets the target that is answered (§3.5.4); `None` for none.
        pub fn target(mut self, target: impl Into<Option<Target>>) -> Self {
            self.reply.target = target.into().map(Into::into);
            self
        }

        /// Sets whether deliveries are sent settled (§2.8.2); as the client asked for unless set.
        pub fn settle_mode(mut self, mode: SenderSettleMode) -> Self {
            self.reply.snd_settle_mode = mode;
            self
        }

        /// Sets when the receiver settles (§2.8.3). Unless set, as the client asked for, but for a client that sends and
        /// asks for mode second: it is answered first
        /// ([`Tolerances::second_answered_first`](crate::connection::Tolerances)). An application that settles in two steps sets this
        /// to the mode of the attach.
        pub fn receiver_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
            self.reply.rcv_settle_mode = mode;
            self
        }

        /// Sets a link property.
        pub fn property(mut self, key: Symbol, value: impl Into<Value>) -> Self {
            self.reply.properties.insert(key, value);
            self
        }

        /// Sets the largest message that this end takes, in octets; 0 for any. The client is told. A receiver takes
        /// [`DEFAULT_MAX_MESSAGE_SIZE`](crate::link::DEFAULT_MAX_MESSAGE_SIZE) unless set, one that is streamed any.
        pub fn max_message_size(mut self, octets: u64) -> Self {
            self.reply.max_message_size = Some(octets);
            self
        }

        /// Offers an extension.
        pub fn offered_capability(mut self, capability: Symbol) -> Self {
            self.reply.offered_capabilities.push(capability);
            self
        }

        /// Sets whether the link can be [resumed](crate::resume) after it is suspended (§2.6.13): then what is not settled
        /// is kept, messages included.
        pub fn resumable(mut self, resumable: bool) -> Self {
            self.reply.resumable = resumable;
            self
        }

        /// Forgets what the client attached with once it is answered, for servers with very many links: `remote_attach` of
        /// the link has the name, the role and the modes alone then.
        pub fn forget_attach(mut self) -> Self {
            self.reply.forget_attach = true;
            self
        }

        /// Goes on with what an earlier endpoint of the link of this name has left.
        pub(crate) fn go_on(mut self, name: &Str, left: Shelf) -> Self {
            self.wrong = self.offered.check_name(name).err();
            (self.left, self.reply.resumable) = (Some(left), true);
            self
        }

        /// Refuses the link and says why (§2.6.3).
        pub fn reject(self, error: impl Into<AmqpError>) {
            self.offered.reject(error.into());
        }
    };
}

/// A client asks for a link on which it receives. Dropped without an answer, it is refused.
#[derive(Debug)]
#[must_use = "a request that is dropped is refused"]
pub struct SenderRequest {
    offered: Offered,
    reply: AttachReply,
    /// The state of an earlier endpoint.
    left: Option<Shelf>,
    wrong: Option<Error>,
    outcome_timeout: Option<Option<Duration>>,
}

impl SenderRequest {
    common!();

    /// Sets who answers when the client drains the link (§2.6.7): as
    /// [`SenderBuilder::drain_mode`](crate::link::SenderBuilder::drain_mode).
    pub fn drain_mode(mut self, mode: DrainMode) -> Self {
        self.reply.drain_mode = mode;
        self
    }

    /// Sets how many deliveries may be unsettled before [`Sender::reserve`] and [`Sender::send`] wait, whatever the
    /// credit; 65,536 unless set.
    pub fn max_unsettled(mut self, deliveries: u32) -> Self {
        self.reply.max_unsettled = deliveries;
        self
    }

    /// Bounds the wait for each outcome on this link; as on other links of the connection unless set, `None` for no limit.
    pub fn outcome_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.outcome_timeout = Some(timeout.into());
        self
    }

    /// Accepts the link. The answer is queued; the link can be used at once.
    ///
    /// # Errors
    ///
    /// If it has ended meanwhile; what was to be [resumed](Self::resume) is as it was then.
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the answer asks for what cannot be, has no terminus at our end, or
    /// no address where the client asked for a dynamic node (§2.6.3), or what is to be resumed is of another link or was
    /// taken already; then the link is refused, and [`Error::condition`] says with what.
    pub fn accept(self) -> Result<Sender, Error> {
        let Self { offered, reply, left, wrong, outcome_timeout } = self;
        wrong.map_or(Ok(()), Err)?;
        offered.accept(reply, left, outcome_timeout).map(Sender::new)
    }
}

/// A client asks for a link on which it sends. Dropped without an answer, it is refused.
#[derive(Debug)]
#[must_use = "a request that is dropped is refused"]
pub struct ReceiverRequest {
    offered: Offered,
    reply: AttachReply,
    /// The state of an earlier endpoint.
    left: Option<Shelf>,
    wrong: Option<Error>,
    on_drop: OnDrop,
}

impl ReceiverRequest {
    common!();

    /// Whether the client sends to no address: each message goes where its `to` says (§3.2.4). An acceptor that takes
    /// such links offers [`ANONYMOUS_RELAY`](crate::link::capability::ANONYMOUS_RELAY) in its open.
    pub fn is_anonymous(&self) -> bool {
        let target = self.attach().target.as_ref().and_then(TargetArchetype::as_target);
        target.is_some_and(|target| target.address.is_none() && !target.dynamic)
    }

    /// Sets how many deliveries are allowed; a window of 200 unless set. Deliveries that the application has taken do not
    /// count, settled or not: [`max_unsettled`](Self::max_unsettled) bounds them.
    pub fn credit(mut self, credit: Credit) -> Self {
        self.reply.credit = credit;
        self
    }

    /// Sets how many deliveries may be unsettled at a time: as
    /// [`ReceiverBuilder::max_unsettled`](crate::link::ReceiverBuilder::max_unsettled).
    pub fn max_unsettled(mut self, deliveries: u32) -> Self {
        self.reply.max_unsettled = deliveries;
        self
    }

    /// Has messages that cannot be decoded rejected: as
    /// [`ReceiverBuilder::reject_undecodable`](crate::link::ReceiverBuilder::reject_undecodable).
    pub fn reject_undecodable(mut self, reject: bool) -> Self {
        self.reply.reject_undecodable = reject;
        self
    }

    /// Sets whether deliveries that the client has not settled are handed over as well if the link ends before they were
    /// taken. The client learns no outcome of them and may send them again. Not for links that are streamed, or suspended
    /// with what is not settled.
    pub fn unsettled_after_end(mut self, hand_over: bool) -> Self {
        self.reply.unsettled_after_end = hand_over;
        self
    }

    /// Has messages come piece by piece, with [`Receiver::recv_stream`], in memory that does not grow with them.
    pub fn streamed(mut self) -> Self {
        self.reply.streamed = true;
        self
    }

    /// Sets what becomes of deliveries that are dropped without having been settled; [`OnDrop::Modify`] unless set.
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Accepts the link. The answer is queued; the link can be used at once.
    ///
    /// # Errors
    ///
    /// If it has ended meanwhile; what was to be [resumed](Self::resume) is as it was then.
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the answer asks for what cannot be, has no terminus at our end, or
    /// no address where the client asked for a dynamic node (§2.6.3), or what is to be resumed is of another link or was
    /// taken already; then the link is refused, and [`Error::condition`] says with what.
    pub fn accept(self) -> Result<Receiver, Error> {
        let Self { offered, reply, left, wrong, on_drop } = self;
        wrong.map_or(Ok(()), Err)?;
        let streamed = reply.streamed;
        offered.accept(reply, left, None).map(|handle| Receiver::new(handle, on_drop, streamed))
    }
}

/// A client asks for a control link for transactions (§4.2). Dropped without an answer, it is refused.
#[derive(Debug)]
#[must_use = "a request that is dropped is refused"]
pub struct CoordinatorRequest {
    pub(crate) offered: Offered,
}

impl CoordinatorRequest {
    /// The client's attach.
    pub fn attach(&self) -> &Attach {
        self.offered.attach()
    }

    /// The session that it is on.
    pub fn session(&self) -> Session {
        self.offered.session()
    }

    /// Refuses the link and says why (§2.6.3).
    pub fn reject(self, error: impl Into<AmqpError>) {
        self.offered.reject(error.into());
    }
}
