//! How much waits to be sent on a connection, over all of its links, and why a link takes nothing more.

use crate::link::SendingEnd;

/// The count of a waiting delivery beside its octets: about the memory of its entry.
const ENTRY: usize = 256;

/// How many links with much to send it takes to use up what may wait.
const SHARES: usize = 16;

/// Why nothing can be queued on a link that is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocked {
    /// The receiver has granted no credit, or it is used up.
    Credit,
    /// As many deliveries of the link are unsettled as may be: see
    /// [`SenderConfig::max_unsettled`](crate::SenderConfig).
    Unsettled,
    /// As much waits on the connection as may: see [`ConnectionConfig::max_queued`](crate::ConnectionConfig).
    Queue,
}

/// The deliveries that wait on all links of a connection.
#[derive(Debug)]
pub(crate) struct Queued {
    octets: usize,
    max: usize,
    /// Whether something was refused because there is too much.
    refused: bool,
}

impl Queued {
    pub(crate) fn new(max: usize) -> Self {
        Self { octets: 0, max, refused: false }
    }

    /// The amount that may wait beside that.
    pub(crate) fn room(&self) -> usize {
        self.max.saturating_sub(self.octets)
    }

    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// Something was refused: when there is room again, that is reported.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether there is room again for what was refused. Once.
    pub(crate) fn has_room_again(&mut self) -> bool {
        self.refused && self.octets < self.max && core::mem::take(&mut self.refused)
    }

    /// Counts what waits on a link now. One link is not to take up all: of a large message only a part counts.
    #[inline]
    pub(crate) fn count(&mut self, end: &mut SendingEnd) {
        let now = end.queued.saturating_add(end.queue.len().saturating_mul(ENTRY)).min(self.max / SHARES);
        self.octets = self.octets.saturating_add(now).saturating_sub(core::mem::replace(&mut end.counted, now));
    }
}
