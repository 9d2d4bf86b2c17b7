//! What a SAS token allows, once its signature has been found good.
//!
//! The order is: [`Hub::challenge`](super::Hub::challenge) says by whom a token must have been signed,
//! [`Challenge::verify`] tries the keys, and only then there is a [`Grant`].

use core::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::address::Address;
use super::identity::Identity;
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::key::Key;
use super::policy::{Policies, Rights};
use super::registry::Registry;
use super::resource::{Resource, ResourceError, ResourceStyle, covers};
use super::settings::Settings;

/// Why a token is not good for anything here. The client is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthError {
    /// None of the keys made this signature.
    #[error("401002 IotHubUnauthorizedAccess; the token's signature matches neither the primary nor the secondary key")]
    BadSignature,
    /// The device is disabled.
    #[error("403012 DeviceDisabled; device {0} is disabled")]
    DeviceDisabled(DeviceId),
    /// No such device.
    #[error("404001 DeviceNotFound; no device of this id is registered")]
    DeviceNotFound,
    /// The token is for another host.
    #[error("401002 IotHubUnauthorizedAccess; the token's resource names another host than this hub")]
    ForeignHost,
    /// The user name of SASL PLAIN and the token's resource do not belong together.
    #[error("401002 IotHubUnauthorizedAccess; the token is not for the identity in the user name")]
    ForeignIdentity,
    /// `sr` is no resource.
    #[error("400004 ArgumentInvalid; {0}")]
    MalformedResource(#[from] ResourceError),
    /// The user name of SASL PLAIN has none of the known forms.
    #[error(
        "400004 ArgumentInvalid; the user name must be {{policy}}@sas.root.{{hub}}, {{deviceId}}@sas.{{hub}} \
         or {{deviceId}}/modules/{{moduleId}}@sas.{{hub}}, with the hub's short name"
    )]
    MalformedUser,
    /// No such module.
    #[error("404010 ModuleNotFound; the device has no such module")]
    ModuleNotFound,
    /// The identity has a certificate, or nothing, to authenticate with.
    #[error("401002 IotHubUnauthorizedAccess; {0} authenticates by {1}, not by tokens")]
    NoKeys(
        /// Which identity.
        IdentityId,
        /// The type of its authentication.
        &'static str,
    ),
    /// A token for the hub itself, or for its Event-Hubs-compatible endpoint, must name a policy.
    #[error("401002 IotHubUnauthorizedAccess; a token for this resource needs a policy name (skn)")]
    PolicyMissing,
    /// The token is past its expiry. A new one helps.
    #[error("401002 IotHubUnauthorizedAccess; the token has expired")]
    TokenExpired,
    /// No policy of this name.
    #[error("401002 IotHubUnauthorizedAccess; the hub has no policy of the name in skn")]
    UnknownPolicy,
    /// The path of the resource is nothing that the hub has.
    #[error("401002 IotHubUnauthorizedAccess; the token's resource is not a part of this hub")]
    UnknownResource,
}

impl AuthError {
    /// The `status-code` of the answer to put-token.
    #[must_use]
    pub fn cbs_status(&self) -> i32 {
        match self {
            Self::MalformedResource(_) | Self::MalformedUser => 400,
            Self::DeviceNotFound | Self::ModuleNotFound => 404,
            _ => 401,
        }
    }

    /// The error condition where there is no put-token to answer.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Self::DeviceNotFound | Self::ModuleNotFound => "amqp:not-found",
            _ => "amqp:unauthorized-access",
        }
    }
}

/// Whose key signed a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signer {
    /// A device's own key.
    Device(DeviceId),
    /// A module's own key.
    Module(IdentityId),
    /// The key of a shared access policy.
    Policy(String),
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device {id}"),
            Self::Module(id) => write!(f, "module {id}"),
            Self::Policy(name) => write!(f, "policy {name}"),
        }
    }
}

/// What the front found out about a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Made with this key, and the token is past its expiry.
    Expired,
    /// Not made with this key.
    Forged,
    /// Made with this key.
    Good,
}

/// A token whose signature has not been looked at yet: the keys that may have made it, and what it will allow.
pub struct Challenge<'a> {
    keys: Vec<&'a Key>,
    style: ResourceStyle,
    grant: Grant,
}

impl Challenge<'_> {
    /// How the token's resource was written, which tells how its signer used the key.
    #[must_use]
    pub fn style(&self) -> ResourceStyle {
        self.style
    }

    /// Gives the grant if `check` finds the signature good with one of the keys, the primary one first.
    ///
    /// # Errors
    /// [`AuthError::TokenExpired`] if a key made the signature but the token is too old, else
    /// [`AuthError::BadSignature`].
    pub fn verify(self, mut check: impl FnMut(&Key) -> Verdict) -> Result<Grant, AuthError> {
        for key in self.keys {
            match check(key) {
                Verdict::Expired => return Err(AuthError::TokenExpired),
                Verdict::Forged => {}
                Verdict::Good => return Ok(self.grant),
            }
        }
        Err(AuthError::BadSignature)
    }
}

