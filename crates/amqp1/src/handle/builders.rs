//! How links are attached.

use crate::{
    handle::{
        counted::{LinkHandle, SessionHandle},
        granted::Asked,
        receiver::Receiver,
        sender::Sender,
        undecodable,
    },
    observe::{TraceContext, TraceSource},
    state::{
        attaching::{self, Attaching, Resumption, check_streamed},
        engine::Engine,
        link::LinkState,
        suspended::{Left, Modes, Shelf},
    },
    types::{
        error::Error,
        filter::Filter,
        names,
        options::{DEFAULT_MAX_MESSAGE_SIZE, OnDrop},
    },
};
use amqp1_codec::{
    Str, Symbol, Value,
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::{DeliveryState, FilterSet, Source, Target, TerminusDurability, TerminusExpiryPolicy},
    performative::TargetArchetype,
    printable::printable,
    transaction::Coordinator,
};
use amqp1_engine::{ApiMisuse, Credit, DrainMode, LinkId, ReceiverConfig, SenderConfig, Suspended};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Attaches this end and waits for the other.
async fn attach(
    session: Arc<SessionHandle>,
    link: LinkState,
    close_on_drop: bool,
    resumption: Option<Resumption>,
    asked: Option<&Asked>,
    attach: impl FnOnce(&mut Engine, Option<Suspended>) -> Result<LinkId, ApiMisuse>,
) -> Result<Arc<LinkHandle>, Error> {
    let shared = session.shared().clone();
    let id = session.id;
    let attaching = Attaching::begin(&shared, resumption, |state, left| {
        if let Some(over) = state.session_failure(id) {
            return Err(over);
        }
        attaching::insert(state, link, |engine| attach(engine, left))
    })?;
    let handle = Arc::new(LinkHandle { shared, id: attaching.id(), session, close_on_drop, trace: OnceLock::new() });
    // Dropped before the handle: what is left is put back before the link is forgotten.
    let attaching = attaching;
    handle.attached().await?;
    if let Some(asked) = asked {
        // Of a link that is over already nothing more will come.
        let granted = handle.shared.look(|state| state.remote_attach(handle.id));
        granted.map_or(Ok(()), |granted| asked.check(&granted))?;
    }
    attaching.done();
    Ok(handle)
}

/// §3.5.5, §3.5.6: whether something of the link is to outlive it, so that dropping it must not close it.
fn outlives(source: Option<&Source>, target: Option<&TargetArchetype>) -> bool {
    let lasts = |durable, expiry| durable != TerminusDurability::None || expiry == TerminusExpiryPolicy::Never;
    source.is_some_and(|source| lasts(source.durable, source.expiry_policy))
        || target.and_then(TargetArchetype::as_target).is_some_and(|target| lasts(target.durable, target.expiry_policy))
}

/// A source whose deliveries may have any outcome (§3.5.3). What is sent over it and cannot be routed is rejected; else
/// it would cost the link.
fn any_outcome() -> Source {
    Source { outcomes: DeliveryState::STANDARD_OUTCOMES.to_vec().into(), ..Source::default() }
}

/// The beginning of an error of attaching: which link it is about.
fn named(role: &str, address: Option<&str>, coordinator: bool) -> String {
    match address {
        _ if coordinator => "control link".to_owned(),
        Some(address) => format!("{role} \"{}\"", printable(address)),
        None => format!("{role} a node without an address"),
    }
}

