//! One delivery on its way, in either direction: a message that is sent piece by piece, and one that is put together.

use crate::{
    event::Settlement,
    metadata::{Kept, SMALL_STATE},
    rare::Rare,
    resume::{Retained, SentSoFar},
    violation::PeerMisbehaved,
};
use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use amqp1_codec::{DeliveryTag, EncodedMessage, messaging::DeliveryState, performative::Transfer};
use bytes::Bytes;

/// More than the frame header and a transfer performative take, its state apart.
pub(crate) const TRANSFER_ROOM: usize = 128;

/// The octets of an open stream that wait for what follows them.
const HELD_BACK: usize = 1;

/// A message that waits to be sent, or whose sending has begun.
#[derive(Debug)]
pub(crate) struct OutgoingDelivery {
    pub(crate) token: u64,
    pub(crate) tag: DeliveryTag,
    pub(crate) settled: bool,
    pub(crate) message_format: u32,
    pub(crate) parts: Payload,
    pub(crate) left: usize,
    /// Octets that were written to a stream.
    pub(crate) written: u64,
    /// The delivery-id, once the first transfer has left.
    pub(crate) id: Option<u64>,
    /// A stream of which the application will write more.
    pub(crate) open: bool,
    /// The application has chosen its tag.
    pub(crate) named: bool,
    /// It is given up: the next transfer says so, and is the last.
    pub(crate) aborted: bool,
    /// It was begun at an earlier endpoint.
    pub(crate) resume: bool,
    /// Its state at this end.
    pub(crate) state: Option<DeliveryState>,
    /// A provisional outcome does not end it.
    pub(crate) acquired: bool,
    /// How much of the session's window its later transfers leave to other deliveries.
    pub(crate) share: u32,
    /// The report when the last transfer is written, if that ends it.
    pub(crate) report: Option<Settlement>,
    /// The parts that are needed to send it again.
    pub(crate) retained: Option<Box<Retained>>,
    /// The state that it is resumed from, as long as none of it has left.
    pub(crate) origin: Option<Box<SentSoFar>>,
}

impl OutgoingDelivery {
    pub(crate) fn new(token: u64, tag: DeliveryTag, message_format: u32) -> Self {
        Self {
            token,
            tag,
            settled: false,
            message_format,
            parts: Payload::default(),
            left: 0,
            written: 0,
            id: None,
            open: false,
            named: false,
            aborted: false,
            resume: false,
            state: None,
            acquired: false,
            share: 0,
            report: None,
            retained: None,
            origin: None,
        }
    }

    /// Whether there is something to write, if it may be begun.
    pub(crate) fn has_octets(&self) -> bool {
        self.left > self.held_back() || !self.open
    }

    /// How many of its octets wait for more to be written, or for its end. RabbitMQ 3.10 ends the session at a last
    /// transfer without octets, so that some are kept for it.
    pub(crate) fn held_back(&self) -> usize {
        if self.open { self.left.min(HELD_BACK) } else { 0 }
    }

    /// It is settled with its transfers, and this is reported when the last one is written.
    pub(crate) fn settle(&mut self, report: Settlement) {
        self.settled = true;
        self.retained = None;
        self.report = Some(report);
    }

    /// Gives up what has not left: the next transfer says so, and is the last. Returns the octets.
    #[must_use]
    pub(crate) fn give_up(&mut self) -> Payload {
        self.left = 0;
        self.open = false;
        self.aborted = true;
        self.report = None;
        core::mem::take(&mut self.parts)
    }

    pub(crate) fn is_transactional(&self) -> bool {
        matches!(self.state, Some(DeliveryState::Transactional(_)))
    }
}

/// The octets of a message that wait to be sent: in one piece mostly, for which nothing is allocated, or in several.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    /// Empty only if there is nothing.
    first: Bytes,
    /// None of them is empty.
    rest: Rare<VecDeque<Bytes>>,
}

impl Payload {
    /// Adds octets at the end.
    pub(crate) fn push(&mut self, octets: Bytes) {
        if self.first.is_empty() {
            self.first = octets;
        } else if !octets.is_empty() {
            self.rest.make().push_back(octets);
        }
    }

    /// Takes up to this many octets from the front, in one piece.
    pub(crate) fn take(&mut self, most: usize) -> Option<Bytes> {
        if self.first.is_empty() || most == 0 {
            return None;
        }
        if most < self.first.len() {
            return Some(self.first.split_to(most));
        }
        let next = self.rest.get_mut().and_then(VecDeque::pop_front).unwrap_or_default();
        Some(core::mem::replace(&mut self.first, next))
    }
}

