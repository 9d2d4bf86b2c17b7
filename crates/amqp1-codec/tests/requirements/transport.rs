//! Part 2, §2.7 and §2.8: performatives as whole frames' bodies, and what they are made of.

use crate::{composites::refusal, support::*, table::composites};
use amqp1_codec::{
    DecodeErrorKind as Kind, DeliveryTag, EncodeStyle, Multiple, SequenceNo, Value,
    definitions::{ErrorCondition, Fields, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{DeliveryState, Source, Target},
    performative::{
        Attach, Begin, Detach, Disposition, Flow, Open, Performative, TargetArchetype, Transfer, Unsettled,
    },
    transaction::Coordinator,
};
use bytes::Bytes;

/// T-2.7.1-1, T-2.7.1-10, T-2.7.1-14: an open with all its fields, each of another kind.
#[test]
fn an_open_with_all_its_fields() {
    let mut properties = Fields::new();
    properties.insert(name("product"), "x");
    let open = Open {
        container_id: "c".into(),
        hostname: Some("h".into()),
        max_frame_size: 512,
        channel_max: 9,
        idle_time_out: Some(1_000),
        outgoing_locales: symbols(&["en-US"]).into(),
        incoming_locales: symbols(&["de", "fr"]).into(),
        offered_capabilities: Multiple::default(),
        desired_capabilities: symbols(&["ANONYMOUS-RELAY"]).into(),
        properties: Some(properties),
    };
    let fields = "a1 01 'c' a1 01 'h' 70 00000200 60 0009 70 000003e8 a3 05 'en-US' e0 08 02 a3 02 'de' 02 'fr' 40 \
                  a3 0f 'ANONYMOUS-RELAY' c1 0d 02 a3 07 'product' a1 01 'x'";
    let narrow = format!("00 53 10 c0 {:02x} 0a {fields}", hex(fields).len() + 1);
    let wide = format!("00 80 0000000000000010 d0 {:08x} 0000000a {fields}", hex(fields).len() + 4);
    both_ways(open, &narrow, &narrow, &[&wide]);
    let least = Open { container_id: "c".into(), ..Open::default() };
    both_ways(
        least,
        "00 53 10 c0 04 01 a1 01 'c'",
        "00 53 10 c0 13 0a a1 01 'c' 40 70 ffffffff 60 ffff 40 40 40 40 40 40",
        &["00 53 10 c0 05 02 a1 01 'c' 40"],
    );
    refused::<Open>("00 53 10 45", Kind::MissingField(0), 4);
}

/// T-2.7.2-1: a begin answers with the channel of the other, and has three numbers.
#[test]
fn a_begin_with_and_without_a_remote_channel() {
    let begin = Begin {
        remote_channel: Some(0),
        next_outgoing_id: SequenceNo(u32::MAX),
        incoming_window: 2_048,
        outgoing_window: 0,
        ..Begin::default()
    };
    both_ways(
        begin,
        "00 53 11 c0 0f 04 60 0000 70 ffffffff 70 00000800 43",
        "00 53 11 c0 17 08 60 0000 70 ffffffff 70 00000800 43 70 ffffffff 40 40 40",
        &["00 53 11 c0 10 04 60 0000 70 ffffffff 70 00000800 52 00"],
    );
    assert_eq!(read::<Begin>("00 53 11 c0 05 04 40 43 43 43").remote_channel, None, "null is not channel 0");
}

/// These fields of a performative are mandatory, and no others: null in the place of one is refused, and so is a list that
/// ends before it.
#[track_caller]
fn has_mandatory_fields(name: &str, expected: &[u8]) {
    let all = composites();
    let composite = all.iter().find(|composite| composite.name == name).expect("a performative");
    for index in 0..composite.fields.len() as u8 {
        let of = |fields: &[Bytes]| {
            let kinds = composite.forms(fields).into_iter().map(|octets| refusal(composite, &octets));
            kinds.map(|refusal| refusal.map(|(kind, _)| kind)).collect::<Vec<_>>()
        };
        let null = composite.with(index.into(), &hex("40"));
        let missing = expected.contains(&index).then_some(Kind::MissingField(index));
        assert!(of(&null).iter().all(|found| *found == missing), "{name}: field {index} is null");
        let next =
            expected.iter().find(|mandatory| **mandatory >= index).map(|mandatory| Kind::MissingField(*mandatory));
        assert!(of(&null[..index.into()]).iter().all(|found| *found == next), "{name}: ends before field {index}");
    }
}

#[test]
fn t_2_7_2_1_a_begin_has_its_outgoing_id_and_both_windows() {
    has_mandatory_fields("begin", &[1, 2, 3]);
}

#[test]
fn t_2_7_3_1_an_attach_has_a_name_a_handle_and_a_role() {
    has_mandatory_fields("attach", &[0, 1, 2]);
}

#[test]
fn t_2_7_4_1_a_flow_has_both_windows_and_its_outgoing_id() {
    has_mandatory_fields("flow", &[1, 2, 3]);
}

#[test]
fn t_2_7_5_1_a_transfer_has_a_handle() {
    has_mandatory_fields("transfer", &[0]);
}

#[test]
fn t_2_7_6_1_a_disposition_has_a_role_and_a_first_id() {
    has_mandatory_fields("disposition", &[0, 1]);
}

/// The keys of an open's properties are symbols: strings, null, numbers and booleans are refused.
#[test]
fn t_2_7_1_14_the_properties_of_an_open_have_symbols_as_keys() {
    for (key, kind) in [
        ("a3 01 'k'", None),
        ("b3 00000001 'k'", None),
        ("a1 01 'k'", Some(Kind::InvalidKeyType)),
        ("a0 01 'k'", Some(Kind::InvalidKeyType)),
        ("40", Some(Kind::InvalidKeyType)),
        ("52 01", Some(Kind::InvalidKeyType)),
        ("41", Some(Kind::InvalidKeyType)),
    ] {
        // Alone, and behind another.
        for map in [
            format!("c1 {:02x} 02 {key} 43", hex(key).len() + 2),
            format!("c1 {:02x} 04 a3 01 'z' 40 {key} 43", hex(key).len() + 6),
        ] {
            let fields = format!("a1 01 'c' 40 40 40 40 40 40 40 40 {map}");
            let text = format!("00 53 10 c0 {:02x} 0a {fields}", hex(&fields).len() + 1);
            match kind {
                Some(kind) => refused_as::<Open>(&text, kind),
                None => {
                    let properties = read::<Open>(&text).properties.expect("some");
                    assert_eq!(properties.get("k"), Some(&Value::Uint(0)), "{text}");
                }
            }
        }
    }
    refused_as::<Open>("00 53 10 c0 0d 0a a1 01 'c' 40 40 40 40 40 40 40 40 45", Kind::UnexpectedFormatCode(0x45));
}

/// T-2.7.3-1, T-2.7.3-8, T-2.8.1-1, T-2.8.2-1, T-2.8.3-1: both ends of a link.
#[test]
fn an_attach_of_either_role() {
    let attach = Attach {
        name: "l".into(),
        handle: 1,
        role: Role::Sender,
        snd_settle_mode: SenderSettleMode::Settled,
        rcv_settle_mode: ReceiverSettleMode::Second,
        source: Some(Box::new(Source::default())),
        target: Some(Target::at("q").into()),
        initial_delivery_count: Some(SequenceNo(0)),
        max_message_size: Some(0),
        ..Attach::default()
    };
    let head = "a1 01 'l' 52 01 42 50 01 50 01";
    both_ways(
        attach,
        &format!("00 53 12 c0 1c 0b {head} 00 53 28 45 00 53 29 c0 04 01 a1 01 'q' 40 40 43 44"),
        &format!(
            "00 53 12 c0 4a 0e {head} 00 53 28 c0 18 0b 40 43 a3 0b 'session-end' 43 42 40 40 40 40 40 40 \
             00 53 29 c0 16 07 a1 01 'q' 43 a3 0b 'session-end' 43 42 40 40 40 42 43 44 40 40 40"
        ),
        &[&format!("00 53 12 c0 20 0b {head} 00 53 28 c0 01 00 00 53 29 c0 04 01 a1 01 'q' 40 56 00 52 00 44")],
    );
    let receiver = read::<Attach>("00 53 12 c0 06 03 a1 01 'l' 43 41");
    assert_eq!((receiver.role, receiver.snd_settle_mode), (Role::Receiver, SenderSettleMode::Mixed));
    assert_eq!((receiver.rcv_settle_mode, receiver.initial_delivery_count), (ReceiverSettleMode::First, None));
    let coordinator = read::<Attach>("00 53 12 c0 0d 07 a1 01 'l' 43 42 40 40 40 00 53 30 45");
    assert_eq!(coordinator.target, Some(TargetArchetype::Coordinator(Coordinator::default())));
    // A source is no target, and neither is text.
    refused_as::<Attach>("00 53 12 c0 0d 07 a1 01 'l' 43 42 40 40 40 00 53 28 45", Kind::UnexpectedDescriptor);
    refused_as::<Attach>("00 53 12 c0 0c 07 a1 01 'l' 43 42 40 40 40 a1 01 'q'", Kind::NotDescribed);
    refused_as::<Attach>("00 53 12 c0 0c 06 a1 01 'l' 43 42 40 40 00 53 29 45", Kind::UnexpectedDescriptor);
}

/// §2.7.3: no map of unsettled deliveries is not an empty one; its states are any, and null for none.
#[test]
fn an_absent_map_of_unsettled_deliveries_is_not_an_empty_one() {
    let attach = |unsettled: &str| {
        let fields = format!("a1 01 'l' 43 41 40 40 40 40 {unsettled}");
        read::<Attach>(&format!("00 53 12 c0 {:02x} 08 {fields}", hex(&fields).len() + 1)).unsettled
    };
    assert_eq!(attach("40"), None);
    assert_eq!(attach("c1 01 00"), Some(Unsettled::new()));
    let tag = |name: &str| DeliveryTag::new(name.as_bytes()).expect("a short one");
    let states = [(tag("a"), Value::described(0x24u64, Vec::new())), (tag("b"), Value::Null)];
    let unsettled = attach("c1 0c 04 a0 01 'a' 00 53 24 45 a0 01 'b' 40").expect("some");
    assert_eq!(unsettled, states.iter().cloned().collect());
    assert_eq!(unsettled.get(&tag("b")), Some(&Value::Null));
    assert_eq!(unsettled.get(&tag("c")), None);
    assert_eq!(unsettled.iter().collect::<Vec<_>>(), [(states[0].0, &states[0].1), (states[1].0, &states[1].1)]);
}

/// T-2.7.3-10: the keys of the unsettled deliveries are delivery-tags, and not null; what they stand for are states.
#[test]
fn unsettled_deliveries_have_tags_and_states() {
    for (unsettled, kind) in [
        ("c1 03 02 40 40", Kind::InvalidKeyType),
        ("c1 05 02 a1 01 'k' 40", Kind::InvalidKeyType),
        ("c1 05 02 a0 01 't' 43", Kind::InvalidValueType),
        // Behind one that is right.
        ("c1 07 04 a0 01 's' 40 40 40", Kind::InvalidKeyType),
        ("c1 09 04 a0 01 's' 40 a1 01 'k' 40", Kind::InvalidKeyType),
        ("c1 09 04 a0 01 's' 40 a0 01 't' 43", Kind::InvalidValueType),
    ] {
        let fields = format!("a1 01 'l' 43 41 40 40 40 40 {unsettled}");
        refused_as::<Attach>(&format!("00 53 12 c0 {:02x} 08 {fields}", hex(&fields).len() + 1), kind);
    }
    let long = format!("c1 25 02 a0 21 {} 40", "07 ".repeat(33));
    let fields = format!("a1 01 'l' 43 41 40 40 40 40 {long}");
    refused_as::<Attach>(&format!("00 53 12 c0 {:02x} 08 {fields}", hex(&fields).len() + 1), Kind::InvalidKeyType);
}

/// T-2.7.4-1, T-2.7.4-2, T-2.7.4-4: a flow of a session, and one of a link.
#[test]
fn a_flow_of_a_session_and_of_a_link() {
    let session = Flow {
        next_incoming_id: None,
        incoming_window: 5,
        next_outgoing_id: SequenceNo(0),
        outgoing_window: 5,
        ..Flow::default()
    };
    both_ways(
        session,
        "00 53 13 c0 07 04 40 52 05 43 52 05",
        "00 53 13 c0 0e 0b 40 52 05 43 52 05 40 40 40 40 42 42 40",
        &[],
    );
    let link = Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: 5,
        outgoing_window: 5,
        handle: Some(0),
        delivery_count: Some(SequenceNo(u32::MAX)),
        link_credit: Some(100),
        drain: true,
        echo: true,
        ..Flow::default()
    };
    let compact = "00 53 13 c0 12 0a 43 52 05 43 52 05 43 70 ffffffff 52 64 40 41 41";
    both_ways(
        link,
        compact,
        &compact.replace("c0 12 0a", "c0 13 0b").replace("41 41", "41 41 40"),
        &["00 53 13 c0 13 0a 43 52 05 43 52 05 43 70 ffffffff 52 64 40 41 56 01"],
    );
}

