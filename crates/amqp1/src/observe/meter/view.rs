//! The parts of a frame that are counted.

use crate::observe::{ConnectionInfo, Observer};
use amqp1_codec::frame::Direction;
use amqp1_engine::Instant;
use std::sync::Arc;

/// Which way a frame goes, and who is told of it.
pub(super) struct View<'a> {
    pub(super) observer: &'a dyn Observer,
    pub(super) connection: &'a Arc<ConnectionInfo>,
    pub(super) direction: Direction,
    pub(super) now: Instant,
    /// How many more octets the connection's links and deliveries may take here.
    pub(super) room: usize,
}

impl View<'_> {
    pub(super) fn is_ours(&self) -> bool {
        self.direction == Direction::Outgoing
    }
}
