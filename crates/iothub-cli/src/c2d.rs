//! `iothub c2d`: send cloud-to-device messages, and see what became of them.

use crate::{
    cli::{AckMode, FeedbackOptions, SendOptions},
    connect::{configured, pair},
    emulator::interrupted,
    failure::Failure,
    output::{Output, shown},
};
use iothub::{Ack, CloudMessage, ServiceClient};
use serde_json::json;
use std::{pin::pin, process::ExitCode};

pub(crate) async fn send(options: SendOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let id = match options.message_id {
        Some(id) => id,
        None => random_id()?,
    };
    let mut message = CloudMessage::new(options.body).message_id(id.clone()).ack(match options.ack {
        AckMode::None => Ack::None,
        AckMode::Positive => Ack::Positive,
        AckMode::Negative => Ack::Negative,
        AckMode::Full => Ack::Full,
    });
    for property in &options.properties {
        let (name, value) = pair(property, "property")?;
        message = message.property(name, value);
    }
    let service = configured!(ServiceClient, &options.hub)?.connect().await?;
    service.send(&options.device, message).await?;
    output.say(
        &format!("The hub has accepted message {id} for {}.", options.device),
        &json!({"event": "accepted", "message_id": id, "device": options.device}),
    );
    service.close().await.ok();
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn feedback(options: FeedbackOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let service = configured!(ServiceClient, &options.hub)?.connect().await?;
    let mut feedback = service.feedback().await?;
    output.tell("Waiting for feedback, which comes in batches, up to 15 s later; Ctrl-C ends it.");
    let mut stopped = pin!(interrupted());
    let mut seen = 0;
    while options.count.is_none_or(|count| seen < count) {
        let batch = tokio::select! {
            batch = feedback.next() => batch?,
            pressed = &mut stopped => { pressed?; break }
        };
        let Some(batch) = batch else { return Err(Failure::new("the hub has ended the link")) };
        for record in batch.records() {
            seen += 1;
            output.say(
                &format!("{} {}: {:?}", shown(&record.device_id), shown(&record.original_message_id), record.status),
                &json!({
                    "event": "feedback",
                    "message_id": record.original_message_id,
                    "device": record.device_id,
                    "status": format!("{:?}", record.status),
                    "description": record.description,
                }),
            );
        }
        batch.complete()?;
    }
    // What was completed last is said only when this has worked.
    service.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn random_id() -> Result<String, Failure> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|error| Failure::new(format!("no random numbers: {error}")))?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
