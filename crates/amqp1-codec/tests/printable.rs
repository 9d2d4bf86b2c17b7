//! What a peer sends is shown escaped, and never at a length that the peer chooses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use amqp1_codec::{
    Array, Descriptor, Map, Multiple, Str, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields},
    frame::Frame,
    messaging::{DeliveryState, MessageId, Properties, Source, Target},
    performative::{Attach, Close, Open, Performative},
    printable::{Bounded, MAX_REPORT, MAX_TEXT, printable},
    sasl::{SaslBody, SaslInit, SaslMechanisms},
};
use bytes::Bytes;
use proptest::prelude::*;
use std::fmt::{Debug, Display};

/// What moves the cursor, breaks the line, turns the direction of text round, or cannot be seen.
const HOSTILE: &[char] = &[
    '\0',
    '\u{7}',
    '\u{8}',
    '\t',
    '\n',
    '\r',
    '\u{b}',
    '\u{c}',
    '\u{1b}',
    '\u{7f}',
    '\u{80}',
    '\u{85}',
    '\u{9b}',
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{17b4}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{206f}',
    '\u{3164}',
    '\u{e000}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{fff9}',
    '\u{ffff}',
    '\u{1d173}',
    '\u{e0001}',
    '\u{e007f}',
    '\u{f0000}',
    '\u{10ffff}',
];

fn hostile_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(HOSTILE);
    let c = prop_oneof![odd, any::<char>(), Just('a'), Just('"'), Just('\\')];
    prop::collection::vec(c, 0..40).prop_flat_map(|chars| {
        let text: String = chars.into_iter().collect();
        prop_oneof![Just(1usize), Just(3), Just(2000)].prop_map(move |times| text.repeat(times))
    })
}

#[track_caller]
fn check(shown: &str, most: usize) {
    assert!(shown.len() <= most, "{} octets", shown.len());
    let odd = shown.chars().find(|c| HOSTILE.contains(c) || c.is_control());
    assert_eq!(odd, None, "{}", shown.escape_unicode());
}

#[track_caller]
fn check_debug(what: &impl Debug) {
    check(&format!("{what:?}"), MAX_REPORT);
    let pretty = format!("{what:#?}");
    assert!(pretty.len() <= MAX_REPORT, "{} octets", pretty.len());
    check(&pretty.replace('\n', ""), MAX_REPORT);
}

#[track_caller]
fn check_both(what: &(impl Debug + Display)) {
    check_debug(what);
    check(&what.to_string(), MAX_REPORT);
}

fn symbol(text: &str) -> Symbol {
    Symbol::new(text.chars().filter(char::is_ascii).collect::<String>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_shown_escaped_and_cut(text in hostile_text()) {
        let shown = printable(&text).to_string();
        check(&shown, MAX_TEXT);
        check(&format!("{:?}", printable(&text)), MAX_TEXT);
        check(&printable(&text).limit(64).to_string(), 64);
        if text.len() < 64 && text.chars().all(|c| c.is_ascii_graphic()) {
            prop_assert_eq!(shown, text);
        }
    }

    #[test]
    fn nothing_that_a_peer_names_escapes_its_debug_or_display(text in hostile_text(), more in hostile_text()) {
        let (name, other) = (Str::from(text.as_str()), symbol(&more));
        let mut info = Fields::new();
        let mut map = Map::new();
        for number in 0..70u32 {
            info.insert(other.clone(), name.clone());
            map.insert(number, Value::List(vec![Value::from(name.clone()); 70]));
        }
        let condition = ErrorCondition::new(other.clone());
        let error = AmqpError { condition: condition.clone(), description: Some(name.clone()), info: Some(info.clone()) };
        check_debug(&name);
        check_debug(&other);
        check_both(&condition);
        check_both(&error);
        check_debug(&map);
        check_debug(&info);
        check_debug(&Value::Map(map.clone()));
        check_debug(&Value::described(other.clone(), Value::Map(map.clone())));
        check_debug(&Array::from_values(vec![Value::from(name.clone()); 300]).unwrap());
        text.chars().for_each(|c| check_debug(&Value::Char(c)));
        check_debug(&Descriptor::Name(other.clone()));
        check_debug(&DeliveryState::rejected(error.clone()));
        check_debug(&MessageId::String(name.clone()));
        check_debug(&MessageId::Binary(Bytes::from(text.clone().into_bytes())));
        check_debug(&Multiple(vec![other.clone(); 5000]));
        check_debug(&Properties {
            message_id: Some(MessageId::String(name.clone())),
            user_id: Some(Bytes::from(text.clone().into_bytes())),
            ..Properties::default()
        });

        let mut open = Open { container_id: name.clone(), hostname: Some(name.clone()), ..Open::default() };
        open.offered_capabilities = vec![other.clone(); 5000].into();
        open.properties = Some(info);
        let attach = Attach {
            name: name.clone(),
            source: Some(Box::new(Source { address: Some(name.clone()), ..Source::default() })),
            target: Some(Target { address: Some(name.clone()), ..Target::default() }.into()),
            ..Attach::default()
        };
        for performative in
            [Performative::from(open), Performative::from(attach), Performative::from(Close { error: Some(error) })]
        {
            check_both(&performative);
            check_both(&Frame::Amqp { channel: 0, performative: Some(performative), payload: Bytes::new() });
        }
        let mechanisms = SaslMechanisms { sasl_server_mechanisms: vec![other.clone(); 5000].into() };
        check_both(&SaslBody::Mechanisms(mechanisms));
        check_both(&SaslBody::Init(SaslInit { mechanism: other, hostname: Some(name), ..SaslInit::default() }));
    }

    #[test]
    fn a_report_is_escaped_and_cut_whatever_it_is_made_of(text in hostile_text()) {
        check(&Bounded(text.as_str()).to_string(), MAX_REPORT);
        check(&format!("{:?}", Bounded(By(text))), MAX_REPORT);
    }
}

/// A `Debug` that escapes nothing.
struct By(String);

impl Debug for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[test]
fn what_people_write_is_shown_as_it_is() {
    for text in ["no such queue: \"orders\\eu\"", "Größe überschritten", "文字列が長すぎます", "ข้อผิดพลาด", "שגיאה"]
    {
        assert_eq!(printable(text).to_string(), text);
    }
    assert_eq!(format!("{:?}", printable("a\"b\\c\n")), r#""a\"b\\c\n""#);
}

#[test]
fn the_raw_text_stays_available() {
    let error = AmqpError::new(ErrorCondition::NOT_FOUND, "a\nb");
    assert_eq!(error.to_string(), r"amqp:not-found: a\nb");
    assert_eq!(error.description.as_deref(), Some("a\nb"));
}
