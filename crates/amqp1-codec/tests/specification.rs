//! The composites, choices and conditions as the specification declares them, typed from its XML: this guards the
//! declarations in the crate (Y-1.3.4-1 to Y-1.3.4-4, Y-1.3.5-1, Y-1.4-1 to Y-1.4-5, Y-1.3.3-1; T-2.8.1-1, T-2.8.2-1,
//! T-2.8.3-1, T-2.8.7-1, T-2.8.13-1, T-2.8.14-1, M-3.2.4-1, M-3.2.4-2, M-3.5.8-1, M-3.5.9-1, X-4.5.1-1, X-4.5.4-1,
//! X-4.5.7-1, X-4.5.8-1, S-5.3.3.3-1, S-5.3.3.6-1).

use amqp1_codec::{
    Array, Decode, DecodeErrorKind, Encode, EncodeStyle, Map, Reader, Symbol, Timestamp, Value,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{
        Annotations, ApplicationProperties, DistributionMode, Header, LifetimePolicy, Modified, Properties, Received,
        Rejected, Source, Target, TerminusDurability, TerminusExpiryPolicy,
    },
    performative::{Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Transfer},
    sasl::{SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse},
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState, capability},
};
use bytes::{Bytes, BytesMut};
use std::fmt::Debug;

/// A field's type: which values it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Boolean,
    Ubyte,
    Ushort,
    Uint,
    Ulong,
    Binary,
    String,
    Symbol,
    Timestamp,
    /// A map from delivery-tags to delivery states.
    Unsettled,
    Fields,
    NodeProperties,
    FilterSet,
    Any,
    Error,
    ASource,
    ATarget,
    DeliveryState,
    Outcome,
    MessageId,
    Durability,
    ExpiryPolicy,
    SenderSettleMode,
    ReceiverSettleMode,
    SaslCode,
    Tag,
    TxnId,
}

/// Whether a field must be there, and what it is where it is not.
#[derive(Clone, Debug)]
enum Kind {
    Mandatory,
    Optional,
    Default(Value),
    Multiple,
    MandatoryMultiple,
}
use Kind::{Mandatory as M, MandatoryMultiple as Several, Multiple as Many, Optional as O};

fn default(value: impl Into<Value>) -> Kind {
    Kind::Default(value.into())
}

