//! Evaluation of an expression for a message: true, false or unknown.

use super::{Comparison, Expr, Operator, Scalar};
use crate::terminus::HeldMessage;
use alloc::{borrow::Cow, format, string::String};
use amqp1_codec::{DecodeError, ValueRef, messaging::MessageIdRef};
use core::cmp::Ordering;

/// How large a property may be, and all application properties together, in octets. What is larger is null.
const LARGEST: usize = 64 * 1024;

/// A value; `None` elsewhere is null.
#[derive(Clone, Debug, PartialEq)]
enum Found<'a> {
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(Cow<'a, str>),
}

pub(super) fn condition(expr: &Expr, message: &HeldMessage) -> Option<bool> {
    match expr {
        Expr::And(parts) => all(parts.iter().map(|part| condition(part, message))),
        // One holds unless all do not.
        Expr::Or(parts) => all(parts.iter().map(|part| condition(part, message).map(|held| !held))).map(|none| !none),
        Expr::Not(part) => condition(part, message).map(|held| !held),
        Expr::Compare(left, comparison, right) => compare(&value(left, message)?, *comparison, &value(right, message)?),
        Expr::Between(middle, from, to) => {
            let middle = value(middle, message);
            let side = |bound: &Expr, comparison| compare(middle.as_ref()?, comparison, &value(bound, message)?);
            all([side(from, Comparison::GreaterOrEqual), side(to, Comparison::LessOrEqual)].into_iter())
        }
        Expr::In(text, texts) => match value(text, message)? {
            Found::Text(text) => Some(texts.iter().any(|other| *other == text)),
            _ => Some(false),
        },
        Expr::Like(text, pattern) => match value(text, message)? {
            Found::Text(text) => Some(pattern.matches(&text)),
            _ => Some(false),
        },
        Expr::IsNull(part) => Some(value(part, message).is_none()),
        Expr::Literal(_) | Expr::Property(_) | Expr::Negated(_) | Expr::Arithmetic(..) => match value(expr, message)? {
            Found::Boolean(held) => Some(held),
            _ => Some(false),
        },
    }
}

/// True if all are, false if one is, unknown otherwise.
fn all(mut parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    let is_false = parts.any(|part| {
        unknown |= part.is_none();
        part == Some(false)
    });
    match (is_false, unknown) {
        (true, _) => Some(false),
        (false, true) => None,
        (false, false) => Some(true),
    }
}

fn value<'a>(expr: &'a Expr, message: &'a HeldMessage) -> Option<Found<'a>> {
    Some(match expr {
        Expr::Literal(Scalar::Boolean(value)) => Found::Boolean(*value),
        Expr::Literal(Scalar::Integer(value)) => Found::Integer(*value),
        Expr::Literal(Scalar::Float(value)) => Found::Float(*value),
        Expr::Literal(Scalar::Text(value)) => Found::Text(Cow::Borrowed(value)),
        Expr::Property(name) => return property(name, message),
        Expr::Negated(part) => match value(part, message)? {
            Found::Integer(value) => Found::Integer(value.checked_neg()?),
            Found::Float(value) => Found::Float(-value),
            _ => return None,
        },
        Expr::Arithmetic(first, rest) => {
            let mut result = value(first, message)?;
            for (operator, part) in rest {
                result = calculate(&result, *operator, &value(part, message)?)?;
            }
            result
        }
        _ => Found::Boolean(condition(expr, message)?),
    })
}

/// A number divided by zero, and one that is too large, is null.
#[allow(clippy::arithmetic_side_effects, reason = "floats have no side effects")]
fn calculate(left: &Found<'_>, operator: Operator, right: &Found<'_>) -> Option<Found<'static>> {
    if let (Found::Integer(left), Found::Integer(right)) = (left, right) {
        return match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            Operator::Multiply => left.checked_mul(*right),
            Operator::Divide => left.checked_div(*right),
        }
        .map(Found::Integer);
    }
    let (left, right) = (left.as_float()?, right.as_float()?);
    Some(Found::Float(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
    }))
}

impl Found<'_> {
    #[allow(clippy::cast_precision_loss, reason = "a comparison of an integer and a float is as exact as the float")]
    fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// Values of different types are not compared: that is false, whatever the comparison. Of texts and booleans there is
