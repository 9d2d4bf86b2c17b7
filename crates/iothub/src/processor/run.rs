//! What a processor does by itself: it renews what it owns, claims its share, and has it read.

use super::{
    LET_GO, PartitionReader, Strategy,
    balance::Situation,
    builder::random,
    partition::Tenure,
    store::{Checkpoint, CheckpointStore, Ownership, Scope},
};
use crate::{
    error::{Error, ErrorKind},
    events::{EventConsumerBuilder, EventPosition},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{mpsc, watch};

pub(super) struct Plan {
    pub(super) owner_id: String,
    pub(super) partitions: Vec<String>,
    pub(super) interval: Duration,
    pub(super) expiration: Duration,
    pub(super) strategy: Strategy,
    pub(super) start: EventPosition,
}

pub(super) struct Runner {
    consumer: EventConsumerBuilder,
    store: Arc<dyn CheckpointStore>,
    scope: Arc<Scope>,
    plan: Plan,
    tell: mpsc::Sender<Result<PartitionReader, Error>>,
    /// The partitions that are this processor's, by its own account.
    owned: BTreeMap<String, Owned>,
}

struct Owned {
    /// The version of its entry in the store.
    etag: Option<String>,
    /// Its reader has the other end.
    tenure: watch::Sender<Tenure>,
}

impl Runner {
    pub(super) fn new(
        consumer: EventConsumerBuilder,
        store: Arc<dyn CheckpointStore>,
        scope: Scope,
        plan: Plan,
        tell: mpsc::Sender<Result<PartitionReader, Error>>,
    ) -> Self {
        Self { consumer, store, scope: Arc::new(scope), plan, tell, owned: BTreeMap::new() }
    }

    pub(super) async fn run(mut self, mut closing: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.balance().await {
                tracing::warn!(%error, "a processor of events tries again");
                // With more errors than the application looks at, one is as good as another.
                self.tell.try_send(Err(error)).ok();
            }
            // Processors that have started together do not go on in step.
            let pause = self.plan.interval.mul_f64(0.9 + (random() % 1024) as f64 / 5120.0);
            tokio::select! {
                _ = closing.changed() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.give_up().await;
    }

    /// One round.
    async fn balance(&mut self) -> Result<(), Error> {
        let listed = self.store.list_ownership(&self.scope).await.map_err(Error::of_store)?;
        let me = self.plan.owner_id.as_str();
        // What the store says is another's was lost.
        let mine: BTreeMap<&str, &Ownership> = listed
            .iter()
            .filter(|ownership| ownership.owner_id == me)
            .map(|ownership| (ownership.partition_id.as_str(), ownership))
            .collect();
        self.owned.retain(|partition, owned| {
            let kept = mine.get(partition.as_str()).is_some_and(|ownership| ownership.etag == owned.etag);
            kept || owned.lose(partition)
        });
        let situation = Situation {
            owner: me,
            partitions: &self.plan.partitions,
            ownership: &listed,
            now: SystemTime::now(),
            expiration: self.plan.expiration,
            random: random(),
        };
        let renewals = mine.values().map(|entry| Ownership::new(&entry.partition_id, me, entry.etag.clone()));
        let mut claims: Vec<_> = renewals.collect();
        for claim in situation.claims(self.plan.strategy) {
            if !claims.iter().any(|renewal| renewal.partition_id == claim.partition_id) {
                claims.push(claim);
            }
        }
        if claims.is_empty() {
            return Ok(());
        }
        let claimed = self.store.claim_ownership(&self.scope, claims).await.map_err(Error::of_store)?;
        let claimed: BTreeMap<&str, &Ownership> =
            claimed.iter().map(|ownership| (ownership.partition_id.as_str(), ownership)).collect();
        self.owned.retain(|partition, owned| match claimed.get(partition.as_str()) {
            Some(ownership) => {
                owned.etag.clone_from(&ownership.etag);
                // The application has dropped its reader, which is begun again.
                !owned.tenure.is_closed()
            }
            None => owned.lose(partition),
        });
        let new: Vec<_> = claimed.values().filter(|entry| !self.owned.contains_key(&entry.partition_id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let checkpoints = self.store.list_checkpoints(&self.scope).await.map_err(Error::of_store)?;
        for ownership in new {
            let partition = &ownership.partition_id;
            let checkpoint = checkpoints.iter().find(|checkpoint| checkpoint.partition_id == *partition);
            let (tenure, held) = watch::channel(Tenure::Owned);
            self.read(partition.clone(), checkpoint.and_then(behind), held);
            self.owned.insert(partition.clone(), Owned { etag: ownership.etag.clone(), tenure });
        }
        Ok(())
    }

    /// Has a partition read, in a task that ends when the application has its reader.
    fn read(&self, partition: String, checkpoint: Option<EventPosition>, mut tenure: watch::Receiver<Tenure>) {
        let is_begun = checkpoint.is_some();
        let start = checkpoint.unwrap_or_else(|| self.plan.start.clone());
        let consumer = self.consumer.clone().partition(&partition).start(start);
        let (store, scope, tell) = (self.store.clone(), self.scope.clone(), self.tell.clone());
        tokio::spawn(async move {
            let connected = tokio::select! {
                // It was lost meanwhile, or the processor is gone.
                _ = tenure.changed() => return,
                () = tell.closed() => return,
                connected = consumer.connect() => connected,
            };
            let reader = match connected {
                Ok(consumer) => Ok(PartitionReader::new(consumer, partition, store, scope, tenure)),
                Err(error) => {
                    let checkpoint = is_begun.then(|| store.describe(&scope, &partition));
                    Err(unreadable(error, &partition, checkpoint.as_deref()))
                }
            };
            tell.send(reader).await.ok();
        });
    }

    /// Ends all readers, waits for them for a while, and gives their partitions up.
    async fn give_up(self) {
        let Self { store, scope, owned, .. } = self;
        for owned in owned.values() {
            owned.tenure.send_replace(Tenure::Closing);
        }
        let all_gone = async {
            for owned in owned.values() {
                owned.tenure.closed().await;
            }
        };
        tokio::time::timeout(LET_GO, all_gone).await.ok();
        let claims = owned.iter().map(|(partition, owned)| Ownership::new(partition, "", owned.etag.clone()));
        let given_up = store.claim_ownership(&scope, claims.collect()).await;
        if let Err(error) = given_up {
            tracing::warn!(%error, "partitions are not given up; they expire");
        }
    }
}

impl Owned {
    /// Ends its reader. Gives `false`: it is not kept.
    fn lose(&self, partition: &str) -> bool {
        tracing::info!(partition, "another processor has taken a partition");
        self.tenure.send_replace(Tenure::Lost);
        false
    }
}

/// An error that says which partition is not read, and what to do about a checkpoint that the hub does not take.
/// `checkpoint` names the one that reading was to begin at.
fn unreadable(error: Error, partition: &str, checkpoint: Option<&str>) -> Error {
    if let Some(checkpoint) = checkpoint.filter(|_| error.kind() == ErrorKind::InvalidArgument) {
        // Going on elsewhere would skip events or repeat them, which is the application's choice.
        return error.prefixed(&format!(
            "partition {partition}: the hub has no event at the checkpoint, which is older than the hub or of another one: \
             delete it ({checkpoint})"
        ));
    }
    error.prefixed(&format!("partition {partition}"))
}

/// The place behind a checkpoint.
fn behind(checkpoint: &Checkpoint) -> Option<EventPosition> {
    let offset = checkpoint.offset.as_deref().map(EventPosition::after_offset);
    offset.or_else(|| checkpoint.sequence_number.map(EventPosition::after_sequence_number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::{FileCheckpointStore, MemoryCheckpointStore};

    #[test]
    fn a_checkpoint_that_the_hub_does_not_take_is_named_with_where_it_is_kept() {
        let scope = Scope::new("Hub.example", "Hub", "$Default");
        let names = "hub hub at hub.example, consumer group $default, partition 3";
        let text = |described: &str| unreadable(Error::invalid("why"), "3", Some(described)).to_string();
        let memory = text(&MemoryCheckpointStore::new().describe(&scope, "3"));
        assert!(memory.contains(&format!("delete it ({names})")), "{memory}");
        let file = text(&FileCheckpointStore::new("kept").describe(&scope, "3"));
        assert!(file.contains(names) && file.contains("kept") && file.contains("3.json"), "{file}");
        let other = unreadable(Error::new(ErrorKind::Connect, "why"), "3", Some(names)).to_string();
        assert!(!other.contains("delete"), "{other}");
        assert!(!unreadable(Error::invalid("why"), "3", None).to_string().contains("delete"));
    }
}
