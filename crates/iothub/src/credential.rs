//! Who this is: keys that sign tokens, tokens that others have signed, certificates.

use crate::error::{Error, ErrorKind};
use amqp1::{
    acceptor::BoxFuture,
    auth::{
        UnixSeconds,
        connection_string::Credential,
        sas::{PercentEncoding, SasKey, SasToken, SharedAccessKey},
    },
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// By tokens that are put to the hub's `$cbs` node and renewed before they expire, on the same connection.
    #[default]
    Cbs,
    /// By a token as the password of SASL PLAIN. The hub drops the connection when it expires: see
    /// [`ErrorKind::TokenExpired`](crate::ErrorKind::TokenExpired).
    SaslPlain,
}

/// How long tokens that are signed here are good for, unless the caller wants another time. What the vendor's
/// libraries use.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Gives tokens for one resource.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    resource: String,
    pub(crate) material: Material,
}

/// What tokens are made of.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    /// Each is newly signed.
    Key(Key),
    /// There is this one.
    Token(SasToken),
    /// The application gives them.
    Provider(Provider),
}

/// Gives tokens that were signed elsewhere: by a hardware module, or by a service that keeps the keys.
///
/// A closure that returns a future is a provider:
///
/// ```
/// use iothub::{DeviceClient, SasToken};
///
/// # async fn fetch(resource: &str) -> std::io::Result<String> { Ok(String::new()) }
/// # fn example() -> Result<(), iothub::Error> {
/// let builder = DeviceClient::builder().identity("my-hub.azure-devices.net", "thermostat")?;
/// let builder = builder.token_provider(|resource: String| async move {
///     let text = fetch(&resource).await?;
///     Ok(SasToken::parse(&text)?)
/// });
/// # Ok(()) }
/// ```
pub trait SasTokenProvider: Send + Sync + 'static {
    /// Returns a token for the resource, such as `my-hub.azure-devices.net/devices/thermostat`; for a service, the whole
    /// hub. It is asked for the first token when a client connects, or for its first request over HTTPS, and for another one
    /// when four fifths of a token's life have passed. Over HTTPS also after the hub has refused a token.
    ///
    /// # Errors
    ///
    /// Why there is no token. While an earlier token is good, the provider is asked again: with growing pauses over AMQP, by the
    /// next request over HTTPS. Such a request waits 5 s for the provider, and goes on with the earlier token then.
    fn token(&self, resource: String) -> BoxFuture<'_, Result<SasToken, ProviderError>>;
}

/// Why a [`SasTokenProvider`] has no token.
pub type ProviderError = Box<dyn std::error::Error + Send + Sync>;

impl<F, R> SasTokenProvider for F
where
    F: Fn(String) -> R + Send + Sync + 'static,
    R: Future<Output = Result<SasToken, ProviderError>> + Send + 'static,
{
    fn token(&self, resource: String) -> BoxFuture<'_, Result<SasToken, ProviderError>> {
        Box::pin(self(resource))
    }
}

/// A provider of the application's.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Arc<dyn SasTokenProvider>);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl Provider {
    /// A token for the resource that is good now.
    pub(crate) async fn fetch(&self, resource: &str) -> Result<SasToken, Error> {
        let unavailable = |sentence: String| Error::new(ErrorKind::Unauthorized, sentence).with_retry(true, None);
        let token = self.0.token(resource.to_owned()).await;
        let token = token.map_err(|error| unavailable(format!("the token provider has no token: {error}")))?;
        if token.is_expired(now()) {
            return Err(unavailable("the token provider gave a token that has expired".to_owned()));
        }
        Ok(token)
    }
}

/// A key, and what is signed with it besides the resource.
#[derive(Clone)]
pub(crate) struct Key {
    key: SasKey,
    policy: Option<String>,
    lifetime: Duration,
}

