//! Types of one's own as bodies: what becomes what, there and back, what is refused, and that hostile bodies stay
//! harmless when they are read by type.

use amqp1_codec::{
    Array, DecodeErrorKind, Encode, Limits, Map, Message, Reader, Symbol, Timestamp, Uuid, Value,
    message::Body,
    serde::{Deserializer, Error, from_value, to_value},
    types::Decimal32,
};
use bytes::Bytes;
use proptest::prelude::*;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::{collections::BTreeMap, fmt::Debug};

/// As `serde_bytes` does it.
#[derive(Clone, Debug, PartialEq)]
struct Octets(Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Octets;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("octets")
            }
            fn visit_bytes<E>(self, octets: &[u8]) -> Result<Octets, E> {
                Ok(Octets(octets.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    Newtype(i32),
    Tuple(u8, String),
    Struct { a: bool, b: Option<char> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(u16);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    boolean: bool,
    unsigned: (u8, u16, u32, u64),
    signed: (i8, i16, i32, i64),
    floats: (f32, f64),
    character: char,
    text: String,
    octets: Octets,
    plain: Vec<u8>,
    option: Option<i16>,
    unit: (),
    unit_struct: Unit,
    wrapper: Wrapper,
    choices: Vec<Choice>,
    by_name: BTreeMap<String, i64>,
    by_number: BTreeMap<u32, Vec<String>>,
    at: Timestamp,
    id: Uuid,
    symbol: Symbol,
    #[serde(rename = "within")]
    inside: Option<Box<Self>>,
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Unit),
        any::<i32>().prop_map(Choice::Newtype),
        any::<(u8, String)>().prop_map(|(a, b)| Choice::Tuple(a, b)),
        any::<(bool, Option<char>)>().prop_map(|(a, b)| Choice::Struct { a, b }),
    ]
}

/// Numbers that equal themselves.
fn floats() -> impl Strategy<Value = (f32, f64)> {
    (
        any::<f32>().prop_filter("a number", |number| !number.is_nan()),
        any::<f64>().prop_filter("a number", |number| !number.is_nan()),
    )
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<bool>(), any::<(u8, u16, u32, u64)>(), any::<(i8, i16, i32, i64)>(), floats());
    let texts = (any::<char>(), any::<String>(), any::<Vec<u8>>(), any::<Vec<u8>>(), "[ -~]{0,300}");
    let compounds = (
        any::<Option<i16>>(),
        proptest::collection::vec(choice(), 0..5),
        any::<BTreeMap<String, i64>>(),
        proptest::collection::btree_map(any::<u32>(), any::<Vec<String>>(), 0..5),
    );
    let leaf = (numbers, texts, compounds, any::<(u16, i64, [u8; 16])>()).prop_map(
        |(numbers, texts, compounds, (wrapped, at, id))| Everything {
            boolean: numbers.0,
            unsigned: numbers.1,
            signed: numbers.2,
            floats: numbers.3,
            character: texts.0,
            text: texts.1,
            octets: Octets(texts.2),
            plain: texts.3,
            option: compounds.0,
            unit: (),
            unit_struct: Unit,
            wrapper: Wrapper(wrapped),
            choices: compounds.1,
            by_name: compounds.2,
            by_number: compounds.3,
            at: Timestamp(at),
            id: Uuid(id),
            symbol: Symbol::new(texts.4).expect("printable"),
            inside: None,
        },
    );
    let leaf = leaf.boxed();
    (leaf.clone(), proptest::option::of(leaf))
        .prop_map(|(outer, inner)| Everything { inside: inner.map(Box::new), ..outer })
}

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let message = Message::builder().serialized(value).expect("has a form in AMQP").build();
    let message = Message::from_chunks(message.into_parts()).expect("valid");
    let Body::Value(body) = message.body() else { panic!("another body") };
    assert_eq!(&body.deserialize::<T>().expect("reads"), value);
    assert_eq!(&from_value::<T>(&body.to_value().expect("valid")).expect("reads"), value);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(value in everything()) {
        there_and_back(&value);
    }

    /// Whatever octets are read as whatever type: an answer, never a panic.
    #[test]
    fn any_octets_are_answered(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let octets = Bytes::from(octets);
        let _ = read::<Everything>(&octets);
        let _ = read::<Vec<Choice>>(&octets);
        let _ = read::<BTreeMap<String, Option<f64>>>(&octets);
        let _ = read::<IgnoredAny>(&octets);
        let _ = read::<serde_json::Value>(&octets);
    }
}

