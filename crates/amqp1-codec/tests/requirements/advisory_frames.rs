//! Errors, outcomes and attaches of which a part cannot be read: with `odd_advisory_data` the rest is read, and what cannot
//! be read is its default or a documented stand-in. Without it they are refused.

use crate::support::{hex, whole_within};
use amqp1_codec::{
    Decode, DecodeErrorKind as Kind, Limits,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, SenderSettleMode},
    frame::{Frame, FrameDecoder, FrameErrorKind},
    messaging::{DeliveryState, Source, Target, TerminusDurability, TerminusExpiryPolicy},
    performative::{Attach, Close, Detach, End, Performative, Transfer},
};
use bytes::BytesMut;
use std::fmt::{Debug, Write};

fn tolerant() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.odd_advisory_data = true;
    limits
}

/// A described list of these fields.
fn list(descriptor: &str, count: usize, fields: &str) -> String {
    let mut text = format!("00 53 {descriptor} d0 {:08x} {count:08x} ", hex(fields).len() + 4);
    // The test's text may be a string in quotes, which the outer size counts too.
    write!(text, "{fields}").expect("a string takes everything");
    text
}

/// Decodes the text under the tolerance, and checks that it is refused without.
#[track_caller]
fn odd<T: Decode + Debug>(text: &str) -> T {
    for limits in [Limits::DEFAULT, Limits::STRICT] {
        let refused = whole_within::<T>(&hex(text), limits);
        assert!(refused.is_err(), "{text}: {refused:?}");
    }
    whole_within(&hex(text), tolerant()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

const NOT_FOUND: &str = "a3 0e 'amqp:not-found'";

/// T-2.8.14-1 (malformed): the condition stays whatever becomes of the description.
#[test]
fn an_error_whose_description_cannot_be_read_keeps_its_condition() {
    for (description, expected) in [
        // Latin-1, a symbol, a symbol that is not ASCII.
        ("a1 04 'a' fc 'bc'", Some("a\u{fffd}bc")),
        ("a3 03 'abc'", Some("abc")),
        ("a3 02 c3 bc", Some("ü")),
        ("b3 00 00 00 02 c3 bc", Some("ü")),
        // A number, octets, a list, something described.
        ("54 01", None),
        ("a0 03 'abc'", None),
        ("45", None),
        ("00 53 77 a1 01 'a'", None),
    ] {
        let error: AmqpError = odd(&list("1d", 3, &format!("{NOT_FOUND} {description} c1 05 02 a3 01 'k' 41")));
        assert_eq!(error.condition, ErrorCondition::NOT_FOUND, "{description}");
        assert_eq!(error.description.as_deref(), expected, "{description}");
        assert_eq!(error.info.expect("read").get("k"), Some(&true.into()), "{description}");
    }
}

#[test]
fn an_error_whose_condition_cannot_be_read_keeps_its_description() {
    for (condition, expected) in [
        // The name as a string; a text that is not ASCII, a number, nothing.
        ("a1 0e 'amqp:not-found'", ErrorCondition::NOT_FOUND),
        ("b1 00 00 00 03 'a:b'", ErrorCondition::from_static("a:b")),
        ("a3 02 c3 bc", ErrorCondition::UNREADABLE),
        ("a1 02 c3 bc", ErrorCondition::UNREADABLE),
        ("52 07", ErrorCondition::UNREADABLE),
        ("40", ErrorCondition::UNREADABLE),
    ] {
        let error: AmqpError = odd(&list("1d", 2, &format!("{condition} a1 03 'why'")));
        assert_eq!((&error.condition, error.description.as_deref()), (&expected, Some("why")), "{condition}");
    }
    let error: AmqpError = odd("00 53 1d 45");
    assert_eq!((error.condition, error.description), (ErrorCondition::UNREADABLE, None));
    assert_eq!(ErrorCondition::UNREADABLE.as_str(), "amqp1:unreadable-condition");
}

/// That there was an error is never lost.
#[test]
fn an_error_that_is_malformed_as_a_whole_is_still_an_error() {
    for (error, condition, description) in [
        ("a1 03 'why'", ErrorCondition::UNREADABLE, Some("why")),
        ("54 01", ErrorCondition::UNREADABLE, None),
        ("00 53 1c 45", ErrorCondition::UNREADABLE, None),
        ("00 53 1d c1 01 00", ErrorCondition::UNREADABLE, None),
        // Elements that end behind the list: what was read before stays.
        ("00 53 1d c0 09 02 a3 03 'a:b' a1 40 'x'", ErrorCondition::from_static("a:b"), None),
        ("00 53 1d c0 0b 03 a3 03 'a:b' a1 01 'x' c1 40", ErrorCondition::from_static("a:b"), Some("x")),
    ] {
        let check = |read: Option<AmqpError>| {
            let read = read.expect("an error");
            assert_eq!((&read.condition, read.description.as_deref()), (&condition, description), "{error}");
        };
        check(odd::<Close>(&list("18", 1, error)).error);
        check(odd::<End>(&list("17", 1, error)).error);
        check(odd::<Detach>(&list("16", 3, &format!("43 41 {error}"))).error);
        match odd::<DeliveryState>(&list("25", 1, error)) {
            DeliveryState::Rejected(read) => check(read.map(|read| *read)),
            other => panic!("{other:?}"),
        }
    }
    // A value that ends behind the frame stays malformed.
    for text in ["00 53 18 c0 04 01 a1 40 'x'", "00 53 18 c0 03 01 a1"] {
        assert!(whole_within::<Close>(&hex(text), tolerant()).is_err(), "{text}");
    }
}

/// §1.4: a composite has no more fields than its type.
#[test]
fn fields_too_many_of_errors_and_states_are_skipped() {
    let error: AmqpError = odd(&list("1d", 5, &format!("{NOT_FOUND} a1 03 'why' 40 54 01 45")));
    assert_eq!(error, AmqpError::new(ErrorCondition::NOT_FOUND, "why"));
    let states = [
        (list("24", 1, "40"), "accepted"),
        (list("24", 2, "41 a1 01 'x'"), "accepted"),
        (list("26", 1, "40"), "released"),
        (list("25", 2, "40 40"), "rejected"),
        (list("27", 4, "41 42 40 54 01"), "modified"),
        (list("23", 3, "52 01 53 02 45"), "received"),
        (list("33", 2, "a0 01 't' 40"), "declared"),
        (list("34", 3, "a0 01 't' 00 53 24 45 40"), "transactional"),
        (list("34", 2, &format!("a0 01 't' {}", list("24", 1, "41"))), "transactional"),
    ];
    for (text, name) in states {
        let state: DeliveryState = odd(&text);
        let read = match &state {
            DeliveryState::Accepted => "accepted",
            DeliveryState::Released => "released",
            DeliveryState::Rejected(None) => "rejected",
            DeliveryState::Modified(modified) if modified.delivery_failed && !modified.undeliverable_here => "modified",
            DeliveryState::Received(position) if (position.section_number, position.section_offset) == (1, 2) => {
                "received"
            }
            DeliveryState::Declared(declared) if declared.txn_id == "t" => "declared",
            DeliveryState::Transactional(state) if state.outcome.as_deref() == Some(&DeliveryState::Accepted) => {
                "transactional"
            }
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(read, name, "{text}");
    }
    // Others have no fields too many: what they would mean is not known. Nor do malformed ones count as fields.
    let close = list("18", 2, "40 40");
    assert_eq!(whole_within::<Close>(&hex(&close), tolerant()).map_err(|error| error.kind), Err(Kind::TooManyFields));
    for state in ["00 53 24 c0 03 01 a1 40", "00 53 24 c0 03 01 40 40"] {
        assert!(whole_within::<DeliveryState>(&hex(state), tolerant()).is_err(), "{state}");
    }
}

fn attach(snd: &str, rcv: &str, source: &str, target: &str) -> String {
    list("12", 7, &format!("a1 01 'l' 43 41 {snd} {rcv} {source} {target}"))
}

#[test]
fn unknown_settle_modes_of_an_attach_are_the_default_ones() {
    for (mode, snd, rcv) in [
        ("50 07", SenderSettleMode::Mixed, ReceiverSettleMode::First),
        ("50 ff", SenderSettleMode::Mixed, ReceiverSettleMode::First),
        ("a3 05 'mixed'", SenderSettleMode::Mixed, ReceiverSettleMode::First),
        ("54 ff", SenderSettleMode::Mixed, ReceiverSettleMode::First),
        // A number of another type is that number.
        ("52 01", SenderSettleMode::Settled, ReceiverSettleMode::Second),
        ("54 01", SenderSettleMode::Settled, ReceiverSettleMode::Second),
        ("80 00 00 00 00 00 00 00 01", SenderSettleMode::Settled, ReceiverSettleMode::Second),
        ("43", SenderSettleMode::Unsettled, ReceiverSettleMode::First),
    ] {
        let read: Attach = odd(&attach(mode, "40", "40", "40"));
        assert_eq!((read.name.as_str(), read.snd_settle_mode), ("l", snd), "{mode}");
        let read: Attach = odd(&attach("40", mode, "40", "40"));
        assert_eq!((read.name.as_str(), read.rcv_settle_mode), ("l", rcv), "{mode}");
    }
    // That of a transfer counts as absent: the link's holds.
    let transfer: Transfer = odd(&list("14", 7, "43 43 a0 01 't' 43 42 42 50 07"));
    assert_eq!(transfer.rcv_settle_mode, None);
}

#[test]
fn an_unknown_durability_expiry_policy_or_distribution_mode_promises_nothing() {
    let (none, end) = (TerminusDurability::None, TerminusExpiryPolicy::SessionEnd);
    for (durable, policy, mode, expected) in [
        ("52 07", "40", "40", (none, end, None)),
        ("a1 01 'x'", "40", "40", (none, end, None)),
        ("50 02", "40", "40", (TerminusDurability::UnsettledState, end, None)),
        ("40", "a3 07 'forever'", "40", (none, end, None)),
        ("40", "52 01", "40", (none, end, None)),
        ("40", "a3 02 c3 bc", "40", (none, end, None)),
        ("40", "a1 05 'never'", "40", (none, TerminusExpiryPolicy::Never, None)),
        ("40", "40", "a1 04 'copy'", (none, end, Some("copy"))),
        ("40", "40", "a3 02 c3 bc", (none, end, None)),
        ("40", "40", "54 01", (none, end, None)),
    ] {
        let fields = format!("a1 01 'q' {durable} {policy} 40 40 40 {mode}");
        let read: Attach = odd(&attach("40", "40", &list("28", 7, &fields), "40"));
        let Source { address, durable, expiry_policy, distribution_mode, .. } = *read.source.expect("a source");
        assert_eq!(address.as_deref(), Some("q"), "{fields}");
        assert_eq!((durable, expiry_policy, distribution_mode.as_deref()), expected, "{fields}");
    }
    let read: Attach = odd(&attach("40", "40", "40", &list("29", 3, "a1 01 'q' 52 07 a3 07 'forever'")));
    let target = read.target.expect("a target");
    assert_eq!(target.as_target(), Some(&Target::at("q")));
    // Other modes than those of the specification are allowed (§3.5.7).
    let source = list("28", 7, "a1 01 'q' 40 40 40 40 40 a3 09 'broadcast'");
    let source: Source = whole_within(&hex(&source), Limits::STRICT).expect("an open set");
    assert_eq!(source.distribution_mode.as_deref(), Some("broadcast"));
}

/// The SASL frames are held to the letter: an unknown outcome is none.
#[test]
fn an_unknown_sasl_code_is_refused_whatever_is_tolerated() {
    let text = "0000 0010 02 01 0000 00 53 44 c0 03 01 50 07";
    let mut input = BytesMut::from(&hex(text)[..]);
    let read = FrameDecoder::sasl(512, tolerant()).decode(&mut input);
    assert!(
        matches!(read.map_err(|error| error.kind), Err(FrameErrorKind::Body(error)) if error.kind == Kind::InvalidValue)
    );
}

/// A frame that cannot be read under these limits can be read under others.
#[test]
fn the_body_of_a_malformed_frame_can_be_taken_once() {
    let close = hex(&list("18", 1, &list("1d", 2, "40 a1 03 'why'")));
    let mut octets = BytesMut::from(&u32::try_from(close.len() + 8).expect("short").to_be_bytes()[..]);
    octets.extend_from_slice(&[2, 0, 0, 0]);
    octets.extend_from_slice(&close);
    let mut decoder = FrameDecoder::new(512, Limits::DEFAULT);
    assert_eq!(decoder.take_malformed(), None);
    let read = decoder.decode(&mut octets.clone());
    assert!(matches!(read.map_err(|error| error.kind), Err(FrameErrorKind::Body(_))));
    assert!(!format!("{decoder:?}").contains("why"));
    assert_eq!(decoder.take_malformed(), Some(close));
    assert_eq!(decoder.take_malformed(), None);
    let read = FrameDecoder::new(512, tolerant()).decode(&mut octets);
    let Ok(Some(Frame::Amqp { performative: Some(Performative::Close(close)), .. })) = read else { panic!("{read:?}") };
    assert_eq!(close.error, Some(AmqpError::new(ErrorCondition::UNREADABLE, "why")));
}