/// T-2.7.5-1, T-2.7.5-6, T-2.8.3-1, T-2.8.7-1, T-2.8.11-1: a transfer with all its fields; a null settled is not false.
#[test]
fn a_transfer_with_all_its_fields() {
    let mut transfer = Transfer {
        handle: 2,
        delivery_id: Some(SequenceNo(7)),
        delivery_tag: Some(DeliveryTag::new(b"").expect("short")),
        message_format: Some(0x8001_3700),
        settled: Some(false),
        more: true,
        rcv_settle_mode: Some(ReceiverSettleMode::First),
        state: Some(DeliveryState::Accepted),
        resume: true,
        aborted: true,
        batchable: true,
    };
    let compact = "00 53 14 c0 17 0b 52 02 52 07 a0 00 70 80013700 42 41 50 00 00 53 24 45 41 41 41";
    let full = compact.replace("c0 17", "c0 19").replace("24 45", "24 c0 01 00");
    for (mode, octets) in [(ReceiverSettleMode::First, "41 50 00 00"), (ReceiverSettleMode::Second, "41 50 01 00")] {
        transfer.rcv_settle_mode = Some(mode);
        let [compact, full] = [compact, &full].map(|text| text.replace("41 50 00 00", octets));
        both_ways(transfer.clone(), &compact, &full, &[]);
        both_ways(Performative::from(transfer.clone()), &compact, &full, &[]);
    }
    // A handle that is 0 is there too.
    both_ways(
        Performative::from(Transfer::default()),
        "00 53 14 c0 02 01 43",
        "00 53 14 c0 0c 0b 43 40 40 40 40 42 40 40 42 42 42",
        &["00 53 14 c0 03 01 52 00"],
    );
    let first = read::<Transfer>("00 53 14 c0 07 04 43 43 a0 01 00 43").settled;
    assert_eq!(first, None);
    let tag = |size: u8| format!("00 53 14 c0 {:02x} 03 43 43 a0 {size:02x} {}", size + 5, "ff".repeat(size.into()));
    assert_eq!(read::<Transfer>(&tag(32)).delivery_tag.expect("a tag").as_slice(), [0xff; 32]);
    refused_as::<Transfer>(&tag(33), Kind::TagTooLong);
    assert!(DeliveryTag::new(&[0; 33]).is_err());
}