impl Key {
    pub(crate) fn sign(&self, resource: &str, now: UnixSeconds) -> SasToken {
        let expiry = now.saturating_add(self.lifetime);
        self.key.sign(resource, PercentEncoding::Component, expiry, self.policy.as_deref())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("policy", &self.policy).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Signer {
    /// For a resource of the hub, whose keys are base64. `None` for a certificate, which signs no tokens.
    pub(crate) fn for_hub(
        credential: &Credential,
        resource: String,
        lifetime: Duration,
    ) -> Result<Option<Self>, Error> {
        Self::new(credential, resource, lifetime, |key| key.decoded().map_err(|_| bad_key()))
    }

    /// For a resource of the Event-Hubs-compatible endpoint, where the key is its text. A token cannot be made into
    /// one for another resource, so it must be for this one.
    pub(crate) fn for_events(
        credential: &Credential,
        resource: String,
        lifetime: Duration,
    ) -> Result<Option<Self>, Error> {
        Self::new(credential, resource, lifetime, |key| Ok(key.raw()))
    }

    fn new(
        credential: &Credential,
        resource: String,
        lifetime: Duration,
        key_of: impl FnOnce(&SharedAccessKey) -> Result<SasKey, Error>,
    ) -> Result<Option<Self>, Error> {
        let material = match credential {
            Credential::SharedAccessKey { policy, key } => {
                Material::Key(Key { key: key_of(key)?, policy: policy.clone(), lifetime })
            }
            Credential::SharedAccessSignature(token) if amqp1::auth::sas::covers(token.resource(), &resource) => {
                Material::Token(token.clone())
            }
            Credential::SharedAccessSignature(_) => {
                let sentence = format!(
                    "the SharedAccessSignature of the connection string is not for {resource}: give a SharedAccessKey"
                );
                return Err(Error::new(ErrorKind::Unauthorized, sentence));
            }
            Credential::X509 => return Ok(None),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidConnectionString,
                    "the connection string has a new kind of credential",
                ));
            }
        };
        Ok(Some(Self { resource, material }))
    }

    /// For a resource of the hub, with tokens that the application gives.
    pub(crate) fn provided(provider: Provider, resource: String) -> Self {
        Self { resource, material: Material::Provider(provider) }
    }

    /// What the tokens are for.
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    /// Whether the application gives the tokens.
    #[cfg(feature = "rest")]
    pub(crate) fn is_provided(&self) -> bool {
        matches!(self.material, Material::Provider(_))
    }

    /// Whether a later token can have a later expiry.
    pub(crate) fn can_renew(&self) -> bool {
        !matches!(self.material, Material::Token(_))
    }

    /// The shared access policy whose key this is.
    pub(crate) fn policy(&self) -> Option<&str> {
        match &self.material {
            Material::Key(key) => key.policy.as_deref(),
            Material::Token(token) => token.policy(),
            Material::Provider(_) => None,
        }
    }

    /// A token that is good now.
    pub(crate) async fn token(&self, now: UnixSeconds) -> Result<SasToken, Error> {
        match &self.material {
            Material::Key(key) => Ok(key.sign(&self.resource, now)),
            Material::Token(token) if token.is_expired(now) => Err(Error::new(
                ErrorKind::TokenExpired,
                "the SharedAccessSignature of the connection string has expired: get a new one",
            )),
            Material::Token(token) => Ok(token.clone()),
            Material::Provider(provider) => provider.fetch(&self.resource).await,
        }
    }
}

fn bad_key() -> Error {
    Error::new(
        ErrorKind::InvalidConnectionString,
        "the connection string has a SharedAccessKey that is not base64: copy the whole key",
    )
}

/// The time of day.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1::auth::connection_string::ServiceConnectionString;

    fn credential(rest: &str) -> Credential {
        let text = format!("HostName=hub.example;SharedAccessKeyName=service;{rest}");
        ServiceConnectionString::parse(&text).expect("a connection string").credential().clone()
    }

    fn signer(
        credential: &Credential,
        make: fn(&Credential, String, Duration) -> Result<Option<Signer>, Error>,
    ) -> Signer {
        make(credential, "hub.example".to_owned(), Duration::from_secs(60)).expect("a good key").expect("a key")
    }

    #[tokio::test]
    async fn the_hub_takes_the_decoded_key_and_event_hubs_its_text() {
        let credential = credential("SharedAccessKey=c2VjcmV0IGtleQ==");
        let (now, later) = (UnixSeconds::new(1000), UnixSeconds::new(1059));
        let hub = signer(&credential, Signer::for_hub).token(now).await.expect("a token");
        let events = signer(&credential, Signer::for_events).token(now).await.expect("a token");
        assert_eq!(hub.expiry(), UnixSeconds::new(1060));
        assert_eq!(hub.policy(), Some("service"));
        hub.verify(&SasKey::from_base64("c2VjcmV0IGtleQ==").expect("base64"), later).expect("the decoded key");
        events.verify(&SasKey::from_raw_text("c2VjcmV0IGtleQ==").expect("text"), later).expect("the key's text");
    }

    #[tokio::test]
    async fn a_token_of_someone_else_is_used_until_it_expires_and_only_for_its_resource() {
        let text = "SharedAccessSignature sr=hub.example&sig=YWJj&se=2000&skn=service";
        let credential = credential(&format!("SharedAccessSignature={text}"));
        let given = signer(&credential, Signer::for_hub);
        assert!(!given.can_renew());
        assert_eq!(given.token(UnixSeconds::new(1999)).await.expect("still good").as_str(), text);
        assert_eq!(given.token(UnixSeconds::new(2000)).await.expect_err("expired").kind(), ErrorKind::TokenExpired);
        let elsewhere = Signer::for_events(&credential, "ns.example/hub".to_owned(), TOKEN_LIFETIME);
        assert_eq!(elsewhere.expect_err("another resource").kind(), ErrorKind::Unauthorized);
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", signer(&credential("SharedAccessKey=c2VjcmV0IGtleQ=="), Signer::for_hub));
        assert!(!text.contains("c2VjcmV0") && !text.contains("secret"), "{text}");
    }
}
