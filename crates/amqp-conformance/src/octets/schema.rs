//! Holds frames and messages to the type definitions of parts 2 to 5.

use super::{
    flaw::{Flaw, Kind},
    message::{Section, sections},
    read::read,
    value::Value,
};
use amqp1_codec::messaging::section_code::{AMQP_VALUE, is_body, may_follow};

const COMPOSITES: &str = include_str!("../../data/composites.tsv");

/// A composite type: its name, and its fields.
struct Composite {
    name: &'static str,
    fields: Vec<Field>,
}

struct Field {
    name: &'static str,
    kind: &'static str,
    is_mandatory: bool,
    is_multiple: bool,
}

fn field(text: &'static str) -> Field {
    let (name, kind) = text.split_once(':').unwrap_or((text, "*"));
    Field {
        name,
        kind: kind.trim_end_matches(['!', '+']),
        is_mandatory: kind.contains('!'),
        is_multiple: kind.contains('+'),
    }
}

/// The composite type with this descriptor.
fn composite(descriptor: &Value) -> Option<Composite> {
    let number = descriptor.number().filter(|_| descriptor.type_name() == "ulong");
    COMPOSITES.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut parts = line.split('\t');
        let (name, code, symbol) = (parts.next()?, parts.next()?, parts.next()?);
        let code = u64::from_str_radix(code, 16).ok()?;
        let is_it = number == Some(code) || descriptor.symbol() == Some(symbol);
        is_it.then(|| Composite { name, fields: parts.map(field).collect() })
    })
}

/// Holds a whole frame, header included, to the definitions of its performative. Returns the payload.
///
/// # Errors
///
/// If the performative breaks a rule. An empty frame breaks none.
pub fn check_frame(octets: &[u8]) -> Result<&[u8], Flaw> {
    let body_at = octets.get(4).map_or(8, |doff| usize::from(*doff).saturating_mul(4));
    let body = octets.get(body_at..).ok_or_else(|| Flaw::encoding("a frame is shorter than its header says"))?;
    if body.is_empty() {
        return Ok(body);
    }
    let (value, payload) = read(body)?;
    let name = check_described(&value, &BODIES)?;
    match payload {
        [] => Ok(payload),
        _ if name == "transfer" => Ok(payload),
        _ => Err(Flaw::encoding(format!("{} octets follow {name}", payload.len()))),
    }
}

const BODIES: [&str; 14] = [
    "open",
    "begin",
    "attach",
    "flow",
    "transfer",
    "disposition",
    "detach",
    "end",
    "close",
    "sasl-mechanisms",
    "sasl-init",
    "sasl-challenge",
    "sasl-response",
    "sasl-outcome",
];

/// Holds a message to the definitions of its sections, and these to their order.
///
/// # Errors
///
/// If the message breaks a rule.
pub fn check_message(octets: &[u8]) -> Result<(), Flaw> {
    let sections = sections(octets)?;
    for section in &sections {
        check_section(section)?;
    }
    check_order(&sections)
}

