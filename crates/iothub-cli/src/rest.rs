//! What the commands over HTTPS have in common.

use crate::{
    cli::{HttpsOptions, IdentityOptions},
    connect::{authority, connection_string_of},
    failure::Failure,
    output::{Output, shown},
};
use iothub::{
    RegistryClient,
    registry::{IdentityId, IfMatch},
};
use serde_json::Value;

pub(crate) fn client(options: &HttpsOptions) -> Result<RegistryClient, Failure> {
    let string = connection_string_of(options.connection_string.as_ref())?;
    let mut builder = RegistryClient::builder().connection_string(&string)?.https_port(options.https_port);
    if let Some(pem) = authority(options.ca.as_deref())? {
        builder = builder.ca_pem(pem)?;
    }
    Ok(builder.build()?)
}

pub(crate) fn identity(options: &IdentityOptions) -> IdentityId {
    match &options.module {
        Some(module) => (options.device.as_str(), module.as_str()).into(),
        None => options.device.as_str().into(),
    }
}

pub(crate) fn condition(etag: Option<&str>) -> IfMatch {
    etag.map_or(IfMatch::Any, |etag| IfMatch::ETag(etag.into()))
}

/// Prints a document: over several lines for people, on one for programs.
pub(crate) fn document(output: &Output, document: &Value) {
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(|line| shown(line).to_string()).collect();
    output.say(&lines.join("\n"), document);
}

/// Reads what an option gives as JSON.
pub(crate) fn json(text: &str, option: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("--{option} wants JSON: {error}")))
}
