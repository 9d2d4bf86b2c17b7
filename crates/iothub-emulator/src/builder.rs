//! How an emulator is set up and started.

use core::time::Duration;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amqp1::tls::TlsServer;
use zeroize::Zeroizing;

use crate::ca::{Authority, CERTIFICATE_FILE};
use crate::clock::{Clock, SystemClock};
use crate::emulator::{Addresses, Emulator};
use crate::error::{DeviceError, StartError};
use crate::front::{self, Front, Transport};
use crate::hub::{
    AuthenticationSpec, DeviceId, DeviceSpec, Hub, IdentityId, IdentitySpec, Key, ModuleId, Policy, Settings,
    UnixMillis, parse_devices,
};
use crate::listen::{self, Place};
use crate::policy_keys;
use crate::rest::port::HttpsListen;
use crate::rest::{self, Rest};
use crate::shared::Shared;
use crate::tls;
use crate::x509::{self, DeviceAuthorities};

/// Sets up an [`Emulator`]. Mistakes in what it is given are reported by [`start`](Self::start).
#[must_use = "call start"]
pub struct EmulatorBuilder {
    settings: Settings,
    listen: Vec<Place>,
    amqp_listen: Vec<Place>,
    https_listen: HttpsListen,
    certificate_names: Vec<String>,
    device_authorities: Vec<Vec<u8>>,
    device_authority_files: Vec<PathBuf>,
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
            listen: Vec::new(),
            amqp_listen: Vec::new(),
            https_listen: HttpsListen::default(),
            certificate_names: Vec::new(),
            device_authorities: Vec::new(),
            device_authority_files: Vec::new(),
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

