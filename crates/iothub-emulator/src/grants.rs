//! What one connection has been granted so far.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::hub::{Address, AttachError, ClientCertificate, Grant, Hub, UnixMillis, Wake};
use crate::shared::{Shared, Waiter};
use crate::token::Verified;

/// Most tokens that one connection may hold at a time; it is to use a policy's token for more devices than this.
pub(crate) const MAX_TOKENS: usize = 5000;

/// There are as many tokens as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("403005 IotHubMaxCbsTokenExceeded; this connection holds {MAX_TOKENS} tokens, which is the most")]
pub(crate) struct TooManyTokens;

/// The grants of a connection, by audience.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    held: watch::Sender<Vec<Verified>>,
    /// What the client has shown in TLS.
    certificate: OnceLock<Arc<ClientCertificate>>,
}

impl Grants {
    /// Whether no token has been put yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }

    /// Notes the certificate that the client has shown in TLS. The first one counts: there is one per connection.
    pub(crate) fn set_certificate(&self, certificate: Arc<ClientCertificate>) {
        self.certificate.get_or_init(|| certificate);
    }

    /// Adds a token, or renews the one for the same audience.
    pub(crate) fn put(&self, now: UnixMillis, token: Verified) -> Result<(), TooManyTokens> {
        let mut result = Ok(());
        self.held.send_if_modified(|held| {
            match held.iter_mut().find(|known| known.audience == token.audience) {
                // The older token is still good if it is the one that lives longer.
                Some(known) if known.expires > token.expires && known.grant == token.grant => return false,
                Some(known) => *known = token,
                None => {
                    if held.len() >= MAX_TOKENS {
                        held.retain(|known| known.expires > now);
                    }
                    if held.len() >= MAX_TOKENS {
                        result = Err(TooManyTokens);
                        return false;
                    }
                    held.push(token);
                }
            }
            true
        });
        result
    }

    /// Whether a link may be attached to `address` now, and by which grant. `None` for nodes that need none.
    pub(crate) fn authorize(
        &self,
        hub: &Hub,
        now: UnixMillis,
        address: &Address,
    ) -> Result<Option<Grant>, AttachError> {
        let held = self.held.borrow();
        let valid = held.iter().filter(|token| token.expires > now).map(|token| &token.grant);
        hub.authorize(valid, address).map(|grant| grant.cloned())
    }

    /// Whether a request may be made at `address` now.
    pub(crate) fn authorize_use(&self, hub: &Hub, now: UnixMillis, address: &Address) -> Result<(), AttachError> {
        let held = self.held.borrow();
        let valid = held.iter().filter(|token| token.expires > now).map(|token| &token.grant);
        hub.authorize_use(valid, address).map(drop)
    }

    /// Whose tokens have been put, for the log: the first three of them. `None` without any.
    pub(crate) fn signers(&self) -> Option<String> {
        let held = self.held.borrow();
        let names: Vec<String> = held.iter().take(3).map(|token| token.grant.signer().to_string()).collect();
        let more = if held.len() > names.len() { ", …" } else { "" };
        (!names.is_empty()).then(|| names.join(", ") + more)
    }

    /// When the last token that allows `address`, of those that are good at `now`, expires.
    fn last_expiry(&self, now: UnixMillis, address: &Address) -> Option<UnixMillis> {
        let held = self.held.borrow();
        let valid = held.iter().filter(|token| token.expires > now && token.grant.permits(address));
        valid.map(|token| token.expires).max()
    }

    /// Resolves when a link to `address` is no longer allowed: its last token has expired, or its device is gone.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn revoked(&self, shared: &Shared, address: &Address) -> AttachError {
        let mut renewed = self.held.subscribe();
        let identity = address.identity();
        let generation =
            |hub: &Hub| hub.identity(identity.as_ref()?).ok().map(|identity| identity.generation_id().clone());
        let mut first = None;
        let mut device = address.device().map(|device| shared.waiter(Wake::Device(device.clone())));
        loop {
            renewed.mark_unchanged();
            let authorized = shared.hub(|hub, now| {
                self.authorize(hub, now, address)?;
                // An identity that was deleted and created again is another one.
                if first.get_or_insert_with(|| generation(hub)) == &generation(hub) {
                    return Ok(now);
                }
                Err(match address.device() {
                    Some(device) => AttachError::DeviceNotFound(device.clone()),
                    None => AttachError::AddressNotFound,
                })
            });
            let now = match authorized {
                Ok(now) => now,
                Err(error) => return error,
            };
            let expired = async {
                match self.last_expiry(now, address) {
                    Some(at) => shared.clock().sleep_until(at).await,
                    None => core::future::pending().await,
                }
            };
            tokio::select! {
                () = expired => {}
                _ = renewed.changed() => {}
                () = woken(device.as_mut()) => {}
            }
        }
    }
}

