//! What one connection has been granted so far: by tokens, or by the certificate of its client.
//!
//! A connection may carry a thousand devices. So tokens are kept by the device that they are for, and a new one wakes the
//! links of that device only.

use core::pin::pin;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::hub::{
    Address, AttachError, CertificateRefusal, ClientCertificate, ConnectionId, DeviceId, Grant, Hub, IdentityId,
    UnixMillis, Wake,
};
use crate::shared::Shared;
use crate::signal::Waiter;
use crate::token::Verified;

/// Most tokens that one connection may hold at a time; it is to use a policy's token for more devices than this.
pub(crate) const MAX_TOKENS: usize = 5000;

/// Devices without a token whose entries are kept before they are looked through.
const IDLE_ENTRIES: usize = 64;

/// There are as many tokens as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("403005 IotHubMaxCbsTokenExceeded; this connection holds {MAX_TOKENS} tokens, which is the most")]
pub(crate) struct TooManyTokens;

/// The grants of a connection.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    held: Mutex<Held>,
    /// What the client has shown in TLS.
    certificate: OnceLock<Arc<ClientCertificate>>,
    /// The one identity that the certificate serves on this connection.
    certified: OnceLock<IdentityId>,
}

#[derive(Debug, Default)]
struct Held {
    /// Tokens that are not for one device.
    general: Entry,
    by_device: HashMap<Box<str>, Entry>,
    /// How many tokens there are.
    count: usize,
    /// How many entries there may be until those that are not needed are removed.
    look_through_at: usize,
}

/// Tokens for the same device, and what is notified when they change.
#[derive(Debug, Default)]
struct Entry {
    tokens: Vec<Verified>,
    changed: Arc<Notify>,
}

impl Held {
    fn tokens(&self) -> impl Iterator<Item = &Verified> {
        self.general.tokens.iter().chain(self.by_device.values().flat_map(|entry| &entry.tokens))
    }

    /// Those that may allow `address`.
    fn tokens_for<'a>(&'a self, address: &Address) -> impl Iterator<Item = &'a Verified> + use<'a> {
        let of_device = address.device().and_then(|device| self.by_device.get(device.as_str()));
        self.general.tokens.iter().chain(of_device.into_iter().flat_map(|entry| &entry.tokens))
    }

    fn entry(&mut self, device: Option<&str>) -> &mut Entry {
        let Some(device) = device else { return &mut self.general };
        if !self.by_device.contains_key(device) {
            if self.by_device.len() >= self.look_through_at.max(IDLE_ENTRIES) {
                self.by_device.retain(|_, entry| !entry.tokens.is_empty() || Arc::strong_count(&entry.changed) > 1);
                self.look_through_at = self.by_device.len() * 2;
            }
            self.by_device.insert(device.into(), Entry::default());
        }
        self.by_device.entry(device.into()).or_default()
    }

    /// Tells the links that tokens of `device` are for. Those that are not for one device are for all links.
    fn tell(&self, device: Option<&str>) {
        match device {
            Some(device) => self.by_device.get(device).into_iter().for_each(|entry| entry.changed.notify_waiters()),
            None => {
                self.by_device.values().chain([&self.general]).for_each(|entry| entry.changed.notify_waiters());
            }
        }
    }

    /// Takes those out that have expired.
    fn purge(&mut self, now: UnixMillis) {
        for entry in self.by_device.values_mut().chain([&mut self.general]) {
            entry.tokens.retain(|token| token.expires > now);
        }
        self.count = self.tokens().count();
    }
}

