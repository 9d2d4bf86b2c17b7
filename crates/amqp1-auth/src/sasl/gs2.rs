//! The GS2 header, with which SCRAM and OAUTHBEARER begin (RFC 5801 §4): `n,a=authzid,`.

use alloc::string::String;

use super::{SaslError, text};

/// The longest name taken, in octets, before it is escaped.
pub(super) const MAX_NAME: usize = 1024;
pub(super) const AUTHZID: &str = "authorization id";

/// The header of a client without channel binding; an empty `authzid` is none.
pub(super) fn header(authzid: &str) -> String {
    if authzid.is_empty() {
        return String::from("n,,");
    }
    ["n,a=", &escaped(authzid), ","].concat()
}

/// A header that was received, and what follows it.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// As it was written, with its last comma.
    pub(super) written: &'a str,
    pub(super) authzid: Option<String>,
    pub(super) rest: &'a str,
}

/// Reads a header. A client that would bind the channel if it could (`y`) is content with less; one that does (`p=`)
/// is not.
pub(super) fn read<'a>(message: &'a str, mechanism: &'static str) -> Result<Header<'a>, SaslError> {
    let malformed = || SaslError::Malformed { mechanism, what: "GS2 header" };
    let (flag, rest) = message.split_once(',').ok_or_else(malformed)?;
    match flag {
        "n" | "y" => {}
        _ if flag.starts_with("p=") => return Err(SaslError::ChannelBinding { mechanism }),
        _ => return Err(malformed()),
    }
    let (authzid, rest) = rest.split_once(',').ok_or_else(malformed)?;
    let authzid = match authzid.strip_prefix("a=") {
        Some(name) => Some(unescaped(name, AUTHZID)?),
        None if authzid.is_empty() => None,
        None => return Err(malformed()),
    };
    let written = message.strip_suffix(rest).ok_or_else(malformed)?;
    Ok(Header { written, authzid, rest })
}

/// RFC 5802 §5.1: a comma parts the attributes and `=` begins an escape, so neither stands in a name.
pub(super) fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The name behind an escaped one.
///
/// # Errors
///
/// [`SaslError::ForbiddenCharacter`] for a NUL, and for a `=` that begins neither `=2C` nor `=3D`;
/// [`SaslError::EmptyField`], [`SaslError::FieldTooLong`] above [`MAX_NAME`] octets.
pub(super) fn unescaped(written: &str, field: &'static str) -> Result<String, SaslError> {
    let mut name = String::with_capacity(written.len());
    let mut parts = written.split('=');
    name.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (octet, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(SaslError::ForbiddenCharacter { field }),
        };
        name.push(octet);
        name.push_str(rest);
    }
    if name.is_empty() {
        return Err(SaslError::EmptyField { field });
    }
    text(name.as_bytes(), field, MAX_NAME)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_and_equals_signs_survive() {
        for name in ["user", "a,b=c", "=2C", ",,==", "användare", "3D"] {
            assert_eq!(unescaped(&escaped(name), "name").as_deref(), Ok(name));
        }
        assert_eq!(escaped("a,b=c"), "a=2Cb=3Dc");
    }

    #[test]
    fn other_escapes_are_refused() {
        for written in ["a=b", "=", "a=2c", "=3d", "==3D", "a=2"] {
            let refused = Err(SaslError::ForbiddenCharacter { field: "name" });
            assert_eq!(unescaped(written, "name"), refused, "{written}");
        }
        assert_eq!(unescaped("", "name"), Err(SaslError::EmptyField { field: "name" }));
        assert_eq!(unescaped("a\0b", "name"), Err(SaslError::ForbiddenCharacter { field: "name" }));
        let long = "a".repeat(MAX_NAME + 1);
        assert_eq!(unescaped(&long, "name"), Err(SaslError::FieldTooLong { field: "name", max: MAX_NAME }));
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for (authzid, written) in [("", "n,,"), ("a,b", "n,a=a=2Cb,")] {
            assert_eq!(header(authzid), written);
            let message = [written, "rest,of it"].concat();
            let read = read(&message, "X").expect("our own header");
            assert_eq!((read.written, read.rest), (written, "rest,of it"));
            assert_eq!(read.authzid.unwrap_or_default(), authzid);
        }
        assert_eq!(read("y,,rest", "X").map(|header| header.written), Ok("y,,"));
    }

    #[test]
    fn bound_channels_and_other_headers_are_refused() {
        let refused = |message| read(message, "X").expect_err("not a header that is taken");
        assert_eq!(refused("p=tls-exporter,,n=u"), SaslError::ChannelBinding { mechanism: "X" });
        for message in ["", "n", "n,", "x,,", "n,b=u,", "n,user,", ",,", "F,n,,", "nn,,"] {
            assert_eq!(refused(message), SaslError::Malformed { mechanism: "X", what: "GS2 header" }, "{message}");
        }
        assert_eq!(refused("n,a=,"), SaslError::EmptyField { field: "authorization id" });
    }
}
