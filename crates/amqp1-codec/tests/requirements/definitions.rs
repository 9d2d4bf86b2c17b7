//! Part 2, §2.8: what performatives are made of.

use crate::support::*;
use crate::table::composites;
use amqp1_codec::{
    DecodeErrorKind as Kind, EncodeStyle, SequenceNo, Value,
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, Role, SenderSettleMode},
};

/// T-2.8.1-1: false is the sender, true the receiver, in each form of a boolean.
#[test]
fn roles_are_booleans() {
    both_ways(Role::Sender, "42", "42", &["56 00"]);
    both_ways(Role::Receiver, "41", "41", &["56 01"]);
    refused::<Role>("56 02", Kind::InvalidBoolean, 2);
    refused::<Role>("50 01", Kind::UnexpectedFormatCode(0x50), 0);
}

/// T-2.8.2-1, T-2.8.3-1: settle modes are ubytes of three and of two choices.
#[test]
fn settle_modes_are_ubytes() {
    both_ways(SenderSettleMode::Unsettled, "50 00", "50 00", &[]);
    both_ways(SenderSettleMode::Settled, "50 01", "50 01", &[]);
    both_ways(SenderSettleMode::Mixed, "50 02", "50 02", &[]);
    refused_as::<SenderSettleMode>("50 03", Kind::InvalidValue);
    refused::<SenderSettleMode>("43", Kind::UnexpectedFormatCode(0x43), 0);
    both_ways(ReceiverSettleMode::First, "50 00", "50 00", &[]);
    both_ways(ReceiverSettleMode::Second, "50 01", "50 01", &[]);
    refused_as::<ReceiverSettleMode>("50 02", Kind::InvalidValue);
}

/// T-2.8.13-1: fields are maps whose keys are symbols, and whose values are anything.
#[test]
fn fields_have_symbols_as_keys() {
    let fields: Fields =
        [(name("a"), Value::Null), (name("b"), Value::described(symbol("x:y"), 1u8))].into_iter().collect();
    let octets = "c1 10 04 a3 01 'a' 40 a3 01 'b' 00 a3 03 'x:y' 50 01";
    both_ways(fields, octets, octets, &["d1 00000016 00000004 b3 00000001 'a' 40 a3 01 'b' 00 a3 03 'x:y' 50 01"]);
    for key in ["a1 01 'a'", "a0 01 'a'", "40", "43", "00 53 01 a3 01 'a'"] {
        refused_as::<Fields>(&format!("c1 {:02x} 02 {key} 40", hex(key).len() + 2), Kind::InvalidKeyType);
        let second = format!("c1 {:02x} 04 a3 01 'z' 40 {key} 40", hex(key).len() + 6);
        refused_as::<Fields>(&second, Kind::InvalidKeyType);
    }
    refused_as::<Fields>("c1 09 04 a3 01 'a' 40 a3 01 'a' 40", Kind::DuplicateKey);
    refused::<Fields>("45", Kind::UnexpectedFormatCode(0x45), 0);
    // The same in each field that is one.
    for composite in composites() {
        for (index, field) in composite.fields.iter().enumerate().filter(|(_, field)| field.ty == "fields") {
            for entry in ["c1 05 02 a1 01 'k' 40", "c1 03 02 40 40", "c1 04 02 52 01 40", "c1 03 02 41 40"] {
                let octets = composite.forms(&composite.with(index, &hex(entry))).swap_remove(0);
                let refused = (composite.again)(&octets, EncodeStyle::Full).map_err(|error| error.kind);
                assert_eq!(refused, Err(Kind::InvalidKeyType), "{}.{} = {entry}", composite.name, field.name);
            }
        }
    }
}

