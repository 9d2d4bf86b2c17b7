//! The pairs of a connection string, before anyone asks what they mean.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag};
use nom::character::complete::multispace0;
use nom::combinator::{all_consuming, eof, recognize, rest};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::{ConnectionStringError, MAX_CONNECTION_STRING};

pub(super) const HOST_NAME: &str = "HostName";
pub(super) const DEVICE_ID: &str = "DeviceId";
pub(super) const MODULE_ID: &str = "ModuleId";
pub(super) const SHARED_ACCESS_KEY_NAME: &str = "SharedAccessKeyName";
pub(super) const SHARED_ACCESS_KEY: &str = "SharedAccessKey";
pub(super) const SHARED_ACCESS_SIGNATURE: &str = "SharedAccessSignature";
pub(super) const X509: &str = "x509";
pub(super) const GATEWAY_HOST_NAME: &str = "GatewayHostName";
pub(super) const ENDPOINT: &str = "Endpoint";
pub(super) const ENTITY_PATH: &str = "EntityPath";
pub(super) const USE_DEVELOPMENT_EMULATOR: &str = "UseDevelopmentEmulator";

const KNOWN: [&str; 11] = [
    HOST_NAME,
    DEVICE_ID,
    MODULE_ID,
    SHARED_ACCESS_KEY_NAME,
    SHARED_ACCESS_KEY,
    SHARED_ACCESS_SIGNATURE,
    X509,
    GATEWAY_HOST_NAME,
    ENDPOINT,
    ENTITY_PATH,
    USE_DEVELOPMENT_EMULATOR,
];

/// The values of the known fields, each taken out at most once.
///
/// No `Debug`: the values hold keys.
pub(super) struct Fields<'a> {
    values: [Option<&'a str>; KNOWN.len()],
}

impl<'a> Fields<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ConnectionStringError> {
        if text.len() > MAX_CONNECTION_STRING {
            return Err(ConnectionStringError::TooLong { max: MAX_CONNECTION_STRING });
        }
        let mut values = [None; KNOWN.len()];
        let (mut input, mut position) = (text, 0);
        while !input.is_empty() {
            position += 1;
            let malformed = |_| ConnectionStringError::MalformedField { position };
            let (after, part) = part(input).map_err(malformed)?;
            input = after;
            if blank(part).is_ok() {
                continue;
            }
            let (value, name) = name(part).map_err(malformed)?;
            let known = KNOWN.iter().zip(&mut values).find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (field, slot) = known.ok_or(ConnectionStringError::UnknownField { position })?;
            let value = value.trim();
            if value.is_empty() {
                return Err(ConnectionStringError::EmptyField(field));
            }
            if slot.replace(value).is_some() {
                return Err(ConnectionStringError::DuplicateField(field));
            }
        }
        Ok(Self { values })
    }

    pub(super) fn contains(&self, field: &'static str) -> bool {
        KNOWN.iter().zip(&self.values).any(|(known, value)| *known == field && value.is_some())
    }

    pub(super) fn take(&mut self, field: &'static str) -> Option<&'a str> {
        KNOWN.iter().zip(&mut self.values).find(|(known, _)| **known == field).and_then(|(_, value)| value.take())
    }

    pub(super) fn require(&mut self, field: &'static str) -> Result<&'a str, ConnectionStringError> {
        self.take(field).ok_or(ConnectionStringError::MissingField(field))
    }

    /// A field that says true or false, false if it is absent.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, ConnectionStringError> {
        match self.take(field) {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(ConnectionStringError::InvalidValue { field, expected: "true or false" }),
        }
    }

    /// To be called when all that `kind` knows has been taken: what is left belongs to another kind.
    pub(super) fn finish(self, kind: &'static str) -> Result<(), ConnectionStringError> {
        match KNOWN.iter().zip(self.values).find(|(_, value)| value.is_some()) {
            Some((field, _)) => Err(ConnectionStringError::ForeignField { field, kind }),
            None => Ok(()),
        }
    }
}

/// Everything up to the next `;`, which is eaten. It may be nothing, before a `;` at least.
fn part(input: &str) -> IResult<&str, &str> {
    alt((terminated(is_not(";"), alt((tag(";"), eof))), terminated(tag(""), tag(";")))).parse_complete(input)
}

fn blank(part: &str) -> IResult<&str, &str> {
    recognize(all_consuming(multispace0)).parse_complete(part)
}

/// The name before the first `=`; what is left is the value, which may have more of them.
fn name(part: &str) -> IResult<&str, &str> {
    let name = terminated(is_not("="), tag("=")).map(|name: &str| name.trim_end());
    let (rest_of_part, name) = preceded(multispace0, name).parse_complete(part)?;
    let (_, value) = rest(rest_of_part)?;
    Ok((value, name))
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn error(text: &str) -> ConnectionStringError {
        match Fields::parse(text) {
            Ok(_) => panic!("{text} should be refused"),
            Err(error) => error,
        }
    }

    #[test]
    fn values_keep_their_equals_signs_and_names_any_case() {
        let mut fields = Fields::parse(" hostname = h ;SHAREDACCESSKEY=YWJjZA==; ;").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(fields.take(HOST_NAME), Some("h"));
        assert_eq!(fields.take(SHARED_ACCESS_KEY), Some("YWJjZA=="));
        assert_eq!(fields.take(SHARED_ACCESS_KEY), None);
        assert_eq!(fields.finish("a test's"), Ok(()));
    }

    #[test]
    fn each_fault_says_where_it_is() {
        assert_eq!(error("HostName=h;DeviceId"), ConnectionStringError::MalformedField { position: 2 });
        assert_eq!(error("=h"), ConnectionStringError::MalformedField { position: 1 });
        assert_eq!(error("HostName=h;;Colour=blue"), ConnectionStringError::UnknownField { position: 3 });
        assert_eq!(error("HostName=h;hostname=h"), ConnectionStringError::DuplicateField("HostName"));
        assert_eq!(error("HostName= ;DeviceId=d"), ConnectionStringError::EmptyField("HostName"));
        let long = "a".repeat(MAX_CONNECTION_STRING + 1);
        assert_eq!(error(&long), ConnectionStringError::TooLong { max: MAX_CONNECTION_STRING });
    }

    #[test]
    fn a_key_in_the_wrong_place_is_not_repeated() {
        for text in ["HostName=h;c2VjcmV0", "HostName=h;c2VjcmV0=", "c2VjcmV0==;HostName=h"] {
            assert!(!error(text).to_string().contains("c2VjcmV0"), "{text}");
        }
    }
}
