//! Which hub a service calls, and what it shows for it.

use crate::{
    connect::Proof,
    credential::{Auth, Provider, SasTokenProvider, Signer},
    error::{Error, ErrorKind},
};
use amqp1::auth::connection_string::{Credential, DeviceConnectionString, HostPort, ServiceConnectionString};
use std::{sync::Arc, time::Duration};

/// Which hub a service calls, and as whom: with the key of a policy, or with tokens of the application's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    hosts: Option<Hosts>,
    credential: Option<Credential>,
    provider: Option<Provider>,
}

#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// What tokens are for.
    pub(crate) hub: HostPort,
    /// What is dialled: the hub, or a gateway.
    pub(crate) network: HostPort,
}

impl From<&ServiceConnectionString> for Caller {
    fn from(string: &ServiceConnectionString) -> Self {
        let hosts = Hosts { hub: string.host().clone(), network: string.network_host().clone() };
        Self { hosts: Some(hosts), credential: Some(string.credential().clone()), provider: None }
    }
}

impl Caller {
    pub(crate) fn set_string(&mut self, text: &str) -> Result<(), Error> {
        let string = ServiceConnectionString::parse(text)?;
        *self = Self { provider: self.provider.take(), ..Self::from(&string) };
        Ok(())
    }

    pub(crate) fn set_host(&mut self, host: &str) -> Result<(), Error> {
        if host.contains(';') {
            let sentence = "a host has no `;`: give a connection string to connection_string";
            return Err(Error::new(ErrorKind::InvalidConnectionString, sentence));
        }
        // Hosts are read as part of a connection string.
        let string = DeviceConnectionString::parse(&format!("HostName={host};DeviceId=any;x509=true"))?;
        self.hosts = Some(Hosts { hub: string.host().clone(), network: string.network_host().clone() });
        Ok(())
    }

    pub(crate) fn set_provider(&mut self, provider: impl SasTokenProvider) {
        self.provider = Some(Provider(Arc::new(provider)));
    }

    pub(crate) fn hosts(&self) -> Result<&Hosts, Error> {
        let missing = "a service needs to know its hub: give a connection string, or a host and a token provider";
        self.hosts.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidConnectionString, missing))
    }

    /// What gives its tokens, which are for the whole hub.
    pub(crate) fn signer(&self, lifetime: Duration) -> Result<Signer, Error> {
        let resource = self.hosts()?.hub.host().to_ascii_lowercase();
        if let Some(provider) = &self.provider {
            return Ok(Signer::provided(provider.clone(), resource));
        }
        let invalid = |sentence| Error::new(ErrorKind::InvalidConnectionString, sentence);
        let Some(credential) = &self.credential else {
            return Err(invalid("there is no key: give a token provider, or a connection string with a key"));
        };
        let signer = Signer::for_hub(credential, resource, lifetime)?;
        signer.ok_or_else(|| invalid("the connection string has no SharedAccessKey"))
    }

    /// How it shows over AMQP who it is.
    pub(crate) fn proof(&self, auth: Auth, lifetime: Duration) -> Result<Proof, Error> {
        let signer = self.signer(lifetime)?;
        match auth {
            Auth::Cbs => Ok(Proof::Cbs(signer)),
            Auth::SaslPlain => {
                let policy = self.credential.as_ref().and_then(|credential| match credential {
                    Credential::SharedAccessSignature(token) => token.policy(),
                    other => other.policy(),
                });
                let no_policy = || {
                    let sentence = "SASL PLAIN needs the name of a policy: give a connection string with its \
                                    SharedAccessKeyName";
                    Error::new(ErrorKind::InvalidConnectionString, sentence)
                };
                let user = format!("{}@sas.root.{}", policy.ok_or_else(no_policy)?, self.hosts()?.hub.short_name());
                Ok(Proof::Plain { user, signer })
            }
        }
    }
}

/// Setters of who a service is.
macro_rules! caller_setters {
    () => {
        /// Sets which hub, for a service with a [token provider](Self::token_provider). The host may have a port, that of
        /// AMQP (`localhost:5671`).
        ///
        /// # Errors
        ///
        /// [`ErrorKind::InvalidConnectionString`](crate::ErrorKind::InvalidConnectionString) if it cannot be a host.
        pub fn host(mut self, host: &str) -> Result<Self, $crate::Error> {
            self.caller.set_host(host)?;
            Ok(self)
        }

        /// Sets where tokens come from. This replaces the key of the connection string, if there is one. The provider is
        /// asked for tokens for the whole hub, such as `my-hub.azure-devices.net`. See
        /// [`SasTokenProvider`](crate::SasTokenProvider).
        pub fn token_provider(mut self, provider: impl $crate::SasTokenProvider) -> Self {
            self.caller.set_provider(provider);
            self
        }
    };
}
pub(crate) use caller_setters;

#[cfg(test)]
mod tests {
    use super::*;

    const STRING: &str = "HostName=MyHub.example:5671;SharedAccessKeyName=service;SharedAccessKey=YWJj";

    fn caller(text: &str) -> Caller {
        let mut caller = Caller::default();
        caller.set_string(text).expect("a connection string");
        caller
    }

    fn provider(_: String) -> std::future::Ready<Result<amqp1::auth::sas::SasToken, crate::ProviderError>> {
        std::future::ready(Err("no token".into()))
    }

    fn proof(caller: &Caller, auth: Auth) -> Result<Proof, Error> {
        caller.proof(auth, Duration::from_secs(60))
    }

    #[test]
    fn a_policy_is_named_with_the_hubs_short_name_and_its_tokens_are_for_the_host_without_port() {
        let mut caller = caller(STRING);
        for _ in ["the key", "a provider"] {
            let Ok(Proof::Plain { user, signer }) = proof(&caller, Auth::SaslPlain) else { panic!("PLAIN, as asked") };
            assert_eq!((user.as_str(), signer.resource()), ("service@sas.root.MyHub", "myhub.example"));
            assert!(
                matches!(proof(&caller, Auth::Cbs), Ok(Proof::Cbs(signer)) if signer.resource() == "myhub.example")
            );
            caller.set_provider(provider);
        }
    }

    #[test]
    fn a_host_and_a_provider_are_enough_but_for_sasl_plain() {
        let mut caller = Caller::default();
        caller.set_host("MyHub.example:5671").expect("a host");
        let error = proof(&caller, Auth::Cbs).expect_err("no key");
        assert!(error.to_string().contains("token provider"), "{error}");
        caller.set_provider(provider);
        assert!(matches!(proof(&caller, Auth::Cbs), Ok(Proof::Cbs(signer)) if signer.resource() == "myhub.example"));
        let error = proof(&caller, Auth::SaslPlain).expect_err("no policy");
        assert!(error.to_string().contains("SharedAccessKeyName"), "{error}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let kind = |error: Error| error.kind();
        assert_eq!(kind(Caller::default().hosts().map(drop).expect_err("none")), ErrorKind::InvalidConnectionString);
        for host in ["", "a;DeviceId=b", "a b"] {
            assert_eq!(
                kind(Caller::default().set_host(host).expect_err(host)),
                ErrorKind::InvalidConnectionString,
                "{host}"
            );
        }
    }
}