/// Declares what both builders can be told.
macro_rules! common {
    () => {
        /// Sets the link's name (§2.6.1); one that no other link has unless set.
        pub fn name(mut self, name: impl Into<Str>) -> Self {
            self.config.name = name.into();
            self
        }

        /// Sets whether the sender sends deliveries settled (§2.8.2), so that they have no outcome; it decides for each unless
        /// set.
        pub fn settle_mode(mut self, mode: SenderSettleMode) -> Self {
            self.config.snd_settle_mode = mode;
            self
        }

        /// Sets when the receiver settles (§2.8.3): with its outcome unless set, or after the sender has settled.
        pub fn receiver_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
            self.config.rcv_settle_mode = mode;
            self
        }

        /// Sets a link property.
        pub fn property(mut self, key: impl Into<Symbol>, value: impl Into<Value>) -> Self {
            self.config.properties.insert(key, value);
            self
        }

        /// Sets the largest message that this end takes, in octets; 0 for any. The peer is told. A receiver takes
        /// [`DEFAULT_MAX_MESSAGE_SIZE`](crate::link::DEFAULT_MAX_MESSAGE_SIZE) unless set, one that is streamed any.
        pub fn max_message_size(mut self, octets: u64) -> Self {
            self.config.max_message_size = Some(octets);
            self
        }

        /// Sets whether the link can be [resumed](crate::resume) after it is suspended (§2.6.13): then what is not settled
        /// is kept, messages included.
        pub fn resumable(mut self, resumable: bool) -> Self {
            self.config.resumable = resumable;
            self
        }

        /// Attaches the link also if the peer does not grant what was asked for. Unless set, that is an error
        /// ([`ErrorKind::NotGranted`](crate::ErrorKind::NotGranted)) for a filter, a distribution mode, a dynamic node
        /// without an address, and a settle mode that is answered with its opposite. What is in force is in
        /// `remote_attach()`.
        pub fn allow_differences(mut self) -> Self {
            self.allow_differences = true;
            self
        }

        /// Asks for an extension.
        pub fn desired_capability(mut self, capability: impl Into<Symbol>) -> Self {
            self.config.desired_capabilities.push(capability.into());
            self
        }

        /// Goes on with what an earlier endpoint has left.
        pub(crate) fn go_on(mut self, name: &Str, modes: Option<Modes>, shelf: &Shelf) -> Self {
            self.config.name = name.clone();
            self.config.resumable = true;
            if let Some(Modes { sender, receiver }) = modes {
                (self.config.snd_settle_mode, self.config.rcv_settle_mode) = (sender, receiver);
            }
            self.resume = Some(shelf.clone());
            self
        }

        /// Sets the source (§3.5.3), address and all.
        pub fn source(mut self, source: Source) -> Self {
            self.config.source = Some(source);
            self
        }

        /// Sets the target (§3.5.4), address and all.
        pub fn target(mut self, target: Target) -> Self {
            self.config.target = Some(target.into());
            self
        }
    };
}

/// A sending link that is to be attached.
#[derive(Clone, Debug)]
#[must_use = "call attach"]
pub struct SenderBuilder {
    session: Arc<SessionHandle>,
    config: SenderConfig,
    resume: Option<Shelf>,
    allow_differences: bool,
    outcome_timeout: Option<Option<Duration>>,
    trace: Option<TraceSource>,
}

impl SenderBuilder {
    pub(crate) fn new(session: Arc<SessionHandle>, address: Str) -> Self {
        let config = SenderConfig::new(names::link(&address), Target::at(address));
        Self::of(session, config)
    }

    pub(crate) fn anonymous(session: Arc<SessionHandle>) -> Self {
        let mut config = SenderConfig::new(names::link("relay"), Target::default());
        config.source = Some(any_outcome());
        Self::of(session, config)
    }

    pub(crate) fn of(session: Arc<SessionHandle>, config: SenderConfig) -> Self {
        Self { session, config, resume: None, allow_differences: false, outcome_timeout: None, trace: None }
    }

    common!();

    /// Sets who answers when the receiver drains the link (§2.6.7); unless set, that is done when those who wait for
    /// credit have sent. With [`DrainMode::APPLICATION`] the application answers by
    /// [`Sender::drained`], within one second; a store that fetches slowly wants [`DrainMode::Application`] with a longer
    /// time-out.
    pub fn drain_mode(mut self, mode: DrainMode) -> Self {
        self.config.drain_mode = mode;
        self
    }

