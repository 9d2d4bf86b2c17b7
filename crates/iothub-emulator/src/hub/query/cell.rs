//! The values that a query works with.

use core::cmp::Ordering;
use std::borrow::Cow;

use serde_json::{Number, Value};

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'r> {
    /// There is no such value.
    Undefined,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, which is finite.
    Number(f64),
    /// A text; times are texts too.
    Text(Cow<'r, str>),
    /// An object or array, which does not compare.
    Composite(Cow<'r, Value>),
}

impl<'r> From<&'r Value> for Cell<'r> {
    fn from(value: &'r Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => number.as_f64().map_or(Self::Undefined, Self::number),
            Value::String(text) => Self::Text(text.as_str().into()),
            composite => Self::Composite(Cow::Borrowed(composite)),
        }
    }
}

impl<'r> Cell<'r> {
    /// From a value that was made for the question.
    #[must_use]
    pub fn owned(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.into()),
            composite @ (Value::Array(_) | Value::Object(_)) => Self::Composite(Cow::Owned(composite)),
            simple => match Cell::from(&simple) {
                Cell::Bool(value) => Self::Bool(value),
                Cell::Number(value) => Self::Number(value),
                Cell::Null => Self::Null,
                _ => Self::Undefined,
            },
        }
    }

    /// A text.
    #[must_use]
    pub fn text(text: &'r str) -> Self {
        Self::Text(text.into())
    }

    /// A text, or nothing.
    #[must_use]
    pub fn optional_text(text: Option<&'r str>) -> Self {
        text.map_or(Self::Undefined, Self::text)
    }

    /// A number; undefined if it is infinite or not a number.
    #[must_use]
    pub fn number(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Undefined }
    }

    /// A count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub fn count(count: u64) -> Self {
        Self::Number(count as f64)
    }

    /// How two simple values of one type compare; `None` for all others.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Number(left), Self::Number(right)) => left.partial_cmp(right),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    /// As JSON; `None` if it is undefined.
    pub(crate) fn into_json(self) -> Option<Value> {
        match self {
            Self::Undefined => None,
            Self::Null => Some(Value::Null),
            Self::Bool(value) => Some(value.into()),
            Self::Number(number) => Some(number_to_json(number)),
            Self::Text(text) => Some(text.into_owned().into()),
            Self::Composite(value) => Some(value.into_owned()),
        }
    }
}

/// Whole numbers are written without a fraction, as far as they are exact.
fn number_to_json(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        return (number as i64).into();
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
