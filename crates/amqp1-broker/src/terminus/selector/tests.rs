use super::*;
use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use amqp1_codec::{
    Message, Timestamp, Value,
    messaging::{DeliveryState, Header, MessageId, Modified, Properties},
};
use amqp1_engine::Instant;

fn message() -> HeldMessage {
    let properties = Properties {
        message_id: Some(MessageId::from("ID:7")),
        correlation_id: Some(MessageId::Ulong(9)),
        subject: Some("offer".into()),
        group_id: Some("g".into()),
        creation_time: Some(Timestamp(1_700_000_000_000)),
        ..Properties::default()
    };
    let sent = Message::builder()
        .header(Header { priority: 7, durable: true, ..Header::default() })
        .properties(properties)
        .application_property("colour", "red")
        .application_property("quote", "it's 100%")
        .application_property("weight", 7)
        .application_property("price", 2.5)
        .application_property("large", u64::MAX)
        .application_property("hot", true)
        .application_property("cold", false)
        .application_property("octets", Value::Binary("red".into()))
        .data("");
    HeldMessage::new(Message::from_chunks(sent.build().into_parts()).expect("a message"), Instant::default())
        .expect("read")
}

fn matches(text: &str) -> bool {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&message())
}

/// What is true is true, and its negation false.
#[test]
fn conditions_that_hold() {
    for text in [
        "colour = 'red'",
        "colour <> 'blue'",
        "weight = 7",
        "weight = 7.0",
        "weight = 0x7 AND weight = 7L",
        "7 = weight",
        "weight > 6 AND weight >= 7 AND weight < 8 AND weight <= 7",
        "price = 2.5 AND price = 25e-1 AND price = 2.5d AND price < 3",
        "large > 9223372036854775807",
        "weight + 1 * 2 = 9",
        "(weight + 1) * 2 = 16",
        "weight - 1 - 1 = 5",
        "weight / 2 = 3 AND price / 2 = 1.25",
        "-weight = -7 AND +weight = 7 AND - (weight - 8) = 1",
        "hot",
        "hot = TRUE",
        "NOT cold",
        "TRUE",
        "(hot AND NOT cold) OR colour = 'blue'",
        "cold OR cold OR hot",
        "colour = 'blue' OR weight = 7 AND hot",
        "weight BETWEEN 7 AND 7",
        "weight NOT BETWEEN 8 AND 9",
        "price BETWEEN weight - 5 AND weight",
        "colour IN ('blue', 'red')",
        "colour NOT IN ('blue')",
        "colour LIKE 'r_d' AND colour LIKE '%' AND colour LIKE 'r%' AND colour LIKE '%e%' AND colour LIKE 'red%'",
        "colour NOT LIKE 'r' AND colour NOT LIKE '_' AND colour NOT LIKE '%b%'",
        "quote = 'it''s 100%'",
        "quote LIKE '%100!%' ESCAPE '!'",
        "quote NOT LIKE '%1!%' ESCAPE '!'",
        "height IS NULL AND weight IS NOT NULL AND octets IS NULL",
        "JMSType = 'offer' AND JMSMessageID = 'ID:7' AND JMSCorrelationID = 'ID:AMQP_ULONG:9'",
        "JMSPriority = 7 AND JMSDeliveryMode = 'PERSISTENT' AND JMSTimestamp = 1700000000000",
        "JMSXGroupID = 'g' AND JMSXDeliveryCount = 1 AND NOT JMSRedelivered AND JMSXUserID IS NULL",
        "not (colour = 'blue') and weight between 1 and 9 or false",
    ] {
        assert!(matches(text), "{text}");
        assert!(!matches(&format!("NOT ({text})")), "NOT ({text})");
    }
}

/// What is unknown does not match, and neither does its negation.
#[test]
fn what_is_compared_with_null_is_unknown() {
    for text in [
        "height = 1",
        "height <> 1",
        "height > 1 AND hot",
        "height > 1 OR cold",
        "height BETWEEN 1 AND 2",
        "weight BETWEEN 1 AND height",
        "height IN ('a')",
        "height LIKE 'a%'",
        "height",
        "height + 1 = 2",
        "weight / 0 = 1",
        "-colour = 1",
        "Colour = 'red'",
    ] {
        assert!(!matches(text), "{text}");
        assert!(!matches(&format!("NOT ({text})")), "NOT ({text})");
    }
    // Where the rest decides, it does.
    assert!(
        matches("height = 1 OR hot")
            && matches("NOT (height = 1 AND cold)")
            && matches("height NOT BETWEEN 1 AND 2 OR hot")
    );
    assert!(matches("weight NOT BETWEEN height AND 6"));
}

