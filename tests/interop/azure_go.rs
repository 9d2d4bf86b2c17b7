//! Azure's SDK for Go with the emulator, over TLS with the emulator's own authority.

use amqp1_tests::{
    expected::{AtLeast, Judgement},
    peer,
    relay::Relay,
};
use iothub_emulator::{Emulator, hub::DeviceId};
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};
use tempfile::TempDir;

const EVENTS: u64 = 100;
const KEY: &str = "ZGV2aWNlIGtleQ==";

/// A hub with one device for each partition, and the folder with its authority's certificate.
struct Hub {
    emulator: Emulator,
    folder: TempDir,
    devices: Vec<DeviceId>,
}

impl Hub {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hub = Emulator::builder().policy("service", "c2VydmljZSBrZXk=").ca_dir(folder.path());
        let emulator = hub.start().await.expect("an emulator");
        let mut devices = Vec::new();
        for number in 0.. {
            let id: DeviceId = format!("device{number}").parse().expect("an id");
            if emulator.with_hub(|hub, _| hub.partition_of(&id)) == u32::try_from(devices.len()).expect("few") {
                emulator.add_device(id.as_str(), KEY).expect("a device");
                devices.push(id);
            }
            if devices.len() == 4 {
                break;
            }
        }
        Self { emulator, folder, devices }
    }

    /// Puts the event with this number into a partition.
    fn append(&self, partition: usize, number: u64) {
        let body = json!({ "number": number }).to_string();
        let message = amqp1::Message::builder().data(body).build();
        let payload: bytes::BytesMut = message.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        let appended = self.emulator.with_hub(|hub, now| {
            hub.append(now, &self.devices[partition], None, &"{}".into(), payload.len(), payload.freeze()).map(drop)
        });
        appended.expect("room for an event");
    }

    async fn run(&self, case: &str, arguments: &[&str]) -> Result<Value, String> {
        self.run_at(self.emulator.local_addr().port(), case, arguments).await
    }

    async fn run_at(&self, port: u16, case: &str, arguments: &[&str]) -> Result<Value, String> {
        let mut command = peer::program("go/eventhubs");
        command.arg(case).arg(format!("localhost:{port}")).args(arguments);
        command.env("EVENT_HUBS_CONNECTION_STRING", self.emulator.event_hubs_connection_string());
        command.env("SSL_CERT_FILE", self.folder.path().join("ca.pem"));
        let report = peer::run(command).await?;
        println!("  azeventhubs {case}: {report}");
        Ok(report)
    }
}

fn received(report: &Value) -> Result<u64, String> {
    report["received"].as_u64().filter(|received| *received > 0).ok_or_else(|| format!("nothing received: {report}"))
}

async fn properties(hub: &Hub) -> Result<u64, String> {
    let report = hub.run("properties", &[]).await?;
    let filled = json!({ "first": 0, "last": EVENTS - 1, "empty": false });
    let empty = json!({ "first": 0, "last": -1, "empty": true });
    let expected = json!([filled, empty, empty, empty]);
    if report["partitions"] == expected { received(&report) } else { Err(format!("{report}")) }
}

async fn positions(hub: &Hub) -> Result<u64, String> {
    received(&hub.run("positions", &["0", &EVENTS.to_string()]).await?)
}

async fn owner_levels(hub: &Hub) -> Result<u64, String> {
    received(&hub.run("owner-levels", &["0"]).await?)
}

/// Events come all the time.
async fn latest(hub: &Hub) -> Result<u64, String> {
    let coming = async {
        for number in 0.. {
            hub.append(1, number);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        report = hub.run("latest", &["1"]) => received(&report?),
        () = coming => unreachable!("they do not end"),
    }
}

/// Waits until a program has read events over the relay since there were `before` octets from the server: more than a
/// handshake of TLS.
async fn has_read(relay: &Relay, before: u64) {
    while relay.connections() == 0 || relay.octets() < before + 4096 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Events come while connections are cut, twice.
async fn cut(hub: &Hub) -> Result<u64, String> {
    let relay = Relay::start(hub.emulator.local_addr()).await;
    let mut before = 0;
    let coming = async {
        for number in 0..EVENTS {
            tokio::time::sleep(Duration::from_millis(40)).await;
            hub.append(2, number);
            if matches!(number, 40 | 70) {
                has_read(&relay, before).await;
                before = relay.octets();
                assert!(relay.cut() >= 1, "there is no connection that could be cut");
            }
        }
    };
    let count = EVENTS.to_string();
    let arguments = ["2", count.as_str()];
    let mut running = pin!(hub.run_at(relay.address().port(), "cut", &arguments));
    let report = tokio::select! {
        report = &mut running => return Err(format!("it ended before it was cut twice: {report:?}")),
        () = coming => running.await?,
    };
    let received = received(&report)?;
    if received == EVENTS { Ok(received) } else { Err(format!("{received} events were received")) }
}

/// Half of the events are there, and the others come while the processors run.
async fn processors(hub: &Hub) -> Result<u64, String> {
    let each = 100;
    for number in 0..each {
        (0..4).for_each(|partition| hub.append(partition, number));
    }
    let coming = async {
        for number in each..2 * each {
            tokio::time::sleep(Duration::from_millis(40)).await;
            (0..4).for_each(|partition| hub.append(partition, number));
        }
    };
    let half = (4 * each).to_string();
    let arguments = [half.as_str()];
    let (report, ()) = tokio::join!(hub.run("processors", &arguments), coming);
    let report = report?;
    if report["distinct"] == 8 * each { received(&report) } else { Err(format!("{report}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_on_azures_sdk_for_go() {
    let mut judgement = Judgement::new("azeventhubs (Go)");
    let hub = Hub::start().await;
    for number in 0..EVENTS {
        hub.append(0, number);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    judgement.record("properties", properties(&hub).await);
    judgement.record("positions", positions(&hub).await);
    judgement.record("owner levels", owner_levels(&hub).await);
    judgement.record("latest", latest(&hub).await);
    judgement.record("connection cut", cut(&hub).await);
    hub.emulator.shutdown().await;
    let hub = Hub::start().await;
    judgement.record("two processors with checkpoints", processors(&hub).await);
    hub.emulator.shutdown().await;
    judgement.check(AtLeast { cases: 6, messages: 1_300 });
}
