//! The emulator as its user holds it.

use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amqp1_codec::message::Message;
use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::builder::{EmulatorBuilder, device_spec, module_spec};
use crate::error::{DeviceError, StartError};
use crate::hub::{
    DeviceId, DeviceSpec, ErrorCode, Hub, IdError, IdentityId, IfMatch, MethodAnswer, MethodInvocation, ModuleId,
    ModuleInput, NoticeKind, ServiceError, UnixMillis, UploadedFile,
};
use crate::shared::Shared;

/// How long clients get to answer our close.
const FAREWELL: Duration = Duration::from_secs(10);

/// Where an emulator is found, and how it is trusted.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) tls: Vec<SocketAddr>,
    pub(crate) amqp: Vec<SocketAddr>,
    pub(crate) https: Vec<SocketAddr>,
    pub(crate) https_note: Option<String>,
    pub(crate) host_name: String,
    pub(crate) ca_pem: String,
    pub(crate) ca_path: Option<PathBuf>,
}

/// An IoT hub on this machine. It serves until it is shut down or dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    addresses: Addresses,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("local_addr", &self.addresses.tls)
            .field("amqp_addr", &self.addresses.amqp)
            .field("https_addr", &self.addresses.https)
            .field("hostname", &self.addresses.host_name)
            .finish_non_exhaustive()
    }
}