fn read<'a, T: Deserialize<'a>>(octets: &'a Bytes) -> Result<T, Error> {
    T::deserialize(&mut Deserializer::new(Reader::new(octets)))
}

fn decode_error<T: Debug>(result: Result<T, Error>) -> DecodeErrorKind {
    match result {
        Err(Error::Decode(error)) => error.kind,
        other => panic!("{other:?}"),
    }
}

fn map(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(pairs.into_iter().collect::<Map>())
}

#[test]
fn each_type_becomes_the_amqp_type_of_its_width() {
    let value = |value: &dyn erased::Erased| value.value();
    assert_eq!(value(&true), Value::Boolean(true));
    assert_eq!(value(&1_u8), Value::Ubyte(1));
    assert_eq!(value(&1_u16), Value::Ushort(1));
    assert_eq!(value(&1_u32), Value::Uint(1));
    assert_eq!(value(&1_u64), Value::Ulong(1));
    assert_eq!(value(&-1_i8), Value::Byte(-1));
    assert_eq!(value(&-1_i16), Value::Short(-1));
    assert_eq!(value(&-1_i32), Value::Int(-1));
    assert_eq!(value(&-1_i64), Value::Long(-1));
    assert_eq!(value(&1.5_f32), Value::Float(1.5));
    assert_eq!(value(&1.5_f64), Value::Double(1.5));
    assert_eq!(value(&'ü'), Value::Char('ü'));
    assert_eq!(value(&"text"), Value::String("text".into()));
    assert_eq!(value(&Octets(vec![1, 2])), Value::Binary(Bytes::from_static(&[1, 2])));
    assert_eq!(value(&vec![1_u8, 2]), Value::List(vec![Value::Ubyte(1), Value::Ubyte(2)]));
    assert_eq!(value(&None::<u8>), Value::Null);
    assert_eq!(value(&Some(1_u8)), Value::Ubyte(1));
    assert_eq!(value(&()), Value::Null);
    assert_eq!(value(&Unit), Value::Null);
    assert_eq!(value(&Wrapper(7)), Value::Ushort(7));
    assert_eq!(value(&(1_u8, "a")), Value::List(vec![Value::Ubyte(1), "a".into()]));
    assert_eq!(value(&BTreeMap::from([(1_u8, 'a')])), Value::Map([(1_u8, 'a')].into_iter().collect()));
    assert_eq!(value(&Choice::Unit), "Unit".into());
    assert_eq!(value(&Choice::Newtype(3)), map([("Newtype", 3_i32.into())]));
    let tuple = Value::List(vec![Value::Ubyte(1), "a".into()]);
    assert_eq!(value(&Choice::Tuple(1, "a".into())), map([("Tuple", tuple)]));
    let fields = map([("a", true.into()), ("b", Value::Null)]);
    assert_eq!(value(&Choice::Struct { a: true, b: None }), map([("Struct", fields)]));
    assert_eq!(value(&Timestamp(5)), Value::Timestamp(Timestamp(5)));
    assert_eq!(value(&Uuid([7; 16])), Value::Uuid(Uuid([7; 16])));
    assert_eq!(value(&Symbol::from_static("s")), Value::Symbol(Symbol::from_static("s")));
}

/// `to_value` of different types in one list.
mod erased {
    use amqp1_codec::{Value, serde::to_value};

    pub(crate) trait Erased {
        fn value(&self) -> Value;
    }

