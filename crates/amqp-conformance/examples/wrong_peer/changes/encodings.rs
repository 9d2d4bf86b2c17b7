//! Peers that write or read other octets than the type definitions allow.

use super::deliveries::transfer;
use crate::wrong::{Fate, Past, Piece, Wrong};
use amqp_conformance::octets::{self, Body, Item, Style, hex};
use amqp1_codec::performative::{Attach, Performative, TargetArchetype};
use amqp1_codec::{definitions::Role, sasl::SaslBody};
use amqp1_script::{Got, frames};
use bytes::Bytes;

/// A peer whose open has another body.
macro_rules! writes_open {
    ($($(#[$doc:meta])+ $constant:ident $name:literal $body:literal;)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::writes($name, &["open"], |_, piece| match piece.name() {
            "open" => Fate::Pass(octets::frame(0, &hex($body)).into()),
            _ => Fate::Pass(piece.octets),
        });
    )+};
}

writes_open! {
    /// Its open has octets after its last field.
    WRITES_WRONG_SIZES "writes-wrong-sizes" "005310 c005 01 a10163 40";
    /// Its open is a map.
    WRITES_MAPS "writes-maps" "005310 c107 02 a10163 a10178";
    /// Its open has no container-id.
    WRITES_NO_CONTAINER_ID "writes-no-container-id" "005310 45";
    /// The max-frame-size of its open is a ushort.
    WRITES_WRONG_TYPES "writes-wrong-types" "005310 c008 03 a10163 40 600200";
    /// Its open has eleven fields.
    WRITES_TOO_MANY_FIELDS "writes-too-many-fields" "005310 c00e 0b a10163 40404040404040404040";
    /// The capabilities of its open are a list.
    WRITES_LISTS_FOR_ARRAYS "writes-lists-for-arrays" "005310 c010 08 a10163 404040404040 c00401a30178";
    /// The descriptor of its open is a uint.
    WRITES_UINT_DESCRIPTORS "writes-uint-descriptors" "005210 c004 01 a10163";
}

/// The rcv-settle-mode of its attaches is 2.
pub(crate) const WRITES_UNKNOWN_RECEIVER_MODES: Wrong =
    Wrong::writes("writes-unknown-receiver-modes", &["attach"], |_, piece| {
        let octets = piece.octets.clone();
        match piece.frame() {
            Ok((channel, Performative::Attach(attach), _)) => {
                let body = same_attach(&attach).with(4, Item::Ubyte(2)).encode(&Style::COMPACT);
                Fate::Pass(octets::frame(channel, &body).into())
            }
            _ => Fate::Pass(octets),
        }
    });

/// The snd-settle-mode of its attaches is 3.
pub(crate) const WRITES_UNKNOWN_CHOICES: Wrong = Wrong::writes("writes-unknown-choices", &["attach"], unknown_choice);

fn unknown_choice(_: &mut Past, piece: Piece) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Attach(attach), _)) => {
            let body = same_attach(&attach).with(3, Item::Ubyte(3)).encode(&Style::COMPACT);
            Fate::Pass(octets::frame(channel, &body).into())
        }
        _ => Fate::Pass(octets),
    }
}

fn same_attach(attach: &Attach) -> Body {
    let source = attach.source.as_ref().and_then(|source| source.address.as_deref());
    let target = match &attach.target {
        Some(TargetArchetype::Target(target)) => target.address.as_deref(),
        _ => None,
    };
    Body::attach(&attach.name, attach.handle, attach.role == Role::Receiver, source, target)
}

/// A peer whose messages are others.
macro_rules! writes_message {
    ($($(#[$doc:meta])+ $constant:ident $name:literal $message:literal;)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::writes($name, &["transfer"], |_, piece| {
            transfer(piece, |transfer, payload| {
                transfer.more = false;
                *payload = Bytes::from(hex($message));
            })
        });
    )+};
}

writes_message! {
    /// Its messages have two headers.
    WRITES_TWO_HEADERS "writes-two-headers" "00537045 00537045 00537740";
    /// Its messages have two amqp-value sections.
    WRITES_TWO_VALUES "writes-two-values" "00537740 00537740";
    /// Its messages end within a section.
    WRITES_HALF_MESSAGES "writes-half-messages" "005375 a008 68";
    /// The user-id of its messages is a string.
    WRITES_STRING_USER_IDS "writes-string-user-ids" "005373 c006 02 40 a1026d65 00537740";
    /// The keys of its annotations are strings.
    WRITES_STRING_KEYS "writes-string-keys" "005372 c107 02 a1036b6579 40 00537740";
    /// Its messages have a content-type and a content-encoding, whatever their bodies are.
    WRITES_CONTENT_TYPES "writes-content-types"
        "005373 c018 08 40 40 40 40 40 40 a3 05 612f622d63 a3 08 6964656e74697479 00537740";
    /// Each of its messages is for its first acquirer, and was delivered five times before.
    WRITES_OTHER_HEADERS "writes-other-headers" "005370 c007 05 42 40 40 41 5205 00537740";
}

/// It passes over what it cannot read, and answers what follows as if nothing had happened.
pub(crate) const READS_NOTHING_MALFORMED: Wrong =
    Wrong::reads("passes-over-malformed-frames", &["undecodable octets"], pass_over);

fn pass_over(past: &mut Past, piece: Piece) -> Fate {
    if is_malformed(&piece) {
        past.count("malformed");
        return Fate::Drop;
    }
    if past.counts.contains_key("malformed") {
        return match piece.clone().frame() {
            Ok((_, Performative::Close(_), _)) => Fate::Answer(vec![frames::encode(0, frames::close(), b"")]),
            Ok((channel, Performative::End(_), _)) => Fate::Answer(vec![frames::encode(channel, frames::end(), b"")]),
            _ => Fate::Pass(piece.octets),
        };
    }
    Fate::Pass(piece.octets)
}

/// It reads nothing after what it cannot read, or what is large.
pub(crate) const HANGS: Wrong = Wrong::reads("hangs-on-malformed-frames", &[], hang);

/// The size of a frame that is large.
const LARGE: usize = 4096;

fn hang(past: &mut Past, piece: Piece) -> Fate {
    if is_malformed(&piece) || piece.octets.len() > LARGE {
        past.count("malformed");
    }
    if past.counts.contains_key("malformed") { Fate::Drop } else { Fate::Pass(piece.octets) }
}

pub(super) fn is_malformed(piece: &Piece) -> bool {
    !matches!(piece.got, Got::Header(_)) && octets::check_frame(&piece.octets).is_err()
}

/// It chooses a mechanism that it was not offered.
pub(crate) const SASL_OTHER_MECHANISM: Wrong = Wrong::writes("sasl-other-mechanism", &["sasl-init"], other_mechanism);

fn other_mechanism(_: &mut Past, piece: Piece) -> Fate {
    match piece.got {
        Got::Sasl(SaslBody::Init(mut init)) => {
            init.mechanism = amqp1_codec::Symbol::from_static("EXTERNAL");
            Fate::Pass(frames::sasl(&SaslBody::Init(init)))
        }
        _ => Fate::Pass(piece.octets),
    }
}
