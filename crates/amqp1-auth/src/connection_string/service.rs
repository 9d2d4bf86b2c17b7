use core::str::FromStr;

use super::credential::KeyForm;
use super::fields::{Fields, GATEWAY_HOST_NAME, HOST_NAME, SHARED_ACCESS_KEY_NAME, X509};
use super::{ConnectionStringError, Credential, HostPort};

const KIND: &str = "a service's";

/// The connection string of a service: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`.
#[derive(Clone, Debug)]
pub struct ServiceConnectionString {
    host: HostPort,
    gateway: Option<HostPort>,
    credential: Credential,
}

impl ServiceConnectionString {
    /// Reads a service's connection string.
    ///
    /// # Errors
    ///
    /// A [`ConnectionStringError`] that names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        Self::from_fields(Fields::parse(text)?)
    }

    pub(super) fn from_fields(mut fields: Fields<'_>) -> Result<Self, ConnectionStringError> {
        let host = HostPort::parse(fields.require(HOST_NAME)?, HOST_NAME)?;
        let gateway =
            fields.take(GATEWAY_HOST_NAME).map(|text| HostPort::parse(text, GATEWAY_HOST_NAME)).transpose()?;
        if fields.contains(X509) {
            return Err(ConnectionStringError::ForeignField { field: X509, kind: KIND });
        }
        let credential = Credential::take(&mut fields, KeyForm::Base64)?;
        fields.finish(KIND)?;
        if matches!(credential, Credential::SharedAccessKey { policy: None, .. }) {
            return Err(ConnectionStringError::MissingField(SHARED_ACCESS_KEY_NAME));
        }
        Ok(Self { host, gateway, credential })
    }

    /// The hub (`HostName`): what tokens are signed for.
    pub fn host(&self) -> &HostPort {
        &self.host
    }

    /// The host to connect to: `GatewayHostName` if there is one, else `HostName`.
    pub fn network_host(&self) -> &HostPort {
        self.gateway.as_ref().unwrap_or(&self.host)
    }

    /// The policy's key, or a token signed with it.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}

impl FromStr for ServiceConnectionString {
    type Err = ConnectionStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}