    impl<T: serde::Serialize> Erased for T {
        fn value(&self) -> Value {
            to_value(self).expect("has a form in AMQP")
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Borrowed<'a> {
    text: &'a str,
    octets: &'a [u8],
}

#[test]
fn texts_and_octets_are_borrowed_from_the_message() {
    let body = map([("text", "hello".into()), ("octets", Value::Binary(Bytes::from_static(b"\x01\x02")))]);
    let message = Message::from_chunks(Message::builder().value(body).build().into_parts()).expect("valid");
    let Body::Value(body) = message.body() else { panic!("another body") };
    let read: Borrowed<'_> = body.deserialize().expect("reads");
    assert_eq!(read, Borrowed { text: "hello", octets: &[1, 2] });
    let whole = message.to_encoded().into_parts().remove(0);
    assert!(whole.as_ptr_range().contains(&read.text.as_ptr()), "the text was copied");
}

#[test]
fn names_are_read_from_symbols_too() {
    let symbol = |text: &'static str| Value::Symbol(Symbol::from_static(text));
    let pairs: Map = [(symbol("a"), Value::Boolean(true)), (symbol("b"), Value::Char('x'))].into_iter().collect();
    let variant: Map = [(symbol("Struct"), Value::Map(pairs))].into_iter().collect();
    assert_eq!(from_value::<Choice>(&variant.into()), Ok(Choice::Struct { a: true, b: Some('x') }));
    assert_eq!(from_value::<Choice>(&symbol("Unit")), Ok(Choice::Unit));
    // A unit variant as the map that other variants are.
    assert_eq!(from_value::<Choice>(&map([("Unit", Value::Null)])), Ok(Choice::Unit));
}

#[test]
fn integers_of_any_width_are_taken_if_they_fit() {
    assert_eq!(from_value::<u8>(&Value::Ulong(255)), Ok(255));
    assert_eq!(from_value::<i64>(&Value::Ubyte(9)), Ok(9));
    assert_eq!(from_value::<i64>(&Value::Timestamp(Timestamp(9))), Ok(9));
    let error = from_value::<u8>(&Value::Ulong(256)).expect_err("out of range");
    assert_eq!(error.to_string(), "found an integer out of range, where u8 is wanted");
    from_value::<u8>(&Value::Int(-1)).expect_err("out of range");
}

#[test]
fn arrays_are_sequences_and_descriptors_are_passed_over() {
    let array = |values: Vec<Value>| Value::Array(Array::from_values(values).expect("of one type"));
    assert_eq!(from_value(&array(vec![1_u32.into(), 2_u32.into()])), Ok(vec![1_u64, 2]));
    assert_eq!(from_value(&array(vec!["a".into(), "b".into()])), Ok(vec!["a".to_owned(), "b".to_owned()]));
    let nested = array(vec![array(vec![1_u8.into()]), array(vec![2_u8.into(), 3_u8.into()])]);
    assert_eq!(from_value(&nested), Ok(vec![vec![1_u8], vec![2, 3]]));
    let maps = array(vec![map([("Newtype", 1_i32.into())]), map([("Newtype", 2_i32.into())])]);
    assert_eq!(from_value(&maps), Ok(vec![Choice::Newtype(1), Choice::Newtype(2)]));
    let described = |number: u32| Value::described(Symbol::from_static("x:y"), number);
    assert_eq!(from_value(&array(vec![described(4), described(5)])), Ok(vec![4_u32, 5]));
    assert_eq!(from_value(&Value::List(vec![described(4), 5_u32.into()])), Ok(vec![4_u32, 5]));
    // An array of nulls, as `null` elements have no octets at all.
    assert_eq!(from_value(&array(vec![Value::Null, Value::Null])), Ok(vec![None::<u8>, None]));
}

#[test]
fn a_binary_is_a_sequence_of_octets_where_one_is_wanted() {
    let binary = Value::Binary(Bytes::from_static(&[1, 2, 3]));
    assert_eq!(from_value(&binary), Ok(vec![1_u8, 2, 3]));
    assert_eq!(from_value(&binary), Ok([1_u8, 2, 3]));
    from_value::<[u8; 2]>(&binary).expect_err("an octet too many");
    from_value::<[u8; 4]>(&binary).expect_err("an octet too few");
}

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    assert_eq!(to_value(&1_u128), Err(Error::Unsupported("u128")));
    assert_eq!(to_value(&1_i128), Err(Error::Unsupported("i128")));
    assert_eq!(from_value::<u128>(&Value::Ulong(1)), Err(Error::Unsupported("u128")));
    assert_eq!(from_value::<i128>(&Value::Long(1)), Err(Error::Unsupported("i128")));
    let decimal = Value::Decimal32(Decimal32([0; 4]));
    assert_eq!(from_value::<f32>(&decimal), Err(Error::Unsupported("decimal")));
    // What is not asked for needs no counterpart.
    let body = map([("other", decimal), ("a", 1_u8.into())]);
    #[derive(Debug, PartialEq, Deserialize)]
    struct One {
        a: u8,
    }
    assert_eq!(from_value(&body), Ok(One { a: 1 }));
}

/// Y-1.6.23-2: the same key twice is refused, in both directions, whatever the type would make of it.
#[test]
fn duplicate_keys_are_refused() {
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("a", 1), ("a", 2)])
        }
    }
    assert_eq!(to_value(&Twice), Err(Error::DuplicateKey));
    // {"a": null, "a": null}, the second key written wide.
    let octets = Bytes::from_static(b"\xc1\x0c\x04\xa1\x01a\x40\xb1\x00\x00\x00\x01a\x40");
    assert_eq!(decode_error(read::<BTreeMap<String, ()>>(&octets)), DecodeErrorKind::DuplicateKey);
    #[derive(Debug, Deserialize)]
    struct Nothing {}
    assert_eq!(decode_error(read::<Nothing>(&octets)), DecodeErrorKind::DuplicateKey);
}

