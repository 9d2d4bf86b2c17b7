//! Azure's SDKs for Node and Python with the emulator, over TLS with the emulator's own authority.

use amqp1::Message;
use amqp1_tests::peer;
use bytes::BytesMut;
use iothub_emulator::Emulator;
use iothub_emulator::hub::{DeviceId, IdentityId, IfMatch};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const DEVICE: &str = "device1";
const EVENTS: u64 = 100;
const MESSAGES: u64 = 30;

/// A hub with one device, and the folder with its authority's certificate.
async fn hub() -> (Emulator, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Emulator::builder()
        .device(DEVICE, "ZGV2aWNlIGtleQ==")
        .policy("service", "c2VydmljZSBrZXk=")
        .ca_dir(folder.path())
        .settings(|settings| settings.feedback.batch_delay = Duration::from_millis(200));
    (hub.start().await.expect("an emulator"), folder)
}

/// A program that knows the hub by its connection strings, and trusts its authority.
fn program(hub: &Emulator, file: &str) -> Command {
    let mut command = peer::program(file);
    command
        .env("IOTHUB_CONNECTION_STRING", hub.service_connection_string())
        .env("IOTHUB_DEVICE_CONNECTION_STRING", hub.device_connection_string(DEVICE).expect("the device"))
        .env("EVENT_HUBS_CONNECTION_STRING", hub.event_hubs_connection_string())
        .env("NODE_EXTRA_CA_CERTS", hub.ca_path().expect("a folder of its own"))
        .env("IOTHUB_CA", hub.ca_path().expect("a folder of its own"));
    command
}

async fn report(command: Command) -> Value {
    let report = peer::run(command).await.unwrap_or_else(|why| panic!("{why}"));
    println!("  {report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_and_a_service_on_azures_sdks_for_node() {
    let (hub, _folder) = hub().await;
    let mut service = program(&hub, "azure/node_service.js");
    service.args([DEVICE, &MESSAGES.to_string()]);
    let mut device = program(&hub, "azure/node_device.js");
    device.args([EVENTS.to_string(), MESSAGES.to_string()]);
    let (service, device, ()) = tokio::join!(report(service), report(device), desire_when_ready(&hub));
    for counted in ["sent", "accepted", "feedback"] {
        assert_eq!(service[counted], MESSAGES, "{counted}: {service}");
    }
    for (counted, expected) in [
        ("sent", EVENTS),
        ("accepted", EVENTS),
        ("received", MESSAGES),
        ("completed", MESSAGES),
        ("distinct", MESSAGES),
    ] {
        assert_eq!(device[counted], expected, "{counted}: {device}");
    }
    // Its links for methods and for its twin are taken at once.
    for took in ["opened_seconds", "twin_seconds"] {
        assert!(device[took].as_f64().expect("a time") < 20.0, "{took}: {device}");
    }
    assert_eq!((&device["fan"], &device["desired_version"]), (&Value::from(3), &Value::from(2)), "{device}");
    let kept = hub.with_hub(|hub, _| {
        hub.partition_properties(hub.partition_of(&DEVICE.parse().expect("an id"))).expect("its partition")
    });
    assert_eq!(u64::try_from(kept.last_sequence_number).expect("events"), EVENTS - 1);
    hub.shutdown().await;
}

/// Sets the speed of the device's fan when the device has reported that it is ready.
async fn desire_when_ready(hub: &Emulator) {
    let id = IdentityId::from(DEVICE.parse::<DeviceId>().expect("an id"));
    while hub.with_hub(|hub, _| hub.twin(&id).expect("its twin").reported().get("ready").is_none()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let desired = serde_json::json!({ "properties": { "desired": { "fan": 3 } } });
    let patched = hub.with_hub(|hub, now| hub.patch_twin(now, &id, &IfMatch::None, &desired).map(drop));
    patched.expect("a change of its twin");
}

/// Puts events into the device's partition.
fn fill(hub: &Emulator) {
    for number in 0..EVENTS {
        let message = Message::builder().data(format!(r#"{{"number":{number}}}"#)).build();
        let payload: BytesMut = message.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        let device = DEVICE.parse().expect("an id");
        let appended = hub.with_hub(|hub, now| {
            hub.append(now, &device, None, &"{}".into(), payload.len(), payload.freeze()).map(drop)
        });
        appended.expect("room for an event");
    }
}

/// What a reader has to find: the events, each once, the partitions as they are, and no events beyond the end.
fn check(hub: &Emulator, report: &Value) {
    assert_eq!(report["received"], EVENTS, "{report}");
    assert_eq!(report["distinct"], EVENTS, "{report}");
    let used = hub.with_hub(|hub, _| hub.partition_of(&DEVICE.parse().expect("an id")));
    let partitions = report["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 4);
    for (number, partition) in partitions.iter().enumerate() {
        let is_used = u32::try_from(number) == Ok(used);
        assert_eq!(partition["is_empty"], !is_used, "{report}");
        assert_eq!(partition["last_sequence_number"], if is_used { EVENTS.cast_signed() - 1 } else { -1 }, "{report}");
        let last = partition["last"].as_str().expect("a time");
        assert_eq!(last.starts_with("0001-01-01T00:00:00"), !is_used, "{report}");
    }
    assert!(!report["created"].as_str().expect("a time").starts_with("1970"), "{report}");
    let beyond = report["beyond"].as_str().expect("a refusal");
    assert!(beyond.contains("The supplied sequence number '1000000' is invalid."), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_on_azures_sdk_for_node() {
    let (hub, _folder) = hub().await;
    fill(&hub);
    let mut reader = program(&hub, "azure/node_event_hubs.js");
    reader.args([EVENTS.to_string(), format!("sb://localhost:{}", hub.local_addr().port())]);
    check(&hub, &report(reader).await);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_on_azures_sdk_for_python() {
    let (hub, _folder) = hub().await;
    fill(&hub);
    let mut reader = program(&hub, "azure/python_event_hubs.py");
    reader.args([EVENTS.to_string(), format!("sb://localhost:{}", hub.local_addr().port())]);
    check(&hub, &report(reader).await);
    hub.shutdown().await;
}
