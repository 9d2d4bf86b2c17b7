//! Reads the octets of both directions once, and gives each frame to whom it concerns when it does.

use super::{agreement, monitor::Monitor};
use crate::wire::{Item, sized_items};
use amqp1_codec::performative::Performative;
use std::collections::{BTreeSet, VecDeque};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that was the first to speak.
    Client,
    /// The other.
    Server,
}

impl Side {
    /// Both ends.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }
}

/// What is on its way to one end.
#[derive(Debug, Default)]
struct Direction {
    /// Frames with the offset of the octet behind each.
    frames: VecDeque<(u64, Item)>,
    written: u64,
    taken: u64,
}

/// Judges both ends by the octets that they write, each with regard to the octets that it has taken by then.
///
/// It panics at the first frame that an end may not write: order, ids, windows (§2.5.6), credit (§2.6.7), settlements
/// (§2.6.12). It knows nothing of the engine but what the frames say.
#[derive(Debug, Default)]
pub struct Judge {
    ends: [Monitor; 2],
    /// By the end that reads.
    directions: [Direction; 2],
    frames: u64,
    /// The tokens of messages of which something was written.
    begun: BTreeSet<u64>,
}

impl Judge {
    /// An end has written these octets, which are whole frames.
    pub fn wrote(&mut self, side: Side, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        let end = &mut self.ends[side.index()];
        let to = &mut self.directions[side.other().index()];
        for (size, item) in sized_items(octets) {
            end.wrote(&item);
            self.frames += 1;
            self.begun.extend(first_token(&item));
            to.written += size as u64;
            to.frames.push_back((to.written, item));
        }
    }

    /// An end has taken this many octets.
    pub fn took(&mut self, side: Side, count: usize) {
        let from = &mut self.directions[side.index()];
        from.taken += count as u64;
        while from.frames.front().is_some_and(|(end, _)| *end <= from.taken) {
            if let Some((_, item)) = from.frames.pop_front() {
                self.ends[side.index()].heard(&item);
            }
        }
    }

    /// Nothing is on its way: the ends agree on all that they share.
    pub fn check_agreement(&self) {
        let [client, server] = &self.ends;
        agreement::check(client, server);
        agreement::check(server, client);
    }

    /// The channels on which an end hears of sessions that it has not ended.
    pub fn channels(&self, side: Side) -> Vec<u16> {
        self.ends[side.index()].channels()
    }

    /// Whether anything was written of the message that carries this token.
    pub fn has_begun(&self, token: u64) -> bool {
        self.begun.contains(&token)
    }

    /// How many frames were judged.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// How many deliveries were begun.
    pub fn deliveries(&self) -> usize {
        self.ends.iter().map(Monitor::deliveries).sum()
    }
}

/// The token in the first transfer of a message as the model makes them: a data section (§3.2.6) that begins with it.
fn first_token(item: &Item) -> Option<u64> {
    let Item::Frame { body: Some(Performative::Transfer(transfer)), payload, .. } = item else { return None };
    let _first = transfer.delivery_tag?;
    let header = match payload.get(..4)? {
        [0, 0x53, 0x75, 0xa0] => 5,
        [0, 0x53, 0x75, 0xb0] => 8,
        _ => return None,
    };
    Some(u64::from_be_bytes(payload.get(header..header + 8)?.try_into().ok()?))
}
