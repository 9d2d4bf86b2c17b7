//! Which hub, and as whom.

use crate::{cli::HubOptions, failure::Failure};
use std::io::Read;

/// The connection string: from the option, the environment, or standard input. It is never shown.
pub(crate) fn connection_string(options: &HubOptions) -> Result<String, Failure> {
    let given = options.connection_string.as_deref().ok_or_else(|| {
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
    let Some(path) = &options.ca else { return Ok(None) };
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
        Ok::<_, crate::failure::Failure>(builder.auth(match options.auth {
            crate::cli::AuthMethod::Cbs => iothub::Auth::Cbs,
            crate::cli::AuthMethod::Plain => iothub::Auth::SaslPlain,
        }))
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
