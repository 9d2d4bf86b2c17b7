//! Queries at random: the parser does not panic, and conditions are what a naive evaluation makes of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::evaluate::evaluate;
use super::*;

/// A condition that knows both its text and its value.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(&'static str, Option<Value>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Not(Box<Self>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Leaf(text, _) => (*text).into(),
            Self::Binary(operator, left, right) => format!("({} {operator} {})", left.text(), right.text()),
            Self::Not(operand) => format!("(NOT {})", operand.text()),
        }
    }

    fn value(&self) -> Option<Value> {
        match self {
            Self::Leaf(_, value) => value.clone(),
            Self::Not(operand) => operand.value()?.as_bool().map(|value| json!(!value)),
            Self::Binary(operator, left, right) => binary(operator, left.value(), right.value()),
        }
    }
}

fn binary(operator: &str, left: Option<Value>, right: Option<Value>) -> Option<Value> {
    let truth = |value: &Option<Value>| value.as_ref().and_then(Value::as_bool);
    match operator {
        "AND" | "OR" => {
            let decisive = operator == "OR";
            if truth(&left) == Some(decisive) || truth(&right) == Some(decisive) {
                return Some(json!(decisive));
            }
            truth(&left)?;
            return truth(&right).map(|value| json!(value));
        }
        _ => {}
    }
    let (left, right) = (left?, right?);
    if let (Some(a), Some(b)) = (left.as_f64(), right.as_f64()) {
        let number = match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "%" => a % b,
            _ => return Some(json!(holds(operator, a.partial_cmp(&b)?))),
        };
        return number.is_finite().then(|| json!(number));
    }
    if let (Some(a), Some(b)) = (left.as_str(), right.as_str()) {
        return match operator {
            "+" => Some(json!(format!("{a}{b}"))),
            "-" | "*" | "/" | "%" => None,
            _ => Some(json!(holds(operator, a.cmp(b)))),
        };
    }
    let same_type = left.is_null() && right.is_null() || left.is_boolean() && right.is_boolean();
    match operator {
        "=" if same_type => Some(json!(left == right)),
        "!=" if same_type => Some(json!(left != right)),
        _ => None,
    }
}

fn holds(operator: &str, ordering: core::cmp::Ordering) -> bool {
    match operator {
        "=" => ordering.is_eq(),
        "!=" => ordering.is_ne(),
        "<" => ordering.is_lt(),
        "<=" => ordering.is_le(),
        ">" => ordering.is_gt(),
        _ => ordering.is_ge(),
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop::sample::select(vec![
        ("tags.floor", Some(json!(3.0))),
        ("tags.city", Some(json!("Graz"))),
        ("tags.open", Some(json!(true))),
        ("tags.gone", Some(json!(null))),
        ("tags.missing", None),
        ("tags.big", Some(json!(1e308))),
        ("undefined", None),
        ("null", Some(json!(null))),
        ("false", Some(json!(false))),
        ("0", Some(json!(0.0))),
        ("-2.5", Some(json!(-2.5))),
        ("0x10", Some(json!(16.0))),
        ("'Graz'", Some(json!("Graz"))),
        ("\"a\"", Some(json!("a"))),
    ]);
    leaf.prop_map(|(text, value)| Tree::Leaf(text, value)).prop_recursive(6, 40, 2, |inner| {
        let operators =
            prop::sample::select(vec!["AND", "OR", "=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"]);
        prop_oneof![
            5 => (operators, inner.clone(), inner.clone())
                .prop_map(|(operator, left, right)| Tree::Binary(operator, left.into(), right.into())),
            1 => inner.prop_map(|inner| Tree::Not(inner.into())),
        ]
    })
}

/// Words and signs that queries are made of, in any order.
fn fragments() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "SELECT ",
        "TOP ",
        "1",
        "*",
        " FROM ",
        "devices",
        ".modules",
        ".jobs",
        " WHERE ",
        " GROUP BY ",
        "tags.a",
        "[[x y]]",
        ".",
        ",",
        "(",
        ")",
        "[",
        "]",
        " IN ",
        " NIN ",
        " AND ",
        " OR ",
        " NOT ",
        "=",
        "<>",
        "'",
        "\"",
        "\\u00",
        "0x",
        "1e",
        "COUNT()",
        "AVG(",
        " AS ",
        "IS_DEFINED(",
        "ä",
        "\u{0}",
        "-",
        "%",
        "null",
        "undefined",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn a_condition_is_what_a_naive_evaluation_says(tree in tree()) {
        let text = format!("SELECT * FROM devices WHERE {}", tree.text());
        let query = Query::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let row = row();
        let value = evaluate(query.condition.as_ref().unwrap(), &row).into_json();
        let comparable = |value: Option<Value>| value.map(|value| match value.as_f64() {
            Some(number) => json!(number),
            None => value,
        });
        prop_assert_eq!(comparable(value), comparable(tree.value()), "{}", text);
    }

    #[test]
    fn the_parser_takes_any_text(text in "\\PC*") {
        drop(Query::parse(&text));
    }

    #[test]
    fn the_parser_takes_any_octets(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&octets);
        drop(Query::parse(&text));
        drop(Query::parse(&format!("SELECT * FROM devices WHERE {text}")));
    }

    #[test]
    fn the_parser_takes_any_words_and_what_it_reads_can_be_run(text in fragments(), tail in fragments()) {
        let hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        for text in [text.clone(), format!("SELECT * FROM devices WHERE {text}"), format!("SELECT {text} FROM devices {tail}")] {
            if Query::parse(&text).is_ok() {
                prop_assert!(hub.query(&text, 1, None).is_ok(), "{}", text);
            }
        }
    }
}