    /// Bounds the wait for each outcome on this link; as on other links of the connection unless set, `None` for no limit.
    pub fn outcome_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.outcome_timeout = Some(timeout.into());
        self
    }

    /// Has messages carry W3C trace context in their application properties, unless they carry one already: that which
    /// `current` returns when a message is about to be sent, if it returns one. `current` may be called by any task that sends.
    ///
    /// Each message is taken apart and put together again for that: set it where traces are kept.
    ///
    /// ```no_run
    /// # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
    /// use amqp1::observe::TraceContext;
    ///
    /// // From the current span of the tracing library.
    /// let current = || TraceContext::new([1; 16], [2; 8], true);
    /// let sender = session.sender("queue").trace_context(current).attach().await?;
    /// # Ok(()) }
    /// ```
    pub fn trace_context(mut self, current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        self.trace = Some(TraceSource::new(current));
        self
    }

    /// Sets how many deliveries may be unsettled before [`Sender::reserve`] and [`Sender::send`] wait, whatever the credit;
    /// 65,536 unless set.
    pub fn max_unsettled(mut self, deliveries: u32) -> Self {
        self.config.max_unsettled = deliveries;
        self
    }

    /// Adds a capability that the node is to have, to those of the target: such as
    /// [`TOPIC`](crate::brokers::artemis::TOPIC). It says nothing to a coordinator.
    pub fn target_capability(mut self, capability: impl Into<Symbol>) -> Self {
        if let TargetArchetype::Target(target) = self.config.target.get_or_insert_with(|| Target::default().into()) {
            target.capabilities.0.push(capability.into());
        }
        self
    }

    /// Makes the target a transaction coordinator.
    pub fn coordinator(mut self, coordinator: Coordinator) -> Self {
        self.config.target = Some(TargetArchetype::Coordinator(coordinator));
        self
    }

    /// Attaches the link.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LinkRefused`](crate::ErrorKind::LinkRefused) with what the peer said, or if it does not answer in
    /// time, or the session ends. [`ErrorKind::NotGranted`](crate::ErrorKind::NotGranted) with what is missing of what was
    /// asked for: see [`allow_differences`](Self::allow_differences).
    ///
    /// # Cancel safety
    ///
    /// A link that is attached and not returned is closed.
    pub async fn attach(self) -> Result<Sender, Error> {
        let Self { session, mut config, resume, allow_differences, outcome_timeout, trace } = self;
        let asked = Asked::of_receiver(config.target.as_ref(), config.rcv_settle_mode);
        let asked = Some(asked).filter(|asked| !allow_differences && !asked.is_nothing());
        let id = session.id;
        let mut link = LinkState::new(config.snd_settle_mode);
        link.outcome_timeout = outcome_timeout;
        config.drain_mode = link.drain.choose(config.drain_mode, session.connection.timeout);
        let closes = !outlives(config.source.as_ref(), config.target.as_ref());
        let target = config.target.clone();
        let resumption = config
            .resumable
            .then(|| Resumption::of(&config.name, config.snd_settle_mode, config.rcv_settle_mode, resume));
        let attach = attach(session, link, closes, resumption, asked.as_ref(), |engine, left| {
            let resume = left.and_then(Left::sender);
            engine.session(id)?.attach_sender(SenderConfig { resume, ..config })
        });
        let traced = |handle: Arc<LinkHandle>| {
            if let Some(trace) = trace {
                handle.trace.get_or_init(|| trace);
            }
            Sender::new(handle)
        };
        attach.await.map(traced).map_err(|error| {
            let address =
                target.as_ref().and_then(TargetArchetype::as_target).and_then(|target| target.address.as_deref());
            let coordinator = matches!(target, Some(TargetArchetype::Coordinator(_)));
            error.with_prefix(named("sender to", address, coordinator))
        })
    }
}

/// A receiving link that is to be attached.
#[derive(Clone, Debug)]
#[must_use = "call attach"]
pub struct ReceiverBuilder {
    session: Arc<SessionHandle>,
    config: ReceiverConfig,
    resume: Option<Shelf>,
    on_drop: OnDrop,
    allow_differences: bool,
    /// Whether the application has said how many deliveries may be unsettled.
    bounded: bool,
}

impl ReceiverBuilder {
    pub(crate) fn new(session: Arc<SessionHandle>, address: Str) -> Self {
        let config = ReceiverConfig::new(names::link(&address), Source::at(address));
        Self { session, config, resume: None, on_drop: OnDrop::default(), allow_differences: false, bounded: false }
    }

    common!();

    /// Attaches without a source: the link asks for the one that it has at the peer, whose answer says what it is (§2.6.3).
    /// A durable subscription that is known by the link's [name](Self::name) alone is ended like that: attach, and close.
    /// Refused if there is none.
    pub fn existing_source(mut self) -> Self {
        self.config.source = None;
        self
    }

