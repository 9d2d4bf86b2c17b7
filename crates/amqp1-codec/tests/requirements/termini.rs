//! Part 3, §3.4 and §3.5: delivery states, sources and targets.

use crate::support::*;
use amqp1_codec::{
    Decode, DecodeErrorKind as Kind, Encode, Limits, Reader, Symbol, Value,
    definitions::{AmqpError, ErrorCondition},
    messaging::{
        DeliveryState, FilterSet, LifetimePolicy, Modified, NodeProperties, Received, Source, Target,
        TerminusDurability, TerminusExpiryPolicy,
    },
};

/// T-2.8.13-1 (§3.4.5): the annotations of a modified are fields, whose keys are symbols and nothing else.
#[test]
fn annotations_to_merge_have_symbols_for_keys() {
    let state = read::<DeliveryState>("00 53 27 c0 0a 03 40 40 c1 05 02 a3 01 'k' 40");
    let DeliveryState::Modified(modified) = state else { panic!("{state:?}") };
    assert_eq!(modified.message_annotations.expect("some").get("k"), Some(&Value::Null));
    for key in ["53 01", "a1 01 'k'", "40"] {
        let pair = format!("{key} 40");
        let map = format!("c1 {:02x} 02 {pair}", hex(&pair).len() + 1);
        let fields = format!("40 40 {map}");
        refused_as::<DeliveryState>(
            &format!("00 53 27 c0 {:02x} 03 {fields}", hex(&fields).len() + 1),
            Kind::InvalidKeyType,
        );
    }
}

/// §3.4.1 to §3.4.5: the forms of the delivery states.
#[test]
fn delivery_states_have_their_forms() {
    use DeliveryState as State;
    both_ways(State::Accepted, "00 53 24 45", "00 53 24 c0 01 00", &["00 a3 12 'amqp:accepted:list' 45"]);
    both_ways(State::Released, "00 53 26 45", "00 53 26 c0 01 00", &["00 53 26 d0 00000004 00000000"]);
    both_ways(State::Rejected(None), "00 53 25 45", "00 53 25 c0 02 01 40", &["00 53 25 c0 01 00"]);
    let rejected = "00 53 25 c0 0a 01 00 53 1d c0 04 01 a3 01 'c'";
    let error = AmqpError::from(ErrorCondition::from_static("c"));
    both_ways(State::rejected(error), rejected, "00 53 25 c0 0c 01 00 53 1d c0 06 03 a3 01 'c' 40 40", &[]);
    let received = Received { section_number: 0, section_offset: u64::from(u32::MAX) + 1 };
    let octets = "00 53 23 c0 0b 02 43 80 0000000100000000";
    both_ways(State::Received(received), octets, octets, &["00 53 23 c0 0c 02 52 00 80 0000000100000000"]);
    let modified = |failed: bool, here: bool| {
        Box::new(Modified { delivery_failed: failed, undeliverable_here: here, message_annotations: None })
    };
    both_ways(
        State::Modified(modified(false, false)),
        "00 53 27 45",
        "00 53 27 c0 04 03 42 42 40",
        &["00 53 27 c0 03 02 42 42"],
    );
    both_ways(
        State::Modified(modified(false, true)),
        "00 53 27 c0 03 02 40 41",
        "00 53 27 c0 04 03 42 41 40",
        &["00 53 27 c0 05 02 56 00 56 01"],
    );
    refused::<State>("00 53 23 45", Kind::MissingField(0), 4);
    refused_as::<State>("00 53 24 c0 02 01 40", Kind::TooManyFields);
    refused::<State>("00 53 22 45", Kind::UnexpectedDescriptor, 0);
    assert!(!State::Received(Received::default()).is_outcome() && State::Released.is_outcome());
}

/// §3.5.5, §3.5.6: durability is an uint, the expiry policy a symbol.
#[test]
fn termini_have_policies() {
    both_ways(TerminusDurability::None, "43", "43", &["52 00", "70 00000000"]);
    both_ways(TerminusDurability::UnsettledState, "52 02", "52 02", &["70 00000002"]);
    refused_as::<TerminusDurability>("52 03", Kind::InvalidValue);
    both_ways(
        TerminusExpiryPolicy::LinkDetach,
        "a3 0b 'link-detach'",
        "a3 0b 'link-detach'",
        &["b3 0000000b 'link-detach'"],
    );
    both_ways(TerminusExpiryPolicy::Never, "a3 05 'never'", "a3 05 'never'", &[]);
    refused_as::<TerminusExpiryPolicy>("a3 05 'NEVER'", Kind::InvalidValue);
    let source = Source {
        default_outcome: Some(DeliveryState::Released),
        outcomes: symbols(&["amqp:released:list"]).into(),
        dynamic: true,
        ..Source::default()
    };
    let octets = "00 53 28 c0 21 0a 40 40 40 40 41 40 40 40 00 53 26 45 a3 12 'amqp:released:list'";
    assert_eq!(shown(&source.to_octets()), shown(&hex(octets)));
    assert_eq!(read::<Source>(octets), source);
    // What is no outcome cannot be the default one (§3.5.3).
    refused_as::<Source>("00 53 28 c0 11 09 40 40 40 40 40 40 40 40 00 53 23 c0 03 02 43 44", Kind::InvalidValue);
    refused::<Target>("00 53 28 45", Kind::UnexpectedDescriptor, 0);
}

