//! Connection strings, as the clients of a hub are given them.

use std::net::{IpAddr, Ipv4Addr};

use crate::emulator::Emulator;
use crate::hub::{Authentication, DeviceId, IdentityId, ModuleId};

/// The ports that connection strings need not name.
const AMQPS_PORT: u16 = 5671;
const HTTPS_PORT: u16 = 443;

/// `host`, or `host:port` where the port is not the usual one.
fn join(host: &str, port: u16, usual: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == usual { host } else { format!("{host}:{port}") }
}

impl Emulator {
    /// `host`, or `host:port` where the port of AMQP is not the usual one.
    fn with_port(&self, host: &str) -> String {
        join(host, self.local_addr().port(), AMQPS_PORT)
    }

    /// The connection string of a service, with the policy `service`. It holds that policy's key.
    #[must_use]
    pub fn service_connection_string(&self) -> String {
        // Well-known policies can be replaced, but not taken away.
        self.policy_connection_string("service").unwrap_or_default()
    }

    /// The connection string of a shared access policy, or `None` if there is no policy of this name. It holds the policy's
    /// key. The policies `service`, `iothubowner` and `registryReadWrite` are among those that are always there.
    #[must_use]
    pub fn policy_connection_string(&self, policy: &str) -> Option<String> {
        Some(format!("HostName={};{}", self.with_port(self.hostname()), self.policy_key(policy)?))
    }

    /// The connection string of a shared access policy for clients that take the port of HTTPS from it, such as Python's
    /// `azure-iot-hub`. Otherwise as [`policy_connection_string`](Self::policy_connection_string), which names the port of
    /// AMQP.
    #[must_use]
    pub fn https_connection_string(&self, policy: &str) -> Option<String> {
        let host = join(self.hostname(), self.https_addr().port(), HTTPS_PORT);
        Some(format!("HostName={host};{}", self.policy_key(policy)?))
    }

    /// The connection string of the Event-Hubs-compatible endpoint, with the policy `service`. It holds that policy's
    /// key.
    #[must_use]
    pub fn event_hubs_connection_string(&self) -> String {
        let entity = self.with_hub(|hub, _| hub.settings().entity().to_owned());
        let key = self.policy_key("service").unwrap_or_default();
        format!("Endpoint=sb://{}/;{key};EntityPath={entity}", self.with_port(self.hostname()))
    }

    fn policy_key(&self, policy: &str) -> Option<String> {
        let key = self.with_hub(|hub, _| Some(hub.policies().policy(policy)?.primary_key.base64().to_owned()))?;
        Some(format!("SharedAccessKeyName={policy};SharedAccessKey={key}"))
    }

    /// The connection string of a device, or `None` if it is not registered or cannot authenticate. It holds the
    /// device's key, or `x509=true` where the device has a certificate.
    #[must_use]
    pub fn device_connection_string(&self, id: &str) -> Option<String> {
        self.identity_connection_string(&self.with_port(self.hostname()), id, None)
    }

    /// The connection string of a module, or `None` if it is not registered or cannot authenticate. It holds the module's
    /// key, or `x509=true` where the module has a certificate.
    #[must_use]
    pub fn module_connection_string(&self, device: &str, module: &str) -> Option<String> {
        self.identity_connection_string(&self.with_port(self.hostname()), device, Some(module))
    }

    /// The connection string of a device or module for Java's device SDK, which refuses host names without a dot, such as
    /// `localhost`: it holds an address of the hub instead. `None` as in
    /// [`device_connection_string`](Self::device_connection_string), or if the hub has no address to offer.
    #[must_use]
    pub fn java_device_connection_string(&self, device: &str, module: Option<&str>) -> Option<String> {
        let host = match self.hostname() {
            name if name.contains('.') => name.to_owned(),
            _ => self.local_addrs().iter().find_map(|address| match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Some(Ipv4Addr::LOCALHOST.to_string()),
                IpAddr::V4(ip) => Some(ip.to_string()),
                IpAddr::V6(_) => None,
            })?,
        };
        self.identity_connection_string(&self.with_port(&host), device, module)
    }

    fn identity_connection_string(&self, host: &str, device: &str, module: Option<&str>) -> Option<String> {
        let module = module.map(ModuleId::new).transpose().ok()?;
        let id = IdentityId { device: DeviceId::new(device).ok()?, module };
        let credential = self.with_hub(|hub, _| match hub.identity(&id).ok()?.authentication() {
            Authentication::SymmetricKey { primary, .. } => Some(format!("SharedAccessKey={}", primary.base64())),
            Authentication::SelfSigned { .. } | Authentication::CertificateAuthority => Some("x509=true".into()),
            Authentication::None => None,
        })?;
        let module = id.module.map(|module| format!("ModuleId={module};")).unwrap_or_default();
        Some(format!("HostName={host};DeviceId={};{module}{credential}", id.device))
    }
}
