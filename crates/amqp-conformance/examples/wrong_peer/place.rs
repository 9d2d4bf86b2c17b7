//! A peer that is wrong at one place of a conversation: with one header or frame, and right with all others.

use crate::{
    bench::Conversation,
    wrong::{Fate, Past, Piece},
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Detach, End, Performative},
    sasl::{SaslBody, SaslCode},
};
use amqp1_script::{AmqpFrame, Got, frames};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// The direction in which a piece passes, as the wrong peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Read,
    Written,
}

/// The peer's treatment of the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It goes on as if it had not read the piece: what has to be refused is not.
    Overlooks,
    /// It refuses the piece, at the scope that the piece has.
    Refuses,
    /// It takes the piece for right and answers it, and does nothing more: a delivery is accepted, a link attached or
    /// detached, a login is good.
    Accepts,
    /// It does not write the piece.
    Withholds,
    /// It writes the piece twice.
    Repeats,
    /// It writes another frame before the piece.
    Precedes,
    /// It writes another frame after the piece.
    Continues,
    /// It ends the connection behind the piece.
    Leaves,
    /// It ends the connection, and does not write the piece.
    Drops,
    /// It reads nothing any more, from the piece on.
    Hangs,
}

const ACTS: [(Act, &str); 10] = [
    (Act::Overlooks, "overlooks"),
    (Act::Accepts, "accepts"),
    (Act::Refuses, "refuses"),
    (Act::Withholds, "withholds"),
    (Act::Repeats, "repeats"),
    (Act::Precedes, "precedes"),
    (Act::Continues, "continues-after"),
    (Act::Leaves, "leaves-after"),
    (Act::Drops, "leaves-instead-of"),
    (Act::Hangs, "hangs-at"),
];

/// A place and the change there. It is written `overlooks/attach/1.2`: on the first connection, the second attach that
/// the peer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) act: Act,
    /// The name of the piece.
    pub(crate) name: String,
    /// The number of the connection, from 1.
    pub(crate) connection: u32,
    /// The number of the piece among those of its name in this direction on the connection, from 1.
    pub(crate) number: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = ACTS.iter().find(|(act, _)| *act == self.act).map_or("", |(_, word)| word);
        write!(f, "{act}/{}/{}.{}", self.name, self.connection, self.number)
    }
}

impl Place {
    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let word = parts.next()?;
        let (act, _) = ACTS.iter().find(|(_, known)| *known == word)?;
        let name = String::from(parts.next()?);
        let (connection, number) = parts.next()?.split_once('.')?;
        Some(Self { act: *act, name, connection: connection.parse().ok()?, number: number.parse().ok()? })
    }

    fn direction(&self) -> Direction {
        match self.act {
            Act::Overlooks | Act::Accepts | Act::Refuses | Act::Hangs => Direction::Read,
            _ => Direction::Written,
        }
    }

    /// The fate of the piece, if this is its place. Every piece has to be shown to it.
    pub(crate) fn change(&self, past: &mut Past, direction: Direction, piece: &Piece) -> Option<Fate> {
        let number = past.passed.add(direction, piece);
        if past.passed.hangs && direction == Direction::Read {
            return Some(Fate::Drop);
        }
        let is_here = past.connection == self.connection
            && direction == self.direction()
            && piece.name() == self.name
            && number == self.number;
        is_here.then(|| match self.act {
            Act::Overlooks | Act::Withholds => Fate::Drop,
            Act::Repeats => Fate::Replace(vec![piece.octets.clone(), piece.octets.clone()]),
            Act::Precedes => Fate::Replace(vec![frames::empty(0), piece.octets.clone()]),
            Act::Continues => Fate::Replace(vec![piece.octets.clone(), frames::empty(0)]),
            Act::Leaves => Fate::End(vec![piece.octets.clone()]),
            Act::Drops => Fate::End(Vec::new()),
            Act::Hangs => {
                past.passed.hangs = true;
                Fate::Drop
            }
            Act::Accepts => accepted(&past.passed, piece),
            Act::Refuses => refused(&past.passed, piece),
        })
    }
}

/// The pieces that have passed on a connection.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    counts: HashMap<(Direction, &'static str), u32>,
    /// Whether nothing more is read.
    hangs: bool,
    /// The channels of the peer's sessions, by those of the other end.
    channels: HashMap<u16, u16>,
}

impl Passed {
    /// Counts a piece. Returns its number among those of its name.
    fn add(&mut self, direction: Direction, piece: &Piece) -> u32 {
        if let Got::Frame(AmqpFrame { channel, body: Some(Performative::Begin(begin)), .. }) = &piece.got
            && let Some(remote) = begin.remote_channel
        {
            let (theirs, own) = if direction == Direction::Written { (remote, *channel) } else { (*channel, remote) };
            self.channels.insert(theirs, own);
        }
        let count = self.counts.entry((direction, piece.name())).or_default();
        *count += 1;
        *count
    }
}

