//! Reading conditions: operators by precedence, literals, paths and functions.

use super::super::service_error::ServiceError;
use super::row::canonical;
use super::scanner::Scanner;
use super::syntax::{Comparison, Expression, Operator, Path};

/// How deep brackets, `NOT` and signs may be nested.
const MAX_DEPTH: usize = 64;

/// What is not the name of a property unless it is written between `[[` and `]]`.
const RESERVED: [&str; 14] =
    ["SELECT", "TOP", "FROM", "WHERE", "GROUP", "BY", "AS", "AND", "OR", "NOT", "IN", "NIN", "ORDER", "JOIN"];

type Read<T> = Result<T, ServiceError>;

/// A condition.
pub(super) fn condition(scanner: &mut Scanner<'_>) -> Read<Expression> {
    any(scanner, 0)
}

fn deeper(scanner: &Scanner<'_>, depth: usize) -> Read<usize> {
    if depth >= MAX_DEPTH {
        return Err(scanner.invalid(format_args!("expressions are nested at most {MAX_DEPTH} deep")));
    }
    Ok(depth + 1)
}

fn chain(
    scanner: &mut Scanner<'_>,
    depth: usize,
    word: &str,
    operand: fn(&mut Scanner<'_>, usize) -> Read<Expression>,
    join: fn(Vec<Expression>) -> Expression,
) -> Read<Expression> {
    let first = operand(scanner, depth)?;
    if !scanner.keyword(word) {
        return Ok(first);
    }
    let mut operands = vec![first, operand(scanner, depth)?];
    while scanner.keyword(word) {
        operands.push(operand(scanner, depth)?);
    }
    Ok(join(operands))
}

fn any(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    chain(scanner, depth, "OR", all, Expression::Any)
}

fn all(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    chain(scanner, depth, "AND", negated, Expression::All)
}

fn negated(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    if scanner.keyword("NOT") {
        let depth = deeper(scanner, depth)?;
        return Ok(Expression::Not(negated(scanner, depth)?.into()));
    }
    compared(scanner, depth)
}

fn compared(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    let left = sum(scanner, depth)?;
    for (word, expected) in [("IN", true), ("NIN", false)] {
        if scanner.keyword(word) {
            let list = match scanner.open_bracket() {
                true => Expression::Array(list(scanner, deeper(scanner, depth)?)?),
                false => Expression::Path(path(scanner).map_err(|_| scanner.expected("`[` or a path"))?),
            };
            return Ok(Expression::In(expected, left.into(), list.into()));
        }
    }
    // Those of two characters first.
    let comparisons = [
        ("!=", Comparison::NotEqual),
        ("<>", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("=", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    for (sign, comparison) in comparisons {
        if scanner.sign(sign) {
            let right = sum(scanner, depth)?;
            return Ok(Expression::Compare(comparison, left.into(), right.into()));
        }
    }
    Ok(left)
}

fn arithmetic(
    scanner: &mut Scanner<'_>,
    depth: usize,
    operators: &[(&str, Operator)],
    operand: fn(&mut Scanner<'_>, usize) -> Read<Expression>,
) -> Read<Expression> {
    let first = operand(scanner, depth)?;
    let mut rest = Vec::new();
    while let Some((_, operator)) = operators.iter().find(|(sign, _)| scanner.sign(sign)) {
        rest.push((*operator, operand(scanner, depth)?));
    }
    Ok(if rest.is_empty() { first } else { Expression::Arithmetic(first.into(), rest) })
}

fn sum(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    arithmetic(scanner, depth, &[("+", Operator::Add), ("-", Operator::Subtract)], product)
}

fn product(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
    arithmetic(scanner, depth, &operators, signed)
}

fn signed(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    if scanner.sign("-") {
        let depth = deeper(scanner, depth)?;
        return Ok(match signed(scanner, depth)? {
            Expression::Number(number) => Expression::Number(-number),
            other => Expression::Negate(other.into()),
        });
    }
    primary(scanner, depth)
}

fn primary(scanner: &mut Scanner<'_>, depth: usize) -> Read<Expression> {
    if scanner.sign("(") {
        let inner = any(scanner, deeper(scanner, depth)?)?;
        scanner.expect(")")?;
        return Ok(inner);
    }
    if scanner.open_bracket() {
        return Ok(Expression::Array(list(scanner, deeper(scanner, depth)?)?));
    }
    if let Some(text) = scanner.text()? {
        return Ok(Expression::Text(text.into()));
    }
    if let Some(number) = scanner.number()? {
        return Ok(Expression::Number(number));
    }
    let literals = [
        ("true", Expression::Bool(true)),
        ("false", Expression::Bool(false)),
        ("null", Expression::Null),
        ("undefined", Expression::Undefined),
    ];
    for (word, literal) in literals {
        if scanner.keyword(word) {
            return Ok(literal);
        }
    }
    let word = scanner.peek_word();
    if is_call(scanner, word) {
        return call(scanner, word, depth);
    }
    path(scanner).map(Expression::Path)
}

/// The items of an array, up to and with its closing bracket.
fn list(scanner: &mut Scanner<'_>, depth: usize) -> Read<Vec<Expression>> {
    let mut items = Vec::new();
    if scanner.sign("]") {
        return Ok(items);
    }
    loop {
        items.push(any(scanner, depth)?);
        if !scanner.sign(",") {
            scanner.expect("]")?;
            return Ok(items);
        }
    }
}

/// Whether a word is followed by an opening bracket.
pub(super) fn is_call(scanner: &Scanner<'_>, word: &str) -> bool {
    let after = scanner.rest().get(word.len()..).unwrap_or_default();
    !word.is_empty() && after.trim_start().starts_with('(')
}

fn call(scanner: &mut Scanner<'_>, word: &str, depth: usize) -> Read<Expression> {
    let depth = deeper(scanner, depth)?;
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if !is("IS_DEFINED") && !is("STARTSWITH") {
        return Err(scanner.invalid(format_args!(
            "queries of twins have no function {}, only IS_DEFINED and STARTSWITH",
            word.chars().take(40).collect::<String>()
        )));
    }
    scanner.keyword(word);
    scanner.expect("(")?;
    let expression = if is("IS_DEFINED") {
        Expression::IsDefined(path(scanner)?)
    } else {
        let text = any(scanner, depth)?;
        scanner.expect(",")?;
        Expression::StartsWith(text.into(), any(scanner, depth)?.into())
    };
    scanner.expect(")")?;
    Ok(expression)
}

/// A path. The collection may stand in front of it.
pub(super) fn path(scanner: &mut Scanner<'_>) -> Read<Path> {
    let word = scanner.peek_word();
    if RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) {
        return Err(scanner.expected("a value or the path of a property"));
    }
    if word.is_empty() && !scanner.rest().starts_with("[[") {
        return Err(scanner.expected("a value or the path of a property"));
    }
    let mut steps: Vec<Box<str>> = vec![scanner.name()?.into()];
    while scanner.sign(".") {
        steps.push(scanner.name()?.into());
    }
    Ok(Path(canonical(steps)))
}
