//! The devices of the demo.

use super::{
    Stage,
    ledger::Final,
    plan::{self, Participant},
};
use crate::failure::Failure;
use iothub::{
    CloudToDevice, CloudToDeviceReceiver, DesiredChange, DesiredChanges, DeviceClient, MethodAnswer, MethodCall,
    Methods, Telemetry, Twin,
};
use iothub_emulator::Emulator;
use serde_json::{Map, json};
use std::collections::HashSet;
use tokio::task::JoinSet;

/// Connects every device, then lets each of them work.
pub(super) async fn start(
    stage: &Stage,
    hub: &Emulator,
    parts: &mut JoinSet<Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut connecting = JoinSet::new();
    for (index, device) in stage.plan.devices.iter().enumerate() {
        let string = hub
            .device_connection_string(&device.id)
            .ok_or_else(|| Failure::new(format!("the hub does not know {}", device.id)))?;
        let ca = hub.ca_pem().to_owned();
        connecting.spawn(async move {
            let client = DeviceClient::builder().connection_string(&string)?.ca_pem(ca.as_bytes())?.connect().await?;
            let (messages, methods, twin) =
                tokio::try_join!(client.cloud_to_device(), client.methods(), client.twin())?;
            let desired = twin.watch_desired().await?;
            Ok::<_, iothub::Error>((index, Device { client, messages, methods, twin, desired }))
        });
    }
    while let Some(connected) = connecting.join_next().await {
        let (index, device) = connected.map_err(|error| Failure::new(error.to_string()))??;
        parts.spawn(work(stage.clone(), index, device));
    }
    Ok(())
}

/// A device and what it has opened.
struct Device {
    client: DeviceClient,
    messages: CloudToDeviceReceiver,
    methods: Methods,
    twin: Twin,
    desired: DesiredChanges,
}

/// Takes what comes until everything is over.
async fn work(mut stage: Stage, index: usize, device: Device) -> Result<(), Failure> {
    let Device { client, mut messages, mut methods, twin, mut desired } = device;
    let plan = stage.plan.clone();
    let Some(device) = plan.devices.get(index) else { return Ok(()) };
    let detached = || Failure::new(format!("the hub has detached {}", device.id));
    let mut over = stage.over.clone();
    let mut abandoned = HashSet::new();
    loop {
        tokio::select! {
            // Not the value itself, which holds a lock.
            () = async { drop(over.wait_for(|over| *over).await) } => break,
            message = messages.next() => {
                settle(&mut stage, device, &client, message?.ok_or_else(detached)?, &mut abandoned).await?;
            }
            call = methods.next() => answer(&stage, device, call?.ok_or_else(detached)?).await?,
            change = desired.next() => report(&stage, device, &twin, change?.ok_or_else(detached)?).await?,
        }
    }
    messages.close().await.ok();
    client.close().await.ok();
    Ok(())
}

async fn answer(stage: &Stage, device: &Participant, call: MethodCall) -> Result<(), Failure> {
    if call.name() != plan::METHOD {
        stage.ledger().odd(format!("{} was called by another name: {}", device.id, call.name()));
    }
    // Before the service can count the answer.
    stage.ledger().method_answered(&device.id);
    call.answer(MethodAnswer::new(200).payload(device.id.as_str())).await.map_err(Failure::from)
}

async fn report(stage: &Stage, device: &Participant, twin: &Twin, change: DesiredChange) -> Result<(), Failure> {
    let Some(value) = change.properties().values().get(plan::PROPERTY) else { return Ok(()) };
    let patch = Map::from_iter([(plan::PROPERTY.to_owned(), json!(value))]);
    stage.ledger().twin_reported(&device.id);
    twin.update_reported(patch).await?;
    Ok(())
}

async fn settle(
    stage: &mut Stage,
    device: &Participant,
    client: &DeviceClient,
    message: CloudToDevice,
    abandoned: &mut HashSet<u32>,
) -> Result<(), Failure> {
    stage.ledger().delivered();
    let id = message.message_id().map(|id| id.to_string()).unwrap_or_default();
    let Some(number) = plan::message_number(&id) else {
        stage.ledger().odd(format!("{} got a stranger's message", device.id));
        return message.complete().map_err(Failure::from);
    };
    if message.body() != plan::message_body(&device.id, number).as_bytes() {
        stage.ledger().odd(format!("message {id} is not what was sent to {}", device.id));
    }
    if plan::is_abandoned_once(number) && abandoned.insert(number) {
        message.abandon()?;
        stage.ledger().abandoned();
        return Ok(());
    }
    let outcome = plan::outcome(number);
    match outcome {
        Final::Completed => message.complete()?,
        Final::Rejected => message.reject()?,
    }
    stage.ledger().settled(&id, outcome);
    let body = plan::telemetry_body(&device.id, number);
    let telemetry = plan::telemetry_id(number);
    client
        .send(Telemetry::new(body.clone()).message_id(telemetry.clone()).property("done", number.to_string()))
        .await?;
    stage.ledger().telemetry_sent(&telemetry, body.as_bytes());
    Ok(())
}