/// no order.
fn compare(left: &Found<'_>, comparison: Comparison, right: &Found<'_>) -> Option<bool> {
    let ordering = match (left, right) {
        (Found::Integer(left), Found::Integer(right)) => Some(left.cmp(right)),
        (Found::Boolean(_), Found::Boolean(_)) | (Found::Text(_), Found::Text(_)) => {
            return Some(match comparison {
                Comparison::Equal => left == right,
                Comparison::NotEqual => left != right,
                _ => false,
            });
        }
        _ => match (left.as_float(), right.as_float()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => return Some(false),
        },
    };
    Some(match comparison {
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
        Comparison::Less => ordering == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => ordering == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    })
}

fn property<'a>(name: &str, held: &'a HeldMessage) -> Option<Found<'a>> {
    let message = held.message();
    let properties = || message.properties_ref().ok().flatten();
    let number = |value: u64| Found::Integer(value.into());
    match name {
        "JMSPriority" => Some(number(held.priority().into())),
        "JMSDeliveryMode" => {
            Some(Found::Text(Cow::Borrowed(if held.is_durable() { "PERSISTENT" } else { "NON_PERSISTENT" })))
        }
        "JMSRedelivered" => Some(Found::Boolean(held.delivery_count() > 0)),
        "JMSXDeliveryCount" => Some(number(u64::from(held.delivery_count()).saturating_add(1))),
        "JMSType" => text(properties()?.subject()),
        "JMSMessageID" => id(properties()?.message_id()),
        "JMSCorrelationID" => id(properties()?.correlation_id()),
        "JMSTimestamp" => Some(Found::Integer(properties()?.creation_time().ok()??.0.into())),
        "JMSExpiration" => Some(Found::Integer(properties()?.absolute_expiry_time().ok()??.0.into())),
        "JMSXGroupID" => text(properties()?.group_id()),
        "JMSXGroupSeq" => Some(number(properties()?.group_sequence().ok()??.0.into())),
        "JMSXUserID" => {
            let user = properties()?.user_id().ok()?.filter(|user| user.len() <= LARGEST)?;
            Some(Found::Text(Cow::Owned(String::from_utf8_lossy(user).into_owned())))
        }
        name => {
            message.application_properties_ref().ok()?.filter(|all| all.encoded_len() <= LARGEST)?;
            application_property(&message.application_property(name).ok()??)
        }
    }
}

fn text<'a>(field: Result<Option<&'a str>, DecodeError>) -> Option<Found<'a>> {
    field.ok().flatten().filter(|text| text.len() <= LARGEST).map(|text| Found::Text(Cow::Borrowed(text)))
}

/// An id as clients of JMS write it: a text as it is, others with their type before them.
fn id<'a>(field: Result<Option<MessageIdRef<'a>>, DecodeError>) -> Option<Found<'a>> {
    Some(Found::Text(match field.ok().flatten()? {
        MessageIdRef::String(text) if text.len() > LARGEST => return None,
        MessageIdRef::String(text) => Cow::Borrowed(text),
        MessageIdRef::Ulong(number) => Cow::Owned(format!("ID:AMQP_ULONG:{number}")),
        MessageIdRef::Uuid(uuid) => Cow::Owned(format!("ID:AMQP_UUID:{uuid}")),
        MessageIdRef::Binary(octets) if octets.len() > LARGEST => return None,
        MessageIdRef::Binary(octets) => {
            let digits: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
            Cow::Owned(format!("ID:AMQP_BINARY:{digits}"))
        }
    }))
}

/// Properties of types that JMS does not have are null.
fn application_property<'a>(value: &ValueRef<'a>) -> Option<Found<'a>> {
    if let Some(number) = value.as_integer() {
        return Some(Found::Integer(number));
    }
    Some(match value {
        ValueRef::Boolean(value) => Found::Boolean(*value),
        ValueRef::Float(value) => Found::Float((*value).into()),
        ValueRef::Double(value) => Found::Float(*value),
        _ => Found::Text(Cow::Borrowed(value.as_text()?)),
    })
}
