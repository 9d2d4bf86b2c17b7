//! Who may attach where: the hub's answers to tokens and to attach.

use std::sync::Arc;

use thiserror::Error;

use super::Hub;
use super::address::Address;
use super::certificate::CertificateRefusal;
use super::grant::{self, AuthError, Challenge, Grant};
use super::ids::DeviceId;
use super::plain::PlainUser;
use super::resource::Resource;

/// Why a link is not attached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The hub has no such node.
    #[error("404006 ErrorCode:AmqpAddressNotFound; the hub has no node of this address")]
    AddressNotFound,
    /// The client's certificate does not allow it.
    #[error(transparent)]
    Certificate(#[from] CertificateRefusal),
    /// The device is disabled.
    #[error("403012 ErrorCode:DeviceDisabled; device {0} is disabled")]
    DeviceDisabled(DeviceId),
    /// No such device.
    #[error("404001 ErrorCode:DeviceNotFound; device {0} is not registered")]
    DeviceNotFound(DeviceId),
    /// The entity, the consumer group or the partition does not exist.
    #[error("404006 ErrorCode:AmqpAddressNotFound; the Event-Hubs-compatible endpoint has no such {0}{remedy}", remedy = remedy(.0))]
    EventHubPartNotFound(
        /// `entity`, `consumer group` or `partition`.
        &'static str,
    ),
    /// The module is not registered.
    #[error("404010 ErrorCode:ModuleNotFound; device {0} has no such module")]
    ModuleNotFound(DeviceId),
    /// The identity has attached links of this kind on another connection.
    #[error("409002 ErrorCode:LinkCreationConflict; the device or module has connected again, on another connection")]
    Displaced,
    /// The link would send events to the built-in endpoint, which only devices and modules do.
    #[error(
        "401002 ErrorCode:IotHubUnauthorizedAccess; the built-in endpoint takes no events from producers: send them as a \
         device, to /devices/{{id}}/messages/events"
    )]
    Producer,
    /// No token that this connection has shown allows it.
    #[error("401002 ErrorCode:IotHubUnauthorizedAccess; no valid token of this connection covers this address")]
    Unauthorized,
}

/// What to do about a part of the endpoint that is missing.
fn remedy(part: &str) -> &'static str {
    match part {
        "consumer group" => ": start the emulator with --consumer-group NAME to have it",
        _ => "",
    }
}

impl AttachError {
    /// The error condition for detach. The description is the error's text.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Self::AddressNotFound
            | Self::DeviceNotFound(_)
            | Self::EventHubPartNotFound(_)
            | Self::ModuleNotFound(_) => "amqp:not-found",
            Self::Displaced => "com.microsoft:link-creation-conflict",
            Self::Certificate(_) | Self::DeviceDisabled(_) | Self::Producer | Self::Unauthorized => {
                "amqp:unauthorized-access"
            }
        }
    }
}

/// Where the telemetry is to be read: the info map of `amqp:link:redirect` (AMQP 1.0 §2.8.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `hostname` and `network-host`.
    pub host: Arc<str>,
    /// `port`.
    pub port: u16,
    /// `address`: the absolute address of the node at the Event-Hubs-compatible endpoint.
    pub address: String,
}

impl Hub {
    /// Which keys may have signed a token, and what it will allow: `sr` is its resource, percent-decoded once, `skn`
    /// its policy name.
    ///
    /// # Errors
    /// [`AuthError`] if no key could make such a token good here.
    pub fn challenge(&self, sr: &str, skn: Option<&str>) -> Result<Challenge<'_>, AuthError> {
        grant::challenge(&self.settings, &self.registry, &self.policies, Resource::parse(sr)?, skn)
    }

    /// The same for a token that came as the password of SASL PLAIN: what it will allow is confined to what the user
    /// name says.
    ///
    /// # Errors
    /// [`AuthError`], also if the user name is malformed or the token is for somebody else.
    pub fn challenge_plain(&self, user: &str, sr: &str, skn: Option<&str>) -> Result<Challenge<'_>, AuthError> {
        let user = PlainUser::parse(&self.settings, user)?;
        user.confine(self.challenge(sr, skn)?)
    }

    /// Whether a link may be attached to `address` by one who holds `grants` (of tokens that are still valid), and by
    /// which of them. `$cbs` and `$management` need none: there each request is authorised by itself. Without a grant
    /// that covers the address nothing is reported about it.
    ///
    /// # Errors
    /// [`AttachError`] says what the link is to be detached with.
    pub fn authorize<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g Grant>,
        address: &Address,
    ) -> Result<Option<&'g Grant>, AttachError> {
        if matches!(address, Address::Cbs | Address::EventHubManagement { .. }) {
            return Ok(None);
        }
        self.authorize_use(grants, address).map(Some)
    }

    /// Whether one who holds `grants` may use the node at `address`: attach there or, at `$management`, ask it.
    ///
    /// # Errors
    /// [`AttachError`] says why not.
    pub fn authorize_use<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g Grant>,
        address: &Address,
    ) -> Result<&'g Grant, AttachError> {
        let mut grants = grants.into_iter().peekable();
        if grants.peek().is_some() && *address == Address::Unknown {
            return Err(AttachError::AddressNotFound);
        }
        let may = |grant: &&Grant| grant.permits(address) && grant.is_current(&self.registry);
        let grant = grants.find(may).ok_or(AttachError::Unauthorized)?;
        self.check_exists(address)?;
        Ok(grant)
    }

    fn check_exists(&self, address: &Address) -> Result<(), AttachError> {
        if let Some(id) = address.device() {
            let device = self.registry.device(id).ok_or_else(|| AttachError::DeviceNotFound(id.clone()))?;
            if !device.is_enabled() {
                return Err(AttachError::DeviceDisabled(id.clone()));
            }
            if address.identity().is_some_and(|id| self.registry.get(&id).is_none()) {
                return Err(AttachError::ModuleNotFound(id.clone()));
            }
        }
        let settings = &self.settings;
        let missing = match address {
            Address::EventHub { entity, .. } | Address::EventHubManagement { entity: Some(entity) }
                if !settings.is_entity(entity) =>
            {
                "entity"
            }
            Address::EventHub { consumer_group, .. } if !settings.is_consumer_group(consumer_group) => "consumer group",
            Address::EventHub { partition, .. } if self.partition_number(partition).is_none() => "partition",
            _ => return Ok(()),
        };
        Err(AttachError::EventHubPartNotFound(missing))
    }

    /// Where [`Address::HubEvents`] leads to: `rest` is what it holds, `port` the one that this hub listens on.
    #[must_use]
    pub fn redirect(&self, rest: &str, port: u16) -> Redirect {
        let host: Arc<str> = self.settings.host_name.as_str().into();
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        let address = format!("amqps://{bracketed}:{port}/{}/{rest}", self.settings.entity());
        Redirect { host, port, address }
    }
}

#[cfg(test)]
mod tests;
