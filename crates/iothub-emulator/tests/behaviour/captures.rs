//! What real SDKs sent, replayed against the emulator: every conversation is taken to its end.

use std::path::{Path, PathBuf};

use crate::support::replay::Replay;
use amqp1::{Message, link::DeliveryState, message::Properties};
use bytes::{Bytes, BytesMut};
use iothub_emulator::hub::{AckMode, Address, CloudToDevice, DeviceId, Hub, UnixMillis};
use iothub_emulator::{Emulator, ManualClock};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/captures")
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A hub as the recorded clients were told of it, at the time of the recording.
async fn hub(manifest: &Value, capture: &Value) -> Emulator {
    let clock = ManualClock::new(UnixMillis(capture["clock"].as_u64().unwrap() * 1000));
    let mut builder = Emulator::builder()
        .hostname(text(&manifest["hostname"]))
        .amqp_listen("127.0.0.1:0".parse().unwrap())
        .partitions(u32::try_from(manifest["partitions"].as_u64().unwrap()).unwrap())
        .clock(clock)
        .settings(|settings| settings.entity_aliases.extend(capture["entity"].as_str().map(Into::into)));
    for (name, key) in manifest["policies"].as_object().unwrap() {
        builder = builder.policy(name, text(key));
    }
    for (id, key) in manifest["devices"].as_object().unwrap() {
        builder = builder.device(id, text(key));
    }
    let hub = builder.start().await.unwrap();
    for (address, count) in capture["deliveries"].as_object().unwrap() {
        fill(&hub, address, count.as_u64().unwrap());
    }
    hub
}

/// Puts into the hub what the clients took out of it.
fn fill(emulator: &Emulator, address: &str, count: u64) {
    let message = Message::builder()
        .properties(Properties { message_id: Some("pushed-1".into()), ..Properties::default() })
        .application_property("k", "v")
        .data("hello")
        .build();
    let mut octets = BytesMut::new();
    message.chunks().for_each(|chunk| octets.extend_from_slice(chunk));
    let payload = octets.freeze();
    for _ in 0..count {
        emulator.with_hub(|hub, now| match Address::parse(address) {
            Address::DeviceBound { device, .. } => enqueue(hub, now, &device, &payload),
            Address::Feedback => {
                let device = DeviceId::new("device1").unwrap();
                enqueue(hub, now, &device, &payload);
                let consumer = hub.add_consumer();
                let token = hub.take_next(now, &device, consumer).unwrap().token;
                hub.complete(now, &device, &token).unwrap();
                hub.flush_feedback(now);
            }
            Address::EventHub { partition, .. } => {
                let number = hub.partition_number(&partition).unwrap();
                let device = device_in(hub, number);
                hub.append(now, &device, None, &"{}".into(), 5, payload.clone()).unwrap();
            }
            _ => {}
        });
    }
}

fn enqueue(hub: &mut Hub, now: UnixMillis, device: &DeviceId, payload: &Bytes) {
    let message = CloudToDevice {
        message_id: Some("pushed-1".into()),
        ack: AckMode::Full,
        expiry: None,
        size: payload.len(),
        payload: payload.clone(),
    };
    hub.enqueue(now, device, message).unwrap();
}

/// A device whose telemetry goes to this partition.
fn device_in(hub: &mut Hub, partition: u32) -> DeviceId {
    let ids = (0..).map(|n| DeviceId::new(&format!("reporter{n}")).unwrap());
    let id = ids.into_iter().find(|id| hub.partition_of(id) == partition).unwrap();
    if hub.device(&id).is_none() {
        hub.add_device(format!("{id}=c2VjcmV0").parse().unwrap()).unwrap();
    }
    id
}

/// Takes one conversation to its end.
async fn replay(file: &str) -> Replay {
    let manifest = json(&folder().join("manifest.json"));
    let capture = manifest["captures"].as_array().unwrap().iter().find(|capture| text(&capture["file"]) == file);
    let emulator = hub(&manifest, capture.unwrap()).await;
    let mut replay = Replay::connect(file, emulator.amqp_addr().unwrap()).await;
    for step in json(&folder().join(file))["steps"].as_array().unwrap() {
        for chunk in step["send"].as_array().into_iter().flatten() {
            replay.send(text(chunk)).await;
        }
        let expected: Vec<&str> = step["expect"].as_array().into_iter().flatten().map(text).collect();
        replay.expect(&expected).await;
    }
    replay.finish().await;
    emulator.shutdown().await;
    replay
}

macro_rules! replayed {
    ($($name:ident: $($number:literal)+;)+) => { $(
        #[tokio::test]
        async fn $name() {
            $(replay(concat!(stringify!($name), ".", $number, ".json")).await;)+
        }
    )+ };
}

replayed! {
    node_eventhub: 1;
    node_eventhub_epoch: 1;
    node_service: 1;
    python_eventhub: 1 2 3 4 5 6;
    python_eventhub_uamqp: 1 2 3 4 5 6;
    python_service: 1;
    uamqp_seed: 1 2;
    uamqp_seed_redirect: 1 2 3;
}

#[tokio::test]
async fn node_device() {
    let replay = replay("node_device.1.json").await;
    // GET, PATCH and PUT were answered; the token, the telemetry and the answer to a method were accepted.
    assert_eq!((replay.of_the_twin(), replay.on_silent_links()), ((3, 3), 0));
    assert_eq!(replay.outcomes(0).filter(|state| **state == DeliveryState::Accepted).count(), 12);
}

#[tokio::test]
async fn every_capture_is_replayed_by_a_test() {
    let manifest = json(&folder().join("manifest.json"));
    let files: Vec<_> = manifest["captures"].as_array().unwrap().iter().map(|capture| text(&capture["file"])).collect();
    assert_eq!(files.len(), 22, "{files:?}");
}
