use alloc::string::String;
use core::str::FromStr;

use super::credential::KeyForm;
use super::fields::{ENDPOINT, ENTITY_PATH, Fields, SHARED_ACCESS_KEY_NAME, USE_DEVELOPMENT_EMULATOR, X509};
use super::{ConnectionStringError, Credential, HostPort};

const KIND: &str = "an Event Hubs";
const ENDPOINT_EXPECTED: &str = "a URI such as sb://namespace.example/";

/// The connection string of a reader of telemetry: how to reach an Event Hubs namespace or the Event-Hubs-compatible
/// endpoint of a hub:
/// `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`.
#[derive(Clone, Debug)]
pub struct EventHubsConnectionString {
    endpoint: HostPort,
    entity_path: Option<String>,
    credential: Credential,
    development_emulator: bool,
}

impl EventHubsConnectionString {
    /// Reads an Event Hubs connection string.
    ///
    /// # Errors
    ///
    /// A [`ConnectionStringError`] that names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        Self::from_fields(Fields::parse(text)?)
    }

    pub(super) fn from_fields(mut fields: Fields<'_>) -> Result<Self, ConnectionStringError> {
        let endpoint = endpoint(fields.require(ENDPOINT)?)?;
        let entity_path = fields.take(ENTITY_PATH).map(String::from);
        let development_emulator = fields.flag(USE_DEVELOPMENT_EMULATOR)?;
        if fields.contains(X509) {
            return Err(ConnectionStringError::ForeignField { field: X509, kind: KIND });
        }
        let credential = Credential::take(&mut fields, KeyForm::Text)?;
        fields.finish(KIND)?;
        if matches!(credential, Credential::SharedAccessKey { policy: None, .. }) {
            return Err(ConnectionStringError::MissingField(SHARED_ACCESS_KEY_NAME));
        }
        Ok(Self { endpoint, entity_path, credential, development_emulator })
    }

    /// The namespace's host.
    pub fn endpoint(&self) -> &HostPort {
        &self.endpoint
    }

    /// The event hub in the namespace, if the string names one.
    pub fn entity_path(&self) -> Option<&str> {
        self.entity_path.as_deref()
    }

    /// The policy's key, used as raw text here, or a token signed with it.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// `UseDevelopmentEmulator=true`: the endpoint is an emulator that speaks without TLS.
    pub fn is_development_emulator(&self) -> bool {
        self.development_emulator
    }
}

impl FromStr for EventHubsConnectionString {
    type Err = ConnectionStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn endpoint(uri: &str) -> Result<HostPort, ConnectionStringError> {
    let invalid = ConnectionStringError::InvalidValue { field: ENDPOINT, expected: ENDPOINT_EXPECTED };
    let (scheme, authority) = uri.split_once("://").ok_or(invalid)?;
    if !scheme.eq_ignore_ascii_case("sb") && !scheme.eq_ignore_ascii_case("amqps") {
        return Err(invalid);
    }
    HostPort::parse(authority.strip_suffix('/').unwrap_or(authority), ENDPOINT).map_err(|_| invalid)
}
