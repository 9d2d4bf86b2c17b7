use super::{
    EventProcessor, Strategy,
    run::{Plan, Runner},
    store::{CheckpointStore, Scope},
};
use crate::{
    error::Error,
    events::{EventConsumerBuilder, EventPosition},
};
use std::{
    fmt,
    hash::{BuildHasher, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// An [`EventProcessor`] that is to be started.
#[must_use = "call start"]
pub struct EventProcessorBuilder {
    consumer: EventConsumerBuilder,
    store: Arc<dyn CheckpointStore>,
    owner_id: Option<String>,
    interval: Duration,
    expiration: Duration,
    strategy: Strategy,
    start: EventPosition,
}

impl fmt::Debug for EventProcessorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventProcessorBuilder")
            .field("consumer", &self.consumer)
            .field("owner_id", &self.owner_id)
            .field("interval", &self.interval)
            .field("expiration", &self.expiration)
            .field("strategy", &self.strategy)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl EventProcessorBuilder {
    pub(super) fn new(consumer: EventConsumerBuilder, store: impl CheckpointStore) -> Self {
        Self {
            consumer,
            store: Arc::new(store),
            owner_id: None,
            interval: Duration::from_secs(10),
            expiration: Duration::from_secs(120),
            strategy: Strategy::default(),
            start: EventPosition::Start,
        }
    }

    /// Sets by what the other processors know this one; a random text unless set. It must be
    /// unique among the processors.
    pub fn owner_id(mut self, id: impl Into<String>) -> Self {
        self.owner_id = Some(id.into());
        self
    }

    /// Sets how often the processor renews what it owns and looks for its share; 10 s unless set.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets after which time without a renewal the partitions of another processor may be taken; 2 min unless set. It has
    /// to be several times the interval, and the same for all processors. The clocks of their machines should differ by
    /// much less.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = expiration;
        self
    }

    /// Sets how fast the processor takes its share; [`Strategy::Balanced`] unless set.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets where a partition without a checkpoint is begun; with its oldest event unless set. With
    /// [`EventPosition::Latest`], events that come before the first checkpoint are lost when the processor ends there.
    pub fn start_position(mut self, position: EventPosition) -> Self {
        self.start = position;
        self
    }

    /// Asks which partitions there are, and starts to look for those that are this processor's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for times that do not go together; as
    /// [`EventConsumerBuilder::connect`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing was started.
    pub async fn start(self) -> Result<EventProcessor, Error> {
        if self.interval.is_zero() || self.expiration < self.interval * 2 {
            return Err(Error::invalid("the expiration of a processor has to be at least twice its interval"));
        }
        if self.owner_id.as_deref() == Some("") {
            return Err(Error::invalid("the owner id of a processor cannot be empty"));
        }
        let partitions = self.consumer.partition_ids().await?;
        let owner_id = self.owner_id.unwrap_or_else(random_id);
        let (host, hub, consumer_group) = self.consumer.scope();
        let (tell, arriving) = mpsc::channel(partitions.len().max(1));
        let (closing, is_closing) = watch::channel(false);
        let runner = Runner::new(
            self.consumer.default_owner_level(0),
            self.store,
            Scope { host, hub, consumer_group },
            Plan {
                owner_id: owner_id.clone(),
                partitions,
                interval: self.interval,
                expiration: self.expiration,
                strategy: self.strategy,
                start: self.start,
            },
            tell,
        );
        let task = tokio::spawn(runner.run(is_closing));
        Ok(EventProcessor { arriving, closing, task: Some(task), owner_id })
    }
}

/// A random number that need not be secret.
pub(super) fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn random_id() -> String {
    format!("{:016x}{:016x}", random(), random())
}