/// A list in a list in a list …
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Nest(Vec<Self>);

fn nest(levels: usize) -> Nest {
    (1..levels).fold(Nest(Vec::new()), |nest, _| Nest(vec![nest]))
}

#[test]
fn nesting_is_bounded_in_both_directions() {
    assert!(to_value(&nest(32)).is_ok());
    assert_eq!(to_value(&nest(33)), Err(Error::DepthExceeded));
    assert_eq!(to_value(&nest(10_000)), Err(Error::DepthExceeded));
    // Each level is a list8 of one; the innermost is empty and so no level.
    let octets = |levels: usize| {
        (0..levels).fold(Bytes::from_static(&[0x45]), |inner, _| {
            let size = u32::try_from(inner.len() + 4).expect("small").to_be_bytes();
            [&[0xd0][..], &size, &[0, 0, 0, 1], &inner].concat().into()
        })
    };
    assert!(read::<Nest>(&octets(32)).is_ok());
    assert_eq!(decode_error(read::<Nest>(&octets(33))), DecodeErrorKind::DepthExceeded);
    assert_eq!(decode_error(read::<Nest>(&octets(2_000))), DecodeErrorKind::DepthExceeded);
    // Descriptors are levels.
    let described = |levels: usize| Bytes::from([[0x00, 0x53, 0x01].repeat(levels), vec![0x50, 9]].concat());
    assert_eq!(read::<u8>(&described(32)), Ok(9));
    assert_eq!(decode_error(read::<u8>(&described(33))), DecodeErrorKind::DepthExceeded);
    // … of the value that they describe, not of those beside it.
    let beside = Value::List(vec![Value::described(1_u64, 2_u8); 100]);
    assert_eq!(from_value(&beside), Ok(vec![2_u8; 100]));
}

/// C.11: a few octets of arrays without width do not become much memory.
#[test]
fn arrays_without_width_share_one_limit() {
    // Ten arrays of 65,535 empty lists, ten octets each, as the items of a list.
    let array = [&[0xf0, 0, 0, 0, 5][..], &65_535_u32.to_be_bytes(), &[0x45]].concat();
    let list = |count: u8| {
        let items = array.repeat(usize::from(count));
        let size = u8::try_from(items.len() + 1).expect("small");
        Bytes::from([&[0xc0, size, count][..], &items].concat())
    };
    assert_eq!(read::<Vec<Vec<Nest>>>(&list(1)).expect("one is legal").concat().len(), 65_535);
    assert_eq!(decode_error(read::<Vec<Vec<Nest>>>(&list(10))), DecodeErrorKind::ElementsExceeded);
    // Beside a list that is left.
    let inner = list(1);
    let size = u8::try_from(1 + 2 * inner.len()).expect("small");
    let nested = Bytes::from([&[0xc0, size, 2][..], &inner, &inner].concat());
    assert_eq!(decode_error(read::<Vec<Vec<Vec<Nest>>>>(&nested)), DecodeErrorKind::ElementsExceeded);
    // The limits are those of the reader.
    let limits = {
        let mut limits = Limits::DEFAULT;
        limits.zero_width_elements = 10;
        limits
    };
    let one = list(1);
    let result = Vec::<Vec<Nest>>::deserialize(&mut Deserializer::new(Reader::with_limits(&one, limits)));
    assert_eq!(decode_error(result), DecodeErrorKind::ElementsExceeded);
}

