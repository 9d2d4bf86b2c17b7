//! How an emulator is set up and started.

use core::time::Duration;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amqp1::TlsServer;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::ca::{Authority, CERTIFICATE_FILE};
use crate::clock::{Clock, SystemClock};
use crate::emulator::{Addresses, Emulator};
use crate::error::{DeviceError, StartError};
use crate::front::{self, Front, Transport};
use crate::hub::{
    AuthenticationSpec, DeviceId, DeviceSpec, Hub, IdentityId, IdentitySpec, Key, ModuleId, Policies, Policy, Settings,
    parse_devices,
};
use crate::rest::port::HttpsListen;
use crate::rest::{self, Rest};
use crate::shared::Shared;

const ANY_PORT_ON_LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Sets up an [`Emulator`]. Mistakes in what it is given are told by [`start`](Self::start).
#[must_use = "call start"]
pub struct EmulatorBuilder {
    settings: Settings,
    listen: SocketAddr,
    amqp_listen: Option<SocketAddr>,
    https_listen: HttpsListen,
    devices: Vec<Result<DeviceSpec, DeviceError>>,
    devices_files: Vec<PathBuf>,
    modules: Vec<Result<IdentitySpec, DeviceError>>,
    policies: Vec<Result<Policy, StartError>>,
    ca_dir: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    handshake_timeout: Duration,
}

impl core::fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EmulatorBuilder")
            .field("settings", &self.settings)
            .field("listen", &self.listen)
            .field("amqp_listen", &self.amqp_listen)
            .field("https_listen", &self.https_listen)
            .field("devices", &self.devices.len())
            .field("ca_dir", &self.ca_dir)
            .finish_non_exhaustive()
    }
}

impl Default for EmulatorBuilder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            listen: ANY_PORT_ON_LOOPBACK,
            amqp_listen: None,
            https_listen: HttpsListen { address: ANY_PORT_ON_LOOPBACK, or_free_port: false },
            devices: Vec::new(),
            devices_files: Vec::new(),
            modules: Vec::new(),
            policies: Vec::new(),
            ca_dir: None,
            clock: Arc::new(SystemClock),
            handshake_timeout: Duration::from_secs(30),
        }
    }
}

impl EmulatorBuilder {
    /// Sets the hub's host name, whose first label is the hub's name; `localhost` unless set. The server's certificate
    /// is good for it, for what is below it, and for loopback.
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.settings.host_name = name.into();
        self
    }

    /// Sets where AMQP over TLS is served; a free port of 127.0.0.1 unless set. Port 0 is a free one.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Serves AMQP without TLS as well, which the real hub does not. Tokens then travel in the clear.
    pub fn amqp_listen(mut self, address: SocketAddr) -> Self {
        self.amqp_listen = Some(address);
        self
    }

    /// Sets where HTTPS is served: the REST interface, and WebSockets that carry AMQP. A free port of 127.0.0.1 unless set.
    /// Port 0 is a free one.
    pub fn https_listen(mut self, address: SocketAddr) -> Self {
        self.https_listen = HttpsListen { address, or_free_port: false };
        self
    }

    /// As [`https_listen`](Self::https_listen). Where the port is in use or needs a privilege, a free port is taken;
    /// [`Emulator::https_note`] then says why, and what helps.
    pub fn https_listen_or_free_port(mut self, address: SocketAddr) -> Self {
        self.https_listen = HttpsListen { address, or_free_port: true };
        self
    }

    /// Registers a device with the base64 text of its key.
    pub fn device(mut self, id: &str, key_base64: &str) -> Self {
        self.devices.push(device_spec(id, key_base64));
        self
    }

    /// Registers a device.
    pub fn device_spec(mut self, device: DeviceSpec) -> Self {
        self.devices.push(Ok(device));
        self
    }

    /// Registers a module of a device that is registered at the start too, with the base64 text of the module's key.
    pub fn module(mut self, device: &str, id: &str, key_base64: &str) -> Self {
        self.modules.push(module_spec(device, id, key_base64));
        self
    }

    /// Registers the devices of a JSON file: see [`parse_devices`].
    pub fn devices_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.devices_files.push(path.into());
        self
    }

    /// Sets the key of a shared access policy, as base64 text. A well-known name brings its rights, another one has
    /// all. Well-known policies that are not set get keys of their own.
    pub fn policy(mut self, name: &str, key_base64: &str) -> Self {
        let text = Zeroizing::new(format!("{name}={key_base64}"));
        self.policies.push(text.parse().map_err(|source| StartError::Policy { name: name.into(), source }));
        self
    }

    /// Adds a shared access policy, or replaces the one of the same name.
    pub fn policy_spec(mut self, policy: Policy) -> Self {
        self.policies.push(Ok(policy));
        self
    }

    /// Sets the number of telemetry partitions, 1 to 128; 4 unless set.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.settings.partitions = partitions;
        self
    }

    /// Keeps the certificate authority in a directory: `ca.pem`, and `ca-key.pem` for its owner only. Unless set, it
    /// is made at each start and lives in memory.
    pub fn ca_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.ca_dir = Some(directory.into());
        self
    }

    /// Changes any setting of the hub.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Sets the clock that locks, expiries and tokens follow; the machine's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the seed of lock tokens and generation ids. Keys never come from it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Sets how long a client may take for TLS, SASL and its open; 30 s unless set.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Starts the emulator: when this returns it serves.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong with what it was given, or what the machine did not grant.
    ///
    /// # Cancel safety
    /// Cancelled, nothing is left but, perhaps, a certificate authority in its directory.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let mut settings = self.settings;
        for alias in ["localhost", "127.0.0.1", "::1"] {
            if !settings.is_host(alias) {
                settings.host_aliases.push(alias.into());
            }
        }
        settings.created.get_or_insert_with(|| self.clock.now());
        let host_name = settings.host_name.clone();
        let seed = settings.seed;
        let mut hub = Hub::new(settings, policies(self.policies)?)?;
        for device in self.devices {
            hub.add_device(device?).map_err(DeviceError::from)?;
        }
        for path in self.devices_files {
            for device in read_devices(&path)? {
                hub.add_device(device).map_err(DeviceError::from)?;
            }
        }
        for module in self.modules {
            hub.create_identity(self.clock.now(), module?).map_err(DeviceError::from)?;
        }

        let authority = match &self.ca_dir {
            Some(directory) => Authority::open(directory)?,
            None => Authority::generate()?,
        };
        let certificate = authority.issue(&host_name)?;
        let tls = TlsServer::from_pem(certificate.chain_pem.as_bytes(), certificate.key_pem.as_bytes())?;

        let (tls_listener, address) = bind(self.listen).await?;
        let amqp = match self.amqp_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let https = self.https_listen.bind().await?;
        let shared = Arc::new(Shared::new(hub, self.clock));
        let front = Front {
            shared: shared.clone(),
            transport: Transport::Tls(tls.clone()),
            port: address.port(),
            container_id: format!("DeviceGateway_{seed:032x}").into(),
            handshake_timeout: self.handshake_timeout,
        };
        let amqp_address = amqp.as_ref().map(|(_, address)| *address);
        let mut tasks = Vec::new();
        if let Some((listener, address)) = amqp {
            let front = Front { transport: Transport::Plain, port: address.port(), ..front.clone() };
            tasks.push(tokio::spawn(front::listen(listener, front)));
        }
        let rest = Rest {
            shared: shared.clone(),
            tls: tls.to_config()?,
            front: Front { transport: Transport::WebSocket, ..front.clone() },
            handshake_timeout: self.handshake_timeout,
        };
        tasks.push(tokio::spawn(rest::listen(https.listener, rest)));
        tasks.push(tokio::spawn(front::listen(tls_listener, front)));
        let time = shared.clone();
        tasks.push(tokio::spawn(async move { time.keep_time().await }));
        let addresses = Addresses {
            tls: address,
            amqp: amqp_address,
            https: https.address,
            https_note: https.note,
            host_name,
            ca_pem: authority.certificate_pem().into(),
            ca_path: self.ca_dir.map(|directory| directory.join(CERTIFICATE_FILE)),
        };
        if let Some(note) = &addresses.https_note {
            tracing::warn!("{note}");
        }
        tracing::info!(%address, https = %addresses.https, host_name = %addresses.host_name, "the emulator serves");
        Ok(Emulator::new(shared, addresses, tasks))
    }
}

