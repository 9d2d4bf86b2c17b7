//! Whether an id names something, for the public handles of [`api`](crate::api).

use super::Connection;
use crate::{
    link::LinkMut,
    store::{LinkId, SessionId},
};
use amqp1_codec::definitions::Role;

impl Connection {
    /// A link with its session, and what both write to.
    #[inline]
    pub(super) fn link_parts(&mut self, id: LinkId) -> Option<LinkMut<'_>> {
        let Self { sessions, links, outbox, config, postings, meter, second_on_first, .. } = self;
        let link = links.get_mut(id)?;
        let session = sessions.get_mut(link.session)?;
        let authenticated = self.authenticated;
        Some(LinkMut { id, link, session, config, outbox, postings, meter, authenticated, second_on_first })
    }

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
