//! Integers of JSON text that have more than 64 bits. Parsed, they would be floating-point numbers of another value.

use crate::hub::authentication::invalid;
use crate::hub::service_error::ServiceError;

/// Checks that no integer of a JSON text has more than 64 bits. Those that have fewer are checked with the twin.
///
/// # Errors
/// *ArgumentInvalid*
pub(crate) fn check_integers(json: &[u8]) -> Result<(), ServiceError> {
    let mut rest = json;
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'"' => behind_string(behind),
            b'-' | b'0'..=b'9' => {
                let end = rest.iter().position(|octet| !is_of_number(*octet)).unwrap_or(rest.len());
                let (number, behind) = rest.split_at(end);
                check(number)?;
                behind
            }
            _ => behind,
        };
    }
    Ok(())
}

/// What follows a string of which the first quotation mark was read.
fn behind_string(mut rest: &[u8]) -> &[u8] {
    while let Some((octet, behind)) = rest.split_first() {
        rest = match octet {
            b'"' => return behind,
            b'\\' => behind.get(1..).unwrap_or_default(),
            _ => behind,
        };
    }
    rest
}

fn is_of_number(octet: u8) -> bool {
    octet.is_ascii_digit() || matches!(octet, b'-' | b'+' | b'.' | b'e' | b'E')
}

fn check(number: &[u8]) -> Result<(), ServiceError> {
    let is_float = number.iter().any(|octet| matches!(octet, b'.' | b'e' | b'E'));
    let Ok(text) = core::str::from_utf8(number) else { return Ok(()) };
    if is_float || text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return Ok(());
    }
    // The text may be long.
    Err(invalid(format!("an integer of {} digits is out of range", text.trim_start_matches('-').len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_more_than_64_bits_are_found_wherever_they_stand() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            r#"{"a": [1, {"b": 100000000000000000000}]}"#,
            r#"{"\\\"":-99999999999999999999}"#,
        ] {
            check_integers(text.as_bytes()).expect_err(text);
        }
    }

    #[test]
    fn texts_floating_point_numbers_and_smaller_integers_pass() {
        for text in [
            "",
            "18446744073709551615",
            "-9223372036854775808",
            "1e300",
            "100000000000000000000.0",
            "100000000000000000000E0",
            r#"{"100000000000000000000": "\"100000000000000000000"}"#,
            r#"{"a": "\\"}"#,
            r#""not closed 100000000000000000000"#,
            "\"\\",
        ] {
            check_integers(text.as_bytes()).expect(text);
        }
    }
}
