//! Selector expressions on event positions: the text of the `apache.org:selector-filter:string` filter.
//!
//! What Event Hubs clients write is one comparison of one annotation:
//! `amqp.annotation.x-opt-offset > '4711'`, with `>=` for inclusive, the number quoted or bare, `-1` and `@latest` for
//! both ends.

use core::str::FromStr;

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::value;
use nom::sequence::delimited;
use nom::{IResult, Parser};
use thiserror::Error;

use super::clock::UnixMillis;
use super::partition::EventPosition;

/// Why a selector is not understood. `at` counts octets from 0. Condition for the wire: `amqp:invalid-field`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It does not begin with `amqp.annotation.` and a name that can be compared.
    #[error("selector, octet {at}: expected amqp.annotation.x-opt-offset, -sequence-number or -enqueued-time")]
    Annotation {
        /// Where.
        at: usize,
    },
    /// Neither `>` nor `>=`.
    #[error("selector, octet {at}: expected > or >=")]
    Operator {
        /// Where.
        at: usize,
    },
    /// Something follows the comparison.
    #[error("selector, octet {at}: expected the end")]
    TrailingText {
        /// Where.
        at: usize,
    },
    /// Not a number that the annotation can have.
    #[error("selector, octet {at}: expected a number, quoted with ' or bare (or '@latest' for an offset)")]
    Value {
        /// Where.
        at: usize,
    },
}

impl SelectorError {
    /// The error condition for the wire (AMQP 1.0 §2.8.15).
    #[must_use]
    pub fn condition(&self) -> &'static str {
        "amqp:invalid-field"
    }
}

#[derive(Clone, Copy)]
enum Annotation {
    EnqueuedTime,
    Offset,
    SequenceNumber,
}

/// Parses a selector expression.
impl FromStr for EventPosition {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let at = |rest: &str| text.len() - rest.len();
        let rest = text.trim_start();
        let (rest, annotation) = annotation(rest).map_err(|_| SelectorError::Annotation { at: at(rest) })?;
        let rest = rest.trim_start();
        let (rest, inclusive) = operator(rest).map_err(|_| SelectorError::Operator { at: at(rest) })?;
        let value_at = at(rest.trim_start());
        let (rest, literal) = literal(rest).map_err(|_| SelectorError::Value { at: value_at })?;
        if !rest.is_empty() {
            return Err(SelectorError::TrailingText { at: at(rest) });
        }
        position(annotation, inclusive, literal).ok_or(SelectorError::Value { at: value_at })
    }
}

fn annotation(input: &str) -> IResult<&str, Annotation> {
    let name = alt((
        value(Annotation::Offset, tag_no_case("x-opt-offset")),
        value(Annotation::SequenceNumber, tag_no_case("x-opt-sequence-number")),
        value(Annotation::EnqueuedTime, tag_no_case("x-opt-enqueued-time")),
    ));
    let (rest, (_, annotation)) = (tag_no_case("amqp.annotation."), name).parse_complete(input)?;
    // The name ends here: x-opt-offsets is another annotation.
    let (_, more) = take_while(|c: char| c.is_alphanumeric() || c == '-').parse_complete(rest)?;
    if more.is_empty() { Ok((rest, annotation)) } else { Err(nom_error(input)) }
}

/// Whether the bound is included.
fn operator(input: &str) -> IResult<&str, bool> {
    alt((value(true, tag(">=")), value(false, tag(">")))).parse_complete(input)
}

fn literal(input: &str) -> IResult<&str, &str> {
    let word = || take_while1(|c: char| c.is_ascii_alphanumeric() || "-@".contains(c));
    let quoted = alt((delimited(char('\''), word(), char('\'')), delimited(char('"'), word(), char('"'))));
    delimited(multispace0, alt((quoted, word())), multispace0).parse_complete(input)
}

fn nom_error(input: &str) -> nom::Err<nom::error::Error<&str>> {
    nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify))
}

