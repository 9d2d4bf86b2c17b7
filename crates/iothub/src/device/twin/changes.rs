use super::{
    DesiredChange, Twin,
    tracker::{Step, Tracker},
};
use crate::error::Error;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// Watches the desired properties of a twin. See [`Twin::watch_desired`].
///
/// What the application is given has rising versions, without gaps: where a notification was lost, or the links are new,
/// the twin is read, and all properties are given. Notifications that are not newer than what was read are dropped. When a
/// service replaces the desired properties as a whole, the hub's notification does not say so: properties that are not in
/// it any more are found by [`Twin::get`].
///
/// The watch outlives its connection: [`resume`](Self::resume) goes on with the twin of another one.
#[derive(Debug)]
pub struct DesiredChanges {
    twin: Twin,
    notifications: broadcast::Receiver<Arc<super::tracker::Notification>>,
    tracker: Tracker,
}

impl DesiredChanges {
    pub(super) async fn start(twin: Twin, seen: Option<i64>) -> Result<Self, Error> {
        let notifications = twin.links.notifications()?;
        let mut changes = Self { twin, notifications, tracker: Tracker::new(seen) };
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
        self.notifications = twin.links.notifications()?;
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
                Step::Wait => match self.notifications.recv().await {
                    Ok(notification) => self.tracker.handle_notification(Arc::unwrap_or_clone(notification)),
                    Err(RecvError::Lagged(_)) => self.tracker.handle_missed(),
                    Err(RecvError::Closed) => return self.twin.links.ended().map_or(Ok(None), Err),
                },
            }
        }
    }
}