/// T-2.7.6-1, T-2.7.6-3, T-2.7.7-1, T-2.8.1-1: dispositions of either role and of ranges that wrap, and detaches.
#[test]
fn dispositions_and_detaches() {
    for (role, short, long) in [(Role::Sender, "42", "56 00"), (Role::Receiver, "41", "56 01")] {
        for (last, narrow, wide) in [(None, "40", "40"), (Some(0), "43", "70 00000000"), (Some(1), "52 01", "52 01")] {
            let disposition = Disposition {
                role,
                first: SequenceNo(u32::MAX),
                last: last.map(SequenceNo),
                settled: true,
                state: Some(DeliveryState::Released),
                batchable: false,
            };
            let text =
                |count: u8, fields: &str| format!("00 53 15 c0 {:02x} {count:02x} {fields}", hex(fields).len() + 1);
            let compact = text(5, &format!("{short} 70 ffffffff {narrow} 41 00 53 26 45"));
            let full = text(6, &format!("{short} 70 ffffffff {narrow} 41 00 53 26 c0 01 00 42"));
            let other = text(6, &format!("{long} 70 ffffffff {wide} 41 00 53 26 45 56 00"));
            both_ways(disposition.clone(), &compact, &full, &[&other]);
            both_ways(Performative::from(disposition), &compact, &full, &[&other]);
        }
    }
    let detach = Detach { handle: 3, closed: true, error: Some(ErrorCondition::NOT_FOUND.into()) };
    both_ways(
        detach,
        "00 53 16 c0 1a 03 52 03 41 00 53 1d c0 11 01 a3 0e 'amqp:not-found'",
        "00 53 16 c0 1c 03 52 03 41 00 53 1d c0 13 03 a3 0e 'amqp:not-found' 40 40",
        &[],
    );
}

/// T-2.7.1-14, Y-1.1.2-2: what is unknown in an open's properties is passed over, and kept.
#[test]
fn unknown_extensions_are_kept() {
    let entry = "c1 15 02 a3 01 'k' 00 a3 03 'x:y' c0 09 03 40 00 53 f0 45 a1 01 'v'";
    let fields = format!("a1 01 'c' 40 40 40 40 40 40 40 40 {entry}");
    let text = format!("00 53 10 c0 {:02x} 0a {fields}", hex(&fields).len() + 1);
    let open = read::<Open>(&text);
    let extension = vec![Value::Null, Value::described(0xf0u64, Vec::new()), "v".into()];
    let kept = open.properties.as_ref().and_then(|fields| fields.get("k"));
    assert_eq!(kept, Some(&Value::described(symbol("x:y"), extension)));
    assert_eq!(shown(&written(&open, EncodeStyle::Compact)), shown(&hex(&text)));
}