impl Grants {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client is not known yet: no token has been put, and its certificate has opened nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.held().count == 0 && self.certified.get().is_none()
    }

    /// Notes the certificate that the client has shown in TLS. The first one counts: there is one per connection.
    pub(crate) fn set_certificate(&self, certificate: Arc<ClientCertificate>) {
        self.certificate.get_or_init(|| certificate);
    }

    /// Whether the client is known by its certificate, so that no token is taken from it.
    pub(crate) fn takes_no_tokens(&self, hub: &Hub) -> bool {
        let registered = |certificate: &Arc<ClientCertificate>| hub.is_certificate_registered(certificate);
        self.certified.get().is_some() || self.held().count == 0 && self.certificate.get().is_some_and(registered)
    }

    /// Adds a token, or renews the one for the same audience.
    pub(crate) fn put(&self, now: UnixMillis, token: Verified) -> Result<(), TooManyTokens> {
        let mut held = self.held();
        let device = token.grant.device_in_path().map(Box::<str>::from);
        let entry = held.entry(device.as_deref());
        if let Some(known) = entry.tokens.iter_mut().find(|known| known.audience == token.audience) {
            // The older token is still good if it is the one that lives longer.
            if known.expires > token.expires && known.grant == token.grant {
                return Ok(());
            }
            *known = token;
            held.tell(device.as_deref());
            return Ok(());
        }
        if held.count >= MAX_TOKENS {
            held.purge(now);
        }
        if held.count >= MAX_TOKENS {
            return Err(TooManyTokens);
        }
        held.count += 1;
        let entry = held.entry(device.as_deref());
        if entry.tokens.capacity() == 0 {
            // Most devices have one.
            entry.tokens.reserve_exact(1);
        }
        entry.tokens.push(token);
        held.tell(device.as_deref());
        Ok(())
    }

    /// Whether a link may be attached to `address` now, and by which grant. `None` for nodes that need none.
    pub(crate) fn authorize(
        &self,
        hub: &Hub,
        now: UnixMillis,
        address: &Address,
    ) -> Result<Option<Grant>, AttachError> {
        let by_token = {
            let held = self.held();
            let valid = held.tokens_for(address).filter(|token| token.expires > now).map(|token| &token.grant);
            hub.authorize(valid, address).map(|grant| grant.cloned())
        };
        match (by_token, self.certificate.get()) {
            (Err(AttachError::Unauthorized), Some(certificate)) if self.held().count == 0 => {
                self.authorize_by_certificate(hub, now, address, certificate).map(Some)
            }
            (Err(AttachError::Unauthorized), _) if self.held().count > 0 && *address == Address::Unknown => {
                Err(AttachError::AddressNotFound)
            }
            (by_token, _) => by_token,
        }
    }

    fn authorize_by_certificate(
        &self,
        hub: &Hub,
        now: UnixMillis,
        address: &Address,
        certificate: &ClientCertificate,
    ) -> Result<Grant, AttachError> {
        let id = address.identity().ok_or(CertificateRefusal::NotOfAnIdentity)?;
        if let Some(certified) = self.certified.get().filter(|certified| **certified != id) {
            return Err(CertificateRefusal::AnotherIdentity { certified: certified.clone(), asked: id }.into());
        }
        let grant = hub.authorize_certificate(now, certificate, &id)?;
        hub.authorize([&grant], address)?;
        self.certified.get_or_init(|| id);
        Ok(grant)
    }

    /// Whether a request may be made at `address` now.
    pub(crate) fn authorize_use(&self, hub: &Hub, now: UnixMillis, address: &Address) -> Result<(), AttachError> {
        let held = self.held();
        let valid = held.tokens_for(address).filter(|token| token.expires > now).map(|token| &token.grant);
        hub.authorize_use(valid, address).map(drop)
    }

    /// Who the client is, for the log: whose tokens have been put, the first three of them, or whose certificate it has
    /// shown. `None` if that is not known.
    pub(crate) fn signers(&self) -> Option<String> {
        let held = self.held();
        let names: Vec<String> = held.tokens().take(3).map(|token| token.grant.signer().to_string()).collect();
        let more = if held.count > names.len() { ", …" } else { "" };
        if !names.is_empty() {
            return Some(names.join(", ") + more);
        }
        let certificate = self.certificate.get()?;
        let name = certificate.common_name.as_deref().unwrap_or("without a name");
        Some(format!("certificate {name}, SHA-1 {}", certificate.sha1))
    }

    /// When `address` is no longer allowed by what is held at `now`.
    fn last_expiry(&self, now: UnixMillis, address: &Address) -> Option<UnixMillis> {
        let held = self.held();
        let valid = held.tokens_for(address).filter(|token| token.expires > now && token.grant.permits(address));
        let by_certificate = || {
            let (_, until) = self.certificate.get()?.validity?;
            // It is still valid at the last second that it names.
            Some(UnixMillis(until.0.saturating_add(1)))
        };
        valid.map(|token| token.expires).max().or_else(by_certificate)
    }

    /// Resolves when a link to `address` is no longer allowed: its last token has expired, or its device is gone.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn revoked(
        &self,
        shared: &Shared,
        address: &Address,
        connection: Option<ConnectionId>,
    ) -> AttachError {
        let changed = self.held().entry(address.device().map(DeviceId::as_str)).changed.clone();
        let identity = address.identity();
        let generation =
            |hub: &Hub| hub.identity(identity.as_ref()?).ok().map(|identity| identity.generation_id().clone());
        let mut first = None;
        let mut device = address.device().map(|device| shared.waiter(Wake::Device(device.clone())));
        loop {
            // Enabled before the tokens are looked at, so that none falls in between.
            let mut renewed = pin!(changed.notified());
            renewed.as_mut().enable();
            let authorized = shared.hub(|hub, now| {
                self.authorize(hub, now, address)?;
                if connection.is_some_and(|connection| hub.is_displaced(address, connection)) {
                    return Err(AttachError::Displaced);
                }
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
                () = renewed => {}
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
            async move { grants.revoked(&shared, &address("a"), None).await }
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
            async move { grants.revoked(&shared, &address("a"), None).await }
        });
        tokio::task::yield_now().await;
        let device = DeviceId::new("a").unwrap();
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
            async move { grants.revoked(&shared, &address("a"), None).await }
        });
        tokio::task::yield_now().await;
        shared.hub(|hub, _| {
            assert!(hub.remove_device(&device.id));
            hub.add_device(device.clone()).unwrap();
        });
        assert_eq!(link.await.unwrap(), AttachError::DeviceNotFound(device.id.clone()));
    }

    #[test]
    fn entries_of_devices_that_are_gone_do_not_add_up() {
        let mut held = Held::default();
        let kept = held.entry(Some("kept")).changed.clone();
        for number in 0..10_000 {
            held.entry(Some(&format!("device {number}")));
        }
        assert!(held.by_device.len() <= 2 * IDLE_ENTRIES && held.by_device.contains_key("kept"));
        drop(kept);
    }

    #[test]
    fn tokens_are_bounded_and_those_that_ran_out_make_room() {
        let (shared, clock) = shared();
        let grants = Grants::default();
        put(&shared, &grants, "a", 1010);
        let one = grants.held().tokens().next().cloned().unwrap();
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