fn check_order(sections: &[Section<'_>]) -> Result<(), Flaw> {
    let codes: Vec<u8> = sections.iter().map(|section| section.code).collect();
    let wrong = || codes.windows(2).filter(|pair| matches!(pair, [first, second] if !may_follow(*second, *first)));
    let bodies = |pair: &&[u8]| pair.iter().all(|code| is_body(*code));
    match wrong().find(|pair| !bodies(pair)) {
        Some([first, second]) if first == second => return Err(Flaw::new(Kind::Order, "a section occurs twice")),
        Some(_) => return Err(Flaw::new(Kind::Order, "the sections are not in their order")),
        None => {}
    }
    match wrong().next() {
        Some([AMQP_VALUE, AMQP_VALUE]) => Err(Flaw::new(Kind::Body, "several amqp-value sections")),
        Some(_) => Err(Flaw::new(Kind::Body, "body sections of two kinds")),
        None if codes.iter().any(|code| is_body(*code)) => Ok(()),
        None => Err(Flaw::new(Kind::Body, "there is no body section")),
    }
}

pub(super) fn check_section(section: &Section<'_>) -> Result<(), Flaw> {
    let descriptor = Value::Simple("ulong", u64::from(section.code).to_be_bytes().to_vec());
    match section.code {
        0x70 | 0x73 => check_composite(&descriptor, &section.value, &["header", "properties"]).map(drop),
        0x71 | 0x72 | 0x78 => check_keys(&section.value, "annotations", &["symbol", "ulong"]),
        0x74 => check_application_properties(&section.value),
        0x75 => check_type(&section.value, "binary", "data"),
        0x76 => check_type(&section.value, "list", "amqp-sequence"),
        _ => Ok(()),
    }
}

fn check_keys(value: &Value, place: &str, allowed: &[&str]) -> Result<(), Flaw> {
    let Value::Map(pairs) = value else {
        return Err(Flaw::new(Kind::WrongType, format!("{place}: {} instead of map", value.type_name())));
    };
    match pairs.iter().find(|(key, _)| !allowed.contains(&key.type_name())) {
        Some((key, _)) => Err(Flaw::new(Kind::Entry, format!("{place}: a key is a {}", key.type_name()))),
        None => Ok(()),
    }
}

fn check_application_properties(value: &Value) -> Result<(), Flaw> {
    check_keys(value, "application-properties", &["string"])?;
    let Value::Map(pairs) = value else { return Ok(()) };
    match pairs.iter().find(|(_, value)| !matches!(value, Value::Simple(..))) {
        Some((_, value)) => {
            Err(Flaw::new(Kind::Entry, format!("application-properties: a value is a {}", value.type_name())))
        }
        None => Ok(()),
    }
}

/// Checks a described composite, and returns the name of its type.
fn check_described(value: &Value, allowed: &[&str]) -> Result<&'static str, Flaw> {
    match value {
        Value::Described(descriptor, list) => check_composite(descriptor, list, allowed),
        _ => Err(Flaw::new(Kind::NotAList, format!("{} instead of a described list", value.type_name()))),
    }
}

fn check_composite(descriptor: &Value, list: &Value, allowed: &[&str]) -> Result<&'static str, Flaw> {
    let composite = composite(descriptor).filter(|composite| allowed.contains(&composite.name)).ok_or_else(|| {
        Flaw::new(Kind::Descriptor, format!("{descriptor:?} describes none of {}", allowed.join(", ")))
    })?;
    let name = composite.name;
    let Value::List(items) = list else {
        return Err(Flaw::new(Kind::NotAList, format!("{name} is a {}", list.type_name())));
    };
    if items.len() > composite.fields.len() {
        return Err(Flaw::new(Kind::TooMany, format!("{name} has {} fields", items.len())));
    }
    let null = Value::Simple("null", Vec::new());
    for (index, field) in composite.fields.iter().enumerate() {
        check_field(items.get(index).unwrap_or(&null), field)
            .map_err(|flaw| flaw.within(&format!("{name}.{}", field.name)))?;
    }
    Ok(name)
}

fn check_field(value: &Value, field: &Field) -> Result<(), Flaw> {
    match value {
        value if value.is_null() && field.is_mandatory => {
            Err(Flaw::new(Kind::Missing, "the mandatory field is absent"))
        }
        value if value.is_null() => Ok(()),
        Value::Array(descriptors, element, elements) if field.is_multiple => {
            if *element != field.kind || !descriptors.is_empty() {
                return Err(Flaw::new(Kind::Multiple, format!("an array of {element}")));
            }
            match elements.is_empty() && field.is_mandatory {
                true => Err(Flaw::new(Kind::Missing, "the mandatory field holds no value")),
                false => Ok(()),
            }
        }
        value if field.is_multiple && value.type_name() != field.kind => {
            Err(Flaw::new(Kind::Multiple, format!("{} instead of {}", value.type_name(), field.kind)))
        }
        value => check_kind(value, field.kind),
    }
}

