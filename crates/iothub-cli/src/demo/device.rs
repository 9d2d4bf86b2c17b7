//! The devices of the demo.

use super::{
    Stage,
    ledger::Final,
    plan::{self, Participant},
};
use crate::failure::Failure;
use iothub::{CloudToDevice, DeviceClient, Telemetry};
use iothub_emulator::Emulator;
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
            let messages = client.cloud_to_device().await?;
            Ok::<_, iothub::Error>((index, client, messages))
        });
    }
    while let Some(connected) = connecting.join_next().await {
        let (index, client, messages) = connected.map_err(|error| Failure::new(error.to_string()))??;
        parts.spawn(work(stage.clone(), index, client, messages));
    }
    Ok(())
}

/// Takes messages until everything is over.
async fn work(
    mut stage: Stage,
    index: usize,
    client: DeviceClient,
    mut messages: iothub::CloudToDeviceReceiver,
) -> Result<(), Failure> {
    let plan = stage.plan.clone();
    let Some(device) = plan.devices.get(index) else { return Ok(()) };
    let mut over = stage.over.clone();
    let mut abandoned = HashSet::new();
    loop {
        let message = tokio::select! {
            _ = over.wait_for(|over| *over) => break,
            message = messages.next() => message?,
        };
        let Some(message) = message else {
            return Err(Failure::new(format!("the hub has detached {}", device.id)));
        };
        settle(&mut stage, device, &client, message, &mut abandoned).await?;
    }
    messages.close().await.ok();
    client.close().await.ok();
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
