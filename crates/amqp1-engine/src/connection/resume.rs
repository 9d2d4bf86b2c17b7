//! Links that go on where an earlier endpoint has left off (§2.6.13).

use super::Connection;
use crate::store::LinkId;
use alloc::collections::BTreeSet;

impl Connection {
    /// Both ends have attached: what they know of unsettled deliveries is compared.
    pub(super) fn resume_link(&mut self, id: LinkId) {
        // Without the peer's attach there is nothing to compare, and what was settled has to be known to the next endpoint.
        let remote = self.links.get(id).and_then(|link| link.remote.as_ref());
        if remote.is_none_or(|remote| remote.kept.is_none()) {
            return;
        }
        let (settled, max) = (self.settled_meanwhile(id), self.max_transfer());
        if let Some(mut link) = self.link_parts(id) {
            link.compare_unsettled(&settled, max);
        }
    }

    /// The tokens of the deliveries of a suspended link that were settled by their ids on the sessions of its earlier
    /// endpoints. From now on the others have other ids.
    fn settled_meanwhile(&mut self, id: LinkId) -> BTreeSet<u64> {
        let mut settled = BTreeSet::new();
        let Some(link) = self.links.get(id) else { return settled };
        if link.sending().is_none_or(|end| end.resume.is_none()) {
            return settled;
        }
        for session in self.sessions.iter_mut() {
            for (id, token) in session.suspended.remove(&link.local.name).unwrap_or_default() {
                if session.sent.remove(id).is_none() {
                    settled.insert(token);
                }
            }
        }
        settled
    }

    /// Reports once that everything was said that can be said on this endpoint.
    pub(super) fn check_reduced(&mut self, id: LinkId) {
        if let Some(mut link) = self.link_parts(id) {
            link.check_reduced();
        }
    }
}
