//! The words of a selector.

use super::{Comparison, Scalar, SelectorError};
use alloc::string::{String, ToString};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, or a word of the language in any case.
    Word(String),
    Literal(Scalar),
    Comparison(Comparison),
    /// One of `( ) , + - * /`.
    Sign(char),
    End,
}

/// The rest of a text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    fn at(&self) -> usize {
        self.text.len().saturating_sub(self.rest.len())
    }

    fn error(&self, expected: &'static str) -> SelectorError {
        SelectorError { at: self.at(), expected }
    }

    fn skip(&mut self, octets: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(octets).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// The next word, and where it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token), SelectorError> {
        self.rest = self.rest.trim_start();
        let at = self.at();
        let mut chars = self.rest.chars();
        let (first, second) = (chars.next(), chars.next());
        let token = match first {
            None => Token::End,
            Some('\'') => Token::Literal(Scalar::Text(self.quoted()?)),
            Some('0'..='9') => Token::Literal(self.number()?),
            Some('.') if second.is_some_and(|digit| digit.is_ascii_digit()) => Token::Literal(self.number()?),
            Some(first) if starts_name(first) => {
                let end = self.rest.find(|c: char| !continues_name(c)).unwrap_or(self.rest.len());
                Token::Word(self.skip(end).to_string())
            }
            Some(first) => {
                let (comparison, octets) = match (first, second) {
                    ('=', _) => (Comparison::Equal, 1),
                    ('<', Some('>')) => (Comparison::NotEqual, 2),
                    ('<', Some('=')) => (Comparison::LessOrEqual, 2),
                    ('<', _) => (Comparison::Less, 1),
                    ('>', Some('=')) => (Comparison::GreaterOrEqual, 2),
                    ('>', _) => (Comparison::Greater, 1),
                    ('(' | ')' | ',' | '+' | '-' | '*' | '/', _) => {
                        self.skip(1);
                        return Ok((at, Token::Sign(first)));
                    }
                    _ => return Err(self.error("a name, a value or an operator")),
                };
                self.skip(octets);
                Token::Comparison(comparison)
            }
        };
        Ok((at, token))
    }

    /// A text in quotes, in which two quotes are one.
    fn quoted(&mut self) -> Result<String, SelectorError> {
        let mut text = String::new();
        self.skip(1);
        loop {
            let Some(end) = self.rest.find('\'') else {
                self.rest = "";
                return Err(self.error("the closing quote of a text"));
            };
            text.push_str(self.skip(end));
            self.skip(1);
            if !self.rest.starts_with('\'') {
                return Ok(text);
            }
            text.push('\'');
            self.skip(1);
        }
    }

    /// A number as Java writes it.
    fn number(&mut self) -> Result<Scalar, SelectorError> {
        let error = self.error("a number");
        if let Some(digits) = self.rest.strip_prefix("0x").or_else(|| self.rest.strip_prefix("0X")) {
            let length = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
            let number = i64::from_str_radix(digits.get(..length).unwrap_or_default(), 16).map_err(|_| error)?;
            self.skip(length.saturating_add(2));
            self.suffix(&['l', 'L'], error)?;
            return Ok(Scalar::Integer(number.into()));
        }
        let (mut length, mut exact, mut exponent) = (0_usize, true, false);
        for c in self.rest.chars() {
            let signed = exponent && matches!(self.rest.as_bytes().get(length.wrapping_sub(1)), Some(b'e' | b'E'));
            match c {
                '0'..='9' => {}
                '.' if exact => exact = false,
                'e' | 'E' if !exponent => (exact, exponent) = (false, true),
                '+' | '-' if signed => {}
                _ => break,
            }
            length = length.saturating_add(1);
        }
        let digits = self.skip(length);
        if self.rest.starts_with(['d', 'D', 'f', 'F']) {
            exact = false;
        }
        if exact {
            let number: i64 = digits.parse().map_err(|_| error)?;
            self.suffix(&['l', 'L'], error)?;
            return Ok(Scalar::Integer(number.into()));
        }
        let number: f64 = digits.parse().map_err(|_| error)?;
        self.suffix(&['d', 'D', 'f', 'F'], error)?;
        Ok(Scalar::Float(number))
    }

    /// The suffixes of a number: one of these, and then no more of a name.
    fn suffix(&mut self, allowed: &[char], error: SelectorError) -> Result<(), SelectorError> {
        if self.rest.starts_with(allowed) {
            self.skip(1);
        }
        if self.rest.starts_with(continues_name) { Err(error) } else { Ok(()) }
    }
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

/// JMS takes the characters of Java's names. Dots and colons are in the names of properties that others set.
fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | ':')
}
