//! What each target of the credentials does with its octets.

use amqp1_auth::{
    connection_string::{ConnectionString, DeviceConnectionString, EventHubsConnectionString, ServiceConnectionString},
    sas::SasToken,
    sasl::plain::Credentials,
};

/// Texts to connection strings, tokens and PLAIN responses: no panic, and no secret in what is shown.
pub fn connection_string(octets: &[u8]) {
    if let Ok(credentials) = Credentials::parse(octets) {
        let public = [credentials.authcid(), credentials.authzid().unwrap_or_default()];
        if !public.iter().any(|name| name.contains(credentials.password())) {
            shows_no_secret(&format!("{credentials:?}"), credentials.password());
        }
    }
    let Ok(text) = core::str::from_utf8(octets) else { return };
    let any = ConnectionString::parse(text);
    let kinds = [
        DeviceConnectionString::parse(text).is_ok(),
        ServiceConnectionString::parse(text).is_ok(),
        EventHubsConnectionString::parse(text).is_ok(),
    ];
    if any.is_ok() {
        assert!(kinds.contains(&true), "what is of some kind is of one of them");
    }
    let shown = match &any {
        Ok(parsed) => format!("{parsed:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    // What stands elsewhere too is none.
    for secret in secrets(text).filter(|secret| text.matches(secret).count() == 1) {
        shows_no_secret(&shown, secret);
    }
    if let Ok(token) = SasToken::parse(text) {
        assert_eq!(token.as_str(), text);
        let signature = text.split(['&', ' ']).find_map(|part| part.strip_prefix("sig=")).unwrap_or_default();
        if text.matches(signature).count() == 1 {
            shows_no_secret(&format!("{token} {token:?}"), signature);
        }
    }
}

/// What stands after names that are those of secrets.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        matches!(name.trim(), "SharedAccessKey" | "SharedAccessSignature").then_some(value)
    })
}

/// Short secrets are parts of other words by chance.
fn shows_no_secret(shown: &str, secret: &str) {
    assert!(secret.len() < 12 || !shown.contains(secret), "a secret is shown");
}
