//! A hub with devices, and clients of it.

use iothub::{
    DeviceClient, DeviceClientBuilder, EventConsumer, EventPosition, ModuleClient, MultiplexedConnection,
    MultiplexedConnectionBuilder, RegistryClient, ServiceClient,
};
use iothub_emulator::{Emulator, EmulatorBuilder};
use std::time::Duration;

pub(crate) const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==";

/// Everything that should happen happens long before.
const EVENTUALLY: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(EVENTUALLY, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A hub with devices `d0`, `d1` …, and a module `m` of the first.
pub(crate) fn builder(devices: usize) -> EmulatorBuilder {
    let builder = Emulator::builder().policy("iothubowner", KEY).partitions(1);
    let builder = (0..devices).fold(builder, |hub, number| hub.device(&format!("d{number}"), KEY));
    if devices == 0 { builder } else { builder.module("d0", "m", KEY) }
}

pub(crate) async fn hub(devices: usize) -> Emulator {
    builder(devices).start().await.expect("a hub")
}

pub(crate) fn string(hub: &Emulator, device: &str) -> String {
    hub.device_connection_string(device).expect("a device")
}

pub(crate) fn device_builder(hub: &Emulator, device: &str) -> DeviceClientBuilder {
    let builder = DeviceClient::builder().connection_string(&string(hub, device)).expect("a connection string");
    builder.ca_pem(hub.ca_pem()).expect("a certificate")
}

pub(crate) async fn device(hub: &Emulator, device: &str) -> DeviceClient {
    soon("a connection", device_builder(hub, device).connect()).await.expect("accepted")
}

pub(crate) async fn module(hub: &Emulator) -> ModuleClient {
    let string = hub.module_connection_string("d0", "m").expect("a module");
    let builder = ModuleClient::builder().connection_string(&string).expect("a connection string");
    soon("a connection", builder.ca_pem(hub.ca_pem()).expect("a certificate").connect()).await.expect("accepted")
}

pub(crate) async fn service(hub: &Emulator) -> ServiceClient {
    let builder = ServiceClient::builder().connection_string(&hub.service_connection_string());
    let builder = builder.expect("a connection string").ca_pem(hub.ca_pem()).expect("a certificate");
    soon("a connection", builder.connect()).await.expect("accepted")
}

/// A client with all rights.
pub(crate) fn registry(hub: &Emulator) -> RegistryClient {
    let string = hub.service_connection_string();
    let (host, _) = string.split_once(";SharedAccessKeyName").expect("a policy");
    let owner = format!("{host};SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}");
    let builder = RegistryClient::builder().connection_string(&owner).expect("a connection string");
    let builder = builder.ca_pem(hub.ca_pem()).expect("a certificate").https_port(hub.https_addr().port());
    builder.build().expect("a client")
}

/// A reader of the only partition, from its beginning.
pub(crate) async fn telemetry(hub: &Emulator) -> EventConsumer {
    let builder = EventConsumer::builder().connection_string(&hub.service_connection_string());
    let builder = builder.expect("a connection string").ca_pem(hub.ca_pem()).expect("a certificate");
    let consumer = builder.partition(0).start(EventPosition::Start).connect();
    soon("a connection", consumer).await.expect("accepted")
}

pub(crate) async fn next_event(consumer: &mut EventConsumer) -> iothub::Event {
    soon("an event", consumer.next()).await.expect("no error").expect("not detached").expect("decodable")
}

pub(crate) fn multiplexed_builder(hub: &Emulator) -> MultiplexedConnectionBuilder {
    let builder = MultiplexedConnection::builder().host_of(&string(hub, "d0")).expect("a connection string");
    builder.ca_pem(hub.ca_pem()).expect("a certificate")
}

pub(crate) async fn multiplexed(hub: &Emulator) -> MultiplexedConnection {
    soon("a connection", multiplexed_builder(hub).connect()).await.expect("accepted")
}
