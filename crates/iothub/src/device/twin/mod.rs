//! The twin, as its device sees it.

mod changes;
mod document;
mod links;
mod tracker;
mod watch;

pub use changes::DesiredChanges;
pub use document::{DesiredChange, DeviceTwin, Properties};

use super::links::Identity;
use crate::{connect::Hub, error::Error};
use links::{Links, Operation};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The twin of a device or a module: what services want of it, and what it reports. See
/// [`DeviceClient::twin`](crate::DeviceClient::twin). Clones are handles of the same twin.
///
/// ```no_run
/// use iothub::{DesiredChange, DeviceClient};
/// use serde_json::json;
///
/// # async fn example(device: &DeviceClient) -> Result<(), iothub::Error> {
/// let twin = device.twin().await?;
/// let mut changes = twin.watch_desired().await?;
/// while let Some(change) = changes.next().await? {
///     if let Some(speed) = change.properties().get(&["fan", "speed"]) {
///         twin.update_reported(json!({"fan": {"speed": speed}})).await?;
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Twin {
    links: Arc<Links>,
}

impl Twin {
    pub(super) async fn attach(hub: Arc<Hub>, identity: &Identity) -> Result<Self, Error> {
        Links::attach(hub, identity).await.map(|links| Self { links: Arc::new(links) })
    }

    /// Whether the links have ended.
    pub(super) fn is_over(&self) -> bool {
        self.links.is_over()
    }

    /// Reads the twin.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Throttled`](crate::ErrorKind::Throttled), [`ErrorKind::Timeout`](crate::ErrorKind::Timeout); what
    /// the hub answers else, and what happens to connections.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn get(&self) -> Result<DeviceTwin, Error> {
        DeviceTwin::parse(&self.links.ask(Operation::Read).await?.body)
    }

    /// Reports properties, and returns the version that the reported properties have with it. Objects are merged with
    /// those that are there; `null` removes a property. The version is `None` if the hub does not say it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a patch that is not an object, or that the
    /// hub's limits forbid; as [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the properties may have been reported.
    pub async fn update_reported(&self, patch: impl Into<Value>) -> Result<Option<i64>, Error> {
        self.report(None, patch.into()).await
    }

    /// As [`update_reported`](Self::update_reported), if the reported properties have this version still.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`](crate::ErrorKind::PreconditionFailed) if they have another one; as
    /// [`update_reported`](Self::update_reported).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the properties may have been reported.
    pub async fn update_reported_at(&self, version: i64, patch: impl Into<Value>) -> Result<Option<i64>, Error> {
        self.report(Some(version), patch.into()).await
    }

    async fn report(&self, version: Option<i64>, patch: Value) -> Result<Option<i64>, Error> {
        let Value::Object(patch) = patch else {
            return Err(Error::invalid("what is reported must be an object: names and their values"));
        };
        let answer = self.links.ask(Operation::Report { version, patch: Value::Object(patch).to_string() }).await?;
        Ok(answer.version)
    }

    /// Watches the desired properties: subscribes to their changes, then reads them. The first change holds all of them.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing is watched.
    pub async fn watch_desired(&self) -> Result<DesiredChanges, Error> {
        DesiredChanges::start(self.clone(), None).await
    }

    /// As [`watch_desired`](Self::watch_desired), for an application that has seen the desired properties at this
    /// version, and does not need what it knows already.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing is watched.
    pub async fn watch_desired_after(&self, version: i64) -> Result<DesiredChanges, Error> {
        DesiredChanges::start(self.clone(), Some(version)).await
    }

    async fn subscribe(&self) -> Result<(), Error> {
        self.links.ask(Operation::Subscribe).await.map(drop)
    }
}

/// A notification's properties and version.
fn notified(octets: &[u8], annotated: Option<i64>) -> Option<(Map<String, Value>, Option<i64>)> {
    let Ok(Value::Object(object)) = serde_json::from_slice(octets) else { return None };
    let (values, version) = Properties::split(object);
    Some((values, version.or(annotated)))
}
