use super::{
    DesiredChange, Properties, Twin,
    tracker::{Step, Tracker},
    watch::Watch,
};
use crate::error::Error;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
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
pub struct DesiredChanges {
    twin: Twin,
    /// A request that waits for its answer. It is kept, since one that is dropped is given up.
    asking: Option<Asking>,
    watch: Watch,
    tracker: Tracker,
    /// As a stream: its end was given.
    over: bool,
}

type Asking = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + Sync>>;

enum Answer {
    Subscribed,
    Read(Properties),
}

crate::stream::stream!(DesiredChanges => DesiredChange, |this| this.twin.is_over());

impl fmt::Debug for DesiredChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DesiredChanges")
            .field("twin", &self.twin)
            .field("tracker", &self.tracker)
            .finish_non_exhaustive()
    }
}

impl DesiredChanges {
    pub(super) async fn start(twin: Twin, seen: Option<i64>) -> Result<Self, Error> {
        let watch = Watch::new(&twin.links)?;
        let mut changes = Self { twin, asking: None, watch, tracker: Tracker::new(seen), over: false };
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
        (self.twin, self.asking, self.over) = (twin.clone(), None, false);
        self.tracker.handle_reconnected();
        self.catch_up().await
    }

    /// The version that the application has seen last: what [`Twin::watch_desired_after`] wants in another process.
    pub fn version(&self) -> Option<i64> {
        self.tracker.seen()
    }

    /// Subscribes and reads, unless something is to be delivered first.
    async fn catch_up(&mut self) -> Result<(), Error> {
        poll_fn(|context| {
            loop {
                ready!(self.poll_answer(context))?;
                if self.tracker.has_ready() {
                    return Poll::Ready(Ok(()));
                }
                match self.tracker.poll() {
                    Step::Subscribe => self.subscribe(),
                    Step::Read => self.read(),
                    Step::Deliver(_) | Step::Wait => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }

    fn subscribe(&mut self) {
        let twin = self.twin.clone();
        self.asking = Some(Box::pin(async move { twin.subscribe().await.map(|()| Answer::Subscribed) }));
    }

    fn read(&mut self) {
        let twin = self.twin.clone();
        self.asking = Some(Box::pin(async move { twin.get().await.map(|twin| Answer::Read(twin.desired)) }));
    }

    /// Waits for the answer to the request that was made, if there is one.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(asking) = &mut self.asking else { return Poll::Ready(Ok(())) };
        let answer = ready!(asking.as_mut().poll(context));
        self.asking = None;
        match answer? {
            Answer::Subscribed => self.tracker.handle_subscribed(),
            Answer::Read(desired) => self.tracker.handle_read(desired),
        }
        Poll::Ready(Ok(()))
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
        let Self { watch, asking, .. } = self;
        drop(asking);
        watch.close().await
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
        poll_fn(|context| self.poll_change(context)).await
    }

    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<DesiredChange>, Error>> {
        loop {
            ready!(self.poll_answer(context))?;
            match self.tracker.poll() {
                Step::Deliver(change) => return Poll::Ready(Ok(Some(change))),
                Step::Subscribe => self.subscribe(),
                Step::Read => self.read(),
                Step::Wait => match ready!(self.watch.poll_recv(context)) {
                    Ok(notification) => self.tracker.handle_notification(Arc::unwrap_or_clone(notification)),
                    Err(RecvError::Lagged(_)) => self.tracker.handle_missed(),
                    Err(RecvError::Closed) => return Poll::Ready(self.twin.links.ended().map_or(Ok(None), Err)),
                },
            }
        }
    }
}
