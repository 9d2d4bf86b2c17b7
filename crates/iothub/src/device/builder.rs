use super::{DeviceClient, ModuleClient, client::IdentityClient, links::Identity, who::Who};
use crate::{
    connect::{Hub, Place, Settings, common_setters},
    credential::SasTokenProvider,
    error::{Error, Subject},
};

/// What the builders of devices and modules have alike.
macro_rules! identity_setters {
    () => {
        /// Sets the certificate chain and its key, in PEM, for a connection string that says `x509=true`. The device
        /// then authenticates in the TLS handshake, without SASL and without tokens.
        pub fn client_certificate(mut self, chain_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
            self.settings.certificate(chain_pem.as_ref(), key_pem.as_ref());
            self
        }

        /// Sets where tokens come from. This replaces the key of the connection string, if there is one. See
        /// [`SasTokenProvider`].
        pub fn token_provider(mut self, provider: impl SasTokenProvider) -> Self {
            self.who.set_provider(provider);
            self
        }

        common_setters!();

        pub(super) fn into_parts(self) -> (Who, Settings) {
            (self.who, self.settings)
        }
    };
}

/// A [`DeviceClient`] that is to be connected.
#[derive(Clone, Debug, Default)]
#[must_use = "call connect"]
pub struct DeviceClientBuilder {
    who: Who,
    settings: Settings,
}

impl DeviceClientBuilder {
    /// Sets which hub and as which device: `HostName=…;DeviceId=…` and one of `SharedAccessKey=…`,
    /// `SharedAccessSignature=…` and `x509=true`. The host may have a port (`HostName=localhost:5671`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`](crate::ErrorKind::InvalidConnectionString), with the part that is wrong. One with a `ModuleId` is for
    /// [`ModuleClient`].
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        self.who.set_string(text)?;
        self.who.is_device()?;
        Ok(self)
    }

    /// Sets which hub and as which device, for a device with a [token provider](Self::token_provider) or a
    /// [certificate](Self::client_certificate). The host may have a port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`](crate::ErrorKind::InvalidConnectionString) if the host or the id cannot be one.
    pub fn identity(mut self, host: &str, device_id: &str) -> Result<Self, Error> {
        self.who.set_names(host, device_id, None)?;
        Ok(self)
    }

    identity_setters!();

    /// Connects and authenticates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized) for credentials that the hub refuses,
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect) where nothing listens,
    /// [`ErrorKind::Tls`](crate::ErrorKind::Tls) for a certificate that is not trusted,
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<DeviceClient, Error> {
        connect(self.who, self.settings).await.map(|client| DeviceClient { client })
    }
}

/// A [`ModuleClient`] that is to be connected.
#[derive(Clone, Debug, Default)]
#[must_use = "call connect"]
pub struct ModuleClientBuilder {
    who: Who,
    settings: Settings,
}

impl ModuleClientBuilder {
    /// Sets which hub and as which module: as for a [device](DeviceClientBuilder::connection_string), with
    /// `ModuleId=…`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`](crate::ErrorKind::InvalidConnectionString), with the part that is wrong.
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        self.who.set_string(text)?;
        self.who.is_module()?;
        Ok(self)
    }

    /// Sets which hub and as which module, for a module with a [token provider](Self::token_provider) or a
    /// [certificate](Self::client_certificate). The host may have a port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`](crate::ErrorKind::InvalidConnectionString) if the host or an id cannot be one.
    pub fn identity(mut self, host: &str, device_id: &str, module_id: &str) -> Result<Self, Error> {
        self.who.set_names(host, device_id, Some(module_id))?;
        Ok(self)
    }

    identity_setters!();

    /// Connects and authenticates.
    ///
    /// # Errors
    ///
    /// As [`DeviceClientBuilder::connect`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<ModuleClient, Error> {
        connect(self.who, self.settings).await.map(|client| ModuleClient { client })
    }
}

async fn connect(who: Who, settings: Settings) -> Result<IdentityClient, Error> {
    let names = who.names()?;
    let place = Place::of(&names.network_host);
    let identity = Identity { device: names.device.clone(), module: names.module.clone() };
    let hub = Hub::open(&place, who.proof(&settings)?, &settings, Subject::Device).await?;
    Ok(IdentityClient::new(hub, identity))
}
