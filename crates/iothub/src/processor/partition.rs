use super::store::{Checkpoint, CheckpointStore, Scope};
use crate::{
    error::{Error, ErrorKind},
    events::{Event, EventConsumer, PlaceInPartition, UndecodableEvent},
};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};
use tokio::sync::watch;

/// Whether a partition is this processor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tenure {
    Owned,
    /// The processor is being closed: what was processed may still be written down.
    Closing,
    /// Another processor has it.
    Lost,
}

/// A partition that an [`EventProcessor`](super::EventProcessor) owns.
///
/// Dropped, it is no longer read; the processor gives it out again as long as it owns it.
pub struct PartitionReader {
    consumer: EventConsumer,
    partition: String,
    store: Arc<dyn CheckpointStore>,
    scope: Arc<Scope>,
    tenure: watch::Receiver<Tenure>,
    /// Ends with the tenure. It is kept, since a wait that is dropped is not woken. `None` when it has ended.
    tenure_end: Option<TenureEnd>,
    /// As a stream: its end was given.
    over: bool,
    /// Whether the hub has stopped it, since another reader has come.
    superseded: bool,
}

type TenureEnd = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

crate::stream::stream!(PartitionReader => Result<Event, UndecodableEvent>, |this| this.consumer.has_ended());

impl fmt::Debug for PartitionReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionReader")
            .field("partition", &self.partition)
            .field("tenure", &*self.tenure.borrow())
            .field("superseded", &self.superseded)
            .finish_non_exhaustive()
    }
}

impl PartitionReader {
    pub(super) fn new(
        consumer: EventConsumer,
        partition: String,
        store: Arc<dyn CheckpointStore>,
        scope: Arc<Scope>,
        tenure: watch::Receiver<Tenure>,
    ) -> Self {
        let mut watched = tenure.clone();
        let tenure_end: TenureEnd = Box::pin(async move {
            // Without the processor it has ended, too.
            watched.wait_for(|tenure| *tenure != Tenure::Owned).await.ok();
        });
        let tenure_end = Some(tenure_end);
        Self { consumer, partition, store, scope, tenure, tenure_end, over: false, superseded: false }
    }

    /// The partition.
    pub fn partition_id(&self) -> &str {
        &self.partition
    }

    /// Whether another processor has the partition now.
    pub fn is_lost(&self) -> bool {
        self.superseded || *self.tenure.borrow() == Tenure::Lost
    }

    /// Waits for the next event, without a limit of time; `None` when the partition is no longer this processor's, or the
    /// processor is being closed.
    ///
    /// An event that cannot be decoded comes in its place as an [`UndecodableEvent`], which
    /// [`checkpoint`](Self::checkpoint) takes as well: a processor that never went behind it would meet it at each start.
    ///
    /// # Errors
    ///
    /// If the link or the connection ends with an error: drop this reader, and the processor gives out a new one.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no event is lost.
    pub async fn next(&mut self) -> Result<Option<Result<Event, UndecodableEvent>>, Error> {
        if self.superseded || *self.tenure.borrow() != Tenure::Owned {
            return Ok(None);
        }
        let next = poll_fn(|context| {
            let Some(end) = &mut self.tenure_end else { return Poll::Ready(None) };
            if end.as_mut().poll(context).is_ready() {
                self.tenure_end = None;
                return Poll::Ready(None);
            }
            pin!(self.consumer.next()).poll(context).map(Some)
        });
        let Some(next) = next.await else { return Ok(None) };
        match next {
            Ok(Some(event)) => Ok(Some(event)),
            Err(error) if error.kind() == ErrorKind::Superseded => {
                self.superseded = true;
                Ok(None)
            }
            Ok(None) => Err(Error::new(ErrorKind::ConnectionLost, "the hub has ended the link to the partition")),
            Err(error) => Err(error),
        }
    }

    /// Writes down that this event and all before it were processed: the partition's next reader begins after it.
    /// Call it after processing. It need not be called for every event. It takes an [`Event`], an [`UndecodableEvent`], or
    /// either as [`next`](Self::next) gives it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Superseded`] if the partition is no longer this processor's, so that what it has processed is
    /// processed again; [`ErrorKind::Store`]; [`ErrorKind::Protocol`] if the event has neither an offset nor a sequence
    /// number that can be read: the checkpoint of the event behind it passes both.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may be written or not.
    pub async fn checkpoint(&self, event: &impl PlaceInPartition) -> Result<(), Error> {
        if self.is_lost() {
            return Err(Error::new(ErrorKind::Superseded, "another client has taken over: it has the partition now"));
        }
        if event.partition_id() != self.partition {
            return Err(Error::invalid("the event is of another partition"));
        }
        let (offset, sequence_number) = (event.offset().map(str::to_owned), event.sequence_number());
        if offset.is_none() && sequence_number.is_none() {
            return Err(Error::protocol("the hub did not keep to the protocol: the event has no offset"));
        }
        let checkpoint = Checkpoint::new(self.partition.clone(), offset, sequence_number);
        self.store.update_checkpoint(&self.scope, checkpoint).await.map_err(Error::of_store)
    }
}
