//! Who watches the desired properties. When there is no watch any more, the hub is asked to send no more notifications.

use super::{
    links::{Links, Operation},
    tracker::Notification,
};
use crate::error::Error;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// A place among those who are given the notifications of a twin's links. Dropped, the links are unsubscribed if it was
/// the last.
#[derive(Debug)]
pub(super) struct Watch {
    links: Arc<Links>,
    /// `None` once it is given up.
    notifications: Option<broadcast::Receiver<Arc<Notification>>>,
}

impl Watch {
    pub(super) fn new(links: &Arc<Links>) -> Result<Self, Error> {
        Ok(Self { notifications: Some(links.notifications()?), links: links.clone() })
    }

    pub(super) async fn recv(&mut self) -> Result<Arc<Notification>, RecvError> {
        match &mut self.notifications {
            Some(notifications) => notifications.recv().await,
            None => Err(RecvError::Closed),
        }
    }

    /// Gives the place up. If it was the last, asks the hub to send no more notifications, and waits until it has confirmed
    /// that. Of several that end at the same time, one asks and waits.
    pub(super) async fn close(mut self) -> Result<(), Error> {
        self.notifications = None;
        self.links.ask(Operation::Unsubscribe).await.map(drop)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.notifications = None;
        self.links.unwatched();
    }
}