/// A device from the texts that it is given by.
pub(crate) fn device_spec(id: &str, key_base64: &str) -> Result<DeviceSpec, DeviceError> {
    let device = DeviceId::new(id).map_err(|source| DeviceError::Id { id: id.into(), source })?;
    let key = Key::from_base64(key_base64).map_err(|source| DeviceError::Key { id: id.into(), source })?;
    Ok(DeviceSpec::new(device, key))
}

/// A module from the texts that it is given by.
pub(crate) fn module_spec(device: &str, id: &str, key_base64: &str) -> Result<IdentitySpec, DeviceError> {
    let device = DeviceId::new(device).map_err(|source| DeviceError::Id { id: device.into(), source })?;
    let module = ModuleId::new(id).map_err(|source| DeviceError::Id { id: id.into(), source })?;
    let key = Key::from_base64(key_base64).map_err(|source| DeviceError::Key { id: id.into(), source })?;
    let authentication = AuthenticationSpec::SymmetricKey { primary: Some(key), secondary: None };
    let id = IdentityId::of_module(device, module);
    Ok(IdentitySpec { authentication: Some(authentication), ..IdentitySpec::new(id) })
}

/// The well-known policies with keys from the operating system, and over them those that were given.
fn policies(given: Vec<Result<Policy, StartError>>) -> Result<Policies, StartError> {
    let mut octets = Zeroizing::new([0_u8; 32 * crate::hub::WELL_KNOWN_POLICIES.len()]);
    getrandom::fill(octets.as_mut_slice()).map_err(StartError::Random)?;
    let mut keys = octets.chunks(32).filter_map(|octets| Key::from_octets(octets).ok());
    let mut policies = Policies::new();
    for (name, _) in crate::hub::WELL_KNOWN_POLICIES {
        if let Some(key) = keys.next() {
            policies.set(Policy::new(name, key));
        }
    }
    for policy in given {
        policies.set(policy?);
    }
    Ok(policies)
}

fn read_devices(path: &Path) -> Result<Vec<DeviceSpec>, StartError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| StartError::DevicesFile { path: path.into(), source })?;
    parse_devices(&text).map_err(|source| StartError::DevicesFileContent { path: path.into(), source })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| StartError::Bind { address, source })
}
