//! How many twin patches a second the emulator takes and passes on: in the model alone, and over AMQP with TLS.
//!
//! ```text
//! cargo run --release -p iothub-emulator --example twin_patches -- [DEVICES] [PATCHES]
//! ```
//!
//! All devices are on one connection. Each reports and waits for the answer before it reports again; then the service
//! changes desired properties, and each device reads every change.

use std::error::Error;
use std::time::Instant;

use amqp1::auth::UnixSeconds;
use amqp1::auth::cbs::PutToken;
use amqp1::auth::sas::{PercentEncoding, SasKey};
use amqp1::auth::sasl::Mssbcbs;
use amqp1::{
    Client, Connection, Message, MessageBuilder, Receiver, Sender, Symbol,
    message::{EncodeStyle, MessageId, Properties},
    tls::TlsClient,
};
use iothub_emulator::Emulator;
use iothub_emulator::hub::{DeviceId, Hub, IdentityId, IdentitySpec, IfMatch, Policies, Settings, UnixMillis};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KEY: &str = "ZGV2aWNlIGtleQ==";

/// A patch of the size that devices usually report.
fn patch(number: usize) -> Value {
    json!({ "telemetry": { "interval": number, "unit": "s" }, "firmware": { "version": "1.2.3", "state": "applied" } })
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let devices = arguments.next().transpose()?.unwrap_or(100);
    let patches = arguments.next().transpose()?.unwrap_or(100);
    model(devices, patches)?;
    over_amqp(devices, patches).await
}

fn show(what: &str, count: usize, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{what}: {count} in {seconds:.3} s, {:.0} a second", count as f64 / seconds);
}

fn ids(devices: usize) -> Outcome<Vec<IdentityId>> {
    (0..devices).map(|n| Ok(DeviceId::new(&format!("dev{n}"))?.into())).collect()
}

fn model(devices: usize, patches: usize) -> Outcome<()> {
    let mut hub = Hub::new(Settings::default(), Policies::new())?;
    let ids = ids(devices)?;
    let now = UnixMillis(1_800_000_000_000);
    let consumer = hub.add_consumer();
    for id in &ids {
        hub.create_identity(now, IdentitySpec::new(id))?;
        hub.watch_desired(id, consumer)?;
    }
    let began = Instant::now();
    for number in 0..patches {
        for id in &ids {
            hub.patch_reported(now, id, None, &patch(number))?;
        }
    }
    show("model, reported", devices * patches, began);
    let began = Instant::now();
    for number in 0..patches {
        for id in &ids {
            hub.patch_twin(now, id, &IfMatch::None, &json!({ "properties": { "desired": patch(number) } }))?;
            hub.take_desired(id, consumer).ok_or("no change")?;
        }
    }
    show("model, desired and taken", devices * patches, began);
    Ok(())
}

async fn over_amqp(devices: usize, patches: usize) -> Outcome<()> {
    let ids = ids(devices)?;
    let mut builder = Emulator::builder().policy("device", KEY);
    for id in &ids {
        builder = builder.device(id.device.as_str(), KEY);
    }
    let hub = builder.start().await?;
    let connection = connect(&hub).await?;
    let mut clients = Vec::new();
    for id in &ids {
        let session = connection.begin().await?;
        let address = format!("/devices/{}/twin", id.device);
        let requests = session.sender(address.as_str()).attach().await?;
        clients.push((requests, session.receiver(address.as_str()).attach().await?));
    }

    let began = Instant::now();
    let mut tasks = Vec::new();
    for (requests, mut answers) in clients {
        tasks.push(tokio::spawn(async move {
            for number in 0..patches {
                requests
                    .send(request("PATCH", "/properties/reported").data(patch(number).to_string()))
                    .await?
                    .into_result()?;
                take(&mut answers, 204).await?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>((requests, answers))
        }));
    }
    let mut clients: Vec<(Sender, Receiver)> = Vec::new();
    for task in tasks {
        clients.push(task.await??);
    }
    show("AMQP, reported and answered", devices * patches, began);

    for (requests, answers) in &mut clients {
        requests.send(request("PUT", "/notifications/twin/properties/desired").data(" ")).await?.into_result()?;
        take(answers, 200).await?;
    }
    let began = Instant::now();
    let readers: Vec<_> =
        clients.into_iter().map(|(_, answers)| tokio::spawn(read_until(answers, patches as u64 + 1))).collect();
    for number in 0..patches {
        for id in &ids {
            let document = json!({ "properties": { "desired": patch(number) } });
            hub.with_hub(|hub, now| hub.patch_twin(now, id, &IfMatch::None, &document).map(drop))?;
        }
        tokio::task::yield_now().await;
    }
    let mut sent = 0;
    for reader in readers {
        sent += reader.await??;
    }
    show("AMQP, desired and notified", devices * patches, began);
    println!("  in {sent} notifications; those that a device does not take at once are merged");
    hub.shutdown().await;
    Ok(())
}

async fn connect(hub: &Emulator) -> Outcome<Connection> {
    let address = hub.local_addr();
    let connection = Client::builder(format!("amqps://localhost:{}", address.port()))
        .dial(address.ip().to_string(), address.port())
        .tls(TlsClient::with_ca_pem(hub.ca_pem().as_bytes())?)
        .sasl(Mssbcbs::default())
        .connect()
        .await?;
    let session = connection.begin().await?;
    let requests = session.sender("$cbs").attach().await?;
    let mut answers = session.receiver("$cbs").attach().await?;
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 3600;
    let key = SasKey::from_base64(KEY)?;
    let token = key.sign("localhost", PercentEncoding::Component, UnixSeconds::new(soon), Some("device"));
    let put = PutToken::sas("localhost", token.into_secret_text());
    requests.send(put.encode(&MessageId::Ulong(1), EncodeStyle::Compact)).await?.into_result()?;
    answers.recv().await?.ok_or("no answer to the token")?.accept()?;
    Ok(connection)
}

fn request(operation: &'static str, resource: &'static str) -> MessageBuilder {
    Message::builder()
        .message_annotation(Symbol::from_static("operation"), operation)
        .message_annotation(Symbol::from_static("resource"), resource)
        .properties(Properties { correlation_id: Some("id".into()), ..Properties::default() })
}

async fn take(answers: &mut Receiver, expected: i64) -> Outcome<()> {
    let answer = answers.recv().await?.ok_or("the link ended")?;
    let status = answer.message().message_annotation("status")?.ok_or("no status")?.to_value()?.as_integer();
    if status == Some(expected.into()) { Ok(()) } else { Err(format!("status {status:?}").into()) }
}

/// Reads changes until one has this version, and counts them.
async fn read_until(mut answers: Receiver, version: u64) -> Outcome<usize> {
    let mut count = 0;
    loop {
        let change = answers.recv().await?.ok_or("the link ended")?;
        count += 1;
        let seen = change.message().message_annotation("version")?.ok_or("no version")?.to_value()?.as_integer();
        if seen == Some(version.into()) {
            return Ok(count);
        }
    }
}
