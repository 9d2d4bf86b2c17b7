use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How a resource is percent-encoded in a token. The variants are the ways of the official SDKs; to a verifier they
/// are all the same, since it takes the text as it comes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PercentEncoding {
    /// As JavaScript's `encodeURIComponent`: letters, digits and `-_.!~*'()` stay. Event Hubs for JavaScript.
    #[default]
    Component,
    /// As [`Component`](Self::Component), with `!'()*` encoded as well, in lower-case hexadecimal. IoT devices on
    /// Node.
    ComponentStrict,
    /// As .NET's `WebUtility.UrlEncode`: letters, digits and `-_.!*()` stay, a space becomes `+`. IoT Hub for C#.
    Form,
    /// Letters, digits and `-_.!*()` stay, all others are encoded in lower-case hexadecimal. The C library, and
    /// older samples.
    LowerHex,
    /// As Python's `quote`: letters, digits and `-_.~/` stay. The signature in IoT Hub's Python service client.
    Path,
    /// As Python's `quote_plus`: letters, digits and `-_.~` stay, a space becomes `+`. IoT Hub and Event Hubs for
    /// Python.
    QuotePlus,
    /// The resource as it is, be it that it needs no encoding, a bare host name, or that it is encoded already. Only
    /// what would break the token's own syntax is escaped. IoT Hub's service clients for Node and Python.
    Verbatim,
}

impl PercentEncoding {
    /// Encodes `text`.
    pub fn encode(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len().saturating_add(text.len() / 2));
        for octet in text.bytes() {
            match self.rule(octet) {
                Rule::Keep => out.push(char::from(octet)),
                Rule::Plus => out.push('+'),
                Rule::Upper => push_escape(&mut out, octet, b"0123456789ABCDEF"),
                Rule::Lower => push_escape(&mut out, octet, b"0123456789abcdef"),
            }
        }
        out
    }

    fn rule(self, octet: u8) -> Rule {
        if octet.is_ascii_alphanumeric() {
            return Rule::Keep;
        }
        match (self, octet) {
            (Self::Verbatim, b'&') => Rule::Upper,
            (Self::Verbatim, octet) if octet.is_ascii_graphic() => Rule::Keep,
            (_, b'-' | b'_' | b'.') => Rule::Keep,
            (Self::Component, b'!' | b'~' | b'*' | b'\'' | b'(' | b')') => Rule::Keep,
            (Self::ComponentStrict, b'~') => Rule::Keep,
            (Self::ComponentStrict, b'!' | b'\'' | b'(' | b')' | b'*') => Rule::Lower,
            (Self::Form | Self::LowerHex, b'!' | b'*' | b'(' | b')') => Rule::Keep,
            (Self::Form | Self::QuotePlus, b' ') => Rule::Plus,
            (Self::LowerHex, _) => Rule::Lower,
            (Self::Path, b'/' | b'~') | (Self::QuotePlus, b'~') => Rule::Keep,
            _ => Rule::Upper,
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Keep,
    Lower,
    Plus,
    Upper,
}

fn push_escape(out: &mut String, octet: u8, digits: &[u8; 16]) {
    out.push('%');
    for nibble in [octet >> 4, octet & 0x0F] {
        out.extend(digits.get(usize::from(nibble)).copied().map(char::from));
    }
}

/// Text that is not percent-encoded as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentError;

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong percent escape")
    }
}

impl core::error::Error for PercentError {}

/// Decodes the percent escapes of `text`, hexadecimal of either case.
///
/// A `+` stays a plus: no resource of IoT Hub or Event Hubs has a space in it, while a device's id may have a plus.
///
/// # Errors
///
/// [`PercentError`] if a `%` is not followed by two hexadecimal digits, or the result is not UTF-8.
pub fn percent_decode(text: &str) -> Result<String, PercentError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'%' {
            out.push(*octet);
            continue;
        }
        let ([high, low], after) = rest.split_first_chunk::<2>().ok_or(PercentError)?;
        out.push(nibble(*high)? << 4 | nibble(*low)?);
        rest = after;
    }
    String::from_utf8(out).map_err(|_| PercentError)
}

fn nibble(digit: u8) -> Result<u8, PercentError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PercentError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "h/d e!'()*~å$:&";

    #[test]
    fn each_way_keeps_what_its_sdk_keeps() {
        for (encoding, expected) in [
            (PercentEncoding::Component, "h%2Fd%20e!'()*~%C3%A5%24%3A%26"),
            (PercentEncoding::ComponentStrict, "h%2Fd%20e%21%27%28%29%2a~%C3%A5%24%3A%26"),
            (PercentEncoding::Form, "h%2Fd+e!%27()*%7E%C3%A5%24%3A%26"),
            (PercentEncoding::LowerHex, "h%2fd%20e!%27()*%7e%c3%a5%24%3a%26"),
            (PercentEncoding::Path, "h/d%20e%21%27%28%29%2A~%C3%A5%24%3A%26"),
            (PercentEncoding::QuotePlus, "h%2Fd+e%21%27%28%29%2A~%C3%A5%24%3A%26"),
            (PercentEncoding::Verbatim, "h/d%20e!'()*~%C3%A5$:%26"),
        ] {
            assert_eq!(encoding.encode(SAMPLE), expected, "{encoding:?}");
        }
    }

    #[test]
    fn verbatim_keeps_escapes_that_are_there_already() {
        assert_eq!(PercentEncoding::Verbatim.encode("h%2fdevices%2Fd"), "h%2fdevices%2Fd");
    }

    #[test]
    fn escapes_of_either_case_decode_and_a_plus_stays_a_plus() {
        assert_eq!(percent_decode("h%2Fd%2fe+%C3%A5").as_deref(), Ok("h/d/e+å"));
        assert_eq!(percent_decode("").as_deref(), Ok(""));
    }

    #[test]
    fn wrong_escapes_are_errors() {
        for text in ["%", "a%2", "%zz", "%2g", "%%41", "%+1", "%FF", "%C3%28", "%å"] {
            assert_eq!(percent_decode(text), Err(PercentError), "{text}");
        }
    }
}
