//! Values as their octets say them.

/// A value. Two are equal if their types and values are, whatever their encodings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A value of a type that is not compound: the type's name, and the octets of the value, integers at full width.
    Simple(&'static str, Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// A map, in its order.
    Map(Vec<(Self, Self)>),
    /// An array: the descriptors of its elements, outermost first, the name of their type, and the elements without
    /// descriptors.
    Array(Vec<Self>, &'static str, Vec<Self>),
    /// A described value: the descriptor and the value.
    Described(Box<Self>, Box<Self>),
}

impl Value {
    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Simple(name, _) => name,
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Array(..) => "array",
            Self::Described(..) => "described value",
        }
    }

    /// Returns `true` for null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Simple("null", _))
    }

    /// The number that an unsigned integer or a boolean is.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Simple("ubyte" | "ushort" | "uint" | "ulong" | "boolean", octets) => {
                Some(octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
            }
            _ => None,
        }
    }

    /// The text of a symbol.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::Simple("symbol", octets) => std::str::from_utf8(octets).ok(),
            _ => None,
        }
    }
}

/// The first part of one value that differs in another, in words.
pub fn difference(sent: &Value, received: &Value) -> String {
    let pairs: Vec<(&Value, &Value)> = match (sent, received) {
        (Value::List(sent), Value::List(received)) if sent.len() == received.len() => {
            sent.iter().zip(received).collect()
        }
        (Value::Map(sent), Value::Map(received)) if sent.len() == received.len() => sent
            .iter()
            .zip(received)
            .flat_map(|(sent, received)| [(&sent.0, &received.0), (&sent.1, &received.1)])
            .collect(),
        (Value::Described(descriptor, sent), Value::Described(other, received)) => {
            vec![(descriptor, other), (sent, received)]
        }
        _ => Vec::new(),
    };
    match pairs.into_iter().find(|(sent, received)| sent != received) {
        Some((sent, received)) => difference(sent, received),
        None => format!("{} became {}", shown(sent), shown(received)),
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Simple(name @ ("string" | "symbol"), octets) => format!("{name} {:?}", String::from_utf8_lossy(octets)),
        Value::Simple(name, octets) => {
            octets.iter().fold(format!("{name} "), |text, octet| format!("{text}{octet:02x}"))
        }
        Value::List(items) => format!("a list of {} items", items.len()),
        Value::Map(pairs) => format!("a map of {} pairs", pairs.len()),
        Value::Array(descriptors, name, elements) if descriptors.is_empty() => {
            format!("an array of {} {name}", elements.len())
        }
        Value::Array(_, name, elements) => format!("an array of {} described {name}", elements.len()),
        Value::Described(descriptor, value) => format!("{} described by {}", shown(value), shown(descriptor)),
    };
    cut(text)
}

/// The number of characters that are shown of a value.
const SHOWN: usize = 80;

/// The beginning of a text, and dots where it is cut: what masks secrets looks for a part of one before them.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}
