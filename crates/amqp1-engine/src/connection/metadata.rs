//! How much of the peer's metadata is kept, and what exceeds it.

use super::Connection;
use crate::{
    metadata::{self, Charge, Kept, Stated, bounded_error, bounded_state},
    store::LinkId,
    violation::{PeerMisbehaved, Scope},
};
use alloc::sync::Arc;
use amqp1_codec::{Encode, Str, definitions::AmqpError, messaging::DeliveryState, performative::Open};

/// The kept parts of the peer's open.
#[derive(Debug)]
pub(super) struct RemoteOpen {
    pub(super) max_frame_size: u32,
    pub(super) channel_max: u16,
    pub(super) kept: Kept,
}

impl Connection {
    /// Keeps the limits for peers that are not authenticated until
    /// [`set_authenticated`](Self::set_authenticated), whatever becomes of SASL and the open: for a server that
    /// authenticates its clients by other means.
    pub fn hold_authentication(&mut self) {
        self.hold_authentication = true;
    }

    /// The peer is authenticated: from now on the limits for such peers apply.
    pub fn set_authenticated(&mut self) {
        self.authenticated = true;
    }

    /// How many octets of the peer's metadata are kept.
    pub fn metadata(&self) -> usize {
        self.meter.used()
    }

    fn max_metadata(&self) -> usize {
        self.config.metadata_limit(self.authenticated)
    }

    /// The count of a link of this name, its attach apart.
    pub(super) fn charge_link(&self, name: &Str) -> Option<Charge> {
        let own = if self.authenticated { metadata::LINK } else { metadata::UNAUTHENTICATED };
        self.charge(own.saturating_add(name.len()))
    }

    /// The count of a session.
    pub(super) fn charge_session(&self) -> Option<Charge> {
        self.charge(if self.authenticated { 0 } else { metadata::UNAUTHENTICATED })
    }

    /// The peer is let in.
    pub(super) fn let_in(&mut self) {
        self.authenticated |= !self.hold_authentication;
    }

    pub(super) fn charge(&self, octets: usize) -> Option<Charge> {
        self.meter.charge(octets, self.max_metadata())
    }

    /// Octets that are kept, with `more` that is kept beside them.
    pub(super) fn keep(&self, value: &impl Encode, more: usize) -> Option<Kept> {
        let octets = value.to_octets();
        let charge = self.charge(octets.len().saturating_add(more))?;
        Some(Kept::new(octets, charge))
    }

    /// An open that keeps no read buffer alive.
    pub(super) fn keep_open(&self, open: &Open) -> Option<RemoteOpen> {
        let kept = self.keep(open, 0)?;
        Some(RemoteOpen { max_frame_size: open.max_frame_size, channel_max: open.channel_max, kept })
    }

    /// An error of the peer's, without what would take too much, and what it takes until it is polled.
    pub(super) fn admit_error(&self, error: Option<AmqpError>) -> (Option<AmqpError>, Charge) {
        let Some(error) = error else { return (None, Charge::default()) };
        let error = bounded_error(&error, self.config.max_info, self.config.decode_limits());
        match self.charge(error.heap_size()) {
            Some(charge) => (Some(error), charge),
            None => (Some(bounded_error(&error, 0, self.config.decode_limits())), Charge::default()),
        }
    }

    /// A state of the peer's, without what would take too much.
    pub(super) fn admit_state(&self, state: &DeliveryState) -> Arc<Stated> {
        let state = bounded_state(state, self.config.max_info, self.config.decode_limits());
        Arc::new(match self.charge(state.heap_size()) {
            Some(charge) => Stated::new(state, charge),
            None => Stated::new(bounded_state(&state, 0, self.config.decode_limits()), Charge::default()),
        })
    }

    /// A link whose peer says more than is kept.
    pub(super) fn metadata_exceeded(&mut self, id: LinkId) {
        self.link_misbehaved(id, PeerMisbehaved::MetadataExceeded { scope: Scope::Link });
    }
}
