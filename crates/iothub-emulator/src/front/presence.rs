//! The links of devices and modules, which make them connected.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::connection::Context;
use crate::hub::{IdentityId, Presence};
use crate::shared::Shared;

/// Starts the task of a link that has been accepted. Until it ends the link's identity is connected.
pub(super) struct LinkTasks<'a> {
    context: &'a Context,
    identity: Option<IdentityId>,
    tasks: &'a mut JoinSet<()>,
}

impl<'a> LinkTasks<'a> {
    /// `identity`: whose link it is, if it is one of a device or module.
    pub(super) fn new(context: &'a Context, identity: Option<IdentityId>, tasks: &'a mut JoinSet<()>) -> Self {
        Self { context, identity, tasks }
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let shared = &self.context.shared;
        let presence = self.identity.as_ref().and_then(|id| shared.hub(|hub, now| hub.connected(now, id)));
        let attended = Attended { shared: shared.clone(), presence };
        self.tasks.spawn(async move {
            let _attended = attended;
            task.await;
        });
    }
}

/// Ends a presence when it is dropped.
struct Attended {
    shared: Arc<Shared>,
    presence: Option<Presence>,
}

impl Drop for Attended {
    fn drop(&mut self) {
        if let Some(presence) = self.presence.take() {
            self.shared.hub(|hub, now| hub.disconnected(now, presence));
        }
    }
}