impl Challenge<'_> {
    /// Replaces the grant; `None` means that the token is another's.
    pub(crate) fn try_map(self, map: impl FnOnce(Grant) -> Option<Grant>) -> Result<Self, AuthError> {
        let grant = map(self.grant).ok_or(AuthError::ForeignIdentity)?;
        Ok(Self { keys: self.keys, style: self.style, grant })
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The grant is left out: it is not given yet.
        f.debug_struct("Challenge").field("keys", &self.keys.len()).field("style", &self.style).finish_non_exhaustive()
    }
}

/// What a verified token or certificate allows: the rights of its signer, below the path of its resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    signer: Signer,
    /// Whether the signer has shown its certificate, not a token.
    by_certificate: bool,
    /// Of the identity that has signed: another one of the same id is not the signer.
    generation_id: Option<Arc<str>>,
    rights: Rights,
    path: Vec<String>,
}

impl Grant {
    /// Whose key signed the token.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The rights of the signer.
    #[must_use]
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// Whether a link may be attached to `address`. `$cbs` is open to every client, an unknown address to none.
    #[must_use]
    pub fn permits(&self, address: &Address) -> bool {
        let needed = match address {
            Address::Cbs => return true,
            Address::Unknown => return false,
            Address::DeviceBound { .. }
            | Address::DeviceTelemetry { .. }
            | Address::Methods { .. }
            | Address::Twin { .. } => Rights::DEVICE_CONNECT,
            Address::EventHub { .. }
            | Address::EventHubManagement { .. }
            | Address::Feedback
            | Address::FileNotifications
            | Address::HubEvents { .. }
            | Address::ServiceDeviceBound => Rights::SERVICE_CONNECT,
        };
        if !self.rights.contains(needed) {
            return false;
        }
        // A bare $management stands for the entity's. So a client that may use the entity, or that node of it, may use it.
        if matches!(address, Address::EventHubManagement { entity: None }) {
            return match self.path.as_slice() {
                [] => true,
                [entity] => !is_hub_root(entity),
                [entity, node] => !is_hub_root(entity) && node.eq_ignore_ascii_case("$management"),
                _ => false,
            };
        }
        covers(&self.path, &address.segments())
    }

    /// What an identity allows that is known by its key or certificate.
    fn of_identity(identity: &Identity, path: Vec<String>) -> Self {
        let signer = match &identity.id().module {
            None => Signer::Device(identity.device_id().clone()),
            Some(_) => Signer::Module(identity.id().clone()),
        };
        let generation_id = Some(identity.generation_id().clone());
        Self { signer, by_certificate: false, generation_id, rights: Rights::DEVICE_CONNECT, path }
    }

    /// What the certificate of an identity allows.
    pub(crate) fn by_certificate(identity: &Identity) -> Self {
        let path = identity.id().segments().into_iter().map(Into::into).collect();
        Self { by_certificate: true, ..Self::of_identity(identity, path) }
    }

    /// Whether it comes from a client certificate.
    pub(crate) fn is_by_certificate(&self) -> bool {
        self.by_certificate
    }

    /// The one device that it is for; `None` if it is not for one device.
    pub(crate) fn device_in_path(&self) -> Option<&str> {
        match self.path.as_slice() {
            [first, device, ..] if first.eq_ignore_ascii_case("devices") => Some(device),
            _ => None,
        }
    }

    /// Whether a path of the HTTPS side, in segments with ids as they are registered, lies below the token's resource.
    pub(crate) fn covers_path(&self, path: &[&str]) -> bool {
        covers(&self.path, path)
    }

