//! From words to an expression.

use super::{
    Expr, Operator, Scalar, SelectorError,
    lex::{Lexer, Token},
    like::{Pattern, Piece},
};
use alloc::{boxed::Box, string::String, vec, vec::Vec};

/// How deep expressions may lie in each other.
const DEPTH: u32 = 64;

/// Words that are not names.
const RESERVED: [&str; 11] = ["AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS", "NULL", "TRUE", "FALSE"];

type Parsed<T> = Result<T, SelectorError>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    /// Where it begins.
    at: usize,
    depth: u32,
}

pub(super) fn parse(text: &str) -> Parsed<Expr> {
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::End, at: 0, depth: 0 };
    parser.advance()?;
    let condition = parser.condition()?;
    match parser.token {
        Token::End => Ok(condition),
        _ => Err(parser.error("an operator, or the end")),
    }
}

impl Parser<'_> {
    fn error(&self, expected: &'static str) -> SelectorError {
        SelectorError { at: self.at, expected }
    }

    fn advance(&mut self) -> Parsed<Token> {
        let (at, token) = self.lexer.next()?;
        self.at = at;
        Ok(core::mem::replace(&mut self.token, token))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Takes a word if it is the next one.
    fn word(&mut self, word: &str) -> Parsed<bool> {
        let found = self.is_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn sign(&mut self, sign: char) -> Parsed<bool> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.word(word)? { Ok(()) } else { Err(self.error(word)) }
    }

    fn expect_sign(&mut self, sign: char, expected: &'static str) -> Parsed<()> {
        if self.sign(sign)? { Ok(()) } else { Err(self.error(expected)) }
    }

    /// Something that lies in another expression.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH {
            return Err(self.error("fewer expressions in each other"));
        }
        let parsed = parse(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(parsed)
    }

    /// An expression that is a condition.
    fn condition(&mut self) -> Parsed<Expr> {
        let at = self.at;
        let expr = self.expression()?;
        checked(expr, at)
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.chain("OR", Expr::Or, |parser| parser.chain("AND", Expr::And, Self::negation))
    }

    fn chain(
        &mut self,
        word: &str,
        make: impl FnOnce(Vec<Expr>) -> Expr,
        mut part: impl FnMut(&mut Self) -> Parsed<Expr>,
    ) -> Parsed<Expr> {
        let at = self.at;
        let first = part(self)?;
        if !self.is_word(word) {
            return Ok(first);
        }
        let mut parts = vec![checked(first, at)?];
        while self.word(word)? {
            let at = self.at;
            parts.push(checked(part(self)?, at)?);
        }
        Ok(make(parts))
    }

    fn negation(&mut self) -> Parsed<Expr> {
        if self.word("NOT")? {
            let at = self.at;
            let negated = self.deeper(Self::negation)?;
            return Ok(Expr::Not(Box::new(checked(negated, at)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let left = self.sum()?;
        if let Token::Comparison(comparison) = self.token {
            self.advance()?;
            let right = self.sum()?;
            return Ok(Expr::Compare(Box::new(left), comparison, Box::new(right)));
        }
        if self.word("IS")? {
            let not = self.word("NOT")?;
            self.expect_word("NULL")?;
            return Ok(negate(Expr::IsNull(Box::new(left)), not));
        }
        let not = self.word("NOT")?;
        let expr = if self.word("BETWEEN")? {
            let from = self.sum()?;
            self.expect_word("AND")?;
            Expr::Between(Box::new(left), Box::new(from), Box::new(self.sum()?))
        } else if self.word("IN")? {
            self.expect_sign('(', "a list in parentheses")?;
            let mut texts = vec![self.text()?];
            while self.sign(',')? {
                texts.push(self.text()?);
            }
            self.expect_sign(')', "a comma or a closing parenthesis")?;
            Expr::In(Box::new(left), texts)
        } else if self.word("LIKE")? {
            Expr::Like(Box::new(left), self.pattern()?)
        } else if not {
            return Err(self.error("BETWEEN, IN or LIKE"));
        } else {
            return Ok(left);
        };
        Ok(negate(expr, not))
    }

    fn text(&mut self) -> Parsed<String> {
        if !matches!(self.token, Token::Literal(Scalar::Text(_))) {
            return Err(self.error("a text in quotes"));
        }
        match self.advance()? {
            Token::Literal(Scalar::Text(text)) => Ok(text),
            _ => Err(self.error("a text in quotes")),
        }
    }

    fn pattern(&mut self) -> Parsed<Pattern> {
        let pattern_at = self.at;
        let pattern = self.text()?;
        let mut escape = None;
        if self.word("ESCAPE")? {
            let error = self.error("one character that escapes");
            let text = self.text()?;
            let mut chars = text.chars();
            escape = match (chars.next(), chars.next()) {
                (Some(escape), None) => Some(escape),
                _ => return Err(error),
            };
        }
        let mut pieces = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                c if Some(c) == escape => match chars.next() {
                    Some(c) => Piece::One(c),
                    None => return Err(SelectorError { at: pattern_at, expected: "a pattern that ends no escape" }),
                },
                '%' => Piece::Any,
                '_' => Piece::AnyOne,
                c => Piece::One(c),
            });
        }
        let expected = "at most 64 characters, with `_` among them, between two `%`";
        Pattern::new(&pieces).ok_or(SelectorError { at: pattern_at, expected })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.arithmetic([('+', Operator::Add), ('-', Operator::Subtract)], |parser| {
            parser.arithmetic([('*', Operator::Multiply), ('/', Operator::Divide)], Self::operand)
        })
    }

    fn arithmetic(
        &mut self,
        operators: [(char, Operator); 2],
        mut part: impl FnMut(&mut Self) -> Parsed<Expr>,
    ) -> Parsed<Expr> {
        let first = part(self)?;
        let mut rest = Vec::new();
        loop {
            let found = operators.iter().find(|(sign, _)| self.token == Token::Sign(*sign));
            let Some((_, operator)) = found else { break };
            self.advance()?;
            rest.push((*operator, part(self)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Arithmetic(Box::new(first), rest) })
    }

    fn operand(&mut self) -> Parsed<Expr> {
        if self.sign('-')? {
            return Ok(Expr::Negated(Box::new(self.deeper(Self::operand)?)));
        }
        if self.sign('+')? {
            return self.deeper(Self::operand);
        }
        if self.sign('(')? {
            let inner = self.deeper(Self::expression)?;
            self.expect_sign(')', "a closing parenthesis")?;
            return Ok(inner);
        }
        for (word, value) in [("TRUE", true), ("FALSE", false)] {
            if self.word(word)? {
                return Ok(Expr::Literal(Scalar::Boolean(value)));
            }
        }
        let error = self.error("a value");
        match &self.token {
            Token::Word(name) if RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word)) => Err(error),
            Token::Word(_) | Token::Literal(_) => match self.advance()? {
                Token::Word(name) => Ok(Expr::Property(name)),
                Token::Literal(literal) => Ok(Expr::Literal(literal)),
                _ => Err(error),
            },
            _ => Err(error),
        }
    }
}

fn negate(expr: Expr, not: bool) -> Expr {
    if not { Expr::Not(Box::new(expr)) } else { expr }
}

/// Numbers and texts are not conditions.
fn checked(expr: Expr, at: usize) -> Parsed<Expr> {
    match expr {
        Expr::Literal(Scalar::Boolean(_)) => Ok(expr),
        Expr::Literal(_) | Expr::Arithmetic(..) | Expr::Negated(_) => {
            Err(SelectorError { at, expected: "a condition" })
        }
        _ => Ok(expr),
    }
}
