//! Who watches the desired properties. When there is no watch any more, the hub is asked to send no more notifications.

use super::{
    links::{Links, Operation},
    tracker::Notification,
};
use crate::error::Error;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::broadcast::{self, error::RecvError};

/// A place among those who are given the notifications of a twin's links. Dropped, the links are unsubscribed if it was
/// the last.
pub(super) struct Watch {
    links: Arc<Links>,
    /// `None` once it is given up.
    receiving: Option<Receiving>,
}

type Notifications = broadcast::Receiver<Arc<Notification>>;

/// A wait for a notification, with its receiver. It is kept, since a wait that is dropped is not woken.
type Receiving = Pin<Box<dyn Future<Output = (Notifications, Result<Arc<Notification>, RecvError>)> + Send + Sync>>;

fn receive(mut notifications: Notifications) -> Receiving {
    Box::pin(async move {
        let received = notifications.recv().await;
        (notifications, received)
    })
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("links", &self.links).finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn new(links: &Arc<Links>) -> Result<Self, Error> {
        Ok(Self { receiving: Some(receive(links.notifications()?)), links: links.clone() })
    }

    /// Waits for the next notification.
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<Notification>, RecvError>> {
        let Some(receiving) = &mut self.receiving else { return Poll::Ready(Err(RecvError::Closed)) };
        let (notifications, received) = ready!(receiving.as_mut().poll(context));
        *receiving = receive(notifications);
        Poll::Ready(received)
    }

    /// Gives the place up. If it was the last, asks the hub to send no more notifications, and waits until it has confirmed
    /// that. Of several that end at the same time, one asks and waits.
    pub(super) async fn close(mut self) -> Result<(), Error> {
        self.receiving = None;
        self.links.ask(Operation::Unsubscribe).await.map(drop)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.receiving = None;
        self.links.unwatched();
    }
}