type Field = (&'static str, Type, Kind);

/// What the table says of a type, and how to read it.
struct Row {
    name: &'static str,
    code: u8,
    symbol: &'static str,
    fields: Vec<Field>,
    declared: (u8, &'static str, &'static [&'static str]),
    /// Decodes and writes again in full.
    again: fn(&Bytes, EncodeStyle) -> Result<Bytes, DecodeErrorKind>,
    /// Whether two encodings are the same value.
    same: fn(&Bytes, &Bytes) -> bool,
}

fn again<T: Decode + Encode>(octets: &Bytes, style: EncodeStyle) -> Result<Bytes, DecodeErrorKind> {
    let value = whole::<T>(octets)?;
    let mut out = BytesMut::new();
    value.encode(style, &mut out);
    assert_eq!(out.len(), value.encoded_len(style));
    Ok(out.freeze())
}

fn whole<T: Decode>(octets: &Bytes) -> Result<T, DecodeErrorKind> {
    let mut reader = Reader::new(octets);
    let value = T::decode(&mut reader).map_err(|error| error.kind)?;
    reader.finish().map_err(|error| error.kind)?;
    Ok(value)
}

fn same<T: Decode + PartialEq + Debug>(a: &Bytes, b: &Bytes) -> bool {
    whole::<T>(a).expect("valid") == whole::<T>(b).expect("valid")
}

macro_rules! row {
    ($ty:ident, $name:literal, $code:literal, $symbol:literal, [$($field:expr),* $(,)?]) => {
        Row {
            name: $name,
            code: $code,
            symbol: $symbol,
            fields: vec![$($field),*],
            declared: ($ty::CODE, $ty::SYMBOL, $ty::FIELDS),
            again: again::<$ty>,
            same: same::<$ty>,
        }
    };
}

fn table() -> Vec<Row> {
    use Type::*;
    vec![
        row!(
            Open,
            "open",
            0x10,
            "amqp:open:list",
            [
                ("container-id", String, M),
                ("hostname", String, O),
                ("max-frame-size", Uint, default(4_294_967_295u32)),
                ("channel-max", Ushort, default(65_535u16)),
                ("idle-time-out", Uint, O),
                ("outgoing-locales", Symbol, Many),
                ("incoming-locales", Symbol, Many),
                ("offered-capabilities", Symbol, Many),
                ("desired-capabilities", Symbol, Many),
                ("properties", Fields, O),
            ]
        ),
        row!(
            Begin,
            "begin",
            0x11,
            "amqp:begin:list",
            [
                ("remote-channel", Ushort, O),
                ("next-outgoing-id", Uint, M),
                ("incoming-window", Uint, M),
                ("outgoing-window", Uint, M),
                ("handle-max", Uint, default(4_294_967_295u32)),
                ("offered-capabilities", Symbol, Many),
                ("desired-capabilities", Symbol, Many),
                ("properties", Fields, O),
            ]
        ),
        row!(
            Attach,
            "attach",
            0x12,
            "amqp:attach:list",
            [
                ("name", String, M),
                ("handle", Uint, M),
                ("role", Boolean, M),
                ("snd-settle-mode", SenderSettleMode, default(2u8)),
                ("rcv-settle-mode", ReceiverSettleMode, default(0u8)),
                ("source", ASource, O),
                ("target", ATarget, O),
                ("unsettled", Unsettled, O),
                ("incomplete-unsettled", Boolean, default(false)),
                ("initial-delivery-count", Uint, O),
                ("max-message-size", Ulong, O),
                ("offered-capabilities", Symbol, Many),
                ("desired-capabilities", Symbol, Many),
                ("properties", Fields, O),
            ]
        ),
        row!(
            Flow,
            "flow",
            0x13,
            "amqp:flow:list",
            [
                ("next-incoming-id", Uint, O),
                ("incoming-window", Uint, M),
                ("next-outgoing-id", Uint, M),
                ("outgoing-window", Uint, M),
                ("handle", Uint, O),
                ("delivery-count", Uint, O),
                ("link-credit", Uint, O),
                ("available", Uint, O),
                ("drain", Boolean, default(false)),
                ("echo", Boolean, default(false)),
                ("properties", Fields, O),
            ]
        ),
        row!(
            Transfer,
            "transfer",
            0x14,
            "amqp:transfer:list",
            [
                ("handle", Uint, M),
                ("delivery-id", Uint, O),
                ("delivery-tag", Tag, O),
                ("message-format", Uint, O),
                ("settled", Boolean, O),
                ("more", Boolean, default(false)),
                ("rcv-settle-mode", ReceiverSettleMode, O),
                ("state", DeliveryState, O),
                ("resume", Boolean, default(false)),
                ("aborted", Boolean, default(false)),
                ("batchable", Boolean, default(false)),
            ]
        ),
        row!(
            Disposition,
            "disposition",
            0x15,
            "amqp:disposition:list",
            [
                ("role", Boolean, M),
                ("first", Uint, M),
                ("last", Uint, O),
                ("settled", Boolean, default(false)),
                ("state", DeliveryState, O),
                ("batchable", Boolean, default(false)),
            ]
        ),
        row!(
            Detach,
            "detach",
            0x16,
            "amqp:detach:list",
            [("handle", Uint, M), ("closed", Boolean, default(false)), ("error", Error, O),]
        ),
        row!(End, "end", 0x17, "amqp:end:list", [("error", Error, O)]),
        row!(Close, "close", 0x18, "amqp:close:list", [("error", Error, O)]),
        row!(
            AmqpError,
            "error",
            0x1d,
            "amqp:error:list",
            [("condition", Symbol, M), ("description", String, O), ("info", Fields, O),]
        ),
        row!(
            Received,
            "received",
            0x23,
            "amqp:received:list",
            [("section-number", Uint, M), ("section-offset", Ulong, M),]
        ),
        row!(Rejected, "rejected", 0x25, "amqp:rejected:list", [("error", Error, O)]),
        // Without defaults in the XML; the text of §3.4.5 gives absent the meaning of false.
        row!(
            Modified,
            "modified",
            0x27,
            "amqp:modified:list",
            [
                ("delivery-failed", Boolean, default(false)),
                ("undeliverable-here", Boolean, default(false)),
                ("message-annotations", Fields, O),
            ]
        ),
        row!(
            Source,
            "source",
            0x28,
            "amqp:source:list",
            [
                ("address", String, O),
                ("durable", Durability, default(0u32)),
                ("expiry-policy", ExpiryPolicy, default(amqp1_codec::Symbol::from_static("session-end"))),
                ("timeout", Uint, default(0u32)),
                ("dynamic", Boolean, default(false)),
                ("dynamic-node-properties", NodeProperties, O),
                ("distribution-mode", Symbol, O),
                ("filter", FilterSet, O),
                ("default-outcome", Outcome, O),
                ("outcomes", Symbol, Many),
                ("capabilities", Symbol, Many),
            ]
        ),
        row!(
            Target,
            "target",
            0x29,
            "amqp:target:list",
            [
                ("address", String, O),
                ("durable", Durability, default(0u32)),
                ("expiry-policy", ExpiryPolicy, default(amqp1_codec::Symbol::from_static("session-end"))),
                ("timeout", Uint, default(0u32)),
                ("dynamic", Boolean, default(false)),
                ("dynamic-node-properties", NodeProperties, O),
                ("capabilities", Symbol, Many),
            ]
        ),
        row!(Coordinator, "coordinator", 0x30, "amqp:coordinator:list", [("capabilities", Symbol, Many)]),
        row!(Declare, "declare", 0x31, "amqp:declare:list", [("global-id", Any, O)]),
        row!(Discharge, "discharge", 0x32, "amqp:discharge:list", [("txn-id", TxnId, M), ("fail", Boolean, O)]),
        row!(Declared, "declared", 0x33, "amqp:declared:list", [("txn-id", TxnId, M)]),
        row!(
            TransactionalState,
            "transactional-state",
            0x34,
            "amqp:transactional-state:list",
            [("txn-id", TxnId, M), ("outcome", Outcome, O),]
        ),
        row!(
            SaslMechanisms,
            "sasl-mechanisms",
            0x40,
            "amqp:sasl-mechanisms:list",
            [("sasl-server-mechanisms", Symbol, Several),]
        ),
        row!(
            SaslInit,
            "sasl-init",
            0x41,
            "amqp:sasl-init:list",
            [("mechanism", Symbol, M), ("initial-response", Binary, O), ("hostname", String, O),]
        ),
        row!(SaslChallenge, "sasl-challenge", 0x42, "amqp:sasl-challenge:list", [("challenge", Binary, M)]),
        row!(SaslResponse, "sasl-response", 0x43, "amqp:sasl-response:list", [("response", Binary, M)]),
        row!(
            SaslOutcome,
            "sasl-outcome",
            0x44,
            "amqp:sasl-outcome:list",
            [("code", SaslCode, M), ("additional-data", Binary, O),]
        ),
        // Without defaults in the XML; the text of §3.2.1 gives them.
        row!(
            Header,
            "header",
            0x70,
            "amqp:header:list",
            [
                ("durable", Boolean, default(false)),
                ("priority", Ubyte, default(4u8)),
                ("ttl", Uint, O),
                ("first-acquirer", Boolean, default(false)),
                ("delivery-count", Uint, default(0u32)),
            ]
        ),
        row!(
            Properties,
            "properties",
            0x73,
            "amqp:properties:list",
            [
                ("message-id", MessageId, O),
                ("user-id", Binary, O),
                ("to", String, O),
                ("subject", String, O),
                ("reply-to", String, O),
                ("correlation-id", MessageId, O),
                ("content-type", Symbol, O),
                ("content-encoding", Symbol, O),
                ("absolute-expiry-time", Timestamp, O),
                ("creation-time", Timestamp, O),
                ("group-id", String, O),
                ("group-sequence", Uint, O),
                ("reply-to-group-id", String, O),
            ]
        ),
    ]
}

fn symbol(text: &'static str) -> Value {
    Symbol::from_static(text).into()
}

fn list(items: impl Into<Vec<Value>>) -> Value {
    Value::List(items.into())
}

fn map(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::Map(pairs.into_iter().collect::<Map>())
}

fn described(code: u64, fields: impl Into<Vec<Value>>) -> Value {
    Value::described(code, list(fields))
}

/// Values that a field of this type takes.
fn fitting(ty: Type) -> Vec<Value> {
    let accepted = described(0x24, []);
    let released = Value::described(symbol("amqp:released:list"), list([]));
    let received = described(0x23, [1u32.into(), 2u64.into()]);
    let transactional = described(0x34, [Bytes::from_static(b"t").into(), accepted.clone()]);
    match ty {
        Type::Boolean => vec![true.into(), false.into()],
        Type::Ubyte => vec![0u8.into(), 255u8.into()],
        Type::Ushort => vec![0u16.into(), 65_535u16.into()],
        Type::Uint => vec![0u32.into(), 7u32.into(), 256u32.into(), u32::MAX.into()],
        Type::Ulong => vec![0u64.into(), 7u64.into(), u64::MAX.into()],
        Type::Binary => vec![Bytes::new().into(), Bytes::from_static(b"\x00\xff").into()],
        Type::String => vec!["".into(), "a\u{e9}".into()],
        Type::Symbol => vec![symbol(""), symbol("a")],
        Type::Timestamp => vec![Timestamp(-1).into(), Timestamp(i64::MAX).into()],
        Type::Unsettled => vec![map([]), map([(Bytes::from_static(b"tag").into(), accepted)])],
        Type::Fields => vec![map([]), map([(symbol("k"), list([Value::Null]))])],
        Type::NodeProperties => {
            let modes = Array::from_values([symbol("move"), symbol("copy")]).expect("one type");
            vec![
                map([]),
                map([(symbol("lifetime-policy"), described(0x2b, []))]),
                map([(symbol("supported-dist-modes"), modes.into())]),
                map([(symbol("supported-dist-modes"), symbol("move"))]),
                map([(symbol("x"), 1u8.into())]),
            ]
        }
        Type::FilterSet => {
            vec![map([]), map([(symbol("f"), Value::described(symbol("a:b"), "x"))]), map([(symbol("f"), Value::Null)])]
        }
        Type::Any => vec![1u8.into(), "x".into(), list([Value::Null]), Value::described(symbol("x:y"), 1u8)],
        Type::Error => vec![described(0x1d, [symbol("amqp:not-found")])],
        Type::ASource => vec![described(0x28, []), described(0x28, ["q".into()])],
        Type::ATarget => vec![described(0x29, []), described(0x29, ["q".into()]), described(0x30, [])],
        Type::DeliveryState => {
            vec![accepted, released, received, transactional, described(0x25, []), described(0x27, [true.into()])]
        }
        Type::Outcome => {
            let declared = described(0x33, [Bytes::from_static(b"t").into()]);
            vec![accepted, released, described(0x25, []), described(0x27, [true.into()]), declared]
        }
        Type::MessageId => {
            vec![1u64.into(), amqp1_codec::Uuid([7; 16]).into(), Bytes::from_static(b"id").into(), "id".into()]
        }
        Type::Durability => vec![0u32.into(), 1u32.into(), 2u32.into()],
        Type::ExpiryPolicy => ["link-detach", "session-end", "connection-close", "never"].map(symbol).to_vec(),
        Type::SenderSettleMode => vec![0u8.into(), 1u8.into(), 2u8.into()],
        Type::ReceiverSettleMode => vec![0u8.into(), 1u8.into()],
        Type::Tag | Type::TxnId => vec![Bytes::new().into(), Bytes::from(vec![7; 32]).into()],
        Type::SaslCode => (0..=4u8).map(Value::from).collect(),
    }
}

/// Values that a field of this type does not take.
fn unfitting(ty: Type) -> Vec<Value> {
    // One of each, of which those that fit are taken out.
    let mut all: Vec<Value> = vec![
        true.into(),
        1u8.into(),
        1u16.into(),
        1u32.into(),
        1u64.into(),
        1i8.into(),
        1i32.into(),
        1i64.into(),
        Timestamp(1).into(),
        "text".into(),
        symbol("symbol"),
        Bytes::from_static(b"octets").into(),
        list([]),
        map([("text".into(), 1u8.into())]),
        described(0x24, []),
        described(0x1d, [symbol("amqp:not-found")]),
        described(0x28, []),
        described(0x77, []),
    ];
    match ty {
        Type::Boolean => all.retain(|v| !matches!(v, Value::Boolean(_))),
        Type::Ubyte => all.retain(|v| !matches!(v, Value::Ubyte(_))),
        Type::Ushort => all.retain(|v| !matches!(v, Value::Ushort(_))),
        Type::Uint => all.retain(|v| !matches!(v, Value::Uint(_))),
        Type::Ulong => all.retain(|v| !matches!(v, Value::Ulong(_))),
        Type::Binary => all.retain(|v| !matches!(v, Value::Binary(_))),
        Type::String => all.retain(|v| !matches!(v, Value::String(_))),
        Type::Symbol => all.retain(|v| !matches!(v, Value::Symbol(_))),
        Type::Timestamp => all.retain(|v| !matches!(v, Value::Timestamp(_))),
        Type::Unsettled => {
            all.retain(|v| !matches!(v, Value::Map(map) if map.is_empty()));
            let long = Bytes::from_static(&[7; 33]);
            all.extend([map([(long.into(), Value::Null)]), map([(Value::Null, Value::Null)])]);
            all.push(map([(Bytes::from_static(b"tag").into(), 1u32.into())]));
        }
        Type::Tag | Type::TxnId => {
            all.retain(|v| !matches!(v, Value::Binary(_)));
            all.push(Bytes::from(vec![7; 33]).into());
        }
        Type::Fields => {}
        Type::NodeProperties => {
            all.push(map([(symbol("lifetime-policy"), "delete".into())]));
            all.push(map([(symbol("supported-dist-modes"), "move".into())]));
            all.push(map([(symbol("supported-dist-modes"), list([symbol("move")]))]));
        }
        Type::FilterSet => all.push(map([(symbol("f"), "undescribed".into())])),
        Type::Any => all.clear(),
        Type::Error => all.retain(|v| *v != described(0x1d, [symbol("amqp:not-found")])),
        Type::ASource => all.retain(|v| *v != described(0x28, [])),
        Type::ATarget => {}
        Type::DeliveryState | Type::Outcome => {
            all.retain(|v| *v != described(0x24, []));
            if ty == Type::Outcome {
                all.push(described(0x23, [1u32.into(), 2u64.into()]));
                all.push(described(0x34, [Bytes::from_static(b"t").into()]));
            }
        }
        Type::MessageId => {
            all.retain(|v| !matches!(v, Value::Ulong(_) | Value::Binary(_) | Value::String(_)));
        }
        Type::Durability => {
            all.retain(|v| !matches!(v, Value::Uint(_)));
            all.push(3u32.into());
        }
        Type::ExpiryPolicy => {}
        Type::SenderSettleMode | Type::ReceiverSettleMode | Type::SaslCode => {
            all.retain(|v| !matches!(v, Value::Ubyte(_)));
            all.push(5u8.into());
            if ty == Type::ReceiverSettleMode {
                all.push(2u8.into());
            }
        }
    }
    all
}

/// One value of a field; an array for one that has several.
fn sample(field: &Field) -> Value {
    let value = fitting(field.1).remove(0);
    match field.2 {
        Kind::Multiple | Kind::MandatoryMultiple => {
            Array::from_values([value.clone(), value]).expect("one type").into()
        }
        _ => value,
    }
}

fn mandatory(field: &Field) -> bool {
    matches!(field.2, Kind::Mandatory | Kind::MandatoryMultiple)
}

impl Row {
    fn encode(&self, fields: &[Value]) -> Bytes {
        described(self.code.into(), fields).to_octets()
    }

    /// The mandatory fields, and null for the others.
    fn least(&self) -> Vec<Value> {
        self.fields.iter().map(|field| if mandatory(field) { sample(field) } else { Value::Null }).collect()
    }
}

#[test]
fn descriptors_and_fields_are_those_of_the_specification() {
    let rows = table();
    assert_eq!(rows.len(), 33 - 6, "all composites but those six that have no fields");
    assert_eq!(rows.iter().map(|row| row.fields.len()).sum::<usize>(), 125);
    for row in rows {
        let (code, symbol, fields) = row.declared;
        assert_eq!((code, symbol), (row.code, row.symbol), "{}", row.name);
        let names: Vec<String> = fields.iter().map(|name| name.replace('_', "-")).collect();
        let expected: Vec<&str> = row.fields.iter().map(|field| field.0).collect();
        assert_eq!(names, expected, "{}", row.name);
    }
}

#[test]
fn a_missing_mandatory_field_is_refused_and_any_other_is_not() {
    for row in table() {
        let least = row.least();
        let octets = row.encode(&least);
        assert!((row.again)(&octets, EncodeStyle::Full).is_ok(), "{} with its mandatory fields", row.name);
        for (index, field) in row.fields.iter().enumerate().filter(|(_, field)| mandatory(field)) {
            let missing = Err(DecodeErrorKind::MissingField(index as u8));
            let mut fields = least.clone();
            fields[index] = Value::Null;
            assert_eq!((row.again)(&row.encode(&fields), EncodeStyle::Full), missing, "{}.{} null", row.name, field.0);
            fields.truncate(index);
            assert_eq!(
                (row.again)(&row.encode(&fields), EncodeStyle::Full),
                missing,
                "{}.{} absent",
                row.name,
                field.0
            );
            if matches!(field.2, Kind::MandatoryMultiple) {
                let mut fields = least.clone();
                fields[index] = Array::empty_like(&symbol("")).into();
                assert_eq!((row.again)(&row.encode(&fields), EncodeStyle::Full), missing, "{} empty", row.name);
            }
        }
    }
}

#[test]
fn one_field_too_many_is_refused() {
    for row in table() {
        for more in [Value::Null, 1u8.into()] {
            let mut fields: Vec<Value> = row.fields.iter().map(sample).collect();
            assert!((row.again)(&row.encode(&fields), EncodeStyle::Full).is_ok(), "{} with all fields", row.name);
            fields.push(more);
            let refused = (row.again)(&row.encode(&fields), EncodeStyle::Full);
            assert_eq!(refused, Err(DecodeErrorKind::TooManyFields), "{}", row.name);
        }
    }
}

#[test]
fn an_absent_field_means_its_default() {
    for row in table() {
        let least = row.encode(&row.least());
        let mut stated = row.least();
        for (slot, field) in stated.iter_mut().zip(&row.fields) {
            if let Kind::Default(value) = &field.2 {
                *slot = value.clone();
            }
        }
        let stated = row.encode(&stated);
        assert!((row.same)(&least, &stated), "{}", row.name);
        // In the compact style it is left off, in the full style all is written.
        let compact = (row.again)(&stated, EncodeStyle::Compact).expect("valid");
        assert!(compact.len() <= least.len(), "{}", row.name);
        let full = (row.again)(&least, EncodeStyle::Full).expect("valid");
        let Ok(Value::Described(value)) = whole::<Value>(&full) else { panic!("described") };
        let Value::List(fields) = &value.value else { panic!("a list") };
        assert_eq!(fields.len(), row.fields.len(), "{}: every field is written", row.name);
        for (written, field) in fields.iter().zip(&row.fields) {
            if let Kind::Default(value) = &field.2 {
                assert_eq!(written, value, "{}.{}", row.name, field.0);
            }
        }
    }
}

#[test]
fn fields_take_their_type_and_no_other() {
    for row in table() {
        for (index, field) in row.fields.iter().enumerate() {
            let with = |value: Value| {
                let mut fields = row.least();
                fields[index] = value;
                row.encode(&fields)
            };
            for value in fitting(field.1) {
                let octets = with(value.clone());
                for style in [EncodeStyle::Compact, EncodeStyle::Full] {
                    let again = (row.again)(&octets, style);
                    let again = again.unwrap_or_else(|kind| panic!("{}.{} = {value:?}: {kind}", row.name, field.0));
                    assert!((row.same)(&octets, &again), "{}.{} = {value:?}", row.name, field.0);
                }
            }
            for value in unfitting(field.1) {
                // A map of strings is no fields, but would be a map.
                let refused = (row.again)(&with(value.clone()), EncodeStyle::Full).is_err();
                assert!(refused, "{}.{} = {value:?} is refused", row.name, field.0);
            }
        }
    }
}

/// Y-1.4-3, Y-1.4-5: none, one, or an array; no list, and no array of another type.
#[test]
fn fields_of_several_values_take_one_or_an_array() {
    for row in table() {
        for (index, field) in row.fields.iter().enumerate() {
            let several = matches!(field.2, Kind::Multiple | Kind::MandatoryMultiple);
            let with = |value: Value| {
                let mut fields = row.least();
                fields[index] = value;
                row.encode(&fields)
            };
            let array = |values: Vec<Value>| Value::Array(Array::from_values(values).expect("one type"));
            let one = with(array(vec![symbol("a")]));
            assert_eq!((row.again)(&one, EncodeStyle::Full).is_ok(), several || field.1 == Type::Any, "{}", field.0);
            if !several {
                continue;
            }
            assert!((row.same)(&with(symbol("a")), &one), "{}.{}", row.name, field.0);
            assert!((row.again)(&with(list([symbol("a")])), EncodeStyle::Full).is_err());
            assert!((row.again)(&with(array(vec!["a".into()])), EncodeStyle::Full).is_err());
            assert!((row.again)(&with(array(vec![Value::Null])), EncodeStyle::Full).is_err());
            if matches!(field.2, Kind::Multiple) {
                let empty = with(Array::empty_like(&symbol("")).into());
                assert!((row.same)(&empty, &with(Value::Null)), "{}.{}", row.name, field.0);
            }
        }
    }
}

/// Y-1.3.2-1, Y-1.3.3-1, Y-1.5-1: composites are lists, and named by an unsigned long or a symbol.
#[test]
fn composites_are_lists_with_their_own_descriptor() {
    for row in table() {
        let fields = list(row.least());
        let number = u64::from(row.code);
        let ok = |value: Value| (row.again)(&value.to_octets(), EncodeStyle::Full).is_ok();
        assert!(ok(Value::described(number, fields.clone())), "{}", row.name);
        assert!(ok(Value::described(Symbol::new(row.symbol).expect("ASCII"), fields.clone())), "{}", row.name);
        assert!(!ok(fields.clone()), "{} undescribed", row.name);
        assert!(!ok(Value::described(number + 1, fields.clone())), "{} by another number", row.name);
        assert!(!ok(Value::described(number + (1 << 32), fields.clone())), "{} of another domain", row.name);
        assert!(!ok(Value::described(u32::from(row.code), fields.clone())), "{} by an uint", row.name);
        assert!(!ok(Value::described(row.symbol, fields.clone())), "{} by a string", row.name);
        assert!(!ok(Value::described(Symbol::new(row.name).expect("ASCII"), fields)), "{} by its name", row.name);
        for body in [Value::Null, map([]), Array::default().into(), Bytes::new().into()] {
            assert!(!ok(Value::described(number, body)), "{} is a list", row.name);
        }
    }
}

/// Decodes every number of a type, and compares with the choices.
fn choices<T: Decode + Encode + PartialEq + Debug>(choices: &[(Value, T)], others: &[Value]) {
    for (value, choice) in choices {
        assert_eq!(whole::<T>(&value.to_octets()).as_ref(), Ok(choice));
        assert_eq!(choice.to_octets(), value.to_octets());
    }
    for value in others {
        assert!(whole::<T>(&value.to_octets()).is_err(), "{value:?} is no choice");
    }
}

/// Y-1.3.5-1.
#[test]
fn enumerations_have_their_choices_and_no_others() {
    let ubytes = |from: u8| (from..=255).map(Value::from).collect::<Vec<_>>();
    choices(&[(false.into(), Role::Sender), (true.into(), Role::Receiver)], &ubytes(0));
    choices(
        &[
            (0u8.into(), SenderSettleMode::Unsettled),
            (1u8.into(), SenderSettleMode::Settled),
            (2u8.into(), SenderSettleMode::Mixed),
        ],
        &ubytes(3),
    );
    choices(&[(0u8.into(), ReceiverSettleMode::First), (1u8.into(), ReceiverSettleMode::Second)], &ubytes(2));
    choices(
        &[
            (0u8.into(), SaslCode::Ok),
            (1u8.into(), SaslCode::Auth),
            (2u8.into(), SaslCode::Sys),
            (3u8.into(), SaslCode::SysPerm),
            (4u8.into(), SaslCode::SysTemp),
        ],
        &ubytes(5),
    );
    choices(
        &[
            (0u32.into(), TerminusDurability::None),
            (1u32.into(), TerminusDurability::Configuration),
            (2u32.into(), TerminusDurability::UnsettledState),
        ],
        &[3u32.into(), u32::MAX.into(), 0u8.into()],
    );
    choices(
        &[
            (symbol("link-detach"), TerminusExpiryPolicy::LinkDetach),
            (symbol("session-end"), TerminusExpiryPolicy::SessionEnd),
            (symbol("connection-close"), TerminusExpiryPolicy::ConnectionClose),
            (symbol("never"), TerminusExpiryPolicy::Never),
        ],
        &[symbol("Never"), symbol(""), "never".into()],
    );
    assert_eq!((DistributionMode::MOVE.as_str(), DistributionMode::COPY.as_str()), ("move", "copy"));
    for (code, name, policy) in [
        (0x2b, "amqp:delete-on-close:list", LifetimePolicy::DeleteOnClose),
        (0x2c, "amqp:delete-on-no-links:list", LifetimePolicy::DeleteOnNoLinks),
        (0x2d, "amqp:delete-on-no-messages:list", LifetimePolicy::DeleteOnNoMessages),
        (0x2e, "amqp:delete-on-no-links-or-messages:list", LifetimePolicy::DeleteOnNoLinksOrMessages),
    ] {
        assert_eq!(policy.code(), code);
        assert_eq!(LifetimePolicy::from_value(&described(code, [])), Some(policy));
        assert_eq!(LifetimePolicy::from_value(&Value::described(symbol(name), list([]))), Some(policy));
    }
}

#[test]
fn error_conditions_and_capabilities_have_their_names() {
    let conditions = [
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
        (ErrorCondition::TRANSACTION_UNKNOWN_ID, "amqp:transaction:unknown-id"),
        (ErrorCondition::TRANSACTION_ROLLBACK, "amqp:transaction:rollback"),
        (ErrorCondition::TRANSACTION_TIMEOUT, "amqp:transaction:timeout"),
    ];
    for (condition, name) in conditions {
        assert_eq!(condition.as_str(), name);
    }
    assert_eq!(capability::LOCAL_TRANSACTIONS, "amqp:local-transactions");
    assert_eq!(capability::DISTRIBUTED_TRANSACTIONS, "amqp:distributed-transactions");
    assert_eq!(capability::PROMOTABLE_TRANSACTIONS, "amqp:promotable-transactions");
    assert_eq!(capability::MULTI_TXNS_PER_SSN, "amqp:multi-txns-per-ssn");
    assert_eq!(capability::MULTI_SSNS_PER_TXN, "amqp:multi-ssns-per-txn");
    // The set is open.
    let own = symbol("com.microsoft:timeout").to_octets();
    assert_eq!(whole::<ErrorCondition>(&own).expect("a symbol").as_str(), "com.microsoft:timeout");
}

/// S-5.3.3.2-3: no initial response is not an empty one.
#[test]
fn a_null_initial_response_differs_from_an_empty_one() {
    let init = |fields: Vec<Value>| whole::<SaslInit>(&described(0x41, fields).to_octets()).expect("valid");
    let none = init(vec![symbol("EXTERNAL")]);
    let empty = init(vec![symbol("EXTERNAL"), Bytes::new().into()]);
    assert!(none.initial_response.is_none());
    assert!(empty.initial_response.as_ref().is_some_and(|response| response.0.is_empty()));
    assert_ne!(none.to_octets(), empty.to_octets());
}

/// M-3.2.5-1, M-3.2.10-1: keys and values of the maps in a message.
#[test]
fn maps_of_a_message_restrict_their_keys_and_values() {
    let application = |key: Value, value: Value| whole::<ApplicationProperties>(&map([(key, value)]).to_octets());
    assert!(application("k".into(), Value::Null).is_ok());
    assert!(application("k".into(), Value::described(symbol("x:y"), 1i64)).is_ok());
    for value in [list([]), map([]), Array::default().into()] {
        assert_eq!(application("k".into(), value), Err(DecodeErrorKind::InvalidValueType));
    }
    for key in [symbol("k"), 1u64.into(), Value::Null] {
        assert_eq!(application(key, Value::Null), Err(DecodeErrorKind::InvalidKeyType));
    }
    let annotations = |key: Value| whole::<Annotations>(&map([(key, list([]))]).to_octets());
    assert!(annotations(symbol("x-opt-k")).is_ok());
    assert!(annotations(1u64.into()).is_ok());
    for key in ["k".into(), 1u32.into(), Value::Null] {
        assert_eq!(annotations(key), Err(DecodeErrorKind::InvalidKeyType));
    }
}
