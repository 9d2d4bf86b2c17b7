//! Deliveries of a link that are handed out piece by piece.

use crate::{
    connection::message_of,
    event::{IncomingDelivery, StreamItem},
    metadata::{Kept, bounded_state},
    rare::Rare,
};
use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use amqp1_codec::Limits;
use bytes::Bytes;

/// The pieces of a streamed link's deliveries, which come one after the other.
#[derive(Debug, Default)]
pub(crate) struct IncomingStream {
    /// Whether deliveries are handed out piece by piece.
    enabled: bool,
    items: Rare<VecDeque<StreamItem>>,
    /// The states of the deliveries that begin in `items`.
    states: Rare<VecDeque<Option<Box<Kept>>>>,
    /// Deliveries whose end was not taken.
    unfinished: u32,
    /// Later pieces of the delivery whose pieces are being taken are dropped.
    skips: bool,
    /// Waiting transfers do not hold back the session's window any more.
    released: bool,
}

/// The steps that follow [`IncomingStream::skip`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Nothing.
    Done,
    /// The piece at the front, which is the last one.
    Last,
    /// The piece at the front, and those behind it.
    More,
}

impl IncomingStream {
    /// Hands deliveries out piece by piece, or not.
    pub(crate) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Whether deliveries are handed out piece by piece.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Deliveries whose end was not taken.
    pub(crate) fn waiting(&self) -> u32 {
        self.unfinished
    }

    /// Octets that wait to be taken.
    pub(crate) fn octets(&self) -> usize {
        self.data().map(Bytes::len).sum()
    }

    /// Octets that are left of the delivery whose pieces are being taken; `None` if its end has not come, or it is
    /// aborted.
    pub(crate) fn rest(&self) -> Option<usize> {
        let mut octets: usize = 0;
        for item in self.items.get().into_iter().flatten() {
            match item {
                StreamItem::Data(piece) => octets = octets.saturating_add(piece.len()),
                StreamItem::End { .. } => return Some(octets),
                StreamItem::Begin { .. } | StreamItem::Aborted => return None,
            }
        }
        None
    }

    fn data(&self) -> impl Iterator<Item = &Bytes> {
        self.items.get().into_iter().flatten().filter_map(|item| match item {
            StreamItem::Data(octets) => Some(octets),
            _ => None,
        })
    }

    /// Whether octets wait that hold back the session's window.
    pub(crate) fn holds_back(&self) -> bool {
        !self.released && self.data().next().is_some()
    }

    /// Whether what waits does not hold back the session's window any more.
    pub(crate) fn is_released(&self) -> bool {
        self.released
    }

    /// Waiting transfers do not hold back the session's window any more. Returns how many they are.
    pub(crate) fn release(&mut self) -> u32 {
        self.released = true;
        u32::try_from(self.data().count()).unwrap_or(u32::MAX)
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.get().is_none_or(VecDeque::is_empty)
    }

    /// A delivery begins.
    pub(crate) fn begin(&mut self, begin: StreamItem, state: Option<Box<Kept>>) {
        self.states.make().push_back(state);
        self.skips = false;
        self.items.make().push_back(begin);
        self.unfinished = self.unfinished.saturating_add(1);
    }

    /// More of a delivery, or its end. Whether it is to be dropped at once.
    pub(crate) fn push(&mut self, item: StreamItem) -> bool {
        let skipped = self.skips;
        self.skips = skipped && matches!(item, StreamItem::Data(_));
        self.items.make().push_back(item);
        skipped
    }

    /// Takes the next piece.
    pub(crate) fn take(&mut self, limits: Limits) -> Option<StreamItem> {
        let mut item = self.items.get_mut()?.pop_front()?;
        match &mut item {
            StreamItem::Data(_) => {}
            StreamItem::End { .. } | StreamItem::Aborted => self.unfinished = self.unfinished.saturating_sub(1),
            StreamItem::Begin { state, .. } => {
                let kept = self.states.get_mut().and_then(VecDeque::pop_front).flatten();
                *state = kept.and_then(|kept| kept.decode(limits));
            }
        }
        Some(item)
    }

    /// Passes over the rest of the delivery whose pieces are being taken. Returns what is to be taken and dropped.
    pub(crate) fn skip(&mut self) -> Skip {
        match self.items.get().and_then(VecDeque::front) {
            Some(StreamItem::Begin { .. }) => Skip::Done,
            Some(StreamItem::End { .. } | StreamItem::Aborted) => Skip::Last,
            Some(StreamItem::Data(_)) => Skip::More,
            None => {
                self.skips = self.unfinished > 0;
                Skip::Done
            }
        }
    }

    /// Empties the stream of a link that is over.
    pub(crate) fn empty(&mut self, limits: Limits, max_info: usize) -> EmptiedStream {
        let mut states = self.states.take();
        let mut held: u32 = 0;
        let mut whole = Vec::new();
        let mut current = None;
        // Pieces before the first beginning belong to a delivery whose beginning was taken.
        let mut begun = Some(Vec::new());
        let mut rest = None;
        for item in self.items.take() {
            match item {
                StreamItem::Begin { key, tag, message_format, .. } => {
                    let state = states.pop_front().flatten().and_then(|state| state.decode(limits));
                    let state = state.map(|state| bounded_state(&state, max_info, limits));
                    begun = None;
                    current = Some((key, tag, message_format, state, Vec::new()));
                }
                StreamItem::Data(octets) => {
                    held = held.saturating_add(1);
                    match (&mut current, &mut begun) {
                        (Some((.., parts)), _) | (None, Some(parts)) => parts.push(octets),
                        (None, None) => {}
                    }
                }
                StreamItem::End { settled: true } if begun.is_some() => rest = begun.take(),
                StreamItem::End { settled: true } => {
                    let Some((key, tag, message_format, state, parts)) = current.take() else { continue };
                    let message = message_of(message_format, parts, limits);
                    let (settled, resumed) = (true, false);
                    let delivery = IncomingDelivery { key, tag, message_format, settled, resumed, state, message };
                    whole.push(delivery);
                }
                StreamItem::End { settled: false } | StreamItem::Aborted => (current, begun) = (None, None),
            }
        }
        EmptiedStream { held, whole, rest }
    }
}

/// The pieces that waited on a streamed link when it ended.
#[derive(Debug, Default)]
pub(crate) struct EmptiedStream {
    /// How many transfers.
    pub(crate) held: u32,
    /// The whole deliveries that only exist here, because the sender has settled them.
    pub(crate) whole: Vec<IncomingDelivery>,
    /// The rest of such a one whose beginning was taken.
    pub(crate) rest: Option<Vec<Bytes>>,
}
