//! The description of a wrong peer: a right one behind a proxy that changes what passes.

use crate::place::{Passed, Place};
use amqp1_codec::performative::{Handle, Performative};
use amqp1_script::{AmqpFrame, Got, Splitter, frames};
use bytes::{Bytes, BytesMut};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::AtomicUsize},
};

/// A way in which a peer is wrong.
#[derive(Clone, Copy)]
pub(crate) struct Wrong {
    /// Its name.
    pub(crate) name: &'static str,
    /// The names of the pieces that it changes, of which one must pass for it to differ from a right peer. Any, if
    /// there are none here.
    pub(crate) on: &'static [&'static str],
    /// The change to each header and frame that the peer writes.
    pub(crate) written: Change,
    /// The change to each header and frame that the peer reads.
    pub(crate) read: Change,
    /// The one place at which it is wrong, if there is one.
    pub(crate) place: Option<&'static Place>,
}

pub(crate) type Change = fn(&mut Past, Piece) -> Fate;

impl Wrong {
    /// A peer that writes such pieces changed.
    pub(crate) const fn writes(name: &'static str, on: &'static [&'static str], written: Change) -> Self {
        Self { name, on, written, read: same, place: None }
    }

    /// A peer that reads such pieces changed.
    pub(crate) const fn reads(name: &'static str, on: &'static [&'static str], read: Change) -> Self {
        Self { name, on, written: same, read, place: None }
    }

    /// A peer whose reading and writing are changed, whatever passes.
    pub(crate) const fn both(name: &'static str, written: Change, read: Change) -> Self {
        Self { name, on: &[], written, read, place: None }
    }

    /// A peer that is wrong at one place of a conversation, called by a name that [`Place::parse`] reads.
    pub(crate) fn at(name: &str) -> Option<Self> {
        // One for each case: they live as long as the program.
        let place: &'static Place = Box::leak(Box::new(Place::parse(name)?));
        let name: &'static str = Box::leak(name.into());
        Some(Self { name, on: &[], written: same, read: same, place: Some(place) })
    }

    /// Returns `true` if it leaves the stream open even where nothing whole has passed.
    pub(crate) fn stays(&self) -> bool {
        self.name == "never-ends-the-stream"
    }

    /// Returns `true` if it may differ from a right peer in a conversation with these pieces.
    pub(crate) fn touches(&self, passed: &HashSet<String>) -> bool {
        self.on.is_empty() || self.on.iter().any(|name| passed.contains(*name))
    }
}

/// A header or a frame on its way.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) octets: Bytes,
    pub(crate) got: Got,
}

impl Piece {
    /// The octets of one header or frame.
    pub(crate) fn new(octets: Bytes) -> Self {
        let mut splitter = Splitter::new(u32::MAX);
        splitter.feed(&octets);
        let got = splitter.next().unwrap_or(Got::Eof { unfinished: octets.clone() });
        Self { octets, got }
    }

    /// The name of the header or the frame's body.
    pub(crate) fn name(&self) -> &'static str {
        self.got.name()
    }

    /// The frame's channel, body and payload, if it has a body.
    pub(crate) fn frame(self) -> Result<(u16, Performative, Bytes), Box<Self>> {
        match self.got {
            Got::Frame(AmqpFrame { channel, body: Some(body), payload, .. }) => Ok((channel, body, payload)),
            _ => Err(Box::new(self)),
        }
    }
}

/// What becomes of a piece.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It passes.
    Pass(Bytes),
    /// It is dropped.
    Drop,
    /// These pass in its place.
    Replace(Vec<Bytes>),
    /// These go back to the one that wrote it, and it is dropped.
    Answer(Vec<Bytes>),
    /// These pass in its place, and the connection ends.
    End(Vec<Bytes>),
    /// These go back to the one that wrote it, and the connection ends.
    Leave(Vec<Bytes>),
    /// The connection ends, and no other is served.
    Crash,
}

/// The memory of one connection, shared by both directions.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The number of the connection, from 1.
    pub(crate) connection: u32,
    /// The pieces that have passed.
    pub(crate) passed: Passed,
    /// The number of pieces with this name that a change has counted.
    pub(crate) counts: HashMap<&'static str, u32>,
    /// Octets that a change has kept.
    pub(crate) kept: Vec<Bytes>,
    /// Octets that wait for an answer to others.
    pub(crate) held: Vec<Bytes>,
    /// Handles that a change has remembered.
    pub(crate) handles: HashSet<(u16, Handle)>,
    /// A number that all connections of the peer share.
    pub(crate) shared: Arc<AtomicUsize>,
    /// The stream stays open in both directions when the right peer ends it.
    pub(crate) stays: bool,
}

impl Past {
    /// The number of times that this was counted before.
    pub(crate) fn count(&mut self, name: &'static str) -> u32 {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        *count - 1
    }

    /// Returns `true` if this was counted before.
    pub(crate) fn has(&self, name: &'static str) -> bool {
        self.counts.contains_key(name)
    }
}

/// The change that leaves everything as it is.
pub(crate) fn same(_: &mut Past, piece: Piece) -> Fate {
    Fate::Pass(piece.octets)
}

/// Changes the performatives of one type.
pub(crate) fn change(piece: Piece, name: &str, with: impl FnOnce(&mut Performative, &mut Bytes)) -> Fate {
    if piece.name() != name {
        return Fate::Pass(piece.octets);
    }
    match piece.frame() {
        Ok((channel, mut body, mut payload)) => {
            with(&mut body, &mut payload);
            Fate::Pass(frames::encode(channel, body, &payload))
        }
        Err(piece) => Fate::Pass(piece.octets),
    }
}

/// Drops the pieces of one type.
pub(crate) fn drops(piece: Piece, name: &str) -> Fate {
    if piece.name() == name { Fate::Drop } else { Fate::Pass(piece.octets) }
}

/// Removes the first header or whole frame from what was read.
pub(crate) fn take_piece(buffer: &mut BytesMut) -> Option<Bytes> {
    let size = if buffer.starts_with(b"AMQP") {
        8
    } else {
        let size = u32::from_be_bytes(*buffer.first_chunk()?);
        // Octets that begin no frame pass as they are.
        if (8..=0x0100_0000).contains(&size) { usize::try_from(size).ok()? } else { buffer.len() }
    };
    if buffer.len() < size || size == 0 {
        return None;
    }
    Some(buffer.split_to(size).freeze())
}
