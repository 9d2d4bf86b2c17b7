use super::DeviceClient;
use crate::{
    connect::{Hub, Place, Proof, Settings, common_setters},
    credential::{Auth, Signer},
    error::{Error, ErrorKind, Subject},
};
use amqp1::auth::connection_string::{Credential, DeviceConnectionString};

/// A [`DeviceClient`] that is to be connected.
#[derive(Clone, Debug, Default)]
#[must_use = "call connect"]
pub struct DeviceClientBuilder {
    string: Option<DeviceConnectionString>,
    settings: Settings,
}

impl DeviceClientBuilder {
    /// Sets which hub and as which device: `HostName=…;DeviceId=…` and one of `SharedAccessKey=…`,
    /// `SharedAccessSignature=…` and `x509=true`; `ModuleId=…` for a module. The host may have a port
    /// (`HostName=localhost:5671`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`], with the part that is wrong.
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        self.string = Some(DeviceConnectionString::parse(text)?);
        Ok(self)
    }

    /// Sets the certificate chain and its key, in PEM, of a device whose connection string says `x509=true`.
    pub fn client_certificate(mut self, chain_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.settings.certificate(chain_pem.as_ref(), key_pem.as_ref());
        self
    }

    common_setters!();

    /// Connects and authenticates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] for credentials that the hub refuses, [`ErrorKind::Connect`] where nobody listens,
    /// [`ErrorKind::Tls`] for a certificate that is not trusted, [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<DeviceClient, Error> {
        let Some(string) = &self.string else {
            return Err(Error::new(ErrorKind::InvalidConnectionString, "a device client needs a connection string"));
        };
        let place = Place::of(string.network_host());
        let proof = proof(string, &self.settings)?;
        let hub = Hub::open(&place, proof, &self.settings, Subject::Device).await?;
        Ok(DeviceClient::new(hub, string.device_id().to_owned(), string.module_id().map(str::to_owned)))
    }
}

/// How a device shows who it is.
fn proof(string: &DeviceConnectionString, settings: &Settings) -> Result<Proof, Error> {
    let host = string.host().host().to_ascii_lowercase();
    let device = string.device_id();
    if matches!(string.credential(), Credential::X509) {
        return if settings.has_certificate() {
            Ok(Proof::Certificate)
        } else {
            Err(Error::new(
                ErrorKind::InvalidConnectionString,
                "the connection string says x509=true, but no client certificate was given",
            ))
        };
    }
    let own = match string.module_id() {
        Some(module) => format!("{host}/devices/{device}/modules/{module}"),
        None => format!("{host}/devices/{device}"),
    };
    let resource = match string.credential() {
        // A policy's key speaks for the hub, and so for each of its devices.
        Credential::SharedAccessKey { policy: Some(_), .. } => host,
        // A token says itself what it is for, and may cover more than this.
        _ => own,
    };
    let no_key = || Error::new(ErrorKind::InvalidConnectionString, "the connection string has no SharedAccessKey");
    let signer = Signer::for_hub(string.credential(), resource, settings.token_lifetime)?.ok_or_else(no_key)?;
    match settings.auth {
        Auth::Cbs => Ok(Proof::Cbs(signer)),
        Auth::SaslPlain => {
            let hub = string.host().short_name();
            let user = match (signer.policy(), string.module_id()) {
                (Some(policy), _) => format!("{policy}@sas.root.{hub}"),
                (None, Some(module)) => format!("{device}/modules/{module}@sas.{hub}"),
                (None, None) => format!("{device}@sas.{hub}"),
            };
            Ok(Proof::Plain { user, signer })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(auth: Auth) -> Settings {
        let mut settings = Settings::default();
        settings.auth = auth;
        settings
    }

    fn proof_of(rest: &str, auth: Auth) -> Proof {
        let text = format!("HostName=MyHub.example;DeviceId=d#1;{rest}");
        let string = DeviceConnectionString::parse(&text).expect("a connection string");
        proof(&string, &settings(auth)).expect("a key")
    }

    fn resource(rest: &str) -> String {
        match proof_of(rest, Auth::Cbs) {
            Proof::Cbs(signer) => signer.resource().to_owned(),
            other => panic!("CBS was asked for: {other:?}"),
        }
    }

    fn user(rest: &str) -> String {
        match proof_of(rest, Auth::SaslPlain) {
            Proof::Plain { user, .. } => user,
            other => panic!("PLAIN was asked for: {other:?}"),
        }
    }

    #[test]
    fn tokens_are_for_the_device_or_the_module_or_with_a_policy_for_the_hub() {
        assert_eq!(resource("SharedAccessKey=YWJj"), "myhub.example/devices/d#1");
        assert_eq!(resource("ModuleId=m;SharedAccessKey=YWJj"), "myhub.example/devices/d#1/modules/m");
        assert_eq!(resource("SharedAccessKeyName=device;SharedAccessKey=YWJj"), "myhub.example");
    }

    #[test]
    fn plain_names_the_device_the_module_or_the_policy() {
        assert_eq!(user("SharedAccessKey=YWJj"), "d#1@sas.MyHub");
        assert_eq!(user("ModuleId=m;SharedAccessKey=YWJj"), "d#1/modules/m@sas.MyHub");
        assert_eq!(user("SharedAccessKeyName=device;SharedAccessKey=YWJj"), "device@sas.root.MyHub");
    }

    #[test]
    fn x509_needs_a_certificate() {
        let string = DeviceConnectionString::parse("HostName=h;DeviceId=d;x509=true").expect("a connection string");
        let error = proof(&string, &settings(Auth::Cbs)).expect_err("no certificate");
        assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
        let mut with = settings(Auth::Cbs);
        with.certificate(b"chain", b"key");
        assert!(matches!(proof(&string, &with), Ok(Proof::Certificate)));
    }
}