/// M-3.5.8-1: filters have symbols as names, and are null or described.
#[test]
fn filters_are_named_and_described() {
    let mut filters = FilterSet::new();
    filters.insert(Symbol::from_static("f"), 0x0000_468c_0000_0004u64, "a = 1");
    let octets = "c1 15 02 a3 01 'f' 00 80 0000468c00000004 a1 05 'a = 1'";
    both_ways(filters, octets, octets, &[]);
    assert_eq!(read::<FilterSet>("c1 05 02 a3 01 'f' 40").get("f"), Some(&Value::Null));
    // Alone, and behind another.
    for (count, first) in [(2, ""), (4, "a3 01 'e' 40")] {
        let map = |entry: &str| {
            let entries = format!("{first} {entry}");
            format!("c1 {:02x} {count:02x} {entries}", hex(&entries).len() + 1)
        };
        refused_as::<FilterSet>(&map("a1 01 'f' 00 a3 01 'x' 50 01"), Kind::InvalidKeyType);
        for value in ["a1 01 'x'", "45", "41", "c1 01 00"] {
            refused_as::<FilterSet>(&map(&format!("a3 01 'f' {value}")), Kind::NotDescribed);
        }
    }
}

/// M-3.5.9-1, Y-1.4-2 (§3.5.10 to §3.5.13): a lifetime policy is one of four lists without fields.
#[test]
fn node_properties_have_a_lifetime_and_modes() {
    let policies = [
        (0x2b, "amqp:delete-on-close:list", LifetimePolicy::DeleteOnClose),
        (0x2c, "amqp:delete-on-no-links:list", LifetimePolicy::DeleteOnNoLinks),
        (0x2d, "amqp:delete-on-no-messages:list", LifetimePolicy::DeleteOnNoMessages),
        (0x2e, "amqp:delete-on-no-links-or-messages:list", LifetimePolicy::DeleteOnNoLinksOrMessages),
    ];
    let with = |key: &str, entry: &str| {
        let pair = format!("a3 {:02x} '{key}' {entry}", key.len());
        format!("c1 {:02x} 02 {pair}", hex(&pair).len() + 1)
    };
    // With `odd_node_properties` what is of another form is kept, and counts as absent.
    let tolerated = |text: &str| {
        let mut limits = Limits::DEFAULT;
        limits.odd_node_properties = true;
        let octets = hex(text);
        let properties = NodeProperties::decode(&mut Reader::with_limits(&octets, limits)).expect(text);
        assert_eq!((properties.lifetime_policy(), properties.0.is_empty()), (None, false), "{text}");
    };
    for (code, name, policy) in policies {
        let size = name.len();
        for descriptor in [
            format!("00 53 {code:02x}"),
            format!("00 80 {code:016x}"),
            format!("00 a3 {size:02x} '{name}'"),
            format!("00 b3 {size:08x} '{name}'"),
        ] {
            for list in ["45", "c0 01 00", "d0 00000004 00000000"] {
                let text = with("lifetime-policy", &format!("{descriptor} {list}"));
                assert_eq!(read::<NodeProperties>(&text).lifetime_policy(), Some(policy), "{text}");
            }
        }
        let compact = with("lifetime-policy", &format!("00 53 {code:02x} 45"));
        let full = with("lifetime-policy", &format!("00 53 {code:02x} c0 01 00"));
        both_ways(NodeProperties::default().with_lifetime_policy(policy), &compact, &full, &[]);
    }
    for text in [
        "a1 01 'x'",
        "00 53 2a 45",
        "00 53 2f 45",
        "00 53 2b 40",
        "00 53 2b c0 02 01 40",
        "00 52 2b 45",
        "a3 19 'amqp:delete-on-close:list'",
    ] {
        refused_as::<NodeProperties>(&with("lifetime-policy", text), Kind::InvalidValue);
        tolerated(&with("lifetime-policy", text));
    }
    for modes in
        ["a3 04 'move'", "e0 0c 02 a3 04 'move' 04 'copy'", "e0 02 00 a3", "40", "f0 0000000a 00000001 a3 04 'move'"]
    {
        assert!(read::<NodeProperties>(&with("supported-dist-modes", modes)).lifetime_policy().is_none());
    }
    for modes in ["a1 04 'move'", "c0 07 01 a3 04 'move'", "e0 07 01 a1 04 'move'", "43"] {
        refused_as::<NodeProperties>(&with("supported-dist-modes", modes), Kind::InvalidValue);
        tolerated(&with("supported-dist-modes", modes));
    }
}
