//! A hub as Azure's SDKs want it: on the ports that are built into them, at an address of its own.

use super::front::Door;
use amqp1::Message;
use bytes::BytesMut;
use iothub_emulator::{Emulator, hub::DeviceId};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// A device that is there whenever the hub starts.
const KEPT: (&str, &str) = ("kept", "a2VlcCB0aGlzIGRldmljZSBmb3IgZXZlciBhbmQgZXY=");
const OWNER_KEY: &str = "b3duZXIgb3duZXIgb3duZXIgb3duZXIgb3duZXIgb24=";
const SERVICE_KEY: &str = "c2VydmljZSBzZXJ2aWNlIHNlcnZpY2Ugc2VydmljZSE=";
const ENTITY: &str = "events";
/// Devices of events that a test appends: enough that each partition has one.
const SOURCES: u64 = 20;

/// An emulator behind doors at the ports 5671 and 443 of a loopback address. The doors stay when it is started again.
pub(super) struct Hub {
    pub(super) ip: Ipv4Addr,
    folder: TempDir,
    emulator: Option<Emulator>,
    amqps: Door,
    https: Door,
    appended: u64,
}

impl Hub {
    /// A hub at 127.0.0.`last`.
    pub(super) async fn start(last: u8) -> Self {
        let ip = Ipv4Addr::new(127, 0, 0, last);
        let folder = tempfile::tempdir().expect("a folder");
        let script = amqp1_tests::peer::folder().join("azure/device_certs.sh");
        let made = Command::new(script).arg(folder.path().join("x509")).status().expect("openssl");
        assert!(made.success());
        let (amqps, https) = (Door::open(ip, 5671).await, Door::open(ip, 443).await);
        let mut hub = Self { ip, folder, emulator: None, amqps, https, appended: 0 };
        hub.start_emulator().await;
        hub
    }

    async fn start_emulator(&mut self) {
        let free = SocketAddr::new(IpAddr::V4(self.ip), 0);
        let mut builder = Emulator::builder()
            .hostname(self.ip.to_string())
            .listen(free)
            .https_listen(free)
            .device(KEPT.0, KEPT.1)
            .policy("iothubowner", OWNER_KEY)
            .policy("service", SERVICE_KEY)
            .ca_dir(self.folder.path().join("ca"))
            .device_ca_file(self.certificates().join("ca.pem"))
            .settings(|settings| {
                settings.entity = Some(ENTITY.to_owned());
                settings.feedback.batch_delay = Duration::from_millis(200);
            });
        for number in 0..SOURCES {
            builder = builder.device(&format!("source{number}"), KEPT.1);
        }
        let emulator = builder.start().await.expect("an emulator");
        self.amqps.lead_to(emulator.local_addr());
        self.https.lead_to(emulator.https_addr());
        self.emulator = Some(emulator);
    }

    /// Ends the emulator in order, and starts it with the same keys and certificate authority.
    pub(super) async fn restart(&mut self) {
        self.stop_emulator().await;
        self.start_emulator().await;
    }

    async fn stop_emulator(&mut self) {
        self.emulator.take().expect("it runs").shutdown().await;
    }

    /// Cuts every connection, without a word. Returns the number of connections that there were.
    pub(super) async fn cut(&self) -> usize {
        self.amqps.cut().await + self.https.cut().await
    }

    pub(super) async fn stop(mut self) {
        self.stop_emulator().await;
    }

    fn with_policy(&self, name: &str, key: &str) -> String {
        format!("HostName={};SharedAccessKeyName={name};SharedAccessKey={key}", self.ip)
    }

    pub(super) fn owner(&self) -> String {
        self.with_policy("iothubowner", OWNER_KEY)
    }

    pub(super) fn service(&self) -> String {
        self.with_policy("service", SERVICE_KEY)
    }

    pub(super) fn event_hubs(&self) -> String {
        let ip = self.ip;
        format!("Endpoint=sb://{ip}/;SharedAccessKeyName=service;SharedAccessKey={SERVICE_KEY};EntityPath={ENTITY}")
    }

    pub(super) fn kept(&self) -> String {
        format!("HostName={};DeviceId={};SharedAccessKey={}", self.ip, KEPT.0, KEPT.1)
    }

    pub(super) fn ca(&self) -> std::path::PathBuf {
        self.folder.path().join("ca/ca.pem")
    }

    /// The folder with certificates of devices, and what else a program makes of them.
    pub(super) fn certificates(&self) -> std::path::PathBuf {
        self.folder.path().join("x509")
    }

    /// Appends events, which are numbered and spread over the partitions.
    pub(super) fn append(&mut self, count: u64) {
        let emulator = self.emulator.as_ref().expect("it runs");
        for number in self.appended..self.appended + count {
            let message = Message::builder().data(format!(r#"{{"number":{number}}}"#)).build();
            let payload: BytesMut = message.chunks().flat_map(|chunk| chunk.to_vec()).collect();
            let device: DeviceId = format!("source{}", number % SOURCES).parse().expect("an id");
            let appended = emulator.with_hub(|hub, now| {
                hub.append(now, &device, None, &"{}".into(), payload.len(), payload.freeze()).map(drop)
            });
            appended.expect("room for an event");
        }
        self.appended += count;
    }
}
