//! As which device or module a client connects, and what it shows for it.

use crate::{
    connect::{Proof, Settings},
    credential::{Auth, Provider, SasTokenProvider, Signer},
    error::{Error, ErrorKind},
};
use amqp1::auth::connection_string::{Credential, DeviceConnectionString, HostPort};
use std::sync::Arc;

/// As which device or module a client connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    names: Option<Names>,
    credential: Option<Credential>,
    provider: Option<Provider>,
}

/// Which hub, and which device or module of it.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) host: HostPort,
    /// What is dialled: the hub, or a gateway.
    pub(crate) network_host: HostPort,
    pub(crate) device: String,
    pub(crate) module: Option<String>,
}

impl Who {
    pub(crate) fn set_string(&mut self, text: &str) -> Result<(), Error> {
        let string = DeviceConnectionString::parse(text)?;
        self.names = Some(Names {
            host: string.host().clone(),
            network_host: string.network_host().clone(),
            device: string.device_id().to_owned(),
            module: string.module_id().map(str::to_owned),
        });
        self.credential = Some(string.credential().clone());
        Ok(())
    }

    pub(crate) fn set_names(&mut self, host: &str, device: &str, module: Option<&str>) -> Result<(), Error> {
        if [Some(host), Some(device), module].into_iter().flatten().any(|part| part.contains(';')) {
            let sentence = "a host and ids have no `;`: give a connection string to connection_string";
            return Err(Error::new(ErrorKind::InvalidConnectionString, sentence));
        }
        let module = module.map(|module| format!(";ModuleId={module}")).unwrap_or_default();
        self.set_string(&format!("HostName={host};DeviceId={device}{module};x509=true"))
    }

    pub(crate) fn set_provider(&mut self, provider: impl SasTokenProvider) {
        self.provider = Some(Provider(Arc::new(provider)));
    }

    pub(crate) fn names(&self) -> Result<&Names, Error> {
        let missing = "a client needs to know as whom it connects: give a connection string";
        self.names.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidConnectionString, missing))
    }

    pub(crate) fn is_device(&self) -> Result<(), Error> {
        match self.names()?.module {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::InvalidConnectionString,
                "the connection string is that of a module: use ModuleClient",
            )),
        }
    }

    pub(crate) fn is_module(&self) -> Result<(), Error> {
        match self.names()?.module {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorKind::InvalidConnectionString,
                "the connection string has no ModuleId: use DeviceClient for a device",
            )),
        }
    }

    /// What the device shows.
    pub(crate) fn proof(&self, settings: &Settings) -> Result<Proof, Error> {
        let names = self.names()?;
        let host = names.host.host().to_ascii_lowercase();
        let device = &names.device;
        let own = match &names.module {
            Some(module) => format!("{host}/devices/{device}/modules/{module}"),
            None => format!("{host}/devices/{device}"),
        };
        let signer = match (&self.provider, &self.credential) {
            (Some(provider), _) => Signer::provided(provider.clone(), own),
            (None, Some(Credential::X509)) => {
                return if settings.has_certificate() {
                    Ok(Proof::Certificate)
                } else {
                    Err(Error::new(
                        ErrorKind::InvalidConnectionString,
                        "there is no key: give a client certificate, a token provider, or a connection string with a key",
                    ))
                };
            }
            (None, Some(credential)) => {
                let resource = match credential {
                    // A policy's key speaks for the hub, and so for each of its devices.
                    Credential::SharedAccessKey { policy: Some(_), .. } => host,
                    // A token says itself what it is for, and may cover more than this.
                    _ => own,
                };
                Signer::for_hub(credential, resource, settings.token_lifetime)?.ok_or_else(no_key)?
            }
            (None, None) => return Err(no_key()),
        };
        match settings.auth {
            Auth::Cbs => Ok(Proof::Cbs(signer)),
            Auth::SaslPlain => {
                let hub = names.host.short_name();
                let user = match (signer.policy(), &names.module) {
                    (Some(policy), _) => format!("{policy}@sas.root.{hub}"),
                    (None, Some(module)) => format!("{device}/modules/{module}@sas.{hub}"),
                    (None, None) => format!("{device}@sas.{hub}"),
                };
                Ok(Proof::Plain { user, signer })
            }
        }
    }
}

fn no_key() -> Error {
    Error::new(ErrorKind::InvalidConnectionString, "the connection string has no SharedAccessKey")
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
        let mut who = Who::default();
        who.set_string(&text).expect("a connection string");
        who.proof(&settings(auth)).expect("a key")
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
        let mut who = Who::default();
        who.set_string("HostName=h;DeviceId=d;x509=true").expect("a connection string");
        let error = who.proof(&settings(Auth::Cbs)).expect_err("no certificate");
        assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
        let mut with = settings(Auth::Cbs);
        with.certificate(b"chain", b"key");
        assert!(matches!(who.proof(&with), Ok(Proof::Certificate)));
    }

    #[test]
    fn a_provider_replaces_the_key_and_is_asked_for_the_device() {
        let mut who = Who::default();
        who.set_names("MyHub.example", "d", None).expect("names");
        assert!(who.proof(&settings(Auth::Cbs)).is_err(), "nothing to show");
        who.set_provider(|_: String| async { Err("none".into()) });
        let Ok(Proof::Cbs(signer)) = who.proof(&settings(Auth::Cbs)) else { panic!("CBS") };
        assert_eq!((signer.resource(), signer.can_renew()), ("myhub.example/devices/d", true));
    }

    #[test]
    fn names_hide_no_further_parts_of_a_connection_string() {
        let mut who = Who::default();
        for (host, device, module) in [("h;x", "d", None), ("h", "d;x", None), ("h", "d", Some("m;x")), ("", "d", None)]
        {
            let error = who.set_names(host, device, module).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
        }
    }
}
