//! The user names of SASL PLAIN (the authentication identity, RFC 4616).

use super::address::decode;
use super::grant::{AuthError, Challenge, Grant, Signer};
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::settings::Settings;

/// Who a user name says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlainUser {
    Identity(IdentityId),
    Policy(String),
}

impl PlainUser {
    /// Parses `{policy}@sas.root.{hub}`, `{deviceId}@sas.{hub}` or `{deviceId}/modules/{moduleId}@sas.{hub}`, where
    /// the hub goes by its short name: the full host name is refused, as it is by the service.
    pub(crate) fn parse(settings: &Settings, user: &str) -> Result<Self, AuthError> {
        let (name, hub) = user.rsplit_once("@sas.").ok_or(AuthError::MalformedUser)?;
        if let Some(hub) = hub.strip_prefix("root.") {
            check_hub(settings, hub)?;
            return if name.is_empty() { Err(AuthError::MalformedUser) } else { Ok(Self::Policy(name.into())) };
        }
        check_hub(settings, hub)?;
        let device = |id: &str| DeviceId::new(&decode(id)).map_err(|_| AuthError::MalformedUser);
        match name.split_once("/modules/") {
            None => Ok(Self::Identity(device(name)?.into())),
            Some((id, module)) => {
                let module = ModuleId::new(&decode(module)).map_err(|_| AuthError::MalformedUser)?;
                Ok(Self::Identity(IdentityId::of_module(device(id)?, module)))
            }
        }
    }

    /// Cuts what the token would allow down to what this user is.
    pub(crate) fn confine(self, challenge: Challenge<'_>) -> Result<Challenge<'_>, AuthError> {
        challenge.try_map(|grant: Grant| match self {
            Self::Identity(id) => grant.narrowed_to(&id),
            Self::Policy(name) => (*grant.signer() == Signer::Policy(name)).then_some(grant),
        })
    }
}

fn check_hub(settings: &Settings, name: &str) -> Result<(), AuthError> {
    if settings.is_hub_name(name) {
        return Ok(());
    }
    Err(if settings.is_host(name) { AuthError::MalformedUser } else { AuthError::ForeignHost })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(user: &str) -> Result<PlainUser, AuthError> {
        let settings = Settings { host_name: "contoso.azure-devices.net".into(), ..Settings::default() };
        PlainUser::parse(&settings, user)
    }

    #[test]
    fn user_names_tell_policies_from_devices() {
        assert_eq!(parse("service@sas.root.contoso"), Ok(PlainUser::Policy("service".into())));
        let device = |id: &str| Ok(PlainUser::Identity(DeviceId::new(id).unwrap().into()));
        assert_eq!(parse("dev1@sas.Contoso"), device("dev1"));
        assert_eq!(parse("a%40b@sas.contoso"), device("a@b"));
        assert_eq!(parse("a@sas.b@sas.contoso"), device("a@sas.b"));
        let module = IdentityId::of_module(DeviceId::new("dev1").unwrap(), ModuleId::new("m#1").unwrap());
        assert_eq!(parse("dev1/modules/m%231@sas.contoso"), Ok(PlainUser::Identity(module)));
    }

    #[test]
    fn other_user_names_are_refused() {
        for user in [
            "",
            "dev1",
            "dev1@contoso",
            "@sas.contoso",
            "@sas.root.contoso",
            "a/b@sas.contoso",
            "a/modules/@sas.contoso",
        ] {
            assert_eq!(parse(user), Err(AuthError::MalformedUser), "{user}");
        }
        assert_eq!(parse("dev1@sas.contoso.azure-devices.net"), Err(AuthError::MalformedUser));
        assert_eq!(parse("dev1@sas.fabrikam"), Err(AuthError::ForeignHost));
        assert_eq!(parse("service@sas.root.fabrikam"), Err(AuthError::ForeignHost));
    }
}