    /// `iothub-connection-auth-method` of the telemetry that is sent under this grant.
    #[must_use]
    pub fn auth_method(&self) -> Arc<str> {
        let scope = match self.signer {
            Signer::Device(_) => "device",
            Signer::Module(_) => "module",
            Signer::Policy(_) => "hub",
        };
        let (kind, issuer) = if self.by_certificate { ("x509", "external") } else { ("sas", "iothub") };
        format!(r#"{{"scope":"{scope}","type":"{kind}","issuer":"{issuer}","acceptingIpFilterRule":null}}"#).into()
    }

    /// Whether the signer is still registered, or is a policy.
    pub(crate) fn is_current(&self, registry: &Registry) -> bool {
        let id = match &self.signer {
            Signer::Policy(_) => return true,
            Signer::Device(device) => &device.into(),
            Signer::Module(id) => id,
        };
        let known = registry.get(id).map(|record| record.identity.generation_id());
        // An identity that was deleted differs from one that was created again under the same id.
        known.is_none_or(|known| self.generation_id.as_ref() == Some(known))
    }

    /// The same rights, for one identity only; `None` if the grant does not cover it.
    pub(crate) fn narrowed_to(mut self, id: &IdentityId) -> Option<Self> {
        let path = id.segments();
        if !covers(&self.path, &path) || !self.rights.contains(Rights::DEVICE_CONNECT) {
            return None;
        }
        self.path = path.into_iter().map(Into::into).collect();
        Some(self)
    }
}

/// Whether a first path segment is one of the hub's own, not the name of an Event-Hubs-compatible entity.
fn is_hub_root(segment: &str) -> bool {
    let roots = ["configurations", "devices", "digitaltwins", "jobs", "messages", "statistics", "twins"];
    roots.into_iter().any(|root| segment.eq_ignore_ascii_case(root))
}

/// Which keys may have signed a token for `resource` in the name of `policy` (`skn`).
pub(crate) fn challenge<'a>(
    settings: &Settings,
    registry: &'a Registry,
    policies: &'a Policies,
    resource: Resource,
    policy: Option<&str>,
) -> Result<Challenge<'a>, AuthError> {
    let style = resource.style();
    let first = resource.path.first().map(String::as_str).unwrap_or_default();
    let of_event_hub = match style {
        ResourceStyle::Address => settings.is_entity(first),
        ResourceStyle::EventHub => true,
        ResourceStyle::Hub => false,
    };
    let any_host = settings.any_event_hub_host && of_event_hub;
    if !any_host && !settings.is_host(resource.host()) {
        return Err(AuthError::ForeignHost);
    }
    if !resource.path.is_empty() && !is_hub_root(first) && !settings.is_entity(first) {
        return Err(AuthError::UnknownResource);
    }
    if let Some(name) = policy {
        let policy = policies.policy(name).ok_or(AuthError::UnknownPolicy)?;
        let path = canonical_path(registry, &resource);
        let grant = Grant {
            signer: Signer::Policy(name.into()),
            by_certificate: false,
            generation_id: None,
            rights: policy.rights,
            path,
        };
        return Ok(Challenge { keys: policy.keys().collect(), style, grant });
    }
    if !first.eq_ignore_ascii_case("devices") {
        return Err(AuthError::PolicyMissing);
    }
    let path = canonical_path(registry, &resource);
    let device = path.get(1).and_then(|id| DeviceId::new(id).ok()).ok_or(AuthError::DeviceNotFound)?;
    let device = registry.device(&device).ok_or(AuthError::DeviceNotFound)?;
    let identity = match module_of(&path) {
        None => device,
        Some(module) => {
            let module = ModuleId::new(module).map_err(|_| AuthError::ModuleNotFound)?;
            let id = IdentityId::of_module(device.device_id().clone(), module);
            &registry.get(&id).ok_or(AuthError::ModuleNotFound)?.identity
        }
    };
    if !device.is_enabled() {
        return Err(AuthError::DeviceDisabled(device.device_id().clone()));
    }
    let keys: Vec<&Key> = identity.keys().collect();
    if keys.is_empty() {
        return Err(AuthError::NoKeys(identity.id().clone(), identity.authentication().type_name()));
    }
    Ok(Challenge { keys, style, grant: Grant::of_identity(identity, path) })
}

/// The module id in a path of the form `devices/{id}/modules/{id}`.
fn module_of(path: &[String]) -> Option<&str> {
    let of_module = path.get(2).is_some_and(|word| word.eq_ignore_ascii_case("modules"));
    of_module.then(|| path.get(3).map(String::as_str).unwrap_or_default())
}

/// The path with the ids as they are registered. Some clients percent-encode an id before they encode the whole
/// resource; ids that are registered as written win over those that have to be decoded.
fn canonical_path(registry: &Registry, resource: &Resource) -> Vec<String> {
    let path = &resource.path;
    if !path.first().is_some_and(|first| first.eq_ignore_ascii_case("devices")) {
        return path.clone();
    }
    let device = path.get(1).and_then(|id| DeviceId::new(id).ok());
    let Some(device) = device.filter(|id| registry.device(id).is_some()) else { return resource.decoded_path() };
    let Some(module) = module_of(path) else { return path.clone() };
    let module = ModuleId::new(module).map(|module| IdentityId::of_module(device, module));
    if module.is_ok_and(|module| registry.get(&module).is_some()) {
        return path.clone();
    }
    // The device id is right as it is written.
    path.iter().take(2).cloned().chain(resource.decoded_path().into_iter().skip(2)).collect()
}

#[cfg(test)]
mod tests;
