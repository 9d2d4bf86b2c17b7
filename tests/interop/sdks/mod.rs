//! Azure's SDKs for Node, Python and Java with the emulator: every feature over AMQP and HTTPS that they have, unmodified,
//! on the ports that are built into them.

use amqp1_tests::{
    expected::{AtLeast, Judgement},
    peer,
};
use hub::Hub;
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

mod command;
mod front;
mod hub;

/// A program that knows the hub by its connection strings, and trusts its authority.
fn with_settings(mut command: Command, hub: &Hub) -> Command {
    command
        .env("IOTHUB_OWNER", hub.owner())
        .env("IOTHUB_SERVICE", hub.service())
        .env("IOTHUB_KEPT", hub.kept())
        .env("EVENT_HUBS", hub.event_hubs())
        .env("X509", hub.certificates())
        .env("IOTHUB_CA", hub.ca())
        .env("NODE_EXTRA_CA_CERTS", hub.ca());
    command
}

/// Runs a program to its end and records its cases, which it prints with the name of the SDK that each is of. It may ask
/// for connections to be cut, and for the emulator to be started again.
async fn run(hub: &mut Hub, command: Command, limit: Duration, judgements: &mut [Judgement]) {
    let mut command = with_settings(command, hub);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    if std::env::var_os("AMQP1_INTEROP_SHOW").is_none() {
        command.stderr(Stdio::null());
    }
    let mut child = command.spawn().expect("the packages that tests/interop/setup.sh installs");
    let mut input = child.stdin.take().expect("a piped input");
    let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
    let running = async {
        while let Some(line) = lines.next_line().await.expect("a readable output") {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            match line["event"].as_str() {
                Some("cut") => assert!(hub.cut().await >= 1, "the program has no connection that could be cut"),
                Some("restart") => hub.restart().await,
                Some("events") => hub.append(40),
                Some(other) => panic!("nothing can be done about {other}"),
                None => {
                    record(judgements, &line);
                    continue;
                }
            }
            input.write_all(b"done\n").await.expect("an input");
        }
    };
    // What was not run is missing among the results.
    if timeout(limit, running).await.is_err() {
        println!("  the program did not end within {limit:?}");
    }
}

fn record(judgements: &mut [Judgement], line: &Value) {
    let case = line["case"].as_str().expect("a case");
    let result = match line["failure"].as_str() {
        Some(failure) => Err(failure.to_owned()),
        None => Ok(line["messages"].as_u64().expect("a number")),
    };
    let sdk = line["sdk"].as_str().expect("the name of an SDK");
    println!("  {sdk}: {case} ({} s): {result:?}", line["seconds"]);
    let judgement = judgements.iter_mut().find(|judgement| judgement.judge() == sdk);
    let judgement = judgement.unwrap_or_else(|| panic!("{sdk} is not one of the judges"));
    if judgement.wants(case) {
        judgement.record(case, result);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_on_azures_sdk_for_node() {
    let mut hub = Hub::start(21).await;
    let mut judgements = [Judgement::new("azure-iothub (Node)")];
    run(&mut hub, peer::program("azure/node_iothub.js"), Duration::from_secs(180), &mut judgements).await;
    hub.stop().await;
    let [judgement] = judgements;
    judgement.check(AtLeast { cases: 20, messages: 110 });
}

async fn node_devices(last: u8, through: &str, judge: &'static str) {
    let mut hub = Hub::start(last).await;
    let mut judgements = [Judgement::new(judge)];
    let mut program = peer::program("azure/node_iot_device.js");
    program.arg(through);
    run(&mut hub, program, Duration::from_secs(300), &mut judgements).await;
    hub.stop().await;
    let [judgement] = judgements;
    judgement.check(AtLeast { cases: 11, messages: 150 });
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_on_azures_sdk_for_node() {
    node_devices(22, "amqp", "azure-iot-device (Node), AMQP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_on_azures_sdk_for_node_through_websocket() {
    node_devices(23, "ws", "azure-iot-device (Node), WebSocket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_on_azures_sdk_for_python() {
    let mut hub = Hub::start(24).await;
    let mut judgements = [Judgement::new("azure-iot-hub (Python)")];
    let mut program = peer::program("azure/python_iot_hub.py");
    program.env("NODE_PATH", peer::built("node_modules"));
    run(&mut hub, program, Duration::from_secs(240), &mut judgements).await;
    hub.stop().await;
    let [judgement] = judgements;
    judgement.check(AtLeast { cases: 20, messages: 95 });
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_on_azures_sdk_for_python() {
    let mut hub = Hub::start(25).await;
    let mut judgements = [Judgement::new("azure-eventhub (Python)")];
    run(&mut hub, peer::program("azure/python_event_processors.py"), Duration::from_secs(420), &mut judgements).await;
    hub.stop().await;
    let [judgement] = judgements;
    judgement.check(AtLeast { cases: 14, messages: 2_000 });
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_on_azures_sdk_for_node() {
    let mut hub = Hub::start(26).await;
    let mut judgements = [Judgement::new("@azure/event-hubs (Node)")];
    run(&mut hub, peer::program("azure/node_event_processors.js"), Duration::from_secs(240), &mut judgements).await;
    hub.stop().await;
    let [judgement] = judgements;
    judgement.check(AtLeast { cases: 7, messages: 500 });
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_azures_sdks_for_java() {
    let mut hub = Hub::start(27).await;
    let trusted = crate::java_clients::trust_store(hub.ca().parent().expect("a folder"));
    let options = format!("-Djavax.net.ssl.trustStore={trusted} -Djavax.net.ssl.trustStorePassword=secret");
    let mut judgements = [
        "iot-service-client (Java)",
        "azure-messaging-eventhubs (Java)",
        "iot-device-client (Java), AMQPS",
        "iot-device-client (Java), AMQPS_WS",
        "iot-device-client (Java), multiplexed",
    ]
    .map(Judgement::new);
    let mut program = peer::java("iot", "Sdks");
    program.env("JDK_JAVA_OPTIONS", options);
    run(&mut hub, program, Duration::from_secs(600), &mut judgements).await;
    hub.stop().await;
    let least = [(17, 55), (8, 800), (11, 100), (11, 100), (1, 2_000)];
    for (judgement, (cases, messages)) in judgements.into_iter().zip(least) {
        judgement.check(AtLeast { cases, messages });
    }
}
