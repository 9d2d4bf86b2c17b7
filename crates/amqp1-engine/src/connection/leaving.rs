//! Leaving cleanly: what is stated before a detach, an end or a close goes before it. And what a delivery came to whose
//! receiver did not say.

use super::Connection;
use crate::{outbox::Leaving, store::LinkId};
use amqp1_codec::{Decode, Reader, definitions::Role, messaging::DeliveryState, performative::Attach};

impl Connection {
    /// Detaches or ends, if everything that can be sent is sent. It is done when frames are written, not when it is asked
    /// for, so that what is settled until then goes first.
    pub(super) fn try_leave(&mut self, leaving: Leaving) {
        match leaving {
            Leaving::Link(id) => self.try_detach(id),
            Leaving::Session(id) => self.try_end(id),
        }
    }

    /// Turns the gathered settlements of all sessions into frames.
    pub(super) fn flush_all_marks(&mut self) {
        while let Some(session) = self.outbox.next_marked() {
            self.flush_marks(session);
        }
    }

    /// Whether frames wait to be transmitted that need neither credit nor a window: settlements, for one.
    pub fn has_frames(&self) -> bool {
        self.outbox.has_frames()
    }

    /// The outcome of what is sent on a link and settled without one: the default-outcome of its source (§3.3, §3.5.3), as
    /// the sending end has it, or else as the receiving end has answered. On a link that this end has accepted, what it
    /// granted counts, not what the peer asked for. `None` if none is stated: then nothing is known of such a delivery. A node at this end may take it for released
    /// (`default_outcome` of the crate `amqp1-broker`).
    pub(crate) fn default_outcome(&self, id: LinkId) -> Option<DeliveryState> {
        let link = self.links.get(id)?;
        let answered = link
            .reattach
            .as_ref()
            .and_then(|octets| Attach::decode(&mut Reader::with_limits(octets, self.config.decode_limits())).ok());
        let source = answered.as_ref().map_or(&link.local.source, |attach| &attach.source);
        let ours = source.as_ref().and_then(|source| source.default_outcome.clone());
        if answered.is_some() && link.role() == Role::Sender {
            // The peer has only asked for one.
            return ours;
        }
        ours.or_else(|| self.remote_attach(id)?.source?.default_outcome)
    }
}
