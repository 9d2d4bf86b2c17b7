use alloc::string::String;
use core::str::FromStr;

use super::credential::KeyForm;
use super::fields::{DEVICE_ID, Fields, GATEWAY_HOST_NAME, HOST_NAME, MODULE_ID};
use super::{ConnectionStringError, Credential, HostPort};

const KIND: &str = "a device's";
const ID_EXPECTED: &str = "up to 128 ASCII letters, digits and characters of -:.+%_#*?!(),=@$'";
const MAX_ID: usize = 128;

/// The connection string of a device or a module: `HostName=…;DeviceId=…;SharedAccessKey=…`.
#[derive(Clone, Debug)]
pub struct DeviceConnectionString {
    host: HostPort,
    gateway: Option<HostPort>,
    device_id: String,
    module_id: Option<String>,
    credential: Credential,
}

impl DeviceConnectionString {
    /// Reads a device's or a module's connection string.
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
        let device_id = id(fields.require(DEVICE_ID)?, DEVICE_ID)?;
        let module_id = fields.take(MODULE_ID).map(|text| id(text, MODULE_ID)).transpose()?;
        let credential = Credential::take(&mut fields, KeyForm::Base64)?;
        fields.finish(KIND)?;
        Ok(Self { host, gateway, device_id, module_id, credential })
    }

    /// The hub (`HostName`): what tokens are signed for.
    pub fn host(&self) -> &HostPort {
        &self.host
    }

    /// The host to connect to: `GatewayHostName` if there is one, else `HostName`.
    pub fn network_host(&self) -> &HostPort {
        self.gateway.as_ref().unwrap_or(&self.host)
    }

    /// The device's id; its case matters.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The module's id, if it is a module's connection string.
    pub fn module_id(&self) -> Option<&str> {
        self.module_id.as_deref()
    }

    /// The device's key, a token, or that there is a certificate.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}

impl FromStr for DeviceConnectionString {
    type Err = ConnectionStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn id(text: &str, field: &'static str) -> Result<String, ConnectionStringError> {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@$'".contains(&octet);
    if text.len() > MAX_ID || !text.bytes().all(allowed) {
        return Err(ConnectionStringError::InvalidValue { field, expected: ID_EXPECTED });
    }
    Ok(String::from(text))
}
