//! A hub with devices, and clients of it.

use iothub::{
    DeviceClient, EventConsumer, EventConsumerBuilder, RegistryClient, ServiceClient, Telemetry,
    registry::RegistryClientBuilder,
};
use iothub_emulator::{Emulator, EmulatorBuilder};
use std::time::Duration;

const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==";

/// Everything that should happen happens long before.
const EVENTUALLY: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(EVENTUALLY, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

pub(crate) fn builder() -> EmulatorBuilder {
    // Feedback comes in batches, up to 15 s later unless set.
    let builder = Emulator::builder().settings(|settings| settings.feedback.batch_delay = Duration::from_millis(200));
    builder.policy("iothubowner", KEY)
}

/// A hub with devices `d0`, `d1` …
pub(crate) async fn hub(devices: usize) -> Emulator {
    let hub = (0..devices).fold(builder(), |hub, number| hub.device(&format!("d{number}"), KEY));
    hub.start().await.expect("a hub")
}

/// The connection string of a policy with all rights.
pub(crate) fn owner(hub: &Emulator) -> String {
    let string = hub.service_connection_string();
    let (host, _) = string.split_once(";SharedAccessKeyName").expect("a policy");
    format!("{host};SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}")
}

pub(crate) fn registry_builder(hub: &Emulator) -> RegistryClientBuilder {
    let builder = RegistryClient::builder().connection_string(&owner(hub)).expect("a connection string");
    builder.ca_pem(hub.ca_pem()).expect("a certificate").https_port(hub.https_addr().port())
}

pub(crate) fn registry(hub: &Emulator) -> RegistryClient {
    registry_builder(hub).build().expect("a client")
}

pub(crate) async fn service(hub: &Emulator) -> ServiceClient {
    let builder = ServiceClient::builder().connection_string(&hub.service_connection_string());
    let builder = builder.expect("a connection string").ca_pem(hub.ca_pem()).expect("a certificate");
    soon("a connection", builder.connect()).await.expect("the hub takes it")
}

pub(crate) async fn device(string: &str, hub: &Emulator) -> DeviceClient {
    let builder = DeviceClient::builder().connection_string(string).expect("a connection string");
    soon("a connection", builder.ca_pem(hub.ca_pem()).expect("a certificate").connect()).await.expect("accepted")
}

pub(crate) fn consumer(hub: &Emulator) -> EventConsumerBuilder {
    let builder = EventConsumer::builder().connection_string(&hub.service_connection_string());
    builder.expect("a connection string").ca_pem(hub.ca_pem()).expect("a certificate")
}

/// Sends texts `{device}-{number}`, from several devices, and gives them.
pub(crate) async fn send(hub: &Emulator, devices: usize, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut sent = Vec::new();
    for id in (0..devices).map(|number| format!("d{number}")) {
        let client = device(&hub.device_connection_string(&id).expect("a device"), hub).await;
        for number in numbers.clone() {
            let text = format!("{id}-{number}");
            soon("an outcome", client.send(Telemetry::new(text.clone()))).await.expect("accepted");
            sent.push(text);
        }
        client.close().await.expect("a clean close");
    }
    sent
}