impl Emulator {
    /// Starts an emulator without devices on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`StartError`], if the machine does not grant what it needs.
    ///
    /// # Cancel safety
    /// Cancelled, nothing is left.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// An emulator that is to be set up.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    pub(crate) fn new(shared: Arc<Shared>, addresses: Addresses, tasks: Vec<JoinHandle<()>>) -> Self {
        Self { shared, addresses, tasks }
    }

    /// The first address on which AMQP over TLS is served.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        // There is always one.
        self.addresses.tls.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// All addresses on which AMQP over TLS is served.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses.tls
    }

    /// The first address on which AMQP without TLS is served, if it is.
    #[must_use]
    pub fn amqp_addr(&self) -> Option<SocketAddr> {
        self.addresses.amqp.first().copied()
    }

    /// All addresses on which AMQP without TLS is served.
    #[must_use]
    pub fn amqp_addrs(&self) -> &[SocketAddr] {
        &self.addresses.amqp
    }

    /// The first address on which HTTPS is served: the REST interface, and WebSockets that carry AMQP.
    #[must_use]
    pub fn https_addr(&self) -> SocketAddr {
        // There is always one.
        self.addresses.https.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// All addresses on which HTTPS is served.
    #[must_use]
    pub fn https_addrs(&self) -> &[SocketAddr] {
        &self.addresses.https
    }

    /// Why HTTPS is not served at the port that was asked for, and which commands help. `None` if it is.
    #[must_use]
    pub fn https_note(&self) -> Option<&str> {
        self.addresses.https_note.as_deref()
    }

    /// The hub's host name, which the server's certificate is good for.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.addresses.host_name
    }

    /// The certificate of the authority that clients are to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.addresses.ca_pem
    }

    /// The file with that certificate; `None` without a directory for it.
    #[must_use]
    pub fn ca_path(&self) -> Option<&Path> {
        self.addresses.ca_path.as_deref()
    }

    /// Registers a device with the base64 text of its key.
    ///
    /// # Errors
    /// [`DeviceError`] if the id is taken, or the id or the key is not valid.
    pub fn add_device(&self, id: &str, key_base64: &str) -> Result<(), DeviceError> {
        self.add_device_spec(device_spec(id, key_base64)?)
    }

    /// Registers a device.
    ///
    /// # Errors
    /// [`DeviceError::Registry`] if its id is taken.
    pub fn add_device_spec(&self, device: DeviceSpec) -> Result<(), DeviceError> {
        let id = IdentityId::from(&device.id);
        self.with_hub(|hub, now| {
            hub.add_device(device)?;
            hub.notice_whole(now, &id, NoticeKind::Created);
            Ok(())
        })
        .map_err(|error: ServiceError| DeviceError::from(error))
    }

    /// Registers a module of a registered device with the base64 text of the module's key.
    ///
    /// # Errors
    /// [`DeviceError`] if the device is not registered, the id is taken, or the id or the key is not valid.
    pub fn add_module(&self, device: &str, id: &str, key_base64: &str) -> Result<(), DeviceError> {
        let module = module_spec(device, id, key_base64)?;
        self.with_hub(|hub, now| hub.create_identity(now, module).map(drop)).map_err(DeviceError::from)
    }

    /// Removes a device with its messages, and detaches its links. `false`: there was none.
    pub fn remove_device(&self, id: &str) -> bool {
        DeviceId::new(id)
            .is_ok_and(|id| self.with_hub(|hub, now| hub.delete_identity(now, &IfMatch::Any, &id.into()).is_ok()))
    }

    /// Enables or disables a device; a disabled one loses its links. `false` if there is no such device.
    pub fn set_device_enabled(&self, id: &str, enabled: bool) -> bool {
        DeviceId::new(id).is_ok_and(|id| self.with_hub(|hub, now| hub.set_device_enabled(now, &id, enabled)))
    }

    /// Calls a direct method of a device or module, as the service does, and waits for the answer.
    ///
    /// # Errors
    /// What the service would get: *DeviceNotOnline* where the device or module has no links for methods,
    /// *GatewayTimeout* where it does not answer in time, and others.
    ///
    /// # Cancel safety
    /// Dropping it forgets the call; the device may have been given it.
    pub async fn invoke_method(&self, invocation: MethodInvocation) -> Result<MethodAnswer, ServiceError> {
        self.shared.invoke_method(invocation).await
    }

    /// Puts a message at an input of a module, where it waits for the module: a hub has no router between modules, as IoT
    /// Edge has. `properties` are the message's application properties.
    ///
    /// # Errors
    /// *ModuleNotFound*, *ArgumentInvalid*, *MessageTooLarge*, and *DeviceMaximumQueueDepthExceeded* where too much waits.
    pub fn send_input(
        &self,
        device: &str,
        module: &str,
        input: &str,
        body: impl Into<Bytes>,
        properties: &[(&str, &str)],
    ) -> Result<(), ServiceError> {
        let invalid = |error: IdError| ServiceError::new(ErrorCode::ArgumentInvalid, error.to_string());
        let device = DeviceId::new(device).map_err(invalid)?;
        let id = IdentityId::of_module(device, ModuleId::new(module).map_err(invalid)?);
        let message = Message::builder().data(body.into());
        let message = properties.iter().fold(message, |message, (name, value)| {
            message.application_property((*name).to_owned(), (*value).to_owned())
        });
        let payload = message.build().chunks().fold(BytesMut::new(), |mut octets, chunk| {
            octets.extend_from_slice(chunk);
            octets
        });
        self.with_hub(|hub, _| hub.send_input(&id, ModuleInput { name: input.into(), payload: payload.freeze() }))
    }

    /// A fault, for tests of those who count: the next cloud-to-device message is accepted and lost, without feedback.
    /// Called twice, it is the next two.
    pub fn drop_next_c2d(&self) {
        self.shared.add_drop();
    }

    /// A file that a device has uploaded, by the name that the device gave it.
    #[must_use]
    pub fn uploaded_file(&self, device: &str, name: &str) -> Option<UploadedFile> {
        self.with_hub(|hub, _| hub.uploaded_file(&format!("{device}/{name}")).cloned())
    }

    /// Works on the hub itself, with the time of the emulator's clock: what is in the queues, purging, telemetry. All
    /// connections wait meanwhile, so it must be brief, and it must not call this emulator.
    pub fn with_hub<R>(&self, work: impl FnOnce(&mut Hub, UnixMillis) -> R) -> R {
        self.shared.hub(work)
    }

    /// Stops serving: closes every connection with `amqp:connection:forced`, and returns when they are gone, or after
    /// 10 s.
    ///
    /// # Cancel safety
    /// Cancelled, it goes on stopping by itself.
    pub async fn shutdown(mut self) {
        self.shared.stop();
        let tasks = core::mem::take(&mut self.tasks);
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            for task in tasks {
                if let Err(error) = task.await {
                    tracing::warn!(%error, "a task of the emulator broke");
                }
            }
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("some clients did not answer the close");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The tasks say farewell by themselves.
        self.shared.stop();
    }
}
