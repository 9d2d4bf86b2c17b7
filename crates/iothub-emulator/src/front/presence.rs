//! The links that are attached: whom they make connected, and what a connection serves.

use core::pin::Pin;
use core::task::Poll;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::connection::Context;
use crate::hub::{Address, Presence};

/// How many links of a connection are for more than tokens.
#[derive(Debug, Default)]
pub(super) struct ServedLinks(AtomicUsize);

impl ServedLinks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Starts the task of a link that has been accepted. Until it ends the link's identity is connected.
pub(super) struct LinkTasks<'a> {
    context: &'a Arc<Context>,
    address: Address,
    tasks: &'a mut JoinSet<()>,
}

impl<'a> LinkTasks<'a> {
    /// `address`: where the link goes.
    pub(super) fn new(context: &'a Arc<Context>, address: &Address, tasks: &'a mut JoinSet<()>) -> Self {
        Self { context, address: address.clone(), tasks }
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let attended = Attended::new(self.context.clone(), self.address.clone());
        // On the heap: a future that is moved takes its space twice in the one that waits for it.
        self.tasks.spawn(LinkTask { task: Box::pin(task), _attended: attended });
    }
}

/// The task of a link. What it works on is dropped before its identity is disconnected.
struct LinkTask<F> {
    task: Pin<Box<F>>,
    _attended: Attended,
}

impl<F: Future<Output = ()>> Future for LinkTask<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut core::task::Context<'_>) -> Poll<()> {
        self.task.as_mut().poll(cx)
    }
}

/// A link, until this is dropped.
struct Attended {
    context: Arc<Context>,
    address: Address,
    presence: Option<Presence>,
}

impl Attended {
    fn new(context: Arc<Context>, address: Address) -> Self {
        if address != Address::Cbs {
            context.served.0.fetch_add(1, Ordering::Relaxed);
        }
        let presence = address.identity().and_then(|id| {
            context.shared.hub(|hub, now| {
                hub.link_attached(&address, context.id);
                hub.connected(now, &id)
            })
        });
        Self { context, address, presence }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if self.address != Address::Cbs {
            self.context.served.0.fetch_sub(1, Ordering::Relaxed);
        }
        if self.address.device().is_some() {
            self.context.shared.hub(|hub, now| {
                hub.link_detached(&self.address);
                if let Some(presence) = self.presence.take() {
                    hub.disconnected(now, presence);
                }
            });
        }
    }
}
