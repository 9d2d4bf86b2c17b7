//! Conditions on a row.

use core::cmp::Ordering;

use super::cell::Cell;
use super::row::Row;
use super::syntax::{Comparison, Expression, Operator};

/// Most octets of a text that `+` makes.
const MAX_TEXT: usize = 8 * 1024;

/// Whether a condition is true of a row.
pub(super) fn holds<R: Row + ?Sized>(condition: &Expression, row: &R) -> bool {
    evaluate(condition, row) == Cell::Bool(true)
}

pub(super) fn evaluate<'r, R: Row + ?Sized>(expression: &'r Expression, row: &'r R) -> Cell<'r> {
    match expression {
        Expression::Null => Cell::Null,
        // An array only has a meaning behind IN.
        Expression::Undefined | Expression::Array(_) => Cell::Undefined,
        Expression::Bool(value) => Cell::Bool(*value),
        Expression::Number(number) => Cell::Number(*number),
        Expression::Text(text) => Cell::text(text),
        Expression::Path(path) => row.operand(&path.0),
        Expression::All(operands) => decide(operands, row, false),
        Expression::Any(operands) => decide(operands, row, true),
        Expression::Not(operand) => match evaluate(operand, row) {
            Cell::Bool(value) => Cell::Bool(!value),
            _ => Cell::Undefined,
        },
        Expression::Negate(operand) => match evaluate(operand, row) {
            Cell::Number(number) => Cell::Number(-number),
            _ => Cell::Undefined,
        },
        Expression::Compare(comparison, left, right) => {
            let (left, right) = (evaluate(left, row), evaluate(right, row));
            compare(*comparison, &left, &right).map_or(Cell::Undefined, Cell::Bool)
        }
        Expression::In(expected, item, list) => {
            let item = evaluate(item, row);
            is_in(&item, list, row).map_or(Cell::Undefined, |found| Cell::Bool(found == *expected))
        }
        Expression::Arithmetic(first, rest) => {
            let first = evaluate(first, row);
            rest.iter().fold(first, |left, (operator, right)| calculate(left, *operator, evaluate(right, row)))
        }
        Expression::IsDefined(path) => Cell::Bool(row.operand(&path.0) != Cell::Undefined),
        Expression::StartsWith(text, start) => match (evaluate(text, row), evaluate(start, row)) {
            (Cell::Text(text), Cell::Text(start)) => Cell::Bool(text.starts_with(&*start)),
            _ => Cell::Undefined,
        },
    }
}

/// `decisive` if one operand is, its opposite if all are, undefined otherwise.
fn decide<'r, R: Row + ?Sized>(operands: &'r [Expression], row: &'r R, decisive: bool) -> Cell<'r> {
    let mut result = Cell::Bool(!decisive);
    for operand in operands {
        match evaluate(operand, row) {
            Cell::Bool(value) if value == decisive => return Cell::Bool(decisive),
            Cell::Bool(_) => {}
            _ => result = Cell::Undefined,
        }
    }
    result
}

fn compare(comparison: Comparison, left: &Cell<'_>, right: &Cell<'_>) -> Option<bool> {
    let ordering = left.compare(right)?;
    let has_order = !matches!(left, Cell::Null | Cell::Bool(_));
    match comparison {
        Comparison::Equal => Some(ordering == Ordering::Equal),
        Comparison::NotEqual => Some(ordering != Ordering::Equal),
        _ if !has_order => None,
        Comparison::Less => Some(ordering == Ordering::Less),
        Comparison::LessOrEqual => Some(ordering != Ordering::Greater),
        Comparison::Greater => Some(ordering == Ordering::Greater),
        Comparison::GreaterOrEqual => Some(ordering != Ordering::Less),
    }
}

fn is_in<R: Row + ?Sized>(item: &Cell<'_>, list: &Expression, row: &R) -> Option<bool> {
    if matches!(item, Cell::Undefined | Cell::Composite(_)) {
        return None;
    }
    let is = |other: &Cell<'_>| item.compare(other) == Some(Ordering::Equal);
    match list {
        Expression::Array(items) => Some(items.iter().any(|other| is(&evaluate(other, row)))),
        other => match evaluate(other, row) {
            Cell::Composite(value) => Some(value.as_array()?.iter().any(|other| is(&Cell::from(other)))),
            _ => None,
        },
    }
}

fn calculate<'r>(left: Cell<'r>, operator: Operator, right: Cell<'r>) -> Cell<'r> {
    let (left, right) = match (left, right) {
        (Cell::Number(left), Cell::Number(right)) => (left, right),
        (Cell::Text(left), Cell::Text(right)) if operator == Operator::Add && left.len() + right.len() <= MAX_TEXT => {
            return Cell::Text(left + right);
        }
        _ => return Cell::Undefined,
    };
    Cell::number(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
    })
}
