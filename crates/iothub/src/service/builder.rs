use super::ServiceClient;
use crate::{
    connect::{Hub, Place, Proof, Settings, common_setters},
    credential::{Auth, Signer},
    error::{Error, ErrorKind, Subject},
};
use amqp1::auth::connection_string::ServiceConnectionString;
use std::time::Duration;

/// A [`ServiceClient`] that is to be connected.
#[derive(Clone, Debug, Default)]
#[must_use = "call connect"]
pub struct ServiceClientBuilder {
    string: Option<ServiceConnectionString>,
    settings: Settings,
}

impl ServiceClientBuilder {
    /// Sets which hub and as whom: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`. The host may have a port
    /// (`HostName=localhost:5671`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`], with the part that is wrong.
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        self.string = Some(ServiceConnectionString::parse(text)?);
        Ok(self)
    }

    common_setters!();

    /// Connects and authenticates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] for credentials that the hub refuses, [`ErrorKind::Connect`] where nothing listens,
    /// [`ErrorKind::Tls`] for a certificate that is not trusted, [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<ServiceClient, Error> {
        let Some(string) = &self.string else {
            return Err(Error::new(ErrorKind::InvalidConnectionString, "a service client needs a connection string"));
        };
        let place = Place::of(string.network_host());
        let proof = hub_proof(string, self.settings.auth, self.settings.token_lifetime)?;
        Hub::open(&place, proof, &self.settings, Subject::Service).await.map(ServiceClient::new)
    }
}

/// How a policy shows who it is.
pub(crate) fn hub_proof(string: &ServiceConnectionString, auth: Auth, lifetime: Duration) -> Result<Proof, Error> {
    let resource = string.host().host().to_ascii_lowercase();
    let no_key = || Error::new(ErrorKind::InvalidConnectionString, "the connection string has no SharedAccessKey");
    let signer = Signer::for_hub(string.credential(), resource, lifetime)?.ok_or_else(no_key)?;
    match auth {
        Auth::Cbs => Ok(Proof::Cbs(signer)),
        Auth::SaslPlain => {
            let no_policy =
                || Error::new(ErrorKind::InvalidConnectionString, "the connection string names no SharedAccessKeyName");
            let policy = signer.policy().ok_or_else(no_policy)?;
            let user = format!("{policy}@sas.root.{}", string.host().short_name());
            Ok(Proof::Plain { user, signer })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(text: &str, auth: Auth) -> Proof {
        let string = ServiceConnectionString::parse(text).expect("a connection string");
        hub_proof(&string, auth, Duration::from_secs(60)).expect("a key")
    }

    #[test]
    fn a_policy_is_named_with_the_hubs_short_name_and_its_tokens_are_for_the_host_without_port() {
        let text = "HostName=MyHub.example:5671;SharedAccessKeyName=service;SharedAccessKey=YWJj";
        let Proof::Plain { user, signer } = proof(text, Auth::SaslPlain) else { panic!("PLAIN was asked for") };
        assert_eq!(user, "service@sas.root.MyHub");
        assert_eq!(signer.resource(), "myhub.example");
        assert!(matches!(proof(text, Auth::Cbs), Proof::Cbs(signer) if signer.resource() == "myhub.example"));
    }

    #[test]
    fn a_wrong_connection_string_says_which_part() {
        let builder = ServiceClientBuilder::default().connection_string("HostName=h;SharedAccessKey=c2VjcmV0");
        let error = builder.expect_err("no policy");
        assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
        assert!(error.to_string().contains("SharedAccessKeyName"), "{error}");
        assert!(!format!("{error:?}").contains("c2VjcmV0"));
    }
}