fn position(annotation: Annotation, inclusive: bool, literal: &str) -> Option<EventPosition> {
    match annotation {
        Annotation::Offset if literal.eq_ignore_ascii_case("@latest") => Some(EventPosition::Latest),
        Annotation::Offset if literal == "-1" => Some(EventPosition::Start),
        Annotation::Offset => literal.parse().ok().map(|offset| EventPosition::Offset { offset, inclusive }),
        Annotation::SequenceNumber => {
            literal.parse().ok().map(|number| EventPosition::SequenceNumber { number, inclusive })
        }
        Annotation::EnqueuedTime => {
            let millis = literal.parse::<i64>().ok()?;
            // Inclusive: after the millisecond before. A time before 1970 lies before every event.
            let after = if inclusive { millis.saturating_sub(1) } else { millis };
            Some(match u64::try_from(after) {
                Ok(after) => EventPosition::EnqueuedTime(UnixMillis(after)),
                Err(_) => EventPosition::Start,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offset(offset: u64, inclusive: bool) -> Result<EventPosition, SelectorError> {
        Ok(EventPosition::Offset { offset, inclusive })
    }

    fn number(number: i64, inclusive: bool) -> Result<EventPosition, SelectorError> {
        Ok(EventPosition::SequenceNumber { number, inclusive })
    }

    fn after(millis: u64) -> Result<EventPosition, SelectorError> {
        Ok(EventPosition::EnqueuedTime(UnixMillis(millis)))
    }

    #[test]
    fn the_expressions_that_clients_send_are_understood() {
        for (text, expected) in [
            ("amqp.annotation.x-opt-offset > '-1'", Ok(EventPosition::Start)),
            ("amqp.annotation.x-opt-offset >= '-1'", Ok(EventPosition::Start)),
            ("amqp.annotation.x-opt-offset > '@latest'", Ok(EventPosition::Latest)),
            ("amqp.annotation.x-opt-offset > @latest", Ok(EventPosition::Latest)),
            ("amqp.annotation.x-opt-offset > '4711'", offset(4711, false)),
            ("amqp.annotation.x-opt-offset >= 4711", offset(4711, true)),
            ("amqp.annotation.x-opt-sequence-number > 2995", number(2995, false)),
            ("amqp.annotation.x-opt-sequence-number >= '2995'", number(2995, true)),
            ("amqp.annotation.x-opt-sequence-number > '-1'", number(-1, false)),
            ("amqp.annotation.x-opt-enqueued-time > '1795377253045'", after(1_795_377_253_045)),
            ("amqp.annotation.x-opt-enqueued-time >= 1795377253045", after(1_795_377_253_044)),
            ("amqp.annotation.x-opt-enqueued-time > '-62135596800000'", Ok(EventPosition::Start)),
            ("  AMQP.annotation.x-opt-offset>\"5\" ", offset(5, false)),
        ] {
            assert_eq!(text.parse::<EventPosition>(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            ("", SelectorError::Annotation { at: 0 }),
            (" colour = 'red'", SelectorError::Annotation { at: 1 }),
            ("amqp.annotation.x-opt-offsets > '5'", SelectorError::Annotation { at: 0 }),
            ("amqp.annotation.x-opt-offset < '5'", SelectorError::Operator { at: 29 }),
            ("amqp.annotation.x-opt-offset", SelectorError::Operator { at: 28 }),
            ("amqp.annotation.x-opt-offset > ", SelectorError::Value { at: 31 }),
            ("amqp.annotation.x-opt-offset > '5", SelectorError::Value { at: 31 }),
            ("amqp.annotation.x-opt-offset > 'five'", SelectorError::Value { at: 31 }),
            ("amqp.annotation.x-opt-offset > '-2'", SelectorError::Value { at: 31 }),
            ("amqp.annotation.x-opt-sequence-number > '@latest'", SelectorError::Value { at: 40 }),
            ("amqp.annotation.x-opt-offset > 99999999999999999999", SelectorError::Value { at: 31 }),
            ("amqp.annotation.x-opt-offset > '5' or 1=1", SelectorError::TrailingText { at: 35 }),
        ] {
            assert_eq!(text.parse::<EventPosition>(), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,80}", tail in "(amqp\\.annotation\\.x-opt-offset *>?=? *'?\\PC{0,20})?") {
            let _ = text.parse::<EventPosition>();
            let _ = tail.parse::<EventPosition>();
        }
    }
}
