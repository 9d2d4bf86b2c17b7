//! Handles that the peer has detached, and on which transfers may still come.

use alloc::collections::VecDeque;
use amqp1_codec::{SequenceNo, performative::Handle};

/// Frames that may come on a handle that the peer has detached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LateTransfers {
    /// Deliveries that may begin.
    pub(crate) deliveries: u32,
    /// The one that has begun last.
    pub(crate) last: Option<SequenceNo>,
}

/// The number of detached handles that are remembered, and kept from being used again.
pub(crate) const LATE: usize = 16;

/// The handles that the peer has detached last and on which transfers may still come, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct LateHandles(VecDeque<(Handle, LateTransfers)>);

impl LateHandles {
    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut LateTransfers> {
        self.0.iter_mut().find(|(late, _)| *late == handle).map(|(_, transfers)| transfers)
    }

    pub(crate) fn remove(&mut self, handle: Handle) {
        self.0.retain(|(late, _)| *late != handle);
    }

    /// Remembers a handle, in the place of the oldest one if there are too many.
    pub(crate) fn insert(&mut self, handle: Handle, late: LateTransfers) {
        self.remove(handle);
        if self.0.len() >= LATE {
            self.0.pop_front();
        }
        self.0.push_back((handle, late));
    }
}