impl From<EncodedMessage> for Payload {
    fn from(message: EncodedMessage) -> Self {
        let (first, rest) = message.into_first_and_rest();
        let mut payload = Self { first, rest: Rare::default() };
        if !rest.is_empty() {
            *payload.rest.make() = rest.into();
        }
        payload
    }
}

impl IntoIterator for Payload {
    type Item = Bytes;
    type IntoIter = core::iter::Chain<core::iter::Once<Bytes>, alloc::collections::vec_deque::IntoIter<Bytes>>;

    fn into_iter(mut self) -> Self::IntoIter {
        core::iter::once(self.first).chain(self.rest.take())
    }
}

/// Octets in one piece mostly, for which nothing is allocated, or in several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    first: Option<Bytes>,
    rest: Vec<Bytes>,
}

impl Parts {
    pub(crate) fn push(&mut self, part: Bytes) {
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(part);
        } else {
            self.rest.push(part);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Bytes> {
        self.into_iter().collect()
    }
}

impl From<Vec<Bytes>> for Parts {
    fn from(rest: Vec<Bytes>) -> Self {
        Self { first: None, rest }
    }
}

impl IntoIterator for Parts {
    type Item = Bytes;
    type IntoIter = core::iter::Chain<core::option::IntoIter<Bytes>, alloc::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

/// A delivery of which more is to come.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) id: u64,
    pub(crate) tag: DeliveryTag,
    pub(crate) message_format: u32,
    pub(crate) settled: bool,
    pub(crate) second: bool,
    pub(crate) parts: Parts,
    pub(crate) octets: u64,
    pub(crate) transfers: u32,
    /// Nothing of it is wanted: it resumes a delivery that this end knows nothing of (§2.7.5), or has an outcome for.
    pub(crate) ignored: bool,
    /// Its pieces are handed out as they come.
    pub(crate) streamed: bool,
    /// Octets at its front that are held already.
    pub(crate) skip: usize,
    pub(crate) resumed: bool,
    /// Its state at the sender.
    pub(crate) state: Option<Box<Kept>>,
    /// Whether that is one of a transaction.
    pub(crate) transactional: bool,
}

/// A delivery may not come in more transfers than this.
const MAX_TRANSFERS: u32 = 1 << 18;

/// Payloads up to this size are copied out of the read buffer, so that they do not keep it alive.
const COPIED: usize = 256;

/// The same for payloads of which more is to come: they are not taken before that.
const COPIED_PARTS: usize = 8 * 1024;

impl Assembly {
    /// Adds a transfer that continues this delivery.
    pub(crate) fn push(
        &mut self,
        mut payload: Bytes,
        more: bool,
        max_message_size: Option<u64>,
    ) -> Result<(), PeerMisbehaved> {
        if self.skip > 0 {
            let skipped = payload.split_to(self.skip.min(payload.len()));
            self.skip = self.skip.saturating_sub(skipped.len());
        }
        self.transfers = self.transfers.saturating_add(1);
        if self.transfers > MAX_TRANSFERS && !self.streamed {
            return Err(PeerMisbehaved::TransfersExceeded);
        }
        self.octets = self.octets.saturating_add(u64::try_from(payload.len()).unwrap_or(u64::MAX));
        if max_message_size.is_some_and(|max| max > 0 && self.size() > max) {
            return Err(PeerMisbehaved::MessageTooLarge);
        }
        let copied = if more { COPIED_PARTS } else { COPIED };
        match payload.len() {
            _ if self.ignored => {}
            0 => {}
            _ if self.streamed => self.parts.push(payload),
            length if length <= copied => self.parts.push(Bytes::copy_from_slice(&payload)),
            _ => self.parts.push(payload),
        }
        Ok(())
    }

    /// The size of its message, and what its state takes beyond a small one: a message of the largest size may be
    /// posted in a transaction, and resumed.
    fn size(&self) -> u64 {
        let state = self.state.as_ref().map_or(0, |state| state.octets().len().saturating_sub(SMALL_STATE));
        self.octets.saturating_add(u64::try_from(state).unwrap_or(u64::MAX))
    }

    pub(crate) fn continues(&self, transfer: &Transfer) -> bool {
        transfer.delivery_id.is_none_or(|id| id == crate::session::wire_id(self.id))
            && transfer.delivery_tag.is_none_or(|tag| tag == self.tag)
            && transfer.message_format.is_none_or(|format| format == self.message_format)
    }
}
