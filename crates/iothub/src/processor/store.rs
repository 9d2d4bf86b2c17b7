//! What processors of one consumer group share: who owns which partition, and how far it was read.

use amqp1::acceptor::BoxFuture;
use serde::{Deserialize, Serialize};
use std::{error::Error as StdError, time::SystemTime};

/// Why a store could not do what was asked of it.
pub type StoreError = Box<dyn StdError + Send + Sync>;

/// The events that a group of processors shares. Entries of different scopes are separate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scope {
    /// The host that the connection string names, in lower case.
    pub host: String,
    /// The event hub, in lower case.
    pub hub: String,
    /// The consumer group, in lower case.
    pub consumer_group: String,
}

impl Scope {
    /// The scope of these names, which are compared without case.
    pub fn new(host: &str, hub: &str, consumer_group: &str) -> Self {
        Self {
            host: host.to_ascii_lowercase(),
            hub: hub.to_ascii_lowercase(),
            consumer_group: consumer_group.to_ascii_lowercase(),
        }
    }

    /// The names of a partition's checkpoint.
    pub(super) fn checkpoint(&self, partition_id: &str) -> String {
        format!("hub {} at {}, consumer group {}, partition {partition_id}", self.hub, self.host, self.consumer_group)
    }
}

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ownership {
    /// The partition.
    pub partition_id: String,
    /// The processor that owns it; empty if it was given up.
    pub owner_id: String,
    /// The version of this entry, which the store sets. In a claim, the version that it is to replace; `None` if there is
    /// to be none yet.
    pub etag: Option<String>,
    /// When it was claimed last, which the store sets.
    pub last_modified: Option<SystemTime>,
}

impl Ownership {
    /// A claim of a partition that replaces the entry of this version.
    pub fn new(partition_id: impl Into<String>, owner_id: impl Into<String>, etag: Option<String>) -> Self {
        Self { partition_id: partition_id.into(), owner_id: owner_id.into(), etag, last_modified: None }
    }
}

/// How far a partition was processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The partition.
    pub partition_id: String,
    /// The offset of the last event that was processed.
    pub offset: Option<String>,
    /// Its sequence number.
    pub sequence_number: Option<i64>,
}

impl Checkpoint {
    /// The checkpoint behind an event.
    pub fn new(partition_id: impl Into<String>, offset: Option<String>, sequence_number: Option<i64>) -> Self {
        Self { partition_id: partition_id.into(), offset, sequence_number }
    }
}

/// Where processors keep who owns which partition, and how far it was read.
///
/// There are [`MemoryCheckpointStore`](super::MemoryCheckpointStore) for one process and
/// [`FileCheckpointStore`](super::FileCheckpointStore) for the processes of one machine, or of several that share a
/// folder. For a database or a blob container, implement this.
pub trait CheckpointStore: Send + Sync + 'static {
    /// Lists who owns which partition, those that were given up included.
    fn list_ownership<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Ownership>, StoreError>>;

    /// Writes claims, each only if the entry of its partition still has the claim's ETag, or there is none and the claim
    /// has none. Comparing and writing must be one step, whatever other processes do.
    ///
    /// Gives those that were written, with new ETags and times. A claim that lost is not an error.
    fn claim_ownership<'a>(
        &'a self,
        scope: &'a Scope,
        claims: Vec<Ownership>,
    ) -> BoxFuture<'a, Result<Vec<Ownership>, StoreError>>;

    /// Lists how far the partitions were processed; those that were not begun are left out.
    fn list_checkpoints<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Checkpoint>, StoreError>>;

    /// Writes how far a partition was processed. What has been written must survive the process.
    fn update_checkpoint<'a>(
        &'a self,
        scope: &'a Scope,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Names the checkpoint of a partition for a person who is to delete it. A store that knows where it keeps the
    /// checkpoint says so.
    fn describe(&self, scope: &Scope, partition_id: &str) -> String {
        scope.checkpoint(partition_id)
    }
}