    /// Adds a filter to the source (§3.5.8): see [`Filter`] and [`brokers`](crate::brokers). If the peer does not grant
    /// it, the attach fails: see [`allow_differences`](Self::allow_differences).
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        let source = self.config.source.get_or_insert_default();
        filter.into().insert_into(source.filter.get_or_insert_with(FilterSet::new));
        self
    }

    /// Adds a capability that the node is to have, to those of the source: such as
    /// [`TOPIC`](crate::brokers::artemis::TOPIC).
    pub fn source_capability(mut self, capability: impl Into<Symbol>) -> Self {
        self.config.source.get_or_insert_default().capabilities.0.push(capability.into());
        self
    }

    /// Has messages that cannot be decoded rejected with `amqp:decode-error`, or dropped if the sender has settled them,
    /// instead of handing them over. Each is logged as a warning and counted ([`Receiver::undecodable`]). Off unless set;
    /// not for links that are [`streamed`](Self::streamed).
    pub fn reject_undecodable(mut self, reject: bool) -> Self {
        self.config.reject_undecodable = reject;
        self
    }

    /// Sets how much credit the sender gets; a window of 200 deliveries unless set. Deliveries that were received do not
    /// count, settled or not: [`max_unsettled`](Self::max_unsettled) bounds them.
    pub fn credit(mut self, credit: Credit) -> Self {
        self.config.credit = credit;
        self
    }

    /// Sets how many deliveries may be unsettled at a time, whether they wait to be received or are worked on: a window of
    /// credit is not filled beyond it. A worker sets it to the number of jobs that it works on at a time. 65,536 unless
    /// set. [`Credit::Manual`] is given as it is.
    pub fn max_unsettled(mut self, deliveries: u32) -> Self {
        self.config.max_unsettled = deliveries;
        self.bounded = true;
        self
    }

    /// Has messages come piece by piece, with [`Receiver::recv_stream`], in memory that does not grow with them.
    pub fn streamed(mut self) -> Self {
        self.config.streamed = true;
        self
    }

    /// Sets what becomes of deliveries that are dropped unsettled; [`OnDrop::Modify`] unless set.
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Attaches the link.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LinkRefused`](crate::ErrorKind::LinkRefused) with what the peer said, or if it does not answer in
    /// time, or the session ends. [`ErrorKind::NotGranted`](crate::ErrorKind::NotGranted) with what is missing of what was
    /// asked for: see [`allow_differences`](Self::allow_differences).
    ///
    /// # Cancel safety
    ///
    /// A link that is attached and not returned is closed.
    pub async fn attach(self) -> Result<Receiver, Error> {
        let Self { session, mut config, resume, on_drop, allow_differences, bounded } = self;
        let asked = Asked::of_sender(config.source.as_ref(), config.snd_settle_mode);
        let asked = Some(asked).filter(|asked| !allow_differences && !asked.is_nothing());
        // Nothing is to come before it is known what is in force.
        let credit = asked.as_ref().map(|_| std::mem::replace(&mut config.credit, Credit::Manual(0)));
        check_streamed(config.streamed, config.resumable)?;
        undecodable::check(config.streamed, config.reject_undecodable)?;
        let (id, mut link) = (session.id, LinkState::new(config.snd_settle_mode));
        // Where this end alone settles, a bound that was chosen is how many deliveries are worked on at a time: being at it
        // is no reason to warn.
        link.withheld_reported = bounded && config.rcv_settle_mode == ReceiverSettleMode::First;
        let closes = !outlives(config.source.as_ref(), config.target.as_ref());
        let streamed = config.streamed;
        let address = config.source.as_ref().and_then(|source| source.address.clone());
        let resumption = config
            .resumable
            .then(|| Resumption::of(&config.name, config.snd_settle_mode, config.rcv_settle_mode, resume));
        let attach = attach(session, link, closes, resumption, asked.as_ref(), |engine, left| {
            let resume = left.and_then(Left::receiver);
            let default = (!streamed).then_some(DEFAULT_MAX_MESSAGE_SIZE);
            let max_message_size = config.max_message_size.or(default);
            engine.session(id)?.attach_receiver(ReceiverConfig { resume, max_message_size, ..config })
        });
        let attached = attach.await;
        let attached =
            attached.map_err(|error| error.with_prefix(named("receiver from", address.as_deref(), false)))?;
        let mut receiver = Receiver::new(attached, on_drop, streamed);
        if let Some(credit) = credit {
            // A link that is over by now says so when it is used.
            let _ = receiver.set_credit(credit);
        }
        Ok(receiver)
    }
}