fn check_kind(value: &Value, kind: &'static str) -> Result<(), Flaw> {
    match kind {
        "*" => Ok(()),
        "fields" => check_keys(value, "fields", &["symbol"]),
        "filter-set" => check_filters(value),
        "role" => check_type(value, "boolean", "role"),
        "sender-settle-mode" => check_choice(value, "ubyte", 2),
        "receiver-settle-mode" => check_choice(value, "ubyte", 1),
        "sasl-code" => check_choice(value, "ubyte", 4),
        "terminus-durability" => check_choice(value, "uint", 2),
        "terminus-expiry-policy" => {
            check_type(value, "symbol", kind)?;
            let known = ["link-detach", "session-end", "connection-close", "never"];
            if value.symbol().is_some_and(|policy| known.contains(&policy)) {
                return Ok(());
            }
            Err(Flaw::new(Kind::Choice, format!("{value:?} is no expiry policy")))
        }
        "message-id" if ["ulong", "uuid", "binary", "string"].contains(&value.type_name()) => Ok(()),
        "address" => check_type(value, "string", kind),
        "txn-id" => check_type(value, "binary", kind),
        "source" => check_described(value, &["source"]).map(drop),
        "target" => check_described(value, &["target", "coordinator"]).map(drop),
        "error" => check_described(value, &["error"]).map(drop),
        "outcome" => check_described(value, &OUTCOMES).map(drop),
        "delivery-state" => {
            let states = [&OUTCOMES[..], &["received", "declared", "transactional-state"]].concat();
            check_described(value, &states).map(drop)
        }
        _ => check_type(value, kind, kind),
    }
}

const OUTCOMES: [&str; 4] = ["accepted", "rejected", "released", "modified"];

fn check_filters(value: &Value) -> Result<(), Flaw> {
    check_keys(value, "filter", &["symbol"])?;
    let Value::Map(pairs) = value else { return Ok(()) };
    match pairs.iter().all(|(_, filter)| filter.is_null() || matches!(filter, Value::Described(..))) {
        true => Ok(()),
        false => Err(Flaw::new(Kind::WrongType, "a filter is not described")),
    }
}

fn check_type(value: &Value, kind: &str, place: &str) -> Result<(), Flaw> {
    match value.type_name() == kind {
        true => Ok(()),
        false => Err(Flaw::new(Kind::WrongType, format!("{place}: {} instead of {kind}", value.type_name()))),
    }
}

fn check_choice(value: &Value, kind: &str, most: u64) -> Result<(), Flaw> {
    check_type(value, kind, "a restricted type")?;
    match value.number() {
        Some(number) if number > most => Err(Flaw::new(Kind::Choice, format!("{number} is not among the choices"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::{build::frame, vectors::vector};

    fn flaw(name: &str) -> Kind {
        let octets = frame(0, &vector(name));
        check_frame(&octets).expect_err(name).kind
    }

    #[test]
    fn lawful_frames_and_messages_have_no_flaw() {
        for name in [
            "open-full",
            "open-untrimmed",
            "begin-full",
            "attach-sender-full",
            "flow-full",
            "transfer-full",
            "disposition-min",
            "open-symbolic-descriptor",
        ] {
            let octets = frame(0, &vector(name));
            assert_eq!(check_frame(&octets).map(<[u8]>::len), Ok(0), "{name}");
        }
        for name in ["msg-all", "msg-data-multi", "msg-empty-sections", "msg-symbolic"] {
            assert_eq!(check_message(&vector(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn each_flaw_is_found_by_its_kind() {
        for (name, kind) in [
            ("bad-open-empty-list", Kind::Missing),
            ("bad-open-mfs-ushort", Kind::WrongType),
            ("bad-open-too-many-fields", Kind::TooMany),
            ("bad-open-caps-list", Kind::Multiple),
            ("bad-open-caps-array-string", Kind::Multiple),
            ("bad-open-as-array", Kind::NotAList),
            ("bad-open-desc-uint", Kind::Descriptor),
            ("bad-attach-snd-mode-3", Kind::Choice),
            ("bad-attach-src-durable-9", Kind::Choice),
            ("bad-open-props-string-key", Kind::Entry),
        ] {
            assert_eq!(flaw(name), kind, "{name}");
        }
        for (name, kind) in [
            ("bad-msg-header-twice", Kind::Order),
            ("bad-msg-properties-before-header", Kind::Order),
            ("bad-msg-two-values", Kind::Body),
            ("bad-msg-data-and-sequence", Kind::Body),
            ("bad-msg-header-only", Kind::Body),
            ("bad-msg-app-props-symbol-key", Kind::Entry),
            ("bad-msg-ann-string-key", Kind::Entry),
            ("bad-msg-header-too-many", Kind::TooMany),
            ("bad-msg-props-id-int", Kind::WrongType),
            ("bad-msg-unknown-section", Kind::Descriptor),
            ("bad-msg-trunc-body", Kind::Encoding),
        ] {
            assert_eq!(check_message(&vector(name)).expect_err(name).kind, kind, "{name}");
        }
    }
}
