//! Shared access signatures, checked for real.

use amqp1_auth::UnixSeconds;
use amqp1_auth::sas::{SasError, SasToken, SharedAccessKey};

use crate::hub::{AuthError, Challenge, Grant, Hub, Key, UnixMillis, Verdict};

/// Whom a token came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presented<'a> {
    /// By put-token: its own fields say all.
    Cbs,
    /// As the password of this user of SASL PLAIN.
    Plain(&'a str),
}

/// A token that was found good.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    /// The resource and the policy that it names: what a later token must name as well to take its place.
    pub(crate) audience: (String, Option<String>),
    pub(crate) grant: Grant,
    pub(crate) expires: UnixMillis,
}

/// Why a token is refused. Never holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("400004 ArgumentInvalid; {0}")]
    Malformed(SasError),
    #[error(transparent)]
    Refused(#[from] AuthError),
}

impl TokenError {
    /// The `status-code` of the answer to put-token.
    pub(crate) fn cbs_status(&self) -> i32 {
        match self {
            Self::Malformed(_) => 400,
            Self::Refused(error) => error.cbs_status(),
        }
    }
}

/// Checks a token: its form, its resource, who may have signed it, its signature and its expiry.
pub(crate) fn verify(hub: &Hub, now: UnixMillis, by: Presented<'_>, text: &str) -> Result<Verified, TokenError> {
    let token = SasToken::parse(text).map_err(TokenError::Malformed)?;
    let challenge: Challenge<'_> = match by {
        Presented::Cbs => hub.challenge(token.resource(), token.policy())?,
        Presented::Plain(user) => hub.challenge_plain(user, token.resource(), token.policy())?,
    };
    let skew = hub.settings().token_clock_skew;
    let skew_seconds = skew.as_secs() + u64::from(skew.subsec_nanos() > 0);
    let seconds = UnixSeconds::new((now.0 / 1000).saturating_sub(skew_seconds));
    let grant = challenge.verify(|key| verdict(key, &token, seconds))?;
    Ok(Verified {
        audience: (token.resource().to_ascii_lowercase(), token.policy().map(Into::into)),
        grant,
        expires: UnixMillis(token.expiry().as_u64().saturating_add(skew_seconds).saturating_mul(1000)),
    })
}

/// Whom a token claims to be of and what it is for, for the log of its refusal; `None` if it is malformed. Never holds the
/// signature.
pub(crate) fn claim(text: &str) -> Option<String> {
    let token = SasToken::parse(text).ok()?;
    Some(match token.policy() {
        Some(policy) => format!("refused token of policy {policy} for {}", token.resource()),
        None => format!("refused token for {}", token.resource()),
    })
}

/// Event Hubs clients sign with the text of the key, all others with what it stands for.
fn verdict(key: &Key, token: &SasToken, now: UnixSeconds) -> Verdict {
    let answer = SharedAccessKey::new(key.base64()).and_then(|key| key.verify(token, now));
    match answer {
        Ok(()) => Verdict::Good,
        Err(SasError::Expired { .. }) => Verdict::Expired,
        Err(_) => Verdict::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{DeviceSpec, Policies, Settings};
    use amqp1_auth::sas::{PercentEncoding, SasKey};

    const SERVICE: &str = "bG9jYWwtc2VydmljZS1wb2xpY3kta2V5LTAxMjM0NTY=";
    const DEVICE: &str = "bG9jYWwtZGV2aWNlLXByaW1hcnkta2V5LTAxMjM0NTY=";
    const NOW: UnixMillis = UnixMillis(1_795_373_653_000);

    fn hub() -> Hub {
        let mut policies = Policies::new();
        policies.set(format!("service={SERVICE}").parse().unwrap());
        let mut hub = Hub::new(Settings::default(), policies).unwrap();
        hub.add_device(format!("device1={DEVICE}").parse::<DeviceSpec>().unwrap()).unwrap();
        hub.add_device(format!("device2={SERVICE}").parse::<DeviceSpec>().unwrap()).unwrap();
        hub
    }

    fn sign(key: &SasKey, resource: &str, seconds: u64, policy: Option<&str>) -> String {
        let expiry = UnixSeconds::new(NOW.0 / 1000 + seconds);
        key.sign(resource, PercentEncoding::Component, expiry, policy).into_secret_text()
    }

    #[test]
    fn tokens_that_real_clients_made_are_good() {
        let hub = hub();
        for text in [
            "SharedAccessSignature sr=localhost%2Fdevices%2Fdevice1&sig=At%2B%2F8IDCawIecUA7I966Tx8V1wZ%2BBGx%2Fy%2BQStExPmqk%3D&se=1795377253",
            "SharedAccessSignature sr=sb%3A%2F%2Flocalhost%2Flocalhost%2Fconsumergroups%2F%24Default&sig=Sw4boVNMq%2FvFTxCAwdVzbGbgfMPS9uTGGGdThdpbfwg%3D&se=1795377262&skn=service",
        ] {
            let verified = verify(&hub, NOW, Presented::Cbs, text).unwrap();
            assert_eq!(verified.expires.0 / 1_000_000, 1_795_377);
        }
    }

    #[test]
    fn a_token_is_taken_for_the_clock_skew_after_its_expiry() {
        let settings = Settings { token_clock_skew: core::time::Duration::from_secs(300), ..Settings::default() };
        let mut hub = Hub::new(settings, Policies::new()).unwrap();
        hub.add_device(format!("device1={DEVICE}").parse::<DeviceSpec>().unwrap()).unwrap();
        let text = sign(&SasKey::from_base64(DEVICE).unwrap(), "localhost/devices/device1", 0, None);
        let verified = verify(&hub, NOW, Presented::Cbs, &text).unwrap();
        assert_eq!(verified.expires, UnixMillis(NOW.0 + 300_000));
        let late = UnixMillis(NOW.0 + 300_000);
        assert_eq!(verify(&hub, late, Presented::Cbs, &text).map(drop), Err(AuthError::TokenExpired.into()));
    }

    #[test]
    fn wrong_keys_expired_tokens_and_foreign_devices_are_told_apart() {
        let hub = hub();
        let (service, device) = (SasKey::from_base64(SERVICE).unwrap(), SasKey::from_base64(DEVICE).unwrap());
        let cbs = |text: String| verify(&hub, NOW, Presented::Cbs, &text).map(drop).unwrap_err();
        assert_eq!(cbs(sign(&service, "localhost/devices/device1", 9, None)), AuthError::BadSignature.into());
        assert_eq!(cbs(sign(&device, "localhost/devices/device1", 0, None)), AuthError::TokenExpired.into());
        assert_eq!(cbs(sign(&device, "localhost/devices/nobody", 9, None)), AuthError::DeviceNotFound.into());
        assert_eq!(cbs("SharedAccessSignature sr=a".into()).cbs_status(), 400);
        let plain = |user: &str, text: String| verify(&hub, NOW, Presented::Plain(user), &text).map(drop);
        let token = || sign(&device, "localhost/devices/device1", 9, None);
        assert_eq!(plain("device1@sas.localhost", token()), Ok(()));
        assert_eq!(plain("device2@sas.localhost", token()), Err(AuthError::ForeignIdentity.into()));
    }
}
