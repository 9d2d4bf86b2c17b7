//! Which hub, and as whom.

use crate::{arguments::Hidden, cli::HubOptions, failure::Failure};
use iothub_emulator::hub::Key;
use std::{io::Read, path::Path};

/// The connection string: from the option, the environment, or standard input. It is never shown.
pub(crate) fn connection_string(options: &HubOptions) -> Result<String, Failure> {
    connection_string_of(options.connection_string.as_ref())
}

/// As [`connection_string`], of what the option gives.
pub(crate) fn connection_string_of(given: Option<&Hidden>) -> Result<String, Failure> {
    // A variable that is set to nothing gives nothing.
    let given = given.map(Hidden::expose).filter(|given| !given.trim().is_empty()).ok_or_else(|| {
        Failure::usage("no connection string: give --connection-string, or set IOTHUB_CONNECTION_STRING, or \"-\" to read it from standard input")
    })?;
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    // A connection string is short; whatever is longer is something else.
    let read = std::io::stdin().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    let line = text.trim();
    if line.is_empty() {
        return Err(Failure::usage("standard input holds no connection string"));
    }
    Ok(line.to_owned())
}

/// The certificate authority of a hub on one's own machine.
pub(crate) fn ca(options: &HubOptions) -> Result<Option<Vec<u8>>, Failure> {
    authority(options.ca.as_deref())
}

/// As [`ca`], of what the option gives.
pub(crate) fn authority(path: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::read(path) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) => Err(Failure::usage(format!("the certificate file {} cannot be read: {error}", path.display()))),
    }
}

/// Sets what the clients' builders have in common.
macro_rules! configured {
    ($client:ty, $options:expr) => {{
        let options: &crate::cli::HubOptions = $options;
        let string = crate::connect::connection_string(options)?;
        let mut builder = <$client>::builder().connection_string(&string)?;
        if let Some(pem) = crate::connect::ca(options)? {
            builder = builder.ca_pem(&pem)?;
        }
        Ok::<_, crate::failure::Failure>(builder.auth(options.auth.into()))
    }};
}
pub(crate) use configured;

/// `NAME=VALUE`.
pub(crate) fn pair<'a>(text: &'a str, option: &str) -> Result<(&'a str, &'a str), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        // The value may be a key, so it is not repeated.
        _ => Err(Failure::usage(format!("--{option} wants NAME=VALUE"))),
    }
}

/// `NAME=BASE64KEY`, where `what` is how the option's help calls the name. Where it is not that, none of it is repeated: it
/// may be a key alone, whose `=` only fill it up, or a key where the name should be.
pub(crate) fn named_key<'a>(text: &'a Hidden, option: &str, what: &str) -> Result<(&'a str, &'a str), Failure> {
    match text.expose().split_once('=') {
        Some((name, _)) if !is_name(name, what) => Err(Failure::usage(format!(
            "--{option} wants {what}=BASE64KEY: what is before the first `=` is not a name"
        ))),
        Some((name, key)) if Key::from_base64(key).is_ok() => Ok((name, key)),
        Some(_) => Err(Failure::usage(format!(
            "--{option} wants {what}=BASE64KEY: what follows the first `=` is not a key in Base64"
        ))),
        None => Err(Failure::usage(format!("--{option} wants {what}=BASE64KEY: there is no `=` in it"))),
    }
}

/// Whether a text may be a name and is no key: Base64 has `/`, which no name has, and `+`, which only ids of devices have.
fn is_name(text: &str, what: &str) -> bool {
    !text.is_empty() && !text.contains('/') && (what == "ID" || !text.contains('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0IGtleSBmb3IgYSB0ZXN0IQ==";

    #[test]
    fn a_key_without_a_name_is_refused_and_not_repeated() {
        let swapped = format!("{KEY}=service");
        let string = format!("HostName=h;SharedAccessKey={KEY}");
        for text in [KEY, "c2VjcmV0IGtleQ", "c2VjcmV0IGtleSE=", &swapped, &string, "service=", "c2VjcmV0/+=abcd"] {
            let given: Hidden = text.parse().expect("anything");
            let error = named_key(&given, "policy", "NAME").expect_err(text);
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("--policy wants NAME=BASE64KEY"), "{shown}");
            assert!(!shown.contains("c2VjcmV0") && !shown.contains("HostName"), "{shown}");
            let error = named_key(&given, "device", "ID").expect_err(text).to_string();
            assert!(error.contains("--device wants ID=BASE64KEY"), "{error}");
        }
        let given: Hidden = format!("service={KEY}").parse().expect("anything");
        assert_eq!(named_key(&given, "policy", "NAME").expect("a policy"), ("service", KEY));
    }
}
