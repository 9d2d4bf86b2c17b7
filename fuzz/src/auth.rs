//! What each target of the credentials does with its octets.

use amqp1_auth::{
    connection_string::{ConnectionString, DeviceConnectionString, EventHubsConnectionString, ServiceConnectionString},
    sas::SasToken,
    sasl::plain::Credentials,
};

/// Stands where a secret stood; valid wherever base64 is wanted, and no word of anyone's.
const CANARY: &str = "Q2FuYXJ5IGluIGEgY29hbG1pbmUu";

/// Texts to connection strings, tokens and PLAIN responses: no panic, and no secret in what is shown.
pub fn connection_string(octets: &[u8]) {
    if let Ok(credentials) = Credentials::parse(octets) {
        let public = [credentials.authcid(), credentials.authzid().unwrap_or_default()].join("\0");
        let response = format!("{}\0{}\0{CANARY}", credentials.authzid().unwrap_or_default(), credentials.authcid());
        if let (Ok(credentials), false) = (Credentials::parse(response.as_bytes()), public.contains(CANARY)) {
            assert!(!format!("{credentials:?}").contains(CANARY), "a password is shown");
        }
    }
    let Ok(text) = core::str::from_utf8(octets) else { return };
    if ConnectionString::parse(text).is_ok() {
        let kinds = [
            DeviceConnectionString::parse(text).is_ok(),
            ServiceConnectionString::parse(text).is_ok(),
            EventHubsConnectionString::parse(text).is_ok(),
        ];
        assert!(kinds.contains(&true), "what is of some kind is of one of them");
    }
    if let Ok(token) = SasToken::parse(text) {
        assert_eq!(token.as_str(), text);
    }
    for text in with_canary(text, secrets_of_pairs(text)) {
        let shown = match ConnectionString::parse(&text) {
            Ok(parsed) => format!("{parsed:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(CANARY), "a secret is shown");
    }
    for text in with_canary(text, text.split(['&', ' ']).filter_map(|part| part.strip_prefix("sig="))) {
        let shown = match SasToken::parse(&text) {
            Ok(token) => format!("{token} {token:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(CANARY), "a signature is shown");
    }
}

/// What stands after names that are those of secrets in a connection string.
fn secrets_of_pairs(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        matches!(name.trim(), "SharedAccessKey" | "SharedAccessSignature").then_some(value)
    })
}

/// The text with the canary in place of each secret; what stands elsewhere too is none.
fn with_canary<'a>(text: &'a str, secrets: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    secrets
        .filter(|secret| !secret.is_empty() && !text.contains(CANARY) && text.matches(secret).count() == 1)
        .map(|secret| text.replace(secret, CANARY))
}