#[test]
fn values_of_different_types_are_not_compared() {
    for text in
        ["colour = 7", "colour <> 7", "weight = '7'", "hot = 'TRUE'", "hot > FALSE", "colour > 'a'", "weight LIKE '7'"]
    {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn it_looks_at_what_has_become_of_the_message() {
    let mut held = message();
    let failed = Modified { delivery_failed: true, ..Modified::default() };
    held.settle(1, &DeliveryState::Modified(Box::new(failed)));
    let selector = Selector::parse("JMSRedelivered AND JMSXDeliveryCount = 2").expect("a selector");
    assert!(selector.matches(&held) && !selector.matches(&message()));
}

#[test]
fn texts_that_are_no_selectors_are_refused_with_the_place() {
    for (text, at, expected) in [
        ("", 0, "a value"),
        ("colour", 6, ""),
        ("colour = ", 9, "a value"),
        ("colour == 'red'", 8, "a value"),
        ("colour = 'red", 13, "the closing quote of a text"),
        ("colour 'red'", 7, "an operator, or the end"),
        ("weight", 6, ""),
        ("5", 0, "a condition"),
        ("'red'", 0, "a condition"),
        ("hot AND 5", 8, "a condition"),
        ("NOT weight + 1", 4, "a condition"),
        ("(hot", 4, "a closing parenthesis"),
        ("hot)", 3, "an operator, or the end"),
        ("weight BETWEEN 1 OR 2", 17, "AND"),
        ("colour IN ()", 11, "a text in quotes"),
        ("colour IN ('a' 'b')", 15, "a comma or a closing parenthesis"),
        ("colour IN (1)", 11, "a text in quotes"),
        ("colour LIKE red", 12, "a text in quotes"),
        ("colour LIKE 'a' ESCAPE 'ab'", 23, "one character that escapes"),
        ("colour LIKE 'a!' ESCAPE '!'", 12, "a pattern that ends no escape"),
        ("colour IS 'red'", 10, "NULL"),
        ("colour NOT 'red'", 11, "BETWEEN, IN or LIKE"),
        ("weight = 99999999999999999999", 9, "a number"),
        ("weight = 7x", 9, "a number"),
        ("weight # 7", 7, "a name, a value or an operator"),
        ("NULL = 7", 0, "a value"),
    ] {
        match Selector::parse(text) {
            Ok(_) => assert_eq!(expected, "", "{text}"),
            Err(error) => assert_eq!(error, SelectorError { at, expected }, "{text}"),
        }
    }
    assert_eq!(Selector::parse("a =").unwrap_err().to_string(), "selector, octet 3: expected a value");
}

#[test]
fn neither_depth_nor_length_of_a_hostile_selector_matters() {
    for (open, close) in [("(", ")"), ("NOT ", ""), ("- ", ""), ("+(", ")")] {
        let text = |depth| format!("{}hot{}", open.repeat(depth), close.repeat(depth));
        let error = Selector::parse(&text(1_000)).expect_err("too deep");
        assert_eq!(error.expected, "fewer expressions in each other");
        assert!(Selector::parse(&format!("{} IS NULL OR hot", text(20))).is_ok() || open == "NOT ");
    }
    assert!(matches(&format!("hot{}", " AND hot".repeat(1_000))));
    assert!(matches(&format!("0{} = 1000", " + 1".repeat(1_000))));
    let error = Selector::parse(&format!("hot{}", " ".repeat(Selector::MAX_LEN))).expect_err("too long");
    assert_eq!(error.to_string(), "selector, octet 8192: expected the end: the selector is too long");
    // A pattern of many wildcards is compared in a bounded number of steps.
    let pattern = "%a".repeat(200);
    let text = format!("colour LIKE '{pattern}%b' OR hot");
    assert!(matches(&text));
}

fn with_property(value: String) -> HeldMessage {
    let sent = Message::builder().application_property("p", value).data("").build();
    HeldMessage::new(Message::from_chunks(sent.into_parts()).expect("a message"), Instant::default()).expect("read")
}

/// With each octet compared with each of the pattern, this would take minutes.
#[test]
fn the_time_that_a_pattern_takes_grows_with_the_text_alone() {
    let message = with_property("a".repeat(65_000));
    let selector = |text: &str| Selector::parse(text).expect("a selector");
    let some = "a".repeat(700);
    let many: Vec<_> = (0..10).map(|n| format!("p LIKE '%{some}{n}%'")).collect();
    for _ in 0..20 {
        assert!(!selector(&many.join(" OR ")).matches(&message));
    }
    assert!(selector(&format!("p LIKE 'a%{}%_'", "a".repeat(8000))).matches(&message));
    // What is compared with all of a part is a short one.
    let part = |length: usize| format!("p LIKE '%_{}%'", "a".repeat(length));
    assert!(selector(&part(63)).matches(&message));
    let error = Selector::parse(&part(64)).expect_err("too long");
    assert_eq!((error.at, error.expected), (7, "at most 64 characters, with `_` among them, between two `%`"));
    // Where a part stands is known, it may be long.
    assert!(selector(&format!("p LIKE '_{some}%_{some}'")).matches(&message));
    assert!(selector("p IS NULL").matches(&with_property("a".repeat(66_000))));
}

/// The plainest way to match, which may take long.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some((b'%', rest)), _) => (0..=text.len()).any(|skipped| is_like(&text[skipped..], rest)),
        (Some((piece, rest)), Some((c, behind))) => (*piece == b'_' || piece == c) && is_like(behind, rest),
        (Some(_), None) => false,
    }
}

#[test]
fn patterns_match_what_they_say() {
    let of = |letters: &[&str], length: usize| {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last.iter().flat_map(|text| letters.iter().map(move |letter| format!("{text}{letter}"))).collect();
            all.extend(last.iter().cloned());
        }
        all
    };
    let messages: Vec<_> = of(&["a", "b"], 5).into_iter().map(|text| (with_property(text.clone()), text)).collect();
    for pattern in of(&["a", "b", "_", "%"], 5) {
        let selector = Selector::parse(&format!("p LIKE '{pattern}'")).expect("a selector");
        for (message, text) in &messages {
            let expected = is_like(text.as_bytes(), pattern.as_bytes());
            assert_eq!(selector.matches(message), expected, "{text} LIKE {pattern}");
        }
    }
    let selector = |text| Selector::parse(text).expect("a selector").matches(&with_property("grüße".to_string()));
    assert!(selector("p LIKE 'gr_ße' AND p LIKE '%_ß%' AND p LIKE '%ü_e' AND p NOT LIKE '______'"));
}
