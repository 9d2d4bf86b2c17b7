//! The service of the demo: it sends, reads feedback, and reads telemetry through the redirect.

use super::{Stage, ledger::Final, plan};
use crate::failure::Failure;
use iothub::{
    Ack, CloudMessage, EventConsumer, EventPosition, FeedbackReceiver, FeedbackStatus, RegistryClient, ServiceClient,
    registry::{DirectMethod, IfMatch, TwinUpdate},
};
use iothub_emulator::Emulator;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

/// The hub holds at most this many messages for a device.
const OUTSTANDING: usize = 50;

/// Permits to send, by device; one comes back with each feedback.
type Room = Arc<Vec<Semaphore>>;

/// Connects the service, starts its readers, and lets it send.
pub(super) async fn start(
    stage: &Stage,
    hub: &Emulator,
    parts: &mut JoinSet<Result<(), Failure>>,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    let string = hub.service_connection_string();
    let ca = hub.ca_pem().as_bytes();
    let service = ServiceClient::builder().connection_string(&string)?.ca_pem(ca)?.connect().await?;
    let feedback = service.feedback().await?;
    let room: Room = Arc::new(stage.plan.devices.iter().map(|_| Semaphore::new(OUTSTANDING)).collect());
    parts.spawn(read_feedback(stage.clone(), feedback, room.clone()));
    let partitions = hub.with_hub(|hub, _| hub.settings().partitions);
    for partition in 0..partitions {
        let consumer = EventConsumer::builder()
            .connection_string(&string)?
            .ca_pem(ca)?
            .partition(partition)
            .start(EventPosition::Start)
            .connect()
            .await?;
        parts.spawn(read_telemetry(stage.clone(), consumer));
    }
    stage.output.say(
        "The service is connected; it reads feedback, and telemetry through the redirect. It calls a method of each device \
         and changes its twin.",
        &json!({"event": "service", "partitions": partitions}),
    );
    let registry = RegistryClient::builder().connection_string(&string)?.ca_pem(ca)?;
    let registry = registry.https_port(hub.https_addr().port()).build()?;
    Ok(tokio::spawn(run(stage.clone(), service, registry, room)))
}

/// Sends messages, and meanwhile calls each device and changes its twin.
async fn run(stage: Stage, service: ServiceClient, registry: RegistryClient, room: Room) -> Result<(), Failure> {
    tokio::try_join!(send(stage.clone(), service, room), direct(stage, registry)).map(drop)
}

/// Calls a method of each device, and has each report a property that is wanted.
async fn direct(stage: Stage, registry: RegistryClient) -> Result<(), Failure> {
    for index in 0..stage.plan.devices.len() {
        let Some(device) = stage.plan.devices.get(index) else { return Ok(()) };
        if *stage.stop.borrow() || *stage.over.borrow() {
            return Ok(());
        }
        let response = registry.invoke_method(&device.id, &DirectMethod::new(plan::METHOD)).await?;
        if (response.status, response.payload.as_str()) != (200, Some(&device.id)) {
            stage.ledger().odd(format!("the answer of {} is not what it sent", device.id));
        }
        stage.ledger().method_called(&device.id);
        let value = plan::property_value(index);
        let update = TwinUpdate::new().desired(plan::PROPERTY, value);
        registry.patch_twin(&device.id, &update, IfMatch::Any).await?;
        // The device reports it in its own time.
        while !*stage.over.borrow() {
            let twin = registry.twin(&device.id).await?;
            if twin.reported.get(&[plan::PROPERTY]).and_then(Value::as_u64) == Some(value) {
                stage.ledger().twin_read(&device.id);
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// Sends every message, all devices at a time, each with no more outstanding than the hub holds.
async fn send(stage: Stage, service: ServiceClient, room: Room) -> Result<(), Failure> {
    let service = Arc::new(service);
    let mut senders = JoinSet::new();
    for index in 0..stage.plan.devices.len() {
        senders.spawn(send_to(stage.clone(), service.clone(), room.clone(), index));
    }
    while let Some(ended) = senders.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    Ok(())
}

async fn send_to(stage: Stage, service: Arc<ServiceClient>, room: Room, index: usize) -> Result<(), Failure> {
    let (Some(device), Some(room)) = (stage.plan.devices.get(index), room.get(index)) else { return Ok(()) };
    let mut stop = stage.stop.clone();
    let mut over = stage.over.clone();
    for number in stage.plan.numbers_for(index) {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            _ = over.wait_for(|over| *over) => return Ok(()),
            permit = room.acquire() => permit.map_err(|error| Failure::new(error.to_string()))?.forget(),
        }
        let id = plan::message_id(number);
        let message = CloudMessage::new(plan::message_body(&device.id, number))
            .message_id(id.clone())
            .ack(Ack::Full)
            .property("number", number.to_string());
        service.send(&device.id, message).await?;
        stage.ledger().sent(&id);
    }
    Ok(())
}

async fn read_feedback(stage: Stage, mut feedback: FeedbackReceiver, room: Room) -> Result<(), Failure> {
    let mut over = stage.over.clone();
    loop {
        let batch = tokio::select! {
            _ = over.wait_for(|over| *over) => return Ok(()),
            batch = feedback.next() => batch?,
        };
        let Some(batch) = batch else { return Err(Failure::new("the hub has detached the feedback reader")) };
        for record in batch.records() {
            let id = &record.original_message_id;
            let outcome = match record.status {
                FeedbackStatus::Success => Final::Completed,
                FeedbackStatus::Rejected => Final::Rejected,
                other => {
                    stage.ledger().odd(format!("message {id} came to nothing: {other:?}"));
                    continue;
                }
            };
            let first = stage.ledger().feedback(id, outcome);
            let index = stage.plan.devices.iter().position(|device| device.id == record.device_id);
            if let Some(room) = index.and_then(|index| room.get(index))
                && first
            {
                room.add_permits(1);
            }
        }
        batch.complete()?;
    }
}

async fn read_telemetry(stage: Stage, mut consumer: EventConsumer) -> Result<(), Failure> {
    let mut over = stage.over.clone();
    loop {
        let event = tokio::select! {
            _ = over.wait_for(|over| *over) => return Ok(()),
            event = consumer.next() => event?,
        };
        let Some(event) = event else { return Err(Failure::new("the hub has detached the telemetry reader")) };
        let event = event.map_err(iothub::Error::from)?;
        let id = event.message_id().map(|id| id.to_string()).unwrap_or_default();
        let number = id.strip_prefix("d2c-").and_then(|number| number.parse().ok());
        let expected = match (event.device_id(), number) {
            (Some(device), Some(number)) => plan::telemetry_body(device, number),
            _ => String::new(),
        };
        stage.ledger().telemetry_read(&id, event.body(), expected.as_bytes());
    }
}
