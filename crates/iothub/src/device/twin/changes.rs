use super::{
    DesiredChange, Twin,
    tracker::{Step, Tracker},
    watch::Watch,
};
use crate::error::Error;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Watches the desired properties of a twin. See [`Twin::watch_desired`].
///
/// What the application is given has rising versions, without gaps: where a notification was lost, or the links are new,
/// the twin is read, and all properties are given. Notifications that are not newer than what was read are dropped. When a
/// service replaces the desired properties as a whole, the hub's notification does not say so: properties that are not in
/// it any more are found by [`Twin::get`].
///
/// The watch outlives its connection: [`resume`](Self::resume) goes on with the twin of another one.
///
/// When the last watch of a twin is [closed](Self::close) or dropped, the hub is asked to send no more notifications.
#[derive(Debug)]
pub struct DesiredChanges {
    twin: Twin,
    watch: Watch,
    tracker: Tracker,
}

impl DesiredChanges {
    pub(super) async fn start(twin: Twin, seen: Option<i64>) -> Result<Self, Error> {
        let watch = Watch::new(&twin.links)?;
        let mut changes = Self { twin, watch, tracker: Tracker::new(seen) };
        changes.catch_up().await?;
        Ok(changes)
    }

    /// Goes on after a reconnection: subscribes on the links of this twin, then reads it. What has changed meanwhile is the
    /// next change.
    ///
    /// # Errors
    ///
    /// As [`Twin::get`]; it can be tried again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it can be called again.
    pub async fn resume(&mut self, twin: &Twin) -> Result<(), Error> {
        self.watch = Watch::new(&twin.links)?;
        self.twin = twin.clone();
        self.tracker.handle_reconnected();
        self.catch_up().await
    }

    /// The version that the application has seen last: what [`Twin::watch_desired_after`] wants in another process.
    pub fn version(&self) -> Option<i64> {
        self.tracker.seen()
    }

    /// Subscribes and reads, unless something is to be delivered first.
    async fn catch_up(&mut self) -> Result<(), Error> {
        while !self.tracker.has_ready() {
            match self.tracker.poll() {
                Step::Subscribe => self.subscribe().await?,
                Step::Read => self.read().await?,
                Step::Deliver(_) | Step::Wait => break,
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<(), Error> {
        self.twin.subscribe().await?;
        self.tracker.handle_subscribed();
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Error> {
        let twin = self.twin.get().await?;
        self.tracker.handle_read(twin.desired);
        Ok(())
    }

    /// Ends the watch. If it was the last of its twin, asks the hub to send no more notifications, and waits until the hub
    /// has confirmed that. Of several that end at the same time, one asks and waits. Dropped, a watch ends as well, and nothing
    /// waits for the hub.
    ///
    /// # Errors
    ///
    /// As [`Twin::get`]. The watch has ended then, too, and the hub is asked once more, without waiting.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the watch has ended.
    pub async fn close(self) -> Result<(), Error> {
        self.watch.close().await
    }

    /// Waits for the next change, without a limit of time; `None` when the hub has ended the link without an error.
    ///
    /// # Errors
    ///
    /// If a link or the connection ends with an error; as [`Twin::get`] where the twin had to be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no change is lost.
    pub async fn next(&mut self) -> Result<Option<DesiredChange>, Error> {
        loop {
            match self.tracker.poll() {
                Step::Deliver(change) => return Ok(Some(change)),
                Step::Subscribe => self.subscribe().await?,
                Step::Read => self.read().await?,
                Step::Wait => match self.watch.recv().await {
                    Ok(notification) => self.tracker.handle_notification(Arc::unwrap_or_clone(notification)),
                    Err(RecvError::Lagged(_)) => self.tracker.handle_missed(),
                    Err(RecvError::Closed) => return self.twin.links.ended().map_or(Ok(None), Err),
                },
            }
        }
    }
}