async fn woken(waiter: Option<&mut Waiter>) {
    match waiter {
        Some(waiter) => waiter.woken().await,
        None => core::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::hub::{DeviceSpec, Policies, Settings};
    use crate::token::{Presented, verify};
    use amqp1_auth::UnixSeconds;
    use amqp1_auth::sas::{PercentEncoding, SasKey};

    const KEY: &str = "c2VjcmV0";

    fn shared() -> (Shared, ManualClock) {
        let clock = ManualClock::new(UnixMillis(1_000_000));
        let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        for id in ["a", "b"] {
            hub.add_device(format!("{id}={KEY}").parse::<DeviceSpec>().unwrap()).unwrap();
        }
        (Shared::new(hub, Arc::new(clock.clone())), clock)
    }

    fn put(shared: &Shared, grants: &Grants, device: &str, expiry: u64) {
        let key = SasKey::from_base64(KEY).unwrap();
        let resource = format!("localhost/devices/{device}");
        let token = key.sign(&resource, PercentEncoding::Component, UnixSeconds::new(expiry), None);
        shared.hub(|hub, now| {
            let verified = verify(hub, now, Presented::Cbs, token.as_str()).unwrap();
            grants.put(now, verified).unwrap();
        });
    }

    fn address(device: &str) -> Address {
        Address::parse(&format!("/devices/{device}/messages/devicebound"))
    }

    #[test]
    fn a_token_opens_its_own_device_only_and_only_while_it_is_good() {
        let (shared, clock) = shared();
        let grants = Grants::default();
        let allowed = |device: &str| shared.hub(|hub, now| grants.authorize(hub, now, &address(device)).is_ok());
        assert!(!allowed("a"));
        put(&shared, &grants, "a", 1010);
        assert!(allowed("a") && !allowed("b"));
        clock.set(UnixMillis(1_010_000));
        assert!(!allowed("a"));
    }

    #[tokio::test]
    async fn a_link_is_revoked_when_the_last_token_runs_out_and_not_before() {
        let (shared, clock) = shared();
        let (shared, grants) = (Arc::new(shared), Arc::new(Grants::default()));
        put(&shared, &grants, "a", 1010);
        let link = tokio::spawn({
            let (shared, grants) = (shared.clone(), grants.clone());
            async move { grants.revoked(&shared, &address("a")).await }
        });
        tokio::task::yield_now().await;
        put(&shared, &grants, "a", 1020);
        clock.set(UnixMillis(1_010_000));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert!(!link.is_finished());
        clock.set(UnixMillis(1_020_000));
        assert_eq!(link.await.unwrap(), AttachError::Unauthorized);
    }

    #[tokio::test]
    async fn a_link_is_revoked_when_its_device_is_removed() {
        let (shared, _) = shared();
        let (shared, grants) = (Arc::new(shared), Arc::new(Grants::default()));
        put(&shared, &grants, "a", 1010);
        let link = tokio::spawn({
            let (shared, grants) = (shared.clone(), grants.clone());
            async move { grants.revoked(&shared, &address("a")).await }
        });
        tokio::task::yield_now().await;
        let device = crate::hub::DeviceId::new("a").unwrap();
        shared.hub(|hub, _| hub.remove_device(&device));
        assert_eq!(link.await.unwrap(), AttachError::DeviceNotFound(device));
    }

    #[tokio::test]
    async fn a_link_is_revoked_when_another_device_takes_the_id() {
        let mut policies = Policies::new();
        policies.set(format!("device={KEY}").parse().unwrap());
        let mut hub = Hub::new(Settings::default(), policies).unwrap();
        let device: DeviceSpec = format!("a={KEY}").parse().unwrap();
        hub.add_device(device.clone()).unwrap();
        let shared = Arc::new(Shared::new(hub, Arc::new(ManualClock::new(UnixMillis(1_000_000)))));
        let grants = Arc::new(Grants::default());
        let key = SasKey::from_base64(KEY).unwrap();
        let token = key.sign("localhost", PercentEncoding::Component, UnixSeconds::new(1010), Some("device"));
        shared.hub(|hub, now| {
            let verified = verify(hub, now, Presented::Cbs, token.as_str()).unwrap();
            grants.put(now, verified).unwrap();
        });
        let link = tokio::spawn({
            let (shared, grants) = (shared.clone(), grants.clone());
            async move { grants.revoked(&shared, &address("a")).await }
        });
        tokio::task::yield_now().await;
        shared.hub(|hub, _| {
            assert!(hub.remove_device(&device.id));
            hub.add_device(device.clone()).unwrap();
        });
        assert_eq!(link.await.unwrap(), AttachError::DeviceNotFound(device.id.clone()));
    }

    #[test]
    fn tokens_are_bounded_and_those_that_ran_out_make_room() {
        let (shared, clock) = shared();
        let grants = Grants::default();
        put(&shared, &grants, "a", 1010);
        let one = grants.held.borrow().first().cloned().unwrap();
        let mut another = 0..;
        let mut next = || Verified { audience: (format!("{}", another.next().unwrap()), None), ..one.clone() };
        for _ in 1..MAX_TOKENS {
            grants.put(shared.clock().now(), next()).unwrap();
        }
        assert_eq!(grants.put(shared.clock().now(), next()), Err(TooManyTokens));
        clock.set(UnixMillis(1_010_000));
        assert_eq!(grants.put(shared.clock().now(), next()), Ok(()));
    }
}
