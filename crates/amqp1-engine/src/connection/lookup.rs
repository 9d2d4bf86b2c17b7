//! Whether an id names something, for the public handles of [`api`](crate::api).

use super::Connection;
use crate::store::{LinkId, SessionId};
use amqp1_codec::definitions::Role;

impl Connection {
    #[inline]
    pub(crate) fn has_session(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some()
    }

    /// The role of a link at this end, and the session that it is attached to.
    #[inline]
    pub(crate) fn find_link(&self, id: LinkId) -> Option<(Role, SessionId)> {
        self.links.get(id).map(|link| (link.role(), link.session))
    }
}
