//! How links are attached.

use crate::{
    error::Error,
    link::{LinkHandle, LinkState},
    options::OnDrop,
    receiver::Receiver,
    sender::Sender,
    session::SessionHandle,
};
use amqp1_codec::{
    Str, Symbol, Value,
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::{FilterSet, Source, Target},
    performative::TargetArchetype,
    transaction::Coordinator,
};
use amqp1_engine::{ApiMisuse, Connection as Engine, Credit, LinkId, ReceiverConfig, SenderConfig};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A name that no other link of this process has.
fn unique_name(address: &str) -> Str {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{address}-{:x}-{number:x}", std::process::id()).into()
}

fn attach(
    session: Arc<SessionHandle>,
    close_on_drop: bool,
    attach: impl FnOnce(&mut Engine) -> Result<LinkId, ApiMisuse>,
) -> Result<Arc<LinkHandle>, Error> {
    let shared = session.shared().clone();
    let id = shared.command(|state, _| {
        let id = attach(&mut state.engine);
        let id = id.map_err(|misuse| state.closed_error().unwrap_or_else(|| misuse.into()))?;
        state.links.insert(id, LinkState::default());
        Ok::<_, Error>(id)
    })??;
    let timeout = session.connection.timeout;
    Ok(Arc::new(LinkHandle { shared, id, session, timeout, close_on_drop }))
}

/// Declares what both builders can be told.
macro_rules! common {
    () => {
        /// Sets the link's name.
        pub fn name(mut self, name: impl Into<Str>) -> Self {
            self.config.name = name.into();
            self
        }

        /// Sets whether deliveries are sent settled.
        pub fn settle_mode(mut self, mode: SenderSettleMode) -> Self {
            self.config.snd_settle_mode = mode;
            self
        }

        /// Sets when the receiver settles.
        pub fn receiver_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
            self.config.rcv_settle_mode = mode;
            self
        }

        /// Sets a link property.
        pub fn property(mut self, key: Symbol, value: impl Into<Value>) -> Self {
            self.config.properties.insert(key, value);
            self
        }

        /// Sets the largest message of this end, in octets.
        pub fn max_message_size(mut self, octets: u64) -> Self {
            self.config.max_message_size = Some(octets);
            self
        }

        /// Asks for an extension.
        pub fn desired_capability(mut self, capability: Symbol) -> Self {
            self.config.desired_capabilities.push(capability);
            self
        }

        /// Sets the source, address and all.
        pub fn source(mut self, source: Source) -> Self {
            self.config.source = Some(source);
            self
        }

        /// Sets the target, address and all.
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
}

impl SenderBuilder {
    pub(crate) fn new(session: Arc<SessionHandle>, address: Str) -> Self {
        let config = SenderConfig::new(unique_name(&address), Target::at(address));
        Self { session, config }
    }

    common!();

    /// Makes the target a transaction coordinator.
    pub fn coordinator(mut self, coordinator: Coordinator) -> Self {
        self.config.target = Some(TargetArchetype::Coordinator(coordinator));
        self
    }

    /// Attaches the link.
    ///
    /// # Errors
    ///
    /// If the peer refuses, or does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// A link that is attached and not returned is closed.
    pub async fn attach(self) -> Result<Sender, Error> {
        let durable = matches!(&self.config.source, Some(source) if source.durable.number() > 0);
        let id = self.session.id;
        let handle = attach(self.session, !durable, |engine| engine.attach_sender(id, self.config))?;
        handle.attached().await?;
        Ok(Sender::new(handle))
    }
}

/// A receiving link that is to be attached.
#[derive(Clone, Debug)]
#[must_use = "call attach"]
pub struct ReceiverBuilder {
    session: Arc<SessionHandle>,
    config: ReceiverConfig,
    on_drop: OnDrop,
}

impl ReceiverBuilder {
    pub(crate) fn new(session: Arc<SessionHandle>, address: Str) -> Self {
        let config = ReceiverConfig::new(unique_name(&address), Source::at(address));
        Self { session, config, on_drop: OnDrop::default() }
    }

    common!();

    /// Adds a filter to the source (§3.5.8).
    pub fn filter(mut self, name: Symbol, descriptor: impl Into<Value>, value: impl Into<Value>) -> Self {
        let source = self.config.source.get_or_insert_default();
        source.filter.get_or_insert_with(FilterSet::new).insert(name, descriptor, value);
        self
    }

    /// Sets how many deliveries are allowed.
    pub fn credit(mut self, credit: Credit) -> Self {
        self.config.credit = credit;
        self
    }

    /// Sets what becomes of deliveries that are dropped without having been settled.
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Attaches the link.
    ///
    /// # Errors
    ///
    /// If the peer refuses, or does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// A link that is attached and not returned is closed.
    pub async fn attach(self) -> Result<Receiver, Error> {
        let durable = matches!(&self.config.source, Some(source) if source.durable.number() > 0);
        let id = self.session.id;
        let handle = attach(self.session, !durable, |engine| engine.attach_receiver(id, self.config))?;
        handle.attached().await?;
        Ok(Receiver::new(handle, self.on_drop))
    }
}