/// T-2.8.14-1, T-2.7.9-1: an error has a condition, and may have a description and more.
#[test]
fn errors_have_a_condition() {
    let error = AmqpError {
        condition: ErrorCondition::FRAMING_ERROR,
        description: Some("d".into()),
        info: Some([(name("k"), 1u8)].into_iter().collect()),
    };
    let octets = "00 53 1d c0 2b 03 a3 1d 'amqp:connection:framing-error' a1 01 'd' c1 06 02 a3 01 'k' 50 01";
    both_ways(error, octets, octets, &[]);
    refused::<AmqpError>("00 53 1d 45", Kind::MissingField(0), 4);
    refused_as::<AmqpError>("00 53 1d c0 02 01 40", Kind::MissingField(0));
    refused::<AmqpError>("00 53 1d c0 04 01 a1 01 'c'", Kind::UnexpectedFormatCode(0xa1), 6);
    refused_as::<AmqpError>("00 53 1d c0 07 02 a3 01 'c' a3 01 'd'", Kind::UnexpectedFormatCode(0xa3));
    // The set of conditions is open.
    assert_eq!(read::<ErrorCondition>("a3 03 'x:y'").as_str(), "x:y");
}

/// T-2.8.16-1, T-2.8.17-1, T-2.8.18-1 (§2.8.15): the conditions have the names of the text.
#[test]
fn conditions_have_their_names() {
    for (condition, name) in [
        (ErrorCondition::INTERNAL_ERROR, "amqp:internal-error"),
        (ErrorCondition::NOT_FOUND, "amqp:not-found"),
        (ErrorCondition::UNAUTHORIZED_ACCESS, "amqp:unauthorized-access"),
        (ErrorCondition::DECODE_ERROR, "amqp:decode-error"),
        (ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "amqp:resource-limit-exceeded"),
        (ErrorCondition::NOT_ALLOWED, "amqp:not-allowed"),
        (ErrorCondition::INVALID_FIELD, "amqp:invalid-field"),
        (ErrorCondition::NOT_IMPLEMENTED, "amqp:not-implemented"),
        (ErrorCondition::RESOURCE_LOCKED, "amqp:resource-locked"),
        (ErrorCondition::PRECONDITION_FAILED, "amqp:precondition-failed"),
        (ErrorCondition::RESOURCE_DELETED, "amqp:resource-deleted"),
        (ErrorCondition::ILLEGAL_STATE, "amqp:illegal-state"),
        (ErrorCondition::FRAME_SIZE_TOO_SMALL, "amqp:frame-size-too-small"),
        (ErrorCondition::CONNECTION_FORCED, "amqp:connection:forced"),
        (ErrorCondition::FRAMING_ERROR, "amqp:connection:framing-error"),
        (ErrorCondition::CONNECTION_REDIRECT, "amqp:connection:redirect"),
        (ErrorCondition::WINDOW_VIOLATION, "amqp:session:window-violation"),
        (ErrorCondition::ERRANT_LINK, "amqp:session:errant-link"),
        (ErrorCondition::HANDLE_IN_USE, "amqp:session:handle-in-use"),
        (ErrorCondition::UNATTACHED_HANDLE, "amqp:session:unattached-handle"),
        (ErrorCondition::DETACH_FORCED, "amqp:link:detach-forced"),
        (ErrorCondition::TRANSFER_LIMIT_EXCEEDED, "amqp:link:transfer-limit-exceeded"),
        (ErrorCondition::MESSAGE_SIZE_EXCEEDED, "amqp:link:message-size-exceeded"),
        (ErrorCondition::LINK_REDIRECT, "amqp:link:redirect"),
        (ErrorCondition::STOLEN, "amqp:link:stolen"),
    ] {
        let octets = format!("a3 {:02x} '{name}'", name.len());
        both_ways(condition, &octets, &octets, &[&format!("b3 {:08x} '{name}'", name.len())]);
    }
}

/// T-2.8.10-1: sequence numbers wrap, and are compared as RFC 1982 has it.
#[test]
fn sequence_numbers_wrap() {
    both_ways(SequenceNo(0), "43", "43", &["52 00", "70 00000000"]);
    assert_eq!(SequenceNo(u32::MAX).next(), SequenceNo(0));
    for from in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let from = SequenceNo(from);
        assert!(from < from.next() && from.plus(0x7fff_ffff) > from && from.plus(0x8000_0001) < from);
        assert_eq!(from.plus(5).distance_from(from), 5);
        assert_eq!(from.offset_from(from.plus(5)), -5);
        assert_eq!(from.partial_cmp(&from.plus(0x8000_0000)), None, "neither is the earlier one");
    }
}