/// The answer to a piece that is right. A piece without an answer is overlooked.
fn accepted(passed: &Passed, piece: &Piece) -> Fate {
    let answer = |channel: &u16, body: Performative| {
        let own = passed.channels.get(channel).copied().unwrap_or(*channel);
        Fate::Answer(vec![frames::encode(own, body, b"")])
    };
    match &piece.got {
        Got::Sasl(SaslBody::Init(_) | SaslBody::Response(_)) => {
            Fate::Answer(vec![frames::sasl(&frames::outcome(SaslCode::Ok))])
        }
        Got::Frame(AmqpFrame { channel, body: Some(Performative::Begin(_)), .. }) => {
            Fate::Answer(vec![frames::encode(*channel, frames::begin_answering(*channel), b"")])
        }
        Got::Frame(AmqpFrame { channel, body: Some(Performative::Attach(attach)), .. }) => {
            answer(channel, frames::attach_answering(attach, attach.handle).into())
        }
        Got::Frame(AmqpFrame { channel, body: Some(Performative::Detach(detach)), .. }) => {
            answer(channel, Detach { error: None, ..Detach::clone(detach) }.into())
        }
        Got::Frame(AmqpFrame { channel, body: Some(Performative::Transfer(transfer)), .. })
            if transfer.settled != Some(true) =>
        {
            let id = transfer.delivery_id.unwrap_or_default();
            answer(channel, frames::settled(Role::Receiver, id.0, DeliveryState::Accepted).into())
        }
        _ => Fate::Drop,
    }
}

/// The refusal of a lawful piece: of a delivery by its outcome, of what belongs to a session by its end, and of everything
/// else by the end of the connection.
fn refused(passed: &Passed, piece: &Piece) -> Fate {
    let close = || Fate::Leave(vec![frames::encode(0, frames::close_with(ErrorCondition::DECODE_ERROR), b"")]);
    match &piece.got {
        Got::Sasl(SaslBody::Init(_) | SaslBody::Response(_)) => {
            Fate::Answer(vec![frames::sasl(&frames::outcome(SaslCode::Auth))])
        }
        Got::Header(_) | Got::Sasl(_) => Fate::Leave(Vec::new()),
        Got::Frame(AmqpFrame { channel, body: Some(body), .. }) => {
            let own = passed.channels.get(channel).copied().unwrap_or(*channel);
            match body {
                Performative::Open(_) | Performative::Close(_) => close(),
                Performative::Transfer(transfer)
                    if transfer.settled != Some(true) && transfer.delivery_id.is_some() =>
                {
                    let id = transfer.delivery_id.unwrap_or_default();
                    let rejected = DeliveryState::rejected(ErrorCondition::DECODE_ERROR);
                    Fate::Answer(vec![frames::encode(own, frames::settled(Role::Receiver, id.0, rejected), b"")])
                }
                _ => {
                    let error = Some(AmqpError::from(ErrorCondition::DECODE_ERROR));
                    Fate::Answer(vec![frames::encode(own, End { error }, b"")])
                }
            }
        }
        _ => close(),
    }
}

/// The places at which a peer may break the rule of a case, the likeliest first.
///
/// A piece that the tool sends in the case and in no lawful twin carries the rule. Where the rule asks for a refusal, the
/// peer overlooks that piece; otherwise it refuses it. After these come places where an answer is left out or given twice.
pub(crate) fn candidates(connections: &[Conversation], lawful: &HashSet<Bytes>, wants_refusal: bool) -> Vec<Place> {
    let (mut special, mut others, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for (connection, conversation) in (1..).zip(connections) {
        let mut counts: HashMap<String, u32> = HashMap::new();
        for octets in conversation.sent.iter().take(MOST) {
            let name = String::from(Piece::new(octets.clone()).name());
            let number = counts.entry(name.clone()).or_default();
            *number += 1;
            let place = Place { act: Act::Overlooks, name, connection, number: *number };
            if !lawful.contains(&nameless(octets)) {
                special.push(place);
            } else if !matches!(place.name.as_str(), "header" | "close") {
                others.push(place);
            }
        }
        counts.clear();
        for name in conversation.came.iter().take(MOST) {
            let number = counts.entry(name.clone()).or_default();
            *number += 1;
            if matches!(name.as_str(), "flow" | "transfer" | "disposition") {
                answers.push(Place { act: Act::Withholds, name: name.clone(), connection, number: *number });
            }
        }
    }
    // The last one is what the case is about: the others lead to it.
    for places in [&mut special, &mut others, &mut answers] {
        places.reverse();
    }
    let with = |act: Act, places: &[Place]| -> Vec<Place> {
        places.iter().map(|place| Place { act, ..place.clone() }).collect()
    };
    if wants_refusal {
        let (accepted, refused) = (with(Act::Accepts, &special), with(Act::Refuses, &special));
        let accepted = accepted.into_iter().filter(|place| ANSWERED.contains(&place.name.as_str())).collect();
        [accepted, special, others, refused].concat()
    } else {
        [with(Act::Refuses, &special), special, answers.clone(), with(Act::Repeats, &answers)].concat()
    }
}

/// The pieces that [`Act::Accepts`] answers.
const ANSWERED: [&str; 5] = ["begin", "attach", "transfer", "sasl-init", "sasl-response"];

/// The most pieces of a connection that are looked at.
const MOST: usize = 60;

/// The octets without the number of the worker in the name of its node.
pub(crate) fn nameless(octets: &Bytes) -> Bytes {
    let mut octets = octets.to_vec();
    let name = b"matrix-";
    let found: Vec<usize> =
        octets.windows(name.len()).enumerate().filter(|(_, window)| window == name).map(|(at, _)| at).collect();
    for at in found {
        if let Some(digit) = octets.get_mut(at + name.len()) {
            *digit = b'0';
        }
    }
    octets.into()
}
