use super::{RegistryClient, http::Http};
use crate::{
    caller::{Caller, caller_setters},
    connect::{Settings, shared_setters},
    error::{Error, ErrorKind},
};
use std::{fmt, time::Duration};

/// HTTPS.
const HTTPS: u16 = 443;

/// How often a request is repeated, unless set.
const RETRIES: u32 = 4;

/// A [`RegistryClient`] that is to be made.
#[derive(Clone)]
#[must_use = "call build"]
pub struct RegistryClientBuilder {
    caller: Caller,
    settings: Settings,
    port: u16,
    retries: u32,
    proxy: Option<String>,
}

impl fmt::Debug for RegistryClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClientBuilder")
            .field("caller", &self.caller)
            .field("settings", &self.settings)
            .field("port", &self.port)
            .field("retries", &self.retries)
            // Its URL may hold a password.
            .field("proxy", &self.proxy.is_some())
            .finish()
    }
}

impl Default for RegistryClientBuilder {
    fn default() -> Self {
        Self { caller: Caller::default(), settings: Settings::default(), port: HTTPS, retries: RETRIES, proxy: None }
    }
}

impl RegistryClientBuilder {
    /// Sets which hub and as whom: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`. Reading identities needs the
    /// right `registryRead`, changing them `registryWrite`, and twins, queries and methods `service`; the policy
    /// `iothubowner` has them all.
    ///
    /// A port in the host name (`HostName=localhost:5671`) is the port of AMQP. That of HTTPS is 443, or
    /// [`https_port`](Self::https_port).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`], with the part that is wrong.
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        self.caller.set_string(text)?;
        Ok(self)
    }

    caller_setters!();

    shared_setters!();

    /// Sets the port of HTTPS, for a hub on one's own machine that cannot have 443; 443 unless set.
    pub fn https_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets how often a request is repeated at most; 4 times unless set. What may be repeated, and when, is said at
    /// [`RegistryClient`].
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Goes through this proxy (`http://host:port`). Without it no proxy is used: the environment is not asked.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`]; [`ErrorKind::Tls`] if the platform's trust store cannot be read;
    /// [`ErrorKind::InvalidArgument`] for a proxy that is not a URL.
    pub fn build(self) -> Result<RegistryClient, Error> {
        let hosts = self.caller.hosts()?;
        let signer = self.caller.signer(self.settings.token_lifetime)?;
        let tls = self.settings.tls()?.to_config();
        let tls = tls.map_err(|error| Error::new(ErrorKind::Tls, error.to_string()).with_source(error))?;
        let mut client = reqwest::Client::builder()
            .use_preconfigured_tls((*tls).clone())
            .https_only(true)
            // A redirect would be shown the token.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.settings.connect_timeout)
            // Sooner than the hub: what it closes while a request is in flight may be lost.
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("iothub/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        if let Some(url) = &self.proxy {
            let proxy = reqwest::Proxy::all(url);
            // The error repeats the URL, which may hold a password.
            client = client.proxy(proxy.map_err(|_| Error::invalid("the proxy is not a URL"))?);
        }
        let client = client.build();
        let client =
            client.map_err(|error| Error::new(ErrorKind::Internal, "no client for HTTPS").with_source(error))?;
        let host = hosts.network.host();
        let authority = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let base = format!("https://{authority}:{}", self.port);
        let timeout = self.settings.operation_timeout;
        // The host that devices are to name in their connection strings, the port of AMQP included.
        let device_host = hosts.hub.to_string();
        Ok(RegistryClient::new(Http::new(client, base, signer, timeout, self.retries), device_host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let kind = |builder: RegistryClientBuilder| builder.build().expect_err("refused").kind();
        assert_eq!(kind(RegistryClientBuilder::default()), ErrorKind::InvalidConnectionString);
        let string = "HostName=h;SharedAccessKeyName=p;SharedAccessKey=YWJj";
        let builder = RegistryClientBuilder::default().connection_string(string).expect("a connection string");
        let builder = builder.proxy("user:geheim@@");
        assert!(!format!("{builder:?}").contains("geheim") && !format!("{builder:?}").contains("YWJj"), "{builder:?}");
        let error = builder.build().expect_err("no URL");
        assert!(error.kind() == ErrorKind::InvalidArgument && !format!("{error:?}").contains("geheim"), "{error:?}");
    }
}