#[test]
fn what_is_malformed_is_refused() {
    let kind = |octets: &'static [u8]| decode_error(read::<serde_json::Value>(&Bytes::from_static(octets)));
    assert_eq!(kind(&[]), DecodeErrorKind::Truncated);
    assert_eq!(kind(&[0xa1, 5, b'a']), DecodeErrorKind::Truncated);
    assert_eq!(kind(&[0xa1, 1, 0xff]), DecodeErrorKind::InvalidUtf8);
    assert_eq!(kind(&[0xa3, 1, 0xff]), DecodeErrorKind::InvalidSymbol);
    assert_eq!(kind(&[0x56, 2]), DecodeErrorKind::InvalidBoolean);
    assert_eq!(kind(&[0x3f]), DecodeErrorKind::UnknownFormatCode(0x3f));
    assert_eq!(kind(&[0xc1, 4, 3, 0x40, 0x40, 0x40]), DecodeErrorKind::OddMap);
    assert_eq!(kind(&[0xc0, 3, 1, 0x40, 0x40]), DecodeErrorKind::LengthMismatch);
    assert_eq!(kind(&[0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]), DecodeErrorKind::ElementsExceeded);
    // A body holds one value.
    let message = Message::from_bytes(Bytes::from_static(&[0x00, 0x53, 0x77, 0x50, 1])).expect("valid");
    let Body::Value(body) = message.body() else { panic!("another body") };
    assert_eq!(body.deserialize::<u8>(), Ok(1));
}

/// What the peer wrote is not in the error, which goes to logs.
#[test]
fn errors_do_not_quote_the_body() {
    let errors = [
        from_value::<u8>(&"hunter2".into()).expect_err("no integer"),
        from_value::<Choice>(&"hunter2".into()).expect_err("no variant"),
        from_value::<Choice>(&map([("hunter2", Value::Null)])).expect_err("no variant"),
        from_value::<bool>(&Value::Binary(Bytes::from_static(b"hunter2"))).expect_err("no boolean"),
        from_value::<char>(&"hunter2".into()).expect_err("no char"),
    ];
    for error in errors {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.starts_with("found "), "{shown}");
    }
    assert_eq!(from_value::<u8>(&"x".into()).expect_err("no integer").to_string(), "found a text, where u8 is wanted",);
}

/// Every truncation and mutation of a body that holds everything: an answer, never a panic.
#[test]
fn mutated_bodies_are_answered() {
    let value = Everything {
        boolean: true,
        unsigned: (1, 2, 3, 4),
        signed: (-1, -2, -3, -4),
        floats: (1.5, 2.5),
        character: 'c',
        text: "text".into(),
        octets: Octets(vec![1, 2]),
        plain: vec![3],
        option: None,
        unit: (),
        unit_struct: Unit,
        wrapper: Wrapper(5),
        choices: vec![Choice::Unit, Choice::Newtype(1), Choice::Tuple(1, "a".into())],
        by_name: BTreeMap::from([("a".into(), 1)]),
        by_number: BTreeMap::from([(1, vec!["b".into()])]),
        at: Timestamp(7),
        id: Uuid([8; 16]),
        symbol: Symbol::from_static("symbol"),
        inside: None,
    };
    let octets = to_value(&value).expect("has a form in AMQP").to_octets();
    assert_eq!(read::<Everything>(&octets), Ok(value));
    for length in 0..octets.len() {
        assert!(read::<Everything>(&octets.slice(..length)).is_err(), "cut to {length}");
    }
    for at in 0..octets.len() {
        for octet in 0..=255 {
            let mut mutated = octets.to_vec();
            mutated[at] = octet;
            let mutated = Bytes::from(mutated);
            let _ = read::<Everything>(&mutated);
            let _ = read::<serde_json::Value>(&mutated);
        }
    }
}
