use super::store::{Checkpoint, CheckpointStore, Ownership, Scope, StoreError};
use amqp1::acceptor::BoxFuture;
use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// A store in memory: for tests, and for processors of one process. Its clones share what they hold.
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpointStore {
    scopes: Arc<Mutex<BTreeMap<Scope, Entries>>>,
}

#[derive(Debug, Default)]
struct Entries {
    ownership: BTreeMap<String, Ownership>,
    checkpoints: BTreeMap<String, Checkpoint>,
    /// Rises with every claim.
    version: u64,
}

impl MemoryCheckpointStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, Entries>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointStore for MemoryCheckpointStore {
    fn list_ownership<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Ownership>, StoreError>> {
        let found = self.lock().get(scope).map(|entries| entries.ownership.values().cloned().collect());
        Box::pin(ready(Ok(found.unwrap_or_default())))
    }

    fn claim_ownership<'a>(
        &'a self,
        scope: &'a Scope,
        claims: Vec<Ownership>,
    ) -> BoxFuture<'a, Result<Vec<Ownership>, StoreError>> {
        let mut scopes = self.lock();
        let entries = scopes.entry(scope.clone()).or_default();
        let mut claimed = Vec::new();
        for claim in claims {
            let there = entries.ownership.get(&claim.partition_id).and_then(|ownership| ownership.etag.as_deref());
            if there != claim.etag.as_deref() {
                continue;
            }
            entries.version += 1;
            let (etag, last_modified) = (Some(entries.version.to_string()), Some(SystemTime::now()));
            let ownership = Ownership { etag, last_modified, ..claim };
            entries.ownership.insert(ownership.partition_id.clone(), ownership.clone());
            claimed.push(ownership);
        }
        Box::pin(ready(Ok(claimed)))
    }

    fn list_checkpoints<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Checkpoint>, StoreError>> {
        let found = self.lock().get(scope).map(|entries| entries.checkpoints.values().cloned().collect());
        Box::pin(ready(Ok(found.unwrap_or_default())))
    }

    fn update_checkpoint<'a>(
        &'a self,
        scope: &'a Scope,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut scopes = self.lock();
        let entries = scopes.entry(scope.clone()).or_default();
        entries.checkpoints.insert(checkpoint.partition_id.clone(), checkpoint);
        Box::pin(ready(Ok(())))
    }
}