    /// Adds an address on which AMQP over TLS is served. Unless there is one, it is a free port on 127.0.0.1 and, where
    /// the machine has IPv6, on ::1. Port 0 is a free one, the same for all addresses.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(Place::Address(address));
        self
    }

    /// Adds `NAME:PORT`, which stands for all addresses of the name, as in [`listen`](Self::listen). The server's
    /// certificate is good for the name.
    pub fn listen_on(mut self, name_and_port: impl Into<String>) -> Self {
        self.listen.push(Place::Named(name_and_port.into()));
        self
    }

    /// Adds 127.0.0.1 and, where the machine has IPv6, ::1, as in [`listen`](Self::listen).
    pub fn listen_on_loopback(mut self, port: u16) -> Self {
        self.listen.push(Place::Loopback { port });
        self
    }

    /// Serves AMQP without TLS as well, which the real hub does not. Tokens then travel in the clear.
    pub fn amqp_listen(mut self, address: SocketAddr) -> Self {
        self.amqp_listen.push(Place::Address(address));
        self
    }

    /// As [`amqp_listen`](Self::amqp_listen), on all addresses of a name, as `NAME:PORT`.
    pub fn amqp_listen_on(mut self, name_and_port: impl Into<String>) -> Self {
        self.amqp_listen.push(Place::Named(name_and_port.into()));
        self
    }

    /// Adds a name or an IP address that the server's certificate is good for, and that tokens may name as the hub's
    /// host. The host name, `localhost`, 127.0.0.1 and ::1 are always among them.
    pub fn certificate_name(mut self, name: impl Into<String>) -> Self {
        self.certificate_names.push(name.into());
        self
    }

    /// Adds a certificate authority, as PEM, that issues the certificates of devices with
    /// the authentication type `certificateAuthority`. The common name of a
    /// device's certificate is its id.
    pub fn device_ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.device_authorities.push(pem.as_ref().to_vec());
        self
    }

    /// As [`device_ca_pem`](Self::device_ca_pem), from a file.
    pub fn device_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.device_authority_files.push(path.into());
        self
    }

    /// Adds an address on which HTTPS is served: the REST interface, and WebSockets that carry AMQP. Unless there is one,
    /// it is a free port of the hosts that AMQP over TLS is served on. Port 0 is a free one, the same for all addresses.
    pub fn https_listen(mut self, address: SocketAddr) -> Self {
        self.https_listen.places.push(Place::Address(address));
        self
    }

    /// Adds `NAME:PORT`, which stands for all addresses of the name, as in [`https_listen`](Self::https_listen).
    pub fn https_listen_on(mut self, name_and_port: impl Into<String>) -> Self {
        self.https_listen.places.push(Place::Named(name_and_port.into()));
        self
    }

    /// As [`https_listen`](Self::https_listen). Where the port is in use or needs a privilege, a free port is taken;
    /// [`Emulator::https_note`] then says why, and what helps.
    pub fn https_listen_or_free_port(mut self, address: SocketAddr) -> Self {
        self.https_listen.or_free_port = true;
        self.https_listen(address)
    }

    /// Serves HTTPS at this port of the hosts that AMQP over TLS is served on, or at a free port as in
    /// [`https_listen_or_free_port`](Self::https_listen_or_free_port).
    pub fn https_port_or_free_port(mut self, port: u16) -> Self {
        self.https_listen = HttpsListen { places: Vec::new(), port, or_free_port: true };
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
    /// all. Well-known policies that are not set get keys of their own, which [`ca_dir`](Self::ca_dir) keeps.
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

    /// Adds a consumer group of the built-in endpoint. Case does not matter; `$Default` is always there.
    pub fn consumer_group(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.settings.is_consumer_group(&name) {
            self.settings.consumer_groups.push(name);
        }
        self
    }

    /// Keeps the certificate authority in a directory: `ca.pem`, and `ca-key.pem` for its owner only. The generated keys
    /// of policies are kept there as well, in `policy-keys.txt` for its owner only, so that connection strings stay
    /// valid. Unless set, both are made at each start and live in memory.
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

    /// Sets how long a client may take for TLS, SASL and its open, and over HTTPS for TLS and for the headers of each request;
    /// 30 s unless set. The body of a request may take twice as long.
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
    /// Cancelled, nothing is left but, perhaps, a certificate authority and the keys of policies in its directory.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let mut settings = self.settings;
        let listen = if self.listen.is_empty() { vec![Place::Loopback { port: 0 }] } else { self.listen };
        let mut names = self.certificate_names;
        names.extend(listen.iter().filter_map(Place::host));
        for alias in ["localhost", "127.0.0.1", "::1"].into_iter().chain(names.iter().map(String::as_str)) {
            if !settings.is_host(alias) {
                settings.host_aliases.push(alias.into());
            }
        }
        settings.created.get_or_insert_with(|| self.clock.now());
        let host_name = settings.host_name.clone();
        let seed = settings.seed;
        let mut hub = Hub::new(settings, policy_keys::policies(self.ca_dir.as_deref(), self.policies)?)?;
        for device in self.devices {
            hub.add_device(device?).map_err(DeviceError::from)?;
        }
        for path in self.devices_files {
            for device in read_devices(&path)? {
                hub.add_device(device).map_err(DeviceError::from)?;
            }
        }
        for module in self.modules {
            hub.create_identity(UnixMillis::default(), module?).map_err(DeviceError::from)?;
        }

        let authority = match &self.ca_dir {
            Some(directory) => Authority::open(directory)?,
            None => Authority::generate()?,
        };
        let certificate = authority.issue(&host_name, &names)?;
        let tls_config = tls::server_config(&certificate).map_err(StartError::Tls)?;

        let mut device_authorities = self.device_authorities;
        for path in &self.device_authority_files {
            device_authorities.push(x509::read_authority(path)?);
        }
        let device_authorities = DeviceAuthorities::from_pem(device_authorities.iter().map(Vec::as_slice))?;

        let https = self.https_listen.bind(&listen).await?;
        let over_tls = listen::bind(&listen).await?;
        let without_tls = listen::bind(&self.amqp_listen).await?;
        let shared = Arc::new(Shared::new(hub, self.clock).with_device_authorities(device_authorities));
        let front = Front {
            shared: shared.clone(),
            transport: Transport::Tls(TlsServer::from_config(tls_config.clone())),
            port: 0,
            container_id: format!("DeviceGateway_{seed:032x}").into(),
            handshake_timeout: self.handshake_timeout,
        };
        let addresses_of = |bound: &[(_, SocketAddr)]| bound.iter().map(|(_, address)| *address).collect::<Vec<_>>();
        let (tls_addresses, amqp_addresses) = (addresses_of(&over_tls), addresses_of(&without_tls));
        let https_addresses = addresses_of(&https.listeners);
        let tls_port = tls_addresses.first().map_or(0, SocketAddr::port);
        let mut tasks = Vec::new();
        for (listener, address) in without_tls {
            let front = Front { transport: Transport::Plain, port: address.port(), ..front.clone() };
            tasks.push(tokio::spawn(front::listen(listener, front)));
        }
        let rest = Rest {
            shared: shared.clone(),
            tls: tls_config,
            front: Front { transport: Transport::WebSocket, port: tls_port, ..front.clone() },
            handshake_timeout: self.handshake_timeout,
        };
        for (listener, _) in https.listeners {
            tasks.push(tokio::spawn(rest::listen(listener, rest.clone())));
        }
        for (listener, address) in over_tls {
            let front = Front { port: address.port(), ..front.clone() };
            tasks.push(tokio::spawn(front::listen(listener, front)));
        }
        let time = shared.clone();
        tasks.push(tokio::spawn(async move { time.keep_time().await }));
        let addresses = Addresses {
            tls: tls_addresses,
            amqp: amqp_addresses,
            https: https_addresses,
            https_note: https.note,
            host_name,
            ca_pem: authority.certificate_pem().into(),
            ca_path: self.ca_dir.map(|directory| directory.join(CERTIFICATE_FILE)),
        };
        if let Some(note) = &addresses.https_note {
            tracing::warn!("{note}");
        }
        tracing::info!(addresses = ?addresses.tls, https = ?addresses.https, host_name = %addresses.host_name, "the emulator serves");
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

fn read_devices(path: &Path) -> Result<Vec<DeviceSpec>, StartError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| StartError::DevicesFile { path: path.into(), source })?;
    parse_devices(&text).map_err(|source| StartError::DevicesFileContent { path: path.into(), source })
}
