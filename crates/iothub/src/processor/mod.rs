//! Telemetry shared among processes: each reads its part of the partitions, and goes on where an earlier one ended.
//!
//! See [`EventProcessor`].

mod balance;
mod builder;
mod file;
mod memory;
mod partition;
mod run;
mod store;

pub use balance::Strategy;
pub use builder::EventProcessorBuilder;
pub use file::FileCheckpointStore;
pub use memory::MemoryCheckpointStore;
pub use partition::PartitionReader;
pub use store::{Checkpoint, CheckpointStore, Ownership, Scope, StoreError};

use crate::{error::Error, events::EventConsumerBuilder};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// How long [`EventProcessor::close`] waits for the application to let go of its partitions.
const LET_GO: Duration = Duration::from_secs(10);

/// Reads the partitions of a hub together with other processors of the same consumer group.
///
/// Processors find each other in a [`CheckpointStore`], and divide the partitions among themselves. Each partition that
/// this processor owns comes out of [`next_partition`](Self::next_partition) once, to be read by a task of its own. When
/// a processor ends, the others take over what it had and go on behind its checkpoints; when one comes, it takes its
/// share from the others.
///
/// **Every event is processed at least once**, as long as [`checkpoint`](PartitionReader::checkpoint) is called after an
/// event was processed, and never before. Events behind the last checkpoint are processed again when a partition changes
/// hands. For a short time two processors may have the same partition: the older one is stopped by the hub, and must
/// expect an event that another one has processed as well.
///
/// A processor looks for partitions at its start and then about every 10 s ([`interval`](EventProcessorBuilder::interval)).
/// With [`Strategy::Balanced`], which is the default, it claims one in each round: alone, it has four partitions after
/// half a minute. [`Strategy::Greedy`] claims the whole share at once.
///
/// A processor reads with an owner level, 0 unless set. A reader without one in the same consumer group is refused, or
/// ended with `amqp:link:stolen`: give each program a consumer group of its own
/// ([`consumer_group`](EventConsumerBuilder::consumer_group)).
///
/// ```no_run
/// use iothub::{EventConsumer, processor::{EventProcessor, FileCheckpointStore}};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let consumer = EventConsumer::builder().connection_string(connection_string)?.consumer_group("workers");
/// let store = FileCheckpointStore::new("/var/lib/my-service/checkpoints");
/// let mut processor = EventProcessor::builder(consumer, store).start().await?;
/// loop {
///     let mut partition = match processor.next_partition().await {
///         Ok(Some(partition)) => partition,
///         Ok(None) => break,
///         // The store or the hub cannot be reached: the processor tries again by itself.
///         Err(error) => {
///             eprintln!("{error}");
///             continue;
///         }
///     };
///     tokio::spawn(async move {
///         loop {
///             let event = match partition.next().await {
///                 Ok(Some(event)) => event,
///                 // Another processor has the partition, or this one is closed.
///                 Ok(None) => break,
///                 // The reader is dropped, and the processor gives out the partition again.
///                 Err(error) => {
///                     eprintln!("partition {}: {error}", partition.partition_id());
///                     break;
///                 }
///             };
///             match &event {
///                 Ok(event) => println!("{:?}: {}", event.device_id(), String::from_utf8_lossy(event.body())),
///                 // Its octets can be kept; the checkpoint passes it.
///                 Err(undecodable) => eprintln!("{undecodable}"),
///             }
///             if let Err(error) = partition.checkpoint(&event).await {
///                 eprintln!("partition {}: {error}", partition.partition_id());
///             }
///         }
///     });
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct EventProcessor {
    arriving: mpsc::Receiver<Result<PartitionReader, Error>>,
    closing: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    owner_id: String,
}

impl EventProcessor {
    /// A processor of the events that the consumer would read, whose partitions and checkpoints are kept in the store.
    ///
    /// Of the consumer, the hub, the credentials, the consumer group, the prefetch and the owner level (0 unless set)
    /// count; the partitions and the place to begin do not: see [`EventProcessorBuilder::start_position`].
    pub fn builder(consumer: EventConsumerBuilder, store: impl CheckpointStore) -> EventProcessorBuilder {
        EventProcessorBuilder::new(consumer, store)
    }

    /// By what the other processors know this one.
    pub fn owner_id(&self) -> &str {
        &self.owner_id
    }

    /// Waits for the next partition that this processor owns and that is not read yet; `None` when it is closed.
    ///
    /// A partition comes again when its reader was dropped, and it is still this processor's: after an error, for one.
    ///
    /// # Errors
    ///
    /// If the store or the hub cannot be reached, or does not do what was asked of it. The processor goes on by itself;
    /// call this again.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no partition is lost.
    pub async fn next_partition(&mut self) -> Result<Option<PartitionReader>, Error> {
        self.arriving.recv().await.transpose()
    }

    /// Ends the processor: its readers end, and its partitions are given up, so that others need not wait.
    ///
    /// Waits up to 10 s until the application has dropped its readers; it may still checkpoint what it has processed.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the processor goes on closing by itself.
    pub async fn close(mut self) {
        self.closing.send_replace(true);
        // Readers that were not taken yet are dropped.
        self.arriving.close();
        while self.arriving.try_recv().is_ok() {}
        if let Some(task) = &mut self.task {
            task.await.ok();
        }
    }
}

impl Drop for EventProcessor {
    fn drop(&mut self) {
        // A processor that is closed goes on until its partitions are given up.
        if let (Some(task), false) = (self.task.take(), *self.closing.borrow()) {
            task.abort();
        }
    }
}
