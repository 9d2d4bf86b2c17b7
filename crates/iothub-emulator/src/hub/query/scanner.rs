//! The text of a query, read from left to right: words, signs, names and literals.

use super::super::service_error::{ErrorCode, ServiceError};

/// A place in the text of a query.
#[derive(Debug)]
pub(super) struct Scanner<'q> {
    text: &'q str,
    at: usize,
}

impl<'q> Scanner<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        let mut scanner = Self { text, at: 0 };
        scanner.skip_space();
        scanner
    }

    pub(super) fn rest(&self) -> &'q str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn advance(&mut self, octets: usize) {
        self.at += octets;
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.advance(rest.len() - rest.trim_start().len());
    }

    /// What is wrong, with the place (in characters, from 1) and what is there.
    pub(super) fn invalid(&self, what: impl core::fmt::Display) -> ServiceError {
        let position = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        let found: String = self.rest().chars().take(20).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let found = if found.is_empty() { "the end of the query".to_owned() } else { format!("`{found}`") };
        ServiceError::new(
            ErrorCode::ArgumentInvalid,
            format!("The query is invalid at position {position}: {what}, found {found}"),
        )
    }

    pub(super) fn expected(&self, what: &str) -> ServiceError {
        self.invalid(format_args!("expected {what}"))
    }

    /// The word that is here, whatever follows it.
    pub(super) fn peek_word(&self) -> &'q str {
        let rest = self.rest();
        let starts = rest.chars().next().is_some_and(|c| is_name(c) && !c.is_ascii_digit());
        if starts { name_of(rest) } else { "" }
    }

    /// Takes this keyword, in any case.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let word = self.peek_word();
        let found = word.eq_ignore_ascii_case(keyword);
        if found {
            self.advance(word.len());
            self.skip_space();
        }
        found
    }

    /// Takes this sign.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.advance(sign.len());
            self.skip_space();
        }
        found
    }

    /// Takes this sign unless it begins a `[[`.
    pub(super) fn open_bracket(&mut self) -> bool {
        !self.rest().starts_with("[[") && self.sign("[")
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), ServiceError> {
        if self.sign(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    /// A name, or any text between `[[` and `]]`. A dot may follow.
    pub(super) fn name(&mut self) -> Result<&'q str, ServiceError> {
        let rest = self.rest();
        let name = match rest.strip_prefix("[[") {
            Some(quoted) => {
                let (name, _) = quoted.split_once("]]").ok_or_else(|| self.expected("`]]` after `[[`"))?;
                self.advance(name.len() + 4);
                name
            }
            None => {
                let name = name_of(rest);
                self.advance(name.len());
                name
            }
        };
        if name.is_empty() {
            return Err(self.expected("a name"));
        }
        self.skip_space();
        Ok(name)
    }

    /// A text in single or double quotes, if one begins here.
    pub(super) fn text(&mut self) -> Result<Option<String>, ServiceError> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else { return Ok(None) };
        let mut out = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.advance(at + 1);
                self.skip_space();
                return Ok(Some(out));
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next().map(|(_, c)| c) {
                Some(c @ ('\'' | '"' | '\\' | '/')) => out.push(c),
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let (c, octets) = escaped(rest.get(at..).unwrap_or_default()).ok_or_else(|| self.bad_escape(at))?;
                    out.push(c);
                    // The first two characters of the escape are read already.
                    chars.nth(octets - 3);
                }
                _ => return Err(self.bad_escape(at)),
            }
        }
        Err(self.invalid("the text has no closing quote"))
    }

    fn bad_escape(&self, at: usize) -> ServiceError {
        Self { text: self.text, at: self.at + at }
            .expected("one of the escapes \\' \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")
    }

    /// A number without a sign, if one begins here: decimal, or hexadecimal after `0x`.
    pub(super) fn number(&mut self) -> Result<Option<f64>, ServiceError> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (length, number) = if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
            let number = u64::from_str_radix(hex.get(..length).unwrap_or_default(), 16);
            #[expect(clippy::cast_precision_loss, reason = "numbers are what JSON makes of them")]
            let number = number.map_err(|_| self.expected("1 to 16 hexadecimal digits after 0x"))? as f64;
            (length + 2, number)
        } else {
            let whole = digits(rest);
            let mut length = whole;
            if rest.get(length..).is_some_and(|rest| rest.starts_with('.')) {
                let fraction = digits(&rest[length + 1..]);
                if whole + fraction == 0 {
                    return Ok(None);
                }
                length += 1 + fraction;
            }
            if length == 0 {
                return Ok(None);
            }
            if let Some(exponent) = rest.get(length..).and_then(|rest| rest.strip_prefix(['e', 'E'])) {
                let sign = usize::from(exponent.starts_with(['+', '-']));
                match digits(&exponent[sign..]) {
                    0 => {}
                    exponent => length += 1 + sign + exponent,
                }
            }
            let number = rest.get(..length).unwrap_or_default().parse::<f64>();
            (length, number.ok().filter(|number| number.is_finite()).ok_or_else(|| self.expected("a number in range"))?)
        };
        if rest.get(length..).and_then(|rest| rest.chars().next()).is_some_and(is_name) {
            return Err(self.expected("a number that ends before the next word"));
        }
        self.advance(length);
        self.skip_space();
        Ok(Some(number))
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn name_of(text: &str) -> &str {
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The character of `\uXXXX`, or of two of them that are a surrogate pair, and the length of the escape.
fn escaped(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let first = unit(text)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, 6));
    }
    let second = unit(text.get(6..)?)?;
    let c = char::decode_utf16([first, second]).next()?.ok()?;
    Some((c, 12))
}
