//! Message selectors: the conditional expressions of JMS, a subset of SQL-92.

mod evaluate;
mod lex;
mod like;
mod parse;

use super::HeldMessage;
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use like::Pattern;

/// A message selector of JMS: a condition on the properties of messages.
///
/// A name is that of an application property. These are fields of the message: `JMSType` (subject), `JMSMessageID`,
/// `JMSCorrelationID`, `JMSTimestamp` (creation-time), `JMSExpiration`, `JMSPriority`, `JMSDeliveryMode`
/// (`'PERSISTENT'` or `'NON_PERSISTENT'`), `JMSRedelivered`, `JMSXDeliveryCount`, `JMSXGroupID`, `JMSXGroupSeq` and
/// `JMSXUserID`.
///
/// A property that is missing is null, and a comparison with null is unknown. A message matches if the condition is
/// true.
///
/// The text of a selector has at most [`MAX_LEN`](Self::MAX_LEN) octets, with expressions at most 64 deep in each
/// other. Properties of more than 64 KiB are null, as are application properties that have more together. So the time
/// that a selector takes is bounded, whatever the selector and the message.
///
/// ```
/// use amqp1_codec::Message;
/// use amqp1_broker::terminus::{HeldMessage, Selector};
/// use amqp1_engine::Instant;
///
/// let sent = Message::builder().application_property("colour", "red").application_property("weight", 7).data("");
/// let message = HeldMessage::new(Message::from_chunks(sent.build().into_parts())?, Instant::default())?;
///
/// let matches = |text| Selector::parse(text).expect("a selector").matches(&message);
/// assert!(matches("colour IN ('red', 'green') AND weight * 2 >= 14"));
/// assert!(!matches("colour LIKE 'b%' OR height > 0"));
///
/// let error = Selector::parse("colour = ").unwrap_err();
/// assert_eq!(error.to_string(), "selector, octet 9: expected a value");
/// # Ok::<_, amqp1_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    condition: Expr,
}

/// Why a text is not a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// Where, in octets from 0.
    pub at: usize,
    /// The expected token.
    pub expected: &'static str,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "selector, octet {}: expected {}", self.at, self.expected)
    }
}

impl core::error::Error for SelectorError {}

/// An expression. Chains are lists, so that a long one is not a deep one.
#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Literal(Scalar),
    Property(String),
    /// Conditions that all hold.
    And(Vec<Self>),
    /// Conditions of which one holds.
    Or(Vec<Self>),
    Not(Box<Self>),
    Negated(Box<Self>),
    /// A value, and what is done to it from left to right.
    Arithmetic(Box<Self>, Vec<(Operator, Self)>),
    Compare(Box<Self>, Comparison, Box<Self>),
    Between(Box<Self>, Box<Self>, Box<Self>),
    In(Box<Self>, Vec<String>),
    Like(Box<Self>, Pattern),
    IsNull(Box<Self>),
}

#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Selector {
    /// The longest text of a selector, in octets.
    pub const MAX_LEN: usize = 8192;

    /// Reads a selector.
    ///
    /// # Errors
    ///
    /// Where the text is not one, or too long: see [`SelectorError`].
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > Self::MAX_LEN {
            return Err(SelectorError { at: Self::MAX_LEN, expected: "the end: the selector is too long" });
        }
        parse::parse(text).map(|condition| Self { condition })
    }

    /// Whether it holds of a message.
    pub fn matches(&self, message: &HeldMessage) -> bool {
        evaluate::condition(&self.condition, message) == Some(true)
    }
}

#[cfg(test)]
mod tests;
